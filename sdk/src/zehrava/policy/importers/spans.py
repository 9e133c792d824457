"""Durations as Go writes them: ``30s``, ``5m``, ``1h30m``, ``500ms``."""

from __future__ import annotations

import re
from fractions import Fraction

from zehrava import durations

from .source import Source, quoted

_PART = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "μs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}


def seconds(source: Source, value: object, path: str) -> Fraction:
    """The seconds of a duration above zero.

    Raises:
        PolicyError: for anything else.
    """
    text = value if isinstance(value, str) else ""
    total, at = Fraction(0), 0
    while at < len(text):
        found = _PART.match(text, at)
        if not found:
            break
        total += Fraction(f"{found[1]}.{found[2] or 0}") * _UNITS[found[3]]
        at = found.end()
    if not text or at < len(text) or total <= 0:
        raise source.refuse(path, f"{quoted(value)} is no duration; write 30s, 5m or 1h30m")
    return total


def at_most(span: Fraction) -> str:
    """The longest duration of ours that is no longer: for how long somebody may wait."""
    return durations.text(min(max(int(span), 1), durations.MAX_SECONDS))


def at_least(span: Fraction) -> str | None:
    """The shortest duration of ours that is no shorter: for how long something counts; None: for ever."""
    whole = -(-span.numerator // span.denominator)
    return durations.text(whole) if whole <= durations.MAX_SECONDS else None
