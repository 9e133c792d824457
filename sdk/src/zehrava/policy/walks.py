"""What walks may cost: a condition may go over what an agent sends, not over the product of two such lists.

CEL copies what a path leads through each time it is read: ``payload.items.all(i, i.sku == payload.order.sku)`` copies
the whole order for each item. So what a walk reads besides its own element is weighed before CEL walks; beyond
``MAX_STEPS`` the condition gives no answer, and somebody is asked. Walks inside walks stay within the element.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .expressions import Binary, Call, Has, ListOf, Node, Path, Walk
from .functions import FUNCTIONS
from .tokens import ConditionError

MAX_STEPS = 200_000
MAX_READ = 1_000_000  # values that are read of one intent, over all conditions
WALKED = 4  # what is walked over costs so much more
MAX_WRITTEN = 64  # how often walks over lists written out may multiply one another

CHARACTERS = 64  # of a text are read in the time that one more value takes
_CALLED = 8  # the same for a text that one of our own functions reads
_FREE = 8  # values are read as fast as one, so that what is in proportion to the list is never refused


# What some functions cost: how many characters of a text they read in one step, and steps for each value.
_DEAR = {"contains_term": (1, 1), "json_size": (CHARACTERS, 4), "amount_sum": (CHARACTERS, 8)}
# Text that is gone through at the speed of memory: one step for so many characters.
_SCANNED = {"contains": 2_000, "size": 2_000}
# Steps that a call takes whatever it is given, which counts where it is made for each element of a list.
_A_CALL = {"amount": 2, "glob": 8, "amount_times": 15, "contains_term": 60}
_ANY_CALL = 30
_NO_TEXT = 10**9


@dataclass(frozen=True, slots=True)
class Cost:
    """What is in proportion to the size of ``member``, a variable or a member of one: ``times`` its weight, divided by
    ``of``, where so many ``characters`` of a text weigh as much as one more value."""

    member: tuple[str, str | None]
    characters: int
    times: int
    of: int = 1


def costs(tree: Node) -> tuple[Cost, ...]:
    """What ``tree`` costs besides what CEL is given to read; mostly nothing.

    Lists and texts may be as long as a payload is, and a thousand conditions may go through them.
    """
    return tuple(_costs(tree))


def _costs(node: Node) -> Iterator[Cost]:
    if isinstance(node, Walk):
        yield from _costs(node.over)
        body = list(node.body.walk())
        called = [each.name for each in body if isinstance(each, Call)]
        characters = min(_DEAR[name][0] if name in _DEAR else _CALLED for name in called) if called else CHARACTERS
        each_time = max(1, sum(isinstance(each, Binary | Call | Has | Walk) for each in body))
        each_time += sum(2 * _A_CALL.get(name, _ANY_CALL) for name in called if name in FUNCTIONS)
        dearest = max((_DEAR[name][1] for name in called if name in _DEAR), default=1)
        # What is done for each element, and what is read of its texts.
        yield from _of(node.over, _NO_TEXT, each_time, 2)
        if called:
            yield from _of(node.over, characters, dearest)
        return
    if isinstance(node, Binary) and node.op == "in":
        yield from _of(node.right, CHARACTERS, 1, 4)
    elif isinstance(node, Call) and node.name in _DEAR:
        for argument in node.args:
            yield from _of(argument, *_DEAR[node.name])
    elif isinstance(node, Call) and node.name in _SCANNED:
        read = [*([node.receiver] if node.receiver is not None else []), *node.args]
        for argument in read:
            yield from _of(argument, _SCANNED[node.name], 1)
    for child in node.children:
        yield from _costs(child)


def _of(node: Node, characters: int, times: int, of: int = 1) -> Iterator[Cost]:
    for path in node.walk():
        if isinstance(path, Path):
            yield Cost((path.root, path.steps[0] if path.steps else None), characters, times, of)


@dataclass(frozen=True, slots=True)
class Product:
    """An outermost walk that reads more than the element it is at.

    Attributes:
        over: the paths that say what it goes over.
        read: what it reads each time from outside, and how many characters of it go in one step.
        back: what walks inside it read of the element that they do not go over, by its first member; None: all of it.
        times: how often lists written out multiply the walks.
        nested: whether there are walks inside it.
    """

    over: tuple[Path, ...]
    read: tuple[tuple[Path, int], ...]
    back: tuple[str | None, ...]
    times: int
    nested: bool

    def steps(self, values: Mapping[str, Any]) -> int:
        """About how many values CEL would look at or copy for this intent, besides going over the elements once."""
        lists = [_find(path, path.steps, values) for path in self.over]
        whole = self.nested or len(lists) > 1
        elements = 1 + sum(weight(value) if whole else _members(value) for value in lists)
        read = sum(
            weight(_find(path, path.steps[:1], values), characters) * max(1, len(path.steps) - 1) - _FREE
            for path, characters in self.read
        )
        for name in self.back:
            parts = [
                part.get(name) if name is not None and isinstance(part, dict) else part
                for value in lists
                for part in (value if isinstance(value, list) else ())
            ]
            read += max((weight(part, _CALLED) for part in parts), default=0) - _FREE
        return elements * self.times * max(read, self.times > 1)


def products(tree: Node) -> tuple[Product, ...]:
    """What has to be weighed before ``tree`` is evaluated; mostly nothing.

    Raises:
        ConditionError: for walks inside walks whose cost cannot be bounded.
    """
    found = []
    for walk in _outermost(tree):
        times = _check(walk, ())
        inner = [node for node in walk.body.walk() if isinstance(node, Walk)]
        loops = {walk.variable, *(each.variable for each in inner)}
        called = {
            id(node)
            for call in walk.body.walk()
            if isinstance(call, Call) and call.name in FUNCTIONS
            for node in call.walk()
        }
        read = tuple(
            (node, _CALLED if id(node) in called else CHARACTERS)
            for node in walk.body.walk()
            if isinstance(node, Path) and node.root not in loops
        )
        back = {
            node.steps[0] if node.root == walk.variable and node.steps else None
            for each in inner
            for node in each.body.walk()
            if isinstance(node, Path) and node.root in loops - {each.variable}
        }
        if read or back:
            over = tuple(node for node in walk.over.walk() if isinstance(node, Path))
            found.append(Product(over, read, tuple(sorted(back, key=str)), times, bool(inner)))
    return tuple(found)


def _outermost(node: Node) -> Iterator[Walk]:
    if isinstance(node, Walk):
        yield from _outermost(node.over)
        yield node
        return
    for child in node.children:
        yield from _outermost(child)


def _check(walk: Walk, loops: tuple[str, ...]) -> int:
    """How often lists written out multiply the walks below ``walk``, itself included."""
    written = [len(node.children) for node in walk.over.walk() if isinstance(node, ListOf)]
    roots = {node.root for node in walk.over.walk() if isinstance(node, Path)}
    if loops and not roots <= {loops[-1]}:
        raise ConditionError(
            f"a walk inside a walk must go over {loops[-1]!r} or a list written out, so that its cost stays bounded"
        )
    below = max((_check(each, (*loops, walk.variable)) for each in _outermost(walk.body)), default=1)
    times = below * max([1, *written]) if loops or below > 1 else below
    if times > MAX_WRITTEN:
        raise ConditionError(
            f"walks over lists written out inside one another go more than {MAX_WRITTEN} rounds; split the rule"
        )
    return times


def _find(path: Path, steps: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    value = values.get(path.root)
    for step in steps:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _members(value: Any) -> int:
    return len(value) if isinstance(value, dict | list) else 1


def weight(value: Any, characters: int = CHARACTERS) -> int:
    """How many values it holds, itself included; a text counts for more, one for so many characters."""
    total = 0
    waiting = [value]
    while waiting:
        value = waiting.pop()
        total += 1
        if isinstance(value, str):
            total += len(value) // characters
        elif isinstance(value, dict):
            total += len(value)  # the keys
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
    return total
