"""The ways in which a requirement can be met: each a set of seats, all of which must be filled.

Those of `all_of`, with one alternative of each choice: of each `any_of` one group with its count, of each `weigh` one
of the smallest sets of seats that weigh enough, see `zehrava.policy.weighing`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import prod
from typing import Any

from zehrava.policy.weighing import MAX_WEIGHT, Weighing

Requirement = Mapping[str, Any]
Count = tuple[str, int]
# What `reviews.asked` adds to what policy wrote: groups that may fill any seat, and groups that may fill none any more.
ALSO, HEARD = "also", "heard"
# Of what would do as well, more is not read.
NAMED = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A seat of one way: of all_of, or of one alternative of a `choice`, and then what would do `instead`.

    `weight` is what whoever sits there weighs, None where it is only counted.
    """

    group: str
    choice: int | None = None
    instead: str = ""
    others: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    weight: int | None = None

    @property
    def in_order(self) -> bool:
        """Whether an order may hold it back: those are about all_of."""
        return self.choice is None

    def admits(self, groups: Collection[str]) -> bool:
        """Whether somebody of these groups may sit there."""
        return self.group in groups or any(group in groups for group in self.also)


Way = tuple[Place, ...]


def ways(need: Requirement) -> Iterable[Way]:
    """Every set of seats that would do, of a requirement that can be read."""
    also = need.get(ALSO, ())
    always = tuple(
        Place(part["group"], also=also) for part in need.get("all_of", ()) for _ in range(part.get("count", 1))
    )
    for chosen in product(*_choices(need, also)):
        if way := sum(chosen, always):
            yield way


def _choices(need: Requirement, also: tuple[str, ...]) -> list[list[Way]]:
    """The alternatives of each choice, as the seats that each of them is."""
    plain = need.get("any_of") or ()
    found = [[_places(seat, number, choice, also) for seat in choice] for number, choice in enumerate(plain)]
    for number, weighing in enumerate(weighings_of(need), len(plain)):
        found.append([_weighed(way, number, weighing, also) for way in weighing.ways()])
    return found


def _places(seat: Mapping[str, Any], choice: int, of: Sequence[Mapping[str, Any]], also: tuple[str, ...]) -> Way:
    """The seats of one alternative."""
    others = [other for other in of if other is not seat]
    instead = " or ".join(seat_told(other) for other in others)
    groups = tuple(other["group"] for other in others)
    return (Place(seat["group"], choice, instead, groups, also),) * seat.get("count", 1)


def _weighed(way: Sequence[Count], choice: int, weighing: Weighing, also: tuple[str, ...]) -> Way:
    weights = dict(weighing.of)
    # What would do instead depends on who sits, see `instead_of`.
    return tuple(
        Place(group, choice, "", tuple(other for other in weights if other != group), also, weights[group])
        for group, count in way
        for _ in range(count)
    )


def number_of_ways(need: Requirement) -> int:
    """How many there are; very many count as some number beyond `weighing.MOST_WAYS`."""
    plain = prod(len(choice) for choice in need.get("any_of") or ())
    return plain * prod(each.number_of_ways() for each in weighings_of(need))


def weighings_of(need: Requirement | None) -> tuple[Weighing, ...]:
    """What a requirement wants weighed, each of its groups once; nothing where that cannot be read."""
    value: Any = (need or {}).get("weigh")
    return tuple(Weighing.read(each) for each in value) if are_weighings(value) else ()


def are_weighings(value: Any) -> bool:
    """Whether this is a list of what wants to be weighed, as policies write it."""
    return isinstance(value, list) and all(_is_weighing(each) for each in value)


def _is_weighing(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"at_least", "of"} or not is_number(value["at_least"]):
        return False
    of = value["of"]
    if not isinstance(of, list) or not of or not all(_is_weight(each) for each in of):
        return False
    return len({each["group"] for each in of}) == len(of) and value["at_least"] <= MAX_WEIGHT


def _is_weight(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"group", "weight"}:
        return False
    return isinstance(value["group"], str) and is_number(value["weight"])


def is_number(value: Any) -> bool:
    """Whether it counts people, or what they weigh. An exact int: True is equal to 1, and says something else."""
    return type(value) is int and value >= 1


def instead_of(shown: Mapping[str, int], weighing: Weighing, lacking: int) -> str:
    """Who else would weigh what is lacking, but for these: `1 of directors and 1 of finance, or 3 of finance`."""
    wanted = {group: count for group, count in shown.items() if count}
    if lacking < 1:
        return ""
    # One of them is what is shown.
    some = islice(Weighing(weighing.of, lacking).ways(), NAMED + 2)
    others = [way for way in some if dict(way) != wanted][: NAMED + 1]
    told = [" and ".join(count_told(group, count) for group, count in way) for way in others[:NAMED]]
    if len(others) > NAMED:
        told.append(f"others who weigh {lacking}")
    return (", or " if any(" and " in each for each in told) else " or ").join(told)


def seat_told(seat: Mapping[str, Any]) -> str:
    return count_told(seat["group"], seat.get("count", 1))


def count_told(group: str, count: int) -> str:
    return f"{count} of {group}"
