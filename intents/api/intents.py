"""Proposing, reading and cancelling intents."""

from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from intents import cancelling, reading
from intents.api import schema
from intents.api.callers import (
    IS_AGENT,
    IS_PERSON,
    MAY_CANCEL_INTENTS,
    MAY_VIEW_INTENTS,
    actor_of,
    agent_of,
    find_intent,
    in_force_for,
    visible_intents,
)
from intents.api.filters import narrowed
from intents.api.view import View, members, query, text_member, whole_number
from intents.in_force import AgentInForce
from intents.models import Intent, Status
from intents.propose import propose
from intents.representation import represent, represent_to_people, represent_to_person
from zehrava.problems import Problem
from zehrava.waiting import LONGEST_WAIT

IDEMPOTENCY_KEY = "Idempotency-Key"


class IntentsView(View):
    """`/intents`"""

    open_to = {"GET": (IS_AGENT, MAY_VIEW_INTENTS), "POST": (IS_AGENT,)}
    problems = {
        "POST": (
            "attention-budget",
            "conflict",
            "idempotency-mismatch",
            "idempotency-in-flight",
            "no-executor",
            "not-pending",
            "too-many-requests",
        )
    }

    # Up to a megabyte each: what a page of the list is measured by.
    heavy = "canonical"

    @schema.LIST
    def get(self, request: Request) -> Response:
        pages: BasePagination = api_settings.DEFAULT_PAGINATION_CLASS()  # type: ignore[operator, misc]
        page = pages.paginate_queryset(narrowed(visible_intents(request), request), request, view=self)
        return pages.get_paginated_response(shown(request, page or []))

    @schema.PROPOSE
    def post(self, request: Request) -> HttpResponse:
        query(request)
        body = request.data
        if request.stream is None:
            raise Problem("malformed-json", "The body is empty; send a JSON object.", path="")
        key = _idempotency_key(request)
        answer = propose(agent_of(request), body, idempotency_key=key, snapshot=in_force_for(request))
        # The answer is stored as bytes, so that a replay is the same to the byte: they go out as they are.
        response = HttpResponse(answer.document, status=answer.status, content_type="application/json")
        response.headers["Location"] = f"{request.path}/{answer.intent_id}"
        if answer.replayed:
            response.headers["Idempotency-Replayed"] = "true"
        return response


def _idempotency_key(request: Request) -> str | None:
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None or (0 < len(key) <= 255 and key.isascii() and key.isprintable() and " " not in key):
        return key
    raise Problem(
        "invalid",
        "An Idempotency-Key is 1 to 255 visible ASCII characters without spaces; a UUID is a good one.",
        path=IDEMPOTENCY_KEY,
    )


class IntentView(View):
    """`/intents/{id}`; a server in front holds the answer while `wait` lasts, see `zehrava_site.waiting`."""

    open_to = {"GET": (IS_AGENT, MAY_VIEW_INTENTS)}

    @schema.GET
    def get(self, request: Request, intent_id: str) -> Response:
        query(request, known=("wait", "since"))
        whole_number(request, "wait", default=0, least=0, most=LONGEST_WAIT)
        if (since := request.query_params.get("since")) is not None and since not in Status.values:
            raise Problem("invalid", f"since is a status: one of {', '.join(Status.values)}.", path="since")
        intent = find_intent(request, intent_id)
        document = represent_to_person(intent) if IS_PERSON.admits(request) else represent([intent])[0]
        return Response(without_unreadable(request, [document])[0])


class CancelView(View):
    """`/intents/{id}/cancel`"""

    open_to = {"POST": (IS_AGENT, MAY_CANCEL_INTENTS)}
    problems = {"POST": ("not-pending", "expired", "conflict", "already-claimed")}

    @schema.CANCEL
    def post(self, request: Request, intent_id: str) -> Response:
        query(request)
        reason = text_member(members(request, optional=("reason",)), "reason")
        intent = find_intent(request, intent_id)
        return Response(one(request, cancelling.cancel(intent, by=actor_of(request), reason=reason)))


def one(request: Request, intent: Intent) -> dict[str, Any]:
    """One intent as the API shows it to this caller."""
    return shown(request, [intent])[0]


def shown(request: Request, intents: Iterable[Intent]) -> list[dict[str, Any]]:
    """These intents as the API shows them to this caller."""
    # Its own agent wrote it; people see what is sensitive once they reveal it.
    read = represent_to_people if IS_PERSON.admits(request) else represent
    return without_unreadable(request, read(intents))


def without_unreadable(request: Request, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same, where people do not read which intent was replaced unless they may read that by permission."""
    replaced = {document["supersedes"] for document in documents} - {None}
    if replaced and not isinstance(request.auth, AgentInForce) and not reading.sees_all(request.user):
        theirs = set(visible_intents(request).filter(pk__in=replaced).values_list("pk", flat=True))
        for document in documents:
            if document["supersedes"] not in theirs:
                document["supersedes"] = None
    return documents
