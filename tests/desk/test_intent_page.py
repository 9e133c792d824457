"""One intent: what a reviewer reads, and what the buttons do."""

import re

import pytest
from django.urls import reverse

from audit.models import Event
from intents.models import Execution, Intent, Status
from reviews import confirming, presentation
from reviews.models import Decision
from tests.factories import load_action_type, load_policy, make_agent, make_intent, make_user, run_by_noop

REFUND = """
name: stripe.refund
title: Refund a charge
derive: {value: {amount: payload.amount, currency: payload.currency}, target: payload.charge}
present:
  title: "Refund {payload.amount} {payload.currency}"
  fields: [{path: payload.amount, label: Money back, as: money}, {path: payload.missing, label: Nowhere}]
  reversible: false
"""
TWO_SEATS = """
name: seats
match: {actions: ["*"]}
rules:
  - id: two
    effect: require_approval
    reason: "two people look"
    approval: {all_of: [{group: reviewers, count: 2}]}
"""


def page_of(intent: Intent) -> str:
    return reverse("admin:intents_intent_change", args=[intent.pk])


def form_of(response) -> dict[str, str]:
    """The hidden fields that the page rendered, as a browser would send them back."""
    html = response.content.decode()
    return dict(re.findall(r'<input type="hidden" name="(\w*digest|opened)" value="([^"]*)"', html))


def send(client, intent: Intent, vote: str, rationale: str = "", **changes: str):
    """Send the form as somebody does who read it: with a ground to reject, with what is to be typed to approve."""
    form = form_of(client.get(page_of(intent)))
    asked = confirming.asked_back(intent)
    said = {"ground": "duplicate"} if vote == "reject" else {"typed": asked.shown if asked else ""}
    sent = {**form, "vote": vote, "rationale": rationale, **said, **changes}
    return client.post(f"{page_of(intent)[:-7]}decide/", sent)


def test_the_whole_payload_is_there_whatever_the_action_type_chooses_to_show(signed_in, rita, key):
    load_action_type(REFUND)
    payload = {
        "amount": "4980.00",
        "currency": "EUR",
        "charge": "ch_1",
        "deep": {"list": [1, {"a": None}, ""], "z": True},
    }
    intent = make_intent(key, payload=payload, value={"amount": "1.00", "currency": "EUR"})

    html = signed_in(rita).get(page_of(intent)).content.decode()

    for words in ("Refund 4980.00 EUR", "Money back", "4,980.00", "not given", "cannot be undone"):
        assert words in html
    for leaf in ("deep", "list", "null", "true", "empty text", "ch_1"):
        assert leaf in html
    assert "derived from the payload" in html
    assert "the agent claimed <bdi>1.00 EUR</bdi>" in html
    assert intent.digest in html


def test_hostile_text_is_drawn_and_never_markup(signed_in, rita, key):
    trap = "<script>alert(1)</script>\u202etxet\u200b"
    intent = make_intent(
        key, payload={trap: [trap]}, summary=trap, context={trap: trap}, target=trap, tags=[trap], on_behalf_of=trap
    )

    for address in (page_of(intent), "/admin/", "/admin/intents/intent/", f"{page_of(intent)[:-7]}history/"):
        html = signed_in(rita).get(address).content.decode()
        assert "<script>alert" not in html
        assert "\u202e" not in html and "\u200b" not in html
    html = signed_in(rita).get(page_of(intent)).content.decode()
    assert html.count("U+202E") >= 7


def test_floods_of_blank_lines_and_spaces_push_nothing_out_of_sight(signed_in, rita, key):
    intent = make_intent(key, payload={"note": "fine" + "\n" * 400 + " " * 300 + "not fine"})

    html = signed_in(rita).get(page_of(intent)).content.decode()

    assert "400 line feeds" in html and "300 spaces" in html and "not fine" in html


def test_a_huge_payload_is_shown_whole_and_its_raw_text_has_a_page_of_its_own(signed_in, rita, key):
    intent = make_intent(key, payload={"first": "begin", "long": "x\u202e" * 40_000, "zzz": "the very end"})
    client = signed_in(rita)

    html = client.get(page_of(intent)).content.decode()
    raw = client.get(f"{page_of(intent)[:-7]}raw/").content.decode()

    assert html.count("U+202E") == 40_000 and "the very end" in html
    assert f"{page_of(intent)[:-7]}raw/" in html
    assert raw.count("U+202E") == 40_000 and "&quot;zzz&quot;:&quot;the very end&quot;" in raw


def test_an_approval_is_bound_to_what_was_rendered_and_leads_back_to_the_desk(signed_in, rita, key):
    intent = make_intent(key)
    client = signed_in(rita)

    response = send(client, intent, "approve", "Looks right.")

    assert response.status_code == 302 and response.url == "/admin/"
    decision = Decision.objects.get()
    assert (decision.vote, decision.rationale, decision.digest) == ("approve", "Looks right.", intent.digest)
    assert Intent.objects.get().status == Status.APPROVED
    link = f'<a class="zhv-msg-link" href="{page_of(intent)}">Open it</a>'
    assert link in client.get("/admin/").content.decode()


def test_what_decides_stands_above_the_payload_and_the_outcome_above_both(signed_in, rita, key):
    intent = make_intent(key, value={"amount": "1234.50", "currency": "EUR"}, records=7)
    client = signed_in(rita)

    def order(*landmarks: str) -> list[int]:
        html = client.get(page_of(intent)).content.decode()
        return [html.index(landmark) for landmark in landmarks]

    seen = order('class="zhv-under"', "1,234.50 EUR", "7 records", "needs <bdi>1 of reviewers", 'id="h-change"')
    assert seen == sorted(seen)

    send(client, intent, "reject", "No.")
    seen = order('id="h-decisions"', 'id="h-change"')
    assert seen == sorted(seen)


def test_a_rejection_without_a_reason_is_refused_beside_the_field_and_stores_nothing(signed_in, rita, key):
    intent = make_intent(key)

    response = send(signed_in(rita), intent, "reject", "  ")

    assert response.status_code == 422
    assert "Say why you reject" in response.content.decode()
    assert not Decision.objects.exists()
    assert Intent.objects.get().status == Status.PENDING_APPROVAL


def test_a_rejection_with_a_reason_ends_the_intent_and_shows_the_reason(signed_in, rita, key):
    intent = make_intent(key)
    client = signed_in(rita)

    send(client, intent, "reject", "Second refund for the same order.")

    assert Intent.objects.get().status == Status.REJECTED
    html = client.get(page_of(intent)).content.decode()
    assert "Second refund for the same order." in html
    assert 'value="approve"' not in html


@pytest.mark.parametrize("name", ["digest", "verdict_digest", "requirement_digest", "opened"])
def test_a_stale_page_is_refused_and_keeps_what_was_typed(signed_in, rita, key, name):
    intent = make_intent(key)

    response = send(signed_in(rita), intent, "approve", "I typed this.", **{name: "sha256:" + "0" * 64})

    html = response.content.decode()
    assert response.status_code == 409
    assert "Shown version is stale" in html and "I typed this." in html
    assert not Decision.objects.exists()


@pytest.mark.parametrize("missing", ["digest", "verdict_digest", "requirement_digest", "opened"])
def test_a_form_without_a_digest_decides_nothing(signed_in, rita, key, missing):
    intent = make_intent(key)
    client = signed_in(rita)
    form = form_of(client.get(page_of(intent)))
    del form[missing]

    response = client.post(f"{page_of(intent)[:-7]}decide/", {**form, "vote": "approve"})

    assert response.status_code == 409
    assert not Decision.objects.exists()


def test_the_same_click_twice_counts_once_and_is_no_error(signed_in, rita, key):
    intent = make_intent(key)
    client = signed_in(rita)
    form = {**form_of(client.get(page_of(intent))), "vote": "approve"}
    door = f"{page_of(intent)[:-7]}decide/"

    first, second = client.post(door, form), client.post(door, form)

    assert (first.status_code, second.status_code) == (302, 302)
    assert Decision.objects.count() == 1
    assert "already recorded" in client.get("/admin/").content.decode()


def test_somebody_else_was_faster_and_nothing_typed_is_lost(signed_in, rita, key):
    intent = make_intent(key)
    ravi = signed_in(make_user("ravi", "reviewers"))
    form = form_of(ravi.get(page_of(intent)))
    send(signed_in(rita), intent, "reject", "No.")

    response = ravi.post(
        f"{page_of(intent)[:-7]}decide/", {**form, "vote": "approve", "rationale": "I had called them."}
    )

    html = response.content.decode()
    assert response.status_code == 409
    assert "Not waiting for a decision" in html and "rita" in html and "I had called them." in html
    assert Intent.objects.get().status == Status.REJECTED


def test_the_owner_sees_why_there_are_no_buttons_and_who_can_decide(signed_in, rita, owner, key):
    owner.groups.set(rita.groups.all())
    intent = make_intent(key)

    html = signed_in(owner).get(page_of(intent)).content.decode()

    assert "You own billing-agent" in html
    assert "Can decide: rita (reviewers)" in html
    assert 'name="vote"' not in html


def test_the_owner_cannot_decide_by_posting_either(signed_in, rita, owner, key):
    owner.groups.set(rita.groups.all())
    intent = make_intent(key)
    form = form_of(signed_in(rita).get(page_of(intent)))

    response = signed_in(owner).post(f"{page_of(intent)[:-7]}decide/", {**form, "vote": "approve"})

    assert response.status_code == 403
    assert not Decision.objects.exists()


def test_a_superuser_without_a_seat_decides_nothing(signed_in, rita, key):
    intent = make_intent(key)
    root = make_user("root", "administrators", is_superuser=True)
    form = form_of(signed_in(rita).get(page_of(intent)))

    html = signed_in(root).get(page_of(intent)).content.decode()
    response = signed_in(root).post(f"{page_of(intent)[:-7]}decide/", {**form, "vote": "approve"})

    assert "Only members of reviewers decide" in html
    assert response.status_code == 403
    assert not Decision.objects.exists()


def test_a_vote_can_be_taken_back_while_the_intent_is_pending(signed_in, rita, key):
    load_policy(TWO_SEATS)
    intent = make_intent(key)
    client = signed_in(rita)
    send(client, intent, "approve")
    html = client.get(page_of(intent)).content.decode()
    assert "Take my vote back" in html and "1 of 2 given" in html

    client.post(f"{page_of(intent)[:-7]}withdraw/")

    html = client.get(page_of(intent)).content.decode()
    assert "0 of 2 given" in html and "taken back" in html and 'value="approve"' in html
    assert Intent.objects.get().status == Status.PENDING_APPROVAL


def test_who_fills_a_seat_may_read_that_intent_without_any_other_permission(signed_in, key):
    load_policy(TWO_SEATS.replace("{group: reviewers, count: 2}", "{group: finance}"))
    fiona, other = make_user("fiona", "finance"), make_user("other", "elsewhere")
    intent = make_intent(key)

    assert 'value="approve"' in signed_in(fiona).get(page_of(intent)).content.decode()
    assert signed_in(fiona).get("/admin/intents/intent/").status_code == 403
    assert signed_in(other).get(page_of(intent)).status_code == 403


def test_an_operator_cancels_with_a_reason_and_not_without(signed_in, key):
    intent = make_intent(key)
    client = signed_in(make_user("otto", "operators"))
    door = f"{page_of(intent)[:-7]}cancel/"

    refused = client.post(door, {"reason": " "})
    assert refused.status_code == 422 and "Say why you cancel" in refused.content.decode()
    assert Intent.objects.get().status == Status.PENDING_APPROVAL

    client.post(door, {"reason": "The customer withdrew."})
    assert Intent.objects.get().status == Status.CANCELLED


def test_a_reviewer_who_is_no_operator_cannot_cancel(signed_in, rita, key):
    intent = make_intent(key)
    client = signed_in(rita)

    assert "Cancel this intent" not in client.get(page_of(intent)).content.decode()
    assert client.post(f"{page_of(intent)[:-7]}cancel/", {"reason": "I want to"}).status_code == 403
    assert Intent.objects.get().status == Status.PENDING_APPROVAL


@pytest.fixture
def indeterminate(rita, key, signed_in) -> Intent:
    from intents import execution, lifecycle
    from tests.factories import in_force_as

    intent = make_intent(key)
    send(signed_in(rita), intent, "approve")
    attempt, _ = execution.claim(intent.pk, agent=in_force_as(key))
    from django.db import transaction

    from intents.models import ExecutionState

    with transaction.atomic():
        locked = lifecycle.locked(intent.pk)
        attempt.intent = locked
        assert lifecycle.finish(
            locked, attempt, ExecutionState.INDETERMINATE, by=lifecycle.WORKER, result={"error": "line went dead"}
        )
    return Intent.objects.get(pk=intent.pk)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("succeeded", Status.SUCCEEDED), ("failed", Status.FAILED), ("again", Status.APPROVED)],
)
def test_an_operator_settles_what_nobody_knows_with_a_reason(signed_in, indeterminate, outcome, status):
    client = signed_in(make_user("otto", "operators"))
    html = client.get(page_of(indeterminate)).content.decode()
    assert "It may already have happened" in html and "line went dead" in html
    assert indeterminate.pk in client.get("/admin/?tab=person").content.decode()
    door = f"{page_of(indeterminate)[:-7]}resolve/"

    assert client.post(door, {"outcome": outcome, "reason": ""}).status_code == 422
    assert Intent.objects.get().status == Status.INDETERMINATE

    client.post(door, {"outcome": outcome, "reason": "Looked it up at the bank."})
    assert Intent.objects.get().status == status


def test_a_reviewer_is_told_who_settles_what_nobody_knows(signed_in, rita, indeterminate):
    client = signed_in(rita)

    assert "An operator has to find out" in client.get(page_of(indeterminate)).content.decode()
    response = client.post(f"{page_of(indeterminate)[:-7]}resolve/", {"outcome": "failed", "reason": "I think so"})
    assert response.status_code == 403
    assert Intent.objects.get().status == Status.INDETERMINATE


def test_an_altered_intent_has_no_buttons_and_says_so(signed_in, rita, key):
    intent = make_intent(key, payload={"amount": "10.00"})
    Intent.objects.filter(pk=intent.pk).update(canonical=intent.canonical.replace("10.00", "99.00"))

    html = signed_in(rita).get(page_of(intent)).content.decode()

    assert "What is stored was altered" in html
    assert 'name="vote"' not in html


def test_the_open_page_learns_of_every_change_and_of_nothing_else(signed_in, rita, key):
    run_by_noop("stripe.refund")
    intent = make_intent(key)
    client = signed_in(rita)
    follow = f"{page_of(intent)[:-7]}follow/"

    before, again = client.get(follow).json(), client.get(follow).json()
    send(client, intent, "approve")
    after = client.get(follow).json()

    assert before == again
    assert after != before
    assert Execution.objects.count() == 1


def test_the_history_shows_every_event_of_the_intent_with_who_did_it(signed_in, rita, key):
    intent = make_intent(key)
    client = signed_in(rita)
    send(client, intent, "reject", "No.")

    html = client.get(f"{page_of(intent)[:-7]}history/").content.decode()

    for event in Event.objects.filter(intent_id=intent.pk):
        assert event.type in html
    assert "intent.rejected" in html and "rita" in html and "billing-agent" in html
    assert 'decision.made <span class="zhv-pill is-red">Rejected</span>' in html


def test_the_record_of_this_agent_with_this_action_is_told_in_words_too(signed_in, rita, key):
    other = make_agent()[1]
    client = signed_in(rita)
    for number, vote in enumerate(["reject", "reject", "approve"]):
        earlier = make_intent(key, payload={"n": number}, value={"amount": f"{number + 1}0.00", "currency": "EUR"})
        send(client, earlier, vote, "Because.")
    make_intent(other, payload={"n": 9})
    intent = make_intent(key, value={"amount": "5.00", "currency": "EUR"})

    html = " ".join(client.get(page_of(intent)).content.decode().split())

    assert "Last 3: 2 rejected, 1 approved · 20.00 EUR on average" in html
    assert "oldest first: rejected, rejected, approved" in html


def test_the_page_of_one_intent_costs_at_most_twenty_queries(signed_in, rita, key, django_assert_max_num_queries):
    load_policy(TWO_SEATS.replace("count: 2", "count: 12"))
    intent = make_intent(key)
    for number in range(8):
        send(signed_in(make_user(f"reviewer-{number}", "reviewers")), intent, "approve", "Yes.")
    client = signed_in(rita)

    with django_assert_max_num_queries(20):
        assert client.get(page_of(intent)).status_code == 200


def test_however_long_a_trace_is_what_decided_is_in_it(signed_in, rita, key):
    never = "".join(f"  - {{id: never-{n}, when: 'payload.n == {n}', effect: block}}\n" for n in range(250))
    load_policy(
        f"name: long\nmatch: {{actions: [stripe.refund]}}\nrules:\n{never}"
        "  - {id: the-last, effect: require_approval, reason: because}\n"
    )
    intent = make_intent(key, payload={"n": -1})

    page = signed_in(rita).get(page_of(intent)).content.decode()

    assert "Whole trace: 251 rules looked at" in page
    assert "<b><bdi>the-last</bdi></b>" in page and "never-199" in page and "never-249" not in page
    assert "50 more did not hold and are left out here" in page


@pytest.mark.parametrize("amount", ["1E100000000", "1e3", "1_000", " 5 ", "١٢٣", "9" * 31, "NaN", "1.5x"])
def test_what_only_resembles_an_amount_is_shown_as_it_is(amount):
    assert presentation.grouped(amount) == amount


def test_an_amount_has_its_thousands_apart():
    assert [presentation.grouped(each) for each in ("4980.00", "-1234567", "0.125")] == [
        "4,980.00",
        "-1,234,567",
        "0.125",
    ]
