"""The intent that a command is asked about: a file as an agent would propose it, completed as the portal does."""

from __future__ import annotations

import datetime
import difflib
from dataclasses import replace
from typing import Any

from zehrava.action_types import ActionType
from zehrava.canonical import StrictError, loads
from zehrava.policy import ALLOW, ASK, Fault, Verdict
from zehrava.policy.tables import LEVELS
from zehrava.policy.verdicts import DEFAULT_RULE

from .output import Complaints

MAX_BYTES = 1024 * 1024
_INTENT_KEYS = (
    "action", "payload", "agent", "context", "target", "tags", "records", "value", "summary", "on_behalf_of",
    "execution_mode", "policy", "usage", "now", "reversible", "sensitivity",
)  # fmt: skip
# What every agent of a portal has, also where nobody chose it.
_AGENT = {"tier": "standard", "labels": {}}
_ONE_REVIEWER = {"all_of": [{"group": "reviewers", "count": 1}], "expires_in": None}
_UNREGISTERED = "no default allows an action without an action type"


def read_intent(file: str, complaints: Complaints) -> dict[str, Any] | None:
    """The intent as keyword arguments of ``evaluate``; ``now`` is the clock's unless the file says otherwise."""
    try:
        with open(file, "rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise StrictError("", "is longer than 1 MiB", "too-large")
        intent = loads(data)
    except OSError as error:
        complaints.unreadable(file, error)
        return None
    except StrictError as error:
        complaints.fault(file, Fault(error.path, error.reason))
        return None
    wrong = _wrong_intent(intent)
    if wrong:
        complaints.fault(file, wrong)
        return None
    now = intent.pop("now", None)
    intent["now"] = datetime.datetime.fromisoformat(now) if now else datetime.datetime.now(datetime.UTC)
    intent["agent"] = {**_AGENT, **(intent.get("agent") or {})}
    intent.setdefault("payload", None)
    return {key: value for key, value in intent.items() if value is not None or key == "payload"}


def _wrong_intent(intent: Any) -> Fault | None:
    """Why this is no intent, or None."""
    if not isinstance(intent, dict):
        return Fault("", "an intent is an object")
    unknown = sorted(set(intent) - set(_INTENT_KEYS))
    if unknown:
        like = difflib.get_close_matches(unknown[0], _INTENT_KEYS, 1)
        hint = f"did you mean {like[0]}?" if like else f"known: {', '.join(_INTENT_KEYS)}"
        return Fault(unknown[0], f"unknown member; {hint}")
    if not isinstance(intent.get("action"), str):
        return Fault("action", "is missing: the name of the action is required")
    for key in ("agent", "context", "value", "usage"):
        if not isinstance(intent.get(key), dict | None):
            return Fault(key, "must be an object")
    for key in ("target", "summary", "on_behalf_of", "execution_mode", "policy"):
        if not isinstance(intent.get(key), str | None):
            return Fault(key, "must be a string")
    tags = intent.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        return Fault("tags", "must be a list of strings")
    records = intent.get("records")
    if records is not None and (type(records) is not int or records < 0):
        return Fault("records", "must be a whole number from 0 on")
    if not isinstance(intent.get("reversible"), bool | None):
        return Fault("reversible", "must be true or false, as its action type says")
    if intent.get("sensitivity") not in (None, *LEVELS):
        return Fault("sensitivity", f"must be one of {', '.join(LEVELS)}, as its action type says")
    now = intent.get("now")
    try:
        if now is not None and datetime.datetime.fromisoformat(now).tzinfo is None:
            return Fault("now", "needs a time zone, such as 2026-01-01T12:00:00Z")
    except (TypeError, ValueError):
        return Fault("now", "must be a time such as 2026-01-01T12:00:00Z")
    return None


def complete(intent: dict[str, Any], action_type: ActionType | None, file: str, complaints: Complaints) -> list[str]:
    """Check the payload against the action type, put what that derives in place of what the agent says.

    Args:
        action_type: None where the action has none, which is what an intent then is in the portal, too.

    Returns:
        Why no allow may stand: what could not be derived, or that the action is not registered.
    """
    executes = action_type is not None and action_type.executor is not None
    if intent.get("execution_mode") == "portal" and not executes:
        complaints.fault(file, Fault("execution_mode", f"nothing in the portal carries {intent['action']} out"))
    intent.setdefault("execution_mode", "portal" if executes else "agent")
    if action_type is None:
        intent.update(reversible=None, sensitivity=None)
        return [_UNREGISTERED]
    payload = intent["payload"]
    for violation in action_type.validate(payload):
        path = "payload" + violation.path.replace("/", ".")
        complaints.fault(file, Fault(path, f"{violation.message} (the schema of {action_type.name})"))
    derived = action_type.derive(payload)
    intent.update({name: getattr(derived, name) for name in derived.names})
    intent.update(reversible=action_type.reversible, sensitivity=action_type.sensitivity)
    return [f"the action type could not derive {error}" for error in derived.errors]


def doubted(verdict: Verdict, doubts: list[str]) -> Verdict:
    """The verdict as the portal gives it: where there is a doubt, nothing is allowed and a person has to look."""
    by_default = verdict.effect == ALLOW and verdict.rule == DEFAULT_RULE
    doubts = [doubt for doubt in doubts if by_default or doubt != _UNREGISTERED]
    if not doubts or verdict.effect not in (ALLOW, ASK):
        return verdict
    requirement = _ONE_REVIEWER if verdict.effect == ALLOW else verdict.requirement
    return replace(verdict, effect=ASK, reason="; ".join([verdict.reason, *doubts]), requirement=requirement)
