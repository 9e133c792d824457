"""Writing what happened: the row's history, the event and its content, in the transaction of the change itself.

The caller changes its rows, then calls `record` before the transaction ends. Rows are written by hand-made INSERTs,
one per table: this is on the path of every proposal, decision and execution.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import connection, models, transaction
from django.db.transaction import TransactionManagementError

from audit import canonical_rows, clock, context, inserting
from audit.actors import Actor
from audit.event_types import EVENTS, register
from audit.history import HistoryType, history_model, written_by
from audit.models import Content, Event
from zehrava import canonical, ids

__all__ = ["EVENTS", "Change", "commitment", "delete", "record", "register", "save"]

VERSION = 1
_FACETS = ("agent_id", "agent_name", "action", "intent_id")
_SALT_BYTES = 16


@dataclass(slots=True)
class Change:
    """One thing that happened to one row.

    `event` is a registered type; `subject` the row as it now is; `by` who did it. `facts` are ids, digests, statuses,
    numbers and enumerations, for they can never be erased; `content` is text that an agent or a person wrote, and
    can; where that is `sensitive`, neither the admin nor an export shows it. `history` is the kind of history row
    ("+", "~", "-"), or None for an event that changed no row. Subjects without history get none.
    """

    event: str
    subject: models.Model
    by: Actor
    facts: dict[str, Any] = field(default_factory=dict)
    content: dict[str, Any] | None = None
    history: HistoryType | None = "~"
    sensitive: bool = False


def record(*changes: Change, at: datetime | None = None) -> list[Event]:
    """Write history, events and contents for these changes, one INSERT per table.

    `at` is when it happened, by the database's clock where it is not given. Returns the events in the order of the
    changes. Raises TransactionManagementError outside of a transaction, ValueError for an event type that nobody
    registered, for a subject that was never saved and for facts that have no canonical form.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError(
            "The ledger is written in the transaction of the change it records: call it inside transaction.atomic()."
        )
    if not changes:
        return []
    at = clock.now() if at is None else at.astimezone(UTC)
    request_id = context.request_id()
    history_rows: dict[type[models.Model], list[tuple[Any, ...]]] = defaultdict(list)
    contents: list[tuple[Any, ...]] = []
    events = []
    for change in changes:
        event_id = ids.new("evt", at=at)
        history = _history_row(change, event_id, at, history_rows)
        content = None if change.content is None else _content_row(change, event_id, contents)
        events.append(_event(change, event_id, at, request_id, history, content))
    for model, rows in history_rows.items():
        inserting.insert_rows(model, rows)
    inserting.insert(events)
    if contents:
        inserting.insert_rows(Content, contents)
    return events


def save(
    instance: models.Model,
    event: str,
    *,
    by: Actor,
    facts: dict[str, Any] | None = None,
    content: dict[str, Any] | None = None,
    sensitive: bool = False,
    update_fields: Iterable[str] | None = None,
) -> Event:
    """Save a governed row and record the event that says why. Arguments as in `Change`; raises what `record` does."""
    adding = instance._state.adding
    with transaction.atomic(savepoint=False), _without_signal_history(instance):
        instance.save(update_fields=update_fields)
        change = Change(event, instance, by, facts or {}, content, "+" if adding else "~", sensitive)
        return record(change)[0]


def delete(
    instance: models.Model,
    event: str,
    *,
    by: Actor,
    facts: dict[str, Any] | None = None,
    content: dict[str, Any] | None = None,
) -> Event:
    """Delete a governed row and record the event that says why; its last state stays in history."""
    with transaction.atomic(savepoint=False), _without_signal_history(instance):
        # First the record: after the deletion the instance has lost its key.
        recorded = record(Change(event, instance, by, facts or {}, content, "-"))[0]
        instance.delete()
        return recorded


def commitment(salt: str, body: str) -> str:
    """What an event says of its content: `sha256:` over the salt's bytes and the body's, see `Content`."""
    return "sha256:" + hashlib.sha256(bytes.fromhex(salt) + body.encode()).hexdigest()


def _record_plainly(event: str, row: models.Model, by: Actor, kind: HistoryType) -> None:
    record(Change(event, row, by, history=kind))


class _without_signal_history:
    """Tells the signal handlers that the ledger writes this row's history itself."""

    def __init__(self, instance: models.Model) -> None:
        self.instance: Any = instance

    def __enter__(self) -> None:
        self.instance.skip_history_when_saving = True

    def __exit__(self, *error: object) -> None:
        del self.instance.skip_history_when_saving


# --- one history row -----------------------------------------------------------------------------------------------


class _HistoryPlan(NamedTuple):
    """What is known of a governed model once and for all, so that no change has to look it up."""

    model: type[models.Model]
    columns: tuple[canonical_rows.Column, ...]
    own: dict[str, int]
    copied: tuple[tuple[int, str], ...]


@functools.cache
def _history_plan(model: type[models.Model]) -> _HistoryPlan | None:
    history = history_model(model)
    if history is None:
        return None
    columns = canonical_rows.columns(history)
    tracked = {column.attname for column in canonical_rows.columns(model)}
    own, copied = {}, []
    for position, column in enumerate(columns):
        if column.attname in tracked:
            copied.append((position, column.attname))
        else:
            own[column.attname] = position
    return _HistoryPlan(history, columns, own, tuple(copied))


def _history_row(
    change: Change, event_id: str, at: datetime, rows: dict[type[models.Model], list[tuple[Any, ...]]]
) -> dict[str, str] | None:
    plan = None if change.history is None else _history_plan(type(change.subject))
    if plan is None:
        return None
    values: list[Any] = [None] * len(plan.columns)
    by = change.by
    for name, value in (
        ("history_id", event_id),
        ("history_date", at),
        ("history_type", change.history),
        ("history_user_id", by.user_id),
        ("actor_kind", by.kind),
        ("actor_id", by.id),
        ("actor_name", by.name),
    ):
        values[plan.own[name]] = value
    subject = change.subject
    state = subject.__dict__
    for position, attname in plan.copied:
        # A column that was never loaded is fetched by the attribute access; an expression is what the database made
        # of it, so that it has to be read back.
        value = state[attname] if attname in state else getattr(subject, attname)
        if hasattr(value, "resolve_expression"):
            subject.refresh_from_db(fields=[attname])
            value = getattr(subject, attname)
        values[position] = value
    document = canonical_rows.without_nulls(plan.columns, values)
    rows[plan.model].append(tuple(values))
    return {
        "table": plan.model._meta.db_table,
        "id": event_id,
        "digest": canonical.digest(canonical.dumps(document)),
    }


# --- one event -----------------------------------------------------------------------------------------------------


def _content_row(change: Change, event_id: str, rows: list[tuple[Any, ...]]) -> str:
    salt = secrets.token_hex(_SALT_BYTES)
    body = canonical.dumps(change.content).decode()
    rows.append((event_id, salt, body, change.sensitive))
    return commitment(salt, body)


def _event(
    change: Change,
    event_id: str,
    at: datetime,
    request_id: str | None,
    history: dict[str, str] | None,
    content: str | None,
) -> Event:
    if change.event not in EVENTS:
        raise ValueError(f"{change.event!r} is not a registered event type: add it with ledger.register().")
    subject, by = change.subject, change.by
    if subject.pk is None:
        raise ValueError(f"{change.event} needs a saved subject: this {type(subject).__name__} has no primary key.")
    describe = getattr(subject, "audit_about", None)
    about = describe() if describe else {}
    agent_id, agent_name, action, intent_id = (about.get(facet) or None for facet in _FACETS)
    subject_type, subject_id = subject._meta.label_lower, str(subject.pk)
    line = canonical.dumps(
        {
            "id": event_id,
            "at": canonical_rows.instant(at),
            "type": change.event,
            "actor": {"kind": by.kind, "id": by.id, "name": by.name},
            "subject": {"type": subject_type, "id": subject_id},
            "agent": {"id": agent_id, "name": agent_name} if agent_id or agent_name else None,
            "action": action,
            "intent": intent_id,
            "request": request_id,
            "facts": change.facts,
            "content": content,
            "history": history,
            "version": VERSION,
        }
    )
    return Event(
        event_id,
        at,
        change.event,
        by.kind,
        by.id,
        by.name,
        subject_type,
        subject_id,
        agent_id or "",
        agent_name or "",
        action or "",
        intent_id or "",
        request_id or "",
        line.decode(),
    )


written_by(_record_plainly)
