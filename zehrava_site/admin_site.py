"""The one admin site: unfold's, with the approval desk as its first page."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite


class ZehravaAdminSite(UnfoldAdminSite):
    site_title = "Zehrava"
    site_header = "Zehrava"
    index_title = "Approval desk"

    def extra_urls(self) -> list[URLPattern]:
        """unfold's own hook for addresses of the site itself."""
        return [path("follow/", self.admin_view(self.follow), name="follow")]

    def follow(self, request: HttpRequest) -> HttpResponse:
        """What an open page asks for every few seconds; see `reviews.desk.follow`."""
        from reviews import desk

        return JsonResponse(desk.follow(request))

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
