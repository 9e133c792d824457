"""Agents and their keys."""

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from audit.history import History

AGENT_NAME = RegexValidator(
    r"\A[a-z0-9][a-z0-9_.-]{0,62}\Z",
    "Use 1 to 63 lower-case letters, digits, dots, dashes and underscores, beginning with a letter or digit.",
)


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
    suspended_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    # What a person wrote about it stays here, where it can be erased.
    history = History(excluded_fields=["description"])

    class Meta:
        ordering = ["name"]
        permissions = [("suspend_agent", "Can suspend and resume agents")]

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
