"""Two accounts of one person count once, and what bars one bars the other."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.actors import Actor
from intents import execution, one_person
from intents.agents import create_key
from intents.models import Intent, Status
from reviews.decisions import decide
from reviews.entitlement import can_be_met_by, may_decide, votes_of, who_may_decide
from reviews.queue import overview, waits_for
from tests.factories import ids_waiting_for, load_policy, make_agent, make_delegation, make_intent, make_user
from zehrava.problems import Problem
from zehrava_site import roles

pytestmark = pytest.mark.django_db

TWO = """
name: two
match: {actions: ['*']}
rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance, count: 2}]}}]
"""


def bind(one: User, other: User, by: str) -> None:
    """Make these two accounts of one person."""
    if by == "address":
        User.objects.filter(pk=one.pk).update(email="Rita@Example.com")
        User.objects.filter(pk=other.pk).update(email="rita@example.COM")
    elif by == "verified address":
        User.objects.filter(pk=one.pk).update(email="rita@example.com")
        User.objects.filter(pk=other.pk).update(email="other@example.com")
        EmailAddress.objects.create(user=other, email="RITA@example.com", verified=True)
    else:
        # The provider has another name in the settings by now.
        SocialAccount.objects.create(user=one, provider="company", uid="subject-1")
        SocialAccount.objects.create(user=other, provider="company-login", uid="subject-1")


def fresh(person: User) -> User:
    return User.objects.get(pk=person.pk)


def refused(person: User, intent: Intent) -> str:
    with pytest.raises(Problem) as problem:
        decide(intent.pk, by=fresh(person), vote="approve", digest=intent.digest)
    assert problem.value.kind == "not-entitled"
    return problem.value.detail


@pytest.mark.parametrize("by", ["address", "verified address", "subject"])
def test_two_accounts_of_one_person_fill_one_seat(by):
    load_policy(TWO)
    rita, second = make_user("rita", "finance"), make_user("rita-2", "finance")
    bind(rita, second, by)
    intent = make_intent()
    decide(intent.pk, by=fresh(rita), vote="approve", digest=intent.digest)

    assert "You approved it as rita" in refused(second, intent)
    assert ids_waiting_for(fresh(second)) == ()
    decide(intent.pk, by=make_user("third", "finance"), vote="approve", digest=intent.digest)
    assert Intent.objects.get(pk=intent.pk).status == "approved"


def test_votes_of_two_accounts_that_turn_out_to_be_one_persons_count_once():
    load_policy(TWO.replace("count: 2", "count: 3"))
    rita, second = make_user("rita", "finance"), make_user("rita-2", "finance")
    intent = make_intent()
    for person in (rita, second):
        decide(intent.pk, by=person, vote="approve", digest=intent.digest)
    bind(rita, second, "address")

    decide(intent.pk, by=make_user("third", "finance"), vote="approve", digest=intent.digest)
    assert Intent.objects.get(pk=intent.pk).status == "pending_approval"
    decide(intent.pk, by=make_user("fourth", "finance"), vote="approve", digest=intent.digest)
    assert Intent.objects.get(pk=intent.pk).status == "approved"


def test_too_few_people_are_too_few_whatever_number_of_accounts_they_have():
    load_policy(TWO)
    bind(make_user("rita", "finance"), make_user("rita-2", "finance"), "address")
    intent = make_intent()

    assert not can_be_met_by(intent, [], who_may_decide(intent, []))
    make_user("third", "finance")
    assert can_be_met_by(intent, [], who_may_decide(intent, []))


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("by", ["address", "verified address", "subject"])
@pytest.mark.parametrize("relation", ["owner", "principal", "key maker", "widener"])
def test_what_bars_one_account_of_a_person_bars_the_other(relation, by, active):
    load_policy(TWO.replace(", count: 2", ""))
    first, second = make_user("first", "finance"), make_user("second", "finance")
    bind(first, second, by)
    agent, key = make_agent(owner=first if relation == "owner" else make_user("olivia"))
    if relation == "key maker":
        key = create_key(agent, by=Actor.person(first))[1]
    intent = make_intent(key, **({"on_behalf_of": "first"} if relation == "principal" else {}))
    if relation == "widener":
        more = [{"op": "replace", "path": "/amount", "value": "9000.00"}]
        decide(intent.pk, by=fresh(first), vote="approve", digest=intent.digest, rationale="x", changes=more)
        intent = Intent.objects.get(pk=intent.pk)
    User.objects.filter(pk=first.pk).update(is_active=active)

    assert refused(second, intent)
    assert ids_waiting_for(fresh(second)) == () and waits_for(fresh(second), overview()).number == 0
    assert who_may_decide(intent, votes_of([intent]).get(intent.pk, [])) == []
    assert (may_decide(intent, fresh(second)) is None) == (relation == "widener")


def test_an_owners_second_account_does_not_settle_what_the_agent_did():
    roles.install()
    owner, second = make_user("owner"), make_user("second", "operators")
    bind(owner, second, "address")
    intent = make_intent(make_agent(owner=owner)[1])
    Intent.objects.filter(pk=intent.pk).update(status=Status.INDETERMINATE)

    with pytest.raises(Problem, match="You own this agent"):
        execution.resolve(intent, by=second, outcome="failed", reason="looked")


def test_nobody_delegates_to_another_account_of_theirs():
    rita, second = make_user("rita", "finance"), make_user("rita-2")
    bind(rita, second, "verified address")

    with pytest.raises(Problem, match="That is you"):
        make_delegation(rita, second)
    with pytest.raises(Problem, match="That is you"):
        make_delegation(rita, rita)


def test_who_has_no_address_is_like_nobody_else():
    load_policy(TWO)
    one, other = make_user("one", "finance"), make_user("other", "finance")
    SocialAccount.objects.create(user=one, provider="company", uid="1")
    EmailAddress.objects.create(user=other, email="one@example.com", verified=False)
    User.objects.filter(pk=one.pk).update(email="one@example.com")
    intent = make_intent()

    for person in (one, other):
        decide(intent.pk, by=fresh(person), vote="approve", digest=intent.digest)

    assert Intent.objects.get(pk=intent.pk).status == "approved"


def test_accounts_hang_together_through_any_number_of_others():
    a, b, c = (make_user(name, email=f"{name}@example.com") for name in ("a", "b", "c"))
    EmailAddress.objects.create(user=b, email="a@example.com", verified=True)
    for person, provider in ((b, "old"), (c, "new")):
        SocialAccount.objects.create(user=person, provider=provider, uid="same")

    with CaptureQueriesContext(connection) as queries:
        found = one_person.accounts()

    assert len(queries) == 1
    assert found.of(a.pk) == found.of(c.pk) == {a.pk, b.pk, c.pk}
    assert found.of(make_user("d").pk) == {User.objects.get(username="d").pk}
