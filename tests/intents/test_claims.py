"""The single permit: who gets it, how long it lasts, and that a report counts once."""

import time
from datetime import timedelta

import pytest

from audit import clock
from intents import sweeping
from intents.cancelling import cancel
from intents.execution import carry_out, claim, heartbeat, report, resolve
from intents.models import Execution, ExecutionState, Status
from tests.factories import ARRANGER, allow, in_force_as, make_agent, make_intent, make_user, run_by_noop
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def approved():
    allow("a.b")
    _, key = make_agent()
    return make_intent(key, action="a.b"), in_force_as(key)


def refused(call, *args, **kwargs) -> str:
    with pytest.raises(Problem) as problem:
        call(*args, **kwargs)
    return problem.value.kind


def lapse(execution: Execution) -> None:
    Execution.objects.filter(pk=execution.pk).update(lease_until=clock.now() - timedelta(seconds=1))


def test_of_two_claims_one_gets_the_permit(approved):
    intent, agent = approved
    execution, token = claim(intent.pk, agent=agent)
    assert (execution.attempt, execution.state) == (1, ExecutionState.RUNNING)
    assert token.startswith("zhx_")
    assert refused(claim, intent.pk, agent=agent) == "already-claimed"
    assert Execution.objects.count() == 1


def test_the_token_is_stored_only_as_a_hash(approved):
    intent, agent = approved
    execution, token = claim(intent.pk, agent=agent)
    row = Execution.objects.filter(pk=execution.pk).values().get()
    assert token not in str(row)


def test_another_agent_cannot_tell_the_intent_from_none(approved):
    intent, _ = approved
    stranger = in_force_as(make_agent()[1])
    assert refused(claim, intent.pk, agent=stranger) == "not-found"
    assert refused(claim, "int_00000000000000000000000000", agent=stranger) == "not-found"


def test_a_report_needs_the_permit_and_counts_once(approved):
    intent, agent = approved
    execution, token = claim(intent.pk, agent=agent)
    assert refused(report, execution.pk, agent=agent, token="zhx_guess", outcome="succeeded") == "permit-refused"
    assert report(execution.pk, agent=agent, token=token, outcome="failed", result={"code": 7}).status == Status.FAILED
    assert refused(report, execution.pk, agent=agent, token=token, outcome="succeeded") == "already-reported"
    execution.refresh_from_db()
    assert (execution.state, execution.result) == (ExecutionState.FAILED, {"code": 7})


def test_a_report_after_the_lease_changes_nothing(approved):
    intent, agent = approved
    execution, token = claim(intent.pk, agent=agent)
    lapse(execution)
    assert refused(report, execution.pk, agent=agent, token=token, outcome="succeeded") == "lease-lapsed"
    assert refused(heartbeat, execution.pk, agent=agent, token=token) == "lease-lapsed"
    assert sweeping.sweep()["lapsed"] == 1
    intent.refresh_from_db()
    assert intent.status == Status.INDETERMINATE
    assert refused(report, execution.pk, agent=agent, token=token, outcome="succeeded") == "lease-lapsed"


def test_a_heartbeat_keeps_the_lease(approved):
    intent, agent = approved
    execution, token = claim(intent.pk, agent=agent)
    soon = clock.now() + timedelta(seconds=2)
    Execution.objects.filter(pk=execution.pk).update(lease_until=soon)
    assert heartbeat(execution.pk, agent=agent, token=token).lease_until > soon
    assert sweeping.sweep()["lapsed"] == 0


def test_what_ran_out_of_time_cannot_be_claimed_and_ends_as_expired():
    allow("a.b")
    _, key = make_agent()
    intent, agent = make_intent(key, action="a.b", expires_in="1s"), in_force_as(key)
    time.sleep(1.05)
    assert refused(claim, intent.pk, agent=agent) == "expired"
    intent.refresh_from_db()
    assert intent.status == Status.EXPIRED


def test_a_cancelled_intent_abandons_what_waited_for_the_portal():
    run_by_noop("a.b")
    allow("a.b")
    intent = make_intent(action="a.b")
    waiting = intent.executions.get()
    cancel(intent, by=ARRANGER, reason="changed our mind")
    waiting.refresh_from_db()
    assert waiting.state == ExecutionState.CANCELLED
    assert carry_out(waiting.pk) is None
    assert cancel(intent, by=ARRANGER).status == Status.CANCELLED, "cancelling twice is no error"


def test_what_runs_can_no_longer_be_cancelled(approved):
    intent, agent = approved
    claim(intent.pk, agent=agent)
    assert refused(cancel, intent, by=ARRANGER) == "conflict"


def test_a_second_message_to_the_worker_finds_nothing_to_do():
    run_by_noop("a.b")
    allow("a.b")
    execution = make_intent(action="a.b").executions.get()
    assert carry_out(execution.pk) == ExecutionState.SUCCEEDED
    assert carry_out(execution.pk) is None


def test_the_agent_cannot_claim_what_the_portal_carries_out():
    run_by_noop("a.b")
    allow("a.b")
    _, key = make_agent()
    assert refused(claim, make_intent(key, action="a.b").pk, agent=in_force_as(key)) == "conflict"


def grant_resolving(user):
    from django.contrib.auth.models import Permission

    user.user_permissions.add(Permission.objects.get(codename="resolve_intent"))
    return type(user).objects.get(pk=user.pk)


def test_a_person_settles_what_is_not_known(approved):
    intent, agent = approved
    execution, _ = claim(intent.pk, agent=agent)
    lapse(execution)
    sweeping.sweep()
    operator = grant_resolving(make_user("op"))
    assert refused(resolve, intent, by=make_user("somebody"), outcome="failed", reason="x") == "not-entitled"
    owner = grant_resolving(intent.agent.owner)
    assert refused(resolve, intent, by=owner, outcome="succeeded", reason="x") == "not-entitled"
    assert refused(resolve, intent, by=operator, outcome="succeeded", reason="  ") == "invalid"
    again = resolve(intent, by=operator, outcome="again", reason="the target never saw it")
    assert again.status == Status.APPROVED
    second, _ = claim(intent.pk, agent=agent)
    assert second.attempt == 2
    assert refused(resolve, intent, by=operator, outcome="failed", reason="x") == "conflict"


def test_the_portal_runs_again_what_a_person_sends_again():
    run_by_noop("a.b")
    allow("a.b")
    intent = make_intent(action="a.b")
    first = intent.executions.get()
    from intents import executors

    broken = executors._EXECUTORS["noop"]
    try:
        executors._EXECUTORS["noop"] = lambda order, *, seconds: 1 / 0
        carry_out(first.pk)
    finally:
        executors._EXECUTORS["noop"] = broken
    resolve(intent, by=grant_resolving(make_user("op")), outcome="again", reason="it never began")
    second = intent.executions.get(attempt=2)
    assert carry_out(second.pk) == ExecutionState.SUCCEEDED
    intent.refresh_from_db()
    assert intent.status == Status.SUCCEEDED
