"""Who is asked now: what an intent asks for, with what came of its escalation.

The requirement itself is never touched, for votes are bound to it. What a step of its escalation changes about whom it
asks is worked out here each time, from how far the escalation came; everything that counts, counts on this.
"""

from __future__ import annotations

from intents import steps
from intents.models import Intent
from reviews.quorum import cannot_see_to, groups_of
from reviews.ways import ALSO, HEARD, Requirement


def asked_of(intent: Intent) -> Requirement | None:
    """What this intent asks for now."""
    return in_effect(intent.requirement, intent.steps_taken, overtime=intent.overtime)


def asked_after(intent: Intent, amended: Intent) -> Requirement | None:
    """What would be asked for once this intent were amended to that one, see `lifecycle.amend`."""
    same = amended.requirement_digest == intent.requirement_digest
    return in_effect(amended.requirement, intent.steps_taken if same else 0, overtime=intent.overtime)


def is_escalated(intent: Intent) -> bool:
    """Whether it was handed on to others than were asked first."""
    return steps.is_escalated(intent.requirement, intent.steps_taken, overtime=intent.overtime)


def in_effect(requirement: Requirement | None, steps_taken: int, *, overtime: bool) -> Requirement | None:
    """What a requirement asks for after so many of its steps, and in `overtime`, once its time was over.

    The groups of each step that widens or escalates may fill any seat, as well as the group of that seat. Once the time
    was over, the seats that policy names for that are asked and no others; those who were asked before may only reject.
    What cannot be counted stays as it is, and is never met.
    """
    if requirement is None or cannot_see_to(requirement):
        return requirement
    also = tuple(dict.fromkeys(group for step in steps.steps_of(requirement)[:steps_taken] for group in step.to))
    # A tuple, which no stored document holds: none says of itself who else may fill its seats.
    widened = {**requirement, ALSO: also} if also else requirement
    if not (overtime and steps.asked_at_the_end(requirement)):
        return widened
    kept = {key: value for key, value in requirement.items() if key not in ("any_of", "in_order", "weigh")}
    return {**kept, "all_of": requirement["escalate_to"], HEARD: groups_of(widened)}
