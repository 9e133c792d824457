"""Comparing rows that may change meanwhile with what was recorded of them, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from django.db.models import F, Model, QuerySet, Window
from django.db.models.functions import RowNumber

from audit.models import Event

BATCH = 1000
_ROUNDS = 5


class Finding(NamedTuple):
    """Something that does not hold: in which table, at which row where it is one, and what."""

    table: str
    row: str | None
    problem: str


class Suspicion(NamedTuple):
    """What seems wrong with a row, and the id of the newest record of it, read before the row itself was."""

    newest: str | None
    problem: str


def key_batches(rows: QuerySet, key: str = "pk") -> Iterator[list[Any]]:
    """The distinct keys of these rows in ascending order, at most `BATCH` at a time and one query each."""
    keys = rows.order_by(key).values_list(key, flat=True).distinct()
    batch = list(keys[:BATCH])
    while batch:
        yield batch
        batch = list(keys.filter(**{f"{key}__gt": batch[-1]})[:BATCH])


def newest_only(rows: QuerySet, of: str, time: str, key: str) -> QuerySet:
    """Of each `of`, only the newest row: by `time`, and by `key` where two have the same."""
    position = Window(RowNumber(), partition_by=F(of), order_by=[F(time).desc(), F(key).desc()])
    return rows.order_by().annotate(recency=position).filter(recency=1)


def newest_events(model: type[Model], keys: Sequence[Any], types: Sequence[str]) -> dict[str, Event]:
    """The newest event of these types about each of these rows, by the row's key as text; one query."""
    events = Event.objects.filter(
        subject_id__in=[str(key) for key in keys], subject_type=model._meta.label_lower, type__in=types
    )
    return {event.subject_id: event for event in newest_only(events, "subject_id", "at", "id")}


def confirmed(keys: Sequence[Any], look: Callable[[Sequence[Any]], dict[Any, Suspicion]]) -> dict[Any, str]:
    """What is wrong with the rows of these keys, though others go on working.

    `look` reads first the newest records of the rows, then the rows, and returns what does not agree. A row and its
    record are committed together: where the newest record is still the same afterwards, the row was not changed in
    between, and what was seen was so. Nobody has to wait for a check, and no change is taken for a manipulation.
    """
    problems: dict[Any, str] = {}
    suspects = look(keys)
    for _ in range(_ROUNDS):
        if not suspects:
            return problems
        again = look(list(suspects))
        for key, suspicion in again.items():
            if suspicion.newest == suspects[key].newest:
                problems[key] = suspects[key].problem
        suspects = {key: suspicion for key, suspicion in again.items() if key not in problems}
    return problems | dict.fromkeys(suspects, "it changed again whenever it was compared")
