"""People, agents and intents around the desk."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.factories import make_agent, make_user
from zehrava_site import roles


@pytest.fixture(autouse=True)
def _roles(db: None) -> None:
    roles.install()


@pytest.fixture
def owner() -> User:
    return make_user("olivia")


@pytest.fixture
def key(owner: User) -> str:
    """The key of an agent that olivia owns."""
    return make_agent("billing-agent", owner=owner)[1]


@pytest.fixture
def rita() -> User:
    return make_user("rita", "reviewers")
