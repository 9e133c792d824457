"""Celery's way in. Messages carry an id and nothing else; what to do is read from the database."""

import logging

from celery import shared_task

from intents import backtesting, execution, sweeping

logger = logging.getLogger(__name__)


@shared_task(name="intents.tasks.run_execution")
def run_execution(execution_id: str) -> None:
    """Carry a waiting execution out; repeated and late messages find nothing to claim."""
    state = execution.carry_out(execution_id)
    if state is not None:
        logger.info("Carried out %s: %s", execution_id, state)


@shared_task(name="intents.tasks.run_backtest")
def run_backtest(backtest_id: int) -> None:
    """Carry a backtest out, or on; repeated and late messages find nothing to claim."""
    state = backtesting.run(backtest_id)
    if state is not None:
        logger.info("Backtest %s: %s", backtest_id, state)


@shared_task(name="intents.tasks.sweep")
def sweep() -> None:
    """Do what time makes due."""
    sweeping.sweep()
