"""Running cases: what policies really say about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .cases import Case
from .errors import Fault
from .evaluation import Evaluator
from .rules import Policy
from .verdicts import DEFAULT_RULE, Verdict


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that came out differently.

    Attributes:
        expected, said: what the case asks for and what policy said; ``said`` may quote the payload of the case.
    """

    case: Case
    expected: str
    said: str

    @property
    def reason(self) -> str:
        """One sentence."""
        return f"expected {self.expected}, got {self.said}"

    @property
    def fault(self) -> Fault:
        """With its place in the file of the case, and its name where it has one."""
        reason = f"{self.case.name}: {self.reason}" if self.case.name else self.reason
        return Fault(self.case.path, reason, self.case.line, self.case.column)

    def __str__(self) -> str:
        return f"{self.case.file}:{self.fault}" if self.case.file else str(self.fault)


def run(policies: Evaluator, cases: Iterable[Case]) -> list[Failure]:
    """The cases that come out differently, each evaluated against all policies together.

    Limits of which a case gives no ``usage`` count as unused.
    """
    return [failure for case in cases if (failure := _run(policies, case))]


def evaluate(policies: Evaluator, case: Case) -> Verdict:
    """What the policies say about the intent of a case, completed from the match of the policy that it is about."""
    about = next((policy for policy in policies.policies if policy.name == case.about), None)
    intent = dict(case.intent)
    match = about.match if about else None
    intent.setdefault("action", _example(match.actions if match else None, "example.action"))
    intent["agent"] = {**example_agent(about), **intent.get("agent", {})}
    if match and match.tags:
        intent.setdefault("tags", [_example(match.tags, "example")])
    unused = dict.fromkeys((name for policy in policies.policies for name in policy.limit_names), 0)
    intent["usage"] = {**unused, **intent.get("usage", {})}
    return policies.evaluate(**intent)


def _run(policies: Evaluator, case: Case) -> Failure | None:
    expected = _expected(case)
    unusable = _unusable(policies, case)
    if unusable:
        return Failure(case, expected, unusable)
    verdict = evaluate(policies, case)
    if (
        verdict.effect == case.effect
        and (case.any_rule or verdict.rule == case.rule)
        and (case.any_policy or verdict.policy == case.policy)
        and case.rows in (None, verdict.rows)
    ):
        return None
    by = f"rule {verdict.rule or 'none'}"
    if len(policies.policies) > 1 or not case.any_policy:
        by += f" of policy {verdict.policy or 'none'}"
    if verdict.rows or case.rows is not None:
        by += f", {_rows(verdict.rows)}"
    return Failure(case, expected, f"{verdict.effect} by {by} ({verdict.reason})")


def _expected(case: Case) -> str:
    expected = case.effect
    if not case.any_rule:
        expected += f" by rule {case.rule or 'none'}"
    if case.rows is not None:
        expected += f", {_rows(case.rows)}"
    return expected if case.any_policy else f"{expected} of policy {case.policy or 'none'}"


def _rows(rows: tuple[int, ...]) -> str:
    if len(rows) < 2:
        return f"row {rows[0]}" if rows else "no row"
    return f"rows {', '.join(map(str, rows))}"


def _unusable(policies: Evaluator, case: Case) -> str:
    """Why a case cannot be run against these policies, or ""."""
    for name in (case.about, case.policy):
        if name is not None and name not in policies.names:
            return f"no answer: there is no policy {name!r} here"
    limits = {name for policy in policies.policies for name in policy.limit_names}
    unknown = sorted(set(case.intent.get("usage", ())) - limits)
    if unknown:
        return f"no answer: usage names {unknown[0]!r}, which is no limit here"
    about = next((policy for policy in policies.policies if policy.name == case.about), None)
    rules = {rule.id for rule in about.rules} | {DEFAULT_RULE} if about else set()
    if about and not case.any_rule and case.rule is not None and case.any_policy and case.rule not in rules:
        return f"no answer: policy {about.name!r} has no rule {case.rule!r}; say expect.policy where another decides"
    return ""


def _example(patterns: tuple[str, ...] | None, otherwise: str) -> str:
    return patterns[0].replace("*", "example") if patterns else otherwise


def example_agent(policy: Policy | None) -> dict[str, Any]:
    """An agent that the policy covers, for cases that do not say who asks."""
    match = policy.match if policy else None
    return {
        "id": "agt_example",
        "name": _example(match.agents if match else None, "example"),
        "owner": "owner",
        "environment": _example(match.environments if match else None, "production"),
        "tier": "standard",
        "labels": {},
    }
