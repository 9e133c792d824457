"""A policy as data: its rules, and which intents it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .business_time import BusinessHours
from .cases import Case
from .conditions import Condition
from .globs import compile_glob
from .limits import Limit
from .reasons import Template
from .requirements import Requirement
from .tables import Table


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: the first of a policy whose condition holds decides for that policy.

    Attributes:
        requirement: whom it asks where it asks; with a ``table`` everybody whom any row could ask, all at once.
    """

    id: str
    effect: str
    condition: Condition | None = None
    reason: Template | None = None
    requirement: Requirement | None = None
    limits: tuple[Limit, ...] = ()
    table: Table | None = None

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """The different requirements that it may have, that of each row of its table, and the most it may ask."""
        rows = [row.requirement for row in self.table.rows] if self.table else []
        return tuple(dict.fromkeys([*rows, *([self.requirement] if self.requirement else [])]))


@dataclass(frozen=True, slots=True)
class Match:
    """Which intents a policy is for; None stands for all."""

    actions: tuple[str, ...] | None = None
    agents: tuple[str, ...] | None = None
    environments: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    _tests: Mapping[str, tuple[Callable[[str], bool], ...]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, lists: dict[str, tuple[str, ...]]) -> Match:
        tests = {
            key: tuple(compile_glob(pattern) for pattern in patterns)
            for key, patterns in lists.items()
            if key != "actions"
        }
        return cls(**lists, _tests=tests)

    def covers(self, *, name: Any, environment: Any, tags: Iterable[str] = ()) -> bool:
        """Whether an agent of this name and environment is meant, with these tags; actions are looked up in the index.

        Raises:
            ValueError: when the agent does not say what the policy asks about: then nobody can tell.
        """
        return (
            self._any(self.agents, "agents", name, "name")
            and self._any(self.environments, "environments", environment, "environment")
            and (self.tags is None or any(test(tag) for tag in tags for test in self._tests["tags"]))
        )

    def _any(self, patterns: tuple[str, ...] | None, key: str, value: Any, what: str) -> bool:
        if patterns is None or "*" in patterns:
            return True
        if not isinstance(value, str):
            raise ValueError(f"the agent has no {what}, so it cannot be told whether the policy applies")
        return any(test(value) for test in self._tests[key])


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Policy:
    """A policy, ready to evaluate.

    Attributes:
        version: given by whoever stores it; it is not part of the document.
        text: the document as it was read; ``digest`` is ``sha256:`` and the hex SHA-256 of its UTF-8 bytes.
        expires_in: seconds an ask may wait where its rule says nothing, or None.
        business_hours: when people work, where it says so.
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
    business_hours: BusinessHours | None = None

    @property
    def ask(self) -> Requirement:
        """What an ask without ``approval`` requires."""
        return Requirement(expires_in=self.expires_in)

    @property
    def limit_names(self) -> list[str]:
        """Its limits as ``usage`` calls them: ``policy/rule/0``."""
        return [limit.name(self.name, rule.id) for rule in self.rules for limit in rule.limits]

    @property
    def reads_usage(self) -> bool:
        """Whether a condition reads what is used of limits."""
        return any(rule.condition and any(name == "usage" for name, _ in rule.condition.reads) for rule in self.rules)
