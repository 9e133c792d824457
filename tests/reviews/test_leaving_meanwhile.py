"""A vote waits for its turn at an intent: who leaves meanwhile, the company or the group, decides nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from audit import clock
from audit.actors import Actor
from intents import lifecycle
from intents.models import Intent
from reviews import break_glass
from reviews.circumstances import Origin
from reviews.models import Decision, Door
from reviews.second_factor import Factor
from reviews.tokens import create_token
from tests.factories import load_policy, make_intent, make_user, opened
from zehrava.problems import Problem
from zehrava_site import roles

pytestmark = pytest.mark.django_db

ONE_OF_FINANCE = """
name: careful
match: {actions: ['a.b']}
rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance}]}}]
"""


def deactivated(person: User) -> None:
    User.objects.filter(pk=person.pk).update(is_active=False)


def out_of_the_group(person: User) -> None:
    User.objects.get(pk=person.pk).groups.remove(Group.objects.get(name="finance"))


def without_the_permission(person: User) -> None:
    User.objects.get(pk=person.pk).user_permissions.clear()


def by_the_api(person: User, intent: Intent) -> None:
    client = Client(headers={"Authorization": f"Bearer {create_token(person, by=Actor.person(person))[1]}"})
    sent = {"vote": "approve", "digest": intent.digest}
    client.post(f"/api/v1/intents/{intent.pk}/decisions", sent, content_type="application/json")


def by_the_page(person: User, intent: Intent) -> None:
    client = Client()
    client.force_login(person)
    bound = {name: getattr(intent, name) for name in ("digest", "verdict_digest", "requirement_digest")}
    sent = {"vote": "approve", "opened": opened(intent, person), **bound}
    client.post(f"/admin/intents/intent/{intent.pk}/decide/", sent)


@pytest.fixture
def intent() -> Intent:
    roles.install()
    load_policy(ONE_OF_FINANCE)
    return make_intent(action="a.b", payload={})


@pytest.fixture
def meanwhile(monkeypatch) -> Callable[[Callable[[], None]], None]:
    """What another transaction commits while a decision waits for the intent's row."""

    def arrange(happens: Callable[[], None]) -> None:
        def locked(intent_id: str) -> Intent:
            happens()
            return _locked(intent_id)

        monkeypatch.setattr(lifecycle, "locked", locked)

    _locked = lifecycle.locked
    return arrange


@pytest.mark.parametrize("vote", [by_the_api, by_the_page])
@pytest.mark.parametrize("leaves", [deactivated, out_of_the_group])
@pytest.mark.parametrize("groups", [("finance", "reviewers"), ("finance",)])
def test_who_left_before_the_vote_was_counted_approves_nothing(intent, meanwhile, vote, leaves, groups):
    person = make_user("finn", *groups)
    meanwhile(lambda: leaves(person))

    vote(person, intent)

    assert Intent.objects.get(pk=intent.pk).status == "pending_approval"
    assert not Decision.objects.exists()


@pytest.mark.parametrize("vote", [by_the_api, by_the_page])
def test_who_is_still_there_approves_it(intent, meanwhile, vote):
    meanwhile(lambda: None)

    vote(make_user("finn", "finance", "reviewers"), intent)

    assert Intent.objects.get(pk=intent.pk).status == "approved"


@pytest.mark.parametrize("leaves", [deactivated, without_the_permission])
def test_who_left_before_the_glass_broke_approves_nothing_beyond_the_requirement(intent, meanwhile, leaves):
    person = make_user("eva", "operators")
    permission = Permission.objects.get(codename="break_glass", content_type__app_label="reviews")
    person.user_permissions.add(permission)
    meanwhile(lambda: leaves(person))
    # As a request holds them that read their permissions a moment ago.
    assert break_glass.may_break(person)

    with pytest.raises(Problem) as refused:
        break_glass.break_glass(
            intent.pk,
            by=person,
            digest=intent.digest,
            verdict_digest=intent.verdict_digest,
            requirement_digest=intent.requirement_digest,
            reason="the whole cellar is under water",
            typed="a.b",
            factor=Factor("totp", 1, clock.now()),
            origin=Origin(Door.GLASS, None, opened(intent, person)),
        )

    assert refused.value.kind == "not-entitled"
    assert Intent.objects.get(pk=intent.pk).status == "pending_approval"
