"""What the pages of shadow mode and of a backtest show: figures, rules, and the intents behind each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.safestring import SafeString

from audit.text import visible
from intents import masking
from intents.models import Change, Intent, Status

PER_PAGE = 25
# So many rules stand open, and about so many characters fit in two lines of a reason; the rest is folded.
RULES_OPEN = 10
REASON_OPEN = 100
# The order of the figures: what would pass that did not comes first.
SHOWN = (Change.ALLOWED, Change.BLOCKED, Change.ASKED, Change.PEOPLE, Change.UNREADABLE)
MEANING = {
    Change.ALLOWED: "would run without a person",
    Change.BLOCKED: "would be refused",
    Change.ASKED: "would wait for a person",
    Change.PEOPLE: "asked before and then, of other seats",
    Change.UNREADABLE: "no verdict could be worked out",
    Change.SAME: "no difference",
}
TONES = {Change.ALLOWED: "green", Change.BLOCKED: "red", Change.ASKED: "amber", Change.PEOPLE: "blue"}
EFFECTS = {"allow": ("Allow", "green"), "block": ("Block", "red"), "require_approval": ("Ask", "amber")}
_READ = (
    "action",
    "agent_name",
    "created_at",
    "status",
    "verdict",
    "target",
    "records",
    "value_amount",
    "value_currency",
    # What is masked of it; the text itself is read where something is.
    "action_type_version__text",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One kind of change: how many, and where they are listed (empty where there is no list)."""

    kind: str
    label: str
    meaning: str
    tone: str
    count: int
    url: str
    current: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class RuleLine:
    """How many of one kind one rule would have decided."""

    said_by: SafeString
    label: str
    tone: str
    count: int
    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class Said:
    """An effect, what decided it and why, to be shown; `folded` where the reason is long."""

    effect: str
    tone: str
    by: SafeString
    reason: SafeString
    folded: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One intent of a list: what it got and what it would have got, each with its reason."""

    url: str
    action: SafeString
    about: SafeString
    agent: SafeString
    at: datetime
    status: str
    was: Said
    then: Said


@dataclass(frozen=True, slots=True)
class Results:
    """Everything below the head of a page. `chosen` is the kind that is listed, None where nothing is.

    `rules` are the first ones, `more_rules` those that are folded; unfolded where the one that is listed is among them.
    """

    figures: list[Figure]
    rules: list[RuleLine]
    more_rules: list[RuleLine]
    unfolded: bool
    chosen: Change | None
    chosen_rule: SafeString | None
    only_rejected: bool
    query: str
    kept: list[tuple[str, str]]
    lines: list[Line]
    page: Page | None
    page_url: str
    all_url: str


class _Counted(Paginator):
    """A paginator that is told how many there are, where the figures say so already."""

    def __init__(self, rows: QuerySet, known: int | None) -> None:
        super().__init__(rows, PER_PAGE)
        self._rows, self._known = rows, known

    @cached_property
    def count(self) -> int:
        return self._rows.count() if self._known is None else self._known


def results(
    rows: QuerySet,
    asked: QueryDict,
    *,
    counts: Mapping[str, int],
    rules: Mapping[str, Mapping[str, int]],
    rejected: int | None = None,
    lists_same: bool = False,
) -> Results:
    """Read the page's address and show what it asks for.

    `rows` are `Compared` rows, newest first; `counts` and `rules` what is known of them. `rejected` is how many newly
    allowed ones people had rejected, None where that is not known. Two queries, one more with a search.
    """
    listed = (*SHOWN, Change.SAME) if lists_same else SHOWN
    chosen = _chosen(asked.get("change"), counts, listed)
    rule = asked.get("rule") if chosen and asked.get("rule") in rules.get(chosen, {}) else None
    only_rejected = chosen == Change.ALLOWED and bool(rejected) and asked.get("rejected") == "1"
    query = (asked.get("q") or "").strip()[:200]
    address = {
        name: value
        for name, value in (
            ("version", asked.get("version")),
            ("change", chosen and chosen.value),
            ("rule", rule),
            ("rejected", "1" if only_rejected else None),
        )
        if value is not None
    }
    lines: list[Line] = []
    page = None
    if chosen and counts.get(chosen):
        rows = rows.filter(change=chosen)
        known: int | None = counts[chosen]
        if rule is not None:
            rows, known = rows.filter(said_by=rule), rules[chosen][rule]
        if only_rejected:
            rows, known = rows.filter(was_status=Status.REJECTED), rejected if rule is None else None
        if query:
            rows, known = rows.filter(_matching(query)), None
        page = _Counted(rows, known).get_page(asked.get("page"))
        lines = _lines(page.object_list)
    by_rule = _rules(rules, chosen, rule, asked)
    return Results(
        figures=_figures(counts, chosen, asked, listed, rejected),
        rules=by_rule[:RULES_OPEN],
        more_rules=by_rule[RULES_OPEN:],
        unfolded=any(line.current for line in by_rule[RULES_OPEN:]),
        chosen=chosen,
        chosen_rule=None if rule is None else _name(rule),
        only_rejected=only_rejected,
        query=query,
        kept=list(address.items()),
        lines=lines,
        page=page,
        page_url="?" + urlencode({**address, **({"q": query} if query else {}), "page": ""}),
        all_url=_url(asked, change=chosen.value) if chosen else "?",
    )


def _chosen(wanted: str | None, counts: Mapping[str, int], listed: Sequence[Change]) -> Change | None:
    if wanted in [kind.value for kind in listed]:
        return Change(wanted)
    return next((kind for kind in SHOWN if counts.get(kind)), None)


def _matching(query: str) -> Q:
    return Q(intent_id=query) | Q(intent__action__icontains=query) | Q(intent__agent_name__icontains=query)


def _url(asked: QueryDict, **values: str) -> str:
    kept = {"version": asked["version"]} if asked.get("version") else {}
    return "?" + urlencode({**kept, **values}) + "#intents"


def _figures(
    counts: Mapping[str, int],
    chosen: Change | None,
    asked: QueryDict,
    listed: Sequence[Change],
    rejected: int | None,
) -> list[Figure]:
    found = []
    for kind in (*SHOWN, Change.SAME):
        number = counts.get(kind, 0)
        if kind in (Change.UNREADABLE, Change.PEOPLE) and not number:
            continue
        note = ""
        if kind == Change.ALLOWED and number and rejected is not None:
            note = f"{rejected:,} of them people had rejected" if rejected else "none of them people had rejected"
        url = _url(asked, change=kind.value) if number and kind in listed else ""
        tone = TONES.get(kind, "") if number else ""
        found.append(
            Figure(kind.value, kind.label, MEANING[kind], tone, number, url, bool(url) and kind == chosen, note)
        )
    return found


def _rules(
    rules: Mapping[str, Mapping[str, int]], chosen: Change | None, rule: str | None, asked: QueryDict
) -> list[RuleLine]:
    found = [
        RuleLine(
            _name(said_by),
            kind.label,
            TONES.get(kind, ""),
            number,
            _url(asked, change=kind.value, rule=said_by),
            kind == chosen and said_by == rule,
        )
        # Those of the figure that is looked at come first: they are not to be among what is folded.
        for kind in sorted(SHOWN, key=lambda each: each != chosen)
        for said_by, number in sorted(rules.get(kind, {}).items(), key=lambda each: (-each[1], each[0]))
    ]
    return found


def _name(said_by: str) -> SafeString:
    return visible(said_by or "no policy: the site's default")


def _lines(rows: Any) -> list[Line]:
    shown = list(rows)
    intents = (
        Intent.objects.select_related("action_type_version").only(*_READ).in_bulk([row.intent_id for row in shown])
    )
    return [_line(row, intents[row.intent_id]) for row in shown if row.intent_id in intents]


def _line(row: Any, intent: Intent) -> Line:
    verdict = intent.verdict
    status = getattr(row, "was_status", None) or intent.status
    before = f"{verdict.get('policy')}/{verdict.get('rule') or '-'}" if verdict.get("policy") else ""
    return Line(
        url=reverse("admin:intents_intent_change", args=(intent.pk,)),
        action=visible(intent.action),
        about=_about(intent),
        agent=visible(intent.agent_name),
        at=intent.created_at,
        status=Status(status).label if status in Status.values else status,
        was=_said(verdict.get("effect", ""), before, verdict.get("reason") or ""),
        then=_said(row.effect, row.said_by, row.reason),
    )


def _about(intent: Intent) -> SafeString:
    """What tells it from others of its action: its target, value and number of records, where it has them."""
    parts = masking.about(intent)
    return visible(" · ".join(parts)) if parts else SafeString("")


def _said(effect: str, by: str, reason: str) -> Said:
    word, tone = EFFECTS.get(effect, ("No verdict", ""))
    folded = len(reason) > REASON_OPEN or reason.count("\n") > 1
    return Said(word, tone, _name(by) if word != "No verdict" else visible(""), visible(reason), folded)
