"""Policies and action types: named YAML documents whose versions never change."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from audit.history import History


class Document(models.Model):
    """A name under which one version at a time is in force."""

    name = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class DocumentVersion(models.Model):
    """The text as a person wrote it, with the digest that intents and the ledger refer to."""

    number = models.PositiveIntegerField()
    text = models.TextField()
    digest = models.CharField(max_length=71)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True
        ordering = ["-number"]


class Policy(Document):
    """A named, versioned YAML document of rules; `active` is what counts now, nothing if it is disabled."""

    id = models.CharField(primary_key=True, max_length=40, editable=False)
    active = models.ForeignKey("PolicyVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    # Judged beside the active set on every proposal, without any say; since when.
    shadow = models.ForeignKey("PolicyVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    shadow_since = models.DateTimeField(null=True, blank=True, editable=False)

    history = History()

    class Meta(Document.Meta):
        verbose_name_plural = "policies"
        permissions = [("activate_policy", "Can bring policies into force")]


class PolicyVersion(DocumentVersion):
    # What it covers and asks at most, see `intents.outlines`; null for versions from before that was kept.
    outline = models.JSONField(null=True, editable=False)
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="versions")

    history = History(excluded_fields=["text"])

    class Meta(DocumentVersion.Meta):
        constraints = [
            models.UniqueConstraint(fields=["policy", "number"], name="policy_version_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="policy_version_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.policy} v{self.number}"

    @property
    def document(self) -> Policy:
        return self.policy


class ActionType(Document):
    """What the portal checks, shows well or runs itself for one action."""

    active = models.ForeignKey("ActionTypeVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    history = History()

    class Meta(Document.Meta):
        permissions = [("activate_actiontype", "Can bring action types into force")]


class ActionTypeVersion(DocumentVersion):
    action_type = models.ForeignKey(ActionType, on_delete=models.PROTECT, related_name="versions")

    history = History(excluded_fields=["text"])

    class Meta(DocumentVersion.Meta):
        constraints = [
            models.UniqueConstraint(fields=["action_type", "number"], name="action_type_version_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="action_type_version_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.action_type} v{self.number}"

    @property
    def document(self) -> ActionType:
        return self.action_type
