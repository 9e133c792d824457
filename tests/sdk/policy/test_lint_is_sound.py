"""Lint raises no false alarm: what it says of every intent is so for every intent tried."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from zehrava.action_types import ActionType
from zehrava.policy import Policy, parse_policy
from zehrava.policy.cases import NOW
from zehrava.policy.conditions import Reads
from zehrava.policy.linting import Finding, lint
from zehrava.policy.plain_data import EvaluationError

ACTION = "shop.sell"
MISSING = object()
NUMBERS = [MISSING, -1, 0, 1, 2, 2.5, 3, "1", "2.50", True, None, [1]]
STRINGS = [MISSING, "", "1" + "1".zfill(30) + "." + "0" * 12, "a", "ab", "b", 1, None, ["a"], {"k": 1}]
INNER = [MISSING, {}, {"k": 1}, {"k": "a"}, {"k": True}, "text", 3]
FLAGS = [MISSING, True, False]


def payloads() -> list[dict[str, Any]]:
    found = []
    for n, s, d, b in itertools.product(NUMBERS, STRINGS, INNER, FLAGS):
        members = {"n": n, "s": s, "d": d, "b": b}
        found.append({name: value for name, value in members.items() if value is not MISSING})
    return found


PAYLOADS = payloads()
SCHEMAS: list[Any] = [
    {"type": "object", "additionalProperties": False, "required": ["n"],
     "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 3}, "s": {"enum": ["a", "b"]},
                    "b": {"type": "boolean"}}},
    {"type": "object", "properties": {"n": {"type": ["number", "string"]}, "s": {"type": "string", "minLength": 1}}},
    {"$defs": {"k": {"type": "object", "required": ["k"], "properties": {"k": {"type": "integer"}}}},
     "type": "object", "required": ["d"],
     "properties": {"d": {"$ref": "#/$defs/k"}, "n": {"exclusiveMinimum": 0, "type": "number"}}},
    {"anyOf": [{"type": "object", "required": ["s"], "properties": {"s": {"const": "a"}, "n": {"type": "string"}}},
               {"type": "object", "required": ["n"], "properties": {"s": False, "n": {"maximum": 2}}}]},
    {"type": "object", "allOf": [{"properties": {"s": {"maxLength": 1}}}, {"properties": {"s": {"pattern": "^a"}}}],
     "properties": {"d": {"oneOf": [{"type": "object"}, {"const": 3}]}}, "required": ["s", "b"]},
]  # fmt: skip

NUMBER = st.sampled_from(["-1", "0", "1", "2", "2.5", "3", "1u"])
TEXT = st.sampled_from(['""', '"a"', '"ab"', '"b"', '"1"'])
ANY = st.one_of(NUMBER, TEXT, st.sampled_from(["true", "false", "null"]))
PATHS = st.sampled_from(["payload.n", "payload.s", "payload.b", "payload.d", "payload.d.k", 'payload["n"]'])
ORDER = st.sampled_from(["<", "<=", ">", ">="])
EQUAL = st.sampled_from(["==", "!="])


@st.composite
def atoms(draw: st.DrawFn) -> str:
    path, other = draw(PATHS), draw(PATHS)
    shape = draw(st.integers(0, 17))
    if shape == 0:
        return f"{path} {draw(ORDER)} {draw(st.one_of(NUMBER, TEXT))}"
    if shape == 1:
        return f"{path} {draw(EQUAL)} {draw(ANY)}"
    if shape == 2:
        return f"{path} in [{', '.join(draw(st.lists(ANY, max_size=3)))}]"
    if shape == 3:
        return f"has({draw(st.sampled_from(['payload.n', 'payload.s', 'payload.d', 'payload.d.k', 'payload.b']))})"
    if shape == 4:
        return (
            f'amount({path}) {draw(st.one_of(ORDER, EQUAL))} amount("{draw(st.sampled_from(["0", "1", "2.5", "-1"]))}")'
        )
    if shape == 5:
        return f"{draw(st.sampled_from(['size', 'length']))}({path}) {draw(st.one_of(ORDER, EQUAL))} {draw(NUMBER)}"
    if shape == 6:
        return path
    if shape == 7:
        return f"{path}.startsWith({draw(TEXT)})"
    if shape == 8:
        return f"{path} {draw(st.one_of(ORDER, EQUAL))} {other}"
    if shape == 9:
        return f"{draw(ANY)} {draw(st.one_of(ORDER, EQUAL))} {path}"
    if shape == 10:
        return draw(st.sampled_from(["true", "false", "1 < 2", '"a" == "b"', "1 + 1", "null > 1", "1 / 0 == 1"]))
    if shape == 11:
        return f"intent.records {draw(st.one_of(ORDER, EQUAL))} {draw(st.one_of(NUMBER, st.just('null')))}"
    if shape == 12:
        return f"{path} + 1 {draw(ORDER)} {draw(NUMBER)}"
    if shape == 13:
        return f"{draw(TEXT)} in {path}"
    if shape == 14:
        return (
            f'amount_times({path}, "2") {draw(st.one_of(ORDER, EQUAL))} amount("{draw(st.sampled_from(["0", "5"]))}")'
        )
    if shape == 15:
        other = draw(st.sampled_from(['amount_times("1", "2")', 'amount("2")']))
        return f'amount_times({path}, "2") {draw(st.one_of(ORDER, EQUAL))} {other}'
    if shape == 16:
        return f'amount_sum([{path}]) {draw(st.one_of(ORDER, EQUAL))} amount("1")'
    return f"[1, 2].exists(x, x == {path})"


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda part: f"!({part})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
    )


CONDITIONS = st.recursive(atoms(), joined, max_leaves=5)


def policy_of(conditions: list[str | None]) -> Policy:
    rules = [
        {"id": f"r{index}", "effect": "block", **({} if condition is None else {"when": condition})}
        for index, condition in enumerate(conditions)
    ]
    document = {"name": "p", "match": {"actions": [ACTION]}, "rules": rules, "default": "block"}
    return parse_policy(json.dumps(document))


def outcomes(policy: Policy, values: Mapping[str, Any]) -> list[Any]:
    """What each condition gives: True, False or None for an error; rules without one are true."""
    conditions = [rule.condition for rule in policy.rules]
    surroundings = Reads(condition for condition in conditions if condition).environment(values)
    found: list[Any] = []
    for condition in conditions:
        try:
            found.append(True if condition is None else condition.holds(surroundings))
        except EvaluationError:
            found.append(None)
    return found


def disproof(finding: Finding, results: list[Any], rules: int) -> bool:
    """Whether an intent that gave these results shows that the finding is false."""
    index = rules if finding.path == "default" else int(finding.path.split("[")[1].split("]")[0])
    reached = all(result is False for result in results[:index])
    if finding.code == "unreachable":  # said at the rule behind which nothing is reached
        return reached and results[index : index + 1] in ([], [False])
    if finding.code == "shadowed":
        return reached and results[index] is True
    if "`" in finding.message.split(" can never hold")[0].split(" never has")[0]:
        return False  # about a part: see below
    if finding.code == "never-holds":
        return results[index] is True
    if finding.code == "never-answers":
        return results[index] is not None
    return finding.code == "always-holds" and results[index] is False


CODES = {"unreachable", "shadowed", "never-holds", "never-answers", "always-holds"}
INTENT = {"action": ACTION, "target": None, "value": None, "summary_length": 0, "tags": [], "on_behalf_of": None}
REST: dict[str, Any] = {"agent": {}, "context": {}, "usage": {}, "now": NOW}


def worlds(payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "payload": payload,
            "intent": {**INTENT, "records": records},
            "agent": {},
            "context": {},
            "usage": {},
            "now": NOW,
        }
        for payload, records in zip(payloads, itertools.cycle([None, 0, 2]), strict=False)
    ]


EVERY = worlds(PAYLOADS)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def check(policy: Policy, findings: list[Finding], every: list[dict[str, Any]]) -> None:
    claims = [finding for finding in findings if finding.code in CODES]
    for finding in claims:
        note(f"{finding.path} {finding.code}: {finding.message}")
    for values in every if claims else ():
        results = outcomes(policy, values)
        for finding in claims:
            assert not disproof(finding, results, len(policy.rules)), (finding, values, results)


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(st.lists(st.one_of(CONDITIONS, st.none()), min_size=1, max_size=4))
def test_no_finding_about_rules_is_disproved_by_an_intent(conditions: list[str | None]) -> None:
    policy = policy_of(conditions)
    check(policy, lint([policy]), EVERY)


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(st.sampled_from(SCHEMAS), st.lists(st.one_of(CONDITIONS, st.none()), min_size=1, max_size=3))
def test_no_finding_about_a_schema_is_disproved_by_a_payload_that_it_admits(
    schema: Any, conditions: list[str | None]
) -> None:
    action_type = ActionType.parse(json.dumps({"name": ACTION, "schema": schema}))
    policy = policy_of(conditions)
    valid = [payload for payload in PAYLOADS if not action_type.validate(payload)]
    assert valid
    check(policy, lint([policy], {ACTION: action_type}), worlds(valid))


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(st.sampled_from([None, *SCHEMAS]), CONDITIONS, st.sampled_from(["||", "&&"]), CONDITIONS)
def test_no_finding_about_a_part_of_a_condition_is_disproved(schema: Any, one: str, joint: str, other: str) -> None:
    action_type = ActionType.parse(json.dumps({"name": ACTION, **({} if schema is None else {"schema": schema})}))
    policy = policy_of([f"{one} {joint} {other}"])
    every = worlds([payload for payload in PAYLOADS if not action_type.validate(payload)])
    for finding in lint([policy], {ACTION: action_type}):
        if finding.code not in ("never-holds", "never-answers") or not finding.message.startswith("`"):
            continue
        ending = "` never has an answer" if finding.code == "never-answers" else "` can never hold"
        part = finding.message[1:].split(ending)[0]
        alone = policy_of([part])
        for values in every:
            (result,) = outcomes(alone, values)
            assert result is None if finding.code == "never-answers" else result is not True, (finding, values)
