"""The page on which what is alike is decided: one confirmation, a decision for each."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from reviews import alike, circumstances, grounds
from reviews.models import Door, Ground, Vote
from reviews.second_factor import freshest
from zehrava.problems import Problem

_OPENED = f"{circumstances.OPENED}-"


def together(request: HttpRequest, key: str) -> HttpResponse:
    """Show those that are alike; a POST decides on the ones that were chosen, as they were shown."""
    assert isinstance(request.user, User)  # the admin site let nobody else in
    if request.method == "POST":
        return _decide(request, request.user, key)
    return _page(request, request.user, key)


def _decide(request: HttpRequest, person: User, key: str) -> HttpResponse:
    vote, rationale = request.POST.get("vote", ""), request.POST.get("rationale", "")
    ground = request.POST.get("ground", "") if vote == Vote.REJECT else ""
    chosen = [
        alike.Shown(one, *(request.POST.get(f"{name}-{one}", "") for name in ("digest", "verdict", "requirement")))
        for one in dict.fromkeys(request.POST.getlist("chosen"))
    ]
    try:
        if vote == Vote.REJECT and chosen:
            grounds.refuse_without(ground)
        failed = alike.decide_each(
            key,
            chosen,
            by=person,
            vote=vote,
            ground=ground,
            rationale=rationale,
            factor=freshest(request),
            origins={one.intent_id: circumstances.of_page(request, Door.GROUP, named=one.intent_id) for one in chosen},
        )
    except Problem as problem:
        kept = {one.intent_id: "" for one in chosen}
        return _page(request, person, key, problems=kept, problem=problem, typed=rationale, ground=ground)
    if done := len(chosen) - len(failed):
        did = "rejected" if vote == Vote.REJECT else "approved"
        of = f" of {len(chosen)}" if failed else ""
        each = "It has" if done == 1 else "Each has"
        messages.success(request, f"You {did} {done}{of}. {each} a decision of its own.")
    if failed:
        return _page(request, person, key, problems=failed, typed=rationale, ground=ground, status=409)
    return HttpResponseRedirect(reverse("admin:index"))


def _page(
    request: HttpRequest,
    person: User,
    key: str,
    *,
    problems: dict[str, str] | None = None,
    problem: Problem | None = None,
    typed: str = "",
    ground: str = "",
    status: int = 200,
) -> HttpResponse:
    kept = {name.removeprefix(_OPENED): str(sent) for name, sent in request.POST.items() if name.startswith(_OPENED)}
    shown = alike.page(key, person, problems=problems, kept=kept)
    if shown is None:
        for why in dict.fromkeys((problems or {}).values()):
            messages.warning(request, why)
        if not problems:
            messages.info(request, "None of these waits any more.")
        return HttpResponseRedirect(reverse("admin:index"))
    request.current_app = admin.site.name  # type: ignore[attr-defined]
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Alike",
        "page": shown,
        "problem": problem,
        "typed": typed,
        "grounds": Ground.choices,
        "ground": ground,
        "seen": request.POST.get(circumstances.SEEN, ""),
        "failed": sum(bool(line.problem) for line in shown.lines),
    }
    response = TemplateResponse(request, "reviews/alike.html", context)
    response.status_code = problem.status if problem else status
    return response
