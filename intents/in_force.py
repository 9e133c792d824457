"""What counts right now: keys, agents, policies and action types, read once and kept until their version moves.

One row holds the version. Every change of what is in force moves it in the same transaction, and every request and
claim reads it, so that a revoked key or a suspended agent stops counting everywhere as soon as that commit is done.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Max, Model

from audit.actors import Actor
from intents.models import ActionType as ActionTypeRow
from intents.models import ActionTypeVersion, Agent, AgentKey, InForce, PolicyVersion
from intents.models import Policy as PolicyRow
from intents.models.agents import STANDARD_TIER
from zehrava import canonical
from zehrava.action_types import ActionType
from zehrava.policy import PolicySet, parse_policy

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
    tier: str = STANDARD_TIER
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def actor(self) -> Actor:
        return Actor.agent(self.id, self.name)

    def trusted_attributes(self) -> dict[str, Any]:
        """What policy may rely on: registered by people, never claimed by the agent."""
        return {
            "id": self.id,
            "name": self.name,
            "owner": self.owner_name,
            "environment": self.environment,
            "tier": self.tier,
            "labels": dict(self.labels),
        }


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version of a policy in shadow: the active set with it in place of the active version, and its own counting."""

    name: str
    number: int
    version_id: int
    namespace: str
    policies: PolicySet
    unreadable: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"


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
    shadows: tuple[Shadow, ...] = ()


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
    saved, recorded = _recorded(PolicyVersion, "digest"), _recorded(PolicyRow, "active_id")
    for row in PolicyRow.objects.select_related("active"):
        try:
            _refuse_moved(row, recorded)
            if row.active is None:
                continue
            _refuse_altered(row.active, saved)
            policies.append(parse_policy(row.active.text, version=row.active.number))
            policy_versions[row.name] = row.active.pk
        except Exception as error:
            logger.exception("policy %s cannot be used", row.name)
            unreadable_policies[row.name] = str(error)
    action_types, unreadable_action_types = {}, {}
    saved, recorded = _recorded(ActionTypeVersion, "digest"), _recorded(ActionTypeRow, "active_id")
    for type_row in ActionTypeRow.objects.select_related("active"):
        try:
            _refuse_moved(type_row, recorded)
            if type_row.active is None:
                continue
            _refuse_altered(type_row.active, saved)
            action_types[type_row.name] = (type_row.active.pk, ActionType.parse(type_row.active.text))
        except Exception as error:
            logger.exception("action type %s cannot be used", type_row.name)
            unreadable_action_types[type_row.name] = str(error)
    active = PolicySet(policies, default=settings.ZEHRAVA_DEFAULT_EFFECT)
    return Rules(
        version=version,
        agents_by_key=_live_keys(),
        policies=active,
        policy_versions=policy_versions,
        action_types=action_types,
        unreadable_policies=unreadable_policies,
        unreadable_action_types=unreadable_action_types,
        shadows=_shadows(active, unreadable_policies),
    )


def _shadows(active: PolicySet, unreadable: Mapping[str, str]) -> tuple[Shadow, ...]:
    """What is in shadow. A version that cannot be used is left out: it has no say, so that nothing hangs on it."""
    rows = list(PolicyRow.objects.filter(shadow__isnull=False).select_related("shadow"))
    if not rows:
        return ()
    saved, recorded = _recorded(PolicyVersion, "digest"), _recorded(PolicyRow, "shadow_id")
    found = []
    for row in rows:
        version = row.shadow
        try:
            if version is None or version.policy_id != row.pk or recorded.get(row.pk) != (version.pk,):
                raise ValueError("The version in shadow is not the one that was recorded when it was put there.")
            _refuse_altered(version, saved)
            others = [policy for policy in active.policies if policy.name != row.name]
            draft = parse_policy(version.text, version=version.number)
            policies = PolicySet([*others, draft], default=active.default)
        except Exception:
            logger.exception("policy %s cannot be judged in shadow", row.name)
            continue
        # Counted from when it was put in shadow; a version that is put there again begins with nothing used.
        namespace = f"shadow:{version.pk}:{row.shadow_since.timestamp() if row.shadow_since else 0:.0f}"
        rest = {name: why for name, why in unreadable.items() if name != row.name}
        found.append(Shadow(row.name, version.number, version.pk, namespace, policies, rest))
    return tuple(found)


def _recorded(model: type[Model], *columns: str) -> dict[Any, tuple[Any, ...]]:
    """What the newest history row of each row says: the row could be changed by anyone, its history could not.

    Of a row that was deleted, what it was before.
    """
    history = model.history.exclude(history_type="-")  # type: ignore[attr-defined]
    newest = history.order_by().values("id").annotate(newest=Max("history_id")).values("newest")
    rows = history.order_by().filter(history_id__in=newest).values_list("id", *columns)
    return {key: tuple(values) for key, *values in rows.iterator(chunk_size=2000)}


def _refuse_altered(version: PolicyVersion | ActionTypeVersion, saved: Mapping[Any, tuple[Any, ...]]) -> None:
    digest = canonical.digest(version.text.encode())
    if digest != version.digest or saved.get(version.pk) != (digest,):
        raise ValueError("The stored text is not the one that was saved: its digest differs.")


def _refuse_moved(row: PolicyRow | ActionTypeRow, recorded: Mapping[Any, tuple[Any, ...]]) -> None:
    if recorded.get(row.pk) != (row.active_id,):
        raise ValueError("The version in force is not the one that was recorded when it came into force.")


def _live_keys() -> dict[str, AgentInForce]:
    """The agents by the hash of each key that counts: in its row, and by the history of key and agent."""
    agents = _recorded(Agent, "owner_id", "environment", "suspended_at", "tier", "labels")
    keys = _recorded(AgentKey, "agent_id", "hash", "revoked_at")
    live = AgentKey.objects.filter(revoked_at__isnull=True).select_related("agent__owner")
    found = {}
    for key in live.iterator(chunk_size=2000):
        agent = key.agent
        if keys.get(key.pk) != (agent.pk, key.hash, None) or not _is_as_recorded(agent, agents.get(agent.pk)):
            logger.critical("key %s of %s is refused: its history says otherwise", key.prefix, agent.name)
            continue
        found[key.hash] = AgentInForce(
            id=agent.id,
            name=agent.name,
            owner_id=agent.owner_id,
            owner_name=agent.owner.get_username(),
            environment=agent.environment,
            suspended=agent.is_suspended,
            key_prefix=key.prefix,
            tier=agent.tier,
            labels=agent.labels,
        )
    return found


def _is_as_recorded(agent: Agent, recorded: tuple[Any, ...] | None) -> bool:
    if recorded is None:
        return False
    owner, environment, suspended_at, tier, labels = recorded
    # History from before agents had these says nothing of them: then they are what every agent began with.
    began = (STANDARD_TIER if tier is None else tier, {} if labels is None else labels)
    return (agent.owner_id, agent.environment, agent.suspended_at, agent.tier, agent.labels) == (
        owner,
        environment,
        suspended_at,
        *began,
    )
