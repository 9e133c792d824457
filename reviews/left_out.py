"""Who fills no seat where policy wants different managers, and why, in words.

They may still reject. What is on record about managers is said to people only, never to an agent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User

from intents.models import Intent
from reviews import quorum
from reviews.asked import asked_of
from reviews.entitlement import Eligible, Matter, ballot_of, counted, matter_of, says_in
from reviews.managers import names_of
from reviews.models import Decision
from reviews.quorum import Approval
from reviews.ties import Ties

ASK = "An administrator can write it down on the account's page."


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Somebody who may decide, and why an approval of theirs fills no seat: `can fill no seat: …`."""

    one: Eligible
    why: str


def left_out(intent: Intent, votes: Sequence[Decision], eligible: Iterable[Eligible], ties: Ties) -> list[LeftOut]:
    """Of those who may still decide, who fills no seat for want of another manager; nobody where policy wants none."""
    beside = _Beside(intent, votes, ties)
    if not beside.wanted:
        return []
    found = []
    for one in eligible:
        if why := beside.why_not(one.approval(beside.matter.bonds), of_two=bool(one.delegator)):
            found.append(LeftOut(one, why))
    return found


def sentences(found: Iterable[LeftOut]) -> list[str]:
    """The same, those together who are left out for the same reason."""
    names: dict[str, list[str]] = {}
    for each in found:
        names.setdefault(each.why, []).append(each.one.told)
    return [f"{', '.join(those[:-1])}{' and ' if those[1:] else ''}{those[-1]} {why}" for why, those in names.items()]


def given_in_vain(intent: Intent, votes: Sequence[Decision], ties: Ties) -> list[str]:
    """Of the approvals that count, which fill no seat because it is not on record who manages who gave them."""
    beside = _Beside(intent, votes, ties)
    if not beside.wanted:
        return []
    seated = {seat.filled_by for seat in quorum.standing(beside.asked, beside.given).seats}
    unknown = {each[0] for each in beside.given if each[0] not in seated and not _managers(each)}
    return [
        f"The approval of {vote.who} fills no seat beside another one: {_unknown(vote.delegator_id is not None)} {ASK}"
        for vote in votes
        if vote.reviewer_id in unknown
    ]


def why_not_beside(intent: Intent, votes: Sequence[Decision], person: User, ties: Ties) -> str:
    """Why an approval of this person would fill no seat, said to them; empty where that is for another reason."""
    beside = _Beside(intent, votes, ties)
    if not beside.wanted:
        return ""
    says = says_in(intent, person, ties)
    for say in says:
        if why := beside.why_not(say.approval(beside.matter.bonds), of_two=bool(say.delegator), whose="your"):
            return f"You for {say.delegator} {why}" if say.delegator else f"You {why}"
    return ""


class _Beside:
    """What the approvals that are given leave to others."""

    def __init__(self, intent: Intent, votes: Sequence[Decision], ties: Ties) -> None:
        self.asked = asked_of(intent)
        self.wanted = quorum.wants_distinct_managers(self.asked)
        self.votes = votes
        if self.wanted:
            self.matter: Matter = matter_of(intent, ties)
            self.given = counted(self.matter, [ballot_of(vote) for vote in votes])

    def why_not(self, approval: Approval, *, of_two: bool, whose: str = "their") -> str:
        """Empty where it would fill a seat, or would not whoever managed them."""
        given = [each for each in self.given if each[0] != approval[0]]
        key, groups, once = approval[0], approval[1], approval[2] if len(approval) > 2 else ()
        # Nobody's key: a manager of their own.
        own = (key, groups, once, {-1})
        if quorum.brings_forward(self.asked, given, approval) or not quorum.brings_forward(self.asked, given, own):
            return ""
        if not _managers(approval):
            return f"can fill no seat beside another one: {_unknown(of_two, whose)} {ASK}"
        for other in self.given:
            if shared := _managers(approval) & _managers(other):
                approved = next(vote.who for vote in self.votes if vote.reviewer_id == other[0])
                return (
                    f"can fill no seat: {approved} approved it and has the same manager, {names_of(shared)}. "
                    "Policy wants different managers."
                )
        return ""


def _managers(approval: Approval) -> frozenset[int]:
    return frozenset(approval[3] if len(approval) > 3 else ())


def _unknown(of_two: bool, whose: str = "their") -> str:
    return "the manager of one of the two is not on record." if of_two else f"{whose} manager is not on record."
