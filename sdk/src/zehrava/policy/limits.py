"""Limits: how much may pass under a rule within a window, and for whom that is counted.

Counting is somebody else's: the portal counts in its database, `Meter` in memory. What is used so far is passed in, so
that the same input gives the same verdict (promise 7).
"""

from __future__ import annotations

import datetime
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from typing import Any

from zehrava import canonical, durations

from .functions import amount
from .reasons import find, parse_path
from .shape import Shape
from .strict_yaml import join

COUNT = "count"
EVERYTHING = "everything"
MAX_LIMITS = 10
MAX_PER = 5
MAX_COUNTED = 10**9

_KEYS = ("count", "sum", "max", "per", "window", "over")
_OVER = ("require_approval", "block")
_SUMMED = frozenset({"payload", "intent"})
_SUMMED_OF_INTENT = (("intent", "records"), ("intent", "value", "amount"))
# What `per` may say in one word, and where that is found.
_PER = {
    "agent": (("agent", "id"), ("agent", "name")),
    "owner": (("agent", "owner"),),
    "environment": (("agent", "environment"),),
    "action": (("intent", "action"),),
    "target": (("intent", "target"),),
    "on_behalf_of": (("intent", "on_behalf_of"),),
    EVERYTHING: (),
}
# More digits than any sum of amounts has, so that no sum is ever rounded.
EXACT = Context(prec=120)
_USED = re.compile(r"[0-9]{1,60}(\.[0-9]{1,12})?", re.ASCII)


class LimitError(Exception):
    """What a limit counts cannot be worked out for this intent."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound on what passes under a rule.

    Attributes:
        index: its place among the limits of its rule, from 0.
        measure: ``count``, or the path of the amount that is summed.
        most: the bound itself, still allowed.
        per: for what it is counted apart; empty: for everything together.
        window: seconds that a use counts, or None for ever.
        over: the effect above the bound.
    """

    index: int
    measure: str
    most: Decimal
    per: tuple[str, ...]
    window: int | None
    over: str
    _summed: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def text(self) -> str:
        """For people: ``at most 20 per agent in 1h``."""
        what = f"{plain(self.most)}" if self.measure == COUNT else f"{plain(self.most)} of {self.measure}"
        whom = f" per {' and '.join(self.per)}" if self.per else ""
        return f"at most {what}{whom}" + (f" in {durations.text(self.window)}" if self.window else "")

    def name(self, policy: str, rule: str) -> str:
        """How ``usage`` calls it: ``policy/rule/0``."""
        return f"{policy}/{rule}/{self.index}"

    def use(self, policy: str, rule: str, values: Mapping[str, Any]) -> Use:
        """What this intent would add, and where that is counted.

        Args:
            values: what conditions see.

        Raises:
            LimitError: when the intent does not say what is counted, or for whom.
        """
        whom = [_whom(each, values) for each in self.per]
        counter = canonical.digest(canonical.dumps([policy, rule, self.measure, list(self.per), whom]))
        added = Decimal(1) if self.measure == COUNT else _summed(self.measure, self._summed, values)
        return Use(self.name(policy, rule), counter, self.window, added, self.most, measure=self.measure)


@dataclass(frozen=True, slots=True)
class Use:
    """One limit as it bears on one intent.

    Attributes:
        limit: ``policy/rule/0``.
        counter: the digest that names what is counted, and for whom. It leaves bound and window out, so that changing
            those keeps the count.
        window: seconds, or None for ever.
        amount: what the intent would add.
        most: the bound.
        used: what is used so far, or None where that is not known.
        over: whether the intent is above the bound.
        counts: whether it has to be counted once the intent is stored.
        measure: ``count``, or the path of the amount that is summed.
    """

    limit: str
    counter: str
    window: int | None
    amount: Decimal
    most: Decimal
    used: Decimal | None = None
    over: bool = False
    counts: bool = False
    measure: str = COUNT

    def usage(self, used: Decimal) -> int | str:
        """What is used, as ``evaluate`` takes it and conditions read it: a count is an integer, a sum a string."""
        return int(used) if self.measure == COUNT else plain(used)

    def against(self, usage: Mapping[str, Any] | None) -> Use:
        """The same, with what is used so far.

        Raises:
            LimitError: when ``usage`` holds something else than a number that is zero or more.
        """
        if usage is None or self.limit not in usage:
            return self
        used = _used(self.limit, usage[self.limit])
        return replace(self, used=used, over=EXACT.add(used, self.amount) > self.most)

    def document(self) -> dict[str, Any]:
        """As JSON, amounts as decimal strings."""
        return {
            "limit": self.limit,
            "used": None if self.used is None else plain(self.used),
            "adds": plain(self.amount),
            "most": plain(self.most),
            "window": self.window,
            "over": self.over,
        }


class Meter:
    """Usage kept in memory, for backtests and local evaluation. Time goes forward only; not for several threads."""

    def __init__(self) -> None:
        # Per counter: when, and the total up to and with each use, so that a window costs two look-ups.
        self._counted: dict[str, tuple[list[datetime.datetime], list[Decimal]]] = {}

    def usage(self, uses: Iterable[Use], now: datetime.datetime) -> dict[str, int | str]:
        """How much of each limit is used within its window before ``now``, as ``evaluate`` takes it."""
        return {use.limit: use.usage(self._used(use, now)) for use in uses}

    def count(self, uses: Iterable[Use], now: datetime.datetime) -> None:
        """Count those of ``uses`` that count; two limits of one rule that count the same thing count it once.

        Raises:
            ValueError: when ``now`` is before a use that is counted already.
        """
        for counter, added in {use.counter: use.amount for use in uses if use.counts}.items():
            times, totals = self._counted.setdefault(counter, ([], []))
            if times and now < times[-1]:
                raise ValueError("a meter counts in order of time")
            times.append(now)
            totals.append(EXACT.add(totals[-1] if totals else Decimal(0), added))

    def _used(self, use: Use, now: datetime.datetime) -> Decimal:
        times, totals = self._counted.get(use.counter, ((), ()))
        if not totals:
            return Decimal(0)
        if use.window is None:
            return totals[-1]
        gone = bisect_right(times, now - datetime.timedelta(seconds=use.window))
        return EXACT.subtract(totals[-1], totals[gone - 1]) if gone else totals[-1]


def plain(number: Decimal) -> str:
    """A decimal in plain notation without needless zeros: ``5000``, ``0.5``."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(number: Decimal) -> str:
    """An amount as it is read: thousands apart and two places at least, ``4,980.00``, ``0.125``."""
    text = plain(number)
    places = len(text.partition(".")[2])
    return f"{number:,.{max(places, 2)}f}"


def read_limits(shape: Shape, value: Any, path: str) -> tuple[Limit, ...]:
    """The limits of one rule; what is wrong is added to the faults of ``shape``."""
    limits = [
        _read_limit(shape, entry, join(path, index), index)
        for index, entry in enumerate(shape.items(value, path, most=MAX_LIMITS))
    ]
    return tuple(limit for limit in limits if limit is not None)


def _read_limit(shape: Shape, value: Any, path: str, index: int) -> Limit | None:
    data = shape.mapping(value, path, known=_KEYS)
    before = len(shape.faults)
    if ("count" in data) == ("sum" in data):
        if isinstance(value, dict):
            shape.fault(path, 'needs either count: 20, or sum: payload.amount with max: "5000"')
        return None
    measure, summed, most = _read_bound(shape, data, path)
    per = _read_per(shape, data["per"], f"{path}.per") if "per" in data else ("agent",)
    window = shape.duration(data["window"], f"{path}.window") if "window" in data else None
    over = shape.choice(data.get("over", _OVER[0]), f"{path}.over", _OVER)
    if len(shape.faults) > before or most is None or over is None:
        return None
    return Limit(index, measure, most, per, window, over, summed)


def _read_bound(shape: Shape, data: dict[str, Any], path: str) -> tuple[str, tuple[str, ...], Decimal | None]:
    if "count" in data:
        if "max" in data:
            shape.fault(f"{path}.max", "goes with sum; count says its bound itself")
        count = shape.integer(data["count"], f"{path}.count", least=1, most=MAX_COUNTED)
        return COUNT, (), None if count is None else Decimal(count)
    text = shape.string(data["sum"], f"{path}.sum", most=200) or ""
    summed = parse_path(text, _SUMMED) or ()
    if text and (not summed or (summed[0] == "intent" and summed not in _SUMMED_OF_INTENT) or len(summed) < 2):
        shape.fault(f"{path}.sum", "must be a path such as payload.amount, intent.records or intent.value.amount")
    if "max" not in data:
        shape.fault(path, 'a sum needs its bound: max: "5000"')
        return text, summed, None
    try:
        return text, summed, exact(data["max"])
    except ValueError as error:
        shape.fault(f"{path}.max", f"{error}; zero or more")
        return text, summed, None


def _read_per(shape: Shape, value: Any, path: str) -> tuple[str, ...]:
    entries = shape.items(value, path, most=MAX_PER) if isinstance(value, list) else [value]
    per: list[str] = []
    for index, entry in enumerate(entries):
        place = join(path, index) if isinstance(value, list) else path
        text = shape.string(entry, place, most=200)
        if text is None:
            continue
        if text not in _PER and len(parse_path(text, _SUMMED) or ()) < 2:
            shape.fault(place, f"must be one of {', '.join(_PER)}, or a path such as payload.customer")
        if text in per:
            shape.fault(place, f"{text} stands here twice")
        per.append(text)
    if EVERYTHING in per and len(per) > 1:
        shape.fault(path, "everything cannot be counted apart for something else")
    return () if per == [EVERYTHING] else tuple(per)


def exact(value: Any) -> Decimal:
    """The exact decimal of an amount that is zero or more.

    Raises:
        ValueError: when it is no plain decimal, below zero, or has too many digits.
    """
    text = amount(value)
    if text[0] == "0":
        raise ValueError("a negative amount is not counted")
    return Decimal(text[1:])


def _whom(per: str, values: Mapping[str, Any]) -> str:
    paths = _PER.get(per) or (parse_path(per, _SUMMED) or (),)
    for path in paths:
        value = find(values, path)
        # 5 and "5" are the same customer: an agent gets no second allowance by writing it otherwise.
        if type(value) is str and value:
            return value
        if type(value) is int:
            return str(value)
    raise LimitError(f"the intent has no {per} to count for")


def _summed(measure: str, path: tuple[str, ...], values: Mapping[str, Any]) -> Decimal:
    value = find(values, path)
    try:
        return exact(value)
    except ValueError as error:
        raise LimitError(f"{measure} cannot be summed: {error}") from None


def _used(limit: str, value: Any) -> Decimal:
    if type(value) is int and value >= 0:
        return Decimal(value)
    if type(value) is str and _USED.fullmatch(value):
        return Decimal(value)
    if type(value) is Decimal and value.is_finite() and value >= 0:
        return value
    raise LimitError(f"usage of {limit} must be a number, zero or more")
