"""What a version of a policy would do: beside the live set (shadow) and over past intents (backtest).

These rows are measurements. Nothing is decided by them, nothing refers to them, and old ones are dropped; who measured
what, and what came out, is in the ledger. Reasons may repeat what an agent wrote, so they live here, where they can be
erased.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q


class Change(models.TextChoices):
    """How a version's verdict stands to the one that the intent got."""

    ALLOWED = "allowed", "Newly allowed"
    BLOCKED = "blocked", "Newly blocked"
    ASKED = "asked", "Newly asked"
    PEOPLE = "people", "Asks other people"
    UNREADABLE = "unreadable", "Could not be judged"
    SAME = "same", "The same"


class Compared(models.Model):
    """One intent as a version would have judged it. `said_by` is "policy/rule", empty where no policy matched."""

    # Nothing looks them up by intent alone, and each index is paid for by every row.
    intent = models.ForeignKey("intents.Intent", on_delete=models.CASCADE, related_name="+", db_index=False)
    change = models.CharField(max_length=10, choices=Change)
    effect = models.CharField(max_length=20)
    said_by = models.CharField(max_length=300)
    reason = models.TextField()

    class Meta:
        abstract = True


class ShadowVerdict(Compared):
    """What the version in shadow said of an intent while the active set decided about it."""

    version = models.ForeignKey("intents.PolicyVersion", on_delete=models.PROTECT, related_name="+", db_index=False)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["intent", "version"], name="shadow_verdict_once"),
            models.CheckConstraint(condition=Q(change__in=Change.values), name="shadow_verdict_change_known"),
        ]
        indexes = [
            # The page's figures: how many of each kind, by rule, since it is in shadow.
            models.Index(fields=["version", "change", "said_by", "at"], name="shadow_verdict_figures"),
            # The lists below them, newest first.
            models.Index(fields=["version", "change", "intent"], name="shadow_verdict_list"),
        ]

    def __str__(self) -> str:
        return f"{self.get_change_display()}: {self.intent_id}"


class BacktestState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    CANCELLED = "cancelled", "Cancelled"
    FAILED = "failed", "Failed"


LIVE = (BacktestState.WAITING, BacktestState.RUNNING)


class Backtest(models.Model):
    """A version of a policy replayed over the intents that were proposed from `since` until `until`.

    `beside` is the rest of what counts, as it was when the backtest was asked for: other policies by the primary key
    of their version, those that could not be read, and the site's default. With it the run says the same wherever it
    goes on.
    """

    policy = models.ForeignKey("intents.Policy", on_delete=models.PROTECT, related_name="backtests")
    version = models.ForeignKey("intents.PolicyVersion", on_delete=models.PROTECT, related_name="+")
    beside = models.JSONField()
    days = models.PositiveSmallIntegerField()
    since = models.DateTimeField()
    until = models.DateTimeField()

    state = models.CharField(max_length=10, choices=BacktestState, default=BacktestState.WAITING)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # Who works on it: a worker whose lease has lapsed, or whose name was replaced, writes nothing more.
    worker = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    # How far it is: every intent up to `cursor` is in `summary`, and in the differences if it differs.
    cursor = models.CharField(max_length=40, blank=True)
    total = models.PositiveBigIntegerField(null=True, blank=True)
    judged = models.PositiveBigIntegerField(default=0)
    summary = models.JSONField(default=dict)
    differences_digest = models.CharField(max_length=71, blank=True)
    trouble = models.TextField(blank=True)
    differences_dropped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=BacktestState.values), name="backtest_state_known"),
            models.CheckConstraint(condition=Q(until__gt=models.F("since")), name="backtest_forward"),
            models.UniqueConstraint(fields=["policy"], condition=Q(state__in=LIVE), name="backtest_one_per_policy"),
            # One at a time, so that the other workers stay free for what people have approved.
            models.UniqueConstraint(
                fields=["state"], condition=Q(state=BacktestState.RUNNING), name="backtest_one_running"
            ),
        ]
        indexes = [
            # The sweeper: what waits or stands still, and finished ones that are old enough.
            models.Index(fields=["requested_at"], condition=Q(state__in=LIVE), name="backtest_live"),
        ]

    def __str__(self) -> str:
        return f"backtest {self.pk} of {self.version}"

    @property
    def is_live(self) -> bool:
        return self.state in LIVE


class BacktestDifference(Compared):
    """An intent that the replayed version would have judged differently; `was_status` is what had become of it."""

    backtest = models.ForeignKey(Backtest, on_delete=models.CASCADE, related_name="differences", db_index=False)
    was_status = models.CharField(max_length=20)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["backtest", "intent"], name="backtest_difference_once"),
            models.CheckConstraint(condition=Q(change__in=Change.values), name="backtest_difference_change_known"),
        ]
        indexes = [
            # The lists of a backtest's page, newest first: of one kind, and of one kind by one rule.
            models.Index(fields=["backtest", "change", "intent"], name="backtest_difference_list"),
            models.Index(fields=["backtest", "change", "said_by", "intent"], name="backtest_difference_rule"),
        ]

    def __str__(self) -> str:
        return f"{self.get_change_display()}: {self.intent_id}"
