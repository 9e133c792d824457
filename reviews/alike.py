"""Intents that are alike, seen together: what they share is read once, what differs stands in a table.

They are never decided as one: each gets a decision of its own, bound to the digest that was shown, and only where the
risk is low or medium. What could go badly wrong is opened and decided by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, F, Max, Min, QuerySet, Sum, Window
from django.db.models.functions import RowNumber
from django.utils.safestring import SafeString, mark_safe

from audit import clock
from intents import masking, reading
from intents.models import Intent, RiskLevel
from reviews import circumstances, presentation
from reviews.circumstances import Origin
from reviews.decisions import decide
from reviews.entitlement import standing_of
from reviews.models import Take
from reviews.presentation import Path, text
from reviews.pushing import MOST, pushes
from reviews.queue import RANK, URGENCY, pending, waiting_for
from reviews.second_factor import Factor
from reviews.taking import takes_of
from zehrava import canonical
from zehrava.problems import Problem
from zehrava.sensitive import Masked

TOGETHER = (RiskLevel.LOW, RiskLevel.MEDIUM)
# Looked at for what a card says they differ in, and shown at once on their own page.
SAMPLED = 8
SHOWN = 50
# Beyond this a row of a table is wider than a screen: then each row lists what differs instead.
COLUMNS = 5
_NAMED = 4
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """Several alike on the desk, as one card; `first` is the card of the most urgent."""

    key: str
    count: int
    first: presentation.Card
    what: SafeString
    differ: SafeString
    amount: SafeString | None
    records: SafeString | None
    oldest: str
    newest: str
    together: bool
    # Somebody said to be on one of them.
    taken_by: SafeString | None


def grouped(rows: QuerySet[Intent]) -> QuerySet[Any, Any]:
    """What is alike of these as one row each, most urgent first: `alike`, `n`, `one` of them, and figures."""
    return (
        rows.order_by()
        .values("alike")
        .annotate(
            n=Count("pk"),
            top=Max(RANK),
            soonest=Min("expires_at"),
            one=Min("pk"),
            oldest=Min("created_at"),
            newest=Max("created_at"),
            amount=Sum("value_amount"),
            all_records=Sum("records"),
        )
        .order_by("-top", "soonest", "one")
    )


def members(rows: QuerySet[Intent], found: Sequence[Row]) -> dict[str, list[Intent]]:
    """Of each of these groups the most urgent few, by its key; one query."""
    place = Window(RowNumber(), partition_by=[F("alike")], order_by=list(URGENCY))
    few = (
        rows.order_by()
        .filter(alike__in=[row["alike"] for row in found])
        .annotate(place=place)
        .filter(place__lte=SAMPLED)
        .select_related("agent", "action_type_version")
        .order_by("place")
    )
    by_key: dict[str, list[Intent]] = {}
    for intent in few:
        by_key.setdefault(intent.alike, []).append(intent)
    return by_key


def group(
    row: Row, few: Sequence[Intent], first: presentation.Card, now: datetime, *, taken_by: str | None = None
) -> Group:
    """The card of a group: `few` of its members, the most urgent of which is `first`."""
    differing = [presentation.place(path, few[0]) for path in _differing(few)]
    told = ", ".join(differing[:_NAMED]) + (f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else "")
    amount, records = row["amount"], row["all_records"]
    return Group(
        key=row["alike"],
        count=row["n"],
        first=first,
        what=text(presentation.kind_of(few[0])),
        differ=text(_how_they_differ(told, row["n"], len(few))),
        amount=text(f"{_sum(amount)} {few[0].value_currency} in all{_claimed(few, 'value')}")
        if amount is not None and not _is_masked(few, "value")
        else None,
        records=text(f"{records:,} records in all{_claimed(few, 'records')}")
        if records is not None and not _is_masked(few, "records")
        else None,
        oldest=presentation.span(now - row["oldest"]),
        newest=presentation.span(now - row["newest"]),
        together=few[0].risk_level in TOGETHER,
        taken_by=text(taken_by) if taken_by else None,
    )


def _how_they_differ(told: str, number: int, looked_at: int) -> str:
    if told:
        return f"differ in {told}"
    if number > looked_at:
        return f"the {looked_at} most urgent have the same payload; open them to see the others"
    return "the same payload"


def _claimed(few: Sequence[Intent], name: str) -> str:
    return "" if all(name in intent.derived for intent in few) else ", claimed"


def _is_masked(few: Sequence[Intent], name: str) -> bool:
    return any(Masked in map(type, _figures_of(masking.document(intent)[name])) for intent in few)


def _figures_of(value: Any) -> list[Any]:
    return [*value.values()] if isinstance(value, dict) else [value]


def _sum(amount: Decimal) -> str:
    # SQLite adds up floats: what stands beyond the cents is not to be relied on.
    with localcontext(prec=60):
        return presentation.grouped(f"{amount.quantize(Decimal('0.01')):f}")


# --- their own page -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One of them: what is its own in the order of the columns, and why it was not decided, if somebody tried."""

    intent: Intent
    digest: str
    cells: list[SafeString]
    left: str
    taken_by: SafeString | None
    problem: str
    chosen: bool
    opened: str


@dataclass(frozen=True, slots=True)
class Together:
    """What the page of a group shows. `why_not` says why this person decides none of them here."""

    key: str
    count: int
    first: presentation.Card
    what: SafeString
    columns: list[SafeString]
    wide: bool
    shared: list[tuple[SafeString, SafeString]]
    lines: list[Line]
    # Words of the agent that push whoever reads, in any of those that are shown.
    pushes: list[SafeString]
    why_not: str
    now: datetime


def page(
    key: str, person: User, *, problems: dict[str, str] | None = None, kept: Mapping[str, str] | None = None
) -> Together | None:
    """Those alike that wait for this person, most urgent first; None where none does any more.

    Who may read some of these and has a say in none sees those all the same. `problems` are why some of those that this
    person chose were not decided, and `kept` since when a page that is drawn once more shows them, by their ids.
    """
    now = clock.now()
    mine = waiting_for(person).filter(alike=key)
    count, why_not = mine.count(), ""
    if not count:
        mine = pending().filter(reading.visible_to(person), alike=key)
        count, why_not = mine.count(), "None of these waits for you."
    shown = list(mine.select_related("agent", "action_type_version")[:SHOWN])
    if not shown:
        return None
    first = presentation.card(shown[0], stood=standing_of(shown[0], ()), now=now)
    if not why_not and shown[0].risk_level not in TOGETHER:
        why_not = f"At {first.risk.lower()} each is opened and decided by itself."
    differing = _differing(shown)
    takes = takes_of(shown)
    return Together(
        key=key,
        count=count,
        first=first,
        what=text(presentation.kind_of(shown[0])),
        columns=[text(presentation.place(path, shown[0])) for path in differing],
        wide=len(differing) > COLUMNS,
        shared=_shared(shown, differing),
        lines=[_line(intent, differing, takes.get(intent.pk), problems, now, person, kept or {}) for intent in shown],
        pushes=_pushes(shown),
        why_not=why_not,
        now=now,
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """An intent that somebody chose, and the digests of what was shown of it."""

    intent_id: str
    digest: str
    verdict_digest: str
    requirement_digest: str


def decide_each(
    key: str,
    chosen: Sequence[Shown],
    *,
    by: User,
    vote: str,
    ground: str = "",
    rationale: str,
    factor: Factor | None = None,
    origins: Mapping[str, Origin] | None = None,
) -> dict[str, str]:
    """Give each of these, which are alike by `key`, a vote of its own; returns why those failed that did, by their ids.

    `origins` are where the decisions come from, by the ids too.

    What one meets stops none of the others.

    Raises Problem `invalid` where nothing is chosen, more than are ever shown, or a reason is
    missing; nothing is stored then.
    """
    if not chosen:
        raise Problem("invalid", "Choose at least one of them.", path="/chosen")
    if len(chosen) > SHOWN:
        raise Problem("invalid", f"Choose at most {SHOWN} at a time.", path="/chosen")
    together = Intent.objects.filter(pk__in=[one.intent_id for one in chosen], alike=key)
    levels = dict(together.values_list("pk", "risk_level"))
    failed: dict[str, str] = {}
    for one in chosen:
        if one.intent_id not in levels:
            failed[one.intent_id] = "It is not one of these any more. Open it, and decide on it by itself."
            continue
        if levels[one.intent_id] not in TOGETHER:
            failed[one.intent_id] = "What could go badly wrong is opened and decided by itself."
            continue
        try:
            decide(
                one.intent_id,
                by=by,
                vote=vote,
                digest=one.digest,
                ground=ground,
                rationale=rationale,
                verdict_digest=one.verdict_digest,
                requirement_digest=one.requirement_digest,
                factor=factor,
                origin=(origins or {}).get(one.intent_id),
            )
        except Problem as problem:
            if problem.kind == "invalid":
                # The vote or the reason: it would meet all the others too.
                raise
            failed[one.intent_id] = problem.detail
    return failed


def _pushes(intents: Sequence[Intent]) -> list[SafeString]:
    phrases = dict.fromkeys(phrase for intent in intents for phrase in pushes(masking.text(intent)))
    return [text(phrase) for phrase in list(phrases)[:MOST]]


def _line(
    intent: Intent,
    differing: list[Path],
    taken: Take | None,
    problems: dict[str, str] | None,
    now: datetime,
    person: User,
    kept: Mapping[str, str],
) -> Line:
    values = dict(_leaves(intent))
    # What is bound is what was rendered. One that was altered has another, and is refused.
    digest = canonical.digest(intent.canonical.encode())
    return Line(
        intent=intent,
        digest=digest,
        cells=[_drawn(values[path]) if path in values else text("–") for path in differing],
        left=presentation.time_left(intent.expires_at - now),
        taken_by=text(taken.person.get_username()) if taken else None,
        problem=(problems or {}).get(intent.pk, ""),
        chosen=intent.pk in (problems or {}),
        opened=circumstances.opening(intent.pk, person, digest, at=now, kept=kept.get(intent.pk, "")),
    )


def _shared(intents: Sequence[Intent], differing: list[Path]) -> list[tuple[SafeString, SafeString]]:
    return [
        (text(presentation.place(path, intents[0])), _drawn(value))
        for path, value in _leaves(intents[0])
        if path not in differing
    ]


def _differing(intents: Sequence[Intent]) -> list[Path]:
    """The paths at which these do not all hold the same, in the order of the first that has them."""
    values: dict[Path, set[str | bytes | None]] = {}
    each = [dict(_leaves(intent)) for intent in intents]
    for leaves in each:
        for path in leaves:
            values.setdefault(path, {_told_apart(one.get(path)) for one in each})
    return [path for path, held in values.items() if len(held) > 1]


def _told_apart(value: str | None) -> str | bytes | None:
    """What two values are compared by: masked ones, which read alike, by what the masks cover."""
    return value.covers if isinstance(value, Masked) else value


class _List(str):
    """The canonical JSON of a list, told apart from a text that looks like one."""


def _drawn(value: str) -> SafeString:
    """A cell; each item of a list isolated, so that letters which run from right to left move none of the others."""
    if not isinstance(value, _List):
        return text(value)
    items = [text(canonical.dumps(item).decode()) for item in canonical.loads(value)]
    return mark_safe(f"[{', '.join(items)}]")


def _leaves(intent: Intent) -> Iterator[tuple[Path, str]]:
    """What an intent says, member by member; what its action type works out of the payload is in the payload."""
    document = masking.document(intent)
    for name in ("target", "records", "value"):
        if document[name] is not None and name not in intent.derived:
            yield (name,), presentation.figure(name, document[name])
    yield from _members(document["payload"], ("payload",))


def _members(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from _members(member, (*path, key))
    elif isinstance(value, list) and any(isinstance(member, dict | list | Masked) for member in value):
        for number, member in enumerate(value):
            yield from _members(member, (*path, str(number)))
    elif isinstance(value, list):
        # As JSON: two lists that read alike with commas between are not the same.
        yield path, _List(canonical.dumps(value).decode())
    else:
        yield path, presentation.plain(value)
