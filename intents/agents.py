"""Registering agents, making and revoking their keys, suspending them.

Every change is one transaction: the row, its history, its ledger event, and the version of what is in force, so that
a revoked key or a suspended agent counts with the next request everywhere.
"""

import hashlib
import secrets
import string
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from audit import clock, ledger
from audit.actors import Actor
from intents import in_force
from intents.models import Agent, AgentKey
from intents.models.agents import STANDARD_TIER
from intents.models.intents import NOT_BEGUN
from zehrava import ids
from zehrava.problems import Problem

KEY_PREFIX = "zhv_"
# Letters and digits only, so that a double click selects the whole key; 43 of 62 are 256 bits.
_KEY_ALPHABET = string.ascii_letters + string.digits
_KEY_LENGTH = 43
_SHOWN_LENGTH = 12
# The name is what policies match and auditors read: it never changes.
CHANGEABLE = frozenset({"owner", "environment", "description", "tier", "labels"})


@transaction.atomic
def register_agent(
    *,
    name: str,
    owner: User,
    description: str = "",
    environment: str = "production",
    tier: str = STANDARD_TIER,
    labels: Mapping[str, str] | None = None,
    by: Actor,
) -> Agent:
    """Register a program as an agent. It has no key yet, see `create_key`.

    `tier` and `labels` are what policies may rely on besides its name, owner and environment. Raises Problem "invalid"
    for a name that is taken or not allowed, a bad environment, tier or label, or an inactive owner.
    """
    agent = Agent(
        id=ids.new("agt", at=clock.now()),
        name=name,
        owner=owner,
        description=description,
        environment=environment,
        tier=tier,
        labels=dict(labels or {}),
    )
    if Agent.objects.filter(name=name).exists():
        raise Problem("invalid", f"There is an agent called {name!r} already: choose another name.", path="/name")
    _check_owner(owner)
    _validate(agent)
    ledger.save(agent, "agent.created", by=by, facts=_facts(agent))
    in_force.bump()
    return agent


@transaction.atomic
def change_agent(agent: Agent, *, by: Actor, **fields: Any) -> Agent:
    """Change `owner`, `environment`, `description`, `tier` or `labels`; what stays as it was is not recorded.

    Raises Problem "invalid" for a value that is not allowed, TypeError for any other field.
    """
    if unknown := fields.keys() - CHANGEABLE:
        raise TypeError(f"{', '.join(sorted(unknown))} of an agent cannot be changed.")
    agent = _locked(agent)
    changed = sorted(name for name, value in fields.items() if getattr(agent, name) != value)
    if not changed:
        return agent
    for name in changed:
        setattr(agent, name, fields[name])
    if "owner" in changed:
        _check_owner(agent.owner)
    _validate(agent)
    facts = {"changed": changed, **_facts(agent)}
    ledger.save(agent, "agent.changed", by=by, facts=facts, update_fields=changed)
    in_force.bump()
    return agent


@transaction.atomic
def create_key(agent: Agent, *, by: Actor) -> tuple[AgentKey, str]:
    """Make one more key. Returns its row and its text, which is nowhere kept: show it once."""
    text = KEY_PREFIX + "".join(secrets.choice(_KEY_ALPHABET) for _ in range(_KEY_LENGTH))
    key = AgentKey(agent=agent, prefix=text[:_SHOWN_LENGTH], hash=key_hash(text), made_by_id=by.user_id)
    ledger.save(key, "agent_key.created", by=by, facts={"prefix": key.prefix})
    in_force.bump()
    return key, text


@transaction.atomic
def revoke_key(key: AgentKey, *, by: Actor) -> AgentKey:
    """Stop accepting a key, for ever. A key that is revoked already stays as it is."""
    key = AgentKey.objects.select_for_update(of=("self",)).select_related("agent").get(pk=key.pk)
    if key.is_revoked:
        return key
    key.revoked_at = clock.now()
    ledger.save(key, "agent_key.revoked", by=by, facts={"prefix": key.prefix}, update_fields=["revoked_at"])
    in_force.bump()
    return key


@transaction.atomic
def suspend_agent(agent: Agent, *, by: Actor) -> Agent:
    """Accept nothing from the agent until it is resumed. One that is suspended already stays as it is."""
    agent = _locked(agent)
    if agent.is_suspended:
        return agent
    agent.suspended_at = clock.now()
    ledger.save(agent, "agent.suspended", by=by, update_fields=["suspended_at"])
    in_force.bump()
    return agent


@transaction.atomic
def resume_agent(agent: Agent, *, by: Actor) -> Agent:
    """Let a suspended agent act again. One that is not suspended stays as it is.

    Raises Problem `conflict` while the kill switch has not cancelled all that it has to, and `forbidden` where
    its owner would undo that.
    """
    agent = _locked(agent)
    if not agent.is_suspended:
        return agent
    if agent.killed_at and by.user_id == agent.owner_id:
        raise Problem("forbidden", "You own this agent. Another operator resumes it after the kill switch.")
    if agent.killed_at and (left := agent.intents.filter(status__in=NOT_BEGUN).count()):
        raise Problem(
            "conflict", f"The kill switch still has {left:,} of its intents to cancel. Resume it when that is done."
        )
    agent.suspended_at = agent.killed_at = None
    ledger.save(agent, "agent.resumed", by=by, update_fields=["suspended_at", "killed_at"])
    in_force.bump()
    return agent


def key_hash(text: str) -> str:
    """What is stored of a key, and looked up with each request."""
    return hashlib.sha256(text.encode()).hexdigest()


def _locked(agent: Agent) -> Agent:
    return Agent.objects.select_for_update(of=("self",)).select_related("owner").get(pk=agent.pk)


def _facts(agent: Agent) -> dict[str, Any]:
    # Labels are people's words: history needs them, and holds them once.
    return {"owner": agent.owner_id, "environment": agent.environment, "tier": agent.tier}


def _check_owner(owner: User) -> None:
    if not owner.is_active:
        raise Problem(
            "invalid",
            f"{owner.get_username()} is not active: name an owner who can answer for the agent.",
            path="/owner",
        )


def _validate(agent: Agent) -> None:
    try:
        agent.full_clean()
    except ValidationError as error:
        errors = [{"path": f"/{field}", "detail": " ".join(messages)} for field, messages in error.message_dict.items()]
        detail = "; ".join(f"{found['path'][1:]}: {found['detail']}" for found in errors)
        raise Problem("invalid", detail, path=errors[0]["path"], errors=errors) from error
