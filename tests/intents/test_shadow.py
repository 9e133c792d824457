"""A version in shadow is judged beside the active set on live traffic, and has no say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext

from audit.actors import Actor
from audit.models import Event
from intents import activation, in_force, shadowing
from intents.documents import activate_version, save_policy
from intents.models import Intent, LimitUse, Policy, PolicyVersion, ShadowVerdict
from intents.propose import propose
from tests.factories import ARRANGER, in_force_as, load_policy, make_agent, make_intent, make_user
from zehrava.policy.errors import PolicyError
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db

ASKS = """
name: refunds
match: {actions: [stripe.refund]}
rules:
  - {id: all, effect: require_approval, approval: {all_of: [{group: finance}]}}
"""
ALLOWS_SMALL = """
name: refunds
match: {actions: [stripe.refund]}
rules:
  - {id: odd, when: payload.country == "KP", effect: block, reason: "{payload.country} is not served"}
  - {id: small, when: amount(payload.amount) <= amount("100"), effect: allow}
default: require_approval
"""
LIMITED = ALLOWS_SMALL.replace(
    'amount("100"), effect: allow', 'amount("100"), effect: allow, limits: [{count: 1, window: 1h}]'
)


def draft(text: str) -> PolicyVersion:
    return save_policy(text, by=ARRANGER, user=None, activate=False)


def shadow(text: str) -> PolicyVersion:
    version = draft(text)
    shadowing.start(version, by=ARRANGER)
    return version


def refund(key: str, amount: str = "20.00", country: str = "DE", **members: Any) -> Intent:
    return make_intent(key, payload={"amount": amount, "country": country}, **members)


@pytest.fixture
def key() -> str:
    return make_agent("billing")[1]


def test_a_draft_in_shadow_is_judged_and_decides_nothing(key):
    load_policy(ASKS)
    version = shadow(ALLOWS_SMALL)

    small, large, odd = refund(key), refund(key, "900.00"), refund(key, country="KP")

    assert {small.status, large.status, odd.status} == {"pending_approval"}
    assert {small.verdict["version"], large.verdict["version"]} == {1}
    found = {row.intent_id: (row.change, row.effect, row.said_by, row.reason) for row in ShadowVerdict.objects.all()}
    assert found[small.pk][:3] == ("allowed", "allow", "refunds/small")
    assert found[large.pk][:3] == ("people", "require_approval", "refunds/default")
    assert found[odd.pk] == ("blocked", "block", "refunds/odd", "KP is not served")
    assert set(ShadowVerdict.objects.values_list("version_id", flat=True)) == {version.pk}


def test_the_figures_count_each_kind_and_rule(key):
    load_policy(ASKS)
    version = shadow(ALLOWS_SMALL)
    for _ in range(3):
        refund(key)
    refund(key, country="KP")

    found = shadowing.figures(version, since=Policy.objects.get().shadow_since, among=Q())

    assert found["judged"] == 4
    assert found["counts"] == {"allowed": 3, "blocked": 1}
    assert found["rules"] == {"allowed": {"refunds/small": 3}, "blocked": {"refunds/odd": 1}}


def test_a_draft_is_judged_before_the_transaction_in_which_others_may_be_waiting(key, monkeypatch):
    load_policy(ASKS)
    shadow(LIMITED)
    agent, within = in_force_as(key), []
    outside, judge = len(connection.savepoint_ids), shadowing.judge

    def judged(*arguments: Any, **named: Any) -> Any:
        within.append(len(connection.savepoint_ids))
        return judge(*arguments, **named)

    monkeypatch.setattr("intents.shadowing.judge", judged)
    propose(agent, {"action": "stripe.refund", "payload": {"amount": "1.00", "country": "DE"}})

    assert within == [outside, outside]
    assert ShadowVerdict.objects.get().change == "allowed"


def test_what_neither_version_covers_is_passed_over(key):
    load_policy(ASKS)
    shadow(ALLOWS_SMALL)

    make_intent(key, action="email.send")

    assert not ShadowVerdict.objects.exists()


def test_a_policy_that_is_new_is_judged_in_shadow_too(key):
    shadow(ALLOWS_SMALL)

    intent = refund(key)

    assert intent.status == "pending_approval" and intent.verdict["policy"] is None
    assert ShadowVerdict.objects.get().change == "allowed"


def test_a_version_that_says_the_same_is_counted_as_the_same(key):
    load_policy(ASKS)
    version = shadow(ASKS + "description: no change of rules\n")

    refund(key)

    assert shadowing.figures(version, since=None, among=Q())["counts"] == {"same": 1}


def test_other_seats_are_a_difference_though_both_ask(key):
    load_policy(ASKS)
    shadow(ASKS.replace("finance", "security"))

    refund(key)

    assert ShadowVerdict.objects.get().change == "people"


def test_the_same_proposal_again_is_not_judged_again(key):
    load_policy(ASKS)
    shadow(ALLOWS_SMALL)
    agent, body = in_force_as(key), {"action": "stripe.refund", "payload": {"amount": "1.00", "country": "DE"}}
    first = propose(agent, body, idempotency_key="once")
    assert propose(agent, body, idempotency_key="once").intent_id == first.intent_id
    twin = propose(agent, body)

    assert twin.status == 200 and twin.intent_id == first.intent_id
    assert ShadowVerdict.objects.count() == 1


@pytest.mark.parametrize("broken", ["judge", "proving.change", "_observe", "limits.read", "limits.count"])
def test_nothing_that_goes_wrong_in_shadow_touches_a_proposal(key, broken, monkeypatch):
    load_policy(ASKS)
    shadow(LIMITED)

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(f"intents.shadowing.{broken}", fails)
    intent = refund(key)

    assert intent.status == "pending_approval"
    assert Event.objects.filter(type="intent.proposed", intent_id=intent.pk).count() == 1
    assert set(ShadowVerdict.objects.values_list("change", flat=True)) <= {"unreadable"}


@pytest.mark.parametrize("where", ["limits.read", "limits.count", "proving.change"])
def test_a_statement_that_the_database_refuses_in_shadow_leaves_the_proposal_whole(key, where, monkeypatch):
    load_policy(ASKS)
    shadow(LIMITED)

    def refused(*_: Any, **__: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")

    monkeypatch.setattr(f"intents.shadowing.{where}", refused)
    intent = refund(key)

    assert intent.status == "pending_approval"
    assert Event.objects.filter(type="intent.proposed", intent_id=intent.pk).exists()


@pytest.fixture
def locked() -> Iterator[Callable[[str], threading.Event]]:
    """Locks a table from another connection, as a migration does, for 20 seconds at most; says whether it gave up."""
    with ExitStack() as held:

        def lock(table: str) -> threading.Event:
            other, gave_up = connection.copy(), threading.Event()
            held.callback(other.close)
            with other.cursor() as cursor:
                cursor.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            raw = other.connection

            def give_up() -> None:
                gave_up.set()
                raw.execute("ROLLBACK")

            timer = threading.Timer(20, give_up)
            timer.start()
            held.callback(timer.cancel)
            return gave_up

        yield lock


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL locks a table beside others")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("table", ["intents_shadowverdict", "intents_limituse"])
def test_a_proposal_does_not_wait_for_a_lock_that_only_shadow_mode_needs(key, table, locked):
    load_policy(ASKS)
    shadow(LIMITED)
    refund(key)
    gave_up = locked(table)

    intent = refund(key, "30.00")

    assert not gave_up.is_set(), "the proposal waited for as long as the lock was held"
    assert intent.status == "pending_approval"
    assert Event.objects.filter(type="intent.proposed", intent_id=intent.pk).exists()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL locks a table beside others")
@pytest.mark.parametrize("refused", [False, True])
def test_what_else_a_proposal_does_waits_for_locks_as_long_as_before(key, refused, monkeypatch):
    load_policy(ASKS)
    shadow(ALLOWS_SMALL)
    agent, during = in_force_as(key), []
    observe, change = shadowing.observe, shadowing.proving.change

    def bound() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            return cursor.fetchone()[0]

    def watched(*arguments: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '7s'")
        observe(*arguments)
        assert bound() == "7s"
        during.append("after")

    def compared(*arguments: Any) -> Any:
        during.append(bound())
        if refused:
            with connection.cursor() as cursor:
                cursor.execute("SELECT * FROM no_such_table")
        return change(*arguments)

    monkeypatch.setattr("intents.shadowing.observe", watched)
    monkeypatch.setattr("intents.shadowing.proving.change", compared)
    propose(agent, {"action": "stripe.refund", "payload": {"amount": "1.00", "country": "DE"}})

    assert during == ["100ms", "after"]


def test_a_draft_that_can_no_longer_be_read_has_no_say_and_stops_nothing(key):
    load_policy(ASKS)
    version = shadow(ALLOWS_SMALL)
    PolicyVersion.objects.filter(pk=version.pk).update(text="name: refunds\nrules: [")
    in_force.bump()

    assert refund(key).status == "pending_approval"
    assert not ShadowVerdict.objects.exists()


def test_a_pointer_moved_past_the_history_is_not_followed(key):
    load_policy(ASKS)
    version = draft(ALLOWS_SMALL)
    Policy.objects.update(shadow=version)
    in_force.bump()

    refund(key)

    assert not ShadowVerdict.objects.exists()


def test_without_a_shadow_a_proposal_asks_nothing_more_of_the_database(key):
    load_policy(ASKS)
    refund(key)
    with CaptureQueriesContext(connection) as without:
        refund(key)
    shadow(ALLOWS_SMALL)
    refund(key)
    with CaptureQueriesContext(connection) as beside:
        refund(key)

    assert not any("shadow" in query["sql"] for query in without)
    # The savepoint, the row, and the end of the savepoint; on PostgreSQL how long to wait for a lock, and as before.
    assert len(beside) == len(without) + (5 if connection.vendor == "postgresql" else 3)


def test_limits_of_a_draft_count_apart_from_those_in_force(key):
    limited = ALLOWS_SMALL.replace('amount("100"), effect: allow', 'amount("100"), effect: allow, limits: [{count: 2}]')
    load_policy(limited)
    shadow(limited.replace("count: 2", "count: 1"))

    statuses = [refund(key).status for _ in range(3)]

    assert statuses == ["approved", "approved", "pending_approval"]
    assert list(ShadowVerdict.objects.order_by("pk").values_list("change", flat=True)) == ["same", "asked", "same"]
    assert LimitUse.objects.filter(namespace="").count() == 2
    assert LimitUse.objects.exclude(namespace="").count() == 1


def test_starting_and_stopping_are_in_the_ledger_with_who_and_what(key):
    load_policy(ASKS)
    version = draft(ALLOWS_SMALL)
    person = Actor.system("somebody")
    before = in_force.current().version

    policy = shadowing.start(version, by=person)
    assert in_force.current().version != before
    refund(key)
    shadowing.stop(policy, by=person)
    refund(key)

    started, stopped = Event.objects.filter(type__startswith="policy.shadow").order_by("id")
    assert (started.type, stopped.type) == ("policy.shadow_started", "policy.shadow_stopped")
    assert started.actor_name == stopped.actor_name == "somebody"
    assert json.loads(started.line)["facts"] == {"version": 2, "digest": version.digest, "instead_of": None}
    assert json.loads(stopped.line)["facts"]["counts"] == {"allowed": 1}
    assert ShadowVerdict.objects.count() == 1
    assert [row.shadow_id for row in Policy.history.order_by("history_id")][-2:] == [version.pk, None]


@pytest.mark.parametrize("by_two", [False, True])
def test_a_version_that_comes_into_force_leaves_shadow_in_the_same_act(key, by_two, settings):
    load_policy(ASKS)
    version = shadow(ALLOWS_SMALL)
    refund(key)

    if by_two:
        settings.ZEHRAVA_POLICY_SECOND_PERSON = True
        asks, confirms = (make_user(name, "policy_authors", "administrators") for name in ("ann", "bob"))
        for each in (asks, confirms):
            each.user_permissions.set(Permission.objects.filter(codename="activate_policy"))
        request = activation.ask(version.policy, version, by=asks, reason="Small ones may pass")
        assert Policy.objects.get().shadow_id == version.pk
        activation.confirm(request, by=confirms, digest=version.digest)
    else:
        activate_version(version, by=ARRANGER)
    refund(key)

    policy = Policy.objects.get()
    assert (policy.active_id, policy.shadow_id, policy.shadow_since) == (version.pk, None, None)
    assert Policy.history.first().shadow_id is None
    assert ShadowVerdict.objects.count() == 1, "nothing is compared with itself"
    stopped = json.loads(Event.objects.get(type="policy.shadow_stopped").line)["facts"]
    assert stopped == {"version": 2, "digest": version.digest, "counts": {"allowed": 1}, "activated": True}


def test_a_shadow_that_cannot_be_ended_keeps_the_version_out_of_force(key, monkeypatch):
    load_policy(ASKS)
    version = shadow(ALLOWS_SMALL)

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("intents.shadowing.figures", fails)
    with pytest.raises(RuntimeError):
        activate_version(version, by=ARRANGER)

    policy = Policy.objects.get()
    assert (policy.active.number, policy.shadow_id) == (1, version.pk)
    assert Event.objects.filter(type="policy.activated").count() == 1


def test_activating_another_version_leaves_what_is_in_shadow_there(key):
    load_policy(ASKS)
    version = shadow(ALLOWS_SMALL)

    load_policy(ASKS.replace("finance", "security"))

    assert Policy.objects.get().shadow_id == version.pk


def test_what_is_in_force_is_not_put_in_shadow():
    load_policy(ASKS)

    with pytest.raises(Problem, match="is in force"):
        shadowing.start(Policy.objects.get().active, by=ARRANGER)

    assert Policy.objects.get().shadow_id is None


def test_another_version_takes_the_place_of_the_one_in_shadow(key):
    load_policy(ASKS)
    shadow(ALLOWS_SMALL)
    second = shadow(ASKS.replace("finance", "security"))

    refund(key)

    assert Policy.objects.get().shadow_id == second.pk
    assert ShadowVerdict.objects.get().version_id == second.pk


def test_putting_the_same_version_in_shadow_twice_is_one_act(key):
    load_policy(ASKS)
    version = shadow(ALLOWS_SMALL)
    since = Policy.objects.get().shadow_since

    shadowing.start(version, by=ARRANGER)

    assert Policy.objects.get().shadow_since == since
    assert Event.objects.filter(type="policy.shadow_started").count() == 1


def test_a_version_that_cannot_be_read_is_not_put_in_shadow():
    load_policy(ASKS)
    version = draft(ALLOWS_SMALL)
    version.text = "name: ["

    with pytest.raises(PolicyError):
        shadowing.start(version, by=ARRANGER)

    assert Policy.objects.get().shadow_id is None


def test_old_verdicts_are_dropped_and_new_ones_stay(key, settings):
    load_policy(ASKS)
    shadow(ALLOWS_SMALL)
    old, new = refund(key), refund(key)
    ShadowVerdict.objects.filter(intent_id=old.pk).update(at="2025-01-01T00:00:00Z")

    assert shadowing.drop_old() == 1
    assert ShadowVerdict.objects.get().intent_id == new.pk
