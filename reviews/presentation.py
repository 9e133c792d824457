"""What a reviewer reads of an intent: made by the server from the canonical text, with hostile text made harmless.

Everything an agent wrote goes through `text()`. Nothing is cut off: a payload is shown as its fields, then as the whole
tree (see `reviews.tree`), then on demand as the raw canonical text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from audit.text import visible, visible_lines
from intents import masking
from intents.masking import action_type_of
from intents.models import Intent, RiskLevel, Status
from intents.proposals import AMOUNT
from reviews import quorum
from reviews.asked import asked_of, is_escalated
from reviews.quorum import Standing, cannot_see_to
from zehrava import canonical
from zehrava.sensitive import Masked

# The way of drawing an intent that a decision was made on; its record says so. Raise it with any change of what the
# pages of an intent show of it, or how: here, in `reviews.renderings`, `reviews.tree`, `reviews.editing`, `audit.text`
# and the templates `reviews/intent*.html` and `reviews/alike.html`.
RENDERING = 2

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
CANNOT_BE_UNDONE = "cannot be undone"
# What an outcome says about an agent: it did what was asked, it did not, or it is not known yet.
OUTCOME_COLOURS = {
    Status.SUCCEEDED: "good",
    Status.APPROVED: "open",
    Status.EXECUTING: "open",
    Status.PENDING_APPROVAL: "open",
}

# Runs that only push what follows out of sight: drawn as one chip with their length.
_SPACES = " " * 24
_MASK = mark_safe('<span class="zhv-chip is-mask" title="marked sensitive by its action type">masked</span>')
_FLOOD = re.compile(rf"\n(?:[ \t\r]*\n){{3,}}|{_SPACES}+")


def text(value: object) -> SafeString:
    """HTML for hostile text, see `audit.text.visible`.

    Floods of blank lines and spaces become one chip as well, and of each address the host that it leads to stands out.
    """
    if isinstance(value, Masked):
        return _MASK
    raw = str(value)
    if raw.isascii() and raw.isprintable() and _SPACES not in raw and not holds_address(raw):
        # Nearly everything: there is nothing to look for.
        return mark_safe(f"<bdi>{escape(raw)}</bdi>")
    parts, position = [], 0
    for flood in _FLOOD.finditer(raw):
        parts.append(_with_hosts(raw[position : flood.start()]))
        lines = flood[0].count("\n")
        what = f"{lines} line feeds" if lines else f"{len(flood[0])} spaces"
        parts.append(mark_safe(f'<span class="zhv-chip">{what}</span>{"&#10;" if lines else " "}'))
        position = flood.end()
    parts.append(_with_hosts(raw[position:]))
    return mark_safe("".join(parts))


# What stands before an @ is no host, and browsers read a backslash as a slash.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}:[/\\]{2}(?:[^\s/?#\\<>\"']*@)?([^\s/?#\\<>\"'@)\]]+)")


def holds_address(raw: str) -> bool:
    """Whether there may be an address in it, whose host `text` lets stand out."""
    return "://" in raw or ":\\\\" in raw


def _with_hosts(raw: str) -> str:
    if not holds_address(raw):
        return visible(raw)
    parts, position = [], 0
    for address in _ADDRESS.finditer(raw):
        start, end = address.span(1)
        host = visible(raw[start:end])
        parts += [visible(raw[position:start]), f'<b class="zhv-host" title="the host it leads to">{host}</b>']
        position = end
    return "".join([*parts, visible(raw[position:])])


def floods(value: str) -> bool:
    """Whether it holds a run of blank lines or spaces that pushes what follows out of sight."""
    return _FLOOD.search(value) is not None


def size_of(value: Mapping[str, Any] | list[Any]) -> str:
    """`1 item`, `2,000 members`."""
    word = "member" if isinstance(value, dict) else "item"
    return f"{len(value):,} {word}{'' if len(value) == 1 else 's'}"


def plain(value: Any) -> str:
    """A value as text: a string as it is, anything else as canonical JSON."""
    return value if isinstance(value, str) else canonical.dumps(value).decode()


def raw(intent: Intent) -> SafeString:
    """The canonical text exactly as it is hashed, where nothing is masked; hidden characters drawn."""
    return visible_lines(masking.text(intent))


# --- facts about an intent ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure, and who says so: `source` is "derived from the payload" or "claimed by the agent"."""

    value: SafeString
    source: str
    claimed: bool
    contradicts: SafeString | None = None


def plain_title(intent: Intent) -> str:
    """What will happen in one line: the action type's title, else the action. Hostile text.

    What the agent claims has no place in it: a title reads as what the portal says.
    """
    action_type = action_type_of(intent)
    if action_type is None:
        return intent.action
    return action_type.render_title(masking.payload(intent)) or action_type.title or intent.action


def kind_of(intent: Intent) -> str:
    """What kind of thing it is, the same for all of its action: the action type's title, else the action."""
    action_type = action_type_of(intent)
    return (action_type and action_type.title) or intent.action


Path = tuple[str, ...]


def place(path: Path, intent: Intent) -> str:
    """A place in an intent in words: the label that its action type gives it, else its path. Hostile text."""
    action_type = action_type_of(intent)
    fields = (action_type.presentation or {}).get("fields") or () if action_type else ()
    # Step by step: a member whose name holds a dot is not the one that a label was given to.
    labels = {tuple(field["path"].split(".")): field.get("label") for field in fields}
    steps = path[1:] if path[0] == "payload" and len(path) > 1 else path
    return labels.get(path) or ".".join(f'"{step}"' if "." in step else step for step in steps)


def title(intent: Intent) -> SafeString:
    return text(plain_title(intent))


def fact(intent: Intent, name: str) -> Fact | None:
    """`records`, `value` or `target` of an intent; None where nobody says anything."""
    value = masking.document(intent).get(name)
    if value is None:
        return None
    derived = name in intent.derived
    claim = intent.claims.get(name)
    differs = derived and claim is not None and claim != intent.document.get(name)
    # A claim beside what is masked says what that is, or is not.
    contradicts = (
        text(figure(name, masking.said(intent, claim))) if differs and value == intent.document[name] else None
    )
    source = "derived from the payload" if derived else "claimed by the agent"
    return Fact(text(figure(name, value)), source, not derived, contradicts)


def figure(name: str, value: Any) -> str:
    if name == "records" and isinstance(value, int):
        return f"{value:,} record{'' if value == 1 else 's'}"
    if name == "value" and isinstance(value, dict):
        return f"{grouped(value['amount'])} {value['currency']}"
    return str(value)


def grouped(amount: str) -> str:
    """An exact decimal with its thousands apart: 4980.00 is 4,980.00. Anything else stays as it is."""
    return f"{Decimal(amount):,f}" if AMOUNT.match(amount) else amount


def undo(intent: Intent) -> str | None:
    """What the action type says about taking it back; None where it says nothing."""
    action_type = action_type_of(intent)
    presentation = (action_type.presentation if action_type else None) or {}
    if "reversible" not in presentation:
        return None
    return presentation["reversible"] or CANNOT_BE_UNDONE


def policy_label(intent: Intent) -> str:
    """`refunds v12 › large`, or that no policy matched."""
    verdict = intent.verdict
    if not verdict.get("policy"):
        return "No policy matches"
    return f"{verdict['policy']} v{verdict['version']} › {verdict['rule']}"


def reason(intent: Intent) -> SafeString:
    """Why the rule stopped it; nothing where no policy matched and the reason only says so once more."""
    # Told masked where it was made, see `zehrava.policy.telling`.
    given = intent.verdict.get("reason") or ""
    if not intent.verdict.get("policy") and given.startswith("no policy matches"):
        return mark_safe("")
    return text(given)


def needs(requirement: Mapping[str, Any] | None) -> str:
    """`2 of finance and 1 of security`; what must be given before the intent counts as approved."""
    told = [asked] if (asked := quorum.told(requirement)) else []
    return " and ".join([*told, "more than this desk can see to"] if cannot_see_to(requirement) else told)


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
    can_be_undone: bool
    policy: SafeString
    reason: SafeString
    needs: SafeString
    seats: int
    given: int
    now: datetime
    # It was handed on to others; and nobody can meet it as things stand.
    escalated: bool = False
    unmeetable: bool = False
    # Who said to be on it.
    taken_by: SafeString | None = None
    # Whose votes decided it.
    decided_by: SafeString | None = None
    # Whose delegate the reader would approve it as, where not for themselves.
    in_whose_place: SafeString | None = None
    # Where no action type says what it is: how its payload begins.
    gist: SafeString | None = None
    # Somebody approved it beyond the requirement.
    glass_broken: bool = False

    @property
    def agent_off(self) -> bool:
        """Its agent is refused whatever it asks, so that what only it can carry out does not run."""
        return self.intent.agent.is_suspended

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
    def decided(self) -> str:
        """When it was decided; empty where it was not."""
        decided_at = self.intent.decided_at
        return f"decided {span(self.now - decided_at)} ago" if decided_at else ""

    @property
    def status(self) -> str:
        return Status(self.intent.status).label

    @property
    def risk(self) -> str:
        return f"{RiskLevel(self.intent.risk_level).label} risk"


def card(
    intent: Intent,
    *,
    stood: Standing,
    now: datetime,
    taken_by: str | None = None,
    decided_by: str = "",
    in_whose_place: str = "",
    glass_broken: bool = False,
) -> Card:
    """The card of an intent, as its votes `stood`. No query if `action_type_version` is loaded."""
    behalf, way_back = masking.document(intent).get("on_behalf_of"), undo(intent)
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
        can_be_undone=way_back not in (None, CANNOT_BE_UNDONE),
        policy=text(policy_label(intent)),
        reason=reason(intent),
        needs=text(needs(asked_of(intent))),
        seats=stood.needed,
        given=stood.given,
        now=now,
        escalated=is_escalated(intent),
        unmeetable=intent.unmeetable,
        taken_by=text(taken_by) if taken_by else None,
        decided_by=text(decided_by) if decided_by else None,
        in_whose_place=text(in_whose_place) if in_whose_place else None,
        gist=_gist(intent) if intent.action_type_version_id is None else None,
        glass_broken=glass_broken,
    )


# Of a payload that nobody described: so many members, each no longer than this, are told on a card.
_MEMBERS_TOLD, _LONGEST_TOLD = 4, 60


def _gist(intent: Intent) -> SafeString | None:
    """The first short members of a payload, and how many more there are; the page has all of it."""
    payload = masking.payload(intent)
    if not isinstance(payload, dict) or not payload:
        return None
    short = {
        key: words
        for key in sorted(payload)
        if not isinstance(payload[key], dict | list)
        and len(words := plain(payload[key])) <= _LONGEST_TOLD
        and len(key) <= _LONGEST_TOLD
    }
    told = [f"{key}: {words}" for key, words in list(short.items())[:_MEMBERS_TOLD]]
    if more := len(payload) - len(told):
        told.append(f"{more:,} more" if told else f"{more:,} member{'' if more == 1 else 's'}")
    return text(" · ".join(told))
