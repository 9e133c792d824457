"""Whether a changed payload stays within the proposed one.

No rule about JSON alone can tell: fewer items in a list of exceptions, or a smaller minimum age, reach further. So an
action type says at which paths what change narrows, and every other change widens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from zehrava import canonical

LESS = "less"
FEWER = "fewer"
ANY = "any"
NARROWINGS = (LESS, FEWER, ANY)
"""``less``: a number or an amount in text that is lower and not below zero; ``fewer``: a list with some of its items
taken out and others left in their order; ``any``: whatever stands there makes no difference to what the action does."""

EACH = "*"
_STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*|\*")
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,29})(\.[0-9]{1,12})?", re.ASCII)


def parse_path(text: str) -> tuple[str, ...] | None:
    """``payload.lines.*.amount`` as the steps below the payload, ``*`` for each item of a list; None where it is no
    such path."""
    root, *steps = text.split(".")
    if root != "payload" or not all(_STEP.fullmatch(step) for step in steps):
        return None
    return tuple(steps)


def widenings(proposed: Any, changed: Any, narrower: Mapping[tuple[str, ...], str]) -> list[str]:
    """The places, as JSON Pointers, where `changed` may reach further than `proposed`; empty where it stays within it.

    `narrower` is what an action type says, by the steps of the path. Both values are JSON that `canonical` accepts.
    """
    return list(_widenings(proposed, changed, narrower, (), ()))


def _widenings(
    before: Any,
    after: Any,
    narrower: Mapping[tuple[str, ...], str],
    steps: tuple[str, ...],
    place: tuple[str | int, ...],
) -> Iterator[str]:
    if _same(before, after):
        return
    how = narrower.get(steps)
    if how is not None and _narrows(how, before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            if name in before and name in after:
                yield from _widenings(before[name], after[name], narrower, (*steps, name), (*place, name))
            elif narrower.get((*steps, name)) != ANY:
                yield canonical.pointer(*place, name)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _widenings(old, new, narrower, (*steps, EACH), (*place, index))
    else:
        yield canonical.pointer(*place)


def _same(one: Any, other: Any) -> bool:
    # To Python alone, true is 1.
    return canonical.dumps(one) == canonical.dumps(other)


def _narrows(how: str, before: Any, after: Any) -> bool:
    if how == ANY:
        return True
    if how == FEWER:
        return isinstance(before, list) and isinstance(after, list) and _are_some_of(after, before)
    old, new = _amount(before), _amount(after)
    return type(before) is type(after) and old is not None and new is not None and 0 <= new <= old


def _are_some_of(some: list[Any], items: list[Any]) -> bool:
    """Whether these are some of the items, in their order; to many who read a list, an empty one means everything."""
    left = iter([canonical.dumps(item) for item in items])
    return bool(some) and all(canonical.dumps(item) in left for item in some)


def _amount(value: Any) -> Decimal | None:
    """An exact decimal; None for what is no number, or could be read as more than one."""
    if type(value) in (int, float):
        return Decimal(repr(value))
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return Decimal(value)
    return None
