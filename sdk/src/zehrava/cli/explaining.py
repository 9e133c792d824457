"""``zehrava policy explain``."""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Mapping
from typing import Any

from zehrava import durations
from zehrava.canonical import StrictError, loads
from zehrava.policy import Fault, PolicySet, Verdict

from .output import Complaints, say, say_json
from .reading import read_policies

MAX_BYTES = 1024 * 1024
_INTENT_KEYS = (
    "action", "payload", "agent", "context", "target", "tags", "records", "value", "summary", "on_behalf_of",
    "execution_mode", "policy", "usage", "now",
)  # fmt: skip


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("explain", help="say what policies decide about an intent, and why")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--intent", required=True, metavar="INTENT.json", help="the intent, as an agent proposes it")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluate one intent and show what was considered."""
    complaints = Complaints(quiet=options.json)
    policies = read_policies(options.files, complaints)
    intent = _read_intent(options.intent, complaints)
    if complaints or intent is None:
        if options.json:
            say_json({"errors": complaints.errors})
        return 1
    verdict = PolicySet(policy for _, policy in policies).evaluate(**intent)
    if options.json:
        say_json(_document(verdict))
    else:
        _print_verdict(verdict, told="usage" in intent)
    return 0


def _document(verdict: Verdict) -> dict[str, Any]:
    return {
        **verdict.document(),
        "limits": [use.document() for use in verdict.limits],
        "consulted": [{"policy": name, "version": version} for name, version in verdict.consulted],
        "trace": list(verdict.trace),
    }


def _read_intent(file: str, complaints: Complaints) -> dict[str, Any] | None:
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
    intent["agent"] = intent.get("agent") or {}
    intent.setdefault("payload", None)
    return {key: value for key, value in intent.items() if value is not None or key == "payload"}


def _wrong_intent(intent: Any) -> Fault | None:
    """Why this is no intent, or None."""
    if not isinstance(intent, dict):
        return Fault("", "an intent is an object")
    unknown = sorted(set(intent) - set(_INTENT_KEYS))
    if unknown:
        return Fault(unknown[0], f"unknown member; known: {', '.join(_INTENT_KEYS)}")
    if not isinstance(intent.get("action"), str):
        return Fault("action", "is missing: the name of the action is required")
    for key in ("agent", "context", "value", "usage"):
        if not isinstance(intent.get(key), dict | None):
            return Fault(key, "must be an object")
    now = intent.get("now")
    try:
        if now is not None and datetime.datetime.fromisoformat(now).tzinfo is None:
            return Fault("now", "needs a time zone, such as 2026-01-01T12:00:00Z")
    except (TypeError, ValueError):
        return Fault("now", "must be a time such as 2026-01-01T12:00:00Z")
    return None


def _print_verdict(verdict: Verdict, *, told: bool) -> None:
    decided = f"{verdict.policy} version {verdict.version}" if verdict.policy else "no policy"
    say(f"{verdict.effect}: {decided}, rule {verdict.rule or 'none'}")
    say(f"reason: {verdict.reason}")
    if verdict.requirement:
        for line in _required(verdict.requirement):
            say(line)
    if verdict.limits and not told:
        wanted = json.dumps({use.limit: 0 for use in verdict.limits})
        say(f'usage is not known; to say it, write into the intent: "usage": {wanted}')
    for step in verdict.trace:
        outcome = {True: "holds", False: "does not hold"}.get(step["held"], f"error: {step['error']}")
        say(f"  {step['policy']}/{step['rule']} ({step['effect']}): {outcome}")
        for operand in step.get("operands", ()):
            say(f"      {operand['expression']} {_value(operand)}")
        for limit in step.get("limits", ()):
            say(f"      limit {limit['limit']}: {_limit(limit)}")


def _value(operand: Mapping[str, Any]) -> str:
    if operand.get("error") is not None:
        return f"has no value: {operand['error']}"
    return f"= {json.dumps(operand.get('value'), ensure_ascii=False, default=str)}"


def _limit(limit: Mapping[str, Any]) -> str:
    if limit.get("error") is not None:
        return f"cannot be worked out: {limit['error']}"
    used = "unknown" if limit["used"] is None else limit["used"]
    return f"used {used}, this adds {limit['adds']}, at most {limit['most']}" + (", over" if limit["over"] else "")


def _required(requirement: Mapping[str, Any]) -> list[str]:
    """Who must approve, for people."""
    expiry = requirement["expires_in"]
    seats = requirement["all_of"]
    lines = []
    if seats or expiry:
        within = f", within {durations.text(expiry)}" if expiry else ""
        lines.append(f"requires: {_seats(seats, ', ') or 'an alternative'}{within}")
    lines.extend(f"requires one of: {_seats(each, ', or ')}" for each in requirement.get("any_of", ()))
    lines.extend(f"in this order: {_seats(each, ', then ')}" for each in requirement.get("in_order", ()))
    if requirement.get("step_up"):
        lines.append("requires a fresh second factor")
    if requirement.get("rejections", 1) != 1:
        lines.append(f"rejected by {requirement['rejections']}")
    if requirement.get("escalate_to"):
        lines.append(f"when the time is over: asks {_seats(requirement['escalate_to'], ', ')}")
    for step in requirement.get("escalation", ()):
        lines.append(f"after {durations.text(step['after'])}: {step['do']} {', '.join(step.get('to', ()))}".rstrip())
    return lines


def _seats(seats: list[Mapping[str, Any]], joint: str) -> str:
    return joint.join(f"{seat['count']} of {seat['group']}" for seat in seats)
