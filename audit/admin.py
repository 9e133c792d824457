"""What auditors see: events, the history of every governed model, and exports. Nothing here can be changed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action

from audit import canonical_rows, looking
from audit.admin_export import export_page
from audit.admin_filters import EXPORT_FILTERS
from audit.admin_readonly import ReadOnlyAdmin, RowsTogether
from audit.history import history_models, noun
from audit.models import Content, Event, ExportRun, SigningKey
from audit.permissions import may_export
from audit.subjects import names_of, said_by_vote
from audit.text import visible, visible_lines

_NOTHING = "–"
_KIND_OF_CHANGE = {"+": "created", "~": "changed", "-": "deleted"}


class EvidenceAdmin(ReadOnlyAdmin, ModelAdmin):
    """The common part: read-only, the exports' filters, exact times."""

    list_filter: Sequence[Any] = EXPORT_FILTERS
    list_filter_submit = True
    actions_list = ["export"]

    class Media:
        css = {"all": ["audit/text.css"]}

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Rows with exactly this id. Django's own search ignores case, and with it every index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q()
        for name in self.get_search_fields(request):
            with contextlib.suppress(ValidationError, ValueError):
                wanted |= Q(**{name: self.model._meta.get_field(name).to_python(term)})
        return queryset.filter(wanted), False

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        # Evidence is never changed in the admin: behind Django's own button History there would be nothing.
        context["show_history"] = False
        return super().render_change_form(request, context, **kwargs)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return may_export(request.user)

    @action(description="Export", url_path="export-page", permissions=["export"])
    def export(self, request: HttpRequest) -> HttpResponseRedirect:
        """Only leads to the page where the export is asked for."""
        return HttpResponseRedirect(reverse("admin:audit_export"))


@admin.register(Event)
class EventAdmin(RowsTogether, EvidenceAdmin):
    list_display = ["time", "shown_type", "actor", "subject", "agent", "shown_action"]
    list_display_links = ["time"]
    search_fields = ["id", "subject_id", "intent_id"]
    search_help_text = "An exact id: of an event, its subject or an intent"
    fields = [
        "time",
        "meaning",
        "actor",
        "subject",
        "agent",
        "shown_action",
        "intent",
        "shown_request",
        "shown_content",
    ]
    fields += ["history_row", "shown_line"]
    readonly_fields = fields

    nothing_yet = "Each change of anything governed is recorded here, in the transaction that makes it."

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).filter(looking.events_for(request.user))

    def read_together(self, rows: list[Any]) -> None:
        names = names_of((event.subject_type, event.subject_id) for event in rows)
        for event in rows:
            event.subject_name = names.get((event.subject_type, event.subject_id), "")

    def get_urls(self) -> list[URLPattern]:
        page = path("export/", self.admin_site.admin_view(export_page), name="audit_export")
        return [page, *super().get_urls()]

    @admin.display(description="Time", ordering="id")
    def time(self, event: Event) -> SafeString:
        return _instant(event.at)

    @admin.display(description="What")
    def meaning(self, event: Event) -> SafeString:
        from audit.ledger import EVENTS

        meaning = EVENTS.get(event.type, "a type of an earlier version.")
        return format_html("{}: {} {}", event.type, meaning, said_by_vote(event))

    @admin.display(description="Type", ordering="type")
    def shown_type(self, event: Event) -> SafeString:
        return format_html("{} {}", event.type, said_by_vote(event))

    @admin.display(description="Actor")
    def actor(self, event: Event) -> SafeString:
        return _actor(event)

    @admin.display(description="Subject")
    def subject(self, event: Event) -> SafeString:
        subject = (event.subject_type, event.subject_id)
        name = getattr(event, "subject_name", None)
        return _subject_link(*subject, name=names_of([subject]).get(subject, "") if name is None else name)

    @admin.display(description="Agent")
    def agent(self, event: Event) -> SafeString | str:
        return visible(event.agent_name or event.agent_id) if event.agent_id or event.agent_name else _NOTHING

    @admin.display(description="Action")
    def shown_action(self, event: Event) -> SafeString | str:
        return visible(event.action) if event.action else _NOTHING

    @admin.display(description="Intent")
    def intent(self, event: Event) -> SafeString | str:
        url = f"{reverse('admin:audit_event_changelist')}?intent="
        return format_html('<a href="{}{}">{}</a>', url, event.intent_id, event.intent_id) if event.intent_id else "–"

    @admin.display(description="Request")
    def shown_request(self, event: Event) -> SafeString | str:
        return visible(event.request_id) if event.request_id else _NOTHING

    @admin.display(description="Line, laid out")
    def shown_line(self, event: Event) -> SafeString:
        return _laid_out(event.line)

    @admin.display(description="Content")
    def shown_content(self, event: Event) -> SafeString | str:
        content = Content.objects.filter(pk=event.pk).first()
        if content and content.sensitive:
            return "Withheld: it holds what its action type marks sensitive. The page of its intent reveals that."
        if content:
            return _laid_out(content.body)
        return "Erased; the event still commits to it." if _parsed(event.line).get("content") else "None was recorded."

    @admin.display(description="History row")
    def history_row(self, event: Event) -> SafeString | str:
        history = _parsed(event.line).get("history")
        if not history:
            return "None: no governed row changed."
        model = {model._meta.db_table: model for model in history_models()}.get(history["table"])
        return _link(model, history["id"]) if model else visible(f"{history['table']} {history['id']}")


@admin.register(ExportRun)
class ExportRunAdmin(EvidenceAdmin):
    list_display = ["time", "shown_by", "dataset", "format", "door", "rows", "state"]
    list_display_links = ["time"]
    list_filter = ["door", "format"]
    nothing_yet = "Export events or history on the page Export; who took what is listed here."
    fields = ["time", "shown_by", "dataset", "format", "door", "shown_filters", "state", "rows", "bytes", "sha256"]
    readonly_fields = fields

    @admin.display(description="Time", ordering="id")
    def time(self, run: ExportRun) -> SafeString:
        return _instant(run.started_at)

    @admin.display(description="Who")
    def shown_by(self, run: ExportRun) -> SafeString:
        return visible(run.exported_by)

    @admin.display(description="Filters")
    def shown_filters(self, run: ExportRun) -> SafeString:
        return _laid_out(json.dumps(run.filters))

    @admin.display(description="State")
    def state(self, run: ExportRun) -> str:
        return run.state


@admin.register(SigningKey)
class SigningKeyAdmin(EvidenceAdmin):
    """The public keys by which what this portal signed is verified, the one that signs now first."""

    list_display = ["kid", "made", "state"]
    list_filter = []
    search_fields = ["kid"]
    search_help_text = "The exact id of a key"
    nothing_yet = "`manage.py bootstrap` makes the first key; what signs now and what signed before is listed here."
    fields = ["kid", "made", "state", "x"]
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) or request.user.has_perm("audit.view_event")

    @admin.display(description="Made", ordering="number")
    def made(self, key: SigningKey) -> SafeString:
        return _instant(key.created_at)

    @admin.display(description="State")
    def state(self, key: SigningKey) -> SafeString | str:
        successor = SigningKey.objects.filter(number=key.number + 1).first()
        return "signs" if successor is None else format_html("retired {}", _instant(successor.created_at))


class HistoryRowAdmin(EvidenceAdmin):
    """One governed model's history rows; registered for each of them below."""

    list_display = ["time", "change", "row", "actor"]
    list_display_links = ["time"]
    search_fields = ["history_id"]
    search_help_text = "The exact id of an event or of a row"
    nothing_yet = "Each change of such a row is kept here as the row was after it."
    fields = ["time", "change", "row", "actor", "event", "columns"]
    readonly_fields = fields

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        key = self.model.instance_type._meta.pk
        return [*self.search_fields, key.attname]

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) or request.user.has_perm("audit.view_event")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).filter(looking.history_for(request.user))

    @admin.display(description="Time", ordering="history_id")
    def time(self, row: Any) -> SafeString:
        return _instant(row.history_date)

    @admin.display(description="Change")
    def change(self, row: Any) -> str:
        return _KIND_OF_CHANGE.get(row.history_type, row.history_type)

    @admin.display(description="Row")
    def row(self, row: Any) -> SafeString:
        subject = row.instance_type
        name = getattr(row, "name", "") or getattr(row, "username", "")
        return _subject_link(subject._meta.label_lower, str(getattr(row, subject._meta.pk.attname)), name=name)

    @admin.display(description="Actor")
    def actor(self, row: Any) -> SafeString:
        return _actor(row)

    @admin.display(description="Event")
    def event(self, row: Any) -> SafeString:
        return _link(Event, row.event_id)

    @admin.display(description="Columns")
    def columns(self, row: Any) -> SafeString:
        values = canonical_rows.as_object(row)
        lines = (
            (column.name, _shown(values[column.name]) if column.name in values else "null")
            for column in canonical_rows.columns(self.model)
        )
        return format_html(
            '<dl class="zhv-lines">{}</dl>', format_html_join("", "<dt><b>{}</b></dt><dd>{}</dd>", lines)
        )


def _register_history() -> None:
    # The admin looks for this module once all models are loaded, so that every governed model is found.
    for model in history_models():
        if not admin.site.is_registered(model):
            tracked = model.instance_type  # type: ignore[attr-defined]
            members = {"__module__": __name__, "__doc__": f"History of {noun(tracked)}."}
            admin.site.register(model, type(f"{model.__name__}Admin", (HistoryRowAdmin,), members))


# --- pieces of a page ----------------------------------------------------------------------------------------------


def _instant(at: datetime) -> SafeString:
    return format_html('<span class="zhv-nowrap">{}</span>', date_format(at.astimezone(UTC), "j M Y, H:i:s T"))


def _actor(row: Any) -> SafeString:
    return format_html("{} ({})", visible(row.actor_name), row.actor_kind)


def _subject_link(label: str, key: str, *, name: str = "") -> SafeString:
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return visible(f"{label} {key}")
    return format_html("{} {}", model._meta.verbose_name, _link(model, key, name))


def _link(model: type[Model], key: str, name: str = "") -> SafeString:
    """A link to a row's page where the admin has one; else its name or key."""
    words = visible(name or key)
    if not admin.site.is_registered(model):
        return words
    try:
        url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[key])
    except NoReverseMatch:
        return words
    return format_html('<a href="{}">{}</a>', url, words)


def _parsed(line: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError:
        return {}


def _laid_out(text: str) -> SafeString:
    with contextlib.suppress(ValueError):
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return format_html('<code class="zhv-lines">{}</code>', visible_lines(text))


def _shown(value: Any) -> SafeString:
    return visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


_register_history()
