"""The people of the demo: who decides, who owns the agents, who writes policy, who audits."""

from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser, Group
from django.db import transaction

from zehrava_site import roles
from zehrava_site.bootstrapping import make_password


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
def make_people() -> None:
    """Make the people who are missing, without a password yet; those who exist stay as they are."""
    roles.install()
    people = get_user_model()._default_manager
    for role in PEOPLE:
        if people.filter(username=role.username).exists():
            continue
        person = get_user_model()(username=role.username, first_name=role.username.capitalize(), is_staff=True)
        person.set_unusable_password()
        person.save()
        person.groups.set([Group.objects.get_or_create(name=name)[0] for name in role.groups])


@transaction.atomic
def give_passwords(*, reset: bool = False) -> list[Person]:
    """Give those without a password one, or everybody with `reset`: last of all, so that none is made and not shown."""
    people = {
        person.get_username(): person
        for person in get_user_model()._default_manager.filter(username__in=[role.username for role in PEOPLE])
    }
    return [_give_password(role, people[role.username], reset) for role in PEOPLE]


def _give_password(role: Role, person: AbstractUser, reset: bool) -> Person:
    if person.has_usable_password() and not reset:
        return Person(role, None)
    password = make_password()
    person.set_password(password)
    person.save(update_fields=["password"])
    return Person(role, password)
