"""Whether a requirement is met: seats to fill, and who fills which.

A requirement lists groups and counts that must all be filled (`all_of`), alternatives of which one must be filled
besides (`any_of`), and which of its groups are asked one after the other (`in_order`). One person fills one seat, even
one who belongs to several of the groups, so that filling the seats is a matching in a bipartite graph; it is found by
augmenting paths (Kuhn 1955), which never leaves a seat empty that another arrangement of the same people would have
filled. Alternatives make several ways of meeting a requirement; each is looked at, and the one nearest to its end is
what people are shown.

Some people count once together: accounts of one person, a delegate and who they stand in for. Of them one is seated,
who approved first; the others fill nothing as long as that one sits. So it is with people of the same manager, where a
requirement wants `distinct_managers`; there whose manager is not on record sits beside nobody, and fills a seat only
where there is no other.

In an order, an approval counts for the seats that were open when it was given: who comes last has seen that the others
agreed. Approvals are therefore looked at in the order in which they were given.

Where its escalation went on, a requirement also says who else may fill any of its seats, and who may only reject; see
`reviews.asked`.

Policy can ask for more than this desk can see to, see `cannot_see_to`. What asks for that is never met here, so that
nothing is approved on less than was asked for; it can be rejected, and it expires.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from typing import Any

from reviews.ways import (
    ALSO,
    HEARD,
    Place,
    Requirement,
    Way,
    are_weighings,
    count_told,
    instead_of,
    is_number,
    number_of_ways,
    seat_told,
    ways,
    weighings_of,
)
from zehrava.policy.requirements import orders_contradict
from zehrava.policy.weighing import MOST_WAYS, Weighing

# Who approved, as their key and their groups, the keys of those who count once together with them, and of their
# managers: nobody where these are not on record, or were not asked for.
Approval = (
    tuple[int, Collection[str]]
    | tuple[int, Collection[str], Collection[int]]
    | tuple[int, Collection[str], Collection[int], Collection[int]]
)
# Earliest first.
Approvals = Sequence[Approval]


@dataclass(frozen=True, slots=True)
class Seat:
    """One approval that is needed from one group.

    `filled_by` is the key of the person who gave it, or None. `after` are the groups that are asked before this one
    and still lack somebody. `instead` is what would do as well, in words: `2 of finance`, and `others` its groups.
    `weight` is what whoever sits there weighs, where weights are what is asked for.
    """

    group: str
    filled_by: int | None
    after: tuple[str, ...] = ()
    instead: str = ""
    others: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    weight: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody could fill it now."""
        return self.filled_by is None and not self.after


@dataclass(frozen=True, slots=True)
class Weighed:
    """How much of a weight is given, and what would do `instead` of the seats that are shown as empty, in words."""

    weighing: Weighing
    given: int
    instead: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a requirement stands, by the way that is nearest to being met: its seats in the requirement's order."""

    seats: tuple[Seat, ...]
    beyond: tuple[str, ...] = ()
    weighed: tuple[Weighed, ...] = ()

    @property
    def met(self) -> bool:
        """All seats are filled. A requirement without seats is never met: nothing says that it may run.

        Nor is one that asks for something `beyond` what is counted here.
        """
        return bool(self.seats) and not self.beyond and self.missing == 0

    @property
    def given(self) -> int:
        return self.needed - self.missing

    @property
    def missing(self) -> int:
        return sum(seat.filled_by is None for seat in self.seats)

    @property
    def needed(self) -> int:
        return len(self.seats)


def standing(requirement: Requirement | None, approvals: Approvals) -> Standing:
    """Seat the people who approved.

    Whoever approved earlier is seated first and keeps a seat, though perhaps another one, when later ones come.
    """
    need = _readable(requirement)
    looked = _looked_at(need, _voters(need, approvals))
    way, seats = min(looked, key=lambda each: _how_far(need, *each), default=((), ()))
    weighed = _weighed(need, way, seats)
    return Standing(_told_instead(way, seats, weighed), cannot_see_to(requirement), tuple(weighed.values()))


def brings_forward(requirement: Requirement | None, approvals: Approvals, one: Approval) -> bool:
    """Whether one more approval would fill a seat that is empty, in any way that is still worth going.

    Where one alternative is given, the others are not asked for any more. Where all is given and nobody has noticed,
    as when somebody comes back into a group, any approval will do that comes from nobody who counts once with a giver.
    Of somebody who approved already: whether the same approval would fill more if it were given now, see
    `entitlement.vote_again`.
    """
    need = _readable(requirement)
    *voters, voter = _voters(need, [*approvals, one])
    return _brings_forward(need, voters, voter)


def _brings_forward(need: Requirement, voters: _Voters, one: _Voter) -> bool:
    again = [*(each for each in voters if each.key != one.key), one]
    looked = _looked_at(need, voters)
    if any(all(seat.filled_by is not None for seat in seats) for _, seats in looked):
        comes_new = not any(_count_once(each, one) for each in voters)
        return comes_new and any(_may_sit(one, way) and place.admits(one.groups) for way, _ in looked for place in way)
    orders = _orders(need)
    return any(
        _filled(_seated(way, orders, again)) > _filled(seats) and not _is_pointless(way, seats, looked)
        for way, seats in looked
    )


def can_be_met(requirement: Requirement | None, people: Approvals, *, given: Approvals = ()) -> bool:
    """Whether these people, each approving once when it is their turn, would fill every seat that is not `given` yet.

    Whatever else the requirement asks for.
    """
    need = _readable(requirement)
    voters, sitting = _voters(need, people), _voters(need, given)
    could = _enough_of(_twins_joined(voters, sitting), max((len(way) for way in ways(need)), default=0))
    return any(_would_meet(need, sitting, chosen) for chosen in islice(_apart(could), MOST_WAYS))


def _would_meet(need: Requirement, given: _Voters, could: _Voters) -> bool:
    if not need.get("in_order"):
        return any(not _empty(_seated(way, (), [*given, *could])) for way in ways(need))
    # Who could sit in one place only goes first.
    voters, left = [*given], sorted(could, key=lambda each: len(each.groups))
    while one := next((each for each in left if _brings_forward(need, voters, each)), None):
        voters.append(one)
        left.remove(one)
    return any(not _empty(seats) for _, seats in _looked_at(need, voters))


# --- who counts once -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Voter:
    """Whoever approved or could; `managers` is None where it does not matter who manages whom."""

    key: int
    groups: Collection[str]
    once: Collection[int] = ()
    managers: frozenset[int] | None = None


_Voters = Sequence[_Voter]


def _voters(need: Requirement, approvals: Approvals) -> list[_Voter]:
    """These approvals, with the managers where the requirement asks; of who has none on record, nobody's."""
    if not wants_distinct_managers(need):
        return [_Voter(*each[:3]) for each in approvals]
    return [_Voter(each[0], each[1], _at(each, 2), frozenset(_at(each, 3))) for each in approvals]


def _at(approval: Approval, place: int) -> Collection[int]:
    return approval[place] if len(approval) > place else ()  # type: ignore[return-value, misc]


def _may_sit(one: _Voter, way: Way) -> bool:
    """Whether they may sit beside others: nobody may of whom it is not known whether they have the same manager."""
    return one.managers is None or bool(one.managers) or len(way) == 1


def _count_once(one: _Voter, other: _Voter) -> bool:
    if one.key == other.key or one.key in other.once or other.key in one.once:
        return True
    return bool(one.managers and other.managers and not one.managers.isdisjoint(other.managers))


def _twins_joined(people: _Voters, given: _Voters) -> list[_Voter]:
    """The same people, where those who count once with just the same ones are one, who could sit wherever any of them
    could: whichever of them sits, none of the others does."""
    if not any(_is_tied(one) for one in people):
        return list(people)
    everybody = [*people, *given]
    twins: dict[frozenset[int], list[_Voter]] = {}
    for one in people:
        clashing = frozenset(place for place, other in enumerate(everybody) if _count_once(one, other))
        twins.setdefault(clashing, []).append(one)
    return [_as_one(each) if len(each) > 1 else each[0] for each in twins.values()]


def _as_one(twins: _Voters) -> _Voter:
    managers = [one.managers for one in twins if one.managers is not None]
    return _Voter(
        twins[0].key,
        frozenset(group for one in twins for group in one.groups),
        frozenset(key for one in twins for key in (one.key, *one.once)) - {twins[0].key},
        frozenset().union(*managers) if managers else None,
    )


def _is_tied(one: _Voter) -> bool:
    return bool(one.once or one.managers)


def _enough_of(people: _Voters, most: int) -> _Voters:
    """So many of each kind: more people who are in the same groups than there are seats change nothing.

    Who counts once together with somebody is like nobody else.
    """
    alike: Counter[frozenset[str]] = Counter()
    chosen = []
    for person in people:
        kind = frozenset(person.groups)
        if alike[kind] < most or _is_tied(person):
            alike[kind] += not _is_tied(person)
            chosen.append(person)
    return chosen


def _apart(people: _Voters) -> Iterator[_Voters]:
    """Each choice of these people in which nobody counts once together with somebody else; many contain others."""
    for place, one in enumerate(people):
        clashing = [other for other in people[place + 1 :] if _count_once(one, other)]
        if clashing:
            yield from _apart([other for other in people if other not in clashing])
            yield from _apart([other for other in people if other is not one])
            return
    yield people


# --- whom it asks, and what in words ---------------------------------------------------------------------------------


def wants_distinct_managers(requirement: Requirement | None) -> bool:
    """Whether everybody who fills a seat has to have another manager."""
    return bool((requirement or {}).get("distinct_managers"))


def rejections_needed(requirement: Requirement | None) -> int:
    """How many people end it by rejecting: one, unless policy says more."""
    wanted = (requirement or {}).get("rejections")
    return wanted if type(wanted) is int and wanted > 1 else 1


def groups_of(requirement: Requirement | None) -> tuple[str, ...]:
    """The groups whose members have a say, in the order of the requirement: those of alternatives too.

    Whether they may fill a seat or only reject.
    """
    return tuple(dict.fromkeys([*groups_seated(requirement), *_added(requirement, HEARD)]))


def groups_seated(requirement: Requirement | None) -> tuple[str, ...]:
    """Of the same groups those whose members may fill a seat."""
    need = requirement or {}
    # Also of what cannot be counted, as far as it can be read: somebody has to be able to reject it.
    lists = [need.get("all_of"), *(need["any_of"] if isinstance(need.get("any_of"), list) else ())]
    seats = [seat["group"] for each in lists if isinstance(each, list) for seat in each if _is_seat(seat)]
    weighed = [group for weighing in weighings_of(need) for group, _ in weighing.of]
    return tuple(dict.fromkeys([*seats, *weighed, *_added(need, ALSO)]))


def told(requirement: Requirement | None) -> str:
    """What a requirement asks for: `2 of finance, then 1 of security, and either 1 of legal or 2 of managers`."""
    need = _readable(requirement)
    counts = {part["group"]: part.get("count", 1) for part in need.get("all_of", ())}
    parts = [", then ".join(count_told(group, counts.pop(group)) for group, _ in order) for order in _told_orders(need)]
    parts += [count_told(group, count) for group, count in counts.items()]
    parts += ["either " + " or ".join(seat_told(seat) for seat in choice) for choice in need.get("any_of") or ()]
    parts += [str(weighing) for weighing in weighings_of(need)]
    joint = ", and " if any(word in part for part in parts for word in (", ", " or ", " and ")) else " and "
    if need.get("step_up") and parts:
        parts[-1] += ", each with a second factor"
        joint = ", and "
    if need.get("distinct_managers") and parts:
        parts[-1] += ", all with different managers"
    stand_in = f"; {' and '.join(need[ALSO])} may stand in" if need.get(ALSO) else ""
    return joint.join(parts) + stand_in


def cannot_see_to(requirement: Requirement | None) -> tuple[str, ...]:
    """What a requirement asks for that nobody can see to here yet, each in words; empty where all of it is counted.

    What is not known at all counts as such too: an approval never stands for something that nobody looked at.
    """
    need = requirement or {}
    return tuple(
        _WORDS.get(key, lambda value, key=key: f"{key}, which this portal does not know")(value)
        for key, value in need.items()
        if not _seen_to(key, value, need)
    )


# --- filling seats ---------------------------------------------------------------------------------------------------


_Order = list[tuple[str, int]]
_Looked = list[tuple[Way, tuple[Seat, ...]]]


def _looked_at(need: Requirement, voters: _Voters) -> _Looked:
    """Each way with its seats as these people fill them."""
    orders = _orders(need)
    return [(way, _seated(way, orders, voters)) for way in ways(need)]


def _how_far(need: Requirement, way: Way, seats: Sequence[Seat]) -> tuple[int, ...]:
    """What is lacking of a way, to compare it with others by: what is weighed by its weight, however many give it."""
    counted = sum(seat.filled_by is None for seat in seats if seat.weight is None)
    lacking = sum(each.weighing.at_least - each.given for each in _weighed(need, way, seats).values())
    return counted, lacking, _empty(seats), -_filled(seats)


def _weighed(need: Requirement, way: Way, seats: Sequence[Seat]) -> dict[int | None, Weighed]:
    """How much of each weight is given by this way, and what would do instead of what is empty there; by choice."""
    found: dict[int | None, Weighed] = {}
    for choice, weighing in enumerate(weighings_of(need), len(need.get("any_of") or ())):
        own = [seat for place, seat in zip(way, seats, strict=True) if place.choice == choice]
        given = sum(seat.weight or 0 for seat in own if seat.filled_by is not None)
        given = min(given, weighing.at_least)
        empty = Counter(seat.group for seat in own if seat.filled_by is None)
        found[choice] = Weighed(weighing, given, instead_of(empty, weighing, weighing.at_least - given))
    return found


def _told_instead(way: Way, seats: tuple[Seat, ...], weighed: Mapping[int | None, Weighed]) -> tuple[Seat, ...]:
    return tuple(
        replace(seat, instead=weighed[place.choice].instead) if place.choice in weighed else seat
        for place, seat in zip(way, seats, strict=True)
    )


def _is_pointless(way: Way, seats: Sequence[Seat], looked: _Looked) -> bool:
    """Whether another alternative of a choice is given already, at no cost to all the rest."""
    empty = [place.choice for place, seat in zip(way, seats, strict=True) if seat.filled_by is None]
    lacking = Counter(choice for choice in empty if choice is not None)
    return any(
        _empty(others) <= _empty(seats) - number
        for choice, number in lacking.items()
        for other, others in looked
        if other != way and _without(other, choice) == _without(way, choice)
    )


def _without(way: tuple[Place, ...], choice: int | None) -> list[Place]:
    return [place for place in way if place.choice != choice]


def _orders(need: Requirement) -> list[_Order]:
    return [[(part["group"], part.get("count", 1)) for part in order] for order in need.get("in_order") or ()]


def _seated(way: Way, orders: Sequence[_Order], voters: _Voters) -> tuple[Seat, ...]:
    taken: list[int | None] = [None] * len(way)
    # What an order waits for is filled first: whoever could sit there and elsewhere holds nothing up.
    first = sorted(range(len(way)), key=lambda number: _depth(way[number], orders))
    open_to: list[list[int]] = []
    sitting: list[_Voter] = []
    seen: set[int] = set()
    for person, one in enumerate(voters):
        may_sit = one.key not in seen and _may_sit(one, way) and not any(_count_once(each, one) for each in sitting)
        open_to.append(
            [n for n in first if way[n].admits(one.groups) and not _held_back(way[n], way, orders, taken)]
            if may_sit
            else []
        )
        seen.add(one.key)
        held = {n for n in range(len(way)) if _has_opened(way[n], way, orders, taken)}
        if _seat(person, open_to, taken, set(), held):
            sitting.append(one)
    return tuple(
        Seat(
            place.group,
            None if sits is None else voters[sits].key,
            _held_back(place, way, orders, taken) if sits is None else (),
            place.instead,
            place.others,
            place.also,
            place.weight,
        )
        for place, sits in zip(way, taken, strict=True)
    )


def _seat(
    person: int, open_to: Sequence[Sequence[int]], taken: list[int | None], tried: set[int], held: set[int]
) -> bool:
    for number in open_to[person]:
        if taken[number] is None:
            taken[number] = person
            return True
    # Somebody else may sit elsewhere as well.
    for number in open_to[person]:
        if number in tried or number in held:
            continue
        tried.add(number)
        holder = taken[number]
        if holder is not None and _seat(holder, open_to, taken, tried, held):
            taken[number] = person
            return True
    return False


def _depth(place: Place, orders: Sequence[_Order]) -> float:
    """How early in an order a seat stands; what stands in none comes last."""
    places = [index for order in orders for index, (group, _) in enumerate(order) if group == place.group]
    return min(places, default=inf) if place.in_order else inf


def _held_back(
    place: Place, way: Sequence[Place], orders: Sequence[_Order], taken: Sequence[int | None]
) -> tuple[str, ...]:
    """The groups that are asked before this seat's and still lack somebody."""
    if not place.in_order:
        return ()
    lacking: list[str] = []
    for order in orders:
        before = _before(place.group, order)
        lacking += [group for group, count in before if _filled_of(group, way, taken) < count]
    return tuple(dict.fromkeys(lacking))


def _has_opened(place: Place, way: Sequence[Place], orders: Sequence[_Order], taken: Sequence[int | None]) -> bool:
    """Whether somebody agreed because this seat was filled: who sits there then stays there."""
    later = (group for order in orders for group, _ in _after(place.group, order))
    return place.in_order and any(_filled_of(group, way, taken) for group in later)


def _before(group: str, order: _Order) -> _Order:
    groups = [each for each, _ in order]
    return order[: groups.index(group)] if group in groups else []


def _after(group: str, order: _Order) -> _Order:
    groups = [each for each, _ in order]
    return order[groups.index(group) + 1 :] if group in groups else []


def _filled_of(group: str, way: Sequence[Place], taken: Sequence[int | None]) -> int:
    return sum(
        place.in_order and place.group == group and sits is not None for place, sits in zip(way, taken, strict=True)
    )


def _empty(seats: Sequence[Seat]) -> int:
    return len(seats) - _filled(seats)


def _filled(seats: Sequence[Seat]) -> int:
    return sum(seat.filled_by is not None for seat in seats)


# --- what is seen to, and words for it -------------------------------------------------------------------------------

# What is about time, see `intents.steps`: it changes whom a requirement asks only through ALSO and HEARD.
_WITHOUT_EFFECT = frozenset(
    {"expires_in", "on_timeout", "escalate_to", "escalation", "expires_after", "business_hours"}
)


def _readable(requirement: Requirement | None) -> Requirement:
    """What can be counted of a requirement; it is never met where that is not all, see `cannot_see_to`."""
    need = requirement or {}
    return {key: value for key, value in need.items() if _seen_to(key, value, need)}


def _seen_to(key: str, value: Any, need: Requirement) -> bool:
    if key in _WITHOUT_EFFECT or value is None or value is False or value == []:
        return True
    if key == "all_of":
        return _are_seats(value)
    if key == "any_of":
        return _are_lists(value) and number_of_ways(need) <= MOST_WAYS
    if key == "in_order":
        counts = {part["group"]: part.get("count", 1) for part in need.get("all_of") or () if _is_seat(part)}
        return (
            _are_lists(value)
            and all(seat.get("count", 1) <= counts.get(seat["group"], 0) for order in value for seat in order)
            and not orders_contradict([[seat["group"] for seat in order] for order in value])
        )
    if key == "weigh":
        return are_weighings(value) and number_of_ways(need) <= MOST_WAYS
    if key == "distinct_managers":
        return value is True
    if key == "step_up":
        # Seen to where votes are taken, see `reviews.stepping_up`.
        return value is True
    if key in (ALSO, HEARD):
        return _is_added(value)
    return key == "rejections" and is_number(value)


def _are_lists(value: Any) -> bool:
    return isinstance(value, list) and all(_are_seats(each) and each for each in value)


def _are_seats(value: Any) -> bool:
    return isinstance(value, list) and all(_is_seat(each) for each in value)


def _is_added(value: Any) -> bool:
    """Whether this portal added it: JSON has no tuples, so that no document names further groups by itself."""
    return type(value) is tuple


def _added(requirement: Requirement | None, key: str) -> tuple[str, ...]:
    groups: Any = (requirement or {}).get(key)
    return groups if _is_added(groups) else ()


def _is_seat(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() - {"group", "count"} or not isinstance(value.get("group"), str):
        return False
    return is_number(value.get("count", 1))


def _told_orders(need: Requirement) -> list[_Order]:
    """The orders as far as they can be told one after the other: a group is named in the first that has it."""
    named: set[str] = set()
    told_orders = []
    for order in _orders(need):
        fresh = [each for each in order if each[0] not in named]
        named.update(group for group, _ in fresh)
        if fresh:
            told_orders.append(fresh)
    return told_orders


_WORDS: dict[str, Callable[[Any], str]] = {
    "all_of": lambda value: "seats that cannot be read",
    "any_of": lambda value: "alternatives that cannot be read, or too many of them",
    "in_order": lambda value: "an order that does not fit its seats, or orders that wait for each other",
    "weigh": lambda value: "weights that cannot be read, or too many sets of people that would do",
    "distinct_managers": lambda value: "different managers, in words that cannot be read",
    "step_up": lambda value: "a second factor that cannot be read",
    "rejections": lambda value: f"{value} rejections before it ends",
}
