"""Does the stored record still hold? What `manage.py audit_check` looks at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from django.db import DatabaseError, connection, transaction
from django.db.models import Model, QuerySet

from audit import canonical_rows, immutability, live_rows
from audit.comparing import BATCH, Finding
from audit.history import history_models
from audit.ledger import commitment
from audit.models import Content, Event
from zehrava import canonical

__all__ = ["Finding", "Report", "check", "register"]

Check = Callable[[], Iterable[Finding]]

_REFUSED_BY_US = "append-only"
_registered: list[Check] = []


class Report(NamedTuple):
    """What was looked at, and what does not hold."""

    tables: int
    events: int
    history_rows: int
    rows: int
    findings: list[Finding]


def register(check: Check) -> Check:
    """Let `audit_check` also find what only another app can tell; it is called once the tables exist."""
    if check not in _registered:
        _registered.append(check)
    return check


def check() -> Report:
    """Look at triggers, at what the database answers to changes, at events, history and every governed row."""
    findings = [Finding(weakness.table, None, weakness.reason) for weakness in immutability.weaknesses(connection)]
    existing = set(connection.introspection.table_names())
    missing = set(immutability.expected_tables()) - existing
    findings += [Finding(table, None, "the table does not exist; run `manage.py migrate`") for table in sorted(missing)]
    if "audit_event" in missing:
        return Report(0, 0, 0, 0, findings)
    protected = [model for model in immutability.protected_models() if model._meta.db_table in existing]
    for model in protected:
        findings += _accepted_changes(model)
    events = history_rows = rows = 0
    for batch in _batches(Event.objects.all()):
        events += len(batch)
        findings += _check_events(batch)
    for model in history_models():
        if model not in protected:
            continue
        for batch in _batches(model._base_manager.all()):
            history_rows += len(batch)
            findings += _check_history(model, batch)
    for governed in live_rows.governed_models():
        if governed.history._meta.db_table in missing:
            continue
        if governed.model._meta.db_table not in existing:
            findings.append(Finding(governed.model._meta.db_table, None, "the table does not exist"))
            continue
        for found in live_rows.compare(governed):
            if isinstance(found, Finding):
                findings.append(found)
            else:
                rows += found
    for registered in _registered:
        findings += registered()
    return Report(len(protected), events, history_rows, rows, findings)


def _batches(rows: QuerySet) -> Iterator[list[Any]]:
    rows = rows.order_by("pk")
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH])


# --- does the database refuse? -------------------------------------------------------------------------------------


def _accepted_changes(model: type[Model]) -> Iterator[Finding]:
    """Try to change one row in a transaction that is rolled back whatever happens."""
    table = connection.ops.quote_name(model._meta.db_table)
    key = connection.ops.quote_name(str(model._meta.pk.column))
    one_row = f"WHERE {key} = (SELECT min({key}) FROM {table})"
    for verb, statement in (
        ("UPDATE", f"UPDATE {table} SET {key} = {key} {one_row}"),
        ("DELETE", f"DELETE FROM {table} {one_row}"),
    ):
        if not _is_refused(statement):
            yield Finding(model._meta.db_table, None, f"{verb} was accepted")


def _is_refused(statement: str) -> bool:
    """Whether our own trigger refuses; a statement that meets no row on SQLite shows nothing and counts as refused."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(statement)
                touched = cursor.rowcount
            transaction.set_rollback(True)
    except DatabaseError as error:
        return _REFUSED_BY_US in str(error)
    return touched == 0 and connection.vendor == "sqlite"


# --- do rows and lines agree? --------------------------------------------------------------------------------------


def _check_events(batch: list[Event]) -> Iterator[Finding]:
    contents = {content.event_id: content for content in Content.objects.filter(pk__in=[event.id for event in batch])}
    expected: dict[str, dict[str, str]] = {}
    for event in batch:
        try:
            line = json.loads(event.line)
            problem = _disagreement(event, line)
        except (ValueError, KeyError, TypeError, AttributeError):
            yield Finding("audit_event", event.id, "the line is not a line of the ledger")
            continue
        if problem:
            yield Finding("audit_event", event.id, problem)
        content = contents.get(event.id)
        if content and commitment(content.salt, content.body) != line["content"]:
            yield Finding("audit_content", event.id, "the content is not the one that the event commits to")
        if line["history"]:
            expected.setdefault(line["history"]["table"], {})[line["history"]["id"]] = event.id
    yield from _missing_history(expected)


def _disagreement(event: Event, line: dict[str, Any]) -> str | None:
    if canonical.dumps(line) != event.line.encode():
        return "the line is not in canonical form"
    agent = line["agent"] or {"id": None, "name": None}
    stated = {
        "id": line["id"],
        "at": line["at"],
        "type": line["type"],
        "actor_kind": line["actor"]["kind"],
        "actor_id": line["actor"]["id"],
        "actor_name": line["actor"]["name"],
        "subject_type": line["subject"]["type"],
        "subject_id": line["subject"]["id"],
        "agent_id": agent["id"] or "",
        "agent_name": agent["name"] or "",
        "action": line["action"] or "",
        "intent_id": line["intent"] or "",
        "request_id": line["request"] or "",
    }
    stored = canonical_rows.as_object(event)
    differing = [name for name, value in stated.items() if stored.get(name) != value]
    return f"columns differ from the line: {', '.join(differing)}" if differing else None


def _missing_history(expected: dict[str, dict[str, str]]) -> Iterator[Finding]:
    models = {model._meta.db_table: model for model in history_models()}
    for table, rows in expected.items():
        model = models.get(table)
        # The history of a model that a later version no longer has is looked at by nobody here.
        if model is None:
            continue
        present = set(model._base_manager.filter(pk__in=rows).values_list("pk", flat=True))
        for row in sorted(rows.keys() - present):
            yield Finding(table, row, f"the history row of event {rows[row]} is missing")


def _check_history(model: type[Model], batch: list[Any]) -> Iterator[Finding]:
    table = model._meta.db_table
    lines = dict(Event.objects.filter(pk__in=[row.pk for row in batch]).values_list("id", "line"))
    for row in batch:
        try:
            history = json.loads(lines[row.pk])["history"]
            agrees = history == {"table": table, "id": row.pk, "digest": canonical_rows.digest(row)}
        except KeyError:
            yield Finding(table, row.pk, "no event covers this row")
            continue
        except (ValueError, TypeError):
            agrees = False
        if not agrees:
            yield Finding(table, row.pk, "the row is not the one that its event covers")
