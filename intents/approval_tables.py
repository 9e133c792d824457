"""The tables of a policy that choose who is asked, in words, for the pages that draw them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from audit.text import visible
from intents import parsing
from zehrava import durations
from zehrava.policy import Requirement
from zehrava.policy.business_time import BusinessHours
from zehrava.policy.errors import DocumentError
from zehrava.policy.requirements import Seat
from zehrava.policy.rules import Rule
from zehrava.policy.tables import Row, Table, grouped

_TITLES = ("Amount", "Records", "Environment", "Tier", "Undo", "Sensitivity")


@dataclass(frozen=True, slots=True)
class RowShown:
    """One row: `cells` are its conditions, by the title of the column, None for any; `asks` whom, `how` the rest."""

    number: int
    cells: tuple[tuple[str, SafeString | None], ...]
    asks: SafeString
    how: SafeString


@dataclass(frozen=True, slots=True)
class TableShown:
    """The table of one rule; `titles` are those of the conditions that any row has."""

    rule: SafeString
    titles: tuple[str, ...]
    rows: tuple[RowShown, ...]
    says_how: bool
    hours: str


@functools.lru_cache(maxsize=64)
def tables_of(text: str) -> tuple[TableShown, ...]:
    """The tables in the text of a policy, in the order of its rules; none where it cannot be read."""
    try:
        policy = parsing.parse_policy(text)
    except DocumentError:
        return ()
    return tuple(_table(rule, rule.table, policy.business_hours) for rule in policy.rules if rule.table is not None)


def _table(rule: Rule, table: Table, hours: BusinessHours | None) -> TableShown:
    conditions = [_conditions(row, table) for row in table.rows]
    used = {title for row in conditions for title in row}
    titles = tuple(title for title in _TITLES if title in used)
    rows = tuple(
        RowShown(
            row.number,
            tuple((title, visible(said[title]) if title in said else None) for title in titles),
            visible(asks(row.requirement)),
            visible("; ".join(_how(row.requirement))),
        )
        for row, said in zip(table.rows, conditions, strict=True)
    )
    by_hours = any(_counts_by_hours(row.requirement) for row in table.rows)
    return TableShown(
        visible(rule.id), titles, rows, any(row.how for row in rows), _hours(hours) if hours and by_hours else ""
    )


def _conditions(row: Row, table: Table) -> dict[str, str]:
    """What has to be so for a row, by the title of a column."""
    said: dict[str, str] = {}
    if row.up_to is not None:
        currency = table.measured.currency if table.measured else ""
        said["Amount"] = f"up to {grouped(row.up_to)} {currency}".rstrip()
    if row.records_up_to is not None:
        said["Records"] = f"up to {row.records_up_to:,}"
    if row.environments is not None:
        said["Environment"] = " or ".join(row.environments)
    if row.tiers is not None:
        said["Tier"] = " or ".join(row.tiers)
    if row.reversible is not None:
        said["Undo"] = "can be undone" if row.reversible else "cannot be undone"
    if row.sensitivity_up_to is not None:
        said["Sensitivity"] = "low" if row.sensitivity_up_to == "low" else f"up to {row.sensitivity_up_to}"
    return said


def asks(requirement: Requirement) -> str:
    """Whom it asks: `2 of finance and 1 of security`."""
    ordered = {group for order in requirement.in_order for group, _ in order}
    parts = [", then ".join(map(_seat, order)) for order in requirement.in_order]
    parts += [_seat(seat) for seat in requirement.groups if seat[0] not in ordered]
    parts += ["either " + " or ".join(map(_seat, choice)) for choice in requirement.any_of]
    parts += map(str, requirement.weigh)
    return " and ".join(parts) + (", all with different managers" if requirement.distinct_managers else "")


def told_rows(entry: Mapping[str, Any]) -> list[str]:
    """The rows of a rule's table that were looked at, each in words; none where it has no table."""
    fits = {True: "asks", False: "does not fit", None: "may fit, so it asks too"}
    rows = (entry.get("table") or {}).get("rows") or ()
    return [f"Row {row['row']} {fits[row['fits']]}: {row['why']}" for row in rows]


def _seat(seat: Seat) -> str:
    return f"{seat[1]} of {seat[0]}"


def _how(requirement: Requirement) -> Iterator[str]:
    if requirement.step_up:
        yield "second factor"
    if requirement.rejections != 1:
        yield f"ends when {requirement.rejections} reject"
    if requirement.expires_in is not None:
        yield f"expires after {durations.text(requirement.expires_in)}"
    for after, _ in requirement.expires_after:
        yield f"expires after {durations.text(after)} of business time"
    for step in requirement.escalation:
        to = f" to {', '.join(step.to)}" if step.to else ""
        business = " of business time" if step.hours else ""
        yield f"{step.do}{to} after {durations.text(step.after)}{business}"
    if requirement.escalate_to:
        yield f"then escalates to {', '.join(map(_seat, requirement.escalate_to))}"


def _counts_by_hours(requirement: Requirement) -> bool:
    return bool(requirement.expires_after) or any(step.hours for step in requirement.escalation)


def _hours(hours: BusinessHours) -> str:
    said = hours.document()
    closed = f", without {len(hours.holidays)} holiday{'' if len(hours.holidays) == 1 else 's'}"
    return (
        f"Business time is {said['from']} to {said['to']} in {hours.zone} on {', '.join(hours.days)}"
        f"{closed if hours.holidays else ''}."
    )
