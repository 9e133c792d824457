"""People of each role, signed in to the admin."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import make_user
from zehrava_site import roles


@pytest.fixture
def sign_in(db: None) -> Callable[..., Client]:
    """Sign somebody in: `sign_in("operators")` by role, or a person who exists."""
    roles.install()

    def signed_in(who: str | User) -> Client:
        user = who if isinstance(who, User) else make_user(f"{who}-person", who)
        client = Client()
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def operator(sign_in: Callable[..., Client]) -> Client:
    return sign_in("operators")


@pytest.fixture
def author(sign_in: Callable[..., Client]) -> Client:
    return sign_in("policy_authors")
