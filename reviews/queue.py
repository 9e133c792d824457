"""Which intents wait for one person: those where a vote of theirs would still bring the requirement forward.

Read from columns of what is pending, never from payloads: ten thousand that wait cost a desk a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db.models import Exists, Min, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from intents.models import Intent, Status
from reviews.entitlement import groups_of_person, is_named, standing_of, votes_of
from reviews.models import Decision, Vote
from reviews.quorum import groups_of

# Most could go wrong first, then least time left. The id makes the order total, so that pages never overlap.
URGENCY = ("-risk_score", "expires_at", "id")


def pending() -> QuerySet[Intent]:
    """What can still be decided, most urgent first. A deadline counts when it passes, not when the sweeper comes by."""
    return Intent.objects.filter(status=Status.PENDING_APPROVAL, expires_at__gt=Now()).order_by(*URGENCY)


def waiting_for(person: User) -> QuerySet[Intent]:
    """What waits for this person, most urgent first; at most seven queries, however many there are."""
    groups = groups_of_person(person)
    if not groups or not person.is_active:
        return Intent.objects.none()
    # What was said before an amendment was said about something else.
    about_this = {"digest": OuterRef("digest"), "requirement_digest": OuterRef("requirement_digest")}
    voted = Decision.objects.filter(intent=OuterRef("pk"), reviewer=person, withdrawn_at=None, **about_this)
    rows = asking(groups).exclude(Q(agent__owner=person) | Q(owner=person)).exclude(Exists(voted))
    closed = _proposed_for(person, rows) | _widened_by(person, rows) | _without_a_seat(person, rows)
    return rows.exclude(pk__in=closed) if closed else rows


def asking(groups: Iterable[str]) -> QuerySet[Intent]:
    """What is pending and asks one of these groups, whoever of them may still answer; two queries are made for it."""
    wanted = set(groups)
    return pending().filter(
        requirement_digest__in=[digest for digest, asked in groups_asked().items() if wanted.intersection(asked)]
    )


def groups_asked() -> dict[str, tuple[str, ...]]:
    """The groups that each requirement of what is pending asks, by the requirement's digest.

    Thousands of intents share the few requirements that the rules of policies have: one of each is read.
    """
    waiting = pending().order_by().values("requirement_digest").annotate(one=Min("pk"))
    each = Intent.objects.filter(pk__in=[row["one"] for row in waiting])
    return {digest: groups_of(need) for digest, need in each.values_list("requirement_digest", "requirement")}


def _proposed_for(person: User, rows: QuerySet[Intent]) -> set[str]:
    named = rows.filter(principal__isnull=False).order_by().values_list("principal", flat=True).distinct()
    theirs = [name for name in named if name and is_named(name, person)]
    return set(rows.filter(principal__in=theirs).values_list("pk", flat=True)) if theirs else set()


def _widened_by(person: User, rows: QuerySet[Intent]) -> set[str]:
    changed = rows.filter(amendments__gt=0).values_list("pk", "widened_by")
    return {pk for pk, editors in changed if person.pk in editors}


def _without_a_seat(person: User, rows: QuerySet[Intent]) -> set[str]:
    """Of these, the ones where others already fill every seat that this person could."""
    supported = Exists(Decision.objects.filter(intent=OuterRef("pk"), withdrawn_at=None))
    intents = list(rows.filter(supported).select_related("agent").defer("canonical", "verdict", "claims"))
    if not intents:
        return set()
    votes = votes_of(intents)
    return {intent.pk for intent in intents if not brings_forward(intent, votes.get(intent.pk, []), person)}


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
