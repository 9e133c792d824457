"""The one admin site: unfold's, with the approval desk as its first page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_POST
from unfold.sites import UnfoldAdminSite

YEAR = 365 * 24 * 3600  # seconds


class ZehravaAdminSite(UnfoldAdminSite):
    site_title = "Zehrava"
    site_header = "Zehrava"
    index_title = "Approval desk"

    def extra_urls(self) -> list[URLPattern]:
        """unfold's own hook for addresses of the site itself."""
        # Models are not loaded yet while the site is being made.
        from reviews import alike_pages
        from reviews.notifications import page as notifications
        from zehrava_site.identity import account_pages, oidc, signing_in

        return [
            path("follow/", self.admin_view(self.follow), name="follow"),
            path("figures/", self.admin_view(self.figures), name="figures"),
            path("desk-view/", self.admin_view(self.desk_view), name="desk_view"),
            path("notifications/", self.admin_view(notifications.mine), name="notifications"),
            path("alike/<str:key>/", self.admin_view(alike_pages.together), name="alike"),
            # Before anybody is signed in.
            path("login/second-factor/", self._outside(signing_in.factor_page), name="login_factor"),
            path(
                "login/second-factor/challenge/",
                never_cache(require_POST(signing_in.factor_challenge)),
                name="login_factor_challenge",
            ),
            path("login/oidc/", never_cache(require_POST(csrf_protect(oidc.begin))), name="oidc"),
            path("login/oidc/callback/", never_cache(oidc.callback), name="oidc_callback"),
            # One's own account.
            path("second-factors/", self._inside(account_pages.overview), name="second_factors"),
            path("second-factors/app/", self._inside(account_pages.add_app), name="add_app"),
            path("second-factors/key/", self._inside(account_pages.add_key), name="add_key"),
            path(
                "second-factors/key/challenge/",
                self.admin_view(require_POST(account_pages.key_challenge)),
                name="add_key_challenge",
            ),
            path("second-factors/<int:pk>/remove/", self._inside(account_pages.remove), name="remove_factor"),
            path("second-factors/codes/", self._inside(account_pages.recovery_codes), name="recovery_codes"),
            path("second-factor/", self._inside(account_pages.confirm_factor), name="second_factor"),
            path(
                "second-factor/challenge/",
                self.admin_view(require_POST(account_pages.confirm_challenge)),
                name="second_factor_challenge",
            ),
            path("confirm-password/", self._inside(account_pages.confirm_password), name="confirm_password"),
        ]

    @method_decorator(never_cache)
    @method_decorator(login_not_required)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The first page of signing in; see `zehrava_site.identity.signing_in`."""
        from zehrava_site.identity import signing_in

        if request.method != "POST" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        request.current_app = self.name
        return signing_in.password_page(request, {**self.each_context(request), **(extra_context or {})})

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Sign out; by POST only, as Django has it."""
        from zehrava_site.identity import signing_in

        with transaction.atomic():
            if request.method == "POST":
                signing_in.sign_out(request)
            return super().logout(request, extra_context)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """One's own password."""
        from zehrava_site.identity import account_pages

        request.current_app = self.name
        return account_pages.change_password(request, {**self.each_context(request), **(extra_context or {})})

    def _inside(self, page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """A page of the admin that takes what every page of it has in common."""
        return self.admin_view(self._with_context(page))

    def _outside(self, page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        """The same, for who is not signed in yet."""
        return login_not_required(never_cache(csrf_protect(self._with_context(page))))

    def _with_context(self, page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, **arguments: Any) -> HttpResponse:
            request.current_app = self.name
            return page(request, context=self.each_context(request), **arguments)

        return view

    def follow(self, request: HttpRequest) -> HttpResponse:
        """What an open page asks for every few seconds; see `reviews.desk.follow`."""
        from reviews import desk

        return JsonResponse(desk.follow(request))

    def figures(self, request: HttpRequest) -> HttpResponse:
        """How the portal is doing, in what this person may read: a page of its own, and a part of the desk's."""
        from audit import clock
        from intents import reading
        from reviews import figures

        person = request.user
        if not isinstance(person, get_user_model()) or not person.has_perm(reading.VIEW):
            raise PermissionDenied
        request.current_app = self.name
        page = figures.figures(clock.now(), person)
        if request.headers.get("HX-Request"):
            return TemplateResponse(request, "reviews/figures_panel.html", {"page": page})
        return TemplateResponse(
            request, "reviews/figures.html", {**self.each_context(request), "title": "Figures", "page": page}
        )

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
