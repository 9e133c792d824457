"""What is known about the request that is being answered: its id, and the person who sent it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponseBase

from audit.actors import Actor

HEADER = "X-Request-Id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")

_request_id: ContextVar[str | None] = ContextVar("audit_request_id", default=None)
_request: ContextVar[HttpRequest | None] = ContextVar("audit_request", default=None)


def request_id() -> str | None:
    """The id of the request being answered, or of the job it caused; None outside of both."""
    return _request_id.get()


def bind_request_id(value: str | None) -> None:
    """Carry a request's id into a job that it caused.

    Raises ValueError for anything but 1 to 64 letters, digits, dots, dashes and underscores.
    """
    if value is not None and not _WELL_FORMED.fullmatch(value):
        raise ValueError("A request id has 1 to 64 letters, digits, dots, dashes and underscores.")
    _request_id.set(value)


@contextmanager
def bound_request_id(value: str | None) -> Iterator[None]:
    """As `bind_request_id`, until the block ends."""
    before = _request_id.get()
    bind_request_id(value)
    try:
        yield
    finally:
        _request_id.set(before)


def signed_in_person() -> Actor | None:
    """The person whose session the current request carries; None for agents, jobs and commands."""
    request = _request.get()
    user: Any = getattr(request, "user", None)
    # An agent's principal may stand in for a user here; only a real one is a person.
    if isinstance(user, get_user_model()) and user.is_authenticated:
        return Actor.person(user)
    return None


class RequestIdMiddleware:
    """Gives each request an id, its own if it is well-formed, and returns it in the response.

    It stands first, so that everything after it can be traced. It also remembers the request, so that a plain
    `save()` in the admin is attributed to the person who clicked.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        sent = request.headers.get(HEADER, "")
        value = sent if _WELL_FORMED.fullmatch(sent) else secrets.token_hex(16)
        bound_id, bound_request = _request_id.set(value), _request.set(request)
        try:
            response = self.get_response(request)
        finally:
            _request.reset(bound_request)
            _request_id.reset(bound_id)
        response.headers[HEADER] = value
        return response
