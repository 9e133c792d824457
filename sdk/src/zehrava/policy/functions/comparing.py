"""Where ``amount()`` and its like may stand: they give texts that sort as numbers, and mean nothing beside other texts.

Beside anything else CEL would compare or join the texts without a word, and the answer would be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..expressions import Binary, Call, Index, ListOf, Node, Path, Ternary, Walk
from ..tokens import ConditionError

AMOUNTS = frozenset({"amount", "amount_sum", "amount_times", "money"})

_COMPARES = frozenset({"==", "!=", "<", "<=", ">", ">="})
# What a part gives: an amount, a list of nothing else, or anything else.
_OTHER, _AMOUNT, _LIST = range(3)
_WRITE = 'compare it with another, such as amount("500"), and add with amount_sum([a, b])'


def check_amounts(condition: Node) -> None:
    """Refuse an amount beside anything but another one.

    It may be compared with another, be a branch of a choice whose other branch is one, and be in a list of nothing
    else, which may be searched with ``in``, walked over and indexed.

    Raises:
        ConditionError: naming the amount and the character it begins at.
    """
    _kind(condition, {})


def _kind(node: Node, loops: Mapping[str, int]) -> int:
    """What ``node`` gives, after everything below it was looked at; ``loops`` are the variables of walks."""
    match node:
        case Walk():
            over = _kind(node.over, loops)
            _alone(node.body, _kind(node.body, {**loops, node.variable: _AMOUNT if over == _LIST else _OTHER}))
            return _OTHER
        case Path():
            kind = loops.get(node.root, _OTHER)
            if node.steps:
                _alone(node, kind)
                return _OTHER
            return kind
    kinds = [_kind(child, loops) for child in node.children]
    match node:
        case Binary() if node.op in _COMPARES and kinds[0] == kinds[1]:
            return _OTHER
        case Binary() if node.op == "in" and (kinds == [_AMOUNT, _LIST] or _searches_nothing(node, kinds)):
            return _OTHER
        case Ternary() if kinds[0] == _OTHER and kinds[1] == kinds[2]:
            return kinds[1]
        case ListOf() if kinds and set(kinds) == {_AMOUNT}:
            return _LIST
        case Index() if kinds == [_LIST, _OTHER]:
            return _AMOUNT
    for child, kind in zip(node.children, kinds, strict=True):
        _alone(child, kind)
    return _AMOUNT if isinstance(node, Call) and node.name in AMOUNTS else _OTHER


def _searches_nothing(node: Binary, kinds: list[int]) -> bool:
    """``amount(x) in []``: never, and rightly so."""
    return kinds == [_AMOUNT, _OTHER] and isinstance(node.right, ListOf) and not node.right.children


def _alone(node: Node, kind: int) -> None:
    """Refuse ``node`` where it is an amount that stands beside something else."""
    if kind == _OTHER:
        return
    what = "is an amount" if kind == _AMOUNT else "is a list of amounts"
    raise ConditionError(f"{node.source[:80]} at character {node.start + 1} {what}: {_WRITE}")
