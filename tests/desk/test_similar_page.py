"""What people said of similar intents: the nearest first, each told why, for whoever sees all intents."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from intents import cancelling, reading
from intents.models import Intent
from reviews.decisions import decide, withdraw
from reviews.similar_decisions import SHOWN, similar_decisions
from tests.factories import ARRANGER, load_policy, make_intent, make_user

EURO = "EUR"
TWO = """
name: two
match: {actions: [stripe.refund]}
rules: [{id: all, effect: require_approval, approval: {all_of: [{group: reviewers, count: 2}]}}]
"""


def refund(key: str, amount: str, *, target: str = "ch_1", **more: Any) -> Intent:
    return make_intent(key, target=target, value={"amount": amount, "currency": EURO}, **more)


def voted(intent: Intent, by: Any, vote: str = "approve", **more: Any) -> Intent:
    decide(intent.pk, by=by, vote=vote, digest=intent.digest, rationale=more.pop("rationale", ""), **more)
    return intent


def test_the_nearest_stand_first_and_say_what_they_share(rita, key):
    far = voted(refund(key, "9000.00", target="ch_9"), rita)
    near = voted(refund(key, "110.00"), rita, "reject", rationale="Twice already.", ground="duplicate")
    twin = voted(refund(key, "100.00", records=3), rita)
    refund(key, "100.00", target="ch_7")  # nobody decided about it

    found = similar_decisions(refund(key, "100.00", context={"again": True}), rita)

    assert [one.intent_id for one in found] == [twin.pk, near.pk, far.pk]
    assert found[0].shares == "same target, same amount, same agent, same people asked"
    assert found[1].shares == "same target, about the same amount, same agent, same people asked"
    assert found[2].shares == "same agent, same people asked"
    rejected = found[1].votes[0]
    assert (rejected.label, str(rejected.by), rejected.ground) == (
        "Rejected",
        "<bdi>rita</bdi>",
        "Done or asked already",
    )
    assert "Twice already." in rejected.rationale


def test_other_actions_later_ones_and_votes_taken_back_are_left_out(rita, key):
    load_policy(TWO)
    voted(make_intent(key, action="other.thing"), rita)
    taken_back = voted(refund(key, "100.00"), rita)
    withdraw(taken_back.decisions.get(), by=rita)
    cancelling.cancel(taken_back, by=ARRANGER, reason="no longer wanted")
    this = refund(key, "100.00", context={"b": 1})
    voted(refund(key, "100.00", context={"later": 1}), rita, "reject", rationale="no", ground="other")

    assert similar_decisions(this, rita) == []


def test_of_many_a_few_are_shown_in_two_queries(rita, key):
    for number in range(SHOWN + 4):
        voted(refund(key, f"{100 + number}.00"), rita)
    this = refund(key, "100.00", context={"b": 1})
    assert reading.sees_all(rita)  # which a request knows by then

    with CaptureQueriesContext(connection) as queries:
        found = similar_decisions(this, rita)

    assert len(found) == SHOWN and found[0].shares.startswith("same target, same amount")
    assert len(queries) == 2, [query["sql"] for query in queries]


@pytest.mark.parametrize("by_htmx", [True, False])
def test_the_page_shows_it_harmless_and_only_to_who_sees_all_intents(signed_in, rita, key, by_htmx):
    voted(refund(key, "100.00", target="<b>ch\u202e"), rita, "reject", rationale="<i>no</i>", ground="other")
    this = refund(key, "100.00", context={"b": 1})
    address = f"/admin/intents/intent/{this.pk}/similar/"
    headers = {"HX-Request": "true"} if by_htmx else {}

    page = signed_in(rita).get(address, headers=headers)
    html = page.content.decode()

    assert page.status_code == 200 and ("<html" in html) is not by_htmx
    assert "&lt;b&gt;ch" in html and "U+202E" in html and "&lt;i&gt;no&lt;/i&gt;" in html
    assert signed_in(make_user("stranger")).get(address, headers=headers).status_code == 403


def test_who_only_fills_a_seat_reads_of_this_one_and_of_no_other(signed_in, rita, key):
    voted(refund(key, "100.00"), rita)
    this = refund(key, "100.00", context={"b": 1})
    Group.objects.get(name="reviewers").permissions.clear()

    client = signed_in(make_user("sara", "reviewers"))

    assert "zhv-similar" not in client.get(f"/admin/intents/intent/{this.pk}/change/").content.decode()
    assert client.get(f"/admin/intents/intent/{this.pk}/similar/").status_code == 403


def test_where_nobody_decided_before_it_says_so(signed_in, rita, key):
    this = refund(key, "100.00")
    html = signed_in(rita).get(f"/admin/intents/intent/{this.pk}/similar/").content.decode()
    assert "Nobody has decided about this action before." in html


def test_a_vote_on_what_was_changed_afterwards_is_marked(rita, key):
    load_policy(TWO)
    intent = voted(refund(key, "10.00"), rita)
    other = make_user("ravi", "reviewers")
    changes = [{"op": "replace", "path": "/amount", "value": "9.00"}]
    voted(intent, other, changes=changes, rationale="less", ground="wrong_amount")
    cancelling.cancel(intent, by=ARRANGER, reason="enough")

    (found,) = similar_decisions(refund(key, "10.00", context={"b": 1}), rita)

    assert [(vote.label, vote.outdated) for vote in found.votes] == [
        ("Approved", True),
        ("Changed and approved", False),
    ]
