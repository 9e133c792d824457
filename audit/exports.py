"""Exports: datasets by name, streamed as NDJSON or CSV, each recorded with the digest of what left.

Apps add their own datasets with `register`; built in are `events`, `contents` and `history/<noun>` for every governed
model. An export reads in batches by primary key, so that neither memory nor the size of a query grows with it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import StreamingHttpResponse

from audit import canonical_rows, clock, context, filters, ledger, tabular
from audit.actors import Actor
from audit.filters import Filters
from audit.history import history_models, noun
from audit.models import Content, Door, Event, ExportRun
from zehrava import canonical
from zehrava.problems import Problem

FORMATS = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8; header=present"}
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Dataset:
    """Something that can be exported.

    `queryset` gives the rows that pass the filters; `columns` names the cells that `row` returns, as JSON values.
    `line` gives a row's exact NDJSON bytes without the line feed where they are not simply columns and cells.
    """

    name: str
    title: str
    queryset: Callable[[Filters], QuerySet]
    columns: Sequence[str]
    row: Callable[[Any], Sequence[Any]]
    line: Callable[[Any], bytes] | None = None


_registered: dict[str, Dataset] = {}


def register(dataset: Dataset) -> None:
    """Offer one more dataset. Raises ValueError where the name is taken."""
    if dataset.name in _built_in() or dataset.name in _registered:
        raise ValueError(f"There is already a dataset {dataset.name!r}.")
    _registered[dataset.name] = dataset


def datasets() -> dict[str, Dataset]:
    """Every dataset by name: events first, then contents and history, then what apps registered."""
    return {**_built_in(), **_registered}


def dataset(name: str) -> Dataset:
    """The dataset of that name; raises Problem "invalid" where there is none."""
    try:
        return datasets()[name]
    except KeyError:
        raise Problem(
            "invalid", f"There is no dataset {name!r}; use one of {', '.join(datasets())}.", path="dataset"
        ) from None


def stream(dataset: Dataset, format: str, chosen: Filters) -> Iterator[bytes]:
    """The bytes of an export, in pieces of many rows. Raises Problem "invalid" for an unknown format."""
    pieces = _pieces(dataset, _known_format(format), chosen)
    return (piece for _, piece in pieces)


class Export:
    """One export under way: iterate over it for its bytes; `run` records it.

    Iterating to the end records `export.finished` with rows and digest; stopping before, `export.interrupted`.
    """

    def __init__(self, run: ExportRun, dataset: Dataset, chosen: Filters, by: Actor) -> None:
        self.run = run
        self._dataset, self._filters, self._by = dataset, chosen, by
        # The response is sent after the request's context has gone.
        self._request_id = context.request_id()

    @property
    def filename(self) -> str:
        return f"zehrava-{self._dataset.name.replace('/', '-')}-{self.run.started_at:%Y%m%dT%H%M%SZ}.{self.run.format}"

    @property
    def content_type(self) -> str:
        return FORMATS[self.run.format]

    def __iter__(self) -> Iterator[bytes]:
        rows, size, digest = 0, 0, hashlib.sha256()
        event = "export.interrupted"
        try:
            for count, piece in _pieces(self._dataset, self.run.format, self._filters):
                yield piece
                rows, size = rows + count, size + len(piece)
                digest.update(piece)
            event = "export.finished"
        finally:
            self._record(event, rows, size, "sha256:" + digest.hexdigest())

    def _record(self, event: str, rows: int, size: int, digest: str) -> None:
        run = self.run
        run.rows, run.bytes, run.sha256 = rows, size, digest
        with context.bound_request_id(self._request_id), transaction.atomic():
            if event == "export.finished":
                run.finished_at = clock.now()
            ledger.save(run, event, by=self._by, facts=run.outcome())


def begin(name: str, format: str, given: Mapping[str, str | None], *, by: Actor, door: Door) -> Export:
    """Check what is asked for, record that the export begins, and return it.

    `given` are filters as in `Filters.parse`. Raises Problem "invalid" naming the parameter, having written nothing.
    """
    chosen_dataset, chosen = dataset(name), Filters.parse(given)
    run = ExportRun(
        dataset=name,
        format=_known_format(format),
        filters=chosen.as_given(),
        door=door,
        exported_by_kind=by.kind,
        exported_by_id=by.id,
        exported_by=by.name,
        started_at=clock.now(),
    )
    content = {"filters": run.filters} if run.filters else None
    ledger.save(run, "export.started", by=by, facts={"dataset": name, "format": format}, content=content)
    return Export(run, chosen_dataset, chosen, by)


def response(export: Export) -> StreamingHttpResponse:
    """The download. Closing it early, as a server does when the reader is gone, ends the export as interrupted."""
    answer = StreamingHttpResponse(iter(export), content_type=export.content_type)
    answer.headers["Content-Disposition"] = f'attachment; filename="{export.filename}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _known_format(format: str) -> str:
    if format not in FORMATS:
        raise Problem("invalid", f"There is no format {format!r}; use {' or '.join(FORMATS)}.", path="format")
    return format


def _pieces(dataset: Dataset, format: str, chosen: Filters) -> Iterator[tuple[int, bytes]]:
    if format == "csv":
        yield 0, tabular.lines([dataset.columns])
        for batch in _batches(dataset.queryset(chosen)):
            yield len(batch), tabular.lines(map(dataset.row, batch))
        return
    line = dataset.line or (lambda row: canonical.dumps(dict(zip(dataset.columns, dataset.row(row), strict=True))))
    for batch in _batches(dataset.queryset(chosen)):
        yield len(batch), b"".join(line(row) + b"\n" for row in batch)


def _batches(rows: QuerySet) -> Iterator[list[Any]]:
    # What is written while the export runs is left out, so that it ends. A server-side cursor would do the same, but
    # needs a connection of its own through a pool, and a transaction held open for as long as the reader is slow.
    end = rows.model._base_manager.order_by("-pk").values_list("pk", flat=True).first()
    if end is None:
        return
    rows = rows.filter(pk__lte=end).order_by("pk")
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        if len(batch) < BATCH:
            return
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH])


# --- built in ------------------------------------------------------------------------------------------------------

_EVENT_COLUMNS = (
    *("id", "at", "type", "actor_kind", "actor_id", "actor_name", "subject_type", "subject_id", "agent_id"),
    *("agent_name", "action", "intent", "request", "facts", "content", "history_table", "history_id"),
    *("history_digest", "version"),
)


@functools.cache
def _built_in() -> dict[str, Dataset]:
    found = [
        Dataset(
            "events",
            "Ledger events",
            lambda chosen: filters.events(chosen).only("id", "line"),
            _EVENT_COLUMNS,
            _event_row,
            lambda event: event.line.encode(),
        ),
        Dataset(
            "contents",
            "Contents of events (what agents and people wrote, with the salt of each commitment)",
            lambda chosen: Content.objects.filter(pk__in=filters.events(chosen).values("id")),
            ("event_id", "salt", "body", "withheld"),
            _content_row,
        ),
        *map(_history_dataset, history_models()),
    ]
    return {dataset.name: dataset for dataset in found}


def _history_dataset(model: type[Model]) -> Dataset:
    tracked: Any = model.instance_type  # type: ignore[attr-defined]
    columns = canonical_rows.columns(model)
    return Dataset(
        f"history/{noun(tracked)}",
        f"History of {tracked._meta.verbose_name_plural}",
        lambda chosen: filters.history(model._base_manager.all(), chosen),
        [column.name for column in columns],
        lambda row: [canonical_rows.as_json(column, getattr(row, column.attname)) for column in columns],
        lambda row: canonical.dumps(canonical_rows.as_object(row)),
    )


def _content_row(content: Content) -> Sequence[Any]:
    # Without the salt nobody can tell by guessing what is withheld; the event commits to it as to what was erased.
    if content.sensitive:
        return content.event_id, None, None, True
    return content.event_id, content.salt, content.body, False


def _event_row(event: Event) -> Sequence[Any]:
    line = json.loads(event.line)
    agent, history = line["agent"] or {}, line["history"] or {}
    return (
        *(line["id"], line["at"], line["type"]),
        *(line["actor"]["kind"], line["actor"]["id"], line["actor"]["name"]),
        *(line["subject"]["type"], line["subject"]["id"], agent.get("id"), agent.get("name")),
        *(line["action"], line["intent"], line["request"], line["facts"], line["content"]),
        *(history.get("table"), history.get("id"), history.get("digest"), line["version"]),
    )
