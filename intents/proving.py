"""Comparing what a version of a policy would have said with the verdict that an intent got."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from audit import clock
from intents.judging import Judgement
from intents.models import Change

_CHANGED_TO = {"allow": Change.ALLOWED, "block": Change.BLOCKED, "require_approval": Change.ASKED}


def change(verdict: Mapping[str, Any], requirement: Any, then: Judgement, asked: Any) -> Change:
    """How `then`, with what it would have `asked` for, stands to the verdict and requirement that the intent got."""
    effect = then.verdict["effect"]
    if effect != verdict["effect"]:
        return _CHANGED_TO[effect]
    if effect == "require_approval" and asked != requirement:
        return Change.PEOPLE
    return Change.SAME


def said_by(verdict: Mapping[str, Any]) -> str:
    """ "policy/rule" of what decided; empty where no policy matched."""
    if verdict["policy"] is None:
        return ""
    return f"{verdict['policy']}/{verdict['rule'] or '-'}"[:300]


def concerns(policy: str, *judgements: Judgement) -> bool:
    """Whether the policy of that name covered the intent in any of these judgements."""
    return any(name == policy for judged in judgements for name, _ in judged.consulted)


def drop_old(rows: QuerySet, at: str, *, batch: int) -> int:
    """Delete the rows, among the first `batch` by key, whose time is longer ago than measurements are kept.

    Rows are written in the order of time, so that what is old comes first.
    """
    before = clock.now() - timedelta(seconds=settings.ZEHRAVA_PROVING_KEPT)
    first = rows.order_by("pk").values_list("pk", at)[:batch]
    old = [key for key, then in first if then < before]
    return rows.filter(pk__in=old).delete()[0] if old else 0
