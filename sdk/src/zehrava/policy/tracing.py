"""The trace of a verdict: every rule considered, and the value of each operand. Worked out when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .conditions import Condition, ConditionError, Surroundings
from .limits import LimitError
from .operands import NOTHING, looked_at, operands, shown
from .plain_data import EvaluationError
from .rules import Policy, Rule
from .shortcuts import found
from .verdicts import ASK, BLOCK, DEFAULT_RULE


class Trace:
    """Gives the entries of a trace when it is called; a plain evaluation pays nothing for it.

    Args:
        policies: those that were consulted, in order.
        surroundings: what their conditions saw. What it refers to must still be what it was.
        usage: what was passed in about limits.
    """

    __slots__ = ("_aside", "_entries", "_policies", "_surroundings", "_usage")
    _surroundings: Surroundings
    _aside: Surroundings

    def __init__(self, policies: tuple[Policy, ...], surroundings: Surroundings, usage: Any) -> None:
        self._policies = policies
        self._surroundings = surroundings
        self._usage = usage
        self._entries: tuple[Mapping[str, Any], ...] | None = None

    def __call__(self) -> tuple[Mapping[str, Any], ...]:
        if self._entries is None:
            # Counts anew what conditions read, so that each rule comes out as it did; what its parts read is counted
            # apart.
            self._surroundings, self._aside = self._surroundings.again(), self._surroundings.again()
            self._entries = tuple(entry for policy in self._policies for entry in self._of(policy))
        return self._entries

    def _of(self, policy: Policy) -> list[dict[str, Any]]:
        entries = []
        for rule in policy.rules:
            entry = self._rule(policy, rule)
            entries.append(entry)
            # After an error the rules that follow say who else is asked; a block rule that fails blocks.
            if entry["held"] is True or (entry["held"] == "error" and rule.effect == BLOCK):
                return entries
        return [*entries, _entry(policy, DEFAULT_RULE, policy.default)]

    def _rule(self, policy: Policy, rule: Rule) -> dict[str, Any]:
        entry = _entry(policy, rule.id, rule.effect)
        if rule.condition is not None:
            entry["when"] = rule.condition.source
            try:
                entry["held"] = rule.condition.holds(self._surroundings)
            except EvaluationError as error:
                entry["held"], entry["error"] = "error", str(error)
            entry["operands"] = self._operands(rule.condition)
        if entry["held"] is True:
            entry["limits"] = [self._limit(policy, rule, limit) for limit in rule.limits]
        if rule.table is not None and _asks(rule, entry):
            entry["table"] = rule.table.document(self._surroundings.values)
        return entry

    def _operands(self, condition: Condition) -> list[dict[str, Any]]:
        """What each part gave. A part without a value is an error only where the condition depends on it."""
        given = [(source, self._operand(source, part)) for source, part in condition.operands]
        values = {source: value for source, (value, _) in given}
        needed = looked_at(condition.tree, values)
        entries = []
        skipped = -1  # up to this character of the condition, parts belong to one that was not looked at
        for node, (source, (_, entry)) in zip(operands(condition.tree), given, strict=True):
            if source not in needed and node.end <= skipped:
                continue
            if source not in needed and "error" in entry:
                skipped = node.end
                entry = {"expression": source, "skipped": True}
            entries.append(entry)
        return entries

    def _operand(self, source: str, part: Condition | ConditionError) -> tuple[Any, dict[str, Any]]:
        """What it gives, and how that is shown."""
        if isinstance(part, ConditionError):
            return NOTHING, {"expression": source, "error": str(part)}
        try:
            value = self._value(part)
        except EvaluationError as error:
            return NOTHING, {"expression": source, "error": str(error)}
        return value, {"expression": source, "value": shown(value, part.tree)}

    def _value(self, part: Condition) -> Any:
        self._aside.spend(part.costs)
        with suppress(LookupError):
            return found(part.tree, self._surroundings.values)
        if part.shortcut is not None and (said := part.shortcut(self._surroundings.values)) is not None:
            return said
        return part.value(self._aside)

    def _limit(self, policy: Policy, rule: Rule, limit: Any) -> dict[str, Any]:
        try:
            use = limit.use(policy.name, rule.id, self._surroundings.values)
            return dict(use.against(self._usage).document())
        except LimitError as error:
            return {"limit": limit.name(policy.name, rule.id), "error": str(error)}


def _entry(policy: Policy, rule: str, effect: str) -> dict[str, Any]:
    return {
        "policy": policy.name,
        "version": policy.version,
        "rule": rule,
        "effect": effect,
        "when": None,
        "held": True,
        "error": None,
        "operands": [],
        "limits": [],
        "table": None,
    }


def _asks(rule: Rule, entry: Mapping[str, Any]) -> bool:
    """Whether the rule was asked whom to ask: by its own effect, because it failed, or above one of its limits."""
    if entry["held"] is not True or rule.effect == ASK:
        return entry["held"] is not False
    return any(use.get("over", True) or use.get("used") is None for use in entry["limits"])
