"""The intent as agents and people read it over the API (DESIGN section 6), for any number of them at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import prefetch_related_objects

from intents import masking, preapproval, steps
from intents.models import Amendment, Execution, ExecutionState, Intent, Status

# What is known of the decisions on these intents: by intent id, their list and where the requirement stands with them.
# The app that knows decisions provides it, since this one does not.
Decided = tuple[list[dict[str, Any]], dict[str, Any]]
DecisionsOf = Callable[[Sequence[Intent]], Mapping[str, Decided]]
# Where the requirement of an intent stands before anybody voted.
Untouched = Callable[[Intent], dict[str, Any]]


def _no_decisions(intents: Sequence[Intent]) -> Mapping[str, Decided]:
    return {}


def _none_received(intent: Intent) -> dict[str, Any]:
    return {"received": 0}


_decisions_of: DecisionsOf = _no_decisions
_untouched: Untouched = _none_received


def provide_decisions(provider: DecisionsOf, untouched: Untouched) -> None:
    """Register where decisions are read from, and what is said of a requirement before there are any."""
    global _decisions_of, _untouched
    _decisions_of, _untouched = provider, untouched


# What a requirement says to people only: who `could` still decide, by the groups that they would decide for.
PeopleFor = Callable[[Intent], Mapping[str, Any]]


def _nobody(intent: Intent) -> Mapping[str, Any]:
    return {"could": {}}


_people_for: PeopleFor = _nobody


def provide_people(provider: PeopleFor) -> None:
    """Register where those who can still decide are read from."""
    global _people_for
    _people_for = provider


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
    given = preapproval.shown_on(rows)
    return [
        _document(row, decisions.get(row.pk), executions.get(row.pk), proposals.get(row.pk), given.get(row.pk))
        | {"questions": questions.get(row.pk, [])}
        for row in rows
    ]


def represent_new(intent: Intent, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """An intent that was just admitted: nobody can have decided on it or claimed it.

    `given` is the standing approval that it passed on, if it did.
    """
    return _document(intent, None, None, None, given) | {"questions": []}


def represent_to_people(intents: Iterable[Intent]) -> list[dict[str, Any]]:
    """The same as people read it: what its action type marks sensitive is masked, at the places that `masked` names."""
    rows = list(intents)
    prefetch_related_objects(rows, "action_type_version")
    return [_as_read(intent, document) for intent, document in zip(rows, represent(rows), strict=True)]


def _as_read(intent: Intent, document: dict[str, Any]) -> dict[str, Any]:
    mask = masking.mask_of(intent)
    if not mask:
        return document
    read = {name: mask.document[name] for name in mask.document.keys() & document.keys() - {"id", "agent", "action"}}
    proposal, execution = document["proposal"], document["execution"]
    read["proposal"] = {**proposal, "payload": masking.another_payload(intent, proposal["payload"])}
    read["risk"] = {**document["risk"], "reasons": masking.risk_reasons(intent)}
    read["execution"] = execution and {**execution, "result": masking.said(intent, execution["result"])}
    read["decisions"] = [{**each, "changes": masking.patch(intent, each["changes"])} for each in document["decisions"]]
    # The keys in question and answer are the portal's, the agent's words its own.
    read["questions"] = [
        {**each, "answer": each["answer"] and {**each["answer"], "text": masking.said(intent, each["answer"]["text"])}}
        for each in document["questions"]
    ]
    return {**document, **read, "masked": list(mask.paths)}


def represent_to_person(intent: Intent) -> dict[str, Any]:
    """One intent as a person reads it, and by name who can still decide while it is pending."""
    document = represent_to_people([intent])[0]
    if intent.status == Status.PENDING_APPROVAL and document["requirement"] is not None:
        document["requirement"] |= _people_for(intent)
    return document


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
    decided: Decided | None,
    execution: Execution | None,
    proposal: dict[str, Any] | None,
    given: dict[str, Any] | None,
) -> dict[str, Any]:
    canonical = intent.document
    verdict = intent.verdict
    decisions, stands = decided or ([], _untouched(intent) if intent.requirement else {})
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
        "requirement": None if intent.requirement is None else {**intent.requirement, **_progress(intent), **stands},
        "decisions": decisions,
        "break_glass": _broken_by(decisions),
        "standing_approval": given,
        "execution": None if execution is None else _attempt(execution),
        # To its agent nothing is, see `represent_to_people`.
        "masked": [],
        "supersedes": intent.supersedes_id,
        "created_at": instant(intent.created_at),
        "expires_at": instant(intent.expires_at),
        "decided_at": instant(intent.decided_at),
    }


def _broken_by(decisions: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Who approved it beyond the requirement, why and when; null where nobody did."""
    for each in decisions:
        if each["break_glass"]:
            return {"by": each["reviewer"], "reason": each["rationale"], "at": each["at"]}
    return None


def _progress(intent: Intent) -> dict[str, Any]:
    """How far the escalation of what it asks came, and what happens next while nobody decides."""
    following = steps.next_of(intent)
    return {
        "steps_taken": intent.steps_taken,
        "escalated": steps.is_escalated(intent.requirement, intent.steps_taken, overtime=intent.overtime),
        "next_step": following and {"at": instant(following.at), "do": following.do, "to": list(following.to)},
    }


def _attempt(execution: Execution) -> dict[str, Any]:
    result = execution.result if execution.state != ExecutionState.RUNNING else None
    return {"id": execution.pk, "state": execution.state, "attempt": execution.attempt, "result": result}
