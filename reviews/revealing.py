"""Revealing what is masked: who may, that it is on record, and for how long somebody then reads it.

The ledger is the only record of it, so that nobody has revealed anything that an auditor does not see. What was
revealed is read by that person for a while, on the pages of that intent and nowhere else: lists, mails, the other
pages and exports stay masked.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from django.contrib.auth.models import User

from audit import clock, ledger
from audit.actors import Actor
from audit.models import Event
from intents import masking
from intents.models import Intent
from reviews.entitlement import Refusal, may_decide
from reviews.models import Decision, Reveal
from reviews.ties import Ties
from zehrava.problems import Problem

PERMISSION = "intents.reveal_intent"
# Who may approve beyond the requirement looks at what that is.
ALSO = "reviews.break_glass"
REVEALED = "reveal.made"
LASTS = timedelta(minutes=10)


def why_not(intent: Intent, person: User, ties: Ties | None = None) -> Refusal | None:
    """Why this person reveals nothing of an intent that they may read; None where they may."""
    if not masking.paths(intent):
        return Refusal("conflict", "Nothing of this intent is masked.")
    if person.has_perm(PERMISSION) or person.has_perm(ALSO) or may_decide(intent, person, ties) is None:
        return None
    return Refusal(
        "not-entitled", "Who may decide on this reveals what is masked, and who was given the permission to: not you."
    )


def reveal(intent: Intent, *, by: User) -> datetime:
    """Put on record that this person reveals what is masked of an intent; returns until when they read it.

    Raises Problem `not-entitled`, and `conflict` where nothing of it is masked.
    """
    if refusal := why_not(intent, by):
        raise Problem(refusal.kind, refusal.text)
    revealed = Reveal(
        intent=intent,
        person=by,
        person_name=by.get_username(),
        digest=intent.digest,
        paths=list(masking.paths(intent)),
        created_at=clock.now(),
    )
    facts = {"digest": revealed.digest, "paths": revealed.paths}
    ledger.save(revealed, REVEALED, by=Actor.person(by), facts=facts)
    return revealed.created_at + LASTS


def revealed_until(intent: Intent, person: User) -> datetime | None:
    """Until when this person reads what is masked of it as it is now; None where they do not. At most one query."""
    if not masking.paths(intent):
        return None
    last = _last(intent, person)
    until = None if last is None else last + LASTS
    return until if until is not None and until > clock.now() else None


def unseen_by(person: User, intent: Intent) -> list[str]:
    """The paths that are masked and that this person never revealed of what would run now."""
    paths = masking.paths(intent)
    return list(paths) if paths and _last(intent, person) is None else []


def hides(decision: Decision, person: User) -> bool:
    """Whether the changes of a decision put something where masks are, which this person does not read now."""
    intent = decision.intent
    if masking.patch(intent, decision.changes) == decision.changes:
        # Neither below a mask, nor the same as what is there.
        return False
    return revealed_until(intent, person) is None


def _last(intent: Intent, person: User) -> datetime | None:
    by = Event.objects.filter(intent_id=intent.pk, type=REVEALED, actor_kind="person", actor_id=str(person.pk))
    for at, line in by.order_by("-id").values_list("at", "line"):
        if json.loads(line)["facts"]["digest"] == intent.digest:
            return at
    return None
