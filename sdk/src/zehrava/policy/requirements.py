"""Who must approve before it counts, as one policy asks for it and as several together do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT_GROUP = "reviewers"

Seat = tuple[str, int]
"""A group and how many of its people."""

REMIND = "remind"
WIDEN = "widen"
ESCALATE = "escalate"
STEPS = (REMIND, WIDEN, ESCALATE)


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """What happens while nobody answers: ``after`` so many seconds remind, widen to, or escalate to these groups."""

    after: int
    do: str
    to: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON; ``to`` only where groups are named."""
        return {"after": self.after, "do": self.do, **({"to": list(self.to)} if self.to else {})}


@dataclass(frozen=True, slots=True)
class Requirement:
    """Who must approve.

    Attributes:
        groups: seats that must all be filled, each by another person.
        expires_in: seconds an ask may wait, or None where nobody said.
        any_of: per entry, alternatives of which one must be filled besides ``groups``.
        in_order: per entry, seats of ``groups`` that are filled one after the other.
        step_up: whether an approval needs a fresh second factor.
        rejections: how many reject before that ends it.
        escalate_to: seats that are asked when the time is over; empty: it expires.
        escalation: what happens while nobody answers, in order of time.
    """

    groups: tuple[Seat, ...] = ((DEFAULT_GROUP, 1),)
    expires_in: int | None = None
    any_of: tuple[tuple[Seat, ...], ...] = ()
    in_order: tuple[tuple[Seat, ...], ...] = ()
    step_up: bool = False
    rejections: int = 1
    escalate_to: tuple[Seat, ...] = ()
    escalation: tuple[Step, ...] = ()

    @staticmethod
    def join(requirements: Iterable[Requirement]) -> Requirement:
        """All of them at once, each at its strictest.

        Per group the largest count; every alternative and every order; the smallest number of rejections; the shortest
        expiry. Others are asked in time or at its end only where every part would have it so: a step of one policy
        gives nobody a say in what another asks for. Reminders are all kept.
        """
        parts = list(requirements)
        if len(parts) == 1:
            return parts[0]
        expiries = [part.expires_in for part in parts if part.expires_in is not None]
        expires_in = min(expiries, default=None)
        escalates = all(part.escalate_to for part in parts)
        steps = {step for part in parts for step in part.escalation}
        return Requirement(
            groups=_largest(seat for part in parts for seat in part.groups),
            expires_in=expires_in,
            any_of=tuple(sorted({each for part in parts for each in part.any_of})),
            in_order=tuple(sorted({each for part in parts for each in part.in_order})),
            step_up=any(part.step_up for part in parts),
            rejections=min((part.rejections for part in parts), default=1),
            escalate_to=_largest(seat for part in parts for seat in part.escalate_to) if escalates else (),
            escalation=tuple(
                step
                for step in sorted(steps)
                if (expires_in is None or step.after < expires_in)
                and (step.do == REMIND or all(step in part.escalation for part in parts))
            ),
        )

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Requirement:
        """What ``document`` wrote; raises KeyError, TypeError or ValueError for anything else."""
        known = {"all_of", "expires_in", "any_of", "in_order", "step_up", "rejections", "on_timeout", "escalate_to"}
        if unknown := document.keys() - known - {"escalation"}:
            raise ValueError(f"a requirement has no {', '.join(sorted(unknown))}")
        return cls(
            groups=_read_seats(document["all_of"]),
            expires_in=document.get("expires_in"),
            any_of=tuple(_read_seats(each) for each in document.get("any_of") or ()),
            in_order=tuple(_read_seats(each) for each in document.get("in_order") or ()),
            step_up=document.get("step_up", False),
            rejections=document.get("rejections", 1),
            escalate_to=_read_seats(document.get("escalate_to") or ()),
            escalation=tuple(
                Step(step["after"], step["do"], tuple(step.get("to") or ()))
                for step in document.get("escalation") or ()
            ),
        )

    def document(self) -> dict[str, Any]:
        """As JSON: ``{"all_of": [{"group", "count"}], "expires_in"}``, and what else is asked for, only where it is."""
        document: dict[str, Any] = {"all_of": _seats(sorted(self.groups)), "expires_in": self.expires_in}
        if self.any_of:
            document["any_of"] = [_seats(each) for each in self.any_of]
        if self.in_order:
            document["in_order"] = [_seats(each) for each in self.in_order]
        if self.step_up:
            document["step_up"] = True
        if self.rejections != 1:
            document["rejections"] = self.rejections
        if self.escalate_to:
            document["on_timeout"] = ESCALATE
            document["escalate_to"] = _seats(self.escalate_to)
        if self.escalation:
            document["escalation"] = [step.document() for step in self.escalation]
        return document


def _largest(seats: Iterable[Seat]) -> tuple[Seat, ...]:
    counts: dict[str, int] = {}
    for group, count in seats:
        counts[group] = max(count, counts.get(group, 0))
    return tuple(sorted(counts.items()))


def _read_seats(seats: Iterable[Mapping[str, Any]]) -> tuple[Seat, ...]:
    return tuple((seat["group"], seat["count"]) for seat in seats)


def _seats(seats: Iterable[Seat]) -> list[dict[str, Any]]:
    return [{"group": group, "count": count} for group, count in seats]
