"""The parts of a payload that people see masked until they ask for them.

An action type names them by path: ``payload.card``, ``payload.people.*.email``. A whole part is masked, its members and
how many they are too. What a mask covers is still in the bytes that are hashed and executed: it is drawn over what
people read, and never stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from zehrava import canonical
from zehrava.narrowing import EACH

SHOWN = "\u25cf\u25cf\u25cf\u25cf"
"""What stands in the place of a masked value, whatever it is."""

LEAST = 4
"""Shorter texts are too common to be looked for in other texts."""

MOST_LOOKS = 200_000
"""So often texts are compared, of one intent, before what is left is masked whole."""

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


def mask(payload: Any, path: Path) -> tuple[Any, list[Any]]:
    """The payload with what this path leads to masked, and the values that the masks cover.

    What is not shaped as the path expects hides nothing by that: its step goes through every item of a list, and where
    it can go no further, what stands there is masked. Null says nothing and is left.
    """
    covered: list[Any] = []
    return _mask(payload, path, covered), covered


def mask_all(payload: Any, paths: Iterable[Path]) -> tuple[Any, list[Any]]:
    """The same for several paths: what an earlier one has masked is not covered a second time."""
    covered: list[Any] = []
    for path in paths:
        payload, found = mask(payload, path)
        covered += found
    return payload, covered


def texts(covered: Iterable[Any]) -> set[str]:
    """Every text and number under masks, and the names of members there."""
    return {text for value in covered for text in leaves(value)}


def _mask(value: Any, path: Path, covered: list[Any]) -> Any:
    if value is None or isinstance(value, Masked):
        return value
    if path and isinstance(value, list):
        below = path[1:] if path[0] == EACH else path
        return [_mask(item, below, covered) for item in value]
    if path and isinstance(value, dict):
        if path[0] == EACH:
            return {name: _mask(each, path[1:], covered) for name, each in value.items()}
        return {**value, path[0]: _mask(value[path[0]], path[1:], covered)} if path[0] in value else value
    covered.append(value)
    return Masked(value)


def covered(figure: Any) -> Any:
    """A figure with all that it says masked; None says nothing."""
    if figure is None:
        return None
    return {name: Masked(part) for name, part in figure.items()} if isinstance(figure, dict) else Masked(figure)


# In an expression: texts, which say nothing of what it reads, and names with the steps below them.
_NAMED = re.compile(
    r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?P<chain>[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*|\s*\[[^\]]*\])*)"""
)
_STEP = re.compile(r"""\[\s*["'](?P<key>[^"']*)["']\s*\]|\[[^\]]*\]|(?P<name>[A-Za-z_]\w*)""")
_WORDS = frozenset({"true", "false", "null", "in"})


def named_in(expression: str) -> Iterator[list[str]]:
    """What an expression names, each with the steps below it: `payload.people[0].email`; no functions, no texts."""
    for found in _NAMED.finditer(expression):
        if not found["chain"]:
            continue
        steps = [step["name"] or step["key"] or EACH for step in _STEP.finditer(found["chain"])]
        is_call = len(steps) == 1 and expression[found.end() :].lstrip().startswith("(")
        if not is_call and steps[0] not in _WORDS:
            yield steps


def meet(steps: Sequence[str], path: Path) -> bool:
    """Whether the one leads to, through or below the other; both are steps below the payload."""
    return all(step == name or EACH in (step, name) for step, name in zip(steps, path, strict=False))


def reads(expression: str, path: Path) -> bool:
    """Whether an expression reads just what a path leads to, or something below it."""
    return any(
        chain[0] == "payload" and len(chain) > len(path) and meet(chain[1:], path) for chain in named_in(expression)
    )


def leaves(value: Any) -> Iterator[str]:
    """Every text and number in a value, and the names of its members, as text."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from leaves(member)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, Masked):
        # An earlier path covers it, and has told it.
        return
    elif isinstance(value, str):
        yield value
    elif value is not None and not isinstance(value, bool):
        yield canonical.dumps(value).decode()


class Hidden:
    """Texts that are masked wherever else they stand.

    Args:
        texts: what the masks cover, as `leaves` gives it. Shorter ones than `LEAST` are looked for only where they are
            all that is said.
    """

    __slots__ = ("_alone", "_by_beginning", "_looks_left")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._alone = frozenset(texts)
        self._by_beginning: dict[str, list[str]] = {}
        for text in sorted((text for text in self._alone if len(text) >= LEAST), key=len, reverse=True):
            self._by_beginning.setdefault(text[:LEAST], []).append(text)
        self._looks_left = MOST_LOOKS

    def __bool__(self) -> bool:
        return bool(self._alone)

    def figure(self, value: Any) -> Any:
        """The same for one value that was worked out of something masked: also of a short one, or a number."""
        if value is not None and (value if isinstance(value, str) else canonical.dumps(value).decode()) in self._alone:
            return Masked(value)
        return self.without(value)

    def without(self, value: Any) -> Any:
        """A JSON value, or a text, in which the texts are masked: in names of members too."""
        if not self._by_beginning or isinstance(value, Masked):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return self._members(value)
        if isinstance(value, list):
            return [self.without(item) for item in value]
        if value is None or isinstance(value, bool):
            return value
        number = canonical.dumps(value).decode()
        return Masked(value) if len(number) >= LEAST and number in self._alone else value

    def _members(self, value: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, member in value.items():
            read = self._text(name)
            # Two names may read alike now, and neither takes the other's place.
            shown[read if read not in shown else f"{read} {len(shown) + 1}"] = self.without(member)
        return shown

    def _text(self, text: str) -> str:
        parts, position, place, last = [], 0, 0, len(text) - LEAST
        while place <= last:
            for hidden in self._by_beginning.get(text[place : place + LEAST], ()):
                self._looks_left -= 1
                if self._looks_left < 0:
                    # A text made to be looked through for ever is not looked through.
                    return SHOWN
                if text.startswith(hidden, place):
                    parts += [text[position:place], SHOWN]
                    place = position = place + len(hidden)
                    break
            else:
                place += 1
        return "".join([*parts, text[position:]]) if parts else text
