"""What is wrong with a call that can be seen before there is an intent: refused when the document is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..expressions import Call, ListOf, Literal, MapOf, Node
from ..tokens import ConditionError
from . import FUNCTIONS
from .addresses import check_networks
from .amounts import amount, check_rates, member_path
from .comparing import check_amounts
from .terms import check_terms
from .times import check_days, clock, date, start_clock, time_zone

_NOT_CONSTANT = object()

# Arguments that can be judged by themselves, by their place.
_ARGUMENTS: dict[str, dict[int, Callable[[Any], Any]]] = {
    "amount": {0: amount},
    "amount_sum": {1: member_path, 2: member_path},
    "amount_times": {0: amount, 1: amount},
    "contains_term": {1: check_terms},
    "in_cidr": {1: check_networks},
    "in_hours": {1: time_zone, 2: start_clock, 3: clock},
    "money": {0: amount, 2: check_rates},
    "on_dates": {1: time_zone, 2: date, 3: date},
    "on_days": {1: time_zone, 2: check_days},
    "weekday": {1: time_zone},
}
# Arguments that must be written out: what is added up is for the policy to say, not for the payload.
_WRITTEN_OUT = {("amount_sum", 1), ("amount_sum", 2), ("money", 2), ("contains_term", 1)}
# Two arguments that only together can be wrong.
_PAIRS: dict[str, tuple[int, int]] = {"in_hours": (2, 3), "on_dates": (2, 3)}
_COUNTS = {
    name: (
        sum(
            parameter.default is inspect.Parameter.empty
            for parameter in inspect.signature(function).parameters.values()
        ),
        len(inspect.signature(function).parameters),
    )
    for name, function in FUNCTIONS.items()
}


def check_calls(condition: Node) -> None:
    """Refuse calls of our functions that no intent could make right, and what they give where it means nothing.

    Raises:
        ConditionError: naming the call and the character it begins at.
    """
    for node in condition.walk():
        if isinstance(node, Call) and node.name in FUNCTIONS:
            try:
                _check(node)
            except (ValueError, TypeError) as error:
                raise ConditionError(f"{node.source[:80]} at character {node.start + 1}: {error}") from None
    check_amounts(condition)


def _check(call: Call) -> None:
    given = (call.receiver, *call.args) if call.receiver is not None else call.args
    least, most = _COUNTS[call.name]
    if not least <= len(given) <= most:
        raise ValueError(f"{call.name}() takes {least if least == most else f'{least} to {most}'} arguments")
    values = [_constant(node) for node in given]
    for place, value in enumerate(values):
        check = _ARGUMENTS.get(call.name, {}).get(place)
        if value is not _NOT_CONSTANT and check:
            check(value)
        elif value is _NOT_CONSTANT and (call.name, place) in _WRITTEN_OUT:
            raise ValueError(f"argument {place + 1} of {call.name}() must be written out")
    pair = _PAIRS.get(call.name)
    if pair and not any(values[place] is _NOT_CONSTANT for place in pair):
        _check_pair(call.name, values[pair[0]], values[pair[1]])
    if values and not any(value is _NOT_CONSTANT for value in values):
        FUNCTIONS[call.name](*values)


def _check_pair(name: str, first: Any, second: Any) -> None:
    if name == "in_hours" and first == second:
        raise ValueError("the two times must differ")
    if name == "on_dates" and second < first:
        raise ValueError("the last day is before the first")


def _constant(node: Node) -> Any:
    """What is written out as text, number, list or map; ``_NOT_CONSTANT`` for everything else."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, ListOf | MapOf):
        values = [_constant(child) for child in node.children]
        if any(value is _NOT_CONSTANT for value in values):
            return _NOT_CONSTANT
        if isinstance(node, ListOf):
            return values
        keys = values[::2]
        if all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys):
            return dict(zip(keys, values[1::2], strict=True))
        raise ValueError("the keys of a map are texts, each once")
    return _NOT_CONSTANT
