"""The one door for state: every status of an intent and every state of an execution is written here.

Each function does one step of the lifecycle by a conditional UPDATE whose row count decides who was first, and writes
the row, its history and its ledger event in the caller's transaction. Callers hold the intent's row lock where they
read before they write (`locked`). Where the step is no longer possible, a Problem says why and nothing is written.

    propose ─┬─ blocked
             ├─ approved ────────────────┐             (policy allows it, or people did in advance)
             └─ pending_approval ─┬─ approved ┤
                                  ├─ rejected
                                  ├─ expired        (also from approved, if never claimed)
                                  └─ cancelled
    approved ─┬─ cancelled
              └─ executing ─┬─ succeeded
                            ├─ failed
                            └─ indeterminate ── a person: succeeded | failed | approved again
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from audit import canonical_rows, clock, inserting, ledger
from audit.actors import Actor
from intents import doorbell, integrity, masking, steps
from intents.models import Amendment, Execution, ExecutionMode, ExecutionState, Intent, Status
from zehrava import ids
from zehrava.problems import Problem

logger = logging.getLogger(__name__)

SWEEPER = Actor.system("sweeper")
WORKER = Actor.system("worker")

# What an amendment replaces of an intent's row. Its id, agent, action, mode and fingerprint stay the proposal's.
AMENDED = (
    "canonical", "digest", "target", "records", "value_amount", "value_currency", "claims", "derived", "verdict",
    "verdict_digest", "requirement", "requirement_digest", "policy_version_id", "risk_score", "risk_level",
    "risk_reasons", "alike", "sensitivity",
)  # fmt: skip

# What the ledger calls each step of an escalation.
STEP_EVENTS = {"remind": "intent.reminded", "widen": "intent.widened", "escalate": "intent.escalated"}

FINISHED = {
    ExecutionState.SUCCEEDED: Status.SUCCEEDED,
    ExecutionState.FAILED: Status.FAILED,
    ExecutionState.INDETERMINATE: Status.INDETERMINATE,
}


def locked(intent_id: str) -> Intent:
    """The intent with its row locked until the transaction ends; raises Intent.DoesNotExist.

    On SQLite the transaction itself is the lock: it began by taking the only right to write.
    """
    return Intent.objects.select_for_update(of=("self",)).select_related("agent").get(pk=intent_id)


def admit(intent: Intent, *, by: Actor, facts: dict[str, Any]) -> None:
    """Store a new intent in the status that its verdict gave it: blocked, pending_approval or approved."""
    inserting.insert([intent])
    changes = [ledger.Change("intent.proposed", intent, by, {**_bound(intent), **facts}, history="+")]
    if intent.status == Status.APPROVED and intent.execution_mode == ExecutionMode.PORTAL:
        changes.append(_queue(intent, by=by, attempt=1, at=intent.created_at))
    ledger.record(*changes, at=intent.created_at)


def approve_in_advance(intent: Intent) -> None:
    """Make a new intent, which is not stored yet, one that was approved before it was asked (see `preapproval`)."""
    intent.status, intent.decided_at = Status.APPROVED, intent.created_at
    # Nobody was asked, and no desk shows it.
    intent.principal, intent.alike = None, ""


def approve(intent: Intent, *, by: Actor, facts: dict[str, Any]) -> None:
    """pending_approval → approved: the requirement is met."""
    _approve(intent, by, facts)


def approve_beyond(intent: Intent, *, by: Actor, facts: dict[str, Any]) -> None:
    """pending_approval → approved: one person broke the glass, and the requirement is set aside."""
    _approve(intent, by, facts, "intent.glass_broken")


def _approve(intent: Intent, by: Actor, facts: dict[str, Any], *also: str) -> None:
    at = clock.now()
    _move(intent, Status.APPROVED, {Status.PENDING_APPROVAL}, in_time_at=at, decided_at=at)
    bound = {**_bound(intent), **facts}
    # The intent is told of once more and changes once.
    changes = [ledger.Change(event, intent, by, bound, history=None) for event in also]
    changes.append(ledger.Change("intent.approved", intent, by, bound))
    if intent.execution_mode == ExecutionMode.PORTAL:
        changes.append(_queue(intent, by=by, attempt=1, at=at))
    ledger.record(*changes, at=at)


def amend(intent: Intent, amended: Intent, amendment: Amendment, *, by: Actor, facts: dict[str, Any]) -> None:
    """pending_approval, with another payload: the columns of `amended` are what would run from now on."""
    columns = {name: getattr(amended, name) for name in AMENDED}
    editors = [*intent.amended_by.values_list("editor_id", flat=True), amendment.editor_id]
    columns |= {
        "amendments": amendment.number,
        "widened_by": sorted(set(editors)) if amendment.widens else [],
        "expires_at": min(intent.expires_at, amended.expires_at),
        # Of whether the new requirement can be met, nothing is known yet.
        "unmeetable": False,
    }
    if intent.requirement_digest != amended.requirement_digest:
        # Its steps are others, and what of them is due is taken again. Its time is not given a second time.
        columns["steps_taken"] = 0
    as_shown = Q(digest=intent.digest, amendments=amendment.number - 1, expires_at__gt=Now())
    if not _try(intent, Status.PENDING_APPROVAL, {Status.PENDING_APPROVAL}, as_shown, **columns):
        raise Problem("conflict", "This intent moved on while it was being changed. Read it again.", path="")
    _note_next_step(intent)
    intent.__dict__.pop("document", None)
    bound = {
        "number": amendment.number,
        "widens": amendment.widens,
        "replaced_digest": amendment.replaced_digest,
        "digest": amendment.digest,
    }
    content = {"patch": amendment.patch, "widenings": amendment.widenings}
    sensitive = masking.marks(intent)
    ledger.save(amendment, "amendment.made", by=by, facts={**bound, **facts}, content=content, sensitive=sensitive)
    ledger.record(ledger.Change("intent.amended", intent, by, {**_bound(intent), **facts}))


def reject(intent: Intent, *, by: Actor, facts: dict[str, Any]) -> None:
    """pending_approval → rejected."""
    at = clock.now()
    _move(intent, Status.REJECTED, {Status.PENDING_APPROVAL}, in_time_at=at, decided_at=at)
    ledger.record(ledger.Change("intent.rejected", intent, by, {**_bound(intent), **facts}), at=at)


def expire(intent: Intent) -> bool:
    """pending_approval or approved → expired, if its time is over by the database's clock.

    Where policy asks others then, they are asked instead, once, and it gets as much time again. Returns whether
    anything moved.
    """
    if steps.has_time_left(intent) and _is_intact(intent) and _ask_the_last(intent, Q(expires_at__lte=Now())):
        # Nobody came by for so long that the time of those is over too.
        expire(intent)
        return True
    due = Q(expires_at__lte=Now())
    if not _try(intent, Status.EXPIRED, {Status.PENDING_APPROVAL, Status.APPROVED}, due):
        return False
    ledger.record(
        ledger.Change("intent.expired", intent, SWEEPER, _bound(intent)), *_abandon_waiting(intent, by=SWEEPER)
    )
    return True


def take_step(intent: Intent, step: steps.Planned, *, early: bool = False) -> bool:
    """pending_approval, one step of its escalation further; those before it that were not taken count as taken.

    `early` is for what nobody can meet any more: then it is taken before it is due, and be it the end of the time.
    Returns False, and writes nothing, where somebody else took it, it was decided, or its time is over.
    """
    if not _is_intact(intent):
        return False
    in_time, early_fact = Q(expires_at__gt=Now()), {"early": True} if early else {}
    if step.number is None:
        return _ask_the_last(intent, in_time, **early_fact)
    as_seen = in_time & Q(steps_taken=intent.steps_taken, overtime=False)
    if not _try(intent, Status.PENDING_APPROVAL, {Status.PENDING_APPROVAL}, as_seen, steps_taken=step.number):
        return False
    _note_next_step(intent)
    facts = {"step": step.number, "do": step.do, "to": list(step.to), "due": canonical_rows.instant(step.at)}
    ledger.record(ledger.Change(STEP_EVENTS[step.do], intent, SWEEPER, {**_bound(intent), **facts, **early_fact}))
    return True


def note_unmeetable(intent: Intent, *, unmeetable: bool) -> bool:
    """pending_approval: nobody can meet what it asks any more, or somebody can again. Returns whether that is news."""
    as_seen = Q(unmeetable=not unmeetable, expires_at__gt=Now())
    if not _is_intact(intent):
        return False
    if not _try(intent, Status.PENDING_APPROVAL, {Status.PENDING_APPROVAL}, as_seen, unmeetable=unmeetable):
        return False
    event = "intent.unmeetable" if unmeetable else "intent.meetable"
    ledger.record(ledger.Change(event, intent, SWEEPER, _bound(intent)))
    return True


def cancel(
    intent: Intent,
    *,
    by: Actor,
    facts: dict[str, Any] | None = None,
    content: dict[str, Any] | None = None,
    event: str = "intent.cancelled",
) -> None:
    """pending_approval or approved → cancelled: it will not run."""
    _move(intent, Status.CANCELLED, {Status.PENDING_APPROVAL, Status.APPROVED})
    ledger.record(
        ledger.Change(
            event,
            intent,
            by,
            {**_bound(intent), **(facts or {})},
            content,
            sensitive=bool(content) and masking.marks(intent),
        ),
        *_abandon_waiting(intent, by=by),
    )


def start(
    intent: Intent,
    execution: Execution | None,
    *,
    by: Actor,
    permit_hash: str,
    lease_until: datetime,
    at: datetime,
) -> Execution:
    """approved → executing: hand out the single permit.

    The portal claims the execution that waits for it; an agent's (`execution` None) is made by its claim. Of any
    number of claims one moves the row, and the others raise Problem `already-claimed`.
    """
    _move(intent, Status.EXECUTING, {Status.APPROVED}, in_time_at=at)
    columns = {
        "state": ExecutionState.RUNNING,
        "permit_hash": permit_hash,
        "lease_until": lease_until,
        "started_at": at,
    }
    if execution is None:
        execution = _new_execution(intent, attempt=_next_attempt(intent), at=at, **columns)
        inserting.insert([execution])
        step = ledger.Change("execution.started", execution, by, _facts(execution), history="+")
    else:
        if not Execution.objects.filter(pk=execution.pk, state=ExecutionState.WAITING).update(**columns):
            raise Problem("already-claimed", "Somebody else holds the permit for this execution.")
        _set(execution, columns)
        step = ledger.Change("execution.started", execution, by, _facts(execution))
    ledger.record(step, ledger.Change("intent.executing", intent, by, _bound(intent)), at=at)
    return execution


def extend(execution: Execution, *, until: datetime) -> bool:
    """Move the end of a lease that has not lapsed. Returns False where the execution no longer runs."""
    extended = _running(execution).update(lease_until=until)
    if extended:
        execution.lease_until = until
    return bool(extended)


def finish(intent: Intent, execution: Execution, state: ExecutionState, *, by: Actor, result: Any) -> bool:
    """executing → succeeded, failed or indeterminate, by whoever holds the permit while its lease lasts.

    Returns False, and writes nothing, where the execution no longer runs or its lease has lapsed.
    """
    return _finish(intent, execution, state, _running(execution), by=by, result=result)


def lapse(intent: Intent, execution: Execution) -> bool:
    """executing → indeterminate: the lease ended without a report, so that nobody knows what happened."""
    lapsed = Execution.objects.filter(pk=execution.pk, state=ExecutionState.RUNNING, lease_until__lte=Now())
    result = {"reason": "The lease ended without a report: whether the action happened is not known."}
    return _finish(intent, execution, ExecutionState.INDETERMINATE, lapsed, by=SWEEPER, result=result)


def settle(intent: Intent, outcome: Status, *, by: Actor, reason: str, expires_at: datetime) -> None:
    """indeterminate → succeeded, failed or approved again (a new attempt), as a person found out.

    `expires_at` counts for a new attempt only.
    """
    again = outcome == Status.APPROVED
    columns: dict[str, Any] = {"expires_at": expires_at} if again else {}
    _move(intent, outcome, {Status.INDETERMINATE}, **columns)
    facts = {**_bound(intent), "outcome": outcome.value}
    changes = [ledger.Change("intent.settled", intent, by, facts, {"reason": reason})]
    if again and intent.execution_mode == ExecutionMode.PORTAL:
        changes.append(_queue(intent, by=by, attempt=_next_attempt(intent), at=clock.now()))
    ledger.record(*changes)


# --- how a row moves -----------------------------------------------------------------------------------------------


def _move(intent: Intent, to: Status, frm: set[Status], *, in_time_at: datetime | None = None, **columns: Any) -> None:
    """Do the step or raise: `not-pending` or `conflict` where the status is another, `expired` where time is over.

    `in_time_at` is the moment that will be on record of a step that has to come before the end of the time: that
    moment does, and so does this one.
    """
    in_time = in_time_at is not None
    due = Q(expires_at__gt=Now()) & Q(expires_at__gt=in_time_at) if in_time else Q()
    if _try(intent, to, frm, due, **columns):
        return
    now = Intent.objects.only("status", "expires_at").get(pk=intent.pk)
    if in_time and now.status in frm:
        raise Problem("expired", "This intent ran out of time. Let the agent propose it again.", path="")
    label = Status(now.status).label.lower()
    kind = "not-pending" if frm == {Status.PENDING_APPROVAL} else "conflict"
    raise Problem(kind, f"This intent is no longer where this step begins: it is {label}.", path="", state=now.status)


def _try(intent: Intent, to: Status, frm: set[Status], condition: Q, **columns: Any) -> bool:
    columns["status"] = to
    if not Intent.objects.filter(condition, pk=intent.pk, status__in=frm).update(**columns):
        return False
    _set(intent, columns)
    return True


def _ask_the_last(intent: Intent, due: Q, **more: Any) -> bool:
    """Ask those whom policy names for the end of the time, and give them as much again, once."""
    end, groups = intent.expires_at, steps.asked_at_the_end(intent.requirement)
    as_seen = due & Q(overtime=False, expires_at=end)
    columns = {"overtime": True, "expires_at": steps.overtime_until(intent)}
    if not _try(intent, Status.PENDING_APPROVAL, {Status.PENDING_APPROVAL}, as_seen, **columns):
        return False
    _note_next_step(intent)
    facts = {"do": steps.ESCALATE, "to": list(groups), "due": canonical_rows.instant(end), "on_timeout": True}
    ledger.record(ledger.Change("intent.escalated", intent, SWEEPER, {**_bound(intent), **facts, **more}))
    return True


def _note_next_step(intent: Intent) -> None:
    """Where the sweeper finds it. It decides nothing: a step is due when `intents.steps` says so."""
    intent.next_step_at = steps.next_step_at(intent)
    Intent.objects.filter(pk=intent.pk).update(next_step_at=intent.next_step_at)


def _is_intact(intent: Intent) -> bool:
    """Whether the row is what the ledger says: nobody is asked because somebody wrote that into the database."""
    altered = integrity.differences(intent)
    if altered:
        logger.critical("%s is not what the ledger says (%s): its escalation stops", intent.pk, ", ".join(altered))
    return not altered


def _finish(intent: Intent, execution: Execution, state: ExecutionState, rows: Any, *, by: Actor, result: Any) -> bool:
    at = clock.now()
    columns = {"state": state, "finished_at": at, "result": result, "permit_hash": ""}
    if not rows.update(**columns):
        return False
    _set(execution, columns)
    _move(intent, FINISHED[state], {Status.EXECUTING})
    ledger.record(
        ledger.Change(
            f"execution.{state.value}",
            execution,
            by,
            _facts(execution),
            {"result": result},
            sensitive=masking.marks(intent),
        ),
        ledger.Change(f"intent.{state.value}", intent, by, _bound(intent)),
        at=at,
    )
    return True


def _running(execution: Execution) -> Any:
    return Execution.objects.filter(
        pk=execution.pk,
        state=ExecutionState.RUNNING,
        permit_hash=execution.permit_hash,
        lease_until__gt=Now(),
    )


def _set(row: Any, columns: dict[str, Any]) -> None:
    for name, value in columns.items():
        setattr(row, name, value)


# --- the outbox ----------------------------------------------------------------------------------------------------


def _queue(intent: Intent, *, by: Actor, attempt: int, at: datetime) -> ledger.Change:
    """Write the execution that waits for the portal, and ring for a worker once that is committed."""
    execution = _new_execution(intent, attempt=attempt, at=at, state=ExecutionState.WAITING)
    inserting.insert([execution])
    doorbell.ring_on_commit(execution.pk)
    return ledger.Change("execution.queued", execution, by, _facts(execution), history="+")


def _new_execution(intent: Intent, *, attempt: int, at: datetime, **columns: Any) -> Execution:
    return Execution(
        id=ids.new("exe", at=at),
        intent=intent,
        attempt=attempt,
        mode=intent.execution_mode,
        digest=intent.digest,
        created_at=at,
        **columns,
    )


def _next_attempt(intent: Intent) -> int:
    # The intent's row is locked by the step that just moved it, so that nobody else counts at the same time.
    return intent.executions.count() + 1


def _abandon_waiting(intent: Intent, *, by: Actor) -> list[ledger.Change]:
    """What waited for the portal will not be claimed any more."""
    changes = []
    for execution in intent.executions.filter(state=ExecutionState.WAITING):
        columns = {"state": ExecutionState.CANCELLED, "finished_at": clock.now()}
        if Execution.objects.filter(pk=execution.pk, state=ExecutionState.WAITING).update(**columns):
            _set(execution, columns)
            execution.intent = intent
            changes.append(ledger.Change("execution.cancelled", execution, by, _facts(execution)))
    return changes


# --- what the ledger is told ---------------------------------------------------------------------------------------


def _bound(intent: Intent) -> dict[str, Any]:
    """What every event of an intent repeats: where it stands, and the digests of what was decided about."""
    amended = {"amendments": intent.amendments, "widened_by": intent.widened_by} if intent.amendments else {}
    # Of a key that no person made, nothing is said.
    maker = {} if intent.key_maker_id is None else {"key_maker": intent.key_maker_id}
    return {
        **amended,
        **maker,
        **integrity.progress(intent),
        "status": str(intent.status),
        "digest": intent.digest,
        "verdict_digest": intent.verdict_digest,
        "requirement_digest": intent.requirement_digest,
        "action_type_version": intent.action_type_version_id,
        "action_type_digest": intent.action_type_digest,
        "owner": intent.owner_id,
        "expires_at": canonical_rows.instant(intent.expires_at),
    }


def _facts(execution: Execution) -> dict[str, Any]:
    return {"attempt": execution.attempt, "state": str(execution.state), "digest": execution.digest}
