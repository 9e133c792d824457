"""Long work of a worker gives way to what was approved.

A portal may have a single worker, and an approved action is not to wait until the sweep or a backtest is through.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from audit import clock
from intents import execution
from intents.models import Execution, ExecutionMode, ExecutionState

logger = logging.getLogger(__name__)

# How often, in seconds, long work looks whether anything waits.
LOOK_EVERY = 0.5
# What waits for less may be on its way to a worker that has nothing else to do.
PATIENCE = timedelta(seconds=0.3)


class GivingWay:
    """To be called between any two steps of long work, outside of transactions; looks only now and then.

    `between` is called after each execution that was carried out, which may have taken as long as a lease allows.
    """

    def __init__(self, between: Callable[[], None] = lambda: None) -> None:
        self._between = between
        self._due = time.monotonic() + LOOK_EVERY

    def __call__(self) -> None:
        """Carry out what waits, one by one, if it is time to look."""
        if time.monotonic() < self._due:
            return
        tried: set[str] = set()
        while (waiting := _first_waiting(tried)) is not None:
            tried.add(waiting)
            try:
                execution.carry_out(waiting)
            except Exception:
                # It is on record and will be rung for again; the work that gave way goes on.
                logger.exception("%s could not be carried out", waiting)
            self._between()
        self._due = time.monotonic() + LOOK_EVERY


def _first_waiting(tried: set[str]) -> str | None:
    waiting = Execution.objects.filter(state=ExecutionState.WAITING, mode=ExecutionMode.PORTAL)
    due = waiting.filter(created_at__lte=clock.now() - PATIENCE)
    return due.exclude(pk__in=tried).order_by("created_at").values_list("pk", flat=True).first()
