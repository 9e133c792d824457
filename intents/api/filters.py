"""What a list of intents can be narrowed to."""

from datetime import UTC, datetime
from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.request import Request

from intents.api.view import query
from intents.models import Intent, RiskLevel, Status
from zehrava import ids
from zehrava.problems import Problem


class Texts(forms.Field):
    """Several of a fixed set, repeated or with commas between them."""

    widget = forms.MultipleHiddenInput

    def __init__(self, *, allowed: tuple[str, ...], **kwargs: Any) -> None:
        self.allowed = allowed
        super().__init__(**kwargs)

    def to_python(self, value: list[str] | None) -> list[str]:
        wanted = [part.strip() for text in value or () for part in text.split(",")]
        for part in wanted:
            if part not in self.allowed:
                raise forms.ValidationError(f"Use one or more of {', '.join(self.allowed)}.")
        return wanted


class Moment(forms.Field):
    """An ISO 8601 time with its zone, so that nobody has to guess which hour was meant."""

    def to_python(self, value: str | None) -> datetime | None:
        if not value:
            if value is None:
                return None
            raise forms.ValidationError("Send a time, or leave the parameter out.")
        # A plus sign that nobody encoded arrives as a space.
        moment = _moment(value.replace(" ", "+") if value.count(" ") == 1 and "T" in value else value)
        if moment is None:
            raise forms.ValidationError("Send a time with its zone, such as 2026-11-23T08:00:00Z.")
        return moment


def _moment(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text)
        if moment is None or moment.tzinfo is None:
            return None
        # At the edge of the calendar a local time may have no UTC.
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class Word(forms.CharField):
    """A text that is compared as it is; empty is an error and no wildcard."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=254, strip=False, empty_value=None, **kwargs)

    def clean(self, value: Any) -> Any:
        if value == "":
            raise forms.ValidationError("Send a value, or leave the parameter out.")
        return super().clean(value)


class TextsFilter(django_filters.Filter):
    field_class = Texts


class MomentFilter(django_filters.Filter):
    field_class = Moment


class WordFilter(django_filters.Filter):
    field_class = Word


class IntentFilter(django_filters.FilterSet):
    """The filters of `GET /intents`; all that are given must hold."""

    status = TextsFilter(lookup_expr="in", allowed=tuple(Status.values))
    risk = TextsFilter(field_name="risk_level", lookup_expr="in", allowed=tuple(RiskLevel.values))
    action = WordFilter()
    agent = WordFilter(method="by_agent")
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Intent
        fields: list[str] = []

    def by_agent(self, queryset: QuerySet[Intent], name: str, value: str) -> QuerySet[Intent]:
        if ids.is_id(value, "agt"):
            return queryset.filter(agent_id=value)
        return queryset.filter(Q(agent__name=value))


def narrowed(intents: QuerySet[Intent], request: Request) -> QuerySet[Intent]:
    """The intents that the query asks for. Raises Problem `invalid` naming each parameter that is unknown or wrong."""
    query(
        request,
        known=("action", "agent", "created_after", "created_before", "limit", "cursor"),
        repeatable=("status", "risk"),
    )
    filters = IntentFilter(request.query_params, queryset=intents)
    if not filters.is_valid():
        errors = [
            {"path": name, "detail": message} for name, messages in filters.errors.items() for message in messages
        ]
        raise Problem("invalid", f"{errors[0]['path']}: {errors[0]['detail']}", path=errors[0]["path"], errors=errors)
    return filters.qs
