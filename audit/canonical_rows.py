"""How a stored row is written down exactly: the bytes of an exported line, and what the ledger's digests cover.

A history row's canonical form is the RFC 8785 object of its columns. Times are UTC with six decimals and a `Z`;
decimals are text with the column's number of places; integers beyond ±(2^53−1) are text; bytes are hexadecimal;
durations are whole microseconds; JSON columns keep their value. Columns that are null are left out, so that a column
added by a later version changes no older row's form; columns of history are never renamed or dropped. One exported
NDJSON line is exactly these bytes: SHA-256 over the line equals the digest in the event that covers the row.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from operator import attrgetter
from typing import Any, NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db import connection, models

from zehrava import canonical

_SAFE_INTEGER = 2**53 - 1
_EXACT = Context(prec=100)
_OF_SQLITE = Context(prec=15)
_MICROSECOND = timedelta(microseconds=1)


class Column(NamedTuple):
    """One concrete column of a model.

    `plain` is the type, text or integer, whose values are stored and written as they are; None where there is none.
    It spares most of the work on the hot path; `convert` does it for the rest.
    """

    name: str
    attname: str
    field: models.Field
    plain: type | None
    convert: Callable[[Any], Any]


@functools.cache
def columns(model: type[models.Model]) -> tuple[Column, ...]:
    """The concrete columns of a model, in the order of their definition."""
    return tuple(map(column, model._meta.concrete_fields))


def column(field: models.Field) -> Column:
    """What is known of one column once and for all."""
    held = _value_field(field)
    return Column(str(field.column), field.attname, field, _plain_type(held), _converter(held))


def instant(at: datetime) -> str:
    """A time as the ledger writes it: UTC, microseconds, `Z`. Raises ValueError for a time without a zone."""
    if at.tzinfo is None:
        raise ValueError("A recorded time needs a time zone.")
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def as_json(column: Column, value: Any) -> Any:
    """The JSON value that stands for a column's value."""
    if value is None:
        return None
    kind = type(value)
    if kind is column.plain and (kind is str or -_SAFE_INTEGER <= value <= _SAFE_INTEGER):
        return value
    return column.convert(value)


def as_object(row: models.Model) -> dict[str, Any]:
    """The columns of a stored row that are not null, by name, as JSON values."""
    found = columns(type(row))
    return without_nulls(found, (getattr(row, column.attname) for column in found))


def without_nulls(columns: Iterable[Column], values: Iterable[Any]) -> dict[str, Any]:
    """The object of these columns and values; null columns are left out."""
    return {
        column.name: as_json(column, value) for column, value in zip(columns, values, strict=True) if value is not None
    }


def digest(row: models.Model) -> str:
    """`sha256:` and the hexadecimal SHA-256 of a stored row's canonical bytes."""
    return canonical.digest(canonical.dumps(as_object(row)))


def has_column(model: type[models.Model], name: str) -> bool:
    """Whether the model has a concrete column reachable by that name."""
    try:
        return bool(model._meta.get_field(name).concrete)
    except FieldDoesNotExist:
        return False


def reader(attnames: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """A fast getter of several attributes, always as a tuple."""
    if len(attnames) == 1:
        only = attrgetter(attnames[0])
        return lambda instance: (only(instance),)
    return attrgetter(*attnames)


def _plain_type(field: models.Field) -> type | None:
    if isinstance(field, models.CharField | models.TextField):
        return str
    return int if isinstance(field, models.IntegerField) else None


def _value_field(field: models.Field) -> models.Field:
    while isinstance(field, models.ForeignKey):
        field = field.target_field
    return field


def _converter(field: models.Field) -> Callable[[Any], Any]:
    if isinstance(field, models.JSONField):
        if field.encoder is None:
            return lambda value: value
        return lambda value: json.loads(json.dumps(value, cls=field.encoder))
    if isinstance(field, models.BinaryField):
        return lambda value: bytes(value).hex()
    if isinstance(field, models.DateTimeField):
        return lambda value: instant(value if isinstance(value, datetime) else field.to_python(value))
    return lambda value: _scalar(field, field.to_python(value))


def _scalar(field: models.Field, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value) if -_SAFE_INTEGER <= value <= _SAFE_INTEGER else str(int(value))
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        microseconds = value // _MICROSECOND
        return microseconds if -_SAFE_INTEGER <= microseconds <= _SAFE_INTEGER else str(microseconds)
    if isinstance(value, Decimal):
        return _decimal(field, value)
    if isinstance(value, float):
        return value
    return str(value)


def _decimal(field: models.Field, value: Decimal) -> str:
    places = getattr(field, "decimal_places", None)
    if connection.vendor == "sqlite" and field.get_internal_type() == "DecimalField":
        # What such a column gives back there: a binary number, read to 15 digits.
        value = _OF_SQLITE.create_decimal_from_float(float(value))
    # The usual context holds 28 digits, and refuses what has more.
    return format(value if places is None else value.quantize(Decimal(1).scaleb(-places), context=_EXACT), "f")
