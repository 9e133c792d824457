"""An agent whose action asks finance and then security, and the two people who may say yes in advance."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from intents.models import Agent, Intent
from tests.factories import load_policy, make_agent, make_user
from zehrava_site import roles

FINANCE_THEN_SECURITY = """
name: careful
match: {actions: ['a.*']}
rules:
  - {id: never, when: 'payload.amount == "666"', effect: block}
  - id: two
    effect: require_approval
    approval: {all_of: [{group: finance}, {group: security}], order: listed}
"""


@pytest.fixture(autouse=True)
def _roles(db: None) -> None:
    roles.install()


@pytest.fixture
def olivia() -> User:
    return make_user("olivia", "reviewers", "finance", email="olivia@example.com")


@pytest.fixture
def rita() -> User:
    return make_user("rita", "reviewers", "finance", email="rita@example.com")


@pytest.fixture
def sam() -> User:
    return make_user("sam", "reviewers", "security", email="sam@example.com")


@pytest.fixture
def arranged(olivia: User) -> tuple[Agent, str]:
    load_policy(FINANCE_THEN_SECURITY)
    return make_agent("nightly", owner=olivia)


@pytest.fixture
def agent(arranged: tuple[Agent, str]) -> Agent:
    return arranged[0]


@pytest.fixture
def agent_client(arranged: tuple[Agent, str]) -> Client:
    return Client(headers={"Authorization": f"Bearer {arranged[1]}"})


@pytest.fixture
def propose(agent_client: Client) -> Callable[..., dict[str, Any]]:
    """Propose by the API as this agent; the answer, which is always one of the 200s."""

    def send(amount: str = "10.00", *, action: str = "a.b", path: str = "intents", **members: Any) -> dict[str, Any]:
        key = {"Idempotency-Key": members.pop("key")} if "key" in members else {}
        body = {"action": action, "payload": {"amount": amount}, **members}
        answer = agent_client.post(f"/api/v1/{path}", json.dumps(body), "application/json", headers=key)
        assert answer.status_code in (200, 201), answer.content
        return answer.json()

    return send


@pytest.fixture
def claim(agent_client: Client) -> Callable[[str], Any]:
    return lambda intent: agent_client.post(f"/api/v1/intents/{intent}/claim", content_type="application/json")


def stored(document: dict[str, Any]) -> Intent:
    return Intent.objects.get(pk=document["id"])
