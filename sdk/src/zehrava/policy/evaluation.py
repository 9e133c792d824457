"""Evaluating an intent against every policy that matches. Pure: what varies is passed in (promise 7)."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from .conditions import EvaluationError, Reads, check_json, utc
from .document import Policy, Rule
from .errors import DocumentError, Fault, PolicyError
from .globs import compile_glob
from .limits import LimitError, Use, plain
from .requirements import Requirement
from .strict_yaml import MAX_BYTES
from .verdicts import ALLOW, ASK, BLOCK, DEFAULT_RULE, Verdict

_AGENT = ("id", "name", "owner", "environment", "tier", "labels")
_REMEMBERED_ACTIONS = 2_048


class _Said(NamedTuple):
    """What one policy said."""

    effect: str
    policy: Policy | None
    rule: str | None
    reason: str
    requirement: Requirement | None
    uses: tuple[Use, ...] = ()
    # Whether the rule said its own effect, so that its limits are used up by it.
    within: bool = False


class _Candidates(NamedTuple):
    """The policies whose actions cover one action, by name, and what their conditions read."""

    policies: tuple[Policy, ...]
    reads: Reads


class PolicySet:
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
        self._by_action: dict[str, list[Policy]] = {}
        self._by_glob: list[tuple[Policy, Any]] = []
        for policy in self.policies:
            self._index(policy)
        self._remembered: dict[str, _Candidates] = {}

    @classmethod
    def parse(cls, *texts: str) -> PolicySet:
        """Policies from YAML texts.

        Raises:
            PolicyError: for the first that is wrong.
        """
        return cls(Policy.parse(text) for text in texts)

    @classmethod
    def load(cls, *paths: str | Path) -> PolicySet:
        """Policies from files.

        Raises:
            PolicyError: for the first that is wrong; its attribute ``file`` names the file.
            OSError: when a file cannot be read.
        """
        return cls(load(path) for path in paths)

    def _index(self, policy: Policy) -> None:
        globs = []
        for pattern in policy.match.actions if policy.match.actions is not None else ("*",):
            if "*" in pattern:
                globs.append(compile_glob(pattern))
            else:
                self._by_action.setdefault(pattern, []).append(policy)
        if globs:
            self._by_glob.append((policy, tuple(globs)))

    def _candidates(self, action: str) -> _Candidates:
        found = self._remembered.get(action)
        if found is None:
            chosen = {policy.name: policy for policy in self._by_action.get(action, ())}
            for policy, globs in self._by_glob:
                if any(holds(action) for holds in globs):
                    chosen[policy.name] = policy
            policies = tuple(chosen[name] for name in sorted(chosen))
            found = _Candidates(policies, _reads(policies))
            if len(self._remembered) >= _REMEMBERED_ACTIONS:
                self._remembered.clear()  # agents choose names; memory must not grow with them
            self._remembered[action] = found
        return found

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
        usage: Mapping[str, Any] | None = None,
        now: datetime.datetime,
        policy: str | None = None,
    ) -> Verdict:
        """What the policies say about an intent. Never raises; whatever goes wrong is an ask.

        Args:
            agent: trusted attributes of the agent: id, name, owner, environment, tier, labels.
            context: what the agent claims; conditions see it under that name.
            value: amount and currency.
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
        }
        try:
            return self._evaluate(intent, payload, agent, context, summary, usage, now, policy)
        except (KeyboardInterrupt, SystemExit):
            raise
        except EvaluationError as error:
            return _undecided(f"policies could not be evaluated: {error}")
        except BaseException as error:  # fail closed, whatever it is
            return _undecided(f"policies could not be evaluated: {type(error).__name__}")

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
    ) -> Verdict:
        values = _values(intent, payload, agent, context, summary, usage, now)
        candidates = self._candidates(intent["action"])
        trace: list[dict[str, Any]] = []
        said: list[_Said] = []
        consulted: list[tuple[str, int]] = []
        named, invited, matched = None, False, False
        if policy is not None:
            named = self._by_name.get(policy)
            if named is None:
                said.append(_Said(ASK, None, None, f"there is no policy {str(policy)[:63]!r}", Requirement()))
            elif named not in candidates.policies:
                invited = True
                together = tuple(sorted((*candidates.policies, named), key=lambda each: each.name))
                candidates = _Candidates(together, _reads(together))
        surroundings = candidates.reads.environment(values)
        agent_is = {"name": values["agent"].get("name"), "environment": values["agent"].get("environment")}
        for each in candidates.policies:
            try:
                covers = not (invited and each is named) and each.match.covers(**agent_is, tags=intent["tags"])
                if not covers and each is not named:
                    continue
                matched = matched or covers
            except ValueError as error:
                matched = True
                said.append(_Said(ASK, each, None, f"policy {each.name!r}: {error}", each.ask))
                continue
            consulted.append((each.name, each.version))
            said.append(_decide(each, values, surroundings, trace, usage))
        if not matched:
            # What is said without the named policy is the floor: an agent that names one can only be held tighter.
            requirement = Requirement() if self.default == ASK else None
            said.append(_Said(self.default, None, None, _unmatched(intent["action"]), requirement))
        return _join(said, trace, tuple(consulted))


def load(path: str | Path) -> Policy:
    """One policy from a file.

    Raises:
        PolicyError: when it is wrong; its attribute ``file`` is the path.
        OSError: when it cannot be read.
    """
    try:
        return Policy.parse(read_text(path))
    except DocumentError as error:
        error.file = str(path)  # type: ignore[attr-defined]
        raise


def read_text(path: str | Path) -> str:
    """The text of a document file, no more of it than a document may have.

    Raises:
        PolicyError: when it is too long or not UTF-8.
        OSError: when it cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise PolicyError(f"The document is longer than {MAX_BYTES // 1024} KiB; split it")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise PolicyError(Fault("", "not UTF-8", before.count(b"\n") + 1, column)) from None


def _reads(policies: Iterable[Policy]) -> Reads:
    return Reads(rule.condition for policy in policies for rule in policy.rules if rule.condition)


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
        intent["value"] = dict(intent["value"])
    records = intent["records"]
    if records is not None and (type(records) is not int or records < 0):
        raise EvaluationError("records must be a whole number, zero or more")
    intent["summary_length"] = len(summary) if summary is not None else 0
    trusted = {key: agent[key] for key in _AGENT if key in agent}
    context = dict(context) if context is not None else {}
    check_json(payload, "payload")
    check_json(intent, "intent", depth=33)
    check_json(trusted, "agent", depth=33)
    check_json(context, "context")
    used = {name: plain(value) if isinstance(value, Decimal) else value for name, value in (usage or {}).items()}
    if used:
        check_json(used, "usage")
    return {
        "payload": payload, "intent": intent, "agent": trusted, "context": context, "usage": used, "now": utc(now),
    }  # fmt: skip


def _decide(
    policy: Policy,
    values: Mapping[str, Any],
    surroundings: Any,
    trace: list[dict[str, Any]],
    usage: Mapping[str, Any] | None,
) -> _Said:
    """The first rule whose condition holds, or fails, decides for this policy."""
    name, version = policy.name, policy.version
    for rule in policy.rules:
        condition = rule.condition
        held: Any = True
        error = None
        if condition is not None:
            try:
                held = condition.holds(surroundings)
            except EvaluationError as failure:
                held, error = "error", str(failure)
        trace.append(
            {
                "policy": name,
                "version": version,
                "rule": rule.id,
                "effect": rule.effect,
                "held": held,
                "error": error,
            }
        )
        if held is False:
            continue
        if held is True and rule.limits:
            return _limited(policy, rule, values, usage)
        if held is True:
            uses = _wanted(policy, rule, values, usage)
            requirement = rule.requirement if rule.effect == ASK else None
            return _Said(rule.effect, policy, rule.id, _reason(policy, rule, values), requirement, uses)
        return _failed(policy, rule, str(error))._replace(uses=_wanted(policy, None, values, usage))
    trace.append(
        {
            "policy": name,
            "version": version,
            "rule": DEFAULT_RULE,
            "effect": policy.default,
            "held": True,
            "error": None,
        }
    )
    requirement = policy.ask if policy.default == ASK else None
    reason = f"no rule of policy {policy.name!r} holds"
    return _Said(policy.default, policy, DEFAULT_RULE, reason, requirement, _wanted(policy, None, values, usage))


def _limited(policy: Policy, rule: Rule, values: Mapping[str, Any], usage: Mapping[str, Any] | None) -> _Said:
    """What a rule with limits says: its effect below all of them, the strictest ``over`` above any.

    What is not known is never within a limit.
    """
    uses: list[Use] = []
    said: list[tuple[str, str]] = []
    for limit in rule.limits:
        try:
            use = limit.use(policy.name, rule.id, values)
            uses.append(use)
            use = uses[-1] = use.against(usage)
        except LimitError as error:
            said.append((limit.over, f"the limit cannot be worked out: {error}"))
            continue
        if use.used is None:
            said.append((ASK, f"it is not known how much of {limit.text} is used"))
        elif use.over:
            said.append((limit.over, f"{limit.text}: {plain(use.used)} used, and this adds {plain(use.amount)}"))
    wanted = (*uses, *_wanted(policy, rule, values, usage))
    if not said:
        reason = _reason(policy, rule, values)
        return _Said(rule.effect, policy, rule.id, reason, rule.requirement, wanted, within=True)
    effect = BLOCK if any(over == BLOCK for over, _ in said) else ASK
    told = "; ".join(text for over, text in said if over == effect)
    reason = f"rule {rule.id!r} of policy {policy.name!r}: {told}"
    return _Said(effect, policy, rule.id, reason, (rule.requirement or policy.ask) if effect == ASK else None, wanted)


def _wanted(
    policy: Policy, decided: Rule | None, values: Mapping[str, Any], usage: Mapping[str, Any] | None
) -> tuple[Use, ...]:
    """The limits of the other rules, where conditions read what is used of them."""
    if not policy.reads_usage:
        return ()
    uses = []
    for rule in policy.rules:
        for limit in rule.limits if rule is not decided else ():
            try:
                uses.append(limit.use(policy.name, rule.id, values).against(usage))
            except LimitError:
                continue  # it is then missing in `usage`, and a condition that reads it fails
    return tuple(uses)


def _reason(policy: Policy, rule: Rule, values: Mapping[str, Any]) -> str:
    return rule.reason.render(values) if rule.reason else f"rule {rule.id!r} of policy {policy.name!r}"


def _failed(policy: Policy, rule: Rule, error: str) -> _Said:
    """A condition without an answer: a block rule blocks, any other asks. Never a non-match, never allow."""
    reason = f"rule {rule.id!r} of policy {policy.name!r} could not be evaluated: {error}"
    if rule.effect == BLOCK:
        return _Said(BLOCK, policy, rule.id, reason, None)
    return _Said(ASK, policy, rule.id, reason, rule.requirement or policy.ask)


def _join(said: list[_Said], trace: list[dict[str, Any]], consulted: tuple[tuple[str, int], ...]) -> Verdict:
    effect = next(effect for effect in (BLOCK, ASK, ALLOW) if any(each.effect == effect for each in said))
    deciding = [each for each in said if each.effect == effect]
    # What a policy says comes before what is only said about policies; both are in order of names already.
    first = next((each for each in deciding if each.policy), deciding[0])
    reason = first.reason
    requirement = None
    if effect == ASK:
        others = [each.reason for each in deciding if each is not first]
        reason = "; ".join(dict.fromkeys([first.reason, *others]))
        requirement = Requirement.join(each.requirement or Requirement() for each in deciding).document()
    name = first.policy.name if first.policy else None
    version = first.policy.version if first.policy else None
    uses = tuple(
        replace(use, counts=each.within and each.effect == effect and use.limit.split("/")[1] == each.rule)
        for each in said
        for use in each.uses
    )
    return Verdict(effect, name, version, first.rule, reason, requirement, tuple(trace), uses, consulted)


def _unmatched(action: str) -> str:
    return f"no policy matches the action {action[:200]!r}"


def _undecided(reason: str) -> Verdict:
    return Verdict(ASK, None, None, None, reason, Requirement().document())
