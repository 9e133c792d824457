"""Which part of the record somebody asks for: time, agent, action, reviewer, type, intent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from django.db.models import Q, QuerySet

from audit.canonical_rows import instant
from audit.models import Event
from zehrava import ids
from zehrava.problems import Problem

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# A "+" of an offset that nobody escaped arrives as a space.
_LOST_PLUS = re.compile(r" (\d\d:?\d\d)\Z")
_NAMES = {"from": "since", "to": "until"}


@dataclass(frozen=True, slots=True)
class Filters:
    """What to export; None does not restrict.

    `since` is inclusive, `until` exclusive, both UTC. `agent` is an id or the name the agent had then; `reviewer` a
    person's user name or id; the rest are exact values.
    """

    since: datetime | None = None
    until: datetime | None = None
    agent: str | None = None
    action: str | None = None
    reviewer: str | None = None
    type: str | None = None
    intent: str | None = None

    @classmethod
    def parse(cls, given: Mapping[str, str | None]) -> Filters:
        """Read filters as a request or a command names them: `from`, `to` and the rest. Blank ones do not count.

        Raises Problem "invalid" naming the first parameter that is unknown or unusable.
        """
        values: dict[str, str | datetime] = {}
        for name, text in given.items():
            if name not in PARAMETERS:
                known = ", ".join(PARAMETERS)
                raise Problem("invalid", f"There is no filter {name!r}; use {known}.", path=name)
            if not (text := (text or "").strip()):
                continue
            if "\0" in text:
                raise Problem("invalid", f"{name!r} holds a character U+0000, which nothing stored does.", path=name)
            values[_NAMES.get(name, name)] = _time(name, text) if name in _NAMES else text
        return cls(**values)  # type: ignore[arg-type]

    def as_given(self) -> dict[str, str]:
        """The filters that restrict, by the names a request uses."""
        found = {name: getattr(self, _NAMES.get(name, name)) for name in PARAMETERS}
        return {
            name: instant(value) if isinstance(value, datetime) else value
            for name, value in found.items()
            if value is not None
        }


PARAMETERS = ("from", "to", *(field.name for field in fields(Filters) if field.name not in _NAMES.values()))


def events(filters: Filters) -> QuerySet[Event]:
    """The events that pass the filters."""
    found = Event.objects.all()
    if filters.since:
        # Ids begin with the milliseconds of the time: the primary key finds the place, the time is exact.
        found = found.filter(id__gte=_id_prefix(filters.since), at__gte=filters.since)
    if filters.until:
        found = found.filter(at__lt=filters.until)
    if filters.type:
        found = found.filter(type=filters.type)
    if filters.intent:
        found = found.filter(intent_id=filters.intent)
    if filters.action:
        found = found.filter(action=filters.action)
    if filters.agent:
        by_id = ids.is_id(filters.agent, "agt")
        found = found.filter(**{"agent_id" if by_id else "agent_name": filters.agent})
    if filters.reviewer:
        found = found.filter(_by_person(filters.reviewer))
    return found


def history(rows: QuerySet, filters: Filters) -> QuerySet:
    """The history rows among these that pass the filters, by the event that each was written with."""
    if filters.since:
        rows = rows.filter(pk__gte=_id_prefix(filters.since), history_date__gte=filters.since)
    if filters.until:
        rows = rows.filter(history_date__lt=filters.until)
    if filters.reviewer:
        rows = rows.filter(_by_person(filters.reviewer))
    if filters.agent or filters.action or filters.type or filters.intent:
        rows = rows.filter(pk__in=events(filters).values("id"))
    return rows


def _by_person(name_or_id: str) -> Q:
    return Q(actor_kind="person") & (Q(actor_name=name_or_id) | Q(actor_id=name_or_id))


def _time(name: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(_LOST_PLUS.sub(r"+\1", text))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Problem(
            "invalid",
            f"{name!r} is no time; write 2026-11-23 or 2026-11-23T09:30:00Z (UTC where no offset is given).",
            path=name,
        ) from None


def _id_prefix(at: datetime) -> str:
    """What the ids of events of that millisecond begin with; see `zehrava.ids`."""
    milliseconds = max(0, int(at.timestamp() * 1000) - 1)
    return "evt_" + "".join(_ALPHABET[milliseconds >> shift & 31] for shift in range(45, -1, -5))
