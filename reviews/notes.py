"""What people say about an intent beside deciding: comments among themselves, and questions that its agent answers.

Nothing here decides. An answer re-opens nothing that is decided, and no note changes what would run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from audit import clock, inserting, ledger
from audit.actors import Actor
from audit.comparing import BATCH, Finding
from intents import masking
from intents.models import Intent
from intents.reasons import read_reason
from intents.representation import instant
from reviews.entitlement import is_principal, may_decide
from reviews.models import Note, NoteKind
from reviews.ties import Ties
from zehrava import canonical, ids
from zehrava.problems import Problem

# On one intent: whoever has more to say says it elsewhere.
MOST = 200


def comment(intent: Intent, *, by: User, text: str) -> Note:
    """A word among people; agents never read it. Raises Problem `invalid`, and `conflict` beyond `MOST`."""
    text = read_reason(text, path="/text", needed="Write something.")
    return _store(intent, NoteKind.COMMENT, text, by=Actor.person(by), author=by)


def ask(intent: Intent, *, by: User, text: str) -> Note:
    """A question to the agent, which reads it with the intent and may answer it once.

    Raises as `comment` does, and `not-entitled` for who has no say in the intent: what agents are told steers them.
    """
    if not may_ask(intent, by):
        raise Problem(
            "not-entitled", "Only who has a say in this intent, or may settle it, asks its agent.", path="/text"
        )
    text = read_reason(text, path="/text", needed="Write your question.")
    return _store(intent, NoteKind.QUESTION, text, by=Actor.person(by), author=by)


def may_ask(intent: Intent, person: User, ties: Ties | None = None) -> bool:
    """Whether this person may ask the intent's agent something: who can decide on it, and operators."""
    ties = ties or Ties()
    mine = ties.accounts.of(person.pk)
    partial = not mine.isdisjoint(intent.barred_ids) or is_principal(intent, person, ties)
    return (person.has_perm("intents.resolve_intent") and not partial) or may_decide(intent, person, ties) is None


def answer(intent: Intent, *, by: Actor, question_id: str, text: str) -> Note:
    """The agent's answer, in any status of the intent.

    Whether the intent is the agent's own is for the caller to know. Raises Problem `invalid`, `not-found` for a
    question that is not this intent's, and `conflict` where it is answered.
    """
    text = read_reason(text, path="/text", needed="Answer with at least one character that can be read.")
    question = Note.objects.filter(pk=question_id, intent=intent, kind=NoteKind.QUESTION).first()
    if question is None:
        raise Problem("not-found", "This intent has no question of this id.", path="/question")
    try:
        return _store(intent, NoteKind.ANSWER, text, by=by, question=question)
    except IntegrityError as error:
        raise Problem("conflict", "This question is answered; an answer stays as it is.") from error


def notes_of(intent: Intent) -> list[Note]:
    """All that was said, oldest first; one query."""
    return list(Note.objects.filter(intent=intent).order_by("id"))


def questions_of(intents: Sequence[Intent]) -> Mapping[str, list[dict[str, Any]]]:
    """The questions on these intents and their answers, as the API shows them, by intent; one query."""
    found: dict[str, list[dict[str, Any]]] = {}
    questions: dict[str, dict[str, Any]] = {}
    told = Note.objects.filter(intent__in=[intent.pk for intent in intents]).exclude(kind=NoteKind.COMMENT)
    for note in told.order_by("id"):
        if note.kind == NoteKind.QUESTION:
            shown = {"id": note.pk, "text": note.text, "by": note.author_name, "at": instant(note.created_at)}
            questions[note.pk] = {**shown, "answer": None}
            found.setdefault(note.intent_id, []).append(questions[note.pk])
        elif note.question_id in questions:
            questions[note.question_id]["answer"] = {"text": note.text, "at": instant(note.created_at)}
    return found


def unlike_their_digests() -> Iterator[Finding]:
    """For `audit_check`: notes whose words are not those that their digest, which history holds, covers."""
    for note in Note.objects.order_by("pk").iterator(chunk_size=BATCH):
        if canonical.digest(note.text.encode()) != note.text_digest:
            yield Finding(Note._meta.db_table, note.pk, "the text is not what its digest covers")


def _store(
    intent: Intent, kind: NoteKind, text: str, *, by: Actor, author: User | None = None, question: Note | None = None
) -> Note:
    with transaction.atomic():
        if Note.objects.filter(intent=intent).count() >= MOST:
            raise Problem("conflict", f"There are {MOST} notes on this intent already. Nothing more is taken.")
        at = clock.now()
        note = Note(
            id=ids.new("not", at=at),
            intent=intent,
            kind=kind,
            author=author,
            author_name=by.name,
            text=text,
            text_digest=canonical.digest(text.encode()),
            question=question,
            created_at=at,
        )
        inserting.insert([note])
        facts = {"kind": str(kind), "text_digest": note.text_digest}
        if question is not None:
            facts["question"] = question.pk
        change = ledger.Change(
            "note.written", note, by, facts, {"text": text}, history="+", sensitive=masking.marks(intent)
        )
        ledger.record(change, at=at)
    return note
