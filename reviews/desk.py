"""The approval desk: what waits for this person, most urgent first."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.paginator import Page, Paginator
from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse

from audit import clock
from intents import in_force, reading
from intents.models import Intent, RiskLevel, Status
from intents.steps import later_groups
from reviews import alike, presentation
from reviews.desk_filters import DeskFilter
from reviews.entitlement import groups_of_person, in_whose_place, standing_of, votes_of
from reviews.models import Decision, Take, Vote
from reviews.queue import Asked, Overview, Under, Waiting, escalated, may_be_shown, overview, pending, waits_for
from reviews.quorum import groups_of
from reviews.taking import takes_of
from reviews.ties import Ties, ties_of
from zehrava.policy.requirements import DEFAULT_GROUP

MINE, GROUPS, ESCALATED, SOON = "mine", "groups", "escalated", "soon"
ALL, PERSON, DECIDED = "all", "person", "decided"
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
    ESCALATED: "What was escalated, and what nobody can meet as things stand, oldest first.",
    SOON: "What ends within a quarter of an hour, least time left first.",
    ALL: _URGENT_FIRST,
    PERSON: "Ordered by age, oldest first: nothing guesses what happened, so these wait until a person says.",
    DECIDED: f"The last {DECIDED_SHOWN} that people decided, newest first.",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """How much waits: for this person, for anyone, and for somebody to find out what an execution did.

    Of the last two, what this person may read.
    """

    mine: int = 0
    all: int = 0
    person: int = 0
    # Changes when something arrives, and when an escalation goes on.
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
    """What the template shows.

    `query` is what was asked for, without the page: for links to other pages. `oldest` is for how long the first of
    what waits for this person has waited, where that is what is shown.
    """

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
    sees_some = person.has_perm(reading.VIEW)
    counted = counts(request)
    wanted = request.GET.get("tab")
    tab = wanted if wanted in ORDER and (sees_some or wanted in (MINE, GROUPS, ESCALATED, SOON)) else MINE
    rows = _rows(tab, request, now=now)
    filters = DeskFilter(request.GET, rows, asked=_asked_of(request), now=now)
    lines, shown = _lines(filters.qs, tab, request, now)
    query = request.GET.copy()
    query.pop("page", None)
    return Desk(
        tabs=_tabs(tab, counted, sees_some=sees_some, escalates=_escalates(request)),
        tab=tab,
        view=TABLE if request.COOKIES.get(VIEW_COOKIE) == TABLE else CARDS,
        lines=lines,
        page=shown,
        counts=counted,
        filters=filters,
        query=query.urlencode(),
        why_none="" if counted.mine or ties_of(request).given_to(person) else _why_none(person),
        oldest=presentation.span(now - filters.oldest) if tab == MINE and filters.oldest else "",
        order=ORDER[tab],
        now=now,
        revision=_revision(request),
    )


def follow(request: HttpRequest) -> dict[str, Any]:
    """A few bytes for every open page: what waits, and a text that changes when anything on the desk does.

    `urgent` are those that wait for this person and could go most wrong, so that an open desk can call them.
    """
    counted = counts(request)
    urgent = (
        pending().filter(_waiting(request).condition, risk_level__in=URGENT).values_list("pk", flat=True)[:PER_PAGE]
    )
    return {
        "revision": _revision(request),
        "mine": counted.mine,
        "person": counted.person,
        "urgent": list(urgent),
    }


def _revision(request: HttpRequest) -> str:
    """Short, and another one whenever somebody proposes, decides, takes a vote back, or finds out what happened.

    Of who may not read all, whenever any of that is about what waits for them or what they may read.
    """
    counted = counts(request)
    takes, votes = _takes(request), Decision.objects.all()
    sight = reading.sight_of(_person(request))
    if not sight.everything:
        theirs = pending().filter(_waiting(request).condition | sight.condition()).order_by()
        takes, votes = takes_of(theirs), votes.filter(intent__in=theirs)
    voted = votes.aggregate(newest=Max("pk"), withdrawn=Max("withdrawn_at"))
    taken = [(pk, takes[pk].person_id) for pk in sorted(takes)]
    parts = [counted.mine, counted.all, counted.person, counted.moved, voted["newest"], voted["withdrawn"], *taken]
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def counts(request: HttpRequest) -> Counts:
    """The numbers on the desk and in the sidebar; what they come from is read once per request."""
    if not request.user.is_authenticated:
        return Counts()
    mine, sight = _waiting(request).number, reading.sight_of(_person(request))
    if sight == reading.NOTHING:
        # Nor is anything said of what else moves.
        return Counts(mine)
    seen = _overview(request).seen_by(sight)
    return Counts(mine, seen.pending, seen.indeterminate, seen.moved)


def cards(
    intents: Sequence[Intent], now: datetime, *, person: User, ties: Ties, takes: Mapping[str, Take]
) -> list[presentation.Card]:
    """The cards of these intents for this person, with two queries for their votes."""
    votes = votes_of(intents)
    return [
        presentation.card(
            intent,
            stood=standing_of(intent, votes.get(intent.pk, []), ties),
            now=now,
            taken_by=takes[intent.pk].person.get_username() if intent.pk in takes else None,
            decided_by=_deciders(intent, votes.get(intent.pk, [])),
            in_whose_place=in_whose_place(intent, votes.get(intent.pk, []), person, ties),
            glass_broken=any(vote.break_glass for vote in votes.get(intent.pk, [])),
        )
        for intent in intents
    ]


def _deciders(intent: Intent, votes: Sequence[Decision]) -> str:
    """Whose votes decided it, where people did."""
    if intent.decided_at is None:
        return ""
    vote = Vote.REJECT if intent.status == Status.REJECTED else Vote.APPROVE
    return ", ".join(dict.fromkeys(one.who for one in votes if one.vote == vote))


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the admin site let nobody else in
    return request.user


def _waiting(request: HttpRequest) -> Waiting:
    """What waits for this person, read once per request."""
    known: Waiting | None = getattr(request, "_desk_waiting", None)
    if known is None:
        known = waits_for(_person(request), _overview(request), ties_of(request))
        request._desk_waiting = known  # type: ignore[attr-defined]
    return known


def _takes(request: HttpRequest) -> dict[str, Take]:
    """Who is on what now, read once per request: of all intents, few at any time."""
    known: dict[str, Take] | None = getattr(request, "_desk_takes", None)
    if known is None:
        known = {take.intent_id: take for take in Take.objects.filter(until__gt=Now()).select_related("person")}
        request._desk_takes = known  # type: ignore[attr-defined]
    return known


def _overview(request: HttpRequest) -> Overview:
    known: Overview | None = getattr(request, "_desk_overview", None)
    if known is None:
        known = overview()
        request._desk_overview = known  # type: ignore[attr-defined]
    return known


def _rows(tab: str, request: HttpRequest, *, now: datetime) -> QuerySet[Intent]:
    """The intents of a tab in their order."""
    if tab == MINE:
        return pending().filter(_waiting(request).condition)
    if tab == GROUPS:
        return pending().filter(_asks_mine(request))
    if tab == ESCALATED:
        late = pending().filter(escalated(_overview(request).asked)).order_by("created_at", "id")
        return late.filter(_theirs(request))
    if tab == SOON:
        soon = pending().filter(_theirs(request))
        return soon.filter(expires_at__lte=now + ABOUT_TO_EXPIRE).order_by("expires_at", "id")
    person = _person(request)
    if tab == ALL:
        return pending().filter(reading.visible_to(person))
    if tab == PERSON:
        return Intent.objects.filter(reading.visible_to(person), status=Status.INDETERMINATE).order_by("id")
    stands = Q(decisions__withdrawn_at=None)
    decided = Decision.objects.filter(reading.visible_to(person, "intent__"), withdrawn_at=None)
    newest = decided.exclude(intent__status=Status.PENDING_APPROVAL).order_by("-id")
    ids = list(dict.fromkeys(newest.values_list("intent_id", flat=True)[:DECIDED_SHOWN]))
    return Intent.objects.filter(pk__in=ids).annotate(last=Max("decisions__pk", filter=stands)).order_by("-last")


def _theirs(request: HttpRequest) -> Q:
    """What of what is pending this person may know of: what they may read, and what asks them."""
    sight = reading.sight_of(_person(request))
    return sight.condition() if sight.everything else sight.condition() | _asks_mine(request)


def _asks_mine(request: HttpRequest) -> Q:
    """What asks a group of theirs, or of who they stand in for; see `may_be_shown`."""
    known: Q | None = getattr(request, "_desk_asks_mine", None)
    if known is None:
        asked = _overview(request).asked
        known = may_be_shown(_person(request), _waiting(request), asked, ties_of(request))
        request._desk_asks_mine = known  # type: ignore[attr-defined]
    return known


def _lines(rows: QuerySet[Intent], tab: str, request: HttpRequest, now: datetime) -> tuple[list[Line], Page]:
    """One page of the desk: paged first, so that only what is shown is ever read whole."""
    number, person, ties, takes = request.GET.get("page"), _person(request), ties_of(request), _takes(request)
    if tab not in (MINE, GROUPS, ALL):
        alone = Paginator(rows.select_related("agent", "action_type_version"), PER_PAGE).get_page(number)
        made_alone = cards(list(alone.object_list), now, person=person, ties=ties, takes=takes)
        return [Line(card) for card in made_alone], alone
    shown: Page[alike.Row] = Paginator(alike.grouped(rows), PER_PAGE).get_page(number)
    found = list(shown.object_list)
    few = alike.members(rows, found)
    first = {key: intents[0] for key, intents in few.items()}
    made = {card.intent.pk: card for card in cards(list(first.values()), now, person=person, ties=ties, takes=takes)}
    lines = []
    for row in found:
        if row["alike"] not in first:
            continue  # decided since it was counted
        card = made[first[row["alike"]].pk]
        group = None
        if row["n"] > 1:
            on_it = next((takes[one.pk].person.get_username() for one in few[row["alike"]] if one.pk in takes), None)
            group = alike.group(row, few[row["alike"]], card, now, taken_by=on_it)
        lines.append(Line(card, group))
    return lines, shown


def _escalates(request: HttpRequest) -> bool:
    """Whether a policy behind what is pending escalates, or some of it cannot be met: else nothing is to be seen."""
    stuck = _overview(request).seen_by(reading.sight_of(_person(request))).unmeetable
    return bool(stuck) or any(ask.escalates for ask in _asked_of(request).values())


def _asked_of(request: HttpRequest) -> Asked:
    """The requirements that this person may know of: all, or those of what they may be shown."""
    asked = _overview(request).asked
    if reading.sees_all(_person(request)):
        return asked
    known: set[Under] | None = getattr(request, "_desk_known", None)
    if known is None:
        shown = pending().order_by().filter(_theirs(request))
        known = {Under(*each) for each in shown.values_list(*Under._fields).distinct()}
        request._desk_known = known  # type: ignore[attr-defined]
    return {under: ask for under, ask in asked.items() if under in known}


def _tabs(tab: str, counted: Counts, *, sees_some: bool, escalates: bool) -> list[Tab]:
    shown: list[tuple[str, str, int | None]] = [
        (MINE, "Waiting for me", counted.mine),
        (GROUPS, "My groups", None),
        *([(ESCALATED, "Escalated", None)] if escalates or tab == ESCALATED else []),
        (SOON, "About to expire", None),
    ]
    if sees_some:
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
    asked = [rule.requirement.document() for policy in policies for rule in policy.rules if rule.requirement]
    return {DEFAULT_GROUP} | {group for each in asked for group in (*groups_of(each), *later_groups(each))}
