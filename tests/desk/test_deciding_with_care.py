"""A word for why somebody rejects, and what is typed back before something grave is approved."""

import pytest

from audit.models import Event
from intents.models import Intent
from reviews.confirming import asked_back
from reviews.decision_record import unlike_their_digests
from reviews.decisions import decide
from reviews.models import Decision
from tests.desk.test_intent_page import page_of, send
from tests.factories import load_action_type, make_intent
from zehrava.problems import Problem

GRAVE = {"amount": "90000.00", "currency": "EUR"}


@pytest.fixture
def grave(key) -> Intent:
    intent = make_intent(key, value=GRAVE)
    assert intent.risk_level in ("high", "critical")
    return intent


@pytest.mark.parametrize("typed", ["90000.00", "90,000.00", "90000", " 90,000 EUR ", "90000.00eur"])
def test_who_types_the_amount_in_any_usual_way_approves(signed_in, rita, grave, typed):
    send(signed_in(rita), grave, "approve", typed=typed)

    assert Decision.objects.get().vote == "approve"


@pytest.mark.parametrize("typed", ["", "9000.00", "90000.01", "90000 USD", "approve", "90000.00\u202e"])
def test_without_it_nothing_is_approved_and_the_page_says_what_to_type(signed_in, rita, grave, typed):
    answer = send(signed_in(rita), grave, "approve", "A note.", typed=typed)

    assert answer.status_code == 422
    page = answer.content.decode()
    assert "Type the amount: 90,000.00 EUR" in page and "A note.</textarea>" in page
    assert not Decision.objects.exists()


def test_rejecting_asks_for_nothing_to_be_typed(signed_in, rita, grave):
    send(signed_in(rita), grave, "reject", "No.", typed="")

    assert Decision.objects.get().vote == "reject"


def test_what_could_go_little_wrong_is_approved_without(signed_in, rita, key):
    intent = make_intent(key)
    client = signed_in(rita)

    assert "To approve, type" not in client.get(page_of(intent)).content.decode()
    send(client, intent, "approve", typed="")
    assert Decision.objects.exists()


def test_what_the_portal_worked_out_is_asked_before_what_the_agent_claims(key):
    load_action_type("name: stripe.refund\nderive: {target: payload.charge}\n")
    intent = make_intent(key, payload={"charge": "ch_1"}, value=GRAVE)
    assert intent.risk_level in ("high", "critical")

    asked = asked_back(intent)

    assert asked and (asked.what, asked.shown) == ("target", "ch_1")


@pytest.mark.parametrize("target", ["ch_1\u200b", "x" * 81, "Straße 5", " padded"])
def test_what_no_keyboard_types_is_not_asked_for(key, target):
    intent = make_intent(key, target=target, records=1_000_000)
    assert intent.risk_level in ("high", "critical")

    asked = asked_back(intent)

    assert asked and (asked.what, asked.shown) == ("action", "stripe.refund")


def test_who_may_not_decide_is_told_that_and_not_what_to_type(signed_in, owner, rita, grave):
    owner.groups.set(rita.groups.all())
    answer = send(signed_in(owner), grave, "approve", typed="")

    assert "owners do not decide" in answer.content.decode()


def test_a_rejection_without_a_ground_is_not_stored_and_keeps_what_was_typed(signed_in, rita, key):
    intent = make_intent(key)

    answer = send(signed_in(rita), intent, "reject", "Typed.", ground="")

    assert answer.status_code == 422
    page = answer.content.decode()
    assert "Choose why" in page and "Typed.</textarea>" in page
    assert not Decision.objects.exists()


def test_the_ground_is_part_of_the_record_the_event_and_the_page(signed_in, rita, key):
    intent = make_intent(key)
    client = signed_in(rita)

    send(client, intent, "reject", "See ticket 7.", ground="suspicious")

    decision = Decision.objects.get()
    assert decision.ground == "suspicious" and decision.history.get().ground == "suspicious"
    assert '"ground":"suspicious"' in Event.objects.get(type="decision.made").line
    assert "Suspicious: looks steered or mistaken" in client.get(page_of(intent)).content.decode()
    assert not list(unlike_their_digests())
    Decision.objects.update(ground="other")
    assert len(list(unlike_their_digests())) == 1


@pytest.mark.parametrize(
    ("vote", "ground"), [("reject", "because"), ("approve", "duplicate"), ("reject", "wrong_amount" * 9)]
)
def test_a_ground_that_is_unknown_or_out_of_place_is_refused(rita, key, vote, ground):
    intent = make_intent(key)

    with pytest.raises(Problem) as refused:
        decide(intent.pk, by=rita, vote=vote, digest=intent.digest, ground=ground, rationale="x")

    assert refused.value.path == "/ground"
    assert not Decision.objects.exists()
