"""Policies in the admin: drafts, differences, warnings, and bringing into force, by one person or by two."""

from __future__ import annotations

import functools
import re
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.paginator import Page
from django.db.models import Exists, OuterRef, Prefetch, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.decorators import display

from intents import activation, approval_tables, documents, parsing, policy_changes, policy_warnings, text_diff
from intents.document_admin import DocumentAdmin, DocumentForm
from intents.document_versions import Standing, read_number
from intents.governed_admin import person, require
from intents.lint_page import LintPage
from intents.models import ActivationRequest, Policy, PolicyVersion, RequestState
from intents.proving_admin import ProvingPages
from intents.trying_page import TryPage
from zehrava.policy.errors import DocumentError
from zehrava.problems import Problem

REQUESTS_SHOWN = 10

EXAMPLE = """\
name: refunds
description: Money going out
match:
  actions: ["stripe.refund"]
rules:
  - id: large
    when: amount(payload.amount) > amount("500")
    effect: require_approval
    approval:
      all_of: [{group: finance}]
      expires_in: 15m
  - id: small
    effect: allow
default: require_approval
tests:
  - payload: {amount: "20.00"}
    expect: {effect: allow, rule: small}
"""


class PolicyForm(DocumentForm):
    parse = staticmethod(parsing.parse_policy)
    noun = "policy"

    class Meta(DocumentForm.Meta):
        model = Policy


# The text of a version never changes, and reading it again for every row of every list would take long.
@functools.lru_cache(maxsize=256)
def _count_rules(text: str) -> str:
    try:
        return str(len(parsing.parse_policy(text).rules))
    except DocumentError:
        return "cannot be read: nothing is allowed by it"


@admin.register(Policy)
class PolicyAdmin(ProvingPages, LintPage, TryPage, DocumentAdmin):
    form = PolicyForm
    list_display = ("name", "version_in_force", "rule_count", "written_by", "written_at", "under_way")
    list_select_related = ("active__created_by", "shadow")
    list_before_template = "admin/intents/policy/list_before.html"
    example = EXAMPLE
    help_template = "admin/intents/policy/help.html"
    off_word = "disabled"
    off_button = "Disable"
    nothing_yet = (
        "Without a policy every intent waits for a reviewer. Add one to allow, block or route what agents ask."
    )
    permission_to_activate = activation.PERMISSION
    save_document = staticmethod(documents.save_policy)
    object_pages = (
        ("versions/<int:number>", "version"),
        ("versions/<int:number>/activate", "activate"),
        ("compare", "compare"),
        ("disable", "disable"),
        ("request", "request"),
        *ProvingPages.proving_pages,
        *LintPage.lint_pages,
        *TryPage.trying_pages,
    )

    # --- the list ---

    @display(description="rules")
    def rule_count(self, policy: Policy) -> str:
        if policy.active is None:
            return "-"
        return _count_rules(policy.active.text)

    @display(description="under way")
    def under_way(self, policy: Any) -> SafeString | str:
        """What is not in force, and somebody works on: a request that waits, a draft, a version in shadow."""
        said = []
        for request in policy.open_requests:
            what = f"v{request.version.number} waits" if request.version else "taking it out of force waits"
            told = '<a class="zhr-link" href="{}">{} for a second person</a>'
            said.append(format_html(told, self.page(policy.pk, "request"), what))
        if policy.newest and not policy.newest_counted:
            said.append(format_html("draft v{}", policy.newest))
        if policy.shadow:
            said.append(format_html("v{} in shadow", policy.shadow.number))
        return format_html_join(mark_safe("<br>"), "{}", ((each,) for each in said)) if said else "-"

    def get_queryset(self, request: HttpRequest) -> Any:
        newest = PolicyVersion.objects.filter(policy=OuterRef("pk")).order_by("-number")
        counted = Policy.history.filter(id=OuterRef("pk"), active_id=OuterRef("newest_id")).order_by()
        open_requests = ActivationRequest.objects.filter(state=RequestState.OPEN).select_related("version")
        return (
            super()
            .get_queryset(request)
            .annotate(newest=Subquery(newest.values("number")[:1]), newest_id=Subquery(newest.values("pk")[:1]))
            .annotate(newest_counted=Exists(counted))
            .prefetch_related(Prefetch("activation_requests", queryset=open_requests, to_attr="open_requests"))
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        waiting = activation.count_waiting(_user(request)) if self.may_activate(request) else 0
        return super().changelist_view(request, {**(extra_context or {}), "requests_waiting": waiting})

    @property
    def off_consequences(self) -> tuple[str, ...]:  # type: ignore[override]
        blocks = settings.ZEHRAVA_DEFAULT_EFFECT == "block"
        asks = "an intent is blocked" if blocks else "an intent waits for a reviewer"
        return (
            "It stops counting from the next proposal on. Its versions stay, and any of them can be activated again.",
            f"Where no other policy matches an action, {asks}: that is this portal's default.",
            "Intents that were proposed before keep the verdict they got.",
        )

    # --- saving ---

    @property
    def activate_button(self) -> str:  # type: ignore[override]
        return "Save and ask to activate" if activation.takes_two() else "Save and activate"

    def activates_on_save(self, request: HttpRequest) -> bool:
        return super().activates_on_save(request) and not activation.takes_two()

    def saved(self, request: HttpRequest, document: Any, version: Any) -> HttpResponse:
        self.tell_warnings(request, version)
        asks = "_activate" in request.POST and self.may_activate(request) and version.pk != document.active_id
        if not asks:
            return super().saved(request, document, version)
        waiting = activation.open_request(document)
        if waiting is not None and waiting.version_id == version.pk:
            self.message_user(request, f"v{version.number} waits for a second person already.")
            return HttpResponseRedirect(self.page(document.pk, "request"))
        self.message_user(request, f"Saved as v{version.number}, a draft. Now say why it should come into force.")
        return HttpResponseRedirect(self.page(document.pk, "activate", version.number))

    # --- the page of a policy ---

    def about_checked(self, text: str) -> dict[str, Any]:
        tests = len(parsing.parse_policy(text).tests)
        passed = f"{tests} test{'' if tests == 1 else 's'} passed." if tests else "It has no tests."
        return {"told": passed, "warnings": policy_warnings.warnings_of_text(text)}

    def about(self, request: HttpRequest, document: Any) -> dict[str, Any]:
        context = super().about(request, document)
        draft, active = context["standing"].draft, context["standing"].active
        looked_at = draft or active or document.versions.first()
        earlier = document.activation_requests.exclude(state=RequestState.OPEN)
        settled = list(earlier.select_related("version", "requested_by", "settled_by")[:REQUESTS_SHOWN])
        waiting = activation.open_request(document)
        asked = activation.asked([*settled, *([waiting] if waiting else [])])
        return context | {
            "is_policy": True,
            "takes_two": activation.takes_two(),
            "waiting": waiting,
            "asked": waiting and asked.get(waiting.pk),
            "confirmed": active and activation.confirmed_request(document),
            "request_url": self.page(document.pk, "request"),
            "compare_url": self.page(document.pk, "compare"),
            "draft_changes": draft and policy_changes.between(active, draft),
            "looked_at": looked_at,
            **self.about_lint(looked_at),
            "tables": approval_tables.tables_of(looked_at.text) if looked_at else (),
            "settled": [(request, asked.get(request.pk)) for request in settled],
        }

    def lines(self, document: Any, shown: Page, standing: Standing) -> list[dict[str, Any]]:
        lines = super().lines(document, shown, standing)
        numbers = [line["version"].number - 1 for line in lines]
        before = {version.number: version for version in document.versions.filter(number__in=numbers)}
        for line in lines:
            older = before.get(line["version"].number - 1)
            line["changes"] = policy_changes.between(older, line["version"]) if older else None
        return lines

    def about_version(self, request: HttpRequest, document: Any, version: Any) -> dict[str, Any]:
        older = document.versions.filter(number=version.number - 1).first()
        return super().about_version(request, document, version) | {
            "is_policy": True,
            "takes_two": activation.takes_two(),
            "older": older,
            "changes": older and policy_changes.between(older, version),
            "compare_url": self.page(document.pk, "compare"),
            **self.about_lint(version),
            "tables": approval_tables.tables_of(version.text),
        }

    # --- differences ---

    def compare(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self.find(request, object_id)
        numbers = list(policy.versions.values_list("number", flat=True))
        newest = numbers[0] if numbers else 0
        # What is in force against what is newer than it, else the newest against the one before.
        active = policy.active.number if policy.active else newest
        old = self._chosen(request, "from", policy, active if active != newest else newest - 1)
        new = self._chosen(request, "to", policy, newest)
        return self.show(
            request,
            "admin/intents/policy/compare.html",
            policy,
            title=f"{policy.name}: v{old.number} and v{new.number}",
            numbers=numbers,
            **self._difference(old, new),
        )

    def _chosen(self, request: HttpRequest, key: str, policy: Any, otherwise: int) -> PolicyVersion:
        asked = read_number(request.GET.get(key, ""))
        number = max(otherwise, 1) if asked is None else asked
        version: PolicyVersion | None = policy.versions.select_related("created_by").filter(number=number).first()
        if version is None:
            raise Http404(f"{policy.name} has no version {number}.")
        return version

    @staticmethod
    def _difference(old: PolicyVersion | None, new: PolicyVersion | None) -> dict[str, Any]:
        """What the page needs to show how two versions differ; None stands for no version at all."""
        if new is None:
            return {"old": old, "new": None}
        return {
            "old": old,
            "new": new,
            "changes": policy_changes.between(old, new),
            "diff": text_diff.diff(old.text if old else "", new.text),
        }

    # --- bringing into force and taking out of it ---

    def activate(self, request: HttpRequest, object_id: str, number: int) -> HttpResponse:
        policy, version = self.find_version(request, object_id, number)
        require(request, self.permission_to_activate)
        return self._change(request, policy, version)

    def disable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        policy = self.find(request, object_id)
        require(request, self.permission_to_activate)
        return self._change(request, policy, None)

    def _change(self, request: HttpRequest, policy: Any, version: PolicyVersion | None) -> HttpResponse:
        """Show what would change; a POST does it, or asks a second person for it."""
        if request.method != "POST":
            return self._ask_for_change(request, policy, version)
        shown = request.POST.get("instead_of")
        if shown is not None and shown != str(policy.active_id or ""):
            return self._ask_for_change(
                request,
                policy,
                version,
                error="Something else came into force meanwhile. Look at the difference again.",
            )
        try:
            if activation.takes_two():
                reason, shown_request = request.POST.get("reason", ""), request.POST.get("replacing", "")
                replacing = int(shown_request) if re.fullmatch("[0-9]{1,18}", shown_request) else None
                activation.ask(policy, version, by=_user(request), reason=reason, replacing=replacing)
                self.message_user(request, "A second person has to confirm it now: whoever may activate policies.")
            elif version is None:
                documents.disable_policy(policy, by=person(request))
                self.message_user(request, f"{policy.name} is {self.off_word}.")
            else:
                documents.activate_version(version, by=person(request))
                self.message_user(request, f"{version} is in force.")
        except (Problem, DocumentError) as error:
            return self._ask_for_change(request, policy, version, error=_told(error))
        return HttpResponseRedirect(self.page(policy.pk))

    def _ask_for_change(
        self, request: HttpRequest, policy: Any, version: PolicyVersion | None, *, error: str = ""
    ) -> HttpResponse:
        title = f"Bring {version} into force" if version else f"{self.off_button} {policy.name}"
        takes_two = activation.takes_two()
        waiting = activation.open_request(policy) if takes_two else None
        counts = waiting is not None and not activation.is_stale(waiting)
        same = waiting is not None and waiting.version_id == (version.pk if version else None)
        return self.show(
            request,
            "admin/intents/policy/activate.html",
            policy,
            title=title,
            takes_two=takes_two,
            waiting=waiting,
            blocked=counts and same,
            replaced=waiting if counts and not same else None,
            request_url=self.page(policy.pk, "request"),
            off_consequences=self.off_consequences,
            off_word=self.off_word_of(policy),
            **self.about_lint(version),
            error=error,
            typed=request.POST.get("reason", ""),
            **self._difference(policy.active, version),
        )

    def request(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What waits for a second person: they confirm or refuse it, and who asked takes it back."""
        policy = self.find(request, object_id)
        waiting = activation.open_request(policy)
        if waiting is None:
            self.message_user(request, f"Nothing about {policy.name} waits for a second person.", messages.INFO)
            return HttpResponseRedirect(self.page(policy.pk))
        error = ""
        if request.method == "POST":
            require(request, self.permission_to_activate)
            try:
                self._answer(request, waiting)
                return HttpResponseRedirect(self.page(policy.pk))
            except (Problem, DocumentError) as problem:
                error = _told(problem)
                waiting = activation.open_request(policy) or waiting
        user = _user(request)
        return self.show(
            request,
            "admin/intents/policy/request.html",
            policy,
            title=_asked_for(waiting),
            waiting=waiting,
            asked=activation.asked([waiting]).get(waiting.pk),
            stale=activation.is_stale(waiting),
            may_activate=self.may_activate(request),
            why_not=activation.why_not_confirm(waiting, user),
            own=waiting.requested_by_id == user.pk,
            off_consequences=self.off_consequences,
            off_word=self.off_word_of(policy),
            **self.about_lint(waiting.version),
            error=error,
            typed=request.POST.get("reason", ""),
            **self._difference(waiting.policy.active, waiting.version),
        )

    def _answer(self, request: HttpRequest, shown: ActivationRequest) -> None:
        """Carry out the button that was pressed, on the request that was shown. Raises Problem."""
        user, pressed = _user(request), request.POST.get("answer")
        if request.POST.get("request") != str(shown.pk):
            raise Problem("conflict", "The request you were shown is settled. This is another one: look at it first.")
        if pressed == "confirm":
            activation.confirm(shown, by=user, digest=request.POST.get("digest") or None)
            done = f"{shown.version} is in force." if shown.version else f"{shown.policy.name} is {self.off_word}."
            self.message_user(request, done, messages.SUCCESS)
        elif pressed == "refuse":
            activation.refuse(shown, by=user, reason=request.POST.get("reason", ""))
            self.message_user(request, "Refused. Nothing has changed.")
        elif pressed == "withdraw":
            activation.withdraw(shown, by=user)
            self.message_user(request, "Taken back. Nothing has changed.")
        elif pressed == "take_over":
            activation.take_over(shown, by=user)
            self.message_user(request, "It is your request now: somebody else has to confirm it.")
        else:
            raise Problem("invalid", "Choose one of the buttons.")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the admin site let nobody else in
    return request.user


def _told(error: Problem | DocumentError) -> str:
    return error.detail if isinstance(error, Problem) else f"This version cannot be read any more: {error}"


def _asked_for(request: ActivationRequest) -> str:
    what = f"bring {request.version} into force" if request.version else f"take {request.policy.name} out of force"
    return f"Asked: {what}"
