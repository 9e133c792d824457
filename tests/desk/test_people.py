"""People and groups: who may change whom, and that it is on record."""

import json
import re

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from audit.models import Event
from intents.documents import disable_policy
from intents.models import Policy
from tests.factories import ARRANGER, PASSWORD, load_policy, make_user
from zehrava_site import roles

NEW_PASSWORD = {
    "password1": "much longer than twelve",
    "password2": "much longer than twelve",
    "usable_password": "true",
}
FINANCE_DECIDES = """name: refunds
match: {actions: [stripe.*]}
rules: [{id: money, effect: require_approval, approval: {all_of: [{group: finance, count: 1}]}}]
"""


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

    client.post("/admin/auth/user/add/", {"username": "newcomer", **NEW_PASSWORD})
    client.post(f"/admin/auth/user/{rita.pk}/password/", NEW_PASSWORD)

    assert User.objects.filter(username="newcomer").exists()
    assert not User.objects.get(pk=rita.pk).check_password(PASSWORD)
    types = list(Event.objects.filter(type__startswith="person.").order_by("id").values_list("type", flat=True))
    assert types == ["person.added", "person.changed"]


def test_the_ledger_says_that_it_was_the_password(signed_in, rita):
    client = signed_in(make_user("ada", "administrators"))

    client.post(f"/admin/auth/user/{rita.pk}/password/", NEW_PASSWORD)
    client.post(f"/admin/auth/user/{rita.pk}/change/", fields_of(rita, first_name="Rita"))

    events = Event.objects.filter(type="person.changed", subject_id=str(rita.pk)).order_by("id")
    first, second = (json.loads(event.line)["facts"] for event in events)
    assert first["password"] is True
    assert "password" not in second


def test_who_is_added_may_sign_in_unless_that_is_taken_away(signed_in):
    client = signed_in(make_user("ada", "administrators"))
    page = client.get("/admin/auth/user/add/").content.decode()
    assert re.search(r'<input[^>]* name="is_staff"[^>]* checked', page)

    # As a browser sends the form: a box that is ticked, and one that was cleared.
    client.post("/admin/auth/user/add/", {"username": "newcomer", "is_staff": "on", **NEW_PASSWORD})
    client.post("/admin/auth/user/add/", {"username": "visitor", **NEW_PASSWORD})

    staff = dict(User.objects.filter(username__in=["newcomer", "visitor"]).values_list("username", "is_staff"))
    assert staff == {"newcomer": True, "visitor": False}
    signing_in = {"username": "newcomer", "password": NEW_PASSWORD["password1"]}
    assert Client().post("/admin/login/", signing_in).status_code == 302


def test_an_administrator_makes_nobody_a_superuser(signed_in, rita):
    ada = make_user("ada", "administrators")

    signed_in(ada).post(f"/admin/auth/user/{rita.pk}/change/", fields_of(rita, is_superuser="on"))
    signed_in(ada).post(f"/admin/auth/user/{ada.pk}/change/", fields_of(ada, is_superuser="on"))

    assert not User.objects.filter(is_superuser=True).exists()


def test_an_administrator_cannot_take_a_superusers_account_over(signed_in):
    root = make_user("root", is_superuser=True)
    client = signed_in(make_user("ada", "administrators"))

    assert client.post(f"/admin/auth/user/{root.pk}/password/", NEW_PASSWORD).status_code == 403
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


@pytest.mark.parametrize("superuser", [False, True])
def test_nobody_changes_their_own_groups_and_rights(signed_in, superuser):
    ada = make_user("ada", "administrators", is_superuser=superuser)
    address = f"/admin/auth/user/{ada.pk}/change/"
    reviewers = Group.objects.get(name="reviewers")
    tried = fields_of(ada, first_name="Ada", groups=[reviewers.pk], user_permissions=[1], is_superuser="on")
    del tried["is_active"], tried["is_staff"]

    client = signed_in(ada)
    client.post(address, tried)

    after = User.objects.get(pk=ada.pk)
    assert after.first_name == "Ada"
    assert [group.name for group in after.groups.all()] == ["administrators"]
    assert (after.is_active, after.is_staff, after.is_superuser) == (True, True, superuser)
    assert not after.user_permissions.exists()
    page = client.get(address).content.decode()
    assert "Your own groups and rights are changed by another administrator." in page
    assert 'name="groups"' not in page


def test_another_persons_page_does_not_speak_of_ones_own_rights(signed_in, rita):
    page = signed_in(make_user("ada", "administrators")).get(f"/admin/auth/user/{rita.pk}/change/").content.decode()

    assert "Your own groups" not in page
    assert 'name="groups"' in page


@pytest.mark.parametrize("seat", ["reviewers", "finance"])
def test_an_administrator_is_not_given_a_seat(signed_in, seat):
    load_policy(FINANCE_DECIDES)
    alan = make_user("alan", "administrators")
    both = [alan.groups.get().pk, Group.objects.get_or_create(name=seat)[0].pk]

    answer = signed_in(make_user("root", is_superuser=True)).post(
        f"/admin/auth/user/{alan.pk}/change/", fields_of(alan, groups=both)
    )

    assert f"Nobody is in administrators and in {seat} at once" in answer.content.decode()
    assert [group.name for group in alan.groups.all()] == ["administrators"]


def test_who_has_a_seat_is_not_made_an_administrator(signed_in, rita):
    both = [rita.groups.get().pk, Group.objects.get(name="administrators").pk]

    answer = signed_in(make_user("ada", "administrators")).post(
        f"/admin/auth/user/{rita.pk}/change/", fields_of(rita, groups=both)
    )

    assert "Nobody is in administrators and in reviewers at once" in answer.content.decode()
    assert [group.name for group in rita.groups.all()] == ["reviewers"]


def test_an_administrator_may_be_in_a_group_that_decides_nothing(signed_in):
    alan = make_user("alan", "administrators")
    both = [alan.groups.get().pk, Group.objects.create(name="finance").pk]

    signed_in(make_user("ada", "administrators")).post(
        f"/admin/auth/user/{alan.pk}/change/", fields_of(alan, groups=both)
    )

    assert {group.name for group in alan.groups.all()} == {"administrators", "finance"}


@pytest.mark.parametrize("name", roles.ROLES)
def test_a_role_keeps_its_name(signed_in, name):
    group = Group.objects.get(name=name)

    answer = signed_in(make_user("root", is_superuser=True)).post(
        f"/admin/auth/group/{group.pk}/change/", {"name": "others"}
    )

    assert f"{name} is a role and keeps its name" in answer.content.decode()
    group.refresh_from_db()
    assert group.name == name


@pytest.mark.parametrize(("before", "after"), [("finance", "others"), ("others", "finance")])
def test_no_group_loses_or_takes_a_name_that_a_policy_in_force_names(signed_in, before, after):
    load_policy(FINANCE_DECIDES)
    group = Group.objects.create(name=before)

    answer = signed_in(make_user("root", is_superuser=True)).post(
        f"/admin/auth/group/{group.pk}/change/", {"name": after}
    )

    assert "finance is named by the policy in force refunds" in answer.content.decode()
    group.refresh_from_db()
    assert group.name == before


def test_a_group_that_decides_nothing_is_renamed_and_one_that_decides_is_given_permissions(signed_in):
    load_policy(FINANCE_DECIDES)
    free, finance = Group.objects.create(name="free"), Group.objects.create(name="finance")
    given = Permission.objects.order_by("pk")[0]
    client = signed_in(make_user("root", is_superuser=True))

    client.post(f"/admin/auth/group/{free.pk}/change/", {"name": "freed"})
    client.post(f"/admin/auth/group/{finance.pk}/change/", {"name": "finance", "permissions": [given.pk]})

    free.refresh_from_db()
    assert free.name == "freed"
    assert finance.permissions.count() == 1


def test_a_policy_that_is_disabled_frees_the_names_of_its_groups(signed_in):
    load_policy(FINANCE_DECIDES)
    disable_policy(Policy.objects.get(name="refunds"), by=ARRANGER)
    group = Group.objects.create(name="finance")

    signed_in(make_user("root", is_superuser=True)).post(f"/admin/auth/group/{group.pk}/change/", {"name": "others"})

    group.refresh_from_db()
    assert group.name == "others"
