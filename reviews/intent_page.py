"""Everything the page of one intent shows, read in a constant number of queries."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.utils.safestring import SafeString, mark_safe

from audit import clock
from intents import integrity
from intents.models import Execution, ExecutionState, Intent, Status
from reviews import presentation, renderings
from reviews.confirming import Asked, asked_back
from reviews.decisions import told_beyond
from reviews.editing import Difference, differences
from reviews.entitlement import Eligible, about_this, may_decide, standing_of, votes_of, who_may_decide
from reviews.models import Decision, Note, NoteKind, Take, Vote
from reviews.notes import notes_of
from reviews.presentation import text
from reviews.pushing import pushes
from reviews.queue import brings_forward
from reviews.quorum import Standing, cannot_see_to
from reviews.taking import takes_of
from reviews.trace import Trace, trace_of
from reviews.tree import tree
from zehrava import canonical

RECENT = 10
TRACK_RECORD = 200
# Above this the raw text has a page of its own, so that the intent's page carries a huge payload once and not twice.
RAW_INLINE = 50_000
EXECUTION_COLOURS = {
    ExecutionState.SUCCEEDED: "green",
    ExecutionState.FAILED: "red",
    ExecutionState.INDETERMINATE: "red",
    ExecutionState.RUNNING: "blue",
}


@dataclass(frozen=True, slots=True)
class SeatLine:
    """One seat of the requirement: who filled it, or who could."""

    group: SafeString
    filled_by: SafeString | None
    could: list[SafeString]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One dot of the track record."""

    intent_id: str
    label: str
    colour: str


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """What became of this agent's last intents with this action."""

    recent: list[Outcome]
    sentence: str


@dataclass(frozen=True, slots=True)
class DecisionLine:
    decision: Decision
    rationale: SafeString
    colour: str
    own: bool
    # It was said of what would run before somebody changed the payload.
    outdated: bool


@dataclass(frozen=True, slots=True)
class Amended:
    """How what would run differs from what the agent proposed, who changed it, and why that may reach further."""

    differences: list[Difference]
    editors: list[SafeString]
    widenings: list[SafeString]


@dataclass(frozen=True, slots=True)
class Attempt:
    execution: Execution
    state: str
    colour: str
    result: SafeString | None


@dataclass(frozen=True, slots=True)
class NoteLine:
    """What somebody said beside deciding; `answer` where it is a question that was answered."""

    note: Note
    text: SafeString
    answer: Note | None
    answered: SafeString | None


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this person may do here; `why_not` says why there is no Approve and Reject."""

    decide: bool
    why_not: SafeString
    # Why this person can reject and not approve.
    only_reject: SafeString
    withdraw: Decision | None
    # Whether to say "I am on it", or to let it go again.
    take: bool
    let_go: bool
    cancel: bool
    resolve: bool
    why_no_resolve: str


@dataclass(frozen=True, slots=True)
class IntentPage:
    """What the template shows."""

    card: presentation.Card
    intact: bool
    digest: str
    fields: list[renderings.Field]
    payload: SafeString
    raw: SafeString | None
    size: int
    reason: SafeString
    trace: Trace
    risk_reasons: list[SafeString]
    standing: Standing
    seats: list[SeatLine]
    eligible: list[Eligible]
    track: TrackRecord
    amended: Amended | None
    decisions: list[DecisionLine]
    attempts: list[Attempt]
    notes: list[NoteLine]
    summary: SafeString | None
    context: SafeString | None
    tags: list[SafeString]
    # Phrases of the agent's, anywhere in what it sent, that push whoever reads.
    pushes: list[SafeString]
    # What to type before it is approved, at high risk.
    asked: Asked | None
    may: Abilities
    now: datetime
    revision: str
    # The decision was made: what came of it leads the page.
    settled: bool
    final: bool


def build(intent: Intent, person: User, *, now: datetime) -> IntentPage:
    """The page of `intent` (with `agent__owner` and `action_type_version` loaded) for this person, as of `now`."""
    rows = Decision.objects.filter(intent=intent).select_related("reviewer").prefetch_related("reviewer__groups")
    decisions = list(rows.order_by("id"))
    executions = list(intent.executions.order_by("attempt"))
    votes = [decision for decision in decisions if decision.withdrawn_at is None]
    stood = standing_of(intent, votes)
    taken = takes_of([intent]).get(intent.pk)
    said = notes_of(intent)
    eligible = who_may_decide(intent, votes)
    document = intent.document
    # What is bound is what was rendered: the digest of this text, not the one stored beside it.
    digest = canonical.digest(intent.canonical.encode())
    return IntentPage(
        card=presentation.card(intent, given=stood.given, now=now, taken_by=_name_of(taken)),
        intact=digest == intent.digest and integrity.digest_of(intent.verdict) == intent.verdict_digest,
        digest=digest,
        fields=renderings.fields(presentation.action_type_of(intent), document["payload"]),
        payload=tree(document["payload"]),
        raw=presentation.raw(intent) if len(intent.canonical) <= RAW_INLINE else None,
        size=len(intent.canonical),
        reason=presentation.reason(intent),
        trace=trace_of(intent),
        risk_reasons=[text(reason) for reason in intent.risk_reasons],
        standing=stood,
        seats=_seats(stood, votes, eligible, person),
        eligible=eligible,
        track=_track_record(intent),
        amended=_amended(intent),
        decisions=[_decision_line(decision, intent, person) for decision in decisions],
        attempts=[_attempt(execution) for execution in executions],
        notes=_note_lines(said),
        summary=text(document["summary"]) if document["summary"] else None,
        context=tree(document["context"]) if document["context"] else None,
        tags=[text(tag) for tag in document["tags"]],
        asked=asked_back(intent),
        pushes=[text(phrase) for phrase in pushes(intent.canonical)],
        may=_abilities(intent, person, votes, taken, now),
        now=now,
        revision=_revision(intent, decisions, executions, taken, len(said)),
        settled=bool(executions) or Status(intent.status) != Status.PENDING_APPROVAL,
        final=Status(intent.status).is_terminal,
    )


def _note_lines(said: Sequence[Note]) -> list[NoteLine]:
    answers = {note.question_id: note for note in said if note.kind == NoteKind.ANSWER}
    return [
        NoteLine(note, text(note.text), (answer := answers.get(note.pk)), text(answer.text) if answer else None)
        for note in said
        if note.kind != NoteKind.ANSWER
    ]


def revision(intent: Intent) -> str:
    """A short text that changes when something on the page does: what an open page asks for."""
    taken = takes_of([intent]).get(intent.pk)
    decisions, executions = list(Decision.objects.filter(intent=intent)), list(intent.executions.all())
    return _revision(intent, decisions, executions, taken, Note.objects.filter(intent=intent).count())


def _revision(
    intent: Intent, decisions: Sequence[Decision], executions: Sequence[Execution], taken: Take | None, notes: int
) -> str:
    # Notes are never changed or taken back: their number says it all.
    parts = [intent.status, intent.digest, str(taken and taken.person_id), str(notes)]
    parts += sorted(f"{decision.pk} {decision.withdrawn_at is not None}" for decision in decisions)
    parts += sorted(f"{execution.pk} {execution.state}" for execution in executions)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _seats(stood: Standing, votes: list[Decision], eligible: list[Eligible], person: User) -> list[SeatLine]:
    names = {vote.reviewer_id: vote.reviewer_name for vote in votes}
    lines = []
    for seat in stood.seats:
        could = [_name(one, person) for one in eligible if seat.group in one.groups]
        filled = None if seat.filled_by is None else text(names[seat.filled_by])
        lines.append(SeatLine(text(seat.group), filled, could))
    return lines


def _name(one: Eligible, person: User) -> SafeString:
    return mark_safe("<b>you</b>") if one.id == person.pk else text(one.name)


def _track_record(intent: Intent) -> TrackRecord:
    earlier = list(
        Intent.objects.filter(agent_id=intent.agent_id, action=intent.action)
        .exclude(pk=intent.pk)
        .order_by("-id")
        .values_list("pk", "status", "value_amount", "value_currency")[:TRACK_RECORD]
    )
    recent = [
        Outcome(pk, Status(status).label, presentation.OUTCOME_COLOURS.get(Status(status), "bad"))
        for pk, status, *_ in reversed(earlier[:RECENT])
    ]
    return TrackRecord(recent, _sentence(intent, earlier))


def _sentence(intent: Intent, earlier: Sequence[tuple[str, str, Decimal | None, str | None]]) -> str:
    if not earlier:
        return "This agent has never asked for this action before."
    counts = Counter(Status(status).label.lower() for _, status, *_ in earlier)
    amounts = [amount for *_, amount, currency in earlier if amount is not None and currency == intent.value_currency]
    first = f"Last {len(earlier):,}" if len(earlier) > 1 else "One before"
    sentence = f"{first}: " + ", ".join(f"{number:,} {label}" for label, number in counts.most_common())
    if amounts:
        average = sum(amounts) / len(amounts)
        sentence += f" · {average:,.2f} {intent.value_currency} on average"
    return sentence


def _amended(intent: Intent) -> Amended | None:
    if not intent.amendments:
        return None
    made = list(intent.amended_by.order_by("number"))
    proposed = json.loads(made[0].replaced)["payload"]
    editors = dict.fromkeys(amendment.editor_name for amendment in made)
    return Amended(
        differences=differences(proposed, intent.payload),
        editors=[text(name) for name in editors],
        widenings=[text(each) for each in made[-1].widenings],
    )


def _decision_line(decision: Decision, intent: Intent, person: User) -> DecisionLine:
    outdated = not about_this(decision, intent)
    faded = decision.withdrawn_at or outdated
    colour = "" if faded else ("green" if decision.vote == Vote.APPROVE else "red")
    return DecisionLine(decision, text(decision.rationale), colour, decision.reviewer_id == person.pk, outdated)


def _attempt(execution: Execution) -> Attempt:
    state = ExecutionState(execution.state)
    result = None if execution.result is None else tree(execution.result)
    return Attempt(execution, state.label, EXECUTION_COLOURS.get(state, ""), result)


def abilities(intent: Intent, person: User) -> Abilities:
    """What this person may do with the intent now, without the rest of its page."""
    votes = votes_of([intent]).get(intent.pk, [])
    return _abilities(intent, person, votes, None, clock.now())


def _name_of(taken: Take | None) -> str | None:
    return None if taken is None else taken.person.get_username()


def _abilities(intent: Intent, person: User, votes: list[Decision], taken: Take | None, now: datetime) -> Abilities:
    status = Status(intent.status)
    own = [vote for vote in votes if vote.reviewer_id == person.pk]
    # What was said before an amendment was said about something else.
    own_vote = next((vote for vote in own if about_this(vote, intent)), None)
    open_for_votes = status == Status.PENDING_APPROVAL and intent.expires_at > now
    why_not = _why_not(intent, person, votes, own_vote, open_for_votes)
    operator = person.has_perm("intents.resolve_intent")
    owns = person.pk in intent.barred_ids
    return Abilities(
        decide=open_for_votes and not why_not,
        why_not=why_not,
        only_reject=_why_only_reject(intent, person),
        withdraw=own[-1] if own and status == Status.PENDING_APPROVAL else None,
        take=open_for_votes and not why_not and taken is None,
        let_go=taken is not None and taken.person_id == person.pk,
        cancel=status in (Status.PENDING_APPROVAL, Status.APPROVED) and person.has_perm("intents.cancel_intent"),
        resolve=status == Status.INDETERMINATE and operator and not owns,
        why_no_resolve=_why_no_resolve(intent, operator, owns) if status == Status.INDETERMINATE else "",
    )


def _why_not(
    intent: Intent, person: User, votes: list[Decision], own_vote: Decision | None, open_for_votes: bool
) -> SafeString:
    if intent.status == Status.PENDING_APPROVAL and not open_for_votes:
        return text("Its time is up: nobody can decide on it any more. The agent has to propose it again.")
    if not open_for_votes:
        return mark_safe("")
    if refusal := may_decide(intent, person):
        return text(refusal.text)
    if own_vote is not None:
        return text(f"You voted to {own_vote.vote} this. Others still have to decide; you may take your vote back.")
    only_reject = cannot_see_to(intent.requirement) or person.pk in intent.widened_by
    if not only_reject and not brings_forward(intent, votes, person):
        return text("Every seat that you could fill is filled already; others have to decide.")
    return mark_safe("")


def _why_only_reject(intent: Intent, person: User) -> SafeString:
    if person.pk in intent.widened_by:
        return text(
            "You changed it so that it may reach further than the agent asked: somebody else has to approve it."
        )
    beyond = cannot_see_to(intent.requirement)
    return text(told_beyond(beyond)) if beyond else mark_safe("")


def _why_no_resolve(intent: Intent, operator: bool, owns: bool) -> str:
    if not operator:
        return "An operator has to find out what happened and say so here."
    if owns:
        return f"You own {intent.agent_name}, or made its key; another operator has to settle what it did."
    return ""
