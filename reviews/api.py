"""Deciding from a program that acts for a person; no agent's key opens this."""

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from intents import masking, reading
from intents.api.callers import IS_AGENT, MAY_VIEW_INTENTS, actor_of, find_intent, known_as, person_of
from intents.api.intents import one, shown, without_unreadable
from intents.api.view import View, members, query, text_member, whole_number
from intents.models import Intent
from intents.representation import represent_to_person
from reviews import api_schema, circumstances, decision_record, decisions, notes, revealing
from reviews.models import Decision, Vote
from reviews.queue import waiting_for
from reviews.second_factor import freshest
from zehrava import ids
from zehrava.problems import Problem


class DecisionsView(View):
    """`/intents/{id}/decisions`"""

    open_to = {"POST": (MAY_VIEW_INTENTS,)}
    problems = {
        "POST": (
            "not-entitled",
            "second-factor-needed",
            "csrf",
            "not-pending",
            "expired",
            "stale-digest",
            "already-voted",
            "conflict",
            "unavailable",
        )
    }

    @api_schema.DECIDE
    def post(self, request: Request, intent_id: str) -> Response:
        query(request)
        body = members(request, required=("vote", "digest"), optional=("ground", "rationale", "changes", "delegator"))
        if body["vote"] not in Vote.values:
            raise Problem("invalid", 'vote: Send "approve" or "reject".', path="/vote")
        if not isinstance(body["digest"], str):
            raise Problem("invalid", "digest: Send the intent's digest, a string.", path="/digest")
        intent = find_intent(request, intent_id)
        decisions.decide(
            intent.id,
            by=person_of(request),
            vote=body["vote"],
            digest=body["digest"],
            ground=text_member(body, "ground"),
            rationale=text_member(body, "rationale"),
            changes=body.get("changes"),
            factor=freshest(request),
            delegator=text_member(body, "delegator") or None,
            origin=circumstances.of_api(request),
        )
        return Response(one(request, Intent.objects.get(pk=intent.id)), status=201)


class RevealView(View):
    """`/intents/{id}/reveal`"""

    open_to = {"POST": (MAY_VIEW_INTENTS,)}
    problems = {"POST": ("not-entitled", "csrf", "conflict")}

    @api_schema.REVEAL
    def post(self, request: Request, intent_id: str) -> Response:
        query(request)
        members(request)
        intent = find_intent(request, intent_id)
        revealing.reveal(intent, by=person_of(request))
        masking.unmask(intent)
        return Response(without_unreadable(request, [represent_to_person(intent)])[0])


class AnswersView(View):
    """`/intents/{id}/answers`"""

    open_to = {"POST": (IS_AGENT,)}
    problems = {"POST": ("conflict",)}

    @api_schema.ANSWER
    def post(self, request: Request, intent_id: str) -> Response:
        query(request)
        body = members(request, required=("question", "text"))
        intent = find_intent(request, intent_id)
        question = text_member(body, "question")
        notes.answer(intent, by=actor_of(request), question_id=question, text=text_member(body, "text"))
        return Response(one(request, intent), status=201)


class DecisionView(View):
    """`/decisions/{id}`"""

    open_to = {"DELETE": (MAY_VIEW_INTENTS,)}
    problems = {"DELETE": ("csrf", "not-pending", "expired", "conflict")}

    @api_schema.WITHDRAW
    def delete(self, request: Request, decision_id: str) -> Response:
        query(request)
        mine = Decision.objects.filter(reviewer=person_of(request))
        mine = mine.select_related("intent__agent")
        decision = mine.filter(pk=decision_id).first() if ids.is_id(decision_id, "dec") else None
        if decision is None or not reading.may_read(person_of(request), decision.intent):
            raise Problem("not-found", f"There is no decision {known_as(decision_id, 'dec')} of yours.")
        decisions.withdraw(decision, by=person_of(request))
        return Response(one(request, Intent.objects.get(pk=decision.intent_id)))


class RecordView(View):
    """`/decisions/{id}/record`"""

    open_to = {"GET": (MAY_VIEW_INTENTS,)}

    @api_schema.RECORD
    def get(self, request: Request, decision_id: str) -> HttpResponse:
        query(request)
        found = Decision.objects.filter(pk=decision_id) if ids.is_id(decision_id, "dec") else Decision.objects.none()
        found = found.select_related("intent__agent", "intent__action_type_version")
        decision, person = found.first(), person_of(request)
        if (
            decision is None
            or not decision_record.may_read(person, decision)
            or not reading.may_read(person, decision.intent)
        ):
            raise Problem(
                "not-found",
                f"There is no decision {known_as(decision_id, 'dec')} whose record is for you: auditors "
                "have every record, and everybody has those of their own decisions.",
            )
        if decision.changes and revealing.hides(decision, person_of(request)):
            raise Problem(
                "not-entitled",
                "The changes in this record put values where its action type masks them. Reveal the intent first"
                f" (POST /api/v1/intents/{decision.intent_id}/reveal): for ten minutes the record is yours to read.",
            )
        if not (signed := decision_record.signed_record(decision)):
            raise Problem("not-found", "This decision is from before records were signed: it has none.")
        # Personal data: an address stands in it.
        headers = {"Content-Disposition": f'attachment; filename="{decision.pk}.jws"'}
        return HttpResponse(signed, content_type="application/jose", headers=headers)


class QueueView(View):
    """`/queue`"""

    open_to = {"GET": (MAY_VIEW_INTENTS,)}

    @api_schema.QUEUE
    def get(self, request: Request) -> Response:
        query(request, known=("limit",))
        limit = whole_number(request, "limit", default=50, least=1, most=200)
        waiting = waiting_for(person_of(request))
        first = list(waiting.select_related("agent")[:limit])
        return Response({"count": waiting.count(), "results": shown(request, first)})
