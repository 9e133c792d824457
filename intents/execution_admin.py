"""Executions in the admin: what was attempted and what came of it, to read only."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from audit.admin_readonly import ReadOnlyAdmin, RowsTogether
from audit.text import visible
from intents import masking
from intents.governed_admin import GovernedAdmin, link_to
from intents.marks import marks_of
from intents.models import Execution
from intents.readable_admin import OfReadableIntents

STATE_COLOURS = {
    "Waiting to be claimed": "info",
    "Running": "info",
    "Succeeded": "success",
    "Failed": "danger",
    "Not known": "warning",
}


@admin.register(Execution)
class ExecutionAdmin(OfReadableIntents, RowsTogether, ReadOnlyAdmin, GovernedAdmin):
    list_display = (
        "id",
        "intent_link",
        "agent_name",
        "attempt",
        "shown_mode",
        "shown_state",
        "started_at",
        "finished_at",
    )
    list_filter = ("state", "mode")
    list_select_related = ("intent__action_type_version",)
    search_fields = ("id", "intent__id")
    search_help_text = "Id of the execution or of its intent"
    nothing_yet = "Each attempt to carry out an approved intent is listed here, with its outcome."
    fields = (
        "id",
        "intent_link",
        "agent_name",
        "attempt",
        "shown_mode",
        "shown_state",
        "shown_digest",
        "created_at",
        "sent_at",
        "started_at",
        "lease_until",
        "finished_at",
        "shown_result",
    )

    def read_together(self, rows: list[Any]) -> None:
        marks = marks_of(execution.intent_id for execution in rows)
        for execution in rows:
            execution.marks = marks

    @display(description="intent", ordering="intent_id")
    def intent_link(self, execution: Execution) -> SafeString:
        marks = getattr(execution, "marks", None)
        if marks is None:
            marks = marks_of([execution.intent_id])
        link = link_to("intents_intent_change", execution.intent_id, execution.intent.action)
        return format_html("{} {}", link, marks.get(execution.intent_id, ""))

    @display(description="agent")
    def agent_name(self, execution: Execution) -> str:
        return execution.intent.agent_name

    @display(description="digest")
    def shown_digest(self, execution: Execution) -> SafeString:
        return format_html('<code class="zhr-digest">{}</code>', execution.digest)

    @display(description="carried out by", ordering="mode")
    def shown_mode(self, execution: Execution) -> str:
        return "the portal" if execution.mode == "portal" else "the agent"

    @display(description="state", label=STATE_COLOURS, ordering="state")
    def shown_state(self, execution: Execution) -> str:
        return execution.get_state_display()

    @display(description="result")
    def shown_result(self, execution: Execution) -> SafeString | str:
        if execution.result is None:
            return "-"
        text = json.dumps(masking.said(execution.intent, execution.result), indent=2, ensure_ascii=False)
        return format_html('<pre class="zhr-code">{}</pre>', visible(text))
