"""A condition as a small syntax tree, each node with the text it was written as.

CEL evaluates conditions; this tree explains them (the operands of a trace), finds what can be decided without CEL, and
is what lint reasons about. It reads the same language by the same precedence, bounded as conditions are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from .tokens import CONSTANTS, ConditionError, Token, literal_value, tokenise

WALKS = frozenset({"all", "exists", "exists_one"})

_RELATIONS = frozenset({"<", "<=", ">", ">=", "==", "!=", "in"})
_LEVELS = (frozenset({"||"}), frozenset({"&&"}), _RELATIONS, frozenset({"+", "-"}), frozenset({"*", "/", "%"}))
_CONSTANT_VALUES = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A part of a condition.

    Attributes:
        kind: what it is, in one word; each kind is a class of its own.
        source: its text, with brackets inside it but not around it; ``start`` and ``end`` are its place in the
            condition in characters from 0, ``end`` behind the last.
        children: the parts it is made of, in the order of the text.
    """

    kind: ClassVar[str] = ""
    source: str
    start: int
    end: int
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """This node and everything below it, in the order of the text."""
        waiting: list[Node] = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(Node):
    """A value written out. ``type`` is string, bytes, int, uint, double, bool or null; ``-5`` is one, too."""

    kind: ClassVar[str] = "literal"
    value: Any
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Path(Node):
    """A name and the members looked up below it: ``payload.customer.country`` is root payload, steps the other two."""

    kind: ClassVar[str] = "path"
    root: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Has(Node):
    """``has(a.b)``: whether the member is there. The one child is what is asked about, a Path or a Member."""

    kind: ClassVar[str] = "has"

    @property
    def asked(self) -> Node:
        return self.children[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(Node):
    """A member of what is no plain path: ``payload.items[0].sku`` is the member sku of an index."""

    kind: ClassVar[str] = "member"
    name: str

    @property
    def of(self) -> Node:
        return self.children[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index(Node):
    """``of[at]``."""

    kind: ClassVar[str] = "index"

    @property
    def of(self) -> Node:
        return self.children[0]

    @property
    def at(self) -> Node:
        return self.children[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Node):
    """``name(args)`` or ``receiver.name(args)``."""

    kind: ClassVar[str] = "call"
    name: str
    receiver: Node | None
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk(Node):
    """``over.all(variable, body)``; ``name`` is all, exists or exists_one."""

    kind: ClassVar[str] = "walk"
    name: str
    variable: str

    @property
    def over(self) -> Node:
        return self.children[0]

    @property
    def body(self) -> Node:
        return self.children[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Node):
    """``!of`` or ``-of``."""

    kind: ClassVar[str] = "unary"
    op: str

    @property
    def of(self) -> Node:
        return self.children[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Node):
    """Two operands and one of ``== != < <= > >= in + - * / %``."""

    kind: ClassVar[str] = "binary"
    op: str

    @property
    def left(self) -> Node:
        return self.children[0]

    @property
    def right(self) -> Node:
        return self.children[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logical(Node):
    """``a && b && c`` or ``a || b || c``: two parts or more; what stands in brackets is a part of its own."""

    kind: ClassVar[str] = "logical"
    op: str

    @property
    def parts(self) -> tuple[Node, ...]:
        return self.children


@dataclass(frozen=True, slots=True, kw_only=True)
class Ternary(Node):
    """``condition ? then : otherwise``, the three children."""

    kind: ClassVar[str] = "ternary"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf(Node):
    """A list written out; its members are the children."""

    kind: ClassVar[str] = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf(Node):
    """A map written out; the children are its keys and values in turn."""

    kind: ClassVar[str] = "map"


def parse(source: str, tokens: list[Token] | None = None) -> Node:
    """The tree of a condition.

    It says how the text is built, not whether names and functions exist: ``Condition.parse`` does.

    Args:
        tokens: those of ``source``, where they are known already.

    Raises:
        ConditionError: in one sentence, when it is beyond the bounds of conditions or no expression.
    """
    parser = _Parser(source, tokenise(source) if tokens is None else tokens)
    node = parser.expression()
    parser.finish()
    return node


class _Parser:
    """Recursive descent over the tokens; ``tokenise`` has bounded how deep that can go."""

    def __init__(self, source: str, tokens: list[Token]) -> None:
        self.source = source
        self.tokens = tokens
        self.signs = [token.text if token.kind in ("sign", "name") else "" for token in tokens]
        self.position = 0

    # Tokens

    def _peek(self, ahead: int = 0) -> str:
        """The text of a sign, name or ``in`` that comes; empty for values and the end."""
        at = self.position + ahead
        return self.signs[at] if at < len(self.signs) else ""

    def _take(self, text: str) -> bool:
        if self._peek() == text:
            self.position += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._unexpected(f"`{text}` is missing")

    def _name(self) -> str:
        if self.position < len(self.tokens):
            token = self.tokens[self.position]
            if token.kind == "name" and token.text not in CONSTANTS:
                self.position += 1
                return token.text
        raise self._unexpected("a name is missing")

    def _unexpected(self, what: str) -> ConditionError:
        if self.position < len(self.tokens):
            return ConditionError(f"not a condition: at character {self.tokens[self.position].at + 1}, {what}")
        last = self.tokens[-1].text[:80]
        return ConditionError(f"not a condition: it ends after `{last}`; {what}")

    def finish(self) -> None:
        if self.position < len(self.tokens):
            text = self.tokens[self.position].text
            last = self.tokens[self.position - 1].text
            raise self._unexpected(f"`{text[:80]}` does not belong after `{last[:80]}`")

    def _make(self, kind: Callable[..., Node], first: int, children: tuple[Node, ...] = (), **more: Any) -> Node:
        """A node from the token at index ``first`` to the last one taken."""
        start, end = self.tokens[first].at, self.tokens[self.position - 1].end
        return kind(source=self.source[start:end], start=start, end=end, children=children, **more)

    # Grammar

    def expression(self) -> Node:
        first = self.position
        condition = self._level(0)
        if not self._take("?"):
            return condition
        then = self._level(0)
        self._expect(":")
        return self._make(Ternary, first, (condition, then, self.expression()))

    def _level(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._unary()
        first = self.position
        node = self._level(level + 1)
        if level < 2:
            return self._logical(first, node, level)
        while self._peek() in _LEVELS[level]:
            op = self._peek()
            self.position += 1
            node = self._make(Binary, first, (node, self._level(level + 1)), op=op)
        return node

    def _logical(self, first: int, node: Node, level: int) -> Node:
        (op,) = _LEVELS[level]
        parts = [node]
        while self._take(op):
            parts.append(self._level(level + 1))
        return node if len(parts) == 1 else self._make(Logical, first, tuple(parts), op=op)

    def _unary(self) -> Node:
        first = self.position
        op = self._peek()
        if op not in ("!", "-"):
            return self._members()
        self.position += 1
        if op == "-" and self._number_alone():
            number = self.tokens[self.position]
            self.position += 1
            value = literal_value(number._replace(text=f"-{number.text}"))
            return self._make(Literal, first, value=value, type=_type(number))
        return self._make(Unary, first, (self._unary(),), op=op)

    def _number_alone(self) -> bool:
        """Whether a signed number comes that nothing is looked up in: ``-5``, not ``-x``, ``-5u`` or ``-(5)``."""
        if self.position >= len(self.tokens):
            return False
        token = self.tokens[self.position]
        return token.kind == "number" and token.text[-1] not in "uU" and self._peek(1) not in (".", "[")

    def _members(self) -> Node:
        first = self.position
        node = self._primary()
        while True:
            if self._take("["):
                at = self.expression()
                self._expect("]")
                node = self._make(Index, first, (node, at))
            elif self._take("."):
                name = self._name()
                if self._peek() == "(":
                    node = self._called(first, name, node)
                elif isinstance(node, Path):
                    node = self._make(Path, first, root=node.root, steps=(*node.steps, name))
                else:
                    node = self._make(Member, first, (node,), name=name)
            else:
                return node

    def _called(self, first: int, name: str, receiver: Node | None) -> Node:
        args = self._arguments("(", ")")
        if receiver is not None and name in WALKS:
            variable = args[0] if len(args) == 2 else None
            if not isinstance(variable, Path) or variable.steps:
                raise ConditionError(f"{name}() takes a name and a condition: all(x, x > 0)")
            return self._make(Walk, first, (receiver, args[1]), name=name, variable=variable.root)
        if receiver is None and name == "has":
            asked = args[0] if len(args) == 1 else None
            if not (isinstance(asked, Member) or (isinstance(asked, Path) and asked.steps)):
                raise ConditionError("has() takes one member that may be there: has(payload.note)")
            return self._make(Has, first, args)
        children = args if receiver is None else (receiver, *args)
        return self._make(Call, first, children, name=name, receiver=receiver, args=args)

    def _arguments(self, opening: str, closing: str) -> tuple[Node, ...]:
        """What stands between two brackets, separated by commas; one more comma may end a list or a map."""
        self._expect(opening)
        found: list[Node] = []
        while not self._take(closing):
            if found:
                self._expect(",")
                if opening != "(" and self._take(closing):
                    break
            found.append(self.expression())
            if opening == "{":
                self._expect(":")
                found.append(self.expression())
        return tuple(found)

    def _primary(self) -> Node:
        first = self.position
        if first >= len(self.tokens):
            raise self._unexpected("a value is missing")
        token = self.tokens[first]
        if token.text == "(":
            self.position += 1
            node = self.expression()
            self._expect(")")
            return node
        if token.text == "[":
            return self._make(ListOf, first, self._arguments("[", "]"))
        if token.text == "{":
            return self._make(MapOf, first, self._arguments("{", "}"))
        if token.kind == "sign":
            raise self._unexpected(f"`{token.text}` stands where a value belongs")
        self.position += 1
        if token.kind in ("string", "number"):
            return self._make(Literal, first, value=literal_value(token), type=_type(token))
        if token.text in _CONSTANT_VALUES:
            kind = "null" if token.text == "null" else "bool"
            return self._make(Literal, first, value=_CONSTANT_VALUES[token.text], type=kind)
        if token.text == "in":
            self.position = first
            raise self._unexpected("`in` stands where a value belongs")
        if self._peek() == "(":
            return self._called(first, token.text, None)
        return self._make(Path, first, root=token.text)


def _type(token: Token) -> str:
    if token.kind == "string":
        quote = min(at for at in (token.text.find('"'), token.text.find("'")) if at >= 0)
        return "bytes" if "b" in token.text[:quote].lower() else "string"
    if token.text[-1] in "uU":
        return "uint"
    plain = token.text.isdigit() or token.text.startswith("0x")
    return "int" if plain else "double"
