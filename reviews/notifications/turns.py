"""One turn at notifications: follow the ledger, send what is due, forget what is old.

One worker at a time takes a turn: a mail server that answers slowly must not occupy all hands, which are there for
executions. That two turns at one time tell nothing twice does not depend on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from django.db.models import Q

from audit import clock
from reviews.notifications import following, sending
from reviews.notifications.models import Following

logger = logging.getLogger(__name__)

# A worker that dies in the middle keeps the others away for so long.
LASTS = timedelta(minutes=3)


def take_a_turn() -> int:
    """Do all three, each whatever becomes of the others. Returns how much was sent; 0 where another is at it."""
    following.begin()
    now = clock.now()
    free = Q(busy_until=None) | Q(busy_until__lte=now)
    if not Following.objects.filter(free, pk=1).update(busy_until=now + LASTS):
        return 0
    try:
        _try(following.follow)
        sent = _try(sending.send_due)
        _try(following.drop_old)
        return sent
    finally:
        Following.objects.filter(pk=1).update(busy_until=None)


def _try(step: Callable[[], int]) -> int:
    try:
        return step()
    except Exception:
        logger.exception("Notifications: %s failed; the next turn tries again", step.__name__)
        return 0
