"""What an event is about, by name: ids are for programs."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import ForeignKey, Model
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from audit.models import Event

Subject = tuple[str, str]
_VOTES = {"approve": ("Approved", "green"), "reject": ("Rejected", "red")}


def names_of(subjects: Iterable[Subject]) -> dict[Subject, str]:
    """The present names of (label, id), where a thing has one: `finance`, `refunds v2`. One query per kind of thing."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for label, key in subjects:
        wanted[label].add(key)
    return {(label, key): name for label, keys in wanted.items() for key, name in _names_of_kind(label, keys).items()}


def _names_of_kind(label: str, keys: set[str]) -> dict[str, str]:
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return {}
    columns = _name_columns(model)
    if not columns:
        return {}
    primary = []
    for key in keys:
        # An id of the ledger may be of a time when ids looked different.
        with contextlib.suppress(ValidationError, ValueError):
            primary.append(model._meta.pk.to_python(key))
    rows = model._base_manager.filter(pk__in=primary).values_list("pk", *columns)
    return {str(pk): " v".join(str(part) for part in parts) for pk, *parts in rows}


def _name_columns(model: type[Model]) -> list[str]:
    """The columns that make the name of a row; [] where rows have none. A version is called after its document."""
    for column in ("name", "username"):
        if _has(model, column):
            return [column]
    if _has(model, "number"):
        for field in model._meta.concrete_fields:
            if isinstance(field, ForeignKey) and _has(field.related_model, "name"):
                return [f"{field.name}__name", "number"]
    return []


def _has(model: type[Model], column: str) -> bool:
    try:
        return bool(model._meta.get_field(column).concrete)
    except FieldDoesNotExist:
        return False


def said_by_vote(event: Event) -> SafeString:
    """Which vote an event is about, as a pill; empty for all other events."""
    if not event.type.startswith("decision."):
        return mark_safe("")
    try:
        vote = json.loads(event.line)["facts"]["vote"]
    except (ValueError, KeyError, TypeError):
        return mark_safe("")
    word, colour = _VOTES.get(str(vote), ("", ""))
    return format_html('<span class="zhv-pill is-{}">{}</span>', colour, word) if word else mark_safe("")
