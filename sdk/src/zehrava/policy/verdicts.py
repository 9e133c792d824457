"""What policy says about an intent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ALLOW = "allow"
BLOCK = "block"
ASK = "require_approval"
EFFECTS = (ALLOW, BLOCK, ASK)
DEFAULT_RULE = "default"
DEFAULT_GROUP = "reviewers"


@dataclass(frozen=True, slots=True)
class Requirement:
    """Who must approve: seats per group; ``expires_in`` in seconds, or None where nobody said."""

    groups: tuple[tuple[str, int], ...] = ((DEFAULT_GROUP, 1),)
    expires_in: int | None = None

    @staticmethod
    def join(requirements: Iterable[Requirement]) -> Requirement:
        """All of them at once: per group the largest count, of the expiries the shortest."""
        counts: dict[str, int] = {}
        expiries: list[int] = []
        for requirement in requirements:
            for group, count in requirement.groups:
                counts[group] = max(count, counts.get(group, 0))
            if requirement.expires_in is not None:
                expiries.append(requirement.expires_in)
        return Requirement(tuple(sorted(counts.items())), min(expiries, default=None))

    def document(self) -> dict[str, Any]:
        """As JSON: ``{"all_of": [{"group", "count"}], "expires_in"}``, groups in order."""
        seats = [{"group": group, "count": count} for group, count in sorted(self.groups)]
        return {"all_of": seats, "expires_in": self.expires_in}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy said for an intent.

    Attributes:
        effect: ``allow``, ``block`` or ``require_approval``.
        policy, version, rule: what decided; ``rule`` is ``default`` where the policy's default did, and all
            three are None where no policy matched.
        reason: for people; may quote the payload, so it is hostile text.
        requirement: who must approve (only with ``require_approval``), ``expires_in`` in seconds.
        trace: every rule considered, in order: policy, version, rule, effect, held (True, False or "error"), error.
    """

    effect: str
    policy: str | None
    version: int | None
    rule: str | None
    reason: str
    requirement: dict[str, Any] | None = None
    trace: tuple[Mapping[str, Any], ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON, without the trace."""
        return {
            "effect": self.effect,
            "policy": self.policy,
            "version": self.version,
            "rule": self.rule,
            "reason": self.reason,
            "requirement": self.requirement,
        }
