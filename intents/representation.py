"""The intent as agents and people read it over the API (DESIGN section 6), for any number of them at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from intents.models import Amendment, Execution, ExecutionState, Intent

# What is known of the decisions on these intents: by intent id, their list and how many seats are filled. The app that
# knows decisions provides it, since this one does not.
DecisionsOf = Callable[[Sequence[Intent]], Mapping[str, tuple[list[dict[str, Any]], int]]]


def _no_decisions(intents: Sequence[Intent]) -> Mapping[str, tuple[list[dict[str, Any]], int]]:
    return {}


_decisions_of: DecisionsOf = _no_decisions


def provide_decisions(provider: DecisionsOf) -> None:
    """Register where decisions are read from."""
    global _decisions_of
    _decisions_of = provider


QuestionsOf = Callable[[Sequence[Intent]], Mapping[str, list[dict[str, Any]]]]


def _no_questions(intents: Sequence[Intent]) -> Mapping[str, list[dict[str, Any]]]:
    return {}


_questions_of: QuestionsOf = _no_questions


def provide_questions(provider: QuestionsOf) -> None:
    """Register where people's questions to agents are read from."""
    global _questions_of
    _questions_of = provider


def represent(intents: Iterable[Intent]) -> list[dict[str, Any]]:
    """These intents in the API's form, in their order, with as many queries for a hundred as for one."""
    rows = list(intents)
    decisions = _decisions_of(rows)
    executions = _claimed_executions(rows)
    proposals = _proposals_of(rows)
    questions = _questions_of(rows)
    return [
        _document(row, *decisions.get(row.pk, ([], 0)), executions.get(row.pk), proposals.get(row.pk))
        | {"questions": questions.get(row.pk, [])}
        for row in rows
    ]


def represent_new(intent: Intent) -> dict[str, Any]:
    """An intent that was just admitted: nobody can have decided on it or claimed it."""
    return _document(intent, [], 0, None, None) | {"questions": []}


def represent_execution(execution: Execution) -> dict[str, Any]:
    """An execution as its claimant reads it."""
    return {
        "id": execution.pk,
        "state": execution.state,
        "attempt": execution.attempt,
        "lease_until": instant(execution.lease_until),
        "result": execution.result,
    }


def instant(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with microseconds, or null."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _claimed_executions(intents: Sequence[Intent]) -> dict[str, Execution]:
    """The last attempt of each that was claimed; one that only waits is not an attempt yet."""
    claimed = Execution.objects.filter(intent__in=intents, started_at__isnull=False).order_by("attempt")
    return {execution.intent_id: execution for execution in claimed}


def _proposals_of(intents: Sequence[Intent]) -> dict[str, dict[str, Any]]:
    """What the agent proposed, of those that were amended since."""
    amended = [intent.pk for intent in intents if intent.amendments]
    if not amended:
        return {}
    first = Amendment.objects.filter(intent__in=amended, number=1)
    return {
        amendment.intent_id: {
            "payload": json.loads(amendment.replaced)["payload"],
            "digest": amendment.replaced_digest,
        }
        for amendment in first
    }


def _document(
    intent: Intent,
    decisions: list[dict[str, Any]],
    received: int,
    execution: Execution | None,
    proposal: dict[str, Any] | None,
) -> dict[str, Any]:
    canonical = intent.document
    verdict = intent.verdict
    return {
        "id": intent.pk,
        "status": str(intent.status),
        "action": intent.action,
        "payload": canonical["payload"],
        "digest": intent.digest,
        "proposal": proposal or {"payload": canonical["payload"], "digest": intent.digest},
        "summary": canonical["summary"],
        "context": canonical["context"],
        "target": canonical["target"],
        "tags": canonical["tags"],
        "records": canonical["records"],
        "value": canonical["value"],
        "agent": {"id": intent.agent_id, "name": intent.agent_name},
        "on_behalf_of": canonical["on_behalf_of"],
        "execution_mode": canonical["execution_mode"],
        "risk": {"score": intent.risk_score, "level": str(intent.risk_level), "reasons": intent.risk_reasons},
        "verdict": {name: verdict[name] for name in ("effect", "policy", "version", "rule", "reason")},
        "requirement": None if intent.requirement is None else {**intent.requirement, "received": received},
        "decisions": decisions,
        "execution": None if execution is None else _attempt(execution),
        "supersedes": intent.supersedes_id,
        "created_at": instant(intent.created_at),
        "expires_at": instant(intent.expires_at),
        "decided_at": instant(intent.decided_at),
    }


def _attempt(execution: Execution) -> dict[str, Any]:
    result = execution.result if execution.state != ExecutionState.RUNNING else None
    return {"id": execution.pk, "state": execution.state, "attempt": execution.attempt, "result": result}
