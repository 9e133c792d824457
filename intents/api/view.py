"""What every view of the API does the same way: who may call it, its body and its query read strictly."""

from collections.abc import Collection
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from intents.api.callers import AnyOf, OpenTo
from zehrava import canonical
from zehrava.problems import Problem


class Negotiation(DefaultContentNegotiation):
    """The framework's negotiation, with a short cut for the headers that nearly every client sends."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        if request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", "application/json"):
            return renderers[0], renderers[0].media_type
        return super().select_renderer(request, renderers, format_suffix)


class View(APIView):
    """A view names in `open_to`, per method, who may call it; a method that it does not name is closed to all.

    `problems` names, per method, the kinds of problem of its own, for the schema.
    """

    open_to: OpenTo = {}
    problems: dict[str, tuple[str, ...]] = {}
    http_method_names = ["get", "head", "post", "delete"]
    content_negotiation_class = Negotiation
    throttle_classes = ()
    metadata_class = None
    versioning_class = None

    def get_permissions(self) -> list[BasePermission]:
        method = self.request.method or ""
        if method not in self.allowed_methods:
            return []  # 405, whoever asks
        return [AnyOf(self.open_to.get("GET" if method == "HEAD" else method, ()))]


def members(request: Request, *, required: Collection[str] = (), optional: Collection[str] = ()) -> dict[str, Any]:
    """The JSON object sent as body, holding all of these members and no others; an empty body is an empty object
    where nothing is required.

    Raises Problem `malformed-json` or `invalid`, which lists every member at fault.
    """
    body = request.data
    # Without a single byte the framework never asks the parser.
    if request.stream is None:
        if required:
            raise Problem("malformed-json", "The body is empty; send a JSON object.", path="")
        body = {}
    if not isinstance(body, dict):
        raise Problem("invalid", "Send a JSON object.", path="")
    errors = [{"path": canonical.pointer(name), "detail": "This is required."} for name in required if name not in body]
    known = {*required, *optional}
    errors += [
        {"path": canonical.pointer(name), "detail": "This is not known here; remove it."}
        for name in body
        if name not in known
    ]
    if errors:
        raise Problem(
            "invalid", f"{errors[0]['path'][1:]}: {errors[0]['detail']}", path=errors[0]["path"], errors=errors
        )
    return body


def text_member(body: dict[str, Any], name: str, *, default: str = "", longest: int = 10_000) -> str:
    """The text in a body's member; its default where it is absent or null. Raises Problem `invalid`."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise Problem("invalid", f"{name}: Send a string.", path=canonical.pointer(name))
    if len(value) > longest:
        raise Problem("invalid", f"{name}: Send at most {longest} characters.", path=canonical.pointer(name))
    return value


def query(request: Request, *, known: Collection[str] = (), repeatable: Collection[str] = ()) -> None:
    """Refuse query parameters that nothing here reads, and those that stand twice. Raises Problem `invalid`."""
    for name, values in request.query_params.lists():
        if name not in known and name not in repeatable:
            names = ", ".join([*known, *repeatable])
            hint = f"known here: {names}" if names else "nothing is read from the query here"
            raise Problem("invalid", f"This query parameter is not known; {hint}.", path=name)
        if len(values) > 1 and name not in repeatable:
            raise Problem("invalid", f"{name} stands twice in the query; keep one of them.", path=name)


def whole_number(request: Request, name: str, *, default: int, least: int, most: int) -> int:
    """A query parameter that is a whole number between these two. Raises Problem `invalid`."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most:
        return int(text)
    raise Problem("invalid", f"{name} is a whole number from {least} to {most}.", path=name)
