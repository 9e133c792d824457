"""What is alike is shown as one line, and decided together as one decision for each."""

from __future__ import annotations

import re
from typing import Any

import pytest

from intents.models import Intent
from reviews import alike
from reviews.models import Decision
from tests.factories import allow, load_action_type, load_policy, make_agent, make_intent, make_user

ASK = """
name: replies
match: {actions: [support.reply]}
rules: [{id: new, effect: require_approval, reason: "a new customer", approval: {all_of: [{group: reviewers}]}}]
"""


def reply(key: str, number: int, **members: Any) -> Intent:
    payload = {"ticket": f"T-{number}", "body": f"Dear {number}", "close": False, **members.pop("payload", {})}
    return make_intent(key, action="support.reply", payload=payload, **members)


@pytest.fixture
def three(key) -> list[Intent]:
    load_policy(ASK)
    return [reply(key, number) for number in range(3)]


def page_of(intents: list[Intent]) -> str:
    return f"/admin/alike/{intents[0].alike}/"


def form(client, intents: list[Intent], **members: Any) -> dict[str, Any]:
    """What the page sends for these, with the digests that it holds."""
    html = client.get(page_of(intents)).content.decode()
    hidden = dict(re.findall(r'name="((?:digest|verdict|requirement|opened)-[^"]+)" value="([^"]*)"', html))
    return {**hidden, "chosen": [intent.pk for intent in intents], "ground": "duplicate", **members}


def test_several_alike_are_one_line_that_says_how_many_and_what_differs(signed_in, rita, three):
    page = signed_in(rita).get("/admin/").content.decode()

    assert page.count("zhv-item is-") == 1
    assert '<span class="zhv-num">3</span> alike' in page
    assert "differ in body, ticket" in page
    assert "may be decided together" in page


@pytest.mark.parametrize(
    "unlike",
    [
        {"payload": {"ticket": 7}},
        {"payload": {"more": "x"}},
        {"payload": {"close": None}},
        {"on_behalf_of": "carol"},
        {"payload": {"body": "x" * 9000}},
        {"payload": {"ticket": {"id": "T-1"}}},
    ],
)
def test_what_has_other_members_or_kinds_or_is_for_somebody_stands_alone(signed_in, rita, key, three, unlike):
    other = reply(key, 9, **unlike)

    assert other.alike not in {intent.alike for intent in three}
    assert signed_in(rita).get("/admin/").content.decode().count("zhv-item is-") == 2


def test_what_other_agents_ask_or_other_rules_stop_is_not_alike(key, three):
    assert reply(make_agent()[1], 5).alike != three[0].alike
    load_policy(ASK.replace("id: new", "id: old"))
    assert reply(key, 6).alike != three[0].alike


def test_a_dotted_name_is_no_path_and_takes_nobodys_label(signed_in, rita, key):
    load_policy(ASK)
    load_action_type("name: support.reply\npresent: {fields: [{path: payload.customer.mail, label: Customer}]}\n")
    nested = [reply(key, n, payload={"customer": {"mail": f"{n}@example.com"}}) for n in range(2)]
    dotted = [reply(key, n, payload={"customer.mail": f"{n}@example.com"}) for n in range(2)]

    assert nested[0].alike != dotted[0].alike
    client = signed_in(rita)
    assert "<bdi>Customer</bdi>" in client.get(page_of(nested)).content.decode()
    page = client.get(page_of(dotted)).content.decode()
    assert "<bdi>Customer</bdi>" not in page and "&quot;customer.mail&quot;" in page


def test_the_page_shows_what_they_share_once_and_what_differs_for_each(signed_in, rita, three):
    page = signed_in(rita).get(page_of(three)).content.decode()

    assert page.count("<bdi>close</bdi>") == 1
    for intent in three:
        assert f"<bdi>{intent.payload['body']}</bdi>" in page
        assert f'name="digest-{intent.pk}" value="{intent.digest}"' in page
    assert "checked" not in page


def test_each_chosen_one_gets_a_decision_of_its_own(signed_in, rita, three):
    client = signed_in(rita)

    answer = client.post(page_of(three), form(client, three[:2], vote="approve", rationale="Seen."), follow=True)

    assert "You approved 2. Each has a decision of its own." in answer.content.decode()
    decisions = Decision.objects.order_by("id")
    assert [(one.intent_id, one.digest, one.rationale) for one in decisions] == [
        (intent.pk, intent.digest, "Seen.") for intent in three[:2]
    ]
    assert len({one.record_digest for one in decisions}) == 2
    assert Intent.objects.get(pk=three[2].pk).status == "pending_approval"


def test_one_that_moved_is_refused_and_stops_no_other(signed_in, rita, three):
    client = signed_in(rita)
    sent = form(client, three, vote="approve")
    sent[f"digest-{three[1].pk}"] = three[0].digest

    answer = client.post(page_of(three), sent)

    assert answer.status_code == 409
    page = answer.content.decode()
    assert "1 of those you chose was not decided" in page
    assert "What you were shown is not what would run now" in page
    assert {one.intent_id for one in Decision.objects.all()} == {three[0].pk, three[2].pk}
    assert Intent.objects.get(pk=three[1].pk).status == "pending_approval"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"chosen": []}, "Choose at least one of them."),
        ({"vote": "reject", "rationale": " "}, "Say why you reject"),
        ({"vote": "perhaps"}, "Send &quot;approve&quot; or &quot;reject&quot;"),
        ({"chosen": [f"int_{number}" for number in range(51)]}, "Choose at most 50 at a time."),
    ],
)
def test_a_bad_form_decides_nothing_and_keeps_what_was_typed(signed_in, rita, three, sent, said):
    client = signed_in(rita)

    answer = client.post(page_of(three), {**form(client, three, vote="approve", rationale="Typed."), **sent})

    assert answer.status_code == 422
    assert said in answer.content.decode()
    if "rationale" not in sent:
        assert "Typed.</textarea>" in answer.content.decode()
    assert not Decision.objects.exists()


def test_what_could_go_badly_wrong_is_never_decided_together(signed_in, rita, key):
    load_policy(ASK)
    grave = [reply(key, n, value={"amount": "90000.00", "currency": "EUR"}) for n in range(2)]
    assert {intent.risk_level for intent in grave} & {"high", "critical"}
    assert grave[0].alike == grave[1].alike
    client = signed_in(rita)

    assert "decided one by one" in client.get("/admin/").content.decode()
    page = client.get(page_of(grave)).content.decode()
    assert "each is opened and decided by itself" in page
    assert 'name="chosen"' not in page
    sent = {
        "chosen": [intent.pk for intent in grave],
        "vote": "approve",
        **{f"digest-{intent.pk}": intent.digest for intent in grave},
        **{f"verdict-{intent.pk}": intent.verdict_digest for intent in grave},
        **{f"requirement-{intent.pk}": intent.requirement_digest for intent in grave},
    }
    assert client.post(page_of(grave), sent).status_code == 409
    assert not Decision.objects.exists()


def test_who_has_no_say_decides_none_of_them(signed_in, owner, three):
    stranger = signed_in(make_user("stranger"))
    assert stranger.get(page_of(three)).status_code == 302
    owner.groups.add(*make_user(None, "reviewers").groups.all())
    client = signed_in(owner)
    sent = {"chosen": [three[0].pk], "vote": "approve", f"digest-{three[0].pk}": three[0].digest}
    sent |= {f"verdict-{three[0].pk}": three[0].verdict_digest}
    sent |= {f"requirement-{three[0].pk}": three[0].requirement_digest}

    for person in (stranger, client):
        person.post(page_of(three), sent)

    assert not Decision.objects.exists()


def test_a_group_says_what_it_comes_to_in_all(signed_in, rita, key):
    load_policy(ASK)
    for number in range(2):
        reply(key, number, value={"amount": "10.50", "currency": "EUR"}, records=600)

    page = signed_in(rita).get("/admin/").content.decode()

    assert "21.00 EUR in all" in page
    assert "1,200 records in all" in page


def test_a_changed_intent_is_alike_to_nothing_and_a_decided_one_is_no_longer_shown(signed_in, rita, three):
    client = signed_in(rita)
    client.post(page_of(three), form(client, three[:1], vote="reject", rationale="No."))

    assert '<span class="zhv-num">2</span> alike' in client.get("/admin/").content.decode()


def test_an_allowed_intent_is_compared_with_nothing(key):
    allow("support.reply")

    assert reply(key, 1).alike == ""


def test_hidden_characters_are_drawn_in_the_table(signed_in, rita, key):
    load_policy(ASK)
    tricky = [reply(key, n, payload={"body": f"<b>{n}</b>\u202e evil"}) for n in range(2)]

    page = signed_in(rita).get(page_of(tricky)).content.decode()

    assert "<b>0</b>" not in page and "&lt;b&gt;0" in page
    assert "\u202e" not in page and "U+202E" in page


def test_the_largest_amounts_add_up_too(signed_in, rita, key):
    load_policy(ASK)
    for number in range(2):
        reply(key, number, value={"amount": "9" * 30 + ".999999999999", "currency": "EUR"})

    assert "EUR in all" in signed_in(rita).get("/admin/").content.decode()


def test_lists_that_read_alike_with_commas_between_are_told_apart(signed_in, rita, key):
    for to in (["ops@a", "ceo@a, evil@x"], ["ops@a, ceo@a", "evil@x"], ["ops@a", "ceo@a", "evil@x"]):
        make_intent(key, payload={"to": to})
    (group,) = set(Intent.objects.values_list("alike", flat=True))

    page = alike.page(group, rita)

    assert [str(column) for column in page.columns] == ["<bdi>to</bdi>"] and not page.shared
    assert len({str(line.cells[0]) for line in page.lines}) == 3


def test_only_what_is_alike_is_decided_together(rita, key):
    one, other = make_intent(key, payload={"n": 1}), make_intent(key, payload={"text": "else"})
    shown = [alike.Shown(each.pk, each.digest, each.verdict_digest, each.requirement_digest) for each in (one, other)]

    failed = alike.decide_each(one.alike, shown, by=rita, vote="approve", rationale="")

    assert list(failed) == [other.pk] and "not one of these any more" in failed[other.pk]
    assert one.alike != other.alike and Decision.objects.get().intent_id == one.pk


def test_tags_that_differ_are_no_likeness(key):
    assert make_intent(key, tags=["staging"]).alike != make_intent(key, tags=["prod-delete"], payload={"n": 1}).alike


def test_letters_from_right_to_left_move_no_other_item(signed_in, rita, key):
    one, other = (make_intent(key, payload={"to": to}) for to in (["\u05d0\u05d1", "1"], ["1", "\u05d0\u05d1"]))
    assert one.alike == other.alike
    page = alike.page(one.alike, rita)
    cells = {str(line.cells[0]) for line in page.lines}
    hebrew, figure = "<bdi>&quot;\u05d0\u05d1&quot;</bdi>", "<bdi>&quot;1&quot;</bdi>"
    assert cells == {f"[{hebrew}, {figure}]", f"[{figure}, {hebrew}]"}
