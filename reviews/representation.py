"""Decisions as the API shows them beside their intent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from intents.models import Intent
from intents.representation import instant
from reviews.asked import asked_of
from reviews.entitlement import standing_of, votes_of, who_may_decide
from reviews.left_out import given_in_vain, left_out, sentences
from reviews.models import Decision
from reviews.quorum import Standing, groups_seated, standing
from reviews.ties import Ties


def decisions_of(intents: Sequence[Intent]) -> Mapping[str, tuple[list[dict[str, Any]], dict[str, Any]]]:
    """For each intent that has any: its standing votes, earliest first, and where its requirement stands with them."""
    asked = {intent.pk: intent for intent in intents if intent.requirement is not None}
    if not asked:
        return {}
    ties = Ties()
    return {
        intent_id: (
            [represent(vote) for vote in votes],
            _stands(standing_of(asked[intent_id], votes, ties)),
        )
        for intent_id, votes in votes_of(asked.values()).items()
    }


def untouched(intent: Intent) -> dict[str, Any]:
    """Where the requirement of an intent stands before anybody voted."""
    return _stands(standing(asked_of(intent), ()))


def people_for(intent: Intent) -> dict[str, Any]:
    """`could`: the names of those who can still decide on it, by group; of a delegate also for whom: `dora for rita`.

    Without those who may only reject by now. `left_out` says of whom it is their manager that keeps them from it, where
    there are any.
    """
    votes, ties = votes_of([intent]).get(intent.pk, []), Ties()
    eligible = who_may_decide(intent, votes, ties)
    without = left_out(intent, votes, eligible, ties)
    found: dict[str, list[str]] = {group: [] for group in groups_seated(asked_of(intent))}
    for one in eligible:
        for group in found.keys() & set(one.groups) if one not in {each.one for each in without} else ():
            found[group].append(one.told)
    told = [*given_in_vain(intent, votes, ties), *sentences(without)]
    return {"could": found, **({"left_out": told} if told else {})}


def _stands(stood: Standing) -> dict[str, Any]:
    """How many seats are filled, and which are not.

    Of these `after` whom they are asked, what would do `instead`, who may fill them `also`, and the `weight` of each.
    Where weights are asked for, `weighed` says how much of each is given.
    """
    lacking = Counter(
        (seat.group, seat.after, seat.instead, seat.also, seat.weight) for seat in stood.seats if seat.filled_by is None
    )
    missing = [
        {
            "group": group,
            "count": count,
            **({"after": list(after)} if after else {}),
            **({"instead": instead} if instead else {}),
            **({"also": list(also)} if also else {}),
            **({"weight": weight} if weight else {}),
        }
        for (group, after, instead, also, weight), count in lacking.items()
    ]
    weighed = [{"received": each.given, "at_least": each.weighing.at_least} for each in stood.weighed]
    return {"received": stood.given, "missing": missing, **({"weighed": weighed} if weighed else {})}


def represent(decision: Decision) -> dict[str, Any]:
    """One decision, as whoever may read its intent reads it."""
    return {
        "id": decision.pk,
        "vote": decision.vote,
        "reviewer": decision.reviewer_name,
        "delegator": decision.delegator_name or None,
        "ground": decision.ground or None,
        "rationale": decision.rationale,
        "changes": decision.changes,
        "digest": decision.digest,
        "record_digest": decision.record_digest,
        "signature": decision.signature or None,
        "break_glass": decision.break_glass,
        "at": instant(decision.created_at),
    }
