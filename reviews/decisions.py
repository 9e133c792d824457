"""Deciding: one vote of one person about one intent, bound to what that person was shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from audit import clock, inserting, ledger
from audit.actors import Actor
from audit.comparing import BATCH, Finding
from audit.models import Event
from intents import amending, integrity, lifecycle
from intents.models import Intent, Status
from intents.reasons import read_reason
from intents.representation import instant
from reviews.entitlement import about_this, may_decide, standing_of, votes_of
from reviews.models import Decision, Ground, Vote
from reviews.quorum import cannot_see_to
from reviews.taking import let_go
from zehrava import canonical, ids
from zehrava.problems import Problem

logger = logging.getLogger(__name__)


def decide(
    intent_id: str,
    *,
    by: User,
    vote: str,
    digest: str,
    ground: str = "",
    rationale: str = "",
    changes: Any = None,
    verdict_digest: str | None = None,
    requirement_digest: str | None = None,
) -> Decision:
    """Store this person's vote; where it meets the requirement, or rejects, the intent moves in the same transaction.

    `digest` is that of the intent as it was shown; the other two bind verdict and requirement where the page showed
    them too. `ground` is why somebody rejects or changes, in one of the words of `Ground`. `changes` is a JSON Patch
    (RFC 6902) of the payload, with an approval: what would run from then on is the changed payload, and approvals of
    what it was before no longer count. Raises Problem: `invalid`, `not-found`, `not-entitled`, `not-pending`,
    `expired`, `already-voted`, `stale-digest`, `integrity-failed`, and `conflict` for an approval of what asks for
    more than the desk can see to or of changes that policy blocks; nothing is stored then.
    """
    rationale = _rationale(vote, rationale, changes)
    _refuse_ground(ground, vote, changes)
    try:
        with transaction.atomic():
            intent = _locked(intent_id)
            _refuse_to_decide(intent, by)
            _refuse_stale(intent, digest, verdict_digest, requirement_digest)
            return _vote(intent, by=by, vote=Vote(vote), ground=ground, rationale=rationale, changes=changes)
    except IntegrityError as error:
        raise _already_voted() from error
    except Problem as problem:
        if problem.kind == "expired":
            with transaction.atomic():
                lifecycle.expire(_locked(intent_id))
        raise


def told_beyond(beyond: tuple[str, ...]) -> str:
    """Why nobody can approve what asks for this, and what to do."""
    return (
        f"Policy asks for {'; '.join(beyond)}. This portal cannot see to that yet, so nobody can approve it. Reject "
        "it, or let it expire; to have it approved, the policy has to ask for groups in all_of only."
    )


def withdraw(decision: Decision, *, by: User) -> Decision:
    """Take a vote back while the intent is pending. Raises Problem `not-entitled`, `not-pending`, `conflict`."""
    with transaction.atomic():
        intent = _locked(decision.intent_id)
        decision = Decision.objects.select_related("intent").get(pk=decision.pk)
        if decision.reviewer_id != by.pk:
            raise Problem("not-entitled", "Only the reviewer who voted takes a vote back.")
        if intent.status != Status.PENDING_APPROVAL:
            raise _decided(intent)
        if decision.withdrawn_at is not None:
            raise Problem("conflict", "This vote was already taken back.")
        decision.withdrawn_at = clock.now()
        facts = {"vote": decision.vote, "record_digest": decision.record_digest}
        ledger.save(decision, "decision.withdrawn", by=Actor.person(by), facts=facts, update_fields=["withdrawn_at"])
    return decision


def _rationale(vote: str, rationale: str, changes: Any) -> str:
    if vote not in Vote.values:
        raise Problem("invalid", 'vote: Send "approve" or "reject".', path="/vote")
    if changes is not None and vote == Vote.REJECT:
        raise Problem(
            "invalid", "Changes come with an approval; to reject, say in the rationale what to change.", path="/changes"
        )
    why = "Say why you reject: the agent and the record keep your reason." if vote == Vote.REJECT else None
    if changes is not None:
        why = "Say why you change it: the agent and the record keep your reason."
    return read_reason(rationale, path="/rationale", needed=why)


def _refuse_ground(ground: str, vote: str, changes: Any) -> None:
    if ground and ground not in Ground.values:
        raise Problem("invalid", f"ground: Send one of {', '.join(Ground.values)}.", path="/ground")
    if ground and vote == Vote.APPROVE and changes is None:
        raise Problem("invalid", "ground: It says why somebody rejects or changes; leave it out here.", path="/ground")


def _locked(intent_id: str) -> Intent:
    try:
        return lifecycle.locked(intent_id)
    except Intent.DoesNotExist as error:
        raise Problem("not-found", "There is no intent of this id.") from error


def _refuse_to_decide(intent: Intent, by: User) -> None:
    if refusal := may_decide(intent, by):
        raise Problem(refusal.kind, refusal.text)
    if intent.status == Status.EXPIRED:
        raise _expired()
    if intent.status != Status.PENDING_APPROVAL:
        raise _decided(intent)
    if intent.expires_at <= clock.now():
        raise _expired()
    if any(vote.reviewer_id == by.pk and about_this(vote, intent) for vote in votes_of([intent]).get(intent.pk, [])):
        raise _already_voted()


def _refuse_stale(intent: Intent, digest: str, verdict_digest: str | None, requirement_digest: str | None) -> None:
    shown = {
        "digest": (digest, intent.digest),
        "verdict_digest": (verdict_digest, intent.verdict_digest),
        "requirement_digest": (requirement_digest, intent.requirement_digest),
    }
    for name, (sent, stored) in shown.items():
        if sent != stored and (sent is not None or name == "digest"):
            raise Problem(
                "stale-digest",
                "What you were shown is not what would run now. Read the intent again and decide on that.",
                path=f"/{name}",
            )
    if altered := integrity.differences(intent):
        logger.critical("%s is not what the ledger says: %s", intent.pk, ", ".join(altered))
        raise Problem("integrity-failed", "What is stored was altered since it was proposed. Nobody can decide on it.")


def _vote(intent: Intent, *, by: User, vote: Vote, ground: str, rationale: str, changes: Any) -> Decision:
    actor = Actor.person(by)
    decision_id = ids.new("dec", at=clock.now())
    shown, amendment = intent.digest, None
    if changes is not None:
        amendment = amending.amend(intent, changes, by=by, facts={"decision": decision_id})
        if refusal := may_decide(intent, by):
            raise Problem(refusal.kind, refusal.text)
    if vote == Vote.APPROVE and (beyond := cannot_see_to(intent.requirement)):
        raise Problem("conflict", told_beyond(beyond))
    votes = _on_record(votes_of([intent]).get(intent.pk, []))
    decision = _decision(intent, decision_id, by=by, vote=vote, ground=ground, rationale=rationale)
    if amendment is not None:
        decision.changes, decision.shown_digest = amendment.patch, shown
    decision.record_digest = canonical.digest(canonical.dumps(record_of(decision)))
    fills = standing_of(intent, [*votes, decision]).given > standing_of(intent, votes).given
    if vote == Vote.APPROVE and not fills and not (amendment and amendment.widens):
        raise Problem("not-entitled", _why_it_fills_no_seat(intent, by))
    _store(decision, by=actor)
    let_go(intent.pk, by=by)
    votes.append(decision)
    if vote == Vote.REJECT:
        lifecycle.reject(intent, by=actor, facts={"decision": decision.pk})
    elif (stood := standing_of(intent, votes)).met:
        seated = {seat.filled_by for seat in stood.seats}
        counted = [one.pk for one in votes if one.reviewer_id in seated and about_this(one, intent)]
        lifecycle.approve(intent, by=actor, facts={"decisions": counted})
    return decision


def _store(decision: Decision, *, by: Actor) -> None:
    inserting.insert([decision])
    facts = {
        "vote": decision.vote,
        "digest": decision.digest,
        "verdict_digest": decision.verdict_digest,
        "requirement_digest": decision.requirement_digest,
        "record_digest": decision.record_digest,
    }
    if decision.ground:
        facts["ground"] = str(decision.ground)
    if decision.changes is not None:
        facts["shown_digest"] = decision.shown_digest
    # The changes themselves are the amendment's content.
    content = {"rationale": decision.rationale} if decision.rationale else None
    ledger.record(ledger.Change("decision.made", decision, by, facts, content, history="+"), at=decision.created_at)


def _on_record(votes: list[Decision]) -> list[Decision]:
    """Of these votes, those that the ledger knows word for word and never saw taken back: a row alone is no vote."""
    recorded: dict[str, str] = {}
    withdrawn: set[str] = set()
    events = Event.objects.filter(subject_type="reviews.decision", subject_id__in=[vote.pk for vote in votes])
    for kind, subject, line in events.values_list("type", "subject_id", "line"):
        if kind == "decision.made":
            recorded[subject] = json.loads(line)["facts"]["record_digest"]
        elif kind == "decision.withdrawn":
            withdrawn.add(subject)
    return [
        vote
        for vote in votes
        if vote.pk not in withdrawn and recorded.get(vote.pk) == canonical.digest(canonical.dumps(record_of(vote)))
    ]


def _why_it_fills_no_seat(intent: Intent, by: User) -> str:
    if by.pk in intent.widened_by:
        return "You changed this so that it may reach further than the agent asked; somebody else has to approve it."
    return "Every seat that you could fill is filled already; others have to decide."


def _decision(intent: Intent, decision_id: str, *, by: User, vote: Vote, ground: str, rationale: str) -> Decision:
    return Decision(
        id=decision_id,
        intent=intent,
        reviewer=by,
        reviewer_name=by.get_username(),
        vote=vote,
        ground=ground,
        rationale=rationale,
        digest=intent.digest,
        verdict_digest=intent.verdict_digest,
        requirement_digest=intent.requirement_digest,
        created_at=clock.now(),
    )


def record_of(decision: Decision) -> dict[str, Any]:
    """The decision as it is bound: the object whose RFC 8785 bytes `record_digest` covers."""
    changed = decision.changes is not None
    changes = {"changes": decision.changes, "shown_digest": decision.shown_digest} if changed else {}
    ground = {"ground": str(decision.ground)} if decision.ground else {}
    return {
        "version": 3 if ground else 2 if changed else 1,
        **changes,
        **ground,
        "id": decision.pk,
        "intent": decision.intent_id,
        "reviewer": {"id": str(decision.reviewer_id), "name": decision.reviewer_name},
        "vote": str(decision.vote),
        "rationale": decision.rationale,
        "digest": decision.digest,
        "verdict_digest": decision.verdict_digest,
        "requirement_digest": decision.requirement_digest,
        "at": instant(decision.created_at),
    }


def unlike_their_digests() -> Iterator[Finding]:
    """For `audit_check`: decisions whose words are not those that their record's digest covers."""
    for decision in Decision.objects.order_by("pk").iterator(chunk_size=BATCH):
        if canonical.digest(canonical.dumps(record_of(decision))) != decision.record_digest:
            yield Finding(Decision._meta.db_table, decision.pk, "the record is not what its digest covers")


def _already_voted() -> Problem:
    return Problem(
        "already-voted", "You have already voted on this intent. Take that vote back first, if it is pending."
    )


def _expired() -> Problem:
    return Problem("expired", "This intent ran out of time before it was decided. The agent has to propose it again.")


def _decided(intent: Intent) -> Problem:
    decided_by = (
        Decision.objects.filter(intent=intent, withdrawn_at__isnull=True)
        .order_by("-id")
        .values_list("reviewer_name", flat=True)
        .first()
    )
    label = Status(intent.status).label.lower()
    by = f", the last vote was {decided_by}'s" if decided_by else ""
    return Problem(
        "not-pending", f"This intent no longer waits for a decision: it is {label}{by}.", state=intent.status
    )
