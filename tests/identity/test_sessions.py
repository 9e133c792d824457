"""A session lasts no longer than what it was given for: the password, the account, the groups, the factors."""

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.factories import PASSWORD, make_user
from tests.identity.conftest import add_app, browser, code_of, enters, forget_codes_used, give_code, give_password, told
from zehrava_site.identity import factors

NEW = "entirely another password"


def by_sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def put_into_finance(rita: User) -> None:
    rita.groups.add(Group.objects.create(name="finance"))


def take_out_of_reviewers(rita: User) -> None:
    rita.groups.remove(Group.objects.get(name="reviewers"))


def take_out_by_sql(rita: User) -> None:
    by_sql("DELETE FROM auth_user_groups WHERE user_id = %s", rita.pk)


def move_by_sql(rita: User) -> None:
    other = Group.objects.create(name="finance")
    by_sql("UPDATE auth_user_groups SET group_id = %s WHERE user_id = %s", other.pk, rita.pk)


def set_password(rita: User) -> None:
    rita.set_password(NEW)
    rita.save()


def set_password_by_update(rita: User) -> None:
    rita.set_password(NEW)
    User.objects.filter(pk=rita.pk).update(password=rita.password)


def deactivate(rita: User) -> None:
    rita.is_active = False
    rita.save()


def deactivate_by_sql(rita: User) -> None:
    by_sql("UPDATE auth_user SET is_active = %s WHERE id = %s", False, rita.pk)


def make_superuser(rita: User) -> None:
    User.objects.filter(pk=rita.pk).update(is_superuser=True)


def add_factor(rita: User) -> None:
    add_app(rita)


CHANGES = [
    put_into_finance,
    take_out_of_reviewers,
    take_out_by_sql,
    move_by_sql,
    set_password,
    set_password_by_update,
    deactivate,
    deactivate_by_sql,
    make_superuser,
    add_factor,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_ends_every_session_of_the_person_and_no_other(rita, signed_in, change):
    clients = [signed_in(), signed_in("198.51.100.7")]
    other = browser()
    make_user("ravi", "reviewers")
    give_password(other, name="ravi")
    change(rita)
    for client in clients:
        assert not enters(client)
        assert client.get("/api/v1/queue").status_code == 401
    assert enters(other)
    # The rows are gone with it: nothing is left that could become valid again.
    assert Session.objects.count() == 1


def test_who_comes_back_has_no_session_from_before(rita, signed_in):
    client = signed_in()
    for active in (False, True):
        rita.is_active = active
        rita.save()
    assert not enters(client)


def test_a_group_taken_and_given_back_by_an_administrator_ends_the_session_that_was_used_meanwhile(rita, signed_in):
    client = signed_in()
    group = rita.groups.get()
    rita.groups.clear()
    assert not enters(client)
    rita.groups.add(group)
    assert not enters(client)


def test_the_admin_ends_the_sessions_of_whose_groups_it_changes(rita, signed_in):
    client = signed_in()
    root = browser()
    root.force_login(make_user("root", is_superuser=True))
    finance = Group.objects.create(name="finance")
    address = reverse("admin:auth_user_change", args=[rita.pk])
    answer = root.post(
        address,
        {
            "username": "rita",
            "is_active": "on",
            "is_staff": "on",
            "groups": [finance.pk],
            "date_joined_0": "2026-01-01",
            "date_joined_1": "00:00:00",
        },
    )
    assert answer.status_code == 302, answer.content.decode()
    assert list(rita.groups.all()) == [finance]
    assert not enters(client)
    assert enters(root)


def test_changing_ones_password_keeps_this_session_and_ends_the_others(rita, signed_in):
    here, elsewhere = signed_in(), signed_in("198.51.100.7")
    address = reverse("admin:password_change")
    wrong = here.post(address, {"old_password": "no", "new_password1": NEW, "new_password2": NEW})
    assert wrong.status_code == 200 and enters(elsewhere)
    answer = here.post(address, {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW})
    assert answer.status_code == 302
    assert enters(here)
    assert not enters(elsewhere)
    [line] = told("person.changed")
    assert line["facts"]["password"] is True
    assert line["actor"]["name"] == "rita"


def test_the_old_password_cannot_be_guessed_from_an_open_session(rita, signed_in):
    client = signed_in()
    address = reverse("admin:password_change")
    for guess in range(5):
        client.post(address, {"old_password": f"guess {guess}", "new_password1": NEW, "new_password2": NEW})
    answer = client.post(address, {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW})
    assert "Too many attempts" in answer.content.decode()
    assert User.objects.get().check_password(PASSWORD)


def test_adding_a_factor_keeps_this_session_and_ends_the_others(rita, signed_in):
    here, elsewhere = signed_in(), signed_in("198.51.100.7")
    here.post(reverse("admin:add_app"))
    here.post(reverse("admin:add_app"), {"code": code_of(here.session["zehrava_new_secret"])})
    assert len(factors.factors_of(rita)) == 1
    assert enters(here)
    assert not enters(elsewhere)


def test_a_session_without_what_it_stands_for_opens_nothing(rita, signed_in):
    client = signed_in()
    session = client.session
    del session["zehrava_standing"]
    session.save()
    assert not enters(client)


def test_a_request_costs_no_query_more_than_before(rita, signed_in):
    client = signed_in()
    with CaptureQueriesContext(connection) as queries:
        client.get(reverse("admin:second_factors"))
    about_people = [query["sql"] for query in queries if 'FROM "auth_user" ' in query["sql"]]
    assert len(about_people) == 1
    assert not [query for query in queries if "django_session" in query["sql"] and "SELECT" not in query["sql"]]


def test_a_factor_is_asked_for_again_after_each_sign_in(rita):
    secret, _ = add_app(rita)
    for _ in range(2):
        client = browser()
        give_password(client)
        assert not enters(client)
        give_code(client, code_of(secret))
        assert enters(client)
        forget_codes_used()
