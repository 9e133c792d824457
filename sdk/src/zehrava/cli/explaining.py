"""``zehrava policy explain``."""

from __future__ import annotations

import argparse
import datetime
import json
from collections.abc import Mapping
from typing import Any

from zehrava import durations
from zehrava.policy import PolicySet, Verdict
from zehrava.policy.weighing import Weighing

from .asking import complete, doubted, read_intent
from .output import Complaints, say, say_json
from .reading import read_action_types, read_policies

# Beyond this many characters of an expression, what it gave is not aligned with the others.
_WIDEST = 60


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("explain", help="say what policies decide about an intent, and why")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--intent", required=True, metavar="INTENT.json", help="the intent, as an agent proposes it")
    parser.add_argument(
        "--action-types",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="action types: the payload is checked, and target, records and value are derived, as the portal does",
    )
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Evaluate one intent and show what was considered."""
    complaints = Complaints(quiet=options.json)
    policies = read_policies(options.files, complaints)
    action_types = read_action_types(options.action_types, complaints)
    intent = read_intent(options.intent, complaints)
    doubts: list[str] = []
    if intent is not None and options.action_types and not complaints:
        doubts = complete(intent, action_types.get(intent["action"]), options.intent, complaints)
    if complaints or intent is None:
        if options.json:
            say_json({"errors": complaints.errors})
        return 1
    verdict = doubted(PolicySet(policy for _, policy in policies).evaluate(**intent), doubts)
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


def _print_verdict(verdict: Verdict, *, told: bool) -> None:
    # A file has no number: versions are counted by the portal.
    say(f"{verdict.effect}: {verdict.policy or 'no policy'}, rule {verdict.rule or 'none'}")
    say(f"reason: {verdict.reason}")
    if verdict.requirement:
        for line in _required(verdict.requirement):
            say(line)
    if verdict.limits and not told:
        wanted = json.dumps({use.limit: 0 for use in verdict.limits})
        say(f'usage is not known; to say it, write into the intent: "usage": {wanted}')
    for step in verdict.trace:
        outcome = {True: "holds", False: "does not hold"}.get(step["held"], "cannot be told")
        say(f"  {step['policy']}/{step['rule']} ({step['effect']}): {outcome}")
        for line in _reasons(step):
            say(f"      {line}")
        for limit in step.get("limits", ()):
            say(f"      limit {limit['limit']}: {_limit(limit)}")
        for row in (step.get("table") or {}).get("rows", ()):
            fits = {True: "fits", False: "does not fit", None: "may fit, and asks too"}[row["fits"]]
            say(f"      row {row['row']} {fits}: {row['why']}")


def _reasons(step: Mapping[str, Any]) -> list[str]:
    """The condition of a rule with what it gave, then each of its parts with what that gave."""
    when = step.get("when")
    if when is None:
        return []
    gave = f"error: {step['error']}" if step["held"] == "error" else json.dumps(step["held"])
    lines = [f"when {' '.join(when.split())}  →  {gave}"]
    parts = [each for each in step["operands"] if each["expression"] != when.strip()]
    named = [(" ".join(each["expression"].split()), _value(each)) for each in parts]
    width = min(_WIDEST, max((len(expression) for expression, _ in named), default=0))
    return lines + [f"  {expression:{width}}  =  {value}" for expression, value in named]


def _value(operand: Mapping[str, Any]) -> str:
    if operand.get("skipped"):
        return "not looked at: another part settles it"
    if operand.get("error") is not None:
        return f"error: {operand['error']}"
    return json.dumps(operand.get("value"), ensure_ascii=False, default=str)


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
        within = f", within {_lasting(expiry)}" if expiry else ""
        besides = "an alternative" if requirement.get("any_of") else "approvals that weigh enough"
        lines.append(f"requires: {_seats(seats, ', ') or besides}{within}")
    lines.extend(f"requires one of: {_seats(each, ', or ')}" for each in requirement.get("any_of", ()))
    lines.extend(f"in this order: {_seats(each, ', then ')}" for each in requirement.get("in_order", ()))
    lines.extend(f"requires {Weighing.read(each)}" for each in requirement.get("weigh", ()))
    if requirement.get("distinct_managers"):
        lines.append("requires different managers of all who approve")
    if requirement.get("step_up"):
        lines.append("requires a fresh second factor")
    if requirement.get("rejections", 1) != 1:
        lines.append(f"rejected by {requirement['rejections']}")
    if requirement.get("escalate_to"):
        lines.append(f"when the time is over: asks {_seats(requirement['escalate_to'], ', ')}")
    for step in requirement.get("escalation", ()):
        after = durations.text(step["after"]) + (" of business time" if "clock" in step else "")
        lines.append(f"after {after}: {step['do']} {', '.join(step.get('to', ()))}".rstrip())
    return lines


def _lasting(seconds: int) -> str:
    """As policies write durations; what business time leaves over minutes as 19:46:51."""
    return str(datetime.timedelta(seconds=seconds)) if seconds % 60 and seconds > 3_600 else durations.text(seconds)


def _seats(seats: list[Mapping[str, Any]], joint: str) -> str:
    return joint.join(f"{seat['count']} of {seat['group']}" for seat in seats)
