"""System checks: what must hold before evidence can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections

from audit.immutability import weaknesses


@register(Tags.database)
def append_only_tables_are_protected(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Every event and history table of the running database has our triggers, and nobody else's."""
    return [
        Error(
            f"{weakness.table} is not protected as it should be: {weakness.reason}.",
            hint="Find out who did it. `manage.py migrate --skip-checks` puts Zehrava's own triggers back; what is not "
            "Zehrava's has to be dropped by hand.",
            obj=alias,
            id="audit.E001",
        )
        for alias in databases or ()
        for weakness in weaknesses(connections[alias])
    ]


@register()
def history_cannot_be_reverted(**kwargs: Any) -> list[CheckMessage]:
    """simple-history's admin offers to write an old row back, past every function that guards a change."""
    if getattr(settings, "SIMPLE_HISTORY_REVERT_DISABLED", False):
        return []
    return [Error("SIMPLE_HISTORY_REVERT_DISABLED must be True.", id="audit.E002")]
