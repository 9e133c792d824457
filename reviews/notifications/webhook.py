"""Posting to a channel's address, by the guarded way to the network that executors take.

The address is a secret of the settings: it is in no row, no log and no error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpcore
from django.conf import settings

from intents.executors import egress
from intents.executors.deadline import Deadline

SECONDS = 8
LONGEST_WAIT = 3_600  # seconds that another side may ask us to wait


class Undelivered(Exception):
    """It did not arrive, or nobody knows. The text is for operators.

    `for_good` where trying again is useless; `wait` is how many seconds the other side asks for, or None.
    """

    def __init__(self, text: str, *, for_good: bool = False, wait: int | None = None) -> None:
        super().__init__(text)
        self.for_good = for_good
        self.wait = wait


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[bytes, bytes]


def post(url: str, message: Mapping[str, Any], *, seconds: float = SECONDS) -> None:
    """Post a message as JSON, within that many seconds in all. Raises Undelivered unless it is answered with 2xx."""
    answer = _send(url, json.dumps(message, ensure_ascii=True).encode(), Deadline(seconds))
    if 200 <= answer.status < 300:
        return
    if answer.status == 429 or answer.status >= 500:
        raise Undelivered(f"The channel answered {answer.status}; it is tried again.", wait=_asked_to_wait(answer))
    if 300 <= answer.status < 400:
        raise Undelivered(
            f"The channel answered {answer.status}, a redirect, which is not followed. Set the address it leads to.",
            for_good=True,
        )
    raise Undelivered(
        f"The channel refused it with {answer.status}. Look at its address in the settings.", for_good=True
    )


def _send(url: str, content: bytes, deadline: Deadline) -> _Answer:
    allow_private = settings.ZEHRAVA_NOTIFY_ALLOW_PRIVATE
    try:
        where = egress.destination(url, allow_private=allow_private)
        addresses = egress.resolve(where, deadline=deadline, allow_private=allow_private)
    except egress.Refused as refusal:
        # Its text names the host, which is no secret, and never the path, which is.
        raise Undelivered(f"{refusal} Nothing was sent.") from refusal
    except TimeoutError as error:
        raise Undelivered("The channel's name could not be resolved in time.") from error
    pool = egress.GuardedBackend(where, addresses, deadline).pool()
    target = egress.url_of(where)
    headers = [
        (b"Host", where.authority.encode()),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", str(len(content)).encode()),
        (b"Accept-Encoding", b"identity"),
        (b"User-Agent", b"Zehrava"),
    ]
    try:
        # What it says beside its status is nothing to us, and may be endless.
        with pool, pool.stream("POST", target, headers=headers, content=content) as response:
            return _Answer(response.status, {name.lower(): value for name, value in response.headers})
    except Exception as error:
        # Never the error's own words, which may quote the address.
        raise Undelivered(_broken(error)) from None


def _broken(error: Exception) -> str:
    if isinstance(error, httpcore.TimeoutException | TimeoutError):
        return "The channel did not answer in time."
    if isinstance(error, egress.Untrusted):
        return "The channel made no TLS connection that can be trusted."
    return "The channel could not be reached, or broke off."


def _asked_to_wait(answer: _Answer) -> int | None:
    """Seconds of Retry-After (RFC 9110, 10.2.3); a date or nonsense counts as nothing."""
    text = answer.headers.get(b"retry-after", b"").strip()
    return min(int(text), LONGEST_WAIT) if text.isdigit() and len(text) < 10 else None
