"""Promise 1 as properties: policies read as the documentation says, no error allows, and more policy is never less.

Random documents are judged twice: by the engine, and by the few lines of `reading`, which know beforehand which of
their conditions hold, do not hold or fail.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from zehrava.policy import PolicyError, PolicySet, Verdict, parse_policy

NOW = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)
AGENT = {
    "id": "agt_1",
    "name": "billing",
    "owner": "mia",
    "environment": "production",
    "tier": "standard",
    "labels": {},
}
PAYLOAD = {
    "one": 1, "text": "abc", "flag": True, "nothing": None, "amount": "10.00", "minus": "-1", "odd": "1e3",
    "list": [1, 2, 3], "mixed": [1, "x"], "map": {"a": 1, "b": 2}, "to": ["a@example.com"],
}  # fmt: skip
INTENT: dict[str, Any] = {
    "action": "stripe.refund", "payload": PAYLOAD, "agent": AGENT, "target": "ch_1", "tags": ["vip"], "records": 3,
    "now": NOW,
}  # fmt: skip

HOLDS = [
    "payload.one == 1", 'amount(payload.amount) > amount("5")', "payload.list.all(x, x > 0)", "has(payload.nothing)",
    'payload.text in ["abc", "d"]', "payload.flag", 'agent.environment == "production"', "intent.records > 2",
    'domain(payload.to[0]) == "example.com"', '"vip" in intent.tags', "payload.nothing == null",
    "size(payload.list) == 3",
    'payload.text.startsWith("ab")', 'payload.text.matches("^[a-c]+$")', 'glob(payload.text, "a*")',
]  # fmt: skip
HOLDS_NOT = [
    "payload.one == 2", 'amount(payload.amount) > amount("500")', "payload.list.exists(x, x > 5)", "has(payload.gone)",
    '!(payload.text in ["abc"])', "!payload.flag", 'payload.text == "ABC"', "intent.records > 3", 'payload.one == "1"',
    "payload.list.exists_one(x, x > 0)", 'agent.tier == "trusted"', 'payload.text.contains("z")',
]  # fmt: skip
FAILS = [
    "payload.gone == 1", "payload.gone.deeper", "payload.one", 'payload.one > "a"',
    'amount(payload.text) > amount("5")',
    'amount(payload.odd) > amount("5")', "payload.mixed.all(x, x > 0)", 'domain(payload.text) == "a.b"',
    "!payload.text",
    "1 / (payload.one - 1) == 1", "size(payload.one) > 1", "payload.list[7] == 1", "context.gone == 1",
    'usage["no/such/0"] == 0', "payload.text.all(x, true)", "payload.nothing.gone == 1", 'int(payload.text) == 1',
]  # fmt: skip
OUTCOMES: dict[str, bool | None] = {
    **dict.fromkeys(HOLDS, True), **dict.fromkeys(HOLDS_NOT, False), **dict.fromkeys(FAILS, None),
}  # fmt: skip
BLOCK, ASK, ALLOW = "block", "require_approval", "allow"
STRICTNESS = {ALLOW: 0, ASK: 1, BLOCK: 2}
GROUPS = ["finance", "legal", "reviewers", "security"]
FOR_EVER = 10**12

# --- random documents ----------------------------------------------------------------------------------------------

DURATIONS = {"90s": 90, "15m": 900, "1h": 3_600, "2d": 172_800}


@st.composite
def approvals(draw: st.DrawFn) -> dict[str, Any]:
    groups = draw(st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3, unique=True))
    approval: dict[str, Any] = {"all_of": [{"group": group, "count": draw(st.integers(1, 3))} for group in groups]}
    if draw(st.booleans()):
        approval["expires_in"] = draw(st.sampled_from(sorted(DURATIONS)))
    if draw(st.integers(0, 3)) == 0:
        approval["any_of"] = [{"group": draw(st.sampled_from(GROUPS))}]
    if draw(st.integers(0, 3)) == 0:
        approval["order"] = "listed"
    if draw(st.integers(0, 3)) == 0:
        approval["step_up"] = True
    if draw(st.integers(0, 3)) == 0:
        approval["rejections"] = draw(st.integers(1, 3))
    if draw(st.integers(0, 3)) == 0:
        approval |= {"on_timeout": "escalate", "escalate_to": [{"group": draw(st.sampled_from(GROUPS))}]}
    return approval


LIMITS = st.one_of(
    st.builds(lambda: {"count": 5}),  # a new one each time: a test below breaks documents
    st.fixed_dictionaries(
        {"count": st.integers(1, 5)},
        optional={
            "window": st.sampled_from(sorted(DURATIONS)),
            "over": st.sampled_from([ASK, BLOCK]),
            "per": st.sampled_from(["agent", "target", "everything", "payload.text", "payload.gone"]),
        },
    ),
    st.fixed_dictionaries(
        {
            "sum": st.sampled_from(
                ["payload.amount", "payload.gone", "payload.minus", "payload.odd", "intent.records"]
            ),
            "max": st.sampled_from(["9.99", "10", "50", "0"]),
        },
        optional={"over": st.sampled_from([ASK, BLOCK])},
    ),
)


@st.composite
def documents(draw: st.DrawFn, name: str, conditions: list[str] | None = None) -> dict[str, Any]:
    rules = []
    for index in range(draw(st.integers(1, 4))):
        rule: dict[str, Any] = {"id": f"r{index}", "effect": draw(st.sampled_from([ALLOW, ASK, BLOCK]))}
        if draw(st.integers(0, 4)):
            rule["when"] = draw(st.sampled_from(conditions or list(OUTCOMES)))
        if rule["effect"] != BLOCK and draw(st.integers(0, 2)) == 0:
            rule["limits"] = draw(st.lists(LIMITS, min_size=1, max_size=2))
        asks = any(limit.get("over", ASK) == ASK for limit in rule.get("limits", ()))
        if (rule["effect"] == ASK or asks) and draw(st.booleans()):
            rule["approval"] = draw(approvals())
        rules.append(rule)
    document = {
        "name": name,
        "match": {"actions": draw(st.sampled_from([["*"], ["stripe.*"], ["stripe.refund"], ["a.b"]]))},
        "rules": rules,
    }
    if draw(st.integers(0, 3)) == 0:
        document["match"]["tags"] = draw(st.sampled_from([["vip"], ["v*", "x"], ["other"]]))
    for key, patterns in (("agents", ["billing", "b*"]), ("environments", ["production", "p*n"])):
        if draw(st.integers(0, 3)) == 0:
            document["match"][key] = draw(st.sampled_from([["*"], ["else*"], *([each] for each in patterns)]))
    if draw(st.booleans()):
        document["default"] = draw(st.sampled_from([ALLOW, ASK, BLOCK]))
    if draw(st.integers(0, 2)) == 0:
        document["expires_in"] = draw(st.sampled_from(sorted(DURATIONS)))
    return document


@st.composite
def sets(draw: st.DrawFn, least: int = 0, conditions: list[str] | None = None) -> list[dict[str, Any]]:
    names = draw(st.permutations(["alpha", "bravo", "charlie"]))[: draw(st.integers(least, 3))]
    return [draw(documents(name, conditions)) for name in names]


USED = st.one_of(
    st.just(0),
    st.just("0"),
    st.integers(0, 6),
    st.sampled_from(["0", "40", "0.001", "-1", "x", "", None, True, 1.5, [], "1e3", -1]),
)
DEFAULTS = st.sampled_from([ASK, BLOCK])


def limit_names(written: list[dict[str, Any]]) -> list[str]:
    return [
        f"{each['name']}/{rule['id']}/{index}"
        for each in written
        for rule in each["rules"]
        for index in range(len(rule.get("limits", ())))
    ]


@st.composite
def worlds(draw: st.DrawFn, least: int = 0) -> tuple[list[dict[str, Any]], dict[str, Any] | None, str]:
    """Policies, what is used of their limits (or that nobody knows), and the default of the set."""
    written = draw(sets(least))
    usage = {name: draw(USED) for name in limit_names(written) if draw(st.integers(0, 5))}
    return written, draw(st.sampled_from([usage, usage, usage, None])), draw(DEFAULTS)


def compiled(written: list[dict[str, Any]], default: str = ASK) -> PolicySet:
    return PolicySet([parse_policy(json.dumps(each)) for each in written], default=default)


# --- how the documentation reads them ------------------------------------------------------------------------------


@dataclass
class Said:
    effect: str
    approvals: tuple[dict[str, Any], ...] = ({},)  # joined
    expires_in: str | None = None
    within: frozenset[str] = frozenset()  # the limits that this uses up


def covers(document: dict[str, Any], agent: dict[str, Any]) -> bool | None:
    """Whether a policy is for the intent; None where the agent does not say what decides that."""
    match = document["match"]
    if match["actions"] == ["a.b"]:
        return False
    for key, what in (("agents", "name"), ("environments", "environment")):
        if match.get(key, ["*"]) == ["*"]:
            continue
        if not isinstance(agent.get(what), str):
            return None
        if match[key] == ["else*"] or agent[what] != AGENT[what]:
            return False
    return bool(match.get("tags", ["vip"]) != ["other"])


def over(limit: dict[str, Any], used: Any) -> str | None:
    """What a limit says, or None within it."""
    otherwise = limit.get("over", ASK)
    adds = {"payload.amount": "10.00", "intent.records": "3"}.get(limit["sum"]) if "sum" in limit else "1"
    if adds is None or limit.get("per") == "payload.gone":
        return otherwise
    if used is missing:
        return ASK
    if not ((type(used) is int and used >= 0) or (isinstance(used, str) and used in ("0", "40", "0.001"))):
        return otherwise
    most = float(limit["max"]) if "sum" in limit else limit["count"]
    return otherwise if float(used) + float(adds) > most + 1e-9 else None


missing = object()


def alone(document: dict[str, Any], usage: dict[str, Any] | None, first: int = 0) -> Said:
    """What a policy says, from its rule number ``first`` on."""
    expires_in = document.get("expires_in")
    for index, rule in enumerate(document["rules"][first:], first):
        outcome = OUTCOMES[rule["when"]] if "when" in rule else True
        if outcome is False:
            continue
        own = rule.get("approval", {})
        if outcome is None:
            if rule["effect"] == BLOCK:
                return Said(BLOCK)
            rest = alone(document, usage, index + 1)
            others = {ALLOW: (), ASK: rest.approvals, BLOCK: tuple(everybody(document))}[rest.effect]
            return Said(ASK, (own, *others), expires_in)
        limits = {f"{document['name']}/{rule['id']}/{index}": each for index, each in enumerate(rule.get("limits", ()))}
        effects = [over(limit, (usage or {}).get(name, missing)) for name, limit in limits.items()]
        said = [effect for effect in effects if effect]
        if said:
            return Said(max(said, key=lambda each: STRICTNESS[each]), (own,), expires_in)
        return Said(rule["effect"], (own,), expires_in, frozenset(limits))
    return Said(document.get("default", ASK), ({},), expires_in)


def everybody(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The approvals of all rules that ask, by themselves or above a limit."""
    return [
        rule.get("approval", {})
        for rule in document["rules"]
        if rule["effect"] == ASK or any(limit.get("over", ASK) == ASK for limit in rule.get("limits", ()))
    ]


def reading(
    written: list[dict[str, Any]], usage: dict[str, Any] | None, default: str, agent: dict[str, Any]
) -> tuple[str, dict[str, int], int, set[str]]:
    """The effect, the seats per group, the seconds until it expires and the limits that are used up."""
    said = [
        Said(ASK, expires_in=document.get("expires_in")) if covers(document, agent) is None else alone(document, usage)
        for document in written
        if covers(document, agent) is not False
    ] or [Said(default)]
    effect = max((each.effect for each in said), key=lambda each: STRICTNESS[each])
    seats: dict[str, int] = {}
    expires_in = FOR_EVER
    for each in said if effect == ASK else []:
        if each.effect != ASK:
            continue
        for approval in each.approvals:
            for seat in approval.get("all_of", [{"group": "reviewers", "count": 1}]):
                seats[seat["group"]] = max(seat["count"], seats.get(seat["group"], 0))
            expiry = approval.get("expires_in", each.expires_in)
            expires_in = min(expires_in, DURATIONS[expiry] if expiry else FOR_EVER)
    return effect, seats, expires_in, {name for each in said if each.effect == effect for name in each.within}


def seats_of(verdict: Verdict) -> dict[str, int]:
    return {seat["group"]: seat["count"] for seat in (verdict.requirement or {"all_of": []})["all_of"]}


def expiry_of(verdict: Verdict) -> int:
    return (verdict.requirement or {}).get("expires_in") or FOR_EVER


def assert_no_looser(after: Verdict, before: Verdict) -> None:
    """That what is said ``after`` lets nothing through that ``before`` held back, and asks nobody less."""
    assert STRICTNESS[after.effect] >= STRICTNESS[before.effect]
    if after.effect == before.effect == ASK:
        assert after.requirement is not None
        assert before.requirement is not None
        mine = seats_of(after)
        assert all(mine.get(group, 0) >= count for group, count in seats_of(before).items())
        assert expiry_of(after) <= expiry_of(before)
        assert after.requirement.get("step_up", False) >= before.requirement.get("step_up", False)
        assert after.requirement.get("rejections", 1) <= before.requirement.get("rejections", 1)
        for key in ("any_of", "in_order"):
            assert all(each in after.requirement.get(key, []) for each in before.requirement.get(key, []))
    counted = {use.limit for use in before.limits if use.counts}
    mine_too = {use.limit for use in before.limits}
    assert {use.limit for use in after.limits if use.counts} & mine_too <= counted


# --- the properties ------------------------------------------------------------------------------------------------


def test_each_condition_does_what_these_tests_take_it_to_do() -> None:
    for condition, outcome in OUTCOMES.items():
        for effect in (ALLOW, BLOCK):
            document = {
                "name": "p",
                "match": {"actions": ["*"]},
                "rules": [{"id": "a", "when": condition, "effect": effect}],
            }
            said = compiled([document | {"default": BLOCK if effect == ALLOW else ALLOW}]).evaluate(**INTENT)
            expected = {
                True: effect,
                False: BLOCK if effect == ALLOW else ALLOW,
                None: BLOCK if effect == BLOCK else ASK,
            }
            assert said.effect == expected[outcome], condition


@settings(max_examples=200, deadline=None)
@given(worlds(), st.sampled_from([{}, {}, {"name": None}, {"environment": None}, {"environment": 5, "name": ""}]))
def test_the_verdict_is_the_one_that_the_documentation_describes(
    world: tuple[list[dict[str, Any]], dict[str, Any] | None, str], odd: dict[str, Any]
) -> None:
    written, usage, default = world
    agent = {key: value for key, value in {**AGENT, **odd}.items() if value is not None}
    hidden = 'agent.environment == "production"' in json.dumps(written).replace('\\"', '"')
    if odd and hidden:
        return  # a condition on what the agent does not say: the other properties hold that it never allows
    verdict = compiled(written, default).evaluate(**{**INTENT, "agent": agent}, usage=usage)
    counted = {use.limit for use in verdict.limits if use.counts}
    assert (verdict.effect, seats_of(verdict), expiry_of(verdict), counted) == reading(written, usage, default, agent)
    assert list(verdict.consulted) == sorted(verdict.consulted)


@settings(max_examples=100, deadline=None)
@given(sets(1, FAILS), DEFAULTS, st.data())
def test_whatever_fails_in_every_rule_nothing_is_allowed_by_a_rule(
    written: list[dict[str, Any]], default: str, data: st.DataObject
) -> None:
    for document in written:
        for rule in document["rules"]:
            rule["when"] = data.draw(st.sampled_from(FAILS))
    verdict = compiled(written, default).evaluate(**INTENT, usage=dict.fromkeys(limit_names(written), 0))
    assert verdict.effect != ALLOW
    assert not any(use.counts for use in verdict.limits)


@settings(max_examples=200, deadline=None)
@given(worlds(1), st.data())
def test_breaking_a_condition_that_did_not_hold_chooses_nobody_less_to_ask(
    world: tuple[list[dict[str, Any]], dict[str, Any] | None, str], data: st.DataObject
) -> None:
    written, usage, default = world
    before = compiled(written, default).evaluate(**INTENT, usage=usage)
    unmet = [rule for document in written for rule in document["rules"] if OUTCOMES.get(rule.get("when", "")) is False]
    for rule in unmet[: data.draw(st.integers(0, len(unmet)))]:
        rule["when"] = data.draw(st.sampled_from(FAILS))
    after = compiled(written, default).evaluate(**INTENT, usage=usage)
    if before.effect == ASK:
        assert_no_looser(after, before)
    else:
        assert before.effect == ALLOW or after.effect != ALLOW
    if before.effect == BLOCK and after.effect == ASK and before.policy and len(written) == 1:
        approvals = [rule.get("approval", {}) for rule in written[0]["rules"] if rule["effect"] == ASK]
        for seat in (seat for approval in approvals for seat in approval.get("all_of", ())):
            assert seats_of(after)[seat["group"]] >= seat["count"]


BROKEN: list[dict[str, Any]] = [
    {"payload": float("nan")}, {"payload": {"a": 2**60}}, {"payload": {1: 2}}, {"payload": object()},
    {"action": ""}, {"action": None}, {"action": 5}, {"tags": "vip"}, {"tags": {"vip": 1}}, {"tags": 5},
    {"tags": [object()]},
    {"records": -1}, {"records": "3"}, {"records": True}, {"value": 5}, {"value": "x"}, {"agent": None}, {"agent": 5},
    {"agent": {"name": object()}}, {"context": 5}, {"context": "x"}, {"now": None},
    {"now": datetime.datetime(2026, 1, 1)},
    {"now": "2026-01-01T00:00:00Z"}, {"usage": 5}, {"usage": "x"}, {"usage": [1]}, {"usage": {"a": object()}},
    {"policy": 5}, {"policy": ["alpha"]}, {"policy": ""}, {"summary": 5}, {"on_behalf_of": object()},
]  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(worlds(), st.sampled_from(BROKEN))
def test_an_intent_that_is_none_is_never_allowed_and_never_raises(
    world: tuple[list[dict[str, Any]], dict[str, Any] | None, str], broken: dict[str, Any]
) -> None:
    written, usage, default = world
    verdict = compiled(written, default).evaluate(**{**INTENT, "usage": usage, **broken})
    assert verdict.effect in (ASK, BLOCK)
    assert not any(use.counts for use in verdict.limits)


@settings(max_examples=200, deadline=None)
@given(worlds(1), st.data())
def test_one_more_policy_never_loosens_a_verdict(
    world: tuple[list[dict[str, Any]], dict[str, Any] | None, str], data: st.DataObject
) -> None:
    written, usage, default = world
    one = data.draw(st.sampled_from(written))
    fewer = [document for document in written if document is not one]
    before = compiled(fewer, default).evaluate(**INTENT, usage=usage)
    after = compiled(written, default).evaluate(**INTENT, usage=usage)
    if before.consulted:  # where none covered the intent the default spoke, and a policy is there to speak instead
        assert_no_looser(after, before)


@settings(max_examples=200, deadline=None)
@given(worlds(), st.sampled_from(["alpha", "bravo", "charlie", "nobody", "Alpha", "../alpha"]))
def test_naming_a_policy_never_loosens_a_verdict(
    world: tuple[list[dict[str, Any]], dict[str, Any] | None, str], named: str
) -> None:
    written, usage, default = world
    policies = compiled(written, default)
    before = policies.evaluate(**INTENT, usage=usage)
    after = policies.evaluate(**INTENT, usage=usage, policy=named)
    assert_no_looser(after, before)
    if named not in policies.names:
        assert after.effect != ALLOW


@settings(max_examples=120, deadline=None)
@given(worlds())
def test_more_used_never_loosens_a_verdict(world: tuple[list[dict[str, Any]], dict[str, Any] | None, str]) -> None:
    written, _, default = world
    policies = compiled(written, default)
    before = policies.evaluate(**INTENT, usage=dict.fromkeys(limit_names(written), 0))
    for used in (1, "40", 10**9):
        after = policies.evaluate(**INTENT, usage=dict.fromkeys(limit_names(written), used))
        assert STRICTNESS[after.effect] >= STRICTNESS[before.effect]
        before = after


def shuffled(value: Any, data: st.DataObject) -> Any:
    """The same value, the keys of its mappings in another order."""
    if isinstance(value, dict):
        keys = data.draw(st.permutations(list(value)))
        return {key: shuffled(value[key], data) for key in keys}
    return [shuffled(each, data) for each in value] if isinstance(value, list) else value


@settings(max_examples=200, deadline=None)
@given(worlds(), st.data())
def test_neither_the_order_of_policies_nor_of_keys_matters(
    world: tuple[list[dict[str, Any]], dict[str, Any] | None, str], data: st.DataObject
) -> None:
    written, usage, default = world
    named = data.draw(st.sampled_from([None, "alpha", "nobody"]))
    before = compiled(written, default).evaluate(**INTENT, usage=usage, policy=named)
    again = compiled([shuffled(each, data) for each in data.draw(st.permutations(written))], default)
    intent = shuffled({**INTENT, "usage": usage}, data)
    after = again.evaluate(**intent, policy=named)
    assert json.dumps(after.document()) == json.dumps(before.document())
    assert after.limits == before.limits
    assert after.consulted == before.consulted
    assert json.dumps(list(after.trace)) == json.dumps(list(before.trace))


# --- documents with something wrong in them ------------------------------------------------------------------------

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=5), st.just([]), st.just({}), st.floats(),
    st.sampled_from(["allow", "block", "1h", "alpha", "\u202e", "\0", "{payload.one}", "payload.one == 1"]),
    st.just("x" * 3_000),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        found += places(member, (*path, key))
    return found


@settings(max_examples=200, deadline=None)
@given(documents("alpha"), st.data())
def test_a_document_with_something_wrong_in_it_is_refused_or_still_a_policy(
    document: dict[str, Any], data: st.DataObject
) -> None:
    *above, key = data.draw(st.sampled_from(places(document)))
    holder: Any = document
    for step in above:
        holder = holder[step]
    change = data.draw(st.sampled_from(["replace", "remove", "rename", "repeat"]))
    if change == "replace":
        holder[key] = data.draw(ODD)
    elif change == "remove":
        del holder[key]
    elif isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[data.draw(st.text(max_size=4))] = holder[key] if change == "repeat" else holder.pop(key)
    try:
        policies = PolicySet([parse_policy(json.dumps(document, ensure_ascii=False))])
    except PolicyError as error:
        assert error.line >= 1
        assert error.column >= 1
        return
    verdict = policies.evaluate(**INTENT)
    rules = policies.policies[0].rules
    allows = policies.policies[0].default == ALLOW or any(rule.effect == ALLOW for rule in rules)
    assert verdict.effect != ALLOW or allows
