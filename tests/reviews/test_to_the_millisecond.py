"""Time is the database's: a deadline holds to the millisecond at every door, whatever a process believes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection

from intents import execution, lifecycle, sweeping
from intents.models import Amendment, Intent
from reviews import decisions
from reviews.circumstances import seen_by
from reviews.decisions import decide, withdraw
from reviews.models import Decision
from tests.clocks import HeldClock, held_clock
from tests.factories import allow, in_force_as, load_policy, make_agent, make_intent, make_user
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db

JUST = timedelta(milliseconds=1)
TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture
def clock() -> Iterator[HeldClock]:
    with held_clock() as clock:
        yield clock


@pytest.fixture(params=[timedelta(0), TEN_MINUTES, -TEN_MINUTES], ids=["right", "ten minutes ahead", "ten behind"])
def skewed(request, clock) -> HeldClock:
    """The clock of this process, which is web server and worker alike here, beside the database's."""
    if request.param and connection.vendor != "postgresql":
        pytest.skip("SQLite lives in the process and has no clock of its own")
    if request.param:
        clock.be_off_by(request.param)
    return clock


@pytest.fixture
def key() -> str:
    return make_agent()[1]


def status(intent: Intent) -> str:
    return Intent.objects.values_list("status", flat=True).get(pk=intent.pk)


def refused(act) -> str:
    with pytest.raises(Problem) as problem:
        act()
    return problem.value.kind


def test_a_deadline_is_counted_from_the_databases_clock(skewed, key):
    intent = make_intent(key, expires_in="15m")
    assert intent.created_at == skewed.at
    assert intent.expires_at == skewed.at + timedelta(minutes=15)


def test_a_vote_counts_until_the_last_millisecond_and_not_at_it(skewed, key):
    one, other = make_user(None, "reviewers"), make_user(None, "reviewers")
    intent, late = make_intent(key, expires_in="15m"), make_intent(key, payload={"late": 1}, expires_in="15m")
    skewed.set(intent.expires_at - JUST)
    sweeping.sweep()
    decide(intent.pk, by=one, vote="approve", digest=intent.digest)
    assert status(intent) == "approved"

    skewed.set(late.expires_at)
    assert refused(lambda: decide(late.pk, by=other, vote="approve", digest=late.digest)) == "expired"
    assert status(late) == "expired"


def test_a_rejection_and_a_vote_taken_back_have_no_more_time(skewed, key):
    load_policy(
        "name: two\nmatch: {actions: ['*']}\n"
        "rules: [{id: all, effect: require_approval, approval: {all_of: [{group: reviewers, count: 2}]}}]\n"
    )
    one, other = make_user(None, "reviewers"), make_user(None, "reviewers")
    intent = make_intent(key, expires_in="15m")
    vote = decide(intent.pk, by=one, vote="approve", digest=intent.digest)
    skewed.set(intent.expires_at)
    assert refused(lambda: withdraw(vote, by=one)) == "expired"
    assert refused(lambda: decide(intent.pk, by=other, vote="reject", digest=intent.digest, rationale="x")) == "expired"


@pytest.mark.parametrize("changes", [None, [{"op": "add", "path": "/note", "value": "less"}]])
def test_a_decision_that_takes_until_the_end_of_the_time_is_none(skewed, key, monkeypatch, changes):
    """What is recorded of it would say that it was made when nobody could decide any more."""
    load_policy(
        "name: two\nmatch: {actions: ['*']}\n"
        "rules: [{id: all, effect: require_approval, approval: {all_of: [{group: reviewers, count: 2}]}}]\n"
    )
    intent, person = make_intent(key, expires_in="15m"), make_user(None, "reviewers")
    skewed.set(intent.expires_at - JUST)

    def takes_a_millisecond(*args, **named):
        skewed.set(intent.expires_at)
        return seen_by(*args, **named)

    monkeypatch.setattr(decisions, "seen_by", takes_a_millisecond)
    voting = {"by": person, "vote": "approve", "digest": intent.digest, "rationale": "because", "changes": changes}
    assert refused(lambda: decide(intent.pk, **voting)) == "expired"
    assert not Decision.objects.exists() and not Amendment.objects.exists()


def test_a_claim_counts_until_the_last_millisecond_and_not_at_it(skewed, key):
    allow("a.b")
    agent = in_force_as(key)
    intent, late = (make_intent(key, action="a.b", payload={"n": n}, expires_in="15m") for n in range(2))
    skewed.set(intent.expires_at - JUST)
    sweeping.sweep()
    execution.claim(intent.pk, agent=agent)
    assert status(intent) == "executing"

    skewed.set(late.expires_at)
    assert refused(lambda: execution.claim(late.pk, agent=agent)) == "expired"


def test_the_sweep_ends_what_is_over_and_nothing_earlier(skewed, key):
    intent = make_intent(key, expires_in="15m")
    skewed.set(intent.expires_at - JUST)
    assert sweeping.sweep()["expired"] == 0 and not lifecycle.expire(lifecycle.locked(intent.pk))
    skewed.set(intent.expires_at)
    assert sweeping.sweep()["expired"] == 1


def test_a_lease_lasts_by_the_databases_clock(skewed, key):
    allow("a.b")
    agent = in_force_as(key)
    running, token = execution.claim(make_intent(key, action="a.b", expires_in="15m").pk, agent=agent)
    skewed.set(running.lease_until - JUST)
    assert sweeping.sweep()["lapsed"] == 0
    running = execution.heartbeat(running.pk, agent=agent, token=token)
    # SQLite's clock shows milliseconds: what ends within one is over with the next.
    skewed.set(running.lease_until + JUST)
    late = refused(lambda: execution.report(running.pk, agent=agent, token=token, outcome="succeeded"))
    assert late == "lease-lapsed"
    assert sweeping.sweep()["lapsed"] == 1
