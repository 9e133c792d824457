"""Whether what is stored is still what happened (promise 2), asked before anybody decides and before anything runs.

The columns of an intent could be changed by anyone who can write to the database. The ledger refuses that, so what it
says of the intent last is what the row has to agree with: its status, the digests of all that was decided about, its
owner and its deadline.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from audit.canonical_rows import instant
from audit.comparing import BATCH, Finding
from audit.models import Event
from intents import steps
from intents.models import ActionTypeVersion, Amendment, Execution, Intent, PolicyVersion
from zehrava import canonical

STARTED = "execution.started"
_PROGRESS = ("steps_taken", "overtime", "unmeetable")


def digest_of(document: Any) -> str:
    """The digest that binds a verdict or a requirement: over its RFC 8785 bytes."""
    return canonical.digest(canonical.dumps(document))


def text_is_intact(intent: Intent) -> bool:
    """Whether the stored canonical text still has the intent's digest."""
    return canonical.digest(intent.canonical.encode()) == intent.digest


def differences(intent: Intent, execution: Execution | None = None) -> list[str]:
    """What is stored differently from what the ledger says, as words for an alert; empty where all agrees.

    `execution` is the attempt that is about to run, where its row exists already.
    """
    return list(_differences(intent, execution))


def contents_unlike_their_digests() -> Iterator[Finding]:
    """For `audit_check`: contents of intents and documents that no longer have the digest the history covers."""
    for intent in Intent.objects.order_by("pk").iterator(chunk_size=BATCH):
        for name in _within_the_row(intent):
            yield Finding(Intent._meta.db_table, intent.pk, f"the {name} is not what its digest covers")
    for amendment in Amendment.objects.order_by("pk").iterator(chunk_size=BATCH):
        if canonical.digest(amendment.replaced.encode()) != amendment.replaced_digest:
            yield Finding(Amendment._meta.db_table, str(amendment.pk), "the text is not what its digest covers")
    for model in (PolicyVersion, ActionTypeVersion):
        for version in model.objects.order_by("pk").iterator(chunk_size=BATCH):
            if canonical.digest(version.text.encode()) != version.digest:
                yield Finding(model._meta.db_table, str(version.pk), "the text is not what its digest covers")


def _differences(intent: Intent, execution: Execution | None) -> Iterator[str]:
    within = list(_within_the_row(intent))
    yield from within
    if "canonical text" in within:
        return
    last, started = _in_the_ledger(intent)
    yield from _unlike(last, intent)
    if execution is not None:
        if execution.digest != intent.digest:
            yield "execution's digest"
        if execution.attempt in started:
            yield "an attempt that was started before"


def _within_the_row(intent: Intent) -> Iterator[str]:
    if not text_is_intact(intent):
        # Nothing that could be read out of it means anything now.
        yield "canonical text"
        return
    if digest_of(intent.verdict) != intent.verdict_digest:
        yield "verdict"
    if digest_of(intent.requirement) != intent.requirement_digest:
        yield "requirement"
    yield from _columns_beside_the_text(intent)


def _columns_beside_the_text(intent: Intent) -> Iterator[str]:
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


def progress(intent: Intent) -> dict[str, Any]:
    """How far its escalation came, as the ledger is told: what never began is not named.

    Of what escalates, also when it was asked: its steps and the time of those who are asked last are counted from then.
    """
    columns = {name: getattr(intent, name) for name in _PROGRESS}
    asked_at = {"created_at": instant(intent.created_at)} if steps.later_groups(intent.requirement) else {}
    return {**{name: value for name, value in columns.items() if value}, **asked_at}


def _unlike(last: dict[str, Any] | None, intent: Intent) -> Iterator[str]:
    """Where the row says something else than the last event of the intent."""
    if last is None:
        yield "intent missing from the ledger"
        return
    row = {
        "status": str(intent.status),
        "digest": intent.digest,
        "verdict_digest": intent.verdict_digest,
        "requirement_digest": intent.requirement_digest,
        "action_type_version": intent.action_type_version_id,
        "action_type_digest": intent.action_type_digest,
        "owner": intent.owner_id,
        "expires_at": instant(intent.expires_at),
    }
    for name, value in row.items():
        if last.get(name) != value:
            yield f"{name} in the ledger"
    if last.get("key_maker") != intent.key_maker_id:
        yield "key's maker in the ledger"
    # Events of what was never amended do not name these.
    if (last.get("amendments", 0), last.get("widened_by", [])) != (intent.amendments, intent.widened_by):
        yield "amendments in the ledger"
    told = {name: last[name] for name in (*_PROGRESS, "created_at") if last.get(name)}
    # Events from before steps were taken do not say when it was asked.
    if told != {name: value for name, value in progress(intent).items() if name != "created_at" or name in told}:
        yield "escalation in the ledger"


def _in_the_ledger(intent: Intent) -> tuple[dict[str, Any] | None, set[int]]:
    """The facts of the last event of this intent, and the attempts that were started; one query."""
    events = Event.objects.filter(intent_id=intent.pk).order_by("id").values_list("type", "line")
    last, started = None, set()
    for kind, line in events:
        if kind.startswith("intent."):
            last = json.loads(line)["facts"]
        elif kind == STARTED:
            started.add(json.loads(line)["facts"]["attempt"])
    return last, started
