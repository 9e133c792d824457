"""The admin's export page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from audit import exports, filters
from audit.actors import Actor
from audit.models import Door, ExportRun
from audit.permissions import may_export
from zehrava.problems import Problem

_SHOWN_RUNS = 10
_LABELS = {
    "from": ("From", "UTC, inclusive. Leave empty for the beginning."),
    "to": ("To", "UTC, exclusive. Leave empty for everything up to now."),
    "agent": ("Agent", "Its id, or the name it had then."),
    "action": ("Action", "Exactly, such as stripe.refund."),
    "reviewer": ("Reviewer", "User name or id: only what that person did."),
    "type": ("Event type", "Exactly, such as intent.approved."),
    "intent": ("Intent", "Its id: int_…"),
}


class ExportForm(forms.Form):
    """What to export, in which format. The filters are read by `Filters.parse`, which also judges them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["dataset"] = forms.ChoiceField(
            label="What",
            choices=[(dataset.name, dataset.title) for dataset in exports.datasets().values()],
            widget=UnfoldAdminSelectWidget,
        )
        self.fields["format"] = forms.ChoiceField(
            label="Format",
            choices=[("ndjson", "NDJSON: exact, for programs and verification"), ("csv", "CSV: for spreadsheets")],
            widget=UnfoldAdminSelectWidget,
        )
        for name in filters.PARAMETERS:
            label, help_text = _LABELS[name]
            attrs = {"type": "datetime-local", "step": 1} if name in ("from", "to") else {}
            self.fields[name] = forms.CharField(
                label=label, help_text=help_text, required=False, widget=UnfoldAdminTextInputWidget(attrs=attrs)
            )

    def chosen_filters(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in filters.PARAMETERS}

    def blame(self, problem: Problem) -> None:
        """Show a problem at the field it names."""
        name = (problem.path or "").removeprefix("/")
        self.add_error(name if name in self.fields else None, problem.detail)


def export_page(request: HttpRequest) -> HttpResponseBase:
    """The form; a POST sends the file. Sending writes down who took what, so it is never a GET."""
    if not may_export(request.user):
        raise PermissionDenied("Exports are for auditors: people who may view and export events.")
    form = ExportForm(request.POST) if request.method == "POST" else ExportForm(initial=request.GET.dict())
    if form.is_bound and form.is_valid():
        try:
            return _download(request, form)
        except Problem as problem:
            form.blame(problem)
    return _page(request, form)


def _download(request: HttpRequest, form: ExportForm) -> StreamingHttpResponse:
    export = exports.begin(
        form.cleaned_data["dataset"],
        form.cleaned_data["format"],
        form.chosen_filters(),
        by=Actor.person(request.user),
        door=Door.ADMIN,
    )
    return exports.response(export)


def _page(request: HttpRequest, form: ExportForm) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "Export",
        "form": form,
        "what": [form["dataset"], form["format"]],
        "filters": [form[name] for name in filters.PARAMETERS],
        "runs": ExportRun.objects.all()[:_SHOWN_RUNS],
    }
    return TemplateResponse(request, "admin/audit/export.html", context, status=422 if form.errors else 200)
