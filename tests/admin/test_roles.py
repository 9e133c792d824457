"""What each role may do, and that bootstrap says so every time."""

import pytest
from django.contrib.auth.models import Group, Permission

from tests.factories import make_user
from zehrava_site import roles

# Every permission by which something changes or leaves, and the roles that hold it.
HOLDERS = {
    "intents.add_policy": {"policy_authors", "administrators"},
    "intents.change_policy": {"policy_authors", "administrators"},
    "intents.activate_policy": {"policy_authors", "administrators"},
    "intents.add_actiontype": {"policy_authors", "administrators"},
    "intents.change_actiontype": {"policy_authors", "administrators"},
    "intents.activate_actiontype": {"policy_authors", "administrators"},
    "intents.add_agent": {"operators", "administrators"},
    "intents.change_agent": {"operators", "administrators"},
    "intents.suspend_agent": {"operators", "administrators"},
    "intents.add_agentkey": {"operators", "administrators"},
    "intents.revoke_agentkey": {"operators", "administrators"},
    "intents.cancel_intent": {"operators", "administrators"},
    "intents.resolve_intent": {"operators", "administrators"},
    # Nobody who gives out seats reads what is masked by that.
    "intents.reveal_intent": {"operators", "auditors"},
    "audit.export_event": {"auditors", "administrators"},
    "auth.add_user": {"administrators"},
    "auth.change_user": {"administrators"},
    "auth.add_group": {"administrators"},
    "auth.change_group": {"administrators"},
    "reviews.add_personaltoken": {"reviewers", "policy_authors", "operators", "administrators"},
    "reviews.change_personaltoken": {"administrators"},
    "reviews.change_delegation": {"administrators"},
    # And `reviews.break_glass` is nobody's.
    "reviews.review_break_glass": {"auditors"},
    "reviews.add_standingapproval": {"reviewers"},
    "reviews.approve_standingapproval": {"reviewers"},
    "reviews.revoke_standingapproval": {"operators", "administrators"},
}


@pytest.mark.django_db
def test_each_role_holds_exactly_what_the_table_says() -> None:
    roles.install()
    held: dict[str, set[str]] = {}
    for group in Group.objects.filter(name__in=roles.ROLES).prefetch_related("permissions__content_type"):
        for permission in group.permissions.all():
            if not permission.codename.startswith("view_"):
                label = f"{permission.content_type.app_label}.{permission.codename}"
                held.setdefault(label, set()).add(group.name)
    assert held == HOLDERS


@pytest.mark.django_db
def test_auditors_see_every_model_of_the_portal_and_its_history() -> None:
    roles.install()
    auditor = make_user("anna", "auditors")
    apps = ("audit", "intents", "reviews")
    views = Permission.objects.filter(content_type__app_label__in=apps, codename__startswith="view_")
    for permission in views.select_related("content_type"):
        assert auditor.has_perm(f"{permission.content_type.app_label}.{permission.codename}")
    assert any("historical" in permission.codename for permission in views)


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["reviewers", "policy_authors", "operators"])
def test_the_other_roles_see_no_evidence_and_no_people(role: str) -> None:
    roles.install()
    person = make_user("someone", role)
    assert person.has_perm("intents.view_intent")
    for permission in ("audit.view_event", "audit.export_event", "auth.view_user", "intents.view_historicalintent"):
        assert not person.has_perm(permission)


@pytest.mark.django_db
def test_a_role_that_was_widened_by_hand_is_what_the_table_says_again() -> None:
    roles.install()
    reviewers = Group.objects.get(name="reviewers")
    reviewers.permissions.add(Permission.objects.get(codename="activate_policy"))
    other = Group.objects.create(name="finance")
    other.permissions.add(Permission.objects.get(codename="view_intent"))
    roles.install()
    assert not reviewers.permissions.filter(codename="activate_policy").exists()
    assert other.permissions.count() == 1


@pytest.mark.parametrize(
    "model",
    ["intents/actiontype", "intents/policy", "intents/agent", "reviews/personaltoken", "reviews/standingapproval"],
)
@pytest.mark.parametrize("key", ["x", "%FF", "9" * 5000])
@pytest.mark.django_db
def test_the_history_of_nothing_is_not_found(client, model, key):
    client.force_login(make_user(is_superuser=True))
    assert client.get(f"/admin/{model}/{key}/history/").status_code == 404
