"""What the portal's answers mean: a value, an error, or a reason to try again."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from zehrava import canonical, errors
from zehrava.calls import Call, Repeat
from zehrava.problems import KINDS, Problem

# An answer wraps payloads that were themselves at the limits, up to a page of them.
MAX_ANSWER_BYTES = 128 * canonical.MAX_BYTES
MAX_ANSWER_DEPTH = canonical.MAX_DEPTH + 8
LONGEST_PAUSE = 60.0

_AGAIN = {429, 502, 503, 504}
_NEVER_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BY_STATUS: dict[int, type[errors.ApiError]] = {
    400: errors.Invalid,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.Invalid,
    415: errors.Invalid,
    422: errors.Invalid,
    429: errors.TooManyRequests,
}
_BY_KIND: dict[str, type[errors.ApiError]] = {"attention-budget": errors.AttentionBudgetSpent}

Answer = httpx.Response | httpx.RequestError


def pause(call: Call, answer: Answer, *, attempt: int, retries: int, backoff: float) -> float | None:
    """The seconds to wait before the call is made again, or None where it must not or need not be.

    `attempt` counts from 0; `backoff` is the first pause, doubled each time, in seconds.
    """
    if attempt >= retries or not _may_repeat(call, answer):
        return None
    # Jitter, so that agents that lost the portal together do not return together.
    growing: float = min(backoff * 2**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1.0)
    asked = retry_after(answer) if isinstance(answer, httpx.Response) else None
    if asked is None:
        return growing
    # A long Retry-After is for the caller to decide, not to sleep through in silence.
    return None if asked > LONGEST_PAUSE else max(asked, growing)


def _may_repeat(call: Call, answer: Answer) -> bool:
    if isinstance(answer, _NEVER_CONNECTED):
        return True
    if isinstance(answer, httpx.RequestError):
        return call.repeat is not Repeat.NEVER
    if call.repeat is not Repeat.ALWAYS:
        return False
    if answer.status_code in _AGAIN:
        # Room is made by people, by time, or by the caller, who can cancel something: never by asking once more.
        return answer.status_code != 429 or _problem(answer).kind != "attention-budget"
    return answer.status_code == 409 and _problem(answer).kind == "idempotency-in-flight"


def retry_after(response: httpx.Response) -> float | None:
    """The seconds in Retry-After (RFC 9110, a number or a date), or None."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def read(call: Call, answer: Answer) -> dict[str, Any]:
    """The JSON object in the answer; raises ApiError or Unreachable where there is none."""
    if isinstance(answer, httpx.RequestError):
        maybe_sent = not isinstance(answer, _NEVER_CONNECTED)
        raise errors.Unreachable(str(call), answer, maybe_sent=maybe_sent) from answer
    if answer.is_success:
        return _value(call, answer)
    problem = _problem(answer)
    fallback = errors.ServerError if answer.status_code >= 500 else errors.ApiError
    error = _BY_KIND.get(problem.kind) or _BY_STATUS.get(answer.status_code, fallback)
    raise error(problem, retry_after=retry_after(answer))


def _value(call: Call, response: httpx.Response) -> dict[str, Any]:
    if response.status_code == 204:
        return {}
    try:
        value = canonical.loads(response.content, max_bytes=MAX_ANSWER_BYTES, max_depth=MAX_ANSWER_DEPTH)
    except canonical.StrictError as error:
        raise errors.strange(f"the answer is not strict JSON: {error}") from error
    if not isinstance(value, dict):
        raise errors.strange("the answer is not an object")
    return value


def results(page: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects on a page of results."""
    members = page.get("results")
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise errors.strange("the answer is not a page of results")
    return members


def _problem(response: httpx.Response) -> Problem:
    status = response.status_code
    if response.is_redirect:
        # Following it would send the key wherever the answer says.
        place = response.headers.get("location", "")[:200]
        detail = f"The portal sends us to {place!r}; redirects are not followed, use the final address as base_url."
        return Problem.from_document({"title": "Redirect", "detail": detail}, status=status)
    try:
        document = canonical.loads(response.content, max_depth=MAX_ANSWER_DEPTH)
    except canonical.StrictError:
        document = None
    if not isinstance(document, dict) or "type" not in document:
        kind = next((kind for kind, (known, _) in KINDS.items() if known == status), "unknown")
        named = document if isinstance(document, dict) else {}
        document = {"detail": f"HTTP {status} without an explanation.", **named, "type": f"urn:zehrava:problem:{kind}"}
    return Problem.from_document(document, status=status)
