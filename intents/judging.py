"""What policy says of an intent, from facts alone: the same for a proposal, a draft in shadow and a look back.

Nothing here reads the database or the clock, so that a verdict can be worked out again from what is stored of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from intents.models import Agent, Intent
from intents.outlines import Unreadable
from zehrava.policy import ALLOW, ASK, PolicySet, Verdict
from zehrava.policy.limits import Use
from zehrava.policy.requirements import Requirement
from zehrava.policy.verdicts import DEFAULT_RULE
from zehrava.sensitive import Path

ONE_REVIEWER: dict[str, Any] = {"all_of": [{"group": "reviewers", "count": 1}]}
SAID = ("effect", "policy", "version", "rule", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that a verdict depends on besides the policies and what is used of their limits.

    `agent` are its trusted attributes, `named` the policy that it asked for besides. `doubts` are reasons why no allow
    may stand, such as what an action type could not derive; `registered` is whether the action has an action type,
    `reversible`, `sensitivity` and `sensitive` (paths) what that says of it, None where it does not; `veiled`
    are the figures that were derived of what is sensitive. `expires_in` are
    the seconds that the agent wants it to have at most.
    """

    action: str
    payload: Any
    agent: Mapping[str, Any]
    context: Mapping[str, Any]
    target: str | None
    tags: Iterable[str]
    records: int | None
    value: Mapping[str, str] | None
    summary: str | None
    on_behalf_of: str | None
    execution_mode: str
    now: datetime
    named: str | None = None
    expires_in: int | None = None
    doubts: tuple[str, ...] = ()
    registered: bool = True
    reversible: bool | None = None
    sensitivity: str | None = None
    sensitive: tuple[Path, ...] = ()
    veiled: tuple[str, ...] = ()

    def evaluated_by(
        self, policies: PolicySet, *, usage: Mapping[str, Any] | None = None, named: str | None = None
    ) -> Verdict:
        """What these policies say of these facts; `named` is one that decides besides those that cover them."""
        return policies.evaluate(
            action=self.action,
            payload=self.payload,
            agent=self.agent,
            context=self.context,
            target=self.target,
            tags=self.tags,
            records=self.records,
            value=self.value,
            summary=self.summary,
            on_behalf_of=self.on_behalf_of,
            execution_mode=self.execution_mode,
            reversible=self.reversible,
            sensitivity=self.sensitivity,
            sensitive=self.sensitive,
            veiled=self.veiled,
            usage=usage,
            now=self.now,
            policy=named,
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What policy says: `verdict` with effect, policy, version, rule and reason; `requirement` where it asks.

    `expires_in` are the seconds that policy gives an ask, None where it does not say. `uses` are the limits that bear
    on the intent; without usage, those whose usage is wanted. `consulted` are name and version of the policies that
    cover it. `said` is the engine's own word, before any doubt, with the trace.
    """

    verdict: dict[str, Any]
    requirement: dict[str, Any] | None
    expires_in: int | None
    uses: tuple[Use, ...]
    consulted: tuple[tuple[str, int], ...]
    said: Verdict

    @property
    def effect(self) -> str:
        return self.verdict["effect"]


def judge(
    policies: PolicySet,
    facts: Facts,
    *,
    usage: Mapping[str, Any] | None = None,
    unreadable: Mapping[str, Unreadable] | None = None,
) -> Judgement:
    """What these policies say of these facts; never raises, for whatever goes wrong is an ask (promise 1).

    `usage` is what is used of each limit in `uses` of an earlier judgement without it; a rule with limits asks until
    then. `unreadable` are policies that are in force and cannot be read, by name: they ask whom they could have asked.
    """
    said = facts.evaluated_by(policies, usage=usage, named=facts.named)
    verdict: dict[str, Any] = {
        "effect": said.effect,
        "policy": said.policy,
        "version": said.version,
        "rule": said.rule,
        "reason": said.reason,
    }
    unreadable = unreadable or {}
    for doubt in _doubts(facts, unreadable, by_default=said.effect == ALLOW and said.rule == DEFAULT_RULE):
        if verdict["effect"] == ALLOW:
            verdict["effect"] = ASK
        if verdict["effect"] == ASK:
            verdict["reason"] = f"{verdict['reason']}; {doubt}" if verdict["reason"] else doubt
    return Judgement(
        verdict=verdict,
        requirement=_asked(said, unreadable, facts) if verdict["effect"] == ASK else None,
        expires_in=(said.requirement or {}).get("expires_in"),
        uses=said.limits if verdict["effect"] == said.effect else _uncounted(said.limits),
        consulted=said.consulted,
        said=said,
    )


def inputs(
    policies: PolicySet,
    facts: Facts,
    judgement: Judgement,
    *,
    usage: Mapping[str, Any] | None = None,
    unreadable: Mapping[str, Unreadable] | None = None,
) -> dict[str, Any]:
    """What a verdict was worked out from and no other column keeps, as JSON: `facts_of` and `explaining` read it."""
    kept: dict[str, Any] = {"agent": dict(facts.agent), "policies": dict(judgement.consulted)}
    if usage is not None:
        kept["usage"] = dict(usage)
    if facts.named is not None:
        kept["named"] = facts.named
    if facts.expires_in is not None:
        kept["expires_in"] = facts.expires_in
    if facts.doubts:
        kept["doubts"] = list(facts.doubts)
    if facts.reversible is not None:
        kept["reversible"] = facts.reversible
    if facts.sensitivity is not None:
        kept["sensitivity"] = facts.sensitivity
    if facts.sensitive:
        kept["sensitive"] = [list(path) for path in facts.sensitive]
    if facts.veiled:
        kept["veiled"] = list(facts.veiled)
    if unreadable:
        kept["unreadable"] = {name: each.document() for name, each in unreadable.items()}
    if policies.default != ASK:
        kept["default"] = policies.default
    return kept


def joined(requirement: Mapping[str, Any] | None, before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What has to be met where an intent that asked for `before` was amended: never less than that."""
    if requirement is None or before is None:
        given = requirement if before is None else before
        return None if given is None else dict(given)
    parts = [Requirement.read(requirement), Requirement.read(before)]
    return _without_expiry(Requirement.join(parts).document())


def facts_of(intent: Intent) -> Facts:
    """The facts that a stored intent was judged by.

    Of an intent from before verdicts kept their inputs, the agent's attributes are those of today.
    """
    document = intent.document
    kept = intent.verdict.get("inputs") or {}
    return Facts(
        action=document["action"],
        payload=document["payload"],
        agent=kept.get("agent") or attributes_of(intent.agent),
        context=document["context"],
        target=document["target"],
        tags=document["tags"],
        records=document["records"],
        value=document["value"],
        summary=document["summary"],
        on_behalf_of=document["on_behalf_of"],
        execution_mode=document["execution_mode"],
        # An amendment is judged when it is made.
        now=datetime.fromisoformat(kept["now"]) if "now" in kept else intent.created_at,
        named=kept.get("named"),
        expires_in=kept.get("expires_in"),
        doubts=tuple(kept.get("doubts") or ()),
        registered=intent.action_type_version_id is not None,
        reversible=kept.get("reversible"),
        sensitivity=kept.get("sensitivity"),
        sensitive=tuple(tuple(path) for path in kept.get("sensitive") or ()),
        veiled=tuple(kept.get("veiled") or ()),
    )


def attributes_of(agent: Agent) -> dict[str, Any]:
    """What policy may rely on about an agent, as it is registered (`AgentInForce.trusted_attributes` of a row)."""
    return {
        "id": agent.id,
        "name": agent.name,
        "owner": agent.owner.get_username(),
        "environment": agent.environment,
        "tier": agent.tier,
        "labels": agent.labels,
    }


def _asked(said: Verdict, unreadable: Mapping[str, Unreadable], facts: Facts) -> dict[str, Any]:
    """Everybody whom what can be read asks, and whom what cannot be read could have asked; somebody in any case."""
    asked: Mapping[str, Any] = said.requirement or ONE_REVIEWER
    if unreadable:
        parts = [said.requirement, *(unreadable[name].asks(facts.action) for name in sorted(unreadable))]
        read = [Requirement.read(part) for part in parts if part is not None]
        asked = Requirement.join(read).document() if read else ONE_REVIEWER
    if _is_hurried(asked, facts):
        asked = {name: value for name, value in asked.items() if name not in ("on_timeout", "escalate_to")}
    return _without_expiry(asked)


def _is_hurried(asked: Mapping[str, Any], facts: Facts) -> bool:
    """Whether the agent wants an answer sooner than policy does.

    Then it expires, and nobody is asked in place of those who had no time: an agent does not choose who decides.
    """
    given = asked.get("expires_in")
    return facts.expires_in is not None and (given is None or facts.expires_in < given)


def _doubts(facts: Facts, unreadable: Mapping[str, Unreadable], *, by_default: bool) -> list[str]:
    """Why an allow may not stand (promise 1): a person has to look."""
    doubts = [f"policy {name} is in force but cannot be read: {unreadable[name].reason}" for name in sorted(unreadable)]
    doubts += facts.doubts
    if by_default and not facts.registered:
        doubts.append("no default allows an action without an action type")
    return doubts


def _without_expiry(requirement: Mapping[str, Any]) -> dict[str, Any]:
    # The intent's own deadline is what counts; everything else that was asked for is kept.
    return {name: value for name, value in requirement.items() if name != "expires_in"}


def _uncounted(uses: tuple[Use, ...]) -> tuple[Use, ...]:
    return tuple(replace(use, counts=False) for use in uses)
