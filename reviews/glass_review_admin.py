"""Reviews of broken glass in the admin: what is open first, and the page on which somebody else closes one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import F, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display

from audit.admin_readonly import ReadOnlyAdmin
from audit.text import visible
from intents.readable_admin import OfReadableIntents
from reviews import break_glass, presentation
from reviews.models import BreakGlassReview, Finding
from reviews.presentation import text
from zehrava.problems import Problem

OPEN = "open"
STATE_COLOURS = {OPEN: "danger", Finding.JUSTIFIED.label: "success", Finding.NOT_JUSTIFIED.label: "warning"}


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("open", "Open"), ("closed", "Closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        wanted = {"open": True, "closed": False}.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(closed_at__isnull=wanted)


@admin.register(BreakGlassReview)
class BreakGlassReviewAdmin(OfReadableIntents, ReadOnlyAdmin, ModelAdmin):  # type: ignore[misc]
    list_display = ("what", "broken_by", "state", "broken_at", "shown_closed_by")
    list_display_links = ("what",)
    list_filter = (StateFilter, "finding")
    list_select_related = ("intent__action_type_version", "decision")
    search_fields = ("=intent__id", "^decision__reviewer_name")
    search_help_text = "Id of an intent, or the beginning of a name"
    nothing_yet = (
        "Where somebody approves an intent beyond its requirement in an emergency, a review opens here, until somebody "
        "else has said whether that was justified. Nobody has done so yet."
    )

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) or request.user.has_perm(break_glass.REVIEW)

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """What is open first, then the newest."""
        return [F("closed_at").desc(nulls_first=True), "-id"]

    # --- the list ---

    @display(description="what was approved")
    def what(self, review: BreakGlassReview) -> SafeString:
        return presentation.title(review.intent)

    @display(description="glass broken by", ordering="decision__reviewer_name")
    def broken_by(self, review: BreakGlassReview) -> SafeString:
        return visible(review.decision.reviewer_name)

    @display(description="review", label=STATE_COLOURS)
    def state(self, review: BreakGlassReview) -> str:
        return review.get_finding_display() or OPEN

    @display(description="when", ordering="opened_at")
    def broken_at(self, review: BreakGlassReview) -> SafeString:
        return format_html('<span class="zhv-nowrap">{}</span>', date_format(review.opened_at, "DATETIME_FORMAT"))

    @display(description="closed by")
    def shown_closed_by(self, review: BreakGlassReview) -> SafeString | str:
        return visible(review.closed_by_name) if review.closed_by_name else "–"

    # --- one review ---

    def get_urls(self) -> list[URLPattern]:
        close = path(
            "<int:object_id>/close/", self.admin_site.admin_view(self.close_view), name="reviews_breakglassreview_close"
        )
        return [close, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method != "GET":
            # Closing has an address of its own.
            raise PermissionDenied
        return self._page(request, self._find(request, object_id))

    def close_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Close it; by POST only."""
        review = self._find(request, str(object_id))
        assert isinstance(request.user, User)  # the admin site let nobody else in
        if request.method == "POST":
            try:
                break_glass.close(
                    review.pk,
                    by=request.user,
                    finding=request.POST.get("finding", ""),
                    text=request.POST.get("text", ""),
                )
            except Problem as problem:
                return self._page(request, self._find(request, str(object_id)), problem=problem)
            messages.success(request, "You closed the review. What you found stays with the record.")
        return HttpResponseRedirect(reverse("admin:reviews_breakglassreview_change", args=[review.pk]))

    def _find(self, request: HttpRequest, object_id: str) -> BreakGlassReview:
        review = self.get_object(request, object_id)
        if review is None:
            raise Http404("There is no such review.")
        if not self.has_view_permission(request, review):
            raise PermissionDenied
        return review

    def _page(self, request: HttpRequest, review: BreakGlassReview, *, problem: Problem | None = None) -> HttpResponse:
        assert isinstance(request.user, User)
        request.current_app = self.admin_site.name  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "title": "Review of broken glass",
            "review": review,
            "decision": review.decision,
            "what": presentation.title(review.intent),
            "needs": text(presentation.needs(review.intent.requirement)),
            "reason": text(review.decision.rationale),
            "found": text(review.text),
            "why_not": break_glass.why_not_close(review, request.user),
            "findings": Finding.choices,
            "problem": problem,
            "chosen": request.POST.get("finding", ""),
            "typed": request.POST.get("text", ""),
        }
        response = TemplateResponse(request, "reviews/glass_review.html", context)
        response.status_code = problem.status if problem else 200
        return response
