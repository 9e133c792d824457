"""From the login page into a session: the password, then a second factor if the person has one.

The way is allauth's: a login that is not complete is put by in the session and goes on stage by stage, whatever it
began with. The pages are the admin's, and every outcome is told to the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.account.stages import LoginStage, LoginStageController
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME, authenticate
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.forms import AuthenticationForm

from audit import clock, ledger
from audit.actors import Actor
from reviews import second_factor
from reviews.second_factor import Factor
from zehrava.problems import Problem
from zehrava_site.identity import attempts, events, factors, security_keys, sources, standing

Then = Callable[[Factor], HttpResponse]

PASSWORD = "password"
# When this session's person last said who they are otherwise than by a second factor.
PROVED_KEY = "zehrava_proved"
_LONGEST_CREDENTIAL = 20_000  # characters
_NO_ENTRY = "This account may not enter. Ask an administrator."


def local(request: HttpRequest, address: str | None) -> str | None:
    """The address, if it is one of this site and says so without naming a host; else None."""
    if address and address.startswith("/") and url_has_allowed_host_and_scheme(address, allowed_hosts=None):
        return address
    return None


# --- the way -------------------------------------------------------------------------------------------------------


class Adapter(DefaultAccountAdapter):
    """What is particular to this portal on allauth's way into a session."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_login_stages(self) -> list[str]:
        return ["zehrava_site.identity.signing_in.SecondFactorStage"]

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        return None if _may_enter(user) else _turned_away(request)

    def login(self, request: HttpRequest, user: User) -> None:
        # Read anew: between the first stage and the last, minutes may have passed.
        user.refresh_from_db(fields=["is_active", "is_staff"])
        with transaction.atomic():
            super().login(request, user)
            way = _way(request)
            factor: Factor | None = way.get("factor")
            if factor is not None:
                second_factor.record(request, user, factor)
            facts = {
                "method": way["method"],
                "factor": factor.kind if factor else None,
                "known_device": sources.source_of(request, user).device is not None,
            }
            content = {"address": sources.address_of(request)}
            request.session[PROVED_KEY] = clock.now().timestamp()
            ledger.record(ledger.Change(events.SIGNED_IN, user, Actor.person(user), facts, content, None))

    def post_login(self, request: HttpRequest, user: User, *, redirect_url: str | None, **kwargs: Any) -> HttpResponse:
        response = HttpResponseRedirect(local(request, redirect_url) or reverse("admin:index"))
        sources.remember_device(request, response, user)
        return response


class SecondFactorStage(LoginStage):
    """Asks for a second factor, of whoever has one."""

    key = "second_factor"
    urlname = "admin:login_factor"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        person: Any = self.login.user
        state = standing.state_of(person)
        if not state.has_factor:
            return None, True
        self.state["standing"] = state.digest
        self.state["method"] = _way(self.request)["method"]
        return HttpResponseRedirect(reverse(self.urlname)), True

    def still_holds(self) -> bool:
        """Whether the password, the rights and the factors are those that this login began with."""
        person: Any = self.login.user
        return _may_enter(person) and self.state.get("standing") == standing.state_of(person).digest


def sign_out(request: HttpRequest) -> None:
    """Tell the ledger that this person leaves; inside the transaction that ends the session."""
    person = standing.person_of(request)
    if isinstance(person, User):
        ledger.record(ledger.Change(events.SIGNED_OUT, person, Actor.person(person), {}, None, None))


def _may_enter(person: User) -> bool:
    return person.is_active and person.is_staff


def _turned_away(request: HttpRequest) -> HttpResponse:
    messages.error(request, _NO_ENTRY)
    return HttpResponseRedirect(reverse("admin:login"))


def _way(request: HttpRequest) -> dict[str, Any]:
    """How this request signs somebody in, for what the ledger is told."""
    way = getattr(request, "_zehrava_way", None)
    if way is None:
        way = request._zehrava_way = {"method": PASSWORD}  # type: ignore[attr-defined]
    return way


# --- the password --------------------------------------------------------------------------------------------------


class PasswordForm(AuthenticationForm):
    """Name and password; who tries too often waits."""

    wait: int | None = None  # seconds

    def clean(self) -> dict[str, Any]:
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if name is not None and password:
            try:
                self.user_cache = check_password(self.request, name, password)
            except attempts.TooManyAttempts as error:
                self.wait = error.seconds
                raise forms.ValidationError(str(error), code="wait") from error
            if self.user_cache is None:
                raise self.get_invalid_login_error()
            self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data


def check_password(request: HttpRequest, name: str, password: str, *, signed_in: bool = False) -> User | None:
    """The active person of this name and password. Raises TooManyAttempts."""
    person = User.objects.filter(username=name).first()
    source = sources.source_of(request, person)
    attempt = attempts.begin("password", name, person, source, signed_in=signed_in)
    found = authenticate(request, username=name, password=password)
    if not isinstance(found, User):
        attempt.failed()
        return None
    attempt.succeeded()
    return found


def password_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The login page. Only a POST looks at a password, and only a right one begins a session."""
    form = PasswordForm(request, data=request.POST or None)
    wanted = local(request, request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME))
    if request.method == "POST" and form.is_valid():
        person: Any = form.get_user()
        credentials = {"username": person.get_username()}
        return perform_password_login(request, credentials, Login(user=person, redirect_url=wanted))
    provider = urlsplit(settings.ZEHRAVA_OIDC_ISSUER).hostname
    page = {**context, "form": form, "next": wanted or "", "provider": provider}
    response = TemplateResponse(request, "admin/login.html", page)
    return waiting(response, form.wait)


def waiting(response: HttpResponse, seconds: int | None) -> HttpResponse:
    """The page as an answer to who has to wait so long; as it is where nobody has to."""
    if seconds is not None:
        response.status_code = 429
        response.headers["Retry-After"] = str(seconds)
    return response


# --- the second factor ---------------------------------------------------------------------------------------------


def factor_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The second page of signing in, for who has given their password and has a second factor."""
    stage = LoginStageController.enter(request, SecondFactorStage.key)
    if not isinstance(stage, SecondFactorStage) or not stage.still_holds():
        return HttpResponseRedirect(reverse("admin:login"))
    person: Any = stage.login.user
    problem = None
    if request.method == "POST":
        try:
            return _complete(request, stage, person)
        except (Problem, attempts.TooManyAttempts) as error:
            problem = error
    page = {**context, **asking(request, person), "problem": told(problem), "person": person}
    response = TemplateResponse(request, "admin/login_factor.html", page)
    return waiting(response, getattr(problem, "seconds", None))


def _complete(request: HttpRequest, stage: SecondFactorStage, person: User) -> HttpResponse:
    def enter(factor: Factor) -> HttpResponse:
        request._zehrava_way = {"method": stage.state["method"], "factor": factor}  # type: ignore[attr-defined]
        return stage.exit()

    return prove(request, person, enter, signed_in=False)


def factor_challenge(request: HttpRequest) -> HttpResponse:
    """What a security key has to sign to complete this sign-in; by POST, for the session remembers it."""
    stage = LoginStageController.enter(request, SecondFactorStage.key)
    if not isinstance(stage, SecondFactorStage) or not stage.still_holds():
        return JsonResponse({"problem": "Sign in again: this took too long."}, status=409)
    person: Any = stage.login.user
    return challenge_for(request, person, "use")


def challenge_for(request: HttpRequest, person: User, purpose: security_keys.Purpose, about: str = "") -> HttpResponse:
    """The challenge as JSON, or the problem with it; `about` is what is to be signed for."""
    try:
        return JsonResponse(security_keys.challenge(request, person, purpose, about))
    except Problem as problem:
        return JsonResponse({"problem": problem.detail}, status=problem.status)


def asking(request: HttpRequest, person: User) -> dict[str, Any]:
    """What a page that asks this person for a factor has to know."""
    kinds = {factors.kind_of(row) for row in factors.factors_of(person)}
    return {
        "has_app": "totp" in kinds,
        "has_key": "webauthn" in kinds,
        "keys_work": security_keys.usable_at(request),
        "codes_left": factors.recovery_codes_left(person),
    }


def prove(request: HttpRequest, person: User, then: Then, *, signed_in: bool, about: str = "") -> HttpResponse:
    """What follows from the factor that this POST proves, by a `code` or a security key's `credential`.

    `about` is what a key was asked to sign for.

    Both are stored together or not at all; a failure is counted whatever becomes of it. Raises Problem `invalid`, and
    TooManyAttempts for codes.
    """
    if request.POST.get("credential"):
        with transaction.atomic():
            return then(security_keys.use(request, person, response=credential_of(request), about=about))
    code = request.POST.get("code", "").strip()
    if not code:
        raise Problem("invalid", "Type the code.")
    source = sources.source_of(request, person)
    attempt = attempts.begin("code", person.get_username(), person, source, signed_in=signed_in)
    with transaction.atomic():
        factor = factors.use_code(person, code)
        if factor is not None:
            attempt.succeeded()
            return then(factor)
    attempt.failed()
    raise Problem("invalid", "This code is wrong, too old, or was used before.")


def credential_of(request: HttpRequest) -> Any:
    """What a security key said, as the browser wrote it. Raises Problem `invalid`."""
    text = request.POST.get("credential", "")
    try:
        found = json.loads(text) if len(text) <= _LONGEST_CREDENTIAL else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Problem("invalid", "The security key's answer cannot be read. Try again.")
    return found


def told(error: Exception | None) -> str:
    """What to tell a person who was refused; empty for nobody."""
    return error.detail if isinstance(error, Problem) else str(error or "")
