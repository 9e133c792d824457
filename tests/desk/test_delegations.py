"""The pages of delegations, and what a delegate sees of the delegator's intents."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit import clock
from audit.models import Event
from intents.models import Intent
from reviews.delegation import Ceiling, revoke, scope_of
from reviews.models import Decision, Delegation, NotificationSettings
from tests.desk.test_queue import TWO_GROUPS
from tests.factories import load_policy, make_agent, make_delegation, make_intent, make_user

ADD = "admin:reviews_delegation_add"
LIST = "admin:reviews_delegation_changelist"


LATE, TOO_LATE = ((timezone.now() + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M") for days in (363, 367))


def plain(page: str) -> str:
    return " ".join(page.replace("<bdi>", "").replace("</bdi>", "").split())


def typed(**members: str) -> dict[str, str]:
    until = (timezone.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    return {"delegate": "dora", "until": until, "reason": "I am at a fair", **members}


@pytest.fixture
def dora() -> User:
    """Somebody who may enter the admin, with no role and no seat."""
    return make_user("dora")


def intent_page(intent: Intent) -> str:
    return reverse("admin:intents_intent_change", args=[intent.pk])


def form_of(client, intent: Intent) -> dict[str, str]:
    shown = client.get(intent_page(intent)).context
    return {
        "digest": shown["page"].digest,
        "opened": shown["opened"],
        "verdict_digest": intent.verdict_digest,
        "requirement_digest": intent.requirement_digest,
        "vote": "approve",
    }


# --- making and revoking ---------------------------------------------------------------------------------------------


def test_a_delegation_is_made_on_its_page_and_is_on_record(signed_in, rita, dora):
    client = signed_in(rita)
    NotificationSettings.objects.create(person=rita, time_zone="Europe/Berlin")
    answer = client.post(reverse(ADD), typed(actions="stripe.*, email.send", amount="100", currency="eur"))

    made = Delegation.objects.get()
    assert answer.status_code == 302
    assert (made.delegator, made.delegate, made.reason) == (rita, dora, "I am at a fair")
    assert scope_of(made) == "stripe.*, email.send up to 100.00 EUR"
    event = Event.objects.get(type="delegation.made")
    facts = json.loads(event.line)["facts"]
    assert (event.actor_name, facts["delegator"], facts["delegate"]) == ("rita", rita.pk, dora.pk)
    assert "I am at a fair" not in event.line
    assert made.history.count() == 1
    shown = plain(client.get(reverse("admin:reviews_delegation_change", args=[made.pk])).content.decode())
    assert "dora for rita" in shown and "stripe.*, email.send up to 100.00 EUR" in shown


def test_times_are_those_of_the_persons_time_zone(signed_in, rita, dora):
    NotificationSettings.objects.create(person=rita, time_zone="Asia/Tokyo")
    end = (timezone.now() + timedelta(days=3)).replace(hour=18, minute=0, second=0, microsecond=0)

    signed_in(rita).post(reverse(ADD), typed(until=end.strftime("%Y-%m-%dT%H:%M")))

    assert Delegation.objects.get().ends_at == end - timedelta(hours=9)


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"delegate": "nobody"}, "no active person"),
        ({"delegate": "rita"}, "That is you"),
        ({"delegate": "gone"}, "no active person"),
        ({"delegate": "ada"}, "gives out seats"),
        ({"until": ""}, "Say until when"),
        ({"until": "tomorrow"}, "Write a day and a time"),
        ({"until": "2020-01-01T00:00"}, "over already"),
        ({"until": "2199-01-01T00:00"}, "within 90 days"),
        ({"since": "2199-01-01T00:00"}, "end before it begins"),
        ({"since": "2500-01-01T00:00", "until": "2500-02-01T00:00"}, "a beginning within a year"),
        ({"since": "9999-12-01T00:00", "until": "9999-12-31T23:59"}, "a beginning within a year"),
        ({"since": LATE, "until": TOO_LATE}, "an end within a year"),
        ({"reason": " "}, "Say why"),
        ({"reason": "\u200b"}, "Say why"),
        ({"actions": "größer"}, "no name of an action"),
        ({"amount": "1e9", "currency": "EUR"}, "Write the ceiling"),
        ({"amount": "-5", "currency": "EUR"}, "Write the ceiling"),
        ({"amount": "5"}, "three letters"),
        ({"away": "on", "actions": "a.b"}, "about everything"),
    ],
)
def test_what_cannot_be_is_refused_with_what_was_typed_still_there(signed_in, rita, dora, members, complaint):
    make_user("gone", is_active=False)
    make_user("ada", "administrators")
    # West of Greenwich the last day ends after the end of time.
    NotificationSettings.objects.create(person=rita, time_zone="America/New_York")

    answer = signed_in(rita).post(reverse(ADD), typed(**members))

    assert answer.status_code in (409, 422)
    assert complaint in answer.content.decode()
    if "reason" not in members:
        assert "I am at a fair" in answer.content.decode()
    assert not Delegation.objects.exists()


def test_reading_the_pages_stores_nothing_and_others_delegations_are_nobodys_business(signed_in, rita, dora):
    made = make_delegation(rita, dora)
    pages = [reverse(f"admin:reviews_delegation_{name}", args=[made.pk]) for name in ("change", "revoke", "history")]
    stranger = signed_in(make_user("stranger", "reviewers"))

    for address in (*pages, reverse(ADD), reverse(LIST)):
        assert signed_in(rita).get(address).status_code == 200
    for address in pages:
        assert stranger.get(address).status_code in (302, 403, 404)
    assert "dora" not in stranger.get(reverse(LIST)).content.decode()
    assert "dora for rita" in plain(signed_in(dora).get(reverse(LIST)).content.decode())
    assert Delegation.objects.get().revoked_at is None and Delegation.objects.count() == 1


@pytest.mark.parametrize(
    ("who", "may"),
    [("delegator", True), ("administrators", True), ("delegate", False), ("auditors", False), ("reviewers", False)],
)
def test_the_delegator_and_administrators_revoke_it_and_nobody_else(signed_in, rita, dora, who, may):
    made = make_delegation(rita, dora)
    person = {"delegator": rita, "delegate": dora}.get(who) or make_user("somebody", who)

    answer = signed_in(person).post(reverse("admin:reviews_delegation_revoke", args=[made.pk]))

    made.refresh_from_db()
    assert (made.revoked_at is not None) == may
    assert Event.objects.filter(type="delegation.revoked").count() == may
    assert answer.status_code == (302 if may else 403 if who != "reviewers" else answer.status_code)


def test_nobody_is_away_twice_at_the_same_time(signed_in, rita, dora):
    make_delegation(rita, dora, away=True)

    answer = signed_in(rita).post(reverse(ADD), typed(away="on"))

    assert answer.status_code == 409 and "away at that time already" in answer.content.decode()
    assert Delegation.objects.count() == 1


def test_out_of_office_is_said_where_one_looks_for_it(signed_in, rita, dora):
    client = signed_in(rita)
    assert "Name a deputy" in client.get(reverse("admin:notifications")).content.decode()

    client.post(reverse(ADD), typed(away="on", reason=""))

    assert Delegation.objects.get().reason == "Out of office"
    assert "dora is told what waits, and you are not" in plain(
        client.get(reverse("admin:notifications")).content.decode()
    )


# --- what a delegate sees --------------------------------------------------------------------------------------------


def test_what_waits_for_the_delegator_stands_on_the_delegates_desk_with_for_whom(signed_in, rita, dora, key):
    make_delegation(rita, dora)
    intent = make_intent(key)
    client = signed_in(dora)

    for address in ("/admin/", "/admin/?tab=groups"):
        page = plain(client.get(address).content.decode())
        assert intent.pk in page and "for rita</span>" in page
    assert client.get("/admin/follow/").json()["mine"] == 1
    assert "for rita</span>" not in plain(signed_in(rita).get("/admin/").content.decode())


def test_a_delegate_decides_on_the_page_and_is_told_for_whom(signed_in, rita, dora, key):
    make_delegation(rita, dora)
    intent = make_intent(key)
    client = signed_in(dora)

    page = plain(client.get(intent_page(intent)).content.decode())
    assert "You decide <b>for rita</b>" in page
    assert '<input type="hidden" name="delegator" value="rita">' in page
    answer = client.post(f"/admin/intents/intent/{intent.pk}/decide/", form_of(client, intent) | {"delegator": "rita"})

    assert answer.status_code == 302
    assert Decision.objects.get().who == "dora for rita"
    shown = plain(signed_in(rita).get(intent_page(intent)).content.decode())
    assert "<b>dora</b> for <b>rita</b>" in shown and "dora for rita ✓" in shown


def test_who_stands_in_for_several_chooses_for_whom(signed_in, rita, dora, key):
    make_delegation(rita, dora)
    make_delegation(make_user("rolf", "reviewers"), dora)
    intent = make_intent(key)
    client = signed_in(dora)
    form = form_of(client, intent)

    assert "For whom?" in client.get(intent_page(intent)).content.decode()
    unsaid = client.post(f"/admin/intents/intent/{intent.pk}/decide/", form | {"delegator": ""})
    assert unsaid.status_code == 409 and "Say for whom you decide" in unsaid.content.decode()
    client.post(f"/admin/intents/intent/{intent.pk}/decide/", form | {"delegator": "rolf"})

    assert Decision.objects.get().delegator_name == "rolf"


def test_a_page_that_was_opened_before_the_delegation_was_revoked_decides_nothing(signed_in, rita, dora, key):
    made = make_delegation(rita, dora)
    rita_too = make_user("rolf", "reviewers")
    make_delegation(rita_too, dora)
    intent = make_intent(key)
    client = signed_in(dora)
    form = form_of(client, intent) | {"delegator": "rita"}
    revoke(made, by=rita)

    answer = client.post(f"/admin/intents/intent/{intent.pk}/decide/", form)

    assert answer.status_code == 403 and "not any more" in answer.content.decode()
    assert not Decision.objects.exists()


def test_a_delegate_opens_what_the_delegation_gives_a_say_in_and_nothing_more(signed_in, rita, dora, key):
    before = make_intent(key, payload={"n": 1}, value={"amount": "50.00", "currency": "EUR"})
    Intent.objects.filter(pk=before.pk).update(status="rejected", decided_at=clock.now())
    lapsed = make_intent(key, payload={"n": 2}, value={"amount": "50.00", "currency": "EUR"})
    Intent.objects.filter(pk=lapsed.pk).update(status="expired")
    made = make_delegation(rita, dora, actions=["stripe.*"], ceiling=Ceiling("100", "EUR"))
    inside = make_intent(key, value={"amount": "50.00", "currency": "EUR"})
    owned = make_intent(make_agent(owner=rita)[1], value={"amount": "50.00", "currency": "EUR"})
    other = make_intent(key, action="email.send")
    client = signed_in(dora)

    def opens(intent: Intent) -> bool:
        return client.get(intent_page(intent)).status_code == 200

    assert [opens(each) for each in (inside, before, lapsed, owned, other)] == [True, False, False, False, False]
    assert client.get("/admin/intents/intent/").status_code in (302, 403)
    listed = client.get("/admin/?tab=groups").content.decode()
    assert inside.pk in listed and owned.pk not in listed and other.pk not in listed
    revoke(made, by=rita)
    assert not opens(inside)


def test_a_vote_whose_delegation_is_over_is_shown_as_what_it_is(signed_in, rita, dora, key):
    load_policy(TWO_GROUPS)
    fiona = make_user("fiona", "finance")
    made = make_delegation(fiona, dora)
    intent = make_intent(key)
    client = signed_in(dora)
    client.post(f"/admin/intents/intent/{intent.pk}/decide/", form_of(client, intent))
    revoke(made, by=fiona)

    page = plain(signed_in(rita).get(intent_page(intent)).content.decode())
    assert "the delegation is over: no longer counts" in page and "0 of 2 given" in page


@pytest.mark.parametrize("scoped", [False, True])
@pytest.mark.parametrize("tab", ["mine", "groups", "all"])
def test_the_desk_of_a_delegate_costs_twenty_queries_and_one_more_within_a_scope(signed_in, key, tab, scoped):
    load_policy(TWO_GROUPS)
    fiona, sam = make_user("fiona", "finance"), make_user("sam", "security", email="sam@example.com")
    make_user("sam-2", "security", email="sam@example.com")
    dora = make_user("dora", "reviewers")
    scope = {"actions": ["stripe.*"], "ceiling": Ceiling("100", "EUR")} if scoped else {"away": True}
    make_delegation(fiona, dora, **scope)
    make_delegation(sam, dora)
    emil = make_user("emil")
    make_delegation(sam, emil)
    intents = [
        make_intent(key, payload={"n": n}, value={"amount": "50", "currency": "EUR"}, on_behalf_of="carol")
        for n in range(3)
    ]
    emil_client = signed_in(emil)
    emil_client.post(
        f"/admin/intents/intent/{intents[0].pk}/decide/", form_of(emil_client, intents[0]) | {"typed": "50.00 EUR"}
    )
    client = signed_in(dora)
    for address in (f"/admin/?tab={tab}", intent_page(intents[1]), intent_page(intents[0])):
        client.get(address)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address).status_code == 200
        assert len(captured) <= 20 + scoped, (address, len(captured))
