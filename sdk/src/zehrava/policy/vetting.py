"""What a condition may say: names in scope, calls that exist, walks in order, patterns and constants that are such."""

from __future__ import annotations

import re
from typing import Any

from .expressions import WALKS, Binary, Call, Index, Literal, MapOf, Member, Node, Path, Ternary
from .functions import FUNCTIONS, amount
from .tokens import CONSTANTS, ConditionError, Token, compile_cel, literal_value

MAX_PATTERN = 200
MAX_REPETITIONS = 64

POLICY_VARIABLES = frozenset({"payload", "intent", "agent", "context", "usage", "now"})

# What a condition calls that nobody wrote: see `Reader.rewritten`.
WALK = "members__"
ADDEND = "addend__"
UTC_TIME = "utc__"
_TYPE_NAMES = frozenset({"bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type"})
_OPERATORS = frozenset(
    [
        "_&&_",
        "_||_",
        "!_",
        "_==_",
        "_!=_",
        "_<_",
        "_<=_",
        "_>_",
        "_>=_",
        "_+_",
        "_-_",
        "_*_",
        "_/_",
        "_%_",
        "-_",
        "_?_:_",
        "_[_]",
        "@in",
        "@not_strictly_false",
    ]
)
_CALLS = frozenset(
    [
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "dyn",
        "type",
        "timestamp",
        "duration",
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
    ]
)
KNOWN_FUNCTIONS = _OPERATORS | _CALLS | frozenset(FUNCTIONS)
_UNORDERED_WALKS = frozenset({"map", "filter"})

_VERBOSE = re.compile(r"\(\?[A-Za-z]*x")
_REPETITION = re.compile(r"\{(\d*),?(\d*)\}")
_OPENING = {")": "(", "]": "[", "}": "{"}


class Reader:
    """One pass over the tokens: names in scope, walks made orderly, constants checked and folded."""

    def __init__(self, source: str, tokens: list[Token], variables: frozenset[str]) -> None:
        self.source = source
        self.tokens = tokens
        self.variables = variables
        self.opened: list[tuple[str, str | None]] = []  # bracket, loop variable of the walk it belongs to
        self.pairs = self._pair()
        self.inserts: list[tuple[int, int, str]] = []  # at, order, text
        self.folds: list[tuple[int, int, str]] = []  # from, to, text
        self.reads: set[tuple[str, str | None]] = set()
        self.patterns: list[Token] = []

    def _pair(self) -> dict[int, int]:
        """Index of each closing bracket → index of its opening one."""
        pairs: dict[int, int] = {}
        stack: list[int] = []
        for index, token in enumerate(self.tokens):
            if token.kind != "sign":
                continue
            if token.text in "([{":
                stack.append(index)
            elif token.text in ")]}":
                if not stack or self.tokens[stack[-1]].text != _OPENING[token.text]:
                    raise ConditionError(f"not a condition: {token.text!r} at character {token.at + 1} closes nothing")
                pairs[index] = stack.pop()
        if stack:
            token = self.tokens[stack[-1]]
            raise ConditionError(f"not a condition: {token.text!r} at character {token.at + 1} is never closed")
        return pairs

    def read(self) -> None:
        """Go through the tokens once. Raises ConditionError."""
        index = 0
        while index < len(self.tokens):
            token = self.tokens[index]
            if token.kind == "name":
                self._name(index)
            elif token.kind == "sign" and token.text in "([{":
                self.opened.append((token.text, self._loop_variable(index)))
            elif token.kind == "sign" and token.text in ")]}":
                self.opened.pop()
            elif token.text == "." and not self._ends_operand(index - 1):
                raise ConditionError(f"not a condition: '.' at character {token.at + 1} follows nothing")
            index += 1

    def guard_values(self, tree: Node) -> None:
        """``a + b`` becomes ``a + addend__(b)`` where nothing says that ``b`` is no map, and a time is one in UTC.

        CEL's getters mean UTC; the library takes the offset that is written, which would be the agent's to choose.
        """
        for node in tree.walk():
            if isinstance(node, Call) and node.name == "timestamp" and node.receiver is None:
                self.inserts.append((node.start, 1, f"{UTC_TIME}("))
                self.inserts.append((node.end, 0, ")"))
            if isinstance(node, Binary) and node.op == "+" and _may_be_a_map(node.right):
                self.inserts.append((node.right.start, 0, f"{ADDEND}("))
                self.inserts.append((node.right.end, 1, ")"))

    def _text(self, index: int) -> str:
        return self.tokens[index].text if 0 <= index < len(self.tokens) else ""

    def _ends_operand(self, index: int) -> bool:
        if index < 0:
            return False
        token = self.tokens[index]
        return token.kind in ("name", "string") or token.text in (")", "]", "}")

    def _name(self, index: int) -> None:
        token = self.tokens[index]
        member = self._text(index - 1) == "."
        called = self._text(index + 1) == "("
        if called:
            self._call(index, member=member)
        elif self._text(index + 1) == "{":
            raise ConditionError(f"not supported: a message {token.text!r} at character {token.at + 1}")
        elif not member and token.text not in CONSTANTS | _TYPE_NAMES | self.variables | self._loop_variables():
            meant = {"and": "&&", "or": "||", "not": "!"}.get(token.text.lower())
            hint = f"; write {meant}" if meant else f'; a text stands in quotes: "{token.text[:40]}"'
            raise ConditionError(f"unknown variable {token.text!r} at character {token.at + 1}{hint}")
        if not member and token.text in self.variables:
            self._read(index)

    def _read(self, index: int) -> None:
        follows = self.tokens[index + 2] if index + 2 < len(self.tokens) else None
        plain = self._text(index + 1) == "." and follows is not None and follows.kind == "name"
        plain = plain and self._text(index + 3) != "("
        self.reads.add((self.tokens[index].text, follows.text if plain and follows else None))

    def _call(self, index: int, *, member: bool) -> None:
        name = self.tokens[index].text
        if name in _UNORDERED_WALKS:
            raise ConditionError(f"{name}() is not offered: what it makes has no order; use all, exists or exists_one")
        if name in WALKS and member:
            self._walk(index)
        elif name == "has" and not member:
            return
        elif name == "in":
            return  # `x in (a)`
        elif name not in _CALLS and name not in FUNCTIONS:
            raise ConditionError(f"unknown function {name!r} at character {self.tokens[index].at + 1}")
        elif name == "matches":
            self._pattern(index, member=member)
        elif name == "amount" and not member:
            self._constant_amount(index)

    def _loop_variables(self) -> set[str]:
        return {name for _, name in self.opened if name}

    def _loop_variable(self, opening: int) -> str | None:
        walk = self._text(opening - 1) in WALKS and self._text(opening - 2) == "."
        return self._text(opening + 1) if walk else None

    def _walk(self, index: int) -> None:
        """``list.all(x, …)`` becomes ``members__(list).all(x, …)``."""
        variable = self.tokens[index + 2] if index + 2 < len(self.tokens) else self.tokens[index]
        if variable.kind != "name" or self._text(index + 3) != ",":
            raise ConditionError(f"{self.tokens[index].text}() takes a name and a condition: all(x, x > 0)")
        taken = CONSTANTS | _TYPE_NAMES | POLICY_VARIABLES | self.variables | self._loop_variables()
        if variable.text in taken or variable.text.startswith("_"):
            raise ConditionError(f"{variable.text!r} is taken; give the loop another name")
        start = self._receiver(index - 2)
        self.inserts.append((self.tokens[start].at, 1, f"{WALK}("))
        self.inserts.append((self.tokens[index - 1].at, 0, ")"))

    def _receiver(self, index: int) -> int:
        """Index of the first token of the operand that ends at ``index``."""
        while index >= 0:
            token = self.tokens[index]
            if token.text in _OPENING and token.kind == "sign":
                opening = self.pairs[index]
                before = self.tokens[opening - 1] if opening else None
                called = token.text == ")" and before is not None and before.kind == "name" and before.text != "in"
                indexed = token.text == "]" and self._ends_operand(opening - 1) and self._text(opening - 1) != "in"
                if not called and not indexed:
                    return opening
                index = opening - 1
            elif self._text(index - 1) == ".":
                index -= 2
            else:
                return index
        raise ConditionError("not a condition: a walk over nothing")

    def _pattern(self, index: int, *, member: bool) -> None:
        literal = self.tokens[index + 2] if index + 2 < len(self.tokens) else None
        if not member or literal is None or literal.kind != "string" or self._text(index + 3) != ")":
            raise ConditionError('matches() takes one pattern written out: payload.name.matches("^[a-z]+$")')
        pattern = text_of(literal)
        repetitions = 1
        for found in _REPETITION.finditer(pattern):
            repetitions *= max(
                1, *(int(bound) if bound and len(bound) < 9 else 10**9 * bool(bound) for bound in found.groups())
            )
        if _VERBOSE.search(pattern):
            raise ConditionError("a pattern is written without the flag x, which hides what it says")
        if len(pattern) > MAX_PATTERN or repetitions > MAX_REPETITIONS:
            reason = f"a pattern has at most {MAX_PATTERN} characters and repeats at most {MAX_REPETITIONS} times"
            raise ConditionError(reason)
        self.patterns.append(literal)

    def _constant_amount(self, index: int) -> None:
        """``amount("500")`` is worked out once; a constant that is no amount is refused here, not at every intent."""
        literal = self.tokens[index + 2] if index + 2 < len(self.tokens) else None
        if literal is None or self._text(index + 3) != ")" or literal.kind not in ("string", "number"):
            return
        try:
            folded = amount(text_of(literal))
        except ValueError as error:
            raise ConditionError(f"amount({literal.text[:80]}): {error}") from None
        self.folds.append((self.tokens[index].at, self.tokens[index + 3].at + 1, f'"{folded}"'))

    def rewritten(self) -> str:
        """The condition as the compiler gets it."""
        edits = [(at, order, at, text) for at, order, text in self.inserts]
        edits += [(start, 2, end, text) for start, end, text in self.folds]
        text = self.source
        for start, _, end, replacement in sorted(edits, reverse=True):
            text = text[:start] + replacement + text[end:]
        return text


def check_keys(tree: Node) -> None:
    """The library takes 1 and true for one key or for two, as its own random order has it."""
    for node in tree.walk():
        if not isinstance(node, MapOf):
            continue
        keys = [key.value if isinstance(key, Literal) and key.type == "string" else None for key in node.children[::2]]
        if None in keys or len(set(keys)) < len(keys):
            raise ConditionError(f"the keys of a map are texts written out, each once: {node.source[:80]}")


def _may_be_a_map(node: Node) -> bool:
    """Everything else gives text, a number, a truth, a time or a list."""
    if isinstance(node, Call):
        return node.name == "dyn"
    return isinstance(node, Path | Member | Index | Ternary | MapOf)


def check_pattern(literal: Token) -> None:
    """Refuse what is no pattern. Raises ConditionError."""
    try:
        compile_cel(f'"".matches({literal.text})').execute({})
    except ConditionError:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        raise ConditionError(f"not a pattern: {literal.text[:80]}") from None


def text_of(token: Token) -> Any:
    """What a literal says."""
    value = literal_value(token)
    if token.kind == "string" and not isinstance(value, str):
        raise ConditionError(f"{token.text[:80]} must be text, not bytes")
    return value
