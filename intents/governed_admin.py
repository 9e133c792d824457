"""What the admin pages of governed things have in common: nothing acts on GET, nothing is deleted or reverted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from simple_history.admin import SimpleHistoryAdmin
from simple_history.models import ModelChange
from simple_history.template_utils import HistoricalRecordContextHelper
from unfold.admin import ModelAdmin

from audit.actors import Actor
from audit.text import visible
from zehrava.problems import Problem


@dataclass(frozen=True)
class Question:
    """What a confirmation page asks before something is done."""

    title: str
    consequences: tuple[str, ...]
    button: str
    danger: bool = False
    cancel: str = "Leave it as it is"
    # What to ask for a reason, where one is needed.
    reason: str = ""


class HistoryInWords(HistoricalRecordContextHelper):
    """What changed in a row of history, where nothing is called nothing."""

    def prepare_delta_change_value(self, change: ModelChange, value: Any) -> Any:
        # To simple-history, a key that was empty is an object that was deleted.
        empty = value is None or (hasattr(value, "model") and getattr(value, "pk", value) is None)
        return "none" if empty else super().prepare_delta_change_value(change, value)


class GovernedAdmin(SimpleHistoryAdmin, ModelAdmin):
    """A ModelAdmin for things with history. Actions are pages of their own: GET asks, POST acts."""

    list_per_page = 25
    show_full_result_count = False
    actions = None
    save_on_top = False
    # What an empty list says, and what to do next.
    nothing_yet = ""
    confirm_template = "admin/intents/agent/confirm.html"

    class Media:
        css = {"all": ("zehrava/registry.css",)}
        js = ("zehrava/registry.js",)

    # (the end of the address, the name of the method that answers there)
    object_pages: tuple[tuple[str, str], ...] = ()

    def get_urls(self) -> list[URLPattern]:
        opts = self.model._meta
        own = [
            path(
                f"<str:object_id>/{ending}/",
                self.admin_site.admin_view(getattr(self, method)),
                name=f"{opts.app_label}_{opts.model_name}_{method}",
            )
            for ending, method in self.object_pages
        ]
        return own + super().get_urls()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def history_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        # What can be no key at all is an error to simple-history, and simply not there to `find`.
        self.find(request, object_id)
        return super().history_view(request, object_id, *args, **kwargs)

    def get_historical_record_context_helper(self, request: HttpRequest, historical_record: Any) -> Any:
        return HistoryInWords(self.model, historical_record)

    def history_form_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Where simple-history shows an old row as a form, and saves what is posted to it, whoever posts it."""
        if request.method not in {"GET", "HEAD"}:
            raise PermissionDenied("History is read-only.")
        return HttpResponseRedirect(self.page(object_id, "history"))

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except Problem as problem:
            # The form has checked all of this: only somebody who was quicker makes it fail here.
            self.message_user(request, problem.detail, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def page(self, object_id: str, page: str = "change", *args: Any) -> str:
        """The address of one of an object's pages."""
        opts = self.model._meta
        return reverse(f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_{page}", args=(object_id, *args))

    def find(self, request: HttpRequest, object_id: str) -> Any:
        """The object of that page for a person who may see it; 404 or 403 otherwise."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404(f"There is no {self.model._meta.verbose_name} {object_id}.")
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        return obj

    def show(self, request: HttpRequest, template: str, obj: Any, **context: Any) -> TemplateResponse:
        """A page about one object in the admin's frame."""
        return TemplateResponse(
            request,
            template,
            {
                **self.admin_site.each_context(request),
                "opts": self.model._meta,
                "original": obj,
                "object": obj,
                "media": self.media,
                "back": self.page(obj.pk),
                **context,
            },
        )

    def confirm(
        self, request: HttpRequest, obj: Any, question: Question, *, problem: Problem | None = None, typed: str = ""
    ) -> TemplateResponse:
        """Ask before acting; the form on the page posts to the same address. `problem` is why it was not done."""
        context = {"title": question.title, "question": question, "problem": problem, "typed": typed}
        response = self.show(request, self.confirm_template, obj, **context)
        response.status_code = problem.status if problem else 200
        return response


def require(request: HttpRequest, *permissions: str) -> None:
    """Go on only for a person who has all of these. Raises PermissionDenied."""
    if not request.user.has_perms(permissions):
        raise PermissionDenied


def person(request: HttpRequest) -> Actor:
    """The signed-in person as the ledger names them."""
    return Actor.person(request.user)


def link_to(name: str, object_id: str, text: str) -> SafeString:
    """A link into the admin, or the text alone where there is no such page."""
    try:
        return format_html(
            '<a class="zhr-link" href="{}">{}</a>', reverse(f"admin:{name}", args=(object_id,)), visible(text)
        )
    except NoReverseMatch:
        return visible(text)
