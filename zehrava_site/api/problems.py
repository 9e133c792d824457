"""Everything that goes wrong under /api/ is told as `application/problem+json` (RFC 9457)."""

import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.views import defaults
from rest_framework import exceptions

from audit.context import request_id
from zehrava import canonical
from zehrava.problems import MEDIA_TYPE, Problem
from zehrava_site.api.renderers import encode

logger = logging.getLogger(__name__)

CHALLENGE = 'Bearer realm="zehrava"'
UNAUTHENTICATED = "Send an agent's key or a personal token: Authorization: Bearer …"


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """The answer to whatever a view raised."""
    return answer(as_problem(error))


def answer(problem: Problem) -> HttpResponse:
    """The problem as a response."""
    response = HttpResponse(
        encode(problem.document()), status=problem.status, content_type=MEDIA_TYPE, headers=problem.headers
    )
    if problem.status == 401:
        response.headers.setdefault("WWW-Authenticate", CHALLENGE)
    return response


def as_problem(error: BaseException | None) -> Problem:
    """The problem to tell for an exception; one that nobody expected is logged, and told without its internals."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, canonical.StrictError):
        return Problem(error.kind, error.reason, path=error.path)
    if isinstance(error, exceptions.APIException):
        return _of_rest_framework(error)
    if isinstance(error, Http404):
        return Problem("not-found", "There is nothing here for you; check the address and the id.")
    if isinstance(error, PermissionDenied):
        return Problem("forbidden", str(error) or "You may not do this.")
    if isinstance(error, RequestDataTooBig):
        return Problem("too-large", "The body is too large; send less.", path="")
    if isinstance(error, UnreadablePostError):
        return Problem("malformed-json", "The body ended too early; send it again.", path="")
    if isinstance(error, SuspiciousOperation | BadRequest | MultiPartParserError):
        return Problem("malformed-request", "This request is malformed; check its host name, address and headers.")
    if isinstance(error, DjangoValidationError):
        return _of_django_validation(error)
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("The database does not answer: %s", error)
        return Problem("unavailable", "The database does not answer just now; try again.", headers={"Retry-After": "1"})
    logger.error("Unexpected error", exc_info=error)
    return Problem("internal", "Something went wrong here; the operator finds it by this id.", request_id=request_id())


def _of_rest_framework(error: exceptions.APIException) -> Problem:
    if isinstance(error, exceptions.NotAuthenticated):
        return Problem("unauthenticated", UNAUTHENTICATED)
    if isinstance(error, exceptions.AuthenticationFailed):
        return Problem("unauthenticated", str(error.detail))
    if isinstance(error, exceptions.ValidationError):
        errors = list(_flat(error.detail))
        detail = errors[0]["detail"] if errors else "The request is not valid."
        return Problem("invalid", detail, path=errors[0]["path"] if errors else None, errors=errors)
    if isinstance(error, exceptions.UnsupportedMediaType):
        return Problem("unsupported-media-type", "Send the body as Content-Type: application/json.")
    if isinstance(error, exceptions.Throttled):
        headers = {"Retry-After": str(int(getattr(error, "wait", None) or 1))}
        return Problem("too-many-requests", "Slow down, then try again.", headers=headers)
    for kind, cause in {
        "forbidden": exceptions.PermissionDenied,
        "malformed-json": exceptions.ParseError,
        "not-found": exceptions.NotFound,
        "method-not-allowed": exceptions.MethodNotAllowed,
        "not-acceptable": exceptions.NotAcceptable,
    }.items():
        if isinstance(error, cause):
            return Problem(kind, str(error.detail))
    logger.error("Unexpected error", exc_info=error)
    return Problem("internal", "Something went wrong here; the operator finds it by this id.", request_id=request_id())


def _flat(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    if isinstance(detail, Mapping):
        for name, below in detail.items():
            yield from _flat(below, path if name == "non_field_errors" else path + canonical.pointer(str(name)))
    elif isinstance(detail, list | tuple):
        for index, below in enumerate(detail):
            nested = isinstance(below, Mapping | list)
            yield from _flat(below, f"{path}/{index}" if nested else path)
    else:
        yield {"path": path, "detail": str(detail)}


def _of_django_validation(error: DjangoValidationError) -> Problem:
    by_field = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    errors = [
        {"path": canonical.pointer(name) if name not in ("", "__all__") else "", "detail": message}
        for name, messages in by_field.items()
        for message in messages
    ]
    return Problem("invalid", errors[0]["detail"], path=errors[0]["path"], errors=errors)


# --- what Django itself refuses, before or outside of a view ---------------------------------------------------------


def is_api(request: HttpRequest) -> bool:
    """Whether a program is asking, which wants a problem and no page."""
    return request.path.startswith(("/api/", "/v1/"))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400"""
    return answer(as_problem(exception)) if is_api(request) else defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403"""
    return answer(as_problem(exception)) if is_api(request) else defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404"""
    return answer(as_problem(exception)) if is_api(request) else defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500"""
    return answer(as_problem(sys.exc_info()[1])) if is_api(request) else defaults.server_error(request)
