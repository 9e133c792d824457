"""Rows for tests, made through the functions that the portal itself uses."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

from django.contrib.auth.models import Group, User

from audit.actors import Actor
from intents import in_force
from intents.agents import create_key, register_agent
from intents.documents import save_action_type, save_policy
from intents.in_force import AgentInForce
from intents.models import Agent, Intent
from intents.propose import propose
from reviews.queue import waiting_for

ARRANGER = Actor.system("arranger")
PASSWORD = "correct horse battery"
_number = itertools.count(1)


def make_user(name: str | None = None, *groups: str, **fields: Any) -> User:
    """A person in these groups, who may enter the admin; the password is `PASSWORD`."""
    name = name or f"person-{next(_number)}"
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True, **fields)
    user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
    return user


def make_agent(name: str | None = None, *, owner: User | None = None, **fields: Any) -> tuple[Agent, str]:
    """An agent and the text of its one key."""
    owner = owner or make_user()
    agent = register_agent(name=name or f"agent-{next(_number)}", owner=owner, by=ARRANGER, **fields)
    return agent, create_key(agent, by=ARRANGER)[1]


def in_force_as(key: str) -> AgentInForce:
    """The agent that this key proves, as the API would find it."""
    return in_force.current().agents_by_key[hashlib.sha256(key.encode()).hexdigest()]


def make_intent(
    key: str | None = None, *, action: str = "stripe.refund", payload: Any = None, **members: Any
) -> Intent:
    """An intent proposed by the agent of this key (default: a new one); its status is what policy says."""
    key = key or make_agent()[1]
    body = {"action": action, "payload": {"amount": "10.00"} if payload is None else payload, **members}
    answer = propose(in_force_as(key), body, idempotency_key=f"arranged-{next(_number)}")
    return Intent.objects.get(pk=answer.intent_id)


def load_policy(text: str) -> None:
    save_policy(text, by=ARRANGER, user=None)


def load_action_type(text: str) -> None:
    save_action_type(text, by=ARRANGER, user=None)


def allow(action: str, *, name: str = "allow-it") -> None:
    """A policy that lets this action pass."""
    load_policy(f"name: {name}\nmatch: {{actions: ['{action}']}}\nrules: [{{id: all, effect: allow}}]\n")


def run_by_noop(action: str) -> None:
    """An action type whose executor succeeds and does nothing."""
    load_action_type(f"name: {action}\nexecutor: noop\n")


def ids_waiting_for(person: User) -> tuple[str, ...]:
    """What waits for this person, most urgent first."""
    return tuple(waiting_for(person).values_list("pk", flat=True))
