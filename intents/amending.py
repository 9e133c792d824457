"""Approving with changes: the payload that a reviewer made of the proposed one, judged as if it had been proposed.

The proposal is not touched: it stays word for word in the first amendment. What the changed payload asks for is never
less than what the proposal did, and whether it stays within the proposal is for the action type to say, see
`zehrava.narrowing`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import jsonpatch
import jsonpointer
from django.contrib.auth.models import User

from audit import clock
from audit.actors import Actor
from intents import in_force, judging, lifecycle, limits
from intents.cases import Case, case_of
from intents.drafting import draft
from intents.in_force import Snapshot
from intents.judging import Judgement
from intents.models import Amendment, Intent
from intents.proposals import Proposal, as_decimal
from zehrava import canonical, narrowing
from zehrava.action_types import ActionType
from zehrava.policy import BLOCK
from zehrava.policy.limits import Use
from zehrava.problems import Problem

PATH = "/changes"
MOST_OPERATIONS = 1_000
# Members of both payloads together, up to which the smallest patch between them is looked for.
MOST_COMPARED = 2_000


@dataclass(frozen=True, slots=True)
class Change:
    """What a change would make of an intent.

    `amended` is the row as it would become, `patch` the RFC 6902 operations on the payload as it is, and `widenings`
    say where it may reach further than what the agent proposed; empty where it stays within that.
    """

    amended: Intent
    patch: list[dict[str, Any]]
    widenings: list[str]

    @property
    def widens(self) -> bool:
        return bool(self.widenings)


def patch_between(payload: Any, changed: Any) -> list[dict[str, Any]]:
    """The RFC 6902 operations that make `changed` of `payload`; none where they are the same JSON."""
    if canonical.dumps(payload) == canonical.dumps(changed):
        return []
    if _members(payload) + _members(changed) > MOST_COMPARED:
        # The library takes the product of the lengths of lists: of much, the whole is replaced.
        return _replaced(payload, changed)
    made = jsonpatch.make_patch(payload, changed).patch
    if not 0 < len(made) <= MOST_OPERATIONS:
        return _replaced(payload, changed)
    # The library compares as Python does, to which true is 1: then the whole is replaced.
    if canonical.dumps(jsonpatch.apply_patch(copy.deepcopy(payload), made)) == canonical.dumps(changed):
        return made
    return _replaced(payload, changed)


def _replaced(payload: Any, changed: Any) -> list[dict[str, Any]]:
    """Whole members of the payload put in place of what they were.

    All of it at once where it is no object on both sides, or where that would take more than MOST_OPERATIONS.
    """
    whole = [{"op": "replace", "path": "", "value": changed}]
    if not (isinstance(payload, dict) and isinstance(changed, dict)) or payload.keys() - changed.keys():
        return whole
    members = [
        {"op": "replace" if name in payload else "add", "path": canonical.pointer(name), "value": value}
        for name, value in changed.items()
        if name not in payload or canonical.dumps(payload[name]) != canonical.dumps(value)
    ]
    return members if len(members) <= MOST_OPERATIONS else whole


def _members(value: Any) -> int:
    """How many members and items it has, at whatever depth."""
    total, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict | list):
            total += len(each)
            waiting.extend(each.values() if isinstance(each, dict) else each)
    return total


def work_out(intent: Intent, patch: Any, *, snapshot: Snapshot) -> Change:
    """What this patch makes of the intent's payload and what policy says of it; nothing is stored.

    Inside a transaction, counters of limits stay locked until it ends. Raises Problem: `invalid` for a patch that is
    none, changes nothing, or makes a payload that its action type refuses; `conflict` where policy blocks the changed
    payload or what it was proposed under is no longer in force.
    """
    payload = patched(intent.payload, patch)
    if canonical.dumps(payload) == canonical.dumps(intent.payload):
        raise Problem("invalid", "These changes change nothing. Approve it as it is.", path=PATH)
    case = _case(intent, payload, snapshot)
    judgement, usage = _judged(case, snapshot)
    if judgement.effect == BLOCK:
        raise Problem("conflict", f"Policy blocks what you changed it to: {judgement.verdict['reason']}", path=PATH)
    _refuse_uncounted(intent, judgement.uses)
    amended = draft(intent.agent, case, judgement, snapshot, usage=usage, amends=intent)
    if len(amended.canonical.encode()) > canonical.MAX_BYTES:
        raise Problem("invalid", "The changed intent is larger than 1 MiB.", path=PATH)
    return Change(amended, patch, _widenings(intent, amended, case.action_type))


def meaning(amended: Intent, widenings: Iterable[str]) -> str:
    """The digest of what somebody is shown of a change: what would run, what policy says, who must agree, its reach."""
    verdict = {name: amended.verdict[name] for name in ("effect", "policy", "version", "rule", "reason")}
    shown = {
        "digest": amended.digest,
        "verdict": verdict,
        "requirement": amended.requirement_digest,
        "widenings": list(widenings),
    }
    return canonical.digest(canonical.dumps(shown))


def amend(intent: Intent, patch: Any, *, by: User, facts: dict[str, Any]) -> Amendment:
    """Put the changed payload in place of the one that would run; the caller holds the intent's lock.

    `facts` go with the events. Raises what `work_out` does, and `conflict` where the intent moved meanwhile.
    """
    change = work_out(intent, patch, snapshot=in_force.current())
    amendment = Amendment(
        intent=intent,
        number=intent.amendments + 1,
        editor=by,
        editor_name=by.get_username(),
        patch=change.patch,
        replaced=intent.canonical,
        replaced_digest=intent.digest,
        digest=change.amended.digest,
        widenings=change.widenings,
        widens=change.widens,
        created_at=clock.now(),
    )
    lifecycle.amend(intent, change.amended, amendment, by=Actor.person(by), facts=facts)
    return amendment


def proposed(intent: Intent) -> dict[str, Any]:
    """The canonical intent as the agent proposed it."""
    if not intent.amendments:
        return intent.document
    return json.loads(intent.amended_by.get(number=1).replaced)


def patched(payload: Any, patch: Any) -> Any:
    """The payload after these RFC 6902 operations. Raises Problem `invalid`."""
    if not isinstance(patch, list) or not patch or len(patch) > MOST_OPERATIONS:
        raise _invalid(f"Send a JSON Patch (RFC 6902): an array of 1 to {MOST_OPERATIONS} operations.")
    for number, operation in enumerate(patch):
        if not isinstance(operation, dict) or not isinstance(operation.get("op"), str):
            raise _invalid("An operation is an object with op and path.", number)
        # Otherwise two copies of everything per operation make gigabytes of a kilobyte.
        if operation["op"] == "copy":
            raise _invalid("copy is not accepted; use add with the value.", number)
    try:
        changed = jsonpatch.JsonPatch(copy.deepcopy(patch)).apply(payload)
        canonical.check(changed)
    except jsonpatch.JsonPatchTestFailed as error:
        raise _invalid("A test in the patch failed: the payload is not what the patch was made for.") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise _invalid(f"The patch does not fit the payload: {str(error)[:300]}") from error
    except (canonical.StrictError, RecursionError) as error:
        raise _invalid(f"The changed payload is refused: {str(error)[:300]}") from error
    except (TypeError, KeyError, IndexError, ValueError, AttributeError) as error:
        # The library's own words for a patch that no RFC knows.
        raise _invalid("The patch does not fit the payload; see RFC 6902.") from error
    return changed


def _invalid(detail: str, number: int | None = None) -> Problem:
    return Problem("invalid", detail, path=PATH if number is None else f"{PATH}/{number}")


def _case(intent: Intent, payload: Any, snapshot: Snapshot) -> Case:
    document, named = intent.document, (intent.verdict.get("inputs") or {}).get("named")
    version_id, _ = snapshot.action_types.get(intent.action, (None, None))
    if version_id != intent.action_type_version_id:
        raise Problem(
            "conflict",
            "The action type changed since this was proposed. Reject it, and let the agent propose it again.",
            path=PATH,
        )
    if named is not None and named not in snapshot.policies.names:
        raise Problem(
            "conflict", f"The policy {named}, which the agent asked for, is no longer in force. Reject it.", path=PATH
        )
    proposal = Proposal(
        action=intent.action,
        payload=payload,
        summary=document["summary"],
        context=document["context"],
        target=intent.claims.get("target"),
        tags=tuple(document["tags"]),
        records=intent.claims.get("records"),
        value=intent.claims.get("value"),
        on_behalf_of=document["on_behalf_of"],
        supersedes=intent.supersedes_id,
        execution_mode=document["execution_mode"],
        policy=named,
    )
    try:
        return case_of(proposal, snapshot, agent=judging.attributes_of(intent.agent))
    except Problem as problem:
        if problem.kind != "invalid":
            raise
        first = problem.errors[0]["detail"] if problem.errors else problem.detail
        raise Problem(
            "invalid", f"The changed payload is refused: {first}", path=PATH, errors=problem.errors
        ) from problem


def _judged(case: Case, snapshot: Snapshot) -> tuple[Judgement, dict[str, Any] | None]:
    unreadable = snapshot.rules.unreadable_policies
    judgement = judging.judge(snapshot.policies, case.facts, unreadable=unreadable)
    if not judgement.uses:
        return judgement, None
    # What the proposal used is in here already: asked twice, it can only make policy stricter.
    usage = limits.read(judgement.uses, now=snapshot.now)
    return judging.judge(snapshot.policies, case.facts, usage=usage, unreadable=unreadable), usage


def _refuse_uncounted(intent: Intent, uses: Iterable[Use]) -> None:
    """What limits count is counted when it is proposed, never afterwards: more than that cannot pass under them."""
    counted = dict(intent.limit_uses.filter(namespace="").values_list("counter", "amount"))
    for use in uses:
        if use.counts and use.amount > counted.get(use.counter, 0):
            raise Problem(
                "conflict",
                f"This would use more of a limit ({use.limit}) than was counted when it was proposed. Reject it, and "
                "let the agent propose what you want instead.",
                path=PATH,
            )


def _widenings(intent: Intent, amended: Intent, action_type: ActionType | None) -> list[str]:
    narrower = action_type.narrower if action_type else {}
    before, after = proposed(intent), amended.document
    places = narrowing.widenings(before["payload"], after["payload"], narrower)
    found = [f"the change at {place or 'the whole payload'} is not known to narrow it" for place in places]
    if after["target"] != before["target"]:
        found.append("it has another target")
    if _more(after["records"], before["records"]):
        found.append("it touches more records")
    if _currency(after) != _currency(before) or _more(_amount(after), _amount(before)):
        found.append("it moves more value, or another currency")
    if amended.requirement != intent.requirement:
        found.append("policy asks for more people")
    return found


def _currency(document: Mapping[str, Any]) -> str | None:
    return document["value"]["currency"] if document["value"] else None


def _amount(document: Mapping[str, Any]) -> Decimal | None:
    amount = as_decimal(document["value"])
    return None if amount is None else abs(amount)


def _more(new: int | Decimal | None, old: int | Decimal | None) -> bool:
    """Whether a figure grew, or is no longer known."""
    return new != old and (new is None or old is None or new > old)
