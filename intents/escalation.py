"""Taking the steps of escalations: by the sweeper, and at the door of a decision that comes between two sweeps.

Each step is taken once, in its order, however late and by however many at a time; see `lifecycle.take_step`.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from audit import clock
from intents import lifecycle, steps
from intents.models import Intent, Status


def due(most: int) -> list[str]:
    """The ids of at most so many intents of which a step is due, longest due first."""
    waiting = Intent.objects.filter(status=Status.PENDING_APPROVAL, next_step_at__lte=Now(), expires_at__gt=Now())
    return list(waiting.order_by("next_step_at").values_list("pk", flat=True)[:most])


def take_all_due(intent_id: str) -> bool:
    """Take every step of it that is due, each in a transaction of its own. Returns whether there was one."""
    taken = False
    while _take_one(intent_id):
        taken = True
    return taken


def catch_up(intent: Intent) -> None:
    """Bring an intent to where it would stand if a sweep had just come by; the caller holds its lock.

    With its time over it stays as it is, unless others are asked then.
    """
    while _take_due(intent):
        pass
    if steps.has_time_left(intent) and intent.expires_at <= clock.now():
        lifecycle.expire(intent)


def next_to_ask_others(intent: Intent) -> steps.Planned | None:
    """The next step that asks others, if there is one; reminders before it would remind nobody who can do anything."""
    return next((each for each in steps.planned(intent) if each.do != steps.REMIND), None)


def _take_one(intent_id: str) -> bool:
    with transaction.atomic():
        return _take_due(lifecycle.locked(intent_id))


def _take_due(intent: Intent) -> bool:
    following = steps.next_of(intent)
    if following is None or following.number is None or following.at > clock.now():
        return False
    return lifecycle.take_step(intent, following)
