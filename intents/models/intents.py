"""Intents: the proposal as it was made, and where it stands."""

import functools
import json
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from audit.history import History


class Status(models.TextChoices):
    BLOCKED = "blocked", "Blocked"
    PENDING_APPROVAL = "pending_approval", "Waiting for approval"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    EXPIRED = "expired", "Expired"
    CANCELLED = "cancelled", "Cancelled"
    EXECUTING = "executing", "Executing"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    INDETERMINATE = "indeterminate", "Needs a person"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset(
    {Status.BLOCKED, Status.REJECTED, Status.EXPIRED, Status.CANCELLED, Status.SUCCEEDED, Status.FAILED}
)

# What can still be called off without anybody having to ask what happened.
NOT_BEGUN = (Status.PENDING_APPROVAL, Status.APPROVED)


class ExecutionMode(models.TextChoices):
    PORTAL = "portal", "By the portal"
    AGENT = "agent", "By the agent"


class RiskLevel(models.TextChoices):
    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"
    CRITICAL = "critical", "Critical"


class Sensitivity(models.TextChoices):
    """What an action type says of the data in its payloads, the least first."""

    LOW = "low", "Low"
    NORMAL = "normal", "Normal"
    HIGH = "high", "High"


class Intent(models.Model):
    """One proposed action: who, which action, which payload, why, until when.

    `canonical` is the RFC 8785 text of the canonical intent as it would run now: what is rendered, hashed and executed.
    Where it was amended, the first amendment keeps the proposal. The columns beside it that repeat a part of it exist
    for filters and ordering only; a claim checks that they still agree.
    """

    id = models.CharField(primary_key=True, max_length=40, editable=False)
    agent = models.ForeignKey("intents.Agent", on_delete=models.PROTECT, related_name="intents")
    agent_name = models.CharField(max_length=63, editable=False)
    # Who owned the agent then: handing the agent over gives no say in what it proposed before.
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    # Who made the key that it was proposed with: it could be their own proposal.
    key_maker = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=200)
    status = models.CharField(max_length=20, choices=Status)
    execution_mode = models.CharField(max_length=10, choices=ExecutionMode)

    canonical = models.TextField()
    digest = models.CharField(max_length=71)
    # The digest of the same object without its id: equal for two proposals of the same thing.
    fingerprint = models.CharField(max_length=71)
    target = models.TextField(null=True, blank=True)
    records = models.PositiveBigIntegerField(null=True, blank=True)
    value_amount = models.DecimalField(max_digits=44, decimal_places=12, null=True, blank=True)
    value_currency = models.CharField(max_length=3, null=True, blank=True)
    # What the agent said of records, value and target; `derived` names those the action type worked out itself.
    claims = models.JSONField(default=dict)
    derived = models.JSONField(default=list)

    verdict = models.JSONField()
    verdict_digest = models.CharField(max_length=71)
    requirement = models.JSONField(null=True, blank=True)
    requirement_digest = models.CharField(max_length=71)
    policy_version = models.ForeignKey(
        "intents.PolicyVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    action_type_version = models.ForeignKey(
        "intents.ActionTypeVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    action_type_digest = models.CharField(max_length=71, null=True, blank=True)
    risk_score = models.PositiveSmallIntegerField(default=0)
    risk_level = models.CharField(max_length=10, choices=RiskLevel)
    risk_reasons = models.JSONField(default=list)

    # What reading rules go by, see `intents.reading`: where its agent was registered when it proposed this, and what
    # its action type said of the data in it; empty where that is not known. Later changes of either open nothing.
    environment = models.CharField(max_length=63, blank=True, default="")
    sensitivity = models.CharField(max_length=10, blank=True, default="", choices=Sensitivity)

    # Of what people were asked. For the desk, while it is pending: whom the agent says it acts for, folded, and what it
    # is like (see likeness). For good: that it was asked at all (see attention); `alike` is empty for all others.
    principal = models.TextField(null=True, blank=True)
    alike = models.CharField(max_length=71, blank=True)

    # How often its payload was amended. What it was before stands in the amendments.
    amendments = models.PositiveSmallIntegerField(default=0)
    # Keys of the people who changed it, while it may reach further than the proposal: somebody else has to approve it.
    widened_by = models.JSONField(default=list)

    # How far its escalation came, see `intents.steps`: how many of its steps were taken, and whether its time was over
    # once, so that those are asked whom policy names for that. By `next_step_at` the sweeper finds it.
    steps_taken = models.PositiveSmallIntegerField(default=0)
    overtime = models.BooleanField(default=False)
    next_step_at = models.DateTimeField(null=True, blank=True)
    # As things stand nobody can meet what it asks.
    unmeetable = models.BooleanField(default=False)

    supersedes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)

    # The canonical text, the verdict's reason and the agent's claims are contents: they live here, once, erasable.
    history = History(
        excluded_fields=[
            "canonical",
            "target",
            "claims",
            "verdict",
            "requirement",
            "risk_reasons",
            "agent_name",
            "principal",
            "alike",
            "next_step_at",
        ]
    )

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("cancel_intent", "Can cancel intents"),
            ("resolve_intent", "Can settle what an indeterminate execution did"),
            ("reveal_intent", "Can reveal what is masked, without a say in it"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=Status.values), name="intent_status_known"),
            models.CheckConstraint(condition=Q(execution_mode__in=ExecutionMode.values), name="intent_mode_known"),
            models.CheckConstraint(condition=Q(risk_level__in=RiskLevel.values), name="intent_risk_known"),
            models.CheckConstraint(condition=Q(expires_at__gt=models.F("created_at")), name="intent_expires_later"),
            models.CheckConstraint(
                condition=Q(sensitivity__in=["", *Sensitivity.values]), name="intent_sensitivity_known"
            ),
        ]
        indexes = [
            # The desk: what waits, most urgent first.
            models.Index(
                fields=["-risk_score", "expires_at"],
                condition=Q(status=Status.PENDING_APPROVAL),
                name="intent_desk",
            ),
            # The desk: what waits for the same people, and what is alike.
            models.Index(
                fields=["requirement_digest", "-risk_score", "expires_at"],
                condition=Q(status=Status.PENDING_APPROVAL),
                name="intent_asks",
            ),
            models.Index(fields=["alike"], condition=Q(status=Status.PENDING_APPROVAL), name="intent_alike"),
            # The sweeper: what runs out of time.
            models.Index(
                fields=["expires_at"],
                condition=Q(status__in=[Status.PENDING_APPROVAL, Status.APPROVED]),
                name="intent_expiring",
            ),
            # The sweeper: whose escalation goes on.
            models.Index(
                fields=["next_step_at"],
                condition=Q(status=Status.PENDING_APPROVAL, next_step_at__isnull=False),
                name="intent_next_step",
            ),
            # Proposing: the same thing asked twice while it is pending.
            models.Index(
                fields=["agent", "fingerprint"],
                condition=Q(status=Status.PENDING_APPROVAL),
                name="intent_pending_twin",
            ),
            # Proposing: what an agent may still ask. Only what people were asked has anything in `alike`.
            models.Index(
                fields=["agent", "expires_at"],
                condition=Q(status=Status.PENDING_APPROVAL),
                name="intent_agent_pending",
            ),
            # It stands in the index because SQLite compares it once more, and would read past payloads for that.
            models.Index(fields=["agent", "created_at", "alike"], condition=Q(alike__gt=""), name="intent_agent_asks"),
            # "This agent, this action" on the intent's page, and an agent's own list newest first.
            models.Index(fields=["agent", "action", "-id"], name="intent_agent_action"),
            models.Index(fields=["agent", "-id"], name="intent_agent"),
            # The admin's list and GET /intents filtered by status.
            models.Index(fields=["status", "-id"], name="intent_status"),
            models.Index(fields=["action", "-id"], name="intent_action"),
            # The admin's list, counted for who reads some: past all payloads it would take a second.
            models.Index(fields=["environment", "sensitivity", "-id"], name="intent_reading"),
        ]

    def __str__(self) -> str:
        return f"{self.action} ({self.id})"

    @functools.cached_property
    def document(self) -> dict[str, Any]:
        """The canonical intent, parsed."""
        return json.loads(self.canonical)

    @property
    def payload(self) -> Any:
        return self.document["payload"]

    @property
    def owner_ids(self) -> frozenset[int]:
        """Who owned the agent when it proposed this, and who owns it now."""
        return frozenset({self.owner_id, self.agent.owner_id})

    @property
    def barred_ids(self) -> frozenset[int]:
        """Who never decides about it: its owners, and who made the key that it was proposed with."""
        return self.owner_ids if self.key_maker_id is None else self.owner_ids | {self.key_maker_id}

    def audit_about(self) -> dict[str, str]:
        return {
            "agent_id": self.agent_id,
            "agent_name": self.agent_name,
            "action": self.action,
            "intent_id": self.id,
        }


class IdempotencyKey(models.Model):
    """The answer an agent's key already got. Housekeeping, not history: rows are dropped after a while."""

    agent = models.ForeignKey("intents.Agent", on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_digest = models.CharField(max_length=71)
    intent = models.ForeignKey(Intent, on_delete=models.CASCADE, related_name="+")
    answer = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "key"], name="idempotency_key_once")]
        indexes = [
            # The sweeper: what is old enough to be dropped.
            models.Index(fields=["created_at"], name="idempotency_old"),
        ]

    def __str__(self) -> str:
        return self.key
