"""Which intents wait for one person: those where a vote of theirs would still bring the requirement forward.

Read from columns of what is pending, never from payloads: ten thousand that wait cost a desk a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db.models import Case, Count, Exists, Max, Min, OuterRef, Q, QuerySet, Sum, When
from django.db.models.functions import Now

from intents import reading, steps
from intents.models import Intent, RiskLevel, Status
from intents.reading import Sight
from reviews.asked import in_effect
from reviews.entitlement import Ballot, Matter, Say, about_this, barred_by, counted, names_person, says_of
from reviews.models import Decision, Vote
from reviews.quorum import Approval, brings_forward, cannot_see_to, groups_of
from reviews.ties import Ties

# How much could go wrong, by the level that people are shown and not by the score behind it.
RANK = Case(*(When(risk_level=level, then=rank) for rank, level in enumerate(RiskLevel.values)), default=0)
# Most could go wrong first, then least time left. The id makes the order total, so that pages never overlap.
URGENCY = (RANK.desc(), "expires_at", "id")


class Under(NamedTuple):
    """What decides whom an intent asks: its requirement, by its digest, and how far its escalation came."""

    requirement_digest: str | None
    steps_taken: int
    overtime: bool


# Who might have proposed it themselves, and what the scope of a delegation is about.
OWNERS = ("agent__owner", "owner", "key_maker")
ABOUT = ("action", "value_amount", "value_currency")


class Ask(NamedTuple):
    """A requirement as it is in effect, and what the desk wants of it: the groups that have a say.

    `escalates` says whether it may be handed on to others while nobody answers, `escalated` whether it was.
    """

    requirement: Mapping[str, Any] | None
    groups: tuple[str, ...]
    escalates: bool
    escalated: bool


Asked = Mapping[Under, Ask]


class Pile(NamedTuple):
    """How many of what is pending are the same in all that decides whom they wait for, but votes and names in them.

    `owners` are the keys of the people who might have proposed these themselves. Action and value are told apart only
    for who looks through the scope of a delegation.
    """

    under: Under
    owners: frozenset[int]
    number: int
    action: str = ""
    amount: Decimal | None = None
    currency: str | None = None


class Heap(NamedTuple):
    """What the same people may read of what is pending, or `indeterminate`: how many, the id of what came last, how
    many nobody can meet as things stand, and how far escalations came in all."""

    indeterminate: bool
    environment: str
    sensitivity: str
    number: int
    newest: str
    unmeetable: int
    steps_taken: int


@dataclass(frozen=True, slots=True)
class Overview:
    """All that is pending, in piles, and what its requirements ask; in `heaps` by who may read it."""

    piles: tuple[Pile, ...]
    asked: Asked
    heaps: tuple[Heap, ...] = ()

    def seen_by(self, sight: Sight) -> Overview:
        """The same, counted over what somebody may read."""
        return replace(self, heaps=tuple(each for each in self.heaps if sight.admits(*each[1:3])))

    @property
    def pending(self) -> int:
        return sum(heap.number for heap in self.heaps if not heap.indeterminate)

    @property
    def indeterminate(self) -> int:
        """Those that nobody decides on any more: a person has to find out what their execution did."""
        return sum(heap.number for heap in self.heaps if heap.indeterminate)

    @property
    def unmeetable(self) -> int:
        """Those of what is pending that nobody can meet as things stand."""
        return sum(heap.unmeetable for heap in self.heaps)

    @property
    def moved(self) -> str:
        """Changes when something comes, and when an escalation goes on."""
        newest = max((heap.newest for heap in self.heaps), default=None)
        return f"{newest} {sum(heap.steps_taken for heap in self.heaps)} {self.unmeetable}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one person: how many, and which of what is pending, as a condition.

    `reaches` is by which rights anything is asked of them, and `named` whom agents say that they act for there, by id.
    """

    number: int
    condition: Q
    reaches: Sequence[_Reach] = ()
    named: Mapping[str, str] = field(default_factory=dict)


def pending() -> QuerySet[Intent]:
    """What can still be decided, most urgent first. A deadline counts when it passes, not when the sweeper comes by."""
    return Intent.objects.filter(_PENDING).order_by(*URGENCY)


_PENDING = Q(status=Status.PENDING_APPROVAL, expires_at__gt=Now())


def waiting_for(person: User) -> QuerySet[Intent]:
    """What waits for this person, most urgent first; a fixed number of queries for it, however many there are."""
    return pending().filter(waits_for(person, overview()).condition)


def overview() -> Overview:
    """What is pending as it is now; two queries.

    Thousands share the few requirements that the rules of policies have and the few people who own agents: they are
    counted where they lie, and one requirement of each kind is read.
    """
    # Each status by an index of its own: one condition for both would find neither.
    rows = _heaps(Intent.objects.filter(_PENDING)).union(
        _heaps(Intent.objects.filter(status=Status.INDETERMINATE)), all=True
    )
    piles, one_of_each, heaps = [], {}, []
    for status, environment, sensitivity, digest, steps_taken, overtime, *owners, number, first, last, stuck in rows:
        unknown = status == Status.INDETERMINATE
        moved = 0 if unknown else (steps_taken + overtime) * number
        heaps.append(Heap(unknown, environment, sensitivity, number, last, 0 if unknown else stuck, moved))
        if not unknown:
            piles.append(Pile(Under(digest, steps_taken, bool(overtime)), frozenset(owners) - {None}, number))
            one_of_each[digest] = first
    requirements = dict(
        Intent.objects.filter(pk__in=one_of_each.values()).values_list("requirement_digest", "requirement")
    )
    unders = {pile.under for pile in piles}
    # What was decided between the two readings asks nobody any more.
    asked = {
        under: _ask(requirements[under.requirement_digest], under)
        for under in unders
        if under.requirement_digest in requirements
    }
    return Overview(tuple(piles), asked, tuple(heaps))


def _heaps(rows: QuerySet[Intent]) -> QuerySet[Intent, tuple[Any, ...]]:
    alike = rows.order_by().values_list("status", "environment", "sensitivity", *Under._fields, *OWNERS)
    stuck = Sum(Case(When(unmeetable=True, then=1), default=0))
    return alike.annotate(number=Count("pk"), first=Min("pk"), last=Max("pk"), stuck=stuck)


def waits_for(person: User, seen: Overview, ties: Ties | None = None) -> Waiting:
    """What of this waits for this person; at most five queries, and one more for a delegate within a scope.

    Counted by piles, less what is closed to them and with what votes have opened: row by row the same conditions would
    be weighed ten thousand times.
    """
    ties = ties or Ties()
    if not person.is_active or not _asking(_groups_by_any_right(person, ties), seen.asked):
        return Waiting(0, Q(pk__in=[]))
    says = says_of(person, ties)
    piles = _fine_piles() if any(_has_scope(say) for say in says) else seen.piles
    reaches = [_reach(say, seen.asked, piles, ties) for say in says]
    rows = _special(person, {under for reach in reaches for under in _asking(reach.say.groups, seen.asked)}, ties)
    closed, opened = _turned(rows, reaches, seen.asked, ties)
    condition = Q(pk__in=[])
    for reach in reaches:
        condition |= reach.condition
    if closed:
        condition &= ~Q(pk__in=closed)
    if opened:
        condition |= Q(pk__in=opened)
    could = sum(pile.number for pile in piles if any(reach.holds(pile) for reach in reaches))
    # What was decided between the two readings is not less than nothing.
    number = max(0, could - len(closed)) + len(opened)
    return Waiting(number, condition, reaches, {row.pk: row.principal for row in rows if row.principal})


@dataclass(frozen=True, slots=True)
class _Reach:
    """What waits by one right of a person, whatever was voted: `at_once` is what asks them first.

    `keys` are the accounts of the person, and of the delegator if there is one: what any of them might have proposed
    is not theirs to decide.
    """

    say: Say
    keys: frozenset[int]
    at_once: frozenset[Under]
    scope: Q

    @property
    def condition(self) -> Q:
        return are(self.at_once) & ~_theirs(self.keys) & self.scope

    def holds(self, one: _Row | Pile) -> bool:
        """The same of one row that was read, or of a pile."""
        return one.under in self.at_once and self.keys.isdisjoint(one.owners) and self.covers(one)

    def covers(self, one: _Row | Pile) -> bool:
        by = self.say.delegation
        return by is None or not _has_scope(self.say) or by.covers(one.action, one.amount, one.currency)


def _reach(say: Say, asked: Asked, piles: Iterable[Pile], ties: Ties) -> _Reach:
    """What asks somebody by this right before anybody voted. Of an order only the first are asked then."""
    at_once = {
        under
        for under in _asking(say.groups, asked)
        if _is_asked(asked[under], [], say.approval(ties.bonds_by(asked[under].requirement, ())))
    }
    return _Reach(say, ties.accounts.of(*say.keys), frozenset(at_once), _scope(say, piles))


def _has_scope(say: Say) -> bool:
    by = say.delegation
    return by is not None and by.is_scoped


def _scope(say: Say, piles: Iterable[Pile]) -> Q:
    """What is within the scope of the delegation behind this right, as a condition; `piles` know all that wait."""
    by = say.delegation
    if by is None or not _has_scope(say):
        return Q()
    scope = Q(action__in={pile.action for pile in piles if by.covers_action(pile.action)})
    if by.ceiling_amount is not None:
        # As `Delegation.covers` has it.
        scope &= Q(value_amount__range=(0, by.ceiling_amount), value_currency=by.ceiling_currency)
    return scope


def _fine_piles() -> list[Pile]:
    """All that is pending, told apart by action and value too; one query."""
    rows = pending().order_by().values_list(*Under._fields, *OWNERS, *ABOUT).annotate(number=Count("pk"))
    return [Pile(Under(*each[:3]), frozenset(each[3:6]) - {None}, each[9], *each[6:9]) for each in rows]


def _groups_by_any_right(person: User, ties: Ties) -> set[str]:
    return {group for say in says_of(person, ties) for group in say.groups}


def _theirs(keys: Iterable[int]) -> Q:
    """What these might have proposed themselves: by an agent of theirs, then or now, or with a key that they made."""
    keys = list(keys)
    return Q(agent__owner__in=keys) | Q(owner__in=keys) | Q(key_maker__in=keys, key_maker__isnull=False)


def may_be_shown(person: User, waiting: Waiting, asked: Asked, ties: Ties) -> Q:
    """Which of what is pending asks this person or who they stand in for, and may be shown to them, as a condition.

    In their own right all that they may read; else, and for somebody else, not what they have no say in: of an agent of
    theirs, by a key that they made, or proposed on their behalf.
    """
    shown, sight = Q(pk__in=[]), reading.sight_of(person)
    for reach in waiting.reaches:
        asking, in_their_own = asks(reach.say.groups, asked), reach.say.delegation is None
        if not (in_their_own and sight.everything):
            for_them = [pk for pk, principal in waiting.named.items() if _names_one_of(principal, reach.say, ties)]
            has_a_say = ~_theirs(reach.keys) & reach.scope & ~Q(pk__in=for_them)
            asking &= has_a_say | sight.condition() if in_their_own else has_a_say
        shown |= asking
    return shown


def _names_one_of(principal: str, say: Say, ties: Ties) -> bool:
    people = [say.person] if say.delegation is None else [say.person, say.delegation.delegator]
    return any(names_person(principal, person, ties) for person in people)


def asks(groups: Iterable[str], asked: Asked) -> Q:
    """Which of what is pending asks one of these groups, as a condition, whoever of them may still answer."""
    return are(_asking(groups, asked))


def _asking(groups: Iterable[str], asked: Asked) -> set[Under]:
    wanted = set(groups)
    return {under for under, ask in asked.items() if wanted.intersection(ask.groups)}


def are(unders: Iterable[Under]) -> Q:
    """Which of what is pending asks just that, as a condition; most of it is of one stage."""
    digests: dict[tuple[int, bool], list[str | None]] = {}
    for under in unders:
        digests.setdefault((under.steps_taken, under.overtime), []).append(under.requirement_digest)
    found = Q(pk__in=[])
    for (steps_taken, overtime), those in digests.items():
        found |= Q(requirement_digest__in=those, steps_taken=steps_taken, overtime=overtime)
    return found


def escalated(asked: Asked) -> Q:
    """Which of what is pending was escalated, or can be met by nobody, as a condition."""
    return are(under for under, ask in asked.items() if ask.escalated) | Q(unmeetable=True)


def _ask(requirement: Mapping[str, Any] | None, under: Under) -> Ask:
    asked = in_effect(requirement, under.steps_taken, overtime=under.overtime)
    return Ask(
        asked,
        groups_of(asked),
        escalates=any(step.do == steps.ESCALATE for step in steps.steps_of(requirement))
        or bool(steps.asked_at_the_end(requirement)),
        escalated=steps.is_escalated(requirement, under.steps_taken, overtime=under.overtime),
    )


class _Row(NamedTuple):
    """What decides for whom something waits that is not like all of its pile."""

    pk: str
    principal: str | None
    editors: list[int]
    has_votes: bool
    digest: str
    under: Under
    action: str
    amount: Decimal | None
    currency: str | None
    owners: frozenset[int]


def _turned(rows: Iterable[_Row], reaches: Sequence[_Reach], asked: Asked, ties: Ties) -> tuple[set[str], set[str]]:
    """Of these by id: what is closed to this person though they were asked at once, and what is open though not.

    Closed is what was proposed for them, widened by them or voted on by them, and where others fill every seat that
    they could. Open is where it has become their turn.
    """
    ballots = ballots_of([row.pk for row in rows if row.has_votes])
    known: dict[Any, bool] = {}
    closed, opened = set(), set()
    for row in rows:
        said = ballots.get(row.pk, [])
        at_once = any(reach.holds(row) for reach in reaches)
        is_asked = any(_asks_by(reach, row, said, asked, ties, known) for reach in reaches)
        if at_once and not is_asked:
            closed.add(row.pk)
        elif is_asked and not at_once:
            opened.add(row.pk)
    return closed, opened


def _special(person: User, unders: Iterable[Under], ties: Ties) -> list[_Row]:
    """What is pending and asks this, is not this person's own, and has votes, a principal or changes."""
    supported = Exists(Decision.objects.filter(intent=OuterRef("pk"), withdrawn_at=None))
    rows = pending().order_by().filter(are(unders) & ~_theirs(ties.accounts.of(person.pk)))
    rows = rows.annotate(supported=supported)
    rows = rows.filter(Q(principal__isnull=False) | Q(amendments__gt=0) | Q(supported=True))
    columns = ("pk", "principal", "widened_by", "supported", "digest", *Under._fields, *ABOUT, *OWNERS)
    return [
        _Row(*(*each[:5], Under(*each[5:8]), *each[8:11], frozenset(each[11:]) - {None}))
        for each in rows.values_list(*columns)
    ]


def _asks_by(
    reach: _Reach, row: _Row, ballots: Sequence[Ballot], asked: Asked, ties: Ties, known: dict[Any, bool]
) -> bool:
    """Whether this row waits for a person by this right, as the votes stand.

    Many wait under one requirement for the same people: `known` keeps each case that was looked at.
    """
    if not reach.covers(row) or (row.principal and _names_one_of(row.principal, reach.say, ties)):
        return False
    ask = asked.get(row.under)
    bonds = ties.bonds(ask and ask.requirement, row.action, row.amount, row.currency)
    barred = barred_by(row.owners, row.editors, bonds)
    if not barred.isdisjoint(reach.say.keys):
        return False
    matter = Matter(row.digest, row.under.requirement_digest, barred, bonds)
    # What was said before an amendment was said about something else.
    own = [each for each in ballots if each.reviewer == reach.say.person.pk and about_this(each, matter)]
    if any(each.vote != Vote.APPROVE for each in own):
        return False
    approvals, mine = counted(matter, ballots), reach.say.approval(bonds)
    case = (row.under, tuple(approvals), mine)
    if case not in known:
        known[case] = ask is not None and _is_asked(ask, approvals, mine)
    return known[case]


def _is_asked(ask: Ask, approvals: Sequence[Approval], one: Approval) -> bool:
    """Whether an approval of this person would fill a seat; of who has given one, see `vote_again`.

    What nobody can approve here still has to be looked at: it can be rejected.
    """
    voted = any(each[0] == one[0] for each in approvals)
    return brings_forward(ask.requirement, approvals, one) or (not voted and bool(cannot_see_to(ask.requirement)))


def ballots_of(ids: Sequence[str]) -> dict[str, list[Ballot]]:
    """The votes that stand on these, earliest first, by the intent's id; no row is read whole, and none without ids."""
    if not ids:
        return {}
    rows = Decision.objects.filter(intent__in=list(ids), withdrawn_at=None).order_by("pk")
    votes: dict[Any, tuple[str, Ballot, set[str]]] = {}
    for (
        pk,
        intent,
        own_group,
        their_group,
        reviewer,
        vote,
        digest,
        requirement,
        active,
        delegator,
        by,
    ) in rows.values_list(
        "pk",
        "intent",
        "reviewer__groups__name",
        "delegator__groups__name",
        "reviewer",
        "vote",
        "digest",
        "requirement_digest",
        "reviewer__is_active",
        "delegator",
        "delegation",
    ):
        alone = Ballot(reviewer, vote, digest, requirement, active, frozenset(), delegator, by)
        votes.setdefault(pk, (intent, alone, set()))[2].add(own_group if delegator is None else their_group)
    found: dict[str, list[Ballot]] = {}
    for intent, alone, groups in votes.values():
        found.setdefault(intent, []).append(alone._replace(groups=frozenset(groups - {None})))
    return found
