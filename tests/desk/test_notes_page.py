"""Comments and questions on the page of an intent."""

from intents.models import Intent
from reviews import intent_page, notes
from reviews.models import Decision, Note
from tests.desk.test_intent_page import page_of
from tests.factories import make_intent, make_user


def say(client, intent: Intent, text: str, do: str):
    return client.post(f"{page_of(intent)[:-7]}note/", {"text": text, "do": do}, follow=True)


def test_a_comment_and_a_question_are_written_and_shown_harmless(signed_in, rita, key):
    intent = make_intent(key)
    client = signed_in(rita)

    said = say(client, intent, "<b>odd</b>\u202e", "comment").content.decode()
    asked = say(client, intent, "Which order?", "ask").content.decode()

    assert "Agents never read it" in said and "&lt;b&gt;odd&lt;/b&gt;" in said and "U+202E" in said
    assert "asks the agent" in asked and "no answer yet" in asked
    assert [note.kind for note in notes.notes_of(intent)] == ["comment", "question"]
    assert not Decision.objects.exists()


def test_an_empty_one_is_refused_beside_its_field_and_a_get_writes_nothing(signed_in, rita, key):
    intent = make_intent(key)
    client = signed_in(rita)

    assert "Write something." in say(client, intent, " ", "comment").content.decode()
    client.get(f"{page_of(intent)[:-7]}note/?text=x&do=comment")
    assert not Note.objects.exists()


def test_who_may_not_see_the_intent_says_nothing_about_it(signed_in, key):
    intent = make_intent(key)

    assert signed_in(make_user("stranger")).post(f"{page_of(intent)[:-7]}note/", {"text": "x"}).status_code == 403
    assert not Note.objects.exists()


def test_an_open_page_follows_what_is_said(rita, key):
    intent = make_intent(key)
    before = intent_page.revision(intent)

    notes.comment(intent, by=rita, text="Hm.")

    assert intent_page.revision(intent) != before
