"""Reading the ``business_hours`` of a policy, strictly."""

from __future__ import annotations

from typing import Any

from .business_time import BusinessHours
from .functions.times import DAYS, clock, date, start_clock, time_zone
from .shape import Shape
from .strict_yaml import join

MAX_HOLIDAYS = 200
# A shorter day would make a few hours last for years.
LEAST_MINUTES = 60

_KEYS = ("zone", "days", "from", "to", "holidays")


def read_business_hours(shape: Shape, value: Any, path: str) -> BusinessHours | None:
    """When people work; what is wrong is added to the faults of ``shape``."""
    data = shape.mapping(value, path, known=_KEYS, required=("zone", "days", "from", "to"))
    before = len(shape.faults)
    opens, closes = _read_times(shape, data, path)
    if "zone" in data:
        try:
            time_zone(data["zone"])
        except ValueError as error:
            shape.fault(f"{path}.zone", str(error))
    days = _read_days(shape, data["days"], f"{path}.days") if "days" in data else set()
    holidays = _read_holidays(shape, data["holidays"], f"{path}.holidays") if "holidays" in data else []
    if len(shape.faults) > before or "zone" not in data or opens is None or closes is None or not days:
        return None
    return BusinessHours(
        data["zone"], tuple(day for day in DAYS if day in days), opens, closes, tuple(sorted(holidays))
    )


def _read_times(shape: Shape, data: dict[str, Any], path: str) -> tuple[int | None, int | None]:
    times: dict[str, int] = {}
    for key, read in (("from", start_clock), ("to", clock)):
        try:
            if key in data:
                times[key] = read(data[key])
        except ValueError as error:
            shape.fault(f"{path}.{key}", str(error))
    if len(times) == 2 and times["to"] - times["from"] < LEAST_MINUTES:
        why = f"must be at least {LEAST_MINUTES} minutes after from, on the same day: hours do not go over midnight"
        shape.fault(f"{path}.to", why)
    return times.get("from"), times.get("to")


def _read_days(shape: Shape, value: Any, path: str) -> set[str]:
    days: set[str] = set()
    for index, entry in enumerate(shape.items(value, path, most=len(DAYS))):
        day = shape.choice(entry, join(path, index), DAYS)
        if day in days:
            shape.fault(join(path, index), f"{day} stands here twice")
        if day is not None:
            days.add(day)
    return days


def _read_holidays(shape: Shape, value: Any, path: str) -> list[str]:
    holidays: list[str] = []
    for index, entry in enumerate(shape.items(value, path, most=MAX_HOLIDAYS)):
        try:
            day = date(entry).isoformat()
        except ValueError as error:
            shape.fault(join(path, index), str(error))
            continue
        if day in holidays:
            shape.fault(join(path, index), f"{day} stands here twice")
        holidays.append(day)
    return holidays
