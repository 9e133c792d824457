"""What each policy says about an intent, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from .conditions import Condition, Surroundings
from .limits import Limit, LimitError, Use, plain
from .plain_data import EvaluationError, TooLarge
from .requirements import Requirement
from .rules import Policy, Rule
from .shortcuts import Shortcut
from .telling import error_told, rendered, tells_figures
from .tracing import Trace
from .verdicts import ALLOW, ASK, BLOCK, DEFAULT_RULE, Verdict


class Said(NamedTuple):
    """What one policy said."""

    effect: str
    policy: Policy | None
    rule: str | None
    reason: str
    requirement: Requirement | None
    uses: tuple[Use, ...] = ()
    # Whether the rule said its own effect, so that its limits are used up by it.
    within: bool = False
    # The rows of its table that ask, by their numbers.
    rows: tuple[int, ...] = ()


class Prepared(NamedTuple):
    """A policy laid out for deciding: its rules with their conditions at hand."""

    policy: Policy
    rules: tuple[tuple[Rule, Condition | None, Shortcut | None], ...]
    reads_usage: bool

    @classmethod
    def of(cls, policy: Policy) -> Prepared:
        # What costs in proportion to the intent is accounted for by the condition itself.
        rules = []
        for rule in policy.rules:
            condition = rule.condition
            free = condition.shortcut if condition is not None and not condition.costs else None
            rules.append((rule, condition, free))
        return cls(policy, tuple(rules), policy.reads_usage)


def decide(prepared: Prepared, surroundings: Surroundings, usage: Mapping[str, Any] | None) -> Said:
    """The first rule whose condition holds, or fails, decides for this policy.

    Where a rule that does not block fails, the rules after it are asked as well: not whether to ask, but whom.
    """
    policy, values = prepared.policy, surroundings.values
    failed: list[tuple[Rule, EvaluationError]] = []
    for rule, condition, shortcut in prepared.rules:
        if condition is not None:
            held = shortcut(values) if shortcut is not None else None
            if held is None:
                try:
                    held = condition.holds(surroundings)
                except EvaluationError as error:
                    if rule.effect != BLOCK:
                        failed.append((rule, error))
                        continue
                    reason = _error(policy, rule, error_told(error, values))
                    said = Said(BLOCK, policy, rule.id, reason, None, _wanted(prepared, None, values, usage))
                    return _failed(policy, failed, said, values) if failed else said
            if not held:
                continue
        said = _holds(prepared, rule, values, usage)
        return _failed(policy, failed, said, values) if failed else said
    requirement = policy.ask if policy.default == ASK else None
    reason = f"no rule of policy {policy.name!r} holds"
    wanted = _wanted(prepared, None, values, usage)
    said = Said(policy.default, policy, DEFAULT_RULE, reason, requirement, wanted)
    return _failed(policy, failed, said, values) if failed else said


def _holds(prepared: Prepared, rule: Rule, values: Mapping[str, Any], usage: Mapping[str, Any] | None) -> Said:
    """What a rule says whose condition holds."""
    if rule.limits:
        return _limited(prepared, rule, values, usage)
    uses = _wanted(prepared, rule, values, usage)
    said = Said(rule.effect, prepared.policy, rule.id, _reason(prepared.policy, rule, values), None, uses)
    return _asking(said, rule, values) if rule.effect == ASK else said


def _asking(said: Said, rule: Rule, values: Mapping[str, Any]) -> Said:
    """The same, with whom the rule asks; where a table chooses, its reason says by which row."""
    if rule.table is None:
        return said._replace(requirement=rule.requirement)
    chosen = rule.table.choose(values)
    reason = f"{said.reason.rstrip('. ')}; {chosen.reason}"
    return said._replace(reason=reason, requirement=chosen.requirement, rows=chosen.rows)


def _limited(prepared: Prepared, rule: Rule, values: Mapping[str, Any], usage: Mapping[str, Any] | None) -> Said:
    """What a rule with limits says: its effect below all of them, the strictest ``over`` above any.

    What is not known is never within a limit.
    """
    policy = prepared.policy
    uses: list[Use] = []
    said: list[tuple[str, str]] = []
    for limit in rule.limits:
        try:
            use = limit.use(policy.name, rule.id, values)
            uses.append(use)
            use = uses[-1] = use.against(usage)
        except LimitError as error:
            said.append((limit.over, f"the limit cannot be worked out: {error_told(error, values)}"))
            continue
        if use.used is None:
            said.append((ASK, f"{limit.text}: it is not known how much is used"))
        elif use.over:
            said.append((limit.over, f"{limit.text}: {_used_up(limit, use, values)}"))
    wanted = (*uses, *_wanted(prepared, rule, values, usage))
    if not said:
        reason = _reason(policy, rule, values)
        within = Said(rule.effect, policy, rule.id, reason, None, wanted, within=True)
        return _asking(within, rule, values) if rule.effect == ASK else within
    effect = BLOCK if any(over == BLOCK for over, _ in said) else ASK
    told = "; ".join(dict.fromkeys(text for over, text in said if over == effect))
    reason = f"{rendered(rule.reason, values).rstrip('. ')}; {told}" if rule.reason else told
    above = Said(effect, policy, rule.id, reason, None, wanted)
    if effect == BLOCK:
        return above
    return _asking(above, rule, values) if rule.requirement else above._replace(requirement=policy.ask)


def _used_up(limit: Limit, use: Use, values: Mapping[str, Any]) -> str:
    """How much is over; of what several agents share, without how much others used: an agent reads the reason."""
    if "agent" not in limit.per or use.used is None or not tells_figures(values):
        return "used up, with what this adds"
    return f"{plain(use.used)} used, and this adds {plain(use.amount)}"


def _wanted(
    prepared: Prepared, decided: Rule | None, values: Mapping[str, Any], usage: Mapping[str, Any] | None
) -> tuple[Use, ...]:
    """The limits of the other rules, where conditions read what is used of them."""
    if not prepared.reads_usage:
        return ()
    policy = prepared.policy
    uses = []
    for rule in policy.rules:
        for limit in rule.limits if rule is not decided else ():
            try:
                uses.append(limit.use(policy.name, rule.id, values).against(usage))
            except LimitError:
                continue  # it is then missing in `usage`, and a condition that reads it fails
    return tuple(uses)


def _reason(policy: Policy, rule: Rule, values: Mapping[str, Any]) -> str:
    return rendered(rule.reason, values) if rule.reason else f"rule {rule.id!r} of policy {policy.name!r}"


def _error(policy: Policy, rule: Rule, error: str) -> str:
    return f"rule {rule.id!r} of policy {policy.name!r} could not be evaluated: {error}"


def _failed(policy: Policy, failed: list[tuple[Rule, EvaluationError]], rest: Said, values: Mapping[str, Any]) -> Said:
    """A condition without an answer asks: never a non-match, never allow.

    An agent can break a condition, so that must not choose who is asked: whoever ``rest``, what the policy would say
    without the rules that failed, asks for is asked as well. Where it would block, everybody is whom any rule asks for;
    but what has grown too large to be read, which takes no more than padding, stays blocked.
    """
    rule, error = failed[0]
    reason = _error(policy, rule, error_told(error, values))
    if rest.effect == BLOCK and any(isinstance(each, TooLarge) for _, each in failed):
        return rest._replace(reason=f"{rest.reason}; {reason}")
    required = [
        each.table.choose(values).requirement if each.table else each.requirement or policy.ask for each, _ in failed
    ]
    if rest.effect == ASK:
        required.append(rest.requirement or policy.ask)
    elif rest.effect == BLOCK:
        required += [each.requirement for each in policy.rules if each.requirement]
        what = "the default" if rest.rule == DEFAULT_RULE else f"rule {rest.rule!r}"
        reason += f"; without it {what} would block"
    return Said(ASK, policy, rule.id, reason, Requirement.join(required), rest.uses)


def join(said: list[Said], surroundings: Surroundings, usage: Mapping[str, Any] | None) -> Verdict:
    """What the policies say together: block wins over require_approval, which wins over allow."""
    if len(said) == 1:  # by far the most frequent
        (first,) = deciding = said
        effect = first.effect
    else:
        effects = [each.effect for each in said]
        effect = BLOCK if BLOCK in effects else ASK if ASK in effects else ALLOW
        deciding = [each for each in said if each.effect == effect]
        # What a policy says comes before what is only said about policies; both are in order of names already.
        first = next((each for each in deciding if each.policy), deciding[0])
    reason = first.reason
    requirement = None
    if effect == ASK:
        others = [each.reason for each in deciding if each is not first]
        reason = "; ".join(dict.fromkeys([first.reason, *others])) if others else reason
        asked = Requirement.join([each.requirement or Requirement() for each in deciding])
        requirement = (asked.settled(surroundings.values["now"]) if asked.expires_after else asked).document()
    consulted = tuple([each.policy for each in said if each.policy and each.rule is not None])
    return Verdict(
        effect,
        first.policy.name if first.policy else None,
        first.policy.version if first.policy else None,
        first.rule,
        reason,
        requirement,
        _counted(said, effect),
        tuple([(policy.name, policy.version) for policy in consulted]),
        first.rows,
        Trace(consulted, surroundings, usage),
    )


def _counted(said: list[Said], effect: str) -> tuple[Use, ...]:
    """The limits that bear on the intent; those count that a rule with the last word stayed within."""
    return tuple(
        [
            replace(use, counts=each.within and each.effect == effect and use.limit.split("/")[1] == each.rule)
            for each in said
            for use in each.uses
        ]
    )
