"""What an imported document says about an intent."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from zehrava.policy import PolicySet, Verdict, parse_policy
from zehrava.policy.importers import Imported

NOW = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)
AGENT = {"id": "agt_1", "name": "worker", "owner": "ada", "environment": "production", "tier": "standard", "labels": {}}

Importer = Callable[[str, str], Imported]


def verdict(made: Imported, *, used: int = 0, agent: Mapping[str, Any] | None = None, **intent: Any) -> Verdict:
    """The verdict of the imported policy alone, with so many uses of every limit."""
    policy = parse_policy(made.document)
    usage = dict.fromkeys(policy.limit_names, used)
    whole = {"action": "a.b", "payload": {}, "usage": usage, "now": NOW, **intent}
    return PolicySet([policy]).evaluate(**whole, agent={**AGENT, **(agent or {})})


def said(made: Imported, **intent: Any) -> tuple[str, str | None]:
    """Effect and rule."""
    decided = verdict(made, **intent)
    return decided.effect, decided.rule


def reasons(remarks: Any) -> list[tuple[str, str]]:
    """Paths and sentences."""
    return [(remark.path, remark.reason) for remark in remarks]
