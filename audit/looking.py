"""Which events somebody may look at who may not take them all.

Who may export sees everything: what they look at is a part of what they may take. Everybody else sees events about
something whose rows are not everybody's only as far as they may see that; the app that has such rows says which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Exists, OuterRef, Q

from audit.models import Event
from audit.permissions import may_export

# Which events are within somebody's rights, as a condition on them; an empty one for all.
EventsFor = Callable[[Any], Q]


def _all_of_them(person: Any) -> Q:
    return Q()


_events_for: EventsFor = _all_of_them


def provide(provider: EventsFor) -> None:
    """Register who knows which events somebody may look at."""
    global _events_for
    _events_for = provider


def events_for(person: Any) -> Q:
    """Which events this person may look at, as a condition."""
    return Q() if may_export(person) else _events_for(person)


def history_for(person: Any) -> Q:
    """Which history rows they may look at: those of events that they may."""
    among = events_for(person)
    return Q(Exists(Event.objects.filter(among, pk=OuterRef("history_id")))) if among else among
