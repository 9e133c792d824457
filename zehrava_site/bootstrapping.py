"""What every portal needs before the first person signs in: roles, a key to sign with, an administrator."""

import secrets
from dataclasses import dataclass

from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import transaction

from audit import signing
from intents import second_person
from intents.models import InForce
from zehrava.problems import Problem
from zehrava_site import roles
from zehrava_site.people import record_person

ADMIN = "admin"
# Crockford's base 32 in lower case: no letter that could be a digit, for people who type what they read.
_PASSWORD_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True)
class Bootstrapped:
    """What a bootstrap found or made; `password` only where it was made just now, for it is kept nowhere."""

    admin: str
    created: bool
    password: str | None


def make_password() -> str:
    """A password of 100 random bits, in four groups of five characters."""
    return "-".join("".join(secrets.choice(_PASSWORD_ALPHABET) for _ in range(5)) for _ in range(4))


@transaction.atomic
def bootstrap(*, username: str | None = None, password: str | None = None, email: str = "") -> Bootstrapped:
    """Make what is missing and leave the rest as it is; as often as you like.

    Without `username`, an administrator called `admin` is made where there is no superuser at all. Without `password`
    one is made. An account that exists keeps its password. Raises Problem "conflict" where the name belongs to
    somebody who is no administrator: nobody is promoted in passing; `unavailable` where no key can be kept.
    """
    roles.install(by=roles.BOOTSTRAP)
    signing.make_first_key(by=roles.BOOTSTRAP)
    InForce.objects.get_or_create(pk=1)
    second_person.record(by=roles.BOOTSTRAP)
    people = User.objects
    if username is None and (first := people.filter(is_superuser=True).order_by("pk").first()):
        return Bootstrapped(first.get_username(), created=False, password=None)
    username = username or ADMIN
    existing = people.filter(username=username).first()
    if existing is not None:
        if not existing.is_superuser:
            raise Problem(
                "conflict", f"{username} exists and is no superuser: choose another name, or promote them in the admin."
            )
        return Bootstrapped(username, created=False, password=None)
    made = None if password else make_password()
    admin = User(username=username, email=email, is_staff=True, is_superuser=True)
    _save(admin, password or made or "")
    admin.groups.add(Group.objects.get(name="administrators"))
    record_person(admin, "added", by=roles.BOOTSTRAP)
    return Bootstrapped(username, created=True, password=made)


def _save(person: User, password: str) -> None:
    person.set_password(password)
    try:
        person.full_clean()
    except ValidationError as error:
        raise Problem("invalid", "; ".join(error.messages)) from error
    person.save()
