"""Agents and their keys."""

import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from audit.history import History

AGENT_NAME = RegexValidator(
    r"\A[a-z0-9][a-z0-9_.-]{0,62}\Z",
    "Use 1 to 63 lower-case letters, digits, dots, dashes and underscores, beginning with a letter or digit.",
)
STANDARD_TIER = "standard"
MAX_LABELS = 32
MAX_LABEL_VALUE = 200
_LABEL_NAME = re.compile(r"[a-z0-9][a-z0-9_./-]{0,62}")


def validate_labels(labels: Any) -> None:
    """Raise ValidationError, one message for each fault, unless this is an object of text by name."""
    if not isinstance(labels, dict):
        raise ValidationError("Labels are an object of text by name.")
    faults = [fault for name, value in labels.items() if (fault := label_fault(name, value))]
    if len(labels) > MAX_LABELS:
        faults.append(f"An agent has at most {MAX_LABELS} labels.")
    if faults:
        raise ValidationError(faults)


def label_fault(name: Any, value: Any) -> str | None:
    """What keeps this from being a label, as a sentence; None where nothing does."""
    if not isinstance(name, str) or not _LABEL_NAME.fullmatch(name):
        return (
            f"{name!r} cannot name a label: use 1 to 63 lower-case letters, digits, dots, dashes, slashes and "
            "underscores, beginning with a letter or digit."
        )
    if not isinstance(value, str) or not value or len(value) > MAX_LABEL_VALUE or not value.isprintable():
        return f"The value of {name} has to be 1 to {MAX_LABEL_VALUE} visible characters on one line."
    return None


class Agent(models.Model):
    """A program with its own identity and keys; owned by a person."""

    id = models.CharField(primary_key=True, max_length=40, editable=False)
    name = models.CharField(max_length=63, unique=True, validators=[AGENT_NAME])
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="agents",
        help_text="Answers for the agent, and therefore never decides on what it proposes.",
    )
    environment = models.CharField(
        max_length=63,
        default="production",
        validators=[AGENT_NAME],
        help_text="Where it acts. Policies trust this, never what the agent says about itself.",
    )
    tier = models.CharField(
        max_length=63,
        default=STANDARD_TIER,
        validators=[AGENT_NAME],
        help_text="How much it is trusted, in one word of your own. Policies read it as agent.tier.",
    )
    labels = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_labels],
        help_text="What else policies may rely on, as agent.labels: text by name.",
    )
    suspended_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The kill switch was pressed: it is suspended, and what it proposed is cancelled wherever it has not begun.
    killed_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    # What a person wrote about it stays here, where it can be erased.
    history = History(excluded_fields=["description"])

    class Meta:
        ordering = ["name"]
        permissions = [("suspend_agent", "Can suspend and resume agents, and press their kill switch")]
        constraints = [
            models.CheckConstraint(
                condition=Q(killed_at__isnull=True) | Q(suspended_at__isnull=False), name="agent_killed_is_suspended"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_suspended(self) -> bool:
        return self.suspended_at is not None

    def audit_about(self) -> dict[str, str]:
        return {"agent_id": self.id, "agent_name": self.name}


class AgentKey(models.Model):
    """What an agent proves itself with: shown once, stored as a hash, known by its prefix."""

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="keys")
    prefix = models.CharField(max_length=16, editable=False)
    # SHA-256 is enough: a key has 256 random bits, so there is nothing to guess.
    hash = models.CharField(max_length=64, unique=True, editable=False)
    # The person who saw its text: they could propose with it. None for one that was made on the command line.
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    history = History()

    class Meta:
        ordering = ["-id"]
        indexes = [
            # Read whenever what is in force changed: every key that still counts.
            models.Index(fields=["agent"], condition=Q(revoked_at__isnull=True), name="agentkey_live"),
        ]
        permissions = [("revoke_agentkey", "Can revoke agents' keys")]

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @property
    def is_revoked(self) -> bool:
        return self.revoked_at is not None

    def audit_about(self) -> dict[str, str]:
        return {"agent_id": self.agent_id, "agent_name": self.agent.name}
