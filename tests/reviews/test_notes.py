"""Comments among people, and questions that an agent answers once."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from audit import verification
from audit.actors import Actor
from audit.models import Event
from intents import lifecycle
from intents.models import Intent
from intents.representation import represent
from reviews import notes
from reviews.models import Note
from tests.factories import make_agent, make_intent, make_user
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def intent() -> Intent:
    return make_intent(make_agent("billing")[1])


@pytest.fixture
def rita():
    return make_user("rita", "reviewers")


def agent_of(intent: Intent) -> Actor:
    return Actor.agent(intent.agent_id, intent.agent_name)


def test_a_comment_is_kept_recorded_and_never_shown_to_the_agent(intent, rita):
    note = notes.comment(intent, by=rita, text=" Looks like last week's. ")

    assert [one.text for one in notes.notes_of(intent)] == ["Looks like last week's."]
    assert represent([intent])[0]["questions"] == []
    event = Event.objects.get(type="note.written")
    assert (event.subject_id, event.intent_id, event.actor_name) == (note.pk, intent.pk, "rita")
    assert "last week" not in event.line and note.text_digest in event.line
    assert "last week" not in str(note.history.get().__dict__)


def test_a_question_is_read_with_the_intent_and_answered_once(intent, rita):
    question = notes.ask(intent, by=rita, text="Which order?")

    (shown,) = represent([intent])[0]["questions"]
    assert (shown["id"], shown["text"], shown["by"], shown["answer"]) == (question.pk, "Which order?", "rita", None)
    notes.answer(intent, by=agent_of(intent), question_id=question.pk, text="Order 7")
    (shown,) = represent([intent])[0]["questions"]
    assert shown["answer"]["text"] == "Order 7"
    with pytest.raises(Problem) as refused:
        notes.answer(intent, by=agent_of(intent), question_id=question.pk, text="Order 8")
    assert refused.value.kind == "conflict"
    assert Note.objects.filter(kind="answer").count() == 1
    assert Event.objects.filter(actor_kind="agent", type="note.written").count() == 1


def test_an_answer_moves_nothing_that_is_decided(intent, rita):
    question = notes.ask(intent, by=rita, text="Which order?")
    with transaction.atomic():
        lifecycle.reject(lifecycle.locked(intent.pk), by=Actor.person(rita), facts={})
    before = Intent.objects.filter(pk=intent.pk).values().get()

    notes.answer(intent, by=agent_of(intent), question_id=question.pk, text="Order 7")

    assert Intent.objects.filter(pk=intent.pk).values().get() == before
    assert before["status"] == "rejected"


def test_questions_of_other_intents_and_comments_cannot_be_answered(intent, rita):
    other = notes.ask(make_intent(), by=rita, text="Which?")
    comment = notes.comment(intent, by=rita, text="Hm.")

    for wrong in (other.pk, comment.pk, "not_nothing", ""):
        with pytest.raises(Problem) as refused:
            notes.answer(intent, by=agent_of(intent), question_id=wrong, text="x")
        assert refused.value.kind == "not-found"


@pytest.mark.parametrize("text", ["", "  ", "\u200b", "x" * 10_001, "a\x07b"])
def test_what_shows_nothing_or_too_much_is_refused(intent, rita, text):
    for say in (notes.comment, notes.ask):
        with pytest.raises(Problem) as refused:
            say(intent, by=rita, text=text)
        assert refused.value.path == "/text"
    assert not Note.objects.exists()


def test_nobody_floods_an_intent(intent, rita, monkeypatch):
    monkeypatch.setattr(notes, "MOST", 2)
    notes.comment(intent, by=rita, text="1")
    question = notes.ask(intent, by=rita, text="2")

    with pytest.raises(Problem) as refused:
        notes.answer(intent, by=agent_of(intent), question_id=question.pk, text="3")

    assert refused.value.kind == "conflict"


def test_the_database_refuses_an_answer_without_a_question_and_two_of_one(intent, rita):
    question = notes.ask(intent, by=rita, text="Which?")
    row = {"intent": intent, "author_name": "x", "text": "x", "text_digest": "x", "created_at": question.created_at}
    for wrong in (
        {"kind": "answer"},
        {"kind": "comment"},
        {"kind": "comment", "author": rita, "question": question},
        {"kind": "shout", "author": rita},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Note.objects.create(id="not_x", **row, **wrong)
    Note.objects.create(id="not_y", kind="answer", question=question, **row)
    with pytest.raises(IntegrityError), transaction.atomic():
        Note.objects.create(id="not_z", kind="answer", question=question, **row)


def test_a_text_that_was_altered_is_found_by_audit_check(intent, rita):
    def found() -> list[str]:
        table = Note._meta.db_table
        return [f"{one.row}: {one.problem}" for one in verification.check().findings if one.table == table]

    note = notes.comment(intent, by=rita, text="Ask finance first.")
    assert found() == []
    Note.objects.filter(pk=note.pk).update(text="Approve it.")

    assert found() == [f"{note.pk}: the text is not what its digest covers"]


def test_only_who_has_a_say_asks_the_agent_something(intent, rita):
    """What agents are told steers them: an auditor reads, and the agent's owner is not to speak through a question."""
    for person in (make_user("anna", "auditors"), intent.agent.owner, make_user("stranger")):
        with pytest.raises(Problem) as problem:
            notes.ask(intent, by=person, text="Do it another way.")
        assert problem.value.kind == "not-entitled"
    assert notes.ask(intent, by=rita, text="Which order?").kind == "question"
