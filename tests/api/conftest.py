"""Everyone who could knock on the API, each with a client of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from audit.actors import Actor
from intents import agents, documents
from intents.models import Agent
from reviews.tokens import create_token
from zehrava_site import roles

SETUP = Actor.system("tests")
POLICIES = [
    "name: allowed\nmatch: {actions: [allowed.*, portal.*]}\nrules: [{id: fine, effect: allow}]\n",
    "name: blocked\nmatch: {actions: [blocked.*]}\nrules: [{id: never, effect: block, reason: Nobody does this.}]\n",
]
NOOP = "name: portal.noop\ntitle: Do nothing\nexecutor: noop\n"


@dataclass
class Caller:
    """Somebody who calls the API, and what they show."""

    credential: str | None = None
    user: User | None = None
    agent: Agent | None = None
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def call(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str) -> Any:
        """Send JSON, or `raw` bytes; keyword arguments are headers with underscores for dashes."""
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if self.credential:
            sent.setdefault("Authorization", f"Bearer {self.credential}")
        content_type = sent.pop("Content-Type")
        address = path if path.startswith(("/", "http")) else f"/api/v1/{path}"
        return self.client.generic(method, address, data, content_type, headers=sent)

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> Any:
        return self.call("POST", path, body, **kwargs)

    def delete(self, path: str, **headers: str) -> Any:
        return self.call("DELETE", path, **headers)

    def propose(self, action: str = "email.send", payload: Any = None, **members: Any) -> dict[str, Any]:
        """A stored intent, as the answer shows it."""
        response = self.post("intents", {"action": action, "payload": payload or {"to": "ada@example.com"}, **members})
        assert response.status_code == 201, response.content
        return response.json()


@pytest.fixture
def groups(db: None) -> dict[str, Group]:
    return {group.name: group for group in roles.install()}


@pytest.fixture
def make_person(groups: dict[str, Group]) -> Callable[..., Caller]:
    def make(name: str, *roles_of_person: str) -> Caller:
        user = User.objects.create_user(name, password=None)
        user.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles_of_person])
        return Caller(credential=create_token(user, by=SETUP)[1], user=user)

    return make


@pytest.fixture
def owner(make_person: Callable[..., Caller]) -> Caller:
    return make_person("olivia", "reviewers")


@pytest.fixture
def make_agent(owner: Caller) -> Callable[[str], Caller]:
    def make(name: str) -> Caller:
        agent = agents.register_agent(name=name, owner=owner.user, by=SETUP)
        return Caller(credential=agents.create_key(agent, by=SETUP)[1], agent=agent)

    return make


@pytest.fixture
def agent(make_agent: Callable[[str], Caller]) -> Caller:
    return make_agent("billing")


@pytest.fixture
def other_agent(make_agent: Callable[[str], Caller]) -> Caller:
    return make_agent("mailer")


@pytest.fixture
def suspended_agent(make_agent: Callable[[str], Caller]) -> Caller:
    caller = make_agent("suspended")
    agents.suspend_agent(caller.agent, by=SETUP)
    return caller


@pytest.fixture
def revoked_key(make_agent: Callable[[str], Caller]) -> Caller:
    caller = make_agent("revoked")
    agents.revoke_key(caller.agent.keys.get(), by=SETUP)
    return caller


@pytest.fixture
def reviewer(make_person: Callable[..., Caller]) -> Caller:
    return make_person("rita", "reviewers")


@pytest.fixture
def second_reviewer(make_person: Callable[..., Caller]) -> Caller:
    return make_person("ravi", "reviewers")


@pytest.fixture
def operator(make_person: Callable[..., Caller]) -> Caller:
    return make_person("otto", "operators")


@pytest.fixture
def auditor(make_person: Callable[..., Caller]) -> Caller:
    return make_person("anna", "auditors")


@pytest.fixture
def policy_author(make_person: Callable[..., Caller]) -> Caller:
    return make_person("paul", "policy_authors")


@pytest.fixture
def stranger(make_person: Callable[..., Caller]) -> Caller:
    """A person with an account and no group."""
    return make_person("sam")


@pytest.fixture
def anonymous(db: None) -> Caller:
    return Caller()


@pytest.fixture
def policy(groups: dict[str, Group]) -> None:
    """`allowed.*` and `portal.*` are allowed, `blocked.*` is blocked, and all else asks a reviewer."""
    for text in POLICIES:
        documents.save_policy(text, by=SETUP, user=None)


@pytest.fixture
def noop_type(groups: dict[str, Group]) -> None:
    """`portal.noop` is an action that the portal itself carries out."""
    documents.save_action_type(NOOP, by=SETUP, user=None)


def problem(response: Any, status: int, kind: str, path: str | None = None) -> dict[str, Any]:
    """The problem document of an answer, after holding it to its form."""
    assert response.status_code == status, (response.status_code, response.content)
    assert response["Content-Type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == f"urn:zehrava:problem:{kind}", document
    assert document["status"] == status
    assert document["title"] and document["detail"]
    if path is not None:
        assert document["path"] == path, document
    return document
