"""Making and changing reading rules, and what one comes to: see `intents.reading` for what they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import Group, User
from django.db import transaction

from audit import ledger
from audit.actors import Actor
from intents import reading
from intents.models import Agent, ReadingRule, Sensitivity
from zehrava.problems import Problem

EXPORT = ("audit", "export_event")
_VIEW = ("intents", "view_intent")
# So many are named of those whom a rule does not narrow.
NAMED = 20


@transaction.atomic
def set_rule(group: Group, *, environments: Sequence[str], sensitivity_up_to: str = "", by: Actor) -> ReadingRule:
    """Narrow what the members of this group may read by its permission; with neither half, they read everything.

    `environments` are those that the agents of what they read were registered in, none for every one. What was so
    before is not recorded again. Raises Problem `invalid` for an environment that no agent is in, and for a level that
    there is not.
    """
    group = Group.objects.select_for_update().get(pk=group.pk)
    rule = ReadingRule.objects.filter(group=group).first()
    wanted = sorted(set(environments))
    offered = offered_environments(rule)
    if unknown := [name for name in wanted if name not in offered]:
        known = ", ".join(offered) or "none yet"
        raise Problem(
            "invalid",
            f"No agent is registered in {', '.join(unknown)}. Environments that agents have: {known}.",
            path="/environments",
        )
    if sensitivity_up_to and sensitivity_up_to not in Sensitivity.values:
        levels = ", ".join(Sensitivity.values)
        raise Problem("invalid", f"Sensitivity is one of {levels}.", path="/sensitivity_up_to")
    if rule is not None and (rule.environments, rule.sensitivity_up_to) == (wanted, sensitivity_up_to):
        return rule
    event = "reading_rule.created" if rule is None else "reading_rule.changed"
    rule = rule or ReadingRule(group=group)
    rule.environments, rule.sensitivity_up_to = wanted, sensitivity_up_to
    facts = {"group": group.pk, "environments": wanted, "sensitivity_up_to": sensitivity_up_to}
    ledger.save(rule, event, by=by, facts=facts, content={"group": group.name})
    return rule


def offered_environments(rule: ReadingRule | None = None) -> list[str]:
    """The environments that agents are registered in, and those that this rule names already, by name."""
    named = rule.environments if rule is not None and isinstance(rule.environments, list) else []
    return sorted({*Agent.objects.values_list("environment", flat=True).distinct(), *named} - {""})


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom a rule narrows. `gives` is whether its group gives the permission at all, `exports` whether its members take
    the whole ledger; `all_the_same` are members who read everything by something else, the first `NAMED` by name."""

    gives: bool
    exports: bool
    members: int
    all_the_same: tuple[str, ...]
    more: int


def reach_of(rule: ReadingRule) -> Reach:
    """How far this rule reaches; four queries."""
    given = set(rule.group.permissions.values_list("content_type__app_label", "codename"))
    members = list(User.objects.filter(is_active=True, groups=rule.group_id).order_by("username"))
    sights = reading.sights_of(members)
    free = [one.get_username() for one in members if sights.get(one.pk, reading.NOTHING).everything]
    if not reading.lets_through_less(rule):
        free = []
    return Reach(_VIEW in given, EXPORT in given, len(members), tuple(free[:NAMED]), max(0, len(free) - NAMED))
