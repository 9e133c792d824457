"""`@username` in a comment of a person. Nothing that an agent writes mentions anybody."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from django.contrib.auth.models import User
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from intents.models import Intent
from reviews.entitlement import may_view, viewers_of
from reviews.models import Note, NoteKind
from reviews.ties import Ties

# What a username may hold, as Django's validator says; not within a word, so that no e-mail address mentions anybody.
_MENTION = re.compile(r"(?<![\w.@+-])@([\w.@+-]{1,150})")
_AT_THE_END = ".@+-"
# Of one comment: whoever has to tell more people writes to a group.
MOST = 20


def people_mentioned(
    notes: Iterable[Note], intents: Mapping[str, Intent], ties: Ties | None = None
) -> dict[str, list[User]]:
    """Whom each of these comments tells, by its id: who may view its intent, each once, at most `MOST` of them.

    `intents` are theirs, by id. Five queries, and none where nobody is mentioned.
    """
    ties = ties or Ties()
    comments = [note for note in notes if _each(note)]
    if not comments:
        return {}
    names = {name for note in comments for names in _each(note) for name in names}
    known = {
        person.get_username(): person
        for person in User.objects.filter(username__in=names, is_active=True).prefetch_related("groups")
    }
    viewers = viewers_of(known.values())
    told: dict[str, list[User]] = {}
    for note in comments:
        meant = dict.fromkeys(name for names in _each(note) if (name := _known(names, known)))
        people = (known[name] for name in meant)
        told[note.pk] = [one for one in people if may_view(intents[note.intent_id], one, viewers, ties)][:MOST]
    return told


def marked(note: Note, told: Collection[str], text: Callable[[str], SafeString]) -> SafeString:
    """The comment with the mentions of these names marked; all else goes through `text`."""
    if note.kind != NoteKind.COMMENT or not told:
        return text(note.text)
    parts, done = [], 0
    for found in _MENTION.finditer(note.text):
        name = _known(_readings(found[1]), told)
        if name is not None:
            parts.append(text(note.text[done : found.start()]))
            parts.append(format_html('<b class="zhv-mention">@{}</b>', text(name)))
            done = found.start() + 1 + len(name)
    return mark_safe("".join([*parts, text(note.text[done:])]))


def _known(names: Iterable[str], people: Collection[str]) -> str | None:
    return next((name for name in names if name in people), None)


def _each(note: Note) -> list[list[str]]:
    if note.kind != NoteKind.COMMENT or "@" not in note.text:
        return []
    return [_readings(found[1]) for found in _MENTION.finditer(note.text)]


def _readings(word: str) -> list[str]:
    """What a mention can mean, longest first: the end of a sentence is no part of a name."""
    readings = [word]
    while word and word[-1] in _AT_THE_END:
        word = word[:-1]
        readings.append(word)
    return [reading for reading in readings if reading]
