"""What is told to an agent that has asked people as much as it may."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from intents.models import Intent
from tests.api.conftest import Caller, problem
from zehrava_site import settings as module
from zehrava_site.api.documentation import document

BODY = {"action": "a.b", "payload": 0}


@pytest.fixture
def one_pending(agent: Caller, settings: Any) -> str:
    """The id of an intent beside which no other may be pending."""
    settings.ZEHRAVA_PENDING_PER_AGENT = 1
    pending: str = agent.post("intents", BODY).json()["id"]
    return pending


def test_it_is_429_with_when_to_come_back_and_what_is_used(agent: Caller, one_pending: str) -> None:
    response = agent.post("intents", {"action": "a.b", "payload": 1}, Idempotency_Key="k")
    told = problem(response, 429, "attention-budget")
    assert response["Retry-After"] == "300"
    assert (told["budget"], told["size"], told["used"]) == ("pending", 1, 1)
    assert "cancel" in told["detail"]
    agent.post(f"intents/{one_pending}/cancel")
    assert agent.post("intents", {"action": "a.b", "payload": 1}, Idempotency_Key="k").status_code == 201


def test_the_hour_is_told_in_whole_seconds(agent: Caller, settings: Any) -> None:
    settings.ZEHRAVA_ASKS_PER_HOUR = 1
    agent.post("intents", BODY)
    response = agent.post("intents", {"action": "a.b", "payload": 1})
    assert problem(response, 429, "attention-budget")["budget"] == "asks_per_hour"
    assert 3590 <= int(response["Retry-After"]) <= 3600


def test_asking_first_takes_nothing_and_is_never_refused(agent: Caller, one_pending: str) -> None:
    for number in range(3):
        response = agent.post("policies/evaluate", {"action": "a.b", "payload": number})
        assert (response.status_code, response.json()["status"]) == (200, "pending_approval")
    assert Intent.objects.count() == 1


def test_the_twin_of_a_pending_one_and_a_replacement_are_answered(agent: Caller, one_pending: str) -> None:
    assert agent.post("intents", BODY).json()["id"] == one_pending
    replaced = agent.post("intents", {"action": "a.b", "payload": 1, "supersedes": one_pending})
    assert (replaced.status_code, replaced.json()["supersedes"]) == (201, one_pending)


def test_the_schema_says_so() -> None:
    refused = document()["paths"]["/api/v1/intents"]["post"]["responses"]["429"]
    assert "attention-budget" in refused["content"]["application/problem+json"]["examples"]
    assert refused["headers"]["Retry-After"]["schema"] == {"type": "integer", "minimum": 1}


@pytest.mark.parametrize("value", ["-1", "many", "1.5", "1e3"])
def test_a_budget_that_is_no_number_keeps_the_portal_from_starting(monkeypatch: Any, value: str) -> None:
    monkeypatch.setenv("ZEHRAVA_ASKS_PER_HOUR", value)
    with pytest.raises(ImproperlyConfigured, match="ZEHRAVA_ASKS_PER_HOUR is a whole number, or 0 for no bound"):
        module._bound("ZEHRAVA_ASKS_PER_HOUR", 1_000)


def test_the_budgets_are_those_of_the_manual_unless_set(monkeypatch: Any) -> None:
    assert (module.ZEHRAVA_PENDING_PER_AGENT, module.ZEHRAVA_ASKS_PER_HOUR) == (100, 1_000)
    monkeypatch.setenv("ZEHRAVA_PENDING_PER_AGENT", "0")
    assert module._bound("ZEHRAVA_PENDING_PER_AGENT", 100) == 0
