"""What an agent did lately, for its page: how much it proposed, what policy and people said, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Count, Q

from audit import clock
from intents import reading
from intents.models import Agent, Intent, Status

DAYS = 30
# People said yes to these, as far as they were asked.
_APPROVED = (Status.APPROVED, Status.EXECUTING, Status.SUCCEEDED, Status.FAILED, Status.INDETERMINATE)


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """Counts of the last `DAYS` days. `approval_rate` is in per cent of what people decided; None without any."""

    proposed: int
    blocked: int
    asked: int
    approved: int
    rejected: int
    went_wrong: int
    waiting: int

    @property
    def approval_rate(self) -> int | None:
        decided = self.approved + self.rejected
        return round(100 * self.approved / decided) if decided else None


def record_of(agent: Agent, person: User | AnonymousUser) -> AgentRecord:
    """The record of this agent in what this person may read; one query."""
    asked = Q(requirement__isnull=False)
    rows = Intent.objects.filter(
        reading.visible_to(person), agent=agent, created_at__gt=clock.now() - timedelta(days=DAYS)
    )
    found = rows.aggregate(
        proposed=Count("pk"),
        blocked=Count("pk", filter=Q(status=Status.BLOCKED)),
        asked=Count("pk", filter=asked),
        approved=Count("pk", filter=asked & Q(status__in=_APPROVED)),
        rejected=Count("pk", filter=Q(status=Status.REJECTED)),
        went_wrong=Count("pk", filter=Q(status__in=[Status.FAILED, Status.INDETERMINATE])),
        waiting=Count("pk", filter=Q(status=Status.PENDING_APPROVAL)),
    )
    return AgentRecord(**found)
