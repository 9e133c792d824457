"""POST /api/v1/intents/{id}/claim and /api/v1/executions/{id}/heartbeat and /report"""

import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from intents.models import Execution, Intent
from tests.api.conftest import Caller, problem
from zehrava import canonical


@pytest.fixture
def intent(agent: Caller, policy: None) -> dict[str, Any]:
    return agent.propose("allowed.thing", {"n": 1})


@pytest.fixture
def permit(agent: Caller, intent: dict[str, Any]) -> dict[str, Any]:
    return claim(agent, intent)


def claim(agent: Caller, intent: dict[str, Any]) -> dict[str, Any]:
    response = agent.post(f"intents/{intent['id']}/claim")
    assert response.status_code == 201, response.content
    return response.json()


def report(agent: Caller, permit: dict[str, Any], outcome: Any = "succeeded", **members: Any) -> Any:
    return agent.post(
        f"executions/{permit['execution']['id']}/report",
        {"outcome": outcome, **members},
        Zehrava_Permit=permit["token"],
    )


def test_a_claim_hands_out_the_permit_with_what_was_approved(agent: Caller, intent: dict[str, Any]) -> None:
    permit = claim(agent, intent)
    assert set(permit) == {"token", "execution", "payload", "digest"}
    assert (permit["payload"], permit["digest"]) == (intent["payload"], intent["digest"])
    assert permit["execution"]["attempt"] == 1
    assert datetime.fromisoformat(permit["execution"]["lease_until"]).tzinfo is not None
    assert agent.get(f"intents/{intent['id']}").json()["status"] == "executing"


def test_there_is_one_permit(agent: Caller, intent: dict[str, Any], permit: dict[str, Any]) -> None:
    problem(agent.post(f"intents/{intent['id']}/claim"), 409, "already-claimed")


def test_a_pending_intent_cannot_be_claimed(agent: Caller) -> None:
    made = agent.propose()
    problem(agent.post(f"intents/{made['id']}/claim"), 409, "not-approved")
    assert not Execution.objects.exists()


def test_an_expired_intent_cannot_be_claimed(agent: Caller, policy: None) -> None:
    intent = agent.propose("allowed.thing", expires_in="1s")
    time.sleep(1.05)
    problem(agent.post(f"intents/{intent['id']}/claim"), 409, "expired")


def test_what_the_portal_carries_out_is_not_for_the_agent(agent: Caller, policy: None, noop_type: None) -> None:
    made = agent.propose("portal.noop")
    assert made["execution_mode"] == "portal"
    assert agent.post(f"intents/{made['id']}/claim").status_code == 409


def test_another_agents_intent_is_not_there_to_claim(
    agent: Caller, other_agent: Caller, intent: dict[str, Any]
) -> None:
    problem(other_agent.post(f"intents/{intent['id']}/claim"), 404, "not-found")
    assert not Execution.objects.exists()


def test_people_claim_nothing(reviewer: Caller, operator: Caller, intent: dict[str, Any]) -> None:
    for person in (reviewer, operator):
        problem(person.post(f"intents/{intent['id']}/claim"), 403, "forbidden")


def test_an_altered_intent_is_not_handed_out(agent: Caller, intent: dict[str, Any]) -> None:
    row = Intent.objects.get()
    Intent.objects.update(canonical=row.canonical.replace('"n":1', '"n":2'))
    problem(agent.post(f"intents/{intent['id']}/claim"), 409, "integrity-failed")
    assert not Execution.objects.exists()


def test_a_heartbeat_moves_the_lease(agent: Caller, permit: dict[str, Any]) -> None:
    response = agent.post(f"executions/{permit['execution']['id']}/heartbeat", Zehrava_Permit=permit["token"])
    assert response.status_code == 200
    assert response.json()["lease_until"] >= permit["execution"]["lease_until"]


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_report_ends_the_intent(agent: Caller, permit: dict[str, Any], outcome: str) -> None:
    response = report(agent, permit, outcome, result={"refund": "re_1"})
    assert response.status_code == 200
    intent = response.json()
    assert intent["status"] == outcome
    assert (intent["execution"]["state"], intent["execution"]["result"]) == (outcome, {"refund": "re_1"})


def test_a_second_report_changes_nothing(agent: Caller, permit: dict[str, Any]) -> None:
    first = report(agent, permit, "succeeded").json()
    problem(report(agent, permit, "failed"), 409, "already-reported")
    assert agent.get(f"intents/{first['id']}").json() == first


def test_a_late_report_changes_nothing(agent: Caller, permit: dict[str, Any]) -> None:
    Execution.objects.update(lease_until=Execution.objects.get().lease_until - timedelta(days=1))
    problem(report(agent, permit), 409, "lease-lapsed")
    assert Execution.objects.get().state == "running"


@pytest.mark.parametrize("door", ["heartbeat", "report"])
def test_a_missing_permit_and_a_wrong_one_are_refused_alike(agent: Caller, permit: dict[str, Any], door: str) -> None:
    address, body = (
        f"executions/{permit['execution']['id']}/{door}",
        None if door == "heartbeat" else {"outcome": "failed"},
    )
    problem(agent.post(address, body), 403, "permit-refused")
    problem(agent.post(address, body, Zehrava_Permit="zhx_wrong"), 403, "permit-refused")
    assert Execution.objects.get().state == "running"


@pytest.mark.parametrize("door", ["heartbeat", "report"])
def test_the_permit_of_another_agent_opens_nothing(
    agent: Caller, other_agent: Caller, permit: dict[str, Any], door: str
) -> None:
    body = None if door == "heartbeat" else {"outcome": "failed"}
    response = other_agent.post(f"executions/{permit['execution']['id']}/{door}", body, Zehrava_Permit=permit["token"])
    problem(response, 404, "not-found")
    assert Execution.objects.get().state == "running"


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({}, 422, "/outcome"),
        ({"outcome": "done"}, 422, "/outcome"),
        ({"outcome": ["failed"]}, 422, "/outcome"),
        ({"outcome": "failed", "error": "x"}, 422, "/error"),
        ({"outcome": "failed", "result": "x" * (256 * 1024)}, 413, "/result"),
    ],
)
def test_a_wrong_report_is_refused_by_its_path(
    agent: Caller, permit: dict[str, Any], body: object, status: int, path: str
) -> None:
    response = agent.post(f"executions/{permit['execution']['id']}/report", body, Zehrava_Permit=permit["token"])
    problem(response, status, "invalid" if status == 422 else "too-large", path)
    assert Execution.objects.get().state == "running"


def test_a_result_just_within_the_limit_is_taken(agent: Caller, permit: dict[str, Any]) -> None:
    result = "x" * (256 * 1024 - 2)
    assert len(canonical.dumps(result)) == 256 * 1024
    assert report(agent, permit, result=result).status_code == 200
