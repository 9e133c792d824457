"""Following the ledger: each event once, none missed, whatever commits late and whoever reads at the same time."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from audit import clock
from audit.models import Event
from reviews.models import Delivery, FollowedEvent, Following
from reviews.notifications import following, turns
from tests.crowd import at_once
from tests.factories import make_intent
from tests.reviews.notifications.conftest import person, told


def test_an_event_is_told_once_however_often_the_ledger_is_read(key, rita):
    make_intent(key)
    assert told() == {("rita", "ask")}
    person("rolf", "reviewers")

    assert following.follow() == 0
    assert told() == set()


def test_even_where_it_is_forgotten_that_it_was_read_nobody_is_told_twice(key, rita):
    make_intent(key)
    told()
    FollowedEvent.objects.all().delete()

    assert following.follow() == 1
    assert Delivery.objects.count() == 1


def test_the_database_refuses_a_second_delivery_of_the_same(key, rita, settings):
    settings.ZEHRAVA_NOTIFY_WEBHOOKS = {"*": "https://a.example/x"}
    make_intent(key)
    told()
    for each in list(Delivery.objects.all()):
        each.pk = None
        with pytest.raises(IntegrityError), transaction.atomic():
            each.save(force_insert=True)
    assert Delivery.objects.count() == 2


def test_an_event_that_becomes_visible_late_is_not_missed(key, rita):
    """Its transaction began before that of another event, and committed after it was read."""
    late = make_intent(key)
    event = Event.objects.get(intent_id=late.pk, type="intent.proposed")
    # Everything was read up to a minute and a half after it, before it could be seen.
    Following.objects.update(read_until=event.at + timedelta(seconds=90))

    assert following.follow() == 1
    assert Delivery.objects.filter(event_id=event.pk).exists()


def test_the_first_start_tells_nothing_of_the_past(key, rita):
    Following.objects.all().delete()
    make_intent(key)

    turns.take_a_turn()
    assert not Delivery.objects.exists()
    make_intent(key, payload={"n": 2})
    turns.take_a_turn()
    turns.take_a_turn()
    assert Delivery.objects.count() == 1


def test_a_long_absence_is_caught_up_in_batches(key, rita, monkeypatch):
    monkeypatch.setattr(following, "BATCH", 3)
    for number in range(10):
        make_intent(key, payload={"n": number})

    assert following.follow() == 10
    assert Delivery.objects.count() == 10


def test_more_than_one_run_takes_is_left_for_the_next(key, rita, monkeypatch):
    monkeypatch.setattr(following, "BATCH", 2)
    monkeypatch.setattr(following, "MOST_BATCHES", 2)
    for number in range(7):
        make_intent(key, payload={"n": number})

    assert [following.follow() for _ in range(3)] == [4, 3, 0]
    assert Delivery.objects.count() == 7


def test_what_is_over_and_old_is_forgotten(key, rita, settings):
    make_intent(key)
    told()
    assert following.drop_old() == 0
    settings.ZEHRAVA_NOTIFICATIONS_KEPT = 0
    Following.objects.update(read_until=clock.now() + timedelta(hours=1))

    assert following.drop_old() == 1
    assert not Delivery.objects.exists() and not FollowedEvent.objects.exists()


def test_one_worker_at_a_time_takes_a_turn_and_a_dead_one_gives_it_back(key, rita):
    make_intent(key)
    Following.objects.update(busy_until=clock.now() + timedelta(minutes=1))
    turns.take_a_turn()
    assert not Delivery.objects.exists()
    Following.objects.update(busy_until=clock.now() - timedelta(seconds=1))

    turns.take_a_turn()
    assert Delivery.objects.exists()
    assert Following.objects.get().busy_until is None


def test_following_that_fails_leaves_the_turn_to_others_and_what_is_due_is_sent(key, rita, monkeypatch, mailoutbox):
    make_intent(key)
    following.follow()

    def broken() -> int:
        raise RuntimeError("broken")

    monkeypatch.setattr(following, "follow", broken)
    assert turns.take_a_turn() == 1
    assert len(mailoutbox) == 1
    assert Following.objects.get().busy_until is None


# --- real processes -------------------------------------------------------------------------------------------------

ARRANGE = """
from audit import clock
from django.contrib.auth.models import User
from reviews.notifications import following
from tests.factories import make_agent, make_intent, make_user
following.begin()
following.Following.objects.update(read_until=clock.now())
for n in range(5):
    make_user(f"rita-{n}", "reviewers", email=f"rita-{n}@example.com")
_, key = make_agent()
for n in range(40):
    make_intent(key, payload={"n": n})
"""
# Each process keeps its own outbox; none of them waits for its turn, and all are slow between looking and claiming.
RACE = """
import random
import time
from django.db.models import QuerySet
update = QuerySet.update
def slowly(rows, **values):
    time.sleep(random.random() / 20)
    return update(rows, **values)
QuerySet.update = slowly
from django.conf import settings
from django.core import mail
settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
mail.outbox = []
from reviews.notifications import following, sending
said = []
# GO
for _ in range(4):
    following.follow()
    sending.send_due()
for message in mail.outbox:
    for line in message.body.splitlines():
        if "/admin/intents/intent/" in line:
            said.append([message.to[0], line.strip()])
"""


@pytest.mark.process
def test_several_workers_at_once_tell_everybody_everything_once(start_portal):
    portal = start_portal(web=0)
    portal.shell(ARRANGE)

    said = [tuple(pair) for process in at_once(portal, RACE, processes=4) for pair in process]
    # What is left waits for the pause between two mails of one person.
    portal.shell(
        "from reviews.models import Delivery\nDelivery.objects.exclude(sent_at=None).update(sent_at='2020-01-01')"
    )
    said += [tuple(pair) for process in at_once(portal, RACE, processes=1) for pair in process]

    assert len(said) == len(set(said)) == 5 * 40
    assert json.loads(portal.shell("from reviews.models import Delivery\nprint(Delivery.objects.count())")) == 200
