"""Evaluating an intent against every policy that matches. Pure: what varies is passed in (promise 7)."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from zehrava.sensitive import Path

from .conditions import Reads
from .deciding import Prepared, Said, decide, join
from .errors import Fault, PolicyError
from .globs import compile_glob
from .limits import plain
from .plain_data import EvaluationError, check_json, utc, whole_numbers
from .requirements import Requirement
from .rules import Policy
from .telling import TOLD, Told
from .verdicts import ASK, BLOCK, Verdict

_AGENT = ("id", "name", "owner", "environment", "tier", "labels")
_REMEMBERED = 2_048


class _Candidate(NamedTuple):
    """A policy that may apply; ``covers`` is None where only the intent can tell."""

    prepared: Prepared
    covers: bool | None


class _Candidates(NamedTuple):
    """The policies for one action and agent, in order of their names, and what their conditions read."""

    candidates: tuple[_Candidate, ...]
    reads: Reads


class Evaluator:
    """Policies that decide together: block wins over require_approval, which wins over allow.

    Args:
        policies: in any order.
        default: what is said where no policy matches: ``require_approval`` or ``block``.

    Attributes:
        policies: in order of their names; ``names`` is the set of those.

    Raises:
        PolicyError: when two have the same name.
        ValueError: for a default that allows.
    """

    def __init__(self, policies: Iterable[Policy], *, default: str = ASK) -> None:
        if default not in (ASK, BLOCK):
            raise ValueError(f"where no policy matches, the default is {ASK} or {BLOCK}, not {default!r}")
        self.default = default
        self.policies: tuple[Policy, ...] = tuple(sorted(policies, key=lambda policy: policy.name))
        self._by_name = {policy.name: policy for policy in self.policies}
        if len(self._by_name) != len(self.policies):
            names = [policy.name for policy in self.policies]
            twice = next(name for name in names if names.count(name) > 1)
            raise PolicyError(Fault("name", f"two policies are called {twice!r}"))
        self.names = frozenset(self._by_name)
        self._prepared = {policy.name: Prepared.of(policy) for policy in self.policies}
        self._by_action: dict[str, list[Policy]] = {}
        self._by_glob: list[tuple[Policy, Any]] = []
        for policy in self.policies:
            self._index(policy)
        self._remembered: dict[tuple[str | None, ...], _Candidates] = {}

    def _index(self, policy: Policy) -> None:
        globs = []
        for pattern in policy.match.actions if policy.match.actions is not None else ("*",):
            if "*" in pattern:
                globs.append(compile_glob(pattern))
            else:
                self._by_action.setdefault(pattern, []).append(policy)
        if globs:
            self._by_glob.append((policy, tuple(globs)))

    def _candidates(self, action: str, name: Any, environment: Any, named: Policy | None) -> _Candidates:
        """What may apply to an action of an agent, worked out once for each of them."""
        key = (
            action,
            name if type(name) is str else None,
            environment if type(environment) is str else None,
            named.name if named else None,
        )
        found = self._remembered.get(key)
        if found is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()  # agents choose names; memory must not grow with them
            found = self._remembered[key] = self._choose(action, name, environment, named)
        return found

    def _choose(self, action: str, name: Any, environment: Any, named: Policy | None) -> _Candidates:
        chosen = {policy.name: policy for policy in self._by_action.get(action, ())}
        for policy, globs in self._by_glob:
            if any(holds(action) for holds in globs):
                chosen[policy.name] = policy
        covered = {each: _covers(policy, name, environment) for each, policy in chosen.items()}
        if named is not None:
            covered.setdefault(named.name, False)
        candidates = tuple(
            _Candidate(self._prepared[each], covers)
            for each, covers in sorted(covered.items())
            if covers is not False or (named is not None and each == named.name)
        )
        conditions = (condition for each in candidates for _, condition, _ in each.prepared.rules if condition)
        return _Candidates(candidates, Reads(conditions))

    def may_cover(self, *, action: str, agent: Mapping[str, Any], policy: str | None = None) -> tuple[str, ...]:
        """The names of the policies that `evaluate` could ask about this action of this agent, whatever else is so."""
        named = self._by_name.get(policy) if policy is not None else None
        found = self._candidates(action, agent.get("name"), agent.get("environment"), named)
        return tuple(each.prepared.policy.name for each in found.candidates)

    def evaluate(
        self,
        *,
        action: str,
        payload: Any,
        agent: Mapping[str, Any],
        context: Mapping[str, Any] | None = None,
        target: str | None = None,
        tags: Iterable[str] = (),
        records: int | None = None,
        value: Mapping[str, Any] | None = None,
        summary: str | None = None,
        on_behalf_of: Any = None,
        execution_mode: str | None = None,
        reversible: bool | None = None,
        sensitivity: str | None = None,
        sensitive: Sequence[Path] = (),
        veiled: Collection[str] = (),
        usage: Mapping[str, Any] | None = None,
        now: datetime.datetime,
        policy: str | None = None,
    ) -> Verdict:
        """What the policies say about an intent. Never raises; whatever goes wrong is an ask.

        Args:
            agent: trusted attributes of the agent: id, name, owner, environment, tier, labels.
            context: what the agent claims; conditions see it under that name.
            value: amount and currency.
            reversible, sensitivity: what the action type says, never the agent: whether it can be undone, and ``low``,
                ``normal`` or ``high``; None where it does not say.
            sensitive: the paths in the payload that the action type marks sensitive; reasons tell them masked.
            veiled: of ``target``, ``records`` and ``value`` those that were worked out of that; told masked too.
            usage: how much of each limit is used, by ``policy/rule/0``: a number or a decimal string. None where it is
                not known: then a rule with limits asks, and ``limits`` of the verdict lists what is wanted.
            now: an aware time.
            policy: the name of a policy that shall apply besides; it can only narrow.
        """
        intent = {
            "action": action,
            "target": target,
            "records": records,
            "value": value,
            "summary_length": 0,
            "tags": tags,
            "on_behalf_of": on_behalf_of,
            "execution_mode": execution_mode,
            "reversible": reversible,
            "sensitivity": sensitivity,
        }
        try:
            return self._evaluate(intent, payload, agent, context, summary, usage, now, policy, (sensitive, veiled))
        except (KeyboardInterrupt, SystemExit):
            raise
        except EvaluationError as error:
            reason = f"policies could not be evaluated: {error}"
            return self._blocked_unread(action, agent, policy, reason) or _undecided(reason)
        except BaseException as error:  # fail closed, whatever it is
            return _undecided(f"policies could not be evaluated: {type(error).__name__}")

    def _blocked_unread(self, action: Any, agent: Any, named: str | None, reason: str) -> Verdict | None:
        """A block, where what cannot be read meets a policy whose first rule blocks: it would have failed, or held."""
        if not isinstance(action, str) or not isinstance(agent, Mapping):
            return None
        for name in self.may_cover(action=action, agent=agent, policy=named):
            policy = self._by_name[name]
            if policy.rules[0].effect == BLOCK:
                return Verdict(BLOCK, name, policy.version, policy.rules[0].id, reason, None)
        return None

    def _evaluate(
        self,
        intent: dict[str, Any],
        payload: Any,
        agent: Mapping[str, Any],
        context: Mapping[str, Any] | None,
        summary: str | None,
        usage: Mapping[str, Any] | None,
        now: datetime.datetime,
        policy: str | None,
        masked: tuple[Sequence[Path], Collection[str]],
    ) -> Verdict:
        values = _values(intent, payload, agent, context, summary, usage, now)
        if masked[0]:
            values[TOLD] = Told.of(values, *masked)
        said: list[Said] = []
        named, matched = None, False
        if policy is not None:
            named = self._by_name.get(policy)
            if named is None:
                said.append(Said(ASK, None, None, f"there is no policy {str(policy)[:63]!r}", Requirement()))
        who = {"name": values["agent"].get("name"), "environment": values["agent"].get("environment")}
        candidates, reads = self._candidates(intent["action"], **who, named=named)
        surroundings = reads.environment(values)
        for prepared, covers in candidates:
            each = prepared.policy
            if covers is None:
                try:
                    covers = each.match.covers(**who, tags=intent["tags"])
                except ValueError as error:
                    matched = True
                    said.append(Said(ASK, each, None, f"policy {each.name!r}: {error}", each.ask))
                    continue
            if covers:
                matched = True
                said.append(decide(prepared, surroundings, usage))
            elif each is named:
                # It can hold this intent tighter. What it counts is for those that it is meant for to use up.
                said.append(decide(prepared, surroundings, None)._replace(uses=()))
        if not matched:
            # What is said without the named policy is the floor: an agent that names one can only be held tighter.
            requirement = Requirement() if self.default == ASK else None
            said.append(Said(self.default, None, None, _unmatched(intent["action"]), requirement))
        return join(said, surroundings, usage)


def _covers(policy: Policy, name: Any, environment: Any) -> bool | None:
    """Whether a policy for this action is for this agent, too; None where that cannot be said once and for all."""
    try:
        if not policy.match.covers(name=name, environment=environment, tags=()) and policy.match.tags is None:
            return False
    except ValueError:
        return None
    return True if policy.match.tags is None else None


def _values(
    intent: dict[str, Any],
    payload: Any,
    agent: Mapping[str, Any],
    context: Mapping[str, Any] | None,
    summary: str | None,
    usage: Mapping[str, Any] | None,
    now: datetime.datetime,
) -> dict[str, Any]:
    """What conditions see, checked to be plain data."""
    if not isinstance(intent["action"], str) or not intent["action"]:
        raise EvaluationError("the action must be a name")
    tags = intent["tags"]
    if isinstance(tags, str | Mapping):
        raise EvaluationError("tags must be a list")
    intent["tags"] = list(tags) if tags else []
    if intent["value"] is not None:
        intent["value"] = whole_numbers(dict(intent["value"]))
    records = intent["records"] = whole_numbers(intent["records"])
    if records is not None and (type(records) is not int or records < 0):
        raise EvaluationError("records must be a whole number, zero or more")
    intent["summary_length"] = len(summary) if summary is not None else 0
    trusted = {key: agent[key] for key in _AGENT if key in agent}
    context = dict(context) if context is not None else {}
    check_json(payload, "payload")
    payload = whole_numbers(payload)
    for member in intent.values():
        if member is not None:
            check_json(member, "intent")
    for member in trusted.values():
        check_json(member, "agent")
    if context:
        check_json(context, "context")
        context = whole_numbers(context)
    used = {name: plain(value) if isinstance(value, Decimal) else value for name, value in (usage or {}).items()}
    if used:
        check_json(used, "usage")
    return {
        "payload": payload, "intent": intent, "agent": trusted, "context": context, "usage": used, "now": utc(now),
    }  # fmt: skip


def _unmatched(action: str) -> str:
    return f"no policy matches the action {action[:200]!r}"


def _undecided(reason: str) -> Verdict:
    return Verdict(ASK, None, None, None, reason, Requirement().document())
