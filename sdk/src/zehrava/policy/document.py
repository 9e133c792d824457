"""A policy document: parsed strictly, compiled once, its own tests run before anybody may use it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from .approvals import Surrounding, read_approval
from .business_time import BusinessHours
from .calendars import read_business_hours
from .cases import Case, read_cases
from .conditions import ConditionError, Draft
from .costs import (
    MAX_CASE_COST,
    MAX_CASES_COST,
    MAX_CONDITIONS,
    MAX_PATTERN_COST,
    MAX_PATTERNS_COST,
    condition_cost,
    weight,
)
from .errors import MOST_ERRORS, DocumentError, Fault, PolicyError
from .evaluation import Evaluator
from .limits import read_limits
from .reasons import Template
from .requirements import Requirement
from .rules import Match, Policy, Rule
from .running import run
from .shape import Shape
from .strict_yaml import MAX_BYTES, join, read
from .table_documents import read_table
from .tables import Table
from .tokens import MAX_CHARACTERS
from .verdicts import ALLOW, ASK, BLOCK, DEFAULT_RULE, EFFECTS

MAX_RULES = 1_000
REASON_ROOTS = frozenset({"payload", "intent", "agent", "context"})

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
NAME_LIKE = "lower-case letters, digits, '_', '.' and '-', at most 63, starting with a letter or digit"
_PATTERN = re.compile(r"[!-~]+")
_ANY_HOURS = BusinessHours("UTC", ("mon",), 0, 60)

_KEYS = ("name", "description", "match", "rules", "default", "expires_in", "business_hours", "tests")
_HINTS = {
    "limits": "limits belong to a rule",
    "approval": "approval belongs to a rule",
    "clock": "clock belongs inside approval, beside the times that it is about",
    "version": "versions are numbered by whoever stores the policy",
}
_MATCH_KEYS = ("actions", "agents", "environments", "tags")
_RULE_KEYS = ("id", "when", "effect", "reason", "approval", "limits")
_RULE_HINTS = {"expires_in": "expires_in belongs inside approval, or at the top of the policy"}
_EFFECT_HINTS = {
    "deny": BLOCK, "reject": BLOCK, "refuse": BLOCK, "forbid": BLOCK, "ask": ASK, "approve": ASK, "review": ASK,
    "require-approval": ASK, "approval": ASK, "permit": ALLOW, "pass": ALLOW, "accept": ALLOW,
}  # fmt: skip


def parse_policy(text: str, *, version: int = 1) -> Policy:
    """Read one policy and run its tests.

    Args:
        text: the YAML document, at most 256 KiB.
        version: the number to carry into verdicts; it is not part of the document.

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
    _run_tests(policy)
    return policy


def load_policy(path: str | Path) -> Policy:
    """One policy from a file.

    Raises:
        PolicyError: when it is wrong; its attribute ``file`` is the path.
        OSError: when it cannot be read.
    """
    try:
        return parse_policy(read_text(path))
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


def _read_policy(shape: Shape, text: str, version: int) -> Policy | None:
    data = shape.mapping(shape.document.data, "", known=_KEYS, required=("name", "match", "rules"), hints=_HINTS)
    name = shape.string(data["name"], "name", most=63, pattern=NAME, like=NAME_LIKE) if "name" in data else None
    description = ""
    if "description" in data:
        description = shape.string(data["description"], "description", most=2_000) or ""
    expires_in = shape.duration(data["expires_in"], "expires_in") if "expires_in" in data else None
    match = _read_match(shape, data["match"]) if "match" in data else Match()
    hours = read_business_hours(shape, data["business_hours"], "business_hours") if "business_hours" in data else None
    # Where the hours are wrong, each clock that counts by them would be told to say them.
    around = Surrounding(expires_in, hours or (_ANY_HOURS if "business_hours" in data else None))
    drafts = _read_rules(shape, data["rules"], around) if "rules" in data else []
    default: str | None = ASK
    if "default" in data:
        default = shape.choice(data["default"], "default", EFFECTS)
    tests: tuple[Case, ...] = ()
    if data.get("tests", []) != []:
        tests = read_cases(shape, data["tests"], about=name or "policy", rules=[draft.rule.id for draft in drafts])
    # Compiling takes longest: whatever can be seen without it was looked at before.
    rules = () if shape.faults else _compile(shape, drafts)
    if shape.faults or name is None or default is None:
        return None
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    return Policy(name, version, text, digest, description, match, rules, default, expires_in, tests, hours)


def _read_match(shape: Shape, value: Any) -> Match:
    data = shape.mapping(value, "match", known=_MATCH_KEYS)
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


class _DraftRule(NamedTuple):
    """A rule without its condition, which is still to be compiled."""

    rule: Rule
    condition: Draft | None
    path: str


def _read_rules(shape: Shape, value: Any, around: Surrounding) -> list[_DraftRule]:
    rules: list[_DraftRule] = []
    seen: dict[str, int] = {}
    patterns = 0
    entries = shape.items(value, "rules", most=MAX_RULES)
    if not _are_affordable(shape, entries):
        return []
    for index, entry in enumerate(entries):
        path = join("rules", index)
        rule = _read_rule(shape, entry, path, around)
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            if entry["id"] in seen:
                shape.fault(f"{path}.id", f"the rule id {entry['id'][:63]!r} is taken by rules[{seen[entry['id']]}]")
            seen.setdefault(entry["id"], index)
        if rule:
            rules.append(rule)
            patterns += rule.condition.patterns_cost if rule.condition else 0
        if patterns > MAX_PATTERNS_COST:
            shape.fault(path, "the patterns up to here are too much to compile; split the policy")
        if patterns > MAX_PATTERNS_COST or len(shape.faults) > 20:
            break
    return rules


def _compile(shape: Shape, drafts: list[_DraftRule]) -> tuple[Rule, ...]:
    """The rules with their conditions; what the compiler refuses is added to the faults."""
    rules: list[Rule] = []
    for rule, condition, path in drafts:
        try:
            rules.append(replace(rule, condition=condition.compile()) if condition else rule)
        except ConditionError as error:
            shape.fault(f"{path}.when", str(error))
        if len(shape.faults) > 20:
            break
    return tuple(rules)


def _read_rule(shape: Shape, value: Any, path: str, around: Surrounding) -> _DraftRule | None:
    data = shape.mapping(value, path, known=_RULE_KEYS, required=("id", "effect"), hints=_RULE_HINTS)
    before = len(shape.faults)
    identifier = shape.string(data["id"], f"{path}.id", most=63, pattern=NAME, like=NAME_LIKE) if "id" in data else None
    if identifier == DEFAULT_RULE:
        shape.fault(f"{path}.id", "'default' is how a verdict calls the policy's default; choose another id")
    effect = shape.choice(data["effect"], f"{path}.effect", EFFECTS, hints=_EFFECT_HINTS) if "effect" in data else None
    condition = _read_condition(shape, data["when"], f"{path}.when") if "when" in data else None
    reason = read_template(shape, data["reason"], f"{path}.reason", REASON_ROOTS) if "reason" in data else None
    limits = read_limits(shape, data["limits"], f"{path}.limits") if "limits" in data else ()
    if "limits" in data and effect == BLOCK:
        shape.faults.append(shape.document.fault_at_key(f"{path}.limits", "nothing passes a block rule to be counted"))
    asks = effect == ASK or any(limit.over == ASK for limit in limits)
    requirement, table = Requirement(expires_in=around.expires_in) if asks else None, None
    if "approval" in data:
        if not asks and len(shape.faults) == before:
            why = "approval goes only with the effect require_approval, or with a limit whose over asks"
            shape.faults.append(shape.document.fault_at_key(f"{path}.approval", why))
        requirement, table = _read_asked(shape, data["approval"], f"{path}.approval", around)
    if len(shape.faults) > before or identifier is None or effect is None:
        return None
    return _DraftRule(Rule(identifier, effect, None, reason, requirement, limits, table), condition, path)


def _read_asked(shape: Shape, value: Any, path: str, around: Surrounding) -> tuple[Requirement | None, Table | None]:
    """Whom an approval asks, and the table that chooses, if it has one."""
    if not isinstance(value, dict) or "table" not in value:
        return read_approval(shape, value, path, around), None
    table = read_table(shape, value, path, around)
    return (table.most, table) if table else (None, None)


def _are_affordable(shape: Shape, rules: list[Any]) -> bool:
    """Whether the conditions together are worth reading, before any of them is."""
    characters = 0
    for index, rule in enumerate(rules):
        when = rule.get("when") if isinstance(rule, dict) else None
        # What is too long is refused, with its place, when the condition itself is read.
        characters += min(len(when), MAX_CHARACTERS) if isinstance(when, str) else 0
        if characters > MAX_CONDITIONS:
            shape.fault(join("rules", index), "the conditions up to here are too much to compile; split the policy")
            return False
    return True


def _read_condition(shape: Shape, value: Any, path: str) -> Draft | None:
    if not isinstance(value, str):
        shape.fault(path, "must be a condition written as a string; leave `when` out for a rule that always holds")
        return None
    try:
        draft = Draft(value)
    except ConditionError as error:
        shape.fault(path, str(error))
        return None
    if draft.patterns_cost > MAX_PATTERN_COST:
        reason = r"its patterns are too costly to compile: write [A-Za-z0-9_] for \w, [0-9] for \d, or repeat them less"
        shape.fault(path, reason)
    return draft


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


def _run_tests(policy: Policy) -> None:
    """Run the policy's own tests, up to ``MOST_ERRORS`` failures and as far as their work stays bounded."""
    policies = Evaluator([policy])
    costs = [condition_cost(rule.condition.source) for rule in policy.rules if rule.condition]
    rows = sum(len(rule.table.rows) for rule in policy.rules if rule.table)
    once = len(policy.rules) + rows + len(policy.limit_names) + sum(each for each, _ in costs)
    per_weight = 1 + len(policy.match.tags or ()) + sum(each for _, each in costs)
    spent = 0
    for case in policy.tests:  # before the first of them is run
        cost = once + per_weight * weight(case.intent)
        spent += cost
        if cost > MAX_CASE_COST or spent > MAX_CASES_COST:
            what = "this test is" if cost > MAX_CASE_COST else "the tests up to here are"
            reason = f"{what} too much work for {len(policy.rules)} rules; write smaller intents, or split the policy"
            raise PolicyError(Fault(case.path, reason, case.line, case.column))
    faults: list[Fault] = []
    for case in policy.tests:
        faults += [failure.fault for failure in run(policies, [case])]
        if len(faults) >= MOST_ERRORS:
            break
    if faults:
        raise PolicyError(faults)
