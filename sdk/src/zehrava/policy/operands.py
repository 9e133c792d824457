"""Which parts of a condition explain how it came out, and their values as a trace shows them."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from .expressions import Binary, Call, Has, Index, Literal, Logical, Member, Node, Path, Ternary, Unary, Walk
from .reasons import LONGEST_VALUE, show

_EXACT = 2**53 - 1
_LARGE = 500
_AMOUNT = re.compile(r"([01])([0-9]{30})\.([0-9]{12})", re.ASCII)
_COMPLEMENT = str.maketrans("0123456789", "9876543210")


def operands(tree: Node) -> tuple[Node, ...]:
    """The parts whose values explain a condition, in the order of the text, what holds others first.

    The condition as a whole, both sides of comparisons and of ``in``, receivers and arguments of calls, the parts of
    ``&&``, ``||`` and ``!``, and what is walked over. Not what is written out, nor what lies inside a walk.
    """
    found: dict[str, Node] = {}
    for node in (tree, *_inner(tree)):
        if any(isinstance(part, Path) for part in node.walk()):
            found.setdefault(node.source, node)
    return tuple(sorted(found.values(), key=lambda node: (node.start, -node.end)))


class _Nothing:
    """What a part gives that has no value."""


NOTHING = _Nothing()


def looked_at(tree: Node, values: Mapping[str, Any]) -> frozenset[str]:
    """The parts, by their text, that a condition depends on: not those beside a part that settles an ``&&`` or ``||``.

    What settles it need not stand first: ``a && b`` is false where either is, even if the other has no value.

    Args:
        values: what each of ``operands`` gives; ``NOTHING`` where it gives nothing.
    """
    found: set[str] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        found.add(node.source)
        waiting.extend(_depends_on(node, values))
    return frozenset(found)


def _depends_on(node: Node, values: Mapping[str, Any]) -> tuple[Node, ...]:
    match node:
        case Has():
            return ()
        case Walk():
            return (node.over,)
        case Logical():
            settles = node.op == "||"
            if values.get(node.source) is settles:
                return tuple(part for part in node.parts if isinstance(values.get(part.source, settles), bool))
        case Ternary():
            condition, then, otherwise = node.children
            chosen = values.get(condition.source)
            return (condition, then) if chosen is True else (condition, otherwise) if chosen is False else (condition,)
    return node.children


def _inner(node: Node) -> Iterator[Node]:
    match node:
        case Literal() | Path() | Has():
            return
        case Walk():
            parts: tuple[Node, ...] = (node.over,)
        case Index():
            parts = (node.at,)
            yield from _inner(node.of)
        case Member():
            yield from _inner(node.of)
            return
        case Logical() | Unary() | Binary() | Call() | Ternary():
            parts = node.children
        case _:  # a list or map written out
            parts = node.children
    for part in parts:
        yield part
        yield from _inner(part)


def shown(value: Any, node: Node) -> Any:
    """The value of the operand ``node`` as plain JSON, the same in every process.

    ``amount()`` is shown as its number. What takes more than 200 characters is shown as text that is cut and says how
    long it is; so are numbers that JSON cannot hold exactly.
    """
    if isinstance(node, Call) and isinstance(value, str):
        found = _AMOUNT.fullmatch(value)
        if found:
            return _decimal(*found.groups())
    if isinstance(value, dict | list) and _is_large(value):
        return _beginning(value)
    plain = _plain(value)
    if isinstance(plain, str):
        return show(plain)
    text = json.dumps(plain, ensure_ascii=False)
    cut = show(text)
    return plain if cut == text else cut


def _is_large(value: Any) -> bool:
    """Whether it holds more values than are worth writing out to show the first few."""
    waiting, seen = [value], 0
    while waiting and seen <= _LARGE:
        value = waiting.pop()
        seen += 1
        if isinstance(value, dict | list):
            seen += len(value)
            waiting.extend(islice(value.values() if isinstance(value, dict) else value, _LARGE))
    return seen > _LARGE


def _beginning(value: Any) -> str:
    """The first characters of its JSON, without making the rest."""
    text = ""
    for part in _WRITER.iterencode(value):
        text += part[:LONGEST_VALUE]
        if len(text) > LONGEST_VALUE:
            break
    return f"{text[:LONGEST_VALUE]}… ({len(value)} members)"


def _decimal(sign: str, whole: str, fraction: str) -> str:
    if sign == "0":
        whole, fraction = whole.translate(_COMPLEMENT), fraction.translate(_COMPLEMENT)
    text = f"{whole.lstrip('0') or '0'}.{fraction}".rstrip("0").rstrip(".")
    return f"-{text}" if sign == "0" else text


def _plain(value: Any) -> Any:
    """As JSON; maps in the order of their keys, because CEL returns them in random order."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (str(key), type(key).__name__))  # "1" and 1 are two keys to CEL
        return {str(key): _plain(value[key]) for key in keys}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return f"{Decimal(value // datetime.timedelta(microseconds=1)).scaleb(-6).normalize():f}s"
    if isinstance(value, bytes):
        return repr(value)
    return f"a {type(value).__name__}"


# Not the one-shot encoder of the library: it would write everything out before it gives the first character.
_WRITER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=_plain)
