"""The admin's filters: the same words and the same meaning as in exports."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import TextFilter

from audit import filters
from audit.filters import Filters
from audit.models import Event
from zehrava.problems import Problem

_TITLES = {
    "from": "time from (UTC, 2026-11-23T09:30)",
    "to": "time before (UTC)",
    "agent": "agent (name or id)",
    "action": "action",
    "reviewer": "person (user name or id)",
    "type": "event type",
    "intent": "intent id",
}


class _ExportFilter(TextFilter):
    """One parameter of `audit.filters`; what it cannot read, it says, and shows nothing instead of everything."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        try:
            chosen = Filters.parse({self.parameter_name: self.value()})
        except Problem as problem:
            messages.error(request, problem.detail)
            return queryset.none()
        if not chosen.as_given():
            return queryset
        if queryset.model is Event:
            return queryset & filters.events(chosen)
        return filters.history(queryset, chosen)


def _filter_class(name: str) -> type[_ExportFilter]:
    members: dict[str, Any] = {"parameter_name": name, "title": _TITLES[name], "__module__": __name__}
    return type(f"{name.capitalize()}Filter", (_ExportFilter,), members)


EXPORT_FILTERS = tuple(_filter_class(name) for name in filters.PARAMETERS)
