"""The one admin site: unfold's, with the approval desk as its first page."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.sites import UnfoldAdminSite

YEAR = 365 * 24 * 3600  # seconds


class ZehravaAdminSite(UnfoldAdminSite):
    site_title = "Zehrava"
    site_header = "Zehrava"
    index_title = "Approval desk"

    def extra_urls(self) -> list[URLPattern]:
        """unfold's own hook for addresses of the site itself."""
        from reviews import alike_pages  # models are not loaded yet while the site is being made

        return [
            path("follow/", self.admin_view(self.follow), name="follow"),
            path("figures/", self.admin_view(self.figures), name="figures"),
            path("desk-view/", self.admin_view(self.desk_view), name="desk_view"),
            path("alike/<str:key>/", self.admin_view(alike_pages.together), name="alike"),
        ]

    def follow(self, request: HttpRequest) -> HttpResponse:
        """What an open page asks for every few seconds; see `reviews.desk.follow`."""
        from reviews import desk

        return JsonResponse(desk.follow(request))

    def figures(self, request: HttpRequest) -> HttpResponse:
        """How the portal is doing, for who may see all intents."""
        from audit import clock
        from reviews import figures

        if not request.user.has_perm("intents.view_intent"):
            raise PermissionDenied
        request.current_app = self.name
        context = {**self.each_context(request), "title": "Figures", "page": figures.figures(clock.now())}
        return TemplateResponse(request, "reviews/figures.html", context)

    def desk_view(self, request: HttpRequest) -> HttpResponse:
        """Keep in this browser whether it shows the desk as cards or as a table; only by POST, as any change."""
        from reviews import desk

        # Back to where the button was: only what is asked of the desk, never another address.
        query = QueryDict(request.POST.get("query", "")).urlencode()
        response = HttpResponseRedirect(f"{reverse('admin:index')}?{query}" if query else reverse("admin:index"))
        if request.method == "POST":
            view = desk.TABLE if request.POST.get("view") == desk.TABLE else desk.CARDS
            response.set_cookie(desk.VIEW_COOKIE, view, max_age=YEAR, samesite="Lax", httponly=True)
        return response

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """What waits for this person, most urgent first."""
        from reviews import desk  # models are not loaded yet while the site is being made

        request.current_app = self.name
        context = {
            **self.each_context(request),
            "title": self.index_title,
            "desk": desk.page(request),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "reviews/desk.html", context)
