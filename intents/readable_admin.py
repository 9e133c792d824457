"""Admin pages of what belongs to an intent: they are for who may read that."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from intents import reading


class SaysWhyFew:
    """Mixin for a ModelAdmin: where its list is empty, it says that a rule narrows what this person reads."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)  # type: ignore[misc]
        found.narrowed = reading.reads_narrowly(request.user)
        return found


class OfReadableIntents(SaysWhyFew):
    """Mixin for a ModelAdmin whose rows have an `intent`: it lists those of intents that this person may read.

    One row is there also for who has a say in its intent.
    """

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows: QuerySet = super().get_queryset(request)  # type: ignore[misc]
        return rows.filter(reading.visible_to(request.user, "intent__"))

    def get_object(self: Any, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)  # type: ignore[misc]
        return self._by_their_say(request, object_id) if found is None else found

    def _by_their_say(self: Any, request: HttpRequest, object_id: str) -> Any:
        if reading.sees_all(request.user):
            return None
        try:
            key = self.model._meta.pk.to_python(object_id)
        except (ValidationError, ValueError):
            return None
        row = self.model._default_manager.select_related("intent__agent").filter(pk=key).first()
        return row if row is not None and reading.may_read(request.user, row.intent) else None
