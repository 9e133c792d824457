"""Building conditions out of parts. Nothing is pasted: each literal is quoted and each operator bound here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from ..conditions import Condition, ConditionError
from ..functions import amount

_CHOICE, _OR, _AND, _COMPARE, _UNARY, _ATOM = range(6)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RESERVED = frozenset(
    [
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"),
        *("package", "namespace", "null", "return", "true", "var", "void", "while"),
    ]
)


class CannotSay(ValueError):
    """Something has no equal in a condition; the reason is one sentence."""


class Cel(NamedTuple):
    """Text of a condition and how tightly its outermost operator binds."""

    text: str
    binds: int = _ATOM
    parts: tuple[Cel, ...] = ()  # of an "and": what it joins

    def inside(self, binds: int) -> str:
        """The text as an operand of something that binds so tightly."""
        return self.text if self.binds >= binds else f"({self.text})"


TRUE = Cel("true")
FALSE = Cel("false")


def both(*parts: Cel | None) -> Cel | None:
    """All of them; None is what always holds."""
    flat = [each for part in parts if part is not None for each in part.parts or (part,)]
    real = tuple(dict.fromkeys(part for part in flat if part != TRUE))
    if len(real) < 2:
        return real[0] if real else None
    return Cel(" && ".join(part.inside(_AND) for part in real), _AND, real)


def either(*parts: Cel) -> Cel:
    """At least one of them; none given: false."""
    real = list(dict.fromkeys(part for part in parts if part != FALSE))
    if not real:
        return FALSE
    if TRUE in real:
        return TRUE
    return real[0] if len(real) == 1 else Cel(" || ".join(part.inside(_OR) for part in real), _OR)


def negate(part: Cel | None) -> Cel:
    """Its opposite; of what always holds: false."""
    if part is None or part == TRUE:
        return FALSE
    if part == FALSE:
        return TRUE
    return Cel(f"!{part.inside(_ATOM)}", _UNARY)


def choose(test: Cel, then: Cel, otherwise: Cel) -> Cel:
    """One or the other."""
    return Cel(f"{test.inside(_OR)} ? {then.inside(_OR)} : {otherwise.inside(_CHOICE)}", _CHOICE)


def literal(value: Any) -> Cel:
    """A string, a number, true, false or null."""
    if value is None or isinstance(value, bool):
        return Cel({None: "null", True: "true", False: "false"}[value])
    if isinstance(value, str):
        return Cel('"' + "".join(_escape(each) for each in value) + '"')
    return Cel(decimal(value))


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    category = unicodedata.category(character)
    if character == " " or category[0] in "LNPS":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def decimal(value: int | float) -> str:
    """A number as plain decimal digits."""
    return str(value) if isinstance(value, int) else format(Decimal(repr(value)), "f")


def amount_of(value: Cel | int | float) -> Cel:
    """``amount(…)`` of a member or of a number.

    Raises:
        CannotSay: for a number that is no amount.
    """
    if isinstance(value, Cel):
        return Cel(f"amount({value.text})")
    try:
        amount(decimal(value))
    except ValueError as error:
        raise CannotSay(str(error)) from None
    return Cel(f"amount({literal(decimal(value)).text})")


def compare(left: Cel, operator: str, right: Cel) -> Cel:
    """A comparison by one of == != < <= > >=."""
    assert operator in ("==", "!=", "<", "<=", ">", ">="), operator
    return Cel(f"{left.inside(_UNARY)} {operator} {right.inside(_UNARY)}", _COMPARE)


def one_of(left: Cel, values: Sequence[Any]) -> Cel:
    """Whether ``left`` is one of the literals."""
    if len(values) == 1:
        return compare(left, "==", literal(values[0]))
    return Cel(f"{left.inside(_UNARY)} in [{', '.join(literal(value).text for value in values)}]", _COMPARE)


def none_of(left: Cel, values: Sequence[Any]) -> Cel:
    """Whether ``left`` is none of the literals."""
    return compare(left, "!=", literal(values[0])) if len(values) == 1 else negate(one_of(left, values))


def contains(value: Cel, part: str) -> Cel:
    """Whether a text has ``part`` in it."""
    return Cel(f"{value.inside(_ATOM)}.contains({literal(part).text})")


def is_number(value: Cel) -> Cel:
    """Whether a value is a number; a text of digits is none."""
    return Cel(f"type({value.text}) in [int, double]", _COMPARE)


def call(name: str, *arguments: Cel) -> Cel:
    """A function of ours."""
    return Cel(f"{name}({', '.join(argument.text for argument in arguments)})")


def strings(values: Iterable[str]) -> Cel:
    """A list of texts, written out."""
    return Cel(f"[{', '.join(literal(value).text for value in values)}]")


def is_kind(value: Cel, name: str, *, negated: bool = False) -> Cel:
    """Whether a value is a ``string``, ``list`` or ``map``, or is not."""
    assert name in ("string", "list", "map"), name
    return Cel(f"type({value.text}) {'!=' if negated else '=='} {name}", _COMPARE)


def matches(value: Cel, pattern: str) -> Cel:
    """Whether a text contains what the regular expression describes."""
    quoted = literal(pattern).text
    if "\\" in pattern and '"' not in pattern and pattern.isprintable() and pattern.isascii():
        quoted = f'r"{pattern}"'
    return Cel(f"{value.inside(_ATOM)}.matches({quoted})")


class Path(NamedTuple):
    """A member, such as ``payload.customer.email``."""

    root: str
    keys: tuple[str, ...] = ()

    @property
    def value(self) -> Cel:
        """How a condition reads it."""
        text = self.root
        for key in self.keys:
            text += f".{key}" if _is_name(key) else f"[{literal(key).text}]"
        return Cel(text)

    @property
    def present(self) -> Cel | None:
        """Whether it is there; None where it has to be. Fails where something on the way has no members."""
        if self.root in ("intent", "agent"):
            return None
        tests = []
        for end in range(len(self.keys)):
            parent = Path(self.root, self.keys[:end]).value
            if _is_name(self.keys[end]):
                tests.append(call("has", Path(self.root, self.keys[: end + 1]).value))
            else:
                tests.append(is_kind(parent, "map"))
                tests.append(Cel(f"{literal(self.keys[end]).text} in {parent.text}", _COMPARE))
        return both(*tests)


def _is_name(key: str) -> bool:
    return bool(_NAME.fullmatch(key)) and key not in _RESERVED


def fits(condition: Cel | None) -> bool:
    """Whether a rule can have this condition: length, depth, patterns."""
    if condition is None:
        return True
    try:
        Condition.parse(condition.text)
    except ConditionError:
        return False
    return True
