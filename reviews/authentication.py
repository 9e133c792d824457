"""Who is calling: a person, by a personal token or by the session of the admin."""

from typing import Any

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from intents import reading
from intents.api.authentication import PERSON, bearer, fingerprint
from reviews.models import PersonalToken
from zehrava.problems import Problem


class PersonalTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer zhp_…`: `request.user` is the person, `request.auth` the token."""

    def authenticate(self, request: Request) -> tuple[Any, PersonalToken] | None:
        text = bearer(request)
        if text is None or not text.startswith(PERSON):
            return None
        tokens = PersonalToken.objects.select_related("user").annotate(narrowed=reading.meets_a_rule("user"))
        found = tokens.filter(hash=fingerprint(text), revoked_at=None).first()
        if found is None or not found.user.is_active:
            raise Problem("unauthenticated", "This token is not known here, was revoked, or its person has left.")
        setattr(found.user, reading.MEETS_A_RULE, found.narrowed)
        return found.user, found

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="zehrava"'


class PersonSessionAuthentication(SessionAuthentication):
    """The admin's session, with CSRF for what changes something; any Authorization header rules it out."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        if bearer(request) is not None:
            return None
        return super().authenticate(request)

    def enforce_csrf(self, request: Request) -> None:
        """Raises Problem `csrf`."""
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            raise Problem("csrf", "Send the token of the csrftoken cookie as X-CSRFToken.") from error

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="zehrava"'
