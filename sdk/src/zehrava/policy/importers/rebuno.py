"""Rebuno: rules in order, the first whose ``when`` matches a tool call decides.

A tool call is an intent here: the tool is its action, the arguments are its payload. An argument of a kind that the
rule does not expect never makes a rule allow; a rule that asks or blocks takes it for what it was looking for.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ..strict_yaml import join
from ..verdicts import ALLOW, ASK, BLOCK
from .cel import CannotSay, Cel, Path, both, either, fits, one_of
from .dialects import REBUNO, refuse_another
from .draft import Approval, Draft, Drafts
from .imported import Imported
from .patterns import glob_test
from .rebuno_arguments import argument_tests
from .source import Source, policy_name, prose, quoted
from .spans import at_least, at_most, seconds

_TOP = ("rules", "default_action", "default", "description")
_RULE = ("id", "when", "then", "priority", "rate_limit", "description")
_THEN = ("decision", "reason", "approvers", "approval_config", "rate_limit", "timeout", "message")
_TOOLS = ("tool", "tools", "tool_id", "tool_ids", "target", "targets")
_AGENTS = ("agent_id", "agent_ids")
_KINDS = {"step_kind": ("tool_call", ("llm_call", "local")), "action": ("tool.invoke", ())}
_RATE = ("max_calls", "max", "window", "per_what", "on_limiter_error", "max_wait")
_EFFECTS = {"allow": ALLOW, "deny": BLOCK, "require_approval": ASK, "judge": ASK}
_HARMLESS = {
    "name": "is only a title; the policy keeps the name it was given",
    "timeout_ms": "is not carried over; how long a call may take is set where it is carried out",
}
_MOST_RULES = 500
_MOST_SEATS = 20
_MOST = 10**9


def rebuno(text: str, name: str) -> Imported:
    """A policy bundle of Rebuno in our grammar.

    Args:
        text: the YAML document.
        name: the name of the new policy.

    Raises:
        PolicyError: with line and column, for what is no such document, or a name that is none.
    """
    source = Source(text)
    refuse_another(source, REBUNO)
    made = policy_name(source, name)
    rules = Drafts(source)
    _read_unknown(source, rules, source.data, "", _TOP)
    default = _read_default(source, rules)
    for index, rule in _in_order(source):
        _Rule(source, rules, rule, join("rules", index)).read()
    source.note(
        "",
        "a bundle belonged to one agent; this policy covers every agent and every action: list yours under match",
    )
    description = source.data.get("description")
    return rules.finish(
        made,
        match={"actions": ["*"]},
        default=default,
        description="" if description is None else prose(source.text(description, "description"), most=1_000),
    )


def _read_unknown(source: Source, rules: Drafts, data: dict[str, Any], path: str, known: tuple[str, ...]) -> None:
    """Keys of the document that mean nothing to us: they could hold back, so nothing is allowed outright."""
    passing = source.left_out(data, path)
    for key in data:
        if key in _HARMLESS:
            source.drop(join(path, key), _HARMLESS[key])
        elif key not in known and key not in passing:
            source.drop(join(path, key), "is unknown here; nothing is allowed outright until it is removed")
            rules.unreadable(
                Draft(rules.id("held-back"), ASK, reason="a part of the document could not be carried over")
            )


def _read_default(source: Source, rules: Drafts) -> str:
    effects = {"allow": ALLOW, "deny": BLOCK, "require_approval": ASK}
    if "default_action" in source.data and "default" in source.data:
        raise source.refuse("default", "stands beside default_action; keep the one that is meant")
    if "default_action" in source.data:
        return effects[source.choice(source.data["default_action"], "default_action", effects)]
    if "default" in source.data:
        default, path = source.data["default"], "default"
        if isinstance(default, dict):
            path = "default.decision"
            for key in default:
                if key not in ("decision", "reason"):
                    source.drop(f"default.{key}", "a default has no such part here; write a last rule without when")
                    reason = "what the default also asked for could not be carried over"
                    rules.unreadable(Draft(rules.id("held-back"), ASK, reason=reason))
            default = default.get("decision", "deny")
        return effects[source.choice(default, path, effects)]
    return BLOCK


def _in_order(source: Source) -> list[tuple[int, dict[str, Any]]]:
    """The rules with their places, as Rebuno tried them: in order, where they have priorities the lowest first."""
    entries = source.items(source.data.get("rules"), "rules", most=_MOST_RULES)
    rules = [(index, source.mapping(entry, join("rules", index))) for index, entry in enumerate(entries)]
    ids: set[str] = set()
    priorities = {}
    for index, rule in rules:
        path = join("rules", index)
        if "id" not in rule:
            raise source.refuse(path, "has no id")
        identifier = source.text(rule["id"], f"{path}.id", most=200)
        if identifier in ids:
            raise source.refuse(f"{path}.id", f"the rule id {quoted(identifier)} stands here twice")
        ids.add(identifier)
        priority = rule.get("priority", 0)
        priorities[index] = source.whole(priority, f"{path}.priority", least=-_MOST, most=_MOST)
    ordered = sorted(rules, key=lambda each: priorities[each[0]])
    if ordered != rules:
        source.note("rules", "the rules stand in the order of their priorities, the lowest number first")
    return ordered


class _Rule:
    """One rule."""

    def __init__(self, source: Source, rules: Drafts, data: dict[str, Any], path: str) -> None:
        self.source = source
        self.rules = rules
        self.data = data
        self.path = path
        self.weak = False  # whether something that could hold back was not understood

    def read(self) -> None:
        then, path = self.source.mapping(self.data.get("then"), f"{self.path}.then"), f"{self.path}.then"
        decision = self.source.choice(then.get("decision"), f"{path}.decision", _EFFECTS)
        effect = _EFFECTS[decision]
        if decision == "judge":
            self.source.drop(f"{path}.decision", "no model decides here; a person is asked instead")
        approval = self._read_approval(then, path, effect)
        rate, none = self._read_rate(then, path, effect)
        self._read_unknown(then, path, decision)
        if none:
            effect = BLOCK
        if effect == ALLOW and self.weak:
            effect = ASK
        reason = self._reason(then, path)
        known, readable, meant = self._read_when(effect)
        if not meant:
            return
        rule = Draft(self.rules.id(self.data["id"], f"{self.path}.id"), effect, known, reason, approval, rate)
        if not readable:
            self.rules.unreadable(rule)
            return
        self.rules.add(rule, self.path)
        if effect == ALLOW and rate:
            self._hold_excess(rule)

    def _hold_excess(self, rule: Draft) -> None:
        """What Rebuno may have counted under a rule that allows less here does not pass uncounted."""
        wide, whole, _ = self._read_when(ASK)
        if wide != rule.when or not whole:
            name = self.rules.id(f"{rule.id}-beyond")
            self.rules.unreadable(Draft(name, ASK, wide, rule.reason, limits=rule.limits))

    def _read_unknown(self, then: dict[str, Any], path: str, decision: str) -> None:
        for place, data, known in ((self.path, self.data, _RULE), (path, then, _THEN)):
            for key in data:
                if key in known or (key == "judge" and decision == "judge"):
                    continue
                if key in _HARMLESS:
                    self.source.drop(join(place, key), _HARMLESS[key])
                    continue
                self.source.drop(join(place, key), "has no equal here; where the rule would allow, it asks")
                self.weak = True

    def _reason(self, then: dict[str, Any], path: str) -> str:
        parts = []
        for place, value in (
            (f"{path}.reason", then.get("reason")),
            (f"{path}.message", then.get("message")),
            (
                f"{path}.approval_config.message",
                self.source.mapping(then.get("approval_config"), f"{path}.approval_config").get("message"),
            ),
        ):
            if value is not None:
                parts.append(self.source.text(value, place))
        return prose("; ".join(parts))

    def _read_approval(self, then: dict[str, Any], path: str, effect: str) -> Approval:
        """Who may grant it: any one of the approvers, who are groups here."""
        config, place = self.source.mapping(then.get("approval_config"), f"{path}.approval_config"), path
        for key in config:
            if key not in ("approvers", "timeout", "message"):
                self.source.drop(join(f"{path}.approval_config", key), "has no equal here")
        listed, at = then.get("approvers"), f"{place}.approvers"
        if listed is None:
            listed, at = config.get("approvers"), f"{place}.approval_config.approvers"
        if then.get("approvers") is not None and config.get("approvers") is not None:
            self.source.drop(f"{path}.approval_config.approvers", "stands beside approvers, which count")
        groups: list[str] = []
        if listed is not None:
            entries = self.source.items(listed, at, most=_MOST_SEATS)
            groups = list(
                dict.fromkeys(self.source.readable(each, join(at, index)) for index, each in enumerate(entries))
            )
        waits: list[Fraction] = []
        for wait, where in (
            (then.get("timeout"), f"{path}.timeout"),
            (config.get("timeout"), f"{path}.approval_config.timeout"),
        ):
            if wait is not None:
                if waits:
                    self.source.note(where, "stands beside another timeout: the shorter one counts")
                waits.append(seconds(self.source, wait, where))
        expires_in = at_most(min(waits)) if waits else None
        if effect != ASK:
            for key in ("timeout", "approvers", "approval_config"):
                if key in then:
                    self.source.drop(f"{path}.{key}", "only means something where the rule asks")
            return Approval()
        if groups:
            self.source.note(at, "approvers are groups here: make a group of each name, with the people in it")
        if len(groups) > 1:
            return Approval(any_of=tuple(groups), expires_in=expires_in)
        return Approval(tuple((group, 1) for group in groups), expires_in=expires_in)

    def _read_rate(self, then: dict[str, Any], path: str, effect: str) -> tuple[tuple[dict[str, Any], ...], bool]:
        """The limits of the rule, and whether nothing passes at all."""
        limits = []
        none = False
        for value, place in (
            (self.data.get("rate_limit"), f"{self.path}.rate_limit"),
            (then.get("rate_limit"), f"{path}.rate_limit"),
        ):
            if value is None:
                continue
            limit = self._limit(self.source.mapping(value, place), place)
            if effect == BLOCK:
                self.source.drop(place, "counts nothing here, since nothing passes a rule that blocks")
            elif limit["count"] == 0:
                self.source.note(place, "lets nothing pass, so the rule blocks")
                none = True
            else:
                limits.append(limit)
        return tuple(limits), none

    def _limit(self, rate: dict[str, Any], place: str) -> dict[str, Any]:
        for key in rate:
            if key not in _RATE:
                raise self.source.refuse(join(place, key), f"is unknown; known here: {', '.join(_RATE)}")
        if "max_calls" in rate and "max" in rate:
            raise self.source.refuse(f"{place}.max", "stands beside max_calls; keep the one that is meant")
        key = "max_calls" if "max_calls" in rate else "max"
        count = self.source.whole(rate.get(key), f"{place}.{key}", least=0, most=_MOST)
        scope = self.source.choice(
            rate.get("per_what", "execution"), f"{place}.per_what", ("execution", "agent", "global")
        )
        if scope == "execution":
            self.source.note(place, "is counted for each agent here, not for each of its executions")
        if rate.get("on_limiter_error") == "allow":
            self.source.note(f"{place}.on_limiter_error", "is not followed: what cannot be counted asks or is blocked")
        if "max_wait" in rate:
            self.source.drop(f"{place}.max_wait", "nothing waits here: what is over the limit is blocked at once")
        limit: dict[str, Any] = {"count": count, "per": "everything" if scope == "global" else "agent"}
        window = at_least(seconds(self.source, rate.get("window"), f"{place}.window"))
        if window:
            limit["window"] = window
        else:
            self.source.note(f"{place}.window", "is longer than a year, so it counts for ever")
        return {**limit, "over": BLOCK}

    def _read_when(self, effect: str) -> tuple[Cel | None, bool, bool]:
        """What of the condition is known, whether that is all of it, and whether intents are meant at all."""
        when, path = self.source.mapping(self.data.get("when"), f"{self.path}.when"), f"{self.path}.when"
        parts: list[Cel | None] = []
        readable = True
        for key, value in when.items():
            place = join(path, key)
            try:
                if key in _TOOLS:
                    parts.append(self._tools(value, place))
                elif key in _AGENTS:
                    parts.append(one_of(Path("agent", ("name",)).value, self._names(value, place)))
                elif key in _KINDS:
                    if not self._means_intents(key, value, place):
                        return None, True, False
                elif key == "arguments":
                    tests, complete = argument_tests(self.source, value, place, sure=effect == ALLOW)
                    parts += tests
                    readable = readable and complete
                else:
                    raise CannotSay("has no equal here")
            except CannotSay as error:
                self._say_unreadable(place, str(error), effect)
                readable = False
        if not readable:
            self._say_unreadable(path, "could not be carried over whole", effect)
        known = both(*parts)
        if readable or fits(known):
            return known, readable, True
        return None, False, True

    def _say_unreadable(self, place: str, reason: str, effect: str) -> None:
        outcome = {
            ALLOW: "the rule is left out",
            ASK: "what the rule might have asked about is asked",
            BLOCK: "what the rule might have denied is blocked",
        }[effect]
        self.source.drop(place, f"{reason}; {outcome}")

    def _means_intents(self, key: str, value: Any, place: str) -> bool:
        mine, others = _KINDS[key]
        if value == mine:
            return True
        if value in others or (key == "action" and isinstance(value, str) and value.startswith("execution.")):
            self.source.drop(place, f"{quoted(value)} is nothing that an agent proposes; the rule is left out")
            return False
        raise CannotSay(f"{quoted(value)} has no equal here")

    def _names(self, value: Any, place: str) -> list[str]:
        """One name or several; none at all could mean nobody or everybody."""
        names = self.source.texts([value] if isinstance(value, str) else value, place, most=200)
        if not names:
            raise self.source.refuse(place, "names nothing; leave it out where everything is meant")
        return names

    def _tools(self, value: Any, place: str) -> Cel | None:
        names = self._names(value, place)
        action = Path("intent", ("action",))
        exact = [name for name in names if not set(name) & set("*?[]\\")]
        globs = [glob_test(action, name) for name in names if name not in exact]
        if "*" in names:
            return None
        return either(*([one_of(action.value, exact)] if exact else []), *globs)
