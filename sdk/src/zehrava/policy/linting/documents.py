"""What the rest of a policy says, besides its conditions: whom it matches, what it trusts, limits, seats and tests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from zehrava.action_types import ActionType

from ..evaluation import Evaluator
from ..globs import compile_glob
from ..reasons import parse_path
from ..requirements import Requirement, Seat
from ..rules import Policy, Rule
from ..running import evaluate
from ..verdicts import ALLOW, ASK
from ..weighing import Weighing
from .claims import Steps
from .findings import NOTE, WARNING
from .reach import Said
from .worlds import World

Groups = Mapping[str, int | Collection[str]]
"""How many people, or who, is in each group."""

_CLAIMED = frozenset({"tags", "on_behalf_of", "summary_length"})
_DERIVED = frozenset({"records", "value", "target"})
_ROOTS = frozenset({"payload", "intent"})


def covered(policy: Policy, action_types: Mapping[str, ActionType]) -> list[ActionType]:
    """The action types whose actions the policy matches, in order of their names."""
    patterns = policy.match.actions
    tests = [compile_glob(pattern) for pattern in ("*",) if patterns is None] or [
        compile_glob(p) for p in patterns or ()
    ]
    return [action_types[name] for name in sorted(action_types) if any(test(name) for test in tests)]


def check_match(policy: Policy, action_types: Mapping[str, ActionType]) -> Iterator[Said]:
    """Globs and names that match nothing, tags that agents choose, a default that allows."""
    if policy.default == ALLOW:
        yield "default", WARNING, "default-allows", "allows whatever no rule was written for; allow in a rule instead"
    for index, pattern in enumerate(policy.match.actions or ()):
        if action_types and not any(compile_glob(pattern)(name) for name in action_types):
            what = "matches none of the registered actions" if "*" in pattern else "is no registered action"
            yield f"match.actions[{index}]", NOTE, "matches-nothing", f"{pattern} {what}"
    if policy.match.tags is not None and "*" not in policy.match.tags:
        if policy.default == ALLOW or any(rule.effect == ALLOW for rule in policy.rules):
            message = "agents choose their tags, so an agent can choose to be covered by this policy, which allows"
            yield "match.tags", WARNING, "trusts-tags", message
        else:
            message = "agents choose their tags: one that leaves these out is not covered by this policy"
            yield "match.tags", NOTE, "trusts-tags", message


def check_trust(policy: Policy, types: list[ActionType]) -> Iterator[Said]:
    """Rules that allow by what the agent says about itself, or that it escapes by saying something else."""
    for index, rule in enumerate(policy.rules):
        path = f"rules[{index}].when"
        reads = rule.condition.reads if rule.condition else frozenset()
        context = sorted(f"context.{member}" if member else "context" for root, member in reads if root == "context")
        tags = ["intent.tags"] if ("intent", "tags") in reads else []
        claims = ", ".join(context + tags)
        later = policy.rules[index + 1 :]
        if claims and rule.effect == ALLOW:
            yield path, WARNING, "trusts-claims", f"allows by what the agent says about itself: {claims}"
        elif claims and (policy.default == ALLOW or any(each.effect == ALLOW for each in later)):
            message = f"an agent that says something else in {claims} is let past this rule, and may be allowed below"
            yield path, NOTE, "trusts-claims", message
        if rule.effect == ALLOW:
            yield from _check_unproven(path, {str(member) for root, member in reads if root == "intent"}, types)


def _check_unproven(path: str, members: set[str], types: list[ActionType]) -> Iterator[Said]:
    claimed = sorted(members & _CLAIMED - {"tags"})
    if claimed:
        names = ", ".join(f"intent.{member}" for member in claimed)
        yield path, NOTE, "trusts-claims", f"allows by {names}, which is what the agent says"
    for member in sorted(members & _DERIVED):
        without = [each.name for each in types if not derives(each, member)]
        if without:
            message = (
                f"allows by intent.{member}, which is what the agent says: {', '.join(without[:5])} does not derive it"
            )
            yield path, NOTE, "trusts-claims", message


def derives(action_type: ActionType, member: str) -> bool:
    """Whether an action type works this member of an intent out itself."""
    return member in action_type.derive(None).names


def check_limits(policy: Policy, worlds: list[World], types: list[ActionType]) -> Iterator[Said]:
    """Limits that count for ever, that can never be worked out, or that another spelling of the target gets past."""
    said_by_agents = [each.name for each in types if not derives(each, "target")]
    for index, rule in enumerate(policy.rules):
        for limit in rule.limits:
            path = f"rules[{index}].limits[{limit.index}]"
            if limit.window is None:
                message = "has no window: what is used is never free again; write window: 1d, or the like"
                yield path, WARNING, "no-window", message
            if said_by_agents and {"target", "intent.target"} & set(limit.per):
                message = (
                    "counts by the target as the agent spells it, and another spelling counts apart: "
                    f"{', '.join(said_by_agents[:5])} does not derive it"
                )
                yield f"{path}.per", NOTE, "counts-apart", message
            for measured in (limit.measure, *limit.per):
                why = nowhere(measured, worlds)
                if why:
                    yield path, WARNING, "never-counts", f"can never be worked out: {why}"


def check_reasons(policy: Policy, worlds: list[World]) -> Iterator[Said]:
    """Reasons that refer to what is never there."""
    for index, rule in enumerate(policy.rules):
        for part in rule.reason.parts if rule.reason else ():
            why = nowhere(".".join(part), worlds) if isinstance(part, tuple) else ""
            if why:
                yield f"rules[{index}].reason", NOTE, "shows-nothing", f"shows ? for what is never there: {why}"


def nowhere(path: str, worlds: list[World]) -> str:
    """Why there is nothing at a path in any of these worlds, or ""."""
    steps: Steps = parse_path(path, _ROOTS) or ()
    if len(steps) < 2 or not worlds or any(str(step).isdigit() for step in steps):
        return ""
    unknown = [world.unknown(steps) for world in worlds]
    return unknown[0][1] if unknown[0] and all(unknown) else ""


def check_seats(policy: Policy, groups: Groups) -> Iterator[Said]:
    """Requirements that nobody can meet."""
    for index, rule in enumerate(policy.rules):
        for path, requirement, when in _asked(index, rule):
            for message in dict.fromkeys(_unmet(requirement, groups)):
                yield path, WARNING, "requirement-too-big", f"{when}{message}"
    if policy.default == ASK and all(rule.condition for rule in policy.rules):
        for message in dict.fromkeys(_unmet(policy.ask, groups)):
            yield "default", WARNING, "requirement-too-big", message


def _asked(index: int, rule: Rule) -> Iterator[tuple[str, Requirement, str]]:
    """What a rule may require, each with its place and when it does; all rows of a table at once come last."""
    path = f"rules[{index}].approval"
    if rule.table is None:
        if rule.requirement is not None:
            yield path, rule.requirement, ""
        return
    for place, row in enumerate(rule.table.rows):
        yield f"{path}.table.rows[{place}]", row.requirement, ""
    yield f"{path}.table", rule.table.most, "where it cannot be told which row fits: "


def _unmet(requirement: Requirement, groups: Groups) -> Iterator[str]:
    for seat in requirement.groups:
        if not _enough(seat, groups):
            yield _too_few(seat, groups)
    if all(_enough(seat, groups) for seat in requirement.groups) and not _seated(requirement.groups, groups):
        yield "nobody can meet this: one person fills one seat, and these groups share too many of their people"
    for alternatives in requirement.any_of:
        if not any(_enough(seat, groups) for seat in alternatives):
            yield f"none of the alternatives of any_of can be met: {_too_few(alternatives[0], groups)}"
    for weighing in requirement.weigh:
        if (together := _most(weighing, groups)) < weighing.at_least:
            yield f"weigh needs {weighing}; all of them together weigh {together}"
    for seat in requirement.escalate_to:
        if not _enough(seat, groups):
            yield f"escalate_to: {_too_few(seat, groups)}"
    for step in requirement.escalation:
        for group in step.to:
            if not _enough((group, 1), groups):
                yield f"escalation: {_too_few((group, 1), groups)}"


def _enough(seat: Seat, groups: Groups) -> bool:
    return _size(groups.get(seat[0], 0)) >= seat[1]


def _most(weighing: Weighing, groups: Groups) -> int:
    """What everybody weighs together, each as of the heaviest of their groups where it is known who they are."""
    heaviest: dict[str, int] = {}
    together = 0
    for group, weight in weighing.of:
        members = groups.get(group, 0)
        if isinstance(members, int):
            together += members * weight
            continue
        for person in members:
            heaviest[person] = max(weight, heaviest.get(person, 0))
    return together + sum(heaviest.values())


def _too_few(seat: Seat, groups: Groups) -> str:
    group, count = seat
    if group not in groups:
        return f"there is no group {group!r}"
    has = _size(groups[group]) or "nobody"
    return f"needs {count} of {group!r}, which has {has}"


def _size(members: int | Collection[str]) -> int:
    return members if isinstance(members, int) else len(set(members))


def _seated(seats: Iterable[Seat], groups: Groups) -> bool:
    """Whether people can be found for all seats, each for one; True where it is not known who they are."""
    wanted: list[set[str]] = []
    for group, count in seats:
        members = groups[group]
        if isinstance(members, int):
            return True
        wanted.extend([set(members)] * count)
    taken: dict[str, int] = {}
    return all(_seat(index, wanted, taken, set()) for index in range(len(wanted)))


def _seat(index: int, wanted: list[set[str]], taken: dict[str, int], tried: set[str]) -> bool:
    """Find somebody for one seat, moving others where that helps (a maximum matching)."""
    for person in sorted(wanted[index] - tried):
        tried.add(person)
        if person not in taken or _seat(taken[person], wanted, taken, tried):
            taken[person] = index
            return True
    return False


def check_tests(policy: Policy) -> Iterator[Said]:
    """Rules that no test of the policy reaches."""
    if not policy.tests:
        yield "", NOTE, "untested", "has no tests: write down under `tests` what it must say"
        return
    alone = Evaluator([policy])
    decided = {evaluate(alone, case).rule for case in policy.tests}
    for index, rule in enumerate(policy.rules):
        if rule.id not in decided:
            yield f"rules[{index}]", NOTE, "untested", f"no test is decided by rule {rule.id!r}"


def nowhere_matched(policies: Iterable[Policy], action_types: Mapping[str, ActionType]) -> list[str]:
    """The actions that no policy matches, in order."""
    matched = {each.name for policy in policies for each in covered(policy, action_types)}
    return sorted(set(action_types) - matched)
