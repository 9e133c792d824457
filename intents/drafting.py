"""The row of an intent as a proposal, its action type and policy make it; nothing is stored here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from intents import integrity, judging, names, risk, steps
from intents.cases import STATUS_OF_EFFECT, Case
from intents.in_force import Snapshot
from intents.judging import Judgement
from intents.likeness import likeness
from intents.models import Intent, Status
from intents.proposals import as_decimal
from intents.representation import instant
from zehrava import canonical, ids


class Proposer(Protocol):
    """The agent, as its key proved it or as its row has it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def owner_id(self) -> int: ...
    @property
    def environment(self) -> str: ...


def draft(
    agent: Proposer,
    case: Case,
    judgement: Judgement,
    snapshot: Snapshot,
    *,
    usage: Mapping[str, Any] | None = None,
    amends: Intent | None = None,
) -> Intent:
    """The row that this case and what policy said of it make; nothing is stored.

    `amends` is the intent that it would become: it keeps its id and whom its environment opens it to, and never asks
    for less than it did.
    """
    proposal, facts = case.proposal, case.facts
    intent_id = ids.new("int", at=snapshot.now) if amends is None else amends.pk
    document = canonical.intent(
        id=intent_id,
        agent=agent.id,
        action=proposal.action,
        payload=proposal.payload,
        summary=proposal.summary,
        context=proposal.context,
        target=facts.target,
        tags=proposal.tags,
        records=facts.records,
        value=facts.value,
        on_behalf_of=proposal.on_behalf_of,
        execution_mode=facts.execution_mode,
    )
    text = canonical.dumps(document)
    claims = case.claims
    assessed = risk.assess(
        environment=agent.environment,
        records=facts.records,
        value=facts.value,
        registered=case.action_type is not None,
        irreversible=facts.reversible is False,
        contradicted=[name for name in case.derived if name in claims and claims[name] != document[name]],
    )
    status = STATUS_OF_EFFECT[judgement.effect]
    unreadable = snapshot.rules.unreadable_policies
    inputs = judging.inputs(snapshot.policies, facts, judgement, usage=usage, unreadable=unreadable)
    requirement = judgement.requirement
    if amends is not None:
        inputs |= {"now": instant(snapshot.now), "joined": amends.requirement}
        requirement = judging.joined(requirement, amends.requirement)
    verdict = {**judgement.verdict, "inputs": inputs}
    intent = Intent(
        id=intent_id,
        agent_id=agent.id,
        agent_name=agent.name,
        owner_id=agent.owner_id,
        action=proposal.action,
        status=status,
        execution_mode=facts.execution_mode,
        canonical=text.decode(),
        digest=canonical.digest(text),
        # The id is made here and cannot stand anywhere else in the text.
        fingerprint=canonical.digest(text.replace(intent_id.encode(), b"")),
        target=facts.target,
        records=facts.records,
        value_amount=as_decimal(facts.value),
        value_currency=facts.value["currency"] if facts.value else None,
        claims=claims,
        derived=list(case.derived),
        verdict=verdict,
        verdict_digest=integrity.digest_of(verdict),
        requirement=requirement,
        requirement_digest=integrity.digest_of(requirement),
        policy_version_id=snapshot.policy_versions.get(verdict["policy"]),
        action_type_version_id=case.version_id,
        action_type_digest=case.action_type.digest if case.action_type else None,
        environment=agent.environment if amends is None else amends.environment,
        sensitivity=facts.sensitivity or "",
        risk_score=assessed.score,
        risk_level=assessed.level,
        risk_reasons=assessed.reasons,
        supersedes_id=proposal.supersedes,
        created_at=snapshot.now,
        expires_at=snapshot.now + case.lasts(judgement),
        decided_at=None if status == Status.PENDING_APPROVAL else snapshot.now,
    )
    intent.__dict__["document"] = document
    if amends is not None:
        # What a reviewer changed is like nothing that agents propose.
        intent.alike = intent_id
    elif status == Status.PENDING_APPROVAL:
        intent.principal = names.folded(proposal.on_behalf_of) if proposal.on_behalf_of else None
        intent.alike = likeness(intent)
        intent.next_step_at = steps.next_step_at(intent)
    return intent
