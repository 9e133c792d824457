"""What is in force is believed from the ledger: neither a row that is gone nor history that was added changes it."""

import json
from typing import Any

import pytest
from django.db import models

from audit import ledger
from audit.history import history_model
from audit.models import Event
from intents import documents, in_force, shadowing
from intents.agents import revoke_key
from intents.models import ActionType, ActionTypeVersion, Agent, AgentKey, Intent, Policy, PolicyVersion, Status
from tests.factories import (
    ARRANGER,
    allow,
    in_force_as,
    load_action_type,
    load_policy,
    make_agent,
    make_intent,
    make_user,
    run_by_noop,
)
from zehrava import canonical
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db

BLOCK = "name: stop\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: block}]\n"
DRAFT = BLOCK.replace("block", "allow")


def erase(model: type[models.Model], **which: Any) -> None:
    """Delete rows past every model, as by SQL; what refers to them is left hanging."""
    rows = model._base_manager.filter(**which)
    rows._raw_delete(rows.db)


def erase_policy(name: str) -> None:
    policy = Policy.objects.get(name=name)
    Intent.objects.update(policy_version=None)
    Policy.objects.filter(pk=policy.pk).update(active=None, shadow=None)
    erase(PolicyVersion, policy=policy)
    erase(Policy, pk=policy.pk)
    in_force.bump()


def forge_history(row: models.Model, history_id: str = "evt_7zzzzzzzzzzzzzzzzzzzzzzzzz", **columns: Any) -> None:
    """Add a history row like the newest of this one but for these columns; the ledger knows nothing of it."""
    history = history_model(type(row))
    assert history is not None
    newest = history._base_manager.filter(id=row.pk).order_by("-history_id")[0]
    for name, value in {"history_id": history_id, **columns}.items():
        setattr(newest, name, value)
    newest.save(force_insert=True)


def status(action: str = "a.b") -> str:
    return make_intent(action=action).status


# --- rows that are gone --------------------------------------------------------------------------------------------


def test_a_policy_whose_row_was_deleted_lets_nothing_pass() -> None:
    load_policy(BLOCK)
    allow("a.b")
    assert status() == Status.BLOCKED
    erase_policy("stop")
    asked = make_intent(action="a.b")
    assert asked.status == Status.PENDING_APPROVAL
    assert "stop is in force but cannot be read: Its row is gone" in asked.verdict["reason"]


def test_a_policy_that_was_out_of_force_or_a_draft_is_missed_by_nobody() -> None:
    load_policy(BLOCK)
    documents.disable_policy(Policy.objects.get(), by=ARRANGER)
    documents.save_policy(BLOCK.replace("stop", "draft"), by=ARRANGER, user=None, activate=False)
    allow("a.b")
    erase_policy("stop")
    erase_policy("draft")
    assert status() == Status.APPROVED


def test_a_policy_that_was_deleted_on_the_record_is_missed_by_nobody() -> None:
    load_policy(BLOCK)
    allow("a.b")
    policy = Policy.objects.get(name="stop")
    version = policy.active
    Policy.objects.filter(pk=policy.pk).update(active=None)
    assert version is not None
    version.delete()
    policy.delete()
    in_force.bump()
    assert status() == Status.APPROVED


def test_a_deletion_that_only_history_tells_of_is_not_believed() -> None:
    load_policy(BLOCK)
    allow("a.b")
    policy = Policy.objects.get(name="stop")
    forge_history(policy, history_type="-")
    erase_policy("stop")
    assert status() == Status.PENDING_APPROVAL


def test_a_version_whose_row_was_deleted_lets_nothing_pass() -> None:
    load_policy(BLOCK)
    kept = PolicyVersion.objects.get()
    erase(PolicyVersion)
    in_force.bump()
    rules = in_force.current().rules
    assert {name: lost.reason for name, lost in rules.unreadable_policies.items()} == {
        "stop": "The version in force is gone."
    }
    # Whoever deletes it turns the database's own checks off first; the end of this test does not.
    PolicyVersion.objects.bulk_create([kept])


def test_loading_it_anew_is_the_way_out_and_a_draft_of_its_name_is_none() -> None:
    load_policy(BLOCK)
    allow("a.b")
    erase_policy("stop")
    documents.save_policy(DRAFT, by=ARRANGER, user=None, activate=False)
    in_force.bump()
    assert status() == Status.PENDING_APPROVAL
    load_policy(BLOCK)
    assert status() == Status.BLOCKED
    documents.disable_policy(Policy.objects.get(name="stop"), by=ARRANGER)
    assert status() == Status.APPROVED


def test_an_action_whose_type_was_deleted_stores_nothing() -> None:
    run_by_noop("a.b")
    allow("a.b")
    ActionType.objects.update(active=None)
    erase(ActionTypeVersion)
    erase(ActionType)
    in_force.bump()
    _, key = make_agent()
    with pytest.raises(Problem) as refused:
        make_intent(key, action="a.b")
    assert refused.value.kind == "unavailable"
    run_by_noop("a.b")
    assert make_intent(key, action="a.b").status == Status.APPROVED


def test_an_action_type_is_not_slipped_away_by_another_name() -> None:
    run_by_noop("a.b")
    ActionType.objects.update(name="c.d")
    in_force.bump()
    _, key = make_agent()
    for action in ("a.b", "c.d"):
        with pytest.raises(Problem) as refused:
            make_intent(key, action=action)
        assert refused.value.kind == "unavailable"


# --- history that was added ----------------------------------------------------------------------------------------


def test_an_activation_that_only_history_tells_of_lets_nothing_pass() -> None:
    load_policy(BLOCK)
    draft = documents.save_policy(DRAFT, by=ARRANGER, user=None, activate=False)
    forge_history(draft.policy, active_id=draft.pk)
    Policy.objects.update(active=draft)
    in_force.bump()
    assert status() == Status.PENDING_APPROVAL


@pytest.mark.parametrize("borrowed", ["of another row", "of this row"])
def test_a_history_row_under_the_id_of_an_event_that_covers_another_is_not_believed(borrowed: str) -> None:
    """An event without history, or with history elsewhere, lends no history row its word."""
    load_policy(BLOCK)
    draft = documents.save_policy(DRAFT, by=ARRANGER, user=None, activate=False)
    if borrowed == "of this row":
        change = ledger.Change("policy.changed", draft.policy, ARRANGER, history=None)
        lender = ledger.record(change)[0]
    else:
        make_agent()
        lender = Event.objects.order_by("id").last()
    forge_history(draft.policy, lender.id, active_id=draft.pk)
    Policy.objects.update(active=draft)
    in_force.bump()
    assert status() == Status.PENDING_APPROVAL


def test_a_text_that_only_history_tells_of_lets_nothing_pass() -> None:
    load_policy(BLOCK)
    version = PolicyVersion.objects.get()
    digest = canonical.digest(DRAFT.encode())
    forge_history(version, digest=digest)
    PolicyVersion.objects.update(text=DRAFT, digest=digest)
    in_force.bump()
    assert status() == Status.PENDING_APPROVAL


def test_an_action_type_whose_activation_only_history_tells_of_stores_nothing() -> None:
    run_by_noop("a.b")
    draft = documents.save_action_type("name: a.b\nexecutor: email\n", by=ARRANGER, user=None, activate=False)
    forge_history(draft.action_type, active_id=draft.pk)
    ActionType.objects.update(active=draft)
    in_force.bump()
    with pytest.raises(Problem) as refused:
        make_intent(action="a.b")
    assert refused.value.kind == "unavailable"


@pytest.mark.parametrize("forged", ["a key brought back", "an agent of another owner"])
def test_a_key_that_only_history_vouches_for_is_refused(forged: str) -> None:
    agent, key = make_agent()
    row = AgentKey.objects.get()
    if forged == "a key brought back":
        revoke_key(row, by=ARRANGER)
        forge_history(row, revoked_at=None)
        AgentKey.objects.update(revoked_at=None)
    else:
        owner = make_user()
        forge_history(agent, owner_id=owner.pk)
        Agent.objects.update(owner=owner)
    in_force.bump()
    with pytest.raises(KeyError):
        in_force_as(key)


def test_a_key_that_was_deleted_and_put_back_is_refused() -> None:
    _, key = make_agent()
    row = AgentKey.objects.get()
    kept = AgentKey.objects.get()
    row.delete()
    AgentKey.objects.bulk_create([kept])
    in_force.bump()
    with pytest.raises(KeyError):
        in_force_as(key)


def test_a_version_that_only_history_puts_in_shadow_is_not_judged() -> None:
    load_policy(BLOCK)
    draft = documents.save_policy(DRAFT, by=ARRANGER, user=None, activate=False)
    shadowing.start(draft, by=ARRANGER)
    assert [shadow.number for shadow in in_force.current().rules.shadows] == [2]
    other = documents.save_policy(DRAFT + "# other\n", by=ARRANGER, user=None, activate=False)
    forge_history(draft.policy, shadow_id=other.pk)
    Policy.objects.update(shadow=other)
    in_force.bump()
    assert in_force.current().rules.shadows == ()


def test_what_is_compared_takes_as_many_queries_however_many_there_are(django_assert_num_queries: Any) -> None:
    def load(count: int) -> None:
        for number in range(count):
            load_policy(BLOCK.replace("stop", f"p{number}"))
            load_action_type(f"name: a.b{number}\n")
            make_agent()

    load(2)
    in_force.bump()
    with django_assert_num_queries(12):
        before = in_force.current()
    load(9)
    in_force.bump()
    with django_assert_num_queries(12):
        after = in_force.current()
    assert (len(before.policy_versions), len(after.policy_versions), len(after.agents_by_key)) == (2, 9, 11)
    assert json.dumps(dict(after.rules.unreadable_policies)) == "{}"
