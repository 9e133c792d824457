"""The pages of intents in the admin: the list, one intent with its buttons, and its history.

A GET shows; only the POST views at the end change something, each by calling one function of the business.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import formats
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import (
    ChoicesCheckboxFilter,
    FieldTextFilter,
    RangeDateTimeFilter,
    RelatedDropdownFilter,
)

from audit.actors import Actor
from audit.admin_readonly import ReadOnlyAdmin
from audit.event_types import EVENTS
from audit.models import Event
from audit.subjects import said_by_vote
from audit.text import visible
from intents import cancelling, execution
from intents.models import Intent, RiskLevel, Status
from reviews import change_page, confirming, decisions, entitlement, grounds, intent_page, notes, presentation, taking
from reviews.models import Decision, Ground, Vote
from reviews.tree import tree
from zehrava.problems import Problem

HISTORY_SHOWN = 200
# Complaints that stand beside a field of the bar at the bottom.
IN_THE_BAR = ("/rationale", "/reason", "/ground", "/typed", "/text")
LONGEST_NAME = 120


@admin.register(Intent)
class IntentAdmin(ReadOnlyAdmin, ModelAdmin):  # type: ignore[misc]
    """Every intent, read-only for everyone; deciding has its own doors."""

    list_display = ["what", "agent", "state", "risk", "target_shown", "asked"]
    list_display_links = ["what"]
    list_filter = [
        ("status", ChoicesCheckboxFilter),
        ("risk_level", ChoicesCheckboxFilter),
        ("action", FieldTextFilter),
        ("agent", RelatedDropdownFilter),
        ("created_at", RangeDateTimeFilter),
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
        """People with the permission see all; who fills a seat of an intent sees that one."""
        if super().has_view_permission(request, obj):
            return True
        return obj is not None and entitlement.may_decide(obj, _person(request)) is None

    # --- the list ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[Intent]:
        return super().get_queryset(request).defer("verdict", "requirement", "claims")

    @admin.display(description="What")
    def what(self, intent: Intent) -> SafeString:
        return _clamped(presentation.title(intent))

    @admin.display(description="Status")
    def state(self, intent: Intent) -> SafeString:
        status = Status(intent.status)
        return _pill(status.label, presentation.STATUS_COLOURS.get(status, ""))

    @admin.display(description="Risk", ordering="risk_score")
    def risk(self, intent: Intent) -> SafeString:
        level = RiskLevel(intent.risk_level)
        return _pill(f"{level.label} {intent.risk_score}", presentation.RISK_COLOURS[level])

    @admin.display(description="Target")
    def target_shown(self, intent: Intent) -> SafeString | str:
        if not intent.target:
            return "–"
        claimed = "" if "target" in intent.derived else mark_safe(' <span class="zhv-claimed">claimed</span>')
        return format_html("{}{}", _clamped(visible(intent.target)), claimed)

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
        return self._page(request, self._intent(request, object_id))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """What the ledger says about this intent, oldest first."""
        intent = self._intent(request, object_id)
        events = Event.objects.filter(intent_id=intent.pk).order_by("id")[:HISTORY_SHOWN]
        lines = [
            {
                "event": event,
                "said": said_by_vote(event),
                "meaning": EVENTS.get(event.type, ""),
                "actor": visible(event.actor_name),
                "facts": tree(json.loads(event.line)["facts"]),
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
            door("decide", self.decide_view),
            door("edit", self.edit_view),
            door("take", self.take_view),
            door("note", self.note_view),
            door("withdraw", self.withdraw_view),
            door("cancel", self.cancel_view),
            door("resolve", self.resolve_view),
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

    def _intent(self, request: HttpRequest, object_id: str) -> Intent:
        rows = Intent.objects.select_related("agent__owner", "action_type_version", "policy_version")
        # The database's time, without a question of its own.
        rows = rows.annotate(read_at=Now())
        # The admin's own links write the underscore of an id as _5F; ours, in mails and answers, do not.
        intent = rows.filter(pk__in={object_id, unquote(object_id)}).first()
        if intent is None:
            raise Http404("There is no intent of this id.")
        if not self.has_view_permission(request, intent):
            raise PermissionDenied
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
        context = {
            "title": "Intent",
            "page": intent_page.build(intent, _person(request), now=intent.read_at),  # type: ignore[attr-defined]
            "intent": intent,
            "problem": problem,
            "typed": typed,
            "form": form,
            "grounds": Ground.choices,
            "ground": ground,
            # The place of the complaint: beside the field if it is about the field, else on top of the page.
            "field_error": problem.detail if problem and problem.path in IN_THE_BAR else "",
        }
        response = self._render(request, "reviews/intent.html", context)
        response.status_code = problem.status if problem else 200
        return response

    def _render(self, request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        return TemplateResponse(request, template, {**self.admin_site.each_context(request), **context})

    # --- the doors that change something: POST, and nothing else ---

    def decide_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Approve or reject what was rendered: the form carries the digests of what this person saw."""
        intent = self._intent(request, object_id)
        if request.method != "POST":
            return _to_page(intent)
        vote, rationale = request.POST.get("vote", ""), request.POST.get("rationale", "")
        ground = request.POST.get("ground", "") if vote == Vote.REJECT else ""
        try:
            if vote == Vote.REJECT:
                grounds.refuse_without(ground)
            elif intent_page.abilities(intent, _person(request)).decide:
                confirming.refuse_unless_typed(intent, request.POST.get("typed", ""))
            decisions.decide(
                intent.pk,
                by=_person(request),
                vote=vote,
                digest=request.POST.get("digest", ""),
                ground=ground,
                rationale=rationale,
                verdict_digest=request.POST.get("verdict_digest", ""),
                requirement_digest=request.POST.get("requirement_digest", ""),
            )
        except Problem as problem:
            if _already_did(intent, _person(request), vote, request.POST.get("digest", "")):
                messages.info(
                    request, format_html("Your vote on {} was already recorded. {}", _named(intent), _open_it(intent))
                )
                return HttpResponseRedirect(reverse("admin:index"))
            return self._page(
                request,
                self._intent(request, object_id),
                problem=problem,
                typed=rationale,
                form="decide",
                ground=ground,
            )
        messages.success(request, _what_happened(self._intent(request, object_id), vote))
        return HttpResponseRedirect(reverse("admin:index"))

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Change the payload: a POST with step "look" only shows what that would do, one with "approve" decides."""
        intent, person = self._intent(request, object_id), _person(request)
        may = intent_page.abilities(intent, person)
        if not may.decide or may.only_reject:
            messages.info(request, may.only_reject or may.why_not or "Nothing can be changed here any more.")
            return _to_page(intent)
        if request.method != "POST":
            return self._edit_page(request, intent, change_page.page(intent, mode=request.GET.get("as", "fields")))
        typed = {name: str(value) for name, value in request.POST.items()}
        shown = change_page.page(intent, mode=typed.get("mode", change_page.AS_FIELDS), typed=typed)
        try:
            if typed.get("step") != change_page.STEP_APPROVE:
                return self._edit_page(
                    request, intent, change_page.look(intent, change_page.read(intent, typed), shown)
                )
            decisions.decide(
                intent.pk,
                by=person,
                vote=Vote.APPROVE,
                digest=typed.get("digest", ""),
                ground=grounds.refuse_without(typed.get("ground", "")),
                rationale=typed.get("rationale", ""),
                changes=change_page.looked_at(intent, typed),
                verdict_digest=typed.get("verdict_digest", ""),
                requirement_digest=typed.get("requirement_digest", ""),
            )
        except Problem as problem:
            still = change_page.still_shown(intent, typed, shown)
            return self._edit_page(request, intent, still, problem=problem, typed=typed)
        messages.success(request, _what_happened(self._intent(request, object_id), Vote.APPROVE, changed=True))
        return HttpResponseRedirect(reverse("admin:index"))

    def _edit_page(
        self,
        request: HttpRequest,
        intent: Intent,
        page: change_page.ChangePage,
        *,
        problem: Problem | None = None,
        typed: dict[str, str] | None = None,
    ) -> HttpResponse:
        context = {
            "title": "Change the payload",
            "intent": intent,
            "what": presentation.title(intent),
            "page": page,
            "problem": problem,
            "rationale": (typed or {}).get("rationale", ""),
            "grounds": Ground.choices,
            "ground": (typed or {}).get("ground", ""),
            "shown_digest": (typed or {}).get("digest") or intent.digest,
        }
        response = self._render(request, "reviews/intent_edit.html", context)
        response.status_code = problem.status if problem else 200
        return response

    def take_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say "I am on it", or let it go."""
        intent, person = self._intent(request, object_id), _person(request)
        if request.method != "POST":
            return _to_page(intent)

        def step() -> str:
            if request.POST.get("do") == "let-go":
                taking.let_go(intent.pk, by=person)
                return "You let it go: others see that nobody is on it."
            taking.take(intent.pk, by=person)
            return "You are on it for five minutes. Others see that on the desk."

        return self._do(request, intent, step, form="take")

    def note_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say something beside deciding: to people, or to the agent."""
        intent, person = self._intent(request, object_id), _person(request)
        if request.method != "POST":
            return _to_page(intent)
        words = request.POST.get("text", "")

        def say() -> str:
            if request.POST.get("do") == "ask":
                notes.ask(intent, by=person, text=words)
                return "The agent is asked; its answer will stand on this page."
            notes.comment(intent, by=person, text=words)
            return "Your comment is on this page. Agents never read it."

        return self._do(request, intent, say, form="note", typed=words)

    def withdraw_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take this person's own vote back while the intent is pending."""
        intent = self._intent(request, object_id)
        if request.method != "POST":
            return _to_page(intent)
        person = _person(request)
        own = Decision.objects.filter(intent=intent, reviewer=person, withdrawn_at=None).order_by("-id").first()
        if own is None:
            messages.info(request, "You have no vote here to take back.")
            return _to_page(intent)

        def take_back() -> str:
            decisions.withdraw(own, by=person)
            return "Your vote was taken back. You may vote again."

        return self._do(request, intent, take_back, form="withdraw")

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """An operator stops an intent before it runs."""
        intent = self._intent(request, object_id)
        if request.method != "POST":
            return _to_page(intent)
        if not request.user.has_perm("intents.cancel_intent"):
            raise PermissionDenied
        reason = request.POST.get("reason", "").strip()

        def cancel() -> str:
            if not reason:
                raise Problem("invalid", "Say why you cancel it; the reason stays with the record.", path="/reason")
            cancelling.cancel(intent, by=Actor.person(_person(request)), reason=reason)
            return "The intent was cancelled. It will not run."

        return self._do(request, intent, cancel, form="cancel", typed=reason)

    def resolve_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """An operator settles what an indeterminate execution did."""
        intent = self._intent(request, object_id)
        if request.method != "POST":
            return _to_page(intent)
        reason, outcome = request.POST.get("reason", ""), request.POST.get("outcome", "")
        said = {
            "succeeded": "Recorded: it had succeeded.",
            "failed": "Recorded: it had failed.",
            "again": "It is approved once more and will run as a new attempt.",
        }

        def resolve() -> str:
            execution.resolve(intent, by=_person(request), outcome=outcome, reason=reason)
            return said[outcome]

        return self._do(request, intent, resolve, form="resolve", typed=reason)

    def _do(
        self, request: HttpRequest, intent: Intent, step: Callable[[], str], *, form: str, typed: str = ""
    ) -> HttpResponse:
        try:
            message = step()
        except Problem as problem:
            fresh = self._intent(request, intent.pk)
            return self._page(request, fresh, problem=problem, typed=typed, form=form)
        messages.success(request, message)
        return _to_page(intent)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the admin site let nobody else in
    return request.user


def _pill(words: str, colour: str) -> SafeString:
    return format_html('<span class="zhv-pill is-{}">{}</span>', colour or "grey", words)


def _clamped(words: SafeString) -> SafeString:
    """In a list only: a few lines of it are in sight, the intent's page has all."""
    return format_html('<span class="zhv-clamp">{}</span>', words)


def _to_page(intent: Intent) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:intents_intent_change", args=[intent.pk]))


def _already_did(intent: Intent, person: User, vote: str, digest: str) -> bool:
    """Whether this is the second click on a button that has already done its work."""
    return Decision.objects.filter(intent=intent, reviewer=person, vote=vote, digest=digest, withdrawn_at=None).exists()


def _named(intent: Intent) -> SafeString:
    words = presentation.plain_title(intent)
    if len(words) > LONGEST_NAME:
        words = f"{intent.action} ({intent.pk})"
    return visible(words)


def _open_it(intent: Intent) -> SafeString:
    address = reverse("admin:intents_intent_change", args=[intent.pk])
    return format_html('<a class="zhv-msg-link" href="{}">Open it</a>', address)


def _what_happened(intent: Intent, vote: str, *, changed: bool = False) -> SafeString:
    if vote == Vote.REJECT:
        said = "It will not run, and its agent is told why."
    elif intent.status == Status.PENDING_APPROVAL:
        stood = entitlement.standing_of(intent, entitlement.votes_of([intent]).get(intent.pk, []))
        said = f"{stood.given} of {stood.needed} approvals given; it still waits."
    elif intent.execution_mode == "portal":
        said = "The portal runs it now."
    else:
        said = "Its agent may now run it, once."
    did = "rejected" if vote == Vote.REJECT else "changed and approved" if changed else "approved"
    if changed and intent.widened_by:
        did, said = "changed", "It may reach further than the agent asked, so somebody else has to approve it."
    return format_html("You {} {}. {} {}", did, _named(intent), said, _open_it(intent))
