"""Celery's way in for what this app does by itself."""

import logging

from celery import shared_task

from reviews import unmeetable
from reviews.notifications import turns

logger = logging.getLogger(__name__)


@shared_task(name="reviews.tasks.notify")
def notify() -> None:
    """Find out who has to be told of what happened since, and send what is due."""
    sent = turns.take_a_turn()
    if sent:
        logger.info("Sent %s notifications", sent)


@shared_task(name="reviews.tasks.look_for_unmeetable")
def look_for_unmeetable() -> None:
    """Find what nobody can meet any more, and what can be met again."""
    changed = unmeetable.look()
    if changed:
        logger.info("Whether it can be met is news of %s intents", changed)
