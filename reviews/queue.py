"""Which intents wait for one person: those where a vote of theirs would still bring the requirement forward."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from intents.models import Intent, Status
from reviews.entitlement import groups_of_person, is_principal, standing_of, votes_of
from reviews.models import Decision, Vote
from reviews.quorum import groups_of

# Most could go wrong first, then least time left. The id makes the order total, so that pages never overlap.
URGENCY = ("-risk_score", "expires_at", "id")
# In every canonical text whose intent is on nobody's behalf. A payload can hold the same words: then the intent is
# listed and its page says why the person may not decide. It can never be hidden this way.
_ON_NOBODYS_BEHALF = '"on_behalf_of":null'


def pending() -> QuerySet[Intent]:
    """What can still be decided, most urgent first. A deadline counts when it passes, not when the sweeper comes by."""
    return Intent.objects.filter(status=Status.PENDING_APPROVAL, expires_at__gt=Now()).order_by(*URGENCY)


def waiting_for(person: User) -> tuple[str, ...]:
    """The ids of what waits for this person, most urgent first; at most six queries, however many there are."""
    groups = groups_of_person(person)
    if not groups or not person.is_active:
        return ()
    # What was said before an amendment was said about something else.
    about_this = {"digest": OuterRef("digest"), "requirement_digest": OuterRef("requirement_digest")}
    voted = Decision.objects.filter(intent=OuterRef("pk"), reviewer=person, withdrawn_at=None, **about_this)
    supported = Decision.objects.filter(intent=OuterRef("pk"), withdrawn_at=None)
    rows = (
        pending()
        .exclude(Q(agent__owner=person) | Q(owner=person))
        .filter(~Exists(voted))
        .annotate(
            named=ExpressionWrapper(~Q(canonical__contains=_ON_NOBODYS_BEHALF), output_field=BooleanField()),
            supported=Exists(supported),
        )
        .values_list("pk", "requirement", "named", "supported", "widened_by")
    )
    candidates = [row for row in rows if groups.intersection(groups_of(row[1])) and person.pk not in row[4]]
    closed = _proposed_for(person, [pk for pk, _, named, *_ in candidates if named])
    closed |= _without_a_seat(person, [pk for pk, _, _, has_votes, _ in candidates if has_votes])
    return tuple(pk for pk, *_ in candidates if pk not in closed)


def _proposed_for(person: User, ids: list[str]) -> set[str]:
    if not ids:
        return set()
    return {intent.pk for intent in Intent.objects.filter(pk__in=ids) if is_principal(intent, person)}


def _without_a_seat(person: User, ids: list[str]) -> set[str]:
    """Of these, the ones where others already fill every seat that this person could."""
    if not ids:
        return set()
    intents = list(Intent.objects.filter(pk__in=ids).select_related("agent").defer("canonical"))
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
