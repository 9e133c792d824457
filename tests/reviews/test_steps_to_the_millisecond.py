"""Steps of an escalation and the end of the time are due by the database's clock, whatever a process believes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection

from intents import sweeping
from intents.models import Intent, Status
from reviews.decisions import decide
from tests.clocks import HeldClock, held_clock
from tests.factories import ids_waiting_for, load_policy, make_intent, make_user
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db

JUST, HALF, HOUR = timedelta(milliseconds=1), timedelta(minutes=30), timedelta(hours=1)
TEN_MINUTES = timedelta(minutes=10)
POLICY = """
name: slow
match: {actions: ['a.b']}
rules:
  - id: all
    effect: require_approval
    approval:
      all_of: [{group: finance}]
      expires_in: 1h
      escalation: [{after: 30m, do: widen, to: [managers]}]
      on_timeout: escalate
      escalate_to: [{group: directors}]
"""


@pytest.fixture(params=[timedelta(0), TEN_MINUTES, -TEN_MINUTES], ids=["right", "ten minutes ahead", "ten behind"])
def clock(request) -> Iterator[HeldClock]:
    """The database's clock; that of this process, which is web server and worker alike here, may differ from it."""
    if request.param and connection.vendor != "postgresql":
        pytest.skip("SQLite lives in the process and has no clock of its own")
    with held_clock() as clock:
        if request.param:
            clock.be_off_by(request.param)
        yield clock


@pytest.fixture
def people(db) -> dict[str, User]:
    load_policy(POLICY)
    groups = {"fay": "finance", "mia": "managers", "dora": "directors"}
    return {name: make_user(name, group) for name, group in groups.items()}


def now(intent: Intent) -> Intent:
    return Intent.objects.get(pk=intent.pk)


def test_the_sweep_takes_a_step_when_it_is_due_and_not_earlier(clock, people):
    intent = make_intent(action="a.b")
    clock.set(intent.created_at + HALF - JUST)
    assert sweeping.sweep()["stepped"] == 0
    clock.set(intent.created_at + HALF)
    assert sweeping.sweep()["stepped"] == 1 and ids_waiting_for(people["mia"]) == (intent.pk,)


def test_the_last_are_asked_when_the_time_is_over_and_until_theirs_is(clock, people):
    intent = make_intent(action="a.b")
    clock.set(intent.expires_at - JUST)
    assert sweeping.sweep()["expired"] == 0
    clock.set(intent.expires_at)
    assert sweeping.sweep()["expired"] == 1
    later = now(intent)
    assert later.overtime and later.expires_at == intent.created_at + 2 * HOUR
    clock.set(later.expires_at - JUST)
    assert sweeping.sweep()["expired"] == 0 and ids_waiting_for(people["dora"]) == (intent.pk,)
    clock.set(later.expires_at)
    assert sweeping.sweep()["expired"] == 1 and now(intent).status == Status.EXPIRED


@pytest.mark.parametrize("swept", [True, False], ids=["after a sweep", "before the sweep"])
@pytest.mark.parametrize(
    ("after", "may"),
    [
        (HALF - JUST, {"fay"}),
        (HALF, {"fay", "mia"}),
        (HOUR - JUST, {"fay", "mia"}),
        (HOUR, {"dora"}),
        (2 * HOUR - JUST, {"dora"}),
        (2 * HOUR, set()),
    ],
    ids=[
        "just before the step",
        "at the step",
        "just before the end",
        "at the end",
        "just before the last",
        "at the last",
    ],
)
def test_who_decides_is_the_same_whether_or_not_a_sweep_came_by(clock, people, after, may, swept):
    for name, person in people.items():
        intent = make_intent(action="a.b")
        began = clock.at
        clock.set(began + after)
        if swept:
            sweeping.sweep()
        if name in may:
            decide(intent.pk, by=person, vote="approve", digest=intent.digest)
        else:
            with pytest.raises(Problem):
                decide(intent.pk, by=person, vote="approve", digest=intent.digest)
        approved = now(intent).status == Status.APPROVED
        assert approved == (name in may)
        clock.set(began + timedelta(days=1))
