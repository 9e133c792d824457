"""What a notification says of an intent: the server's own words and figures, and what the agent wrote as plain text.

Everything here is raw text. Whoever shows it makes it harmless for where it goes: `shown_html` and `shown_plain` for
mail, `reviews.notifications.slack` for channels. A notification is no place to decide, so that it may be short: what is
too long for it is cut with a word on how long it is, and the page has all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse
from django.utils import formats
from django.utils.safestring import SafeString

from audit.models import Event
from audit.text import plainly
from intents import masking
from intents.models import Intent, RiskLevel, Status
from reviews import plan, presentation
from reviews.asked import asked_of
from reviews.entitlement import in_whose_place
from reviews.models import Decision, Delivery, Vote
from reviews.notifications.models import Occasion
from reviews.ties import Ties

LONGEST = 400
SUBJECT_LONGEST = 150
_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Line:
    """A label of ours, a value that anybody may have written, and what we have to say about the value."""

    label: str
    value: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is told. `link` is None for who may not open the page."""

    occasion: Occasion
    intent_id: str
    headline: str
    title: str
    risk: str
    colour: str
    lines: list[Line]
    said: Line | None
    link: str | None


@dataclass(frozen=True, slots=True)
class Background:
    """What items are made of beside their intent: read once for all of them."""

    events: Mapping[str, Event]
    votes: Mapping[str, list[Decision]]
    zone: ZoneInfo = _UTC
    ties: Ties = field(default_factory=Ties)


def item(delivery: Delivery, background: Background, *, linked: bool = True) -> Item:
    """What this delivery says; `delivery.intent` with agent and action type, `delivery.note` with its question."""
    intent, occasion = delivery.intent, Occasion(delivery.occasion)
    risk = RiskLevel(intent.risk_level)
    return Item(
        occasion=occasion,
        intent_id=intent.pk,
        headline=_headline(delivery, background.events.get(delivery.event_id)),
        title=presentation.plain_title(intent),
        risk=f"{risk.label} risk",
        colour=presentation.RISK_COLOURS[risk],
        lines=_lines(delivery, background),
        said=_said(delivery),
        link=address_of(intent) if linked else None,
    )


def address_of(intent: Intent) -> str:
    """The page of the intent. To open it decides nothing."""
    return f"{settings.BASE_URL}{reverse('admin:intents_intent_change', args=[intent.pk])}"


def settings_address() -> str:
    """Where a person changes what they are told."""
    return f"{settings.BASE_URL}{reverse('admin:notifications')}"


def instant(at: datetime, zone: ZoneInfo) -> str:
    """`29 Nov 2026, 21:05 Europe/Berlin`."""
    return f"{formats.date_format(at.astimezone(zone), 'j M Y, H:i')} {zone.key}"


def subject(items: Sequence[Item]) -> str:
    """One line that says what it is about, ours first; of bounded length, with every hidden character drawn."""
    if len(items) > 1:
        return f"Zehrava: {digest_headline(items)}"
    only = items[0]
    risk = f" · {only.risk.lower()}" if only.occasion == Occasion.ASK else ""
    head, what = f"{plainly(only.headline)}{risk}: ", shown_plain(only.title)
    room = SUBJECT_LONGEST - len(head)
    return head + (what if len(what) <= room else what[: room - 1] + "…")


def digest_headline(items: Sequence[Item]) -> str:
    """`3 intents wait for you, 2 outcomes`."""
    counts = {occasion: sum(each.occasion == occasion for each in items) for occasion in Occasion}
    words = {
        Occasion.GLASS: ("glass was broken", "glass was broken {} times"),
        Occasion.NEEDS_PERSON: ("1 needs a person", "{} need a person"),
        Occasion.ASK: ("1 intent waits for you", "{} intents wait for you"),
        Occasion.OUTCOME: ("1 outcome", "{} outcomes"),
        Occasion.MENTION: ("1 mention of you", "{} mentions of you"),
        Occasion.ANSWER: ("1 answer", "{} answers"),
        Occasion.STANDING: ("1 standing approval suspended", "{} standing approvals suspended"),
    }
    told = [
        one if counts[each] == 1 else many.format(counts[each]) for each, (one, many) in words.items() if counts[each]
    ]
    return ", ".join(told)


# --- made harmless --------------------------------------------------------------------------------------------------


def shown_plain(value: str) -> str:
    """Hostile text in plain text: one line, hidden characters drawn, no address that a mail program makes a link of."""
    kept, rest = _cut(value)
    return plainly(_without_links(kept)) + rest


def shown_html(value: str) -> SafeString:
    """The same for HTML, see `reviews.presentation.text`."""
    kept, rest = _cut(value)
    return presentation.text(_without_links(kept)) + SafeString(rest)


def _cut(value: str) -> tuple[str, str]:
    if len(value) <= LONGEST:
        return value, ""
    return value[:LONGEST], f" … ({len(value):,} characters in all: the page shows them)"


def _without_links(value: str) -> str:
    """Mail programs turn an address into a link of their own accord, and a link of an agent's in a mail of ours is one
    that people press."""
    return value.replace("://", "[://]")


# --- what it says ---------------------------------------------------------------------------------------------------


def _headline(delivery: Delivery, event: Event | None) -> str:
    match Occasion(delivery.occasion):
        case Occasion.ASK:
            whom = "approval" if delivery.channel else "you"
            began = {
                "intent.amended": "Changed by a reviewer, waits",
                "intent.reminded": "Still waits",
                "intent.escalated": "Escalated, waits",
            }
            return f"{began.get(event.type, 'Waits') if event is not None else 'Waits'} for {whom}"
        case Occasion.NEEDS_PERSON:
            if delivery.intent.status != Status.PENDING_APPROVAL:
                return "Needs a person"
            return "Nobody can decide it" if delivery.intent.unmeetable else "Escalated early, nobody could decide it"
        case Occasion.MENTION:
            return f"{delivery.note.author_name} mentioned you" if delivery.note else "You were mentioned"
        case Occasion.ANSWER:
            return "The agent answered you"
        case Occasion.GLASS:
            return "Glass broken: approved beyond the requirement"
        case Occasion.STANDING:
            return "A standing approval of yours is suspended"
    return _outcome(event)


def _outcome(event: Event | None) -> str:
    words = {
        "intent.integrity_failed": "Stopped: it was altered",
        "intent.indeterminate": "Not known whether it happened",
        "intent.settled": "Settled by an operator",
    }
    if event is None:
        return "Changed"
    kind = event.type.removeprefix("intent.")
    return words.get(event.type) or (Status(kind).label if kind in Status.values else "Changed")


def _lines(delivery: Delivery, background: Background) -> list[Line]:
    intent = delivery.intent
    lines = [
        Line("Agent", intent.agent_name, intent.agent.environment),
        Line("Action", intent.action, kind if (kind := presentation.kind_of(intent)) != intent.action else ""),
        *_figures(intent),
    ]
    if delivery.occasion == Occasion.ASK:
        lines += _for_whom(delivery, background)
        lines += _why(intent)
        lines.append(Line("Until", instant(intent.expires_at, background.zone), plan.at_the_end_plainly(intent)))
    elif delivery.occasion == Occasion.GLASS:
        lines += [*_who(intent, background, delivery.event_id), *_why(intent)]
        lines.append(Line("What to do", "Look at it, and say in its review whether it was justified"))
    elif delivery.occasion == Occasion.OUTCOME:
        lines += _who(intent, background, delivery.event_id)
    elif delivery.occasion == Occasion.STANDING:
        said = "People rejected this" if intent.status == Status.REJECTED else "This ended before people decided"
        lines.append(Line("Why", f"{said}, which it would have let pass", "and with it too many of them"))
        lines.append(Line("What to do", "Look at it; another person may approve it again", "until then people decide"))
    elif delivery.occasion == Occasion.NEEDS_PERSON and intent.status == Status.PENDING_APPROVAL:
        too_few = "too few people may still decide" if intent.unmeetable else ""
        lines.append(Line("Needs", presentation.needs(asked_of(intent)), too_few))
        lines.append(Line("Until", instant(intent.expires_at, background.zone), plan.at_the_end_plainly(intent)))
        lines.append(Line("What to do", "Add somebody to a group that is asked, reject it, or cancel it"))
    elif delivery.occasion == Occasion.NEEDS_PERSON:
        lines.append(Line("What to do", "Find out whether it happened, and say so on its page", "nothing guesses"))
    return lines


def _for_whom(delivery: Delivery, background: Background) -> list[Line]:
    if delivery.person is None:
        return []
    votes = background.votes.get(delivery.intent_id, [])
    whom = in_whose_place(delivery.intent, votes, delivery.person, background.ties)
    return [Line("For whom", whom, "who delegated this to you")] if whom else []


def _figures(intent: Intent) -> list[Line]:
    found = []
    for name in ("target", "value", "records"):
        value = masking.document(intent).get(name)
        if value is not None:
            claimed = "" if name in intent.derived else "claimed by the agent"
            found.append(Line(name.capitalize(), presentation.figure(name, value), claimed))
    return found


def _why(intent: Intent) -> list[Line]:
    reason = intent.verdict.get("reason") or ""
    return [
        Line("Policy", presentation.policy_label(intent)),
        *([Line("Reason", reason)] if reason and intent.verdict.get("policy") else []),
        Line("Needs", presentation.needs(asked_of(intent))),
    ]


def _who(intent: Intent, background: Background, event_id: str) -> list[Line]:
    lines = []
    event = background.events.get(event_id)
    if event is not None:
        by = "" if event.actor_kind == "person" else f"{event.actor_kind}"
        lines.append(Line("By", event.actor_name, by))
        lines.append(Line("At", instant(event.at, background.zone)))
    for vote in background.votes.get(intent.pk, []):
        did = "approved" if vote.vote == Vote.APPROVE else "rejected"
        lines.append(Line(f"{vote.who} {did}", vote.rationale or "without a word"))
    return lines


def _said(delivery: Delivery) -> Line | None:
    note = delivery.note
    if note is None:
        return None
    if delivery.occasion == Occasion.ANSWER:
        return Line(
            f"{note.author_name} answered",
            masking.said(delivery.intent, note.text),
            "the agent’s own words, not checked",
        )
    return Line(f"{note.author_name} wrote", note.text)
