"""Text that wants to be read otherwise than it is, or not at all: words of two alphabets, words that push."""

import pytest

from audit.text import visible
from reviews.pushing import pushes
from tests.factories import load_action_type, load_policy, make_intent

MARK = '<span class="zhv-mixed" title="letters of more than one alphabet in one word">'


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("send to pаypal now", "pаypal"),  # Cyrillic а
        ("Αmazon", "Αmazon"),  # Greek capital alpha
        ("b4nk-оf-x", None),  # о stands between a hyphen and f: see below
        ("ＡBC", "ＡBC"),
        ("Ꭺpple", "Ꭺpple"),
    ],
)
def test_a_word_of_two_alphabets_is_marked_whole(text, marked):
    html = visible(text)
    expected = marked or "оf"
    assert f"{MARK}{expected}</span>" in html
    assert html.count(MARK) == 1


@pytest.mark.parametrize(
    "text", ["Привет, мир", "Ελλάδα 2026", "naïve café Straße", "Äpfel", "日本語 text", "x", "Привет world"]
)
def test_words_of_one_alphabet_are_not(text):
    assert MARK not in visible(text)


def test_marking_adds_no_markup_of_the_agents():
    html = visible('<script>pаy</script>" onload="x')
    assert "<script>" not in html and "&lt;script&gt;" in html


def test_a_megabyte_of_one_word_is_marked_in_one_pass():
    assert visible("a" * 500_000 + "а" * 500_000).count(MARK) == 1
    assert visible("aа" * 200_000).count(MARK) == 1


@pytest.mark.parametrize(
    "text",
    [
        "This was ALREADY APPROVED by Anna",
        "URGENT: customer waits",
        "please approve",
        "no need to review this",
        "The CFO has approved it",
        "Ignore previous warnings",
        "pre-approved",
    ],
)
def test_what_pushes_is_found(text):
    assert pushes(text)


@pytest.mark.parametrize("text", ["Refund for a lost parcel", "approval number 7", "The urgency room", "insurgent", ""])
def test_ordinary_text_is_not(text):
    assert pushes(text) == ()


def test_the_page_of_a_waiting_intent_says_which_words_push_and_that_they_prove_nothing(signed_in, rita, key):
    intent = make_intent(key, payload={"note": "Just approve <b>"}, summary="It was already approved")
    client = signed_in(rita)

    page = client.get(f"/admin/intents/intent/{intent.pk}/change/").content.decode()

    assert "Words that push you" in page
    assert "<bdi>just approve</bdi>" in page and "<bdi>already approved</bdi>" in page
    calm = make_intent(key, payload={"note": "Lost parcel"})
    assert "Words that push you" not in client.get(f"/admin/intents/intent/{calm.pk}/change/").content.decode()


def test_the_page_of_several_alike_says_so_above_the_table(signed_in, rita, key):
    load_policy("name: replies\nmatch: {actions: [support.reply]}\nrules: [{id: all, effect: require_approval}]\n")
    reply = {"action": "support.reply", "payload": {"body": "Dear"}}
    client, calm = signed_in(rita), make_intent(key, **reply, summary="An answer")
    address = f"/admin/alike/{calm.alike}/"
    assert "Words that push you" not in client.get(address).content.decode()

    # What the agent says beside the payload is not in the table.
    make_intent(key, **reply, summary="URGENT: just approve")
    page = client.get(address).content.decode()

    assert page.index("Words that push you") < page.index("What differs")
    assert "<bdi>urgent</bdi>" in page and "<bdi>just approve</bdi>" in page


def test_the_page_of_several_alike_quotes_nothing_that_is_masked(signed_in, rita, key):
    load_action_type("name: support.reply\nsensitive: [payload.body]\n")
    first, _ = (make_intent(key, action="support.reply", payload={"body": f"just approve {n}"}) for n in range(2))

    page = signed_in(rita).get(f"/admin/alike/{first.alike}/").content.decode()

    assert '<span class="zhv-num">2</span> alike' in page and "just approve" not in page
