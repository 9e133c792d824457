"""What policy would say of a proposal, without storing anything: for agents, and for those who write policies.

An agent is judged as it would be now, by what is in force. Whoever writes policies says which agent they mean, tries a
draft in place of the version in force, and may state what is used of limits and what time it is.

What is used of a limit that several agents share is not for any one of them: an agent is told how much is used of
limits that count for itself alone, and of others only what the verdict says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Max

from intents import judging, limits, parsing, preapproval
from intents.cases import STATUS_OF_EFFECT, Case, case_of
from intents.drafting import Proposer, draft
from intents.in_force import AgentInForce, Snapshot
from intents.judging import Judgement
from intents.models import Agent, PolicyVersion, Status
from intents.models.agents import AGENT_NAME, STANDARD_TIER, validate_labels
from intents.outlines import Unreadable
from intents.proposals import Proposal, invalid
from zehrava import canonical, durations
from zehrava.policy import ASK, PolicyError, PolicySet
from zehrava.problems import Problem

AUTHORS_MEMBERS = ("agent", "document", "usage", "now")
_USED = re.compile(r"(0|[1-9][0-9]{0,29})(\.[0-9]{1,12})?", re.ASCII)
_MOST_USED = 2**53 - 1
_AGENT_MEMBERS = ("name", "owner", "environment", "tier", "labels")


@dataclass(frozen=True, slots=True)
class _Bench:
    """What a proposal is tried on; `proposer` is the agent, where it is a registered one under what is in force."""

    policies: PolicySet
    unreadable: Mapping[str, Unreadable]
    agent: Mapping[str, Any]
    usage: Mapping[str, Any]
    now: datetime
    proposer: Proposer | None = None


def evaluate_as(agent: AgentInForce, body: Any, *, snapshot: Snapshot) -> dict[str, Any]:
    """What this agent would be told if it proposed `body` now, and why.

    Raises what `propose` raises for a proposal that cannot be taken.
    """
    rules = snapshot.rules
    bench = _Bench(rules.policies, rules.unreadable_policies, agent.trusted_attributes(), {}, snapshot.now, agent)
    return _for_one_agent(_evaluate(Proposal.parse(body), bench, snapshot), rules.policies)


def evaluate_for_author(body: Any, *, snapshot: Snapshot) -> dict[str, Any]:
    """What an agent would be told if it proposed `body`, under what is in force or a draft.

    Besides the members of a proposal, `body` may hold `agent` (the name of a registered one, or its attributes),
    `document` (the text of a policy that takes the place of the one of its name, or joins), `usage` (by limit, instead
    of what is used) and `now` (RFC 3339). Raises Problem `invalid` for what is wrong with those, a document's faults
    with line and column, and what `propose` raises.
    """
    if not isinstance(body, dict):
        raise Problem("invalid", "Send a JSON object with at least `action` and `payload`.", path="")
    asked = {name: body[name] for name in AUTHORS_MEMBERS if body.get(name) is not None}
    proposal = Proposal.parse({name: value for name, value in body.items() if name not in AUTHORS_MEMBERS})
    rules = snapshot.rules
    policies, unreadable = rules.policies, dict(rules.unreadable_policies)
    if "document" in asked:
        policies = _with_draft(policies, asked["document"])
        unreadable = {name: why for name, why in unreadable.items() if name not in policies.names}
    bench = _Bench(
        policies,
        unreadable,
        _agent(asked.get("agent")),
        _usage(asked.get("usage", {}), policies),
        _now(asked["now"]) if "now" in asked else snapshot.now,
        # What is only supposed is nothing that anybody approved in advance.
        None if asked.keys() - {"agent"} else _registered(asked.get("agent")),
    )
    return _evaluate(proposal, bench, snapshot)


def _evaluate(proposal: Proposal, bench: _Bench, snapshot: Snapshot) -> dict[str, Any]:
    case = case_of(proposal, snapshot, agent=bench.agent, policies=bench.policies)
    facts = replace(case.facts, now=bench.now)
    judgement = judging.judge(bench.policies, facts, unreadable=bench.unreadable)
    if judgement.uses:
        wanted = [use for use in judgement.uses if use.limit not in bench.usage]
        usage = {**limits.read(wanted, now=snapshot.now), **bench.usage}
        judgement = judging.judge(bench.policies, facts, usage=usage, unreadable=bench.unreadable)
    standing = _standing_approval(case, judgement, bench, snapshot)
    return {
        "verdict": judgement.verdict,
        "requirement": judgement.requirement,
        "standing_approval": standing and {"id": standing},
        "expires_in": durations.text(int(case.lasts(judgement).total_seconds())),
        "status": str(Status.APPROVED if standing else STATUS_OF_EFFECT[judgement.effect]),
        "target": facts.target,
        "records": facts.records,
        "value": None if facts.value is None else dict(facts.value),
        "execution_mode": facts.execution_mode,
        "limits": [use.document() for use in judgement.uses],
        "trace": [_entry(entry) for entry in judgement.said.trace],
        "policies": _consulted(judgement),
    }


def _standing_approval(case: Case, judgement: Judgement, bench: _Bench, snapshot: Snapshot) -> str | None:
    """The id of what people approved in advance and this would pass on."""
    if bench.proposer is None or judgement.effect != ASK:
        return None
    intent = draft(bench.proposer, case, judgement, snapshot)
    intent.key_maker_id = getattr(bench.proposer, "key_maker_id", None)
    return preapproval.look(intent, case.facts, judgement)


def _consulted(judgement: Judgement) -> list[dict[str, Any]]:
    return [{"name": name, "version": version} for name, version in judgement.consulted]


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**entry, "operands": list(entry.get("operands") or ()), "limits": list(entry.get("limits") or ())}


# --- what one agent may know ---------------------------------------------------------------------------------------


def _for_one_agent(document: dict[str, Any], policies: PolicySet) -> dict[str, Any]:
    """Without what others used; an agent can read policies as they are, and knows its own use."""
    own = {
        limit.name(policy.name, rule.id)
        for policy in policies.policies
        for rule in policy.rules
        for limit in rule.limits
        if "agent" in limit.per
    }

    def told(use: Mapping[str, Any]) -> dict[str, Any]:
        return dict(use) if use["limit"] in own or "used" not in use else {**use, "used": None}

    shared = {use["limit"] for use in document["limits"]} - own
    document["limits"] = [told(use) for use in document["limits"]]
    for entry in document["trace"]:
        entry["limits"] = [told(use) for use in entry["limits"]]
        if shared:
            entry["operands"] = [part for part in entry["operands"] if "usage" not in part["expression"]]
    return document


# --- what an author says besides -----------------------------------------------------------------------------------


def _with_draft(policies: PolicySet, text: Any) -> PolicySet:
    """These policies with the draft in place of the one of its name, numbered as it is or would be stored."""
    if not isinstance(text, str):
        raise invalid([{"path": "/document", "detail": "Send the text of a policy, a string."}])
    try:
        draft = parsing.parse_policy(text)
    except PolicyError as error:
        raise _refused(error) from error
    others = [policy for policy in policies.policies if policy.name != draft.name]
    versions = PolicyVersion.objects.filter(policy__name=draft.name)
    stored = versions.filter(digest=draft.digest).order_by("-number").values_list("number", flat=True).first()
    if stored is None:
        stored = (versions.aggregate(newest=Max("number"))["newest"] or 0) + 1
    if stored != draft.version:
        draft = parsing.parse_policy(text, version=stored)
    return PolicySet([*others, draft], default=policies.default)


def _refused(error: PolicyError) -> Problem:
    faults = [
        {
            "path": "/document",
            "detail": f"{fault.path or 'document'}: {fault.reason}",
            "line": fault.line,
            "column": fault.column,
        }
        for fault in error.errors
    ]
    return Problem(
        "invalid",
        f"The document is no policy: line {error.line}, column {error.column}: {error.path or 'document'}: "
        f"{error.reason}",
        path="/document",
        errors=faults,
        line=error.line,
        column=error.column,
    )


def _agent(said: Any) -> dict[str, Any]:
    """The trusted attributes of the agent that is meant."""
    if said is None:
        # Nobody in particular: a policy for agents of a certain name cannot tell, and asks.
        return {"environment": Agent._meta.get_field("environment").default, "tier": STANDARD_TIER, "labels": {}}
    if isinstance(said, str):
        agent = Agent.objects.select_related("owner").filter(name=said).first()
        if agent is None:
            raise invalid(
                [{"path": "/agent", "detail": "There is no agent of this name; send its attributes instead."}]
            )
        return judging.attributes_of(agent)
    if not isinstance(said, dict):
        raise invalid([{"path": "/agent", "detail": "Send the name of an agent, or an object with its attributes."}])
    faults = [
        {"path": canonical.pointer("agent", name), "detail": "This is no attribute of an agent; remove it."}
        for name in said
        if name not in _AGENT_MEMBERS
    ]
    faults += [fault for name in _AGENT_MEMBERS if name in said and (fault := _attribute_fault(name, said[name]))]
    if "name" not in said:
        faults.append({"path": "/agent/name", "detail": "This is required."})
    if faults:
        raise invalid(faults)
    return {**_agent(None), **said}


def _registered(said: Any) -> Agent | None:
    return Agent.objects.filter(name=said).first() if isinstance(said, str) else None


def _attribute_fault(name: str, value: Any) -> dict[str, str] | None:
    try:
        if name == "labels":
            validate_labels(value)
        elif not isinstance(value, str) or not 0 < len(value) <= 150:
            raise ValidationError("Send a string of 1 to 150 characters.")
        elif name != "owner":
            AGENT_NAME(value)
    except ValidationError as error:
        return {"path": canonical.pointer("agent", name), "detail": " ".join(error.messages)}
    return None


def _usage(said: Any, policies: PolicySet) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise invalid([{"path": "/usage", "detail": 'Send an object such as {"refunds/small/0": 3}.'}])
    known = {
        limit.name(policy.name, rule.id)
        for policy in policies.policies
        for rule in policy.rules
        for limit in rule.limits
    }
    faults = []
    for name, used in said.items():
        if name not in known:
            faults.append((name, "No policy has such a limit: it is policy/rule/ and the limit's place, from 0."))
        elif not (type(used) is int and 0 <= used <= _MOST_USED) and not (
            isinstance(used, str) and _USED.fullmatch(used)
        ):
            faults.append((name, "Send a whole number, or a decimal number in a string, zero or more."))
    if faults:
        raise invalid([{"path": canonical.pointer("usage", name), "detail": detail} for name, detail in faults])
    return said


def _now(said: Any) -> datetime:
    try:
        at = datetime.fromisoformat(said)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise invalid([{"path": "/now", "detail": "Send a time with its zone (RFC 3339): 2026-01-31T12:00:00Z."}])
