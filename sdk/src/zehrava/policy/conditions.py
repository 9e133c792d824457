"""CEL conditions: bounded before the compiler sees them, compiled once, and never silently false.

The compiler crashes the process on very long or deep input and accepts unknown names, and the library walks over maps
in random order. So the text is tokenised here first, bounded, its names checked, and every walk is made to go
through ``members``, which orders the keys of a map; what is added passes ``addend``, which refuses one.
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cel

from .costs import pattern_cost
from .expressions import WALKS, Binary, Call, Index, Literal, MapOf, Member, Node, Path, Ternary, Walk, parse
from .functions import FUNCTIONS, addend, amount, members
from .functions.constants import check_calls
from .operands import operands
from .shortcuts import Shortcut, shortcut
from .tokens import CONSTANTS, MAX_DEPTH, ConditionError, Token, compile_cel, literal_value, tokenise
from .walks import CHARACTERS, MAX_READ, MAX_STEPS, WALKED, Cost, Product, costs, products, weight

MAX_PATTERN = 200
MAX_REPETITIONS = 64

POLICY_VARIABLES = frozenset({"payload", "intent", "agent", "context", "usage", "now"})

_WALK = "members__"
_ADDEND = "addend__"
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
_KNOWN_FUNCTIONS = _OPERATORS | _CALLS | frozenset(FUNCTIONS)
_UNORDERED_WALKS = frozenset({"map", "filter"})

_REPETITION = re.compile(r"\{(\d*),?(\d*)\}")
_CALL_FAILED = re.compile(r"Python function call failed: \w+: (.*)\. Check function arguments and their types\.", re.S)
_NOT_READ = re.compile(r"Function '(\w+)' error: ")
# What the library says of kinds alone.
_NAMES_KINDS = ("Unsupported operation", "Cannot mix", "Value of type", "division by zero", "modulo by zero")
_NO_METHOD = re.compile(r"Undefined variable or function: '(\w+)'")
_OPENING = {")": "(", "]": "[", "}": "{"}


class _Quiet(logging.Filter):
    """Drops the library's own line for each failed function: agents could flood a log with their payloads."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Python function ")


logging.getLogger("cel").addFilter(_Quiet())


class EvaluationError(Exception):
    """A condition gave no answer for this intent."""


class TooLarge(EvaluationError):
    """It gave none because there is more in the intent than all conditions may read."""


class Draft:
    """A condition that was read and not yet compiled, which is what takes long.

    Args:
        variables: the names it may read.

    Raises:
        ConditionError: in one sentence, with the character where that is known.
    """

    __slots__ = ("_patterns", "_products", "_reads", "_rewritten", "source", "tree", "variables")

    def __init__(self, source: str, variables: frozenset[str] = POLICY_VARIABLES) -> None:
        self.source = source
        self.variables = variables
        tokens = tokenise(source)
        reader = _Reader(source, tokens, variables)
        reader.read()
        self._reads = frozenset(reader.reads)
        self._patterns = tuple(reader.patterns)
        self.tree = parse(source, tokens)  # before the compiler: it says in words what is wrong
        reader.guard_addends(self.tree)
        self._rewritten = reader.rewritten()
        check_calls(self.tree)
        _check_keys(self.tree)
        self._products = products(self.tree)

    @property
    def patterns_cost(self) -> int:
        """Units that its patterns take to compile."""
        return sum(pattern_cost(_literal(pattern)) for pattern in self._patterns)

    def compile(self) -> Condition:
        """The condition, ready to be evaluated.

        Raises:
            ConditionError: when the compiler refuses it.
        """
        for pattern in self._patterns:
            _check_pattern(pattern)
        program = compile_cel(self.source)
        unknown = sorted(set(program.functions()) - _KNOWN_FUNCTIONS)
        if unknown:
            raise ConditionError(f"unknown function {unknown[0]!r}")
        if self._rewritten != self.source:
            program = compile_cel(self._rewritten)
        return Condition(
            self.source,
            self._reads,
            self.tree,
            self.variables,
            program,
            shortcut(self.tree),
            self._products,
            costs(self.tree),
        )


@dataclass(frozen=True)
class Condition:
    """A compiled CEL expression.

    Attributes:
        reads: the members it reads, as (variable, member or None for all of it).
        tree: how it is built.
        variables: the names it may read.
        costs: what grows with what an agent sends, besides what CEL is given to read.
    """

    source: str
    reads: frozenset[tuple[str, str | None]]
    tree: Node = field(repr=False)
    variables: frozenset[str] = field(repr=False)
    program: Any = field(repr=False, compare=False)
    _shortcut: Shortcut | None = field(repr=False, compare=False)
    _products: tuple[Product, ...] = field(repr=False, compare=False)
    costs: tuple[Cost, ...] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, source: str, *, variables: frozenset[str] = POLICY_VARIABLES) -> Condition:
        """Check and compile ``source``.

        Args:
            variables: the names it may read.

        Raises:
            ConditionError: in one sentence, with the character where that is known.
        """
        return Draft(source, variables).compile()

    @property
    def shortcut(self) -> Shortcut | None:
        """What may decide it without CEL; ask it only once ``costs`` are spent."""
        return self._shortcut

    @cached_property
    def operands(self) -> tuple[tuple[str, Condition | ConditionError], ...]:
        """The parts that explain it, each with its text; compiled when first asked for."""
        parts = operands(self.tree)
        return tuple((node.source, self if node is self.tree else self._part(node.source)) for node in parts)

    @cached_property
    def _rounds(self) -> int:
        nodes = list(self.tree.walk())
        read = sum(1 for node in nodes if isinstance(node, Path) and node.root in self.variables)
        return max(1, read) * (WALKED if any(isinstance(node, Walk) for node in nodes) else 1)

    def _part(self, source: str) -> Condition | ConditionError:
        try:
            return Condition.parse(source, variables=self.variables)
        except ConditionError as error:
            return error

    def value(self, surroundings: Surroundings) -> Any:
        """What the expression gives.

        Raises:
            EvaluationError: when it gives nothing.
        """
        surroundings.spend(self.costs)
        surroundings.read(self.reads, self._rounds)
        for product in self._products:
            if product.steps(surroundings.values) > MAX_STEPS:
                raise TooLarge(f"the lists are too long: a walk would take more than {MAX_STEPS} steps")
        try:
            return self.program.execute(surroundings.context)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in the library is a BaseException
            raise EvaluationError(_explain(error, self.source)) from None

    def holds(self, surroundings: Surroundings) -> bool:
        """Whether the condition holds.

        Raises:
            EvaluationError: when it cannot be said, also when the result is neither true nor false.
        """
        if self._shortcut is not None:
            surroundings.spend(self.costs)
            said = self._shortcut(surroundings.values)
            if said is not None:
                return said
        value = self.value(surroundings)
        if value is True or value is False:
            return value
        raise EvaluationError(f"the condition gives {_kind(value)}, not true or false")


class Surroundings:
    """What conditions are evaluated in, for one intent. What CEL needs of it is converted when it is first needed."""

    __slots__ = ("_context", "_left", "_members", "_weights", "values")

    def __init__(self, values: Mapping[str, Any], members: tuple[tuple[str, tuple[str, ...] | None], ...]) -> None:
        self.values = values
        self._members = members
        self._context: Any = None
        self._weights: dict[tuple[tuple[str, str | None], int], int] = {}
        self._left = MAX_READ

    def again(self) -> Surroundings:
        """The same for another look, which has to fit into the bounds for itself."""
        other = Surroundings(self.values, self._members)
        other._context = self._context
        other._weights = self._weights
        return other

    def read(self, members: Iterable[tuple[str, str | None]], rounds: int = 1) -> None:
        """Account for CEL being given these members, ``rounds`` times: it copies what it reads, for each condition.

        Raises:
            EvaluationError: when all conditions together read too much of one intent.
        """
        for member in members:
            self._left -= self._weight(member, CHARACTERS) * rounds
        self._refuse_too_much()

    def spend(self, costs: tuple[Cost, ...]) -> None:
        """Account for what a condition goes through, whoever evaluates it, before it does.

        Raises:
            EvaluationError: when all conditions together read too much of one intent.
        """
        if not costs:
            return
        for cost in costs:
            # What a loop names lies in a list that is accounted for itself.
            if cost.member[0] in self.values:
                self._left -= self._weight(cost.member, cost.characters) * cost.times // cost.of
        self._refuse_too_much()

    def _weight(self, member: tuple[str, str | None], characters: int) -> int:
        known = self._weights.get((member, characters))
        if known is None:
            value = self.values.get(member[0])
            if member[1] is not None and type(value) is dict:
                value = value.get(member[1])
            known = self._weights[member, characters] = weight(value, characters)
        return known

    def _refuse_too_much(self) -> None:
        if self._left < 0:
            raise TooLarge(f"the intent is too large: its conditions would read more than {MAX_READ} values")

    @property
    def context(self) -> Any:
        if self._context is None:
            variables = {}
            for variable, wanted in self._members:
                value = self.values[variable]
                if wanted is not None and type(value) is dict:
                    value = {member: value[member] for member in wanted if member in value}
                variables[variable] = value
            self._context = cel.Context(variables, _ENVIRONMENT_FUNCTIONS)
        return self._context


class Reads:
    """What a set of conditions reads. Handing CEL only that is most of the speed: each member it gets is converted."""

    __slots__ = ("members",)

    def __init__(self, conditions: Iterable[Condition]) -> None:
        found: dict[str, set[str] | None] = {}
        for condition in conditions:
            for variable, member in condition.reads:
                known = found.setdefault(variable, set())
                if member is None:
                    found[variable] = None
                elif known is not None:
                    known.add(member)
        self.members: tuple[tuple[str, tuple[str, ...] | None], ...] = tuple(
            (variable, None if wanted is None else tuple(sorted(wanted))) for variable, wanted in sorted(found.items())
        )

    def environment(self, values: Mapping[str, Any]) -> Surroundings:
        """What the conditions are evaluated in: made once per intent, from values that ``check_json`` let pass."""
        return Surroundings(values, self.members)


_ENVIRONMENT_FUNCTIONS: dict[str, Callable[..., Any]] = {**FUNCTIONS, _WALK: members, _ADDEND: addend}


class _Reader:
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

    def guard_addends(self, tree: Node) -> None:
        """``a + b`` becomes ``a + addend__(b)`` where nothing says that ``b`` is no map."""
        for node in tree.walk():
            if isinstance(node, Binary) and node.op == "+" and _may_be_a_map(node.right):
                self.inserts.append((node.right.start, 0, f"{_ADDEND}("))
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
            hint = f"; write {meant}" if meant else ""
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
            raise ConditionError(f"{name}() is not supported yet; use all, exists or exists_one")
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
        self.inserts.append((self.tokens[start].at, 1, f"{_WALK}("))
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
        pattern = _literal(literal)
        repetitions = 1
        for found in _REPETITION.finditer(pattern):
            repetitions *= max(
                1, *(int(bound) if bound and len(bound) < 9 else 10**9 * bool(bound) for bound in found.groups())
            )
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
            folded = amount(_literal(literal))
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


def _check_keys(tree: Node) -> None:
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


def _check_pattern(literal: Token) -> None:
    try:
        compile_cel(f'"".matches({literal.text})').execute({})
    except ConditionError:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        raise ConditionError(f"not a pattern: {literal.text[:80]}") from None


def _literal(token: Token) -> Any:
    value = literal_value(token)
    if token.kind == "string" and not isinstance(value, str):
        raise ConditionError(f"{token.text[:80]} must be text, not bytes")
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "a map"}
    return names.get(type(value), type(value).__name__)


def _explain(error: BaseException, source: str) -> str:
    """One sentence for people. It names what the condition ``source`` names and kinds of values, never a value."""
    if isinstance(error, KeyError):
        name = str(error.args[0] if error.args else "")
        return f"there is no {name[:80]!r}" if name in source else "there is no member of that name"
    detail = str(error)
    call = _CALL_FAILED.search(detail)
    if call:
        return call[1][:300]
    method = _NO_METHOD.match(detail)
    if method:  # names are known since the condition was loaded
        return f"{method[1]}() cannot be called on a value of this kind"
    if detail.startswith("No such overload"):
        return "values of different kinds cannot be compared or combined"
    if detail.startswith("Unexpected type"):
        return "a value is not of the kind that the condition expects: something was looked up in what has no members"
    if detail.startswith("index out of bounds"):
        return "the list has no member at that place"
    if detail.startswith("Arithmetic overflow"):
        return "a number is too large to be worked out"
    read = _NOT_READ.match(detail)
    if read:
        return f"{read[1]}() cannot read this value"
    if detail.startswith(_NAMES_KINDS):
        return detail.split("\n")[0][:300]
    return f"it cannot be worked out ({type(error).__name__})"


def check_json(value: Any, what: str, *, depth: int = MAX_DEPTH) -> None:
    """Refuse what CEL would misread or crash on: depth, numbers beyond 2^53-1, NaN, keys that are no strings.

    Raises:
        EvaluationError: naming ``what``.
    """
    kind = type(value)
    if kind is str:
        if not value.isascii():
            _check_text(value, what)
    elif value is None or kind is bool:
        return
    elif kind is int:
        if not -9007199254740991 <= value <= 9007199254740991:
            raise EvaluationError(f"{what} holds a number beyond 2^53-1")
    elif kind is dict:
        if not depth:
            raise EvaluationError(f"{what} is nested deeper than {MAX_DEPTH}")
        for key, member in value.items():
            if type(key) is not str:
                raise EvaluationError(f"{what} has a key that is not a string")
            if not key.isascii():
                _check_text(key, what)
            if type(member) is not str or not member.isascii():
                check_json(member, what, depth=depth - 1)
    elif kind is list:  # a tuple is none: functions would not look into it
        if not depth:
            raise EvaluationError(f"{what} is nested deeper than {MAX_DEPTH}")
        for member in value:
            if type(member) is not str or not member.isascii():
                check_json(member, what, depth=depth - 1)
    elif kind is float:
        if not -9007199254740991 <= value <= 9007199254740991:
            raise EvaluationError(f"{what} holds a number that is infinite, not a number or beyond 2^53-1")
    else:
        raise EvaluationError(f"{what} holds a {kind.__name__}, which is not JSON")


def _check_text(text: str, what: str) -> None:
    """Half a surrogate pair is no character; nothing outside this process could hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise EvaluationError(f"{what} holds text that is not Unicode") from None


def utc(moment: datetime.datetime) -> datetime.datetime:
    """``now`` as conditions see it: aware, in UTC."""
    if not isinstance(moment, datetime.datetime) or moment.tzinfo is None:
        raise EvaluationError("now must be a time with a time zone")
    if moment.tzinfo is datetime.UTC:
        return moment
    try:
        return moment.astimezone(datetime.UTC)
    except OverflowError:
        raise EvaluationError("now is outside of the calendar") from None
