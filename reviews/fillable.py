"""Whether anybody could approve what a policy asks for, said when it is saved: warnings, never a refusal.

Groups change after a policy is saved, so this is about today: a group that is missing, too few people who are active,
an owner who sits in a group and does not count for their own agent, nobody to escalate to, and what the desk cannot see
to yet.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import Group, User

from intents.models import Agent
from intents.steps import later_groups
from reviews.quorum import can_be_met, cannot_see_to, groups_of, told, wants_distinct_managers
from reviews.ties import Ties
from zehrava.policy import ASK, Policy, Rule
from zehrava.policy import Requirement as Required

NAMED = 3
Requirement = Mapping[str, Any]


def warnings_of(policy: Policy) -> list[str]:
    """What to know about the requirements of a policy, each with the rules that it is about; three queries, and two
    more where different managers are wanted."""
    asked = _asked(policy)
    if not asked:
        return []
    crowd = _Crowd.of({group for need, _ in asked for group in [*groups_of(need), *later_groups(need)]}, policy)
    found: dict[str, list[str]] = defaultdict(list)
    for need, rules in asked:
        for fault in _faults(need, crowd):
            found[fault] += rules
    return [f"{_listed('Rule', rules)}: {fault}" for fault, rules in found.items()]


def _asked(policy: Policy) -> list[tuple[Requirement, list[str]]]:
    """The different requirements, each with the rules, and rows of their tables, that have it."""
    rules = [each for rule in policy.rules for each in _asked_by(rule)]
    if policy.default == ASK:
        rules.append(("default", policy.ask))
    names: dict[str, list[str]] = defaultdict(list)
    for name, requirement in rules:
        names[json.dumps(requirement.document(), sort_keys=True)].append(name)
    return [(json.loads(document), rules) for document, rules in names.items()]


def _asked_by(rule: Rule) -> Iterator[tuple[str, Required]]:
    """What a rule may ask for: of a table each row, and all of them at once, where it is not known which fits."""
    if rule.requirement is None:
        return
    if rule.table is None:
        yield rule.id, rule.requirement
        return
    for row in rule.table.rows:
        yield f"{rule.id} (row {row.number})", row.requirement
    if len(rule.table.rows) > 1:
        yield f"{rule.id} (where it is not known which row fits)", rule.table.most


@dataclass(frozen=True, slots=True)
class _Crowd:
    """The active members of some groups, which of these groups there are, and agents of owners who sit in them."""

    groups: frozenset[str]
    people: Mapping[int, frozenset[str]]
    agents: Mapping[int, list[str]]
    ties: Ties = field(default_factory=Ties)

    @classmethod
    def of(cls, names: set[str], policy: Policy) -> _Crowd:
        members: dict[int, set[str]] = defaultdict(set)
        rows = User.objects.filter(is_active=True, groups__name__in=names).values_list("pk", "groups__name")
        for person, group in rows:
            members[person].add(group)
        agents: dict[int, list[str]] = defaultdict(list)
        owned = Agent.objects.filter(owner__in=members).order_by("name").values_list("owner", "name", "environment")
        # Tags are each intent's own: any that the policy is for will do here.
        tags = [pattern.replace("*", "") for pattern in policy.match.tags or ()]
        for owner, name, environment in owned:
            if policy.match.covers(name=name, environment=environment, tags=tags):
                agents[owner].append(name)
        there = frozenset(Group.objects.filter(name__in=names).values_list("name", flat=True))
        return cls(there, {person: frozenset(groups) for person, groups in members.items()}, agents)

    def can_meet(self, need: Requirement, *, without: int | None = None) -> bool:
        """Whether the seats of one way could all be taken, one person in each."""
        apart = wants_distinct_managers(need)
        people = [
            (who, groups, (), self.ties.managers.of(who) if apart else ())
            for who, groups in self.people.items()
            if who != without
        ]
        return can_be_met(need, people)


def _faults(need: Requirement, crowd: _Crowd) -> Iterator[str]:
    missing = [group for group in groups_of(need) if group not in crowd.groups]
    for group in missing:
        yield f"there is no group {group}, so nobody can approve for it. Ask an administrator to add it."
    if not missing:
        yield from _too_few(need, crowd)
    for words in cannot_see_to(need):
        yield f"asks for {words}. The desk cannot see to that yet, so what it asks can be rejected and not approved."
    yield from _nobody_later(need, crowd)


def _nobody_later(need: Requirement, crowd: _Crowd) -> Iterator[str]:
    """Of those who are asked when time passes."""
    empty = False
    for group in later_groups(need):
        if group not in crowd.groups:
            empty = True
            yield f"there is no group {group} to escalate to. Ask an administrator to add it."
        elif not any(group in groups for groups in crowd.people.values()):
            empty = True
            yield f"the group {group} has no active member, so that to ask it when time passes asks nobody."
    last = {"all_of": need.get("escalate_to") or [], "distinct_managers": wants_distinct_managers(need)}
    if last["all_of"] and not empty and not crowd.can_meet(last):
        yield f"when the time is over nobody can meet {told(last)}: {_members(last, crowd)}. One person fills one seat."


def _too_few(need: Requirement, crowd: _Crowd) -> Iterator[str]:
    if not crowd.can_meet(need):
        yield f"nobody can meet {told(need)}: {_members(need, crowd)}. One person fills one seat."
        return
    alone: list[str] = []
    for owner, agents in crowd.agents.items():
        if not crowd.can_meet(need, without=owner):
            alone += agents
    if alone:
        agents_told = _listed("what agent", sorted(alone), "what the agents")
        yield f"nobody can meet {told(need)} for {agents_told} asks: an owner does not approve for their own agent."


def _members(need: Requirement, crowd: _Crowd) -> str:
    members = {group: [who for who, groups in crowd.people.items() if group in groups] for group in groups_of(need)}
    return ", ".join(
        f"{group} has {_number(len(those), 'active member')}{_managed(need, those, crowd)}"
        for group, those in members.items()
    )


def _managed(need: Requirement, people: Iterable[int], crowd: _Crowd) -> str:
    """Where different managers are wanted, how many these people have."""
    if not wants_distinct_managers(need):
        return ""
    managers = {manager for who in people for manager in crowd.ties.managers.of(who)}
    return f" with {_number(len(managers), 'manager')} on record"


def _number(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _listed(noun: str, names: Iterable[str], plural: str = "") -> str:
    """`Rule a`, `Rules a and b`, `Rules a, b, c and 4 more`."""
    names = list(names)
    if len(names) == 1:
        return f"{noun} {names[0]}"
    shown = names[:NAMED] + ([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])
    return f"{plural or noun + 's'} {', '.join(shown[:-1])} and {shown[-1]}"
