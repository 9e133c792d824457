"""What a version of a policy covers and the most that it can ask: kept beside its text, and believed by its history.

A policy in force that cannot be read lets nothing pass. Without its outline it would ask one reviewer, and who breaks
the text of a strict policy would have made it a lenient one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from zehrava.policy import Policy
from zehrava.policy.globs import glob
from zehrava.policy.requirements import Requirement


def outline(policy: Policy) -> dict[str, Any]:
    """The actions that it covers (null: all) and everybody whom its rules together could ask, as JSON."""
    asked = [rule.requirement for rule in policy.rules if rule.requirement is not None]
    # Only whom it asks is taken from an outline; a deadline in business time would drag its calendar along.
    asks = replace(Requirement.join(asked or [policy.ask]), expires_after=()).document()
    return {"actions": list(policy.match.actions) if policy.match.actions is not None else None, "asks": asks}


def joined(outlines: Iterable[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """All of these at once; None where nothing is known of any."""
    known = [each for each in outlines if each is not None]
    if not known:
        return None
    actions = [each["actions"] for each in known]
    return {
        "actions": None if None in actions else sorted({action for each in actions for action in each}),
        "asks": Requirement.join(Requirement.read(each["asks"]) for each in known).document(),
    }


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A policy in force that cannot be used: why, and its outline where that is known."""

    reason: str
    outline: Mapping[str, Any] | None = None

    def asks(self, action: str) -> dict[str, Any] | None:
        """Whom it could have asked about this action at most; None where it cannot have been about it, or nobody
        knows."""
        if self.outline is None:
            return None
        actions = self.outline["actions"]
        if actions is not None and not any(glob(action, pattern) for pattern in actions):
            return None
        return dict(self.outline["asks"])

    def document(self) -> dict[str, Any] | str:
        """As JSON."""
        return self.reason if self.outline is None else {"reason": self.reason, "outline": dict(self.outline)}

    @classmethod
    def read(cls, document: Mapping[str, Any] | str) -> Unreadable:
        """What `document` wrote."""
        return cls(document) if isinstance(document, str) else cls(document["reason"], document["outline"])


def read_all(documents: Mapping[str, Any] | None) -> dict[str, Unreadable]:
    """By name, from the JSON of each."""
    return {name: Unreadable.read(document) for name, document in (documents or {}).items()}
