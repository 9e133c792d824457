"""Durations as people write them: an integer and s, m, h or d."""

from __future__ import annotations

import re

MAX_SECONDS = 365 * 86_400

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PATTERN = re.compile(r"([1-9][0-9]{0,8})([smhd])")


def parse(text: object) -> int:
    """The seconds in `text`, such as "15m"; from 1 s to 365 d. Raises ValueError, with what to write instead."""
    match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError('A duration is an integer and s, m, h or d, from 1 s, such as "15m".')
    seconds = int(match[1]) * _UNITS[match[2]]
    if seconds > MAX_SECONDS:
        raise ValueError('A duration is at most 365 days, "365d".')
    return seconds


def text(seconds: int) -> str:
    """Seconds in the largest unit that holds them exactly: 900 is "15m", 90 is "90s"."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= MAX_SECONDS:
        raise ValueError(f"A duration is a whole number of seconds from 1 to {MAX_SECONDS}.")
    unit = next(unit for unit, size in _UNITS.items() if seconds % size == 0)
    return f"{seconds // _UNITS[unit]}{unit}"
