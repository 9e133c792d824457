"""Whether a requirement is met: seats to fill, and who fills which.

A requirement lists groups and counts. One person fills one seat, even one who belongs to several of the groups, so
that filling the seats is a matching in a bipartite graph; it is found by augmenting paths (Kuhn 1955), which never
leaves a seat empty that another arrangement of the same people would have filled.

Policy can ask for more than this desk can see to, see `cannot_see_to`. What asks for that is never met here, so that
nothing is approved on less than was asked for; it can be rejected, and it expires.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seat:
    """One approval that is needed from one group; `filled_by` is the key of the person who gave it, or None."""

    group: str
    filled_by: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a requirement stands: its seats in the order of the requirement."""

    seats: tuple[Seat, ...]
    beyond: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """All seats are filled. A requirement without seats is never met: nothing says that it may run.

        Nor is one that asks for something `beyond` what is counted here.
        """
        return bool(self.seats) and not self.beyond and all(seat.filled_by is not None for seat in self.seats)

    @property
    def given(self) -> int:
        return sum(seat.filled_by is not None for seat in self.seats)

    @property
    def needed(self) -> int:
        return len(self.seats)


def groups_of(requirement: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The groups whose members have a say, in the order of the requirement: those of alternatives can reject too."""
    need = requirement or {}
    alternatives = [seat for choice in need.get("any_of") or () for seat in choice]
    return tuple(dict.fromkeys(part["group"] for part in [*need.get("all_of", ()), *alternatives]))


def cannot_see_to(requirement: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What a requirement asks for that nobody can see to here yet, each in words; empty where all of it is counted.

    What is not known at all counts as such too: an approval never stands for something that nobody looked at.
    """
    return tuple(
        _WORDS.get(key, lambda value, key=key: f"{key}, which this portal does not know")(value)
        for key, value in (requirement or {}).items()
        if key not in _SEEN_TO and not _asks_nothing(key, value)
    )


def standing(requirement: Mapping[str, Any] | None, approvals: Sequence[tuple[int, Collection[str]]]) -> Standing:
    """Seat the people who approved, given as their key and their groups, earliest first.

    Whoever approved earlier is seated first and keeps a seat, though perhaps another one, when later ones come.
    """
    seats = [part["group"] for part in (requirement or {}).get("all_of", ()) for _ in range(part.get("count", 1))]
    taken: list[int | None] = [None] * len(seats)
    for person in range(len(approvals)):
        _seat(person, seats, taken, approvals, set())
    return Standing(
        tuple(
            Seat(group, None if index is None else approvals[index][0])
            for group, index in zip(seats, taken, strict=True)
        ),
        cannot_see_to(requirement),
    )


# Seats are counted; a requirement whose time is over expires, whoever else was to be asked then.
_SEEN_TO = frozenset({"all_of", "expires_in", "on_timeout", "escalate_to", "escalation"})


def _asks_nothing(key: str, value: Any) -> bool:
    # An exact 1: True is equal to it, and says something else.
    if key == "rejections":
        return type(value) is int and value == 1
    return value is None or value is False or value == []


def _alternatives(value: Any) -> str:
    return " and ".join(
        "either " + " or ".join(f"{seat.get('count', 1)} of {seat['group']}" for seat in choice) for choice in value
    )


def _order(value: Any) -> str:
    return "approvals in a set order: " + " and ".join(
        ", then ".join(str(seat["group"]) for seat in seats) for seats in value
    )


_WORDS: dict[str, Callable[[Any], str]] = {
    "any_of": _alternatives,
    "in_order": _order,
    "step_up": lambda value: "a second factor with each approval",
    "rejections": lambda value: f"{value} rejections before it ends",
}


def _seat(
    person: int,
    seats: Sequence[str],
    taken: list[int | None],
    approvals: Sequence[tuple[int, Collection[str]]],
    tried: set[int],
) -> bool:
    for number, group in enumerate(seats):
        if number in tried or group not in approvals[person][1]:
            continue
        tried.add(number)
        holder = taken[number]
        if holder is None or _seat(holder, seats, taken, approvals, tried):
            taken[number] = person
            return True
    return False
