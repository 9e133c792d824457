"""Deciding: one vote of one person about one intent, bound to what that person was shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from audit import clock, inserting, ledger
from audit.actors import Actor
from audit.models import Event
from intents import amending, escalation, integrity, lifecycle, masking
from intents.models import Intent, Status
from intents.reasons import read_reason
from reviews import decision_record, revealing, stepping_up
from reviews.asked import asked_of
from reviews.circumstances import Origin, Seen, seen_by
from reviews.decision_record import record_of
from reviews.entitlement import (
    Say,
    about_this,
    counts_once_with,
    may_decide,
    rejections,
    rights_to_fill,
    says_in,
    standing_of,
    vote_again,
    votes_of,
)
from reviews.left_out import why_not_beside
from reviews.models import Decision, Ground, Vote
from reviews.quorum import cannot_see_to, rejections_needed
from reviews.second_factor import Factor
from reviews.standing import samples
from reviews.taking import let_go
from reviews.ties import Ties, hold_still
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
    meaning: str | None = None,
    factor: Factor | None = None,
    delegator: str | None = None,
    origin: Origin | None = None,
) -> Decision:
    """Store this person's vote; where it meets the requirement, or rejects, the intent moves in the same transaction.

    `digest` is that of the intent as it was shown; the other two bind verdict and requirement where the page showed
    them too. `ground` is why somebody rejects or changes, in one of the words of `Ground`. `changes` is a JSON Patch
    (RFC 6902) of the payload, with an approval: what would run from then on is the changed payload, and approvals of
    what it was before no longer count; `meaning` is that of `amending.meaning`, where the page showed what the changes
    would do. `factor` is the second factor that this person used last, where the session knows one. `delegator` is the
    username of who they decide for, "" for themselves; None leaves it to what `_in_whose_right` says. `origin` is where
    the decision comes from, None where it comes through none of the portal's doors.

    Raises Problem: `invalid`, `not-found`, `not-entitled`, `second-factor-needed`, `not-pending`, `expired`,
    `already-voted`, `stale-digest`, `integrity-failed`, `conflict` for an approval of what asks for more than the
    desk can see to, of changes that policy blocks, or where it has to be said for whom, and `unavailable` where it
    cannot be signed; nothing is stored then.
    """
    rationale = _rationale(vote, rationale, changes)
    _refuse_ground(ground, vote, changes)
    with for_decision(intent_id) as intent:
        votes, ties = votes_of([intent]).get(intent.pk, []), Ties()
        if hold_still(intent, by, votes):
            votes = votes_of([intent]).get(intent.pk, [])
        by = as_they_are_now(by)
        if refusal := may_decide(intent, by, ties):
            raise Problem(refusal.kind, refusal.text)
        refuse_unless_open(intent, by, votes, ties)
        refuse_stale(intent, digest, verdict_digest, requirement_digest)
        if changes is not None:
            _refuse_blind(intent, by)
        decision = _vote(
            intent,
            by=by,
            vote=Vote(vote),
            ground=ground,
            rationale=rationale,
            changes=changes,
            factor=factor,
            delegator=delegator,
            origin=origin,
            votes=votes,
            ties=ties,
        )
        if meaning is not None and changes is not None:
            _refuse_moved(intent, meaning)
        return decision


@contextmanager
def for_decision(intent_id: str) -> Iterator[Intent]:
    """The intent, locked and where it would stand if a sweep had just come by, for one decision on it.

    What is raised inside undoes everything. Where that says that its time is over, it expires afterwards. Raises
    Problem `not-found`, and `already-voted` where another request of the same person was faster.
    """
    try:
        with transaction.atomic():
            intent = _locked(intent_id)
            escalation.catch_up(intent)
            yield intent
    except IntegrityError as error:
        raise _already_voted() from error
    except Problem as problem:
        if problem.kind == "expired":
            with transaction.atomic():
                lifecycle.expire(_locked(intent_id))
        raise


def as_they_are_now(person: User) -> User:
    """This person, read again under the intent's lock.

    The request read them before it waited for that: they may have been deactivated, or have left a group, since then.
    """
    return User.objects.get(pk=person.pk)


def told_beyond(beyond: tuple[str, ...]) -> str:
    """Why nobody can approve what asks for this, and what to do."""
    return (
        f"Policy asks for {'; '.join(beyond)}. This portal cannot see to that yet, so nobody can approve it. Reject "
        "it, or let it expire; to have it approved, the policy has to ask for what docs/policies/grammar.md lists."
    )


def withdraw(decision: Decision, *, by: User) -> Decision:
    """Take a vote back while the intent is pending.

    Raises Problem `not-entitled`, `not-pending`, `expired`, `conflict`.
    """
    with transaction.atomic():
        intent = _locked(decision.intent_id)
        escalation.catch_up(intent)
        decision = Decision.objects.select_related("intent").get(pk=decision.pk)
        if decision.reviewer_id != by.pk:
            raise Problem("not-entitled", "Only the reviewer who voted takes a vote back.")
        if intent.status != Status.PENDING_APPROVAL:
            raise _decided(intent)
        if decision.withdrawn_at is not None:
            raise Problem("conflict", "This vote was already taken back.")
        _take_back(decision, by=Actor.person(by), at=_moment_in_time(intent))
    return decision


def _take_back(decision: Decision, *, by: Actor, at: datetime) -> None:
    decision.withdrawn_at = at
    facts = {"vote": decision.vote, "record_digest": decision.record_digest}
    ledger.save(decision, "decision.withdrawn", by=by, facts=facts, update_fields=["withdrawn_at"])


def _moment_in_time(intent: Intent) -> datetime:
    """Now, which goes on record as when it was done. Raises Problem `expired` where the time was over by then.

    What is looked at before the work is one moment and what is recorded after it another: this is the latter.
    """
    at = clock.now()
    if intent.expires_at <= at:
        raise _expired()
    return at


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


def refuse_unless_open(intent: Intent, by: User, votes: list[Decision], ties: Ties) -> None:
    """Raises Problem where nobody can decide on it any more, or this person has already by one of these votes."""
    if intent.agent.killed_at is not None and intent.status == Status.PENDING_APPROVAL:
        raise Problem(
            "conflict", "The kill switch of this agent was pressed: nothing of it runs, and this is being cancelled."
        )
    if intent.status == Status.EXPIRED:
        raise _expired()
    if intent.status != Status.PENDING_APPROVAL:
        raise _decided(intent)
    _moment_in_time(intent)
    voted = any(vote.reviewer_id == by.pk and about_this(vote, intent) for vote in votes)
    if voted and vote_again(intent, votes, by, ties) is None:
        raise _already_voted()


def refuse_stale(intent: Intent, digest: str, verdict_digest: str | None, requirement_digest: str | None) -> None:
    """Raises Problem `stale-digest` where this is not what was shown, `integrity-failed` where it was altered."""
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


def _refuse_blind(intent: Intent, by: User) -> None:
    """Refuse a change of what this person sees masked: what is refused of it, or stands in it, would reveal that."""
    if masking.paths(intent) and revealing.revealed_until(intent, by) is None:
        raise Problem(
            "conflict",
            "Some of this is masked, and a change is made of what is seen. Reveal it first, with the button on its page"
            f" or by POST /api/v1/intents/{intent.pk}/reveal.",
            path="/changes",
        )


def _refuse_moved(intent: Intent, meaning: str) -> None:
    """Refuse a change that would mean something else now than what was shown of it; all of it is undone then."""
    widenings = intent.amended_by.order_by("-number").values_list("widenings", flat=True)[0]
    if amending.meaning(intent, widenings) != meaning:
        raise Problem(
            "stale-digest",
            "What your change would do has moved since you looked: what policy says of it, who must agree, or its"
            " reach. Look at it once more.",
            path="/changes",
        )


def _vote(
    intent: Intent,
    *,
    by: User,
    vote: Vote,
    ground: str,
    rationale: str,
    changes: Any,
    factor: Factor | None,
    delegator: str | None,
    origin: Origin | None,
    votes: list[Decision],
    ties: Ties,
) -> Decision:
    actor = Actor.person(by)
    decision_id = ids.new("dec", at=clock.now())
    shown, amendment = intent.digest, None
    # Of what was shown, not of what a change makes of it.
    unseen = revealing.unseen_by(by, intent)
    if changes is not None:
        amendment = amending.amend(intent, changes, by=by, facts={"decision": decision_id})
        if refusal := may_decide(intent, by, ties):
            raise Problem(refusal.kind, _beyond_delegation() if ties.given_to(by) else refusal.text)
    if vote == Vote.APPROVE and (beyond := cannot_see_to(asked_of(intent))):
        raise Problem("conflict", told_beyond(beyond))
    if vote == Vote.APPROVE:
        # Also where only the change makes policy want it.
        stepping_up.refuse_without(intent, factor, digest=shown)
    votes = _on_record(votes)
    if again := vote_again(intent, votes, by, ties):
        _take_back(again, by=actor, at=_moment_in_time(intent))
        votes.remove(again)
    filling = rights_to_fill(intent, votes, by, ties) if vote == Vote.APPROVE else []
    if vote == Vote.APPROVE and not filling and not (amendment and amendment.widens):
        raise Problem("not-entitled", why_no_seat(intent, votes, by, ties))
    say = _in_whose_right(delegator, filling, says_in(intent, by, ties))
    seen = seen_by(origin, intent, by, digest=shown)
    decision = begun(
        intent, decision_id, by=by, vote=vote, rationale=rationale, factor=factor, seen=seen, unseen=unseen
    )
    decision.ground = ground
    if say.delegation is not None:
        decision.delegation, decision.delegator = say.delegation, say.delegation.delegator
        decision.delegator_name = say.delegator
    if amendment is not None:
        decision.changes, decision.shown_digest = amendment.patch, shown
    decision.stage = _stage(intent, votes, decision, ties)
    store(decision, by=actor)
    let_go(intent.pk, by=by)
    _conclude(intent, [*votes, decision], by=actor, ties=ties)
    return decision


def _in_whose_right(delegator: str | None, filling: list[Say], says: list[Say]) -> Say:
    """In whose right a vote is given: what was asked for where it can be, else one's own, else the only other one.

    `filling` are those in which an approval fills a seat; `says` all in which this person has a say. Raises Problem
    `not-entitled` where it cannot be as asked for, and `conflict` where it has to be said which.
    """
    could = filling or says
    if delegator is None:
        own = [say for say in could if say.delegation is None]
        if len(could) > 1 and not own:
            raise _several(could)
        return (own or could)[0]
    found = next((say for say in could if say.delegator == delegator), None)
    if found is None and filling and filling[0].delegation is None:
        why = "You have a seat of your own here: decide for yourself. For others you decide where you have none."
        raise Problem("not-entitled", why, path="/delegator")
    if found is None and not delegator and len(could) > 1:
        raise _several(could)
    if found is None:
        who = f"for {delegator}" if delegator else "in your own right"
        raise Problem(
            "not-entitled", f"You cannot decide on this {who}, or not any more. Read it again.", path="/delegator"
        )
    return found


def _beyond_delegation() -> str:
    return (
        "What you made of it is beyond what was delegated to you: a delegate changes only what stays within what the "
        "agent asked, and within the delegation's scope. Leave it to who delegated it, or reject it."
    )


def _several(could: list[Say]) -> Problem:
    names = " or ".join(say.delegator for say in could)
    return Problem("conflict", f"Say for whom you decide: {names}. One vote is for one of them.", path="/delegator")


def _conclude(intent: Intent, votes: list[Decision], *, by: Actor, ties: Ties) -> None:
    """Move the intent where these votes say so; the last of them was just given."""
    if votes[-1].vote == Vote.REJECT:
        against = rejections(intent, votes, ties)
        if len(against) >= rejections_needed(asked_of(intent)):
            # One alone is named as ever.
            facts = {"decision": against[0].pk} if len(against) == 1 else {"decisions": [one.pk for one in against]}
            lifecycle.reject(intent, by=by, facts=facts)
            samples.note_disagreement(intent, by=by)
    elif (stood := standing_of(intent, votes, ties)).met:
        seated = {seat.filled_by for seat in stood.seats}
        decided = [one.pk for one in votes if one.reviewer_id in seated and about_this(one, intent)]
        lifecycle.approve(intent, by=by, facts={"decisions": decided})
        if intent.amendments:
            samples.note_disagreement(intent, by=by)


def _stage(intent: Intent, votes: list[Decision], decision: Decision, ties: Ties) -> str | None:
    """The group whose seat this approval fills now; None for a rejection, and for what fills none."""
    if decision.vote != Vote.APPROVE:
        return None
    seats = standing_of(intent, [*votes, decision], ties).seats
    return next((seat.group for seat in seats if seat.filled_by == decision.reviewer_id), None)


def begun(
    intent: Intent,
    decision_id: str,
    *,
    by: User,
    vote: Vote,
    rationale: str,
    factor: Factor | None,
    seen: Seen,
    unseen: Sequence[str],
) -> Decision:
    """A decision on what the intent is now, not stored yet. Raises Problem `expired` where its time is over by now."""
    decision = Decision(
        id=decision_id,
        intent=intent,
        reviewer=by,
        reviewer_name=by.get_username(),
        vote=vote,
        rationale=rationale,
        digest=intent.digest,
        verdict_digest=intent.verdict_digest,
        requirement_digest=intent.requirement_digest,
        created_at=_moment_in_time(intent),
    )
    if factor is not None:
        decision.factor, decision.factor_at = factor.kind, factor.at
    decision.masked = list(unseen) or None
    decision_record.describe(decision, seen)
    return decision


def store(decision: Decision, *, by: Actor) -> None:
    """Sign and store a decision with its event. Raises Problem `unavailable` where it cannot be signed."""
    decision_record.sign(decision)
    inserting.insert([decision])
    facts: dict[str, Any] = {
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
    if decision.factor is not None:
        facts["factor"] = decision.factor
    if decision.delegator_id is not None:
        facts |= {"delegator": decision.delegator_id, "delegation": decision.delegation_id}
    if decision.break_glass:
        facts["break_glass"] = True
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


def why_no_seat(intent: Intent, votes: list[Decision], by: User, ties: Ties) -> str:
    """Why an approval of this person would change nothing now."""
    if by.pk in intent.widened_by:
        return "You changed this so that it may reach further than the agent asked; somebody else has to approve it."
    if with_whom := counts_once_with(intent, votes, by, ties):
        return with_whom
    if beside_whom := why_not_beside(intent, votes, by, ties):
        return beside_whom
    mine = {group for say in says_in(intent, by, ties) for group in say.groups}
    stood = standing_of(intent, votes, ties)
    if intent.overtime and mine.isdisjoint(group for seat in stood.seats for group in (seat.group, *seat.also)):
        groups = dict.fromkeys(seat.group for seat in stood.seats)
        return f"It was escalated: {' and '.join(groups)} decide now."
    seats = [seat for seat in stood.seats if seat.filled_by is None and mine.intersection((seat.group, *seat.also))]
    if before := dict.fromkeys(group for seat in seats for group in seat.after):
        return f"It is not your turn yet: {' and '.join(before)} must agree first."
    return "Every seat that you could fill is filled already; others have to decide."


def _already_voted() -> Problem:
    return Problem(
        "already-voted", "You have already voted on this intent. Take that vote back first, if it is pending."
    )


def _expired() -> Problem:
    return Problem("expired", "This intent ran out of time before it was decided. The agent has to propose it again.")


def _decided(intent: Intent) -> Problem:
    decided_by = Decision.objects.filter(intent=intent, withdrawn_at__isnull=True).order_by("-id").first()
    label = Status(intent.status).label.lower()
    by = f", the last vote was {decided_by.who}'s" if decided_by else ""
    return Problem(
        "not-pending", f"This intent no longer waits for a decision: it is {label}{by}.", state=intent.status
    )
