"""Every call to the portal as a value, shared by both clients, and how often it may safely be made."""

from __future__ import annotations

import enum
import ipaddress
import re
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack
from urllib.parse import urlencode

import httpx

from zehrava import canonical, durations

PREFIX = "/api/v1"
LONG_POLL = 25
Outcome = Literal["succeeded", "failed"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HEADER_SAFE = re.compile(r"[\x21-\x7e]{1,255}")
_warned: set[str] = set()


class Repeat(enum.Enum):
    """When a call may be made again. A connection that never came about is always tried again: nothing was sent."""

    ALWAYS = "reads, and proposals, which an idempotency key makes safe"
    LOST_CONNECTION = "calls that end the same however often they are made"
    NEVER = "calls that hand out or use up a right"


@dataclass(frozen=True)
class Call:
    """One request. `hold` are the seconds for which the portal may keep the answer back."""

    method: str
    path: str
    repeat: Repeat
    query: str = ""
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    hold: float = 0.0

    def __str__(self) -> str:
        return f"{self.method} {PREFIX}{self.path}"


class Door:
    """Where the portal is and what opens it. Never shows the key."""

    def __init__(self, base_url: str, api_key: str | None, user_agent: str) -> None:
        url = httpx.URL(base_url)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"base_url {base_url!r} is no web address; use one such as https://gate.example.com.")
        if url.userinfo or url.query or url.fragment:
            raise ValueError("base_url is the portal's address alone: no user, password, query or fragment.")
        if api_key == "":
            raise ValueError("api_key is empty: perhaps the variable that it is read from is not set.")
        if api_key is not None and not _HEADER_SAFE.fullmatch(api_key):
            raise ValueError("api_key is not a key: it holds spaces, line breaks or other characters no key has.")
        if url.scheme == "http" and not _is_loopback(url.host) and url.host not in _warned:
            _warned.add(url.host)
            warnings.warn(f"The key travels unencrypted to {url.host}; use https.", stacklevel=4)
        self.base_url = str(url).rstrip("/")
        self._api_key = api_key
        self._user_agent = user_agent

    def request(self, call: Call) -> dict[str, Any]:
        """The arguments for httpx's `request`."""
        headers = {"Accept": "application/json", "User-Agent": self._user_agent, **call.headers}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key}"
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        query = f"?{call.query}" if call.query else ""
        return {
            "method": call.method,
            "url": f"{self.base_url}{PREFIX}{call.path}{query}",
            "headers": headers,
            "content": call.body,
        }


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ProposeOptions(TypedDict, total=False):
    """What a proposal can say besides action and payload; what is absent or None is not sent."""

    summary: str | None
    context: Mapping[str, Any] | None
    target: str | None
    tags: Sequence[str] | None
    records: int | None
    value: Mapping[str, Any] | None
    on_behalf_of: str | None
    expires_in: str | int | None
    supersedes: Any
    execution_mode: str | None
    policy: Any
    idempotency_key: str | None


def propose(action: str, payload: Any = None, **options: Unpack[ProposeOptions]) -> Call:
    """The call that proposes. Raises StrictError, with a pointer, for what is not JSON."""
    unknown = options.keys() - ProposeOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"propose() knows no {', '.join(sorted(unknown))}.")
    key = options.pop("idempotency_key", None) or str(uuid.uuid4())
    if not _HEADER_SAFE.fullmatch(key):
        raise ValueError("idempotency_key is 1 to 255 printable ASCII characters without spaces.")
    body = _proposal(action, payload, options)
    return Call("POST", "/intents", Repeat.ALWAYS, body=body, headers={"Idempotency-Key": key})


def evaluate(action: str, payload: Any = None, **options: Unpack[ProposeOptions]) -> Call:
    """The call that asks what would be said of a proposal. Raises StrictError, with a pointer, for what is not JSON."""
    unknown = options.keys() - (ProposeOptions.__annotations__.keys() - {"idempotency_key"})
    if unknown:
        raise TypeError(f"evaluate() knows no {', '.join(sorted(unknown))}.")
    return Call("POST", "/policies/evaluate", Repeat.ALWAYS, body=_proposal(action, payload, options))


def _proposal(action: str, payload: Any, options: Mapping[str, Any]) -> bytes:
    members: dict[str, Any] = {name: member for name, member in options.items() if member is not None}
    if "tags" in members:
        if isinstance(members["tags"], str):
            raise TypeError("tags is a list of texts, not one text.")
        members["tags"] = list(members["tags"])
    if "expires_in" in members:
        members["expires_in"] = _duration(members["expires_in"])
    if "supersedes" in members:
        members["supersedes"] = getattr(members["supersedes"], "id", members["supersedes"])
    return _body({"action": action, "payload": payload, **members})


def _duration(given: str | int) -> str:
    return durations.text(durations.parse(given) if isinstance(given, str) else given)


def get(intent_id: str, wait: int | None = None, since: str | None = None) -> Call:
    """The call that reads one intent.

    `wait` are the seconds the portal may hold the answer for a change; `since` is the status that the caller knows of,
    so that a change before this call is answered at once.
    """
    query = urlencode({"wait": wait} | ({"since": since} if since else {})) if wait else ""
    return Call("GET", f"/intents/{_name(intent_id)}", Repeat.ALWAYS, query=query, hold=float(wait or 0))


def intents(filters: Mapping[str, Any]) -> Call:
    """The call for the first page of the agent's intents."""
    pairs = []
    for name, given in filters.items():
        for member in given if isinstance(given, list | tuple) else [given]:
            if isinstance(member, datetime):
                if member.tzinfo is None:
                    raise ValueError(f"{name} needs a time with a time zone.")
                member = member.isoformat()
            if member is not None:
                pairs.append((name, str(member)))
    return Call("GET", "/intents", Repeat.ALWAYS, query=urlencode(pairs))


def next_page(page: Mapping[str, Any]) -> Call | None:
    """The call for the page after this one.

    Only the query of the portal's link is used: a link that names another host must not receive the key.
    """
    link = page.get("next")
    if not link:
        return None
    return Call("GET", "/intents", Repeat.ALWAYS, query=httpx.URL(str(link)).query.decode("ascii"))


def me() -> Call:
    return Call("GET", "/agents/me", Repeat.ALWAYS)


def cancel(intent_id: str) -> Call:
    return Call("POST", f"/intents/{_name(intent_id)}/cancel", Repeat.LOST_CONNECTION)


def answer(intent_id: str, question_id: str, text: str) -> Call:
    """The call that answers what a person asked. Never repeated by itself: a second answer is refused."""
    body = _body({"question": question_id, "text": text})
    return Call("POST", f"/intents/{_name(intent_id)}/answers", Repeat.NEVER, body=body)


def claim(intent_id: str) -> Call:
    """A lost answer to a claim may have been a permit: a second claim cannot bring it back, so it is never repeated."""
    return Call("POST", f"/intents/{_name(intent_id)}/claim", Repeat.NEVER)


def heartbeat(execution_id: str, token: str) -> Call:
    return Call("POST", f"/executions/{_name(execution_id)}/heartbeat", Repeat.NEVER, headers=_permit(token))


def report(execution_id: str, token: str, outcome: Outcome, result: Any = None) -> Call:
    """The call that reports how the execution went; `result` is any JSON value."""
    if outcome not in ("succeeded", "failed"):
        raise ValueError('outcome is "succeeded" or "failed".')
    body = _body({"outcome": outcome, "result": result})
    return Call("POST", f"/executions/{_name(execution_id)}/report", Repeat.NEVER, body=body, headers=_permit(token))


def _body(members: dict[str, Any]) -> bytes:
    canonical.check(members)
    return canonical.dumps(members)


def _name(text: str) -> str:
    # An id becomes part of a path: one with a slash or dots would be another path.
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise ValueError(f"{text!r:.80} is not an id.")
    return text


def _permit(token: str) -> dict[str, str]:
    if not isinstance(token, str) or not _HEADER_SAFE.fullmatch(token):
        raise ValueError("The permit's token is not one that the portal hands out.")
    return {"Zehrava-Permit": token}
