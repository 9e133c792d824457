"""A policy document: parsed strictly, compiled once, its own tests run before anybody may use it."""

from __future__ import annotations

import datetime
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from .conditions import Condition, ConditionError
from .errors import DocumentError, PolicyError
from .globs import compile_glob
from .reasons import Template
from .shape import Shape
from .strict_yaml import Document, join, read
from .verdicts import ASK, DEFAULT_RULE, EFFECTS, Requirement

MAX_RULES = 1_000
MAX_TESTS = 500
MAX_SEATS = 20
MAX_COUNT = 100
REASON_ROOTS = frozenset({"payload", "intent", "agent", "context"})

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
NAME_LIKE = "lower-case letters, digits, '_', '.' and '-', at most 63, starting with a letter or digit"
_PATTERN = re.compile(r"[!-~]+")

_KEYS = ("name", "description", "match", "rules", "default", "expires_in", "tests")
_LATER = frozenset({"limits", "order", "escalation", "mode", "shadow"})
_MATCH_KEYS = ("actions", "agents", "environments")
_RULE_KEYS = ("id", "when", "effect", "reason", "approval")
_RULE_LATER = frozenset({"limits", "order", "escalation"})
_RULE_HINTS = {"expires_in": "expires_in belongs inside approval, or at the top of the policy"}
_APPROVAL_KEYS = ("all_of", "expires_in", "on_timeout", "step_up")
_APPROVAL_LATER = frozenset({"any_of", "order", "escalation", "escalate_to", "escalate_after", "reminders"})
_SEAT_KEYS = ("group", "count")
_SEAT_LATER = frozenset({"order", "step_up"})
_TEST_KEYS = (
    "name", "payload", "action", "agent", "context", "target", "tags", "records", "value", "expect",
)  # fmt: skip
_AGENT_KEYS = ("id", "name", "owner", "environment", "tier", "labels")
_EXPECT_KEYS = ("effect", "rule")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: the first of a policy whose condition holds decides for that policy."""

    id: str
    effect: str
    condition: Condition | None = None
    reason: Template | None = None
    requirement: Requirement | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Which intents a policy is for; None stands for all."""

    actions: tuple[str, ...] | None = None
    agents: tuple[str, ...] | None = None
    environments: tuple[str, ...] | None = None
    _agent_tests: tuple[Any, ...] = field(default=(), repr=False, compare=False)
    _environment_tests: tuple[Any, ...] = field(default=(), repr=False, compare=False)

    @classmethod
    def of(cls, lists: dict[str, tuple[str, ...]]) -> Match:
        agents, environments = lists.get("agents"), lists.get("environments")
        tests = tuple(compile_glob(pattern) for pattern in agents or ())
        return cls(
            lists.get("actions"), agents, environments, tests, tuple(compile_glob(name) for name in environments or ())
        )

    def covers(self, *, name: Any, environment: Any) -> bool:
        """Whether an agent of this name and environment is meant; the action is looked up in the index.

        Raises:
            ValueError: when the agent does not say what the policy asks about: then nobody can tell.
        """
        return self._any(self.agents, self._agent_tests, name, "name") and self._any(
            self.environments, self._environment_tests, environment, "environment"
        )

    @staticmethod
    def _any(patterns: tuple[str, ...] | None, tests: tuple[Any, ...], value: Any, what: str) -> bool:
        if patterns is None or "*" in patterns:
            return True
        if not isinstance(value, str):
            raise ValueError(f"the agent has no {what}, so it cannot be told whether the policy applies")
        return any(test(value) for test in tests)


@dataclass(frozen=True, slots=True)
class Case:
    """One of a policy's own tests: an intent and what the policy must say."""

    intent: dict[str, Any]
    effect: str
    rule: str | None = None
    any_rule: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, ready to evaluate.

    Attributes:
        version: given by whoever stores it; it is not part of the document.
        text: the document as it was read; ``digest`` is ``sha256:`` and the hex SHA-256 of its UTF-8 bytes.
        expires_in: seconds an ask may wait where its rule says nothing, or None.
    """

    name: str
    version: int
    text: str
    digest: str
    description: str
    match: Match
    rules: tuple[Rule, ...]
    default: str
    expires_in: int | None
    tests: tuple[Case, ...] = ()

    @classmethod
    def parse(cls, text: str, *, version: int = 1) -> Policy:
        """Read one policy and run its tests.

        Args:
            text: the YAML document, at most 256 KiB.
            version: the number to carry into verdicts.

        Raises:
            PolicyError: with path, line, column and reason of everything found wrong.
        """
        try:
            document = read(text)
        except DocumentError as error:
            raise PolicyError(error.errors) from None
        shape = Shape(document)
        policy = _read_policy(shape, text, version)
        if shape.faults or policy is None:
            raise PolicyError(sorted(shape.faults, key=lambda fault: (fault.line, fault.column)))
        _run_tests(policy, document)
        return policy

    @property
    def ask(self) -> Requirement:
        """What an ask without ``approval`` requires."""
        return Requirement(expires_in=self.expires_in)


def _read_policy(shape: Shape, text: str, version: int) -> Policy | None:
    data = shape.mapping(shape.document.data, "", known=_KEYS, required=("name", "match", "rules"), later=_LATER)
    name = shape.string(data["name"], "name", most=63, pattern=NAME, like=NAME_LIKE) if "name" in data else None
    description = ""
    if "description" in data:
        description = shape.string(data["description"], "description", most=2_000) or ""
    expires_in = shape.duration(data["expires_in"], "expires_in") if "expires_in" in data else None
    match = _read_match(shape, data["match"]) if "match" in data else Match()
    rules = _read_rules(shape, data["rules"], expires_in) if "rules" in data else ()
    default: str | None = ASK
    if "default" in data:
        default = shape.choice(data["default"], "default", EFFECTS)
    tests = _read_tests(shape, data["tests"], rules) if "tests" in data else ()
    if shape.faults or name is None or default is None:
        return None
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    return Policy(name, version, text, digest, description, match, rules, default, expires_in, tests)


def _read_match(shape: Shape, value: Any) -> Match:
    data = shape.mapping(value, "match", known=_MATCH_KEYS, later=frozenset({"tags"}))
    if isinstance(value, dict) and not value:
        shape.fault("match", 'is empty; for every action write actions: ["*"]')
    lists: dict[str, tuple[str, ...]] = {}
    for key in _MATCH_KEYS:
        if key in data:
            path = join("match", key)
            entries = shape.items(data[key], path, most=500)
            patterns = [
                shape.string(entry, join(path, index), most=200, pattern=_PATTERN, like="a name or glob without spaces")
                for index, entry in enumerate(entries)
            ]
            lists[key] = tuple(pattern for pattern in patterns if pattern is not None)
    return Match.of(lists)


def _read_rules(shape: Shape, value: Any, expires_in: int | None) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    seen: dict[str, int] = {}
    for index, entry in enumerate(shape.items(value, "rules", most=MAX_RULES)):
        path = join("rules", index)
        rule = _read_rule(shape, entry, path, expires_in)
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            if entry["id"] in seen:
                shape.fault(f"{path}.id", f"the rule id {entry['id'][:63]!r} is taken by rules[{seen[entry['id']]}]")
            seen.setdefault(entry["id"], index)
        if rule:
            rules.append(rule)
        if len(shape.faults) > 20:
            break
    return tuple(rules)


def _read_rule(shape: Shape, value: Any, path: str, expires_in: int | None) -> Rule | None:
    data = shape.mapping(value, path, known=_RULE_KEYS, required=("id", "effect"), later=_RULE_LATER, hints=_RULE_HINTS)
    before = len(shape.faults)
    identifier = shape.string(data["id"], f"{path}.id", most=63, pattern=NAME, like=NAME_LIKE) if "id" in data else None
    if identifier == DEFAULT_RULE:
        shape.fault(f"{path}.id", "'default' is how a verdict calls the policy's default; choose another id")
    effect = shape.choice(data["effect"], f"{path}.effect", EFFECTS) if "effect" in data else None
    condition = _read_condition(shape, data["when"], f"{path}.when") if "when" in data else None
    reason = read_template(shape, data["reason"], f"{path}.reason", REASON_ROOTS) if "reason" in data else None
    requirement = Requirement(expires_in=expires_in) if effect == ASK else None
    if "approval" in data:
        if effect != ASK:
            shape.faults.append(
                shape.document.fault_at_key(f"{path}.approval", "approval goes only with the effect require_approval")
            )
        requirement = _read_approval(shape, data["approval"], f"{path}.approval", expires_in)
    if len(shape.faults) > before or identifier is None or effect is None:
        return None
    return Rule(identifier, effect, condition, reason, requirement)


def _read_condition(shape: Shape, value: Any, path: str) -> Condition | None:
    if not isinstance(value, str):
        shape.fault(path, "must be a condition written as a string; leave `when` out for a rule that always holds")
        return None
    try:
        return Condition.parse(value)
    except ConditionError as error:
        shape.fault(path, str(error))
        return None


def read_template(shape: Shape, value: Any, path: str, roots: frozenset[str]) -> Template | None:
    """Text with references, at most 500 characters."""
    text = shape.string(value, path, most=500)
    if text is None:
        return None
    try:
        return Template(text, roots)
    except ValueError as error:
        shape.fault(path, str(error))
        return None


def _read_approval(shape: Shape, value: Any, path: str, expires_in: int | None) -> Requirement:
    data = shape.mapping(value, path, known=_APPROVAL_KEYS, later=_APPROVAL_LATER)
    if "on_timeout" in data and data["on_timeout"] != "expire":
        shape.fault(f"{path}.on_timeout", "only expire is supported yet")
    if "step_up" in data and shape.boolean(data["step_up"], f"{path}.step_up"):
        shape.fault(f"{path}.step_up", "step_up: true is not supported yet")
    if "expires_in" in data:
        expires_in = shape.duration(data["expires_in"], f"{path}.expires_in")
    groups = Requirement().groups
    if "all_of" in data:
        groups = _read_seats(shape, data["all_of"], f"{path}.all_of")
    elif not data and isinstance(value, dict):
        shape.fault(path, "is empty; name the groups in all_of, or leave approval out for one of reviewers")
    return Requirement(groups, expires_in)


def _read_seats(shape: Shape, value: Any, path: str) -> tuple[tuple[str, int], ...]:
    seats: dict[str, int] = {}
    for index, entry in enumerate(shape.items(value, path, most=MAX_SEATS)):
        place = join(path, index)
        data = shape.mapping(entry, place, known=_SEAT_KEYS, required=("group",), later=_SEAT_LATER)
        group = shape.string(data["group"], f"{place}.group", most=150) if "group" in data else None
        count = 1
        if "count" in data:
            count = shape.integer(data["count"], f"{place}.count", least=1, most=MAX_COUNT) or 1
        if group in seats:
            shape.fault(f"{place}.group", f"the group {group!r} stands here twice; use count")
        if group is not None:
            seats[group] = count
    return tuple(sorted(seats.items()))


def _read_tests(shape: Shape, value: Any, rules: tuple[Rule, ...]) -> tuple[Case, ...]:
    if value == []:
        return ()
    known = {rule.id for rule in rules} | {DEFAULT_RULE, None}
    cases = []
    for index, entry in enumerate(shape.items(value, "tests", most=MAX_TESTS)):
        path = join("tests", index)
        data = shape.mapping(
            entry, path, known=_TEST_KEYS, required=("payload", "expect"), later=frozenset({"usage", "now"})
        )
        if "agent" in data:
            shape.mapping(data["agent"], f"{path}.agent", known=_AGENT_KEYS)
        if "context" in data and not isinstance(data["context"], dict):
            shape.fault(f"{path}.context", "must be a mapping")
        if "action" in data:
            shape.string(data["action"], f"{path}.action", most=200)
        if "expect" not in data:
            continue
        expect = shape.mapping(data["expect"], f"{path}.expect", known=_EXPECT_KEYS, required=("effect",))
        effect = shape.choice(expect["effect"], f"{path}.expect.effect", EFFECTS) if "effect" in expect else None
        rule = expect.get("rule")
        if not shape.faults and (not isinstance(rule, str | None) or rule not in known):
            shape.fault(f"{path}.expect.rule", "names no rule of this policy")
        intent = {key: data[key] for key in data if key not in ("name", "expect")}
        cases.append(Case(intent, effect or ASK, rule, "rule" not in expect))
    return tuple(cases)


_TEST_NOW = datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.UTC)


def _run_tests(policy: Policy, document: Document) -> None:
    from .evaluation import PolicySet

    policies = PolicySet([policy])
    faults = []
    for index, case in enumerate(policy.tests):
        intent = dict(case.intent)
        intent.setdefault("action", _example(policy.match.actions, "example.action"))
        intent["agent"] = {**_example_agent(policy.match), **intent.get("agent", {})}
        verdict = policies.evaluate(**intent, now=_TEST_NOW)
        said = f"{verdict.effect} by rule {verdict.rule or 'none'} ({verdict.reason})"
        if verdict.effect != case.effect:
            faults.append(document.fault(join("tests", index), f"expected {case.effect}, got {said}"))
        elif not case.any_rule and verdict.rule != case.rule:
            faults.append(document.fault(join("tests", index), f"expected the rule {case.rule or 'none'}, got {said}"))
    if faults:
        raise PolicyError(faults)


def _example(patterns: tuple[str, ...] | None, otherwise: str) -> str:
    return patterns[0].replace("*", "example") if patterns else otherwise


def _example_agent(match: Match) -> dict[str, Any]:
    return {
        "id": "agt_example",
        "name": _example(match.agents, "example"),
        "owner": "owner",
        "environment": _example(match.environments, "production"),
        "tier": "standard",
        "labels": {},
    }
