"""CEL conditions: bounded before the compiler sees them, compiled once, and never silently false.

The compiler crashes the process on very long or deep input and accepts unknown names, and the library walks over maps
in random order. So the text is tokenised here first, bounded, its names checked, and every walk is made to go
through ``members``, which orders the keys of a map; what is added passes ``addend``, which refuses one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cel

from .costs import pattern_cost
from .expressions import Node, Path, Walk, parse
from .functions import FUNCTIONS, addend, members
from .functions.constants import check_calls
from .operands import operands
from .plain_data import EvaluationError, TooLarge, utc
from .shortcuts import Shortcut, shortcut
from .tokens import ConditionError, compile_cel, tokenise
from .vetting import (
    ADDEND,
    KNOWN_FUNCTIONS,
    POLICY_VARIABLES,
    UTC_TIME,
    WALK,
    Reader,
    check_keys,
    check_pattern,
    text_of,
)
from .walks import CHARACTERS, MAX_READ, MAX_STEPS, WALKED, Cost, Product, costs, products, weight

_CALL_FAILED = re.compile(r"Python function call failed: \w+: (.*)\. Check function arguments and their types\.", re.S)
_NOT_READ = re.compile(r"Function '(\w+)' error: ")
# What the library says of kinds alone.
_NAMES_KINDS = ("Unsupported operation", "Cannot mix", "Value of type", "division by zero", "modulo by zero")
_NO_METHOD = re.compile(r"Undefined variable or function: '(\w+)'")


class _Quiet(logging.Filter):
    """Drops the library's own line for each failed function: agents could flood a log with their payloads."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Python function ")


logging.getLogger("cel").addFilter(_Quiet())


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
        reader = Reader(source, tokens, variables)
        reader.read()
        self._reads = frozenset(reader.reads)
        self._patterns = tuple(reader.patterns)
        self.tree = parse(source, tokens)  # before the compiler: it says in words what is wrong
        reader.guard_values(self.tree)
        self._rewritten = reader.rewritten()
        check_calls(self.tree)
        check_keys(self.tree)
        self._products = products(self.tree)

    @property
    def patterns_cost(self) -> int:
        """Units that its patterns take to compile."""
        return sum(pattern_cost(text_of(pattern)) for pattern in self._patterns)

    def compile(self) -> Condition:
        """The condition, ready to be evaluated.

        Raises:
            ConditionError: when the compiler refuses it.
        """
        for pattern in self._patterns:
            check_pattern(pattern)
        program = compile_cel(self.source)
        unknown = sorted(set(program.functions()) - KNOWN_FUNCTIONS)
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


_ENVIRONMENT_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **FUNCTIONS,
    WALK: members,
    ADDEND: addend,
    UTC_TIME: utc,
}


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
        return (
            "values of different kinds cannot be compared or combined; an amount in a text is compared as in "
            'amount(payload.amount) > amount("100")'
        )
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
