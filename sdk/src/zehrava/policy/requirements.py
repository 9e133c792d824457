"""Who must approve before it counts, as one policy asks for it and as several together do."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from . import weighing
from .business_time import BusinessHours, due
from .weighing import Weighing

DEFAULT_GROUP = "reviewers"

Seat = tuple[str, int]
"""A group and how many of its people."""

REMIND = "remind"
WIDEN = "widen"
ESCALATE = "escalate"
STEPS = (REMIND, WIDEN, ESCALATE)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens while nobody answers: ``after`` so many seconds remind, widen to, or escalate to these groups.

    With ``hours`` only seconds within those count.
    """

    after: int
    do: str
    to: tuple[str, ...] = ()
    hours: BusinessHours | None = None

    def due(self, since: datetime.datetime) -> datetime.datetime:
        """When it happens, in UTC, where nobody answers what has waited since then (an aware time)."""
        return due(since, self.after, self.hours)

    def document(self, calendars: Sequence[BusinessHours] = ()) -> dict[str, Any]:
        """As JSON; ``to`` only where groups are named, ``clock`` where it counts by one of these calendars: which."""
        document: dict[str, Any] = {"after": self.after, "do": self.do}
        if self.to:
            document["to"] = list(self.to)
        if self.hours is not None:
            document["clock"] = calendars.index(self.hours)
        return document

    @property
    def _order(self) -> tuple[Any, ...]:
        return (self.after, self.do, self.to, () if self.hours is None else (self.hours,))


@dataclass(frozen=True, slots=True)
class Requirement:
    """Who must approve.

    Attributes:
        groups: seats that must all be filled, each by another person.
        expires_in: seconds an ask may wait, or None where nobody said.
        any_of: per entry, alternatives of which one must be filled besides ``groups``.
        in_order: per entry, seats of ``groups`` that are filled one after the other.
        weigh: per entry, approvals of others besides that together weigh enough.
        distinct_managers: whether everybody who fills a seat has another manager.
        step_up: whether an approval needs a fresh second factor.
        rejections: how many reject before that ends it.
        escalate_to: seats that are asked when the time is over; empty: it expires.
        escalation: what happens while nobody answers, in order of the seconds that each counts.
        expires_after: seconds of business time that an ask may wait, each with the hours that count; see ``settled``.
    """

    groups: tuple[Seat, ...] = ((DEFAULT_GROUP, 1),)
    expires_in: int | None = None
    any_of: tuple[tuple[Seat, ...], ...] = ()
    in_order: tuple[tuple[Seat, ...], ...] = ()
    weigh: tuple[Weighing, ...] = ()
    distinct_managers: bool = False
    step_up: bool = False
    rejections: int = 1
    escalate_to: tuple[Seat, ...] = ()
    escalation: tuple[Step, ...] = ()
    expires_after: tuple[tuple[int, BusinessHours], ...] = ()

    @staticmethod
    def join(requirements: Iterable[Requirement]) -> Requirement:
        """All of them at once, each at its strictest.

        Per group the largest count; every alternative, every order and every weight, of the same groups that weigh the
        same the most; different managers of all who fill a seat, where one part wants them; the smallest number of
        rejections; the shortest expiry. Others are asked in time or at its end only where every part would have it so:
        a step of one policy gives nobody a say in what another asks for. Reminders are all kept.
        """
        parts = list(requirements)
        if len(parts) == 1:
            return parts[0]
        expiries = [part.expires_in for part in parts if part.expires_in is not None]
        expires_in = min(expiries, default=None)
        escalates = all(part.escalate_to for part in parts)
        steps = {step for part in parts for step in part.escalation}
        return Requirement(
            groups=_largest(seat for part in parts for seat in part.groups),
            expires_in=expires_in,
            any_of=tuple(sorted({each for part in parts for each in part.any_of})),
            in_order=tuple(sorted({each for part in parts for each in part.in_order})),
            weigh=weighing.joined(each for part in parts for each in part.weigh),
            distinct_managers=any(part.distinct_managers for part in parts),
            step_up=any(part.step_up for part in parts),
            rejections=min((part.rejections for part in parts), default=1),
            escalate_to=_largest(seat for part in parts for seat in part.escalate_to) if escalates else (),
            escalation=tuple(
                step
                for step in sorted(steps, key=lambda step: step._order)
                if (expires_in is None or step.after < expires_in)
                and (step.do == REMIND or all(step in part.escalation for part in parts))
            ),
            expires_after=tuple(sorted({each for part in parts for each in part.expires_after})),
        )

    def settled(self, now: datetime.datetime) -> Requirement:
        """The same, where business time is turned into plain seconds from ``now``: the shortest expiry counts.

        Steps keep their own clock, so that they are the same whenever somebody asks.
        """
        if not self.expires_after:
            return self
        seconds = [_seconds(now, after, hours) for after, hours in self.expires_after]
        if self.expires_in is not None:
            seconds.append(self.expires_in)
        return replace(self, expires_in=min(seconds), expires_after=())

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Requirement:
        """What ``document`` wrote; raises KeyError, TypeError or ValueError for anything else."""
        if unknown := document.keys() - _KNOWN:
            raise ValueError(f"a requirement has no {', '.join(sorted(unknown))}")
        calendars = _read_calendars(document)
        return cls(
            groups=_read_seats(document["all_of"]),
            expires_in=document.get("expires_in"),
            any_of=tuple(_read_seats(each) for each in document.get("any_of") or ()),
            in_order=tuple(_read_seats(each) for each in document.get("in_order") or ()),
            weigh=tuple(Weighing.read(each) for each in document.get("weigh") or ()),
            distinct_managers=document.get("distinct_managers", False),
            step_up=document.get("step_up", False),
            rejections=document.get("rejections", 1),
            escalate_to=_read_seats(document.get("escalate_to") or ()),
            escalation=_read_steps(document.get("escalation") or (), calendars),
            expires_after=tuple(
                (each["after"], _calendar(calendars, each["clock"])) for each in document.get("expires_after") or ()
            ),
        )

    def document(self) -> dict[str, Any]:
        """As JSON: ``{"all_of": [{"group", "count"}], "expires_in"}``, and what else is asked for, only where it is."""
        document: dict[str, Any] = {"all_of": _seats(sorted(self.groups)), "expires_in": self.expires_in}
        if self.any_of:
            document["any_of"] = [_seats(each) for each in self.any_of]
        if self.in_order:
            document["in_order"] = [_seats(each) for each in self.in_order]
        if self.weigh:
            document["weigh"] = [each.document() for each in self.weigh]
        if self.distinct_managers:
            document["distinct_managers"] = True
        if self.step_up:
            document["step_up"] = True
        if self.rejections != 1:
            document["rejections"] = self.rejections
        if self.escalate_to:
            document["on_timeout"] = ESCALATE
            document["escalate_to"] = _seats(self.escalate_to)
        if self.escalation or self.expires_after:
            document |= self._timed()
        return document

    def _timed(self) -> dict[str, Any]:
        """The members of its document that may count by business hours, and those hours, numbered in their order."""
        counted = {step.hours for step in self.escalation if step.hours} | {hours for _, hours in self.expires_after}
        calendars = sorted(counted)
        timed: dict[str, Any] = {}
        if self.escalation:
            timed["escalation"] = [step.document(calendars) for step in self.escalation]
        if self.expires_after:
            timed["expires_after"] = [
                {"after": after, "clock": calendars.index(hours)} for after, hours in self.expires_after
            ]
        if calendars:
            timed["business_hours"] = [each.document() for each in calendars]
        return timed


_KNOWN = frozenset(
    {
        "all_of", "any_of", "in_order", "weigh", "distinct_managers", "step_up", "rejections", "expires_in",
        "expires_after", "on_timeout", "escalate_to", "escalation", "business_hours",
    }
)  # fmt: skip


def _seconds(now: datetime.datetime, after: int, hours: BusinessHours) -> int:
    """Whole seconds from ``now`` until so many seconds of business time have passed."""
    try:
        return int((due(now, after, hours) - now).total_seconds())
    except OverflowError:
        return after  # beyond the calendar; plain seconds are never more


def orders_contradict(orders: Iterable[Sequence[str]]) -> bool:
    """Whether these orders of groups wait for each other, so that nobody could ever be the first."""
    waits: dict[str, set[str]] = {}
    for order in orders:
        for place, group in enumerate(order):
            waits.setdefault(group, set()).update(order[:place])
    try:
        TopologicalSorter(waits).prepare()
    except CycleError:
        return True
    return False


def steps_of(document: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps of a requirement that is JSON, each with its clock; see ``Step.due``.

    Raises:
        KeyError, TypeError, ValueError: for what ``Requirement.document`` did not write.
    """
    return _read_steps(document.get("escalation") or (), _read_calendars(document))


def _read_calendars(document: Mapping[str, Any]) -> list[BusinessHours]:
    return [BusinessHours.read(each) for each in document.get("business_hours") or ()]


def _read_steps(steps: Iterable[Mapping[str, Any]], calendars: Sequence[BusinessHours]) -> tuple[Step, ...]:
    return tuple(
        Step(
            step["after"],
            step["do"],
            tuple(step.get("to") or ()),
            _calendar(calendars, step["clock"]) if "clock" in step else None,
        )
        for step in steps
    )


def _calendar(calendars: Sequence[BusinessHours], number: Any) -> BusinessHours:
    if type(number) is not int or not 0 <= number < len(calendars):
        raise ValueError("a clock is the number of one of the business hours")
    return calendars[number]


def _largest(seats: Iterable[Seat]) -> tuple[Seat, ...]:
    counts: dict[str, int] = {}
    for group, count in seats:
        counts[group] = max(count, counts.get(group, 0))
    return tuple(sorted(counts.items()))


def _read_seats(seats: Iterable[Mapping[str, Any]]) -> tuple[Seat, ...]:
    return tuple((seat["group"], seat["count"]) for seat in seats)


def _seats(seats: Iterable[Seat]) -> list[dict[str, Any]]:
    return [{"group": group, "count": count} for group, count in seats]
