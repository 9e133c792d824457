"""What happens to an intent while nobody decides, in words: what was done, what is to come, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString, mark_safe

from intents import steps
from intents.models import Intent, Status
from intents.steps import Planned
from reviews.presentation import text
from reviews.quorum import groups_seated

EXPIRES = "it expires and does not run"


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One thing that happens; `at` is when, None where it happened already."""

    at: datetime | None
    words: SafeString


def plan_of(intent: Intent) -> list[PlanLine]:
    """All of it in order of time; nothing where nobody asked for an escalation or it is decided."""
    following, done = list(steps.planned(intent)), list(_done(intent))
    if intent.status != Status.PENDING_APPROVAL or not (following or done):
        return []
    ends_at = steps.overtime_until(intent) if steps.has_time_left(intent) else intent.expires_at
    return [
        *(PlanLine(None, words) for words in done),
        *(PlanLine(each.at, _will(each)) for each in following),
        PlanLine(ends_at, mark_safe(EXPIRES)),
    ]


def at_the_end(intent: Intent) -> SafeString:
    """What happens when the time that the intent has is over."""
    if not steps.has_time_left(intent):
        return mark_safe(f"then {EXPIRES}")
    return mark_safe(f"then {_groups(steps.asked_at_the_end(intent.requirement))} may decide instead")


def at_the_end_plainly(intent: Intent) -> str:
    """The same as raw text, for mail and channels."""
    if not steps.has_time_left(intent):
        return f"then {EXPIRES}"
    return f"then {' and '.join(steps.asked_at_the_end(intent.requirement))} may decide instead"


def _done(intent: Intent) -> Iterator[SafeString]:
    if intent.overtime and (last := steps.asked_at_the_end(intent.requirement)):
        before = _groups(groups_seated(intent.requirement))
        yield mark_safe(f"it was escalated: {_groups(last)} may decide instead of {before}")
        return
    for step in steps.steps_of(intent.requirement)[: intent.steps_taken]:
        # A reminder that is over is nothing to know, and may have been left out.
        if step.do == steps.ESCALATE:
            yield mark_safe(f"it was escalated: {_groups(step.to)} may decide as well")
        elif step.do != steps.REMIND:
            yield mark_safe(f"{_groups(step.to)} may decide as well")


def _will(each: Planned) -> SafeString:
    if each.number is None:
        return mark_safe(f"{_groups(each.to)} may decide instead, for as long again")
    if each.do == steps.REMIND:
        return mark_safe("those who are asked are reminded")
    if each.do == steps.ESCALATE:
        return mark_safe(f"it is escalated: {_groups(each.to)} may decide as well")
    return mark_safe(f"{_groups(each.to)} may decide as well")


def _groups(names: Iterable[str]) -> SafeString:
    drawn = [text(name) for name in names]
    return mark_safe(f"{', '.join(drawn[:-1])} and {drawn[-1]}" if len(drawn) > 1 else "".join(drawn))
