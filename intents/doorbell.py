"""Telling a worker that an execution waits. Losing the message loses nothing: the row is the record."""

from __future__ import annotations

import logging

from celery import current_app
from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)

RUN_EXECUTION = "intents.tasks.run_execution"


def ring_on_commit(execution_id: str) -> None:
    """Ring once the surrounding transaction is committed, so that the worker finds the row."""
    transaction.on_commit(lambda: ring(execution_id), robust=True)


def ring(execution_id: str) -> bool:
    """Send the execution's id to the workers. Returns whether the broker took it; the sweeper sends it again."""
    try:
        # A message older than the next one is of no use: it would only make a crowd after an outage.
        current_app.send_task(RUN_EXECUTION, args=[execution_id], expires=settings.ZEHRAVA_RESEND_AFTER, retry=False)
    except Exception as error:
        logger.warning("the broker did not take %s, the sweeper will send it again: %s", execution_id, error)
        return False
    return True
