"""What a proposal amounts to before policy is asked: checked by its action type, with what that derives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings

from intents.in_force import Snapshot
from intents.judging import Facts, Judgement
from intents.models import ExecutionMode, Status
from intents.proposals import Proposal, invalid
from zehrava.action_types import ActionType, Derived
from zehrava.policy import ALLOW, ASK, BLOCK, PolicySet
from zehrava.problems import Problem

STATUS_OF_EFFECT = {ALLOW: Status.APPROVED, BLOCK: Status.BLOCKED, ASK: Status.PENDING_APPROVAL}


@dataclass(frozen=True, slots=True)
class Case:
    """A proposal with its action type, if it has one; `derived` names what the type worked out itself."""

    proposal: Proposal
    version_id: int | None
    action_type: ActionType | None
    derived: tuple[str, ...]
    facts: Facts

    @property
    def claims(self) -> dict[str, Any]:
        """What the agent said of target, records and value."""
        proposal = self.proposal
        claims = {"target": proposal.target, "records": proposal.records, "value": proposal.value}
        return {name: claim for name, claim in claims.items() if claim is not None}

    def lasts(self, judgement: Judgement) -> timedelta:
        """How long the intent has: the shortest that the agent or a policy wants, within the site's bounds."""
        asked = [self.proposal.expires_in, judgement.expires_in]
        shortest = min([seconds for seconds in asked if seconds], default=settings.ZEHRAVA_EXPIRES_IN)
        return timedelta(seconds=min(shortest, settings.ZEHRAVA_EXPIRES_IN_MAX))


def case_of(
    proposal: Proposal, snapshot: Snapshot, *, agent: Mapping[str, Any], policies: PolicySet | None = None
) -> Case:
    """What an agent with these trusted attributes asks for.

    `policies` are those that will judge it: default those in force. Raises Problem: `invalid` for a payload that its
    action type refuses and for a policy that nobody knows, `no-executor` where the portal cannot carry it out,
    `unavailable` where the action type cannot be read.
    """
    if proposal.action in snapshot.rules.unreadable_action_types:
        raise Problem("unavailable", f"The action type of {proposal.action} cannot be read; an operator must mend it.")
    version_id, action_type = snapshot.action_types.get(proposal.action, (None, None))
    derived = _check_payload(action_type, proposal)
    mode = _execution_mode(action_type, proposal)
    if proposal.policy is not None and proposal.policy not in (policies or snapshot.policies).names:
        raise invalid(
            [{"path": "/policy", "detail": "No policy of this name is in force; leave it out or correct it."}]
        )
    facts = Facts(
        action=proposal.action,
        payload=proposal.payload,
        agent=agent,
        context=proposal.context,
        target=derived.target if "target" in derived.names else proposal.target,
        tags=proposal.tags,
        records=derived.records if "records" in derived.names else proposal.records,
        value=derived.value if "value" in derived.names else proposal.value,
        summary=proposal.summary,
        on_behalf_of=proposal.on_behalf_of,
        execution_mode=mode.value,
        now=snapshot.now,
        named=proposal.policy,
        expires_in=proposal.expires_in,
        doubts=tuple(f"the action type could not derive {error}" for error in derived.errors),
        registered=action_type is not None,
        reversible=action_type.reversible if action_type else None,
        sensitivity=action_type.sensitivity if action_type else None,
        sensitive=action_type.sensitive if action_type else (),
        veiled=tuple(sorted(action_type.veiled(proposal.payload))) if action_type else (),
    )
    return Case(proposal, version_id, action_type, tuple(derived.names), facts)


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
