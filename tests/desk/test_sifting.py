"""Views, filters and the dense table of the desk."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import clock
from intents import sweeping
from intents.models import Intent
from reviews.decisions import decide
from tests.factories import load_policy, make_agent, make_intent, make_user, time_passes

FINANCE = """
name: money
match: {actions: [stripe.refund]}
rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance}, {group: reviewers}]}}]
"""


@pytest.fixture
def waiting(key) -> dict[str, Intent]:
    load_policy(FINANCE)
    other = make_agent("other-agent")[1]
    return {
        "refund": make_intent(key, payload={"note": "Straße 5"}, value={"amount": "120.00", "currency": "EUR"}),
        "large": make_intent(other, payload={"n": 1}, value={"amount": "90000.00", "currency": "USD"}),
        "mail": make_intent(other, action="email.send", payload={"to": "a@example.com"}),
    }


def shown(client, query: str) -> set[str]:
    answer = client.get(f"/admin/?{query}")
    assert answer.status_code == 200, query
    return {line.card.intent.pk for line in answer.context["desk"].lines}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"refund", "large", "mail"}),
        ("agent=billing-agent", {"refund"}),
        ("agent=nobody-knows", set()),
        ("action=email.send", {"mail"}),
        ("risk=critical&agent=billing-agent", set()),
        ("group=finance", {"refund", "large"}),
        ("least=100", {"refund", "large"}),
        ("least=100&most=200", {"refund"}),
        ("currency=USD", {"large"}),
        ("age=1h", set()),
        ("q=example.com", {"mail"}),
        ("q=stra%C3%9Fe", {"refund"}),
        ("q=Stra%C3%9Fe", {"refund"}),
        ("q=other-", {"large", "mail"}),
        ("least=1e999", {"refund", "large", "mail"}),
        ("least=1e40", set()),
        ("least=abc", {"refund", "large", "mail"}),
        ("risk=nonsense", {"refund", "large", "mail"}),
        ("age=nonsense", {"refund", "large", "mail"}),
        (f"q={'x' * 5000}", {"refund", "large", "mail"}),
        ("page=9999999999999999999999", {"refund", "large", "mail"}),
        ("tab=nonsense", {"refund", "large", "mail"}),
    ],
)
def test_filters_leave_what_they_say_and_what_cannot_be_read_leaves_everything(signed_in, rita, waiting, query, found):
    assert shown(signed_in(rita), query) == {waiting[name].pk for name in found}


def test_a_filter_that_cannot_be_read_says_so_beside_its_field(signed_in, rita, waiting):
    page = signed_in(rita).get("/admin/?least=abc").content.decode()

    assert "Enter a number." in page


def test_an_id_is_found_by_itself(signed_in, rita, waiting):
    assert shown(signed_in(rita), f"q={waiting['mail'].pk}") == {waiting["mail"].pk}


def test_an_old_one_is_found_by_its_age(signed_in, rita, waiting):
    old = waiting["mail"]
    Intent.objects.filter(pk=old.pk).update(created_at=clock.now() - timedelta(hours=2))

    assert shown(signed_in(rita), "age=1h") == {old.pk}


def test_choices_say_how_many_there_are(signed_in, rita, waiting):
    page = signed_in(rita).get("/admin/").content.decode()

    assert "other-agent (2)" in page and "stripe.refund (2)" in page


def test_nothing_left_says_what_to_do(signed_in, rita, waiting):
    page = signed_in(rita).get("/admin/?agent=nobody-knows").content.decode()

    assert "Nothing of this kind" in page and "Show everything" in page


def test_my_groups_keep_what_i_voted_on_and_what_i_may_not_decide(signed_in, rita, waiting):
    rita.groups.create(name="finance")
    decide(waiting["refund"].pk, by=rita, vote="approve", digest=waiting["refund"].digest)
    client = signed_in(rita)

    assert waiting["refund"].pk not in shown(client, "tab=mine")
    assert waiting["refund"].pk in shown(client, "tab=groups")
    assert shown(signed_in(make_user("fred", "finance")), "tab=groups") == {waiting["refund"].pk, waiting["large"].pk}


def test_about_to_expire_lists_what_ends_within_a_quarter_of_an_hour(signed_in, rita, key, waiting):
    soon = make_intent(key, payload={"soon": 1}, expires_in="10m")
    sooner = make_intent(key, payload={"sooner": 1}, expires_in="5m")

    answer = signed_in(rita).get("/admin/?tab=soon")

    assert [line.card.intent.pk for line in answer.context["desk"].lines] == [sooner.pk, soon.pk]


STEPS = """
name: slow
match: {actions: [slow.thing]}
rules:
  - id: all
    effect: require_approval
    approval:
      all_of: [{group: reviewers}]
      escalation: [{after: 10m, do: remind}, {after: 30m, do: escalate, to: [finance]}]
"""


def test_escalated_lists_what_was_handed_on_to_others(signed_in, rita, key, waiting):
    client = signed_in(rita)
    assert "Escalated" not in client.get("/admin/").content.decode()
    load_policy(STEPS)
    late, fresh = make_intent(key, action="slow.thing"), make_intent(key, action="slow.thing", payload={"n": 2})
    reminded = make_intent(key, action="slow.thing", payload={"m": 3})
    time_passes(late, minutes=31)
    time_passes(reminded, minutes=11)
    sweeping.sweep()
    assert Intent.objects.get(pk=reminded.pk).steps_taken == 1

    answer = client.get("/admin/?tab=escalated")

    assert [line.card.intent.pk for line in answer.context["desk"].lines] == [late.pk]
    assert "tab=escalated" in client.get("/admin/").content.decode()
    assert shown(client, "tab=mine") >= {fresh.pk, late.pk}
    assert shown(signed_in(make_user("otto", "auditors-of-nothing")), "tab=escalated") == set()


def test_who_may_not_see_all_intents_sees_no_others_in_any_view(signed_in, waiting):
    client = signed_in(make_user("fred", "finance"))

    for tab in ("mine", "groups", "escalated", "soon", "all", "person", "decided"):
        assert waiting["mail"].pk not in shown(client, f"tab={tab}&q=example.com")
        assert waiting["mail"].pk not in shown(client, f"tab={tab}")


def test_the_table_is_kept_in_the_browser_and_only_by_post(signed_in, rita, waiting):
    client = signed_in(rita)
    client.get("/admin/desk-view/?view=table")
    assert "zhv-rows" not in client.get("/admin/").content.decode()

    answer = client.post("/admin/desk-view/", {"view": "table", "query": "tab=all&q=https://evil.example"})

    assert answer["Location"] == "/admin/?tab=all&q=https%3A%2F%2Fevil.example"
    page = client.get("/admin/").content.decode()
    assert "zhv-rows" in page and waiting["mail"].pk in page
    client.post("/admin/desk-view/", {"view": "cards", "query": "//evil.example"})
    assert "zhv-rows" not in client.get("/admin/").content.decode()


def test_pages_keep_the_filters(signed_in, rita, key):
    for number in range(30):
        make_intent(key, payload={f"n{number}": number})

    page = signed_in(rita).get("/admin/?agent=billing-agent").content.decode()

    assert 'rel="next" href="?agent=billing-agent&amp;page=2"' in page


@pytest.mark.parametrize("tab", ["groups", "escalated", "soon", "mine&q=a&risk=medium&group=reviewers&age=5m&least=1"])
def test_every_view_and_filter_stays_within_twenty_queries(signed_in, rita, waiting, tab):
    client = signed_in(rita)
    client.get("/admin/")
    with CaptureQueriesContext(connection) as captured:
        client.get(f"/admin/?tab={tab}")
    assert len(captured) <= 20
