"""How long things are, and what walks go over."""

from __future__ import annotations

from typing import Any

from ... import canonical


def length(text: Any) -> int:
    """How many characters (Unicode code points) a text has; CEL's own ``size()`` of a text counts bytes of UTF-8.

    Raises:
        ValueError: when it is no text.
    """
    if not isinstance(text, str):
        raise ValueError("length() counts the characters of a text; size() counts the members of a list or map")
    return len(text)


def json_size(value: Any) -> int:
    """How many bytes a value has as canonical JSON (RFC 8785): what is stored, digested and carried out.

    Raises:
        ValueError: when it has no JSON form.
    """
    try:
        return len(canonical.dumps(value))
    except Exception:  # which of several reasons there are depends on the order of keys, which CEL does not keep
        raise ValueError("json_size() takes what has a JSON form") from None


def members(value: Any) -> list[Any]:
    """What ``all``, ``exists`` and ``exists_one`` walk over: a list as it is, of a map its keys in sorted order.

    The library walks over maps in random order, which would let an error show in one process and not in another.

    Raises:
        TypeError: when the value is neither.
    """
    if isinstance(value, dict):
        return sorted(value)
    if isinstance(value, list):
        return value
    raise TypeError("only a list or a map can be walked over")


def addend(value: Any) -> Any:
    """What ``+`` may add: anything but a map.

    To a list the library adds the keys of a map in random order, and its members then differ from process to process.

    Raises:
        TypeError: for a map.
    """
    if isinstance(value, dict):
        raise TypeError("a map cannot be added to anything")
    return value
