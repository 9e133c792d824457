"""Who may decide on an intent, and in plain words why somebody may not.

Only membership in a group of the requirement entitles, and nothing overrides the separation of duties: a superuser
without a seat decides nothing, and an agent's owner never decides on what the agent proposes (promise 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import QuerySet, prefetch_related_objects

from intents.models import Intent
from intents.names import folded
from reviews.models import Decision, Vote
from reviews.quorum import Standing, groups_of, standing


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why somebody may not decide: `kind` for programs (a problem kind), `text` for people."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Eligible:
    """Somebody who may still decide, and the groups they would decide for."""

    id: int
    name: str
    groups: tuple[str, ...]


def groups_of_person(person: User) -> set[str]:
    """The names of this person's groups, read once for all that a request asks of them."""
    prefetch_related_objects([person], "groups")
    return {group.name for group in person.groups.all()}


def may_decide(intent: Intent, user: User) -> Refusal | None:
    """None where this person has a say in this intent, whatever its status; else why not."""
    groups = groups_of(intent.requirement)
    if not user.is_active:
        return Refusal("not-entitled", "Your account is not active.")
    if not groups:
        return Refusal("not-entitled", "Policy decided this intent; there is nothing for people to decide.")
    if user.pk in intent.owner_ids:
        return Refusal(
            "not-entitled", f"You own {intent.agent_name}, and owners do not decide on their agents' intents."
        )
    if user.pk == intent.key_maker_id:
        return Refusal(
            "not-entitled",
            "You made the key that this was proposed with: it could be your own. Somebody else has to decide.",
        )
    if is_principal(intent, user):
        return Refusal("not-entitled", "This was proposed on your behalf; somebody else has to decide.")
    if groups_of_person(user).isdisjoint(groups):
        return Refusal("not-entitled", f"Only members of {_either(groups)} decide on this intent.")
    return None


def who_may_decide(intent: Intent, votes: Iterable[Decision]) -> list[Eligible]:
    """Everybody who could still give a vote, by name, where these votes stand; two queries."""
    groups = groups_of(intent.requirement)
    voted = {vote.reviewer_id for vote in votes if about_this(vote, intent)}
    members = (
        User.objects.filter(is_active=True, groups__name__in=groups)
        .exclude(pk__in=intent.barred_ids.union(intent.widened_by))
        .distinct()
        .order_by("username")
        .prefetch_related("groups")
    )
    return [
        Eligible(user.pk, user.get_username(), tuple(g.name for g in user.groups.all() if g.name in groups))
        for user in members
        if user.pk not in voted and not is_principal(intent, user)
    ]


def votes_of(intents: Iterable[Intent]) -> dict[str, list[Decision]]:
    """The votes that stand, by intent, earliest first; with their reviewers' present groups, two queries in all."""
    votes: dict[str, list[Decision]] = {}
    for decision in standing_votes(intent.pk for intent in intents):
        votes.setdefault(decision.intent_id, []).append(decision)
    return votes


def standing_votes(ids: Iterable[str]) -> QuerySet[Decision]:
    """The votes that stand on the intents of these ids, earliest first, with their reviewers' present groups."""
    rows = Decision.objects.filter(intent__in=list(ids), withdrawn_at__isnull=True)
    return rows.select_related("reviewer").prefetch_related("reviewer__groups").order_by("id")


def standing_of(intent: Intent, votes: Iterable[Decision]) -> Standing:
    """Where the requirement stands with these votes.

    Counted are approvals of the digest that would run now, by people who are active and in a group now: whoever left
    the group since does not approve for it any more.
    """
    approvals = [
        (vote.reviewer_id, {group.name for group in vote.reviewer.groups.all()})
        for vote in votes
        if vote.vote == Vote.APPROVE
        and about_this(vote, intent)
        and vote.reviewer.is_active
        and vote.reviewer_id not in intent.widened_by
        and vote.reviewer_id not in intent.barred_ids
    ]
    return standing(intent.requirement, approvals)


def about_this(vote: Decision, intent: Intent) -> bool:
    """Whether the vote is about what would run now, under what is asked for now: an amendment makes others of both."""
    return vote.digest == intent.digest and vote.requirement_digest == intent.requirement_digest


def is_principal(intent: Intent, user: User) -> bool:
    """Whether the agent acts for this person. The agent wrote the name: a match excludes, no match proves nothing."""
    named = intent.document["on_behalf_of"]
    return bool(named) and is_named(folded(named), user)


def is_named(name: str, user: User) -> bool:
    """Whether a folded name is one of this person's, or holds one."""
    known_as = {folded(known) for known in (user.get_username(), user.email, str(user.pk)) if known}
    return name in known_as or not known_as.isdisjoint(_AROUND_NAMES.split(name))


# What stands around a name in "Rev One <rev@example.com>" or "user:rev".
_AROUND_NAMES = re.compile(r"[\s<>()\[\],;:'\"]+")


def _either(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
