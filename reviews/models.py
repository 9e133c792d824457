"""Decisions of people, and the personal tokens they call the API with."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from audit.history import History
from reviews.notifications.models import Delivery, FollowedEvent, Following, NotificationSettings
from reviews.standing.models import StandingApproval, StandingState, StandingUse
from zehrava.policy.globs import glob

__all__ = [
    "BreakGlassReview",
    "Decision",
    "Delegation",
    "Delivery",
    "Door",
    "FactorKind",
    "Finding",
    "FollowedEvent",
    "Following",
    "Ground",
    "Note",
    "NoteKind",
    "NotificationSettings",
    "PersonalToken",
    "ReportingLine",
    "StandingApproval",
    "StandingState",
    "StandingUse",
    "Take",
    "Vote",
]


class Vote(models.TextChoices):
    APPROVE = "approve", "Approve"
    REJECT = "reject", "Reject"


class Ground(models.TextChoices):
    """Why somebody rejects or changes, in a word that can be counted; the rationale says the rest."""

    WRONG_AMOUNT = "wrong_amount", "Wrong amount"
    WRONG_TARGET = "wrong_target", "Wrong target or recipient"
    DUPLICATE = "duplicate", "Done or asked already"
    NOT_NEEDED = "not_needed", "Not needed"
    NOT_ALLOWED = "not_allowed", "Against our rules"
    SUSPICIOUS = "suspicious", "Suspicious: looks steered or mistaken"
    UNCLEAR = "unclear", "Too little to judge by"
    OTHER = "other", "Something else"


class FactorKind(models.TextChoices):
    TOTP = "totp", "Authenticator app"
    WEBAUTHN = "webauthn", "Security key"
    RECOVERY_CODE = "recovery_code", "Recovery code"


def every_action() -> list[str]:
    """The scope of a delegation that is about all actions."""
    return ["*"]


class Delegation(models.Model):
    """One person's word that another one decides for them, for a while; see `reviews.delegation`."""

    delegator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    delegate = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField("from")
    ends_at = models.DateTimeField("until")
    # What it is about: actions by name or glob, as in policies, and values up to a ceiling. None: of any value or none.
    actions = models.JSONField(default=every_action)
    ceiling_amount = models.DecimalField(max_digits=44, decimal_places=12, null=True, blank=True)
    ceiling_currency = models.CharField(max_length=3, blank=True, default="")
    # The delegator is away meanwhile: the delegate is told instead.
    away = models.BooleanField(default=False)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    history = History(excluded_fields=["reason"])

    class Meta:
        # One's own needs no permission; these are about everybody's.
        default_permissions = ("view", "change")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(delegator=models.F("delegate")), name="delegation_to_somebody_else"),
            models.CheckConstraint(
                condition=Q(ends_at__gt=models.F("starts_at")), name="delegation_ends_after_it_starts"
            ),
            models.CheckConstraint(
                condition=Q(ceiling_amount=None, ceiling_currency="")
                | (Q(ceiling_amount__gte=0) & ~Q(ceiling_currency="")),
                name="delegation_ceiling_with_currency",
            ),
        ]
        indexes = [
            # Every page of the desk: which are in force.
            models.Index(fields=["ends_at"], condition=Q(revoked_at=None), name="delegation_in_force"),
        ]

    def __str__(self) -> str:
        return f"{self.delegate} for {self.delegator}"

    @property
    def is_scoped(self) -> bool:
        """Whether it is about less than everything."""
        return self.actions != every_action() or self.ceiling_amount is not None

    def covers(self, action: str, amount: Decimal | None, currency: str | None) -> bool:
        """Whether an intent of this action and value is within its scope; one without a value is under no ceiling, and
        neither is one of less than nothing."""
        if not self.covers_action(action):
            return False
        if self.ceiling_amount is None:
            return True
        return amount is not None and 0 <= amount <= self.ceiling_amount and currency == self.ceiling_currency

    def covers_action(self, action: str) -> bool:
        """Whether this action is within its scope; what cannot be read is about nothing."""
        actions = self.actions if isinstance(self.actions, list) else []
        return any(isinstance(pattern, str) and glob(action, pattern) for pattern in actions)


class ReportingLine(models.Model):
    """Who manages one person, by this account of theirs; see `reviews.managers`. Without a manager: not on record."""

    person = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    manager = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    history = History()

    class Meta:
        # Changed with the account that it is about.
        default_permissions = ("view",)
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=~Q(person=models.F("manager")), name="reporting_line_to_somebody_else"),
        ]

    def __str__(self) -> str:
        return f"{self.person} reports to {self.manager or 'nobody on record'}"


class Door(models.TextChoices):
    """Through which door a decision came."""

    DESK = "desk", "The intent's page"
    CHANGE = "change", "The page on which it is changed"
    GROUP = "group", "The page of several alike"
    GLASS = "glass", "The page on which the glass is broken"
    API = "api", "API"


class Decision(models.Model):
    """What one reviewer said about one intent, bound to what they were shown.

    `record_digest` covers the whole decision, rationale included: history and ledger bind text that they do not hold.
    `signature` is the portal's over the same record, see `reviews.decision_record`.
    """

    id = models.CharField(primary_key=True, max_length=40, editable=False)
    intent = models.ForeignKey("intents.Intent", on_delete=models.PROTECT, related_name="decisions")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions")
    reviewer_name = models.CharField(max_length=150)
    # Whose seat it is about, where the reviewer decided for somebody else, and by which word of theirs.
    delegator = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    delegator_name = models.CharField(max_length=150, blank=True, default="")
    delegation = models.ForeignKey(Delegation, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    vote = models.CharField(max_length=10, choices=Vote)
    ground = models.CharField(max_length=20, choices=Ground, blank=True, default="")
    rationale = models.TextField(blank=True)
    digest = models.CharField(max_length=71)
    verdict_digest = models.CharField(max_length=71)
    requirement_digest = models.CharField(max_length=71)
    record_digest = models.CharField(max_length=71)
    # Approved with changes: the JSON Patch, and the digest of what was shown; `digest` is that of what it made.
    changes = models.JSONField(null=True, blank=True)
    shown_digest = models.CharField(max_length=71, blank=True, default="")
    # The second factor that the reviewer used last before it, and when.
    factor = models.CharField(max_length=20, choices=FactorKind, null=True, blank=True)
    factor_at = models.DateTimeField(null=True, blank=True)
    # What stands in the record from its version 5 on; null in decisions of before. Which rule of policy asked, how the
    # page is drawn, the group whose seat it filled when it was given, the door, the address, and what its page says.
    record_version = models.PositiveSmallIntegerField(null=True, blank=True)
    policy = models.JSONField(null=True, blank=True)
    rendering = models.PositiveSmallIntegerField(null=True, blank=True)
    stage = models.CharField(max_length=150, null=True, blank=True)
    door = models.CharField(max_length=10, choices=Door, null=True, blank=True)
    address = models.CharField(max_length=45, null=True, blank=True)
    page_open_seconds = models.PositiveIntegerField(null=True, blank=True)
    whole_payload_seen = models.BooleanField(null=True, blank=True)
    # Paths in the payload that were masked and that this person never revealed; null where there were none.
    masked = models.JSONField(null=True, blank=True)
    # Approved beyond the requirement, see `reviews.break_glass`.
    break_glass = models.BooleanField(default=False)
    signature = models.TextField(blank=True, default="")
    created_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    # An address is of a person, and can be erased as their words can.
    history = History(excluded_fields=["rationale", "reviewer_name", "delegator_name", "changes", "address"])

    class Meta:
        ordering = ["id"]
        # No role has it.
        permissions = [("break_glass", "Can approve beyond the requirement, in an emergency")]
        constraints = [
            models.CheckConstraint(
                condition=Q(record_version=None, signature="") | (Q(record_version__gte=5) & ~Q(signature="")),
                name="decision_signed",
            ),
            models.CheckConstraint(condition=Q(door=None) | Q(door__in=Door.values), name="decision_door_known"),
            models.CheckConstraint(
                condition=Q(page_open_seconds=None, whole_payload_seen=None)
                | (Q(page_open_seconds__isnull=False, whole_payload_seen__isnull=False) & ~Q(door=Door.API)),
                name="decision_page_known",
            ),
            models.CheckConstraint(
                condition=Q(break_glass=False)
                | (Q(vote=Vote.APPROVE, factor__isnull=False, changes__isnull=True) & ~Q(rationale="")),
                name="decision_glass_says_why",
            ),
            # One standing vote a person on what would run: the database says so even if two requests race past every
            # check. An amendment makes something else of it, about which everybody may say something once more.
            models.UniqueConstraint(
                fields=["intent", "reviewer", "digest", "requirement_digest"],
                condition=Q(withdrawn_at__isnull=True),
                name="decision_once",
            ),
            models.CheckConstraint(condition=Q(vote__in=Vote.values), name="decision_vote_known"),
            models.CheckConstraint(condition=Q(ground__in=["", *Ground.values]), name="decision_ground_known"),
            models.CheckConstraint(
                condition=Q(factor=None, factor_at=None) | Q(factor__in=FactorKind.values, factor_at__isnull=False),
                name="decision_factor_known",
            ),
            models.CheckConstraint(
                condition=Q(delegator=None, delegator_name="", delegation=None)
                | (Q(delegator__isnull=False, delegation__isnull=False) & ~Q(delegator_name="")),
                name="decision_delegator_whole",
            ),
            models.CheckConstraint(condition=Q(vote=Vote.APPROVE) | ~Q(rationale=""), name="decision_reject_says_why"),
            models.CheckConstraint(
                condition=Q(changes__isnull=True, shown_digest="")
                | (Q(vote=Vote.APPROVE, changes__isnull=False) & ~Q(shown_digest="") & ~Q(rationale="")),
                name="decision_changes_say_why",
            ),
        ]
        indexes = [
            # "Decided by me", and an auditor's list by reviewer.
            models.Index(fields=["reviewer", "-id"], name="decision_reviewer"),
        ]

    def __str__(self) -> str:
        return f"{self.get_vote_display()} by {self.who}"

    @property
    def who(self) -> str:
        """Whose decision it is: `dora`, or `dora for rita`."""
        return f"{self.reviewer_name} for {self.delegator_name}" if self.delegator_name else self.reviewer_name

    def audit_about(self) -> dict[str, str]:
        return self.intent.audit_about()


class Finding(models.TextChoices):
    """What a review of broken glass came to."""

    JUSTIFIED = "justified", "Justified"
    NOT_JUSTIFIED = "not_justified", "Not justified"


class BreakGlassReview(models.Model):
    """The task to look at a decision beyond the requirement; it is open until somebody else says what they found."""

    intent = models.ForeignKey("intents.Intent", on_delete=models.PROTECT, related_name="glass_reviews")
    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="glass_review")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    closed_by_name = models.CharField(max_length=150, blank=True)
    finding = models.CharField(max_length=15, choices=Finding, blank=True, default="")
    text = models.TextField(blank=True)

    history = History(excluded_fields=["text", "closed_by_name"])

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("review_break_glass", "Can review what was approved beyond the requirement")]
        verbose_name = "review of broken glass"
        verbose_name_plural = "reviews of broken glass"
        constraints = [
            models.CheckConstraint(
                condition=Q(closed_at=None, closed_by=None, finding="", text="")
                | (Q(closed_at__isnull=False, closed_by__isnull=False, finding__in=Finding.values) & ~Q(text="")),
                name="glass_review_open_or_closed",
            ),
        ]
        indexes = [
            # The count in the sidebar, and the list of what is open.
            models.Index(fields=["id"], condition=Q(closed_at=None), name="glass_review_open"),
        ]

    def __str__(self) -> str:
        return f"Review of {self.decision_id}"

    def audit_about(self) -> dict[str, str]:
        return self.intent.audit_about()


class Reveal(models.Model):
    """Somebody read what is masked of an intent, see `reviews.revealing`. It is never changed."""

    intent = models.ForeignKey("intents.Intent", on_delete=models.PROTECT, related_name="reveals")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    person_name = models.CharField(max_length=150)
    digest = models.CharField(max_length=71)
    # As its action type names them.
    paths = models.JSONField()
    created_at = models.DateTimeField()

    history = History(excluded_fields=["person_name"])

    class Meta:
        default_permissions = ()
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.person_name} revealed {self.intent_id}"

    def audit_about(self) -> dict[str, str]:
        return self.intent.audit_about()


class NoteKind(models.TextChoices):
    COMMENT = "comment", "Comment"
    QUESTION = "question", "Question to the agent"
    ANSWER = "answer", "Answer of the agent"


class Note(models.Model):
    """Something said about an intent beside deciding on it; see `reviews.notes`. It is never changed."""

    id = models.CharField(primary_key=True, max_length=40, editable=False)
    intent = models.ForeignKey("intents.Intent", on_delete=models.PROTECT, related_name="notes")
    kind = models.CharField(max_length=10, choices=NoteKind)
    # None for what the intent's agent said.
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    author_name = models.CharField(max_length=150)
    text = models.TextField()
    text_digest = models.CharField(max_length=71)
    question = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="answer")
    created_at = models.DateTimeField()

    history = History(excluded_fields=["text", "author_name"])

    class Meta:
        default_permissions = ()
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=NoteKind.values), name="note_kind_known"),
            models.CheckConstraint(
                condition=Q(kind=NoteKind.ANSWER, author=None, question__isnull=False)
                | (~Q(kind=NoteKind.ANSWER) & Q(author__isnull=False, question=None)),
                name="note_answers_one_question",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} by {self.author_name}"

    def audit_about(self) -> dict[str, str]:
        return self.intent.audit_about()


class Take(models.Model):
    """A reviewer's word to be on an intent, for some minutes. Housekeeping, not history: it decides nothing."""

    intent = models.OneToOneField("intents.Intent", on_delete=models.CASCADE, related_name="take")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    until = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.person} is on {self.intent_id}"


class PersonalToken(models.Model):
    """What a person calls the API with: shown once, stored as a hash, known by its prefix."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="personal_tokens")
    prefix = models.CharField(max_length=16, editable=False)
    hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    history = History()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.prefix}…"
