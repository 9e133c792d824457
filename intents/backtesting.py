"""Backtests: a version of a policy replayed over real intents, to see what it would have changed.

Asking for one writes a row; a worker claims it, reads intents in the order of their ids, and commits after every chunk
how far it is together with the differences it found. A worker that dies leaves a lease that lapses: another goes on
where the last commit was. Intents are read and never touched.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import Func, IntegerField, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from audit import clock, inserting, ledger
from audit.actors import Actor
from audit.canonical_rows import instant
from audit.comparing import BATCH, Finding
from audit.models import Event
from intents import doorbell, in_force, lifecycle, parsing
from intents.giving_way import GivingWay
from intents.models import Backtest, BacktestDifference, BacktestState, Intent, Policy, PolicyVersion
from intents.models.proving import LIVE
from intents.replaying import Replay, Unusable
from zehrava import ids
from zehrava.problems import Problem

logger = logging.getLogger(__name__)

DAYS_MOST = 365
# What is read at once: so many intents at most, and of more than one so many bytes of text.
CHUNK = 1_000
CHUNK_BYTES = 4 * 1_048_576
# How often within a lease it is renewed.
RENEWALS = 5
DROPPED_AT_ONCE = 5_000
DROPPED_BACKTESTS = 20
ENDED = ("backtest.finished", "backtest.cancelled", "backtest.failed")


# --- what a person does --------------------------------------------------------------------------------------------


def request(version: PolicyVersion, *, days: int, by: Actor, user: User | None) -> Backtest:
    """Ask for a backtest of this version over the intents of the last `days` (1 to 365).

    What else is in force now is written down with it. Raises PolicyError for a version that cannot be read, and
    Problem: `invalid` for the days, `conflict` while another backtest of the policy is under way.
    """
    if not 1 <= days <= DAYS_MOST:
        raise Problem("invalid", f"Choose 1 to {DAYS_MOST} days.", path="/days")
    parsing.parse_policy(version.text, version=version.number)
    snapshot = in_force.current()
    until = snapshot.now
    backtest = Backtest(
        policy_id=version.policy_id,
        version=version,
        beside=_beside(snapshot.rules, version.policy),
        days=days,
        since=until - timedelta(days=days),
        until=until,
        requested_by=user,
        requested_at=until,
        sent_at=until,
    )
    facts = {
        "policy": version.policy_id,
        "version": version.number,
        "digest": version.digest,
        "since": instant(backtest.since),
        "until": instant(backtest.until),
        "in_force": str(snapshot.version),
        "beside": sorted(backtest.beside["policies"].values()),
    }
    try:
        with transaction.atomic():
            backtest.save(force_insert=True)
            ledger.record(ledger.Change("backtest.requested", backtest, by, facts))
            doorbell.ring_backtest_on_commit(backtest.pk)
    except IntegrityError as error:
        raise Problem("conflict", "A backtest of this policy is under way: wait for it, or cancel it.") from error
    return backtest


def _beside(rules: in_force.Rules, policy: Policy) -> dict[str, Any]:
    """Everything else that counts now, so that a run which is taken up again says the same."""
    others = {name: key for name, key in rules.policy_versions.items() if name != policy.name}
    lost = rules.unreadable_policies.items()
    unreadable = {name: each.document() for name, each in lost if name != policy.name}
    return {"policies": others, "unreadable": unreadable, "default": rules.policies.default}


def cancel(backtest: Backtest, *, by: Actor) -> bool:
    """Stop a backtest. What it found so far stays to be read. Returns False where it had ended before."""
    return _end(Q(pk=backtest.pk, state__in=LIVE), BacktestState.CANCELLED, by=by)


# --- what a worker does --------------------------------------------------------------------------------------------


def run(backtest_id: int) -> BacktestState | None:
    """Carry a backtest out, or on, to its end. None where it is not this worker's to do.

    Raises django.db.OperationalError and InterfaceError where the database fails: the lease lapses and it is taken up
    again. Any other error ends the backtest as failed, with its reason.
    """
    worker = secrets.token_hex(16)
    backtest = _claim(backtest_id, worker)
    if backtest is None:
        return None
    try:
        ended = _replay(backtest)
    except (OperationalError, InterfaceError):
        raise
    except _LeaseLost:
        ended = False  # cancelled, or another worker's: it is no longer this one's to write anything
    except Unusable as error:
        ended = _end(_held_by(backtest), BacktestState.FAILED, by=lifecycle.WORKER, trouble=str(error))
    except Exception as error:
        logger.exception("%s failed", backtest)
        trouble = f"The replay stopped at an error ({type(error).__name__}); the log of the worker says where."
        ended = _end(_held_by(backtest), BacktestState.FAILED, by=lifecycle.WORKER, trouble=trouble)
    ring_next()
    backtest.refresh_from_db(fields=["state"])
    return BacktestState(backtest.state) if ended else None


def _claim(backtest_id: int, worker: str) -> Backtest | None:
    """Take it, if it waits and no other runs, or if whoever ran it has fallen silent."""
    free = Q(state=BacktestState.WAITING) | Q(state=BacktestState.RUNNING, lease_until__lte=Now())
    now = clock.now()
    columns = {"state": BacktestState.RUNNING, "worker": worker, "lease_until": now + _lease()}
    try:
        with transaction.atomic():
            claimed = Backtest.objects.filter(free, pk=backtest_id).update(
                **columns, started_at=Coalesce("started_at", now)
            )
    except IntegrityError:
        return None  # another one runs; it rings for the next when it ends
    return Backtest.objects.select_related("policy", "version").get(pk=backtest_id) if claimed else None


def _lease() -> timedelta:
    return timedelta(seconds=settings.ZEHRAVA_PORTAL_LEASE)


def _held_by(backtest: Backtest) -> Q:
    return Q(pk=backtest.pk, state=BacktestState.RUNNING, worker=backtest.worker)


class _LeaseLost(Exception):
    """The backtest is no longer this worker's."""


class _Keeper:
    """Keeps the lease while a worker is at it: cheap to ask after every intent, and a statement only now and then."""

    def __init__(self, backtest: Backtest) -> None:
        self._held = _held_by(backtest)
        self.kept()

    def kept(self) -> None:
        """The lease has just been renewed."""
        self._due = time.monotonic() + _lease().total_seconds() / RENEWALS

    def keep(self) -> None:
        """Renew the lease if it is time. Raises _LeaseLost where the backtest was cancelled or is another worker's."""
        if time.monotonic() < self._due:
            return
        if not Backtest.objects.filter(self._held).update(lease_until=clock.now() + _lease()):
            raise _LeaseLost
        self.kept()


def _replay(backtest: Backtest) -> bool:
    """Judge what is left, chunk by chunk. Returns False where the backtest was cancelled or is another worker's."""
    keeper = _Keeper(backtest)
    replay = Replay.of(backtest)
    give_way = GivingWay(between=keeper.keep)

    def between() -> None:
        keeper.keep()
        give_way()

    replay.between = between
    if backtest.total is None:
        backtest.total = intents_of(backtest).count()
    if backtest.cursor and replay.counts:
        _catch_up(backtest, replay)
    for chunk in _chunks(backtest, after=backtest.cursor):
        keeper.keep()
        last = max(intent.pk for intent in chunk)
        found = replay.judge(chunk)
        backtest.differences_digest = chained(backtest.differences_digest, found)
        if not _commit(backtest, replay, found, judged=len(chunk), last=last):
            return False
        keeper.kept()
    _count_late(backtest, replay)
    return _end(_held_by(backtest), BacktestState.FINISHED, by=lifecycle.WORKER)


def _catch_up(backtest: Backtest, replay: Replay) -> None:
    """Count again, without writing, what the part that is committed used of limits."""
    for chunk in _chunks(backtest, to=backtest.cursor):
        replay.between()
        replay.judge(chunk)
    replay.restart(backtest.summary)


def _count_late(backtest: Backtest, replay: Replay) -> None:
    """Count those that were still being stored when their turn had passed: whoever reads the figures is told."""
    if late := max(0, intents_of(backtest).count() - backtest.judged):
        replay.summary["late"] = late
        Backtest.objects.filter(_held_by(backtest)).update(summary=replay.summary)


def intents_of(backtest: Backtest) -> QuerySet[Intent]:
    """The intents that the backtest is about, oldest first."""
    # The id begins with the time: the primary key finds the place, the column says it exactly.
    first = ids.earliest("int", at=backtest.since)
    within = Intent.objects.filter(pk__gte=first, created_at__gte=backtest.since, created_at__lt=backtest.until)
    return within.order_by("pk")


class _Bytes(Func):
    """How long a text is, found without reading it where the database can."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="LENGTH(CAST(%(expressions)s AS BLOB))", **context)


def _chunks(backtest: Backtest, *, after: str = "", to: str = "") -> Iterator[list[Intent]]:
    """The intents behind `after`, up to `to`, a few at once: a thousand small ones, or some that are large."""
    rows = intents_of(backtest)
    if to:
        rows = rows.filter(pk__lte=to)
    while sizes := list(rows.filter(pk__gt=after).values_list("pk", _Bytes("canonical"))[:CHUNK]):
        for last in _bounds(sizes):
            if chunk := list(rows.filter(pk__gt=after, pk__lte=last).only(*Replay.READS)):
                yield chunk
            after = last


def _bounds(sizes: Iterable[tuple[str, int]]) -> Iterator[str]:
    """The last keys of runs that are at most CHUNK_BYTES long together, or of a single one."""
    taken, last = 0, ""
    for key, size in sizes:
        if last and taken + size > CHUNK_BYTES:
            yield last
            taken = 0
        taken, last = taken + size, key
    yield last


def _commit(backtest: Backtest, replay: Replay, found: list[BacktestDifference], *, judged: int, last: str) -> bool:
    """Write a chunk's differences and how far it is, together, if the backtest is still this worker's."""
    columns = {
        "cursor": last,
        "judged": backtest.judged + judged,
        "total": max(backtest.total or 0, backtest.judged + judged),
        "summary": replay.summary,
        "differences_digest": backtest.differences_digest,
        "lease_until": clock.now() + _lease(),
    }
    with transaction.atomic():
        if not Backtest.objects.filter(_held_by(backtest), cursor=backtest.cursor).update(**columns):
            return False
        if found:
            inserting.insert(found)
    for name, value in columns.items():
        setattr(backtest, name, value)
    return True


def _end(rows: Q, state: BacktestState, *, by: Actor, trouble: str = "") -> bool:
    with transaction.atomic():
        backtest = Backtest.objects.select_for_update().filter(rows).first()
        if backtest is None:
            return False
        backtest.state, backtest.finished_at, backtest.trouble = state, clock.now(), trouble
        backtest.worker, backtest.lease_until = "", None
        backtest.save(update_fields=["state", "finished_at", "trouble", "worker", "lease_until"])
        ledger.record(ledger.Change(f"backtest.{state.value}", backtest, by, _outcome(backtest)))
    return True


# --- what the ledger holds against the rows ------------------------------------------------------------------------


def _outcome(backtest: Backtest) -> dict[str, Any]:
    outcome = {
        "judged": backtest.judged,
        "counts": backtest.summary.get("counts", {}),
        "rejected_before": backtest.summary.get("rejected_before", 0),
        "differences": backtest.differences_digest,
    }
    # Events from before this was counted do not have it.
    return outcome | ({"late": backtest.summary["late"]} if backtest.summary.get("late") else {})


def chained(digest: str, differences: Iterable[BacktestDifference]) -> str:
    """The digest of all differences up to these, from the digest of those before; in the order of the intents.

    Reasons are left out: they are contents, which may have to be erased.
    """
    for each in differences:
        line = "\n".join((digest, each.intent_id, each.change, each.effect, each.said_by, each.was_status))
        digest = "sha256:" + hashlib.sha256(line.encode()).hexdigest()
    return digest


def altered() -> Iterator[Finding]:
    """For `audit_check`: backtests whose figures or differences are not those that the ledger was told."""
    ends = Event.objects.filter(type__in=ENDED, subject_type=Backtest._meta.label_lower)
    told = {event.subject_id: json.loads(event.line) for event in ends.order_by("id").iterator(chunk_size=BATCH)}
    table = Backtest._meta.db_table
    for backtest in Backtest.objects.order_by("pk").iterator(chunk_size=BATCH):
        line = told.pop(str(backtest.pk), None)
        if backtest.is_live:
            continue
        if line is None or line["type"] != f"backtest.{backtest.state}" or line["facts"] != _outcome(backtest):
            yield Finding(table, str(backtest.pk), "the outcome is not the one that the ledger was told")
        elif backtest.differences_dropped_at is None:
            rows = backtest.differences.order_by("intent_id").defer("reason").iterator(chunk_size=BATCH)
            if chained("", rows) != backtest.differences_digest:
                yield Finding(table, str(backtest.pk), "the differences are not those that were found")
    for missing in told:
        yield Finding(table, missing, "the backtest is gone; the ledger says that it was made")


# --- what time does ------------------------------------------------------------------------------------------------


def ring_next() -> int:
    """Tell the workers of the backtest whose turn it is, if one waits or stands still. Returns how many were told."""
    return _ring_first(Q())


def ring_again() -> int:
    """The same for the sweeper: only where the last message may have been lost."""
    before = clock.now() - timedelta(seconds=settings.ZEHRAVA_RESEND_AFTER)
    return _ring_first(Q(sent_at=None) | Q(sent_at__lte=before))


def _ring_first(silent: Q) -> int:
    if Backtest.objects.filter(state=BacktestState.RUNNING, lease_until__gt=Now()).exists():
        return 0
    # One that stands still comes first, by the alphabet: while it counts as running, no other can.
    live = Backtest.objects.filter(state__in=LIVE).order_by("state", "requested_at")
    first = live.filter(silent).values_list("pk", flat=True).first()
    if first is None or not doorbell.ring_backtest(first):
        return 0
    Backtest.objects.filter(pk=first).update(sent_at=clock.now())
    return 1


def drop_old() -> int:
    """Delete the differences of backtests that ended longer than ZEHRAVA_PROVING_KEPT ago; their figures stay."""
    before = clock.now() - timedelta(seconds=settings.ZEHRAVA_PROVING_KEPT)
    ended = Backtest.objects.exclude(state__in=LIVE).filter(differences_dropped_at=None, finished_at__lt=before)
    dropped = 0
    for backtest in ended.order_by("pk")[:DROPPED_BACKTESTS]:
        # Marked first: what is half gone is not to be taken for what was found.
        Backtest.objects.filter(pk=backtest.pk).update(differences_dropped_at=clock.now())
    gone = BacktestDifference.objects.filter(backtest__differences_dropped_at__isnull=False)
    if found := list(gone.values_list("pk", flat=True)[:DROPPED_AT_ONCE]):
        dropped = BacktestDifference.objects.filter(pk__in=found).delete()[0]
    return dropped
