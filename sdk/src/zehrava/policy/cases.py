"""Cases: intents and what policies must say about them, beside a policy (``tests:``) or in a file of their own."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DocumentError
from .shape import Shape
from .strict_yaml import MAX_BYTES, join, read
from .tables import LEVELS, MAX_ROWS
from .verdicts import ASK, DEFAULT_RULE, EFFECTS

MAX_CASES = 500
NOW = datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.UTC)
"""When a case happens that does not say so."""

_FILE_KEYS = ("policy", "description", "tests")
_CASE_KEYS = (
    "name", "payload", "action", "agent", "context", "target", "tags", "records", "value", "summary", "on_behalf_of",
    "execution_mode", "reversible", "sensitivity", "usage", "now", "expect",
)  # fmt: skip
_AGENT_KEYS = ("id", "name", "owner", "environment", "tier", "labels")
_EXPECT_KEYS = ("effect", "rule", "row")


class CaseError(DocumentError):
    """A file of cases was refused."""


@dataclass(frozen=True, slots=True)
class Case:
    """An intent and what must be said about it.

    Attributes:
        intent: arguments of ``evaluate`` as far as the case gives them.
        effect: what the verdict must be.
        rule, policy: what must decide; any where ``any_rule`` or ``any_policy`` is set.
        rows: the rows of the rule's table that must ask; None: any, or none.
        name: for people, may be "".
        about: the policy whose match says which action, agent and tags a case has that names none; None: none does.
        file: where the case stands ("" for a policy's own), with ``path``, ``line`` and ``column``.
    """

    intent: dict[str, Any]
    effect: str
    rule: str | None = None
    any_rule: bool = True
    policy: str | None = None
    any_policy: bool = True
    name: str = ""
    about: str | None = None
    rows: tuple[int, ...] | None = None
    file: str = ""
    path: str = ""
    line: int = 1
    column: int = 1


def load(path: str | Path) -> tuple[Case, ...]:
    """The cases of one file.

    Raises:
        CaseError: with path, line, column and reason of everything found wrong.
        OSError: when the file cannot be read.
    """
    with open(path, "rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise CaseError(f"The document is longer than {MAX_BYTES // 1024} KiB; split it")
    try:
        return parse(data.decode("utf-8"), file=str(path))
    except UnicodeDecodeError:
        raise CaseError("The document is not UTF-8") from None


def parse(text: str, *, file: str = "") -> tuple[Case, ...]:
    """The cases in a YAML document ``{policy: refunds, tests: […]}``.

    Args:
        file: what failures call it.

    Raises:
        CaseError: with path, line, column and reason of everything found wrong.
    """
    try:
        shape = Shape(read(text))
    except DocumentError as error:
        raise CaseError(error.errors) from None
    data = shape.mapping(shape.document.data, "", known=_FILE_KEYS, required=("tests",))
    about = shape.string(data["policy"], "policy", most=63) if "policy" in data else None
    if "description" in data:
        shape.string(data["description"], "description", most=2_000)
    cases = read_cases(shape, data["tests"], about=about, file=file) if "tests" in data else ()
    if shape.faults:
        raise CaseError(sorted(shape.faults, key=lambda fault: (fault.line, fault.column)))
    return cases


def read_cases(
    shape: Shape, value: Any, *, about: str | None, rules: Collection[str] | None = None, file: str | None = None
) -> tuple[Case, ...]:
    """The cases of a ``tests:`` section; what is wrong is added to the faults of ``shape``.

    Args:
        rules: the ids of the rules of the policy that the cases stand in.
        file: of a file of cases, whose cases may also expect a policy; None for a policy's own.
    """
    cases = []
    for index, entry in enumerate(shape.items(value, "tests", most=MAX_CASES)):
        path = join("tests", index)
        data = shape.mapping(entry, path, known=_CASE_KEYS, required=("payload", "expect"))
        intent = _read_intent(shape, data, path)
        if not about and "action" not in data and isinstance(entry, dict):
            shape.fault(f"{path}.action", "is missing: a case says its action, or the file says `policy`")
        if "name" in data:
            shape.string(data["name"], f"{path}.name", most=200)
        if "expect" not in data:
            continue
        known = _EXPECT_KEYS if file is None else (*_EXPECT_KEYS, "policy")
        expect = shape.mapping(data["expect"], f"{path}.expect", known=known, required=("effect",))
        effect = shape.choice(expect["effect"], f"{path}.expect.effect", EFFECTS) if "effect" in expect else None
        rule, policy = expect.get("rule"), expect.get("policy")
        if not shape.faults and (
            not isinstance(rule, str | None) or (rules is not None and rule not in (*rules, DEFAULT_RULE, None))
        ):
            shape.fault(f"{path}.expect.rule", "names no rule of this policy")
        if not isinstance(policy, str | None):
            shape.fault(f"{path}.expect.policy", "must be the name of a policy, or null where none decides")
        rows = _read_rows(shape, expect["row"], f"{path}.expect.row") if "row" in expect else None
        place = shape.document.fault(path, "")
        cases.append(
            Case(
                intent, effect or ASK, rule, "rule" not in expect, policy, "policy" not in expect,
                data.get("name", ""), about, rows, file or "", path, place.line, place.column,
            )
        )  # fmt: skip
    return tuple(cases)


def _read_rows(shape: Shape, value: Any, path: str) -> tuple[int, ...]:
    """The number of a row, or a list of those that ask together where it cannot be told which of them fits."""
    if not isinstance(value, list):
        number = shape.integer(value, path, least=1, most=MAX_ROWS)
        return () if number is None else (number,)
    entries = enumerate(shape.items(value, path, most=MAX_ROWS))
    numbers = [shape.integer(entry, join(path, index), least=1, most=MAX_ROWS) for index, entry in entries]
    return tuple(sorted(number for number in numbers if number is not None))


def _read_intent(shape: Shape, data: Mapping[str, Any], path: str) -> dict[str, Any]:
    if "agent" in data:
        shape.mapping(data["agent"], f"{path}.agent", known=_AGENT_KEYS)
    for key in ("context", "usage"):
        if key in data and not isinstance(data[key], dict):
            shape.fault(f"{path}.{key}", "must be a mapping")
    if "action" in data:
        shape.string(data["action"], f"{path}.action", most=200)
    # What could not be evaluated would be asked about: a test for that would pass whatever the rules say.
    for key in ("target", "summary", "on_behalf_of"):
        if not isinstance(data.get(key), str | None):
            shape.fault(f"{path}.{key}", "must be a string")
    if data.get("tags"):
        for index, tag in enumerate(shape.items(data["tags"], f"{path}.tags", most=50)):
            shape.string(tag, join(f"{path}.tags", index), most=100)
    if data.get("reversible") is not None:
        shape.boolean(data["reversible"], f"{path}.reversible")
    if data.get("sensitivity") is not None:
        shape.choice(data["sensitivity"], f"{path}.sensitivity", LEVELS)
    if data.get("records") is not None:
        shape.integer(data["records"], f"{path}.records", least=0, most=2**53 - 1)
    if data.get("value") is not None:
        shape.mapping(data["value"], f"{path}.value", known=("amount", "currency"), required=("amount", "currency"))
    intent = {key: data[key] for key in data if key not in ("name", "expect", "now")}
    intent["now"] = _read_now(shape, data["now"], f"{path}.now") if "now" in data else NOW
    return intent


def _read_now(shape: Shape, value: Any, path: str) -> datetime.datetime:
    try:
        now = datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        now = datetime.datetime.min
    if now.tzinfo is None:
        shape.fault(path, "must be a time with its zone, such as 2026-01-01T12:00:00Z")
        return NOW
    return now
