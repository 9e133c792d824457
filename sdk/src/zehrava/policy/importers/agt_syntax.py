"""Reading the condition strings of ``governance.toolkit/v1`` as what they say, with the usual precedence.

The toolkit splits them at ``or``, then at ``and``, and holds the beginnings of the pieces against a few patterns; what
fits none is silently false, and what follows a match is passed over. Here the whole of it is read, and beside it what
the toolkit took it for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .cel import CannotSay

MAX_CHARACTERS = 2_000
MAX_TOKENS = 200
MAX_DEPTH = 16
MAX_STEPS = 8

Value = str | int | float | bool | None

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<string>'[^']*'|"[^"]*")
  | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?![\w.]))
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
  | (?P<sign>&&|\|\||==|!=|>=|<=|[<>!()\[\],])
    """,
    re.VERBOSE | re.ASCII,
)
_WORDS = frozenset({"and", "or", "not", "in", "true", "false", "null", "none"})
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "none": None}
_FLIPPED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_SPLITS = re.compile(r"[ ](?:and|or)[ ]", re.ASCII)


class Some(NamedTuple):
    """At least one of them holds."""

    parts: tuple[Expression, ...]


class All(NamedTuple):
    """All of them hold."""

    parts: tuple[Expression, ...]


class Not(NamedTuple):
    """The opposite."""

    part: Expression


class Always(NamedTuple):
    """``true`` or ``false`` on its own."""

    holds: bool


class Compared(NamedTuple):
    """A field held against a constant."""

    field: str
    operator: str
    value: Value


class Among(NamedTuple):
    """A field that is one of several, or none of them."""

    field: str
    values: tuple[Value, ...]
    negated: bool


class Found(NamedTuple):
    """A text that has another in it (``contains``), or something that a regular expression describes (``matches``)."""

    field: str
    how: str
    value: str


class Truth(NamedTuple):
    """A field on its own."""

    field: str


Expression = Some | All | Not | Always | Compared | Among | Found | Truth
FINDS = ("contains", "matches")


_FIELD = re.compile(r"\w+(?:\.\w+)*")
_BEGINNINGS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Expression]], ...] = (
    (
        re.compile(rf"({_FIELD.pattern})\s*(==|!=)\s*['\"]([^'\"]+)['\"]"),
        lambda found: Compared(found[1], found[2], found[3]),
    ),
    (
        re.compile(rf"({_FIELD.pattern})\s+in\s+\[([^\]]*)\]"),
        lambda found: Among(
            found[1], tuple(each.strip().strip("'\"") for each in found[2].split(",") if each.strip()), False
        ),
    ),
    (
        re.compile(rf"({_FIELD.pattern})\s*(>=|<=|>|<)\s*([0-9]+(?:\.[0-9]+)?)"),
        lambda found: Compared(found[1], found[2], float(found[3]) if "." in found[3] else int(found[3])),
    ),
)


@dataclass(slots=True)
class Reading:
    """A condition as it says, and as the toolkit took it.

    Attributes:
        expression: what it says.
        silent: what of it never matched in the toolkit.
        taken: what the toolkit matched of it, where that is something else.
        passed: comparisons behind which the toolkit passed over what follows.
    """

    expression: Expression
    silent: list[str] = field(default_factory=list)
    taken: Expression | None = None
    passed: list[str] = field(default_factory=list)


class _Token(NamedTuple):
    kind: str
    text: str


def parse(text: str) -> Reading:
    """The condition in ``text``.

    Raises:
        CannotSay: for what is none, or compares two fields.
    """
    if len(text) > MAX_CHARACTERS:
        raise CannotSay(f"a condition has at most {MAX_CHARACTERS} characters")
    tokens = _tokens(text)
    parser = _Parser(tokens)
    joints = sum(1 for token in tokens if token.kind == "name" and token.text in ("and", "or"))
    if joints > len(_SPLITS.findall(re.sub(r"'[^']*'|\"[^\"]*\"", "''", text))):
        parser.joints.append("`and` or `or` that is not between spaces")
    expression = parser.disjunction(0)
    if parser.at < len(parser.tokens):
        raise CannotSay(f"{parser.tokens[parser.at].text[:40]!r} does not belong there")
    passed: list[str] = []
    taken = _taken(text, passed)
    if taken == Always(False):
        parser.silent += parser.joints
    silent = list(dict.fromkeys(parser.silent))
    return Reading(expression, silent, None if taken == expression else taken, list(dict.fromkeys(passed)))


def _taken(text: str, passed: list[str]) -> Expression:
    """What the toolkit made of a condition: cut at ``or``, then at ``and``, and of each piece only what it begins with.

    Args:
        passed: gets the beginning of every piece of which the rest was passed over.
    """
    for word, joined in ((" or ", Some), (" and ", All)):
        if word in text:
            parts = tuple(_taken(part.strip(), passed) for part in text.split(word))
            if joined is All and Always(False) in parts:
                return Always(False)
            real = tuple(part for part in parts if part != Always(False))
            return joined(real) if len(real) > 1 else real[0] if real else Always(False)
    for pattern, make in _BEGINNINGS:
        found = pattern.match(text)
        if found:
            if found.end() < len(text):
                passed.append(found.group())
            return make(found)
    return Truth(text) if _FIELD.fullmatch(text) else Always(False)


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise CannotSay(f"{text[at]!r} at character {at + 1} does not belong in a condition")
        if found.lastgroup == "name" and found.group().count(".") >= MAX_STEPS:
            raise CannotSay(f"a field has at most {MAX_STEPS} steps")
        if found.lastgroup != "space":
            tokens.append(_Token(str(found.lastgroup), found.group()))
        at = found.end()
    if not tokens:
        raise CannotSay("a condition cannot be empty")
    if len(tokens) > MAX_TOKENS:
        raise CannotSay(f"a condition has at most {MAX_TOKENS} names, values and signs")
    return tokens


class _Parser:
    """Recursive descent, bounded in depth."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.at = 0
        self.silent: list[str] = []
        self.joints: list[str] = []  # `&&` and the like, which the toolkit did not know

    def _peek(self) -> _Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else _Token("end", "")

    def _word(self) -> str:
        """The keyword or sign that comes next, in lower case."""
        token = self._peek()
        if token.kind == "sign" or (token.kind == "name" and token.text.lower() in _WORDS):
            return token.text.lower()
        return ""

    def _accept(self, *words: str) -> str:
        word = self._word()
        if word not in words:
            return ""
        if word in ("&&", "||"):
            self.joints.append(f"`{word}`")
        elif word in ("and", "or") and self._peek().text != word:
            self.joints.append(f"`{self._peek().text}` in capitals")
        elif word == "!":
            self.silent.append("`!`")
        elif word in ("not", "in") and self._peek().text != word:
            self.silent.append(f"`{self._peek().text}` in capitals")
        self.at += 1
        return word

    def _expect(self, sign: str) -> None:
        if not self._accept(sign):
            raise CannotSay(f"{sign!r} is missing before {self._peek().text[:40]!r}")

    def disjunction(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise CannotSay(f"the condition is nested deeper than {MAX_DEPTH}")
        parts = [self._conjunction(depth)]
        while self._accept("or", "||"):
            parts.append(self._conjunction(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _conjunction(self, depth: int) -> Expression:
        parts = [self._negation(depth)]
        while self._accept("and", "&&"):
            parts.append(self._negation(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _negation(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise CannotSay(f"the condition is nested deeper than {MAX_DEPTH}")
        if self._accept("not", "!"):
            self.silent.append("`not`")
            return Not(self._negation(depth + 1))
        if self._accept("("):
            self.silent.append("parentheses")
            inner = self.disjunction(depth + 1)
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Expression:
        token = self._peek()
        if self._is_value(token):
            return self._constant_first()
        if token.kind != "name" or self._word():
            raise CannotSay(
                f"{token.text[:40]!r} does not belong there" if token.text else "the condition ends too soon"
            )
        self.at += 1
        negated = self._word() == "not"
        if negated:
            self.at += 1
            self.silent.append("`not in`")
            if self._word() != "in":
                raise CannotSay("`not` behind a field belongs to `in`")
        if self._accept("in"):
            return Among(token.text, self._list(), negated)
        if self._peek().kind == "name" and self._peek().text in FINDS:
            return self._found(token.text)
        operator = self._accept(*_FLIPPED)
        if not operator:
            return Truth(token.text)
        if not self._is_value(self._peek()):
            raise CannotSay("two fields cannot be compared")
        return self._compared(token.text, operator, self._value())

    def _found(self, name: str) -> Expression:
        how = self._peek().text
        self.at += 1
        self.silent.append(f"`{how}`")
        if self._peek().kind != "string":
            raise CannotSay(f"`{how}` needs a text in quotes behind it")
        return Found(name, how, str(self._value()))

    def _constant_first(self) -> Expression:
        constant = self._peek()
        value = self._value()
        operator = self._accept(*_FLIPPED)
        if not operator:
            if isinstance(value, bool):
                self.silent.append(f"`{constant.text}` on its own")
                return Always(value)
            raise CannotSay("a value alone is no condition")
        name = self._peek()
        if name.kind != "name" or self._word():
            raise CannotSay("a constant is compared with a field")
        self.at += 1
        self.silent.append("a constant before its field")
        return self._compared(name.text, _FLIPPED[operator], value)

    def _compared(self, name: str, operator: str, value: Value) -> Expression:
        if operator in ("==", "!="):
            if not isinstance(value, str):
                self.silent.append(f"`{operator} {_shown(value)}`")
            else:
                self._check_text(value, f"`{operator}` with")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise CannotSay("only numbers are greater or smaller")
        elif value < 0:
            self.silent.append("a negative number")
        return Compared(name, operator, value)

    def _check_text(self, value: str, where: str) -> None:
        if not value:
            self.silent.append(f"{where} an empty text")
        if "'" in value or '"' in value:
            self.silent.append(f"{where} a quote in a text")
        if " and " in value or " or " in value:
            self.silent.append(f"{where} `and` or `or` in a text")

    def _is_value(self, token: _Token) -> bool:
        return token.kind in ("string", "number") or (token.kind == "name" and token.text.lower() in _CONSTANTS)

    def _value(self) -> Value:
        token = self._peek()
        self.at += 1
        if token.kind == "string":
            return token.text[1:-1]
        if token.kind == "number":
            if len(token.text) > 17:
                raise CannotSay("a number has at most 17 digits")
            return float(token.text) if "." in token.text else int(token.text)
        return _CONSTANTS[token.text.lower()]

    def _list(self) -> tuple[Value, ...]:
        self._expect("[")
        values: list[Value] = []
        while self._word() != "]":
            token = self._peek()
            if self._is_value(token):
                value = self._value()
                if isinstance(value, str):
                    self._check_text(value, "`in` with")
                    if "," in value or "]" in value:
                        self.silent.append("`in` with a comma or bracket in a text")
                else:
                    self.silent.append(f"`in [{_shown(value)}]`")
                values.append(value)
            elif token.kind == "name" and not self._word():
                self.at += 1  # words without quotes are texts in a list
                values.append(token.text)
            else:
                raise CannotSay(f"{token.text[:40]!r} does not belong in a list")
            if not self._accept(","):
                break
        self._expect("]")
        return tuple(values)


def _shown(value: Value) -> str:
    return {None: "null", True: "true", False: "false"}[value] if isinstance(value, bool | None) else str(value)
