"""What a reviewer reads of an intent: made by the server from the canonical text, with hostile text made harmless.

Everything an agent wrote goes through `text()`. Nothing is cut off: a payload is shown as its fields, then as the whole
tree, then on demand as the raw canonical text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from audit.text import visible, visible_lines
from intents.models import Intent, RiskLevel, Status
from zehrava import canonical
from zehrava.action_types import ActionType

STATUS_COLOURS = {
    Status.PENDING_APPROVAL: "amber",
    Status.APPROVED: "blue",
    Status.EXECUTING: "blue",
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.INDETERMINATE: "red",
    Status.BLOCKED: "red",
    Status.REJECTED: "red",
}
RISK_COLOURS = {RiskLevel.CRITICAL: "red", RiskLevel.HIGH: "red", RiskLevel.MEDIUM: "amber", RiskLevel.LOW: "green"}
# What an outcome says about an agent: it did what was asked, it did not, or it is not known yet.
OUTCOME_COLOURS = {
    Status.SUCCEEDED: "good",
    Status.APPROVED: "open",
    Status.EXECUTING: "open",
    Status.PENDING_APPROVAL: "open",
}

# Runs that only push what follows out of sight: drawn as one chip with their length.
_FLOOD = re.compile(r"\n(?:[ \t\r]*\n){3,}| {24,}")


def text(value: object) -> SafeString:
    """HTML for hostile text, see `audit.text.visible`; floods of blank lines and spaces become one chip as well."""
    raw = str(value)
    parts, position = [], 0
    for flood in _FLOOD.finditer(raw):
        parts.append(visible(raw[position : flood.start()]))
        lines = flood[0].count("\n")
        what = f"{lines} line feeds" if lines else f"{len(flood[0])} spaces"
        parts.append(mark_safe(f'<span class="zhv-chip">{what}</span>{"&#10;" if lines else " "}'))
        position = flood.end()
    parts.append(visible(raw[position:]))
    return mark_safe("".join(parts))


# --- the payload ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tree. `kind` is text, literal or branch; `depth` counts from 0."""

    depth: int
    label: SafeString
    value: SafeString
    kind: str

    @property
    def indent(self) -> int:
        """How far to indent: beyond eight levels the number of the level is written instead."""
        return min(self.depth, 8)


def tree(value: Any) -> Iterator[Row]:
    """The lines of a JSON value, all of them, in canonical order."""
    if not isinstance(value, dict | list) or not value:
        yield _leaf(0, visible("(value)"), value)
        return
    stack = [(0, label, member) for label, member in reversed(_members(value))]
    while stack:
        depth, label, member = stack.pop()
        if isinstance(member, dict | list) and member:
            yield Row(depth, label, mark_safe(_size(member)), "branch")
            stack.extend((depth + 1, inner, below) for inner, below in reversed(_members(member)))
        else:
            yield _leaf(depth, label, member)


def _members(value: Mapping[str, Any] | list[Any]) -> list[tuple[SafeString, Any]]:
    if isinstance(value, dict):
        # Sorted as RFC 8785 sorts: by UTF-16 code units.
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return [(_key(key), value[key]) for key in keys]
    return [(mark_safe(f"{number}."), member) for number, member in enumerate(value, 1)]


def _key(key: str) -> SafeString:
    return text(key) if key else mark_safe('<span class="zhv-chip">empty name</span>')


def _size(value: Mapping[str, Any] | list[Any]) -> str:
    word = "member" if isinstance(value, dict) else "item"
    return f"{len(value):,} {word}{'' if len(value) == 1 else 's'}"


def _leaf(depth: int, label: SafeString, value: Any) -> Row:
    if isinstance(value, str):
        if not value:
            return Row(depth, label, mark_safe('<span class="zhv-mute">empty text</span>'), "text")
        # "true" as text is not the truth: quotes tell them apart.
        quoted = value in ("true", "false", "null")
        return Row(depth, label, text(f'"{value}"' if quoted else value), "text")
    if value == {} or value == []:
        return Row(depth, label, mark_safe("no members" if value == {} else "no items"), "branch")
    return Row(depth, label, visible(canonical.dumps(value).decode()), "literal")


@dataclass(frozen=True, slots=True)
class Field:
    """One of the action type's `present.fields`; `shown_as` is text, money, email, url or code."""

    label: SafeString
    value: SafeString
    shown_as: str


def fields(action_type: ActionType | None, payload: Any) -> list[Field]:
    """What the action type says matters most; the tree below it always has everything."""
    if action_type is None or not action_type.presentation:
        return []
    return [
        Field(visible(field.get("label") or field["path"].removeprefix("payload.")), *_field_value(field, payload))
        for field in action_type.presentation.get("fields") or ()
    ]


def _field_value(field: Mapping[str, str], payload: Any) -> tuple[SafeString, str]:
    shown_as = field.get("as", "text")
    found, value = _find(payload, field["path"].split(".")[1:])
    if not found:
        return mark_safe('<span class="zhv-mute">not given</span>'), "text"
    if isinstance(value, list) and value and all(isinstance(member, str | int | float) for member in value):
        listed = mark_safe(", ").join(text(_plain(member)) for member in value)
        return format_html("{} <span class='zhv-claimed'>({})</span>", mark_safe(listed), _size(value)), shown_as
    if isinstance(value, dict | list):
        return format_html("<span class='zhv-mute'>{}, listed below</span>", _size(value)), "text"
    plain = _plain(value)
    return text(grouped(plain) if shown_as == "money" else plain), shown_as


def _find(value: Any, steps: list[str]) -> tuple[bool, Any]:
    for step in steps:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return False, None
    return True, value


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else canonical.dumps(value).decode()


def raw(intent: Intent) -> SafeString:
    """The canonical text exactly as it is hashed, hidden characters drawn."""
    return visible_lines(intent.canonical)


# --- facts about an intent ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure, and who says so: `source` is "derived from the payload" or "claimed by the agent"."""

    value: SafeString
    source: str
    claimed: bool
    contradicts: SafeString | None = None


def action_type_of(intent: Intent) -> ActionType | None:
    """The action type that was in force when the intent was proposed; None without one, or if it cannot be read."""
    version = intent.action_type_version
    return None if version is None else _parsed(version.pk, version.text)


@functools.lru_cache(maxsize=256)
def _parsed(version_id: int, document: str) -> ActionType | None:
    try:
        return ActionType.parse(document)
    except ValueError:
        # Shown as a tree then: what cannot be presented can still be read.
        return None


def plain_title(intent: Intent) -> str:
    """What will happen in one line: the action type's title, else the action and its target. Hostile text."""
    action_type = action_type_of(intent)
    rendered = action_type.render_title(intent.payload) if action_type else None
    if rendered:
        return rendered
    name = action_type.title if action_type else intent.action
    return f"{name} → {intent.target}" if intent.target else name


def title(intent: Intent) -> SafeString:
    return text(plain_title(intent))


def fact(intent: Intent, name: str) -> Fact | None:
    """`records`, `value` or `target` of an intent; None where nobody says anything."""
    value = intent.document.get(name)
    if value is None:
        return None
    derived = name in intent.derived
    claim = intent.claims.get(name)
    contradicts = text(_figure(name, claim)) if derived and claim is not None and claim != value else None
    source = "derived from the payload" if derived else "claimed by the agent"
    return Fact(text(_figure(name, value)), source, not derived, contradicts)


def _figure(name: str, value: Any) -> str:
    if name == "records" and isinstance(value, int):
        return f"{value:,} record{'' if value == 1 else 's'}"
    if name == "value" and isinstance(value, dict):
        return f"{grouped(value['amount'])} {value['currency']}"
    return str(value)


def grouped(amount: str) -> str:
    """An exact decimal with its thousands apart: 4980.00 is 4,980.00. Anything else stays as it is."""
    try:
        return f"{Decimal(amount):,f}"
    except ArithmeticError:
        return amount


def undo(intent: Intent) -> str | None:
    """What the action type says about taking it back; None where it says nothing."""
    action_type = action_type_of(intent)
    presentation = (action_type.presentation if action_type else None) or {}
    if "reversible" not in presentation:
        return None
    return presentation["reversible"] or "cannot be undone"


def policy_label(intent: Intent) -> str:
    """`refunds v12 › large`, or that no policy matched."""
    verdict = intent.verdict
    if not verdict.get("policy"):
        return "No policy matches"
    return f"{verdict['policy']} v{verdict['version']} › {verdict['rule']}"


def needs(requirement: Mapping[str, Any] | None) -> str:
    """`2 of finance and 1 of security`; what must be given before the intent counts as approved."""
    seats = (requirement or {}).get("all_of") or []
    return " and ".join(f"{seat['count']} of {seat['group']}" for seat in seats)


def seat_count(requirement: Mapping[str, Any] | None) -> int:
    return sum(seat["count"] for seat in (requirement or {}).get("all_of") or [])


def span(length: timedelta) -> str:
    """A length of time in its two largest units: `1 h 12 min`."""
    seconds = max(0, int(length.total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def time_left(length: timedelta) -> str:
    """`23 min left`, or that it is over."""
    return f"{span(length)} left" if length > timedelta(0) else "time is up"


# --- one card of the queue ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Card:
    """An intent on the desk."""

    intent: Intent
    title: SafeString
    on_behalf_of: SafeString | None
    target: Fact | None
    records: Fact | None
    value: Fact | None
    risk_colour: str
    status_colour: str
    undo: SafeString | None
    policy: SafeString
    reason: SafeString
    needs: SafeString
    seats: int
    given: int
    now: datetime

    @property
    def waits(self) -> bool:
        return self.intent.status == Status.PENDING_APPROVAL

    @property
    def left(self) -> str:
        """Time left when the page was made; the browser counts on from there."""
        return time_left(self.intent.expires_at - self.now)

    @property
    def asked(self) -> str:
        return f"asked {span(self.now - self.intent.created_at)} ago"

    @property
    def status(self) -> str:
        return Status(self.intent.status).label

    @property
    def risk(self) -> str:
        return RiskLevel(self.intent.risk_level).label.lower()


def card(intent: Intent, *, given: int, now: datetime) -> Card:
    """The card of an intent; `given` is how many seats are filled. No query if `action_type_version` is loaded."""
    behalf, way_back = intent.document.get("on_behalf_of"), undo(intent)
    return Card(
        intent=intent,
        title=title(intent),
        on_behalf_of=text(behalf) if behalf else None,
        target=fact(intent, "target"),
        records=fact(intent, "records"),
        value=fact(intent, "value"),
        risk_colour=RISK_COLOURS[RiskLevel(intent.risk_level)],
        status_colour=STATUS_COLOURS.get(Status(intent.status), ""),
        undo=text(way_back) if way_back else None,
        policy=text(policy_label(intent)),
        reason=text(intent.verdict.get("reason") or ""),
        needs=text(needs(intent.requirement)),
        seats=seat_count(intent.requirement),
        given=given,
        now=now,
    )
