"""Where a request comes from: its network address, and the device if the person has signed in with it before.

A device is known by a signed cookie that it got when the person signed in with it (OWASP's device cookies). It opens
nothing: a password is asked for all the same. It only keeps what strangers do apart from what the person does.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass

from allauth.core.internal import ratelimit
from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

COOKIE = "zehrava_device"
KEPT = 180 * 24 * 3600  # seconds
_SALT = "zehrava.device"
# Of people who share one device; the one who was not here for the longest time is forgotten.
_PEOPLE = 5


@dataclass(frozen=True)
class Source:
    """`address`: an IPv4 address, or the /64 network of an IPv6 one. `device`: its id, where this person knows it."""

    address: str
    device: str | None


def source_of(request: HttpRequest, person: User | None) -> Source:
    """Where this request comes from, as seen by who claims to be this person."""
    return Source(address_of(request), _devices(request).get(str(person.pk)) if person else None)


def address_of(request: HttpRequest) -> str:
    """The network address behind the proxies that are one's own."""
    try:
        return ratelimit.get_ip(request)
    except PermissionDenied:
        # Not through the proxies: whoever asks, asks from next to us.
        return ratelimit.truncate_ip(request.META.get("REMOTE_ADDR", ""))


def remember_device(request: HttpRequest, response: HttpResponse, person: User) -> None:
    """Let this device be known from now on, for it is where the person has just signed in."""
    devices = _devices(request)
    mine = devices.pop(str(person.pk), None) or secrets.token_hex(16)
    kept = dict([*devices.items(), (str(person.pk), mine)][-_PEOPLE:])
    response.set_cookie(
        COOKIE,
        signing.dumps(kept, salt=_SALT),
        max_age=KEPT,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _devices(request: HttpRequest) -> dict[str, str]:
    try:
        found = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=KEPT)
    except (signing.BadSignature, json.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
