"""Promise 2: what runs is what was approved, whatever somebody wrote into the database since."""

import json
from datetime import timedelta

import pytest

from audit.models import Event
from intents.execution import carry_out, claim
from intents.models import ActionTypeVersion, Execution, Intent, Status
from reviews.decisions import decide
from tests.factories import in_force_as, load_action_type, make_agent, make_intent, make_user
from zehrava import canonical
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db


def approved_by_a_person(*, mode: str = "agent", action: str = "a.b"):
    _, key = make_agent()
    intent = make_intent(key, action=action, payload={"amount": "10.00"}, execution_mode=mode, target="ch_1", records=1)
    decide(intent.pk, by=make_user(None, "reviewers"), vote="approve", digest=intent.digest)
    intent.refresh_from_db()
    assert intent.status == Status.APPROVED
    return intent, in_force_as(key)


def rewrite(intent: Intent, **members) -> str:
    return canonical.dumps({**json.loads(intent.canonical), **members}).decode()


ALTERATIONS = {
    "the payload": lambda i: {"canonical": rewrite(i, payload={"amount": "9999.00"})},
    "the payload, its digest made to fit": lambda i: {
        "canonical": (text := rewrite(i, payload={"amount": "9999.00"})),
        "digest": canonical.digest(text.encode()),
    },
    "the text, no longer JSON": lambda i: {"canonical": "not json"},
    "the action": lambda i: {"action": "c.d"},
    "the target": lambda i: {"target": "ch_2"},
    "the records": lambda i: {"records": 100},
    "the verdict": lambda i: {"verdict": {**i.verdict, "effect": "allow"}},
    "the requirement": lambda i: {"requirement": {"all_of": []}},
    "the deadline": lambda i: {"expires_at": i.expires_at + timedelta(days=1)},
    "the owner": lambda i: {"owner_id": make_user().pk},
    "the requirement, its digest made to fit": lambda i: {
        "requirement": None,
        "requirement_digest": canonical.digest(b"null"),
    },
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_a_claim_refuses_what_was_altered_since_the_approval(alteration):
    intent, agent = approved_by_a_person()
    Intent.objects.filter(pk=intent.pk).update(**ALTERATIONS[alteration](intent))
    with pytest.raises(Problem) as refused:
        claim(intent.pk, agent=agent)
    assert refused.value.kind == "integrity-failed"
    intent.refresh_from_db()
    assert intent.status == Status.CANCELLED
    assert not Execution.objects.filter(intent=intent).exists()
    assert Event.objects.filter(intent_id=intent.pk, type="intent.integrity_failed").count() == 1


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_the_portal_runs_nothing_that_was_altered(alteration, monkeypatch):
    from intents import executors

    ran = []
    monkeypatch.setitem(executors._EXECUTORS, "noop", lambda order, *, seconds: ran.append(order))
    load_action_type("name: a.b\nexecutor: noop\n")
    intent, _ = approved_by_a_person(mode="portal")
    Intent.objects.filter(pk=intent.pk).update(**ALTERATIONS[alteration](intent))
    carry_out(intent.executions.get().pk)
    intent.refresh_from_db()
    assert (intent.status, ran) == (Status.CANCELLED, [])


def test_the_portal_runs_nothing_by_an_altered_action_type(monkeypatch):
    load_action_type("name: a.b\nexecutor: noop\n")
    intent, _ = approved_by_a_person(mode="portal")
    ActionTypeVersion.objects.update(text="name: a.b\nexecutor: email\n")
    carry_out(intent.executions.get().pk)
    intent.refresh_from_db()
    assert intent.status == Status.CANCELLED


def test_a_newer_action_type_does_not_change_how_an_approved_intent_runs(monkeypatch):
    from intents import executors

    orders = []

    def remember(order, *, seconds):
        orders.append(order)
        return executors.Outcome("succeeded", {})

    monkeypatch.setitem(executors._EXECUTORS, "http", remember)
    load_action_type("name: a.b\nexecutor: http\nhttp: {method: POST, url: 'https://one.example/x'}\n")
    intent, _ = approved_by_a_person(mode="portal")
    load_action_type("name: a.b\nexecutor: http\nhttp: {method: POST, url: 'https://two.example/x'}\n")
    carry_out(intent.executions.get().pk)
    assert [order.settings["url"] for order in orders] == ["https://one.example/x"]


def test_what_was_only_marked_approved_in_the_database_never_runs():
    _, key = make_agent()
    intent = make_intent(key, action="a.b")
    Intent.objects.filter(pk=intent.pk).update(status=Status.APPROVED)
    with pytest.raises(Problem) as refused:
        claim(intent.pk, agent=in_force_as(key))
    assert refused.value.kind == "integrity-failed"


def test_nobody_decides_on_a_text_that_was_altered():
    intent = make_intent(action="a.b")
    Intent.objects.filter(pk=intent.pk).update(canonical=rewrite(intent, payload={"amount": "1.00"}))
    with pytest.raises(Problem) as refused:
        decide(intent.pk, by=make_user(None, "reviewers"), vote="approve", digest=intent.digest)
    assert refused.value.kind == "integrity-failed"


def test_an_intent_that_ended_is_not_brought_back_by_its_status(monkeypatch):
    from intents import executors
    from intents.cancelling import cancel

    cancelled, agent = approved_by_a_person()
    cancel(cancelled, by=agent.actor)
    Intent.objects.filter(pk=cancelled.pk).update(status=Status.APPROVED)
    with pytest.raises(Problem) as refused:
        claim(cancelled.pk, agent=agent)
    assert refused.value.kind == "integrity-failed"

    load_action_type("name: c.d\nexecutor: noop\n")
    done, _ = approved_by_a_person(mode="portal", action="c.d")
    execution = done.executions.get()
    carry_out(execution.pk)
    Intent.objects.filter(pk=done.pk).update(status=Status.APPROVED)
    Execution.objects.filter(pk=execution.pk).update(state="waiting")
    ran = []
    monkeypatch.setitem(executors._EXECUTORS, "noop", lambda order, *, seconds: ran.append(order))
    carry_out(execution.pk)
    assert ran == []


def test_an_action_type_whose_text_and_digest_were_both_changed_runs_nothing(monkeypatch):
    from intents import executors, in_force

    ran = []
    monkeypatch.setitem(executors._EXECUTORS, "email", lambda order, *, seconds: ran.append(order))
    load_action_type("name: a.b\nexecutor: noop\n")
    intent, _ = approved_by_a_person(mode="portal")
    forged = "name: a.b\nexecutor: email\n"
    ActionTypeVersion.objects.update(text=forged, digest=canonical.digest(forged.encode()))
    in_force.bump()
    carry_out(intent.executions.get().pk)
    intent.refresh_from_db()
    assert (intent.status, ran) == (Status.CANCELLED, [])
    with pytest.raises(Problem) as refused:
        make_intent(action="a.b")
    assert refused.value.kind == "unavailable"


def test_a_policy_whose_text_and_digest_were_both_changed_allows_nothing():
    from intents import in_force
    from intents.models import PolicyVersion
    from tests.factories import load_policy

    load_policy("name: p\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: require_approval}]\n")
    forged = "name: p\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: allow}]\n"
    PolicyVersion.objects.update(text=forged, digest=canonical.digest(forged.encode()))
    in_force.bump()
    assert make_intent(action="a.b").status == Status.PENDING_APPROVAL


def indeterminate():
    """An intent whose lease has lapsed, its agent, and somebody who may settle it."""
    from django.contrib.auth.models import Permission, User

    from audit import clock
    from intents import sweeping

    intent, agent = approved_by_a_person()
    execution, _ = claim(intent.pk, agent=agent)
    Execution.objects.filter(pk=execution.pk).update(lease_until=clock.now() - timedelta(seconds=1))
    sweeping.sweep()
    intent.refresh_from_db()
    assert intent.status == Status.INDETERMINATE
    operator = make_user()
    operator.user_permissions.add(Permission.objects.get(codename="resolve_intent"))
    return intent, User.objects.get(pk=operator.pk)


def test_settling_does_not_turn_an_alteration_into_an_approval():
    from intents.execution import resolve

    intent, operator = indeterminate()
    text = rewrite(intent, payload={"amount": "9999.00"})
    Intent.objects.filter(pk=intent.pk).update(canonical=text, digest=canonical.digest(text.encode()))
    with pytest.raises(Problem) as refused:
        resolve(intent, by=operator, outcome="again", reason="it never arrived")
    assert refused.value.kind == "integrity-failed"


def test_nothing_is_settled_that_was_never_carried_out():
    from intents.execution import resolve

    _, operator = indeterminate()
    rejected = make_intent(action="a.b")
    decide(rejected.pk, by=make_user(None, "reviewers"), vote="reject", digest=rejected.digest, rationale="no")
    Intent.objects.filter(pk=rejected.pk).update(status=Status.INDETERMINATE)
    with pytest.raises(Problem) as refused:
        resolve(rejected, by=operator, outcome="again", reason="it never arrived")
    assert refused.value.kind == "integrity-failed"


def test_nothing_is_reported_about_what_was_altered_while_it_ran():
    from intents.execution import report

    intent, agent = approved_by_a_person()
    execution, token = claim(intent.pk, agent=agent)
    Intent.objects.filter(pk=intent.pk).update(target="another")
    with pytest.raises(Problem) as refused:
        report(execution.pk, agent=agent, token=token, outcome="succeeded")
    assert refused.value.kind == "integrity-failed"


def test_which_policy_version_is_in_force_is_believed_from_the_ledger():
    from intents import in_force
    from intents.models import Policy
    from tests.factories import load_policy

    load_policy("name: p\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: allow}]\n")
    old = Policy.objects.get().active
    load_policy("name: p\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: block}]\n")
    Policy.objects.update(active=old)
    in_force.bump()
    assert make_intent(action="a.b").status == Status.PENDING_APPROVAL
    load_policy("name: easy\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: allow}]\n")
    Policy.objects.filter(name="p").update(active=None)
    in_force.bump()
    assert make_intent(action="a.b").status == Status.PENDING_APPROVAL


@pytest.mark.parametrize("change", ["revoked", "environment", "owner", "suspended", "tier", "labels"])
def test_who_an_agent_is_is_believed_from_the_ledger(change):
    from intents import in_force
    from intents.agents import create_key, revoke_key, suspend_agent
    from intents.models import Agent, AgentKey
    from tests.factories import ARRANGER

    agent, key = make_agent()
    create_key(agent, by=ARRANGER)
    if change == "revoked":
        revoke_key(AgentKey.objects.get(prefix=key[:12]), by=ARRANGER)
        AgentKey.objects.update(revoked_at=None)
    elif change == "suspended":
        suspend_agent(agent, by=ARRANGER)
        Agent.objects.update(suspended_at=None)
    else:
        forged = {"environment": "staging", "tier": "trusted", "labels": {"team": "pay"}}
        Agent.objects.update(**{change: forged.get(change) or make_user()})
    in_force.bump()
    with pytest.raises(KeyError):
        in_force_as(key)
