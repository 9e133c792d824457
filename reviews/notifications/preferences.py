"""What each person wants to be told, and changing it: one's own only, with history and an event."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time
from typing import Any
from zoneinfo import available_timezones

from django.contrib.auth.models import User
from django.db import transaction

from audit import clock, ledger
from audit.actors import Actor
from reviews.notifications.models import Asks, Delivery, Dropped, NotificationSettings, Occasion
from reviews.notifications.timing import due_at
from zehrava.problems import Problem

FIELDS = (
    "asks", "daily_at", "outcomes", "mentions", "needs_person", "quiet_from", "quiet_to", "urgent_anyway", "time_zone",
)  # fmt: skip


def settings_of(people: Iterable[User]) -> dict[int, NotificationSettings]:
    """What each of these people wants, by key; the defaults for who never said. One query."""
    wanted = {person.pk: NotificationSettings(person=person) for person in people}
    found = NotificationSettings.objects.filter(person__in=wanted)
    return wanted | {row.person_id: row for row in found}


def wants(wanted: NotificationSettings, occasion: Occasion) -> bool:
    """Whether this person wants to be told of such a thing at all; of broken glass, nobody is asked."""
    if occasion == Occasion.GLASS:
        return True
    if occasion == Occasion.ASK:
        return wanted.asks != Asks.NEVER
    if occasion == Occasion.NEEDS_PERSON:
        return wanted.needs_person
    if occasion == Occasion.STANDING:
        # It is their own word that others disagree with: nobody opts out of hearing that.
        return True
    return wanted.outcomes if occasion == Occasion.OUTCOME else wanted.mentions


def change_settings(person: User, values: dict[str, Any]) -> NotificationSettings:
    """Store what this person wants from now on, of themselves; what waits for them already is put right.

    Raises Problem `invalid` with the path of a value that cannot be.
    """
    refuse_unusable(values)
    with transaction.atomic():
        # Two windows of one person: the second waits here, and changes what the first one stored.
        User.objects.select_for_update().get(pk=person.pk)
        row = settings_of([person])[person.pk]
        for name in FIELDS:
            setattr(row, name, values[name])
        ledger.save(row, "notification_settings.changed", by=Actor.person(person), facts={"person": person.pk})
        _reschedule(row)
    return row


def refuse_unusable(values: dict[str, Any]) -> None:
    """Raises Problem `invalid` where these values could not be followed."""
    if values["asks"] not in Asks.values:
        raise Problem("invalid", "Choose when you are told.", path="/asks")
    if not isinstance(values["daily_at"], time):
        raise Problem("invalid", "Say at what time, as 08:00.", path="/daily_at")
    if (values["quiet_from"] is None) != (values["quiet_to"] is None):
        raise Problem(
            "invalid", "Quiet hours need both a beginning and an end; leave both empty for none.", path="/quiet"
        )
    if values["quiet_from"] is not None and values["quiet_from"] == values["quiet_to"]:
        raise Problem(
            "invalid", "Quiet hours that end when they begin would never end. Choose two times.", path="/quiet"
        )
    if values["time_zone"] not in available_timezones():
        raise Problem("invalid", "Choose a time zone of the list, such as Europe/Berlin.", path="/time_zone")


def _reschedule(wanted: NotificationSettings) -> None:
    """Follow the new wishes for what waits already: somebody who leaves digests is not told tomorrow."""
    now = clock.now()
    waiting = Delivery.objects.filter(person=wanted.person, sent_at=None, dropped="", attempts=0)
    for delivery in waiting:
        occasion = Occasion(delivery.occasion)
        if wants(wanted, occasion):
            due = due_at(wanted, occasion, delivery.created_at, urgent=delivery.urgent)
            # What would have been due is due now, unless now is quiet.
            due = due if due > now else due_at(wanted, Occasion.OUTCOME, now, urgent=delivery.urgent)
            waiting.filter(pk=delivery.pk).update(due_at=due)
        else:
            waiting.filter(pk=delivery.pk).update(dropped=Dropped.NOT_WANTED)
