"""What people want to be told, what is to be told to whom, and how far the ledger was read."""

from __future__ import annotations

from datetime import time

from django.conf import settings
from django.db import models
from django.db.models import Q

from audit.history import History


class Asks(models.TextChoices):
    """How somebody is told of intents that wait for them."""

    EACH = "each", "At once"
    HOURLY = "hourly", "Every hour, together"
    DAILY = "daily", "Once a day, together"
    NEVER = "never", "Never"


class Occasion(models.TextChoices):
    """Why somebody is told."""

    ASK = "ask", "An intent waits"
    OUTCOME = "outcome", "What became of an intent"
    NEEDS_PERSON = "needs_person", "An execution needs a person"
    MENTION = "mention", "Mentioned in a comment"
    ANSWER = "answer", "An agent answered"
    GLASS = "glass", "Somebody broke the glass"
    STANDING = "standing", "A standing approval was suspended"


class Way(models.TextChoices):
    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook", "Webhook"


class Dropped(models.TextChoices):
    """Why something was never sent."""

    MOOT = "moot", "Not needed any more"
    NOT_THEIRS = "not_theirs", "Not for this person any more"
    NOT_WANTED = "not_wanted", "Not wanted"
    NOWHERE = "nowhere", "No address"
    GAVE_UP = "gave_up", "Given up"


class NotificationSettings(models.Model):
    """What one person wants to be told by e-mail, and when. Without a row, the defaults count."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="notification_settings"
    )
    asks = models.CharField(max_length=10, choices=Asks, default=Asks.EACH)
    daily_at = models.TimeField(default=time(8))
    outcomes = models.BooleanField(default=True)
    # Mentions in comments, and answers of agents to what this person asked.
    mentions = models.BooleanField(default=True)
    # What only who settles executions is told.
    needs_person = models.BooleanField(default=True)
    # Both or none; over midnight where the first is the later one.
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_to = models.TimeField(null=True, blank=True)
    # High and critical risk, reminders and escalations wait neither for the end of quiet hours nor for a digest.
    urgent_anyway = models.BooleanField(default=True)
    time_zone = models.CharField(max_length=64, default="UTC")

    history = History()

    class Meta:
        default_permissions = ()
        verbose_name = "notification settings"
        verbose_name_plural = "notification settings"
        constraints = [
            models.CheckConstraint(condition=Q(asks__in=Asks.values), name="notification_asks_known"),
            models.CheckConstraint(
                condition=Q(quiet_from=None, quiet_to=None) | Q(quiet_from__isnull=False, quiet_to__isnull=False),
                name="notification_quiet_from_and_to",
            ),
        ]

    def __str__(self) -> str:
        return f"notifications of {self.person}"


class Delivery(models.Model):
    """One thing to tell one person or one channel in one way. Housekeeping, not history: dropped after a while.

    A channel is known by the group it belongs to; its address is a secret of the settings.
    """

    event_id = models.CharField(max_length=40)
    intent = models.ForeignKey("intents.Intent", on_delete=models.CASCADE, related_name="deliveries")
    note = models.ForeignKey("reviews.Note", null=True, on_delete=models.CASCADE, related_name="+")
    occasion = models.CharField(max_length=15, choices=Occasion)
    way = models.CharField(max_length=10, choices=Way)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    channel = models.CharField(max_length=150, blank=True)
    urgent = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    # Who sends it holds it until then: a crash gives it back.
    claim = models.CharField(max_length=32, blank=True)
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    trouble = models.TextField(blank=True)
    dropped = models.CharField(max_length=15, choices=Dropped, blank=True)

    class Meta:
        ordering = ["-id"]
        # Only to be looked at: nobody adds, changes or deletes one.
        default_permissions = ("view",)
        verbose_name_plural = "deliveries"
        constraints = [
            # Once each, whoever reads the ledger twice, or at the same time.
            models.UniqueConstraint(
                fields=["event_id", "person", "way"], condition=Q(person__isnull=False), name="delivery_person_once"
            ),
            models.UniqueConstraint(
                fields=["event_id", "channel", "way"], condition=Q(person=None), name="delivery_channel_once"
            ),
            models.CheckConstraint(condition=Q(occasion__in=Occasion.values), name="delivery_occasion_known"),
            models.CheckConstraint(condition=Q(dropped__in=["", *Dropped.values]), name="delivery_dropped_known"),
            models.CheckConstraint(
                condition=Q(way=Way.EMAIL, person__isnull=False, channel="")
                | (Q(way=Way.WEBHOOK, person=None) & ~Q(channel="")),
                name="delivery_to_a_person_or_a_channel",
            ),
            models.CheckConstraint(condition=Q(sent_at=None) | Q(dropped=""), name="delivery_sent_or_dropped"),
        ]
        indexes = [
            # Sending: what is due.
            models.Index(fields=["due_at"], condition=Q(sent_at=None, dropped=""), name="delivery_due"),
            # What one person was told last: their page, and the pause between two mails.
            models.Index(fields=["person", "-id"], name="delivery_person"),
            # What is old enough to be dropped.
            models.Index(fields=["created_at"], name="delivery_old"),
        ]

    def __str__(self) -> str:
        return f"{self.get_occasion_display()}: {self.intent_id}"


class FollowedEvent(models.Model):
    """An event whose deliveries are stored. Kept for as long as it might be read again, some minutes."""

    event_id = models.CharField(primary_key=True, max_length=40)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.event_id


class Following(models.Model):
    """The one row that says how far the ledger was read, who is at it, and whether the mail server is down."""

    read_until = models.DateTimeField()
    busy_until = models.DateTimeField(null=True)
    mail_down_until = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="following_one_row")]

    def __str__(self) -> str:
        return f"read until {self.read_until:%Y-%m-%d %H:%M:%S}"
