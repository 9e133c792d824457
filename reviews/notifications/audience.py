"""Who is told of an event: the right people, and the channels of the groups that it concerns.

| what happened | who is told |
| --- | --- |
| an intent waits, or was changed while it waited | who could fill a seat of it and is not away: the rule of the desk |
| nobody answered for so long that policy reminds | the same people, once more |
| nobody answered for so long that others are asked too | those of the others who could fill a seat now |
| nobody can meet what it asks | who may settle executions: operators and administrators |
| it was approved, rejected, cancelled, settled, expired or failed | who owns its agent and who voted; not who did it |
| nobody knows whether it was carried out | who may settle that, and those who are told of outcomes |
| a comment mentions somebody | that person, if they may view the intent |
| an agent answered a question | who asked it |
| somebody approved it beyond the requirement | auditors; not who did it |
| a standing approval was suspended | its owner and who approved it |

Nobody who was deactivated is told anything, and no text of an agent chooses who is. But for the owner of its agent,
nobody is told of an intent that they may not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet

from audit.models import Event
from intents.models import Intent, RiskLevel, Status
from reviews.asked import asked_of
from reviews.break_glass import AUDITORS
from reviews.entitlement import (
    brings_forward,
    groups_asked,
    holders_of,
    may_view,
    members_of,
    says_in,
    still_to_decide,
    viewers_of,
    votes_of,
)
from reviews.models import Decision, Note, NoteKind, StandingApproval
from reviews.notifications.mentions import people_mentioned
from reviews.notifications.models import Occasion
from reviews.quorum import groups_of
from reviews.ties import Ties

PROPOSED, AMENDED, NOTED, UNKNOWN = "intent.proposed", "intent.amended", "note.written", "intent.indeterminate"
VOTED, GLASS, SUSPENDED = "decision.made", "intent.glass_broken", "standing_approval.suspended"
REMINDED, WIDENED, ESCALATED, UNMEETABLE = "intent.reminded", "intent.widened", "intent.escalated", "intent.unmeetable"
STEPS = (REMINDED, WIDENED, ESCALATED)
OUTCOMES = (
    "intent.approved",
    "intent.rejected",
    "intent.expired",
    "intent.cancelled",
    "intent.integrity_failed",
    "intent.failed",
    "intent.settled",
    UNKNOWN,
)
TYPES = (PROPOSED, AMENDED, NOTED, GLASS, SUSPENDED, UNMEETABLE, *STEPS, *OUTCOMES)
# The key of ZEHRAVA_NOTIFY_WEBHOOKS that stands for every group, and the group of those who settle executions.
EVERY_GROUP = "*"
SETTLERS = "operators"
_URGENT = (RiskLevel.HIGH, RiskLevel.CRITICAL)


@dataclass(frozen=True, slots=True)
class Told:
    """One thing to tell: to a person, or to the channel of a group."""

    event: Event
    intent: Intent
    occasion: Occasion
    person: User | None = None
    channel: str = ""
    note: Note | None = None

    @property
    def urgent(self) -> bool:
        if self.occasion in (Occasion.NEEDS_PERSON, Occasion.GLASS):
            return True
        asks = self.occasion == Occasion.ASK
        return asks and (self.intent.risk_level in _URGENT or self.event.type in (REMINDED, ESCALATED))


def worth_telling() -> QuerySet[Event]:
    """The events that somebody may have to be told of: of the types that matter, and of intents that asked people.

    What policy allows or blocks by itself is most of what a portal does, and is not even read.
    """
    asked = Intent.objects.filter(pk=OuterRef("intent_id"), requirement__isnull=False)
    told = Q(type__in=TYPES) & (Q(type__in=[NOTED, UNKNOWN, SUSPENDED]) | Exists(asked))
    # A vote makes it the turn of others only where they are asked one after the other.
    turns = Q(type=VOTED) & Exists(asked.filter(status=Status.PENDING_APPROVAL, requirement__has_key="in_order"))
    return Event.objects.filter(told | turns)


def told_of(events: Sequence[Event]) -> list[Told]:
    """Who is told of these events as things stand now, each once; a fixed number of queries for all of them."""
    known = _Known(events)
    found: dict[tuple[str, int | None, str], Told] = {}
    for event in events:
        for told in _told(event, known):
            # The first reason is the most pressing one.
            key = (event.pk, None if told.person is None else told.person.pk, told.channel)
            found.setdefault(key, told)
    return list(found.values())


class Recheck:
    """Whether what was to be told is still to be told, for many deliveries at once."""

    def __init__(self, intents: Sequence[Intent], people: Sequence[User]) -> None:
        self._votes = votes_of(intents)
        self._viewers = viewers_of(people)
        self._settlers = {person.pk for person in _may_settle()}
        self._ties = Ties()
        self._auditors = {person.pk for person in members_of([AUDITORS])}

    def is_moot(self, intent: Intent, occasion: Occasion, *, waits: bool) -> bool:
        """Whether nothing is left to do about what somebody was to do something about."""
        if occasion == Occasion.ASK:
            return not waits
        # What lacked people and was handed on is still worth knowing.
        stuck = waits and (intent.unmeetable or intent.steps_taken > 0 or intent.overtime)
        return occasion == Occasion.NEEDS_PERSON and intent.status != Status.INDETERMINATE and not stuck

    def is_theirs(self, intent: Intent, occasion: Occasion, person: User) -> bool:
        """Whether this person is still one to be told: active, and of those whom the occasion concerns."""
        if not person.is_active:
            return False
        if occasion == Occasion.ASK:
            return bool(_could_fill_a_seat(intent, self._votes.get(intent.pk, []), [person], self._ties))
        if occasion == Occasion.NEEDS_PERSON:
            settles = person.pk in self._settlers and may_view(intent, person, self._viewers, self._ties)
            return settles and (intent.status == Status.PENDING_APPROVAL or not _is_theirs(intent, person, self._ties))
        if occasion == Occasion.GLASS:
            return person.pk in self._auditors and may_view(intent, person, self._viewers, self._ties)
        owns = occasion == Occasion.OUTCOME and person.pk == intent.agent.owner_id
        return owns or may_view(intent, person, self._viewers, self._ties)


class _Known:
    """What has to be known of these events, read together."""

    def __init__(self, events: Sequence[Event]) -> None:
        ids = {event.intent_id for event in events}
        self.intents = Intent.objects.select_related("agent__owner").in_bulk(ids)
        notes = Note.objects.select_related("question__author")
        self.notes = notes.in_bulk([event.subject_id for event in events if event.type == NOTED])
        suspended = [event.subject_id for event in events if event.type == SUSPENDED]
        self.suspended = StandingApproval.objects.select_related("owner", "approver").in_bulk(suspended)
        self.votes = votes_of(list(self.intents.values()))
        asked = [intent for intent in self.intents.values() if intent.status == Status.PENDING_APPROVAL]
        groups = {group for intent in asked for group in groups_of(asked_of(intent))}
        self.ties = Ties()
        members = {person.pk: person for person in members_of(groups)} if groups else {}
        # With who decides for others: whatever they belong to themselves.
        also = {person.pk: person for person in self.ties.delegates} if groups else {}
        self.members = list((also | members).values())
        self.ties.read_groups(self.members)
        self.mentioned = people_mentioned(self.notes.values(), self.intents, self.ties)
        self.settlers = list(_may_settle()) if any(event.type in (UNKNOWN, UNMEETABLE) for event in events) else []
        self.auditors = list(members_of([AUDITORS])) if any(event.type == GLASS for event in events) else []
        voters = [vote.reviewer for votes in self.votes.values() for vote in votes]
        askers = [note.question.author for note in self.notes.values() if note.question is not None]
        two = [one for each in self.suspended.values() for one in (each.owner, each.approver)]
        told = [*voters, *self.settlers, *self.auditors, *(one for one in (*askers, *two) if one is not None)]
        self.viewers = viewers_of(told)

    def who_may_read(self, intent: Intent, people: Iterable[User]) -> list[User]:
        """Of these people, who may open the intent: a mail says what its page does."""
        return [person for person in people if may_view(intent, person, self.viewers, self.ties)]


def _told(event: Event, known: _Known) -> Iterator[Told]:
    intent = known.intents.get(event.intent_id)
    if intent is None:
        return
    if event.type == NOTED:
        yield from _told_of_note(event, intent, known)
        return
    if event.type == SUSPENDED:
        yield from _told_of_suspended(event, intent, known)
        return
    if event.type == UNKNOWN:
        for person in known.who_may_read(intent, known.settlers):
            if not _is_theirs(intent, person, known.ties):
                yield Told(event, intent, Occasion.NEEDS_PERSON, person)
        yield from _channels(event, intent, Occasion.NEEDS_PERSON, [SETTLERS])
    if event.type == GLASS:
        for person in known.who_may_read(intent, known.auditors):
            if not _did_it(event, person):
                yield Told(event, intent, Occasion.GLASS, person)
        yield from _channels(event, intent, Occasion.GLASS, [AUDITORS])
        return
    if event.type == UNMEETABLE:
        yield from _told_that_nobody_can(event, intent, known)
        return
    if event.type in STEPS:
        yield from _told_of_step(event, intent, known)
        return
    if event.type == VOTED:
        yield from _told_whose_turn_it_is(event, intent, known)
        return
    occasion = Occasion.OUTCOME if event.type in OUTCOMES else Occasion.ASK
    if occasion == Occasion.ASK and not _asked(event, intent):
        return
    votes = known.votes.get(intent.pk, [])
    if occasion == Occasion.ASK:
        people = _could_fill_a_seat(intent, votes, known.members, known.ties)
    else:
        people = _concerned(intent, votes, known)
    for person in people:
        if not _did_it(event, person):
            yield Told(event, intent, occasion, person)
    if intent.requirement is not None:
        is_ask = occasion == Occasion.ASK
        asked = groups_asked(intent, votes, known.ties) if is_ask else groups_of(asked_of(intent))
        yield from _channels(event, intent, occasion, asked)


def _told_whose_turn_it_is(event: Event, intent: Intent, known: _Known) -> Iterator[Told]:
    """Those whom this vote has asked, and the channels of their groups."""
    if intent.status != Status.PENDING_APPROVAL:
        return
    votes = known.votes.get(intent.pk, [])
    before = [vote for vote in votes if vote.pk != event.subject_id]
    for person in _could_fill_a_seat(intent, votes, known.members, known.ties):
        if not brings_forward(intent, before, person, known.ties) and not _did_it(event, person):
            yield Told(event, intent, Occasion.ASK, person)
    asked_before = groups_asked(intent, before, known.ties)
    if turns := [group for group in groups_asked(intent, votes, known.ties) if group not in asked_before]:
        yield from _channels(event, intent, Occasion.ASK, turns)


def _told_of_step(event: Event, intent: Intent, known: _Known) -> Iterator[Told]:
    """Those whom a step of the escalation asks, or reminds, and the channels of their groups."""
    if not _asked(event, intent):
        return
    votes = known.votes.get(intent.pk, [])
    to = set(json.loads(event.line)["facts"]["to"])
    for person in _could_fill_a_seat(intent, votes, known.members, known.ties):
        held = {group for say in says_in(intent, person, known.ties) for group in say.groups}
        if event.type == REMINDED or to & held:
            yield Told(event, intent, Occasion.ASK, person)
    asked = [group for group in groups_asked(intent, votes, known.ties) if event.type == REMINDED or group in to]
    yield from _channels(event, intent, Occasion.ASK, asked)


def _told_that_nobody_can(event: Event, intent: Intent, known: _Known) -> Iterator[Told]:
    """Those who can do something about it: add somebody to a group, or cancel it."""
    if not _asked(event, intent):
        return
    for person in known.who_may_read(intent, known.settlers):
        yield Told(event, intent, Occasion.NEEDS_PERSON, person)
    yield from _channels(event, intent, Occasion.NEEDS_PERSON, [SETTLERS])


def _asked(event: Event, intent: Intent) -> bool:
    """Whether people were asked then, and still are."""
    asked = json.loads(event.line)["facts"]["status"] == Status.PENDING_APPROVAL
    return asked and intent.status == Status.PENDING_APPROVAL


def _could_fill_a_seat(intent: Intent, votes: list[Decision], members: Iterable[User], ties: Ties) -> list[User]:
    """As on the desk: who has a say, has not voted, and finds a seat that nobody fills; and is not away."""
    people = still_to_decide(intent, votes, [person for person in members if not ties.is_away(person)], ties)
    return [person for person in people if brings_forward(intent, votes, person, ties)]


def _is_theirs(intent: Intent, person: User, ties: Ties) -> bool:
    """Whether this person owns the agent or made the key, by whichever account."""
    return not intent.barred_ids.isdisjoint(ties.accounts.of(person.pk))


def _concerned(intent: Intent, votes: Iterable[Decision], known: _Known) -> list[User]:
    """Who proposed it by their agent, and who voted on it."""
    owner = intent.agent.owner
    voters = {vote.reviewer_id: vote.reviewer for vote in votes}
    voters.pop(owner.pk, None)
    told = known.who_may_read(intent, voters.values())
    return [*([owner] if owner.is_active else []), *told]


def _told_of_note(event: Event, intent: Intent, known: _Known) -> Iterator[Told]:
    note = known.notes.get(event.subject_id)
    if note is None:
        return
    for person in known.mentioned.get(note.pk, []):
        if not _did_it(event, person):
            yield Told(event, intent, Occasion.MENTION, person, note=note)
    asker = note.question.author if note.kind == NoteKind.ANSWER and note.question is not None else None
    if asker is not None and known.who_may_read(intent, [asker]):
        yield Told(event, intent, Occasion.ANSWER, asker, note=note)


def _told_of_suspended(event: Event, intent: Intent, known: _Known) -> Iterator[Told]:
    """Whose word it is; also to who rejected the sample, for it is about both of theirs."""
    approval = known.suspended.get(event.subject_id)
    two = (approval.owner, approval.approver) if approval is not None else ()
    for person in known.who_may_read(intent, [one for one in two if one is not None]):
        if person.is_active:
            yield Told(event, intent, Occasion.STANDING, person)


def _channels(event: Event, intent: Intent, occasion: Occasion, groups: Iterable[str]) -> Iterator[Told]:
    webhooks: Mapping[str, str] = settings.ZEHRAVA_NOTIFY_WEBHOOKS
    for group in [*groups, EVERY_GROUP]:
        if group in webhooks:
            yield Told(event, intent, occasion, channel=group)


def _may_settle() -> QuerySet[User]:
    """Who may say what an execution of unknown outcome did."""
    return holders_of("intents.resolve_intent").order_by("pk")


def _did_it(event: Event, person: User) -> bool:
    return event.actor_kind == "person" and event.actor_id == str(person.pk)
