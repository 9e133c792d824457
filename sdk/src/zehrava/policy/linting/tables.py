"""What the tables and the clocks of a policy say without meaning it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from zehrava.action_types import ActionType

from ..globs import compile_glob
from ..requirements import Requirement
from ..rules import Policy, Rule
from ..tables import CONDITIONS, LEVELS, Row, Table
from .documents import derives, nowhere
from .findings import NOTE, WARNING
from .reach import Said
from .worlds import World

_BOUNDS = ("up_to", "records_up_to", "sensitivity_up_to")
_NAMED = 5


def check_tables(policy: Policy, worlds: list[World], types: list[ActionType]) -> Iterator[Said]:
    """Rows that are never chosen, rows that ask less than they seem to, and what rows read that nobody knows."""
    for index, rule in enumerate(policy.rules):
        if rule.table is not None:
            path = f"rules[{index}].approval.table"
            yield from _check_rows(policy, rule.table, f"{path}.rows")
            yield from _check_amount(rule.table, path, worlds)
            yield from _check_known(rule.table, path, types)


def check_clock(policy: Policy) -> Iterator[Said]:
    """Business hours that nothing counts by."""
    if policy.business_hours is not None and not any(_counts_by_hours(rule) for rule in policy.rules):
        yield "business_hours", NOTE, "unused", "no approval says clock: business, so these count nothing"


def _counts_by_hours(rule: Rule) -> bool:
    return any(
        asked.expires_after or any(step.hours for step in asked.escalation) for asked in rule.requirements
    )  # fmt: skip


def _check_rows(policy: Policy, table: Table, path: str) -> Iterator[Said]:
    for place, row in enumerate(table.rows):
        before = table.rows[:place]
        hides = next((each for each in before if _covers(each, row)), None)
        if hides is not None:
            yield f"{path}[{place}]", WARNING, "unreachable", _hidden(hides, row)
        elif more := next((each for each in before if _covers(row, each) and _asks_more(each, row)), None):
            whom = "what fits no other row" if row.is_last else f"all that row {more.number} is for, and more"
            message = f"asks less than row {more.number}, and is for {whom}"
            yield f"{path}[{place}]", NOTE, "asks-less", message
        if elsewhere := _elsewhere(policy, row):
            yield f"{path}[{place}].environments", NOTE, "matches-nothing", elsewhere


def _covers(wider: Row, row: Row) -> bool:
    """Whether whatever fits a row fits the wider one as well."""
    return all(_is_wider(name, wider, row) for name in CONDITIONS if getattr(wider, name) is not None)


def _is_wider(name: str, wider: Row, row: Row) -> bool:
    most, own = getattr(wider, name), getattr(row, name)
    if own is None:
        return False
    if name == "sensitivity_up_to":
        return LEVELS.index(most) >= LEVELS.index(own)
    if name in _BOUNDS:
        return bool(most >= own)
    if name == "reversible":
        return bool(most is own)
    tests = [compile_glob(pattern) for pattern in most]
    return all(each in most or "*" in most or ("*" not in each and any(test(each) for test in tests)) for each in own)


def _hidden(hides: Row, row: Row) -> str:
    differ = [name for name in CONDITIONS if getattr(hides, name) != getattr(row, name)]
    if len(differ) == 1 and differ[0] in _BOUNDS and getattr(row, differ[0]) is not None:
        return f"is never chosen: its {differ[0]} is no higher than that of row {hides.number}; put the lowest first"
    return f"is never chosen: whatever fits it fits row {hides.number} before it"


def _asks_more(one: Row, other: Row) -> bool:
    """Whether one row asks all that the other does, and more people or a second factor besides."""
    asks, less = _who(one.requirement), _who(other.requirement)
    return asks != less and Requirement.join([asks, less]).document() == asks.document()


def _who(asked: Requirement) -> Requirement:
    """Without what is about time."""
    return replace(asked, expires_in=None, expires_after=(), escalation=(), escalate_to=())


def _elsewhere(policy: Policy, row: Row) -> str:
    """Why a row is for no environment that the policy is for, as far as both write them out; or ""."""
    covered = policy.match.environments
    if row.environments is None or covered is None or any("*" in each for each in covered):
        return ""
    tests = [compile_glob(pattern) for pattern in row.environments]
    if any(test(each) for test in tests for each in covered):
        return ""
    return f"the policy is for {', '.join(covered[:_NAMED])}, so this row is chosen only where an agent names it"


def _check_amount(table: Table, path: str, worlds: list[World]) -> Iterator[Said]:
    measured = table.measured
    if measured is None or measured.of[0] != "payload":
        return
    for key, steps in (("of", measured.of), ("currency", measured.currency_of)):
        if why := nowhere(".".join(steps), worlds):
            message = f"can never be read, so every row with up_to asks besides: {why}"
            yield f"{path}.amount.{key}", WARNING, "never-fits", message


def _check_known(table: Table, path: str, types: list[ActionType]) -> Iterator[Said]:
    by_value = table.measured is not None and table.measured.of[0] == "intent"
    by_records = any(row.records_up_to is not None for row in table.rows)
    for member, used in (("value", by_value), ("records", by_records)):
        if used and (without := [each.name for each in types if not derives(each, member)]):
            message = (
                f"chooses by intent.{member}, which is what the agent says: {', '.join(without[:_NAMED])} does not "
                "derive it"
            )
            yield path, NOTE, "trusts-claims", message
    silent = [each.name for each in types if each.reversible is None]
    if silent and any(row.reversible is not None for row in table.rows):
        message = (
            f"{', '.join(silent[:_NAMED])} does not say in present.reversible whether it can be undone, so rows about "
            "that ask besides"
        )
        yield path, NOTE, "not-known", message
    silent = [each.name for each in types if each.sensitivity is None]
    if silent and any(row.sensitivity_up_to is not None for row in table.rows):
        message = f"{', '.join(silent[:_NAMED])} does not say its sensitivity, so rows about that ask besides"
        yield path, NOTE, "not-known", message
