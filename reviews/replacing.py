"""An intent that its agent put in the place of another: what the other was, what differs, and who had voted on it.

Nothing carries over: the new one has an id and a digest of its own, and votes are bound to a digest. Whoever may not
open the other is told that there was one, and nothing of what it said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.utils.safestring import SafeString

from intents import masking, reading
from intents.models import Intent, Status
from reviews.editing import Difference, Steps, differences
from reviews.entitlement import may_view
from reviews.models import Decision
from reviews.presentation import figure, span, text
from reviews.ties import Ties
from zehrava import canonical

# More places than fit a screen are opened by a click: what will change stands below them.
SEEN_AT_ONCE = 12
# In the words of the page, in the order of what counts. Id and agent say nothing about what would be done.
_MEMBERS = {
    "action": "action",
    "payload": "payload",
    "target": "target",
    "value": "value",
    "records": "records",
    "summary": "summary",
    "context": "context",
    "tags": "tags",
    "on_behalf_of": "on behalf of",
    "execution_mode": "carried out by",
}
# What an action type may derive from the payload, and what nobody but the agent says.
_FIGURES = frozenset({"target", "value", "records"})
# The facts of an event that name another intent.
_REPLACING = ("supersedes", "superseded_by")
_ONLY_CLAIMED = frozenset({"tags", "on_behalf_of"})


@dataclass(frozen=True, slots=True)
class FormerVote:
    """A vote on what was replaced, which does not count here."""

    name: SafeString
    vote: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """What an intent stands in the place of. Without `seen` this person may not open it, and the rest says nothing."""

    intent_id: str
    waited: str
    seen: bool
    votes: list[FormerVote]
    # A reviewer had changed it: what differs is told of what would have run.
    amended: bool
    intact: bool
    differences: list[Difference]

    @property
    def at_once(self) -> bool:
        return len(self.differences) <= SEEN_AT_ONCE


@dataclass(frozen=True, slots=True)
class Successor:
    """What stands in the place of an intent now, with a link for whoever may open it."""

    intent_id: str
    seen: bool


def beside(
    intent: Intent, person: User, former: Sequence[Decision], ties: Ties
) -> tuple[Replaced | None, Successor | None]:
    """What this intent replaced and what replaced it, as this person may see them; None where there is no such.

    `former` are the decisions on what it replaced. No query where `supersedes` and `superseded_by` are loaded.
    """
    old = intent.supersedes
    new = getattr(intent, "superseded_by", None) if intent.status == Status.CANCELLED else None
    for other in filter(None, (old, new)):
        # Nobody replaces what another agent proposed.
        other.agent = intent.agent
    return (
        None if old is None else _replaced(old, intent, person, former, ties),
        None if new is None else Successor(new.pk, _may_open(new, person, ties)),
    )


def _replaced(old: Intent, intent: Intent, person: User, former: Sequence[Decision], ties: Ties) -> Replaced:
    waited = span(intent.created_at - old.created_at)
    if not _may_open(old, person, ties):
        return Replaced(old.pk, waited, False, [], False, True, [])
    intact = canonical.digest(old.canonical.encode()) == old.digest
    return Replaced(
        intent_id=old.pk,
        waited=waited,
        seen=True,
        votes=[FormerVote(text(each.who), each.vote) for each in former if each.withdrawn_at is None],
        amended=bool(old.amendments),
        intact=intact,
        differences=_differences(old, intent) if intact else [],
    )


def _may_open(intent: Intent, person: User, ties: Ties) -> bool:
    return may_view(intent, person, ties=ties)


def without_unseen(facts: dict[str, Any], person: User, ties: Ties) -> dict[str, Any]:
    """The facts of an event of an intent, without the id of what it replaced or was replaced by where this person may
    not open that."""
    named = {name: facts[name] for name in _REPLACING if facts.get(name)}
    if not named or reading.sees_all(person):
        return facts
    found = Intent.objects.select_related("agent").in_bulk(named.values())
    unseen = [name for name, pk in named.items() if pk not in found or not _may_open(found[pk], person, ties)]
    return {**facts, **dict.fromkeys(unseen, "another intent, which you may not open")}


def _differences(old: Intent, new: Intent) -> list[Difference]:
    """Member by member, so that what counts comes first; where one says nothing, that it is not there."""
    found = []
    for name, label in _MEMBERS.items():
        if _is_claimed(name, old) or _is_claimed(name, new):
            label += ", claimed"
        # Each as it is read itself: of the one, nobody has revealed anything by revealing the other.
        drawn = partial(_drawn, old, name), partial(_drawn, new, name)
        found += differences(_said(old, name, label), _said(new, name, label), drawn=drawn)
    return found


def _drawn(intent: Intent, name: str, value: Any, steps: Steps) -> Any:
    """What is read of a value: below the first step, which is the label, stands what the intent has there."""
    if name == "payload":
        return masking.at(intent, value, steps[1:])
    if name in _FIGURES:
        read = masking.document(intent)[name]
        return value if read == intent.document[name] else figure(name, read)
    return masking.said(intent, value)


def _is_claimed(name: str, intent: Intent) -> bool:
    return name in _ONLY_CLAIMED or (name in _FIGURES and name not in intent.derived)


def _said(intent: Intent, name: str, label: str) -> dict[str, Any]:
    value = intent.document[name]
    # An empty payload is a payload; an empty list of tags is none.
    if name != "payload" and value in (None, {}, []):
        return {}
    return {label: figure(name, value) if name in _FIGURES else value}
