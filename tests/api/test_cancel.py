"""POST /api/v1/intents/{id}/cancel"""

import pytest

from audit.models import Content, Event
from intents.models import Intent
from tests.api.conftest import Caller, problem


def test_an_agent_cancels_its_own_pending_intent(agent: Caller) -> None:
    made = agent.propose()
    response = agent.post(f"intents/{made['id']}/cancel")
    assert response.status_code == 200
    assert response.json()["status"] == "cancelled"


def test_an_approved_intent_can_be_cancelled_before_it_runs(agent: Caller, policy: None) -> None:
    made = agent.propose("allowed.thing")
    assert agent.post(f"intents/{made['id']}/cancel", {}).json()["status"] == "cancelled"
    problem(agent.post(f"intents/{made['id']}/claim"), 409, "not-approved")


def test_an_operator_cancels_with_a_reason_that_is_kept(agent: Caller, operator: Caller) -> None:
    made = agent.propose()
    response = operator.post(f"intents/{made['id']}/cancel", {"reason": "The campaign was called off."})
    assert response.json()["status"] == "cancelled"
    event = Event.objects.get(type="intent.cancelled")
    assert event.actor_name == "otto"
    assert "called off" in Content.objects.get(pk=event.pk).body


def test_cancelling_twice_is_the_same_as_once(agent: Caller) -> None:
    made = agent.propose()
    for _ in range(2):
        assert agent.post(f"intents/{made['id']}/cancel").status_code == 200
    assert Event.objects.filter(type="intent.cancelled").count() == 1


def test_what_has_begun_cannot_be_cancelled(agent: Caller, policy: None) -> None:
    made = agent.propose("allowed.thing")
    agent.post(f"intents/{made['id']}/claim")
    assert agent.post(f"intents/{made['id']}/cancel").status_code == 409
    assert Intent.objects.get().status == "executing"


def test_another_agents_intent_is_not_there_to_cancel(agent: Caller, other_agent: Caller) -> None:
    made = agent.propose()
    problem(other_agent.post(f"intents/{made['id']}/cancel"), 404, "not-found")
    assert Intent.objects.get().status == "pending_approval"


def test_a_reviewer_does_not_cancel(agent: Caller, reviewer: Caller) -> None:
    made = agent.propose()
    problem(reviewer.post(f"intents/{made['id']}/cancel"), 403, "forbidden")


@pytest.mark.parametrize(
    ("body", "path"),
    [({"reason": 7}, "/reason"), ({"why": "x"}, "/why"), ([], ""), ({"reason": "x" * 10_001}, "/reason")],
)
def test_a_wrong_body_is_refused_by_its_path(agent: Caller, body: object, path: str) -> None:
    made = agent.propose()
    problem(agent.post(f"intents/{made['id']}/cancel", body), 422, "invalid", path)
    assert Intent.objects.get().status == "pending_approval"
