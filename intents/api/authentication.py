"""Who is calling: an agent, by the key it was given."""

import hashlib

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from intents import in_force
from zehrava.problems import Problem

AGENT, PERSON = "zhv_", "zhp_"


def bearer(request: Request) -> str | None:
    """What `Authorization: Bearer` carries; None without that header.

    Raises Problem `unauthenticated` where the header is there and is anything else: it never falls back to a session.
    """
    header = request.META.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    scheme, _, credential = header.partition(" ")
    if scheme.lower() == "bearer" and credential.startswith((AGENT, PERSON)) and credential.isascii():
        return credential
    raise Problem(
        "unauthenticated", "Send an agent's key (zhv_…) or a personal token (zhp_…) as Authorization: Bearer …"
    )


def fingerprint(credential: str) -> str:
    """What is stored of a key or token: the hexadecimal SHA-256 of its text."""
    return hashlib.sha256(credential.encode()).hexdigest()


class AgentKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer zhv_…`: `request.auth` is the agent in force; `request.user` stays nobody.

    An agent is no user: history names people by user, and what asks for a person must not find one.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, in_force.AgentInForce] | None:
        key = bearer(request)
        if key is None or not key.startswith(AGENT):
            return None
        snapshot = in_force.current()
        agent = snapshot.agents_by_key.get(fingerprint(key))
        if agent is None:
            raise Problem(
                "unauthenticated", "This key is not known here, or was revoked; ask the agent's owner for one."
            )
        if agent.suspended:
            raise Problem("suspended", f"The agent {agent.name} is suspended; ask its owner or an operator.")
        # Read once per request: what it decides, it decides by what was in force when its key was accepted.
        request.in_force = snapshot  # type: ignore[attr-defined]
        return AnonymousUser(), agent

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="zehrava"'
