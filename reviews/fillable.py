"""Whether anybody could approve what a policy asks for, said when it is saved: warnings, never a refusal.

Groups change after a policy is saved, so this is about today: a group that is missing, too few people who are active,
an owner who sits in a group and does not count for their own agent, and what the desk cannot see to yet.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, User

from intents.models import Agent
from reviews.quorum import cannot_see_to, groups_of, standing
from zehrava.policy import ASK, Policy

NAMED = 3
Requirement = Mapping[str, Any]


def warnings_of(policy: Policy) -> list[str]:
    """What to know about the requirements of a policy, each with the rules that it is about; three queries."""
    asked = _asked(policy)
    if not asked:
        return []
    crowd = _Crowd.of({group for need, _ in asked for group in [*groups_of(need), *_later(need)]}, policy)
    found: dict[str, list[str]] = defaultdict(list)
    for need, rules in asked:
        for fault in _faults(need, crowd):
            found[fault] += rules
    return [f"{_listed('Rule', rules)}: {fault}" for fault, rules in found.items()]


def _asked(policy: Policy) -> list[tuple[Requirement, list[str]]]:
    """The different requirements, each with the rules that have it."""
    rules = [(rule.id, rule.requirement) for rule in policy.rules if rule.requirement is not None]
    if policy.default == ASK:
        rules.append(("default", policy.ask))
    names: dict[str, list[str]] = defaultdict(list)
    for name, requirement in rules:
        names[json.dumps(requirement.document(), sort_keys=True)].append(name)
    return [(json.loads(document), rules) for document, rules in names.items()]


@dataclass(frozen=True, slots=True)
class _Crowd:
    """The active members of some groups, which of these groups there are, and agents of owners who sit in them."""

    groups: frozenset[str]
    people: Mapping[int, frozenset[str]]
    agents: Mapping[int, list[str]]

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

    def can_fill(self, seats: Sequence[Mapping[str, Any]], *, without: int | None = None) -> bool:
        """Whether these seats could all be taken, one person in each."""
        needed = sum(seat.get("count", 1) for seat in seats)
        alike: dict[frozenset[str], int] = defaultdict(int)
        chosen = []
        for person, groups in self.people.items():
            # More people who are in the same groups than there are seats change nothing.
            if person != without and alike[groups] < needed:
                alike[groups] += 1
                chosen.append((person, groups))
        return standing({"all_of": list(seats)}, chosen).met


def _faults(need: Requirement, crowd: _Crowd) -> Iterator[str]:
    missing = [group for group in groups_of(need) if group not in crowd.groups]
    for group in missing:
        yield f"there is no group {group}, so nobody can approve for it. Ask an administrator to add it."
    if not missing:
        yield from _too_few(need, crowd)
    for words in cannot_see_to(need):
        yield f"asks for {words}. The desk cannot see to that yet, so what it asks can be rejected and not approved."
    if need.get("escalate_to") or need.get("escalation"):
        yield "reminders and escalation do nothing yet: what nobody answers in time expires."
    for group in _later(need):
        if group not in crowd.groups:
            yield f"there is no group {group} to escalate to. Ask an administrator to add it."


def _too_few(need: Requirement, crowd: _Crowd) -> Iterator[str]:
    arrangements = list(_arrangements(need))
    if not any(crowd.can_fill(seats) for seats in arrangements):
        yield f"nobody can meet {_told(need)}: {_members(need, crowd)}. One person fills one seat."
        return
    alone: list[str] = []
    for owner, agents in crowd.agents.items():
        if not any(crowd.can_fill(seats, without=owner) for seats in arrangements):
            alone += agents
    if alone:
        agents_told = _listed("what agent", sorted(alone), "what the agents")
        yield f"nobody can meet {_told(need)} for {agents_told} asks: an owner does not approve for their own agent."


def _arrangements(need: Requirement) -> Iterator[list[Mapping[str, Any]]]:
    """The seats of all_of with one of each any_of; of many alternatives only the first hundred are looked at."""
    combined: list[list[Mapping[str, Any]]] = [list(need.get("all_of") or ())]
    for choices in need.get("any_of") or ():
        combined = [[*seats, choice] for seats in combined for choice in choices][:100]
    yield from combined


def _later(need: Requirement) -> list[str]:
    """Groups that are asked when time passes."""
    steps = [group for step in need.get("escalation") or () for group in step.get("to") or ()]
    return list(dict.fromkeys([*(seat["group"] for seat in need.get("escalate_to") or ()), *steps]))


def _told(need: Requirement) -> str:
    seats = [f"{seat['count']} of {seat['group']}" for seat in need.get("all_of") or ()]
    choices = [
        "(" + " or ".join(f"{seat['count']} of {seat['group']}" for seat in choice) + ")"
        for choice in need.get("any_of") or ()
    ]
    return " and ".join([*seats, *choices])


def _members(need: Requirement, crowd: _Crowd) -> str:
    counts = {group: sum(group in groups for groups in crowd.people.values()) for group in groups_of(need)}
    return ", ".join(
        f"{group} has {number or 'no'} active member{'' if number == 1 else 's'}" for group, number in counts.items()
    )


def _listed(noun: str, names: Iterable[str], plural: str = "") -> str:
    """`Rule a`, `Rules a and b`, `Rules a, b, c and 4 more`."""
    names = list(names)
    if len(names) == 1:
        return f"{noun} {names[0]}"
    shown = names[:NAMED] + ([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])
    return f"{plural or noun + 's'} {', '.join(shown[:-1])} and {shown[-1]}"
