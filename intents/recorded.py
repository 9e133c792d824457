"""What the ledger says of a row: its newest history row, believed only where an event of the ledger covers it.

Anyone who may write to the database can change a row, and add a history row; neither is in the ledger then. A history
row carries the id of its event, and the event the digest of its history row: what does not fit together counts for
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db.models import Max, Model, OuterRef, QuerySet, Subquery

from audit import canonical_rows
from audit.history import history_model
from audit.models import Event
from intents.models import ActionTypeVersion, PolicyVersion
from zehrava import canonical
from zehrava.problems import Problem

_ROWS_AT_ONCE = 2000


class Recorded(NamedTuple):
    """The newest history row of one row: its columns by attribute, whether it says that the row was deleted, and
    whether the ledger covers it."""

    values: dict[str, Any]
    deleted: bool
    covered: bool


def newest(model: type[Model], keys: Iterable[Any] | QuerySet | None = None) -> dict[Any, Recorded]:
    """The newest history row of each row of a governed model, by the row's key, also of rows that are gone; one query.

    `keys` are those of the rows that are wanted, all if it is None.
    """
    key = str(model._meta.pk.attname)  # type: ignore[union-attr]
    rows = _history(model).all()
    if keys is not None:
        rows = rows.filter(**{f"{key}__in": keys})
    last = rows.values(key).annotate(newest=Max("history_id")).values("newest")
    return {found.values[key]: found for found in _read(model, _history(model).filter(history_id__in=last))}


def ever(model: type[Model], **columns: Any) -> list[Recorded]:
    """Every history row with these columns; one query."""
    return list(_read(model, _history(model).filter(**columns)))


def differing(said: Recorded | None, **stored: Any) -> list[str]:
    """What of a row, here its columns by attribute, is not what the ledger says, in words; empty where all agrees."""
    if said is None or not said.covered:
        return ["ledger entry"]
    if said.deleted:
        return ["deletion"]
    return [name.removesuffix("_id").replace("_", " ") for name, value in stored.items() if said.values[name] != value]


def document_key(version: PolicyVersion | ActionTypeVersion) -> str:
    """The attribute of a version that holds the key of its policy or action type."""
    return "policy_id" if isinstance(version, PolicyVersion) else "action_type_id"


def differing_version(version: PolicyVersion | ActionTypeVersion, said: Recorded | None) -> list[str]:
    """What of a stored version is not what the ledger says of it, and `text` where its digest does not cover it.

    Not who wrote it: that matters for bringing it into force, and no more once it is.
    """
    columns = (document_key(version), "number", "digest")
    moved = differing(said, **{name: getattr(version, name) for name in columns})
    return moved if canonical.digest(version.text.encode()) == version.digest else ["text", *moved]


def altered(version: PolicyVersion | ActionTypeVersion) -> list[str]:
    """What of a version is not what somebody saved, with who wrote it, in words; empty where all agrees. One query."""
    said = newest(type(version), [version.pk]).get(version.pk)
    moved = differing_version(version, said)
    if differing(said, created_by_id=version.created_by_id) == ["created by"]:
        moved.append("author")
    return moved


def refuse_altered(version: PolicyVersion | ActionTypeVersion) -> None:
    """Raise Problem `integrity-failed` where a version is not what somebody saved, or not by whom; one query."""
    if moved := altered(version):
        raise Problem(
            "integrity-failed",
            f"What is stored of v{version.number} is not what the ledger says was saved: {' and '.join(moved)} differs."
            " Nothing was changed. Tell an auditor; what was meant can be saved anew as another version.",
        )


def _history(model: type[Model]) -> Any:
    history = history_model(model)
    if history is None:
        raise TypeError(f"{model.__name__} has no history.")
    return history._base_manager


def _read(model: type[Model], rows: QuerySet) -> Iterable[Recorded]:
    history = rows.model
    columns = canonical_rows.columns(history)  # type: ignore[arg-type]
    names = [column.attname for column in columns]
    line = Event.objects.filter(pk=OuterRef("history_id")).values("line")
    found = rows.order_by().annotate(event_line=Subquery(line)).values_list("event_line", *names)
    for text, *values in found.iterator(chunk_size=_ROWS_AT_ONCE):
        said = dict(zip(names, values, strict=True))
        covered = text is not None and _covers(text, history._meta.db_table, columns, values, said["history_id"])
        yield Recorded(said, said["history_type"] == "-", covered)


def _covers(
    line: str, table: str, columns: tuple[canonical_rows.Column, ...], values: list[Any], history_id: str
) -> bool:
    try:
        digest = canonical.digest(canonical.dumps(canonical_rows.without_nulls(columns, values)))
        return json.loads(line)["history"] == {"table": table, "id": history_id, "digest": digest}
    except (ValueError, KeyError, TypeError):
        return False
