"""The doors of the page of an intent that change something: POST, and nothing else.

Each calls one function of the business and says what came of it; what that refuses stands on the page, with what was
typed still there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.actors import Actor
from audit.text import visible
from intents import cancelling, execution, masking
from intents.models import Intent, Status
from reviews import (
    change_page,
    circumstances,
    confirming,
    decisions,
    entitlement,
    grounds,
    intent_page,
    notes,
    presentation,
    revealing,
    stepping_up,
    taking,
)
from reviews.models import Decision, Door, Ground, Vote
from reviews.second_factor import freshest
from zehrava.problems import Problem

LONGEST_NAME = 120


class IntentDoors:
    """The part of the intents' admin that acts; the other part shows."""

    def decide_view(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        """Approve or reject what was rendered: the form carries the digests of what this person saw."""
        intent = self._intent(request, object_id)
        if request.method != "POST":
            return _to_page(intent)
        vote, rationale = request.POST.get("vote", ""), request.POST.get("rationale", "")
        ground = request.POST.get("ground", "") if vote == Vote.REJECT else ""
        try:
            if vote == Vote.REJECT:
                grounds.refuse_without(ground)
            with transaction.atomic():
                decisions.decide(
                    intent.pk,
                    by=person_of(request),
                    vote=vote,
                    digest=request.POST.get("digest", ""),
                    ground=ground,
                    rationale=rationale,
                    verdict_digest=request.POST.get("verdict_digest", ""),
                    requirement_digest=request.POST.get("requirement_digest", ""),
                    factor=freshest(request),
                    delegator=request.POST.get("delegator"),
                    origin=circumstances.of_page(request, Door.DESK),
                )
                # Who may not decide is told that, and not what to type.
                if vote != Vote.REJECT:
                    confirming.refuse_unless_typed(intent, request.POST.get("typed", ""))
        except Problem as problem:
            if _already_did(intent, person_of(request), vote, request.POST.get("digest", "")):
                messages.info(
                    request, format_html("Your vote on {} was already recorded. {}", _named(intent), _open_it(intent))
                )
                return HttpResponseRedirect(reverse("admin:index"))
            return self._page(
                request,
                self._intent(request, object_id),
                problem=problem,
                typed=rationale,
                form="decide",
                ground=ground,
            )
        messages.success(request, _what_happened(self._intent(request, object_id), vote))
        return HttpResponseRedirect(reverse("admin:index"))

    def edit_view(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        """Change the payload: a POST with step "look" only shows what that would do, one with "approve" decides."""
        intent, person = self._intent(request, object_id), person_of(request)
        may = intent_page.abilities(intent, person)
        if not may.decide or may.only_reject:
            messages.info(request, may.only_reject or may.why_not or "Nothing can be changed here any more.")
            return _to_page(intent)
        if masking.mask_of(intent):
            messages.info(request, "Some of it is masked. Reveal that first: a change is made of what is seen.")
            return _to_page(intent)
        if request.method != "POST":
            if stepping_up.is_wanted(intent.requirement) and stepping_up.why_not(freshest(request), intent.digest):
                # Before anything is typed: what comes after takes a minute, not five.
                return HttpResponseRedirect(stepping_up.address(intent.digest, back=request.get_full_path()))
            return self._edit_page(request, intent, change_page.page(intent, mode=request.GET.get("as", "fields")))
        typed = {name: str(value) for name, value in request.POST.items()}
        shown = change_page.page(intent, mode=typed.get("mode", change_page.AS_FIELDS), typed=typed)
        try:
            if typed.get("step") != change_page.STEP_APPROVE:
                return self._edit_page(
                    request, intent, change_page.look(intent, change_page.read(intent, typed), shown)
                )
            decisions.decide(
                intent.pk,
                by=person,
                vote=Vote.APPROVE,
                digest=typed.get("digest", ""),
                ground=grounds.refuse_without(typed.get("ground", "")),
                rationale=typed.get("rationale", ""),
                changes=change_page.looked_at(intent, typed),
                verdict_digest=typed.get("verdict_digest", ""),
                requirement_digest=typed.get("requirement_digest", ""),
                meaning=typed.get("meaning", ""),
                factor=freshest(request),
                delegator=typed.get("delegator"),
                origin=circumstances.of_page(request, Door.CHANGE),
            )
        except Problem as problem:
            still = change_page.still_shown(intent, typed, shown)
            return self._edit_page(request, intent, still, problem=problem, typed=typed)
        messages.success(request, _what_happened(self._intent(request, object_id), Vote.APPROVE, changed=True))
        return HttpResponseRedirect(reverse("admin:index"))

    def _edit_page(
        self: Any,
        request: HttpRequest,
        intent: Intent,
        page: change_page.ChangePage,
        *,
        problem: Problem | None = None,
        typed: dict[str, str] | None = None,
    ) -> HttpResponse:
        shown_digest = (typed or {}).get("digest") or intent.digest
        context = {
            "title": "Change the payload",
            "intent": intent,
            "what": presentation.title(intent),
            "page": page,
            "problem": problem,
            "rationale": (typed or {}).get("rationale", ""),
            "grounds": Ground.choices,
            "ground": (typed or {}).get("ground", ""),
            "shown_digest": shown_digest,
            "in_place_of": intent_page.abilities(intent, person_of(request)).in_place_of,
            "delegator": (typed or {}).get("delegator", ""),
            **self._reading(request, intent, shown_digest),
        }
        response = self._render(request, "reviews/intent_edit.html", context)
        response.status_code = problem.status if problem else 200
        return response

    def take_view(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say "I am on it", or let it go."""
        intent, person = self._intent(request, object_id), person_of(request)
        if request.method != "POST":
            return _to_page(intent)

        def step() -> str:
            if request.POST.get("do") == "let-go":
                taking.let_go(intent.pk, by=person)
                return "You let it go: others see that nobody is on it."
            taking.take(intent.pk, by=person)
            return "You are on it for five minutes. Others see that on the desk."

        return self._do(request, intent, step, form="take")

    def note_view(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say something beside deciding: to people, or to the agent."""
        intent, person = self._intent(request, object_id), person_of(request)
        if request.method != "POST":
            return _to_page(intent)
        words = request.POST.get("text", "")

        def say() -> str:
            if request.POST.get("do") == "ask":
                notes.ask(intent, by=person, text=words)
                return "The agent is asked; its answer will stand on this page."
            notes.comment(intent, by=person, text=words)
            return "Your comment is on this page. Agents never read it."

        return self._do(request, intent, say, form="note", typed=words)

    def reveal_view(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        """Read for a while what is masked, on record."""
        intent, person = self._intent(request, object_id), person_of(request)
        if request.method != "POST":
            return _to_page(intent)

        def reveal() -> str:
            revealing.reveal(intent, by=person)
            return "You see what is masked, for ten minutes and on this intent's pages alone. It is on record."

        return self._do(request, intent, reveal, form="reveal")

    def withdraw_view(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take this person's own vote back while the intent is pending."""
        intent = self._intent(request, object_id)
        if request.method != "POST":
            return _to_page(intent)
        person = person_of(request)
        own = Decision.objects.filter(intent=intent, reviewer=person, withdrawn_at=None).order_by("-id").first()
        if own is None:
            messages.info(request, "You have no vote here to take back.")
            return _to_page(intent)

        def take_back() -> str:
            decisions.withdraw(own, by=person)
            return "Your vote was taken back. You may vote again."

        return self._do(request, intent, take_back, form="withdraw")

    def cancel_view(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        """An operator stops an intent before it runs."""
        intent = self._intent(request, object_id)
        if request.method != "POST":
            return _to_page(intent)
        if not request.user.has_perm("intents.cancel_intent"):
            raise PermissionDenied
        reason = request.POST.get("reason", "").strip()

        def cancel() -> str:
            if not reason:
                raise Problem("invalid", "Say why you cancel it; the reason stays with the record.", path="/reason")
            cancelling.cancel(intent, by=Actor.person(person_of(request)), reason=reason)
            return "The intent was cancelled. It will not run."

        return self._do(request, intent, cancel, form="cancel", typed=reason)

    def resolve_view(self: Any, request: HttpRequest, object_id: str) -> HttpResponse:
        """An operator settles what an indeterminate execution did."""
        intent = self._intent(request, object_id)
        if request.method != "POST":
            return _to_page(intent)
        reason, outcome = request.POST.get("reason", ""), request.POST.get("outcome", "")
        said = {
            "succeeded": "Recorded: it had succeeded.",
            "failed": "Recorded: it had failed.",
            "again": "It is approved once more and will run as a new attempt.",
        }

        def resolve() -> str:
            execution.resolve(intent, by=person_of(request), outcome=outcome, reason=reason)
            return said[outcome]

        return self._do(request, intent, resolve, form="resolve", typed=reason)

    def _do(
        self: Any, request: HttpRequest, intent: Intent, step: Callable[[], str], *, form: str, typed: str = ""
    ) -> HttpResponse:
        try:
            message = step()
        except Problem as problem:
            fresh = self._intent(request, intent.pk)
            return self._page(request, fresh, problem=problem, typed=typed, form=form)
        messages.success(request, message)
        return _to_page(intent)


def _to_page(intent: Intent) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:intents_intent_change", args=[intent.pk]))


def _already_did(intent: Intent, person: User, vote: str, digest: str) -> bool:
    """Whether this is the second click on a button that has already done its work."""
    return Decision.objects.filter(intent=intent, reviewer=person, vote=vote, digest=digest, withdrawn_at=None).exists()


def _named(intent: Intent) -> SafeString:
    words = presentation.plain_title(intent)
    if len(words) > LONGEST_NAME:
        words = f"{intent.action} ({intent.pk})"
    return visible(words)


def _open_it(intent: Intent) -> SafeString:
    address = reverse("admin:intents_intent_change", args=[intent.pk])
    return format_html('<a class="zhv-msg-link" href="{}">Open it</a>', address)


def _what_happened(intent: Intent, vote: str, *, changed: bool = False) -> SafeString:
    if vote == Vote.REJECT:
        said = "It will not run, and its agent is told why."
    elif intent.status == Status.PENDING_APPROVAL:
        stood = entitlement.standing_of(intent, entitlement.votes_of([intent]).get(intent.pk, []))
        said = f"{stood.given} of {stood.needed} approvals given; it still waits."
    elif intent.execution_mode == "portal":
        said = "The portal runs it now."
    else:
        said = "Its agent may now run it, once."
    did = "rejected" if vote == Vote.REJECT else "changed and approved" if changed else "approved"
    if changed and intent.widened_by:
        did, said = "changed", "It may reach further than the agent asked, so somebody else has to approve it."
    return format_html("You {} {}. {} {}", did, _named(intent), said, _open_it(intent))


def person_of(request: HttpRequest) -> User:
    """Who is signed in."""
    assert isinstance(request.user, User)  # the admin site let nobody else in
    return request.user
