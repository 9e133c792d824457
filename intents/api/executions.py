"""Claiming an approved intent, and telling how carrying it out went."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from intents import execution
from intents.api import schema
from intents.api.callers import IS_AGENT, agent_of, find_intent, known_as
from intents.api.intents import one
from intents.api.view import View, members, query
from intents.models import Execution
from zehrava import canonical, ids
from zehrava.problems import Problem

OUTCOMES = ("succeeded", "failed")
LARGEST_RESULT = 256 * 1024
# Nothing is read from these bodies, and what is sent all the same is refused.
UNREAD_BODY = ("malformed-json", "too-large", "unsupported-media-type", "invalid")


class ClaimView(View):
    """`/intents/{id}/claim`"""

    open_to = {"POST": (IS_AGENT,)}
    problems = {"POST": (*UNREAD_BODY, "not-approved", "expired", "already-claimed", "conflict", "integrity-failed")}

    @schema.CLAIM
    def post(self, request: Request, intent_id: str) -> Response:
        query(request)
        members(request)
        # First look whose it is: what belongs to another agent is not there, whatever state it is in.
        intent = find_intent(request, intent_id)
        claimed, token = execution.claim(intent.id, agent=agent_of(request))
        permit = {
            "token": token,
            "execution": show(claimed),
            # Of the very row whose digest the claim has just checked, not of an earlier or a later look.
            "payload": claimed.intent.payload,
            "digest": claimed.digest,
        }
        return Response(permit, status=201)


class HeartbeatView(View):
    """`/executions/{id}/heartbeat`"""

    open_to = {"POST": (IS_AGENT,)}
    problems = {"POST": (*UNREAD_BODY, "permit-refused", "already-reported", "lease-lapsed", "conflict")}

    @schema.HEARTBEAT
    def post(self, request: Request, execution_id: str) -> Response:
        query(request)
        members(request)
        own(request, execution_id)
        beaten = execution.heartbeat(execution_id, agent=agent_of(request), token=permit_of(request))
        return Response(show(beaten))


class ReportView(View):
    """`/executions/{id}/report`"""

    open_to = {"POST": (IS_AGENT,)}
    problems = {"POST": ("permit-refused", "already-reported", "lease-lapsed", "conflict")}

    @schema.REPORT
    def post(self, request: Request, execution_id: str) -> Response:
        query(request)
        body = members(request, required=("outcome",), optional=("result",))
        if body["outcome"] not in OUTCOMES:
            raise Problem("invalid", 'outcome: Send "succeeded" or "failed".', path="/outcome")
        result = body.get("result")
        if len(canonical.dumps(result)) > LARGEST_RESULT:
            raise Problem(
                "too-large", f"result: Send at most {LARGEST_RESULT} bytes; keep the rest on your side.", path="/result"
            )
        own(request, execution_id)
        intent = execution.report(
            execution_id,
            agent=agent_of(request),
            token=permit_of(request),
            outcome=body["outcome"],
            result=result,
        )
        return Response(one(request, intent))


def own(request: Request, execution_id: str) -> None:
    """Raises Problem `not-found` for an execution that is not of this agent's intents."""
    if ids.is_id(execution_id, "exe") and (
        Execution.objects.filter(pk=execution_id, intent__agent_id=agent_of(request).id).exists()
    ):
        return
    raise Problem("not-found", f"There is no execution {known_as(execution_id, 'exe')} for you.")


def permit_of(request: Request) -> str:
    """The token in the Zehrava-Permit header. Raises Problem `permit-refused` where there is none."""
    token = request.META.get("HTTP_ZEHRAVA_PERMIT", "")
    if token:
        return token
    raise Problem("permit-refused", "Send the token of your claim in the Zehrava-Permit header.", path="Zehrava-Permit")


def show(attempt: Execution) -> dict[str, Any]:
    """An execution as its agent sees it."""
    return {
        "id": attempt.id,
        "attempt": attempt.attempt,
        "state": attempt.state,
        "lease_until": attempt.lease_until,
    }
