"""The pages of intents in the admin: the list, one intent with its buttons, and its history.

A GET shows; what changes something is in `intent_doors`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    JsonResponse,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import formats
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import (
    ChoicesCheckboxFilter,
    FieldTextFilter,
    RangeDateTimeFilter,
)

from audit.admin_readonly import ReadOnlyAdmin
from audit.event_types import EVENTS
from audit.models import Event
from audit.subjects import said_by_vote
from audit.text import visible
from intents import masking, reading
from intents.models import Intent, RiskLevel, Status
from intents.readable_admin import SaysWhyFew
from reviews import (
    before_after,
    break_glass,
    circumstances,
    entitlement,
    intent_page,
    presentation,
    replacing,
    revealing,
)
from reviews.glass_doors import GlassDoors
from reviews.intent_doors import IntentDoors, person_of
from reviews.intent_filters import AgentFilter, AskedFilter, DecidedFilter, RuleFilter
from reviews.models import Decision, Ground
from reviews.second_factor import freshest
from reviews.similar_decisions import similar_decisions
from reviews.ties import Ties, ties_of
from reviews.tree import tree
from zehrava.problems import Problem

HISTORY_SHOWN = 200
# Complaints that stand beside a field of the bar at the bottom.
IN_THE_BAR = ("/delegator", "/rationale", "/reason", "/ground", "/typed", "/text")


@admin.register(Intent)
class IntentAdmin(IntentDoors, GlassDoors, SaysWhyFew, ReadOnlyAdmin, ModelAdmin):  # type: ignore[misc]
    """Every intent, read-only for everyone; deciding has its own doors."""

    list_display = ["what", "agent", "state", "risk", "target_shown", "asked"]
    list_display_links = ["what"]
    list_filter = [
        ("status", ChoicesCheckboxFilter),
        ("risk_level", ChoicesCheckboxFilter),
        ("action", FieldTextFilter),
        ("agent", AgentFilter),
        ("created_at", RangeDateTimeFilter),
        DecidedFilter,
        RuleFilter,
        AskedFilter,
    ]
    list_filter_submit = True
    list_select_related = ["action_type_version", "agent"]
    list_fullwidth = True
    search_fields = ["=id", "^agent_name", "^action"]
    nothing_yet = "Every intent that an agent proposes is listed here, with its status and its risk."
    search_help_text = "An id, or the beginning of an agent's name or of an action"
    ordering = ["-id"]
    sortable_by = ["asked", "risk"]

    # --- who may look ---

    def has_view_permission(self, request: HttpRequest, obj: Intent | None = None) -> bool:
        """The list is for people with the permission; one intent for who may read it, or has a say in it."""
        if obj is None:
            return super().has_view_permission(request)
        return entitlement.may_view(obj, person_of(request), ties=ties_of(request))

    # --- the list ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[Intent]:
        broken = Decision.objects.filter(intent=OuterRef("pk"), break_glass=True)
        rows = super().get_queryset(request).filter(reading.visible_to(request.user))
        rows = rows.annotate(glass_broken=Exists(broken))
        return rows.defer("verdict", "requirement", "claims")

    @admin.display(description="What")
    def what(self, intent: Intent) -> SafeString:
        return _clamped(presentation.title(intent))

    @admin.display(description="Status")
    def state(self, intent: Intent) -> SafeString:
        status = Status(intent.status)
        pill = _pill(status.label, presentation.STATUS_COLOURS.get(status, ""))
        broken = intent.glass_broken  # type: ignore[attr-defined]
        return format_html("{} {}", pill, _pill("glass broken", "red")) if broken else pill

    @admin.display(description="Risk", ordering="risk_score")
    def risk(self, intent: Intent) -> SafeString:
        level = RiskLevel(intent.risk_level)
        return _pill(f"{level.label} {intent.risk_score}", presentation.RISK_COLOURS[level])

    @admin.display(description="Target")
    def target_shown(self, intent: Intent) -> SafeString | str:
        target = masking.document(intent)["target"]
        if not target:
            return "–"
        claimed = "" if "target" in intent.derived else mark_safe(' <span class="zhv-claimed">claimed</span>')
        return format_html("{}{}", _clamped(presentation.text(target)), claimed)

    @admin.display(description="Asked", ordering="id")
    def asked(self, intent: Intent) -> SafeString:
        return format_html(
            '<span class="zhv-nowrap">{}</span>', formats.date_format(intent.created_at, "DATETIME_FORMAT")
        )

    # --- one intent ---

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method != "GET":
            # Nothing is saved from this address; the buttons have their own.
            raise PermissionDenied
        also = ("supersedes", "superseded_by", "standing_use__standing_approval")
        return self._page(request, self._intent(request, object_id, *also))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What the ledger says about this intent, oldest first."""
        intent = self._intent(request, object_id)
        events = Event.objects.filter(intent_id=intent.pk).order_by("id")[:HISTORY_SHOWN]
        person, ties = person_of(request), ties_of(request)
        lines = [
            {
                "event": event,
                "said": said_by_vote(event),
                "meaning": EVENTS.get(event.type, ""),
                "actor": visible(event.actor_name),
                "facts": tree(replacing.without_unseen(json.loads(event.line)["facts"], person, ties)),
            }
            for event in events
        ]
        context = {"intent": intent, "what": presentation.title(intent), "lines": lines, "title": "History"}
        return self._render(request, "reviews/intent_history.html", context)

    def get_urls(self) -> list[URLPattern]:
        def door(name: str, view: Callable[..., HttpResponse]) -> URLPattern:
            address = f"<path:object_id>/{name}/"
            return path(address, self.admin_site.admin_view(view), name=f"intents_intent_{name}")

        return [
            door("follow", self.follow_view),
            door("raw", self.raw_view),
            door("similar", self.similar_view),
            door("before", self.before_view),
            door("decide", self.decide_view),
            door("edit", self.edit_view),
            door("take", self.take_view),
            door("note", self.note_view),
            door("reveal", self.reveal_view),
            door("withdraw", self.withdraw_view),
            door("cancel", self.cancel_view),
            door("resolve", self.resolve_view),
            door("glass", self.glass_view),
            *super().get_urls(),
        ]

    def follow_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """A few bytes for the open page: whether something on it changed."""
        return JsonResponse({"revision": intent_page.revision(self._intent(request, object_id))})

    def raw_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The canonical text on a page of its own, whatever its size."""
        intent = self._intent(request, object_id)
        context = {
            "intent": intent,
            "what": presentation.title(intent),
            "raw": presentation.raw(intent),
            "title": "Canonical JSON",
        }
        return self._render(request, "reviews/intent_raw.html", context)

    def similar_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What people said of similar ones, for the page to fetch: who sees one intent only sees none of the others."""
        intent = self._intent(request, object_id)
        if not super().has_view_permission(request):
            raise PermissionDenied
        context = {
            "intent": intent,
            "what": presentation.title(intent),
            "similar": similar_decisions(intent, person_of(request)),
        }
        if "HX-Request" in request.headers:
            return TemplateResponse(request, "reviews/intent_similar.html", context)
        return self._render(request, "reviews/intent_similar_page.html", {**context, "title": "Similar decisions"})

    def before_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What stands at the target now beside what the intent will make of it: for its page, or by itself."""
        intent = self._intent(request, object_id)
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        if not before_after.has_block(intent):
            raise Http404("The action type of this intent does not say where to read what stands at the target.")
        context = {"intent": intent, "comparison": before_after.compare(intent)}
        if request.headers.get("HX-Request"):
            return TemplateResponse(request, "reviews/before_after.html", context)
        context |= {"what": presentation.title(intent), "title": "Before and after"}
        return self._render(request, "reviews/before_after_page.html", context)

    def _intent(self, request: HttpRequest, object_id: str, *also: str) -> Intent:
        rows = Intent.objects.select_related("agent__owner", "action_type_version", "policy_version", *also)
        # The database's time, without a question of its own.
        rows = rows.annotate(read_at=Now())
        # The admin's own links write the underscore of an id as _5F; ours, in mails and answers, do not.
        intent = rows.filter(pk__in={object_id, unquote(object_id)}).first()
        if intent is None:
            raise Http404("There is no intent of this id.")
        if not self.has_view_permission(request, intent):
            raise PermissionDenied
        if revealing.revealed_until(intent, person_of(request)):
            masking.unmask(intent)
        return intent

    def _page(
        self,
        request: HttpRequest,
        intent: Intent,
        *,
        problem: Problem | None = None,
        typed: str = "",
        form: str = "",
        ground: str = "",
    ) -> HttpResponse:
        """The page; with `problem` what went wrong in `form`, and what was typed there."""
        page = intent_page.build(
            intent,
            person_of(request),
            now=intent.read_at,  # type: ignore[attr-defined]
            # What was decided or refused meanwhile is read again.
            ties=Ties() if request.method == "POST" else ties_of(request),
            factor=freshest(request),
        )
        context = {
            "title": "Intent",
            "page": page,
            "intent": intent,
            "problem": problem,
            "typed": typed,
            "form": form,
            "grounds": Ground.choices,
            "ground": ground,
            # The place of the complaint: beside the field if it is about the field, else on top of the page.
            "field_error": problem.detail if problem and problem.path in IN_THE_BAR else "",
            **self._reading(request, intent, page.digest),
        }
        response = self._render(request, "reviews/intent.html", context)
        response.status_code = problem.status if problem else 200
        return response

    def _reading(self, request: HttpRequest, intent: Intent, digest: str) -> dict[str, str]:
        """The fields of a form that say how what it decides on was read: since when, and whether all of it."""
        sent = request.POST
        opened = circumstances.opening(
            intent.pk,
            person_of(request),
            digest,
            at=intent.read_at,  # type: ignore[attr-defined]
            kept=sent.get(circumstances.OPENED, ""),
        )
        return {"opened": opened, "seen": sent.get(circumstances.SEEN, "")}

    def _render(self, request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        # Every page of an intent says so, none has to think of it.
        broken = break_glass.broken(context["intent"])
        shared = {**self.admin_site.each_context(request), "broken": broken}
        return TemplateResponse(request, template, {**shared, **context})


def _pill(words: str, colour: str) -> SafeString:
    return format_html('<span class="zhv-pill is-{}">{}</span>', colour or "grey", words)


def _clamped(words: SafeString) -> SafeString:
    """In a list only: a few lines of it are in sight, the intent's page has all."""
    return format_html('<span class="zhv-clamp">{}</span>', words)
