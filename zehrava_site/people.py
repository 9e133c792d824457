"""What the ledger is told of people and groups: who is in which group decides who may approve what."""

from typing import Any, Literal

from django.contrib.auth.models import Group, User

from audit import ledger
from audit.actors import Actor

Verb = Literal["added", "changed"]

ledger.register(
    {
        "person.added": "Somebody was given an account.",
        "person.changed": "An account, its groups or its password changed.",
        "group.added": "A group was made.",
        "group.changed": "A group's name or permissions changed.",
    }
)


def record_person(person: User, verb: Verb, *, by: Actor) -> None:
    """Tell the ledger what an account is now: inside the transaction that changed it, after its groups were set."""
    facts: dict[str, Any] = {
        "active": person.is_active,
        "enters_admin": person.is_staff,
        "superuser": person.is_superuser,
        "groups": sorted(person.groups.values_list("pk", flat=True)),
    }
    content = {"username": person.username, "groups": sorted(person.groups.values_list("name", flat=True))}
    ledger.record(ledger.Change(f"person.{verb}", person, by, facts, content))


def record_group(group: Group, verb: Verb, *, by: Actor) -> None:
    """Tell the ledger what a group may do now: inside the transaction that changed it."""
    facts = {"permissions": sorted(group.permissions.values_list("codename", flat=True))}
    ledger.record(ledger.Change(f"group.{verb}", group, by, facts, {"name": group.name}))
