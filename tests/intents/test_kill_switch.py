"""The kill switch of an agent: nothing of it begins any more, and what had not begun is cancelled for good."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from audit.actors import Actor
from audit.models import Event
from intents import agents, execution, kill_switch, lifecycle, sweeping
from intents.models import Agent, ExecutionState, Intent, Status
from intents.propose import propose
from reviews.decisions import decide
from tests.factories import ARRANGER, allow, in_force_as, load_policy, make_agent, make_intent, make_user, run_by_noop
from zehrava.problems import Problem
from zehrava_site import roles

pytestmark = pytest.mark.django_db
BODY = {"action": "stripe.refund", "payload": {"amount": "10.00"}}


@pytest.fixture
def stopped() -> tuple[Agent, str]:
    agent, key = make_agent("billing")
    return agent, key


def statuses() -> dict[str, str]:
    return dict(Intent.objects.values_list("pk", "status"))


def test_what_has_not_begun_is_cancelled_and_what_has_begun_ends_as_it_ends(stopped):
    agent, key = stopped
    other = make_intent(make_agent("mailer")[1])
    waiting = make_intent(key)
    allow("agent.does")
    allow("portal.does", name="allow-portal")
    run_by_noop("portal.does")
    by_agent, begun = make_intent(key, action="agent.does"), make_intent(key, action="agent.does", payload={"n": 2})
    by_portal = make_intent(key, action="portal.does")
    token = execution.claim(begun.pk, agent=in_force_as(key))
    assert token

    killed = kill_switch.kill(agent, by=ARRANGER, reason="It repeats itself.")

    assert (killed.cancelled, killed.left, killed.begun) == (3, 0, 1)
    cancelled = dict.fromkeys([waiting.pk, by_agent.pk, by_portal.pk], "cancelled")
    assert statuses() == {other.pk: "pending_approval", begun.pk: "executing", **cancelled}
    assert by_portal.executions.get().state == ExecutionState.CANCELLED
    assert execution.carry_out(by_portal.executions.get().pk) is None
    call_command("audit_check")


def test_its_key_is_refused_from_the_next_request_on(stopped):
    agent, key = stopped
    bearer = {"Authorization": f"Bearer {key}"}
    assert Client().get("/api/v1/agents/me", headers=bearer).status_code == 200

    kill_switch.kill(agent, by=ARRANGER, reason="Enough.")

    answer = Client().post("/api/v1/intents", BODY, content_type="application/json", headers=bearer)
    assert answer.status_code == 403 and answer.json()["type"].endswith("suspended")


def test_what_was_being_proposed_at_that_moment_is_cancelled_by_the_sweeper(stopped):
    agent, key = stopped
    quick = in_force_as(key)
    kill_switch.kill(agent, by=ARRANGER, reason="Enough.")
    # It had been let in before the switch, and committed after it.
    late = json.loads(propose(quick, BODY, idempotency_key="late").document)["id"]

    with pytest.raises(Problem, match="still has 1 of its intents to cancel"):
        agents.resume_agent(agent, by=ARRANGER)
    assert sweeping.sweep()["killed"] == 1

    assert statuses() == {late: "cancelled"}
    event = Event.objects.get(type="intent.cancelled", intent_id=late)
    assert (event.actor_name, json.loads(event.line)["facts"]["kill_switch"]) == ("sweeper", agent.pk)


def test_more_than_time_allows_is_left_to_the_sweeper_and_none_of_it_begins(stopped, monkeypatch):
    agent, key = stopped
    allow("agent.does")
    approved = [make_intent(key, action="agent.does", payload={"n": n}) for n in range(3)]
    monkeypatch.setattr(kill_switch, "WAITS", 0.0)
    proves_it = in_force_as(key)

    killed = kill_switch.kill(agent, by=ARRANGER, reason="Enough.")

    assert (killed.cancelled, killed.left) == (0, 3)
    for intent in approved:
        with pytest.raises(Problem, match="suspended"):
            execution.claim(intent.pk, agent=proves_it)
    assert sweeping.sweep()["killed"] == 3 and set(statuses().values()) == {"cancelled"}


def test_resumed_it_starts_anew_and_nothing_comes_back(stopped):
    agent, key = stopped
    gone = make_intent(key)
    kill_switch.kill(agent, by=ARRANGER, reason="Enough.")

    agents.resume_agent(agent, by=ARRANGER)

    agent.refresh_from_db()
    assert (agent.is_suspended, agent.killed_at) == (False, None)
    fresh = make_intent(key)
    assert sweeping.sweep()["killed"] == 0
    assert statuses() == {gone.pk: "cancelled", fresh.pk: "pending_approval"}
    assert not kill_switch.cancel(fresh.pk, by=lifecycle.SWEEPER)


def test_pressed_twice_it_is_recorded_once_and_finishes_what_is_left(stopped, monkeypatch):
    agent, key = stopped
    make_intent(key)
    with monkeypatch.context() as no_time:
        no_time.setattr(kill_switch, "WAITS", 0.0)
        kill_switch.kill(agent, by=ARRANGER, reason="Enough.")

    again = kill_switch.kill(agent, by=ARRANGER, reason="Enough, I said.")

    assert again.cancelled == 1
    assert Event.objects.filter(type="agent.killed").count() == 1
    assert Event.objects.filter(type="agent.suspended").count() == 1


def test_one_that_is_suspended_can_still_be_killed(stopped):
    agent, key = stopped
    waiting = make_intent(key)
    agents.suspend_agent(agent, by=ARRANGER)

    kill_switch.kill(agent, by=ARRANGER, reason="Enough.")

    assert statuses() == {waiting.pk: Status.CANCELLED}


def test_nobody_approves_what_is_being_cancelled(stopped, monkeypatch, _roles):
    agent, key = stopped
    waiting = make_intent(key)
    monkeypatch.setattr(kill_switch, "WAITS", 0.0)
    kill_switch.kill(agent, by=ARRANGER, reason="Enough.")

    with pytest.raises(Problem, match="kill switch of this agent was pressed"):
        decide(waiting.pk, by=make_user("rita", "reviewers"), vote="approve", digest=waiting.digest)
    assert statuses() == {waiting.pk: "pending_approval"}


def test_its_owner_does_not_undo_it(stopped):
    agent, _ = stopped
    kill_switch.kill(agent, by=ARRANGER, reason="Enough.")
    with pytest.raises(Problem, match="Another operator resumes it"):
        agents.resume_agent(agent, by=Actor.person(agent.owner))
    agent.refresh_from_db()
    assert agent.is_suspended


# --- its page ------------------------------------------------------------------------------------------------------


def address(agent: Agent) -> str:
    return reverse("admin:intents_agent_kill", args=[agent.pk])


@pytest.fixture
def _roles() -> None:
    roles.install()


@pytest.fixture
def operator(_roles: None) -> Client:
    client = Client()
    client.force_login(make_user("otto", "operators"))
    return client


def test_an_operator_presses_it_with_a_reason_that_stays(operator, stopped):
    agent, key = stopped
    waiting = make_intent(key)

    asked = operator.get(address(agent)).content.decode()
    assert "cannot be called back" in asked and statuses() == {waiting.pk: "pending_approval"}
    without = operator.post(address(agent), {"reason": " "})
    assert without.status_code == 422 and "Say why you stop it" in without.content.decode()
    assert statuses() == {waiting.pk: "pending_approval"}
    done = operator.post(address(agent), {"reason": "It repeats itself."}, follow=True).content.decode()

    assert "billing is stopped. 1 of its intents is cancelled." in done and "by the kill switch" in done
    assert "Kill switch…" not in done
    event = Event.objects.get(type="agent.killed")
    assert event.actor_name == "otto" and "It repeats" not in event.line


@pytest.mark.parametrize("group", ["reviewers", "policy_authors", "auditors"])
def test_nobody_else_may(_roles, stopped, group):
    agent, key = stopped
    waiting = make_intent(key)
    client = Client()
    client.force_login(make_user("pia", group))

    assert client.post(address(agent), {"reason": "x"}).status_code == 403
    assert statuses() == {waiting.pk: "pending_approval"}


def test_policies_and_other_agents_stay_as_they_are(stopped):
    agent, _ = stopped
    load_policy("name: p\nmatch: {actions: ['*']}\nrules: [{id: all, effect: require_approval}]\n")
    other_key = make_agent("mailer")[1]

    kill_switch.kill(agent, by=ARRANGER, reason="Enough.")

    assert make_intent(other_key).status == "pending_approval"
