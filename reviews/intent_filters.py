"""What the list of intents is filtered by besides its columns: where the figures lead to the rows behind them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RelatedDropdownFilter

from audit import clock
from audit.text import visible
from intents import reading
from intents.models import Intent, Status
from reviews.models import Decision, Vote

LATELY = timedelta(days=1)


# What can come of an intent that people approved, or rejected.
_CAME_OF: dict[str, list[Status]] = {
    Vote.APPROVE: [status for status in Status if status not in (Status.REJECTED, Status.PENDING_APPROVAL)],
    Vote.REJECT: [Status.REJECTED],
}


def decided_lately(vote: Vote) -> Exists:
    """Whether a vote of this kind decided it within `LATELY`, as a condition on intents: one of two decides nothing."""
    votes = Decision.objects.filter(intent=OuterRef("pk"), withdrawn_at=None, vote=vote)
    return Exists(votes.filter(intent__decided_at__gt=clock.now() - LATELY, intent__status__in=_CAME_OF[vote]))


class AgentFilter(RelatedDropdownFilter):
    """The agents whose intents this person may read; to who reads not all of them, others are not named."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        if reading.sees_all(request.user):
            return super().field_choices(field, request, model_admin)
        theirs = Intent.objects.filter(reading.visible_to(request.user), agent=OuterRef("pk"))
        return field.get_choices(include_blank=False, ordering=("name",), limit_choices_to=Q(Exists(theirs)))


class DecidedFilter(SimpleListFilter):
    title = "decided by people"
    parameter_name = "decided"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("approve", "Approved in 24 hours"), ("reject", "Rejected in 24 hours")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Intent]) -> QuerySet[Intent]:
        vote = self.value() or ""
        return queryset.filter(decided_lately(Vote(vote))) if vote in Vote.values else queryset


class AskedFilter(SimpleListFilter):
    """Those that asked people, whatever came of it; there only where it is asked for."""

    title = "asked"
    parameter_name = "asked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("people", "Asked people")] if request.GET.get(self.parameter_name) else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Intent]) -> QuerySet[Intent]:
        return queryset.filter(requirement__isnull=False) if self.value() == "people" else queryset


class RuleFilter(SimpleListFilter):
    """By the rule that decided, `policy/rule`, or `/` where no policy matched; there only where it is asked for."""

    title = "rule"
    parameter_name = "said_by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        asked = request.GET.get(self.parameter_name)
        return [(asked, visible(asked if asked != "/" else "no policy matches"))] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Intent]) -> QuerySet[Intent]:
        policy, slash, rule = (self.value() or "").partition("/")
        if not slash:
            return queryset
        if not policy:
            return queryset.filter(policy_version=None)
        return queryset.filter(verdict__policy=policy, verdict__rule=rule)
