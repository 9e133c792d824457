"""Approving with changes: what runs is exactly what was approved last, and nobody widens alone."""

import json

import pytest
from django.db import connection

from audit.models import Event
from intents.execution import claim
from intents.explaining import explain
from intents.integrity import contents_unlike_their_digests, differences
from intents.models import Amendment, Intent, Status
from intents.representation import represent
from reviews import decisions
from reviews.decision_record import unlike_their_digests
from reviews.decisions import decide, withdraw
from reviews.entitlement import votes_of, who_may_decide
from reviews.models import Decision
from tests.factories import (
    ids_waiting_for,
    in_force_as,
    load_action_type,
    load_policy,
    make_agent,
    make_intent,
    make_user,
)
from zehrava import canonical
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db

REFUND = """
name: stripe.refund
schema:
  type: object
  additionalProperties: false
  required: [amount]
  properties:
    amount: {type: string, pattern: '^[0-9]+([.][0-9]+)?$'}
    note: {type: string}
    to: {type: string}
derive:
  value: {amount: payload.amount, currency: '"EUR"'}
  target: "has(payload.to) ? payload.to : 'nobody'"
narrower: {payload.amount: less, payload.note: any}
"""
POLICY = """
name: refunds
match: {actions: ['stripe.refund']}
rules:
  - {id: absurd, when: 'amount(payload.amount) > amount("10000")', effect: block, reason: too much}
  - id: large
    when: amount(payload.amount) > amount("500")
    effect: require_approval
    approval: {all_of: [{group: reviewers}, {group: finance}]}
  - {id: medium, when: 'amount(payload.amount) > amount("50")', effect: require_approval}
  - {id: small, effect: allow}
"""


@pytest.fixture
def refunds():
    load_action_type(REFUND)
    load_policy(POLICY)


def to(amount):
    return [{"op": "replace", "path": "/amount", "value": amount}]


def change(intent, by, patch, *, rationale="less will do", digest=None):
    intent.refresh_from_db()
    made = decide(intent.pk, by=by, vote="approve", digest=digest or intent.digest, rationale=rationale, changes=patch)
    return made, Intent.objects.get(pk=intent.pk)


def refused(intent, by, patch, **kwargs) -> Problem:
    before = (Amendment.objects.count(), Decision.objects.count(), Event.objects.count())
    with pytest.raises(Problem) as problem:
        change(intent, by, patch, **kwargs)
    after = (Amendment.objects.count(), Decision.objects.count(), Event.objects.count())
    assert before == after, "something was stored of a change that was refused"
    return problem.value


def test_a_narrowing_change_is_approved_by_its_editor_and_runs_as_changed(refunds):
    key = make_agent()[1]
    intent = make_intent(key, payload={"amount": "100.00"})
    editor = make_user("ed", "reviewers")
    decision, changed = change(intent, editor, to("40.00"))

    assert changed.status == Status.APPROVED
    assert changed.payload == {"amount": "40.00"}
    assert decision.changes == to("40.00")
    assert decision.digest == changed.digest != intent.digest
    assert decision.shown_digest == intent.digest
    assert differences(changed) == []
    assert list(contents_unlike_their_digests()) == list(unlike_their_digests()) == []

    shown = represent([changed])[0]
    assert shown["payload"] == {"amount": "40.00"}
    assert shown["value"] == {"amount": "40.00", "currency": "EUR"}
    assert shown["proposal"] == {"payload": {"amount": "100.00"}, "digest": intent.digest}
    assert shown["decisions"][0]["changes"] == to("40.00")

    execution, _ = claim(changed.pk, agent=in_force_as(key))
    assert execution.digest == changed.digest
    assert execution.intent.payload == {"amount": "40.00"}


def test_the_proposal_stays_as_it_was_made(refunds):
    intent = make_intent(payload={"amount": "100.00"})
    change(intent, make_user(None, "reviewers"), to("90.00"))
    kept = Amendment.objects.get()
    assert kept.replaced == intent.canonical
    assert canonical.digest(kept.replaced.encode()) == intent.digest == kept.replaced_digest
    proposed = Event.objects.get(type="intent.proposed", intent_id=intent.pk)
    assert json.loads(proposed.line)["facts"]["digest"] == kept.replaced_digest


def test_a_widening_change_is_not_approved_by_its_editor(refunds):
    intent = make_intent(payload={"amount": "100.00"})
    editor, other = make_user("ed", "reviewers"), make_user("other", "reviewers")
    _, changed = change(intent, editor, to("120.00"), rationale="the fee too")
    assert changed.status == Status.PENDING_APPROVAL
    assert changed.payload == {"amount": "120.00"}
    assert Amendment.objects.get().widens

    assert [person.name for person in who_may_decide(changed, votes_of([changed]).get(changed.pk, []))] == ["other"]
    assert changed.pk not in ids_waiting_for(editor)
    assert changed.pk in ids_waiting_for(other)
    # Not by voting once more, and not by taking the vote back and voting plainly.
    with pytest.raises(Problem) as again:
        decide(changed.pk, by=editor, vote="approve", digest=changed.digest)
    assert again.value.kind == "already-voted"
    withdraw(Decision.objects.get(reviewer=editor), by=editor)
    with pytest.raises(Problem) as plainly:
        decide(changed.pk, by=editor, vote="approve", digest=changed.digest)
    assert plainly.value.kind == "not-entitled"
    assert "somebody else" in plainly.value.detail
    assert Intent.objects.get(pk=intent.pk).status == Status.PENDING_APPROVAL

    decide(changed.pk, by=other, vote="approve", digest=changed.digest)
    changed.refresh_from_db()
    assert changed.status == Status.APPROVED


def test_a_widening_editor_may_still_reject(refunds):
    intent = make_intent(payload={"amount": "100.00"})
    editor = make_user(None, "reviewers")
    decision, changed = change(intent, editor, to("120.00"))
    withdraw(decision, by=editor)
    decide(changed.pk, by=editor, vote="reject", digest=changed.digest, rationale="better not")
    changed.refresh_from_db()
    assert changed.status == Status.REJECTED


def test_widening_in_two_steps_by_two_people_needs_a_third(refunds):
    intent = make_intent(payload={"amount": "100.00"})
    one, two, three = (make_user(name, "reviewers") for name in ("one", "two", "three"))
    change(intent, one, to("120.00"))
    # Less than what stands there, and still more than the agent asked for.
    _, changed = change(intent, two, to("110.00"))
    assert changed.status == Status.PENDING_APPROVAL
    assert sorted(changed.widened_by) == sorted([one.pk, two.pk])
    for editor in (one, two):
        with pytest.raises(Problem):
            decide(changed.pk, by=editor, vote="approve", digest=changed.digest)
    decide(changed.pk, by=three, vote="approve", digest=changed.digest)
    changed.refresh_from_db()
    assert changed.status == Status.APPROVED


def test_back_within_the_proposal_nobody_is_barred_any_more(refunds):
    intent = make_intent(payload={"amount": "100.00"})
    one, two = make_user("one", "reviewers"), make_user("two", "reviewers")
    change(intent, one, to("120.00"))
    _, changed = change(intent, two, to("80.00"))
    assert changed.status == Status.APPROVED
    assert changed.widened_by == []


def test_approvals_of_what_it_was_before_do_not_carry_over(refunds):
    intent = make_intent(payload={"amount": "600.00"})
    first, finance = make_user("first", "reviewers"), make_user("fin", "finance")
    decide(intent.pk, by=first, vote="approve", digest=intent.digest)
    _, changed = change(intent, finance, to("550.00"))
    assert changed.status == Status.PENDING_APPROVAL
    assert represent([changed])[0]["requirement"]["received"] == 1
    assert changed.pk in ids_waiting_for(first)
    with pytest.raises(Problem) as stale:
        decide(changed.pk, by=make_user(None, "reviewers"), vote="approve", digest=intent.digest)
    assert stale.value.kind == "stale-digest"
    # About what it is now, the first reviewer may say something once more.
    decide(changed.pk, by=first, vote="approve", digest=changed.digest)
    changed.refresh_from_db()
    assert changed.status == Status.APPROVED
    approved = json.loads(Event.objects.get(type="intent.approved").line)["facts"]
    counted = Decision.objects.filter(digest=changed.digest).values_list("pk", flat=True)
    assert sorted(approved["decisions"]) == sorted(counted)


def test_a_change_never_lowers_who_must_approve(refunds):
    """Otherwise one reviewer would lower the amount, and with it who is asked."""
    intent = make_intent(payload={"amount": "600.00"})
    _, changed = change(intent, make_user(None, "reviewers"), to("10.00"))
    assert changed.status == Status.PENDING_APPROVAL
    assert changed.verdict["effect"] == "allow"
    assert {part["group"] for part in changed.requirement["all_of"]} == {"finance", "reviewers"}


def test_a_change_that_asks_for_more_people_asks_them(refunds):
    intent = make_intent(payload={"amount": "100.00"})
    other = make_user("other", "reviewers")
    _, changed = change(intent, make_user("ed", "reviewers"), to("600.00"))
    assert {part["group"] for part in changed.requirement["all_of"]} == {"finance", "reviewers"}
    decide(changed.pk, by=other, vote="approve", digest=changed.digest)
    changed.refresh_from_db()
    assert changed.status == Status.PENDING_APPROVAL
    decide(changed.pk, by=make_user(None, "finance"), vote="approve", digest=changed.digest)
    changed.refresh_from_db()
    assert changed.status == Status.APPROVED


def test_the_verdict_of_a_changed_intent_can_be_worked_out_again(refunds):
    intent = make_intent(payload={"amount": "600.00"})
    _, changed = change(intent, make_user(None, "reviewers"), to("400.00"))
    explained = explain(changed)
    assert explained.agrees, explained
    assert explained.judgement.verdict["rule"] == "medium"


LIMITED = """
name: refunds
match: {actions: ['stripe.refund']}
rules:
  - id: asked
    effect: require_approval
    limits: [{sum: payload.amount, max: "500", per: agent, window: 1d, over: block}]
"""


def test_a_change_uses_no_more_of_a_limit_than_was_counted():
    """Otherwise small amounts are proposed, changed to large ones, and the sum that policy bounds is never seen."""
    load_action_type(REFUND)
    load_policy(LIMITED)
    intent = make_intent(payload={"amount": "100"})
    reviewer = make_user(None, "reviewers")
    problem = refused(intent, reviewer, to("101"))
    assert problem.kind == "conflict"
    assert "limit" in problem.detail
    _, changed = change(intent, reviewer, to("99.50"))
    assert changed.status == Status.APPROVED


def test_a_change_under_another_counter_is_refused():
    """What is counted per target was not counted for the new one."""
    load_action_type(REFUND.replace("payload.note: any", "payload.to: any"))
    load_policy(LIMITED.replace("per: agent", "per: target"))
    intent = make_intent(payload={"amount": "100", "to": "ann"})
    patch = [{"op": "replace", "path": "/to", "value": "bob"}]
    assert refused(intent, make_user(None, "reviewers"), patch).kind == "conflict"


def test_what_policy_blocks_is_refused(refunds):
    intent = make_intent(payload={"amount": "100.00"})
    problem = refused(intent, make_user(None, "reviewers"), to("10001"))
    assert problem.kind == "conflict"
    assert "too much" in problem.detail


@pytest.mark.parametrize(
    "patch",
    [
        [],
        {},
        "x",
        [1],
        [{"op": "replace"}],
        [{"op": "replace", "path": "/nothing", "value": 1}],
        [{"op": "replace", "path": "amount", "value": "1"}],
        [{"op": "fly", "path": "/amount"}],
        [{"op": 1, "path": "/amount"}],
        [{"op": "replace", "path": 1, "value": "1"}],
        [{"op": "replace", "path": "/amount"}],
        [{"op": "copy", "from": "/amount", "path": "/note"}],
        [{"op": "move", "from": "/amount", "path": "/amount/deeper"}],
        [{"op": "remove", "path": "/amount"}],
        [{"op": "remove", "path": ""}],
        [{"op": "test", "path": "/amount", "value": "7.00"}, *to("5.00")],
        [{"op": "add", "path": "/unknown", "value": 1}],
        to(5),
        to("ten"),
        to("100.00"),
        [{"op": "test", "path": "/amount", "value": "100.00"}],
        [{"op": "replace", "path": "", "value": None}],
        [{"op": "add", "path": "/note", "value": "x" * 1_050_000}],
        to("1.00") * 1_001,
    ],
    ids=lambda patch: json.dumps(patch)[:60],
)
def test_a_patch_that_does_not_fit_is_refused_and_nothing_is_stored(refunds, patch):
    intent = make_intent(payload={"amount": "100.00"})
    problem = refused(intent, make_user(None, "reviewers"), patch)
    assert problem.kind == "invalid"
    assert problem.path.startswith("/changes")
    assert Intent.objects.get(pk=intent.pk).digest == intent.digest


def test_changes_need_a_reason_and_an_approval(refunds):
    intent = make_intent(payload={"amount": "100.00"})
    reviewer = make_user(None, "reviewers")
    assert refused(intent, reviewer, to("1"), rationale=" ").path == "/rationale"
    with pytest.raises(Problem) as rejected:
        decide(intent.pk, by=reviewer, vote="reject", digest=intent.digest, rationale="because", changes=to("1"))
    assert rejected.value.path == "/changes"


def test_who_may_not_decide_may_not_change(refunds):
    owner = make_user(None, "reviewers")
    intent = make_intent(make_agent(owner=owner)[1], payload={"amount": "100.00"})
    assert refused(intent, owner, to("1")).kind == "not-entitled"
    assert refused(intent, make_user(None, "finance"), to("1")).kind == "not-entitled"


def test_without_an_action_type_every_change_widens():
    intent = make_intent(action="some.thing", payload={"amount": "100.00"})
    _, changed = change(intent, make_user(None, "reviewers"), to("1.00"))
    assert changed.status == Status.PENDING_APPROVAL


def test_another_target_widens_even_where_the_change_itself_is_declared():
    load_action_type(REFUND.replace("payload.note: any", "payload.to: any"))
    load_policy(POLICY)
    intent = make_intent(payload={"amount": "100.00", "to": "ann"})
    _, changed = change(intent, make_user(None, "reviewers"), [{"op": "replace", "path": "/to", "value": "bob"}])
    assert changed.target == "bob"
    assert changed.status == Status.PENDING_APPROVAL
    assert Amendment.objects.get().widenings == ["it has another target"]


def test_a_change_under_another_action_type_is_refused(refunds):
    intent = make_intent(payload={"amount": "100.00"})
    load_action_type(REFUND + "description: now otherwise\n")
    problem = refused(intent, make_user(None, "reviewers"), to("1"))
    assert problem.kind == "conflict"
    assert "action type" in problem.detail


@pytest.mark.parametrize(
    "forged",
    [
        "UPDATE intents_intent SET widened_by = '[]'",
        "UPDATE intents_intent SET amendments = 0",
        "UPDATE intents_intent SET amendments = 0, widened_by = '[]'",
    ],
)
def test_forgetting_by_sql_who_widened_helps_nobody(refunds, forged):
    intent = make_intent(payload={"amount": "100.00"})
    editor = make_user(None, "reviewers")
    decision, changed = change(intent, editor, to("120.00"))
    withdraw(decision, by=editor)
    with connection.cursor() as cursor:
        cursor.execute(forged)
    with pytest.raises(Problem) as problem:
        decide(changed.pk, by=editor, vote="approve", digest=changed.digest)
    assert problem.value.kind == "integrity-failed"


def test_a_changed_record_of_the_proposal_is_found(refunds):
    intent = make_intent(payload={"amount": "100.00"})
    change(intent, make_user(None, "reviewers"), to("90.00"))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE intents_amendment SET replaced = replace(replaced, '100.00', '900.00')")
    assert [finding.table for finding in contents_unlike_their_digests()] == ["intents_amendment"]


def test_changes_are_bound_by_the_decisions_record(refunds):
    intent = make_intent(payload={"amount": "100.00"})
    decision, _ = change(intent, make_user(None, "reviewers"), to("90.00"))
    assert decisions.record_of(decision)["changes"] == to("90.00")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE reviews_decision SET changes = '[]'")
    assert [finding.table for finding in unlike_their_digests()] == ["reviews_decision"]
