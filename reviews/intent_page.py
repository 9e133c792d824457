"""Everything the page of one intent shows, read in a constant number of queries."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from audit import clock, signing
from intents import integrity, masking, reading
from intents.models import Execution, ExecutionState, Intent, Status
from intents.steps import has_time_left
from reviews import before_after, break_glass, decision_record, presentation, renderings, revealing, stepping_up
from reviews.asked import asked_of
from reviews.confirming import Asked, asked_back
from reviews.decisions import told_beyond, why_no_seat
from reviews.editing import Difference, differences
from reviews.entitlement import (
    Eligible,
    about_this,
    ballot_of,
    can_be_met_by,
    is_by_right,
    may_decide,
    members_of,
    rejections,
    rights_to_fill,
    says_in,
    standing_of,
    vote_again,
    voters_of,
    votes_of,
    who_may_decide,
)
from reviews.left_out import given_in_vain, left_out, sentences
from reviews.models import Decision, Note, NoteKind, StandingUse, Take, Vote
from reviews.notes import may_ask, notes_of
from reviews.notifications.mentions import marked, people_mentioned
from reviews.plan import PlanLine, at_the_end, plan_of
from reviews.presentation import text
from reviews.pushing import pushes
from reviews.quorum import Standing, cannot_see_to, groups_of, rejections_needed
from reviews.replacing import Replaced, Successor, beside
from reviews.seat_lines import SeatLine, WeighLine, seat_lines, weigh_lines
from reviews.second_factor import Factor
from reviews.standing.reading import covered_by
from reviews.taking import takes_of
from reviews.ties import Ties
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
    # The delegation that it was given by is over, or was revoked.
    lapsed: bool
    made: Made | None


@dataclass(frozen=True, slots=True)
class Made:
    """How a decision was made, as its signed record has it; `record` is where this person gets that, if they may."""

    stage: SafeString | None
    factor: str
    page: str
    door: str
    kid: str
    record: str


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
    # Whose delegate they decide as: one, or several to choose from; nobody's, where they decide for themselves.
    in_place_of: list[str]
    withdraw: Decision | None
    # Whether to say "I am on it", or to let it go again.
    take: bool
    let_go: bool
    cancel: bool
    ask: bool
    resolve: bool
    why_no_resolve: str
    break_glass: bool


@dataclass(frozen=True, slots=True)
class StepUp:
    """That policy wants a second factor of whoever approves: why theirs does not do yet, and where they confirm it."""

    why_not: str
    address: str


@dataclass(frozen=True, slots=True)
class IntentPage:
    """What the template shows."""

    card: presentation.Card
    intact: bool
    digest: str
    fields: list[renderings.Field]
    payload: SafeString
    # What the panel "before and after" will compare; the panel asks the target itself once the page stands.
    compares: list[SafeString]
    raw: SafeString | None
    size: int
    reason: SafeString
    trace: Trace
    risk_reasons: list[SafeString]
    standing: Standing
    # Where more than one has to reject before that ends it: how many did, and of how many.
    rejected: tuple[int, int] | None
    seats: list[SeatLine]
    weighed: list[WeighLine]
    # Who fills no seat, where policy wants different managers, and why.
    left_out: list[SafeString]
    eligible: list[Eligible]
    track: TrackRecord | None
    # Too few people may still decide.
    nobody_can: bool
    # What happens while nobody decides, and when its time is over.
    plan: list[PlanLine]
    at_the_end: SafeString
    amended: Amended | None
    # What it stands in the place of, and what stands in its own.
    replaced: Replaced | None
    successor: Successor | None
    decisions: list[DecisionLine]
    # What it passed on without being asked about, or is a sample of.
    covered: StandingUse | None
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
    step_up: StepUp | None
    now: datetime
    revision: str
    # The decision was made: what came of it leads the page.
    settled: bool
    final: bool
    # What is masked of it for this reader, and whether they may reveal that; until when they read it without.
    masked: list[SafeString]
    may_reveal: bool
    unmasked_until: datetime | None


def build(intent: Intent, person: User, *, now: datetime, ties: Ties, factor: Factor | None = None) -> IntentPage:
    """The page of `intent` (with `agent__owner` and `action_type_version` loaded) for this person, as of `now`.

    `factor` is the second factor that they used last in this session.
    """
    # Those on what it replaced too, if it did: they are named beside it, and never counted.
    rows = Decision.objects.filter(intent__in=[each for each in (intent.pk, intent.supersedes_id) if each])
    said_of_both = list(rows.select_related("reviewer", "delegator").order_by("id"))
    members = list(members_of(groups_of(asked_of(intent))))
    ties.read_groups([person, *voters_of(said_of_both), *members])
    decisions = [decision for decision in said_of_both if decision.intent_id == intent.pk]
    former = [decision for decision in said_of_both if decision.intent_id != intent.pk]
    executions = list(intent.executions.order_by("attempt"))
    votes = [decision for decision in decisions if decision.withdrawn_at is None]
    stood = standing_of(intent, votes, ties)
    taken = takes_of([intent]).get(intent.pk)
    said = notes_of(intent)
    eligible = who_may_decide(intent, votes, ties, members=members)
    out = left_out(intent, votes, eligible, ties) if intent.status == Status.PENDING_APPROVAL else []
    replaced, successor = beside(intent, person, former, ties)
    document = masking.document(intent)
    # What is bound is what was rendered: the digest of this text, not the one stored beside it.
    digest = canonical.digest(intent.canonical.encode())
    return IntentPage(
        card=presentation.card(intent, stood=stood, now=now, taken_by=_name_of(taken)),
        intact=digest == intent.digest and integrity.digest_of(intent.verdict) == intent.verdict_digest,
        digest=digest,
        fields=renderings.fields(masking.action_type_of(intent), document["payload"]),
        payload=tree(document["payload"]),
        compares=before_after.names(intent),
        raw=presentation.raw(intent) if len(intent.canonical) <= RAW_INLINE else None,
        size=len(intent.canonical),
        reason=presentation.reason(intent),
        trace=trace_of(intent),
        risk_reasons=[text(reason) for reason in masking.risk_reasons(intent)],
        standing=stood,
        seats=seat_lines(stood, votes, [one for one in eligible if one not in {each.one for each in out}], person),
        weighed=weigh_lines(stood),
        left_out=[text(why) for why in (*given_in_vain(intent, votes, ties), *sentences(out))],
        rejected=_rejected(intent, votes, ties),
        eligible=eligible,
        # Who sees one intent only sees none of the others; who sees some, those.
        track=_track_record(intent, person) if person.has_perm(reading.VIEW) else None,
        plan=plan_of(intent),
        at_the_end=at_the_end(intent),
        nobody_can=intent.status == Status.PENDING_APPROVAL and not can_be_met_by(intent, votes, eligible, ties),
        amended=_amended(intent),
        replaced=replaced,
        successor=successor,
        decisions=[_decision_line(decision, intent, person, ties) for decision in decisions],
        covered=covered_by(intent),
        attempts=[_attempt(execution, intent) for execution in executions],
        notes=_note_lines(said, intent, ties),
        summary=text(document["summary"]) if document["summary"] else None,
        context=tree(document["context"]) if document["context"] else None,
        tags=[text(tag) for tag in document["tags"]],
        asked=asked_back(intent),
        pushes=[text(phrase) for phrase in pushes(masking.text(intent))],
        may=_abilities(intent, person, votes, taken, now, ties),
        now=now,
        step_up=_step_up(intent, factor),
        revision=_revision(intent, decisions, executions, taken, len(said)),
        settled=bool(executions) or Status(intent.status) != Status.PENDING_APPROVAL,
        final=Status(intent.status).is_terminal,
        masked=[text(each) for each in masking.mask_of(intent).paths],
        may_reveal=bool(masking.mask_of(intent)) and revealing.why_not(intent, person, ties) is None,
        unmasked_until=revealing.revealed_until(intent, person) if masking.is_unmasked(intent) else None,
    )


def _note_lines(said: Sequence[Note], intent: Intent, ties: Ties) -> list[NoteLine]:
    answers = {note.question_id: note for note in said if note.kind == NoteKind.ANSWER}
    told = people_mentioned(said, {intent.pk: intent}, ties)

    def words(note: Note) -> SafeString:
        return marked(note, {person.get_username() for person in told.get(note.pk, [])}, text)

    return [
        NoteLine(
            note,
            words(note),
            (answer := answers.get(note.pk)),
            text(masking.said(intent, answer.text)) if answer else None,
        )
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
    escalation = f"{intent.steps_taken} {intent.overtime} {intent.unmeetable}"
    parts = [intent.status, intent.digest, str(taken and taken.person_id), str(notes), escalation]
    parts += sorted(f"{decision.pk} {decision.withdrawn_at is not None}" for decision in decisions)
    parts += sorted(f"{execution.pk} {execution.state}" for execution in executions)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _step_up(intent: Intent, factor: Factor | None) -> StepUp | None:
    if not stepping_up.is_wanted(intent.requirement):
        return None
    page = reverse("admin:intents_intent_change", args=[intent.pk])
    return StepUp(stepping_up.why_not(factor, intent.digest), stepping_up.address(intent.digest, back=page))


def _rejected(intent: Intent, votes: list[Decision], ties: Ties) -> tuple[int, int] | None:
    needed = rejections_needed(asked_of(intent))
    return (len(rejections(intent, votes, ties)), needed) if needed > 1 else None


def _track_record(intent: Intent, person: User) -> TrackRecord:
    earlier = list(
        Intent.objects.filter(agent_id=intent.agent_id, action=intent.action)
        .filter(reading.visible_to(person), pk__lt=intent.pk)
        .order_by("-id")
        .values_list("pk", "status", "value_amount", "value_currency")[:TRACK_RECORD]
    )
    recent = [
        Outcome(pk, Status(status).label, presentation.OUTCOME_COLOURS.get(Status(status), "bad"))
        for pk, status, *_ in reversed(earlier[:RECENT])
    ]
    return TrackRecord(recent, _sentence(intent, earlier, sees_all=reading.sees_all(person)))


def _sentence(intent: Intent, earlier: Sequence[tuple[str, str, Decimal | None, str | None]], *, sees_all: bool) -> str:
    if not earlier and not sees_all:
        return "Of what you may read, this agent has never asked for this action before."
    if not earlier:
        return "This agent has never asked for this action before."
    counts = Counter(Status(status).label.lower() for _, status, *_ in earlier)
    amounts = [amount for *_, amount, currency in earlier if amount is not None and currency == intent.value_currency]
    first = f"Last {len(earlier):,}" if len(earlier) > 1 else "One before"
    sentence = f"{first}: " + ", ".join(f"{number:,} {label}" for label, number in counts.most_common())
    if amounts and not masking.hides_value(intent):
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
        differences=differences(proposed, intent.payload, drawn=(partial(masking.at, intent),) * 2),
        editors=[text(name) for name in editors],
        widenings=[text(masking.said(intent, each)) for each in made[-1].widenings],
    )


def _decision_line(decision: Decision, intent: Intent, person: User, ties: Ties) -> DecisionLine:
    outdated = not about_this(decision, intent)
    # What was over when it was decided counted as of then, and still does.
    lapsed = intent.status == Status.PENDING_APPROVAL and not is_by_right(ballot_of(decision), ties.bonds_of(intent))
    faded = decision.withdrawn_at or outdated or lapsed
    green = decision.vote == Vote.APPROVE and not decision.break_glass
    colour = "" if faded else "green" if green else "red"
    own = decision.reviewer_id == person.pk
    made = _made(decision, person)
    return DecisionLine(decision, text(decision.rationale), colour, own, outdated, lapsed, made)


def _made(decision: Decision, person: User) -> Made | None:
    if decision.record_version is None:
        return None
    factor = page = ""
    if decision.factor_at is not None:
        age = presentation.span(decision.created_at - decision.factor_at)
        factor = f"{decision.get_factor_display()}, used {age} before"
    if decision.page_open_seconds is not None:
        seen = "all of the payload in sight" if decision.whole_payload_seen else "not all of the payload in sight"
        page = f"open for {presentation.span(timedelta(seconds=decision.page_open_seconds))}, {seen}"
    may_read = person.has_perm(reading.VIEW) and decision_record.may_read(person, decision)
    return Made(
        stage=text(decision.stage) if decision.stage else None,
        factor=factor,
        page=page,
        door=decision.get_door_display() or "",
        kid=signing.kid_of(decision.signature),
        record=reverse("decision-record", args=[decision.pk]) if may_read else "",
    )


def _attempt(execution: Execution, intent: Intent) -> Attempt:
    state = ExecutionState(execution.state)
    result = None if execution.result is None else tree(masking.said(intent, execution.result))
    return Attempt(execution, state.label, EXECUTION_COLOURS.get(state, ""), result)


def abilities(intent: Intent, person: User) -> Abilities:
    """What this person may do with the intent now, without the rest of its page."""
    votes = votes_of([intent]).get(intent.pk, [])
    return _abilities(intent, person, votes, None, clock.now(), Ties())


def _name_of(taken: Take | None) -> str | None:
    return None if taken is None else taken.person.get_username()


def _abilities(
    intent: Intent, person: User, votes: list[Decision], taken: Take | None, now: datetime, ties: Ties
) -> Abilities:
    status = Status(intent.status)
    own = [vote for vote in votes if vote.reviewer_id == person.pk]
    # What was said before an amendment was said about something else.
    own_vote = next((vote for vote in own if about_this(vote, intent)), None)
    open_for_votes = status == Status.PENDING_APPROVAL and intent.expires_at > now
    why_not = _why_not(intent, person, votes, own_vote, open_for_votes, ties)
    decides = open_for_votes and not why_not
    operator = person.has_perm("intents.resolve_intent")
    owns = not intent.barred_ids.isdisjoint(ties.accounts.of(person.pk))
    return Abilities(
        decide=decides,
        why_not=why_not,
        only_reject=_why_only_reject(intent, person, votes, ties) if decides else mark_safe(""),
        in_place_of=_in_place_of(intent, person, votes, ties) if decides else [],
        withdraw=own[-1] if own and status == Status.PENDING_APPROVAL else None,
        take=decides and taken is None,
        let_go=taken is not None and taken.person_id == person.pk,
        cancel=status in (Status.PENDING_APPROVAL, Status.APPROVED) and person.has_perm("intents.cancel_intent"),
        ask=may_ask(intent, person, ties),
        resolve=status == Status.INDETERMINATE and operator and not owns,
        why_no_resolve=_why_no_resolve(intent, operator, owns) if status == Status.INDETERMINATE else "",
        break_glass=open_for_votes and break_glass.why_not(intent, person, ties) is None,
    )


def _in_place_of(intent: Intent, person: User, votes: list[Decision], ties: Ties) -> list[str]:
    """Whose delegate this person decides as, who may decide; empty for themselves. See `decisions.decide`."""
    says = rights_to_fill(intent, votes, person, ties) or says_in(intent, person, ties)
    return [] if says[0].delegation is None else [say.delegator for say in says]


def _why_not(
    intent: Intent, person: User, votes: list[Decision], own_vote: Decision | None, open_for_votes: bool, ties: Ties
) -> SafeString:
    if intent.status == Status.PENDING_APPROVAL and not open_for_votes and has_time_left(intent):
        return text("Its time is up, and others are asked instead in a moment. Load the page again.")
    if intent.status == Status.PENDING_APPROVAL and not open_for_votes:
        return text("Its time is up: nobody can decide on it any more. The agent has to propose it again.")
    if not open_for_votes:
        return mark_safe("")
    if refusal := may_decide(intent, person, ties):
        return text(refusal.text)
    if own_vote is not None and vote_again(intent, votes, person, ties) is None:
        return text(f"You voted to {own_vote.vote} this. Others still have to decide; you may take your vote back.")
    return mark_safe("")


def _why_only_reject(intent: Intent, person: User, votes: list[Decision], ties: Ties) -> SafeString:
    if person.pk in intent.widened_by:
        return text(
            "You changed it so that it may reach further than the agent asked: somebody else has to approve it."
        )
    if beyond := cannot_see_to(asked_of(intent)):
        return text(told_beyond(beyond))
    if rights_to_fill(intent, votes, person, ties):
        return mark_safe("")
    return text(f"{why_no_seat(intent, votes, person, ties)} You can reject it now.")


def _why_no_resolve(intent: Intent, operator: bool, owns: bool) -> str:
    if not operator:
        return "An operator has to find out what happened and say so here."
    if owns:
        return f"You own {intent.agent_name}, or made its key; another operator has to settle what it did."
    return ""
