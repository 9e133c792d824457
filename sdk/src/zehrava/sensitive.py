"""The parts of a payload that people see masked until they ask for them.

An action type names them by path: ``payload.card``, ``payload.people.*.email``. A whole part is masked, its members and
how many they are too. What a mask covers is still in the bytes that are hashed and executed: it is drawn over what
people read, and never stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from zehrava import canonical
from zehrava.narrowing import EACH

SHOWN = "\u25cf\u25cf\u25cf\u25cf"
"""What stands in the place of a masked value, whatever it is."""

LEAST = 4
"""Shorter texts are too common to be looked for in other texts."""

Path = tuple[str, ...]


class Masked(str):
    """What stands for a masked value: told apart, by its type, from a text that an agent wrote to look like one.

    ``covers`` is the canonical JSON of the value, so that two of them can be compared without being shown.
    """

    __slots__ = ("covers",)

    covers: bytes

    def __new__(cls, value: Any) -> Masked:
        made = super().__new__(cls, SHOWN)
        made.covers = value.covers if isinstance(value, Masked) else canonical.dumps(value)
        return made


def mask(payload: Any, paths: Sequence[Path]) -> tuple[Any, list[Any]]:
    """The payload with what these paths lead to masked, and the values that the masks cover.

    What is not shaped as a path expects hides nothing by that: its step goes through every item of a list, and where it
    can go no further, what stands there is masked. Null says nothing and is left.
    """
    covered: list[Any] = []
    for path in paths:
        payload = _mask(payload, path, covered)
    return payload, covered


def _mask(value: Any, path: Path, covered: list[Any]) -> Any:
    if value is None or isinstance(value, Masked):
        return value
    if path and isinstance(value, list):
        below = path[1:] if path[0] == EACH else path
        return [_mask(item, below, covered) for item in value]
    if path and isinstance(value, dict):
        names = set(value) if path[0] == EACH else {path[0]}
        return {name: _mask(each, path[1:], covered) if name in names else each for name, each in value.items()}
    covered.append(value)
    return Masked(value)


def places(value: Any, steps: tuple[str | int, ...] = ()) -> Iterator[str]:
    """The JSON Pointer (RFC 6901) of everything that is masked in a value."""
    if isinstance(value, Masked):
        yield canonical.pointer(*steps)
    elif isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*steps, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*steps, index))


def texts(covered: Sequence[Any]) -> list[str]:
    """The texts and numbers behind masks, longest first, that other texts may repeat; none shorter than `LEAST`."""
    found = {text for value in covered for text in leaves(value)}
    return sorted((text for text in found if len(text) >= LEAST), key=lambda text: (-len(text), text))


def leaves(value: Any) -> Iterator[str]:
    """Every text and number in a value, and the names of its members, as text."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from leaves(member)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, str):
        yield value
    elif value is not None and not isinstance(value, bool):
        yield canonical.dumps(value).decode()


def without(value: Any, hidden: Sequence[str]) -> Any:
    """A JSON value, or a text, in which these texts are masked wherever they stand: in names of members too."""
    if not hidden:
        return value
    if isinstance(value, Masked):
        return value
    if isinstance(value, str):
        for text in hidden:
            value = value.replace(text, SHOWN)
        return value
    if isinstance(value, dict):
        return {without(name, hidden): without(member, hidden) for name, member in value.items()}
    if isinstance(value, list):
        return [without(item, hidden) for item in value]
    if value is not None and not isinstance(value, bool) and canonical.dumps(value).decode() in hidden:
        return Masked(value)
    return value
