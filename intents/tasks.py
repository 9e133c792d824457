"""Celery's way in. Messages carry an id and nothing else; what to do is read from the database."""

from celery import shared_task

from intents import execution, sweeping


@shared_task(name="intents.tasks.run_execution")
def run_execution(execution_id: str) -> None:
    """Carry a waiting execution out; repeated and late messages find nothing to claim."""
    execution.carry_out(execution_id)


@shared_task(name="intents.tasks.sweep")
def sweep() -> None:
    """Do what time makes due."""
    sweeping.sweep()
