"""Is every governed row still what its newest history row says? Whoever changes a row by SQL leaves no history.

Compared are the columns that history tracks, in the canonical form that its digests cover. A column that cannot be
null, but is in history, is younger than that history row, and says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from django.apps import apps
from django.db import DataError
from django.db.models import Model

from audit import canonical_rows
from audit.comparing import Finding, Suspicion, confirmed, key_batches, newest_only
from audit.history import history_model
from zehrava import canonical

_UNREADABLE = (DataError, ValueError, TypeError, ArithmeticError)


class Governed(NamedTuple):
    """A model with history: which columns both have, and which of them every row has a value in."""

    model: type[Model]
    history: type[Model]
    key: str
    columns: tuple[canonical_rows.Column, ...]
    required: frozenset[str]


def governed_models() -> list[Governed]:
    """Every model with history of the installed apps, found at run time."""
    return [_governed(model, history) for model in apps.get_models() if (history := history_model(model)) is not None]


def _governed(model: type[Model], history: type[Model]) -> Governed:
    tracked = {column.attname for column in canonical_rows.columns(history)}
    key = model._meta.pk.attname
    columns = tuple(column for column in canonical_rows.columns(model) if column.attname in tracked - {key})
    required = frozenset(column.attname for column in columns if not column.field.null)
    return Governed(model, history, key, columns, required)


def compare(governed: Governed) -> Iterator[Finding | int]:
    """Findings, and after each batch the number of rows that were compared; a constant number of queries each."""
    table = governed.model._meta.db_table
    look = partial(_look, governed)
    rows = governed.model._base_manager.all()
    for keys in key_batches(rows):
        yield from _findings(table, confirmed(keys, look))
        yield len(keys)
    for keys in key_batches(governed.history._base_manager.all(), governed.key):
        gone = set(keys) - set(rows.filter(pk__in=keys).values_list("pk", flat=True))
        if gone:
            yield from _findings(table, confirmed(sorted(gone), look))


def _findings(table: str, problems: dict[Any, str]) -> Iterator[Finding]:
    for key, problem in problems.items():
        yield Finding(table, str(key), problem)


def _look(governed: Governed, keys: Sequence[Any]) -> dict[Any, Suspicion]:
    try:
        return _disagreements(governed, keys)
    except _UNREADABLE:
        if len(keys) == 1:
            # Something that is no value of its column at all, such as SQLite takes and no form of ours writes.
            return {keys[0]: Suspicion(None, "the row holds something that is no value of its column")}
        return {key: suspicion for each in keys for key, suspicion in _look(governed, [each]).items()}


def _disagreements(governed: Governed, keys: Sequence[Any]) -> dict[Any, Suspicion]:
    names = [column.attname for column in governed.columns]
    history = newest_only(
        governed.history._base_manager.filter(**{f"{governed.key}__in": keys}),
        governed.key,
        "history_date",
        "history_id",
    )
    # First history, then the rows: see `confirmed`.
    recorded = {row[0]: row[1:] for row in history.values_list(governed.key, "history_id", "history_type", *names)}
    stored = {row[0]: row[1:] for row in governed.model._base_manager.filter(pk__in=keys).values_list("pk", *names)}
    found = {}
    for key in keys:
        newest, kind, *expected = recorded.get(key, (None, "-"))
        problem = _problem(governed, newest, kind, expected, stored.get(key))
        if problem:
            found[key] = Suspicion(newest, problem)
    return found


def _problem(
    governed: Governed, newest: str | None, kind: str, expected: Sequence[Any], stored: Sequence[Any] | None
) -> str | None:
    if stored is None:
        return None if kind == "-" else "the row is gone, and no history says who deleted it"
    if newest is None:
        return "no history covers this row"
    if kind == "-":
        return f"the row is there, though history row {newest} says that it was deleted"
    differing = [
        column.name
        for column, was, now in zip(governed.columns, expected, stored, strict=True)
        if _form(column, was) != _form(column, now) and not (was is None and column.attname in governed.required)
    ]
    return f"columns differ from history row {newest}: {', '.join(differing)}" if differing else None


def _form(column: canonical_rows.Column, value: Any) -> Any:
    # As bytes, not as values: to Python, the JSON values 1, 1.0 and true are equal.
    form = canonical_rows.as_json(column, value)
    return form if form is None or isinstance(form, str) else canonical.dumps(form)
