"""What must be so for a condition to hold, or not to hold: ways, each a list of claims that must all be true.

The ways are complete: a condition gives true only if every claim of one of its ways is true. Where a part is too
involved to take apart it becomes one claim about itself, so that the ways can only be too many.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

from ..conditions import Condition, ConditionError, Reads
from ..expressions import (
    Binary,
    Call,
    Has,
    Index,
    ListOf,
    Literal,
    Logical,
    MapOf,
    Member,
    Node,
    Path,
    Ternary,
    Unary,
    Walk,
)  # fmt: skip
from ..functions import amount
from ..functions.times import DAYS
from ..plain_data import EvaluationError
from .values import NOTHING, Span, Values, all_but, kind_of, of_kinds, points

MOST_WAYS = 48

Steps = tuple[str | int, ...]
"""A path as ``("payload", "items", 0, "sku")``."""

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class Term:
    """Something that has a value: a path, a call, or a whole condition (then true or false).

    Attributes:
        key: the same for whatever has the same value.
        node: where it is written; None for a path that only leads to what is written.
        path: what is looked up, where the term is a path, or what ``wrap`` says of one.
        wrap: ``amount``, ``size``, ``length``, or "" for the value itself.
    """

    key: str
    node: Node | None = field(default=None, compare=False)
    path: Steps | None = field(default=None, compare=False)
    wrap: str = field(default="", compare=False)

    @property
    def is_amount(self) -> bool:
        return isinstance(self.node, Call) and self.node.name in _AMOUNTS


@dataclass(frozen=True, slots=True)
class Claim:
    """The value of a term is one of these; to say so, some members must be there, and perhaps one must not.

    Attributes:
        source: the text of the part of the condition; ``wanted`` whether it is to be true or false.
    """

    term: Term
    values: Values
    source: str
    wanted: bool
    needs: tuple[Steps, ...] = ()
    lacks: Steps | None = None

    @property
    def text(self) -> str:
        return f"`{self.source}`" if self.wanted else f"not `{self.source}`"


Way = tuple[Claim, ...]


class _TooMany(Exception):
    """More ways than are looked at."""


def ways(node: Node, wanted: bool = True) -> list[Way]:
    """The ways in which a condition gives ``wanted``; none at all where it never does."""
    try:
        return _ways(node, wanted)
    except _TooMany:
        return [(_whole(node, wanted),)]


def _ways(node: Node, wanted: bool) -> list[Way]:
    folded = constant(node)
    if folded is not None:
        return [()] if folded[1] is wanted else []
    if isinstance(node, Logical):
        if (node.op == "&&") is wanted:
            return _all([ways(part, wanted) for part in node.parts])
        return _limited([way for part in node.parts for way in ways(part, wanted)])
    if isinstance(node, Unary) and node.op == "!":
        return _ways(node.of, not wanted)
    if isinstance(node, Ternary):
        condition, then, otherwise = node.children
        return _limited(
            [
                *_all([ways(condition, True), ways(then, wanted)]),
                *_all([ways(condition, False), ways(otherwise, wanted)]),
            ]
        )
    if isinstance(node, Has):
        return [(_there(node, wanted),)]
    if isinstance(node, Binary) and node.op in (*_MIRRORED, "in"):
        return _compared(node, wanted)
    return [(_whole(node, wanted),)]


def _all(parts: list[list[Way]]) -> list[Way]:
    if math.prod(len(part) for part in parts) > MOST_WAYS:
        raise _TooMany
    return [tuple(itertools.chain.from_iterable(chosen)) for chosen in itertools.product(*parts)]


def _limited(found: list[Way]) -> list[Way]:
    if len(found) > MOST_WAYS:
        raise _TooMany
    return found


def _whole(node: Node, wanted: bool) -> Claim:
    """One claim about a part as it stands."""
    return Claim(term(node), points([("bool", wanted)]), node.source, wanted, _sorted(needed(node)))


def _there(node: Has, wanted: bool) -> Claim:
    asked = steps(node.asked)
    needs = set(needed(node))
    if wanted and asked:
        needs.add(asked)
    whole = Term(text(node), node)
    return Claim(whole, points([("bool", wanted)]), node.source, wanted, _sorted(needs), None if wanted else asked)


def _compared(node: Binary, wanted: bool) -> list[Way]:
    if _may_be_no_number(node):
        return [(_whole(node, wanted),)]
    if node.op == "in":
        return _among(node, wanted)
    left, right, op = node.left, node.right, node.op
    value = constant(right)
    if value is None:
        left, right, op, value = right, left, _MIRRORED[op], constant(left)
    if value is None:
        return _two_terms(node, wanted)
    subject = term(left)
    if op in ("==", "!="):
        values: Values = points([value]) if (op == "==") is wanted else all_but([value])
        confused = _confused(subject, [value[0]])
    else:
        values = _ordered(op if wanted else _OPPOSITE[op], *value)
        confused = value[0] == "bool" or _confused(subject, [value[0]])
    if confused:
        return [(_whole(node, wanted),)]
    return [(Claim(subject, values, node.source, wanted, _sorted(needed(left))),)]


def _confused(subject: Term, kinds: Iterable[str]) -> bool:
    """Whether an amount meets plain text: CEL compares them, since amounts are texts to it, but nobody means that."""
    return any(kind == ("string" if subject.is_amount else "amount") for kind in kinds)


def _ordered(op: str, kind: str, value: Any) -> Values:
    if kind not in ("number", "string", "amount"):
        return NOTHING
    if op in ("<", "<="):
        return {kind: Span(high=value, open_high=op == "<")}
    return {kind: Span(low=value, open_low=op == ">")}


def _among(node: Binary, wanted: bool) -> list[Way]:
    """``x in [a, b]``."""
    members = [constant(member) for member in node.right.children] if isinstance(node.right, ListOf) else [None]
    subject = term(node.left)
    found = [member for member in members if member is not None]
    if len(found) < len(members) or _confused(subject, [kind for kind, _ in found]):
        return [(_whole(node, wanted),)]
    values: Values = points(found) if wanted else all_but(found)
    return [(Claim(subject, values, node.source, wanted, _sorted(needed(node.left))),)]


def _two_terms(node: Binary, wanted: bool) -> list[Way]:
    """Two things that vary, put so that ``a > b``, ``b < a`` and not ``a <= b`` are the same claim."""
    a, b, op = text(node.left), text(node.right), node.op
    truth = wanted
    if op in (">", "<="):
        a, b = b, a
    if op in (">=", "<=", "!="):
        truth = not truth
    if op in ("==", "!="):
        a, b = sorted((a, b))
        if a == b and not truth:
            return []
        key = f"{a} == {b}"
    else:
        if a == b and truth:
            return []
        key = f"{a} < {b}"
    return [(Claim(Term(key, node), points([("bool", truth)]), node.source, wanted, _sorted(needed(node))),)]


def term(node: Node) -> Term:
    """The term that a node is."""
    path = steps(node)
    if path is not None:
        return Term(text(node), node, path)
    if isinstance(node, Call) and node.name in ("amount", "size", "length"):
        inner = node.args[0] if node.receiver is None and len(node.args) == 1 else None
        if node.receiver is not None and not node.args:
            inner = node.receiver
        if inner is not None:
            return Term(text(node), node, steps(inner), node.name)
    return Term(text(node), node)


def steps(node: Node) -> Steps | None:
    """The path that a node looks up, or None where it is no path, or one that is not written out."""
    if isinstance(node, Path):
        return (node.root, *node.steps)
    if isinstance(node, Member):
        of = steps(node.of)
        return None if of is None else (*of, node.name)
    if isinstance(node, Index) and isinstance(node.at, Literal) and node.at.type in ("string", "int"):
        of = steps(node.of)
        return None if of is None else (*of, node.at.value)
    return None


def _sorted(paths: Iterable[Steps]) -> tuple[Steps, ...]:
    """In one order, so that of several things that are wrong the same is said each time."""
    return tuple(sorted(paths, key=path_text))


def needed(node: Node) -> frozenset[Steps]:
    """The paths that must be there for a node to have a value at all; never too many."""
    path = steps(node)
    if path is not None:
        return frozenset([path])
    if isinstance(node, Has):
        asked = steps(node.asked)
        return frozenset([asked[:-1]]) if asked and len(asked) > 1 else frozenset()
    if isinstance(node, Ternary | Walk):
        return needed(node.children[0])
    if isinstance(node, Logical):
        return frozenset.intersection(*(needed(part) for part in node.parts))
    if isinstance(node, Literal | Path):
        return frozenset()
    return frozenset().union(*(needed(child) for child in node.children))


def text(node: Node) -> str:
    """A node written in one way, whatever its spaces and quotes."""
    path = steps(node)
    if path is not None:
        return path_text(path)
    if isinstance(node, Literal):
        return f"{node.type}:{node.value!r}" if node.type in ("bytes", "uint") else json.dumps(node.value)
    inner = [text(child) for child in node.children]
    if isinstance(node, Has):
        return f"has({inner[0]})"
    if isinstance(node, Member):
        return f"{inner[0]}.{node.name}"
    if isinstance(node, Index):
        return f"{inner[0]}[{inner[1]}]"
    if isinstance(node, Call):
        if node.name == "size" and len(inner) == 1:
            return f"size({inner[0]})"
        receiver = f"{inner.pop(0)}." if node.receiver is not None else ""
        return f"{receiver}{node.name}({', '.join(inner)})"
    if isinstance(node, Walk):
        return f"{inner[0]}.{node.name}({node.variable}, {inner[1]})"
    if isinstance(node, ListOf | MapOf):
        return f"{node.kind}({', '.join(inner)})"
    op = getattr(node, "op", node.kind)
    return f"({f' {op} '.join(inner)})" if len(inner) > 1 else f"({op} {inner[0]})"


def path_text(path: Steps) -> str:
    """A path as conditions write it."""
    shown = [f".{step}" if isinstance(step, str) and step.isidentifier() else f"[{json.dumps(step)}]" for step in path]
    return "".join(shown).lstrip(".")


def constant(node: Node) -> tuple[str, Any] | None:
    """The kind and value of a node that reads nothing; None where it does, has no value, or none of these kinds."""
    if isinstance(node, Literal):
        kind = kind_of(node.value)
        return (kind, node.value) if kind in ("null", "bool", "number", "string") else None
    if isinstance(node, Call) and node.name == "amount" and len(node.args) == 1:
        inner = constant(node.args[0])
        return None if inner is None else _amount(inner[1])
    if any(isinstance(part, Path | Has | Walk) for part in node.walk()):
        return None
    return _evaluated(node.source)


def _amount(value: Any) -> tuple[str, Any] | None:
    try:
        amount(value)
    except (ValueError, TypeError):
        return None
    return "amount", Decimal(repr(value) if isinstance(value, float) else value)


@lru_cache(maxsize=512)
def _evaluated(source: str) -> tuple[str, Any] | None:
    try:
        value = Condition.parse(source).value(Reads(()).environment({}))
    except (ConditionError, EvaluationError):
        return None
    kind = kind_of(value)
    if kind not in ("null", "bool", "number", "string") or (kind == "number" and not math.isfinite(value)):
        return None
    return kind, value


def _may_be_no_number(node: Node) -> bool:
    """Whether arithmetic could give NaN, of which every comparison is false."""
    return any(
        (isinstance(part, Binary) and part.op in _ARITHMETIC) or (isinstance(part, Call) and part.name == "double")
        for part in node.walk()
    )


_ARITHMETIC = frozenset({"+", "-", "*", "/", "%"})
_BOOLEANS = frozenset(
    {"startsWith", "endsWith", "contains", "matches", "glob", "in_cidr", "contains_term", "in_hours", "on_days",
     "on_dates"}
)  # fmt: skip
_NUMBERS = frozenset({"int", "uint", "double"})
_SIZES = frozenset({"size", "length", "json_size"})
_STRINGS = frozenset({"string", "domain", "url_host"})
_AMOUNTS = frozenset({"amount", "amount_sum", "amount_times", "money"})


def own_values(subject: Term) -> Values | None:
    """What is known of a term by how it is written, or None where that is nothing."""
    node = subject.node
    if subject.is_amount:
        return of_kinds("amount")
    if isinstance(node, Call) and node.name in _SIZES:
        return {"number": Span(low=0, whole=True)}
    if subject.path:
        return None
    if isinstance(node, Literal):
        value = constant(node)
        return points([value]) if value else None
    if isinstance(node, Call):
        if node.name in _BOOLEANS:
            return of_kinds("bool")
        if node.name in _NUMBERS:
            return of_kinds("number")
        if node.name in _STRINGS:
            return of_kinds("string")
        if node.name == "weekday":
            return points(("string", day) for day in DAYS)
    if isinstance(node, Has | Walk | Logical) or (isinstance(node, Binary) and node.op not in _ARITHMETIC):
        return of_kinds("bool")
    return None
