"""Whether what is stored is still what was approved (promise 2), asked just before anything runs.

The columns of an intent could be changed by anyone who can write to the database. The ledger refuses that, so the
digests written there with the approval are what the row has to agree with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from audit.models import Event
from intents.models import Execution, Intent, Status
from zehrava import canonical

APPROVALS = ("intent.proposed", "intent.approved")


def digest_of(document: Any) -> str:
    """The digest that binds a verdict or a requirement: over its RFC 8785 bytes."""
    return canonical.digest(canonical.dumps(document))


def text_is_intact(intent: Intent) -> bool:
    """Whether the stored canonical text still has the intent's digest."""
    return canonical.digest(intent.canonical.encode()) == intent.digest


def differences(intent: Intent, execution: Execution | None = None) -> list[str]:
    """What is stored differently from what was approved, as words for an alert; empty where all agrees."""
    return list(_differences(intent, execution))


def _differences(intent: Intent, execution: Execution | None) -> Iterator[str]:
    if not text_is_intact(intent):
        # Nothing that could be read out of it means anything now.
        yield "canonical text"
        return
    if execution is not None and execution.digest != intent.digest:
        yield "execution's digest"
    if digest_of(intent.verdict) != intent.verdict_digest:
        yield "verdict"
    if digest_of(intent.requirement) != intent.requirement_digest:
        yield "requirement"
    document = intent.document
    columns = {
        "id": intent.id,
        "agent": intent.agent_id,
        "action": intent.action,
        "target": intent.target,
        "records": intent.records,
        "execution_mode": intent.execution_mode,
    }
    for name, value in columns.items():
        if document[name] != value:
            yield name
    approval = _approval(intent)
    if approval is None:
        yield "approval missing from the ledger"
        return
    bound = {
        "digest": intent.digest,
        "verdict_digest": intent.verdict_digest,
        "requirement_digest": intent.requirement_digest,
        "action_type_version": intent.action_type_version_id,
    }
    for name, value in bound.items():
        if approval.get(name) != value:
            yield f"{name} in the ledger"


def _approval(intent: Intent) -> dict[str, Any] | None:
    """The facts of the event that made the intent runnable."""
    events = (
        Event.objects.filter(intent_id=intent.pk, type__in=APPROVALS).order_by("-id").values_list("line", flat=True)
    )
    for line in events:
        facts = json.loads(line)["facts"]
        if facts.get("status") == Status.APPROVED:
            return facts
    return None
