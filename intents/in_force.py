"""What counts right now: keys, agents, policies and action types, read once and kept until their version moves.

One row holds the version. Every change of what is in force moves it in the same transaction, and every request and
claim reads it, so that a revoked key or a suspended agent stops counting everywhere as soon as that commit is done.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from audit.actors import Actor
from audit.models import Event
from intents.models import ActionType as ActionTypeRow
from intents.models import ActionTypeVersion, AgentKey, InForce, PolicyVersion
from intents.models import Policy as PolicyRow
from zehrava import canonical
from zehrava.action_types import ActionType
from zehrava.policy import Policy, PolicySet

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AgentInForce:
    """An agent as one of its live keys proves it; `key_prefix` names the key."""

    id: str
    name: str
    owner_id: int
    owner_name: str
    environment: str
    suspended: bool
    key_prefix: str

    @property
    def actor(self) -> Actor:
        return Actor.agent(self.id, self.name)

    def trusted_attributes(self) -> dict[str, str]:
        """What policy may rely on: registered by people, never claimed by the agent."""
        return {"id": self.id, "name": self.name, "owner": self.owner_name, "environment": self.environment}


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything in force at one version. `unreadable` names documents that cannot be used, and why: nothing that
    they would have decided is allowed."""

    version: int
    agents_by_key: Mapping[str, AgentInForce]
    policies: PolicySet
    policy_versions: Mapping[str, int]
    action_types: Mapping[str, tuple[int, ActionType]]
    unreadable_policies: Mapping[str, str]
    unreadable_action_types: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is in force, and the database's time at which that was so."""

    rules: Rules
    now: datetime

    @property
    def version(self) -> int:
        return self.rules.version

    @property
    def agents_by_key(self) -> Mapping[str, AgentInForce]:
        return self.rules.agents_by_key

    @property
    def policies(self) -> PolicySet:
        return self.rules.policies

    @property
    def policy_versions(self) -> Mapping[str, int]:
        """The primary key of the version in force, by policy name."""
        return self.rules.policy_versions

    @property
    def action_types(self) -> Mapping[str, tuple[int, ActionType]]:
        """The primary key of the version in force and the parsed type, by action."""
        return self.rules.action_types


_lock = threading.Lock()
_rules: Rules | None = None


def current() -> Snapshot:
    """What is in force now: one query, and a reload only where the version has moved."""
    global _rules
    version, now = _version_and_time()
    rules = _rules
    if rules is None or rules.version != version:
        with _lock:
            if _rules is None or _rules.version != version:
                _rules = _load(version)
            rules = _rules
    return Snapshot(rules, now)


def bump() -> None:
    """Move the version. Call it in the transaction that changes a key, an agent, a policy or an action type."""
    # Random, not plus one: a version from a transaction that was rolled back never comes again with other rules.
    version = secrets.randbits(62)
    if not InForce.objects.filter(pk=1).update(version=version):
        InForce.objects.create(pk=1, version=version)


def _version_and_time() -> tuple[int, datetime]:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT version, clock_timestamp() FROM intents_inforce WHERE id = 1")
            row = cursor.fetchone()
        else:
            # SQLite reads the clock of this process too.
            cursor.execute("SELECT version FROM intents_inforce WHERE id = 1")
            found = cursor.fetchone()
            row = (found[0], datetime.now(UTC)) if found else None
    if row is None:
        bump()
        return _version_and_time()
    return row[0], row[1].astimezone(UTC)


def _load(version: int) -> Rules:
    policies, policy_versions, unreadable_policies = [], {}, {}
    saved = _digests_in_the_ledger("policy_version.created")
    activated = _last_facts("policy.activated", "policy.disabled")
    for row in PolicyRow.objects.select_related("active"):
        try:
            _refuse_moved(row, activated)
            if row.active is None:
                continue
            _refuse_altered(row.active, saved)
            policies.append(Policy.parse(row.active.text, version=row.active.number))
            policy_versions[row.name] = row.active.pk
        except Exception as error:
            logger.exception("policy %s cannot be used", row.name)
            unreadable_policies[row.name] = str(error)
    action_types, unreadable_action_types = {}, {}
    saved = _digests_in_the_ledger("action_type_version.created")
    activated = _last_facts("action_type.activated", "action_type.retired")
    for type_row in ActionTypeRow.objects.select_related("active"):
        try:
            _refuse_moved(type_row, activated)
            if type_row.active is None:
                continue
            _refuse_altered(type_row.active, saved)
            action_types[type_row.name] = (type_row.active.pk, ActionType.parse(type_row.active.text))
        except Exception as error:
            logger.exception("action type %s cannot be used", type_row.name)
            unreadable_action_types[type_row.name] = str(error)
    return Rules(
        version=version,
        agents_by_key=_live_keys(),
        policies=PolicySet(policies),
        policy_versions=policy_versions,
        action_types=action_types,
        unreadable_policies=unreadable_policies,
        unreadable_action_types=unreadable_action_types,
    )


def _digests_in_the_ledger(event: str) -> dict[str, str]:
    """The digest with which each version was saved, by its key: the row could be changed, the ledger could not."""
    lines = Event.objects.filter(type=event).values_list("subject_id", "line")
    return {subject: json.loads(line)["facts"]["digest"] for subject, line in lines.iterator(chunk_size=500)}


def _refuse_altered(version: PolicyVersion | ActionTypeVersion, saved: Mapping[str, str]) -> None:
    digest = canonical.digest(version.text.encode())
    if not digest == version.digest == saved.get(str(version.pk)):
        raise ValueError("The stored text is not the one that was saved: its digest differs.")


def _last_facts(*types: str) -> dict[str, dict[str, Any]]:
    """What the last event of these types says of each subject, by its key."""
    lines = Event.objects.filter(type__in=types).order_by("id").values_list("subject_id", "line")
    return {subject: json.loads(line)["facts"] for subject, line in lines.iterator(chunk_size=500)}


def _refuse_moved(row: PolicyRow | ActionTypeRow, activated: Mapping[str, Mapping[str, Any]]) -> None:
    """Which version is in force is what was recorded when a person said so, not what the row points at."""
    recorded = activated.get(str(row.pk), {}).get("version")
    if recorded != (row.active.number if row.active else None):
        raise ValueError("The version in force is not the one that the ledger recorded.")


def _live_keys() -> dict[str, AgentInForce]:
    """The agents by the hash of each key that counts: in its row, and by what the ledger says of key and agent."""
    revoked = _last_facts("agent_key.revoked")
    registered = _last_facts("agent.created", "agent.changed")
    changes = Event.objects.filter(type__in=("agent.suspended", "agent.resumed")).order_by("id")
    last = dict(changes.values_list("subject_id", "type"))
    suspended = {agent for agent, type in last.items() if type == "agent.suspended"}
    found = {}
    for key in (
        AgentKey.objects.filter(revoked_at__isnull=True).select_related("agent__owner").iterator(chunk_size=2000)
    ):
        agent = key.agent
        facts = registered.get(agent.pk, {})
        recorded = (facts.get("owner"), facts.get("environment"))
        if str(key.pk) in revoked or recorded != (agent.owner_id, agent.environment):
            logger.critical("key %s of %s is refused: the ledger says otherwise than its row", key.prefix, agent.name)
            continue
        found[key.hash] = AgentInForce(
            id=agent.id,
            name=agent.name,
            owner_id=agent.owner_id,
            owner_name=agent.owner.get_username(),
            environment=agent.environment,
            suspended=agent.is_suspended or agent.pk in suspended,
            key_prefix=key.prefix,
        )
    return found
