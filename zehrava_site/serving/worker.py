"""The Celery application of `make run`: every process of the pool, and the scheduler, ends with the worker."""

from typing import Any

from celery.signals import beat_embedded_init, worker_process_init

from zehrava_site.celery import app
from zehrava_site.serving.lifeline import end_with_parent

__all__ = ["app"]


@worker_process_init.connect
@beat_embedded_init.connect
def tie(**_: Any) -> None:
    end_with_parent()
