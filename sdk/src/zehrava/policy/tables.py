"""A table chooses who is asked by what is asked: the first row whose conditions all hold.

Nothing that is not known spares anybody. A row of which it cannot be told whether it fits (an amount that is missing,
negative, unreadable or in another currency, an action type that does not say whether it can be undone) asks as well as
the row that is chosen without it. Whatever the truth is, the row that it would choose is among those that ask, and
requirements that are joined ask for at least what each of them asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from .functions.amounts import amount
from .globs import compile_glob
from .limits import money, plain
from .reasons import find
from .requirements import Requirement

MAX_ROWS = 50
LEVELS = ("low", "normal", "high")
"""How sensitive an action is, by what its action type says."""

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Measured:
    """The amount that a table goes by: where it stands, and the one currency that its bounds are in."""

    of: tuple[str, ...]
    currency_of: tuple[str, ...]
    currency: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        number: its place, from 1.
        requirement: whom it asks.
        up_to: the largest amount; ``records_up_to`` the most records, ``sensitivity_up_to`` the highest level.
        environments, tiers: patterns of which one has to match what the agent is registered with.
        reversible: whether the action can be undone, or has to be one that cannot.
    """

    number: int
    requirement: Requirement
    up_to: Decimal | None = None
    records_up_to: int | None = None
    environments: tuple[str, ...] | None = None
    tiers: tuple[str, ...] | None = None
    reversible: bool | None = None
    sensitivity_up_to: str | None = None
    _conditions: tuple[_Condition, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        conditions: list[_Condition] = []
        if self.up_to is not None:
            conditions.append(_AmountUpTo(self.up_to))
        if self.records_up_to is not None:
            conditions.append(_RecordsUpTo(self.records_up_to))
        if self.environments is not None:
            conditions.append(_RegisteredAs("environment", self.environments))
        if self.tiers is not None:
            conditions.append(_RegisteredAs("tier", self.tiers))
        if self.reversible is not None:
            conditions.append(_Reversible(self.reversible))
        if self.sensitivity_up_to is not None:
            conditions.append(_SensitivityUpTo(self.sensitivity_up_to))
        object.__setattr__(self, "_conditions", tuple(conditions))

    @property
    def is_last(self) -> bool:
        """Whether it has no condition, and fits whatever there is."""
        return not self._conditions

    def fits(self, facts: _Facts) -> bool | None:
        """Whether all its conditions hold: False as soon as one does not, whatever else is not known, then None."""
        fits: bool | None = True
        for condition in self._conditions:
            holds = condition.holds(facts)
            if holds is False:
                return False
            if holds is None:
                fits = None
        return fits

    def why(self, facts: _Facts) -> str:
        """Why it fits, does not, or cannot be told to, for people."""
        told = [(condition.holds(facts), condition) for condition in self._conditions]
        decisive = [condition for holds, condition in told if holds is False][:1]
        decisive = decisive or [condition for holds, condition in told if holds is None]
        said = [condition.why(facts) for condition in decisive or self._conditions]
        return " and ".join(dict.fromkeys(said)) or "no other row fits"


CONDITIONS = ("up_to", "records_up_to", "environments", "tiers", "reversible", "sensitivity_up_to")


class Chosen(NamedTuple):
    """Whom a table asks: ``rows`` by their numbers, more than one where it cannot be told which of them fits."""

    requirement: Requirement
    rows: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in their order, of which the last fits whatever there is; ``measured`` where a row has a bound in money."""

    rows: tuple[Row, ...]
    measured: Measured | None = None

    @property
    def most(self) -> Requirement:
        """Everybody whom its rows could ask, all at once."""
        return Requirement.join(row.requirement for row in self.rows)

    def choose(self, values: Mapping[str, Any]) -> Chosen:
        """Whom to ask about what ``values`` say: ``payload``, ``intent`` and ``agent`` as conditions see them."""
        facts = _Facts(values, self.measured)
        asked: list[Row] = []
        for row in self.rows:
            fits = row.fits(facts)
            if fits is not False:
                asked.append(row)
            if fits:
                break
        return Chosen(
            asked[0].requirement if len(asked) == 1 else Requirement.join(row.requirement for row in asked),
            tuple([row.number for row in asked]),
            self._reason(asked, facts),
        )

    def document(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """How it chose, as JSON: ``chosen``, and ``rows`` with ``row``, ``fits`` (true, false, null) and ``why`` of
        each that was looked at."""
        facts = _Facts(values, self.measured)
        rows = []
        for row in self.rows:
            rows.append({"row": row.number, "fits": row.fits(facts), "why": row.why(facts)})
            if rows[-1]["fits"]:
                break
        return {"chosen": [each["row"] for each in rows if each["fits"] is not False], "rows": rows}

    def _reason(self, asked: list[Row], facts: _Facts) -> str:
        *others, last = asked
        if others:
            numbers = ", ".join(str(row.number) for row in others)
            unknown = dict.fromkeys(row.why(facts) for row in others)
            return f"rows {numbers} and {last.number} of its table together: {'; '.join(unknown)}"
        why = last.why(facts)
        if last.is_last and len(self.rows) > 1:
            # Of a long table what the rows nearest to it say.
            nearest = dict.fromkeys(row.why(facts) for row in self.rows[-1 - _NAMED : -1])
            why += f" ({'; '.join([*(['…'] if len(self.rows) > 1 + _NAMED else []), *nearest])})"
        return f"row {last.number} of its table: {why}"


class _Facts:
    """What rows are compared with, for one intent; None, or "" of a text, where it is not known."""

    __slots__ = ("amount", "amount_told", "records", "registered", "reversible", "sensitivity")

    def __init__(self, values: Mapping[str, Any], measured: Measured | None) -> None:
        intent, agent = values["intent"], values["agent"]
        records, reversible, sensitivity = intent["records"], intent["reversible"], intent["sensitivity"]
        self.amount, self.amount_told = _read_amount(values, measured) if measured else (None, "")
        self.records: int | None = records if type(records) is int and records >= 0 else None
        self.registered = {what: agent.get(what) for what in ("environment", "tier")}
        self.reversible: bool | None = reversible if type(reversible) is bool else None
        self.sensitivity: str = sensitivity if type(sensitivity) is str and sensitivity in LEVELS else ""


class _Condition(Protocol):
    """Part of a row. Why it holds or not is worked out only where somebody reads it, and quotes nothing that an agent
    wrote but a plain number."""

    def holds(self, facts: _Facts) -> bool | None: ...
    def why(self, facts: _Facts) -> str: ...


@dataclass(frozen=True, slots=True)
class _AmountUpTo:
    most: Decimal

    def holds(self, facts: _Facts) -> bool | None:
        return None if facts.amount is None else facts.amount <= self.most

    def why(self, facts: _Facts) -> str:
        if facts.amount is None:
            return facts.amount_told
        currency = facts.amount_told
        return f"amount {money(facts.amount)} {currency} is {_up_to(self.holds(facts))} {grouped(self.most)}"


@dataclass(frozen=True, slots=True)
class _RecordsUpTo:
    most: int

    def holds(self, facts: _Facts) -> bool | None:
        return None if facts.records is None else facts.records <= self.most

    def why(self, facts: _Facts) -> str:
        if facts.records is None:
            return "it is not known how many records it touches"
        counted = "1 record is" if facts.records == 1 else f"{facts.records:,} records are"
        return f"{counted} {_up_to(self.holds(facts))} {self.most:,}"


class _RegisteredAs:
    """Whether the agent is registered for one of these environments, or has one of these tiers."""

    __slots__ = ("_listed", "_tests", "_what")

    def __init__(self, what: str, patterns: tuple[str, ...]) -> None:
        self._what = what
        self._tests = tuple(compile_glob(pattern) for pattern in patterns)
        self._listed = " or ".join(patterns) if len(patterns) <= _NAMED else f"one of {len(patterns)} that are listed"

    def holds(self, facts: _Facts) -> bool | None:
        value = facts.registered[self._what]
        return any(test(value) for test in self._tests) if type(value) is str and value else None

    def why(self, facts: _Facts) -> str:
        holds = self.holds(facts)
        if holds is None:
            return f"the agent has no {self._what}"
        value = str(facts.registered[self._what])[:100]
        return f"{self._what} is {value}" if holds else f"{self._what} {value} is not {self._listed}"


@dataclass(frozen=True, slots=True)
class _Reversible:
    wanted: bool

    def holds(self, facts: _Facts) -> bool | None:
        return None if facts.reversible is None else facts.reversible is self.wanted

    def why(self, facts: _Facts) -> str:
        if facts.reversible is None:
            return "the action type does not say whether it can be undone"
        return "it can be undone" if facts.reversible else "it cannot be undone"


@dataclass(frozen=True, slots=True)
class _SensitivityUpTo:
    most: str

    def holds(self, facts: _Facts) -> bool | None:
        return LEVELS.index(facts.sensitivity) <= LEVELS.index(self.most) if facts.sensitivity else None

    def why(self, facts: _Facts) -> str:
        if not facts.sensitivity:
            return "the action type does not say how sensitive it is"
        return f"sensitivity {facts.sensitivity} is {_up_to(self.holds(facts))} {self.most}"


def _read_amount(values: Mapping[str, Any], measured: Measured) -> tuple[Decimal | None, str]:
    """The amount and the table's currency; None, and why the amount is not known."""
    currency = find(values, measured.currency_of)
    if not isinstance(currency, str) or not currency.isascii() or currency.upper() != measured.currency:
        return None, f"it is not known to be in {measured.currency}"
    try:
        text = amount(find(values, measured.of))
    except ValueError:
        return None, "its amount cannot be read"
    if text[0] == "0":
        return None, "its amount is negative"
    return Decimal(text[1:]), measured.currency


def _up_to(holds: bool | None) -> str:
    return "up to" if holds else "above"


def grouped(number: Decimal) -> str:
    """A bound as it is read: ``5,000``, ``0.5``."""
    return f"{Decimal(plain(number)):,f}"
