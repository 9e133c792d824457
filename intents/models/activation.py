"""Requests of one person that another confirms: bringing a version of a policy into force, or taking one out of it."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from audit.history import History
from intents.models.documents import Policy, PolicyVersion


class RequestState(models.TextChoices):
    OPEN = "open", "Waits for a second person"
    CONFIRMED = "confirmed", "Confirmed"
    WITHDRAWN = "withdrawn", "Withdrawn"
    REFUSED = "refused", "Refused"


class ActivationRequest(models.Model):
    """What one person asked for and another confirms or refuses; no `version` asks to take the policy out of force.

    `instead_of` is what was in force when it was asked: where that has changed, the request is stale. `requested_by`
    is nobody where a command on the server asked; a person has to take it over before another can confirm it.
    """

    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="activation_requests")
    version = models.ForeignKey(PolicyVersion, null=True, on_delete=models.PROTECT, related_name="+")
    instead_of = models.ForeignKey(PolicyVersion, null=True, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=RequestState, default=RequestState.OPEN)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    settled_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    settled_at = models.DateTimeField(null=True)
    # Why it was refused; the others need no words.
    answer = models.TextField(blank=True)

    history = History(excluded_fields=["reason", "answer"])

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["policy"], condition=Q(state=RequestState.OPEN), name="activation_request_one_open"
            ),
            models.CheckConstraint(condition=Q(state__in=RequestState.values), name="activation_request_state_known"),
            models.CheckConstraint(
                condition=Q(state=RequestState.OPEN, settled_at__isnull=True)
                | (~Q(state=RequestState.OPEN) & Q(settled_at__isnull=False)),
                name="activation_request_settled_once",
            ),
            # Two people, says the database too.
            models.CheckConstraint(
                condition=~Q(state=RequestState.CONFIRMED)
                | (Q(requested_by__isnull=False) & Q(settled_by__isnull=False) & ~Q(settled_by=F("requested_by"))),
                name="activation_request_two_people",
            ),
        ]

    def __str__(self) -> str:
        what = f"bring {self.version} into force" if self.version else f"take {self.policy} out of force"
        return f"{what}: {self.get_state_display().lower()}"
