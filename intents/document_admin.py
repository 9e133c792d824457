"""Policies and action types in the admin: YAML checked on save, versions to read and to bring into force."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from audit.text import visible
from intents import documents
from intents.governed_admin import GovernedAdmin, Question, person, require
from intents.models import ActionType, Policy
from zehrava.policy.errors import DocumentError

VERSIONS_PER_PAGE = 25

POLICY_EXAMPLE = """\
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

ACTION_TYPE_EXAMPLE = """\
name: support.reply
title: Answer a customer
schema:
  type: object
  required: [ticket, body]
executor: noop
safe_to_repeat: true
"""


class DocumentForm(forms.ModelForm):
    """The text of one document; a fault names the line, the column and the path, and the typed text stays."""

    text = forms.CharField(
        label="YAML",
        strip=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 26, "class": "zhr-code", "spellcheck": "false", "autocapitalize": "off", "wrap": "off"}
        ),
    )
    parse: Callable[[str], Any]
    noun: str

    class Meta:
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and not self.is_bound:
            newest = self.instance.versions.first()
            version = self.instance.active or newest
            self.initial["text"] = version.text if version else ""

    def clean_text(self) -> str:
        # Browsers send line ends as CRLF, whatever was typed or pasted; the digest is over what is stored.
        text = self.cleaned_data["text"].replace("\r\n", "\n").replace("\r", "\n")
        try:
            name = type(self).parse(text).name
        except DocumentError as error:
            raise ValidationError([self._told(fault) for fault in error.errors]) from error
        if self.instance.pk and name != self.instance.name:
            raise ValidationError(
                f"This text is called {name!r}, and you are editing {self.instance.name!r}. Change its name back, or "
                f"add it as a new {self.noun}."
            )
        if not self.instance.pk and self._meta.model.objects.filter(name=name).exists():
            raise ValidationError(f"There is a {self.noun} called {name!r} already: open that one and edit it.")
        return text

    @staticmethod
    def _told(fault: Any) -> str:
        where = f", at {fault.path}" if fault.path else ""
        return f"Line {fault.line}, column {fault.column}{where}: {fault.reason}"


class PolicyForm(DocumentForm):
    parse = staticmethod(documents.parse_policy)
    noun = "policy"

    class Meta(DocumentForm.Meta):
        model = Policy


class ActionTypeForm(DocumentForm):
    parse = staticmethod(documents.parse_action_type)
    noun = "action type"

    class Meta(DocumentForm.Meta):
        model = ActionType


class InForceFilter(admin.SimpleListFilter):
    title = "in force"
    parameter_name = "in_force"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "In force"), ("no", "Not in force")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() in {"yes", "no"}:
            return queryset.filter(active__isnull=self.value() == "no")
        return queryset


class DocumentAdmin(GovernedAdmin):
    """What both kinds share. Subclasses name the functions of `intents.documents` and the words of their pages."""

    list_filter = (InForceFilter,)
    # The label above the text, which needs all the width there is.
    compressed_fields = False
    list_select_related = ("active__created_by",)
    search_fields = ("name",)
    search_help_text = "Name"
    change_form_template = "admin/intents/policy/change_form.html"
    object_pages = (
        ("versions/<int:number>", "version"),
        ("versions/<int:number>/activate", "activate"),
        ("disable", "disable"),
    )
    example: str
    help_template: str
    # What taking it out of force is called, and what follows from it.
    off_word: str
    off_button: str
    off_consequences: tuple[str, ...]
    permission_to_activate: str

    save_document: Callable[..., Any]
    activate_document: Callable[..., Any]
    take_out_of_force: Callable[..., Any]

    # --- the list ---

    @display(description="in force", ordering="active__number")
    def version_in_force(self, document: Any) -> str:
        return f"v{document.active.number}" if document.active else self.off_word

    @display(description="by", ordering="active__created_by__username", empty_value="the command line")
    def written_by(self, document: Any) -> Any:
        if document.active is None:
            return "-"
        return visible(document.active.created_by.get_username()) if document.active.created_by else None

    @display(description="when", ordering="active__created_at")
    def written_at(self, document: Any) -> Any:
        return document.active and document.active.created_at

    # --- the form ---

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return ("text",) if may_write else ("shown_text",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("shown_text",)

    @display(description="YAML")
    def shown_text(self, document: Any) -> SafeString:
        version = document.active or document.versions.first()
        return format_html('<pre class="zhr-code">{}</pre>', visible(version.text if version else ""))

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        activate = request.user.has_perm(self.permission_to_activate)
        version = type(self).save_document(
            form.cleaned_data["text"], by=person(request), user=request.user, activate=activate
        )
        stored = version.policy if isinstance(obj, Policy) else version.action_type
        obj.pk, obj._state.adding = stored.pk, False
        obj.refresh_from_db()
        if obj.active_id != version.pk:
            self.message_user(
                request,
                f"Saved as v{version.number}. Somebody who may activate it has to bring it into force.",
                messages.INFO,
            )

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._saved(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self._saved(request, obj)

    def _saved(self, request: HttpRequest, document: Any) -> HttpResponse:
        """Say which version is in force now; `save_model` has spoken where what was saved is not."""
        newest = document.versions.first()
        if newest and newest.pk == document.active_id:
            self.message_user(request, f"{self.opts.verbose_name} {newest} is in force.", messages.SUCCESS)
        stays = "_continue" in request.POST
        return HttpResponseRedirect(self.page(document.pk) if stays else self._list())

    def _list(self) -> str:
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        document = kwargs.get("obj")
        context |= {"example": self.example, "help_template": self.help_template, "off_word": self.off_word}
        if document is not None:
            versions = Paginator(document.versions.select_related("created_by").defer("text"), VERSIONS_PER_PAGE)
            context |= {
                "versions": versions.get_page(request.GET.get("versions")),
                "may_activate": request.user.has_perm(self.permission_to_activate),
                "disable_url": self.page(document.pk, "disable"),
                "disable_button": self.off_button,
                "version_name": f"admin:{self.model._meta.app_label}_{self.model._meta.model_name}_version",
                "activate_name": f"admin:{self.model._meta.app_label}_{self.model._meta.model_name}_activate",
            }
        return super().render_change_form(request, context, **kwargs)

    # --- versions ---

    def version(self, request: HttpRequest, object_id: str, number: int) -> HttpResponse:
        document, version = self._find_version(request, object_id, number)
        return self.show(
            request,
            "admin/intents/policy/version.html",
            document,
            title=str(version),
            version=version,
            shown_text=visible(version.text),
            in_force=document.active_id == version.pk,
            may_activate=request.user.has_perm(self.permission_to_activate),
            activate_url=self.page(document.pk, "activate", number),
        )

    def activate(self, request: HttpRequest, object_id: str, number: int) -> HttpResponse:
        document, version = self._find_version(request, object_id, number)
        require(request, self.permission_to_activate)
        if request.method != "POST":
            instead = (
                f"instead of v{document.active.number}" if document.active else f"again; it is {self.off_word} now"
            )
            consequences = (
                f"v{number} comes into force {instead}, from the next proposal on.",
                "Intents that were proposed before keep the version they were judged by.",
            )
            return self.confirm(request, document, Question(f"Bring {version} into force", consequences, "Activate"))
        try:
            type(self).activate_document(version, by=person(request))
        except DocumentError as error:
            self.message_user(request, f"v{number} cannot be read any more: {error}", messages.ERROR)
        else:
            self.message_user(request, f"{version} is in force.")
        return HttpResponseRedirect(self.page(document.pk))

    def disable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        document = self.find(request, object_id)
        require(request, self.permission_to_activate)
        if request.method != "POST":
            question = Question(
                f"{self.off_button} {document.name}", self.off_consequences, self.off_button, danger=True
            )
            return self.confirm(request, document, question)
        type(self).take_out_of_force(document, by=person(request))
        self.message_user(request, f"{document.name} is {self.off_word}.")
        return HttpResponseRedirect(self.page(document.pk))

    def _find_version(self, request: HttpRequest, object_id: str, number: int) -> tuple[Any, Any]:
        document = self.find(request, object_id)
        version = document.versions.select_related("created_by").filter(number=number).first()
        if version is None:
            raise Http404(f"{document.name} has no version {number}.")
        return document, version


# The text of a version never changes, and reading it again for every row of every list would take long.
@functools.lru_cache(maxsize=256)
def _count_rules(text: str) -> str:
    try:
        return str(len(documents.parse_policy(text).rules))
    except DocumentError:
        return "cannot be read: nothing is allowed by it"


@functools.lru_cache(maxsize=256)
def _read_action_type(text: str) -> Any:
    try:
        return documents.parse_action_type(text)
    except DocumentError:
        return None


@admin.register(Policy)
class PolicyAdmin(DocumentAdmin):
    form = PolicyForm
    list_display = ("name", "version_in_force", "rule_count", "written_by", "written_at")
    example = POLICY_EXAMPLE
    help_template = "admin/intents/policy/help.html"
    off_word = "disabled"
    off_button = "Disable"
    off_consequences = (
        "It stops counting from the next proposal on. Its versions stay, and any of them can be activated again.",
        "Where no other policy matches an action, a reviewer is asked.",
        "Intents that were proposed before keep the verdict they got.",
    )
    nothing_yet = (
        "Without a policy every intent waits for a reviewer. Add one to allow, block or route what agents ask."
    )
    permission_to_activate = "intents.activate_policy"
    save_document = staticmethod(documents.save_policy)
    activate_document = staticmethod(documents.activate_version)
    take_out_of_force = staticmethod(documents.disable_policy)

    @display(description="rules")
    def rule_count(self, policy: Policy) -> str:
        if policy.active is None:
            return "-"
        return _count_rules(policy.active.text)


@admin.register(ActionType)
class ActionTypeAdmin(DocumentAdmin):
    form = ActionTypeForm
    list_display = ("name", "version_in_force", "title", "executor", "written_by", "written_at")
    example = ACTION_TYPE_EXAMPLE
    help_template = "admin/intents/actiontype/help.html"
    off_word = "retired"
    off_button = "Retire"
    off_consequences = (
        "From the next proposal on, payloads of this action are not checked, are shown as a plain tree, and only the "
        "agent can carry it out.",
        "Its versions stay, and any of them can be activated again.",
    )
    nothing_yet = "Without an action type a payload is shown as a plain tree and its agent carries it out."
    permission_to_activate = "intents.activate_actiontype"
    save_document = staticmethod(documents.save_action_type)
    activate_document = staticmethod(documents.activate_action_type_version)
    take_out_of_force = staticmethod(documents.retire_action_type)

    @display(description="title")
    def title(self, action_type: ActionType) -> Any:
        parsed = action_type.active and _read_action_type(action_type.active.text)
        return visible(parsed.title) if parsed and parsed.title else "-"

    @display(description="carried out by")
    def executor(self, action_type: ActionType) -> str:
        parsed = action_type.active and _read_action_type(action_type.active.text)
        return f"the portal: {parsed.executor}" if parsed and parsed.executor else "the agent"
