"""An intent that replaced another: the reviewer sees what differs, and that votes on the other do not count."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from intents.models import Intent, Status
from intents.propose import propose
from reviews.decisions import decide, withdraw
from tests.factories import in_force_as, load_action_type, load_policy, make_intent, make_user

TRAP = "<script>alert(1)</script>\u202etxet\u200b"


def page_of(intent: Intent) -> str:
    return reverse("admin:intents_intent_change", args=[intent.pk])


def replace(key: str, old: Intent, payload=None, **members) -> Intent:
    body = {"action": old.action, "payload": old.payload if payload is None else payload, **members}
    return Intent.objects.get(pk=propose(in_force_as(key), {**body, "supersedes": old.pk}).intent_id)


def two_seats(action: str = "*", *, group: str = "reviewers") -> None:
    load_policy(
        f"name: seats-of-{group}\nmatch: {{actions: ['{action}']}}\nrules: [{{id: two, effect: require_approval, "
        f"approval: {{all_of: [{{group: {group}, count: 2}}]}}}}]\n"
    )


def read(client, intent: Intent) -> str:
    """The part of the page about what was replaced, in one line."""
    html = client.get(page_of(intent)).content.decode()
    found = re.search(r'<section class="zhv-card" aria-labelledby="h-replaces">.*?</section>', html, re.S)
    return " ".join(found[0].split()) if found else ""


def test_what_differs_stands_above_what_will_change_with_a_link(signed_in, rita, key):
    old = make_intent(
        key,
        payload={"amount": "10.00", "charge": "ch_1", "gone": True},
        target="ch_1",
        records=1,
        value={"amount": "10.00", "currency": "EUR"},
        summary="Charged twice",
        tags=["a"],
    )
    new = replace(
        key,
        old,
        {"amount": "12.00", "charge": "ch_1", "added": [1]},
        target="ch_2",
        value={"amount": "12.00", "currency": "EUR"},
        summary="Charged three times",
        on_behalf_of="someone",
    )
    client = signed_in(rita)

    section, html = read(client, new), client.get(page_of(new)).content.decode()

    assert html.index('id="h-replaces"') < html.index('id="h-change"')
    assert f'Replaces <a class="zhv-link is-id" href="{page_of(old)}">{old.pk}</a>, which waited 0 s' in section
    assert "Nobody had voted on it." in section
    places = re.findall(r"<dt><bdi>(.*?)</bdi></dt>", section)
    assert places == [
        "payload › amount", "payload › gone", "payload › added", "target, claimed", "value, claimed",
        "records, claimed", "summary", "tags, claimed", "on behalf of, claimed",
    ]  # fmt: skip
    assert "9 places differ" in section
    for before, after in (
        ("10.00", "12.00"),
        ("10.00 EUR", "12.00 EUR"),
        ("ch_1", "ch_2"),
        ("Charged twice", "Charged three times"),
    ):
        assert f"<bdi>{before}</bdi></del>" in section
        assert f"<bdi>{after}</bdi></ins>" in section
    assert "payload › charge" not in section


def test_the_time_it_waited_is_from_its_proposal_to_its_replacement(signed_in, rita, key):
    old = make_intent(key)
    new = replace(key, old, {"amount": "11.00"})
    Intent.objects.filter(pk=old.pk).update(created_at=new.created_at - timedelta(minutes=12, seconds=5))

    assert "which waited 12 min" in read(signed_in(rita), new)


def test_who_had_voted_is_named_and_those_votes_do_not_count(signed_in, rita, key):
    two_seats()
    old = make_intent(key)
    for name in ("fiona", "gus"):
        person = make_user(name, "reviewers")
        if name == "fiona":
            decide(old.pk, by=person, vote="approve", digest=old.digest)
    new = replace(key, old, {"amount": "11.00"})

    section = read(signed_in(rita), new)

    assert "<b><bdi>fiona</bdi></b> had voted to approve it" in section
    assert "That vote does not count here." in section
    assert "gus" not in section
    html = signed_in(rita).get(page_of(new)).content.decode()
    assert "0 of 2 given" in html
    decide(new.pk, by=rita, vote="approve", digest=new.digest)
    new.refresh_from_db()
    assert new.status == Status.PENDING_APPROVAL


def test_a_vote_that_was_taken_back_is_not_named(signed_in, rita, key):
    two_seats()
    old, fiona = make_intent(key), make_user("fiona", "reviewers")
    decision = decide(old.pk, by=fiona, vote="approve", digest=old.digest)
    withdraw(decision, by=fiona)
    new = replace(key, old, {"amount": "11.00"})

    assert "Nobody had voted on it." in read(signed_in(rita), new)


def test_what_a_reviewer_had_made_of_it_is_what_it_is_compared_with(signed_in, rita, key):
    two_seats()
    old = make_intent(key, payload={"amount": "10.00"})
    changes = [{"op": "replace", "path": "/amount", "value": "5.00"}]
    decide(old.pk, by=make_user("fiona", "reviewers"), vote="approve", digest=old.digest, changes=changes,
           rationale="Half of it.", ground="wrong_amount")  # fmt: skip
    new = replace(key, old, {"amount": "10.00"})

    section = read(signed_in(rita), new)

    assert "1 place differs, from what a reviewer had made of it" in section
    assert "<bdi>5.00</bdi></del>" in section and "<bdi>10.00</bdi></ins>" in section


def test_what_the_payload_says_itself_is_not_called_a_claim(signed_in, rita, key):
    load_action_type("name: stripe.refund\nderive: {target: payload.charge}\n")
    old = make_intent(key, payload={"charge": "ch_1"}, records=1)
    section = read(signed_in(rita), replace(key, old, {"charge": "ch_2"}, records=2000))
    assert re.findall(r"<dt><bdi>(.*?)</bdi></dt>", section) == ["payload › charge", "target", "records, claimed"]
    assert "<bdi>1 record</bdi></del>" in section and "<bdi>2,000 records</bdi></ins>" in section


def test_the_same_once_more_is_said_to_be_that(signed_in, rita, key):
    old = make_intent(key, tags=[])
    assert "It asks for the same once more." in read(signed_in(rita), replace(key, old))


def test_another_action_is_said_first(signed_in, rita, key):
    old = make_intent(key)
    body = {"action": "crm.delete", "payload": old.payload, "supersedes": old.pk}
    new = Intent.objects.get(pk=propose(in_force_as(key), body).intent_id)
    section = read(signed_in(rita), new)
    assert re.findall(r"<dt><bdi>(.*?)</bdi></dt>", section) == ["action"]


def test_hostile_text_on_either_side_is_drawn_and_never_markup(signed_in, rita, key):
    old = make_intent(key, payload={TRAP: TRAP, "list": [TRAP]}, summary=TRAP, target=TRAP, context={TRAP: TRAP})
    new = replace(key, old, {"list": {TRAP: [TRAP]}, TRAP: 1}, summary=TRAP * 2, tags=[TRAP], on_behalf_of=TRAP)

    section = read(signed_in(rita), new)

    assert "<script>" not in section
    assert "\u202e" not in section and "\u200b" not in section
    assert section.count("U+202E") >= 10


def test_many_places_are_a_click_away_and_all_there(signed_in, rita, key):
    old = make_intent(key, payload={f"m{n:02}": n for n in range(30)})
    few = replace(key, old, {f"m{n:02}": n + (n < 12) for n in range(30)})
    assert '<details class="zhv-replaced" open>' in read(signed_in(rita), few)
    many = replace(key, few, {f"m{n:02}": n + 7 for n in range(30)})
    section = read(signed_in(rita), many)
    assert '<details class="zhv-replaced">' in section and "30 places differ" in section
    assert section.count("<dt>") == 30


def test_what_was_altered_since_is_not_compared(signed_in, rita, key):
    old = make_intent(key)
    new = replace(key, old, {"amount": "11.00"})
    Intent.objects.filter(pk=old.pk).update(canonical=old.canonical.replace("10.00", "11.00"))

    section = read(signed_in(rita), new)

    assert "What is stored of it was altered" in section
    assert "<dl" not in section and "asks for the same" not in section


def test_who_may_not_open_what_was_replaced_learns_nothing_of_it(signed_in, key):
    two_seats("pay.*", group="finance")
    old = make_intent(key, action="mail.send", payload={"secret": "old-words"})
    decide_by = make_user("fiona", "reviewers")
    load_policy("name: mails\nmatch: {actions: ['mail.*']}\nrules: [{id: r, effect: require_approval, "
                "approval: {all_of: [{group: reviewers, count: 2}]}}]\n")  # fmt: skip
    older = make_intent(key, action="mail.send", payload={"secret": "old-words", "n": 2})
    decide(older.pk, by=decide_by, vote="approve", digest=older.digest)
    assert old.status == Status.PENDING_APPROVAL
    body = {"action": "pay.out", "payload": {"to": "x"}, "supersedes": older.pk}
    new = Intent.objects.get(pk=propose(in_force_as(key), body).intent_id)
    outsider = make_user("fred", "finance")

    response = signed_in(outsider).get(page_of(new))
    html = response.content.decode()

    assert response.status_code == 200
    assert "Replaces another intent" in html and "You may not open it" in html
    for words in ("old-words", older.pk, "fiona", "mail.send"):
        assert words not in html
    assert signed_in(outsider).get(page_of(older)).status_code == 403
    # And the other way round: whoever sees the old one is not led to the new one.
    reviewer = make_user("hal", "mailers")
    assert signed_in(reviewer).get(page_of(older)).status_code == 403


def test_one_that_was_replaced_leads_to_what_stands_in_its_place(signed_in, rita, key):
    old = make_intent(key)
    new = replace(key, old, {"amount": "11.00"})
    html = signed_in(rita).get(page_of(old)).content.decode()
    assert "The agent replaced it." in html
    assert f'href="{page_of(new)}">{new.pk}</a> stands in its place' in html
    assert "The agent replaced it." not in signed_in(rita).get(page_of(new)).content.decode()


def test_who_may_not_open_the_successor_is_not_led_there(signed_in, key):
    two_seats("mail.*", group="mailers")
    two_seats("pay.*", group="finance")
    old = make_intent(key, action="mail.send")
    body = {"action": "pay.out", "payload": {"to": "x"}, "supersedes": old.pk}
    new_id = propose(in_force_as(key), body).intent_id

    html = signed_in(make_user("mo", "mailers")).get(page_of(old)).content.decode()

    assert "The agent replaced it." in html and "which you may not open" in html
    assert new_id not in html


@pytest.mark.parametrize("votes", [0, 8])
def test_it_stays_within_twenty_queries(signed_in, rita, key, django_assert_max_num_queries, votes):
    two_seats()
    load_policy("name: many\nmatch: {actions: ['*']}\nrules: [{id: r, effect: require_approval, "
                "approval: {all_of: [{group: reviewers, count: 12}]}}]\n")  # fmt: skip
    old = make_intent(key, on_behalf_of="someone")
    people = [make_user(f"reviewer-{n}", "reviewers") for n in range(votes)]
    for person in people:
        decide(old.pk, by=person, vote="approve", digest=old.digest)
    new = replace(key, old, {"amount": "11.00"}, on_behalf_of="someone else")
    for person in people:
        decide(new.pk, by=person, vote="approve", digest=new.digest)
    newer = replace(key, new, {"amount": "12.00"})
    client = signed_in(rita)
    for intent in (old, new, newer):
        client.get(page_of(intent))
        with django_assert_max_num_queries(20):
            assert client.get(page_of(intent)).status_code == 200


def test_it_stays_within_twenty_queries_where_it_was_changed_too(signed_in, rita, key, django_assert_max_num_queries):
    two_seats()
    old, fiona = make_intent(key, payload={"amount": "10.00"}), make_user("fiona", "reviewers")
    decide(old.pk, by=fiona, vote="approve", digest=old.digest)
    new = replace(key, old, {"amount": "11.00"})
    changes = [{"op": "replace", "path": "/amount", "value": "5.00"}]
    decide(
        new.pk, by=fiona, vote="approve", digest=new.digest, changes=changes, rationale="Less.", ground="wrong_amount"
    )
    client = signed_in(rita)
    client.get(page_of(new))
    with django_assert_max_num_queries(20):
        assert "<bdi>5.00</bdi></ins>" in read(client, new)
