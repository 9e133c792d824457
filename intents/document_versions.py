"""The versions of a policy or an action type as people read them: drafts, what is in force, what was, since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from intents.models import ActionType, Policy

LONGEST_NUMBER = 9  # digits


def read_number(text: str) -> int | None:
    """A version's number as an address names it; None for what is none, thousands of digits among that."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None


IN_FORCE, DRAFT, WAS, NEVER = "in force", "draft", "was in force", "never in force"


@dataclass(frozen=True, slots=True)
class Period:
    """A time in which one version was in force; `until` is None for the one that is."""

    since: datetime
    by: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in force of one document, since when and by whose hand, and the newest version where it is a draft."""

    active: Any
    period: Period | None
    draft: Any
    periods: Mapping[int, Period]

    @property
    def was_ever(self) -> bool:
        """Whether any version was ever in force."""
        return bool(self.periods)

    def state(self, version: Any) -> str:
        """One of IN_FORCE, DRAFT, WAS and NEVER."""
        if self.active is not None and version.pk == self.active.pk:
            return IN_FORCE
        if version.pk in self.periods:
            return WAS
        return DRAFT if self._is_newer(version) else NEVER

    def period_of(self, version: Any) -> Period | None:
        """When it was in force last."""
        return self.periods.get(version.pk)

    def _is_newer(self, version: Any) -> bool:
        return self.draft is not None and version.number > (self.active.number if self.active else 0)


def standing_of(document: Policy | ActionType) -> Standing:
    """Read from the history of the document, which nobody can rewrite; three queries."""
    rows = document.history.order_by("history_id").values_list("active_id", "history_date", "actor_name")
    periods = _periods(rows.iterator(chunk_size=2000))
    active: Any = document.active
    newest: Any = document.versions.select_related("created_by").order_by("-number").first()
    is_draft = newest is not None and newest.pk not in periods and newest.pk != document.active_id
    return Standing(active, periods.get(active.pk) if active else None, newest if is_draft else None, periods)


def was_ever_in_force(document: Policy | ActionType) -> bool:
    """Whether any version of it ever counted; one query."""
    return bool(document.history.filter(active_id__isnull=False).exists())


def _periods(moves: Iterable[tuple[int | None, datetime, str]]) -> dict[int, Period]:
    """The last period of each version that was ever in force."""
    periods: dict[int, Period] = {}
    now: int | None = None
    for active, at, by in moves:
        if active == now:
            continue
        if now is not None:
            periods[now] = replace(periods[now], until=at)
        if active is not None:
            periods[active] = Period(at, by)
        now = active
    return periods
