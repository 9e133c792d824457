"""History of governed models: every row as it was after each change, with who changed it.

A model declares `history = History()`. From then on every `save()` and `delete()` of an instance writes a history
row and a ledger event in the same transaction, whoever calls it; `ledger.record` writes them faster and with more to
say. `QuerySet.update()` and `bulk_create()` send no signal: governed models are not changed that way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Literal

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, models, transaction
from simple_history.manager import HistoryManager
from simple_history.models import HistoricalRecords

from audit import context, event_types
from audit.actors import KINDS, UNATTRIBUTED, Actor

ACTOR_COLUMNS = ("actor_kind", "actor_id", "actor_name")
_VERBS = {"+": "created", "~": "changed", "-": "deleted"}
_RESERVED = {*ACTOR_COLUMNS, "event_id", "history_id", "history_date", "history_type", "history_user_id"}

HistoryType = Literal["+", "~", "-"]
Writer = Callable[[str, models.Model, Actor, HistoryType], object]
# The ledger's own models have a history, so that it cannot be imported here: it says that it writes when it is loaded.
_writer: Writer | None = None

_acting: ContextVar[Actor | None] = ContextVar("audit_acting", default=None)


def written_by(writer: Writer) -> None:
    """Have every plain save and delete recorded by this, in the transaction of the change."""
    global _writer
    _writer = writer


@contextmanager
def acting(by: Actor) -> Iterator[Actor]:
    """Attribute every plain `save()` and `delete()` inside to this actor."""
    token = _acting.set(by)
    try:
        yield by
    finally:
        _acting.reset(token)


def current_actor() -> Actor:
    """Whom a plain `save()` is attributed to: who is `acting`, else who is signed in, else "unattributed"."""
    return _acting.get() or context.signed_in_person() or UNATTRIBUTED


def noun(model: type[models.Model]) -> str:
    """The word for a model's rows in event types and datasets: `agent_key`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model._meta.object_name or "").lower()


def event_type(model: type[models.Model], history_type: str) -> str:
    """The ledger's word for a plain save or delete: `agent_key.created`."""
    return f"{noun(model)}.{_VERBS[history_type]}"


def history_model(model: type[models.Model]) -> type[models.Model] | None:
    """The model of a governed model's history rows; None where it has no history."""
    manager = getattr(model._meta, "simple_history_manager_attribute", None)
    return None if manager is None else getattr(model, manager).model


def history_models() -> list[type[models.Model]]:
    """Every history model of the installed apps, found at run time."""
    from django.apps import apps

    found = (history_model(model) for model in apps.get_models())
    return sorted({model for model in found if model is not None}, key=lambda model: model._meta.db_table)


class RowByRowHistory(HistoryManager):
    """simple-history's manager without its bulk writer, which knows neither actors nor the ledger."""

    def bulk_history_create(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("Write history in bulk with audit.ledger.record(*changes).")


class History(HistoricalRecords):
    """`HistoricalRecords` that also writes the ledger, knows agents, and points at nobody's row.

    `excluded_fields` names contents that must stay erasable and therefore never enter history.

    A history row's primary key is the id of the ledger event written with it (also readable as `event_id`): one event
    covers one row, and rows sort by time. The user is a plain integer, because a foreign key would let the deletion
    of a person reach for rows that nobody may change.
    """

    def __init__(self, *, excluded_fields: list[str] | tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(
            excluded_fields=list(excluded_fields),
            history_id_field=models.CharField(max_length=40),
            history_user_id_field=models.BigIntegerField(null=True, blank=True),
            history_manager=RowByRowHistory,
            **options,
        )

    def finalize(self, sender: type[models.Model], **kwargs: Any) -> None:
        super().finalize(sender, **kwargs)
        if sender is not self.cls and not (self.inherit and issubclass(sender, self.cls)):
            return
        if clash := _RESERVED & {field.attname for field in sender._meta.concrete_fields}:
            raise ImproperlyConfigured(f"{sender.__name__} uses names that history needs: {', '.join(sorted(clash))}.")
        if self.get_m2m_fields_from_model(sender):
            raise ImproperlyConfigured("History does not follow many-to-many fields: record the change as an event.")
        for kind in _VERBS:
            name = event_type(sender, kind)
            event_types.register_default(name, f"A row of {sender._meta.verbose_name_plural} was {_VERBS[kind]}.")
        _save_with_history_atomically(sender)

    def copy_fields(self, model: type[models.Model]) -> dict[str, models.Field]:
        """Columns that may be null and have no default.

        A column added in a later version is then null in every older row, which its digest leaves out: with a
        default, the migration itself would rewrite what nobody may change.
        """
        fields = super().copy_fields(model)
        for field in fields.values():
            field.null = True
            field.default = field.db_default = models.NOT_PROVIDED
            # What Django worked out from the originals was copied along.
            for cached in ("_get_default", "_db_default_expression"):
                field.__dict__.pop(cached, None)
        return fields

    def get_extra_fields(self, model: type[models.Model], fields: dict[str, models.Field]) -> dict[str, Any]:
        return {
            **super().get_extra_fields(model, fields),
            "actor_kind": models.CharField(max_length=10, choices=[(kind, kind) for kind in KINDS], editable=False),
            "actor_id": models.CharField(max_length=64, editable=False),
            "actor_name": models.CharField(max_length=255, editable=False),
            "event_id": property(lambda row: row.history_id),
            # simple-history asks the row itself, which may have to be read first and may hold anybody's text.
            "__str__": lambda row: (
                f"{model._meta.verbose_name} {getattr(row, model._meta.pk.attname)} {row.history_type}"
            ),
        }

    def post_save(self, instance: models.Model, created: bool, using: str | None = None, **kwargs: Any) -> None:
        # Fixtures (`raw`) and SIMPLE_HISTORY_ENABLED=False skip history in simple-history; nothing may skip it here
        # but the ledger, which writes the same row itself.
        if not hasattr(instance, "skip_history_when_saving"):
            self.create_historical_record(instance, "+" if created else "~", using=using)

    def post_delete(self, instance: models.Model, using: str | None = None, **kwargs: Any) -> None:
        if not hasattr(instance, "skip_history_when_saving"):
            self.create_historical_record(instance, "-", using=using)

    def create_historical_record(
        self, instance: models.Model, history_type: HistoryType, using: str | None = None
    ) -> None:
        if _writer is None:
            raise ImproperlyConfigured("A row was saved before the ledger was loaded: nothing would have recorded it.")
        _writer(event_type(type(instance), history_type), instance, current_actor(), history_type)


def _save_with_history_atomically(model: type[models.Model]) -> None:
    """Make one transaction of a row and its history: Django sends `post_save` after its own has ended."""
    save_base = model.save_base

    @wraps(save_base)
    def save_base_atomically(self: models.Model, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic(using=kwargs.get("using") or DEFAULT_DB_ALIAS, savepoint=False):
            save_base(self, *args, **kwargs)

    model.save_base = save_base_atomically  # type: ignore[method-assign]
