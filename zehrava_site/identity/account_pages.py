"""What people do about their own account: second factors, recovery codes, the password, proving it is them.

A change of factors needs a proof that is fresh: the second factor for who has one, the password else. A page that is
only opened changes nothing; secrets and recovery codes are shown in the answer to a POST, once.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from allauth.mfa.adapter import get_adapter
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME, update_session_auth_hash
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.forms import AdminOwnPasswordChangeForm

from audit import clock
from audit.actors import Actor
from reviews import second_factor
from reviews.second_factor import Factor
from zehrava.problems import Problem
from zehrava_site.identity import attempts, factors, security_keys, signing_in, standing
from zehrava_site.people import record_person

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

SECRET_KEY = "zehrava_new_secret"
LONGEST_NAME = 60

Context = dict[str, Any]


# --- what there is -------------------------------------------------------------------------------------------------


def overview(request: HttpRequest, context: Context) -> HttpResponse:
    """One's own second factors."""
    person = _person(request)
    rows = [
        {
            "pk": row.pk,
            "kind": factors.kind_of(row),
            "name": name_of(row),
            "at": row.created_at,
            "used": row.last_used_at,
        }
        for row in factors.factors_of(person)
    ]
    page = {
        **context,
        **signing_in.asking(request, person),
        "title": "Second factors",
        "rows": rows,
        "required": settings.ZEHRAVA_REQUIRE_SECOND_FACTOR and not rows,
        "next": signing_in.local(request, request.GET.get(REDIRECT_FIELD_NAME)) or "",
    }
    return TemplateResponse(request, "admin/account/second_factors.html", page)


def name_of(row: Any) -> str:
    """What its owner calls a factor."""
    return row.data.get("name") or "Authenticator app"


# --- an authenticator app ------------------------------------------------------------------------------------------


def add_app(request: HttpRequest, context: Context) -> HttpResponse:
    """The QR code of a new secret, and the code that proves that the app has it."""
    person = _person(request)
    if request.method != "POST":
        return _back()
    if not is_fresh(request):
        return ask(request, reverse("admin:second_factors"))
    secret, problem = request.session.get(SECRET_KEY), None
    if secret and "code" in request.POST:
        try:
            with transaction.atomic():
                codes = factors.add_app(person, secret, request.POST["code"].replace(" ", ""))
                return _added(request, context, "The authenticator app was added.", codes, SECRET_KEY)
        except Problem as error:
            if error.kind == "conflict":
                messages.error(request, error.detail)
                return _back()
            problem = error
    else:
        secret = request.session[SECRET_KEY] = factors.new_secret()
    url = factors.otpauth_url(person, secret)
    drawn = base64.b64encode(get_adapter().build_totp_svg(url).encode()).decode()
    page = {
        **context,
        "title": "Add an authenticator app",
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "image": f"data:image/svg+xml;base64,{drawn}",
        "url": url,
        "problem": signing_in.told(problem),
    }
    return _not_kept(TemplateResponse(request, "admin/account/add_app.html", page))


# --- a security key ------------------------------------------------------------------------------------------------


def add_key(request: HttpRequest, context: Context) -> HttpResponse:
    """A name for a new security key; the browser asks the key for the rest."""
    person = _person(request)
    problem = None
    if request.method == "POST":
        if not is_fresh(request):
            return ask(request, reverse("admin:add_key"))
        name = " ".join(request.POST.get("name", "").split())[:LONGEST_NAME] or "Security key"
        try:
            response = signing_in.credential_of(request)
            with transaction.atomic():
                codes = security_keys.add(request, person, name=name, response=response)
                return _added(request, context, f"{name} was added.", codes)
        except Problem as error:
            problem = error
    page = {
        **context,
        **signing_in.asking(request, person),
        "title": "Add a security key",
        "fresh": is_fresh(request),
        "longest_name": LONGEST_NAME,
        "problem": signing_in.told(problem),
    }
    return TemplateResponse(request, "admin/account/add_key.html", page)


def key_challenge(request: HttpRequest) -> HttpResponse:
    """What a new security key has to sign; by POST, for the session remembers it."""
    if not is_fresh(request):
        return HttpResponse(status=403)
    return signing_in.challenge_for(request, _person(request), "add")


# --- removing, recovery codes --------------------------------------------------------------------------------------


def remove(request: HttpRequest, pk: int, context: Context) -> HttpResponse:
    """Ask whether to remove a factor, and remove it."""
    person = _person(request)
    row = next((factor for factor in factors.factors_of(person) if factor.pk == pk), None)
    if row is None:
        return _back()
    address = reverse("admin:remove_factor", args=[pk])
    if request.method == "POST":
        if not is_fresh(request):
            return ask(request, address)
        try:
            with transaction.atomic():
                factors.remove(person, pk, by=Actor.person(person))
                second_factor.forget(request, pk)
                standing.keep_session(request)
        except Problem as error:
            messages.error(request, error.detail)
        else:
            messages.success(request, f"{name_of(row)} was removed. Other sessions of yours have ended.")
        return _back()
    page = {
        **context,
        "title": f"Remove {name_of(row)}",
        "name": name_of(row),
        "last": len(factors.factors_of(person)) == 1,
    }
    return TemplateResponse(request, "admin/account/remove_factor.html", page)


def recovery_codes(request: HttpRequest, context: Context) -> HttpResponse:
    """Make new recovery codes and show them, this once."""
    person = _person(request)
    if request.method == "POST":
        if not is_fresh(request):
            return ask(request, reverse("admin:recovery_codes"))
        try:
            codes = factors.make_codes(person)
        except Problem as error:
            messages.error(request, error.detail)
            return _back()
        return _shown_once(request, context, "Your earlier recovery codes are void.", codes)
    page = {**context, **signing_in.asking(request, person), "title": "Recovery codes"}
    return TemplateResponse(request, "admin/account/recovery_codes.html", page)


def _added(request: HttpRequest, context: Context, said: str, codes: list[str], *done: str) -> HttpResponse:
    """After a factor was added: this session goes on, all others of this person end."""
    for key in done:
        request.session.pop(key, None)
    standing.keep_session(request)
    # Who adds a factor has shown that they have it: they add the next one without being asked for this one.
    row = factors.factors_of(_person(request))[-1]
    second_factor.record(request, _person(request), Factor(factors.kind_of(row), row.pk, clock.now()))
    if codes:
        return _shown_once(request, context, said, codes)
    messages.success(request, f"{said} Other sessions of yours have ended.")
    return _back()


def _shown_once(request: HttpRequest, context: Context, said: str, codes: list[str]) -> HttpResponse:
    page = {
        **context,
        "title": "Your recovery codes",
        "said": said,
        "codes": [f"{code[:5]} {code[5:]}" for code in codes],
    }
    return _not_kept(TemplateResponse(request, "admin/account/codes_shown.html", page))


# --- the password --------------------------------------------------------------------------------------------------


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """The old password once and the new one twice; who guesses at the old one waits."""

    request: HttpRequest

    def clean_old_password(self) -> str:
        old = self.cleaned_data["old_password"]
        try:
            right = signing_in.check_password(self.request, self.user.get_username(), old, signed_in=True)
        except attempts.TooManyAttempts as error:
            self.add_error("old_password", str(error))
            return old
        if right is None:
            self.add_error("old_password", self.error_messages["password_incorrect"])
        return old


def change_password(request: HttpRequest, context: Context) -> HttpResponse:
    """Change one's own password; all other sessions end with it."""
    person = _person(request)
    form = OwnPasswordForm(person, data=request.POST or None)
    form.request = request
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            record_person(person, "changed", by=Actor.person(person), password=True)
            update_session_auth_hash(request, person)
            standing.keep_session(request)
        return HttpResponseRedirect(reverse("admin:password_change_done"))
    page = {**context, "title": "Change password", "form": form, "original": person}
    return TemplateResponse(request, "registration/password_change_form.html", page)


# --- proving that it is you ----------------------------------------------------------------------------------------


def is_fresh(request: HttpRequest) -> bool:
    """Whether this person has just proved who they are: by a second factor, or by the password where they have none."""
    person = _person(request)
    if standing.has_factor(person):
        factor = second_factor.freshest(request)
        return factor is not None and second_factor.was_just_now(factor.at)
    given = request.session.get(signing_in.PROVED_KEY)
    return (
        isinstance(given, (int, float)) and 0 <= clock.now().timestamp() - given <= second_factor.FRESH.total_seconds()
    )


def ask(request: HttpRequest, back: str) -> HttpResponse:
    """To the page that asks for a fresh proof, and from there to `back`."""
    page = "admin:second_factor" if standing.has_factor(_person(request)) else "admin:confirm_password"
    return HttpResponseRedirect(f"{reverse(page)}?{urlencode({REDIRECT_FIELD_NAME: back})}")


def confirm_factor(request: HttpRequest, context: Context) -> HttpResponse:
    """Ask for the second factor again, note that it was given, and go back to where it was needed."""
    person = _person(request)

    def note(factor: Factor) -> HttpResponse:
        second_factor.record(request, person, factor)
        return HttpResponseRedirect(wanted)

    wanted, about = _wanted(request), _about(request)
    asked = {**signing_in.asking(request, person), "next": wanted, "about": about}
    return _confirming(
        request,
        {**context, **asked, "title": "Confirm that it is you"},
        "admin/account/confirm_factor.html",
        lambda: signing_in.prove(request, person, note, signed_in=True, about=about),
    )


def confirm_challenge(request: HttpRequest) -> HttpResponse:
    """What a security key has to sign to confirm that it is you."""
    return signing_in.challenge_for(request, _person(request), "use", _about(request))


def confirm_password(request: HttpRequest, context: Context) -> HttpResponse:
    """Ask for the password again, of who has no second factor."""
    person, wanted = _person(request), _wanted(request)

    def check() -> HttpResponse:
        given = request.POST.get("password", "")
        if signing_in.check_password(request, person.get_username(), given, signed_in=True) is None:
            raise Problem("invalid", "This is not your password.")
        request.session[signing_in.PROVED_KEY] = clock.now().timestamp()
        return HttpResponseRedirect(wanted)

    page = {**context, "title": "Confirm that it is you", "next": wanted}
    return _confirming(request, page, "admin/account/confirm_password.html", check)


def _confirming(request: HttpRequest, page: Context, template: str, check: Callable[[], HttpResponse]) -> HttpResponse:
    problem: Exception | None = None
    if request.method == "POST":
        try:
            return check()
        except (Problem, attempts.TooManyAttempts) as error:
            problem = error
    response = TemplateResponse(request, template, {**page, "problem": signing_in.told(problem)})
    return signing_in.waiting(response, getattr(problem, "seconds", None))


def _about(request: HttpRequest) -> str:
    """The digest of what is about to be approved; empty for anything that is no digest."""
    asked = request.POST.get("about") or request.GET.get("about") or ""
    return asked if _DIGEST.fullmatch(asked) else ""


def _wanted(request: HttpRequest) -> str:
    asked = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME)
    return signing_in.local(request, asked) or reverse("admin:index")


# --- small things --------------------------------------------------------------------------------------------------


def _person(request: HttpRequest) -> User:
    # Not `request.user`, which only stands for the person.
    person = standing.person_of(request)
    assert isinstance(person, User)
    return person


def _back() -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:second_factors"))


def _not_kept(response: HttpResponse) -> HttpResponse:
    response.headers["Cache-Control"] = "no-store"
    return response
