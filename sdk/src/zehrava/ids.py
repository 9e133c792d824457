"""Prefixed identifiers that sort by the time they were made: `int_01jd8q4k2m…`."""

from __future__ import annotations

import re
import secrets
import threading
from datetime import UTC, datetime, timedelta

PREFIXES = {
    "agt": "agent",
    "int": "intent",
    "dec": "decision",
    "exe": "execution",
    "pol": "policy",
    "evt": "ledger event",
    "not": "note",
    "sta": "standing approval",
}

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o or u to misread
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_PATTERNS = {prefix: re.compile(rf"{prefix}_[0-7][{_ALPHABET}]{{25}}") for prefix in PREFIXES}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_lock = threading.Lock()
_last_milliseconds = -1
_last_random = 0


def new(prefix: str, *, at: datetime) -> str:
    """Make an id: the prefix, then 48 bits of milliseconds and 80 random bits as 26 characters.

    `at` is an aware time between 1970 and 10889. Ids of one process and one millisecond ascend in the order they
    were made. Raises ValueError for an unknown prefix or an unusable time.
    """
    if prefix not in PREFIXES:
        raise ValueError(f"{prefix!r} is no id prefix; use one of {', '.join(PREFIXES)}.")
    if at.tzinfo is None:
        raise ValueError("An id needs a time with a time zone.")
    milliseconds = (at - _EPOCH) // _MILLISECOND
    if not 0 <= milliseconds < 1 << 48:
        raise ValueError("An id needs a time from 1970 on.")
    number = milliseconds << 80 | _random(milliseconds)
    return f"{prefix}_" + "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def earliest(prefix: str, *, at: datetime) -> str:
    """What no id of this prefix that was made at that aware time, or later, sorts before."""
    number = max(0, (at - _EPOCH) // _MILLISECOND) << 80
    return f"{prefix}_" + "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def is_id(text: object, prefix: str) -> bool:
    """Whether the text is a well-formed id with this prefix."""
    return isinstance(text, str) and _PATTERNS[prefix].fullmatch(text) is not None


def _random(milliseconds: int) -> int:
    global _last_milliseconds, _last_random
    with _lock:
        if milliseconds == _last_milliseconds:
            # A random step, not 1: two processes forked within one millisecond start from the same number.
            _last_random += 1 + secrets.randbits(40)
        else:
            # 79 bits leave room to climb: 2^39 ids in one millisecond before the 80 are full.
            _last_milliseconds, _last_random = milliseconds, secrets.randbits(79)
        return _last_random
