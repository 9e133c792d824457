"""The page on which the glass is broken: a GET shows what that does, a POST does it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from audit import clock
from intents import masking
from intents.models import Intent, Status
from reviews import break_glass, circumstances, entitlement, presentation, renderings, stepping_up
from reviews.confirming import asked_back
from reviews.intent_doors import person_of
from reviews.models import Door
from reviews.presentation import text
from reviews.second_factor import freshest
from reviews.ties import ties_of
from reviews.tree import tree
from zehrava import canonical
from zehrava.problems import Problem


class GlassDoors:
    """The part of the intents' admin that breaks the glass."""

    def glass_view(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        """Approve beyond the requirement, for who was given that permission."""
        intent, person = self._intent(request, object_id), person_of(request)
        if not break_glass.may_break(person):
            raise PermissionDenied
        if request.method != "POST":
            if why := why_no_glass(intent, break_glass.why_not(intent, person, ties_of(request))):
                messages.info(request, why)
                return _to_page(intent)
            return self._glass_page(request, intent)
        sent = request.POST
        try:
            break_glass.break_glass(
                intent.pk,
                by=person,
                digest=sent.get("digest", ""),
                verdict_digest=sent.get("verdict_digest", ""),
                requirement_digest=sent.get("requirement_digest", ""),
                reason=sent.get("rationale", ""),
                typed=sent.get("typed", ""),
                factor=freshest(request),
                origin=circumstances.of_page(request, Door.GLASS),
            )
        except Problem as problem:
            return self._glass_page(request, self._intent(request, object_id), problem=problem)
        messages.warning(request, "You broke the glass. Auditors are told, and somebody else will look at it.")
        return _to_page(intent)

    def _glass_page(self: Any, request: HttpRequest, intent: Intent, *, problem: Problem | None = None) -> HttpResponse:
        votes = entitlement.votes_of([intent]).get(intent.pk, [])
        stood = entitlement.standing_of(intent, votes, ties_of(request))
        missing = Counter(seat.group for seat in stood.seats if seat.filled_by is None)
        digest = canonical.digest(intent.canonical.encode())
        context = {
            "title": "Break the glass",
            "intent": intent,
            "card": presentation.card(intent, stood=stood, now=intent.read_at),  # type: ignore[attr-defined]
            "fields": renderings.fields(masking.action_type_of(intent), masking.payload(intent)),
            "payload": tree(masking.payload(intent)),
            "masked": [text(path) for path in masking.mask_of(intent).paths],
            "missing": [text(f"{count} of {group}") for group, count in missing.items()] if stood.given else [],
            "digest": digest,
            "asked": asked_back(intent),
            "factor_used": freshest(request) is not None,
            "why_no_factor": stepping_up.why_not(freshest(request), intent.digest),
            "confirm": stepping_up.address(intent.digest, back=request.path),
            "least": break_glass.LEAST_WORDS,
            "reason": request.POST.get("rationale", ""),
            "problem": problem,
            **self._reading(request, intent, digest),
        }
        response = self._render(request, "reviews/intent_glass.html", context)
        response.status_code = problem.status if problem else 200
        return response


def why_no_glass(intent: Intent, refusal: entitlement.Refusal | None) -> str:
    """Why there is no glass to break for who asks now; empty where there is."""
    if refusal is not None:
        return refusal.text
    if intent.status != Status.PENDING_APPROVAL or intent.expires_at <= clock.now():
        return "It does not wait for a decision any more: there is nothing to set aside."
    return ""


def _to_page(intent: Intent) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:intents_intent_change", args=[intent.pk]))
