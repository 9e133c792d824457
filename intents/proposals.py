"""What an agent may send to propose an intent, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from intents.models import ExecutionMode
from zehrava import canonical, durations, ids
from zehrava.problems import Problem

ACTION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*\Z")
AMOUNT = re.compile(r"-?(0|[1-9][0-9]{0,29})(\.[0-9]{1,12})?\Z")
CURRENCY = re.compile(r"[A-Z]{3}\Z")

ACTION_LENGTH = 200
SUMMARY_LENGTH = 10_000
TARGET_LENGTH = 1_000
TAG_LENGTH = 100
TAGS = 50
NAME_LENGTH = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A proposal whose every member has the right type and size; `expires_in` in seconds."""

    action: str
    payload: Any
    summary: str | None = None
    context: Mapping[str, Any]
    target: str | None = None
    tags: tuple[str, ...] = ()
    records: int | None = None
    value: Mapping[str, str] | None = None
    on_behalf_of: str | None = None
    expires_in: int | None = None
    supersedes: str | None = None
    execution_mode: str | None = None
    policy: str | None = None

    @classmethod
    def parse(cls, body: Any) -> Proposal:
        """Read a request body that `zehrava.canonical.loads` has accepted.

        Raises Problem `invalid` that lists every member at fault with its JSON Pointer.
        """
        if not isinstance(body, dict):
            raise Problem("invalid", "Send a JSON object with at least `action` and `payload`.", path="")
        errors = [
            {"path": canonical.pointer(name), "detail": "This is no member of an intent; remove it."}
            for name in body
            if name not in _READERS
        ]
        for name in ("action", "payload"):
            if name not in body:
                errors.append({"path": canonical.pointer(name), "detail": "This is required."})
        members: dict[str, Any] = {"context": {}}
        for name, value in body.items():
            if name in _READERS and (value is not None or name in _NEVER_NULL):
                try:
                    members[name] = _READERS[name](value)
                except ValueError as error:
                    errors.append({"path": canonical.pointer(name), "detail": str(error)})
        if errors:
            raise invalid(errors)
        return cls(**members)


def invalid(errors: list[dict[str, str]]) -> Problem:
    """The problem for these members at fault; the first one gives the path and the sentence."""
    first = errors[0]
    more = f" ({len(errors) - 1} more below)" if len(errors) > 1 else ""
    name = first["path"].lstrip("/") or "the body"
    return Problem("invalid", f"{name}: {first['detail']}{more}", path=first["path"], errors=errors)


def _text(length: int, *, empty: bool = False) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("Send a string.")
        if not value and not empty:
            raise ValueError("Send at least one character, or leave it out.")
        if len(value) > length:
            raise ValueError(f"Send at most {length} characters.")
        return value

    return read


def _action(value: Any) -> str:
    text = _text(ACTION_LENGTH)(value)
    if not ACTION.match(text):
        raise ValueError("Send a dotted verb such as stripe.refund: ASCII letters, digits, _ and - between the dots.")
    return text


def _payload(value: Any) -> Any:
    return value


def _context(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("Send an object.")
    return value


def _tags(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > TAGS:
        raise ValueError(f"Send a list of at most {TAGS} strings.")
    for tag in value:
        if not isinstance(tag, str) or not 0 < len(tag) <= TAG_LENGTH:
            raise ValueError(f"Each tag is a string of 1 to {TAG_LENGTH} characters.")
    if len(set(value)) != len(value):
        raise ValueError("A tag stands twice; keep one of them.")
    return tuple(value)


def _records(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("Send a whole number from 0 on.")
    return value


def _value(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or set(value) != {"amount", "currency"}:
        raise ValueError("Send an object with exactly `amount` and `currency`.")
    amount, currency = value["amount"], value["currency"]
    if not isinstance(amount, str) or not AMOUNT.match(amount):
        raise ValueError(
            '`amount` is a decimal number in a string, such as "120.00", with up to 30 digits and 12 places.'
        )
    if not isinstance(currency, str) or not CURRENCY.match(currency):
        raise ValueError("`currency` is a code of three capital letters, such as EUR (ISO 4217).")
    return {"amount": amount, "currency": currency}


def _expires_in(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError("Send a string such as 15m: an integer and s, m, h or d.")
    return durations.parse(value)


def _supersedes(value: Any) -> str:
    if not ids.is_id(value, "int"):
        raise ValueError("Send the id of a pending intent of yours.")
    return value


def _execution_mode(value: Any) -> str:
    if not isinstance(value, str) or value not in ExecutionMode.values:
        raise ValueError('Send "portal" or "agent", or leave it out.')
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "action": _action,
    "payload": _payload,
    "summary": _text(SUMMARY_LENGTH, empty=True),
    "context": _context,
    "target": _text(TARGET_LENGTH),
    "tags": _tags,
    "records": _records,
    "value": _value,
    "on_behalf_of": _text(NAME_LENGTH),
    "expires_in": _expires_in,
    "supersedes": _supersedes,
    "execution_mode": _execution_mode,
    "policy": _text(NAME_LENGTH),
}
# `payload` may be null, for null is JSON; an action may not.
_NEVER_NULL = {"action", "payload"}


def as_decimal(value: Mapping[str, str] | None) -> Decimal | None:
    """The exact amount of a value, for the column that filters and orders by it."""
    return None if value is None else Decimal(value["amount"])
