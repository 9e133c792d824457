"""Reading the ledger for what somebody has to be told of, and storing one delivery for each.

An event is visible when its transaction commits, which may be after an event with a later id was read. So each run
looks back `OVERLAP` behind how far the last one came; what was seen is noted in `FollowedEvent`, and what two workers
see at one time the unique constraint of `Delivery` stores once. A transaction that lasts longer than the overlap is
missed: those of proposals and decisions last milliseconds, and the desk shows what waits in any case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from audit import clock
from audit.models import Event
from reviews.notifications.audience import Told, told_of, worth_telling
from reviews.notifications.models import Delivery, FollowedEvent, Following, Way
from reviews.notifications.preferences import settings_of, wants
from reviews.notifications.timing import due_at
from zehrava import ids

OVERLAP = timedelta(minutes=2)
BATCH = 200
# Of one run: who is far behind catches up in the next ones.
MOST_BATCHES = 20


def begin() -> Following:
    """The row that says how far the ledger was read; made at the first start, which begins with what comes from now on.

    The look-back of the first runs ends there too.
    """
    return Following.objects.get_or_create(pk=1, defaults={"read_until": clock.now() + OVERLAP})[0]


def follow() -> int:
    """Store deliveries for what happened since; returns how many events were followed."""
    state, now, followed = begin(), clock.now(), 0
    for _ in range(MOST_BATCHES):
        events = _unread(state.read_until)
        _store(events, read_until=now if len(events) < BATCH else None)
        followed += len(events)
        if len(events) < BATCH:
            break
    return followed


def drop_old() -> int:
    """Forget deliveries that are over and old, and what was seen long before anything is read again."""
    kept_since = clock.now() - timedelta(seconds=settings.ZEHRAVA_NOTIFICATIONS_KEPT)
    old = Delivery.objects.filter(created_at__lt=kept_since).values_list("pk", flat=True)[:BATCH]
    dropped = Delivery.objects.filter(pk__in=list(old)).delete()[0]
    state = Following.objects.filter(pk=1).first()
    if state is not None:
        FollowedEvent.objects.filter(event_id__lt=ids.earliest("evt", at=state.read_until - 2 * OVERLAP)).delete()
    return dropped


def _unread(read_until: datetime) -> list[Event]:
    """The oldest events from the overlap on that nobody followed yet."""
    seen = FollowedEvent.objects.filter(pk=OuterRef("pk"))
    since = ids.earliest("evt", at=read_until - OVERLAP)
    return list(worth_telling().filter(~Exists(seen), pk__gte=since).order_by("pk")[:BATCH])


def _store(events: Sequence[Event], *, read_until: datetime | None) -> None:
    now = clock.now()
    deliveries = list(_deliveries(told_of(events), now)) if events else []
    with transaction.atomic():
        # In one order everywhere, so that two workers wait for each other and never in a circle.
        deliveries.sort(key=lambda each: (each.event_id, each.person_id or 0, each.channel))
        Delivery.objects.bulk_create(deliveries, batch_size=BATCH, ignore_conflicts=True)
        FollowedEvent.objects.bulk_create([FollowedEvent(event.pk) for event in events], ignore_conflicts=True)
        if read_until is not None:
            # Never back: another worker may have come further.
            Following.objects.filter(pk=1, read_until__lt=read_until).update(read_until=read_until)


def _deliveries(told: Sequence[Told], now: datetime) -> Iterator[Delivery]:
    wanted = settings_of({one.person.pk: one.person for one in told if one.person is not None}.values())
    for one in told:
        delivery = Delivery(
            event_id=one.event.pk,
            intent=one.intent,
            note=one.note,
            occasion=one.occasion,
            way=Way.WEBHOOK if one.person is None else Way.EMAIL,
            person=one.person,
            channel=one.channel,
            urgent=one.urgent,
            created_at=now,
            due_at=now,
        )
        if one.person is None:
            yield delivery
        elif one.person.email and wants(wanted[one.person.pk], one.occasion):
            delivery.due_at = due_at(wanted[one.person.pk], one.occasion, now, urgent=one.urgent)
            yield delivery
