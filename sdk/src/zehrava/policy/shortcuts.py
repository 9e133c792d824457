"""What can be said about a condition without CEL: most conditions compare a member with a constant.

A shortcut answers True or False only where CEL would give exactly that, and None wherever it is not sure: a member that
is missing, kinds that differ, a function that fails, anything it does not know. Then CEL decides, errors included.
So it needs to know no more than the plain cases; the tests compare the two on random conditions and values.
"""

from __future__ import annotations

import datetime
import operator
from collections.abc import Callable, Mapping
from typing import Any

from .expressions import Binary, Call, Has, ListOf, Literal, Logical, MapOf, Node, Path, Unary, Walk
from .functions import FUNCTIONS, amount

Values = Mapping[str, Any]
Shortcut = Callable[[Values], bool | None]
_Getter = Callable[[Values], Any]

LONGEST = 20_000  # elements that a walk goes over without CEL
_UNSURE = object()  # what a getter gives where CEL has to decide
_SAME: dict[str, Callable[[Any, Any], bool]] = {"==": operator.eq, "!=": operator.ne}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TEXT: dict[str, Callable[[Any, Any], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": operator.contains,
}
_PASSED = frozenset({str, int, float, bool, type(None), list, dict, datetime.datetime})
_GIVEN_BACK = frozenset({str, bool, int})
_LITERALS = frozenset({"string", "int", "double", "bool", "null"})  # a uint is no int to CEL
_ORDERED = frozenset({str, int, float})
_EQUATED = frozenset({str, int, float, bool})


def shortcut(node: Node) -> Shortcut | None:
    """A function that may decide the condition ``node``, or None where there is nothing to gain."""
    if isinstance(node, Logical):
        return _logical(node)
    if isinstance(node, Unary) and node.op == "!":
        return _negated(shortcut(node.of))
    if isinstance(node, Binary):
        return _binary(node)
    if isinstance(node, Has):
        return _has(node.asked)
    if isinstance(node, Walk):
        return _walk(node)
    getter = _getter(node)
    return None if getter is None else _truth(getter)


def _truth(get: _Getter) -> Shortcut:
    def truth(values: Values) -> bool | None:
        value = get(values)
        return value if value is True or value is False else None

    return truth


def _negated(inner: Shortcut | None) -> Shortcut | None:
    if inner is None:
        return None

    def negated(values: Values) -> bool | None:
        said = inner(values)
        return None if said is None else not said

    return negated


def _logical(node: Logical) -> Shortcut | None:
    """``false && …`` is false and ``true || …`` is true whatever follows; behind an unsure part CEL decides."""
    ends = node.op == "||"
    parts = []
    for part in node.parts:
        decide = shortcut(part)
        if decide is None:
            break
        parts.append(decide)
    if not parts:
        return None
    complete = len(parts) == len(node.parts)
    known = tuple(parts)

    def logical(values: Values) -> bool | None:
        for decide in known:
            said = decide(values)
            if said is not (not ends):
                return said
        return not ends if complete else None

    return logical


def _has(node: Node) -> Shortcut | None:
    if not isinstance(node, Path):
        return None
    get, name = _path(node.root, node.steps[:-1]), node.steps[-1]

    def has(values: Values) -> bool | None:
        value = get(values)
        return name in value if type(value) is dict else None

    return has


def _walk(node: Walk) -> Shortcut | None:
    """A walk over a list, element by element as it is: CEL copies the whole list to and fro before it begins.

    Only where nothing is read but the element: what else a walk costs is weighed before CEL begins (``walks``).
    """
    body = shortcut(node.body)
    inside = {node.variable, *(each.variable for each in node.body.walk() if isinstance(each, Walk))}
    outside = any(isinstance(each, Path) and each.root not in inside for each in node.body.walk())
    if body is None or outside or not isinstance(node.over, Path):
        return None
    get, name, decide = _path(node.over.root, node.over.steps), node.variable, body

    def walk(values: Values) -> bool | None:
        members = get(values)
        if type(members) is not list or len(members) > LONGEST:
            return None  # what is longer is charged to what all conditions may read
        around = dict(values)
        holding = 0
        for around[name] in members:
            said = decide(around)
            if said is None:
                return None  # CEL gives up at the first element without an answer, whatever the others are
            if said:
                if node.name == "exists":
                    return True
                holding += 1
            elif node.name == "all":
                return False
        return node.name == "all" or (node.name == "exists_one" and holding == 1)

    return walk


def _binary(node: Binary) -> Shortcut | None:
    if node.op == "in":
        return _within(node)
    left, right = _getter(node.left), _getter(node.right)
    if left is None or right is None:
        return None
    for one, other in ((node.left, right), (node.right, left)):
        if isinstance(one, Literal) and one.type == "null":
            return _null(other, node.op)
    if node.op in _SAME:
        return _compared(node, left, right, _SAME[node.op], _EQUATED)
    if node.op in _ORDER:
        return _compared(node, left, right, _ORDER[node.op], _ORDERED)
    return None


def _compared(
    node: Binary, left: _Getter, right: _Getter, compare: Callable[[Any, Any], bool], kinds: frozenset[type]
) -> Shortcut | None:
    """Two values of the same plain kind; numbers of different kinds are left to CEL."""
    constant = _constant(node.right)
    if constant is not _UNSURE:
        kind = type(constant)
        if kind not in kinds:
            return None
        if isinstance(node.left, Path) and len(node.left.steps) == 1:
            root, (step,) = node.left.root, node.left.steps

            def member(values: Values) -> bool | None:  # by far the most frequent: spares a call
                holder = values.get(root)
                if type(holder) is dict:
                    value = holder.get(step)
                    if type(value) is kind:  # never null: kinds of constants that are compared
                        return compare(value, constant)
                return None

            return member

        def compared(values: Values) -> bool | None:
            value = left(values)
            return compare(value, constant) if type(value) is kind else None

        return compared

    def both(values: Values) -> bool | None:
        value, other = left(values), right(values)
        kind = type(value)
        return compare(value, other) if kind in kinds and kind is type(other) else None

    return both


def _null(get: _Getter, op: str) -> Shortcut | None:
    if op not in _SAME:
        return None
    wanted = op == "=="

    def null(values: Values) -> bool | None:
        value = get(values)
        return None if value is _UNSURE else (value is None) is wanted

    return null


def _within(node: Binary) -> Shortcut | None:
    left = _getter(node.left)
    if left is None:
        return None
    if isinstance(node.right, ListOf):
        constants = [_constant(member) for member in node.right.children]
        kinds = {type(constant) for constant in constants}
        if kinds not in ({str}, {int}):
            return None
        (kind,) = kinds
        wanted = frozenset(constants)

        def listed(values: Values) -> bool | None:
            value = left(values)
            return value in wanted if type(value) is kind else None

        return listed
    right = _getter(node.right)
    if right is None:
        return None

    def within(values: Values) -> bool | None:
        value, members = left(values), right(values)
        if type(value) is not str or type(members) is not list:
            return None
        return value in members if all(type(member) is str for member in members) else None

    return within


def _constant(node: Node) -> Any:
    """The value of a constant, also of ``amount("500")``; the marker of not sure where it is none."""
    if isinstance(node, Literal) and node.type in _LITERALS:
        return node.value
    if isinstance(node, Call) and node.name == "amount" and node.receiver is None and len(node.args) == 1:
        inner = _constant(node.args[0])
        return _amount(inner)
    return _UNSURE


def _getter(node: Node) -> _Getter | None:
    """What gives the value of an operand, or the marker of not sure."""
    constant = _constant(node)
    if constant is not _UNSURE:
        return lambda values: constant
    if isinstance(node, Path):
        return _path(node.root, node.steps)
    if isinstance(node, Call):
        if node.receiver is None and node.name in FUNCTIONS:
            return _function(node)
        return _method(node)
    return None


def found(node: Node, values: Values) -> Any:
    """The value of an operand, without CEL.

    Raises:
        LookupError: when that cannot be said here.
    """
    get = _getter(node)
    value = _UNSURE if get is None else get(values)
    if value is _UNSURE:
        raise LookupError(node.source)
    return value


def _path(root: str, steps: tuple[str, ...]) -> _Getter:
    if len(steps) == 1:
        (step,) = steps

        def member(values: Values) -> Any:
            value = values.get(root)
            return value.get(step, _UNSURE) if type(value) is dict else _UNSURE

        return member

    def path(values: Values) -> Any:
        value = values.get(root, _UNSURE)
        for name in steps:
            if type(value) is not dict:
                return _UNSURE
            value = value.get(name, _UNSURE)
        return value

    return path


def _amount(value: Any) -> Any:
    if type(value) not in (str, int, float):
        return _UNSURE
    try:
        return amount(value)
    except ValueError:
        return _UNSURE


def _function(node: Call) -> _Getter | None:
    """The very function that CEL would call; whatever it raises, CEL shall say."""
    if node.name == "amount" and len(node.args) == 1:
        inner = _getter(node.args[0])
        return None if inner is None else lambda values: _amount(inner(values))
    given = [_argument(argument) for argument in node.args]
    getters = tuple(get for get in given if get is not None)
    if len(getters) < len(given):
        return None
    function = FUNCTIONS[node.name]

    def called(values: Values) -> Any:
        try:
            arguments = [get(values) for get in getters]
            if _UNSURE in arguments:
                return _UNSURE
            result = function(*arguments)
        except Exception:
            return _UNSURE
        return result if type(result) in _GIVEN_BACK else _UNSURE

    return called


def _argument(node: Node) -> _Getter | None:
    """A value of the intent, or what is written out: it reaches a function through CEL as it is."""
    written = _written(node)
    if written is not _UNSURE:
        return lambda values: written
    get = _getter(node)
    if get is None:
        return None

    def given(values: Values) -> Any:
        value = get(values)
        return value if type(value) in _PASSED else _UNSURE

    return given


def _written(node: Node) -> Any:
    """The value of a constant, or of a list or map of constants; the marker of not sure for anything else."""
    if not isinstance(node, ListOf | MapOf):
        return _constant(node)
    parts = [_written(part) for part in node.children]
    if _UNSURE in parts:
        return _UNSURE
    if isinstance(node, ListOf):
        return parts
    keys = parts[::2]
    plain = all(type(key) is str for key in keys) and len(set(keys)) == len(keys)
    return dict(zip(keys, parts[1::2], strict=True)) if plain else _UNSURE


def _method(node: Call) -> _Getter | None:
    if node.name == "size" and len(node.children) == 1:
        sized = _getter(node.children[0])
        return None if sized is None else lambda values: _size(sized(values))
    if node.receiver is None or node.name not in _TEXT or len(node.args) != 1:
        return None
    receiver, argument = _getter(node.receiver), _getter(node.args[0])
    if receiver is None or argument is None:
        return None
    test = _TEXT[node.name]

    def method(values: Values) -> Any:
        text, part = receiver(values), argument(values)
        return test(text, part) if type(text) is str and type(part) is str else _UNSURE

    return method


def _size(value: Any) -> Any:
    """Members of a list or map; of a text the bytes of its UTF-8, as CEL here counts."""
    if type(value) is list or type(value) is dict:
        return len(value)
    if type(value) is str:
        return len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))
    return _UNSURE
