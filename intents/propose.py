"""An agent proposes; policy gives its verdict; the intent is stored in the status that follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q

from audit import inserting
from intents import attention, in_force, judging, lifecycle, limits, preapproval, representation, shadowing
from intents.cases import Case, case_of
from intents.drafting import draft
from intents.in_force import AgentInForce, Snapshot
from intents.judging import Judgement
from intents.models import IdempotencyKey, Intent, Status
from intents.proposals import Proposal
from zehrava import canonical
from zehrava.policy.limits import Use
from zehrava.problems import Problem


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agent is told: an HTTP status, the intent as JSON, and whether this repeats an earlier answer."""

    status: int
    document: bytes
    replayed: bool
    intent_id: str


def propose(
    agent: AgentInForce, body: Any, *, idempotency_key: str | None = None, snapshot: Snapshot | None = None
) -> Answer:
    """Store what the agent proposes and answer with the intent.

    `body` is what `zehrava.canonical.loads` read. `snapshot` is what is in force, where the caller has just read it.
    Raises Problem: `invalid` and `no-executor` for the proposal, `idempotency-mismatch` for a key that was used with
    another body, `idempotency-in-flight` while the same key is being answered, `attention-budget` where people would
    be asked and the agent asked them enough, `unavailable` where an action type cannot be read. Nothing is stored then.
    """
    snapshot = snapshot or in_force.current()
    request_digest = canonical.digest(canonical.dumps(body)) if idempotency_key else ""
    if idempotency_key and (earlier := _earlier_answer(agent, idempotency_key, request_digest)):
        return earlier
    case = case_of(Proposal.parse(body), snapshot, agent=agent.trusted_attributes())
    judgement = judging.judge(snapshot.policies, case.facts, unreadable=snapshot.rules.unreadable_policies)
    # Without limits all is said before the transaction begins, where others may be waiting.
    intent = None if judgement.uses else draft(agent, case, judgement, snapshot)
    seen = shadowing.look(case.facts, snapshot.rules.shadows, now=snapshot.now)
    try:
        with transaction.atomic():
            if idempotency_key:
                _take_key(agent, idempotency_key)
            # Judging a large payload takes time, and so does waiting for one's turn to write.
            _refuse_if_moved(snapshot)
            if intent is None:
                judgement, intent = _within_limits(agent, case, judgement.uses, snapshot)
            answer = _store(agent, intent, case, judgement, body, snapshot, idempotency_key, request_digest)
            if seen and answer.intent_id == intent.pk:
                shadowing.observe(intent, case.facts, judgement, seen)
            return answer
    except _RulesMoved:
        fresh = in_force.current()
        return propose(in_force.still(agent, fresh), body, idempotency_key=idempotency_key, snapshot=fresh)
    except IntegrityError:
        # The same key was answered while this request was on its way: its answer is this one's too.
        if idempotency_key and (earlier := _earlier_answer(agent, idempotency_key, request_digest)):
            return earlier
        raise


# --- the intent that the proposal makes ----------------------------------------------------------------------------


def _within_limits(
    agent: AgentInForce, case: Case, uses: tuple[Use, ...], snapshot: Snapshot
) -> tuple[Judgement, Intent]:
    """The last word where limits bear on the intent: nobody else counts under them until this is stored.

    Whoever else counts is waited for. What came into force meanwhile, a suspended agent too, counts from then on.
    """
    usage = limits.hold(uses, now=snapshot.now)
    if in_force.current().version != snapshot.version:
        raise _RulesMoved
    judgement = judging.judge(snapshot.policies, case.facts, usage=usage, unreadable=snapshot.rules.unreadable_policies)
    return judgement, draft(agent, case, judgement, snapshot, usage=usage)


class _RulesMoved(Exception):
    """Something else is in force than what the proposal was judged by."""


def _refuse_if_moved(snapshot: Snapshot) -> None:
    if snapshot.is_old and in_force.current().version != snapshot.version:
        raise _RulesMoved


# --- storing it, once ----------------------------------------------------------------------------------------------


def _store(
    agent: AgentInForce,
    intent: Intent,
    case: Case,
    judgement: Judgement,
    body: Any,
    snapshot: Snapshot,
    idempotency_key: str | None,
    request_digest: str,
) -> Answer:
    uses, given = judgement.uses, None
    intent.key_maker_id = agent.key_maker_id
    if intent.status == Status.PENDING_APPROVAL:
        taken = attention.hold(intent)
        # It waited for its turn, and meanwhile somebody may have stopped the agent.
        _refuse_if_moved(snapshot)
        given = preapproval.take(intent, case.facts, judgement)
    if given is not None and given.passes:
        lifecycle.approve_in_advance(intent)
    elif intent.status == Status.PENDING_APPROVAL:
        if not idempotency_key and (twin := _pending_twin(intent, body)):
            return Answer(200, _encode(representation.represent([twin])[0]), False, twin.pk)
        attention.refuse_over(intent, taken)
    if intent.supersedes_id:
        _supersede(agent, intent.supersedes_id, by=intent)
    facts = {
        "effect": intent.verdict["effect"],
        "policy": intent.verdict["policy"],
        "version": intent.verdict["version"],
        "rule": intent.verdict["rule"],
        "risk": str(intent.risk_level),
        "execution_mode": str(intent.execution_mode),
        "key": agent.key_prefix,
        "in_force": str(snapshot.version),
        "supersedes": intent.supersedes_id,
    }
    if uses and (counted := limits.facts(uses)):
        facts["limits"] = counted
    if given is not None:
        facts |= given.facts
    lifecycle.admit(intent, by=agent.actor, facts=facts)
    if uses:
        limits.count(uses, intent, at=intent.created_at)
    if given is not None:
        given.keep(intent)
    document = _encode(representation.represent_new(intent, given.shown if given else None))
    if idempotency_key:
        kept = IdempotencyKey(
            agent_id=agent.id,
            key=idempotency_key,
            request_digest=request_digest,
            intent_id=intent.pk,
            answer=document.decode(),
            created_at=snapshot.now,
        )
        inserting.insert([kept])
    return Answer(201, document, False, intent.pk)


def _earlier_answer(agent: AgentInForce, key: str, request_digest: str) -> Answer | None:
    with connection.cursor() as cursor:
        # By hand: building this one query costs the ORM as much time as answering it.
        cursor.execute(
            "SELECT request_digest, answer, intent_id FROM intents_idempotencykey WHERE agent_id = %s AND key = %s",
            [agent.id, key],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    if row[0] != request_digest:
        raise Problem(
            "idempotency-mismatch",
            "This Idempotency-Key was used for another body. Repeat the same body, or use a new key for a new intent.",
        )
    return Answer(200, row[1].encode(), True, row[2])


def _take_key(agent: AgentInForce, key: str) -> None:
    """Refuse at once while the same key is being answered. SQLite has one writer, so that there it cannot happen."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 1))", [f"{agent.id} {key}"])
        if not cursor.fetchone()[0]:
            raise Problem(
                "idempotency-in-flight",
                "The same Idempotency-Key is being answered right now. Repeat the request in a moment.",
                headers={"Retry-After": "1"},
            )


def _pending_twin(intent: Intent, body: Mapping[str, Any]) -> Intent | None:
    """The same thing, still pending, asked by the same agent, whose turn it is: nobody else stores one meanwhile.

    A proposal that also wants something of its own intent gets one: to replace another, or less time than the twin has.
    """
    if intent.supersedes_id:
        return None
    twins = Intent.objects.alias(lasts=F("expires_at") - F("created_at")).filter(
        agent_id=intent.agent_id,
        fingerprint=intent.fingerprint,
        status=Status.PENDING_APPROVAL,
        expires_at__gt=intent.created_at,
        # One that was asked under milder rules, or that may wait longer than this one might, is no answer.
        requirement_digest=intent.requirement_digest,
    )
    # The time of those who are asked last is not what it was given.
    twins = twins.filter(Q(lasts__lte=intent.expires_at - intent.created_at) | Q(overtime=True))
    if body.get("expires_in") is not None:
        twins = twins.filter(expires_at__lte=intent.expires_at)
    found = twins.order_by("id")
    if body.get("policy") is None:
        return found.first()
    # One that was judged without the policy that is named now is no answer either.
    judged_by = intent.verdict["inputs"]["policies"]
    return next((twin for twin in found if _judged_by(twin) == judged_by), None)


def _judged_by(intent: Intent) -> dict[str, int] | None:
    """The versions by name of the policies that covered it; None where that was not kept yet."""
    return (intent.verdict.get("inputs") or {}).get("policies")


def _supersede(agent: AgentInForce, old_id: str, *, by: Intent) -> None:
    try:
        old = lifecycle.locked(old_id)
    except Intent.DoesNotExist:
        old = None
    if old is None or old.agent_id != agent.id:
        raise Problem("invalid", "You have no intent of this id to replace.", path="/supersedes")
    if old.status != Status.PENDING_APPROVAL:
        label = Status(old.status).label.lower()
        raise Problem("not-pending", f"Only a pending intent can be replaced: this one is {label}.", path="/supersedes")
    lifecycle.cancel(old, by=agent.actor, facts={"superseded_by": by.pk})


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
