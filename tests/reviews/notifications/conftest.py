"""People, agents and intents that somebody is told of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db.models import F

from audit import clock
from reviews.models import Delivery, Following, NotificationSettings
from reviews.notifications import following, sending
from tests.factories import make_agent, make_user
from zehrava_site import roles


@pytest.fixture(autouse=True)
def _started(db: None) -> None:
    """Roles, and a ledger that is followed from now on."""
    roles.install()
    following.begin()
    # As if the portal had been up for long: what a test does is read at once.
    Following.objects.update(read_until=clock.now())


def person(name: str, *groups: str, **fields: Any) -> User:
    """Somebody with an address."""
    return make_user(name, *groups, **{"email": f"{name}@example.com", **fields})


@pytest.fixture
def owner() -> User:
    return person("olivia")


@pytest.fixture
def key(owner: User) -> str:
    """The key of an agent that olivia owns."""
    return make_agent("billing", owner=owner)[1]


@pytest.fixture
def rita() -> User:
    return person("rita", "reviewers")


def told() -> set[tuple[str, str]]:
    """Follow what happened; returns who is told of what, of all that was not told before."""
    before = set(Delivery.objects.values_list("pk", flat=True))
    following.follow()
    new = Delivery.objects.exclude(pk__in=before).select_related("person")
    return {(each.person.username if each.person else f"#{each.channel}", each.occasion) for each in new}


def sent() -> list[mail.EmailMultiAlternatives]:
    """Follow and send; returns the mails that this sent."""
    before = len(mail.outbox)
    following.follow()
    sending.send_due()
    return mail.outbox[before:]


def wish(someone: User, **wishes: Any) -> NotificationSettings:
    """What this person wants to be told."""
    return NotificationSettings.objects.update_or_create(person=someone, defaults=wishes)[0]


def pass_by(**length: float) -> None:
    """Let time pass for all deliveries: what is stored of them moves into the past."""
    gone = timedelta(**length)
    for row, columns in (
        (Delivery, ("due_at", "created_at", "sent_at", "claimed_until")),
        (Following, ("mail_down_until",)),
    ):
        row.objects.update(**{column: F(column) - gone for column in columns})
