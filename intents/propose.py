"""An agent proposes; policy gives its verdict; the intent is stored in the status that follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from audit import inserting
from intents import in_force, integrity, lifecycle, representation, risk
from intents.in_force import AgentInForce, Snapshot
from intents.models import ExecutionMode, IdempotencyKey, Intent, Status
from intents.proposals import Proposal, as_decimal, invalid
from zehrava import canonical, ids
from zehrava.action_types import ActionType, Derived
from zehrava.problems import Problem

STATUS_OF_EFFECT = {
    "allow": Status.APPROVED,
    "block": Status.BLOCKED,
    "require_approval": Status.PENDING_APPROVAL,
}
ONE_REVIEWER: dict[str, Any] = {"all_of": [{"group": "reviewers", "count": 1}]}
TRACE_KEPT = 100


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
    another body, `idempotency-in-flight` while the same key is being answered, `unavailable` where an action type
    cannot be read. Nothing is stored then.
    """
    snapshot = snapshot or in_force.current()
    request_digest = canonical.digest(canonical.dumps(body)) if idempotency_key else ""
    if idempotency_key and (earlier := _earlier_answer(agent, idempotency_key, request_digest)):
        return earlier
    intent = _draft(agent, Proposal.parse(body), snapshot)
    try:
        with transaction.atomic():
            return _store(agent, intent, body, snapshot, idempotency_key, request_digest)
    except IntegrityError:
        # The same key was answered while this request was on its way: its answer is this one's too.
        if idempotency_key and (earlier := _earlier_answer(agent, idempotency_key, request_digest)):
            return earlier
        raise


# --- the intent that the proposal makes ----------------------------------------------------------------------------


def _draft(agent: AgentInForce, proposal: Proposal, snapshot: Snapshot) -> Intent:
    if proposal.action in snapshot.rules.unreadable_action_types:
        raise Problem("unavailable", f"The action type of {proposal.action} cannot be read; an operator must mend it.")
    version_id, action_type = snapshot.action_types.get(proposal.action, (None, None))
    derived = _check_payload(action_type, proposal)
    target = derived.target if "target" in derived.names else proposal.target
    records = derived.records if "records" in derived.names else proposal.records
    value = derived.value if "value" in derived.names else proposal.value
    mode = _execution_mode(action_type, proposal)
    verdict, requirement, expires_in = _verdict(
        agent, proposal, snapshot, action_type, derived, target=target, records=records, value=value, mode=mode
    )
    intent_id = ids.new("int", at=snapshot.now)
    document = canonical.intent(
        id=intent_id,
        agent=agent.id,
        action=proposal.action,
        payload=proposal.payload,
        summary=proposal.summary,
        context=proposal.context,
        target=target,
        tags=proposal.tags,
        records=records,
        value=value,
        on_behalf_of=proposal.on_behalf_of,
        execution_mode=mode.value,
    )
    text = canonical.dumps(document)
    claims = _claims(proposal)
    assessed = risk.assess(
        environment=agent.environment,
        records=records,
        value=value,
        registered=action_type is not None,
        irreversible=_is_irreversible(action_type),
        contradicted=[name for name in derived.names if name in claims and claims[name] != document[name]],
    )
    status = STATUS_OF_EFFECT[verdict["effect"]]
    intent = Intent(
        id=intent_id,
        agent_id=agent.id,
        agent_name=agent.name,
        owner_id=agent.owner_id,
        action=proposal.action,
        status=status,
        execution_mode=mode,
        canonical=text.decode(),
        digest=canonical.digest(text),
        # The id is made here and cannot stand anywhere else in the text.
        fingerprint=canonical.digest(text.replace(intent_id.encode(), b"")),
        target=target,
        records=records,
        value_amount=as_decimal(value),
        value_currency=value["currency"] if value else None,
        claims=claims,
        derived=list(derived.names),
        verdict=verdict,
        verdict_digest=integrity.digest_of(verdict),
        requirement=requirement,
        requirement_digest=integrity.digest_of(requirement),
        policy_version_id=snapshot.policy_versions.get(verdict["policy"]),
        action_type_version_id=version_id,
        action_type_digest=action_type.digest if action_type else None,
        risk_score=assessed.score,
        risk_level=assessed.level,
        risk_reasons=assessed.reasons,
        supersedes_id=proposal.supersedes,
        created_at=snapshot.now,
        expires_at=snapshot.now + timedelta(seconds=expires_in),
        decided_at=None if status == Status.PENDING_APPROVAL else snapshot.now,
    )
    intent.__dict__["document"] = document
    return intent


def _check_payload(action_type: ActionType | None, proposal: Proposal) -> Derived:
    if action_type is None:
        return Derived(records=None, value=None, target=None, errors=[], names=())
    if violations := action_type.validate(proposal.payload):
        raise invalid([{"path": "/payload" + one.path, "detail": one.message} for one in violations])
    return action_type.derive(proposal.payload)


def _execution_mode(action_type: ActionType | None, proposal: Proposal) -> ExecutionMode:
    has_executor = action_type is not None and action_type.executor is not None
    if proposal.execution_mode is None:
        return ExecutionMode.PORTAL if has_executor else ExecutionMode.AGENT
    if proposal.execution_mode == ExecutionMode.PORTAL and not has_executor:
        raise Problem(
            "no-executor",
            f'The portal has no executor for {proposal.action}. Send "agent" and carry it out with a claim, or leave '
            "execution_mode out.",
            path="/execution_mode",
        )
    return ExecutionMode(proposal.execution_mode)


def _verdict(
    agent: AgentInForce,
    proposal: Proposal,
    snapshot: Snapshot,
    action_type: ActionType | None,
    derived: Derived,
    *,
    target: str | None,
    records: int | None,
    value: Mapping[str, str] | None,
    mode: ExecutionMode,
) -> tuple[dict[str, Any], dict[str, Any] | None, int]:
    """The verdict, the requirement where it asks, and the seconds until the intent expires."""
    if proposal.policy is not None and proposal.policy not in snapshot.policy_versions:
        raise invalid(
            [{"path": "/policy", "detail": "No policy of this name is in force; leave it out or correct it."}]
        )
    said = snapshot.policies.evaluate(
        action=proposal.action,
        payload=proposal.payload,
        agent=agent.trusted_attributes(),
        context=proposal.context,
        target=target,
        tags=proposal.tags,
        records=records,
        value=value,
        summary=proposal.summary,
        on_behalf_of=proposal.on_behalf_of,
        execution_mode=mode.value,
        now=snapshot.now,
        policy=proposal.policy,
    )
    verdict: dict[str, Any] = {
        "effect": said.effect,
        "policy": said.policy,
        "version": said.version,
        "rule": said.rule,
        "reason": said.reason,
    }
    requirement = said.requirement
    for doubt in _doubts(snapshot, action_type, derived, by_default=said.effect == "allow" and said.rule == "default"):
        if verdict["effect"] == "allow":
            verdict["effect"], requirement = "require_approval", ONE_REVIEWER
        if verdict["effect"] == "require_approval":
            verdict["reason"] = f"{verdict['reason']}; {doubt}" if verdict["reason"] else doubt
    if verdict["effect"] != "require_approval":
        requirement = None
    else:
        requirement = {"all_of": (requirement or ONE_REVIEWER)["all_of"]}
        verdict["trace"] = [dict(step) for step in said.trace[:TRACE_KEPT]]
    asked = [proposal.expires_in, (said.requirement or {}).get("expires_in")]
    shortest = min([seconds for seconds in asked if seconds], default=settings.ZEHRAVA_EXPIRES_IN)
    return verdict, requirement, min(shortest, settings.ZEHRAVA_EXPIRES_IN_MAX)


def _doubts(snapshot: Snapshot, action_type: ActionType | None, derived: Derived, *, by_default: bool) -> list[str]:
    """Why an allow may not stand (promise 1): a person has to look."""
    doubts = [
        f"policy {name} is in force but cannot be read: {reason}"
        for name, reason in sorted(snapshot.rules.unreadable_policies.items())
    ]
    doubts += [f"the action type could not derive {error}" for error in derived.errors]
    if action_type is None and by_default:
        doubts.append("no default allows an action without an action type")
    return doubts


def _claims(proposal: Proposal) -> dict[str, Any]:
    claims = {"target": proposal.target, "records": proposal.records, "value": proposal.value}
    return {name: claim for name, claim in claims.items() if claim is not None}


def _is_irreversible(action_type: ActionType | None) -> bool:
    return bool(action_type and action_type.presentation and action_type.presentation.get("reversible") is False)


# --- storing it, once ----------------------------------------------------------------------------------------------


def _store(
    agent: AgentInForce,
    intent: Intent,
    body: Any,
    snapshot: Snapshot,
    idempotency_key: str | None,
    request_digest: str,
) -> Answer:
    if idempotency_key:
        _take_key(agent, idempotency_key)
    elif intent.status == Status.PENDING_APPROVAL and (twin := _pending_twin(intent, body)):
        return Answer(200, _encode(representation.represent([twin])[0]), False, twin.pk)
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
    lifecycle.admit(intent, by=agent.actor, facts=facts)
    document = _encode(representation.represent_new(intent))
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
    """The same thing, still pending, asked by the same agent; two such proposals at once wait for each other.

    A proposal that also wants something of its own intent gets one: to replace another, or less time than the twin has.
    """
    if intent.supersedes_id:
        return None
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", [intent.fingerprint])
    twins = Intent.objects.filter(
        agent_id=intent.agent_id,
        fingerprint=intent.fingerprint,
        status=Status.PENDING_APPROVAL,
        expires_at__gt=intent.created_at,
        # One that was asked under milder rules is no answer.
        requirement_digest=intent.requirement_digest,
    )
    if body.get("expires_in") is not None:
        twins = twins.filter(expires_at__lte=intent.expires_at)
    if body.get("policy") is not None:
        twins = twins.filter(verdict_digest=intent.verdict_digest)
    return twins.order_by("id").first()


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
