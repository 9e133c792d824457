"""Telling a worker that an execution or a backtest waits. Losing the message loses nothing: the row is the record."""

from __future__ import annotations

import logging

from celery import current_app
from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)

RUN_EXECUTION = "intents.tasks.run_execution"
RUN_BACKTEST = "intents.tasks.run_backtest"


def ring_on_commit(execution_id: str) -> None:
    """Ring once the surrounding transaction is committed, so that the worker finds the row."""
    transaction.on_commit(lambda: ring(execution_id), robust=True)


def ring(execution_id: str) -> bool:
    """Send the execution's id to the workers. Returns whether the broker took it; the sweeper sends it again."""
    return _send(RUN_EXECUTION, execution_id)


def ring_backtest_on_commit(backtest_id: int) -> None:
    """Ring for a backtest once the surrounding transaction is committed."""
    transaction.on_commit(lambda: ring_backtest(backtest_id), robust=True)


def ring_backtest(backtest_id: int) -> bool:
    """Send the backtest's id to the workers; as `ring`."""
    return _send(RUN_BACKTEST, backtest_id)


def _send(task: str, row_id: str | int) -> bool:
    try:
        # A message older than the next one is of no use: it would only make a crowd after an outage.
        current_app.send_task(task, args=[row_id], expires=settings.ZEHRAVA_RESEND_AFTER, retry=False)
    except Exception as error:
        logger.warning("the broker did not take %s, the sweeper will send it again: %s", row_id, error)
        return False
    return True
