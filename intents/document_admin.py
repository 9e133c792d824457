"""What the admin pages of policies and action types share: YAML checked on save, drafts, versions to activate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.core.paginator import Page, Paginator
from django.db.models import Exists, OuterRef, QuerySet
from django.forms.utils import ErrorDict
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from audit.text import visible
from intents import document_versions
from intents.document_versions import Standing
from intents.governed_admin import GovernedAdmin, Question, person, require
from zehrava.policy.errors import DocumentError
from zehrava.policy.strict_yaml import MAX_BYTES
from zehrava.problems import Problem

VERSIONS_PER_PAGE = 20
NOT_YET = "not in force yet"


class DocumentForm(forms.ModelForm):
    """The text of one document; a fault names the line, the column and the path, and the typed text stays."""

    text = forms.CharField(
        label="YAML",
        strip=False,
        widget=UnfoldAdminTextareaWidget(
            attrs={
                "rows": 26,
                "class": "zhr-code",
                "spellcheck": "false",
                "autocapitalize": "off",
                "wrap": "off",
                "data-zhr-bytes": MAX_BYTES,
                "data-zhr-lines": "",
            }
        ),
    )
    # The newest version when the page was opened: who saves upon somebody else's is told once.
    seen = forms.IntegerField(required=False, widget=forms.HiddenInput)
    parse: Callable[[str], Any]
    noun: str
    # The text, where it was only to be checked and nothing is wrong with it.
    checked: str | None = None

    class Meta:
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        newest = self.instance.versions.first() if self.instance.pk else None
        self.newest = newest
        if newest and not self.is_bound:
            # A draft is what somebody is working on; an older version that was brought back is what counts.
            standing = document_versions.standing_of(self.instance)
            shown = standing.draft or self.instance.active or newest
            self.initial.update(text=shown.text, seen=newest.number)

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

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "_check" in self.data and "text" in cleaned:
            # Sound as it is; an error, so that nothing is saved.
            self.checked = cleaned["text"]
            raise ValidationError("checked")
        seen, newest = cleaned.get("seen"), self.newest
        if seen and newest and newest.number > seen and "text" in cleaned and cleaned["text"] != newest.text:
            self.data = {**self.data, "text": cleaned["text"], "seen": newest.number}
            by = newest.created_by.get_username() if newest.created_by else "the command line"
            raise ValidationError(
                f"{by} saved v{newest.number} while you were editing. Open it in another window and take over what "
                "you want to keep; saving again stores your text as the version after it."
            )
        return cleaned

    @staticmethod
    def _told(fault: Any) -> SafeString:
        where = f", at {fault.path}" if fault.path else ""
        told = '<a class="zhr-link" href="#line-{}">Line {}, column {}</a>{}: {}'
        return format_html(told, fault.line, fault.line, fault.column, where, fault.reason)


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
    list_select_related: tuple[str, ...] = ("active__created_by",)
    search_fields = ("name",)
    search_help_text = "Name"
    change_form_template = "admin/intents/policy/change_form.html"
    object_pages: tuple[tuple[str, str], ...] = (
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
    activate_button = "Save and activate"

    save_document: Callable[..., Any]
    activate_document: Callable[..., Any]
    take_out_of_force: Callable[..., Any]

    # --- the list ---

    @display(description="in force", ordering="active__number")
    def version_in_force(self, document: Any) -> str:
        if document.active:
            return f"v{document.active.number}"
        return self.off_word if document.was_ever else NOT_YET

    @display(description="by", ordering="active__created_by__username", empty_value="the command line")
    def written_by(self, document: Any) -> Any:
        if document.active is None:
            return "-"
        return visible(document.active.created_by.get_username()) if document.active.created_by else None

    @display(description="when", ordering="active__created_at")
    def written_at(self, document: Any) -> Any:
        return document.active and document.active.created_at

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        history = self.model.history.filter(id=OuterRef("pk"), active_id__isnull=False)  # type: ignore[attr-defined]
        return super().get_queryset(request).annotate(was_ever=Exists(history.order_by()))

    def off_word_of(self, document: Any) -> str:
        """What a document without a version in force is."""
        return self.off_word if document_versions.was_ever_in_force(document) else NOT_YET

    # --- the form ---

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return ("text", "seen") if may_write else ("shown_text",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("shown_text",)

    @display(description="YAML")
    def shown_text(self, document: Any) -> SafeString:
        # What is looked at on this page, as whoever may write finds it in the form.
        version = document_versions.standing_of(document).draft or document.active or document.versions.first()
        return numbered(version.text if version else "")

    def may_activate(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(self.permission_to_activate))

    def activates_on_save(self, request: HttpRequest) -> bool:
        """Only the button that says so brings what is saved into force; without any button it stays a draft."""
        return "_activate" in request.POST and self.may_activate(request)

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool) -> None:
        version = type(self).save_document(
            form.cleaned_data["text"], by=person(request), user=request.user, activate=self.activates_on_save(request)
        )
        stored = version.document
        obj.pk, obj._state.adding = stored.pk, False
        obj.refresh_from_db()
        obj.saved_version = version

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self.saved(request, obj, obj.saved_version)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self.saved(request, obj, obj.saved_version)

    def saved(self, request: HttpRequest, document: Any, version: Any) -> HttpResponse:
        """Say what came of it, on the page of the document, where its versions and drafts are."""
        if version.pk == document.active_id:
            self.message_user(request, f"{self.opts.verbose_name} {version} is in force.", messages.SUCCESS)
        else:
            who = "Activate it" if self.may_activate(request) else "Somebody who may activate it has to do so"
            self.message_user(
                request,
                f"Saved as v{version.number}, a draft: it counts for nothing yet. {who} to bring it into force.",
                messages.INFO,
            )
        return HttpResponseRedirect(self.page(document.pk))

    def _list(self) -> str:
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        document = kwargs.get("obj")
        context |= {
            "example": self.example,
            "help_template": self.help_template,
            "off_word": self.off_word,
            "may_activate": self.may_activate(request),
            "activate_button": self.activate_button,
        }
        if document is not None:
            context |= self.about(request, document)
        form = context["adminform"].form
        context |= _said_once(form)
        if checked := getattr(form, "checked", None):
            context |= {"faults": [], "checked": self.about_checked(checked)}
        return super().render_change_form(request, context, **kwargs)

    def about_checked(self, text: str) -> dict[str, Any]:
        """What to say of a text that was checked and is sound."""
        return {"told": ""}

    def about(self, request: HttpRequest, document: Any) -> dict[str, Any]:
        """What the page of a document shows besides its form."""
        standing = document_versions.standing_of(document)
        pages = Paginator(document.versions.select_related("created_by"), VERSIONS_PER_PAGE)
        shown = pages.get_page(request.GET.get("versions"))
        return {
            "standing": standing,
            "off_word": self.off_word if standing.was_ever else NOT_YET,
            "versions": shown,
            "lines": self.lines(document, shown, standing),
            "disable_url": self.page(document.pk, "disable"),
            "disable_button": self.off_button,
            "draft_url": standing.draft and self.page(document.pk, "version", standing.draft.number),
            "activate_draft_url": standing.draft and self.page(document.pk, "activate", standing.draft.number),
        }

    def lines(self, document: Any, shown: Page, standing: Standing) -> list[dict[str, Any]]:
        """A row of the table of versions each."""
        return [
            {
                "version": version,
                "state": standing.state(version),
                "period": standing.period_of(version),
                "url": self.page(document.pk, "version", version.number),
                "activate_url": self.page(document.pk, "activate", version.number),
            }
            for version in shown
        ]

    # --- versions ---

    def version(self, request: HttpRequest, object_id: str, number: int) -> HttpResponse:
        document, version = self.find_version(request, object_id, number)
        return self.show(
            request, "admin/intents/policy/version.html", document, **self.about_version(request, document, version)
        )

    def about_version(self, request: HttpRequest, document: Any, version: Any) -> dict[str, Any]:
        """What the page of one version shows."""
        standing = document_versions.standing_of(document)
        return {
            "title": str(version),
            "version": version,
            "shown_text": numbered(version.text),
            "state": standing.state(version),
            "period": standing.period_of(version),
            "may_activate": self.may_activate(request),
            "activate_url": self.page(document.pk, "activate", version.number),
        }

    def activate(self, request: HttpRequest, object_id: str, number: int) -> HttpResponse:
        document, version = self.find_version(request, object_id, number)
        require(request, self.permission_to_activate)
        if request.method != "POST":
            return self.ask_to_activate(request, document, version)
        try:
            type(self).activate_document(version, by=person(request))
        except DocumentError as error:
            self.message_user(request, f"v{number} cannot be read any more: {error}", messages.ERROR)
        except Problem as problem:
            self.message_user(request, problem.detail, messages.ERROR)
        else:
            self.message_user(request, f"{version} is in force.")
        return HttpResponseRedirect(self.page(document.pk))

    def ask_to_activate(self, request: HttpRequest, document: Any, version: Any) -> HttpResponse:
        if document.active:
            instead = f" instead of v{document.active.number}"
        else:
            instead = f"; {document.name} is {self.off_word_of(document)}"
        consequences = (
            f"v{version.number} comes into force from the next proposal on{instead}.",
            "Intents that were proposed before keep the version they were judged by.",
        )
        return self.confirm(request, document, Question(f"Bring {version} into force", consequences, "Activate"))

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

    def find_version(self, request: HttpRequest, object_id: str, number: int) -> tuple[Any, Any]:
        document = self.find(request, object_id)
        version = document.versions.select_related("created_by").filter(number=number).first()
        if version is None:
            raise Http404(f"{document.name} has no version {number}.")
        return document, version


def numbered(text: str) -> SafeString:
    """A text to read, each line with its number and an address: `#line-12`."""
    lines = text.removesuffix("\n").split("\n")
    told = format_html_join("", '<span class="zhr-l" id="line-{}">{}\n</span>', enumerate(map(visible, lines), start=1))
    return format_html('<pre class="zhr-code is-numbered">{}</pre>', told)


def _said_once(form: Any) -> dict[str, Any]:
    """The faults of a form for the box above it; the form itself says nothing, so that each fault stands once."""
    if not getattr(form, "errors", None):
        return {"faults": []}
    faults = [fault for name in form.errors for fault in form.errors[name]]
    form._errors = ErrorDict()
    if "text" in form.fields:
        form.fields["text"].widget.attrs |= {"aria-invalid": "true", "aria-describedby": "zhr-faults"}
    return {"faults": faults, "errors": None}
