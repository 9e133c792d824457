"""The share of what a standing approval covers that people look at all the same, and what follows where they say no.

Chance decides, keyed by the portal's own secret, so that an agent cannot know what will be looked at. The draw is the
same for the same thing until it has passed once more, and what is equal to a sample that people have not approved is a
sample, too: who asks again gets no other draw, also where the first was refused before anything was stored. What people
approved with changes they have not approved: they disagreed with what was proposed, as who rejects does.

A sample that ends before people decided says nothing, and somebody saw to that: the agent took it back or left too
little time, or nobody looked. Too many of these stop a standing approval as rejections do.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Max, Q
from django.utils.crypto import salted_hmac

from audit.actors import Actor
from intents.models import Intent, Status
from reviews.standing import steps
from reviews.standing.models import StandingApproval, StandingState, StandingUse

# A draw is one of 10,000, so that a per cent is 100 of them.
OF_PERCENT = 100
# Of a sample's intent: how people disagreed with what was proposed.
_REJECTED = Q(intent__status=Status.REJECTED)
_CHANGED = Q(intent__decided_at__isnull=False, intent__amendments__gt=0) & ~_REJECTED
# So many samples may end undecided whatever their share is.
FEW = 2


@dataclass(frozen=True, slots=True)
class Tally:
    """How many samples there were; people approved some as they were or changed, and rejected some, look at others, and
    never said of the rest."""

    all: int
    approved: int
    changed: int
    rejected: int
    waiting: int

    @property
    def disagreed(self) -> int:
        return self.changed + self.rejected

    @property
    def decided(self) -> int:
        return self.approved + self.disagreed

    @property
    def undecided(self) -> int:
        return self.all - self.decided - self.waiting


def draw(approval: StandingApproval, intent: Intent) -> int:
    """A number from 0 to 9,999 for this intent, which is not stored yet; one query."""
    passed = StandingUse.objects.filter(
        standing_approval=approval, number__isnull=False, intent__fingerprint=intent.fingerprint
    )
    about = f"{approval.pk} {intent.fingerprint} {passed.count()}"
    drawn = salted_hmac("zehrava.standing.sample", about, algorithm="sha256").digest()
    return int.from_bytes(drawn) % (100 * OF_PERCENT)


def has_one_like(intent: Intent) -> bool:
    """Whether people looked at something equal in all but its id, a sample of any, and did not approve it as it was."""
    of_agent = StandingUse.objects.filter(standing_approval__agent=intent.agent_id, number=None)
    equal = of_agent.filter(intent__fingerprint=intent.fingerprint)
    return equal.filter(Q(intent__decided_at=None) | _REJECTED | _CHANGED).exists()


def sampled(intent: Intent) -> StandingApproval | None:
    """What this intent is a sample of."""
    use = StandingUse.objects.filter(intent=intent, number=None).select_related("standing_approval").first()
    return None if use is None else use.standing_approval


def tally(approval: StandingApproval, *, among: Q | None = None) -> Tally:
    """What became of its samples, over its whole life; one query. `among` is which intents count, all without it."""
    decided = Q(intent__decided_at__isnull=False)
    return Tally(
        **StandingUse.objects.filter(among or Q(), standing_approval=approval, number=None).aggregate(
            all=Count("pk"),
            approved=Count("pk", filter=decided & ~_REJECTED & ~_CHANGED),
            changed=Count("pk", filter=_CHANGED),
            rejected=Count("pk", filter=_REJECTED),
            waiting=Count("pk", filter=Q(intent__status=Status.PENDING_APPROVAL)),
        )
    )


def note_disagreement(intent: Intent, *, by: Actor) -> None:
    """Suspend what this intent, rejected or changed, was a sample of, where people disagree too often now.

    Too often is more than the `disagreement_percent` of the samples that were decided in its life: at 10, the first
    disagreement suspends it where fewer than ten were.
    """
    approval = sampled(intent)
    if approval is None:
        return
    approval = steps.locked(approval)
    found = tally(approval)
    too_often = found.disagreed * 100 > found.decided * approval.disagreement_percent
    if approval.state == StandingState.ACTIVE and too_often:
        facts = {"rejected": found.rejected, "changed": found.changed, "decided": found.decided}
        steps.suspend(approval, by=by, because_of=intent.pk, facts=facts)


def suspend_where_few_are_decided(approval: StandingApproval, *, by: Actor) -> bool:
    """Suspend a locked one of whose samples too many ended before people decided. Returns whether it was."""
    found = tally(approval)
    ended = found.decided + found.undecided
    if found.undecided <= FEW or found.undecided * 100 <= ended * approval.disagreement_percent:
        return False
    left = StandingUse.objects.filter(standing_approval=approval, number=None, intent__decided_at=None)
    last = left.exclude(intent__status=Status.PENDING_APPROVAL).aggregate(last=Max("intent"))["last"]
    steps.suspend(approval, by=by, because_of=last, facts={"undecided": found.undecided, "ended": ended})
    return True
