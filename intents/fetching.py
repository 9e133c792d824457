"""Reads from a target what stands there now, for whoever decides: one GET, and a sentence where it gave nothing.

It goes the way of the `http` executor: the same guard in front of the network, credentials only to their own hosts, no
redirects, proxies, cookies or compression. All of it, the resolver and a dripping answer too, ends after `SECONDS`; of
the answer no more than `KEPT_BYTES` is taken. What comes back is hostile text like an agent's.

A slow target holds a thread of the web server, so that no more than half of them do this at one time.
"""

import functools
import logging
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpcore
from django.conf import settings

from intents.executors import egress
from intents.executors.credentials import credential, repeats
from intents.executors.deadline import Deadline
from intents.executors.orders import NotBegun
from zehrava import canonical
from zehrava.before import AddressError, Before

SECONDS = 3.0
KEPT_BYTES = 65_536

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a target says now, by the name of the field; or `why_not`, a sentence for whoever decides.

    `source` is host and path of what was asked, empty where nothing was. Both texts, like the values, are hostile.
    """

    source: str = ""
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    why_not: str = ""


class _NoAnswer(Exception):
    """Why there are no values, as a sentence."""


def read_now(before: Before, payload: Any) -> Reading:
    """Ask the target, within `SECONDS` in all; never raises, stores nothing."""
    if not _places().acquire(blocking=False):
        return Reading(why_not="The portal is reading from as many targets as it does at one time. Read again soon.")
    try:
        return _read(before, payload)
    finally:
        _places().release()


@functools.cache
def _places() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(max(1, settings.ZEHRAVA_WEB_THREADS // 2))


def _read(before: Before, payload: Any) -> Reading:
    source = ""
    try:
        where = egress.destination(before.address.fill(payload), allow_private=before.allow_private)
        source = where.authority + where.target.partition("?")[0]
        return Reading(source, before.now(_answer(before, where)))
    except (AddressError, _NoAnswer) as error:
        return Reading(source, why_not=str(error))
    except egress.Refused as refusal:
        return Reading(source, why_not=f"{refusal} The portal asks nothing there.")
    except NotBegun as refusal:
        return Reading(source, why_not=refusal.detail)
    except Exception as error:
        # Without the message: a library may quote a header, and by that a credential.
        frames = "".join(traceback.format_tb(error.__traceback__))
        logger.error("reading from a target: %s\n%s", type(error).__name__, frames)
        return Reading(source, why_not=f"It could not be read ({type(error).__name__}).")


def _answer(before: Before, where: egress.Destination) -> Any:
    """The JSON that the target answers with; raises _NoAnswer."""
    deadline = Deadline(SECONDS)
    secret = None
    if before.credentials is not None:
        secret = credential(before.credentials, where, of="the web server")
    try:
        addresses = egress.resolve(where, deadline=deadline, allow_private=before.allow_private)
        status, content = _get(egress.GuardedBackend(where, addresses, deadline), where, secret)
    except (TimeoutError, httpcore.TimeoutException):
        raise _NoAnswer(f"The target did not answer in {SECONDS:.0f} s.") from None
    except egress.Untrusted:
        raise _NoAnswer("The target could not show, over TLS, that it is who it should be.") from None
    except httpcore.ConnectError:
        raise _NoAnswer("The target does not take connections.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError):
        raise _NoAnswer("The target's answer broke off, or is none that can be understood.") from None
    if status != 200:
        raise _NoAnswer(_about(status))
    if len(content) > KEPT_BYTES:
        raise _NoAnswer(f"The target's answer is longer than {KEPT_BYTES // 1024} KiB; it is not read.")
    try:
        answer = canonical.loads(content, max_bytes=KEPT_BYTES)
    except canonical.StrictError as error:
        # Without the place, which quotes the answer, and without the advice to whoever sent it.
        fault = error.reason.partition(";")[0].rstrip(".")
        raise _NoAnswer(f"The target's answer is no strict JSON: {fault}.") from None
    # Looked for in what was read: escapes may have spelt it.
    if secret and repeats(canonical.dumps(answer), secret):
        raise _NoAnswer("The target's answer repeats the credential; it is not shown.")
    return answer


def _get(backend: egress.GuardedBackend, where: egress.Destination, secret: str | None) -> tuple[int, bytes]:
    """The status, and of the body at most a little more than is kept."""
    headers = {
        "Host": where.authority,
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "Zehrava",
    }
    if secret is not None:
        headers["Authorization"] = f"Bearer {secret}"
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    content = bytearray()
    with backend.pool() as pool, pool.stream("GET", egress.url_of(where), headers=fields) as response:
        for chunk in response.iter_stream():
            content += chunk
            if len(content) > KEPT_BYTES:
                break
        return response.status, bytes(content[: KEPT_BYTES + 1])


def _about(status: int) -> str:
    if status == 404:
        return "The target has nothing at this address (404)."
    if 300 <= status < 400:
        return f"The target sends elsewhere ({status}); the portal does not follow."
    if status in (401, 403):
        return f"The target does not let the portal read this ({status})."
    if status >= 500:
        return f"The target failed ({status})."
    return f"The target answered with {status} instead of what stands there."
