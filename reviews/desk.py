"""The approval desk: what waits for this person, most urgent first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.db.models import Count, Max, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse

from audit import clock
from intents import in_force
from intents.models import Intent, RiskLevel, Status
from reviews import presentation
from reviews.entitlement import groups_of_person, standing_of, votes_of
from reviews.models import Decision, Take
from reviews.queue import pending, waiting_for
from reviews.quorum import groups_of
from reviews.taking import takes_of
from zehrava.policy.requirements import DEFAULT_GROUP

MINE, ALL, PERSON, DECIDED = "mine", "all", "person", "decided"
PER_PAGE = 25
# Worth calling somebody who looks elsewhere.
URGENT = (RiskLevel.HIGH, RiskLevel.CRITICAL)
# How far back the tab "Decided" reaches; everything is in the list of all intents.
DECIDED_SHOWN = 200
_URGENT_FIRST = "Ordered by risk, what could go most wrong first, then by time left."
ORDER = {
    MINE: _URGENT_FIRST,
    ALL: _URGENT_FIRST,
    PERSON: "Ordered by age, oldest first: nothing guesses what happened, so these wait until a person says.",
    DECIDED: f"The last {DECIDED_SHOWN} that people decided, newest first.",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """How much waits: for this person, for anyone, and for somebody to find out what an execution did."""

    mine: int
    all: int
    person: int
    mine_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tab:
    key: str
    title: str
    count: int | None
    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class Desk:
    """What the template shows."""

    tabs: list[Tab]
    tab: str
    cards: list[presentation.Card]
    page: Page
    counts: Counts
    why_none: str
    oldest: str
    order: str
    now: datetime
    revision: str


def page(request: HttpRequest) -> Desk:
    """The desk as this person sees it; reads `tab` and `page` from the query."""
    person, now = _person(request), clock.now()
    sees_all = person.has_perm("intents.view_intent")
    counted = counts(request)
    wanted = request.GET.get("tab")
    tab = wanted if wanted in (ALL, PERSON, DECIDED) and sees_all else MINE
    shown = Paginator(_ids(tab, counted), PER_PAGE).get_page(request.GET.get("page"))
    rows = Intent.objects.select_related("agent", "action_type_version").in_bulk(list(shown.object_list))
    intents = [rows[pk] for pk in shown.object_list if pk in rows]
    return Desk(
        tabs=_tabs(tab, counted, sees_all=sees_all),
        tab=tab,
        cards=cards(intents, now),
        page=shown,
        counts=counted,
        why_none="" if counted.mine else _why_none(person),
        oldest=presentation.span(now - min(intent.created_at for intent in intents)) if intents else "",
        order=ORDER[tab],
        now=now,
        revision=_revision(counted),
    )


def follow(request: HttpRequest) -> dict[str, Any]:
    """A few bytes for every open page: what waits, and a text that changes when anything on the desk does.

    `urgent` are those that wait for this person and could go most wrong, so that an open desk can call them.
    """
    counted = counts(request)
    urgent = Intent.objects.filter(pk__in=counted.mine_ids[:PER_PAGE], risk_level__in=URGENT).values_list(
        "pk", flat=True
    )
    return {
        "revision": _revision(counted),
        "mine": counted.mine,
        "person": counted.person,
        "urgent": list(urgent),
    }


def _revision(counted: Counts) -> str:
    """Short, and another one whenever somebody proposes, decides, takes a vote back, or finds out what happened."""
    voted = Decision.objects.aggregate(newest=Max("pk"), withdrawn=Max("withdrawn_at"))
    taken = Take.objects.filter(until__gt=Now()).order_by("pk").values_list("intent_id", "person_id")
    parts = [*counted.mine_ids, counted.all, counted.person, voted["newest"], voted["withdrawn"], *taken]
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def counts(request: HttpRequest) -> Counts:
    """The numbers on the desk and in the sidebar, read once per request."""
    known: Counts | None = getattr(request, "_desk_counts", None)
    if known is None:
        known = _count(_person(request))
        request._desk_counts = known  # type: ignore[attr-defined]
    return known


def cards(intents: Sequence[Intent], now: datetime) -> list[presentation.Card]:
    """The cards of these intents, with two queries for their votes and one for who is on them."""
    votes, takes = votes_of(intents), takes_of(intents)
    return [
        presentation.card(
            intent,
            given=standing_of(intent, votes.get(intent.pk, [])).given,
            now=now,
            taken_by=takes[intent.pk].person.get_username() if intent.pk in takes else None,
        )
        for intent in intents
    ]


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the admin site let nobody else in
    return request.user


def _count(person: User) -> Counts:
    if not person.is_authenticated:
        return Counts(0, 0, 0)
    mine = waiting_for(person)
    if not person.has_perm("intents.view_intent"):
        return Counts(len(mine), 0, 0, mine)
    found = Intent.objects.filter(status__in=[Status.PENDING_APPROVAL, Status.INDETERMINATE]).aggregate(
        all=Count("pk", filter=Q(status=Status.PENDING_APPROVAL, expires_at__gt=Now())),
        person=Count("pk", filter=Q(status=Status.INDETERMINATE)),
    )
    return Counts(len(mine), found["all"], found["person"], mine)


def _ids(tab: str, counted: Counts) -> Sequence[str] | QuerySet[Intent, str]:
    """The intents of a tab in their order: paged first, so that only one page of payloads is ever read."""
    if tab == MINE:
        return counted.mine_ids
    if tab == ALL:
        return pending().values_list("pk", flat=True)
    if tab == PERSON:
        return Intent.objects.filter(status=Status.INDETERMINATE).order_by("id").values_list("pk", flat=True)
    decisions = Decision.objects.filter(withdrawn_at=None).exclude(intent__status=Status.PENDING_APPROVAL)
    return tuple(dict.fromkeys(decisions.order_by("-id").values_list("intent_id", flat=True)[:DECIDED_SHOWN]))


def _tabs(tab: str, counted: Counts, *, sees_all: bool) -> list[Tab]:
    shown: list[tuple[str, str, int | None]] = [(MINE, "Waiting for me", counted.mine)]
    if sees_all:
        shown += [
            (ALL, "All waiting", counted.all),
            (PERSON, "Needs a person", counted.person),
            (DECIDED, "Decided", None),
        ]
    index = reverse("admin:index")
    return [
        Tab(key, title, count, index if key == MINE else f"{index}?tab={key}", key == tab)
        for key, title, count in shown
    ]


def _why_none(person: User) -> str:
    """Why nothing can ever wait for this person as things are; empty where something can."""
    groups = groups_of_person(person)
    ask = "An administrator can add you to reviewers, or to another group that a policy asks."
    if not groups:
        return f"You are in no group, so no policy can ask you. {ask}"
    if groups & _groups_that_are_asked():
        return ""
    if groups == {"auditors"}:
        return "Auditors see everything and decide nothing."
    asks = "asks this group" if len(groups) == 1 else "asks one of these groups"
    return f"You are in {_listed(sorted(groups))}, and no policy in force {asks}. {ask}"


def _listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _groups_that_are_asked() -> set[str]:
    policies = in_force.current().policies.policies
    asked = [rule.requirement for policy in policies for rule in policy.rules if rule.requirement]
    return {DEFAULT_GROUP} | {group for requirement in asked for group in groups_of(requirement.document())}
