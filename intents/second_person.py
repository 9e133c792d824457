"""Whether policies of this portal change only when a second person agrees.

ZEHRAVA_POLICY_SECOND_PERSON asks for it, and so does the ledger, once a process of the portal has recorded that the
setting is on: a shell without the setting is bound as well. The stricter of both counts. Turning it off takes a
recorded step besides the setting: the command `second_person --off`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from audit import ledger
from audit.actors import Actor
from audit.models import Event
from intents.models import InForce
from intents.reasons import read_reason
from zehrava.problems import Problem

REQUIRED, WAIVED = "policy.second_person_required", "policy.second_person_waived"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the ledger says last: whether two people are needed, since when and by whom."""

    needed: bool
    at: datetime
    by: str


def takes_two() -> bool:
    """Whether this portal asks for a second person: by its settings, or by what a process of it recorded."""
    return bool(settings.ZEHRAVA_POLICY_SECOND_PERSON) or is_recorded()


def is_recorded() -> bool:
    """Whether the ledger says that two people are needed."""
    found = recorded()
    return found is not None and found.needed


def recorded() -> Recorded | None:
    """The last that was recorded, None where nothing ever was; one query by the index of types.

    Ids follow a clock, which may have been set back. The turns are counted, and of two that claim to be the same one
    the stricter counts.
    """
    turns = Event.objects.filter(type__in=(REQUIRED, WAIVED))
    last = max(turns, key=lambda event: (_order(event), event.type == REQUIRED), default=None)
    return None if last is None else Recorded(last.type == REQUIRED, last.at, last.actor_name)


def record(*, by: Actor) -> bool:
    """Record that the settings of this process ask for a second person, where they do and it is not known yet.

    Returns whether anything was recorded. Called by what the portal runs: the web server, the sweep, `bootstrap`.
    """
    if not settings.ZEHRAVA_POLICY_SECOND_PERSON or is_recorded():
        return False
    with transaction.atomic():
        row = _locked()
        if is_recorded():
            return False
        ledger.record(ledger.Change(REQUIRED, row, by, facts=_turn(), history=None))
    return True


@transaction.atomic
def waive(*, by: Actor, reason: str) -> None:
    """Record that one person is enough again, and why.

    Raises Problem `invalid` without a reason, `conflict` where the settings still ask for two people, or nothing does.
    """
    reason = read_reason(reason, path="/reason", needed="Say why: it stands in the ledger.")
    if settings.ZEHRAVA_POLICY_SECOND_PERSON:
        raise Problem(
            "conflict",
            "ZEHRAVA_POLICY_SECOND_PERSON is still on here. Turn it off for every process of the portal and restart "
            "them, then run this again: one that still has it on would record it again.",
        )
    row = _locked()
    if not is_recorded():
        raise Problem("conflict", "Nothing asks for a second person: there is nothing to turn off.")
    ledger.record(ledger.Change(WAIVED, row, by, facts=_turn(), content={"reason": reason}, history=None))


def _locked() -> InForce:
    InForce.objects.get_or_create(pk=1)
    return InForce.objects.select_for_update().get(pk=1)


def _turn() -> dict[str, int]:
    """How often it was turned before: two turns within a millisecond are still told apart."""
    return {"turn": Event.objects.filter(type__in=(REQUIRED, WAIVED)).count()}


def _order(event: Event) -> int:
    return int(json.loads(event.line)["facts"]["turn"])
