"""What is used of the limits of policies, exact however many propose at once.

A counter is locked before it is read and until the intent that uses it is stored, so that of any number of proposals
at once each sees the uses of those before it. On PostgreSQL that is an advisory lock per counter, taken in one order
by everybody; on SQLite a transaction is the only one that may write. Locks are taken after that of an idempotency key
and before that of an agent's asks (see `attention`) and the row of a superseded intent.

Counters lock before they are read, but an intent's time is from before it waited. Everything newer than the window's
beginning therefore counts, also what is newer than the intent: so that no window of that length ever holds too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.transaction import TransactionManagementError

from audit import inserting
from intents.models import Intent, LimitUse
from intents.models.limits import PLACES
from zehrava import canonical
from zehrava.policy.limits import EXACT, Use, plain

_SUM_ON_POSTGRESQL = "SUM(amount)"
# SQLite adds integers of 64 bits exactly, and raises rather than wrap round: an amount has up to 30 digits before the
# point and always 12 behind it.
_POINT = PLACES + 1
_HALF = 15
_SUM_ON_SQLITE = (
    f"SUM(CAST(substr(amount, 1, max(length(amount) - {_POINT + _HALF}, 0)) AS INTEGER)), "
    f"SUM(CAST(substr(substr(amount, 1, length(amount) - {_POINT}), -{_HALF}) AS INTEGER)), "
    f"SUM(CAST(substr(amount, -{PLACES}) AS INTEGER))"
)


def hold(uses: Sequence[Use], *, now: datetime, namespace: str = "") -> dict[str, int | str]:
    """Lock the counters of these uses until the transaction ends, then read them: `read` says what is returned.

    Raises TransactionManagementError outside of a transaction, where a lock would end at once.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("Counters are locked until the transaction ends: call it inside one.")
    if connection.vendor == "postgresql":
        keys = sorted({_lock_key(use.counter, namespace) for use in uses})
        with connection.cursor() as cursor:
            # Its own statement: what is read has to be what the holder before this one left.
            cursor.execute("SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS key", [keys])
    return read(uses, now=now, namespace=namespace)


def read(uses: Iterable[Use], *, now: datetime, namespace: str = "") -> dict[str, int | str]:
    """How much is used of each limit, by its name, within its window before `now`; as `judge` takes it.

    One query. Without `hold` it may be out of date at once, which does where nothing is stored.
    """
    wanted = list({use.limit: use for use in uses}.values())
    if not wanted:
        return {}
    parts: list[str] = []
    values: list[Any] = []
    columns = _SUM_ON_SQLITE if connection.vendor == "sqlite" else _SUM_ON_POSTGRESQL
    for number, use in enumerate(wanted):
        part = f"SELECT {number}, {columns} FROM intents_limituse WHERE counter = %s AND namespace = %s"
        values += [use.counter, namespace]
        if use.window is not None:
            part += " AND at > %s"
            values.append(connection.ops.adapt_datetimefield_value(now - timedelta(seconds=use.window)))
        parts.append(part)
    found: dict[int, Decimal] = {}
    # A compound statement has a bound (500 on SQLite); nobody has as many limits on one intent.
    for first in range(0, len(parts), _AT_ONCE):
        chunk = parts[first : first + _AT_ONCE]
        marks = "".join(chunk).count("%s")
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(chunk), values[:marks])
            found |= {number: _total(sums) for number, *sums in cursor.fetchall()}
        values = values[marks:]
    return {use.limit: use.usage(found[number]) for number, use in enumerate(wanted)}


_AT_ONCE = 200


def count(uses: Iterable[Use], intent: Intent, *, at: datetime, namespace: str = "") -> list[LimitUse]:
    """Store the uses that count. The intent is stored already, and the counters are held.

    Two limits that count the same thing count it once.
    """
    amounts = {use.counter: use.amount for use in uses if use.counts}
    rows = [
        LimitUse(counter=counter, namespace=namespace, amount=amount, at=at, intent=intent)
        for counter, amount in amounts.items()
    ]
    if rows:
        inserting.insert(rows)
    return rows


def facts(uses: Iterable[Use]) -> list[dict[str, Any]]:
    """What the ledger keeps of the uses that count: which limit and counter, how much, and how much was used before."""
    return [
        {
            "limit": use.limit,
            "counter": use.counter,
            "amount": plain(use.amount),
            "used": None if use.used is None else plain(use.used),
        }
        for use in uses
        if use.counts
    ]


def _lock_key(counter: str, namespace: str) -> int:
    """64 bits that stand for a counter; worked out here, so that everybody sorts by what is locked."""
    digest = canonical.digest(f"limit\n{namespace}\n{counter}".encode())
    return int.from_bytes(bytes.fromhex(digest.removeprefix("sha256:")[:16]), signed=True)


def _total(sums: Sequence[Any]) -> Decimal:
    if len(sums) == 1:
        return sums[0] or Decimal(0)
    high, low, places = (Decimal(part or 0) for part in sums)
    whole = EXACT.add(EXACT.scaleb(high, _HALF), low)
    return EXACT.add(whole, EXACT.scaleb(places, -PLACES))
