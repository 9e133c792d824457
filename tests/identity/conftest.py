"""People at the door, as a browser has them: cookies kept, pages fetched, forms sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from audit.models import Event
from tests.factories import PASSWORD, make_user
from zehrava import canonical
from zehrava_site import roles
from zehrava_site.identity import factors

STEP = 30  # seconds


@pytest.fixture
def rita(db: None) -> User:
    """A reviewer, without a second factor."""
    roles.install()
    return make_user("rita", "reviewers")


def browser(address: str = "203.0.113.5") -> Client:
    """A browser of its own, at this address."""
    return Client(REMOTE_ADDR=address)


def give_password(client: Client, name: str = "rita", password: str = PASSWORD, **more: str) -> HttpResponse:
    return client.post(reverse("admin:login"), {"username": name, "password": password, **more})


def give_code(client: Client, code: str) -> HttpResponse:
    return client.post(reverse("admin:login_factor"), {"code": code})


def enters(client: Client) -> bool:
    """Whether this browser's session opens the admin."""
    return client.get(reverse("admin:index")).status_code == 200


def code_of(secret: str, *, steps: int = 0) -> str:
    """What an app with this secret shows, so many steps from now."""
    return totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // STEP + steps))


def add_app(person: User) -> tuple[str, list[str]]:
    """An authenticator app, added a while ago; returns its secret and the recovery codes."""
    secret = factors.new_secret()
    codes = factors.add_app(person, secret, code_of(secret, steps=-1))
    return secret, codes


def forget_codes_used() -> None:
    """As if the codes that were used so far had been used long ago."""
    for row in Authenticator.objects.filter(type="totp"):
        row.data["last_counter"] = 0
        row.save()


def told(type: str) -> list[dict[str, Any]]:
    """The lines of the ledger of this type, oldest first."""
    return [canonical.loads(event.line) for event in Event.objects.filter(type=type).order_by("at", "id")]


@pytest.fixture
def signed_in(rita: User) -> Callable[..., Client]:
    """A browser in which rita has just signed in through the page."""

    def enter(address: str = "203.0.113.5") -> Client:
        client = browser(address)
        give_password(client)
        assert enters(client)
        return client

    return enter
