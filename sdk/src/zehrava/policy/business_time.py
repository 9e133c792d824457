"""Business time: how far off something is that is counted in the hours in which people work.

An instant is business time where the clock on the wall of the zone shows a time from ``opens`` on and before
``closes``, on one of the days of the week, and the date there is no holiday. An hour that summer time skips is never
shown, one that it repeats counts both times. The rules of the zones come from the package ``tzdata``.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .functions.times import DAYS, check_days, clock, date, start_clock, time_zone

LONGEST = datetime.timedelta(days=365)
"""Whatever business hours say, nothing is further off than this."""

_SECOND = datetime.timedelta(seconds=1)
_DAY = datetime.timedelta(days=1)
_WEEK = range(8)  # to the same day of the next one, whose opening may be less than seven days off


@dataclass(frozen=True, slots=True, order=True)
class BusinessHours:
    """When people work.

    Attributes:
        zone: a name of the tz database.
        days: days of the week, ``mon`` to ``sun``, in that order.
        opens, closes: minutes after midnight; on each of the days it is business time from the first to the second.
        holidays: dates as ``2026-12-25``, in order, on which nobody works.
    """

    zone: str
    days: tuple[str, ...]
    opens: int
    closes: int
    holidays: tuple[str, ...] = ()

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> BusinessHours:
        """What ``document`` wrote; raises KeyError, TypeError or ValueError for anything else."""
        if unknown := document.keys() - {"zone", "days", "from", "to", "holidays"}:
            raise ValueError(f"business hours have no {', '.join(sorted(unknown))}")
        time_zone(document["zone"])
        days = set(check_days(document["days"]))
        opens, closes = start_clock(document["from"]), clock(document["to"])
        if opens >= closes:
            raise ValueError("business hours end after they begin")
        return cls(
            zone=document["zone"],
            days=tuple(day for day in DAYS if day in days),
            opens=opens,
            closes=closes,
            holidays=tuple(sorted({date(day).isoformat() for day in document["holidays"]})),
        )

    def document(self) -> dict[str, Any]:
        """As JSON, as a policy writes it."""
        return {
            "zone": self.zone,
            "days": list(self.days),
            "from": _time(self.opens),
            "to": _time(self.closes),
            "holidays": list(self.holidays),
        }

    def is_business(self, at: datetime.datetime) -> bool:
        """Whether this instant is business time."""
        return self._stretch(at).is_open

    def _works_on(self, day: datetime.datetime) -> bool:
        return DAYS[day.weekday()] in self.days and day.date().isoformat() not in self.holidays

    def _stretch(self, at: datetime.datetime) -> _Stretch:
        """The time around an instant in UTC in which neither whether it is business time nor the zone's offset changes;
        of what is none, about a week at most: no zone changes its offset and back again within that."""
        local = at.astimezone(time_zone(self.zone))
        offset = local.utcoffset() or datetime.timedelta()
        shown = local.replace(tzinfo=None, fold=0)
        midnight = shown.replace(hour=0, minute=0, second=0, microsecond=0)
        opens, closes = datetime.timedelta(minutes=self.opens), datetime.timedelta(minutes=self.closes)
        is_open = opens <= shown - midnight < closes and self._works_on(midnight)
        if is_open:
            edges = (midnight + opens, midnight + closes)
        else:
            days = [each * _DAY for each in _WEEK]
            ends = (midnight - day + closes for day in days if self._works_on(midnight - day))
            begins = (midnight + day + opens for day in days if self._works_on(midnight + day))
            edges = (
                next((end for end in ends if end <= shown), shown - days[7]),
                next((begin for begin in begins if begin > shown), shown + days[7]),
            )
        since, until = ((edge - offset).replace(tzinfo=datetime.UTC) for edge in edges)
        return _Stretch(
            self._change(since, at, offset) if self._offset(since) != offset else since,
            self._change(at, until, offset) if self._offset(until) != offset else until,
            is_open,
        )

    def _offset(self, at: datetime.datetime) -> datetime.timedelta:
        return at.astimezone(time_zone(self.zone)).utcoffset() or datetime.timedelta()

    def _change(
        self, first: datetime.datetime, last: datetime.datetime, offset: datetime.timedelta
    ) -> datetime.datetime:
        """The instant between these two at which the zone's offset becomes, or is no longer, this one."""
        low, high = first.replace(microsecond=0), last.replace(microsecond=0)
        before = self._offset(low) == offset
        while high - low > _SECOND:
            middle = low + datetime.timedelta(seconds=(high - low) // _SECOND // 2)
            low, high = (middle, high) if (self._offset(middle) == offset) is before else (low, middle)
        return high


class _Stretch(NamedTuple):
    """From ``since`` to before ``until``, all of it business time or none."""

    since: datetime.datetime
    until: datetime.datetime
    is_open: bool


def due(since: datetime.datetime, after: int, hours: BusinessHours | None = None) -> datetime.datetime:
    """The earliest instant by which ``after`` seconds have passed since ``since``, in UTC.

    Args:
        since: an aware time.
        after: seconds, from 1.
        hours: count only the seconds within these; None: every second.

    Returns:
        An instant at most ``LONGEST`` after ``since``, where ``hours`` are given.

    Raises:
        OverflowError: beyond the end of the calendar.
    """
    at = since.astimezone(datetime.UTC)
    left = datetime.timedelta(seconds=after)
    if hours is None:
        return at + left
    end = at + LONGEST
    while at < end:
        stretch = hours._stretch(at)
        if stretch.is_open:
            if stretch.until - at >= left:
                return min(at + left, end)
            left -= stretch.until - at
        at = stretch.until
    return end


def _time(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
