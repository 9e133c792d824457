"""Exports over HTTP, for auditors and their programs."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from audit import exports, filters
from audit.actors import Actor
from audit.models import Door
from audit.permissions import MayExport
from zehrava.problems import Problem

_DESCRIPTIONS = {
    "from": "Not before this time, ISO 8601; UTC where it has no offset.",
    "to": "Before this time.",
    "agent": "An agent's id, or the name it had then.",
    "action": "An action, exactly.",
    "reviewer": "A person's user name or id: what that person did.",
    "type": "An event type, exactly, such as `intent.approved`.",
    "intent": "An intent's id.",
}
_PARAMETERS = [
    OpenApiParameter(
        "format", enum=list(exports.FORMATS), description="Default: what `Accept` asks for, else `ndjson`."
    ),
    *(OpenApiParameter(name, description=_DESCRIPTIONS[name]) for name in filters.PARAMETERS),
]
_RESPONSES = {
    (200, media_type.split(";")[0]): OpenApiResponse(OpenApiTypes.STR, description="One row per line, oldest first.")
    for media_type in exports.FORMATS.values()
}


class FixedNegotiation(BaseContentNegotiation):
    """Renders problems as the portal does. The formats of an export are none of REST framework's renderers."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ExportView(APIView):
    """Streams a dataset to an auditor and records that it did."""

    permission_classes = [MayExport]
    content_negotiation_class = FixedNegotiation
    # No HEAD: it would record an export that sends nothing.
    http_method_names = ["get", "options"]

    def export(self, request: Request, dataset: str) -> StreamingHttpResponse:
        given = _single_values(request)
        format = given.pop("format", None) or _accepted_format(request)
        return exports.response(exports.begin(dataset, format, given, by=Actor.person(request.user), door=Door.API))


class EventsView(ExportView):
    @extend_schema(
        operation_id="audit_events", tags=["audit"], parameters=_PARAMETERS, responses=_RESPONSES, summary="Events"
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Ledger events, oldest first, as NDJSON or CSV."""
        return self.export(request, "events")


class HistoryView(ExportView):
    @extend_schema(
        operation_id="audit_history",
        tags=["audit"],
        parameters=[OpenApiParameter("model", location="path", description="`intent`, `agent_key`, …"), *_PARAMETERS],
        responses=_RESPONSES,
        summary="History of one model",
    )
    def get(self, request: Request, model: str) -> StreamingHttpResponse:
        """Every state that rows of one governed model were in, with who changed them, as NDJSON or CSV."""
        dataset = f"history/{model}"
        if dataset not in exports.datasets():
            raise Problem("not-found", f"No history is kept of {model!r}.")
        return self.export(request, dataset)


def _single_values(request: Request) -> dict[str, str]:
    for name, values in request.query_params.lists():
        if len(values) > 1:
            raise Problem("invalid", f"{name!r} is given {len(values)} times; give it once.", path=name)
    return request.query_params.dict()


def _accepted_format(request: Request) -> str:
    accepted = request.headers.get("Accept", "")
    return "csv" if "text/csv" in accepted and "application/x-ndjson" not in accepted else "ndjson"
