"""`manage.py bootstrap`: what every portal needs, made once."""

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import Event
from intents.models import InForce
from zehrava_site import roles

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_account_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "EMAIL"):
        monkeypatch.delenv(f"DJANGO_SUPERUSER_{name}", raising=False)


def bootstrap(**options: Any) -> str:
    out = io.StringIO()
    call_command("bootstrap", stdout=out, **options)
    return out.getvalue()


def test_the_first_run_prints_a_password_that_signs_in() -> None:
    made = json.loads(bootstrap(json=True))
    assert made["created"]
    assert Client().login(username=made["admin"], password=made["password"])
    admin = User.objects.get()
    assert admin.is_superuser
    assert {group.name for group in admin.groups.all()} == {"administrators"}
    assert set(Group.objects.values_list("name", flat=True)) == set(roles.ROLES)
    assert InForce.objects.count() == 1


def test_a_second_run_changes_nothing_and_says_how_to_set_a_password() -> None:
    bootstrap()
    before = User.objects.get().password
    said = bootstrap()
    assert ".venv/bin/python manage.py changepassword admin" in said
    assert User.objects.get().password == before
    assert json.loads(bootstrap(json=True)) == {"admin": "admin", "created": False, "password": None}


def test_the_account_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "olga")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a password of her own")
    monkeypatch.setenv("DJANGO_SUPERUSER_EMAIL", "olga@example.com")
    said = bootstrap()
    assert "a password of her own" not in said
    assert Client().login(username="olga", password="a password of her own")
    assert User.objects.get().email == "olga@example.com"
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "another one")
    bootstrap()
    assert not Client().login(username="olga", password="another one")


def test_an_administrator_by_another_name_is_enough() -> None:
    User.objects.create_superuser("root", password="correct horse battery")
    assert json.loads(bootstrap(json=True))["admin"] == "root"
    assert User.objects.count() == 1


def test_nobody_is_promoted_in_passing(monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.create_user("rita")
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "rita")
    with pytest.raises(CommandError, match="rita exists and is no superuser"):
        bootstrap()
    assert not User.objects.get().is_superuser


def test_the_ledger_knows_who_was_made_and_what_roles_may_do() -> None:
    bootstrap()
    assert Event.objects.filter(type="person.added", actor_name="manage.py bootstrap").count() == 1
    assert Event.objects.filter(type="group.added").count() == len(roles.ROLES)
    Group.objects.get(name="auditors").permissions.clear()
    bootstrap()
    assert Event.objects.filter(type="group.changed").count() == 1


def test_the_administrator_does_not_decide() -> None:
    bootstrap()
    groups = set(User.objects.get().groups.values_list("name", flat=True))
    assert groups == {"administrators"}
