"""Who may decide on an intent, and in plain words why somebody may not.

Only membership in a group of the requirement entitles, one's own or that of somebody whose delegate one is, and nothing
overrides the separation of duties: a superuser without a seat decides nothing, and an agent's owner never decides on
what the agent proposes (promise 3). What bars one account of a person bars all of them; what bars a delegator or the
delegate bars the one in the name of the other.

`ties` say who is tied to whom, see `reviews.ties`; whoever asks about many intents or people reads them once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db.models import QuerySet, prefetch_related_objects

from intents import reading
from intents.models import Intent, Status
from intents.names import folded
from intents.reading import Sight
from reviews import quorum
from reviews.asked import asked_of
from reviews.models import Decision, Delegation, Vote
from reviews.quorum import Standing, groups_of, standing
from reviews.ties import Bonds, Ties
from reviews.ways import Requirement


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why somebody may not decide: `kind` for programs (a problem kind), `text` for people."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Eligible:
    """Somebody who may still decide, and the groups they would decide for; as whose delegate, where they are one."""

    id: int
    name: str
    groups: tuple[str, ...]
    delegator_id: int | None = None
    delegator: str = ""

    @property
    def told(self) -> str:
        """`rita`, or `dora for rita`."""
        return f"{self.name} for {self.delegator}" if self.delegator else self.name

    def approval(self, bonds: Bonds) -> quorum.Approval:
        keys = [self.id] if self.delegator_id is None else [self.id, self.delegator_id]
        return bonds.approval(self.groups, *keys)


@dataclass(frozen=True, slots=True)
class Say:
    """In whose right somebody decides: their own, or by a delegation that of the delegator, whose groups count then."""

    person: User
    delegation: Delegation | None
    groups: frozenset[str]

    @property
    def keys(self) -> tuple[int, ...]:
        """The person, and the delegator if there is one."""
        return (self.person.pk,) if self.delegation is None else (self.person.pk, self.delegation.delegator_id)

    @property
    def delegator(self) -> str:
        """The delegator's username; empty in one's own right."""
        return "" if self.delegation is None else self.delegation.delegator.get_username()

    def approval(self, bonds: Bonds) -> quorum.Approval:
        return bonds.approval(self.groups, *self.keys)


def groups_of_person(person: User) -> set[str]:
    """The names of this person's groups, read once for all that a request asks of them."""
    prefetch_related_objects([person], "groups")
    return {group.name for group in person.groups.all()}


def may_decide(intent: Intent, user: User, ties: Ties | None = None) -> Refusal | None:
    """None where this person has a say in this intent, whatever its status; else why not."""
    ties = ties or Ties()
    groups = groups_of(asked_of(intent))
    if not user.is_active:
        return Refusal("not-entitled", "Your account is not active.")
    if not groups:
        return Refusal("not-entitled", "Policy decided this intent; there is nothing for people to decide.")
    if refusal := bars(intent, user, ties):
        return refusal
    if not says_in(intent, user, ties):
        return Refusal("not-entitled", f"Only members of {_either(groups)} decide on this intent.")
    return None


def bars(intent: Intent, user: User, ties: Ties | None = None) -> Refusal | None:
    """Why this person, by any account, never decides on this intent whatever groups they are in: the separation of
    duties."""
    ties = ties or Ties()
    mine = ties.accounts.of(user.pk)
    if mine & intent.owner_ids:
        you = "You own" if user.pk in intent.owner_ids else "With another account you own"
        return Refusal("not-entitled", f"{you} {intent.agent_name}, and owners do not decide on their agents' intents.")
    if intent.key_maker_id in mine:
        return Refusal(
            "not-entitled",
            "You made the key that this was proposed with: it could be your own. Somebody else has to decide.",
        )
    if is_principal(intent, user, ties):
        return Refusal("not-entitled", "This was proposed on your behalf; somebody else has to decide.")
    return None


def says_of(user: User, ties: Ties) -> list[Say]:
    """In whose right this person decides anything at all: their own first; a query for groups that were not read."""
    if ties.given_to(user):
        ties.read_groups([user])
    own = Say(user, None, frozenset(groups_of_person(user)))
    others = [Say(user, each, frozenset(groups_of_person(each.delegator))) for each in ties.given_to(user)]
    return [own, *others]


def says_in(intent: Intent, user: User, ties: Ties) -> list[Say]:
    """In whose right this person, whom nothing bars, has a say in this intent: their own first."""
    groups = set(groups_of(asked_of(intent)))
    return [
        say
        for say in says_of(user, ties)
        if not groups.isdisjoint(say.groups) and (say.delegation is None or _gives_a_say(say.delegation, intent, ties))
    ]


def _gives_a_say(delegation: Delegation, intent: Intent, ties: Ties) -> bool:
    """Whether an intent is within a delegation's scope, neither of the two is barred, and it waits or waited then."""
    waited = intent.status == Status.PENDING_APPROVAL or (
        intent.decided_at is not None and intent.decided_at >= delegation.starts_at
    )
    both = ties.accounts.of(delegation.delegator_id, delegation.delegate_id)
    return (
        waited
        and delegation.covers(intent.action, intent.value_amount, intent.value_currency)
        and both.isdisjoint(intent.barred_ids.union(intent.widened_by))
        and not is_principal(intent, delegation.delegator, ties)
    )


def who_may_decide(
    intent: Intent, votes: Sequence[Decision], ties: Ties | None = None, *, members: Iterable[User] | None = None
) -> list[Eligible]:
    """Everybody who could still give a vote, by name, where these votes stand; who is away does not.

    `members` are those of the requirement's groups, where they were read already. At most four queries.
    """
    ties = ties or Ties()
    groups = groups_of(asked_of(intent))
    barred = matter_of(intent, ties).barred
    members = list(members_of(groups) if members is None else members)
    ties.read_groups(members)
    found = []
    for user in still_to_decide(intent, votes, members, ties):
        if user.pk not in barred and not ties.is_away(user):
            theirs = tuple(group.name for group in user.groups.all() if group.name in groups)
            found.append(Eligible(user.pk, user.get_username(), theirs))
    for user in still_to_decide(intent, votes, ties.delegates, ties):
        for say in says_in(intent, user, ties):
            theirs = tuple(group for group in groups if group in say.groups)
            # Who sits there anyway need not sit there for somebody else.
            needless = groups_of_person(user).issuperset(theirs)
            if say.delegation is not None and not needless and barred.isdisjoint(say.keys):
                found.append(Eligible(user.pk, user.get_username(), theirs, say.delegation.delegator_id, say.delegator))
    return found


def members_of(groups: Iterable[str]) -> QuerySet[User]:
    """The people who are active and in one of these groups, by name."""
    return User.objects.filter(is_active=True, groups__name__in=list(groups)).distinct().order_by("username")


def still_to_decide(
    intent: Intent, votes: Sequence[Decision], people: Iterable[User], ties: Ties | None = None
) -> list[User]:
    """Of these people, who has a say in this intent and has not said it about what would run now.

    Nor said it for good, see `vote_again`.
    """
    ties = ties or Ties()
    voted = {vote.reviewer_id for vote in votes if about_this(vote, intent)}
    return [
        user
        for user in people
        if (user.pk not in voted or vote_again(intent, votes, user, ties))
        and user.pk not in intent.widened_by
        and may_decide(intent, user, ties) is None
    ]


def viewers_of(people: Iterable[User]) -> Mapping[int, Sight]:
    """What those of these people who are active may read by permission, by their keys; one query."""
    return reading.sights_of(people)


def holders_of(permission: str, *, with_superusers: bool = True) -> QuerySet[User]:
    """The active people who have this permission, by name or by a group; superusers have every one unless left out."""
    backend = "django.contrib.auth.backends.ModelBackend"
    return User.objects.with_perm(permission, backend=backend, include_superusers=with_superusers)


def may_view(
    intent: Intent, person: User, viewers: Mapping[int, Sight] | None = None, ties: Ties | None = None
) -> bool:
    """Whether this person may open this intent: by permission, see `intents.reading`, or because they have a say in it.

    `viewers` is what `viewers_of` read, for who asks about many people.
    """
    sight = reading.sight_of(person) if viewers is None else viewers.get(person.pk, reading.NOTHING)
    return person.is_active and (sight.shows(intent) or has_a_say(person, intent, ties))


def has_a_say(person: User, intent: Intent, ties: Ties | None = None) -> bool:
    """Whether this person has a say in this intent, whatever its status."""
    return may_decide(intent, person, ties) is None


def votes_of(intents: Iterable[Intent]) -> dict[str, list[Decision]]:
    """The votes that stand, by intent, earliest first; with the groups that they are counted by now, two queries."""
    votes: dict[str, list[Decision]] = {}
    stand = list(standing_votes(intent.pk for intent in intents))
    prefetch_related_objects(voters_of(stand), "groups")
    for decision in stand:
        votes.setdefault(decision.intent_id, []).append(decision)
    return votes


def standing_votes(ids: Iterable[str]) -> QuerySet[Decision]:
    """The votes that stand on the intents of these ids, earliest first, with their people."""
    rows = Decision.objects.filter(intent__in=list(ids), withdrawn_at__isnull=True)
    return rows.select_related("reviewer", "delegator").order_by("id")


def voters_of(votes: Iterable[Decision]) -> list[User]:
    """Whose groups these votes are counted by."""
    return [vote.delegator or vote.reviewer for vote in votes]


class Ballot(NamedTuple):
    """A vote as it is counted: whose it is, what it says about what, and the groups that it can fill a seat of today.

    Those are the delegator's where it was given for somebody else.
    """

    reviewer: int
    vote: str
    digest: str
    requirement_digest: str | None
    active: bool
    groups: frozenset[str]
    delegator: int | None = None
    delegation: int | None = None


class Matter(NamedTuple):
    """What votes are counted on: what would run now, under which requirement, whose approval never counts, and ties."""

    digest: str
    requirement_digest: str | None
    barred: frozenset[int]
    bonds: Bonds


def standing_of(intent: Intent, votes: Iterable[Decision], ties: Ties | None = None) -> Standing:
    """Where the requirement stands with these votes."""
    ballots = [ballot_of(vote) for vote in votes if vote.vote == Vote.APPROVE]
    # Whoever lists intents does not read the agents of those where nothing is to be counted.
    return standing(asked_of(intent), counted(matter_of(intent, ties), ballots) if ballots else [])


def brings_forward(intent: Intent, votes: Iterable[Decision], person: User, ties: Ties | None = None) -> bool:
    """Whether one more approval, this person's, would fill a seat that is still empty."""
    return bool(rights_to_fill(intent, votes, person, ties or Ties()))


def rights_to_fill(intent: Intent, votes: Iterable[Decision], person: User, ties: Ties) -> list[Say]:
    """In whose right an approval of this person would fill an empty seat; who can in their own does so in no other."""
    matter = matter_of(intent, ties)
    if person.pk in matter.barred or may_decide(intent, person, ties) is not None:
        return []
    given = counted(matter, [ballot_of(vote) for vote in votes])
    asked = asked_of(intent)
    filling = [
        say
        for say in says_in(intent, person, ties)
        if matter.barred.isdisjoint(say.keys) and quorum.brings_forward(asked, given, say.approval(matter.bonds))
    ]
    return filling[:1] if filling and filling[0].delegation is None else filling


def in_whose_place(intent: Intent, votes: Iterable[Decision], person: User, ties: Ties) -> str:
    """For whom this person would approve what waits: `rita`; empty where for themselves, or they fill no seat."""
    if intent.status != Status.PENDING_APPROVAL or not ties.given_to(person):
        return ""
    return " or ".join(say.delegator for say in rights_to_fill(intent, votes, person, ties) if say.delegator)


def groups_asked(intent: Intent, votes: Iterable[Decision], ties: Ties | None = None) -> list[str]:
    """The groups whose people could fill a seat now: in an order not those whose turn comes later."""
    approvals = counted(matter_of(intent, ties), [ballot_of(vote) for vote in votes])
    asked, somebody = asked_of(intent), -1  # nobody's key, and nobody's manager
    return [
        group
        for group in groups_of(asked)
        if quorum.brings_forward(asked, approvals, (somebody, {group}, (), {somebody}))
    ]


def can_be_met_by(
    intent: Intent, votes: Sequence[Decision], eligible: Iterable[Eligible], ties: Ties | None = None
) -> bool:
    """Whether those who may still decide, with those who approved, would be enough."""
    matter = matter_of(intent, ties)
    given = counted(matter, [ballot_of(vote) for vote in votes])
    return enough(asked_of(intent), given, [one.approval(matter.bonds) for one in eligible])


def enough(asked: Requirement | None, given: quorum.Approvals, could: Iterable[quorum.Approval]) -> bool:
    """Whether one more approval or several of those who could, after those that are given, would make it count."""
    approved = {each[0] for each in given}
    left = [one for one in could if one[0] not in approved]
    if standing(asked, given).missing == 0:
        # All is given since more people may fill its seats. Time approves nothing: somebody has to say so once more.
        return any(quorum.brings_forward(asked, given, one) for one in left)
    return quorum.can_be_met(asked, left, given=given)


def counts_once_with(intent: Intent, votes: Iterable[Decision], person: User, ties: Ties) -> str:
    """Whose approval leaves this person none, because the two count once, in words; empty where nobody's does."""
    matter = matter_of(intent, ties)
    once = matter.bonds.once_with(*(key for say in says_in(intent, person, ties) for key in say.keys))
    approved = {each[0] for each in counted(matter, [ballot_of(vote) for vote in votes])}
    for vote in votes:
        if vote.reviewer_id in approved and vote.reviewer_id != person.pk and once.intersection(_keys(ballot_of(vote))):
            if vote.reviewer_id in ties.accounts.of(person.pk):
                return f"You approved it as {vote.reviewer_name}: one person fills one seat, by whichever account."
            return (
                f"{vote.who} approved it, and you two count once: a delegation between you is in force. "
                "Others have to decide."
            )
    return ""


def vote_again(intent: Intent, votes: Sequence[Decision], person: User, ties: Ties | None = None) -> Decision | None:
    """This person's approval where one given now would fill a seat that it does not fill.

    In an order an approval counts for what was open when it was given. Where somebody who was asked earlier takes a
    vote back and another one takes the place, those who came later are asked once more. So is a delegate whose
    delegation is over and who has a seat of their own, or another one's by now.
    """
    own = next((vote for vote in votes if vote.reviewer_id == person.pk and about_this(vote, intent)), None)
    if own is None or own.vote != Vote.APPROVE:
        return None
    return own if brings_forward(intent, votes, person, ties) else None


def rejections(intent: Intent, votes: Iterable[Decision], ties: Ties | None = None) -> list[Decision]:
    """The rejections of what would run now, one a person: of those who count once together the first."""
    against = [vote for vote in votes if vote.vote == Vote.REJECT and about_this(vote, intent)]
    if len(against) < 2 and not any(vote.delegation_id for vote in against):
        return against
    bonds = (ties or Ties()).bonds_of(intent)
    counting: list[Decision] = []
    together: set[int] = set()
    for vote in against:
        if vote.reviewer_id not in together and is_by_right(ballot_of(vote), bonds):
            counting.append(vote)
            together |= bonds.once_with(*_keys(ballot_of(vote)))
    return counting


def counted(matter: Matter, ballots: Iterable[Ballot]) -> list[quorum.Approval]:
    """The approvals that count, each as its reviewer's key, groups and who counts once with them, in their order.

    Counted are approvals of the digest that would run now, by people who are active and in a group now: whoever left
    the group since does not approve for it any more. For somebody else they count while the delegation is in force.
    """
    return [
        matter.bonds.approval(ballot.groups, *_keys(ballot))
        for ballot in ballots
        if ballot.vote == Vote.APPROVE
        and about_this(ballot, matter)
        and ballot.active
        and matter.barred.isdisjoint(_keys(ballot))
        and is_by_right(ballot, matter.bonds)
    ]


def is_by_right(ballot: Ballot, bonds: Bonds) -> bool:
    """Whether a vote is in its reviewer's own right, or the delegation that it was given by still holds."""
    if ballot.delegation is None:
        return ballot.delegator is None
    return bonds.hold(ballot.delegation, delegator=ballot.delegator, delegate=ballot.reviewer)


def _keys(ballot: Ballot) -> tuple[int, ...]:
    return (ballot.reviewer,) if ballot.delegator is None else (ballot.reviewer, ballot.delegator)


def ballot_of(vote: Decision) -> Ballot:
    reviewer, in_whose_right = vote.reviewer, vote.delegator or vote.reviewer
    groups = frozenset(group.name for group in in_whose_right.groups.all())
    return Ballot(
        vote.reviewer_id,
        vote.vote,
        vote.digest,
        vote.requirement_digest,
        reviewer.is_active,
        groups,
        vote.delegator_id,
        vote.delegation_id,
    )


def matter_of(intent: Intent, ties: Ties | None = None) -> Matter:
    ties = ties or Ties()
    bonds = ties.bonds_of(intent)
    barred = barred_by(intent.barred_ids, intent.widened_by, bonds)
    return Matter(intent.digest, intent.requirement_digest, barred, bonds)


def barred_by(never: Collection[int], editors: Collection[int], bonds: Bonds) -> frozenset[int]:
    """Whose approval never counts: of who could have proposed it, and of who widened it, with all tied to these."""
    return bonds.accounts.of(*never) | (bonds.once_with(*editors) if editors else frozenset())


def about_this(vote: Decision | Ballot, intent: Intent | Matter) -> bool:
    """Whether the vote is about what would run now, under what is asked for now: an amendment makes others of both."""
    return vote.digest == intent.digest and vote.requirement_digest == intent.requirement_digest


def is_principal(intent: Intent, user: User, ties: Ties | None = None) -> bool:
    """Whether the agent acts for this person. The agent wrote the name: a match excludes, no match proves nothing."""
    named = intent.document["on_behalf_of"]
    return bool(named) and names_person(folded(named), user, ties or Ties())


def names_person(name: str, user: User, ties: Ties) -> bool:
    """Whether a folded name is one of this person's by any account of theirs."""
    return any(is_named(name, account) for account in (user, *ties.accounts.others_of(user)))


def is_named(name: str, user: User) -> bool:
    """Whether a folded name is one of this person's, or holds one."""
    known_as = {folded(known) for known in (user.get_username(), user.email, str(user.pk)) if known}
    return name in known_as or not known_as.isdisjoint(_AROUND_NAMES.split(name))


# What stands around a name in "Rev One <rev@example.com>" or "user:rev".
_AROUND_NAMES = re.compile(r"[\s<>()\[\],;:'\"]+")


def _either(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
