"""Whether a requirement is met: seats to fill, and who fills which.

A requirement lists groups and counts. One person fills one seat, even one who belongs to several of the groups, so
that filling the seats is a matching in a bipartite graph; it is found by augmenting paths (Kuhn 1955), which never
leaves a seat empty that another arrangement of the same people would have filled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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

    @property
    def met(self) -> bool:
        """All seats are filled. A requirement without seats is never met: nothing says that it may run."""
        return bool(self.seats) and all(seat.filled_by is not None for seat in self.seats)

    @property
    def given(self) -> int:
        return sum(seat.filled_by is not None for seat in self.seats)

    @property
    def needed(self) -> int:
        return len(self.seats)


def groups_of(requirement: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The groups whose members have a say, in the order of the requirement."""
    return tuple(dict.fromkeys(part["group"] for part in (requirement or {}).get("all_of", ())))


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
        )
    )


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
