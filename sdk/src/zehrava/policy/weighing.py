"""Approvals that weigh: enough of several groups together, one group counting for more than another.

``at_least: 3`` of directors (2 each) and finance (1 each) is met by two directors, by a director and one of finance, or
by three of finance: the smallest sets of seats whose weights are enough. Whatever else would be enough holds one of
these, so that nothing but seats is ever counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

MOST_WAYS = 100
"""How many sets of seats may do for one requirement; nobody reads more, and each is looked at with every vote."""

MAX_WEIGHT = 100
"""The most that anybody weighs, and the most that is ever enough."""

Weight = tuple[str, int]
"""A group and what each of its people weighs."""


@dataclass(frozen=True, slots=True, order=True)
class Weighing:
    """Approvals of different people that together weigh ``at_least`` so much; ``of`` are the groups, each once."""

    of: tuple[Weight, ...]
    at_least: int

    def ways(self) -> Iterator[tuple[tuple[str, int], ...]]:
        """The smallest sets of seats that weigh enough, each as groups and counts; the first has the fewest.

        Lazy, for there can be very many.
        """
        return _ways(self.heaviest_first, self.at_least)

    @property
    def heaviest_first(self) -> list[Weight]:
        """Its groups as they are told, those who weigh most first."""
        return sorted(self.of, key=lambda each: (-each[1], each[0]))

    def number_of_ways(self) -> int:
        """How many there are; whatever is beyond ``MOST_WAYS`` counts as one more than that."""
        return sum(1 for _ in islice(self.ways(), MOST_WAYS + 1))

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Weighing:
        """What ``document`` wrote; raises KeyError, TypeError or ValueError for anything else."""
        return cls(tuple((each["group"], each["weight"]) for each in document["of"]), document["at_least"])

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "at_least": self.at_least,
            "of": [{"group": group, "weight": weight} for group, weight in self.of],
        }

    def __str__(self) -> str:
        """``weight 3 of directors (2 each) and finance (1 each)``."""
        *others, last = [f"{group} ({weight} each)" for group, weight in self.heaviest_first]
        return f"weight {self.at_least} of {', '.join(others)}{' and ' if others else ''}{last}"


def _ways(heaviest_first: list[Weight], lacking: int) -> Iterator[tuple[tuple[str, int], ...]]:
    # Only the lightest seat of a set goes beyond what was lacking: without any one of its seats it is not enough.
    (group, weight), *lighter = heaviest_first
    enough = -(-lacking // weight)
    yield ((group, enough),)
    for count in range(enough - 1, -1, -1) if lighter else ():
        for rest in _ways(lighter, lacking - count * weight):
            yield ((group, count), *rest) if count else rest


def joined(weighings: Iterable[Weighing]) -> tuple[Weighing, ...]:
    """All of them at once: of the same groups with the same weights the most."""
    most: dict[tuple[Weight, ...], int] = {}
    for each in weighings:
        most[each.of] = max(each.at_least, most.get(each.of, 0))
    return tuple(Weighing(of, at_least) for of, at_least in sorted(most.items()))
