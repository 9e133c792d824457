"""Amendments: what a reviewer changed in the payload of an intent before it may run."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from audit.history import History
from intents.models.intents import Intent


class Amendment(models.Model):
    """One change of an intent's payload, and the canonical text that it replaced.

    The intent's own columns always say what would run now, so that nothing which reads them can act on anything else.
    The proposal as the agent made it is what the first amendment replaced.
    """

    intent = models.ForeignKey(Intent, on_delete=models.PROTECT, related_name="amended_by")
    number = models.PositiveSmallIntegerField()
    editor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    editor_name = models.CharField(max_length=150)
    # RFC 6902, on the payload that was replaced.
    patch = models.JSONField()
    replaced = models.TextField()
    replaced_digest = models.CharField(max_length=71)
    digest = models.CharField(max_length=71)
    # Where the payload may now reach further than the proposal's, in words; empty where it stays within it.
    widenings = models.JSONField(default=list)
    widens = models.BooleanField()
    created_at = models.DateTimeField()

    history = History(excluded_fields=["patch", "replaced", "widenings", "editor_name"])

    class Meta:
        ordering = ["intent", "number"]
        constraints = [
            models.UniqueConstraint(fields=["intent", "number"], name="amendment_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="amendment_from_one"),
        ]

    def __str__(self) -> str:
        return f"amendment {self.number} of {self.intent_id}"

    def audit_about(self) -> dict[str, str]:
        return self.intent.audit_about()
