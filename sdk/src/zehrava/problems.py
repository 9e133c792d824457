"""Every problem the portal can answer with, as RFC 9457 documents; shared by the portal and its clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TYPE_PREFIX = "urn:zehrava:problem:"
MEDIA_TYPE = "application/problem+json"

KINDS: dict[str, tuple[int, str]] = {
    # The request cannot be read.
    # Its host name, address, query or headers, which stand before any body.
    "malformed-request": (400, "Malformed request"),
    "malformed-json": (400, "Malformed JSON"),
    "unsupported-media-type": (415, "Unsupported media type"),
    "not-acceptable": (406, "Not acceptable"),
    "method-not-allowed": (405, "Method not allowed"),
    "too-large": (413, "Too large"),
    # It can be read, and a value in it is wrong: `path` or `errors` say which.
    "invalid": (422, "Invalid request"),
    # Who is asking, and may they?
    "unauthenticated": (401, "Not authenticated"),
    "forbidden": (403, "Forbidden"),
    # The agent, or everything, was stopped by a person.
    "suspended": (403, "Suspended"),
    # A reviewer without a seat in this intent's requirement, or the owner of its agent.
    "not-entitled": (403, "Not entitled to decide"),
    # Policy wants a second factor of whoever approves this, used just now.
    "second-factor-needed": (403, "Second factor needed"),
    "csrf": (403, "CSRF check failed"),
    # Also for what exists and belongs to someone else.
    "not-found": (404, "Not found"),
    "conflict": (409, "Conflict"),
    # Deciding
    "not-pending": (409, "Not waiting for a decision"),
    "expired": (409, "Expired"),
    # The digest sent is not that of what would run now: it changed since it was shown.
    "stale-digest": (409, "Shown version is stale"),
    "already-voted": (409, "Already voted"),
    # Executing
    "already-claimed": (409, "Already claimed"),
    "not-approved": (409, "Not approved"),
    # The Zehrava-Permit header is missing or not the one of this execution.
    "permit-refused": (403, "Permit refused"),
    "already-reported": (409, "Already reported"),
    # The permit's time ran out before the report: the execution is now indeterminate.
    "lease-lapsed": (409, "Lease lapsed"),
    # The stored bytes no longer have the digest that was approved.
    "integrity-failed": (409, "Integrity check failed"),
    # Repeating: the same Idempotency-Key with another body, or while the first request is still being answered.
    "idempotency-mismatch": (422, "Idempotency key reused"),
    "idempotency-in-flight": (409, "Request in flight"),
    # `execution_mode: portal` for an action that the portal cannot carry out.
    "no-executor": (422, "No executor"),
    "too-many-requests": (429, "Too many requests"),
    # The agent has asked people as much as it may: too many pending intents, or too many asks within an hour.
    "attention-budget": (429, "Attention budget spent"),
    "unavailable": (503, "Unavailable"),
    "internal": (500, "Internal error"),
}


class Problem(Exception):
    """A refusal to be told to the client.

    `kind` is one of KINDS; `detail` a sentence that says what is wrong and what to do; `path` the JSON Pointer of
    the value at fault; `errors` several such, each with `path` and `detail`; `headers` go with the answer and
    `extra` into its document. Raises KeyError for an unknown kind.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        path: str | None = None,
        errors: Sequence[Mapping[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.title = KINDS[kind]
        self.kind = kind
        self.detail = detail
        self.path = path
        self.errors = [dict(error) for error in errors or ()]
        self.headers = dict(headers or {})
        self.extra = extra

    @property
    def type(self) -> str:
        return TYPE_PREFIX + self.kind

    def document(self) -> dict[str, Any]:
        """The RFC 9457 document, ready for `application/problem+json`."""
        # Extra members first: they never replace one that the RFC defines.
        document = dict(self.extra)
        document.update(type=self.type, title=self.title, status=self.status, detail=self.detail)
        if self.path is not None:
            document["path"] = self.path
        if self.errors:
            document["errors"] = self.errors
        return document

    @classmethod
    def from_document(cls, document: object, *, status: int | None = None) -> Problem:
        """Read a problem, whatever was sent: an unknown kind keeps its name, its status and its title.

        `status` is the answer's own; it wins over what the document says.
        """
        members = dict(document) if isinstance(document, Mapping) else {}
        sent_type = members.pop("type", None)
        known_type = isinstance(sent_type, str) and sent_type.startswith(TYPE_PREFIX)
        kind = str(sent_type)[len(TYPE_PREFIX) :] if known_type else "unknown"
        sent_status, title, detail = (
            members.pop("status", None),
            members.pop("title", None),
            members.pop("detail", None),
        )
        path, errors = members.pop("path", None), members.pop("errors", None)

        problem = cls.__new__(cls)
        Exception.__init__(problem, detail)
        default_status, default_title = KINDS.get(kind, (500, "Unknown problem"))
        problem.kind = kind
        problem.status = status or (sent_status if type(sent_status) is int else default_status)
        problem.title = title if isinstance(title, str) else default_title
        problem.detail = detail if isinstance(detail, str) else problem.title
        problem.path = path if isinstance(path, str) else None
        problem.errors = [dict(e) for e in errors if isinstance(e, Mapping)] if isinstance(errors, list) else []
        problem.headers = {}
        problem.extra = {str(name): member for name, member in members.items()}
        return problem
