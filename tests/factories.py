"""Rows for tests, made through the functions that the portal itself uses."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, Permission, User

from audit import clock, ledger
from audit.actors import Actor
from intents import in_force, lifecycle
from intents.agents import create_key, register_agent
from intents.documents import save_action_type, save_policy
from intents.in_force import AgentInForce
from intents.models import Agent, Intent, ReadingRule
from intents.propose import propose
from intents.reading_rules import set_rule
from reviews import circumstances
from reviews.delegation import delegate
from reviews.managers import set_manager
from reviews.models import Delegation, StandingApproval
from reviews.queue import waiting_for
from reviews.second_factor import Factor
from reviews.standing import steps
from reviews.standing.terms import Terms

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


def make_delegation(delegator: User, to: User, **members: Any) -> Delegation:
    """A delegation in force, for a day."""
    members = {"until": clock.now() + timedelta(days=1), "reason": "arranged", **members}
    return delegate(delegator, to=to, **members)


def manage(manager: User, *people: User) -> None:
    """Write down that these people have this manager."""
    by = make_user()
    for person in people:
        set_manager(person, manager=manager, by=by)


def end(delegation: Delegation) -> None:
    """Let the end of a delegation have come a minute ago."""
    now = clock.now()
    Delegation.objects.filter(pk=delegation.pk).update(
        starts_at=now - timedelta(days=2), ends_at=now - timedelta(minutes=1)
    )


def ask_in_advance(
    agent: Agent, *, by: User, action: str = "a.b", factor: Factor | None = None, **terms: Any
) -> StandingApproval:
    """A standing approval that this person asks for and nobody approved yet; no samples are drawn unless said."""
    terms = {"max_uses": 100, "sample_percent": 0, "reason": "the same every night", **terms}
    terms.setdefault("expires_at", clock.now() + timedelta(days=30))
    return steps.ask(Terms(agent=agent, action=action, **terms), by=by, factor=factor)


def approve_in_advance(agent: Agent, *, by: User, second: User, **terms: Any) -> StandingApproval:
    """The same, in force: `second` approved it."""
    factor = terms.get("factor")
    approval = ask_in_advance(agent, by=by, **terms)
    return steps.approve(approval, by=second, digest=approval.terms_digest, factor=factor)


def time_passes(intent: Intent, **length: float) -> Intent:
    """Let an intent be older by this length, in the ledger too, so that nothing looks altered; returns it anew."""
    moved, gone = Intent.objects.get(pk=intent.pk), timedelta(**length)
    moved.created_at -= gone
    moved.expires_at -= gone
    if moved.next_step_at is not None:
        moved.next_step_at -= gone
    ledger.save(moved, "intent.proposed", by=ARRANGER, facts=lifecycle._bound(moved))
    return moved


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


def opened(intent: Intent, person: User, **changes: Any) -> str:
    """What the page of this intent puts into its form when it is shown to this person now."""
    told = {"intent_id": intent.pk, "person": person, "digest": intent.digest, "at": clock.now()}
    return circumstances.opening(**{**told, **changes})


def ids_waiting_for(person: User) -> tuple[str, ...]:
    """What waits for this person, most urgent first."""
    return tuple(waiting_for(person).values_list("pk", flat=True))


def narrow(group: str, *, environments: Sequence[str] = (), up_to: str = "") -> ReadingRule:
    """Narrow what the members of this group read by its permission."""
    made = Group.objects.get_or_create(name=group)[0]
    return set_rule(made, environments=environments, sensitivity_up_to=up_to, by=ARRANGER)


def give(group: str, *permissions: str) -> Group:
    """A group with these permissions, each as `app.codename`."""
    made = Group.objects.get_or_create(name=group)[0]
    for label in permissions:
        app, codename = label.split(".")
        made.permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return made
