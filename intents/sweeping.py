"""What time does by itself: asks escalate and expire, leases lapse, lost messages are sent again.

Every row is moved in a transaction of its own, so that one that cannot be moved holds up none of the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from audit import clock
from audit.actors import Actor
from intents import (
    backtesting,
    doorbell,
    escalation,
    integrity,
    kill_switch,
    lifecycle,
    limit_keeping,
    second_person,
    shadowing,
)
from intents.giving_way import GivingWay
from intents.models import Execution, ExecutionMode, ExecutionState, IdempotencyKey, Intent, Status

logger = logging.getLogger(__name__)

BATCH = 500
PORTAL = Actor.system("portal")


# What other apps have that time ends: a name, what is due (at most so many ids), and what moves one of them.
_others: dict[str, tuple[Callable[[int], list[str]], Callable[[str], bool]]] = {}


def register(name: str, due: Callable[[int], list[str]], move: Callable[[str], bool]) -> None:
    """Have the sweep do this, too; `move` says whether it moved the row of that id."""
    _others[name] = (due, move)


def sweep() -> dict[str, int]:
    """Do all that is due, at most a batch of each. Returns how many rows each part moved."""
    _record_settings()
    return {
        "killed": _each(kill_switch.left_over(), lambda intent_id: kill_switch.cancel(intent_id, by=lifecycle.SWEEPER)),
        "stepped": _each(escalation.due(BATCH), escalation.take_all_due),
        "expired": _each(_overdue_intents(), _expire),
        "lapsed": _each(_lapsed_executions(), _lapse),
        "sent_again": _each(_unclaimed_executions(), _send_again),
        "keys_dropped": _drop_old_keys(),
        "uses_dropped": limit_keeping.drop_old(),
        "backtests_sent_again": backtesting.ring_again(),
        "measurements_dropped": backtesting.drop_old() + shadowing.drop_old(),
        **{name: _of_another_app(name) for name in _others},
    }


def _record_settings() -> None:
    """What binds commands on the server too; nothing that is due waits for it."""
    try:
        second_person.record(by=PORTAL)
    except Exception:
        logger.exception("Whether policies take a second person could not be recorded; the next sweep tries again")


def _of_another_app(name: str) -> int:
    """What another app has; where that cannot be read, what is due here is done all the same."""
    due, move = _others[name]
    try:
        ids = due(BATCH)
    except Exception:
        logger.exception("%s could not be looked up; the next sweep tries again", name)
        return 0
    return _each(ids, move)


def _each(ids: list[str], move: Callable[[str], bool]) -> int:
    moved, give_way = 0, GivingWay()
    for row_id in ids:
        try:
            moved += move(row_id)
        except Exception:
            logger.exception("%s could not be swept; the next sweep tries again", row_id)
        give_way()
    return moved


def _overdue_intents() -> list[str]:
    overdue = Q(status__in=[Status.PENDING_APPROVAL, Status.APPROVED], expires_at__lte=Now())
    return list(Intent.objects.filter(overdue).order_by("expires_at").values_list("pk", flat=True)[:BATCH])


def _expire(intent_id: str) -> bool:
    with transaction.atomic():
        return lifecycle.expire(lifecycle.locked(intent_id))


def _lapsed_executions() -> list[str]:
    lapsed = Execution.objects.filter(state=ExecutionState.RUNNING, lease_until__lte=Now())
    return list(lapsed.order_by("lease_until").values_list("pk", flat=True)[:BATCH])


def _lapse(execution_id: str) -> bool:
    with transaction.atomic():
        execution = Execution.objects.get(pk=execution_id)
        intent = lifecycle.locked(execution.intent_id)
        execution.intent = intent
        if altered := integrity.differences(intent):
            logger.critical("%s is not what the ledger says (%s) and is left alone", intent.pk, ", ".join(altered))
            return False
        return lifecycle.lapse(intent, execution)


def _unclaimed_executions() -> list[str]:
    before = clock.now() - timedelta(seconds=settings.ZEHRAVA_RESEND_AFTER)
    waiting = Execution.objects.filter(state=ExecutionState.WAITING, mode=ExecutionMode.PORTAL)
    unclaimed = waiting.alias(rung_at=Coalesce("sent_at", "created_at")).filter(rung_at__lte=before)
    return list(unclaimed.order_by("created_at").values_list("pk", flat=True)[:BATCH])


def _send_again(execution_id: str) -> bool:
    if not doorbell.ring(execution_id):
        return False
    Execution.objects.filter(pk=execution_id).update(sent_at=clock.now())
    return True


def _drop_old_keys() -> int:
    before = clock.now() - timedelta(seconds=settings.ZEHRAVA_IDEMPOTENCY_KEPT)
    old = IdempotencyKey.objects.filter(created_at__lt=before).values_list("pk", flat=True)[:BATCH]
    return IdempotencyKey.objects.filter(pk__in=list(old)).delete()[0]
