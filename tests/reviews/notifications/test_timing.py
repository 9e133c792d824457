"""Quiet hours and digests, over midnight and when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest

from reviews.models import NotificationSettings
from reviews.notifications.models import Asks, Occasion
from reviews.notifications.timing import due_at

BERLIN = "Europe/Berlin"


def wants(zone: str = "UTC", quiet: str = "", **wishes) -> NotificationSettings:
    begin, end = (time.fromisoformat(hour) for hour in quiet.split("-")) if quiet else (None, None)
    return NotificationSettings(time_zone=zone, quiet_from=begin, quiet_to=end, **wishes)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(wanted: NotificationSettings, at: str, *, occasion: Occasion = Occasion.ASK, urgent: bool = False) -> datetime:
    return due_at(wanted, occasion, utc(at), urgent=urgent)


@pytest.mark.parametrize(
    ("zone", "quiet", "at", "expected"),
    [
        ("UTC", "22:00-07:00", "2026-11-29 21:59", "2026-11-29 21:59"),
        ("UTC", "22:00-07:00", "2026-11-29 22:00", "2026-11-30 07:00"),
        ("UTC", "22:00-07:00", "2026-11-30 03:00", "2026-11-30 07:00"),
        ("UTC", "22:00-07:00", "2026-11-30 07:00", "2026-11-30 07:00"),
        ("UTC", "12:00-13:00", "2026-11-29 12:30", "2026-11-29 13:00"),
        ("UTC", "12:00-13:00", "2026-11-29 11:30", "2026-11-29 11:30"),
        # The evening of one's own, not of the server.
        (BERLIN, "22:00-07:00", "2026-11-29 21:30", "2026-11-30 06:00"),
        ("Asia/Kolkata", "22:00-07:00", "2026-11-29 16:30", "2026-11-30 01:30"),
        ("America/New_York", "22:00-07:00", "2026-11-30 03:30", "2026-11-30 12:00"),
        # The night in which an hour is skipped, and the one in which it comes twice, end at 7 all the same.
        (BERLIN, "22:00-07:00", "2026-03-28 23:00", "2026-03-29 05:00"),
        (BERLIN, "22:00-07:00", "2026-10-24 23:00", "2026-10-25 06:00"),
        # An end that the night skips counts by the clock before; one that comes twice is over at the first.
        (BERLIN, "22:00-02:30", "2026-03-29 00:30", "2026-03-29 01:30"),
        (BERLIN, "22:00-02:30", "2026-10-25 00:10", "2026-10-25 00:30"),
        (BERLIN, "22:00-02:30", "2026-10-25 01:10", "2026-10-25 01:10"),
    ],
)
def test_quiet_hours(zone, quiet, at, expected):
    assert due(wants(zone, quiet), at) == utc(expected)


@pytest.mark.parametrize(
    ("zone", "wishes", "at", "expected"),
    [
        ("UTC", {"asks": Asks.EACH}, "2026-11-29 10:20", "2026-11-29 10:20"),
        ("UTC", {"asks": Asks.HOURLY}, "2026-11-29 10:20", "2026-11-29 11:00"),
        ("UTC", {"asks": Asks.HOURLY}, "2026-11-29 23:59:59", "2026-11-30 00:00"),
        ("Asia/Kolkata", {"asks": Asks.HOURLY}, "2026-11-29 10:20", "2026-11-29 10:30"),
        ("UTC", {"asks": Asks.DAILY}, "2026-11-29 07:59", "2026-11-29 08:00"),
        ("UTC", {"asks": Asks.DAILY}, "2026-11-29 08:00", "2026-11-30 08:00"),
        (BERLIN, {"asks": Asks.DAILY}, "2026-11-29 07:30", "2026-11-30 07:00"),
        (BERLIN, {"asks": Asks.DAILY}, "2026-03-28 12:00", "2026-03-29 06:00"),
        (BERLIN, {"asks": Asks.DAILY, "daily_at": time(2, 30)}, "2026-03-28 12:00", "2026-03-29 01:30"),
        ("Pacific/Kiritimati", {"asks": Asks.DAILY}, "2026-11-29 17:00", "2026-11-29 18:00"),
        # A digest in quiet hours waits for their end.
        ("UTC", {"asks": Asks.HOURLY, "quiet": "10:30-12:15"}, "2026-11-29 10:20", "2026-11-29 12:15"),
    ],
)
def test_digests(zone, wishes, at, expected):
    assert due(wants(zone, **wishes), at) == utc(expected)


def test_high_risk_comes_anyway_unless_somebody_does_not_want_that():
    night = "2026-11-29 23:00"
    for wishes in ({"quiet": "22:00-07:00"}, {"asks": Asks.DAILY}):
        assert due(wants(**wishes), night, urgent=True) == utc(night)
        assert due(wants(**wishes, urgent_anyway=False), night, urgent=True) > utc(night)


def test_only_what_waits_is_collected():
    assert due(wants(asks=Asks.DAILY), "2026-11-29 10:20", occasion=Occasion.MENTION) == utc("2026-11-29 10:20")


def test_a_zone_that_is_not_known_any_more_is_utc():
    assert due(wants("Middle/Earth", "22:00-07:00"), "2026-11-29 23:00") == utc("2026-11-30 07:00")


def test_nothing_is_ever_due_before_it_happened():
    for zone in ("UTC", BERLIN, "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"):
        for quiet in ("", "22:00-07:00", "00:00-23:59", "02:15-02:45"):
            for asks in (Asks.EACH, Asks.HOURLY, Asks.DAILY):
                for day in ("2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31"):
                    for hour in range(24):
                        at = f"{day} {hour:02}:17"
                        found = due(wants(zone, quiet, asks=asks), at)
                        assert utc(at) <= found
                        assert (found - utc(at)).days <= 2
