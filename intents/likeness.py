"""Which pending intents are alike, so that a desk can show many of them as one thing to decide about.

Alike are intents of one agent with the same action, stopped by the same rule at the same risk, that ask for the same
people and whose payloads have the same members of the same kinds. What the members hold may differ: that is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from intents.models import Intent
from zehrava import canonical

# What is larger is looked at by itself: its differences would fit in no table.
LONGEST = 8_000
MOST_MEMBERS = 200


def likeness(intent: Intent) -> str:
    """The same text for intents that are alike; the intent's own id for one that is like no other."""
    if len(intent.canonical) > LONGEST:
        return intent.pk
    document, verdict = intent.document, intent.verdict
    shape = list(_shape(document["payload"], ()))
    if len(shape) > MOST_MEMBERS:
        return intent.pk
    same = {
        "agent": intent.agent_id,
        "owner": str(intent.owner_id),
        "action": intent.action,
        "type": str(intent.action_type_version_id),
        "mode": str(intent.execution_mode),
        "rule": [verdict["policy"], str(verdict["version"]), verdict["rule"]],
        "requirement": intent.requirement_digest,
        "risk": str(intent.risk_level),
        "currency": intent.value_currency,
        "for": document["on_behalf_of"],
        # Policy may go by them, and no table shows them.
        "tags": sorted(document["tags"]),
        "shape": shape,
    }
    return canonical.digest(canonical.dumps(same))


def _shape(value: Any, path: tuple[str, ...]) -> Iterator[list[str]]:
    """Each member's path and kind, in an order of their own; the members of a list count by their kinds."""
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _shape(value[key], (*path, key))
    elif isinstance(value, list):
        kinds = {tuple(one) for member in value for one in _shape(member, (*path, "[]"))}
        yield from (list(one) for one in sorted(kinds))
    else:
        yield [*path, _kind(value)]


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return ":text"
    return ":truth" if isinstance(value, bool) else ":nothing" if value is None else ":number"
