"""What conditions are given to read: plain JSON data and a time in UTC, and nothing that CEL would misread."""

from __future__ import annotations

import datetime
from typing import Any

from .tokens import MAX_DEPTH


class EvaluationError(Exception):
    """A condition gave no answer for this intent."""


class TooLarge(EvaluationError):
    """It gave none because there is more in the intent than all conditions may read."""


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


def whole_numbers(value: Any) -> Any:
    """The value with every number that has no fraction as an int, as canonical form has it; the same one where all are.

    A caller's 5.0 and the 5 that is stored for it are one number: whoever judges them must not tell them apart.
    """
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() else value
    if kind is not dict and kind is not list:
        return value
    changed = None
    for key, member in value.items() if kind is dict else enumerate(value):
        if type(member) in _MAY_HOLD_FLOATS:
            settled = whole_numbers(member)
            if settled is not member:
                changed = value.copy() if changed is None else changed
                changed[key] = settled
    return value if changed is None else changed


_MAY_HOLD_FLOATS = frozenset({float, dict, list})


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
