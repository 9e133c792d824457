"""Alternatives, orders and rejections as people meet them: by votes, on the desk, over the API, and in their mail."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from intents.models import Intent, Status
from reviews.decisions import decide, withdraw
from reviews.models import Decision
from tests.factories import ids_waiting_for, load_policy, make_intent, make_user
from zehrava.problems import Problem


def asks(approval: str) -> Intent:
    """An intent that waits under this `approval`."""
    load_policy(
        "name: strict\nmatch: {actions: [a.b]}\n"
        f"rules: [{{id: all, effect: require_approval, approval: {approval}}}]\n"
    )
    return make_intent(action="a.b", payload={"n": 1})


def approve(intent: Intent, by: User) -> Decision:
    return decide(intent.pk, by=by, vote="approve", digest=intent.digest)


def reject(intent: Intent, by: User) -> Decision:
    return decide(intent.pk, by=by, vote="reject", digest=intent.digest, rationale="no")


def status(intent: Intent) -> str:
    return Intent.objects.get(pk=intent.pk).status


EITHER = "{all_of: [{group: security}], any_of: [{group: legal}, {group: finance, count: 2}]}"
LISTED = "{all_of: [{group: finance, count: 2}, {group: accounts}], order: listed}"


@pytest.fixture
def people() -> dict[str, User]:
    groups = {"fay": "finance", "finn": "finance", "flo": "finance", "lena": "legal", "sam": "security"}
    return {name: make_user(name, group) for name, group in {**groups, "ann": "accounts"}.items()}


def test_one_alternative_is_enough_and_the_rest_is_not_asked_any_more(people):
    intent = asks(EITHER)
    approve(intent, people["lena"])
    assert ids_waiting_for(people["fay"]) == () and ids_waiting_for(people["sam"]) == (intent.pk,)
    with pytest.raises(Problem, match="Every seat"):
        approve(intent, people["fay"])
    approve(intent, people["sam"])
    assert status(intent) == Status.APPROVED


def test_the_other_alternative_takes_all_its_people(people):
    intent = asks(EITHER)
    approve(intent, people["fay"])
    approve(intent, people["sam"])
    assert status(intent) == Status.PENDING_APPROVAL
    assert ids_waiting_for(people["lena"]) == ids_waiting_for(people["finn"]) == (intent.pk,)
    approve(intent, people["finn"])
    assert status(intent) == Status.APPROVED


def test_in_an_order_nobody_is_asked_or_counted_before_their_turn(people):
    intent = asks(LISTED)
    assert ids_waiting_for(people["ann"]) == ()
    with pytest.raises(Problem, match="not your turn yet: finance must agree first"):
        approve(intent, people["ann"])
    approve(intent, people["fay"])
    assert ids_waiting_for(people["ann"]) == ()
    approve(intent, people["finn"])
    assert ids_waiting_for(people["ann"]) == (intent.pk,) and ids_waiting_for(people["flo"]) == ()
    approve(intent, people["ann"])
    assert status(intent) == Status.APPROVED


def test_who_comes_later_may_reject_at_any_time(people):
    intent = asks(LISTED)
    reject(intent, people["ann"])
    assert status(intent) == Status.REJECTED


def test_who_agreed_last_is_asked_again_where_somebody_before_them_is_another_one(people):
    intent = asks("{all_of: [{group: finance, count: 2}, {group: accounts}, {group: legal}], order: listed}")
    first = approve(intent, people["fay"])
    approve(intent, people["finn"])
    approve(intent, people["ann"])
    withdraw(first, by=people["fay"])
    assert ids_waiting_for(people["ann"]) == ids_waiting_for(people["lena"]) == ()
    with pytest.raises(Problem, match="already voted"):
        approve(intent, people["ann"])

    approve(intent, people["flo"])
    assert ids_waiting_for(people["ann"]) == (intent.pk,) and ids_waiting_for(people["lena"]) == ()
    again = approve(intent, people["ann"])
    assert Decision.objects.filter(intent=intent, reviewer=people["ann"], withdrawn_at=None).get() == again
    approve(intent, people["lena"])
    assert status(intent) == Status.APPROVED


def test_who_helped_one_alternative_has_voted(people, signed_in):
    intent = asks("{any_of: [{group: legal}, {group: finance, count: 2}]}")
    approve(intent, people["fay"])
    assert ids_waiting_for(people["fay"]) == ()
    with pytest.raises(Problem, match="already voted"):
        approve(intent, people["fay"])
    page = " ".join(
        signed_in(people["fay"]).get(reverse("admin:intents_intent_change", args=[intent.pk])).content.decode().split()
    )
    assert "You voted to approve this" in page and "Take my vote back" in page and "1 of 2 given" in page
    assert "<bdi>finn</bdi>" in page and "<bdi>lena</bdi>" in page


def test_what_is_all_given_again_is_finished_by_the_next_approval(people):
    intent = asks("{all_of: [{group: finance, count: 2}]}")
    approve(intent, people["fay"])
    groups = list(people["fay"].groups.all())
    people["fay"].groups.clear()
    approve(intent, people["finn"])
    assert status(intent) == Status.PENDING_APPROVAL
    people["fay"].groups.set(groups)
    assert ids_waiting_for(people["flo"]) == (intent.pk,)
    approve(intent, people["flo"])
    assert status(intent) == Status.APPROVED


def test_what_can_no_longer_be_met_in_its_order_says_so(people, signed_in):
    people["sam"].groups.add(*people["fay"].groups.all())
    intent = asks("{all_of: [{group: finance}, {group: security}], order: listed}")
    address = reverse("admin:intents_intent_change", args=[intent.pk])
    assert "nobody can meet this" not in signed_in(people["fay"]).get(address).content.decode()
    approve(intent, people["sam"])
    assert "nobody can meet this" in signed_in(people["fay"]).get(address).content.decode()


def test_as_many_reject_as_policy_says_before_that_ends_it(people):
    intent = asks("{all_of: [{group: finance, count: 2}], rejections: 2}")
    given = reject(intent, people["fay"])
    assert status(intent) == Status.PENDING_APPROVAL
    withdraw(given, by=people["fay"])
    reject(intent, people["finn"])
    assert status(intent) == Status.PENDING_APPROVAL
    reject(intent, people["fay"])
    assert status(intent) == Status.REJECTED


def test_a_rejection_that_does_not_end_it_fills_no_seat_and_stops_nobody(people):
    intent = asks("{all_of: [{group: finance, count: 2}], rejections: 2}")
    reject(intent, people["fay"])
    with pytest.raises(Problem, match="already voted"):
        approve(intent, people["fay"])
    assert ids_waiting_for(people["fay"]) == () and ids_waiting_for(people["flo"]) == (intent.pk,)
    approve(intent, people["finn"])
    approve(intent, people["flo"])
    assert status(intent) == Status.APPROVED


def test_the_page_names_who_can_still_meet_what_is_missing(people, signed_in):
    intent = asks(LISTED)
    address = reverse("admin:intents_intent_change", args=[intent.pk])
    page = " ".join(signed_in(people["ann"]).get(address).content.decode().split())
    assert "It is not your turn yet: finance must agree first. You can reject it now." in page
    assert 'value="approve" disabled' in page
    assert "once <bdi>finance</bdi> agreed: <b>you</b>" in page
    assert "2 of finance, then 1 of accounts" in page
    approve(intent, people["fay"])
    page = signed_in(people["flo"]).get(address).content.decode()
    assert "1 of 3 given" in page and 'value="approve" disabled' not in page


def test_the_api_says_what_is_missing_and_to_people_who_could(people, client):
    intent = asks(EITHER)
    viewer = make_user("vera", "reviewers")
    client.force_login(viewer)

    def read() -> dict:
        return client.get(f"/api/v1/intents/{intent.pk}").json()["requirement"]

    asked = read()
    assert asked["received"] == 0
    assert asked["missing"] == [
        {"group": "security", "count": 1},
        {"group": "legal", "count": 1, "instead": "2 of finance"},
    ]
    assert asked["could"] == {"security": ["sam"], "finance": ["fay", "finn", "flo"], "legal": ["lena"]}
    approve(intent, people["lena"])
    asked = read()
    assert (asked["received"], asked["missing"]) == (1, [{"group": "security", "count": 1}])


def test_an_agent_reads_what_is_missing_and_no_names(people, key, client):
    load_policy(
        f"name: strict\nmatch: {{actions: [a.b]}}\nrules: [{{id: all, effect: require_approval, approval: {LISTED}}}]\n"
    )
    head = {"authorization": f"Bearer {key}"}
    body = {"action": "a.b", "payload": {}}
    made = client.post("/api/v1/intents", body, content_type="application/json", headers=head).json()
    read = client.get(f"/api/v1/intents/{made['id']}", headers=head).json()
    for asked in (made["requirement"], read["requirement"]):
        assert asked["received"] == 0 and "could" not in asked
        assert asked["missing"] == [
            {"group": "accounts", "count": 1, "after": ["finance"]},
            {"group": "finance", "count": 2},
        ]
