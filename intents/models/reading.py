"""Reading rules: what members of a group may read by that group's permission, see `intents.reading`."""

from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from audit.history import History
from intents.models.intents import Sensitivity


class ReadingRule(models.Model):
    """Narrows what a group's permission to view intents gives its members; without a rule it gives all of them.

    Each half asks about one thing that an intent remembers; a half that is empty does not ask.
    """

    group = models.OneToOneField(Group, on_delete=models.PROTECT, related_name="reading_rule")
    environments = models.JSONField(
        default=list,
        blank=True,
        help_text="Intents of agents that were registered in one of these. None chosen: of every environment.",
    )
    sensitivity_up_to = models.CharField(
        "sensitivity up to",
        max_length=10,
        blank=True,
        default="",
        choices=Sensitivity,
        help_text="As the action's type says it. What no type says is read only where this is left open.",
    )

    history = History()

    class Meta:
        ordering = ["group__name"]
        # Who may change groups may change what they read: there is no permission of its own for it.
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                condition=Q(sensitivity_up_to__in=["", *Sensitivity.values]), name="reading_rule_sensitivity_known"
            )
        ]

    def __str__(self) -> str:
        return f"what {self.group} reads"
