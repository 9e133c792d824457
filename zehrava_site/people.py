"""What the ledger is told of people and groups: who is in which group decides who may approve what.

`audit_check` compares what was told last with what is stored, and so finds who was put into a group by SQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from django.contrib.auth.models import Group, User
from django.db.models import Model

from audit import ledger, verification
from audit.actors import Actor
from audit.comparing import Finding, Suspicion, confirmed, key_batches, newest_events
from zehrava import canonical

Verb = Literal["added", "changed"]

ledger.register(
    {
        "person.added": "Somebody was given an account.",
        "person.changed": "An account, its groups or its password changed.",
        "group.added": "A group was made.",
        "group.changed": "A group's name or permissions changed.",
    }
)


def record_person(person: User, verb: Verb, *, by: Actor, password: bool = False) -> None:
    """Tell the ledger what an account is now: inside the transaction that changed it, after its groups were set.

    `password` says that it was the password which changed.
    """
    facts = _facts_of_people([person.pk])[person.pk]
    if password:
        facts["password"] = True
    content = {"username": person.username, "groups": sorted(person.groups.values_list("name", flat=True))}
    ledger.record(ledger.Change(f"person.{verb}", person, by, facts, content))


def record_group(group: Group, verb: Verb, *, by: Actor) -> None:
    """Tell the ledger what a group may do now: inside the transaction that changed it."""
    facts = _facts_of_groups([group.pk])[group.pk]
    ledger.record(ledger.Change(f"group.{verb}", group, by, facts, {"name": group.name}))


def _facts_of_people(keys: Sequence[int]) -> dict[int, dict[str, Any]]:
    facts: dict[int, dict[str, Any]] = {
        person.pk: {
            "active": person.is_active,
            "enters_admin": person.is_staff,
            "superuser": person.is_superuser,
            "groups": [],
            "permissions": [],
        }
        for person in User.objects.filter(pk__in=keys).only("is_active", "is_staff", "is_superuser")
    }
    memberships = User.groups.through.objects.filter(user__in=keys).order_by("group_id")
    for person, group in memberships.values_list("user_id", "group_id"):
        if person in facts:
            facts[person]["groups"].append(group)
    given = User.user_permissions.through.objects.filter(user__in=keys)
    for person, codename in given.order_by("permission__codename").values_list("user_id", "permission__codename"):
        if person in facts:
            facts[person]["permissions"].append(codename)
    return facts


def _facts_of_groups(keys: Sequence[int]) -> dict[int, dict[str, Any]]:
    facts: dict[int, dict[str, Any]] = {key: {"permissions": []} for key in keys}
    given = Group.permissions.through.objects.filter(group__in=keys)
    for group, codename in given.values_list("group_id", "permission__codename"):
        facts[group]["permissions"].append(codename)
    for fact in facts.values():
        fact["permissions"].sort()
    return facts


# --- is it still so? -----------------------------------------------------------------------------------------------

_Facts = Callable[[Sequence[int]], dict[int, dict[str, Any]]]


@verification.register
def check_people() -> Iterator[Finding]:
    """Accounts and groups that are not what the ledger was last told of them."""
    yield from _differing(User, ("person.added", "person.changed"), _facts_of_people)
    yield from _differing(Group, ("group.added", "group.changed"), _facts_of_groups)


def _differing(model: type[Model], types: Sequence[str], facts_of: _Facts) -> Iterator[Finding]:
    def look(keys: Sequence[int]) -> dict[int, Suspicion]:
        told = newest_events(model, keys, types)
        found = {}
        for key, facts in facts_of(keys).items():
            event = told.get(str(key))
            problem = _unrecorded(facts) if event is None else _difference(event.id, event.line, facts)
            if problem:
                found[key] = Suspicion(event.id if event else None, problem)
        return found

    for keys in key_batches(model._base_manager.all()):
        for key, problem in confirmed(keys, look).items():
            yield Finding(model._meta.db_table, str(key), problem)


def _unrecorded(facts: dict[str, Any]) -> str | None:
    """Who has no event and no rights either was never given any: nothing to find."""
    has_rights = facts.get("superuser") or facts.get("groups") or facts.get("permissions")
    return "no event tells of it, though it has rights" if has_rights else None


def _difference(event_id: str, line: str, facts: dict[str, Any]) -> str | None:
    # Of a person's own permissions earlier events say nothing: then they had none.
    told = {"permissions": [], **json.loads(line)["facts"]}
    differing = [name for name, value in facts.items() if canonical.dumps(told.get(name)) != canonical.dumps(value)]
    return f"differs from event {event_id}: {', '.join(differing)}" if differing else None
