"""What people approved before it was asked: an intent that policy asks people about may pass on their standing word.

The app that knows such words registers a `Giver`, since this one does not know reviewers. It is only ever asked where
policy's verdict is to ask people and nothing about that verdict is in doubt, so that it can neither lift a block nor
settle what nobody could read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from intents.judging import Facts, Judgement
from intents.models import Intent
from zehrava.policy import ASK


@dataclass(frozen=True, slots=True)
class Given:
    """A standing word that covers an intent.

    `passes` is whether the intent runs on it; else people look at it as a sample. `facts` is what the ledger's line of
    the proposal says of it, `shown` what the API does; `keep` stores what belongs to the intent, once that is stored.
    """

    passes: bool
    facts: dict[str, Any]
    shown: dict[str, Any] | None
    keep: Callable[[Intent], None]


class Giver(Protocol):
    """Who knows of standing words."""

    def take(self, intent: Intent, facts: Facts, judgement: Judgement) -> Given | None:
        """Use one for this new intent, in the transaction that stores it; None where none covers it."""

    def look(self, intent: Intent, facts: Facts, judgement: Judgement) -> str | None:
        """The id of the one that would be used; nothing is."""

    def shown_on(self, intents: Sequence[Intent]) -> Mapping[str, dict[str, Any]]:
        """By intent id, which one each of these passed on."""


_giver: Giver | None = None


def provide(giver: Giver) -> None:
    """Register who knows of standing words."""
    global _giver
    _giver = giver


def take(intent: Intent, facts: Facts, judgement: Judgement) -> Given | None:
    """What covers this new intent, used; None where people have to be asked.

    What replaces a pending intent is for people in any case: they are looking at that one, and would lose sight of it.
    """
    if _giver is None or intent.supersedes_id is not None or not _is_plain(judgement):
        return None
    return _giver.take(intent, facts, judgement)


def look(intent: Intent, facts: Facts, judgement: Judgement) -> str | None:
    """The id of what would let this intent pass, without using it."""
    if _giver is None or intent.supersedes_id is not None or not _is_plain(judgement):
        return None
    return _giver.look(intent, facts, judgement)


def shown_on(intents: Sequence[Intent]) -> Mapping[str, dict[str, Any]]:
    """By intent id, which standing word each of these passed on."""
    # What people are asked has a likeness; what passed in advance has none.
    passed = [intent for intent in intents if intent.requirement is not None and not intent.alike]
    return _giver.shown_on(passed) if _giver is not None and passed else {}


def something_failed(judgement: Judgement) -> bool:
    """Whether a condition or a limit could not be worked out, so that policy asks for want of an answer.

    It is worked out anew, which takes a while: ask it last.
    """
    return any(
        entry["held"] == "error" or any("error" in limit for limit in entry["limits"]) for entry in judgement.said.trace
    )


def _is_plain(judgement: Judgement) -> bool:
    """Whether policy itself asks: every doubt that is added to what it says stands in the verdict's reason as well."""
    said = judgement.said
    return judgement.effect == said.effect == ASK and judgement.verdict["reason"] == said.reason
