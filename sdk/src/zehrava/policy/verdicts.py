"""What policy says about an intent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .limits import Use

ALLOW = "allow"
BLOCK = "block"
ASK = "require_approval"
EFFECTS = (ALLOW, BLOCK, ASK)
DEFAULT_RULE = "default"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy said for an intent.

    Attributes:
        effect: ``allow``, ``block`` or ``require_approval``.
        policy, version, rule: what decided; ``rule`` is ``default`` where the policy's default did, and all
            three are None where no policy matched.
        reason: for people; may quote the payload, so it is hostile text.
        requirement: who must approve (only with ``require_approval``), ``expires_in`` in seconds.
        limits: every limit the verdict depends on: what the intent would add, what is used, whether it has to be
            counted. Where ``usage`` was not passed in, these are the limits whose usage is wanted.
        consulted: name and version of each policy that covers the intent, in order of names.
        rows: the rows of the rule's table that ask, by their numbers, more than one where it cannot be told which fits.
    """

    effect: str
    policy: str | None
    version: int | None
    rule: str | None
    reason: str
    requirement: dict[str, Any] | None = None
    limits: tuple[Use, ...] = ()
    consulted: tuple[tuple[str, int], ...] = ()
    rows: tuple[int, ...] = ()
    _trace: Callable[[], tuple[Mapping[str, Any], ...]] = field(default=tuple, repr=False, compare=False)

    @property
    def trace(self) -> tuple[Mapping[str, Any], ...]:
        """Every rule considered, in order. Each entry is plain JSON:

        ``policy``, ``version``, ``rule``, ``effect``; ``when``: the text of its condition, None where it has none;
        ``held`` (True, False or "error") and ``error``; ``operands``: the condition and its parts, each an
        ``expression`` with its ``value`` or ``error``, or ``skipped`` where it has no value and another part settled
        the matter, long values cut; ``limits``: of the rule that held, as ``Use.document`` gives them, or ``limit``
        with ``error``; ``table``: of a rule that asks by one, as ``Table.document`` gives it, else None.

        It is worked out when first asked for, from the payload, context and agent that were passed to ``evaluate``:
        leave those as they are until then.
        """
        return self._trace()

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
