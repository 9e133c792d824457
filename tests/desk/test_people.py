"""People and groups: who may change whom, and that it is on record."""

import json

from django.contrib.auth.models import Group, User

from audit.models import Event
from tests.factories import PASSWORD, make_user


def fields_of(person: User, **changes) -> dict:
    form = {
        "username": person.username,
        "is_active": "on",
        "is_staff": "on",
        "groups": list(person.groups.values_list("pk", flat=True)),
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
        "last_login_0": "",
        "last_login_1": "",
    }
    return form | changes


def test_giving_somebody_a_seat_is_on_record_with_who_did_it(signed_in, rita):
    ada = make_user("ada", "administrators")
    finance = Group.objects.create(name="finance")

    response = signed_in(ada).post(f"/admin/auth/user/{rita.pk}/change/", fields_of(rita, groups=[finance.pk]))

    assert response.status_code == 302
    assert list(rita.groups.all()) == [finance]
    event = Event.objects.get(type="person.changed")
    assert (event.actor_name, event.subject_id) == ("ada", str(rita.pk))
    assert json.loads(event.line)["facts"]["groups"] == [finance.pk]


def test_adding_a_person_and_setting_a_password_are_on_record(signed_in, rita):
    client = signed_in(make_user("ada", "administrators"))
    password = {
        "password1": "much longer than twelve",
        "password2": "much longer than twelve",
        "usable_password": "true",
    }

    client.post("/admin/auth/user/add/", {"username": "newcomer", **password})
    client.post(f"/admin/auth/user/{rita.pk}/password/", password)

    assert User.objects.filter(username="newcomer").exists()
    assert not User.objects.get(pk=rita.pk).check_password(PASSWORD)
    types = list(Event.objects.filter(type__startswith="person.").order_by("id").values_list("type", flat=True))
    assert types == ["person.added", "person.changed"]


def test_an_administrator_makes_nobody_a_superuser(signed_in, rita):
    ada = make_user("ada", "administrators")

    signed_in(ada).post(f"/admin/auth/user/{rita.pk}/change/", fields_of(rita, is_superuser="on"))
    signed_in(ada).post(f"/admin/auth/user/{ada.pk}/change/", fields_of(ada, is_superuser="on"))

    assert not User.objects.filter(is_superuser=True).exists()


def test_an_administrator_cannot_take_a_superusers_account_over(signed_in):
    root = make_user("root", is_superuser=True)
    client = signed_in(make_user("ada", "administrators"))
    password = {
        "password1": "much longer than twelve",
        "password2": "much longer than twelve",
        "usable_password": "true",
    }

    assert client.post(f"/admin/auth/user/{root.pk}/password/", password).status_code == 403
    assert client.post(f"/admin/auth/user/{root.pk}/change/", fields_of(root)).status_code == 403
    assert User.objects.get(pk=root.pk).check_password(PASSWORD)


def test_an_administrator_makes_groups_but_gives_them_no_permissions(signed_in):
    client = signed_in(make_user("ada", "administrators"))

    client.post("/admin/auth/group/add/", {"name": "finance", "permissions": [1, 2, 3]})
    role = Group.objects.get(name="administrators")
    answer = client.post(f"/admin/auth/group/{role.pk}/change/", {"name": "administrators", "permissions": [1]})

    assert Group.objects.get(name="finance").permissions.count() == 0
    assert answer.status_code == 403
    assert role.permissions.count() > 1
