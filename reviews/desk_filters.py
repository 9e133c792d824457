"""What of a queue a reviewer wants to see: by agent, action, risk, amount, age, group, and by a few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import django_filters
from django.db.models import Count, Min, Q, QuerySet

from intents.models import Intent, RiskLevel
from reviews.queue import Asked, asks
from zehrava.action_types import SENSITIVE

LONGEST_WORDS = 200
# In a list to choose from: the ones with most that waits.
MOST_CHOICES = 100
Choice = tuple[str, str]
# Nobody finds by its words or its amount what they see masked: halving and halving again reads it.
_MAY_BE_MASKED = Q(action_type_version__text__contains=SENSITIVE)
AGES = {"5m": ("5 minutes", 5), "15m": ("15 minutes", 15), "1h": ("an hour", 60), "1d": ("a day", 24 * 60)}


class DeskFilter(django_filters.FilterSet):
    """Read from the query; what cannot be read is said beside its field and leaves the queue as it is.

    `oldest` is when the first of the whole queue was asked, None where it is empty.
    """

    q = django_filters.CharFilter(method="find", max_length=LONGEST_WORDS, label="Search")
    agent = django_filters.ChoiceFilter(field_name="agent_name", label="Agent", empty_label="Any agent")
    action = django_filters.ChoiceFilter(label="Action", empty_label="Any action")
    risk = django_filters.ChoiceFilter(
        field_name="risk_level", choices=RiskLevel.choices, label="Risk", empty_label="Any risk"
    )
    group = django_filters.ChoiceFilter(method="ask", label="Group", empty_label="Any group")
    age = django_filters.ChoiceFilter(
        method="waited",
        choices=[(key, f"Over {words}") for key, (words, _) in AGES.items()],
        label="Waiting",
        empty_label="Any age",
    )
    least = django_filters.NumberFilter(method="at_least", label="Amount from")
    most = django_filters.NumberFilter(method="at_most", label="Amount to")
    currency = django_filters.ChoiceFilter(field_name="value_currency", label="Currency", empty_label="Any currency")

    class Meta:
        model = Intent
        fields: tuple[str, ...] = ()

    def __init__(self, data: Mapping[str, Any], queryset: QuerySet[Intent], *, asked: Asked, now: datetime) -> None:
        super().__init__(data=data, queryset=queryset)
        self.asked, self.now = asked, now
        (agents, actions, currencies), self.oldest = _counted(queryset)
        self._offer("agent", agents)
        self._offer("action", actions)
        self._offer("currency", currencies)
        groups = sorted({group for each in asked.values() for group in each.groups})
        self._offer("group", [(group, group) for group in groups])

    @property
    def active(self) -> bool:
        """Whether anything is left out because of it."""
        return any(value not in (None, "") for value in self.form.cleaned_data.values())

    def _offer(self, name: str, choices: list[Choice]) -> None:
        chosen = self.data.get(name)
        if chosen and chosen not in dict(choices):
            # What was asked for and is gone, or is not there yet: an empty queue says so better than an error.
            choices = [(chosen, chosen), *choices]
        self.filters[name].extra["choices"] = choices

    def find(self, rows: QuerySet[Intent], name: str, words: str) -> QuerySet[Intent]:
        """In the ids, agents and actions, and in all that the agent wrote; not where some of that may be masked.

        Whoever finds an intent by what is masked in it has read that, letter by letter.
        """
        wrote = Q(canonical__icontains=words) & ~_MAY_BE_MASKED
        return rows.filter(Q(pk=words) | Q(agent_name__icontains=words) | Q(action__icontains=words) | wrote)

    def at_least(self, rows: QuerySet[Intent], name: str, amount: Decimal) -> QuerySet[Intent]:
        return rows.filter(~_MAY_BE_MASKED, value_amount__gte=amount)

    def at_most(self, rows: QuerySet[Intent], name: str, amount: Decimal) -> QuerySet[Intent]:
        return rows.filter(~_MAY_BE_MASKED, value_amount__lte=amount)

    def ask(self, rows: QuerySet[Intent], name: str, group: str) -> QuerySet[Intent]:
        return rows.filter(asks([group], self.asked))

    def waited(self, rows: QuerySet[Intent], name: str, age: str) -> QuerySet[Intent]:
        return rows.filter(created_at__lte=self.now - timedelta(minutes=AGES[age][1]))


def _counted(rows: QuerySet[Intent]) -> tuple[tuple[list[Choice], ...], datetime | None]:
    """The agents, actions and currencies there are, each with how many, most first, and the oldest; one query."""
    fields = ("agent_name", "action", "value_currency")
    found: tuple[Counter[str], ...] = (Counter(), Counter(), Counter())
    oldest: datetime | None = None
    kinds = rows.order_by().values_list(*fields).annotate(number=Count("pk"), first=Min("created_at"))
    for *values, number, first in kinds:
        oldest = min(oldest or first, first)
        for counter, value in zip(found, values, strict=True):
            if value is not None:
                counter[value] += number
    choices = tuple(
        [(value, f"{value} ({number:,})") for value, number in counter.most_common(MOST_CHOICES)] for counter in found
    )
    return choices, oldest
