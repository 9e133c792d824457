"""What people said of intents most like this one: the nearest thing to a precedent, for whoever decides next.

Nearness is counted in points that the page names: a reader can tell why each of them stands there. It is a help to
remember by; nothing is decided, and nothing learnt, from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Prefetch, prefetch_related_objects
from django.utils.safestring import SafeString

from intents import masking, reading
from intents.models import Intent, Status
from reviews import presentation
from reviews.entitlement import about_this
from reviews.models import Decision, Vote
from reviews.presentation import text

SHOWN = 5
# So many decided ones are compared, among so many of the action: what is older than those is not looked at.
COMPARED = 200
LOOKED_AT = 2_000
# An amount or a number of records this near to the other, at most, is "about the same".
_ABOUT = Decimal("0.2")
_READ = (
    "action",
    "action_type_version__text",
    "agent_id",
    "agent_name",
    "decided_at",
    "digest",
    "records",
    "requirement_digest",
    "status",
    "target",
    "value_amount",
    "value_currency",
)


@dataclass(frozen=True, slots=True)
class Said:
    """One vote on it: whether to approve, by whom, and why."""

    label: str
    colour: str
    by: SafeString
    ground: str
    rationale: SafeString
    # It was said of what would run before somebody changed it.
    outdated: bool


@dataclass(frozen=True, slots=True)
class Similar:
    """One past intent: what it shares with this one, what people said, and what became of it."""

    intent_id: str
    agent: SafeString
    about: SafeString
    shares: str
    votes: list[Said]
    status: str
    colour: str
    at: datetime | None


def similar_decisions(intent: Intent, person: User) -> list[Similar]:
    """The `SHOWN` most similar past intents that people decided about and this person may read, nearest first, then
    newest; two queries."""
    lately = Intent.objects.filter(action=intent.action, id__lt=intent.pk).order_by("-id").values("pk")[:LOOKED_AT]
    standing = Decision.objects.filter(withdrawn_at=None)
    rows = (
        Intent.objects.filter(reading.visible_to(person), pk__in=lately)
        .filter(Exists(standing.filter(intent=OuterRef("pk"))))
        .exclude(status=Status.PENDING_APPROVAL)
        .select_related("action_type_version")
        .only(*_READ)
        .order_by("-id")[:COMPARED]
    )
    near = [(points, index, row, shares) for index, row in enumerate(rows) for points, shares in [_near(row, intent)]]
    near.sort(key=lambda each: (-each[0], each[1]))
    nearest = [(row, shares) for _, _, row, shares in near[:SHOWN]]
    # The votes of the few that are shown, and of no other.
    votes = Prefetch("decisions", standing.order_by("id"), to_attr="standing_votes")
    prefetch_related_objects([row for row, _ in nearest], votes)
    return [_similar(row, shares, row.standing_votes) for row, shares in nearest]  # type: ignore[attr-defined]


def _near(row: Intent, intent: Intent) -> tuple[int, list[str]]:
    """How many points two intents of one action share, and in words which."""
    points, shares = 0, []

    def shared(worth: int, what: str) -> None:
        nonlocal points
        points += worth
        shares.append(what)

    if row.target is not None and row.target == intent.target:
        shared(4, "same target")
    if row.value_currency == intent.value_currency and (how := _about(row.value_amount, intent.value_amount)):
        shared(3 if how == "same" else 2, f"{how} amount")
    if how := _about(row.records, intent.records):
        shared(2 if how == "same" else 1, f"{how} number of records")
    if row.agent_id == intent.agent_id:
        shared(1, "same agent")
    if row.requirement_digest == intent.requirement_digest:
        shared(1, "same people asked")
    return points, shares


def _about(one: Decimal | int | None, other: Decimal | int | None) -> str:
    if one is None or other is None:
        return ""
    if one == other:
        return "same"
    larger = max(abs(Decimal(one)), abs(Decimal(other)))
    return "about the same" if abs(Decimal(one) - Decimal(other)) <= _ABOUT * larger else ""


def _similar(row: Intent, shares: Iterable[str], votes: Iterable[Decision]) -> Similar:
    status = Status(row.status)
    return Similar(
        intent_id=row.pk,
        agent=text(row.agent_name),
        about=text(" · ".join(masking.about(row)) or row.action),
        shares=", ".join(shares) or "same action",
        votes=[_said(vote, row) for vote in votes],
        status=status.label,
        colour=presentation.STATUS_COLOURS.get(status, ""),
        at=row.decided_at,
    )


def _said(vote: Decision, row: Intent) -> Said:
    approved = vote.vote == Vote.APPROVE
    return Said(
        outdated=not about_this(vote, row),
        label=("Changed and approved" if vote.changes is not None else "Approved") if approved else "Rejected",
        colour="green" if approved else "red",
        by=text(vote.who),
        ground=vote.get_ground_display() if vote.ground else "",
        rationale=text(vote.rationale) if vote.rationale else SafeString(""),
    )
