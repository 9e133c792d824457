"""The page on which a reviewer changes a payload: first typed, then looked at as a difference, then approved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from intents import amending, in_force
from intents.models import Intent
from reviews import confirming, editing, presentation
from reviews.asked import asked_after
from reviews.presentation import text
from reviews.quorum import groups_of
from zehrava import canonical
from zehrava.policy import ALLOW
from zehrava.problems import Problem

AS_FIELDS, AS_JSON = "fields", "json"
STEP_LOOK, STEP_APPROVE = "look", "approve"


@dataclass(frozen=True, slots=True)
class Look:
    """What a change would do, as it is shown before it is approved."""

    # The JSON Patch, as the form carries it on to the approval.
    patch: str
    differences: list[editing.Difference]
    policy: SafeString
    widenings: list[SafeString]
    needs: SafeString
    same_people: bool
    title: SafeString
    # What was shown, to be approved as that and as nothing else.
    meaning: str
    # What to type before it is approved, at high risk.
    asked: confirming.Asked | None


@dataclass(frozen=True, slots=True)
class ChangePage:
    """What the template shows: fields or JSON to type into and, once something was typed, what that would do."""

    mode: str
    fields: list[editing.Field] | None
    json: str
    look: Look | None = None


def read(intent: Intent, typed: Mapping[str, str]) -> Any:
    """The changed payload that a form sent. Raises Problem `invalid`."""
    if typed.get("mode") == AS_JSON:
        return editing.read_json(typed.get("payload", ""))
    return editing.changed_by_fields(intent.payload, typed)


def page(intent: Intent, *, mode: str = AS_FIELDS, typed: Mapping[str, str] | None = None) -> ChangePage:
    """The page to type on, with what was typed before."""
    fields = editing.fields(intent.payload, typed if mode == AS_FIELDS else None)
    if fields is None:
        mode = AS_JSON
    written = typed.get("payload") if typed is not None and mode == AS_JSON else None
    return ChangePage(mode, fields, editing.as_json(intent.payload) if written is None else written)


def _policy(amended: Intent) -> SafeString:
    if amended.verdict["effect"] == ALLOW:
        return text("It would allow this without asking; the people who were asked still decide.")
    return format_html("{} {}", text(presentation.policy_label(amended)), presentation.reason(amended))


def looked_at(intent: Intent, typed: Mapping[str, str]) -> Any:
    """The JSON Patch that was shown before, to be approved.

    Raises Problem `invalid` where more was typed since, or not typed back what is at stake.
    """
    try:
        patch = canonical.loads(typed.get("changes", ""))
    except canonical.StrictError as error:
        raise Problem("invalid", "The changes did not arrive whole. Look at them once more.", path="") from error
    written = (
        amending.patch_between(intent.payload, read(intent, typed)) if typed.get("digest") == intent.digest else None
    )
    # As JSON: Python takes true for 1.
    if written is not None and canonical.dumps(written) != canonical.dumps(patch):
        raise Problem("invalid", "You changed more since you looked. This is what it would be now.", path="")
    if typed.get("digest") == intent.digest:
        amended = amending.work_out(intent, patch, snapshot=in_force.current()).amended
        confirming.refuse_unless(confirming.asked_of_change(intent, amended), typed.get("typed", ""))
    return patch


def look(intent: Intent, changed: Any, shown: ChangePage) -> ChangePage:
    """The same page with what this change would do. Raises what `amending.work_out` does."""
    patch = amending.patch_between(intent.payload, changed)
    if not patch:
        raise Problem("invalid", "Nothing was changed yet. Change a value, or approve it as it is.", path="")
    change = amending.work_out(intent, patch, snapshot=in_force.current())
    amended = change.amended
    return ChangePage(
        shown.mode,
        shown.fields,
        shown.json,
        Look(
            patch=json.dumps(patch, ensure_ascii=True),
            differences=editing.differences(intent.payload, amended.payload),
            policy=_policy(amended),
            widenings=[text(each) for each in change.widenings],
            needs=text(presentation.needs(asked_after(intent, amended))),
            same_people=groups_of(amended.requirement) == groups_of(intent.requirement),
            title=presentation.title(amended),
            meaning=amending.meaning(amended, change.widenings),
            asked=confirming.asked_of_change(intent, amended),
        ),
    )


def still_shown(intent: Intent, typed: Mapping[str, str], shown: ChangePage) -> ChangePage:
    """What was looked at, where only the approval of it was refused; else the page to type on."""
    if typed.get("step") != STEP_APPROVE:
        return shown
    try:
        return look(intent, read(intent, typed), shown)
    except Problem:
        return shown
