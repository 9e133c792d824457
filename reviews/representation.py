"""Decisions as the API shows them beside their intent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from intents.models import Intent
from intents.representation import instant
from reviews.entitlement import standing_of, votes_of
from reviews.models import Decision


def decisions_of(intents: Sequence[Intent]) -> Mapping[str, tuple[list[dict[str, Any]], int]]:
    """For each intent that has any: its standing votes, earliest first, and how many seats they fill."""
    asked = {intent.pk: intent for intent in intents if intent.requirement is not None}
    if not asked:
        return {}
    return {
        intent_id: ([represent(vote) for vote in votes], standing_of(asked[intent_id], votes).given)
        for intent_id, votes in votes_of(asked.values()).items()
    }


def represent(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.pk,
        "vote": decision.vote,
        "reviewer": decision.reviewer_name,
        "ground": decision.ground or None,
        "rationale": decision.rationale,
        "changes": decision.changes,
        "digest": decision.digest,
        "at": instant(decision.created_at),
    }
