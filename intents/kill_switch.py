"""The kill switch of an agent: from one commit on nothing of it is accepted, and nothing more of it begins.

The switch is one transaction, however much waits: it suspends the agent and marks it. What had not begun is cancelled
after it, at once as far as time allows and by the sweeper for the rest, and none of it could begin meanwhile. A
proposal that was under way at that moment is cancelled by the sweeper too.

What has begun cannot be called back: it ends as it ends, or becomes indeterminate.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db import transaction

from audit import clock, ledger
from audit.actors import Actor
from intents import agents, lifecycle
from intents.models import Agent, Intent, Status
from intents.models.intents import NOT_BEGUN
from intents.reasons import read_reason

# How long whoever presses it waits for the cancelling, in seconds.
WAITS = 10.0
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Killed:
    """What came of it: so many were cancelled, are left to the sweeper, and had begun before."""

    cancelled: int
    left: int
    begun: int


def kill(agent: Agent, *, by: Actor, reason: str) -> Killed:
    """Stop this agent and everything of it that has not begun.

    One that was killed already stays so, and what is left of it is cancelled. Raises Problem `invalid` without a
    reason.
    """
    reason = read_reason(reason, path="/reason", needed="Say why you stop it; the reason stays with the record.")
    _mark(agent, by=by, reason=reason)
    cancelled, until = 0, time.monotonic() + WAITS
    while time.monotonic() < until and (waiting := _not_begun(agent.pk)):
        for intent_id in waiting:
            cancelled += cancel(intent_id, by=by)
            if time.monotonic() >= until:
                break
    rows = Intent.objects.filter(agent=agent)
    left = rows.filter(status__in=NOT_BEGUN).count()
    return Killed(cancelled, left, rows.filter(status=Status.EXECUTING).count())


@transaction.atomic
def _mark(agent: Agent, *, by: Actor, reason: str) -> None:
    # It comes back locked and as stored. A killed one is suspended, so this leaves that one as it is.
    marked = agents.suspend_agent(agent, by=by)
    if marked.killed_at is None:
        marked.killed_at = clock.now()
        ledger.save(marked, "agent.killed", by=by, content={"reason": reason}, update_fields=["killed_at"])


def left_over() -> list[str]:
    """For the sweeper: what killed agents proposed and has not begun, a batch at most."""
    killed = list(Agent.objects.filter(killed_at__isnull=False).values_list("pk", flat=True))
    return [each for agent_id in killed for each in _not_begun(agent_id)][:AT_ONCE]


def cancel(intent_id: str, *, by: Actor) -> bool:
    """Cancel one that has not begun. False where it was quicker, or somebody else, or the agent is resumed."""
    with transaction.atomic():
        intent = lifecycle.locked(intent_id)
        if intent.agent.killed_at is None or intent.status not in NOT_BEGUN:
            return False
        lifecycle.cancel(intent, by=by, facts={"kill_switch": intent.agent_id})
    return True


def _not_begun(agent_id: str) -> list[str]:
    rows = Intent.objects.filter(agent=agent_id, status__in=NOT_BEGUN)
    return list(rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE])
