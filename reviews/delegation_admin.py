"""Delegations in the admin: make one's own, or say that one is away; revoke one's own, or any as administrator."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from unfold.decorators import display

from audit import clock
from audit.admin_readonly import ReadOnlyAdmin
from audit.text import visible
from intents.governed_admin import GovernedAdmin, Question
from reviews.delegation import LONGEST, REVOKE_OTHERS, Ceiling, State, concerning, delegate, revoke, scope_of, state_of
from reviews.models import Delegation
from reviews.notifications.preferences import settings_of
from reviews.notifications.timing import zone_of
from zehrava.problems import Problem

_STATES = {State.IN_FORCE: "success", State.LATER: "info", State.OVER: "warning", State.REVOKED: "danger"}
_OPEN = (State.IN_FORCE, State.LATER)
# What is suggested to type; any other name will do as well.
_SUGGESTED = 100


@admin.register(Delegation)
class DelegationAdmin(ReadOnlyAdmin, GovernedAdmin):
    list_display = ("shown", "shown_scope", "shown_state", "starts_at", "ends_at")
    list_display_links = ("shown",)
    list_select_related = ("delegator", "delegate")
    search_fields = ("delegator__username", "delegate__username")
    search_help_text = "Beginning or part of a person's username"
    nothing_yet = (
        "Add one to let somebody decide for you for a while, or to name a deputy while you are away. What others"
        " delegated to you is listed here too."
    )
    fields = (
        "delegator", "delegate", "shown_state", "starts_at", "ends_at", "shown_scope", "shown_reason",
        "created_at", "revoked_at",
    )  # fmt: skip
    change_form_template = "admin/reviews/delegation/change_form.html"
    object_pages = (("revoke", "revoke"),)

    # --- who sees what: what concerns oneself, or everybody's ---

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return request.user.is_active

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None or request.user.has_perm("reviews.view_delegation"):
            return request.user.is_active
        return request.user.pk in (obj.delegator_id, obj.delegate_id)  # type: ignore[attr-defined]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        rows = super().get_queryset(request)
        if request.user.has_perm("reviews.view_delegation"):
            return rows
        return rows.filter(pk__in=concerning(cast(User, request.user)))

    def may_revoke(self, request: HttpRequest, row: Delegation) -> bool:
        if state_of(row, clock.now()) not in _OPEN:
            return False
        return row.delegator_id == request.user.pk or request.user.has_perm(REVOKE_OTHERS)

    # --- the list and the page ---

    @display(description="delegation")
    def shown(self, row: Delegation) -> SafeString:
        return visible(row)

    @display(description="scope")
    def shown_scope(self, row: Delegation) -> SafeString:
        return visible(f"{scope_of(row)}, while away" if row.away else scope_of(row))

    @display(description="reason")
    def shown_reason(self, row: Delegation) -> SafeString:
        return visible(row.reason)

    @display(description="state", label=_STATES)
    def shown_state(self, row: Delegation) -> str:
        return state_of(row, clock.now())

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        row = kwargs.get("obj")
        context["may_revoke"] = row is not None and self.may_revoke(request, row)
        return super().render_change_form(request, context, **kwargs)

    # --- making and revoking: GET asks, POST acts ---

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        person, problem = cast(User, request.user), None
        zone = zone_of(settings_of([person])[person.pk])
        if request.method == "POST":
            try:
                made = _make(person, request.POST, zone)
            except Problem as refused:
                problem = refused
            else:
                self.message_user(request, _told(made), messages.SUCCESS)
                return HttpResponseRedirect(self.page(str(made.pk)))
        context = {
            **self.admin_site.each_context(request),
            "title": "Let somebody decide for me",
            "opts": self.model._meta,
            "problem": problem,
            # What was typed, or what a link suggests.
            "typed": request.POST if request.method == "POST" else request.GET,
            "zone": zone.key,
            "most_days": LONGEST.days,
            "colleagues": _colleagues(person),
        }
        response = TemplateResponse(request, "reviews/delegation_new.html", context)
        response.status_code = problem.status if problem else 200
        return response

    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.find(request, object_id)
        if state_of(row, clock.now()) in _OPEN and not self.may_revoke(request, row):
            raise PermissionDenied
        if request.method != "POST":
            consequences = (
                f"{row.delegate} decides nothing for {row.delegator} from now on.",
                "Votes that were given by it count no more where the intent still waits.",
            )
            return self.confirm(request, row, Question(f"Revoke: {row}", consequences, "Revoke it", danger=True))
        try:
            revoke(row, by=cast(User, request.user))
        except Problem as problem:
            self.message_user(request, problem.detail, messages.ERROR)
        else:
            self.message_user(request, f"Revoked: {row}.")
        return HttpResponseRedirect(self.page(str(row.pk)))


def _make(person: User, sent: QueryDict, zone: ZoneInfo) -> Delegation:
    amount, currency = sent.get("amount", "").strip(), sent.get("currency", "").strip().upper()
    return delegate(
        person,
        to=User.objects.filter(username=sent.get("delegate", "").strip()).first(),
        since=_instant(sent, "since", zone),
        until=_instant(sent, "until", zone),
        actions=[action for action in re.split(r"[\s,]+", sent.get("actions", "")) if action],
        ceiling=Ceiling(amount, currency) if amount or currency else None,
        away="away" in sent,
        reason=sent.get("reason", ""),
    )


def _instant(sent: QueryDict, name: str, zone: ZoneInfo) -> datetime | None:
    """A day and time as typed, in the person's time zone; None where nothing was. Raises Problem `invalid`."""
    typed = sent.get(name, "").strip()
    if not typed:
        return None
    try:
        return datetime.fromisoformat(typed).replace(tzinfo=zone)
    except ValueError as error:
        raise Problem("invalid", "Write a day and a time as 2026-12-24T18:00.", path=f"/{name}") from error


def _colleagues(person: User) -> list[str]:
    """Who is in a group with this person, by name: suggested first, and known to them from the desk anyway."""
    in_group = User.objects.filter(is_active=True, groups__in=person.groups.all()).exclude(pk=person.pk)
    return list(in_group.distinct().order_by("username").values_list("username", flat=True)[:_SUGGESTED])


def _told(made: Delegation) -> str:
    if made.away:
        return f"You are out of office then: {made.delegate} is told instead and decides for you."
    return f"{made.delegate} decides for you then: {scope_of(made)}."
