"""The approval desk: what waits for this person, most urgent first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse

from audit import clock
from intents import in_force
from intents.models import Intent, RiskLevel, Status
from reviews import alike, presentation
from reviews.desk_filters import DeskFilter
from reviews.entitlement import groups_of_person, standing_of, votes_of
from reviews.models import Decision, Take
from reviews.queue import Asked, asks, groups_asked, pending, waits_for
from reviews.quorum import groups_of
from reviews.taking import takes_of
from zehrava.policy.requirements import DEFAULT_GROUP

MINE, GROUPS, SOON, ALL, PERSON, DECIDED = "mine", "groups", "soon", "all", "person", "decided"
PER_PAGE = 25
CARDS, TABLE = "cards", "table"
# The cookie in which a browser keeps how it likes to see the desk; the desk's own, and no secret.
VIEW_COOKIE = "zhv-view"
ABOUT_TO_EXPIRE = timedelta(minutes=15)
# Worth calling somebody who looks elsewhere.
URGENT = (RiskLevel.HIGH, RiskLevel.CRITICAL)
# How far back the tab "Decided" reaches; everything is in the list of all intents.
DECIDED_SHOWN = 200
_URGENT_FIRST = "Ordered by risk, what could go most wrong first, then by time left."
ORDER = {
    MINE: _URGENT_FIRST,
    GROUPS: f"Everything that asks a group of yours, also what you have voted on. {_URGENT_FIRST}",
    SOON: "What ends within a quarter of an hour, least time left first.",
    ALL: _URGENT_FIRST,
    PERSON: "Ordered by age, oldest first: nothing guesses what happened, so these wait until a person says.",
    DECIDED: f"The last {DECIDED_SHOWN} that people decided, newest first.",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """How much waits: for this person, for anyone, and for somebody to find out what an execution did."""

    mine: int = 0
    all: int = 0
    person: int = 0
    # Changes when something arrives.
    moved: str | None = None


@dataclass(frozen=True, slots=True)
class Tab:
    key: str
    title: str
    count: int | None
    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the desk: an intent, or several that are alike."""

    card: presentation.Card
    group: alike.Group | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """What the template shows. `query` is what was asked for, without the page: for links to other pages."""

    tabs: list[Tab]
    tab: str
    view: str
    lines: list[Line]
    page: Page
    counts: Counts
    filters: DeskFilter
    query: str
    why_none: str
    oldest: str
    order: str
    now: datetime
    revision: str


def page(request: HttpRequest) -> Desk:
    """The desk as this person sees it; reads `tab`, `page` and the filters from the query."""
    person, now = _person(request), clock.now()
    sees_all = person.has_perm("intents.view_intent")
    counted = counts(request)
    wanted = request.GET.get("tab")
    tab = wanted if wanted in ORDER and (sees_all or wanted in (MINE, GROUPS, SOON)) else MINE
    rows = _rows(tab, request, sees_all=sees_all, now=now)
    filters = DeskFilter(request.GET, rows, asked=_asked(request), now=now)
    lines, shown = _lines(filters.qs, tab, request.GET.get("page"), now)
    query = request.GET.copy()
    query.pop("page", None)
    return Desk(
        tabs=_tabs(tab, counted, sees_all=sees_all),
        tab=tab,
        view=TABLE if request.COOKIES.get(VIEW_COOKIE) == TABLE else CARDS,
        lines=lines,
        page=shown,
        counts=counted,
        filters=filters,
        query=query.urlencode(),
        why_none="" if counted.mine else _why_none(person),
        oldest=_oldest(request, now) if counted.mine else "",
        order=ORDER[tab],
        now=now,
        revision=_revision(counted),
    )


def follow(request: HttpRequest) -> dict[str, Any]:
    """A few bytes for every open page: what waits, and a text that changes when anything on the desk does.

    `urgent` are those that wait for this person and could go most wrong, so that an open desk can call them.
    """
    counted = counts(request)
    urgent = pending().filter(_waits(request), risk_level__in=URGENT).values_list("pk", flat=True)[:PER_PAGE]
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
    parts = [counted.mine, counted.all, counted.person, counted.moved, voted["newest"], voted["withdrawn"], *taken]
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def counts(request: HttpRequest) -> Counts:
    """The numbers on the desk and in the sidebar, read once per request."""
    known: Counts | None = getattr(request, "_desk_counts", None)
    if known is None:
        known = _count(request)
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


def _waits(request: HttpRequest) -> Q:
    """What waits for this person; what has to be known for that is read once per request."""
    known: Q | None = getattr(request, "_desk_waits", None)
    if known is None:
        known = waits_for(_person(request), _asked(request))
        request._desk_waits = known  # type: ignore[attr-defined]
    return known


def _asked(request: HttpRequest) -> Asked:
    known: Asked | None = getattr(request, "_desk_asked", None)
    if known is None:
        known = groups_asked()
        request._desk_asked = known  # type: ignore[attr-defined]
    return known


def _count(request: HttpRequest) -> Counts:
    person = _person(request)
    if not person.is_authenticated:
        return Counts()
    waits = Q(status=Status.PENDING_APPROVAL, expires_at__gt=Now())
    found = Intent.objects.filter(status__in=[Status.PENDING_APPROVAL, Status.INDETERMINATE]).aggregate(
        mine=Count("pk", filter=waits & _waits(request)),
        all=Count("pk", filter=waits),
        person=Count("pk", filter=Q(status=Status.INDETERMINATE)),
        newest=Max("pk"),
    )
    if not person.has_perm("intents.view_intent"):
        return Counts(found["mine"], moved=found["newest"])
    return Counts(found["mine"], found["all"], found["person"], found["newest"])


def _oldest(request: HttpRequest, now: datetime) -> str:
    asked = pending().filter(_waits(request)).order_by().aggregate(at=Min("created_at"))["at"]
    return presentation.span(now - asked) if asked else ""


def _rows(tab: str, request: HttpRequest, *, sees_all: bool, now: datetime) -> QuerySet[Intent]:
    """The intents of a tab in their order."""
    if tab == MINE:
        return pending().filter(_waits(request))
    if tab == GROUPS:
        return pending().filter(_asks_mine(request))
    if tab == SOON:
        soon = pending() if sees_all else pending().filter(_asks_mine(request))
        return soon.filter(expires_at__lte=now + ABOUT_TO_EXPIRE).order_by("expires_at", "id")
    if tab == ALL:
        return pending()
    if tab == PERSON:
        return Intent.objects.filter(status=Status.INDETERMINATE).order_by("id")
    stands = Q(decisions__withdrawn_at=None)
    newest = Decision.objects.filter(withdrawn_at=None).exclude(intent__status=Status.PENDING_APPROVAL).order_by("-id")
    ids = list(dict.fromkeys(newest.values_list("intent_id", flat=True)[:DECIDED_SHOWN]))
    return Intent.objects.filter(pk__in=ids).annotate(last=Max("decisions__pk", filter=stands)).order_by("-last")


def _asks_mine(request: HttpRequest) -> Q:
    return asks(groups_of_person(_person(request)), _asked(request))


def _lines(rows: QuerySet[Intent], tab: str, number: str | None, now: datetime) -> tuple[list[Line], Page]:
    """One page of the desk: paged first, so that only what is shown is ever read whole."""
    if tab not in (MINE, GROUPS, ALL):
        alone = Paginator(rows.select_related("agent", "action_type_version"), PER_PAGE).get_page(number)
        return [Line(card) for card in cards(list(alone.object_list), now)], alone
    shown: Page[alike.Row] = Paginator(alike.grouped(rows), PER_PAGE).get_page(number)
    found = list(shown.object_list)
    few = alike.members(rows, found)
    first = {key: intents[0] for key, intents in few.items()}
    made = {card.intent.pk: card for card in cards(list(first.values()), now)}
    lines = []
    for row in found:
        if row["alike"] not in first:
            continue  # decided since it was counted
        card = made[first[row["alike"]].pk]
        group = alike.group(row, few[row["alike"]], card, now) if row["n"] > 1 else None
        lines.append(Line(card, group))
    return lines, shown


def _tabs(tab: str, counted: Counts, *, sees_all: bool) -> list[Tab]:
    shown: list[tuple[str, str, int | None]] = [
        (MINE, "Waiting for me", counted.mine),
        (GROUPS, "My groups", None),
        (SOON, "About to expire", None),
    ]
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
