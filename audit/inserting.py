"""Rows by hand-made INSERTs, one statement for any number of them.

The same rows by `bulk_create` cost several times as much Python, which counts where every proposal of every agent
passes. No signal is sent, and the rows must be complete: no default is filled in, no key read back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection, models

from audit import canonical_rows


def insert(instances: Sequence[models.Model]) -> None:
    """Insert instances of one model as they are. Raises django.db.IntegrityError where the database refuses one."""
    model = type(instances[0])
    read = _reader(model)
    insert_rows(model, [read(instance) for instance in instances])
    for instance in instances:
        instance._state.adding = False
        instance._state.db = connection.alias


def insert_rows(model: type[models.Model], rows: Sequence[tuple[Any, ...]]) -> None:
    """The same for rows of values, in the order of `columns(model)`."""
    kept = columns(model)
    prepared = [[_to_database(column, value) for column, value in zip(kept, row, strict=True)] for row in rows]
    with connection.cursor() as cursor:
        if len(prepared) == 1:
            cursor.execute(_statement(model, connection.vendor), prepared[0])
        else:
            cursor.executemany(_statement(model, connection.vendor), prepared)


@functools.cache
def columns(model: type[models.Model]) -> tuple[canonical_rows.Column, ...]:
    """The columns that an INSERT fills: all but those the database counts up itself."""
    return tuple(c for c in canonical_rows.columns(model) if not isinstance(c.field, models.AutoField))


@functools.cache
def _reader(model: type[models.Model]) -> Callable[[Any], tuple[Any, ...]]:
    return canonical_rows.reader(tuple(column.attname for column in columns(model)))


@functools.cache
def _statement(model: type[models.Model], vendor: str) -> str:
    quote = connection.ops.quote_name
    names = ", ".join(quote(column.name) for column in columns(model))
    marks = ", ".join(["%s"] * len(columns(model)))
    return f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({marks})"


def _to_database(column: canonical_rows.Column, value: Any) -> Any:
    if value is None or type(value) is column.plain:
        return value
    return column.field.get_db_prep_save(value, connection)
