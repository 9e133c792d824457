"""Sends the approved payload to the URL of the action type, once, and judges by what certainly happened.

What leaves is exactly the payload's canonical JSON, with `Idempotency-Key: {intent id}:{attempt}`, `Zehrava-Digest`
(of the approved intent) and a Standard Webhooks signature (see `intents.executors.signing`).

| what happened | outcome | because |
| --- | --- | --- |
| refused by the guard, no name, no connection, no trusted TLS | failed | not a byte of the request had left |
| a whole answer 2xx | succeeded | the target says that it did it |
| a whole answer 4xx | failed | the target says that it refused the request, and so did not act on it |
| a whole answer 3xx | indeterminate | it may follow an effect; where it leads was not approved and is not asked |
| a whole answer 5xx, or 1xx | indeterminate | a target, or a gateway before it, can fail after the effect |
| cut off, reset, malformed or out of time after the first byte left | indeterminate | the target may have acted |

An answer is whole when its body ended, or exceeded what is kept. `seconds` bounds everything together, the resolver,
the handshake and a dripping answer too. There are no redirects, retries, proxies, cookies or compression.
"""

import hashlib
from typing import Any

import httpcore

from intents.executors import egress, signing
from intents.executors.credentials import credential, repeats
from intents.executors.deadline import Deadline
from intents.executors.orders import NotBegun, Order, Outcome, State, before_the_effect
from zehrava.targets import header_name_fault, header_value_fault

KEPT_BYTES = 65_536
SHOWN_BYTES = 8_192

_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def carry_out(order: Order, *, seconds: float) -> Outcome:
    """Send the order's payload within that many seconds in all; raises NotBegun where nothing was sent."""
    block = order.settings
    allow_private = block.get("allow_private") is True
    with before_the_effect():
        deadline = Deadline(min(seconds, block.get("timeout", seconds)))
        method = _method(block)
        try:
            where = egress.destination(block.get("url", ""), allow_private=allow_private)
            named = block.get("credentials")
            secret = credential(named, where) if named is not None else None
            headers = _headers(order, secret)
            addresses = egress.resolve(where, deadline=deadline, allow_private=allow_private)
        except egress.Refused as refusal:
            raise NotBegun(f"{refusal} Nothing was sent.") from refusal
        backend = egress.GuardedBackend(where, addresses, deadline)
        pool = backend.pool()
    return _send(pool, backend, where, method, headers, order.payload_bytes, secret)


def _send(
    pool: httpcore.ConnectionPool,
    backend: egress.GuardedBackend,
    where: egress.Destination,
    method: str,
    headers: dict[str, str],
    body: bytes,
    secret: str | None,
) -> Outcome:
    fields = [(b"Host", where.authority.encode()), *((k.encode(), v.encode()) for k, v in headers.items())]
    result: dict[str, Any] = {}
    try:
        with pool, pool.stream(method, egress.url_of(where), headers=fields, content=body) as response:
            result |= {"status": response.status, "address": backend.address}
            result |= _kept(response, secret)
    except Exception as error:
        if not backend.began:
            raise NotBegun(_unsent(error)) from error
        return Outcome("indeterminate", {"error": _broken(error, result), "address": backend.address, **result})
    state = _state(response.status, whole=not backend.cut_short)
    if state == "indeterminate":
        result["error"] = f"An answer of {response.status} does not say whether the target acted."
    elif state == "failed":
        result["error"] = f"The target refused the request with {response.status}."
    return Outcome(state, result)


def _state(status: int, *, whole: bool) -> State:
    """What a status says; `whole` is whether all of the request had left."""
    if 200 <= status < 300 and whole:
        return "succeeded"
    return "failed" if 400 <= status < 500 else "indeterminate"


def _kept(response: httpcore.Response, secret: str | None) -> dict[str, Any]:
    """Size and digest of what came back, and its beginning where it is text."""
    content = bytearray()
    truncated = False
    for chunk in response.iter_stream():
        content += chunk
        if len(content) > KEPT_BYTES:
            del content[KEPT_BYTES:]
            truncated = True
            break
    kept = bytes(content)
    found: dict[str, Any] = {"bytes": len(kept), "digest": "sha256:" + hashlib.sha256(kept).hexdigest()}
    media_type = next((value for name, value in response.headers if name.lower() == b"content-type"), b"")
    if secret and (repeats(kept, secret) or repeats(media_type, secret)):
        return found | {"truncated": truncated, "body": None, "withheld": "The answer repeats the credential."}
    text = _text(kept, cut=truncated)
    shown = None if text is None else text.encode()[:SHOWN_BYTES].decode(errors="ignore")
    return found | {
        "truncated": truncated or shown != text,
        "content_type": media_type.decode("ascii", "replace")[:200],
        "body": shown,
    }


def _text(content: bytes, *, cut: bool) -> str | None:
    """The content as text; None where it is none, or none that a database can store."""
    for end in range(len(content), max(len(content) - 4, -1) if cut else len(content) - 1, -1):
        try:
            text = content[:end].decode()
        except UnicodeDecodeError:
            continue
        return None if "\x00" in text else text
    return None


def _method(block: dict[str, Any]) -> str:
    method = block.get("method", "POST")
    if method not in _METHODS:
        raise NotBegun("The action type's method must be POST, PUT, PATCH or DELETE.")
    return str(method)


def _headers(order: Order, secret: str | None) -> dict[str, str]:
    try:
        signature = signing.sign(order.payload_bytes, message_id=order.key)
    except Exception as error:
        raise NotBegun("The request cannot be signed; set ZEHRAVA_SIGNING_SECRET to a usable secret.") from error
    headers = {
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": "Zehrava",
        "Content-Type": "application/json",
        "Content-Length": str(len(order.payload_bytes)),
        "Idempotency-Key": order.key,
        "Zehrava-Digest": order.digest,
        **signature,
    }
    for name, value in (order.settings.get("headers") or {}).items():
        value = _header_value(name, value)
        headers = {known: held for known, held in headers.items() if known.lower() != name.lower()} | {name: value}
    if secret is not None:
        headers["Authorization"] = f"Bearer {secret}"
    return headers


def _header_value(name: Any, value: Any) -> str:
    if fault := header_name_fault(name) or header_value_fault(value):
        raise NotBegun(f"The action type's header {name!r:.120} {fault}.")
    return str(value).strip(" \t")


def _unsent(error: Exception) -> str:
    if isinstance(error, httpcore.ConnectTimeout):
        return "The target did not take the connection in time; nothing was sent."
    if isinstance(error, egress.Untrusted):
        return "The target made no TLS connection that can be trusted; nothing was sent."
    if isinstance(error, httpcore.ConnectError):
        return "The target does not take connections; nothing was sent."
    return f"The request could not be made ({type(error).__name__}); nothing was sent."


def _broken(error: Exception, result: dict[str, Any]) -> str:
    """Why it cannot be known what the target did. Never the error's own words: they may quote what was sent."""
    answer = "The answer was not whole" if "status" in result else "No answer came"
    if isinstance(error, httpcore.TimeoutException):
        return f"{answer} when the time was up; the target may have acted."
    if isinstance(error, httpcore.ProtocolError):
        return f"{answer} or not understood; the target may have acted."
    return f"{answer} when the connection broke; the target may have acted."
