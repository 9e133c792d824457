"""Which intents wait for one person: those where a vote of theirs would still bring the requirement forward.

Read from columns of what is pending, never from payloads: ten thousand that wait cost a desk a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import User
from django.db.models import Exists, Min, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from intents.models import Intent, Status
from reviews.entitlement import groups_of_person, is_named, standing_of, standing_votes
from reviews.models import Decision, Vote
from reviews.quorum import groups_of

# Most could go wrong first, then least time left. The id makes the order total, so that pages never overlap.
URGENCY = ("-risk_score", "expires_at", "id")
# The groups that each requirement asks, by the requirement's digest.
Asked = Mapping[str, tuple[str, ...]]


def pending() -> QuerySet[Intent]:
    """What can still be decided, most urgent first. A deadline counts when it passes, not when the sweeper comes by."""
    return Intent.objects.filter(status=Status.PENDING_APPROVAL, expires_at__gt=Now()).order_by(*URGENCY)


def waiting_for(person: User) -> QuerySet[Intent]:
    """What waits for this person, most urgent first; at most five queries for it, however many there are."""
    return pending().filter(waits_for(person, groups_asked()))


def waits_for(person: User, asked: Asked) -> Q:
    """Which of what is pending waits for this person, as a condition; `asked` is what `groups_asked` found."""
    groups = groups_of_person(person)
    if not groups or not person.is_active:
        return Q(pk__in=[])
    # What was said before an amendment was said about something else.
    about_this = {"digest": OuterRef("digest"), "requirement_digest": OuterRef("requirement_digest")}
    voted = Decision.objects.filter(intent=OuterRef("pk"), reviewer=person, withdrawn_at=None, **about_this)
    could = asks(groups, asked) & ~_theirs(person) & ~Q(Exists(voted))
    closed = _closed_to(person, pending().filter(could))
    return could & ~Q(pk__in=closed) if closed else could


def _theirs(person: User) -> Q:
    """What they might have proposed themselves: by an agent of theirs, then or now, or with a key that they made."""
    return Q(agent__owner=person) | Q(owner=person) | Q(key_maker=person, key_maker__isnull=False)


def asks(groups: Iterable[str], asked: Asked) -> Q:
    """Which of what is pending asks one of these groups, as a condition, whoever of them may still answer."""
    wanted = set(groups)
    return Q(requirement_digest__in=[digest for digest, some in asked.items() if wanted.intersection(some)])


def groups_asked() -> Asked:
    """The groups that each requirement of what is pending asks; one query.

    Thousands of intents share the few requirements that the rules of policies have: one of each is read.
    """
    one_of_each = pending().order_by().values("requirement_digest").annotate(one=Min("pk")).values("one")
    rows = Intent.objects.filter(pk__in=one_of_each).values_list("requirement_digest", "requirement")
    return {digest: groups_of(requirement) for digest, requirement in rows}


def _closed_to(person: User, rows: QuerySet[Intent]) -> set[str]:
    """Of these, what this person has no say in: proposed for them, widened by them, or every seat of theirs filled."""
    supported = Exists(Decision.objects.filter(intent=OuterRef("pk"), withdrawn_at=None))
    special = rows.order_by().annotate(supported=supported)
    special = special.filter(Q(principal__isnull=False) | Q(amendments__gt=0) | Q(supported=True))
    closed, with_votes = set(), []
    for pk, principal, editors, has_votes in special.values_list("pk", "principal", "widened_by", "supported"):
        if (principal and is_named(principal, person)) or person.pk in editors:
            closed.add(pk)
        elif has_votes:
            with_votes.append(pk)
    return closed | _without_a_seat(person, with_votes)


def _without_a_seat(person: User, ids: list[str]) -> set[str]:
    """Of these, the ones where others already fill every seat that this person could."""
    if not ids:
        return set()
    votes: dict[Intent, list[Decision]] = {}
    for vote in standing_votes(ids).select_related("intent__agent").defer("intent__canonical", "intent__verdict"):
        votes.setdefault(vote.intent, []).append(vote)
    return {intent.pk for intent, given in votes.items() if not brings_forward(intent, given, person)}


def brings_forward(intent: Intent, votes: list[Decision], person: User) -> bool:
    """Whether one more approval, this person's, would fill a seat that is still empty."""
    groups_of_person(person)
    mine = Decision(
        intent=intent,
        reviewer=person,
        vote=Vote.APPROVE,
        digest=intent.digest,
        requirement_digest=intent.requirement_digest,
    )
    return standing_of(intent, [*votes, mine]).given > standing_of(intent, votes).given
