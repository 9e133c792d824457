"""Reading the ``table`` of an approval, strictly."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from .approvals import ASKING, KEYS, SEATS, Placed, Surrounding, read_members
from .limits import exact
from .reasons import parse_path
from .requirements import orders_contradict
from .shape import Shape
from .strict_yaml import join
from .tables import CONDITIONS, LEVELS, MAX_ROWS, Measured, Row, Table

MAX_PATTERNS = 50
MAX_RECORDS = 2**53 - 1

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_PATTERN = re.compile(r"[!-~]+")
_TABLE_KEYS = ("amount", "rows")
_AMOUNT_KEYS = ("of", "currency", "in")
_VALUE = Measured(("intent", "value", "amount"), ("intent", "value", "currency"), "")
_ROOTS = frozenset({"payload"})
# What is given on time: a row that says one of these says both.
_TIMEOUT = ("on_timeout", "escalate_to")
_SHARED = tuple(key for key in KEYS if key not in SEATS)
_SHARED_HINTS = {key: f"{key} belongs into the rows of the table" for key in SEATS}
_ROW_HINTS = {
    **dict.fromkeys(("otherwise", "else", "default"), "leave it out: the last row is the one without a condition"),
    **dict.fromkeys(("amount", "amount_up_to", "max", "under", "below"), "write up_to, the largest amount that fits"),
    **dict.fromkeys(("above", "over", "from", "min"), "rows are tried in order: what is less fits a row before"),
    "records": "write records_up_to, the most records that fit",
    "environment": "write environments: [production]",
    "tier": "write tiers: [trusted]",
    "sensitivity": "write sensitivity_up_to: low or normal",
    "when": "a row has no `when`: write rules with a table each",
}


def read_table(shape: Shape, value: dict[str, Any], path: str, around: Surrounding) -> Table | None:
    """The table of an approval, with what is said beside it for all rows; wrong things are added to the faults."""
    before = len(shape.faults)
    shared = shape.mapping(value, path, known=("table", *_SHARED), hints=_SHARED_HINTS)
    place = f"{path}.table"
    data = shape.mapping(value["table"], place, known=_TABLE_KEYS, required=("rows",))
    measured = _read_measured(shape, data["amount"], f"{place}.amount") if "amount" in data else None
    entries = shape.items(data["rows"], f"{place}.rows", most=MAX_ROWS) if "rows" in data else []
    rows = []
    for index, entry in enumerate(entries):
        where = join(f"{place}.rows", index)
        row = _read_row(shape, entry, where, index + 1, Placed(shared, lambda key: f"{path}.{key}"), around)
        _check_place(shape, entry, where, last=index + 1 == len(entries), measured="amount" in data)
        rows.append(row)
    if "amount" in data and not any(isinstance(entry, dict) and "up_to" in entry for entry in entries):
        shape.fault(f"{place}.amount", "no row says up_to; leave amount out")
    if _contradict(rows):
        why = "rows ask the same groups in contrary orders, and where it is not known which row fits both would count"
        shape.fault(f"{place}.rows", why)
    # What stands beside the table is read with each row, and said once.
    shape.faults[before:] = dict.fromkeys(shape.faults[before:])
    return Table(tuple(rows), measured) if len(shape.faults) == before else None


def _read_measured(shape: Shape, value: Any, path: str) -> Measured | None:
    data = shape.mapping(value, path, known=_AMOUNT_KEYS, required=("in",))
    like = "a currency of three capital letters, such as EUR"
    currency = shape.string(data["in"], f"{path}.in", most=3, pattern=_CURRENCY, like=like) if "in" in data else None
    if ("of" in data) != ("currency" in data):
        why = "of and currency go together: both are paths; without them it is the intent's value"
        shape.fault(f"{path}.{'of' if 'of' in data else 'currency'}", why)
        return None
    paths = [_read_path(shape, data[key], f"{path}.{key}") for key in ("of", "currency") if key in data]
    of, currency_of = paths or [_VALUE.of, _VALUE.currency_of]
    return Measured(of, currency_of, currency) if of and currency_of and currency else None


def _read_path(shape: Shape, value: Any, path: str) -> tuple[str, ...] | None:
    text = shape.string(value, path, most=200)
    steps = parse_path(text, _ROOTS) if text else None
    if text and (steps is None or len(steps) < 2):
        shape.fault(path, "must be a path such as payload.amount; leave of and currency out for the intent's value")
    return steps


def _read_row(shape: Shape, value: Any, path: str, number: int, shared: Placed, around: Surrounding) -> Row:
    data = shape.mapping(value, path, known=(*CONDITIONS, *KEYS), hints=_ROW_HINTS)
    own = {key: data[key] for key in KEYS if key in data}
    if isinstance(value, dict) and own.keys().isdisjoint(ASKING):
        shape.fault(path, "asks nobody: name groups in all_of, any_of or weigh")
    settled = _TIMEOUT if any(key in own for key in _TIMEOUT) else ()
    beside = {key: shared.members[key] for key in _SHARED if key in shared.members and key not in settled}
    placed = Placed({**beside, **own}, lambda key: f"{path}.{key}" if key in own else shared.place(key))
    patterns = {
        key: _read_patterns(shape, data[key], f"{path}.{key}") for key in ("environments", "tiers") if key in data
    }
    return Row(
        number,
        read_members(shape, placed, around),
        up_to=_read_amount(shape, data["up_to"], f"{path}.up_to") if "up_to" in data else None,
        records_up_to=shape.integer(data["records_up_to"], f"{path}.records_up_to", least=0, most=MAX_RECORDS)
        if "records_up_to" in data
        else None,
        environments=patterns.get("environments"),
        tiers=patterns.get("tiers"),
        reversible=shape.boolean(data["reversible"], f"{path}.reversible") if "reversible" in data else None,
        sensitivity_up_to=shape.choice(data["sensitivity_up_to"], f"{path}.sensitivity_up_to", LEVELS)
        if "sensitivity_up_to" in data
        else None,
    )


def _read_amount(shape: Shape, value: Any, path: str) -> Decimal | None:
    try:
        return exact(value)
    except ValueError as error:
        shape.fault(path, f"{error}; zero or more")
        return None


def _read_patterns(shape: Shape, value: Any, path: str) -> tuple[str, ...]:
    entries = shape.items(value, path, most=MAX_PATTERNS)
    like = "a name or glob without spaces"
    read = [
        shape.string(entry, join(path, index), most=200, pattern=_PATTERN, like=like)
        for index, entry in enumerate(entries)
    ]
    return tuple(pattern for pattern in read if pattern is not None)


def _check_place(shape: Shape, entry: Any, path: str, *, last: bool, measured: bool) -> None:
    """Whether a row has a condition where it must, and none where it must not; whatever its conditions say."""
    if not isinstance(entry, dict):
        return
    conditions = [key for key in CONDITIONS if key in entry]
    if "up_to" in conditions and not measured:
        why = "needs to know of what: say amount: {in: EUR} in the table, for the intent's value, or of which path"
        shape.fault(f"{path}.up_to", why)
    if last and conditions:
        shape.fault(path, "the last row has no condition: what fits no row above it must ask somebody, too")
    if not last and not conditions:
        shape.fault(path, "has no condition, so no row below it is ever looked at; only the last row has none")


def _contradict(rows: list[Row]) -> bool:
    """Whether the orders of all rows together wait for each other, so that nobody could ever be the first."""
    return orders_contradict([group for group, _ in order] for row in rows for order in row.requirement.in_order)
