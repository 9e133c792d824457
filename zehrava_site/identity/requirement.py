"""`ZEHRAVA_REQUIRE_SECOND_FACTOR`: who has no second factor adds one before anything else opens.

Who has one is asked for it at every sign-in, whatever the setting, so that it is enough to see to it that they have.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from zehrava.problems import Problem
from zehrava_site.api import problems
from zehrava_site.identity import standing


class SecondFactorMiddleware:
    """Leads people without a second factor to where they add one. An agent's request costs it nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.ZEHRAVA_REQUIRE_SECOND_FACTOR and settings.SESSION_COOKIE_NAME in request.COOKIES:
            person = request.user
            if isinstance(person, User) and not standing.has_factor(person) and not _stays_open(request.path):
                return _refusal(request)
        return self.get_response(request)


def _stays_open(path: str) -> bool:
    pages = ("admin:second_factors", "admin:login", "admin:logout", "admin:confirm_password", "admin:password_change")
    return path.startswith((settings.STATIC_URL, *(reverse(page) for page in pages))) or path in ("/healthz", "/readyz")


def _refusal(request: HttpRequest) -> HttpResponseBase:
    if request.path.startswith("/api/"):
        return problems.answer(Problem("forbidden", "Add a second factor to your account in the admin first."))
    query = {"next": request.get_full_path()} if request.method == "GET" else {}
    return HttpResponseRedirect(f"{reverse('admin:second_factors')}?{urlencode(query)}")
