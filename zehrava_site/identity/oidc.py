"""Signing in at somebody else's door: an OpenID Connect provider, named by configuration, off by default.

The way is allauth's authorization code flow, with a state of the session and PKCE (RFC 7636). A person is who the
provider calls by that subject, and nobody else: neither an address nor a name that it tells makes them one who is here
already. What claims say of groups is set at each sign-in, for the groups that the configuration names; all others are
given out here. Who has a second factor here is asked for it as after a password.
"""

from __future__ import annotations

import hashlib
from typing import Any

import jwt
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from requests import RequestException

from audit.actors import Actor
from zehrava_site.people import record_person

PROVIDER = Actor.system("OpenID Connect")
# Signed with the provider's private key; never with a secret that both know, and never not at all.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
LEEWAY = 60  # seconds that clocks may differ
_FAILED = "Signing in there did not work. Try again, or ask an administrator."
_NO_ROLE = "You may not enter: nothing that is told of you there gives you a role here."


def is_on() -> bool:
    """Whether a provider is configured."""
    return bool(settings.ZEHRAVA_OIDC_ISSUER)


# --- the two addresses ---------------------------------------------------------------------------------------------


def begin(request: HttpRequest) -> HttpResponse:
    """To the provider; by POST, for the session remembers what was asked."""
    if not is_on():
        raise Http404
    try:
        return OAuth2LoginView.adapter_view(_Flow(request))(request)
    except RequestException:
        return _back(request, _FAILED)


def callback(request: HttpRequest) -> HttpResponse:
    """Back from the provider. A GET, as the protocol has it: the state in the session says that we asked for it."""
    if not is_on():
        raise Http404
    return OAuth2CallbackView.adapter_view(_Flow(request))(request)


class _Flow(OpenIDConnectOAuth2Adapter):
    """allauth's, which reads nothing but an ID token that it has verified itself."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request, settings.ZEHRAVA_OIDC_ID)

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return settings.BASE_URL + reverse("admin:oidc_callback")

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> SocialLogin:
        claims = self._verified(kwargs["response"].get("id_token", ""), app.client_id)
        return self.get_provider().sociallogin_from_response(request, {"id_token": claims})

    def _verified(self, token: str, audience: str) -> dict[str, Any]:
        session = DefaultSocialAccountAdapter().get_requests_session()
        try:
            if self.openid_config["issuer"] != settings.ZEHRAVA_OIDC_ISSUER:
                raise OAuth2Error("The provider calls itself something else.")
            answer = session.get(self.openid_config["jwks_uri"])
            answer.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
            wanted = jwt.get_unverified_header(token).get("kid")
            key = next(key for key in keys if wanted in (None, key.key_id))
            return jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=audience,
                issuer=settings.ZEHRAVA_OIDC_ISSUER,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub"]},
            )
        except (jwt.PyJWTError, StopIteration, ValueError, TypeError, KeyError) as error:
            raise OAuth2Error("The ID token is not valid.") from error


class _Provider(OpenIDConnectProvider):
    """allauth's, on our way."""

    def get_oauth2_adapter(self, request: HttpRequest) -> _Flow:
        return _Flow(request)


# --- who it is, and what they may ----------------------------------------------------------------------------------


class Adapter(DefaultSocialAccountAdapter):
    """What is particular to this portal where allauth has verified who somebody is."""

    def get_provider(self, request: HttpRequest, provider: str, client_id: str | None = None) -> _Provider:
        return _Provider(request, app=self.get_app(request, provider, client_id))

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        claims = sociallogin.account.extra_data["id_token"]
        request._zehrava_way = {"method": "oidc"}  # type: ignore[attr-defined]
        try:
            person = enter(sociallogin.account, claims)
        except ValidationError as error:
            raise ImmediateHttpResponse(_back(request, " ".join(error.messages))) from error
        if person is None:
            raise ImmediateHttpResponse(_back(request, _NO_ROLE))
        sociallogin.user = person

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False

    def on_authentication_error(self, request: HttpRequest, provider: Any, **kwargs: Any) -> None:
        raise ImmediateHttpResponse(_back(request, _FAILED))


def enter(account: SocialAccount, claims: dict[str, Any]) -> User | None:
    """The person of this subject with the groups that the claims give; made if they are new and have one.

    None for who has no role, neither by claims nor by administrators: what the claims took is taken all the same.
    Raises ValidationError where they give what nobody may have at once.
    """
    given = groups_of(claims)
    with transaction.atomic():
        known = SocialAccount.objects.select_for_update().filter(provider=account.provider, uid=account.uid).first()
        if known is None:
            return _add(account, claims, given) if given else None
        person = User.objects.select_for_update().get(pk=known.user_id)
        _set_groups(person, given)
        return person if person.groups.exists() else None


def groups_of(claims: dict[str, Any]) -> set[str]:
    """The names of the groups that these claims give; only what the configuration names is one."""
    told = claims.get(settings.ZEHRAVA_OIDC_GROUPS_CLAIM, [])
    values = told if isinstance(told, list) else [told]
    mapping = settings.ZEHRAVA_OIDC_GROUPS
    return {group for value in values if isinstance(value, str) for group in mapping.get(value, [])}


def _add(account: SocialAccount, claims: dict[str, Any], given: set[str]) -> User:
    person = User(username=_free_name(account.uid, claims), is_staff=True)
    person.email = claims.get("email", "") if claims.get("email_verified") is True else ""
    person.set_unusable_password()
    person.full_clean()
    person.save()
    SocialAccount.objects.create(user=person, provider=account.provider, uid=account.uid)
    person.groups.set(_groups(given, person))
    record_person(person, "added", by=PROVIDER)
    return person


def _set_groups(person: User, given: set[str]) -> None:
    """Give and take the groups that the configuration names; all others are none of the provider's business."""
    governed = {group for groups in settings.ZEHRAVA_OIDC_GROUPS.values() for group in groups}
    before = set(person.groups.values_list("name", flat=True))
    after = (before - governed) | given
    wanted = _groups(after, person)
    if before != {group.name for group in wanted}:
        person.groups.set(wanted)
        record_person(person, "changed", by=PROVIDER)


def _groups(names: set[str], person: User) -> list[Group]:
    from zehrava_site.people_admin import refuse_seats_of_administrators

    refuse_seats_of_administrators(names)
    return list(Group.objects.filter(name__in=names))


def _free_name(subject: str, claims: dict[str, Any]) -> str:
    """A name nobody has: who is called like somebody here is another person all the same."""
    wanted = str(claims.get("preferred_username") or subject)[:100]
    if not User.objects.filter(username__iexact=wanted).exists():
        return wanted
    return f"{wanted}-{hashlib.sha256(subject.encode()).hexdigest()[:8]}"


def _back(request: HttpRequest, said: str) -> HttpResponse:
    messages.error(request, said)
    return HttpResponseRedirect(reverse("admin:login"))
