"""A standing approval, and the intents that it covered."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from audit.history import History
from intents.models.limits import DIGITS, PLACES, ExactDecimal
from reviews.second_factor import Kind

FACTORS = get_args(Kind)
MOST_USES = 10_000
SAMPLE_PERCENT = 5
DISAGREEMENT_PERCENT = 10


class StandingState(models.TextChoices):
    REQUESTED = "requested", "Waits for a second person"
    ACTIVE = "active", "Active"
    SUSPENDED = "suspended", "Suspended"
    USED_UP = "used_up", "Used up"
    OVER = "over", "Over"
    REVOKED = "revoked", "Revoked"
    REFUSED = "refused", "Refused"


# What may still change, by people or by time.
OPEN = (StandingState.REQUESTED, StandingState.ACTIVE, StandingState.SUSPENDED)


class StandingApproval(models.Model):
    """What `owner` asks for and `approver` approves: intents of `agent` with `action` pass, within these terms.

    The terms never change: `terms_digest` covers them, and is what the approver approved. `used` and `spent` are what
    of them is gone. Its reason, conditions and answers are contents, so that history holds digests of them only.
    """

    id = models.CharField(primary_key=True, max_length=40, editable=False)
    agent = models.ForeignKey("intents.Agent", on_delete=models.PROTECT, related_name="standing_approvals")
    agent_name = models.CharField(max_length=63, editable=False)
    # An exact name, or a glob as policies have them.
    action = models.CharField(max_length=200)
    # CEL, as the condition of a rule; empty where every intent with the action is meant.
    when = models.TextField(blank=True)
    max_uses = models.PositiveIntegerField()
    max_total = ExactDecimal(max_digits=DIGITS, decimal_places=PLACES, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    # So many uses within so many seconds.
    rate_count = models.PositiveIntegerField(null=True, blank=True)
    rate_window = models.PositiveIntegerField(null=True, blank=True)
    # Of 100 intents that it covers, so many go to people all the same. Where they reject or change more
    # than so many of 100 of these, it is suspended.
    sample_percent = models.PositiveSmallIntegerField(default=SAMPLE_PERCENT)
    disagreement_percent = models.PositiveSmallIntegerField(default=DISAGREEMENT_PERCENT)
    expires_at = models.DateTimeField()
    reason = models.TextField()
    terms_digest = models.CharField(max_length=71)

    state = models.CharField(max_length=10, choices=StandingState, default=StandingState.REQUESTED)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    owner_name = models.CharField(max_length=150, editable=False)
    # The second factor that each of the two used just before, where policy may want one of them.
    owner_factor = models.CharField(max_length=20, null=True, blank=True)
    approver = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    approver_name = models.CharField(max_length=150, blank=True)
    approver_factor = models.CharField(max_length=20, null=True, blank=True)
    created_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True)
    # When it came into its present state, and why, where somebody said so.
    moved_at = models.DateTimeField()
    answer = models.TextField(blank=True)

    used = models.PositiveIntegerField(default=0)
    spent = ExactDecimal(max_digits=DIGITS, decimal_places=PLACES, default=Decimal(0))

    history = History(excluded_fields=["agent_name", "when", "reason", "owner_name", "approver_name", "answer"])

    class Meta:
        ordering = ["-id"]
        default_permissions = ("add", "view")
        permissions = [
            ("approve_standingapproval", "Can approve standing approvals that others ask for"),
            ("revoke_standingapproval", "Can revoke everybody's standing approvals"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=StandingState.values), name="standing_state_known"),
            # Two people, says the database too; exactly as often as they said.
            models.CheckConstraint(
                condition=Q(state__in=[StandingState.REQUESTED, StandingState.REFUSED])
                | Q(approver__isnull=False, approved_at__isnull=False)
                | Q(state__in=[StandingState.OVER, StandingState.REVOKED], used=0),
                name="standing_approved_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(approver__isnull=True) | ~Q(approver=F("owner")), name="standing_two_people"
            ),
            models.CheckConstraint(condition=Q(max_uses__gte=1, max_uses__lte=MOST_USES), name="standing_most_uses"),
            models.CheckConstraint(condition=Q(used__lte=F("max_uses")), name="standing_within_uses"),
            models.CheckConstraint(
                condition=Q(max_total__isnull=True, currency="") | (Q(max_total__isnull=False) & ~Q(currency="")),
                name="standing_total_has_currency",
            ),
            models.CheckConstraint(
                condition=Q(rate_count__isnull=True, rate_window__isnull=True)
                | Q(rate_count__gte=1, rate_window__gte=1),
                name="standing_rate_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(sample_percent__lte=100, disagreement_percent__lte=100), name="standing_percentages"
            ),
            models.CheckConstraint(
                condition=(Q(owner_factor__isnull=True) | Q(owner_factor__in=FACTORS))
                & (Q(approver_factor__isnull=True) | Q(approver_factor__in=FACTORS)),
                name="standing_factors_known",
            ),
        ]
        indexes = [
            # Proposing: what may cover an intent of this agent.
            models.Index(fields=["agent", "id"], condition=Q(state="active"), name="standing_active"),
            # The sweeper: what runs out of time.
            models.Index(
                fields=["expires_at"], condition=Q(state__in=["requested", "active", "suspended"]), name="standing_ends"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} of {self.agent_name}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    def audit_about(self) -> dict[str, str]:
        about = {"agent_id": self.agent_id, "agent_name": self.agent_name}
        # What a sample brought about is read with the sample, too.
        sample: str = getattr(self, "because_of", "")
        return {**about, **({"intent_id": sample} if sample else {})}


class StandingUse(models.Model):
    """An intent that a standing approval covered: it passed as its use `number`, or went to people as a sample.

    Housekeeping, not history: the ledger's line of the proposal says the same for ever, see `using.unlike_the_ledger`.
    """

    standing_approval = models.ForeignKey(StandingApproval, on_delete=models.PROTECT, related_name="uses")
    intent = models.OneToOneField("intents.Intent", on_delete=models.PROTECT, related_name="standing_use")
    # None for a sample.
    number = models.PositiveIntegerField(null=True)
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["standing_approval", "number"], name="standing_use_once"),
        ]
        indexes = [
            # Proposing: how many passed within the rate's window.
            models.Index(
                fields=["standing_approval", "at"], condition=Q(number__isnull=False), name="standing_use_rate"
            ),
            # What people look at, and said.
            models.Index(fields=["standing_approval", "-id"], condition=Q(number=None), name="standing_samples"),
        ]

    def __str__(self) -> str:
        return f"use {self.number}" if self.number else "a sample"
