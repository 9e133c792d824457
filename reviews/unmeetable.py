"""Finding what nobody can meet any more, so that it is not left to expire in silence.

People leave, change their group, or are barred. What then lacks people takes the next step of its policy that asks
others at once, and whether or not there is one, whoever runs the portal is told. What can be met again says so too.

Most of what is pending differs in nothing that matters here: each kind is weighed once, as on the desk.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from intents import escalation, lifecycle
from intents.giving_way import GivingWay
from intents.models import Intent, Status
from reviews import quorum
from reviews.asked import asked_of
from reviews.entitlement import (
    Matter,
    Say,
    about_this,
    barred_by,
    can_be_met_by,
    counted,
    enough,
    groups_of_person,
    members_of,
    names_person,
    votes_of,
    who_may_decide,
)
from reviews.models import Decision
from reviews.queue import ABOUT, OWNERS, Under, ballots_of, overview, pending
from reviews.quorum import can_be_met, groups_of
from reviews.ties import Bonds, Ties
from reviews.ways import Requirement

logger = logging.getLogger(__name__)

# Of one look; the next one goes on.
BATCH = 1_000


def look() -> int:
    """Note what cannot be met any more, and what can again. Returns of how many intents that was news."""
    changed, give_way = 0, GivingWay()
    for intent_id in _suspects():
        try:
            changed += _weigh(intent_id)
        except Exception:
            logger.exception("Whether %s can be met could not be noted; the next look tries again", intent_id)
        give_way()
    return changed


def _weigh(intent_id: str) -> bool:
    """Look at one by itself, under its lock, and write down what is news."""
    with transaction.atomic():
        intent = lifecycle.locked(intent_id)
        # What cannot be met and is noted so already is no news, and the other way round.
        if intent.status != Status.PENDING_APPROVAL or (met := _can_be_met(intent)) != intent.unmeetable:
            return False
        if not lifecycle.note_unmeetable(intent, unmeetable=not met):
            return False
        if not met:
            _ask_others(intent)
        return True


def _ask_others(intent: Intent) -> None:
    """Take the steps of its policy that ask others, before they are due, until it can be met.

    Only where people are missing. Whom the agent names, who changed it and who voted cannot decide either, but that is
    somebody's doing: nobody hands an intent on to others by it before its time.
    """
    if _enough_are_there(intent):
        return
    while (step := escalation.next_to_ask_others(intent)) is not None:
        if step.number is None:
            last = copy.copy(intent)
            last.overtime = True
            if not _can_be_met(last):
                # They could not meet it either. Those who are asked now may still come back.
                return
        if not lifecycle.take_step(intent, step, early=True):
            return
        if _can_be_met(intent):
            lifecycle.note_unmeetable(intent, unmeetable=False)
            return


def _enough_are_there(intent: Intent) -> bool:
    """Whether the people of the groups that are asked would be enough, but for who owns it or made its key.

    Who is away, and who counts once since somebody delegated, is missing as if they had left.
    """
    asked, ties = asked_of(intent), Ties()
    groups, bonds = groups_of(asked), ties.bonds_of(intent)
    people = list(members_of(groups))
    ties.read_groups(people)
    barred = barred_by(intent.barred_ids, (), bonds)
    return can_be_met(asked, list(_able(people, groups, barred, frozenset(), ties, bonds)))


def _able(
    people: Iterable[User], groups: Iterable[str], barred: frozenset[int], out: frozenset[int], ties: Ties, bonds: Bonds
) -> Iterator[quorum.Approval]:
    """The approvals that these people and those who stand in for somebody could give for these groups.

    Nobody's counts who is `barred` or stands in for one who is; who is `out` gives none. Groups have to be read.
    """
    says = [Say(one, None, frozenset(groups_of_person(one))) for one in people if not ties.is_away(one)]
    says += [Say(by.delegate, by, frozenset(groups_of_person(by.delegator))) for by in bonds.covering]
    for say in says:
        gives = say.person.pk not in out and barred.isdisjoint(say.keys)
        if gives and not say.groups.isdisjoint(groups):
            yield say.approval(bonds)


def _can_be_met(intent: Intent) -> bool:
    votes, ties = votes_of([intent]).get(intent.pk, []), Ties()
    return can_be_met_by(intent, votes, who_may_decide(intent, votes, ties), ties)


# --- which are worth a look of their own ----------------------------------------------------------------------------


class _Case(NamedTuple):
    """All that decides whether something seems met: whose approval never counts, who adds none besides, and who did.

    `covering` are the keys of the delegations within whose scope it is.
    """

    under: Under
    barred: frozenset[int]
    out: frozenset[int]
    covering: tuple[int, ...]
    given: tuple[quorum.Approval, ...] = ()


class _Look:
    """What is known for one look: what is asked, the people of the groups that are, and what ties them."""

    def __init__(self) -> None:
        self.asked = overview().asked
        self.ties = Ties()
        self.people = list(members_of({group for ask in self.asked.values() for group in ask.groups}))
        self.ties.read_groups(self.people)
        self._known: dict[_Case, bool] = {}

    def requirement(self, under: Under) -> Requirement | None:
        ask = self.asked.get(under)
        return None if ask is None else ask.requirement

    def seems_met(self, case: _Case, bonds: Bonds) -> bool:
        if case not in self._known:
            ask = self.asked.get(case.under)
            # What was decided meanwhile is nothing to look at.
            self._known[case] = ask is None or enough(
                ask.requirement,
                case.given,
                _able(self.people, ask.groups, case.barred, case.out, self.ties, bonds),
            )
        return self._known[case]

    def named(self, principal: str | None) -> frozenset[int]:
        """Who never decides because the agent says that it acts for them, as the key of whichever account."""
        if not principal:
            return frozenset()
        people = [*self.people, *(one for each in self.ties.delegations for one in (each.delegator, each.delegate))]
        return frozenset(one.pk for one in people if names_person(principal, one, self.ties))


def _suspects() -> list[str]:
    """The ids of those of which something else is noted than seems to be so; a query for each kind of these."""
    look = _Look()
    ordinary, special = _rows()
    return list(islice(chain(_one_by_one(special, look), _by_kind(ordinary, look)), BATCH))


def _rows() -> tuple[QuerySet[Intent], QuerySet[Intent]]:
    """What is pending: those that differ in nothing but whose agent asks what, and the others."""
    supported = Exists(Decision.objects.filter(intent=OuterRef("pk"), withdrawn_at=None))
    rows = pending().order_by().annotate(supported=supported)
    own = Q(principal__isnull=False) | Q(amendments__gt=0) | Q(supported=True)
    return rows.exclude(own), rows.filter(own)


def _by_kind(rows: QuerySet[Intent], look: _Look) -> Iterator[str]:
    scoped = any(by.is_scoped for by in look.ties.delegations)
    columns = (*Under._fields, *OWNERS, "unmeetable", *(ABOUT if scoped else ()))
    for kind in rows.values_list(*columns).distinct():
        under, owners, unmeetable, about = Under(*kind[:3]), frozenset(kind[3:6]) - {None}, kind[6], kind[7:]
        bonds = look.ties.bonds(look.requirement(under), *(about or ("", None, None)))
        case = _Case(under, barred_by(owners, (), bonds), frozenset(), tuple(by.pk for by in bonds.covering))
        if look.seems_met(case, bonds) == unmeetable:
            those = dict(zip(columns, kind, strict=True))
            yield from rows.filter(**those).values_list("pk", flat=True)[:BATCH]


def _one_by_one(rows: QuerySet[Intent], look: _Look) -> Iterator[str]:
    columns = (*Under._fields, *OWNERS, "unmeetable", *ABOUT, "pk", "digest", "principal", "widened_by")
    found = list(rows.values_list(*columns))
    ballots = ballots_of([each[10] for each in found])
    for each in found:
        under, owners, unmeetable, about = Under(*each[:3]), frozenset(each[3:6]) - {None}, each[6], each[7:10]
        pk, digest, principal, editors = each[10:]
        bonds = look.ties.bonds(look.requirement(under), *about)
        barred = barred_by(owners, editors, bonds)
        matter, votes = Matter(digest, under.requirement_digest, barred, bonds), ballots.get(pk, [])
        voted = frozenset(vote.reviewer for vote in votes if about_this(vote, matter))
        named, covering = look.named(principal), tuple(by.pk for by in bonds.covering)
        case = _Case(under, barred | named, voted, covering, tuple(counted(matter, votes)))
        if look.seems_met(case, bonds) == unmeetable:
            yield pk
