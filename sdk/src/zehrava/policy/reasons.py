"""Reasons and titles with ``{payload.amount}`` in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from zehrava.sensitive import Masked

LONGEST_VALUE = 200
MISSING = "?"

_BRACES = re.compile(r"\{([^{}]*)\}")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*|[0-9]+)")


def parse_path(text: str, roots: frozenset[str]) -> tuple[str, ...] | None:
    """``payload.items.0.name`` as steps, or None where it is no such path or starts at no known root."""
    root, _, rest = text.partition(".")
    if root not in roots:
        return None
    if not rest:
        return (root,)
    steps = [root]
    position = len(root)
    while position < len(text):
        found = _STEP.match(text, position)
        if not found:
            return None
        steps.append(found[1])
        position = found.end()
    return tuple(steps)


class Template:
    """Text with references, checked when it is loaded.

    Raises:
        ValueError: for a brace that belongs to no reference, or a reference to something unknown.
    """

    __slots__ = ("parts", "text")

    def __init__(self, text: str, roots: frozenset[str]) -> None:
        self.text = text
        self.parts: list[str | tuple[str, ...]] = []
        position = 0
        for found in _BRACES.finditer(text):
            path = parse_path(found[1].strip(), roots)
            if path is None:
                known = ", ".join(sorted(roots))
                raise ValueError(f"{found[0][:80]!r} refers to nothing; write a path that starts with one of {known}")
            self._literal(text[position : found.start()])
            self.parts.append(path)
            position = found.end()
        self._literal(text[position:])

    def _literal(self, text: str) -> None:
        if "{" in text or "}" in text:
            raise ValueError("a brace must be part of a reference such as {payload.amount}")
        if text:
            self.parts.append(text)

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with the values in place; what is missing is ``?``."""
        return "".join(part if isinstance(part, str) else show(find(values, part)) for part in self.parts)


_NOTHING = object()


def find(value: Any, path: tuple[str, ...]) -> Any:
    """The value at the end of ``path``; the marker of nothing where a step leads nowhere, a mask where one is met."""
    for step in path:
        if isinstance(value, Masked):
            return value
        if isinstance(value, Mapping):
            value = value.get(step, _NOTHING)
        elif isinstance(value, list | tuple) and step.isdigit() and len(step) < 9 and int(step) < len(value):
            value = value[int(step)]
        else:
            return _NOTHING
    return value


def present_at(value: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    """Whether there is something at the end of ``path``, and what."""
    found = find(value, path)
    return (False, None) if found is _NOTHING else (True, found)


def show(value: Any) -> str:
    """A value as text: strings as they are, the rest as JSON; what is long is cut, and says so."""
    if value is _NOTHING:
        return MISSING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(text) > LONGEST_VALUE:
        return f"{text[:LONGEST_VALUE]}… ({len(text)} characters)"
    return text
