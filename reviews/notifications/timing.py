"""When somebody is told: quiet hours and digests, in that person's own time zone. No clock: the time is passed in.

Hours of the day are made instants first and compared then, so that no change of the clocks (DST) confuses them: a time
that a day skips counts as if the clocks had not been changed yet, of one that comes twice the first counts.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from reviews.notifications.models import Asks, NotificationSettings, Occasion

_HOUR = 60 * 60
_ANY_DAY = (-1, 0, 1, 2)


def zone_of(wanted: NotificationSettings) -> ZoneInfo:
    """The person's time zone; UTC where this host does not know the stored one any more."""
    try:
        return ZoneInfo(wanted.time_zone)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def due_at(wanted: NotificationSettings, occasion: Occasion, at: datetime, *, urgent: bool) -> datetime:
    """When to tell this person what happened `at`; never earlier. `urgent` is what cannot wait.

    Broken glass waits for nothing.
    """
    if occasion == Occasion.GLASS:
        return at
    if urgent and wanted.urgent_anyway:
        return at
    return after_quiet_hours(wanted, _after_digest(wanted, at) if occasion == Occasion.ASK else at)


def after_quiet_hours(wanted: NotificationSettings, at: datetime) -> datetime:
    """The end of the quiet hours that this time lies in, or the time itself outside of them."""
    if wanted.quiet_from is None or wanted.quiet_to is None:
        return at
    over_midnight = wanted.quiet_to <= wanted.quiet_from
    for day in _ANY_DAY:
        begin = _instant(wanted, at, day, wanted.quiet_from)
        end = _instant(wanted, at, day + over_midnight, wanted.quiet_to)
        if begin <= at < end:
            return end
    return at


def _after_digest(wanted: NotificationSettings, at: datetime) -> datetime:
    if wanted.asks == Asks.HOURLY:
        # The full hour there: some zones are half an hour beside ours.
        local = at.astimezone(zone_of(wanted))
        passed = local.minute * 60 + local.second + local.microsecond / 1_000_000
        return at + timedelta(seconds=_HOUR - passed)
    if wanted.asks == Asks.DAILY:
        return min(then for day in _ANY_DAY if (then := _instant(wanted, at, day, wanted.daily_at)) > at)
    return at


def _instant(wanted: NotificationSettings, at: datetime, day: int, hour: time) -> datetime:
    """That hour of the day on which `at` falls for this person, or of so many days later."""
    zone = zone_of(wanted)
    date = at.astimezone(zone).date() + timedelta(days=day)
    return datetime.combine(date, hour, tzinfo=zone).astimezone(UTC)
