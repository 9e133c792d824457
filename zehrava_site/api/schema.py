"""The OpenAPI document: each operation with the problems it can answer with."""

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from zehrava.problems import KINDS, MEDIA_TYPE, TYPE_PREFIX

PROBLEM = ResolvedComponent(
    name="Problem",
    type=ResolvedComponent.SCHEMA,
    object="Problem",
    schema={
        "type": "object",
        "description": "RFC 9457.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "enum": [TYPE_PREFIX + kind for kind in KINDS]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What is wrong and what to do."},
            "path": {
                "type": "string",
                "description": "A JSON Pointer into the body, or the name of a query parameter or header.",
            },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["path", "detail"],
                    "properties": {"path": {"type": "string"}, "detail": {"type": "string"}},
                },
            },
            "request_id": {"type": "string", "nullable": True},
        },
        "additionalProperties": True,
    },
)
RETRY_AFTER = {"description": "After how many seconds to try again.", "schema": {"type": "integer", "minimum": 1}}
ALWAYS = ("malformed-request", "unsupported-media-type", "not-acceptable", "internal", "unavailable")
CREDENTIALS = ("unauthenticated", "forbidden", "suspended")
BODY = ("malformed-json", "too-large", "invalid")


class ProblemAutoSchema(AutoSchema):
    """Adds to each operation the problems that any view of its shape can meet, and those its view names.

    A view names its own in `problems = {"POST": ("not-pending", …)}`.
    """

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        self.registry.register_on_missing(PROBLEM)
        by_status: dict[int, list[str]] = {}
        for kind in self._kinds(operation):
            by_status.setdefault(KINDS[kind][0], []).append(kind)
        responses = operation["responses"]
        for status, kinds in sorted(by_status.items()):
            responses.setdefault(str(status), self._response(status, kinds))
        operation["responses"] = dict(sorted(responses.items()))
        return operation

    def _kinds(self, operation: dict[str, Any]) -> list[str]:
        kinds = [*ALWAYS]
        if operation.get("security") not in ([{}], None):
            kinds += CREDENTIALS
        places = {parameter["in"] for parameter in operation.get("parameters", ())}
        if "path" in places:
            kinds.append("not-found")
        if "query" in places:
            kinds.append("invalid")
        if "requestBody" in operation:
            kinds += BODY
        kinds += getattr(self.view, "problems", {}).get(self.method, ())
        return list(dict.fromkeys(kinds))

    def _response(self, status: int, kinds: list[str]) -> dict[str, Any]:
        titles = " · ".join(KINDS[kind][1] for kind in kinds)
        examples = {
            kind: {"value": {"type": TYPE_PREFIX + kind, "title": KINDS[kind][1], "status": status, "detail": "…"}}
            for kind in kinds
        }
        response = {"description": titles, "content": {MEDIA_TYPE: {"schema": PROBLEM.ref, "examples": examples}}}
        return {**response, "headers": {"Retry-After": RETRY_AFTER}} if status == 429 else response
