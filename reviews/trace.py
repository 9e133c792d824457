"""The whole trace of a verdict as the page of an intent shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.safestring import SafeString

from intents import masking
from intents.approval_tables import told_rows
from intents.explaining import Explanation, explain
from intents.models import Intent
from reviews.presentation import text
from zehrava.policy import ALLOW, ASK, BLOCK
from zehrava.sensitive import SHOWN, Masked

# A policy has up to a thousand rules; beyond so many only those are shown that had something to say.
MOST_RULES = 200

_EFFECTS = {ALLOW: ("allows", "green"), BLOCK: ("blocks", "red"), ASK: ("asks", "amber")}
_PARTS = {"requirement": "who must agree"}


@dataclass(frozen=True, slots=True)
class OperandLine:
    """A part of a condition and what it gave; `failed` where that is no value, `skipped` where it did not matter."""

    expression: SafeString
    value: SafeString
    failed: bool
    skipped: bool


@dataclass(frozen=True, slots=True)
class LimitLine:
    """A limit of the rule that held: what it bounds, what was used and is added."""

    bound: SafeString
    told: str
    over: bool


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule that policy looked at."""

    policy: SafeString
    rule: SafeString
    effect: str
    colour: str
    held: str
    decided: bool
    # The condition and what it gave; None where the rule has none.
    when: SafeString | None
    gave: str
    error: SafeString | None
    operands: list[OperandLine]
    limits: list[LimitLine]
    # Of a rule that asks by a table: each row that was looked at, and why it asks or does not.
    rows: list[SafeString]


@dataclass(frozen=True, slots=True)
class Trace:
    """Every rule considered; `alarm` where the verdict does not come out again as it is stored."""

    rules: list[RuleLine]
    count: int
    left_out: int
    alarm: SafeString | None
    note: SafeString | None


def trace_of(intent: Intent) -> Trace:
    """The trace of this intent's verdict, worked out again."""
    explained = explain(intent)
    shown = [entry for place, entry in enumerate(explained.trace) if place < MOST_RULES or entry["held"] is not False]
    return Trace(
        rules=_rules([_masked(entry, intent) for entry in shown]),
        count=len(explained.trace),
        left_out=len(explained.trace) - len(shown),
        alarm=_alarm(explained, intent),
        note=text(explained.why_not) if explained.why_not and not explained.altered else None,
    )


def _rules(entries: Sequence[Mapping[str, Any]]) -> list[RuleLine]:
    """The lines of these entries. Of each policy the first that held or failed decided; after one that failed, the
    rest only says who else is asked."""
    lines: list[RuleLine] = []
    decided: set[str] = set()
    for entry in entries:
        line = _rule(entry)
        if line.decided and entry["policy"] in decided:
            line = replace(line, decided=False, colour="", held="says who else is asked")
        elif line.decided:
            decided.add(entry["policy"])
        lines.append(line)
    return lines


def _masked(entry: Mapping[str, Any], intent: Intent) -> Mapping[str, Any]:
    """What is read of an entry: the values of what is sensitive are masked, by where they come from and what they are.

    A condition as written is the policy's, and says nothing about this payload.
    """
    if not masking.mask_of(intent):
        return entry
    # Nobody can tell from its words what a limit counts.
    limits = [{**use, "adds": SHOWN} if "adds" in use else use for use in entry.get("limits") or ()]
    operands = [_masked_operand(part, intent) for part in entry.get("operands") or ()]
    masked: dict[str, Any] = {"operands": operands, "limits": limits}
    if entry.get("error"):
        masked["error"] = masking.said(intent, entry["error"])
    if table := entry.get("table"):
        rows = [{**row, "why": masking.said(intent, row["why"])} for row in table["rows"]]
        masked["table"] = {**table, "rows": rows}
    return {**entry, **masked}


def _masked_operand(part: Mapping[str, Any], intent: Intent) -> Mapping[str, Any]:
    value = masking.said(intent, part.get("value"))
    if masking.is_read_by(intent, part["expression"]):
        value = Masked(value)
    error = masking.said(intent, part.get("error"))
    return {**part, **({"value": value} if "value" in part else {}), **({"error": error} if "error" in part else {})}


def _alarm(explained: Explanation, intent: Intent) -> SafeString | None:
    if explained.altered:
        return text(explained.why_not)
    if not explained.differs or explained.judgement is None:
        return None
    parts = " and ".join(_PARTS.get(part, part) for part in explained.differs)
    again = explained.judgement.verdict
    why = masking.said(intent, again["reason"])
    return text(f"Worked out again, {parts} came out otherwise: {_EFFECTS[again['effect']][0]}, because {why}.")


def _rule(entry: Mapping[str, Any]) -> RuleLine:
    when = (entry.get("when") or "").strip()
    held, limits = entry["held"], entry.get("limits") or ()
    beyond = [use["otherwise"] for use in limits if use.get("over", True) or use.get("used") is None]
    effect, colour = _EFFECTS[_said(entry, beyond)]
    by_default = entry["rule"] == "default"
    words = {True: "no rule held" if by_default else "over its limit" if beyond else "held", False: "did not hold"}
    return RuleLine(
        policy=text(f"{entry['policy']} v{entry['version']}"),
        rule=text(entry["rule"]),
        effect=effect,
        colour=colour if held is not False else "",
        held="could not be told" if held == "error" else words[bool(held)],
        decided=held is not False,
        when=text(when) if when else None,
        gave=json.dumps(held) if held != "error" else "",
        error=text(entry["error"]) if entry.get("error") else None,
        # The condition as a whole leads; what it gave stands beside it.
        operands=[_operand(part) for part in entry.get("operands") or () if part["expression"] != when],
        limits=[_limit(use) for use in limits],
        rows=[text(told) for told in told_rows(entry)],
    )


def _said(entry: Mapping[str, Any], beyond: list[str]) -> str:
    """The effect that the rule had: its own, unless it failed or a limit of it was over."""
    if entry["held"] == "error":
        return BLOCK if entry["effect"] == BLOCK else ASK
    if beyond:
        return BLOCK if BLOCK in beyond else ASK
    return str(entry["effect"])


def _operand(part: Mapping[str, Any]) -> OperandLine:
    expression = text(part["expression"])
    if part.get("skipped"):
        return OperandLine(expression, text("not looked at"), failed=False, skipped=True)
    if "value" not in part:
        return OperandLine(expression, text(part.get("error") or "no value"), failed=True, skipped=False)
    value = part["value"]
    shown = text(value if isinstance(value, Masked) else json.dumps(value, ensure_ascii=False))
    return OperandLine(expression, shown, failed=False, skipped=False)


def _limit(use: Mapping[str, Any]) -> LimitLine:
    if "adds" not in use:
        return LimitLine(text(use["text"]), str(use.get("error") or "cannot be worked out"), True)
    used = "not known how much is used" if use["used"] is None else f"{use['used']} used"
    return LimitLine(text(use["text"]), f"{used}, this adds {use['adds']}", bool(use["over"]))
