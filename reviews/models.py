"""Decisions of people, and the personal tokens they call the API with."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from audit.history import History


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


class Decision(models.Model):
    """What one reviewer said about one intent, bound to what they were shown.

    `record_digest` covers the whole decision, rationale included: history and ledger bind text that they do not hold.
    """

    id = models.CharField(primary_key=True, max_length=40, editable=False)
    intent = models.ForeignKey("intents.Intent", on_delete=models.PROTECT, related_name="decisions")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions")
    reviewer_name = models.CharField(max_length=150)
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
    created_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    history = History(excluded_fields=["rationale", "reviewer_name", "changes"])

    class Meta:
        ordering = ["id"]
        constraints = [
            # One standing vote a person on what would run: the database says so even if two requests race past every
            # check. An amendment makes something else of it, about which everybody may say something once more.
            models.UniqueConstraint(
                fields=["intent", "reviewer", "digest", "requirement_digest"],
                condition=Q(withdrawn_at__isnull=True),
                name="decision_once",
            ),
            models.CheckConstraint(condition=Q(vote__in=Vote.values), name="decision_vote_known"),
            models.CheckConstraint(condition=Q(ground__in=["", *Ground.values]), name="decision_ground_known"),
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
        return f"{self.get_vote_display()} by {self.reviewer_name}"

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
