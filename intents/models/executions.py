"""Executions: attempts to carry an approved intent out, and the outbox they wait in."""

from django.db import models
from django.db.models import Q

from audit.history import History


class ExecutionState(models.TextChoices):
    WAITING = "waiting", "Waiting to be claimed"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    INDETERMINATE = "indeterminate", "Not known"
    CANCELLED = "cancelled", "Cancelled"


class Execution(models.Model):
    """One attempt to carry an approved intent out.

    The row is written with the approval and is the outbox: a message to the broker only says that it is there.
    """

    id = models.CharField(primary_key=True, max_length=40, editable=False)
    intent = models.ForeignKey("intents.Intent", on_delete=models.PROTECT, related_name="executions")
    attempt = models.PositiveSmallIntegerField()
    mode = models.CharField(max_length=10)
    state = models.CharField(max_length=15, choices=ExecutionState, default=ExecutionState.WAITING)
    digest = models.CharField(max_length=71)
    permit_hash = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # What came back; contents, so it lives here and not in the history.
    result = models.JSONField(null=True, blank=True)

    history = History(excluded_fields=["result", "permit_hash", "sent_at", "lease_until"])

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["intent", "attempt"], name="execution_attempt_once"),
            models.UniqueConstraint(
                fields=["intent"],
                condition=Q(state__in=[ExecutionState.WAITING, ExecutionState.RUNNING]),
                name="execution_one_live",
            ),
            models.CheckConstraint(condition=Q(state__in=ExecutionState.values), name="execution_state_known"),
            models.CheckConstraint(condition=Q(attempt__gte=1), name="execution_from_one"),
        ]
        indexes = [
            # The sweeper: what the broker may have lost.
            models.Index(
                fields=["created_at"],
                condition=Q(state=ExecutionState.WAITING, mode="portal"),
                name="execution_outbox",
            ),
            # The sweeper: leases that lapse.
            models.Index(fields=["lease_until"], condition=Q(state=ExecutionState.RUNNING), name="execution_leases"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.attempt} of {self.intent_id}"

    def audit_about(self) -> dict[str, str]:
        return self.intent.audit_about()
