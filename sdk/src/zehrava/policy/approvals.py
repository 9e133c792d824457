"""Reading the ``approval`` of a rule: who and how, strictly."""

from __future__ import annotations

import unicodedata
from typing import Any

from .requirements import ESCALATE, REMIND, STEPS, Requirement, Seat, Step
from .shape import Shape
from .strict_yaml import join

MAX_SEATS = 20
MAX_COUNT = 100
MAX_STEPS = 20

EXPIRE = "expire"
LISTED = "listed"

_KEYS = (
    "all_of", "any_of", "order", "expires_in", "on_timeout", "escalate_to", "escalation", "step_up", "rejections",
)  # fmt: skip
_SEAT_KEYS = ("group", "count")
_STEP_KEYS = ("after", "do", "to")


def read_approval(shape: Shape, value: Any, path: str, expires_in: int | None) -> Requirement:
    """What ``approval`` asks for; ``expires_in`` is the policy's own, in seconds, where the rule says nothing.

    What is wrong is added to the faults of ``shape``.
    """
    data = shape.mapping(value, path, known=_KEYS)
    if isinstance(value, dict) and not data:
        shape.fault(path, "is empty; name the groups in all_of, or leave approval out for one of reviewers")
    if "expires_in" in data:
        expires_in = shape.duration(data["expires_in"], f"{path}.expires_in")
    groups: tuple[Seat, ...] = () if "any_of" in data else Requirement().groups
    if "all_of" in data:
        groups = _read_seats(shape, data["all_of"], f"{path}.all_of")
    alternatives = _read_seats(shape, data["any_of"], f"{path}.any_of") if "any_of" in data else ()
    return Requirement(
        groups=tuple(sorted(groups)),
        expires_in=expires_in,
        any_of=(tuple(sorted(alternatives)),) if alternatives else (),
        in_order=(groups,) if _is_ordered(shape, data, path) and len(groups) > 1 else (),
        step_up=bool("step_up" in data and shape.boolean(data["step_up"], f"{path}.step_up")),
        rejections=_read_rejections(shape, data, path),
        escalate_to=_read_timeout(shape, data, path),
        escalation=_read_steps(shape, data["escalation"], f"{path}.escalation", expires_in)
        if "escalation" in data
        else (),
    )


def _is_ordered(shape: Shape, data: dict[str, Any], path: str) -> bool:
    if "order" not in data:
        return False
    order = shape.choice(data["order"], f"{path}.order", ("any", LISTED))
    if order == LISTED and "all_of" not in data:
        shape.fault(f"{path}.order", "there is no order without all_of: list its groups in the order they are asked")
    return order == LISTED


def _read_rejections(shape: Shape, data: dict[str, Any], path: str) -> int:
    if "rejections" not in data:
        return 1
    return shape.integer(data["rejections"], f"{path}.rejections", least=1, most=MAX_COUNT) or 1


def _read_timeout(shape: Shape, data: dict[str, Any], path: str) -> tuple[Seat, ...]:
    """Who is asked when the time is over; nobody where it expires."""
    outcome: str | None = EXPIRE
    if "on_timeout" in data:
        outcome = shape.choice(data["on_timeout"], f"{path}.on_timeout", (EXPIRE, ESCALATE))
    if outcome == ESCALATE and "escalate_to" not in data:
        shape.fault(f"{path}.on_timeout", "escalate needs to know to whom: name groups in escalate_to")
    if outcome == EXPIRE and "escalate_to" in data:
        shape.fault(f"{path}.escalate_to", "counts only with on_timeout: escalate")
    if "escalate_to" not in data:
        return ()
    return tuple(sorted(_read_seats(shape, data["escalate_to"], f"{path}.escalate_to")))


def _read_steps(shape: Shape, value: Any, path: str, expires_in: int | None) -> tuple[Step, ...]:
    steps: list[Step] = []
    for index, entry in enumerate(shape.items(value, path, most=MAX_STEPS)):
        place = join(path, index)
        data = shape.mapping(entry, place, known=_STEP_KEYS, required=("after", "do"))
        after = shape.duration(data["after"], f"{place}.after") if "after" in data else None
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
        steps.append(Step(after, do, to))
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


def _read_seats(shape: Shape, value: Any, path: str) -> tuple[Seat, ...]:
    """Groups and counts, in the order they stand in."""
    seats: dict[str, int] = {}
    for index, entry in enumerate(shape.items(value, path, most=MAX_SEATS)):
        place = join(path, index)
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
