"""Microsoft Agent Governance Toolkit, ``governance.toolkit/v1``: rules by priority, the first whose condition holds.

What the condition of a rule reads is mapped in `agt_conditions`: the action or tool is the action of an intent,
``environment`` the registered one of the agent, ``context`` the agent's claim, everything else a member of the payload.
"""

from __future__ import annotations

from typing import Any

from ..strict_yaml import join
from ..verdicts import ALLOW, ASK, BLOCK
from .agt_conditions import dids, fields, is_claimed, path_of, translate, unsettled
from .agt_syntax import FINDS, Among, Compared, Found, Reading, Value, parse
from .cel import FALSE, TRUE, CannotSay, Cel, both, either
from .dialects import AGT, refuse_another
from .draft import Approval, Draft, Drafts
from .imported import Imported
from .source import Source, policy_name, prose, quoted, slug

_TOP = (
    "apiVersion", "name", "scope", "description", "extends", "agent", "agents", "rules", "default_action", "defaults",
)  # fmt: skip
_RULE = (
    "name", "description", "message", "stage", "condition", "action", "limit", "approvers", "priority", "enabled",
)  # fmt: skip
_VERSIONS = ("governance.toolkit/v1", "1.0")
_EFFECTS = {
    "allow": ALLOW, "deny": BLOCK, "require_approval": ASK, "warn": ALLOW, "log": ALLOW, "rate_limit": ALLOW,
}  # fmt: skip
_PERIODS = {"second": "1s", "minute": "1m", "hour": "1h", "day": "1d"}
_STAGES = ("pre_input", "pre_tool", "post_tool", "pre_output")
_OPERATORS = {"eq": "==", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_EITHER = {
    ALLOW: "the rule allows where that and the whole of it hold",
    ASK: "the rule asks where that or the whole of it holds",
    BLOCK: "the rule blocks where that or the whole of it holds",
}
_MOST_RULES = 500
_MOST_SEATS = 20
_MOST = 10**9


def agt(text: str, name: str) -> Imported:
    """A policy of the Agent Governance Toolkit in our grammar.

    Args:
        text: the document, YAML or JSON.
        name: the name of the new policy.

    Raises:
        PolicyError: with line and column, for what is no such document, or a name that is none.
    """
    source = Source(text)
    refuse_another(source, AGT)
    made = policy_name(source, name)
    rules = Drafts(source)
    _read_top(source, rules, made)
    match = {"actions": ["*"]}
    agents = _read_agents(source)
    if agents:
        match["agents"] = agents
    default = _read_default(source, rules)
    passed = False
    listed = [_Rule(source, rules, data, join("rules", index)) for index, data in _in_order(source)]
    names = [name for rule in listed for name in rule.names()]
    nowhere = unsettled(names)
    for rule in listed:
        rule.read(nowhere)
        if passed and rule.effect == BLOCK:
            reason = (
                "stands behind rules that let pass, as priorities say; under deny_overrides it came first: move it up"
            )
            source.note(rule.path, reason)
        passed = passed or rule.effect in (ALLOW, ASK)
    description = source.data.get("description")
    return rules.finish(
        made,
        match=match,
        default=default,
        description="" if description is None else prose(source.text(description, "description"), most=1_000),
    )


def _read_top(source: Source, rules: Drafts, made: str) -> None:
    version = source.data.get("apiVersion", _VERSIONS[0])
    if version not in _VERSIONS:
        raise source.refuse("apiVersion", f"must be {_VERSIONS[0]}, not {quoted(version)}")
    if "name" in source.data and slug(source.text(source.data["name"], "name", most=500)) != made:
        source.note("name", f"the policy is called {made!r} here, not {quoted(source.data['name'])}")
    passing = source.left_out(source.data, "")
    for key, value in source.data.items():
        if key == "scope":
            source.note(key, "is left out; here every policy that matches counts, and the strictest wins")
        elif key == "extends" and value:
            source.drop(
                key, "the policies that it builds on are not read; until you bring them along, nothing is allowed"
            )
            _hold_back(rules, "the policies that this builds on were not brought along")
        elif key not in _TOP and key not in passing:
            source.drop(key, "is unknown here; nothing is allowed outright until it is removed")
            _hold_back(rules, "a part of the document could not be carried over")


def _read_default(source: Source, rules: Drafts) -> str:
    """What is done where no rule holds: `default_action`, or `action` under `defaults`; deny without either."""
    effects = {"allow": ALLOW, "deny": BLOCK, "require_approval": ASK, "block": BLOCK, "audit": ALLOW}
    if source.data.get("defaults") is None:
        return effects[source.choice(source.data.get("default_action", "deny"), "default_action", effects)]
    if "default_action" in source.data:
        raise source.refuse("defaults", "stands beside default_action; keep the one that is meant")
    defaults = source.mapping(source.data["defaults"], "defaults")
    for key in defaults:
        if key != "action":
            source.drop(join("defaults", key), "is unknown here; nothing is allowed outright until it is removed")
            _hold_back(rules, "a part of the document could not be carried over")
    return effects[source.choice(defaults.get("action", "deny"), "defaults.action", effects)]


def _hold_back(rules: Drafts, reason: str) -> None:
    rules.unreadable(Draft(rules.id("held-back"), ASK, reason=reason))


def _read_agents(source: Source) -> list[str]:
    """The agents that are meant; empty: all of them."""
    names: list[str] = []
    if source.data.get("agent") is not None:
        names.append(source.text(source.data["agent"], "agent", most=200))
    if source.data.get("agents"):
        names += source.texts(source.data["agents"], "agents", most=200)
    if not names or "*" in names:
        source.note("", "this covers every action of every agent: list yours under match")
        return []
    path = "agents" if source.data.get("agents") else "agent"
    for each in names:
        if "*" in each or not each.isascii() or not each.isprintable() or " " in each:
            raise source.refuse(path, f"{quoted(each)} is no name of an agent; list them in full, or write '*' alone")
    source.note(path, "these are the registered names of agents here")
    return list(dict.fromkeys(names))


def _in_order(source: Source) -> list[tuple[int, dict[str, Any]]]:
    """The rules with their places, the highest priority first."""
    entries = source.items(source.data.get("rules"), "rules", most=_MOST_RULES)
    rules = [(index, source.mapping(entry, join("rules", index))) for index, entry in enumerate(entries)]
    priorities = {
        index: source.whole(rule.get("priority", 0), f"rules[{index}].priority", least=-_MOST, most=_MOST)
        for index, rule in rules
    }
    return sorted(rules, key=lambda each: -priorities[each[0]])


class _Rule:
    """One rule; ``effect`` is what it does in the end, or None where it is left out."""

    def __init__(self, source: Source, rules: Drafts, data: dict[str, Any], path: str) -> None:
        self.source = source
        self.rules = rules
        self.data = data
        self.path = path
        self.effect: str | None = None
        self.unread = ""
        self.name = source.text(data.get("name"), f"{path}.name", most=500)
        self.action = source.choice(data.get("action", "deny"), f"{path}.action", _EFFECTS)
        self.reading = self._read_condition()
        self.nowhere: dict[str, str] = {}

    def names(self) -> set[str]:
        """The fields that the condition reads."""
        if self.reading is None:
            return set()
        return fields(self.reading.expression) | (fields(self.reading.taken) if self.reading.taken else set())

    def read(self, nowhere: dict[str, str]) -> None:
        """Make the rule; ``nowhere``: fields that have no place here, and why."""
        name, action, reading, self.nowhere = self.name, self.action, self.reading, nowhere
        if not self._counts():
            return
        unknown = [key for key in self.data if key not in _RULE]
        for key in unknown:
            self.source.drop(join(self.path, key), "is unknown here; where the rule would allow, it asks")
        effect = _EFFECTS[action]
        limits, none = self._read_limit(effect, action)
        approval = self._read_approval(effect)
        if none:
            effect = BLOCK
        elif effect == ALLOW:
            effect = ASK if unknown else self._held_back(reading)
        self.effect = effect
        rule = Draft(self.rules.id(name, f"{self.path}.name"), effect, None, self._reason(action), approval, limits)
        when = self._when(reading, effect)
        if when is None:
            self.rules.unreadable(rule)
            return
        assert reading is not None
        whole = Draft(rule.id, effect, None if when == TRUE else when, rule.reason, approval, limits)
        if effect == ASK and self._is_open(reading):
            self.rules.unreadable(whole)
        elif when == FALSE:
            self.source.note(f"{self.path}.condition", "never holds, so there is no rule for it")
        else:
            self.rules.add(whole, self.path)
        if effect == ALLOW and limits:
            self._hold_excess(whole, reading)
        if _EFFECTS[action] != ALLOW and any(is_claimed(each) for each in fields(reading.expression)):
            self._hold_unclaimed(whole, reading)

    def _is_open(self, reading: Reading) -> bool:
        """Whether the condition reads something that has no place here."""
        return bool(dids(reading.expression) or self.names() & set(self.nowhere))

    def _hold_excess(self, rule: Draft, reading: Reading) -> None:
        """What the toolkit may have counted under a rule that now allows less does not pass uncounted."""
        wide = self._said(reading, ASK)
        if wide not in (rule.when or TRUE, FALSE):
            name = self.rules.id(f"{rule.id}-beyond")
            self.rules.unreadable(Draft(name, ASK, None if wide == TRUE else wide, rule.reason, limits=rule.limits))

    def _hold_unclaimed(self, rule: Draft, reading: Reading) -> None:
        """What the host would have supplied, an agent can leave out or lie about: nothing behind is allowed."""
        claimed = {name for name in fields(reading.expression) if is_claimed(name)}
        wide = translate(reading.expression, sure=False, unsettled=claimed | self.nowhere.keys())
        if wide not in (rule.when or TRUE, FALSE):
            name = self.rules.id(f"{rule.id}-unclaimed")
            self.rules.unreadable(Draft(name, ASK, None if wide == TRUE else wide, rule.reason, rule.approval))

    def _counts(self) -> bool:
        """Whether the rule is about what an agent proposes, and switched on."""
        if not self.source.boolean(self.data.get("enabled", True), f"{self.path}.enabled"):
            self.source.drop(f"{self.path}.enabled", "the rule is switched off, so it is left out")
            return False
        stage = self.source.choice(self.data.get("stage", "pre_tool"), f"{self.path}.stage", _STAGES)
        if stage != "pre_tool":
            self.source.drop(f"{self.path}.stage", f"{stage} is not when an agent proposes; the rule is left out")
        return stage == "pre_tool"

    def _reason(self, action: str) -> str:
        key = "description" if self.data.get("description") is not None else "message"
        said = self.data.get(key)
        text = "" if said is None else prose(self.source.text(said, f"{self.path}.{key}"), most=480)
        if action not in ("warn", "log"):
            return text
        self.source.note(f"{self.path}.action", f"{action} lets pass; here too, and the reason says it")
        return f"{action}: {text or self.data['name']}" if text else prose(f"{action}: {self.data['name']}")

    def _read_condition(self) -> Reading | None:
        """The condition as it says, or None where that cannot be told."""
        condition, path = self.data.get("condition"), f"{self.path}.condition"
        try:
            if isinstance(condition, dict):
                return _structured(self.source, condition, path)
            return parse(self.source.text(condition, path, most=20_000))
        except CannotSay as error:
            self.unread = str(error)
            return None

    def _held_back(self, reading: Reading | None) -> str:
        """Whether a rule that allows may really do so."""
        if reading and reading.silent:
            reason = (
                f"the toolkit never matched {', '.join(reading.silent)}, so this rule allowed nothing; it is a real"
                " condition now, and asks: make it allow if that is what you want"
            )
            self.source.drop(f"{self.path}.action", reason)
            return ASK
        if reading and any(is_claimed(name) for name in fields(reading.expression)):
            reason = "the condition rests on what the agent claims, so the rule asks instead of allowing"
            self.source.drop(f"{self.path}.action", reason)
            return ASK
        return ALLOW

    def _when(self, reading: Reading | None, effect: str) -> Cel | None:
        path = f"{self.path}.condition"
        outcome = {
            ALLOW: "the rule is left out",
            ASK: "nothing behind it passes without a person",
            BLOCK: "everything that reaches it is blocked",
        }[effect]
        if reading is None:
            self.source.drop(path, f"cannot be read: {self.unread}; {outcome}")
            return None
        try:
            when = self._said(reading, effect)
        except CannotSay as error:
            self.source.drop(path, f"cannot be carried over: {error}; {outcome}")
            return None
        self._tell_open(reading, effect, path)
        if reading.passed:
            reason = (
                f"the toolkit reads only {', '.join(f'`{each[:80]}`' for each in reading.passed)} of this and passes"
                f" over what follows; {_EITHER[effect]}"
            )
            self.source.note(path, reason)
        if reading.silent:
            reason = f"the toolkit never matched {', '.join(reading.silent)}; this is a real condition now"
            self.source.note(path, reason)
        for name in sorted(fields(reading.expression) - set(self.nowhere)):
            self._note_field(name, path)
        return when

    def _said(self, reading: Reading, effect: str) -> Cel:
        """The condition for a rule with this effect, as it says and as the toolkit took it.

        Raises:
            CannotSay: for numbers that are no amounts.
        """
        sure = effect == ALLOW
        said = translate(reading.expression, sure=sure, unsettled=self.nowhere)
        if reading.taken is None:
            return said
        taken = translate(reading.taken, sure=sure, unsettled=self.nowhere)
        if FALSE in (said, taken):
            return FALSE if sure else either(said, taken)
        if sure:
            return both(said, taken) or TRUE
        if set(taken.parts or (taken,)) <= set(said.parts or (said,)):
            return taken
        return said if set(said.parts or (said,)) <= set(taken.parts or (taken,)) else either(said, taken)

    def _tell_open(self, reading: Reading, effect: str, path: str) -> None:
        """Say which comparisons could not be carried over."""
        counted = "it counts as false" if effect == ALLOW else "it counts as true"
        for name in sorted(self.names()):
            if name in self.nowhere:
                self.source.drop(path, f"{name} {self.nowhere[name]}; where a condition asks for it, {counted}")
            elif is_claimed(name) and _EFFECTS[self.action] != ALLOW:
                reason = "is what the agent says here, and not the host: behind this rule nothing is allowed outright"
                self.source.drop(path, f"{name} {reason}")
            elif name in dids(reading.expression):
                self.source.drop(path, f"no agent is known by its DID here; where {name} is one, {counted}")

    def _note_field(self, name: str, path: str) -> None:
        read = path_of(name)
        if read.value.text == name or name in self.rules.fields:
            return
        self.rules.fields.add(name)
        claim = ", which is what the agent claims" if read.root == "context" else ""
        self.source.note(path, f"{name} is read from {read.value.text}{claim}")

    def _read_approval(self, effect: str) -> Approval:
        listed, path = self.data.get("approvers"), f"{self.path}.approvers"
        if not listed:
            return Approval()
        entries = self.source.items(listed, path, most=_MOST_SEATS)
        groups = dict.fromkeys(self.source.readable(each, join(path, index)) for index, each in enumerate(entries))
        if effect != ASK:
            self.source.drop(path, "only means something where the rule asks")
            return Approval()
        self.source.note(path, "approvers are groups here, one of each has to approve: make a group of each name")
        return Approval(tuple((group, 1) for group in groups))

    def _read_limit(self, effect: str, action: str) -> tuple[tuple[dict[str, Any], ...], bool]:
        """The limit of the rule, and whether nothing passes at all."""
        path = f"{self.path}.limit"
        if self.data.get("limit") is None:
            if action == "rate_limit":
                raise self.source.refuse(self.path, "rate_limit needs its limit, such as 100/hour")
            return (), False
        text = self.source.text(self.data["limit"], path, most=40)
        count, _, period = (part.strip().lower() for part in text.partition("/"))
        if not (count.isascii() and count.isdigit() and len(count) <= 10 and period in _PERIODS) or int(count) > _MOST:
            raise self.source.refuse(path, f"{quoted(text)} is no limit; write a count and a period, such as 100/hour")
        if effect == BLOCK:
            self.source.drop(path, "counts nothing here, since nothing passes a rule that blocks")
            return (), False
        if int(count) == 0:
            self.source.note(path, "lets nothing pass, so the rule blocks")
            return (), True
        self.source.note(path, "counts what passes under the rule in any stretch of this length; more is blocked")
        return ({"count": int(count), "per": "agent", "window": _PERIODS[period], "over": BLOCK},), False


def _structured(source: Source, condition: dict[str, Any], path: str) -> Reading:
    """A condition as a mapping: field, operator, value."""
    if set(condition) != {"field", "operator", "value"}:
        raise CannotSay("a condition that is a mapping has field, operator and value")
    name, operator, value = condition["field"], condition["operator"], condition["value"]
    reading = parse(source.text(name, f"{path}.field", most=200))
    read = fields(reading.expression)
    if reading.silent or read != {name}:
        raise CannotSay(f"{quoted(name)} is no field")
    operator = source.text(operator, f"{path}.operator", most=40)
    if operator in ("in", "not_in"):
        values = tuple(_scalar(each) for each in source.items(value, f"{path}.value"))
        return Reading(Among(name, values, operator == "not_in"))
    if operator in FINDS:
        return Reading(Found(name, operator, source.text(value, f"{path}.value", most=500)))
    if operator not in _OPERATORS:
        raise CannotSay(f"the operator {quoted(operator)} has no equal here")
    bound = _scalar(value)
    if operator not in ("eq", "ne") and (isinstance(bound, bool) or not isinstance(bound, int | float)):
        raise CannotSay("only numbers are greater or smaller")
    return Reading(Compared(name, _OPERATORS[operator], bound))


def _scalar(value: Any) -> Value:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise CannotSay("only texts, numbers, true, false and null are compared")
