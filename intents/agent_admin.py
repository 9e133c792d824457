"""Agents in the admin: register them, make and revoke their keys, suspend and resume them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import Count, ForeignKey, OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from audit.text import visible
from intents import agents, kill_switch, reading
from intents.agent_record import DAYS, record_of
from intents.governed_admin import GovernedAdmin, Question, link_to, person, require
from intents.labels import LabelsError, read_labels, write_labels
from intents.models import Agent, AgentKey, Intent
from zehrava.problems import Problem


class LabelsField(forms.CharField):
    """One `name=value` a line; every line that cannot be read is named."""

    def prepare_value(self, value: Any) -> Any:
        return write_labels(value) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        try:
            return value if isinstance(value, dict) else read_labels((value or "").splitlines())
        except LabelsError as error:
            raise forms.ValidationError(error.faults) from error

    def validate(self, value: Any) -> None:
        """Nothing is required; the lines were checked as they were read."""

    def run_validators(self, value: Any) -> None:
        """Nothing of a text applies to labels."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return (initial or {}) != self.to_python(data)
        except forms.ValidationError:
            return True


class AgentForm(forms.ModelForm):
    labels = LabelsField(
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false", "placeholder": "team=payments"}),
        help_text="What else policies may rely on, as agent.labels: one name=value a line.",
    )

    class Meta:
        model = Agent
        fields = ("name", "owner", "environment", "tier", "labels", "description")
        help_texts = {
            "name": "What policies match and auditors read. It cannot be changed later.",
            "description": "What it is for, for the people who read about it here.",
        }
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 4})}


class SuspendedFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "Active"), ("suspended", "Suspended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() in {"active", "suspended"}:
            return queryset.filter(suspended_at__isnull=self.value() == "active")
        return queryset


@admin.register(Agent)
class AgentAdmin(GovernedAdmin):
    form = AgentForm
    fields = ("name", "owner", "environment", "tier", "labels", "description")
    list_display = ("shown_name", "owner", "environment", "tier", "shown_status", "live_keys", "last_proposal")
    list_filter = (SuspendedFilter, "environment", "tier")
    list_select_related = ("owner",)
    search_fields = ("name", "id", "description", "owner__username")
    search_help_text = "Name, id, description or owner"
    nothing_yet = "An agent is a program that proposes intents. Register one, then make a key for it on its page."
    object_pages = (
        ("keys/add", "make_key"),
        ("keys/<int:key_id>/revoke", "revoke_key"),
        ("suspend", "suspend"),
        ("resume", "resume"),
        ("kill", "kill"),
    )

    # --- the list ---

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        newest = Intent.objects.filter(reading.visible_to(request.user), agent=OuterRef("pk")).order_by("-id")
        return (
            super()
            .get_queryset(request)
            .annotate(
                live_keys=Count("keys", filter=Q(keys__revoked_at__isnull=True)),
                last_intent_at=Subquery(newest.values("created_at")[:1]),
                last_intent_id=Subquery(newest.values("id")[:1]),
            )
        )

    @display(description="name", ordering="name")
    def shown_name(self, agent: Agent) -> str:
        return agent.name

    @display(description="status", label={"Active": "success", "Suspended": "danger"}, ordering="suspended_at")
    def shown_status(self, agent: Agent) -> str:
        return "Suspended" if agent.is_suspended else "Active"

    @display(description="keys", ordering="live_keys")
    def live_keys(self, agent: Any) -> str:
        return str(agent.live_keys) if agent.live_keys else "none: it cannot call"

    @display(description="last proposal", ordering="last_intent_at", empty_value="none")
    def last_proposal(self, agent: Any) -> Any:
        return agent.last_intent_at

    # --- the form ---

    def get_readonly_fields(self, request: HttpRequest, obj: Agent | None = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "owner" and field is not None:
            eligible = Q(is_active=True)
            match = request.resolver_match
            if match and (owned := match.kwargs.get("object_id")):
                # Who owns it now stays a choice, active or not: else nothing else on the form could be saved.
                eligible |= Q(agents=owned)
            field.queryset = get_user_model()._default_manager.filter(eligible).distinct().order_by("username")
            for option in ("can_add_related", "can_change_related", "can_delete_related", "can_view_related"):
                setattr(field.widget, option, False)
        return field

    def save_model(self, request: HttpRequest, obj: Agent, form: forms.ModelForm, change: bool) -> None:
        fields = {name: form.cleaned_data[name] for name in agents.CHANGEABLE & form.cleaned_data.keys()}
        if change:
            saved = agents.change_agent(obj, by=person(request), **fields)
        else:
            saved = agents.register_agent(name=form.cleaned_data["name"], by=person(request), **fields)
        obj.pk, obj._state.adding = saved.pk, False
        obj.refresh_from_db()

    def response_add(self, request: HttpRequest, obj: Agent, post_url_continue: str | None = None) -> HttpResponse:
        """To the page of the new agent, where its key is made."""
        told = "Make a key for it below: until it has one, it cannot call."
        self.message_user(request, format_html("{} is registered. {}", visible(obj.name), told), messages.SUCCESS)
        return HttpResponseRedirect(self.page(obj.pk))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        agent = kwargs.get("obj")
        if agent is not None:
            may = request.user.has_perm
            context |= {
                "keys": agent.keys.all() if may("intents.view_agentkey") else None,
                "may_make_key": may("intents.add_agentkey"),
                "may_revoke_key": may("intents.revoke_agentkey"),
                "may_suspend": may("intents.suspend_agent"),
                "newest_intent": self._newest_intent(request, agent),
                "sees_all": reading.sees_all(request.user),
                "record": record_of(agent, request.user) if may(reading.VIEW) else None,
                "record_days": DAYS,
            }
        return super().render_change_form(request, context, **kwargs)

    def _newest_intent(self, request: HttpRequest, agent: Any) -> Any:
        newest = (
            Intent.objects.filter(reading.visible_to(request.user), agent=agent.pk)
            .order_by("-id")
            .only("id", "action")
            .first()
        )
        return newest and link_to("intents_intent_change", newest.pk, newest.action)

    # --- keys and suspension: GET asks, POST acts ---

    def make_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        agent = self.find(request, object_id)
        require(request, "intents.add_agentkey")
        if request.method != "POST":
            consequences = ("It is shown once, on the next page: have a safe place ready.", "Other keys stay accepted.")
            question = Question(f"Make a key for {agent.name}", consequences, "Make key", cancel="Cancel")
            return self.confirm(request, agent, question)
        key, text = agents.create_key(agent, by=person(request))
        # Straight into this answer: a message would keep it in a cookie or the session.
        answer = self.show(
            request, "admin/intents/agent/key_made.html", agent, title=f"Key for {agent.name}", key=key, text=text
        )
        answer["Cache-Control"] = "no-store"
        return answer

    def revoke_key(self, request: HttpRequest, object_id: str, key_id: int) -> HttpResponse:
        agent = self.find(request, object_id)
        require(request, "intents.revoke_agentkey")
        key = AgentKey.objects.filter(pk=key_id, agent=agent.pk).first()
        if key is None:
            raise Http404("This agent has no such key.")
        if request.method != "POST":
            consequences = (
                f"Requests with {key} are refused from the next one on, for ever.",
                "What the agent proposed before stays as it is.",
            )
            question = Question(f"Revoke {key} of {agent.name}", consequences, "Revoke key", danger=True)
            return self.confirm(request, agent, question)
        agents.revoke_key(key, by=person(request))
        self.message_user(request, f"{key} of {agent.name} is revoked.")
        return HttpResponseRedirect(self.page(agent.pk))

    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        agent = self.find(request, object_id)
        require(request, "intents.suspend_agent")
        if request.method != "POST":
            consequences = (
                "Every request of the agent is refused from the next one on, until you resume it.",
                "None of its approved intents starts while it is suspended; those whose time runs out expire.",
            )
            question = Question(f"Suspend {agent.name}", consequences, "Suspend agent", danger=True)
            return self.confirm(request, agent, question)
        agents.suspend_agent(agent, by=person(request))
        self.message_user(request, f"{agent.name} is suspended.")
        return HttpResponseRedirect(self.page(agent.pk))

    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        agent = self.find(request, object_id)
        require(request, "intents.suspend_agent")
        if request.method != "POST":
            consequences = ("Its live keys are accepted again from the next request on.",)
            return self.confirm(request, agent, Question(f"Resume {agent.name}", consequences, "Resume agent"))
        try:
            agents.resume_agent(agent, by=person(request))
        except Problem as problem:
            self.message_user(request, problem.detail, messages.ERROR)
        else:
            self.message_user(request, f"{agent.name} may act again.")
        return HttpResponseRedirect(self.page(agent.pk))

    def kill(self, request: HttpRequest, object_id: str) -> HttpResponse:
        agent = self.find(request, object_id)
        require(request, "intents.suspend_agent")
        question = Question(
            f"Kill switch: stop {agent.name}",
            (
                "Every request and every claim of the agent is refused from the next one on, until you resume it.",
                "All that it proposed and that has not begun is cancelled, approved or not. That is for good.",
                "What has begun cannot be called back: it ends as it ends.",
            ),
            "Stop it now",
            danger=True,
            reason="Why you stop it; the reason stays with the record",
        )
        if request.method != "POST":
            return self.confirm(request, agent, question)
        reason = request.POST.get("reason", "")
        try:
            killed = kill_switch.kill(agent, by=person(request), reason=reason)
        except Problem as problem:
            return self.confirm(request, agent, question, problem=problem, typed=reason)
        self.message_user(request, _what_was_killed(agent, killed), messages.WARNING)
        return HttpResponseRedirect(self.page(agent.pk))


def _what_was_killed(agent: Agent, killed: kill_switch.Killed) -> str:
    said = [f"{agent.name} is stopped. {killed.cancelled:,} of its intents {_are(killed.cancelled)} cancelled."]
    if killed.left:
        said.append(f"{killed.left:,} more {_are(killed.left)} being cancelled; none of them can begin.")
    if killed.begun:
        said.append(f"{killed.begun:,} had begun before, and cannot be called back: look at how they end.")
    return " ".join(said)


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
