"""Action types in the admin."""

from __future__ import annotations

import functools
from typing import Any

from django.contrib import admin
from unfold.decorators import display

from audit.text import visible
from intents import documents
from intents.document_admin import DocumentAdmin, DocumentForm
from intents.models import ActionType
from zehrava.policy.errors import DocumentError

EXAMPLE = """\
name: support.reply
title: Answer a customer
schema:
  type: object
  required: [ticket, body]
executor: noop
safe_to_repeat: true
"""


class ActionTypeForm(DocumentForm):
    parse = staticmethod(documents.parse_action_type)
    noun = "action type"

    class Meta(DocumentForm.Meta):
        model = ActionType


# The text of a version never changes, and reading it again for every row of every list would take long.
@functools.lru_cache(maxsize=256)
def _read(text: str) -> Any:
    try:
        return documents.parse_action_type(text)
    except DocumentError:
        return None


@admin.register(ActionType)
class ActionTypeAdmin(DocumentAdmin):
    form = ActionTypeForm
    list_display = ("name", "version_in_force", "title", "executor", "written_by", "written_at")
    example = EXAMPLE
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
        parsed = action_type.active and _read(action_type.active.text)
        return visible(parsed.title) if parsed and parsed.title else "-"

    @display(description="carried out by")
    def executor(self, action_type: ActionType) -> str:
        parsed = action_type.active and _read(action_type.active.text)
        return f"the portal: {parsed.executor}" if parsed and parsed.executor else "the agent"
