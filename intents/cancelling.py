"""Taking an intent back before it runs: by its own agent or by an operator."""

from __future__ import annotations

from django.db import transaction

from audit.actors import Actor
from intents import lifecycle
from intents.models import Intent, Status
from intents.reasons import read_reason


def cancel(intent: Intent, *, by: Actor, reason: str = "") -> Intent:
    """Cancel an intent that is pending or approved but not claimed; one that is cancelled already stays so.

    Whether `by` may is for the caller to know. Raises Problem `conflict` where it is too late.
    """
    reason = read_reason(reason, path="/reason")
    with transaction.atomic():
        intent = lifecycle.locked(intent.pk)
        if intent.status != Status.CANCELLED:
            lifecycle.cancel(intent, by=by, content={"reason": reason} if reason else None)
    return intent
