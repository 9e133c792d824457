"""How the portal is doing: what waits, how fast people decide, what came of it, and what is busiest.

Every figure names the rows that it counts, so that its link shows them. Days are days of UTC.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.db.models import Count, Min, Q
from django.db.models.fields.json import KT
from django.db.models.functions import Now, TruncDate
from django.urls import reverse
from django.utils.safestring import SafeString

from audit.text import visible
from intents import reading
from intents.models import Intent, Status
from reviews import presentation
from reviews.intent_filters import LATELY, decided_lately
from reviews.models import Decision, StandingUse, Vote

DAYS = 14
BUSIEST = 8
# Decisions that the median is taken of, the newest ones.
SAMPLE = 2_000
# What came of an intent, in the order of the chart; each with the statuses it counts and a colour that is not alone.
OUTCOMES: Mapping[str, tuple[tuple[Status, ...], str]] = {
    "ran": ((Status.SUCCEEDED,), "#16a34a"),
    "approved, not finished": ((Status.APPROVED, Status.EXECUTING), "#60a5fa"),
    "rejected": ((Status.REJECTED,), "#f59e0b"),
    "blocked": ((Status.BLOCKED,), "#dc2626"),
    "failed or unknown": ((Status.FAILED, Status.INDETERMINATE), "#7f1d1d"),
    "expired or cancelled": ((Status.EXPIRED, Status.CANCELLED), "#a1a1aa"),
}

_INK = {"color": "#7c7c87"}  # readable on light and on dark
_CHART_OPTIONS = {
    "responsive": True,
    "maintainAspectRatio": False,
    "animation": False,
    "plugins": {"legend": {"position": "bottom", "labels": {**_INK, "boxWidth": 12}}},
    "scales": {
        "x": {"stacked": True, "ticks": _INK},
        "y": {"stacked": True, "ticks": {**_INK, "precision": 0}},
    },
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with what it is of, and the address of the rows behind it."""

    name: str
    value: str
    url: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Busy:
    """A rule or an agent: how many of its intents came in, how many waited for a person."""

    name: SafeString
    url: str
    count: int
    asked: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What the page shows. `chart` is for Chart.js; `days` says the same as a table."""

    figures: list[Figure]
    chart: str
    chart_options: str
    days: list[tuple[date, list[int]]]
    outcomes: list[str]
    rules: list[Busy]
    agents: list[Busy]
    since: date
    now: datetime


def figures(now: datetime, person: User) -> Figures:
    """The figures of the last `DAYS` days, over what this person may read; eight queries for any number of rows."""
    since = now.date() - timedelta(days=DAYS - 1)
    read = Intent.objects.filter(reading.visible_to(person))
    recent = read.filter(created_at__gte=datetime.combine(since, time.min, UTC)).order_by()
    days = _days(recent, since)
    return Figures(
        figures=_now(now, person),
        chart=_chart(days),
        chart_options=json.dumps(_CHART_OPTIONS),
        days=days,
        outcomes=list(OUTCOMES),
        rules=_rules(recent, since),
        agents=_agents(recent, since),
        since=since,
        now=now,
    )


def _now(now: datetime, person: User) -> list[Figure]:
    read, theirs = Intent.objects.filter(reading.visible_to(person)), reading.visible_to(person, "intent__")
    index, listed = reverse("admin:index"), reverse("admin:intents_intent_changelist")
    waiting = Q(status=Status.PENDING_APPROVAL, expires_at__gt=Now())
    found = read.filter(status__in=[Status.PENDING_APPROVAL, Status.INDETERMINATE]).aggregate(
        waiting=Count("pk", filter=waiting),
        oldest=Min("created_at", filter=waiting),
        person=Count("pk", filter=Q(status=Status.INDETERMINATE)),
    )
    lately = read.filter(decided_at__gt=now - LATELY)
    votes = lately.aggregate(
        approved=Count("pk", filter=decided_lately(Vote.APPROVE)),
        rejected=Count("pk", filter=decided_lately(Vote.REJECT)),
    )
    oldest = presentation.span(now - found["oldest"]) if found["oldest"] else "–"
    decided = reverse("admin:index") + "?tab=decided"
    return [
        Figure("Waiting for people", f"{found['waiting']:,}", f"{index}?tab=all"),
        Figure("Oldest that waits", oldest, f"{index}?tab=all"),
        Figure("Median time to decide", _median(theirs), decided, "from the proposal to the decision of a person"),
        Figure("Approved in 24 hours", f"{votes['approved']:,}", f"{listed}?decided=approve", "by people"),
        Figure("Rejected in 24 hours", f"{votes['rejected']:,}", f"{listed}?decided=reject", "by people"),
        Figure(
            "Passed in advance in 24 hours",
            f"{StandingUse.objects.filter(theirs, number__isnull=False, at__gt=now - LATELY).count():,}",
            reverse("admin:reviews_standingapproval_changelist"),
            "on standing approvals",
        ),
        Figure("Need a person", f"{found['person']:,}", f"{index}?tab=person", "nobody knows what they did"),
    ]


def _median(theirs: Q) -> str:
    newest = Decision.objects.filter(theirs, withdrawn_at=None).order_by("-id")
    asked = newest.values_list("created_at", "intent__created_at")[:SAMPLE]
    took = [(decided - proposed).total_seconds() for decided, proposed in asked]
    return presentation.span(timedelta(seconds=statistics.median(took))) if took else "–"


def _days(recent: Any, since: date) -> list[tuple[date, list[int]]]:
    """For each day how many of its intents came to each outcome; what still waits came to none yet."""
    found: dict[date, Counter[str]] = {}
    for day, status, number in (
        recent.annotate(day=TruncDate("created_at")).values_list("day", "status").annotate(Count("pk"))
    ):
        found.setdefault(day, Counter())[status] += number
    each = [since + timedelta(days=number) for number in range(DAYS)]
    return [(day, _counts(found.get(day, Counter()))) for day in each]


def _counts(statuses: Counter[str]) -> list[int]:
    return [sum(statuses[status] for status in some) for some, _ in OUTCOMES.values()]


def _chart(days: list[tuple[date, list[int]]]) -> str:
    return json.dumps(
        {
            "labels": [f"{day:%-d %b}" for day, _ in days],
            "datasets": [
                {
                    "label": name,
                    "data": [counts[place] for _, counts in days],
                    "backgroundColor": colour,
                    "stack": "one",
                    "displayYAxis": True,
                }
                for place, (name, (_, colour)) in enumerate(OUTCOMES.items())
            ],
        }
    )


def _listed(since: date, **filters: str) -> str:
    """The intents since that day, filtered like this, in the list of all."""
    from_then = {"created_at_from_0": since.isoformat(), "created_at_from_1": "00:00:00"}
    return f"{reverse('admin:intents_intent_changelist')}?{urlencode({**filters, **from_then})}"


def _rules(recent: Any, since: date) -> list[Busy]:
    named = recent.annotate(policy=KT("verdict__policy"), rule=KT("verdict__rule"))
    counted = named.values_list("policy", "rule", "policy_version__policy_id").annotate(
        number=Count("pk"), asked=Count("pk", filter=Q(requirement__isnull=False))
    )
    return [
        Busy(
            visible(f"{policy} › {rule}" if policy_id else "no policy matches"),
            _listed(since, said_by=f"{policy}/{rule}" if policy_id else "/"),
            number,
            asked,
        )
        for policy, rule, policy_id, number, asked in counted.order_by("-number", "policy", "rule")[:BUSIEST]
    ]


def _agents(recent: Any, since: date) -> list[Busy]:
    counted = recent.values_list("agent_id", "agent_name").annotate(
        number=Count("pk"), asked=Count("pk", filter=Q(requirement__isnull=False))
    )
    return [
        Busy(visible(name), _listed(since, agent__id__exact=agent_id), number, asked)
        for agent_id, name, number, asked in counted.order_by("-number", "agent_name")[:BUSIEST]
    ]
