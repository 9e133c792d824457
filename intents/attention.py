"""How much of people's attention an agent may take: intents that wait at once, and asks within an hour.

Both are exact however many of its proposals arrive at once. Before it counts, an ask waits until every other ask of
its agent is stored or refused: on PostgreSQL for an advisory lock per agent, and what is counted is read by a statement
of its own behind it, which sees what the holders before left; on SQLite a transaction is the only one that may write.
Until the transaction ends nobody else adds to what was counted. People and the sweeper only take from it meanwhile: a
step of theirs that is not committed yet still counts as waiting, so that they can make room and never one too many.

An intent's time is from before it waited for its turn. Everything newer than an hour before that therefore counts,
also what is newer than the intent. Of the asks in any hour, the one that was stored last counted all the others.

Asks of one agent wait for each other, and for nothing else: neither other agents nor what policy allows or blocks. The
lock is taken after those of an idempotency key and of the counters of limits, and before the row of an intent that is
replaced and that of a standing approval, which comes last of all: who rejects a sample of one holds the sample's row
before it. Agents' own rows are not locked by it: whoever suspends or kills an agent locks its row and never this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.transaction import TransactionManagementError

from intents.models import Intent, Status
from zehrava.problems import Problem

HOUR = timedelta(hours=1)
# In seconds. People may decide at any moment, so that nobody is sent away until the last of a day's intents expires.
LONGEST_WAIT = 300

# One round trip; each of the two statements reads what was committed when it began.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 2)); "
# With the conditions of the indexes as they stand there: SQLite uses a partial index for nothing else.
_COUNT = "SELECT COUNT(*) FROM intents_intent WHERE agent_id = %s"
_PENDING = f"({_COUNT} AND status = 'pending_approval' AND expires_at > %s"
_ASKS = f"({_COUNT} AND alike > '' AND created_at > %s)"


@dataclass(frozen=True, slots=True)
class Taken:
    """What the agent has of people's attention, the intent at hand and what it replaces aside; 0 where no budget is."""

    pending: int
    asks: int


def hold(intent: Intent) -> Taken:
    """Wait for the agent's turn to ask, keep it until the transaction ends, and count what its budgets count.

    Raises TransactionManagementError outside of a transaction, where a lock would end at once.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("An agent's turn lasts until the transaction ends: call it inside one.")
    on_postgresql = connection.vendor == "postgresql"
    pending, asks = "0", "0"
    values: list[Any] = [intent.agent_id] if on_postgresql else []
    if settings.ZEHRAVA_PENDING_PER_AGENT:
        pending = _PENDING + (" AND id <> %s)" if intent.supersedes_id else ")")
        values += [intent.agent_id, _time(intent.created_at)]
        values += [intent.supersedes_id] if intent.supersedes_id else []
    if settings.ZEHRAVA_ASKS_PER_HOUR:
        asks = _ASKS
        values += [intent.agent_id, _time(intent.created_at - HOUR)]
    with connection.cursor() as cursor:
        cursor.execute(f"{_LOCK if on_postgresql else ''}SELECT {pending}, {asks}", values)
        if on_postgresql:
            cursor.nextset()
        return Taken(*cursor.fetchone())


def refuse_over(intent: Intent, taken: Taken) -> None:
    """Raise Problem `attention-budget` where one more ask is too many; `Retry-After` says when to come back.

    A replacement takes the place of what it replaces among the pending. It asks people once more all the same.
    """
    # First what no cancelling helps against.
    if (size := settings.ZEHRAVA_ASKS_PER_HOUR) and taken.asks >= size:
        raise _over("asks_per_hour", size, taken.asks, _until_an_ask_is_an_hour_old(intent, taken.asks - size))
    if (size := settings.ZEHRAVA_PENDING_PER_AGENT) and taken.pending >= size:
        wait = min(_until_a_pending_one_expires(intent, taken.pending - size), LONGEST_WAIT)
        raise _over("pending", size, taken.pending, wait)


_WHAT_TO_DO = {
    "asks_per_hour": (
        "This agent asked people {used:,} times within the last hour, and may {size:,} times. Wait for as long as "
        "Retry-After says, or have the operator raise ZEHRAVA_ASKS_PER_HOUR; cancelling gives no ask back."
    ),
    "pending": (
        "This agent has {used:,} pending intents, and may have {size:,} at once. Wait until some are decided or "
        "expire, cancel those that are no longer wanted, or have the operator raise ZEHRAVA_PENDING_PER_AGENT."
    ),
}


def _over(budget: str, size: int, used: int, wait: int) -> Problem:
    detail = _WHAT_TO_DO[budget].format(size=size, used=used)
    headers = {"Retry-After": str(max(wait, 1))}
    return Problem("attention-budget", detail, headers=headers, budget=budget, size=size, used=used)


# How many are over the budget is 0 unless the operator made it smaller: as many have to go before one may come.


def _until_an_ask_is_an_hour_old(intent: Intent, over: int) -> int:
    counted = Intent.objects.filter(agent_id=intent.agent_id, alike__gt="", created_at__gt=intent.created_at - HOUR)
    times = counted.order_by("created_at").values_list("created_at", flat=True)
    return _seconds(times[over] + HOUR - intent.created_at)


def _until_a_pending_one_expires(intent: Intent, over: int) -> int:
    rows = Intent.objects.filter(agent_id=intent.agent_id, status=Status.PENDING_APPROVAL)
    counted = rows.filter(expires_at__gt=intent.created_at).exclude(pk=intent.supersedes_id or "")
    # People decide meanwhile, so that there may be fewer now than were counted.
    times = counted.order_by("expires_at").values_list("expires_at", flat=True)[over : over + 1]
    return _seconds(next((time - intent.created_at for time in times), timedelta(0)))


def _seconds(length: timedelta) -> int:
    return math.ceil(length / timedelta(seconds=1))


def _time(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)
