"""What happens to an ask while nobody answers, and when: the steps of its escalation, and the end of its time.

Everything follows from what the intent asks for and when it was proposed. Nothing here reads a clock or writes; who
takes a step is `intents.escalation`, and what a step means for who may decide is `reviews.asked`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from intents.models import Intent, Status
from zehrava.policy import requirements
from zehrava.policy.requirements import ESCALATE, REMIND, STEPS, Step

__all__ = ["ESCALATE", "REMIND", "Planned", "Step"]


@dataclass(frozen=True, slots=True)
class Planned:
    """One thing that happens at `at` unless somebody decides before: `number` counts the steps from 1.

    The end of the time, where others are asked then, comes last and has no number.
    """

    at: datetime
    do: str
    to: tuple[str, ...]
    number: int | None = None


def steps_of(requirement: Mapping[str, Any] | None) -> tuple[Step, ...]:
    """The steps of a requirement in their order; none where they cannot be read: they would let others decide."""
    entries = (requirement or {}).get("escalation") or []
    if not isinstance(entries, list) or not all(_is_step(entry) for entry in entries):
        return ()
    try:
        return requirements.steps_of(requirement or {})
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return ()


def asked_at_the_end(requirement: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The groups that are asked once the time is over; none where it expires then."""
    seats = (requirement or {}).get("escalate_to") or ()
    if not isinstance(seats, list) or not all(isinstance(seat, dict) for seat in seats):
        return ()
    groups = tuple(seat.get("group") for seat in seats)
    return groups if all(isinstance(group, str) for group in groups) else ()  # type: ignore[return-value]


def later_groups(requirement: Mapping[str, Any] | None) -> tuple[str, ...]:
    """All groups that a requirement asks only when time passes."""
    by_steps = (group for step in steps_of(requirement) for group in step.to)
    return tuple(dict.fromkeys([*by_steps, *asked_at_the_end(requirement)]))


def planned(intent: Intent) -> Iterator[Planned]:
    """What is still to happen to it, in order of time; nothing where it does not wait for a decision any more."""
    if intent.status != Status.PENDING_APPROVAL or intent.overtime:
        return
    at = intent.created_at
    for number, step in enumerate(steps_of(intent.requirement), start=1):
        # Of steps by several clocks one may wait for the one before it: nobody is asked before their time.
        at = max(at, step.due(intent.created_at))
        # It may have less time than its policy gives: then what comes later never happens.
        if number > intent.steps_taken and at < intent.expires_at:
            yield Planned(at, step.do, step.to, number)
    if groups := asked_at_the_end(intent.requirement):
        yield Planned(intent.expires_at, ESCALATE, groups)


def next_of(intent: Intent) -> Planned | None:
    """What happens to it next, if anything but that it expires."""
    return next(planned(intent), None)


def next_step_at(intent: Intent) -> datetime | None:
    """When its next step is due; None where there is none. The end of its time is no step."""
    following = next_of(intent)
    return following.at if following is not None and following.number is not None else None


def has_time_left(intent: Intent) -> bool:
    """Whether others are asked when its time is over, so that it does not expire yet."""
    waits = intent.status == Status.PENDING_APPROVAL
    return waits and not intent.overtime and bool(asked_at_the_end(intent.requirement))


def overtime_until(intent: Intent) -> datetime:
    """The end of the time that those have who are asked last: as much again as it had."""
    return intent.expires_at + (intent.expires_at - intent.created_at)


def is_escalated(requirement: Mapping[str, Any] | None, steps_taken: int, *, overtime: bool) -> bool:
    """Whether it was handed on to others than were asked first, by a step that says so or at the end of its time."""
    return overtime or any(step.do == ESCALATE for step in steps_of(requirement)[:steps_taken])


def _is_step(entry: Any) -> bool:
    if not isinstance(entry, dict) or type(entry.get("after")) is not int or entry.get("do") not in STEPS:
        return False
    to = entry.get("to") or []
    return isinstance(to, list) and all(isinstance(group, str) for group in to)
