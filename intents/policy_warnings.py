"""What people should know about a policy before it counts. Warnings only: none of this keeps a policy from being saved.

What the engine's own lint finds, and what other apps know about the people and pages behind it: they register a check.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from intents import in_force, parsing
from intents.models import PolicyVersion
from zehrava.policy import Policy, linting
from zehrava.policy.errors import DocumentError

logger = logging.getLogger(__name__)

Check = Callable[[Policy], Iterable[str]]
_checks: list[Check] = []

# Lint takes about a millisecond a rule, more with many action types; a rule is about a hundred characters.
AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Warned:
    """One thing to know: `level` is warning or note, `line` and `path` its place in the document, if any."""

    level: str
    message: str
    line: int | None = None
    path: str = ""

    def __str__(self) -> str:
        where = f"line {self.line}, {self.path}: " if self.line and self.path else ""
        return f"{where}{self.message}"


def register(check: Check) -> None:
    """Add a check: it takes a policy and says in sentences what to know about it."""
    _checks.append(check)


def warnings_of_text(text: str) -> list[Warned]:
    """The same as `warnings_of`, of a text that is no version yet."""
    policy = parsing.parse_policy(text)
    found = [Warned("warning", message) for check in _checks for message in _said(check, policy)] + _lint(policy)
    return sorted(found, key=lambda warned: (warned.level != "warning", warned.line or 0))


def takes_long(version: PolicyVersion) -> bool:
    """Whether somebody would wait for `warnings_of`, so that it has to be asked for by a request of its own."""
    return len(version.text) > AT_ONCE


def warnings_of(version: PolicyVersion) -> list[Warned]:
    """Everything worth knowing about a version as if it were in force: warnings first, then by line."""
    try:
        return warnings_of_text(version.text)
    except DocumentError as error:
        return [Warned("warning", f"This version can no longer be read: {error}. Nothing is allowed by it.")]


def _said(check: Check, policy: Policy) -> list[str]:
    try:
        return list(check(policy))
    except Exception:
        # A warning is worth less than being able to save and read policies.
        logger.exception("a check of policies failed on %s", policy.name)
        return ["One of the checks failed on this policy; the log says why. The policy itself works as it is written."]


def _lint(policy: Policy) -> list[Warned]:
    """What lint says of this policy with the action types in force; of requirements, the checks know more."""
    try:
        findings = _findings(policy.text, in_force.current().version)
    except Exception:
        logger.exception("lint failed on %s", policy.name)
        return [Warned("note", "Lint could not read this policy; the log says why. It works as it is written.")]
    return [Warned(one.level, one.message, one.line, one.path) for one in findings if one.policy == policy.name]


# The text of a version never changes, and every look at its page asks.
@functools.lru_cache(maxsize=64)
def _findings(text: str, in_force_version: int) -> tuple[linting.Finding, ...]:
    """What lint says; remembered until the action types in force may have changed."""
    types = {name: action_type for name, (_, action_type) in in_force.current().action_types.items()}
    return tuple(linting.lint([parsing.parse_policy(text)], types))
