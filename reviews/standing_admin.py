"""Standing approvals in the admin: ask for one, approve what others ask for, follow what passes, and end it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from audit import clock
from audit.text import visible
from intents.governed_admin import GovernedAdmin
from intents.models import Agent
from reviews import stepping_up
from reviews.models import StandingApproval, StandingState
from reviews.second_factor import freshest
from reviews.standing import reading, steps
from reviews.standing.models import DISAGREEMENT_PERCENT, MOST_USES, OPEN, SAMPLE_PERCENT
from reviews.standing.terms import LONGEST, Terms
from zehrava.problems import Problem


class StandingForm(forms.ModelForm):
    """What somebody asks for. The fields are texts and numbers; what they mean is for `Terms` to say."""

    person: User

    agent = forms.ModelChoiceField(
        Agent.objects.order_by("name"),
        widget=UnfoldAdminSelect2Widget,
        help_text="One agent. Its owner neither asks for this nor approves it.",
    )
    action = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"spellcheck": "false", "placeholder": "stripe.refund"}),
        help_text="An exact name, or a glob as in policies: crm.*",
    )
    when = forms.CharField(
        required=False,
        label="Only where",
        strip=True,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 3, "spellcheck": "false", "placeholder": 'amount(payload.amount) <= amount("50")'}
        ),
        help_text="A condition in CEL, as in the rules of policies. What it cannot be worked out for goes to people.",
    )
    max_uses = forms.IntegerField(
        label="Uses at most", min_value=1, max_value=MOST_USES, widget=UnfoldAdminIntegerFieldWidget
    )
    max_total = forms.CharField(
        required=False,
        label="Total at most",
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "placeholder": "500.00"}),
        help_text="Of the values of all that passes. It is the agent's own word unless the action's type derives it.",
    )
    currency = forms.CharField(
        required=False,
        max_length=3,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "EUR"}),
        help_text="What has no value in it goes to people.",
    )
    rate_count = forms.IntegerField(
        required=False,
        label="Uses within a time",
        min_value=1,
        max_value=MOST_USES,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    rate_window = forms.CharField(
        required=False,
        label="The time",
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "1h"}),
        help_text="An integer and s, m, h or d.",
    )
    days = forms.IntegerField(
        label="Ends after days",
        initial=30,
        min_value=1,
        max_value=LONGEST.days,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    sample_percent = forms.IntegerField(
        label="Of 100, to people all the same",
        initial=SAMPLE_PERCENT,
        min_value=0,
        max_value=100,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Drawn by chance, so that the agent cannot know which.",
    )
    disagreement_percent = forms.IntegerField(
        label="Suspended where they reject or change more, of 100",
        initial=DISAGREEMENT_PERCENT,
        min_value=0,
        max_value=100,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Of those that they decided. At 10, the first rejection suspends it where fewer than ten were.",
    )
    reason = forms.CharField(
        max_length=10_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Whoever approves it reads this.",
    )

    class Meta:
        model = StandingApproval
        fields = ("agent",)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        agent = cleaned.get("agent")
        if agent is None:
            return cleaned
        faults = list(self.terms().faults(now=clock.now()))
        if refusal := steps.why_not_ask(agent, self.person):
            self.add_error("agent", refusal)
        for name, detail in faults:
            field = "days" if name == "expires_at" else name
            if field not in self.errors:
                self.add_error(field, detail)
        return cleaned

    def terms(self) -> Terms:
        """What was typed, as far as it could be read."""
        typed = self.cleaned_data
        return Terms(
            agent=typed["agent"],
            action=typed.get("action", ""),
            when=typed.get("when", ""),
            max_uses=typed.get("max_uses"),
            max_total=typed.get("max_total", ""),
            currency=typed.get("currency", "").upper(),
            rate_count=typed.get("rate_count"),
            rate_window=typed.get("rate_window", ""),
            expires_at=clock.now() + timedelta(days=typed.get("days") or 0),
            sample_percent=typed.get("sample_percent"),
            disagreement_percent=typed.get("disagreement_percent"),
            reason=typed.get("reason", ""),
        )

    def _post_clean(self) -> None:
        """No row is made of it here: `steps.ask` does that."""


class StateFilter(admin.SimpleListFilter):
    """By the state of today: what is over counts as such from its very moment."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(label)) for value, label in StandingState.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        wanted = self.value()
        ended = Q(state__in=OPEN, expires_at__lte=Now())
        if wanted == StandingState.OVER:
            return queryset.filter(Q(state=wanted) | ended)
        return queryset.filter(state=wanted).exclude(ended) if wanted in StandingState.values else queryset


@admin.register(StandingApproval)
class StandingApprovalAdmin(GovernedAdmin):
    form = StandingForm
    list_display = ("shown_action", "agent_name", "shown_state", "shown_used", "expires_at", "shown_owner", "second")
    list_filter = (StateFilter, "agent")
    list_select_related = ("owner", "approver", "agent")
    search_fields = ("=id", "action", "agent_name", "owner_name", "approver_name")
    search_help_text = "Id, action, agent or person"
    nothing_yet = (
        "Two people may approve in advance what one agent asks again and again: so many times, for so long. Ask for a"
        " standing approval, and have somebody else approve it."
    )
    fieldsets = (
        ("What may pass", {"fields": ("agent", "action", "when")}),
        ("How much", {"fields": ("max_uses", ("max_total", "currency"), ("rate_count", "rate_window"), "days")}),
        ("What people see all the same", {"fields": ("sample_percent", "disagreement_percent")}),
        ("Why", {"fields": ("reason",)}),
    )
    object_pages = (("approve", "approve"), ("refuse", "refuse"), ("revoke", "revoke"))
    add_form_template = "admin/reviews/standingapproval/add.html"

    class Media:
        js = ("zehrava/standing.js",)

    def get_urls(self) -> list[URLPattern]:
        check = path("check/", self.admin_site.admin_view(self.check_form), name="reviews_standingapproval_check")
        return [check, *super().get_urls()]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    # --- the list ---

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).annotate(read_at=Now())

    @display(description="action", ordering="action")
    def shown_action(self, approval: StandingApproval) -> SafeString:
        return visible(approval.action)

    @display(
        description="state",
        ordering="state",
        label={
            "Active": "success",
            "Waits for a second person": "warning",
            "Suspended": "danger",
            "Revoked": "danger",
            "Refused": "danger",
        },
    )
    def shown_state(self, approval: Any) -> str:
        return str(reading.state_of(approval, approval.read_at).label)

    @display(description="used", ordering="used")
    def shown_used(self, approval: StandingApproval) -> str:
        return f"{approval.used:,} of {approval.max_uses:,}"

    @display(description="asked for by", ordering="owner_name")
    def shown_owner(self, approval: StandingApproval) -> SafeString:
        return visible(approval.owner_name)

    @display(description="approved by", ordering="approver_name")
    def second(self, approval: StandingApproval) -> SafeString:
        return visible(approval.approver_name or "–")

    # --- asking for one ---

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        asking = {
            "factor_address": stepping_up.address("", back=request.path),
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
            **(extra_context or {}),
        }
        return super().add_view(request, form_url, asking)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.person = request.user
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {name: request.GET[name] for name in ("agent", "action") if name in request.GET}

    def check_form(self, request: HttpRequest) -> HttpResponse:
        """What is wrong with the form as it is typed so far, by field; nothing is stored."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = self.get_form(request)(request.POST)
        return JsonResponse({"errors": {} if form.is_valid() else form.errors})

    def save_model(self, request: HttpRequest, obj: StandingApproval, form: Any, change: bool) -> None:
        asked = steps.ask(form.terms(), by=_person(request), factor=freshest(request))
        obj.pk, obj._state.adding = asked.pk, False
        obj.refresh_from_db()

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        self.message_user(request, "Asked for. It counts once a second person approves it.", messages.SUCCESS)
        return HttpResponseRedirect(self.page(obj.pk))

    # --- one of them ---

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        approval = self.find(request, object_id)
        if request.method != "GET":
            # Nothing is saved from this address; the buttons have their own.
            raise PermissionDenied
        return self._page(request, approval)

    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._step(request, object_id, "approve", "It is in force.")

    def refuse(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._step(request, object_id, "refuse", "It is refused.")

    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._step(request, object_id, "revoke", "It is revoked: nothing more passes on it.")

    def _step(self, request: HttpRequest, object_id: str, step: str, done: str) -> HttpResponse:
        """Do what a button of the page says; what keeps it from being done stands on the page again."""
        approval = self.find(request, object_id)
        if request.method != "POST":
            return HttpResponseRedirect(self.page(approval.pk))
        reason, person = request.POST.get("reason", ""), _person(request)
        try:
            if step == "approve":
                digest = request.POST.get("digest", "")
                steps.approve(approval, by=person, digest=digest, reason=reason, factor=freshest(request))
            elif step == "refuse":
                steps.refuse(approval, by=person, reason=reason)
            else:
                steps.revoke(approval, by=person, reason=reason)
        except Problem as problem:
            approval = self.find(request, object_id)
            return self._page(request, approval, problem=problem, form=step, typed=reason)
        self.message_user(request, done, messages.SUCCESS)
        return HttpResponseRedirect(self.page(approval.pk))

    def _page(
        self, request: HttpRequest, approval: Any, *, problem: Problem | None = None, form: str = "", typed: str = ""
    ) -> HttpResponse:
        address = self.page(approval.pk)
        found = reading.detail(
            approval,
            _person(request),
            now=approval.read_at,
            factor=freshest(request),
            address=address,
            pages=request.GET,
        )
        response = self.show(
            request,
            "admin/reviews/standingapproval/detail.html",
            approval,
            title=f"Standing approval: {approval}",
            approval=approval,
            detail=found,
            problem=problem,
            form=form,
            typed=typed,
            history_url=self.page(approval.pk, "history"),
        )
        response.status_code = problem.status if problem else 200
        return response


def _person(request: HttpRequest) -> User:
    return cast("User", request.user)
