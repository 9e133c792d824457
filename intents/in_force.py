"""What counts right now: keys, agents, policies and action types, read once and kept until their version moves.

One row holds the version. Every change of what is in force moves it in the same transaction, and every request and
claim reads it, so that a revoked key or a suspended agent stops counting everywhere as soon as that commit is done.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection

from audit.actors import Actor
from intents import outlines, recorded
from intents.models import ActionType as ActionTypeRow
from intents.models import ActionTypeVersion, Agent, AgentKey, InForce, PolicyVersion
from intents.models import Policy as PolicyRow
from intents.models.agents import STANDARD_TIER
from intents.outlines import Unreadable
from intents.parsing import parse_policy
from intents.recorded import Recorded
from zehrava.action_types import ActionType
from zehrava.policy import Policy, PolicySet
from zehrava.problems import Problem

Stored = TypeVar("Stored", PolicyRow, ActionTypeRow)
Parsed = TypeVar("Parsed")

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
    # Who made this key, and so could propose with it.
    key_maker_id: int | None = None

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
    unreadable: Mapping[str, Unreadable]

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
    unreadable_policies: Mapping[str, Unreadable]
    unreadable_action_types: Mapping[str, str]
    shadows: tuple[Shadow, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is in force, and the database's time at which that was so."""

    rules: Rules
    now: datetime
    # By this process's own clock, which nobody sets.
    read_at: float = field(default_factory=time.monotonic, compare=False)

    @property
    def is_old(self) -> bool:
        """Whether so much time has passed since it was read that something else may well be in force."""
        return time.monotonic() - self.read_at > _OLD

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


_LOADS = 5
# In seconds: what is judged by it is committed well within the second after which a revoked key counts nowhere.
_OLD = 0.25
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
                _rules = _load_whole(version)
            rules = _rules
    return Snapshot(rules, now)


def still(agent: AgentInForce, snapshot: Snapshot) -> AgentInForce:
    """The agent as the same key proves it now. Raises Problem `unauthenticated` or `suspended` where it does not."""
    for each in snapshot.agents_by_key.values():
        if each.id == agent.id and each.key_prefix == agent.key_prefix:
            if each.suspended:
                raise Problem("suspended", f"The agent {agent.name} is suspended; ask its owner or an operator.")
            return each
    raise Problem("unauthenticated", "This key was revoked. Ask the owner of the agent for another one.")


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


def _load_whole(version: int) -> Rules:
    """What is in force at one version. Several statements read it: a commit between them moved the version."""
    for _ in range(_LOADS):
        rules = _load(version)
        version, _now = _version_and_time()
        if rules.version == version:
            return rules
    # Somebody changes something all the time. What was read in parts lets nothing pass that it should not.
    return rules


def _load(version: int) -> Rules:
    policies, unreadable_policies = _documents(PolicyRow, _read_policy)
    lost = _with_outlines(unreadable_policies)
    action_types, unreadable_action_types = _documents(ActionTypeRow, _read_action_type)
    active = PolicySet([parsed for _, parsed in policies.values()], default=settings.ZEHRAVA_DEFAULT_EFFECT)
    return Rules(
        version=version,
        agents_by_key=_live_keys(),
        policies=active,
        policy_versions={name: stored.pk for name, (stored, _) in policies.items()},
        action_types={name: (stored.pk, parsed) for name, (stored, parsed) in action_types.items()},
        unreadable_policies=lost,
        unreadable_action_types=unreadable_action_types,
        shadows=_shadows(active, lost),
    )


def _read_policy(version: PolicyVersion) -> Policy:
    return parse_policy(version.text, version=version.number)


def _read_action_type(version: ActionTypeVersion) -> ActionType:
    return ActionType.parse(version.text)


def _documents(
    model: type[Stored], read: Callable[[Any], Parsed]
) -> tuple[dict[str, tuple[Any, Parsed]], dict[str, str]]:
    """The versions in force by name, each as it is stored and read, and why others cannot be used.

    What the ledger says is in force and what its row says has to be the same, also where there is no row any more.
    """
    said = recorded.newest(model)
    rows = list(model.objects.select_related("active"))
    versions = _recorded_versions(row.active for row in rows)
    found: dict[str, tuple[Any, Parsed]] = {}
    unreadable: dict[str, str] = {}
    for row in rows:
        before = said.get(row.pk)
        try:
            _refuse_moved(row, before)
            if row.active_id is None:
                continue
            _refuse_altered(row.active, row, versions)
            found[row.name] = (row.active, read(row.active))
        except Exception as error:
            logger.exception("%s %s cannot be used", model._meta.verbose_name, row.name)
            # Both names, where somebody gave the row another one.
            for name in {row.name, before.values["name"] if before else row.name}:
                unreadable[name] = str(error)
    for name in _gone(model, rows, said):
        found.pop(name, None)
        unreadable[name] = "Its row is gone, and no history says who deleted it. Load it anew, or restore the row."
        logger.critical("%s %s cannot be used: its row is gone", model._meta.verbose_name, name)
    return found, unreadable


def _gone(model: type[Stored], rows: list[Stored], said: Mapping[Any, Recorded]) -> list[str]:
    """The names of documents that the ledger has in force, or that nobody can tell of, and that have no row."""
    missing = set(said) - {row.pk for row in rows}
    lost = [said[key] for key in missing if not said[key].covered or not said[key].deleted]
    names = {str(each.values["name"]) for each in lost if not each.covered or each.values["active_id"] is not None}
    return sorted(name for name in names if not _is_replaced(model, name, rows))


def _is_replaced(model: type[Stored], name: str, rows: list[Stored]) -> bool:
    """Whether another row of that name came into force by the ledger: then people have seen to what was gone."""
    named = [row.pk for row in rows if row.name == name]
    if not named:
        return False
    return any(each.covered for each in recorded.ever(model, id=named[0], active_id__isnull=False))


def _with_outlines(unreadable: Mapping[str, str]) -> dict[str, Unreadable]:
    """What each of these policies could ask, by the history of the version that the ledger has in force, and of the one
    that its row points at: whichever was altered, the other still counts."""
    if not unreadable:
        return {}
    rows = dict(PolicyRow.objects.filter(name__in=unreadable).values_list("name", "active_id"))
    pointed: dict[str, set[Any]] = {name: {rows.get(name)} for name in unreadable}
    for said in recorded.newest(PolicyRow).values():
        if said.values["name"] in pointed:
            pointed[said.values["name"]].add(said.values["active_id"])
    wanted = set().union(*pointed.values()) - {None}
    versions = recorded.newest(PolicyVersion, wanted) if wanted else {}
    kept = {key: said.values["outline"] for key, said in versions.items() if said.covered}
    return {
        name: Unreadable(reason, outlines.joined(kept.get(key) for key in pointed[name]))
        for name, reason in unreadable.items()
    }


def _shadows(active: PolicySet, unreadable: Mapping[str, Unreadable]) -> tuple[Shadow, ...]:
    """What is in shadow. A version that cannot be used is left out: it has no say, so that nothing hangs on it."""
    rows = list(PolicyRow.objects.filter(shadow__isnull=False).select_related("shadow"))
    if not rows:
        return ()
    said = recorded.newest(PolicyRow, [row.pk for row in rows])
    versions = _recorded_versions(row.shadow for row in rows)
    found = []
    for row in rows:
        version = row.shadow
        try:
            if version is None or recorded.differing(said.get(row.pk), name=row.name, shadow_id=version.pk):
                raise ValueError("The version in shadow is not the one that was recorded when it was put there.")
            _refuse_altered(version, row, versions)
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


def _recorded_versions(versions: Iterable[Any]) -> dict[Any, Recorded]:
    """What the ledger says of these versions, all of one kind; None among them is passed over."""
    wanted = [version for version in versions if version is not None]
    return recorded.newest(type(wanted[0]), [version.pk for version in wanted]) if wanted else {}


def _refuse_moved(row: PolicyRow | ActionTypeRow, said: Recorded | None) -> None:
    if recorded.differing(said, name=row.name, active_id=row.active_id):
        raise ValueError("The version in force is not the one that was recorded when it came into force.")


def _refuse_altered(
    version: PolicyVersion | ActionTypeVersion | None, row: PolicyRow | ActionTypeRow, said: Mapping[Any, Recorded]
) -> None:
    if version is None:
        raise ValueError("The version in force is gone.")
    if getattr(version, recorded.document_key(version)) != row.pk:
        raise ValueError("The version in force is one of something else.")
    if moved := recorded.differing_version(version, said.get(version.pk)):
        raise ValueError(f"The stored version is not the one that was saved: {', '.join(moved)}.")


def _live_keys() -> dict[str, AgentInForce]:
    """The agents by the hash of each key that counts: in its row, and by the history of key and agent."""
    live = AgentKey.objects.filter(revoked_at__isnull=True).select_related("agent__owner")
    agents = recorded.newest(Agent, live.values("agent_id"))
    keys = recorded.newest(AgentKey, live.values("id"))
    found = {}
    for key in live.iterator(chunk_size=2000):
        agent = key.agent
        row = {"agent_id": agent.pk, "hash": key.hash, "revoked_at": None, "made_by_id": key.made_by_id}
        moved = recorded.differing(keys.get(key.pk), **row)
        if moved or not _is_as_recorded(agent, agents.get(agent.pk)):
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
            key_maker_id=key.made_by_id,
        )
    return found


def _is_as_recorded(agent: Agent, said: Recorded | None) -> bool:
    stored = {name: getattr(agent, name) for name in ("owner_id", "environment", "suspended_at", "tier", "labels")}
    # History from before agents had these says nothing of them: then they are what every agent began with.
    for name, began in (("tier", STANDARD_TIER), ("labels", {})):
        if said is not None and said.values[name] is None and stored[name] == began:
            del stored[name]
    return not recorded.differing(said, **stored)
