"""Events, their erasable contents, the portal's public keys, and the record of who exported what."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from audit.actors import KINDS
from audit.history import History


class Event(models.Model):
    """One thing that happened. `line` is the record; the columns beside it repeat parts of it for filters only.

    `line` is the exact RFC 8785 text of one exported line, and what a Merkle leaf is made of. `audit_check` sees to
    it that the columns agree with it.
    """

    # Ids begin with the milliseconds of `at`: the primary key is also the index by time.
    id = models.CharField(primary_key=True, max_length=40, editable=False)
    at = models.DateTimeField("time")
    type = models.CharField(max_length=64)
    actor_kind = models.CharField(max_length=10, choices=[(kind, kind) for kind in KINDS])
    actor_id = models.CharField(max_length=64)
    actor_name = models.CharField("actor", max_length=255)
    subject_type = models.CharField(max_length=100)
    subject_id = models.CharField("subject", max_length=64)
    agent_id = models.CharField(max_length=64, blank=True)
    agent_name = models.CharField("agent", max_length=255, blank=True)
    action = models.CharField(max_length=200, blank=True)
    intent_id = models.CharField("intent", max_length=64, blank=True)
    request_id = models.CharField("request", max_length=64, blank=True)
    line = models.TextField()

    class Meta:
        db_table = "audit_event"
        ordering = ["-id"]
        permissions = [("export_event", "Can export events and history")]
        constraints = [models.CheckConstraint(condition=Q(actor_kind__in=KINDS), name="audit_event_actor_known")]
        # None of them is partial: with the value in a parameter, SQLite cannot tell that it is never the empty one.
        indexes = [
            # The story of one intent: its page, the evidence of it, `?intent=`.
            models.Index(fields=["intent_id", "id"], name="audit_event_intent"),
            # What one agent did, and what was done to it: `?agent=`, the admin's filter.
            models.Index(fields=["agent_id", "id"], name="audit_event_agent"),
            models.Index(fields=["agent_name", "id"], name="audit_event_agent_name"),
            # The rare ones among many, such as every kill switch: `?type=`, the admin's filter and its count.
            models.Index(fields=["type", "id"], name="audit_event_type"),
            # What one person did: `?reviewer=`.
            models.Index(fields=["actor_id", "id"], name="audit_event_actor"),
            # The story of anything else: the admin's search by id.
            models.Index(fields=["subject_id", "id"], name="audit_event_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.type} ({self.id})"


class Content(models.Model):
    """The text that belongs to an event and may have to be erased; the event holds a salted commitment to it.

    The commitment is SHA-256 over the 16 bytes of `salt` (hexadecimal here) followed by the UTF-8 bytes of `body`.
    Without salt and body, nobody can tell by guessing what the text was.
    """

    # A plain value: erasing never touches the event, and the event never needs the content.
    event_id = models.CharField(primary_key=True, max_length=40, editable=False)
    salt = models.CharField(max_length=32)
    body = models.TextField()
    # What an action type marks sensitive: it leaves the database in no export, and the event still commits to it.
    sensitive = models.BooleanField(default=False)

    class Meta:
        db_table = "audit_content"

    def __str__(self) -> str:
        return self.event_id


class SigningKey(models.Model):
    """A public key of this portal, see `audit.signing`. The newest signs; each is retired by the next one.

    The table is append-only, as events are.
    """

    # The RFC 7638 thumbprint.
    kid = models.CharField("key", primary_key=True, max_length=43, editable=False)
    # Counted from 1: of two that are made at one time the database takes one.
    number = models.PositiveIntegerField(unique=True)
    # The public key as a JWK has it (RFC 8037): base64url.
    x = models.CharField("public key", max_length=43)
    created_at = models.DateTimeField("made")

    class Meta:
        db_table = "audit_signingkey"
        ordering = ["-number"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.kid


class Door(models.TextChoices):
    """Through which door an export left."""

    API = "api", "API"
    ADMIN = "admin", "Admin"
    COMMAND = "command", "Command line"


class ExportRun(models.Model):
    """One export: who took what, when, how much of it, and the digest of the bytes that left."""

    dataset = models.CharField(max_length=100)
    format = models.CharField(max_length=10)
    filters = models.JSONField(default=dict)
    door = models.CharField(max_length=10, choices=Door)
    exported_by_kind = models.CharField(max_length=10, choices=[(kind, kind) for kind in KINDS])
    exported_by_id = models.CharField(max_length=64)
    exported_by = models.CharField(max_length=255)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    rows = models.PositiveBigIntegerField(null=True, blank=True)
    bytes = models.PositiveBigIntegerField(null=True, blank=True)
    sha256 = models.CharField("SHA-256", max_length=71, blank=True)

    # What somebody typed into a filter is content: it stays in this row and in the event's erasable content.
    history = History(excluded_fields=["filters"])

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(door__in=Door.values), name="audit_exportrun_door_known"),
            models.CheckConstraint(
                condition=Q(exported_by_kind__in=KINDS), name="audit_exportrun_exported_by_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset} ({self.format}), export {self.pk}"

    @property
    def state(self) -> str:
        """`finished`, or `unfinished` while it runs and where the reader went away."""
        return "finished" if self.finished_at else "unfinished"

    def outcome(self) -> dict[str, Any]:
        """What can be said of a finished export without naming anything that was in it."""
        return {"rows": self.rows, "bytes": self.bytes, "sha256": self.sha256}
