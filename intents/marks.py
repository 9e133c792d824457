"""What else has to be seen wherever an intent is named, such as that it was approved beyond what policy asked.

The app that knows it registers how to find it out, since this one does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

# Marks by intent id, for any number of intents at once.
MarksOf = Callable[[Sequence[str]], Mapping[str, SafeString]]
_registered: list[MarksOf] = []


def register(marks: MarksOf) -> None:
    """Add a kind of mark."""
    if marks not in _registered:
        _registered.append(marks)


def marks_of(intent_ids: Iterable[str]) -> dict[str, SafeString]:
    """The marks of these intents, by id; nothing for those without. As many queries for a hundred as for one."""
    wanted = list(dict.fromkeys(intent_ids))
    found = [marks(wanted) for marks in _registered] if wanted else []
    return {
        each: format_html_join(" ", "{}", ((marks[each],) for marks in found if each in marks))
        for each in wanted
        if any(each in marks for marks in found)
    }
