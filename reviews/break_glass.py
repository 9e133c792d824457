"""Breaking the glass: in an emergency one person approves beyond the requirement, in sight of everybody.

It sets aside seats, counts and order, and nothing else. The separation of duties holds, and so do a block by policy,
the end of time, the kill switch, the digest that was shown and the integrity of what is stored. What the desk cannot
see to holds as well: of a requirement that nobody here can read, nobody can say on the record what was set aside.

It takes a permission that no role has and that being a superuser does not imply, a reason, and a second factor used
just now. Auditors are told at once, and a review stays open until somebody else has said whether it was justified.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.utils.safestring import SafeString, mark_safe

from audit import clock, ledger
from audit.actors import Actor
from audit.text import is_hidden
from intents import lifecycle, reading
from intents.models import Intent, Status
from intents.reasons import read_reason
from reviews import confirming, decisions, revealing, stepping_up
from reviews.circumstances import Origin, seen_by
from reviews.entitlement import Refusal, bars, holders_of, matter_of, votes_of
from reviews.models import BreakGlassReview, Decision, Finding, Vote
from reviews.quorum import cannot_see_to, groups_of
from reviews.second_factor import Factor
from reviews.standing import samples
from reviews.taking import let_go
from reviews.ties import Ties
from zehrava import ids
from zehrava.problems import Problem

PERMISSION, REVIEW = "reviews.break_glass", "reviews.review_break_glass"
# Told at once when it happens.
AUDITORS = "auditors"
LEAST_WORDS = 20  # characters
LEAST_LETTERS = 5  # different ones
# The statuses in which nothing can have been approved beyond the requirement.
_NEVER = (Status.PENDING_APPROVAL, Status.BLOCKED, Status.REJECTED)
_MARK = mark_safe('<span class="zhv-pill is-red">glass broken</span>')


def may_break(person: User) -> bool:
    """Whether somebody gave this active person the permission, by name or by a group.

    No query for who has no such permission at all, which is nearly everybody.
    """
    if not person.has_perm(PERMISSION):
        return False
    return holders_of(PERMISSION, with_superusers=False).filter(pk=person.pk).exists()


def why_not(intent: Intent, person: User, ties: Ties | None = None) -> Refusal | None:
    """Why this person does not break the glass of this intent, whatever its status and the time; None if they may."""
    if not may_break(person):
        return Refusal("not-entitled", "You may not approve beyond the requirement: nobody gave you that permission.")
    if not groups_of(intent.requirement):
        return Refusal("not-entitled", "Policy decided this intent; there is nothing for people to decide.")
    ties = ties or Ties()
    if refusal := bars(intent, person, ties):
        return refusal
    if person.pk in intent.widened_by:
        return Refusal(
            "not-entitled",
            "You changed this so that it may reach further than the agent asked; somebody else has to approve it.",
        )
    if person.pk in matter_of(intent, ties).barred:
        return Refusal(
            "not-entitled",
            "Somebody with whom you count once changed this so that it may reach further; others have to approve it.",
        )
    if beyond := cannot_see_to(intent.requirement):
        return Refusal("conflict", decisions.told_beyond(beyond))
    return None


def break_glass(
    intent_id: str,
    *,
    by: User,
    digest: str,
    verdict_digest: str,
    requirement_digest: str,
    reason: str,
    typed: str,
    factor: Factor | None,
    origin: Origin,
) -> Decision:
    """Approve a pending intent beyond its requirement, and open the review of it.

    The digests are those of what was shown, `typed` what is typed back at high risk, `factor` the second factor that
    this person used last and `origin` the page that it came from. Raises what `decisions.decide` does; nothing is
    stored then.
    """
    reason = _long_enough(read_reason(reason, path="/rationale", needed=_ASK))
    with decisions.for_decision(intent_id) as intent:
        by, ties = decisions.as_they_are_now(by), Ties()
        if refusal := why_not(intent, by, ties):
            raise Problem(refusal.kind, refusal.text)
        decisions.refuse_unless_open(intent, by, votes_of([intent]).get(intent.pk, []), ties)
        decisions.refuse_stale(intent, digest, verdict_digest, requirement_digest)
        if why := stepping_up.why_not(factor, digest):
            raise Problem("second-factor-needed", why)
        confirming.refuse_unless_typed(intent, typed)
        seen = seen_by(origin, intent, by, digest=digest)
        decision_id = ids.new("dec", at=clock.now())
        decision = decisions.begun(
            intent,
            decision_id,
            by=by,
            vote=Vote.APPROVE,
            rationale=reason,
            factor=factor,
            seen=seen,
            unseen=revealing.unseen_by(by, intent),
        )
        _approve(intent, decision, by=by)
        return decision


def _approve(intent: Intent, decision: Decision, *, by: User) -> None:
    actor = Actor.person(by)
    decision.break_glass = True
    decisions.store(decision, by=actor)
    let_go(intent.pk, by=by)
    lifecycle.approve_beyond(intent, by=actor, facts={"decisions": [decision.pk]})
    if intent.amendments:
        samples.note_disagreement(intent, by=actor)
    review = BreakGlassReview(intent=intent, decision=decision, opened_at=decision.created_at)
    ledger.save(review, "glass_review.opened", by=actor, facts={"decision": decision.pk})


_ASK = f"Say why it cannot wait for those who were asked, in at least {LEAST_WORDS} characters: auditors will read it."


def _long_enough(reason: str) -> str:
    # What nobody sees is no reason.
    seen = [letter for letter in " ".join(reason.split()) if not is_hidden(letter)]
    if len(seen) < LEAST_WORDS or len(set(seen)) < LEAST_LETTERS:
        raise Problem("invalid", _ASK, path="/rationale")
    return reason


# --- seen everywhere ------------------------------------------------------------------------------------------------


def broken(intent: Intent) -> Decision | None:
    """The decision that approved this beyond its requirement; no query where there can be none."""
    if intent.status in _NEVER:
        return None
    rows = Decision.objects.filter(intent=intent, break_glass=True).select_related("glass_review")
    return rows.order_by("-id").first()


def marks_of(intent_ids: Iterable[str]) -> Mapping[str, SafeString]:
    """A red mark for each of these intents that was approved beyond its requirement, by id; one query."""
    found = Decision.objects.filter(intent__in=list(intent_ids), break_glass=True)
    return dict.fromkeys(found.values_list("intent_id", flat=True), _MARK)


# --- its review -----------------------------------------------------------------------------------------------------


def count_open(person: User | AnonymousUser) -> int:
    """How many reviews nobody has closed, of what this person may read; one query."""
    return BreakGlassReview.objects.filter(reading.visible_to(person, "intent__"), closed_at=None).count()


def why_not_close(review: BreakGlassReview, person: User) -> str:
    """Why this person, by any account, does not close this review; empty where they may."""
    if review.closed_at is not None:
        return f"{review.closed_by_name} has closed this review."
    if not person.has_perm(REVIEW):
        return "Auditors close this review: it takes their permission."
    if person.pk == review.decision.reviewer_id:
        return "You broke this glass: somebody else has to say whether it was justified."
    if person.pk in Ties().accounts.of(review.decision.reviewer_id):
        who = review.decision.reviewer_name
        return f"You broke this glass as {who}: somebody else has to say whether it was justified."
    return ""


def close(review_id: int, *, by: User, finding: str, text: str) -> BreakGlassReview:
    """Say whether it was justified, and why, for good.

    Raises Problem `not-found`, `not-entitled`, `conflict` where it was closed already, and `invalid`.
    """
    if finding not in Finding.values:
        raise Problem("invalid", "Say whether it was justified.", path="/finding")
    text = read_reason(text, path="/text", needed="Say what you found: it stays with the record.")
    with transaction.atomic():
        rows = BreakGlassReview.objects.select_for_update(of=("self",)).select_related("intent", "decision")
        review = rows.filter(pk=review_id).first()
        if review is None:
            raise Problem("not-found", "There is no such review.")
        if why := why_not_close(review, by):
            raise Problem("conflict" if review.closed_at else "not-entitled", why)
        review.closed_at, review.closed_by, review.closed_by_name = clock.now(), by, by.get_username()
        review.finding, review.text = finding, text
        facts = {"decision": review.decision_id, "finding": str(review.finding)}
        ledger.save(review, "glass_review.closed", by=Actor.person(by), facts=facts, content={"text": text})
    return review
