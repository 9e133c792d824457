"""What is known before a condition is evaluated: whom the policy is for, and the schema of the action's payload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zehrava.action_types import ActionType

from ..conditions import Condition, ConditionError, Reads
from ..expressions import Path
from ..globs import compile_glob
from ..plain_data import EvaluationError
from ..rules import Policy
from .claims import Claim, Steps, Term, own_values, path_text, steps, text
from .schemas import Schema
from .values import Span, Values, anything, describe, meet, of_kinds, points

INTENT_MEMBERS = frozenset(
    {
        "action", "target", "records", "value", "summary_length", "tags", "on_behalf_of", "execution_mode",
        "reversible", "sensitivity",
    }
)  # fmt: skip
AGENT_MEMBERS = frozenset({"id", "name", "owner", "environment", "tier", "labels"})
_MEMBERS = {"intent": INTENT_MEMBERS, "agent": AGENT_MEMBERS}
_MATCHED = {("intent", "action"): "actions", ("agent", "name"): "agents", ("agent", "environment"): "environments"}
_MOST_OPTIONS = 50


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why claims cannot all be true.

    Attributes:
        claims: the one or two that say so; none where there is no way at all.
        why: what is known besides, for people; "" where the claims exclude each other by themselves.
        unknown: the path that nothing can stand at, where that is why.
    """

    claims: tuple[Claim, ...]
    why: str = ""
    unknown: Steps | None = None

    @property
    def text(self) -> str:
        if not self.claims:
            return "it is neither true nor false"
        if len(self.claims) == 2:
            return f"{self.claims[0].text} and {self.claims[1].text} exclude each other"
        if self.unknown:
            return self.why
        never = f"`{self.claims[0].source}` can never be {str(self.claims[0].wanted).lower()}"
        return f"{never}: {self.why}" if self.why else never


class World:
    """The intents that a policy matches; with an action type, those of that action.

    Args:
        anywhere: also those that it does not match, for which an agent may name it.
    """

    def __init__(self, policy: Policy, action_type: ActionType | None = None, *, anywhere: bool = False) -> None:
        self.policy = policy
        self.action_type = action_type
        schema = action_type.schema if action_type else None
        self.schema = Schema(schema) if schema is not None else None
        self._matched: dict[Steps, list[str]] = {}
        for path, key in _MATCHED.items():
            patterns = getattr(policy.match, key)
            if patterns is not None and "*" not in patterns and not anywhere:
                self._matched[path] = list(patterns)
        if action_type:
            self._matched[("intent", "action")] = [action_type.name]
        self._tests = {path: [compile_glob(each) for each in patterns] for path, patterns in self._matched.items()}
        self._truths: dict[str, Values] = {}

    def alternatives(self, subject: Term) -> list[Values] | None:
        """What the value of a term may be: one of these; None where nothing is known."""
        path = subject.path
        if path and path in self._matched and not subject.wrap:
            patterns = self._matched[path]
            exact = not any("*" in pattern for pattern in patterns)
            return [points(("string", each) for each in patterns) if exact else of_kinds("string")]
        if path == ("intent", "records") and not subject.wrap:
            return [{"number": Span(low=0, whole=True), "null": Span()}]
        if path == ("intent", "summary_length") and not subject.wrap:
            return [{"number": Span(low=0, whole=True)}]
        if self.schema is None:
            return None
        if path and path[0] == "payload":
            ask: dict[str, Callable[[Steps], list[Values]]] = {
                "": self.schema.values, "size": self.schema.sizes, "length": self.schema.lengths,
                "amount": self.schema.amounts,
            }  # fmt: skip
            return ask[subject.wrap](path[1:])
        return self._tried(subject)

    def admits(self, subject: Term, value: Any) -> bool:
        """Whether the term may have exactly this value."""
        if subject.wrap or not subject.path:
            return True
        tests: list[Callable[[str], bool]] | None = self._tests.get(subject.path)
        if tests is not None:
            return isinstance(value, str) and any(test(value) for test in tests)
        if self.schema is not None and subject.path[0] == "payload":
            return self.schema.admits(subject.path[1:], value)
        return True

    def unknown(self, path: Steps) -> tuple[Steps, str] | None:
        """The part of a path that nothing can stand at, and why."""
        known = _MEMBERS.get(str(path[0]))
        if known is not None and len(path) > 1 and path[1] not in known:
            return path[:2], f"{path[0]} has no member {path[1]!r}, only {', '.join(sorted(known))}"
        if self.schema is None or path[0] != "payload":
            return None
        found = self.schema.unknown(path[1:])
        if found is None:
            return None
        wrong: Steps = ("payload", *found)
        like = self.schema.resembling(found)
        hint = f"; did you mean {path_text((*wrong[:-1], like))}?" if like else ""
        return wrong, f"the schema of {self._name} has no {path_text(wrong)}{hint}"

    def required(self, path: Steps) -> str:
        """Why what is at ``path`` cannot be missing; "" where it can."""
        if path[0] == "intent" and len(path) == 2 and path[1] in INTENT_MEMBERS:
            return f"{path_text(path)} is always there, at least as null"
        if self.schema is not None and path[0] == "payload" and self.schema.required(path[1:]):
            return f"{path_text(path)} is required by the schema of {self._name}"
        return ""

    def source(self, subject: Term) -> str:
        """What says what a term may be, for people."""
        if subject.path in self._matched:
            return "what the policy matches"
        if subject.path and subject.path[0] == "intent":
            return "what an intent may have"
        return f"the schema of {self._name}"

    @property
    def _name(self) -> str:
        return self.action_type.name if self.action_type else "the action"

    def _tried(self, subject: Term) -> list[Values] | None:
        """What a call gives for every value of the one path it reads, where those are few."""
        if own_values(subject) != of_kinds("bool"):
            return None
        if subject.key not in self._truths:
            self._truths[subject.key] = self._try(subject)
        return [self._truths[subject.key]]

    def _try(self, subject: Term) -> Values:
        assert self.schema is not None and subject.node is not None
        paths = {path for node in subject.node.walk() if (path := steps(node)) is not None}
        roots = [path for path in paths if not any(path == other[: len(path)] and path != other for other in paths)]
        plain = all(isinstance(node, Path) for node in subject.node.walk() if steps(node) is not None)
        if len(roots) != 1 or not plain or roots[0][0] != "payload" or subject.node.kind != "call":
            return anything()
        options: list[Any] = []
        for alternative in self.schema.values(roots[0][1:]):
            for span in alternative.values():
                if span.options is None:
                    return anything()
                options.extend(span.options)
        if not 0 < len(options) <= _MOST_OPTIONS:
            return anything()
        return points(("bool", truth) for truth in (_call(subject, roots[0], each) for each in options) if truth != "")


def _call(subject: Term, path: Steps, value: Any) -> Any:
    """What the call gives where this value stands at ``path``; "" for an error."""
    for step in reversed(path[1:]):
        value = {step: value}
    try:
        condition = Condition.parse(subject.node.source if subject.node else "")
        return condition.holds(Reads([condition]).environment({"payload": value}))
    except (ConditionError, EvaluationError):
        return ""


class State:
    """What is so where all claims added are true. Adding gives a conflict as soon as there is one."""

    def __init__(self, world: World, base: State | None = None) -> None:
        self.world = world
        self._values: dict[str, Values] = dict(base._values) if base else {}
        self._said: dict[str, Claim] = dict(base._said) if base else {}
        self._needs: dict[Steps, Claim] = dict(base._needs) if base else {}
        self._lacks: dict[Steps, Claim] = dict(base._lacks) if base else {}

    def add_all(self, claims: tuple[Claim, ...]) -> Conflict | None:
        """Add claims, stopping at the first conflict."""
        for claim in claims:
            conflict = self.add(claim)
            if conflict:
                return conflict
        return None

    def add(self, claim: Claim) -> Conflict | None:
        """Add one claim; after a conflict the state means nothing any more."""
        for path in claim.needs:
            conflict = self._need(path, claim)
            if conflict:
                return conflict
        if claim.lacks:
            conflict = self._lack(claim.lacks, claim)
            if conflict:
                return conflict
        return self._narrow(claim.term, claim.values, claim)

    def _need(self, path: Steps, claim: Claim) -> Conflict | None:
        if path in self._needs:
            return None
        for length in range(1, len(path) + 1):
            if path[:length] in self._lacks:
                return Conflict((self._lacks[path[:length]], claim))
        unknown = self.world.unknown(path)
        if unknown:
            return Conflict((claim,), unknown[1], unknown[0])
        self._needs[path] = claim
        for length in range(1, len(path)):
            kinds = ("map",) if isinstance(path[length], str) else ("list", "map")
            conflict = self._narrow(Term(path_text(path[:length]), path=path[:length]), of_kinds(*kinds), claim)
            if conflict:
                return conflict
        return None

    def _lack(self, path: Steps, claim: Claim) -> Conflict | None:
        for needed, other in self._needs.items():
            if needed[: len(path)] == path:
                return Conflict((other, claim))
        why = self.world.required(path)
        if why:
            return Conflict((claim,), why)
        self._lacks.setdefault(path, claim)
        return None

    def _narrow(self, subject: Term, values: Values, claim: Claim) -> Conflict | None:
        key = subject.key
        own = self._values.get(key)
        if own is None:
            own = own_values(subject) or anything()
        merged: Values = meet(own, values)
        if not merged:
            other = self._said.get(key)
            return Conflict((other, claim)) if other and other is not claim else Conflict((claim,))
        alternatives = self.world.alternatives(subject)
        if alternatives is not None and not any(self._possible(subject, each, merged) for each in alternatives):
            why = _known(subject, alternatives, self.world)
            return Conflict((claim,), why)
        self._values[key] = merged
        self._said.setdefault(key, claim)
        return None

    def _possible(self, subject: Term, alternative: Values, merged: Values) -> bool:
        left = meet(alternative, merged)
        return any(
            span.options is None or any(span.holds(each) and self.world.admits(subject, each) for each in span.options)
            for span in left.values()
        )


def _known(subject: Term, alternatives: list[Values], world: World) -> str:
    shown = " or ".join(dict.fromkeys(describe(each) for each in alternatives)) or "nothing that it takes"
    return f"by {world.source(subject)}, {_readable(subject)} is {shown}"


def _readable(subject: Term) -> str:
    if not subject.path:
        return text(subject.node) if subject.node else subject.key
    shown = path_text(subject.path)
    return f"{subject.wrap}({shown})" if subject.wrap else shown
