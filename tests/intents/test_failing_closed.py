"""Promise 1: an exception, a missing policy, something unreadable or a dead broker never becomes `allow`."""

import pytest
from celery import current_app

from intents import executors, in_force, sweeping
from intents.execution import carry_out
from intents.models import ActionTypeVersion, Execution, ExecutionState, InForce, Intent, PolicyVersion, Status
from tests.factories import allow, in_force_as, load_action_type, load_policy, make_agent, make_intent, run_by_noop
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db


def test_what_no_policy_matches_waits_for_a_reviewer():
    intent = make_intent(action="nobody.thought_of_this")
    assert intent.status == Status.PENDING_APPROVAL
    assert intent.requirement == {"all_of": [{"group": "reviewers", "count": 1}]}


def test_a_rule_that_fails_asks_and_says_why():
    load_policy(
        "name: p\nmatch: {actions: ['a.b']}\nrules: [{id: r, when: payload.missing > 3, effect: allow}]\n"
        "default: allow\n"
    )
    intent = make_intent(action="a.b", payload={})
    assert intent.status == Status.PENDING_APPROVAL
    assert "missing" in intent.verdict["reason"]


def test_a_policy_whose_stored_text_was_altered_allows_nothing_any_more():
    allow("a.b")
    assert make_intent(action="a.b").status == Status.APPROVED
    PolicyVersion.objects.update(text="name: allow-it\nmatch: {actions: ['*']}\nrules: [{id: all, effect: allow}]\n")
    in_force.bump()
    intent = make_intent(action="a.b")
    assert intent.status == Status.PENDING_APPROVAL
    assert "cannot be read" in make_intent(action="c.d").verdict["reason"]


def test_another_policys_allow_does_not_stand_beside_one_that_cannot_be_read():
    allow("a.b", name="good")
    allow("c.d", name="broken")
    PolicyVersion.objects.filter(policy__name="broken").update(text="name: [")
    in_force.bump()
    assert make_intent(action="a.b").status == Status.PENDING_APPROVAL


def test_a_block_stands_beside_a_policy_that_cannot_be_read():
    load_policy("name: stop\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: block, reason: never}]\n")
    allow("c.d", name="broken")
    PolicyVersion.objects.filter(policy__name="broken").update(text="name: [")
    in_force.bump()
    assert make_intent(action="a.b").status == Status.BLOCKED


def test_an_action_type_that_was_altered_stores_nothing():
    run_by_noop("a.b")
    ActionTypeVersion.objects.update(text="name: a.b\n")
    in_force.bump()
    _, key = make_agent()
    with pytest.raises(Problem) as refused:
        make_intent(key, action="a.b")
    assert refused.value.kind == "unavailable"
    assert not Intent.objects.exists()


def test_what_cannot_be_derived_is_asked():
    load_action_type("name: a.b\nderive: {records: size(payload.contacts)}\nexecutor: noop\n")
    allow("a.b")
    assert make_intent(action="a.b", payload={"contacts": [1, 2]}).status == Status.APPROVED
    asked = make_intent(action="a.b", payload={"kontakte": [1, 2]})
    assert asked.status == Status.PENDING_APPROVAL
    assert "derive" in asked.verdict["reason"]


def test_no_default_allows_an_action_without_an_action_type():
    load_policy(
        "name: p\nmatch: {actions: ['a.b']}\nrules: [{id: r, when: payload.n > 3, effect: block}]\ndefault: allow\n"
    )
    assert make_intent(action="a.b", payload={"n": 1}).status == Status.PENDING_APPROVAL
    run_by_noop("a.b")
    assert make_intent(action="a.b", payload={"n": 1}).status == Status.APPROVED


def test_naming_a_policy_narrows_and_never_escapes_one():
    load_policy("name: stop\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: block}]\n")
    allow("c.d", name="easy")
    assert make_intent(action="a.b", policy="easy").status == Status.BLOCKED
    with pytest.raises(Problem) as refused:
        make_intent(action="a.b", policy="no-such-policy")
    assert refused.value.path == "/policy"


def test_a_missing_version_row_is_made_again_and_reads_everything_anew():
    allow("a.b")
    make_intent(action="a.b")
    InForce.objects.all().delete()
    PolicyVersion.objects.update(digest="sha256:0")
    assert make_intent(action="a.b").status == Status.PENDING_APPROVAL


def test_a_dead_broker_costs_neither_the_proposal_nor_the_execution(monkeypatch, django_capture_on_commit_callbacks):
    run_by_noop("a.b")
    allow("a.b")

    def broken(*args, **kwargs):
        raise ConnectionError("no broker here")

    with monkeypatch.context() as dead:
        dead.setattr(current_app, "send_task", broken)
        with django_capture_on_commit_callbacks(execute=True):
            intent = make_intent(action="a.b")
        waiting = Execution.objects.get(intent=intent)
        Execution.objects.update(created_at=waiting.created_at.replace(year=2020))
        assert sweeping.sweep()["sent_again"] == 0
        waiting.refresh_from_db()
        assert waiting.sent_at is None

    rung = []
    monkeypatch.setattr(current_app, "send_task", lambda name, args, **options: rung.append((name, args)))
    assert sweeping.sweep()["sent_again"] == 1
    assert rung == [("intents.tasks.run_execution", [waiting.pk])]
    assert sweeping.sweep()["sent_again"] == 0, "what was just sent is not sent again at once"
    assert carry_out(waiting.pk) == ExecutionState.SUCCEEDED


def test_an_executor_that_breaks_leaves_what_happened_open(monkeypatch):
    run_by_noop("a.b")
    allow("a.b")

    def broken(order, *, seconds):
        raise RuntimeError("half way")

    monkeypatch.setitem(executors._EXECUTORS, "noop", broken)
    intent = make_intent(action="a.b")
    carry_out(intent.executions.get().pk)
    intent.refresh_from_db()
    assert intent.status == Status.INDETERMINATE


def test_an_agent_suspended_since_the_approval_runs_nothing():
    from intents.agents import suspend_agent
    from intents.execution import claim
    from tests.factories import ARRANGER

    allow("a.b")
    agent, key = make_agent()
    intent = make_intent(key, action="a.b")
    caller = in_force_as(key)
    suspend_agent(agent, by=ARRANGER)
    with pytest.raises(Problem) as refused:
        claim(intent.pk, agent=caller)
    assert refused.value.kind == "suspended"
    assert not Execution.objects.exists()


def test_an_agent_approves_nothing_by_naming_a_lenient_policy():
    load_policy("name: reading\nmatch: {actions: ['docs.read']}\nrules: [{id: ok, effect: allow}]\n")
    run_by_noop("db.tidy")
    assert make_intent(action="db.drop", policy="reading").status == Status.PENDING_APPROVAL
    assert make_intent(action="db.tidy", policy="reading").status == Status.PENDING_APPROVAL


def test_what_is_in_force_is_read_again_where_it_moved_while_it_was_read(monkeypatch):
    """Several statements read it: half of one state and half of the next would look like something that was altered."""
    from intents import in_force

    allow("a.b", name="one")
    in_force.current()
    load, loads = in_force._load, []

    def torn(version):
        loads.append(version)
        rules = load(version)
        if len(loads) == 1:
            allow("c.d", name="two")
        return rules

    monkeypatch.setattr(in_force, "_load", torn)
    in_force.bump()
    rules = in_force.current().rules
    assert len(loads) == 2
    assert rules.policies.names == {"one", "two"}
    assert in_force.current().rules is rules
