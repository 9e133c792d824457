"""Hours, weekdays and dates in a named zone.

The rules of the zones come from the package ``tzdata``, never from the machine: the same version everywhere gives the
same verdict everywhere.
"""

from __future__ import annotations

import datetime
import importlib.resources
import re
import zoneinfo
from functools import lru_cache
from typing import Any

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def in_hours(now: Any, zone: Any, start: Any, end: Any) -> bool:
    """Whether the clock on the wall in ``zone`` shows a time from ``start`` on and before ``end``.

    Args:
        now: an instant, usually the variable of that name.
        zone: a name of the tz database, such as ``"Europe/Berlin"``.
        start, end: ``"09:00"``, ``"17:30"``; ``end`` may be ``"24:00"``. Where ``end`` is before ``start`` the hours
            go over midnight: from 22:00 to 06:00. An hour that summer time skips is never shown, one that it repeats
            counts both times.

    Raises:
        ValueError: for an unknown zone, a time written otherwise, a start at "24:00", or equal times.
    """
    first, last = start_clock(start), clock(end)
    if first == last:
        raise ValueError("in_hours() takes two different times; leave it out for the whole day")
    local = _local(now, zone)
    minute = local.hour * 60 + local.minute
    return first <= minute < last if first < last else minute >= first or minute < last


def weekday(now: Any, zone: Any) -> str:
    """The day of the week in ``zone``: mon, tue, wed, thu, fri, sat or sun.

    Raises:
        ValueError: for an unknown zone.
    """
    return DAYS[_local(now, zone).weekday()]


def on_days(now: Any, zone: Any, days: Any) -> bool:
    """Whether it is one of these days of the week in ``zone``: ``on_days(now, "Europe/Berlin", ["sat", "sun"])``.

    Raises:
        ValueError: for an unknown zone or day.
    """
    return weekday(now, zone) in check_days(days)


def on_dates(now: Any, zone: Any, first: Any, last: Any) -> bool:
    """Whether it is a day from ``first`` to ``last`` in ``zone``, both included: ``"2026-12-20"``, ``"2027-01-06"``.

    Raises:
        ValueError: for an unknown zone, a date written otherwise, or a last day before the first.
    """
    start, end = date(first), date(last)
    if end < start:
        raise ValueError("on_dates() takes the first day and then the last")
    return start <= _local(now, zone).date() <= end


def clock(text: Any) -> int:
    """Minutes after midnight of ``"09:00"``.

    Raises:
        ValueError: when it is written otherwise.
    """
    if not isinstance(text, str) or not _CLOCK.fullmatch(text):
        raise ValueError('a time of day is written like "09:00", up to "24:00"')
    return int(text[:2]) * 60 + int(text[3:])


def start_clock(text: Any) -> int:
    """The same for a time at which hours begin: no day has an hour that begins at its end.

    Raises:
        ValueError: when it is written otherwise, or is 24:00.
    """
    if text == "24:00":
        raise ValueError("hours begin at 00:00 of the next day, not at 24:00")
    return clock(text)


def date(text: Any) -> datetime.date:
    """A day written as ``"2026-12-24"``.

    Raises:
        ValueError: when it is written otherwise or there is no such day.
    """
    if isinstance(text, str) and _DATE.fullmatch(text):
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            pass
    raise ValueError('a date is written like "2026-12-24"')


def check_days(days: Any) -> list[str]:
    """The days of a list.

    Raises:
        ValueError: when it is no list of days of the week.
    """
    if not isinstance(days, list) or not days or not all(isinstance(day, str) and day in DAYS for day in days):
        raise ValueError(f"days of the week are a list of {', '.join(DAYS)}")
    return days


def time_zone(name: Any) -> zoneinfo.ZoneInfo:
    """A zone of the package ``tzdata``.

    Raises:
        ValueError: when it has no such zone; case counts.
    """
    if not isinstance(name, str):
        raise ValueError("a time zone is a text such as Europe/Berlin")
    if name not in _names():
        raise ValueError("there is no time zone of this name; write it like Europe/Berlin")
    return _load(name)


@lru_cache(maxsize=1_024)
def _load(name: str) -> zoneinfo.ZoneInfo:
    with importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, name)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    listed = importlib.resources.files("tzdata").joinpath("zones").read_text("utf-8")
    return frozenset(listed.split())


def _local(now: Any, zone: Any) -> datetime.datetime:
    known = time_zone(zone)
    if not isinstance(now, datetime.datetime) or now.tzinfo is None:
        raise ValueError("the first argument is an instant, such as now or timestamp(payload.at)")
    try:
        return now.astimezone(known)
    except OverflowError:
        raise ValueError("this instant is outside of the calendar") from None
