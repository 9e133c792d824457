"""The page "My notifications": what this person is told by e-mail and when, and what they were told last.

It is always about who is signed in: no address and no field names anybody else. Only a POST changes something.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from typing import Any, cast
from zoneinfo import available_timezones

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.dateparse import parse_time
from django.utils.safestring import SafeString

from reviews import presentation
from reviews.delegation import absence_of
from reviews.entitlement import may_view, viewers_of
from reviews.models import Delivery
from reviews.notifications.contents import instant
from reviews.notifications.models import Asks, NotificationSettings
from reviews.notifications.preferences import change_settings, settings_of
from reviews.notifications.states import COLOURS, state_of
from reviews.notifications.timing import zone_of
from reviews.ties import Ties
from zehrava.problems import Problem

LATEST = 10
_PILLS = {"info": "blue", "warning": "amber", "success": "green", "danger": "red"}


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that this person was told, or is going to be."""

    occasion: str
    intent_id: str
    title: SafeString
    state: str
    colour: str
    at: str
    opens: bool


def mine(request: HttpRequest) -> HttpResponse:
    """Show what this person wants, or store what they now want."""
    person = cast(User, request.user)
    wanted, problem = settings_of([person])[person.pk], None
    if request.method == "POST":
        values, unread = _typed(request.POST)
        try:
            if unread:
                raise Problem("invalid", "Write a time of the day as 08:00.", path=f"/{unread}")
            change_settings(person, values)
        except Problem as refused:
            problem = refused
            wanted = NotificationSettings(person=person, **values)
        else:
            messages.success(request, "Saved. It counts from now on, also for what waits to be sent to you.")
            return HttpResponseRedirect(reverse("admin:notifications"))
    request.current_app = admin.site.name  # type: ignore[attr-defined]
    context = {
        **admin.site.each_context(request),
        "title": "My notifications",
        "wanted": wanted,
        "problem": problem,
        "asks": Asks.choices,
        "zones": sorted(available_timezones()),
        "settles": person.has_perm("intents.resolve_intent"),
        "told": _told(person, wanted),
        "absence": absence_of(person),
    }
    response = TemplateResponse(request, "reviews/notifications.html", context)
    response.status_code = problem.status if problem else 200
    return response


def _typed(sent: QueryDict) -> tuple[dict[str, Any], str]:
    """What stands in the form, and the name of a time that cannot be read; "" where all can."""
    times = {name: sent.get(name, "").strip() for name in ("daily_at", "quiet_from", "quiet_to")}
    read = {name: _time(text) for name, text in times.items()}
    unread = next((name for name, text in times.items() if text and read[name] is None), "")
    # A box that is not ticked is not sent at all.
    boxes = {name: name in sent for name in ("outcomes", "mentions", "needs_person", "urgent_anyway")}
    return {"asks": sent.get("asks", ""), "time_zone": sent.get("time_zone", ""), **read, **boxes}, unread


def _time(text: str) -> time | None:
    """A time of the day in whole minutes; None for what is none."""
    try:
        read = parse_time(text)
    except ValueError:
        return None
    return None if read is None else read.replace(second=0, microsecond=0, tzinfo=None)


_CLOSED = SafeString("An intent that you may not open any more")


def _told(person: User, wanted: NotificationSettings) -> list[Told]:
    rows = Delivery.objects.filter(person=person).order_by("-id")
    rows = rows.select_related("intent__action_type_version", "intent__agent")[:LATEST]
    zone, viewers, ties = zone_of(wanted), viewers_of([person]), Ties()
    found = []
    for each in rows:
        opens = each.intent.agent.owner_id == person.pk or may_view(each.intent, person, viewers, ties)
        state = state_of(each)
        # Of what waits, when it is due.
        at = each.sent_at or (each.created_at if each.dropped else each.due_at)
        found.append(
            Told(
                each.get_occasion_display(),
                each.intent_id,
                # A title holds what the payload does: who lost the right to open it reads no more of it here.
                presentation.title(each.intent) if opens else _CLOSED,
                state,
                _PILLS.get(COLOURS.get(state, ""), ""),
                instant(at, zone),
                opens,
            )
        )
    return found
