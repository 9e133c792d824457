"""What the portal keeps of people besides their accounts: whose sessions were ended, and how often who was wrong."""

from django.contrib.auth.models import User
from django.db import models


class Standing(models.Model):
    """How often all sessions of a person were ended at once; a session holds only at the count it began with."""

    person = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="standing")
    ended = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.person_id}: {self.ended}"


class Attempts(models.Model):
    """How often a password or a code was wrong of late; see `zehrava_site.identity.attempts`.

    Not evidence: rows go once they say nothing any more. What has to stay, the ledger keeps.
    """

    # A digest of what is counted, so that no name that a stranger typed is stored.
    key = models.CharField(primary_key=True, max_length=64)
    failures = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(db_index=True)
    # Nothing is tried before.
    until = models.DateTimeField()

    class Meta:
        verbose_name_plural = "attempts"

    def __str__(self) -> str:
        return f"{self.failures} since {self.since:%Y-%m-%d %H:%M}"
