"""The people of the demo: who decides, who owns the agents, who writes policy, who audits."""

from dataclasses import dataclass

from django.contrib.auth.models import Group, User
from django.db import transaction

from audit.actors import Actor
from zehrava_site import roles
from zehrava_site.bootstrapping import make_password
from zehrava_site.people import record_group, record_person


@dataclass(frozen=True)
class Role:
    """One of the demo's people: what they are there for, and the groups that let them."""

    username: str
    does: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Person:
    """One of them as made or found; `password` only where it was made just now, for it is kept nowhere."""

    role: Role
    password: str | None


# Reviewers own no agent: an owner may not decide on what their agent proposes.
PEOPLE = (
    Role("rita", "decides: mail, releases", ("reviewers", "comms", "platform")),
    Role("ravi", "decides: security, platform", ("reviewers", "security", "platform")),
    Role("fiona", "decides: money", ("reviewers", "finance")),
    Role("olivia", "owns the agents, and so decides nothing", ("operators",)),
    Role("paul", "writes policies", ("policy_authors",)),
    Role("anna", "audits", ("auditors",)),
)
OWNER = "olivia"


@transaction.atomic
def make_people(*, by: Actor) -> None:
    """Make the people who are missing, without a password yet; those who exist stay as they are."""
    roles.install(by=by)
    for role in PEOPLE:
        if User.objects.filter(username=role.username).exists():
            continue
        person = User(username=role.username, first_name=role.username.capitalize(), is_staff=True)
        person.set_unusable_password()
        person.save()
        person.groups.set([_group(name, by) for name in role.groups])
        record_person(person, "added", by=by)


@transaction.atomic
def give_passwords(*, by: Actor, reset: bool = False) -> list[Person]:
    """Give those without a password one, or everybody with `reset`: last of all, so that none is made and not shown."""
    people = {
        person.get_username(): person for person in User.objects.filter(username__in=[role.username for role in PEOPLE])
    }
    return [_give_password(role, people[role.username], reset, by) for role in PEOPLE]


def _give_password(role: Role, person: User, reset: bool, by: Actor) -> Person:
    if person.has_usable_password() and not reset:
        return Person(role, None)
    password = make_password()
    person.set_password(password)
    person.save(update_fields=["password"])
    record_person(person, "changed", by=by)
    return Person(role, password)


def _group(name: str, by: Actor) -> Group:
    group, added = Group.objects.get_or_create(name=name)
    if added:
        record_group(group, "added", by=by)
    return group
