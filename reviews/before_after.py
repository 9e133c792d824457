"""What stands at the target now beside what the intent will make of it: a help for whoever decides, bound to nothing.

Only while the intent can still be stopped: afterwards the target shows what came of it, not what was there before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from audit import clock
from intents import fetching, masking
from intents.masking import action_type_of
from intents.models import Intent, Status
from reviews.presentation import text
from reviews.tree import tree
from zehrava import canonical
from zehrava.before import NOT_SAID, Before

TOO_LATE = "It is no longer waiting: what stands at the target now is not what stood there before."
MASKED = "Some of it is masked. Reveal that, and what stands at the target is read and compared."
ALTERED = "What is stored was altered since it was proposed; nothing is asked."

_NO_NOTE = mark_safe("")
_UNKNOWN = mark_safe("–")
_NOTHING = mark_safe('<span class="zhv-mute">nothing</span>')
_EMPTY = mark_safe('<span class="zhv-mute">empty text</span>')
_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
_COLOURS = {"changed": "amber", "new": "green", "removed": "red", "unclear": "amber"}


@dataclass(frozen=True, slots=True)
class Line:
    """One field: what it is now, what it will be, and in a word how the two differ.

    `mark` is same, changed, new, removed, not said or unclear; `note` what else is worth knowing of that. Where the
    field is only shown, `then` is None and `mark` empty.
    """

    name: SafeString
    now: SafeString
    then: SafeString | None
    mark: str = ""
    note: SafeString = _NO_NOTE

    @property
    def colour(self) -> str:
        return _COLOURS.get(self.mark, "")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the panel shows: lines, or why there are none."""

    # Host and path of what was asked; None where nothing was.
    source: SafeString | None
    lines: list[Line]
    why_not: SafeString | None
    read_at: datetime


def has_block(intent: Intent) -> bool:
    """Whether its action type says where to read."""
    return _block(intent) is not None


def compare(intent: Intent) -> Comparison:
    """Ask the target now, and set its answer beside the payload. Changes nothing here; takes up to three seconds."""
    before = _block(intent)
    if before is None or not _can_be_stopped(intent):
        return _refused(TOO_LATE)
    if not _is_as_proposed(intent):
        return _refused(ALTERED)
    if masking.mask_of(intent):
        # What stands there now is as sensitive as what will.
        return _refused(MASKED)
    payload = intent.payload
    reading = fetching.read_now(before, payload)
    source, read_at = text(reading.source) if reading.source else None, clock.now()
    if reading.why_not:
        return Comparison(source, [], text(reading.why_not), read_at)
    return Comparison(source, _lines(before, reading.values, payload), None, read_at)


def names(intent: Intent) -> list[SafeString]:
    """What will be compared, in order, known without asking anybody; empty where there is no panel."""
    before = _block(intent)
    return [text(each.name) for each in before.fields] if before and _can_be_stopped(intent) else []


def _lines(before: Before, values: Mapping[str, Any], payload: Any) -> list[Line]:
    will_be, unsaid = before.then(payload)
    lines = []
    for each in before.fields:
        name, now = text(each.name), values.get(each.name)
        if each.then is None:
            lines.append(Line(name, _shown(now), None))
        elif (why := unsaid.get(each.name)) is None:
            then = will_be[each.name]
            lines.append(Line(name, _shown(now), _shown(then), _mark(now, then), _note(now, then)))
        elif why == NOT_SAID:
            lines.append(Line(name, _shown(now), _UNKNOWN, "not said"))
        else:
            lines.append(Line(name, _shown(now), _UNKNOWN, "unclear", text(why)))
    return lines


def _block(intent: Intent) -> Before | None:
    action_type = action_type_of(intent)
    return action_type.before if action_type else None


def _can_be_stopped(intent: Intent) -> bool:
    return Status(intent.status) in (Status.PENDING_APPROVAL, Status.APPROVED)


def _is_as_proposed(intent: Intent) -> bool:
    version = intent.action_type_version
    return (
        version is not None
        and canonical.digest(version.text.encode()) == intent.action_type_digest
        and canonical.digest(intent.canonical.encode()) == intent.digest
    )


def _refused(why: str) -> Comparison:
    return Comparison(None, [], text(why), clock.now())


def _mark(now: Any, then: Any) -> str:
    # To JSON 1 and 1.0 are one number, and the order of members is none.
    if canonical.dumps(now) == canonical.dumps(then):
        return "same"
    if now is None:
        return "new"
    return "removed" if then is None else "changed"


def _note(now: Any, then: Any) -> SafeString:
    if now is None or then is None or (was := _KINDS[type(now)]) == (becomes := _KINDS[type(then)]):
        return _NO_NOTE
    return text(f"{was} becomes {becomes}")


def _shown(value: Any) -> SafeString:
    if value is None:
        return _NOTHING
    if isinstance(value, str):
        return text(value) if value else _EMPTY
    if isinstance(value, dict | list) and value:
        return tree(value)
    return format_html('<span class="zhv-code">{}</span>', text(canonical.dumps(value).decode()))
