"""`@username` in a comment: how it is read, and how the page marks it."""

from __future__ import annotations

import pytest

from reviews import notes
from reviews.models import Note
from reviews.notifications.mentions import people_mentioned
from tests.desk.test_intent_page import page_of
from tests.factories import make_intent, make_user
from tests.reviews.notifications.conftest import person


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@anna", ["anna"]),
        ("Look, @anna.", ["anna"]),
        ("(@anna), @a.b!", ["anna", "a.b"]),
        ("@anna.@a.b", []),
        ("@a.b.", ["a.b"]),
        ("@anna+@anna-", []),
        ("me@anna", []),
        ("@@anna", []),
        ("@Anna", []),
        ("@\u202eanna", []),
        ("@a\u0430nna", []),
        ("@", []),
        ("@ anna", []),
        ("@rita", ["rita"]),
    ],
)
def test_a_mention_is_a_whole_username(key, rita, text, names):
    for name in ("anna", "a.b"):
        person(name, "auditors")
    intent = make_intent(key)
    note = notes.comment(intent, by=rita, text=text)

    assert [one.username for one in people_mentioned([note], {intent.pk: intent}).get(note.pk, [])] == names


def test_the_page_marks_who_is_told_and_nobody_else(key, rita, client):
    person("anna", "auditors")
    make_user("stranger")
    intent = make_intent(key, summary="@anna", payload={"x": "@anna"})
    notes.comment(intent, by=rita, text="<b>@anna</b> and @stranger, <@anna>")
    question = notes.ask(intent, by=rita, text="@anna?")
    client.force_login(rita)

    page = client.get(page_of(intent)).content.decode()

    assert page.count('<b class="zhv-mention">@<bdi>anna</bdi></b>') == 2
    assert "&lt;b&gt;" in page and "<b>@anna" not in page
    assert "@stranger" in page and 'mention">@<bdi>stranger' not in page
    assert Note.objects.get(pk=question.pk).text == "@anna?"


def test_the_form_says_how_and_whom(key, rita, client):
    person("anna", "reviewers")
    intent = make_intent(key)
    client.force_login(rita)

    page = client.get(page_of(intent)).content.decode()

    assert "a username tells that person" in page and "@anna" in page


def test_mentions_cost_a_page_three_queries(key, rita, client, django_assert_max_num_queries):
    for n in range(8):
        person(f"anna-{n}", "auditors")
    intent = make_intent(key)
    for n in range(8):
        notes.comment(intent, by=rita, text=f"@anna-{n} @nobody-{n}")
    client.force_login(rita)
    client.get(page_of(intent))

    with django_assert_max_num_queries(20):
        page = client.get(page_of(intent)).content.decode()
    assert page.count("zhv-mention") == 8
