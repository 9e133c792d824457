"""Taking an intent: a reviewer says "I am on it", so that two people do not study the same one. A courtesy and no lock.

Everybody who may decide still may. A take ends by itself after some minutes, when it is let go, and with the vote.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from audit import clock
from intents import lifecycle
from intents.models import Intent, Status
from reviews.entitlement import may_decide
from reviews.models import Take
from zehrava.problems import Problem

LASTS = timedelta(minutes=5)


def take(intent_id: str, *, by: User) -> Take:
    """Say that this person is on it; whoever is on it already says so for longer.

    Raises Problem: `not-found`, `not-entitled` for who has no say in it, `not-pending`, and `conflict` while somebody
    else is on it.
    """
    with transaction.atomic():
        try:
            # Of any number who take it at once, the row's lock lets one be first.
            intent = lifecycle.locked(intent_id)
        except Intent.DoesNotExist as error:
            raise Problem("not-found", "There is no intent of this id.") from error
        if refusal := may_decide(intent, by):
            raise Problem(refusal.kind, refusal.text)
        if intent.status != Status.PENDING_APPROVAL:
            raise Problem("not-pending", "This intent no longer waits for a decision.", state=intent.status)
        # Nobody else comes by to do it.
        Take.objects.filter(until__lte=Now()).delete()
        other = takes_of([intent]).get(intent.pk)
        if other is not None and other.person_id != by.pk:
            name = other.person.get_username()
            raise Problem("conflict", f"{name} is on it already, until {other.until:%H:%M} UTC at the latest.")
        return Take.objects.update_or_create(intent=intent, defaults={"person": by, "until": clock.now() + LASTS})[0]


def let_go(intent_id: str, *, by: User) -> bool:
    """Take the word back. Returns whether this person was on it."""
    return bool(Take.objects.filter(intent_id=intent_id, person=by).delete()[0])


def takes_of(intents: Iterable[Intent]) -> dict[str, Take]:
    """Who is on which of these intents now; one query."""
    found = Take.objects.filter(intent__in=list(intents), until__gt=Now()).select_related("person")
    return {take.intent_id: take for take in found}
