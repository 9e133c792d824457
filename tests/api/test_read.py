"""GET /api/v1/intents/{id}"""

from datetime import datetime

import pytest

from tests.api.conftest import Caller, problem

NOWHERE = "int_00000000000000000000000000"


def test_it_shows_every_member_the_interface_promises(agent: Caller, reviewer: Caller) -> None:
    made = agent.propose(
        "email.send",
        {"to": "ada@example.com"},
        summary="A welcome",
        context={"ticket": 7},
        target="ada",
        tags=["welcome"],
        records=1,
        value={"amount": "12.50", "currency": "EUR"},
        on_behalf_of="grace",
        expires_in="15m",
    )
    intent = reviewer.get(f"intents/{made['id']}").json()
    assert intent["requirement"].pop("could") == {"reviewers": ["rita"]}
    assert intent == made
    assert set(intent) >= {
        *("id", "status", "action", "payload", "digest", "proposal", "summary", "context", "target", "tags"),
        *("records", "value", "agent", "on_behalf_of", "execution_mode", "risk", "verdict", "requirement"),
        *("decisions", "execution", "created_at", "expires_at", "decided_at"),
    }
    assert intent["proposal"] == {"payload": intent["payload"], "digest": intent["digest"]}
    assert set(intent["risk"]) == {"score", "level", "reasons"}
    assert set(intent["verdict"]) == {"effect", "policy", "version", "rule", "reason"}
    assert intent["requirement"]["received"] == 0
    created, expires = (datetime.fromisoformat(intent[name]) for name in ("created_at", "expires_at"))
    assert (expires - created).total_seconds() == 900


def test_another_agents_intent_is_not_there(agent: Caller, other_agent: Caller) -> None:
    made = agent.propose()
    there, nowhere = other_agent.get(f"intents/{made['id']}"), other_agent.get(f"intents/{NOWHERE}")
    problem(there, 404, "not-found")
    problem(nowhere, 404, "not-found")
    # Not even the sentence tells one from the other.
    assert there.content.replace(made["id"].encode(), b"") == nowhere.content.replace(NOWHERE.encode(), b"")


@pytest.mark.parametrize(
    "text", ["1", "int_", "int_%0A", "INT_00000000000000000000000000", "agt_00000000000000000000000000"]
)
def test_what_is_no_id_is_not_found(agent: Caller, text: str) -> None:
    problem(agent.get(f"/api/v1/intents/{text}"), 404, "not-found")


@pytest.mark.parametrize("wait", ["-1", "61", "1.5", "soon", "", "+5", "٣", "1e1", "007"])
def test_wait_is_a_whole_number_of_seconds_up_to_60(agent: Caller, wait: str) -> None:
    made = agent.propose()
    problem(agent.get(f"intents/{made['id']}?wait={wait.replace('+', '%2B')}"), 422, "invalid", "wait")


def test_wait_twice_and_unknown_parameters_are_refused(agent: Caller) -> None:
    made = agent.propose()
    problem(agent.get(f"intents/{made['id']}?wait=1&wait=2"), 422, "invalid", "wait")
    problem(agent.get(f"intents/{made['id']}?expand=all"), 422, "invalid", "expand")


def test_reading_costs_a_fixed_number_of_statements(
    agent: Caller, reviewer: Caller, django_assert_num_queries: object
) -> None:
    made = agent.propose()
    reviewer.post(f"intents/{made['id']}/decisions", {"vote": "reject", "digest": made["digest"], "rationale": "No."})
    agent.get("agents/me")
    # In force, intent, its decisions with reviewers and their groups, its executions, what people ask.
    with django_assert_num_queries(6):  # type: ignore[operator]
        assert agent.get(f"intents/{made['id']}").status_code == 200
