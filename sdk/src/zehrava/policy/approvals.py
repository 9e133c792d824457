"""Reading the ``approval`` of a rule: who and how, strictly."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .business_time import BusinessHours
from .requirements import ESCALATE, REMIND, STEPS, Requirement, Seat, Step
from .shape import Shape
from .strict_yaml import join
from .weighing import MAX_WEIGHT, MOST_WAYS, Weighing

MAX_SEATS = 20
MAX_COUNT = 100
MAX_STEPS = 20

# In the hours of a working day; a day of the calendar would be three of those.
MAX_BUSINESS_SECONDS = 1_000 * 3_600

EXPIRE = "expire"
LISTED = "listed"
WALL = "wall"
BUSINESS = "business"

ASKING = ("all_of", "any_of", "weigh")
SEATS = (*ASKING, "order")
"""Members that say who is asked; the others say how."""
KEYS = (
    *SEATS, "expires_in", "on_timeout", "escalate_to", "escalation", "step_up", "distinct_managers", "rejections",
    "clock",
)  # fmt: skip

_HINTS = {key: f"write all_of: [{{{key}: …}}]; groups are listed" for key in ("group", "groups", "count")}
_SEAT_KEYS = ("group", "count")
_WEIGH_KEYS = ("at_least", "of")
_WEIGHT_KEYS = ("group", "weight")
_WEIGHT_HINTS = {"count": "one person has one approval here: write weight, how much each counts for"}
_STEP_KEYS = ("after", "do", "to")


class Surrounding(NamedTuple):
    """What the policy says for all its approvals: seconds that an ask may wait, and when people work."""

    expires_in: int | None = None
    hours: BusinessHours | None = None


class Placed(NamedTuple):
    """Members of an approval, and the path at which each is written."""

    members: Mapping[str, Any]
    place: Callable[[str], str]


def read_approval(shape: Shape, value: Any, path: str, around: Surrounding) -> Requirement:
    """What ``approval`` asks for, where it has no table; what is wrong is added to the faults of ``shape``."""
    data = shape.mapping(value, path, known=(*KEYS, "table"), hints=_HINTS)
    if isinstance(value, dict) and not data:
        shape.fault(path, "is empty; name the groups in all_of, or leave approval out for one of reviewers")
    return read_members(shape, Placed(data, lambda key: f"{path}.{key}"), around)


def read_members(shape: Shape, placed: Placed, around: Surrounding) -> Requirement:
    """What members of an approval, known ones only, ask for."""
    data, place = placed
    hours = _read_clock(shape, placed, around)
    expires_in = around.expires_in
    if "expires_in" in data:
        expires_in = _read_duration(shape, data["expires_in"], place("expires_in"), hours)
    groups: tuple[Seat, ...] = () if "any_of" in data or "weigh" in data else Requirement().groups
    if "all_of" in data:
        groups = _read_seats(shape, data["all_of"], place("all_of"))
    alternatives = _read_seats(shape, data["any_of"], place("any_of")) if "any_of" in data else ()
    weighing = _read_weighing(shape, data["weigh"], place("weigh"), len(alternatives)) if "weigh" in data else None
    in_business = hours is not None and "expires_in" in data and expires_in is not None
    return Requirement(
        groups=tuple(sorted(groups)),
        expires_in=None if in_business else expires_in,
        any_of=(tuple(sorted(alternatives)),) if alternatives else (),
        in_order=(groups,) if _is_ordered(shape, placed) and len(groups) > 1 else (),
        weigh=() if weighing is None else (weighing,),
        distinct_managers=_read_flag(shape, placed, "distinct_managers"),
        step_up=_read_flag(shape, placed, "step_up"),
        rejections=_read_rejections(shape, placed),
        escalate_to=_read_timeout(shape, placed),
        escalation=_read_steps(shape, data["escalation"], place("escalation"), expires_in, hours)
        if "escalation" in data
        else (),
        expires_after=((expires_in, hours),) if in_business and hours is not None and expires_in is not None else (),
    )


def _read_clock(shape: Shape, placed: Placed, around: Surrounding) -> BusinessHours | None:
    """The hours that times are counted in, None for every hour."""
    data, place = placed
    if "clock" not in data or shape.choice(data["clock"], place("clock"), (WALL, BUSINESS)) != BUSINESS:
        return None
    if around.hours is None:
        shape.fault(place("clock"), "needs to know when people work: say business_hours at the top of the policy")
    elif "expires_in" not in data and "escalation" not in data:
        shape.fault(place("clock"), "counts nothing here: it is about expires_in and escalation beside it")
    return around.hours


def _read_duration(shape: Shape, value: Any, path: str, hours: BusinessHours | None) -> int | None:
    if hours is not None and isinstance(value, str) and value.endswith("d"):
        shape.fault(path, "a day of business hours is no 24 hours: write hours, such as 8h for a day of eight")
        return None
    seconds = shape.duration(value, path)
    if hours is not None and seconds is not None and seconds > MAX_BUSINESS_SECONDS:
        shape.fault(path, f"has at most {MAX_BUSINESS_SECONDS // 3_600}h of business time")
    return seconds


def _is_ordered(shape: Shape, placed: Placed) -> bool:
    data, place = placed
    if "order" not in data:
        return False
    order = shape.choice(data["order"], place("order"), ("any", LISTED))
    if order == LISTED and "all_of" not in data:
        shape.fault(place("order"), "there is no order without all_of: list its groups in the order they are asked")
    return order == LISTED


def _read_flag(shape: Shape, placed: Placed, key: str) -> bool:
    data, place = placed
    return bool(key in data and shape.boolean(data[key], place(key)))


def _read_rejections(shape: Shape, placed: Placed) -> int:
    data, place = placed
    if "rejections" not in data:
        return 1
    return shape.integer(data["rejections"], place("rejections"), least=1, most=MAX_COUNT) or 1


def _read_timeout(shape: Shape, placed: Placed) -> tuple[Seat, ...]:
    """Who is asked when the time is over; nobody where it expires."""
    data, place = placed
    outcome: str | None = EXPIRE
    if "on_timeout" in data:
        outcome = shape.choice(data["on_timeout"], place("on_timeout"), (EXPIRE, ESCALATE))
    if outcome == ESCALATE and "escalate_to" not in data:
        shape.fault(place("on_timeout"), "escalate needs to know to whom: name groups in escalate_to")
    if outcome == EXPIRE and "escalate_to" in data:
        shape.fault(place("escalate_to"), "counts only with on_timeout: escalate")
    if "escalate_to" not in data:
        return ()
    return tuple(sorted(_read_seats(shape, data["escalate_to"], place("escalate_to"))))


def _read_steps(
    shape: Shape, value: Any, path: str, expires_in: int | None, hours: BusinessHours | None
) -> tuple[Step, ...]:
    steps: list[Step] = []
    for index, entry in enumerate(shape.items(value, path, most=MAX_STEPS)):
        place = join(path, index)
        data = shape.mapping(entry, place, known=_STEP_KEYS, required=("after", "do"))
        after = _read_duration(shape, data["after"], f"{place}.after", hours) if "after" in data else None
        do = shape.choice(data["do"], f"{place}.do", STEPS) if "do" in data else None
        to = _read_groups(shape, data["to"], f"{place}.to") if "to" in data else ()
        if do == REMIND and "to" in data:
            shape.fault(f"{place}.to", "a reminder goes to those who are asked already; widen asks more groups")
        if do not in (None, REMIND) and "to" not in data:
            shape.fault(place, f"{do} needs to know to whom: name groups in to")
        if after is None or do is None:
            continue
        if steps and after <= steps[-1].after:
            shape.fault(f"{place}.after", "must be later than the step before")
        if expires_in is not None and after >= expires_in:
            shape.fault(f"{place}.after", "must be before expires_in: later nobody is asked any more")
        steps.append(Step(after, do, to, hours))
    return tuple(steps)


def _read_group(shape: Shape, value: Any, path: str) -> str | None:
    """The name of a group as an eye reads it: a name with hidden or borrowed letters asks nobody, and looks right."""
    name = shape.string(value, path, most=150)
    if name is None:
        return None
    if name != name.strip() or any(_is_unseen(character) for character in name):
        shape.fault(path, "holds a character that cannot be seen; type the group's name anew")
    elif len({script for character in name if (script := _script(character))}) > 1:
        shape.fault(path, "mixes letters of several alphabets that look alike; type the group's name anew")
    elif unicodedata.normalize("NFKC", name) != name:
        shape.fault(path, f"is written with unusual letters; write {unicodedata.normalize('NFKC', name)!r}")
    return name


def _is_unseen(character: str) -> bool:
    return character != " " and (not character.isprintable() or unicodedata.category(character) in ("Cf", "Zs", "Mn"))


def _script(character: str) -> str:
    """Of a letter: the alphabet, where it is one of those whose letters look alike (UTS #39)."""
    name = unicodedata.name(character, "").split(" ", 1)[0] if character.isalpha() else ""
    return name if name in ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE") else ""


def _read_groups(shape: Shape, value: Any, path: str) -> tuple[str, ...]:
    names = [
        _read_group(shape, entry, join(path, index))
        for index, entry in enumerate(shape.items(value, path, most=MAX_SEATS))
    ]
    return tuple(sorted({name for name in names if name is not None}))


def _read_weighing(shape: Shape, value: Any, path: str, alternatives: int) -> Weighing | None:
    """Groups with what each of their people weighs, and how much is enough, beside so many alternatives of any_of."""
    data = shape.mapping(value, path, known=_WEIGH_KEYS, required=_WEIGH_KEYS)
    at_least, weights = None, None
    if "at_least" in data:
        at_least = shape.integer(data["at_least"], f"{path}.at_least", least=1, most=MAX_WEIGHT)
    if "of" in data:
        weights = _read_weights(shape, data["of"], f"{path}.of")
    if at_least is None or not weights:
        return None
    weighing = Weighing(weights, at_least)
    if weighing.number_of_ways() * max(alternatives, 1) > MOST_WAYS:
        beside = " with the alternatives of any_of" if alternatives > 1 else ""
        why = (
            f"more than {MOST_WAYS} sets of seats{beside} would do, more than anybody reads; use fewer groups, or less"
        )
        shape.fault(path, why)
    return weighing


def _read_weights(shape: Shape, value: Any, path: str) -> tuple[tuple[str, int], ...]:
    weights: dict[str, int] = {}
    for index, entry in enumerate(shape.items(value, path, most=MAX_SEATS)):
        place = join(path, index)
        if isinstance(entry, str):
            shape.fault(place, f"must be a mapping: write {{group: {entry[:80]}, weight: 1}}")
            continue
        data = shape.mapping(entry, place, known=_WEIGHT_KEYS, required=_WEIGHT_KEYS, hints=_WEIGHT_HINTS)
        group = _read_group(shape, data["group"], f"{place}.group") if "group" in data else None
        weight = None
        if "weight" in data:
            weight = shape.integer(data["weight"], f"{place}.weight", least=1, most=MAX_WEIGHT)
        if group in weights:
            shape.fault(f"{place}.group", f"the group {group!r} stands here twice; each of its people weighs the same")
        if group is not None and weight is not None:
            weights[group] = weight
    return tuple(sorted(weights.items()))


def _read_seats(shape: Shape, value: Any, path: str) -> tuple[Seat, ...]:
    """Groups and counts, in the order they stand in."""
    seats: dict[str, int] = {}
    for index, entry in enumerate(shape.items(value, path, most=MAX_SEATS)):
        place = join(path, index)
        if isinstance(entry, str):
            shape.fault(place, f"must be a mapping: write {{group: {entry[:80]}}}")
            continue
        data = shape.mapping(entry, place, known=_SEAT_KEYS, required=("group",))
        group = _read_group(shape, data["group"], f"{place}.group") if "group" in data else None
        count = 1
        if "count" in data:
            count = shape.integer(data["count"], f"{place}.count", least=1, most=MAX_COUNT) or 1
        if group in seats:
            shape.fault(f"{place}.group", f"the group {group!r} stands here twice; use count")
        if group is not None:
            seats[group] = count
    return tuple(seats.items())
