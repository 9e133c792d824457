"""Sets of values that a part of a condition may have: never too small, so that an empty one proves something."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

KINDS = frozenset({"null", "bool", "number", "string", "amount", "list", "map", "other"})
# Of these, single values and bounds are known; of the others only whether the kind is possible.
_EXACT = frozenset({"null", "bool", "number", "string", "amount"})
NAMES = {
    "null": "null",
    "bool": "true or false",
    "number": "a number",
    "string": "a string",
    "amount": "an amount",
    "list": "a list",
    "map": "a map",
    "other": "a value",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Values of one kind: between two bounds, of some options, not some others. ``whole``: whole numbers only."""

    low: Any = None
    high: Any = None
    open_low: bool = False
    open_high: bool = False
    options: frozenset[Any] | None = None
    excluded: frozenset[Any] = frozenset()
    whole: bool = False

    def holds(self, value: Any) -> bool:
        if self.options is not None and value not in self.options:
            return False
        if value in self.excluded or (self.whole and value != int(value)):
            return False
        if self.low is not None and (value < self.low or (self.open_low and value == self.low)):
            return False
        return self.high is None or value < self.high or (value == self.high and not self.open_high)

    def meet(self, other: Span) -> Span:
        low, open_low = _tighter(self.low, self.open_low, other.low, other.open_low, lambda a, b: a > b)
        high, open_high = _tighter(self.high, self.open_high, other.high, other.open_high, lambda a, b: a < b)
        options = self.options
        if options is None or other.options is None:
            options = other.options if options is None else options
        else:
            options = options & other.options
        return Span(low, high, open_low, open_high, options, self.excluded | other.excluded, self.whole or other.whole)

    @property
    def empty(self) -> bool:
        if self.options is not None:
            plain = replace(self, options=None)
            return not any(plain.holds(option) for option in self.options)
        if self.low is None or self.high is None:
            return False
        if self.low == self.high:
            return not self.holds(self.low)
        if self.low > self.high:
            return True
        if not self.whole:
            return False
        first, last = _whole_bounds(self)
        return first > last or (
            last - first < len(self.excluded) + 1 and all(n in self.excluded for n in range(first, last + 1))
        )

    def text(self) -> str:
        """For people, or "" where nothing is known."""
        if self.options is not None:
            left = sorted(option for option in self.options if replace(self, options=None).holds(option))
            shown = [show(option) for option in left[:6]] + (["…"] if len(left) > 6 else [])
            return ("one of " if len(left) > 1 else "") + ", ".join(shown)
        parts = []
        if self.low is not None:
            parts.append(f"{'above' if self.open_low else 'at least'} {show(self.low)}")
        if self.high is not None:
            parts.append(f"{'below' if self.open_high else 'at most'} {show(self.high)}")
        return " and ".join(parts)


def _tighter(a: Any, open_a: bool, b: Any, open_b: bool, tighter: Callable[[Any, Any], bool]) -> tuple[Any, bool]:
    if a is None or (b is not None and tighter(b, a)):
        return b, open_b
    if b is not None and a == b:
        return a, open_a or open_b
    return a, open_a


def _whole_bounds(span: Span) -> tuple[int, int]:
    """The first and last whole number between the bounds."""
    first, last = -int(-span.low // 1), int(span.high // 1)
    return first + (span.open_low and first == span.low), last - (span.open_high and last == span.high)


_WHOLE_KIND = Span()

Values = Mapping[str, Span]
"""Which kinds a value may be of, and which values of each; no kind: no value at all."""

NOTHING: Values = {}


def anything() -> dict[str, Span]:
    """Every value."""
    return dict.fromkeys(KINDS, _WHOLE_KIND)


def of_kinds(*kinds: str) -> dict[str, Span]:
    """Every value of these kinds."""
    return dict.fromkeys(kinds, _WHOLE_KIND)


def points(found: Iterable[tuple[str, Any]]) -> dict[str, Span]:
    """Just these values, each with its kind."""
    options: dict[str, set[Any]] = {}
    for kind, value in found:
        options.setdefault(kind, set()).add(value)
    return {kind: Span(options=frozenset(each)) for kind, each in options.items()}


def all_but(found: Iterable[tuple[str, Any]]) -> dict[str, Span]:
    """Everything but these values: values of different kinds are different."""
    values = anything()
    for kind, value in found:
        values[kind] = replace(values[kind], excluded=values[kind].excluded | {value})
    return values


def meet(a: Values, b: Values) -> dict[str, Span]:
    """What is in both; kinds of which nothing is left are gone."""
    found = {}
    for kind in a.keys() & b.keys():
        span = a[kind] if b[kind] is _WHOLE_KIND else b[kind] if a[kind] is _WHOLE_KIND else a[kind].meet(b[kind])
        if not (kind in _EXACT and _is_empty(kind, span)):
            found[kind] = span
    return found


def _is_empty(kind: str, span: Span) -> bool:
    if kind == "null":
        return not span.holds(None)
    if kind == "bool":
        return not (span.holds(True) or span.holds(False))
    return span.empty


def kind_of(value: Any) -> str:
    """The kind of a JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    names = {int: "number", float: "number", str: "string", Decimal: "amount", list: "list", dict: "map"}
    return names.get(type(value), "other")


def show(value: Any) -> str:
    """A value as policies write it, cut where it is long."""
    if isinstance(value, Decimal):
        return f'amount("{value:f}")'
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


def describe(values: Values) -> str:
    """For people: ``a number at least 0, or null``."""
    if not values:
        return "nothing"
    parts = []
    for kind in sorted(values):
        text = values[kind].text() if kind in _EXACT else ""
        if values[kind].options is not None and kind in _EXACT:
            parts.append("null" if kind == "null" else text)
        else:
            parts.append(f"{NAMES[kind]} {text}".strip())
    return ", or ".join(parts)
