"""Approvals that weigh, as people meet them: by votes, on the desk, over the API, escalated, and in advance."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from intents import sweeping
from intents.agents import create_key
from intents.models import Intent, Policy, Status
from intents.policy_changes import between
from reviews import unmeetable
from reviews.decisions import decide, withdraw
from reviews.fillable import warnings_of
from reviews.models import Decision
from tests.factories import (
    ARRANGER,
    approve_in_advance,
    ids_waiting_for,
    load_policy,
    make_agent,
    make_delegation,
    make_intent,
    make_user,
    time_passes,
)
from zehrava.policy import parse_policy
from zehrava.problems import Problem

OF = "of: [{group: directors, weight: 2}, {group: finance, weight: 1}]"
THREE = f"weigh: {{at_least: 3, {OF}}}"
TOLD = "weight 3 of directors (2 each) and finance (1 each)"


def text(approval: str) -> str:
    return (
        "name: strict\nmatch: {actions: [a.b]}\n"
        f"rules: [{{id: all, effect: require_approval, approval: {{{approval}}}}}]\n"
    )


def asks(approval: str = THREE, key: str | None = None, **members) -> Intent:
    load_policy(text(approval))
    return make_intent(key, action="a.b", payload={"n": 1}, **members)


def vote(intent: Intent, by: User, vote: str = "approve") -> Decision:
    return decide(intent.pk, by=User.objects.get(pk=by.pk), vote=vote, digest=intent.digest, rationale="because")


def status(intent: Intent) -> str:
    return Intent.objects.get(pk=intent.pk).status


@pytest.fixture
def people() -> dict[str, User]:
    groups = {"dina": "directors", "doug": "directors", "fay": "finance", "finn": "finance", "flo": "finance"}
    return {name: make_user(name, group, "reviewers") for name, group in groups.items()}


@pytest.mark.parametrize(
    "names", [("dina", "doug"), ("dina", "fay"), ("fay", "dina"), ("fay", "finn", "flo"), ("fay", "finn", "doug")]
)
def test_it_is_approved_with_the_approval_that_makes_it_weigh_enough_and_not_before(people, names):
    intent = asks()
    for name in names:
        assert status(intent) == Status.PENDING_APPROVAL
        assert ids_waiting_for(people[name]) == (intent.pk,)
        vote(intent, people[name])
    assert status(intent) == Status.APPROVED


def test_a_rejection_ends_it_and_what_is_taken_back_weighs_nothing(people):
    intent = asks()
    taken = vote(intent, people["dina"])
    withdraw(taken, by=people["dina"])
    vote(intent, people["fay"])
    assert status(intent) == Status.PENDING_APPROVAL
    vote(intent, people["flo"], "reject")
    assert status(intent) == Status.REJECTED


def test_who_is_in_several_of_the_groups_weighs_as_the_heaviest_that_helps(people):
    both = make_user("both", "directors", "finance")
    intent = asks()
    vote(intent, both)
    vote(intent, people["fay"])
    assert status(intent) == Status.APPROVED

    beside = asks(f"all_of: [{{group: directors}}], {THREE.replace('3', '2')}")
    vote(beside, people["dina"])
    vote(beside, both)
    assert status(beside) == Status.APPROVED, "one fills the seat, the other weighs"


def test_nobody_weighs_twice_and_who_owns_the_agent_weighs_nothing(people):
    second = make_user("dina-2", "directors")
    User.objects.filter(pk__in=[second.pk, people["dina"].pk]).update(email="dina@example.com")
    agent, _ = make_agent(owner=people["doug"])
    intent = asks(key=create_key(agent, by=ARRANGER)[1])
    vote(intent, people["dina"])
    with pytest.raises(Problem, match="You approved it as dina"):
        vote(intent, second)
    with pytest.raises(Problem, match="You own"):
        vote(intent, people["doug"])
    with pytest.raises(Problem, match="Only members of directors or finance"):
        vote(intent, make_user("lena", "legal"))
    assert status(intent) == Status.PENDING_APPROVAL


def test_a_delegate_weighs_what_the_delegator_would_and_once_with_them(people):
    dora = make_user("dora", "readers")
    intent = asks()
    make_delegation(people["dina"], dora)
    vote(intent, dora)
    with pytest.raises(Problem, match="you two count once"):
        vote(intent, people["dina"])
    vote(intent, people["fay"])
    assert status(intent) == Status.APPROVED


def test_the_api_says_how_much_is_given_and_what_would_do_instead(people, client):
    intent = asks(f"all_of: [{{group: reviewers}}], {THREE}")
    client.force_login(make_user("vera", "reviewers"))

    def read() -> dict:
        return client.get(f"/api/v1/intents/{intent.pk}").json()["requirement"]

    asked = read()
    assert asked["weigh"] == [
        {"at_least": 3, "of": [{"group": "directors", "weight": 2}, {"group": "finance", "weight": 1}]}
    ]
    assert (asked["received"], asked["weighed"]) == (0, [{"received": 0, "at_least": 3}])
    instead = "1 of directors and 1 of finance, or 3 of finance"
    assert asked["missing"] == [
        {"group": "reviewers", "count": 1},
        {"group": "directors", "count": 2, "instead": instead, "weight": 2},
    ]
    assert asked["could"]["directors"] == ["dina", "doug"] and asked["could"]["finance"] == ["fay", "finn", "flo"]
    vote(intent, make_user("rita", "reviewers"))
    vote(intent, people["fay"])
    vote(intent, people["finn"])
    asked = read()
    assert asked["weighed"] == [{"received": 2, "at_least": 3}]
    assert asked["missing"] == [{"group": "finance", "count": 1, "instead": "1 of directors", "weight": 1}]


def test_the_page_says_it_in_words(people, signed_in):
    intent = asks()
    vote(intent, people["fay"])
    address = reverse("admin:intents_intent_change", args=[intent.pk])
    page = " ".join(signed_in(people["dina"]).get(address).content.decode().split())
    assert TOLD in page
    assert "Weight 1 of 3 given: <bdi>directors 2 each, finance 1 each</bdi>." in page
    assert "would do." in page and "weighs 2" in page and "<b>you</b>" in page
    vote(intent, people["dina"])
    page = " ".join(signed_in(people["dina"]).get(address).content.decode().split())
    assert "Weight 3 of 3 given" in page and "would do." not in page


def test_escalated_others_fill_its_seats_and_at_its_end_it_weighs_no_more(people):
    mia, zoe = make_user("mia", "managers"), make_user("zoe", "owners")
    intent = asks(
        f"{THREE}, expires_in: 4h, escalation: [{{after: 1h, do: widen, to: [managers]}}],"
        " on_timeout: escalate, escalate_to: [{group: owners}]"
    )
    assert ids_waiting_for(mia) == ()
    time_passes(intent, hours=2)
    sweeping.sweep()
    intent = Intent.objects.get(pk=intent.pk)
    assert ids_waiting_for(mia) == (intent.pk,)
    vote(intent, people["dina"])
    vote(intent, mia)
    assert status(intent) == Status.APPROVED

    second = make_intent(action="a.b", payload={"n": 2})
    time_passes(second, hours=5)
    sweeping.sweep()
    assert ids_waiting_for(people["dina"]) == () and ids_waiting_for(zoe) == (second.pk,)
    vote(second, zoe)
    assert status(second) == Status.APPROVED


def test_what_nobody_can_meet_any_more_is_noted_and_what_can_again_too(people):
    intent = asks()
    for name in ("dina", "doug", "fay"):
        people[name].groups.clear()
    unmeetable.look()
    assert Intent.objects.get(pk=intent.pk).unmeetable
    people["dina"].groups.add(Group.objects.get(name="directors"))
    unmeetable.look()
    assert not Intent.objects.get(pk=intent.pk).unmeetable


def test_two_people_approve_in_advance_what_they_would_weigh_enough_for(people):
    agent, key = make_agent(owner=make_user("olivia"))
    load_policy(text(THREE))
    approve_in_advance(agent, by=people["dina"], second=people["fay"], max_uses=5)
    assert make_intent(key, action="a.b", payload={"n": 1}).status == Status.APPROVED
    load_policy(text(f"weigh: {{at_least: 4, {OF}}}"))
    assert make_intent(key, action="a.b", payload={"n": 2}).status == Status.PENDING_APPROVAL


def test_the_author_is_warned_where_all_of_them_together_do_not_weigh_enough(people):
    assert warnings_of(parse_policy(text(THREE))) == []
    heavy = THREE.replace("at_least: 3", "at_least: 8")
    [warning] = warnings_of(parse_policy(text(heavy)))
    assert warning.startswith(f"Rule all: nobody can meet {TOLD.replace('3', '8', 1)}: directors has 2 active members")
    [missing] = warnings_of(
        parse_policy(text(THREE.replace("finance", "treasury").replace("at_least: 3", "at_least: 9")))
    )
    assert "there is no group treasury" in missing


def test_a_change_of_weights_is_told_in_words():
    load_policy(text(THREE))
    load_policy(text(THREE.replace("weight: 2", "weight: 3")))
    newer, older = Policy.objects.get(name="strict").versions.order_by("-number")[:2]
    [rule] = between(older, newer).rules
    assert rule.changes[0].after == "weigh: at_least: 3; of: directors (3 each), finance (1 each)"


def test_joined_policies_are_all_weighed(people):
    load_policy(text(THREE))
    load_policy(text("weigh: {at_least: 1, of: [{group: legal, weight: 1}]}").replace("strict", "stricter"))
    lena = make_user("lena", "legal")
    intent = make_intent(action="a.b")
    vote(intent, people["dina"])
    vote(intent, people["doug"])
    assert status(intent) == Status.PENDING_APPROVAL
    vote(intent, lena)
    assert status(intent) == Status.APPROVED
