"""Reading rules in the admin: who may change groups narrows what their members read."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from audit.text import visible
from intents.governed_admin import GovernedAdmin, person
from intents.models import ReadingRule, Sensitivity
from intents.reading_rules import offered_environments, reach_of, set_rule

MAY_CHANGE = "auth.change_group"
_LEVELS = [("", "Every, also where no type says it"), *((each.value, f"Up to {each.value}") for each in Sensitivity)]


class ReadingRuleForm(forms.ModelForm):
    """Both halves of a rule; the environments are offered, so that a typing error narrows nothing to nothing."""

    group = forms.ModelChoiceField(
        Group.objects.filter(reading_rule=None).order_by("name"), widget=UnfoldAdminSelectWidget
    )
    environments = forms.MultipleChoiceField(
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Of agents that were registered in one of these when they proposed. None chosen: of every agent.",
    )
    sensitivity_up_to = forms.ChoiceField(
        label="Sensitivity",
        required=False,
        choices=_LEVELS,
        widget=UnfoldAdminSelectWidget,
        help_text="As the action's type said it then. With a level, what no type says is not read.",
    )

    class Meta:
        model = ReadingRule
        fields = ("group", "environments", "sensitivity_up_to")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rule = self.instance if self.instance.pk else None
        offered = offered_environments(rule)
        field: Any = self.fields.get("environments")
        if field is not None:
            field.choices = [(name, name) for name in offered]
            known = ", ".join(offered) or "none yet"
            field.error_messages["invalid_choice"] = (
                f"No agent is registered in %(value)s. Environments that agents have: {known}."
            )


@admin.register(ReadingRule)
class ReadingRuleAdmin(GovernedAdmin):
    form = ReadingRuleForm
    fields = ("group", "environments", "sensitivity_up_to")
    list_display = ("shown_group", "shown_environments", "shown_sensitivity", "shown_effect")
    list_display_links = ("shown_group",)
    list_select_related = ("group",)
    search_fields = ("group__name",)
    search_help_text = "Name of a group"
    nothing_yet = (
        "Whoever may view intents reads all of them. A rule narrows what the members of one group read by it: to some "
        "environments, up to a sensitivity, or both."
    )
    change_form_template = "admin/intents/readingrule/change_form.html"

    # --- who may: they give the permissions that this narrows ---

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(MAY_CHANGE)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm(MAY_CHANGE)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm(MAY_CHANGE) or super().has_view_permission(request, obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    # --- the list ---

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        giving = Group.objects.filter(
            pk=OuterRef("group"),
            permissions__codename="view_intent",
            permissions__content_type__app_label="intents",
        )
        return super().get_queryset(request).annotate(gives=Exists(giving))

    @display(description="group", ordering="group__name")
    def shown_group(self, rule: ReadingRule) -> SafeString:
        return visible(rule.group.name)

    @display(description="environments")
    def shown_environments(self, rule: ReadingRule) -> SafeString:
        return visible(", ".join(map(str, rule.environments)) if rule.environments else "every")

    @display(description="sensitivity", ordering="sensitivity_up_to")
    def shown_sensitivity(self, rule: ReadingRule) -> str:
        return f"up to {rule.sensitivity_up_to}" if rule.sensitivity_up_to else "every"

    @display(description="effect", label={"narrows": "success", "changes nothing": "warning"})
    def shown_effect(self, rule: Any) -> str:
        asks = bool(rule.environments or rule.sensitivity_up_to)
        return "narrows" if rule.gives and asks else "changes nothing"

    # --- the form ---

    def get_readonly_fields(self, request: HttpRequest, obj: ReadingRule | None = None) -> tuple[str, ...]:
        return ("group",) if obj else ()

    def save_model(self, request: HttpRequest, obj: ReadingRule, form: forms.ModelForm, change: bool) -> None:
        chosen = form.cleaned_data
        saved = set_rule(
            obj.group,
            environments=chosen["environments"],
            sensitivity_up_to=chosen["sensitivity_up_to"],
            by=person(request),
        )
        obj.pk, obj._state.adding = saved.pk, False
        obj.refresh_from_db()

    def response_add(
        self, request: HttpRequest, obj: ReadingRule, post_url_continue: str | None = None
    ) -> HttpResponse:
        """To its page, which says whom it reaches."""
        self.message_user(request, "The rule counts from the next request of each member on.", messages.SUCCESS)
        return HttpResponseRedirect(self.page(str(obj.pk)))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        rule = kwargs.get("obj")
        context["reach"] = None if rule is None else reach_of(rule)
        return super().render_change_form(request, context, **kwargs)
