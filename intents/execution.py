"""Carrying approved intents out: the claim, the single permit, the report, and what a person settles.

At most once (promise 4): of any number of claims one gets the permit, nothing is ever repeated by itself, and what
cannot be known is `indeterminate`. Exactly what was approved (promise 2): a claim compares what is stored with what
the ledger says was approved, and cancels the intent where they differ.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from audit import clock
from audit.actors import Actor
from intents import executors, integrity, lifecycle, one_person
from intents.in_force import AgentInForce
from intents.models import Execution, ExecutionMode, ExecutionState, Intent, Status
from intents.reasons import read_reason
from zehrava import canonical
from zehrava.action_types import ActionType
from zehrava.problems import Problem

logger = logging.getLogger(__name__)

Claimed = TypeVar("Claimed")

# The executor gets this share of the lease, so that its outcome is stored while the lease still holds.
EXECUTOR_SHARE = 0.75
REPORTABLE = {"succeeded": ExecutionState.SUCCEEDED, "failed": ExecutionState.FAILED}
SETTLEMENTS = {"succeeded": Status.SUCCEEDED, "failed": Status.FAILED, "again": Status.APPROVED}


# --- the agent's own executions ------------------------------------------------------------------------------------


def claim(intent_id: str, *, agent: AgentInForce) -> tuple[Execution, str]:
    """Give the agent the single permit for its approved intent: the execution, and the permit's token (shown once).

    Raises Problem: `not-found` for an intent of somebody else, `suspended`, `not-approved`, `already-claimed`,
    `expired`, `integrity-failed`.
    """
    token = "zhx_" + secrets.token_urlsafe(32)

    def claim_locked(intent: Intent) -> Execution:
        if intent.execution_mode != ExecutionMode.AGENT:
            raise Problem("conflict", "The portal carries this intent out itself. Wait for its outcome instead.")
        at = clock.now()
        lease_until = at + timedelta(seconds=settings.ZEHRAVA_AGENT_LEASE)
        return lifecycle.start(intent, None, by=agent.actor, permit_hash=_hash(token), lease_until=lease_until, at=at)

    if not Intent.objects.filter(pk=intent_id, agent_id=agent.id).exists():
        raise _unknown_intent()
    return _claim(intent_id, claim_locked), token


def heartbeat(execution_id: str, *, agent: AgentInForce, token: str) -> Execution:
    """Extend the lease of a running execution. Raises the same problems as `report`."""
    with transaction.atomic():
        _, execution = _held(execution_id, agent=agent, token=token)
        until = clock.now() + timedelta(seconds=settings.ZEHRAVA_AGENT_LEASE)
        if not lifecycle.extend(execution, until=until):
            raise _lapsed()
    return execution


def report(execution_id: str, *, agent: AgentInForce, token: str, outcome: str, result: Any = None) -> Intent:
    """Store what the agent says came of it: once, while its lease lasts.

    Raises Problem: `not-found`, `permit-refused` for another token, `already-reported`, `lease-lapsed`, `invalid`.
    """
    if outcome not in REPORTABLE:
        raise Problem("invalid", 'outcome: Send "succeeded" or "failed".', path="/outcome")
    with transaction.atomic():
        intent, execution = _held(execution_id, agent=agent, token=token)
        if not lifecycle.finish(intent, execution, REPORTABLE[outcome], by=agent.actor, result=result):
            raise _lapsed()
    return intent


def _held(execution_id: str, *, agent: AgentInForce, token: str) -> tuple[Intent, Execution]:
    """The locked intent and its execution, if this token is its permit."""
    found = Execution.objects.filter(pk=execution_id, intent__agent_id=agent.id).values_list("intent_id").first()
    if found is None:
        raise Problem("not-found", "You have no execution of this id.")
    intent = lifecycle.locked(found[0])
    execution = intent.executions.get(pk=execution_id)
    execution.intent = intent
    _refuse_altered(intent)
    if execution.state != ExecutionState.RUNNING:
        if execution.state == ExecutionState.INDETERMINATE:
            raise _lapsed()
        raise Problem("already-reported", f"This execution already ended: {execution.state}. Nothing was changed.")
    if not secrets.compare_digest(execution.permit_hash, _hash(token)):
        raise Problem("permit-refused", "Send the token of this execution's permit in the header Zehrava-Permit.")
    return intent, execution


def _refuse_altered(intent: Intent) -> None:
    """Nothing is reported or settled about a row that the ledger contradicts: that would make the change look right."""
    if altered := integrity.differences(intent):
        logger.critical("integrity failed: %s is not what the ledger says (%s)", intent.pk, ", ".join(altered))
        raise Problem(
            "integrity-failed", "What is stored is not what the ledger says. Tell an operator; nothing was done."
        )


def _lapsed() -> Problem:
    return Problem(
        "lease-lapsed",
        "The lease of this permit is over: what happened counts as not known until a person settles it. Nothing was "
        "changed.",
    )


# --- the portal's executions ---------------------------------------------------------------------------------------


def carry_out(execution_id: str) -> ExecutionState | None:
    """Claim a waiting execution and run its executor. Returns its state, or None where there was nothing to claim."""
    try:
        found = Execution.objects.values_list("intent_id", flat=True).get(pk=execution_id, state=ExecutionState.WAITING)
    except Execution.DoesNotExist:
        return None

    def claim_locked(intent: Intent) -> tuple[Execution, executors.Order, str]:
        execution = intent.executions.get(pk=execution_id)
        execution.intent = intent
        action_type = _pinned_action_type(intent)
        at = clock.now()
        lease_until = at + timedelta(seconds=settings.ZEHRAVA_PORTAL_LEASE)
        lifecycle.start(
            intent,
            execution,
            by=lifecycle.WORKER,
            permit_hash=secrets.token_hex(32),
            lease_until=lease_until,
            at=at,
        )
        return execution, _order(intent, execution, action_type), str(action_type.executor)

    try:
        execution, order, executor = _claim(found, claim_locked)
    except Problem as problem:
        # Cancelled, expired, claimed by another worker: all of it is on record, and nothing may run.
        logger.info("%s is not carried out: %s", execution_id, problem.detail)
        return None
    outcome = executors.run(executor, order, seconds=settings.ZEHRAVA_PORTAL_LEASE * EXECUTOR_SHARE)
    state = ExecutionState(outcome.state)
    with transaction.atomic():
        intent = lifecycle.locked(found)
        execution.intent = intent
        if not lifecycle.finish(intent, execution, state, by=lifecycle.WORKER, result=outcome.result):
            logger.error("%s ended as %s after its lease: it stays indeterminate", execution_id, state)
            return ExecutionState.INDETERMINATE
    return state


def _pinned_action_type(intent: Intent) -> ActionType:
    """The version that was in force when the intent was proposed: what runs is what was asked about."""
    version = intent.action_type_version
    if version is None:
        raise _Altered(intent, ["action type"])
    if canonical.digest(version.text.encode()) != intent.action_type_digest:
        raise _Altered(intent, ["action type"])
    return ActionType.parse(version.text)


def _order(intent: Intent, execution: Execution, action_type: ActionType) -> executors.Order:
    return executors.Order(
        intent_id=intent.pk,
        attempt=execution.attempt,
        action=intent.action,
        payload=intent.payload,
        payload_bytes=canonical.dumps(intent.payload),
        digest=intent.digest,
        settings=action_type.settings,
        safe_to_repeat=action_type.safe_to_repeat,
    )


# --- the claim -----------------------------------------------------------------------------------------------------


class _Altered(Exception):
    """What is stored is not what was approved."""

    def __init__(self, intent: Intent, differences: list[str]) -> None:
        super().__init__(", ".join(differences))
        self.intent = intent
        self.differences = differences


def _claim(intent_id: str, claim_locked: Callable[[Intent], Claimed]) -> Claimed:
    """Check everything that may forbid the effect, under the intent's row lock, and then claim.

    An intent that ran out of time, or is no longer what was approved, ends here: that is written in a transaction of
    its own before the problem is raised.
    """
    try:
        with transaction.atomic():
            intent = lifecycle.locked(intent_id)
            _refuse_what_is_not_approved(intent)
            if altered := integrity.differences(intent, _waiting_execution(intent)):
                raise _Altered(intent, altered)
            return claim_locked(intent)
    except _Altered as altered_since:
        _cancel_altered(altered_since)
        raise Problem(
            "integrity-failed",
            "What is stored is not what was approved. The intent was cancelled and nothing ran; propose it again.",
        ) from altered_since
    except Problem as problem:
        if problem.kind == "expired":
            with transaction.atomic():
                lifecycle.expire(lifecycle.locked(intent_id))
        raise


def _refuse_what_is_not_approved(intent: Intent) -> None:
    if intent.agent.is_suspended:
        raise Problem("suspended", "This agent is suspended: nothing of it runs until an operator resumes it.")
    if intent.status == Status.EXECUTING:
        raise Problem("already-claimed", "The single permit for this intent was already claimed.")
    if intent.status == Status.EXPIRED:
        raise Problem("expired", "This intent ran out of time. Propose it again.")
    if intent.status != Status.APPROVED:
        label = Status(intent.status).label.lower()
        raise Problem("not-approved", f"Only an approved intent can be claimed: this one is {label}.")


def _waiting_execution(intent: Intent) -> Execution | None:
    return intent.executions.filter(state=ExecutionState.WAITING).first()


def _cancel_altered(altered: _Altered) -> None:
    logger.critical("integrity failed: %s is not what was approved (%s)", altered.intent.pk, altered)
    with transaction.atomic():
        intent = lifecycle.locked(altered.intent.pk)
        if intent.status == Status.APPROVED:
            facts = {"differences": altered.differences}
            lifecycle.cancel(intent, by=lifecycle.WORKER, facts=facts, event="intent.integrity_failed")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _unknown_intent() -> Problem:
    return Problem("not-found", "You have no intent of this id.")


# --- what a person settles -----------------------------------------------------------------------------------------


def resolve(intent: Intent, *, by: User, outcome: str, reason: str) -> Intent:
    """Settle an indeterminate intent: it succeeded, it failed, or it is to run again.

    `outcome` is "succeeded", "failed" or "again". Needs the permission `intents.resolve_intent`, and, as for every
    decision, somebody who does not own the agent. Raises Problem `not-entitled`, `invalid`, `conflict`.
    """
    if outcome not in SETTLEMENTS:
        raise Problem("invalid", "Say whether it succeeded, failed, or is to run again.", path="/outcome")
    reason = read_reason(reason, path="/reason", needed="Say how you found out; the reason stays with the record.")
    with transaction.atomic():
        intent = lifecycle.locked(intent.pk)
        if not (by.is_active and by.has_perm("intents.resolve_intent")):
            raise Problem("not-entitled", "Only operators settle what an execution did.")
        theirs = one_person.accounts().of(by.pk)
        if theirs & intent.owner_ids:
            raise Problem("not-entitled", "You own this agent; let somebody else settle what it did.")
        if theirs & intent.barred_ids:
            raise Problem("not-entitled", "You made the key that this was proposed with; let somebody else settle it.")
        if intent.status == Status.INDETERMINATE:
            _refuse_altered(intent)
        window = intent.expires_at - intent.created_at
        lifecycle.settle(
            intent,
            SETTLEMENTS[outcome],
            by=Actor.person(by),
            reason=reason,
            expires_at=clock.now() + window,
        )
    return intent
