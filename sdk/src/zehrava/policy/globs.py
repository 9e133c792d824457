"""Names with ``*`` in them. No regular expression: matching takes linear time whatever the pattern."""

from __future__ import annotations

from collections.abc import Callable


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """A test for ``pattern``: case-sensitive, ``*`` stands for any characters, dots too; nothing else is special."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern.__eq__
    last = rest.pop()
    middle = [part for part in rest if part]
    least = len(first) + len(last)

    def holds(text: str) -> bool:
        if len(text) < least or not text.startswith(first) or not text.endswith(last):
            return False
        position = len(first)
        end = len(text) - len(last)
        for part in middle:
            found = text.find(part, position, end)
            if found < 0:
                return False
            position = found + len(part)
        return True

    return holds


def glob(text: str, pattern: str) -> bool:
    """Whether ``text`` matches ``pattern``.

    Raises:
        TypeError: when either is not a string.
    """
    if not isinstance(text, str) or not isinstance(pattern, str):
        raise TypeError("glob() compares a string with a pattern string")
    return compile_glob(pattern)(text)
