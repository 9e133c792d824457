"""Promises 1 and 7: no error ever allows, and no process sees another verdict than the next."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from zehrava.policy import PolicyError, PolicySet, parse_policy

NOW = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(),
    st.text(max_size=8),
    st.just("500"),
    st.just("KP"),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcdxy"), inner, max_size=4),
    max_leaves=12,
)
TERMS = [
    "payload.a > 1",
    'payload.b == "KP"',
    'amount(payload.a) > amount("500")',
    "payload.c.all(x, x > 1)",
    "payload.c.exists(k, payload.c[k] > 1)",
    "payload.c.exists_one(x, x == 1)",
    "size(payload.d) > 2",
    'domain(payload.a) == "x.com"',
    'glob(payload.b, "K*")',
    "has(payload.x)",
    "payload.x",
    "intent.records > 5",
    'agent.environment == "production"',
    "context.a == payload.a",
    'payload.y.matches("^[a-z]+$")',
    "1 / payload.a == 1",
]
CONDITIONS = st.recursive(
    st.sampled_from(TERMS),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||"]), inner) | st.builds("!({})".format, inner)
    ),
    max_leaves=5,
)
EFFECTS = st.sampled_from(["allow", "block", "require_approval"])


def document(name: str, rules: list[tuple[str, str]], default: str) -> str:
    lines = [f"name: {name}", 'match: {actions: ["*"]}', f"default: {default}", "rules:"]
    for index, (condition, effect) in enumerate(rules):
        lines.append(f"  - id: r{index}\n    effect: {effect}\n    when: |-\n      {condition}")
    return "\n".join(lines)


RULES = st.lists(st.tuples(CONDITIONS, EFFECTS), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None)
@given(RULES, EFFECTS, JSON, JSON)
def test_no_error_ever_comes_out_as_allow(
    rules: list[tuple[str, str]], default: str, payload: Any, context: Any
) -> None:
    policies = PolicySet.parse(document("p", rules, default))
    intent = {
        "action": "x.y",
        "payload": payload,
        "agent": {"environment": "production"},
        "context": context,
        "now": NOW,
    }
    verdict = policies.evaluate(**intent)
    if any(step["held"] == "error" for step in verdict.trace) or not verdict.trace:
        assert verdict.effect in ("block", "require_approval")
    if verdict.effect == "allow":
        decided = verdict.trace[-1]
        assert decided["held"] is True
        assert decided["effect"] == "allow"
        assert all(step["held"] is False for step in verdict.trace[:-1])
    assert policies.evaluate(**intent) == verdict


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300) | st.text("abc:{}[]'\"-?!&*|>%@`#\n ,", max_size=120))
def test_any_text_is_a_policy_or_an_error_with_a_place(text: str) -> None:
    try:
        parse_policy(text)
    except PolicyError as error:
        assert error.line >= 1
        assert error.column >= 1
        assert error.reason


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text("payload.xz()[]{}&|!=<>'\"\\,?:+-*/%1 ", max_size=60))
def test_any_condition_is_read_or_refused_and_never_crashes(condition: str) -> None:
    text = f"name: p\nmatch: {{actions: [x]}}\nrules:\n  - id: a\n    effect: allow\n    when: {condition!a}\n"
    try:
        policies = PolicySet.parse(text)
    except PolicyError:
        return
    verdict = policies.evaluate(action="x", payload={"x": 1}, agent={}, now=NOW)
    assert verdict.effect in ("allow", "require_approval")


PROGRAM = """
import datetime, json
from zehrava.policy import PolicySet
now = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)
names = ["delta", "alpha", "charlie", "bravo"]
text = '''name: NAME
match: {actions: ["x.*", "x.y", "*"]}
rules:
  - {id: walk, effect: allow, when: "payload.m.exists(k, payload.m[k] > 5)"}
  - {id: all, effect: allow, when: "payload.m.all(k, payload.m[k] > 5)"}
  - id: ask
    effect: require_approval
    reason: "NAME {payload.m}"
    approval: {all_of: [{group: zeta}, {group: NAME}, {group: beta, count: 2}]}
'''
policies = PolicySet.parse(*(text.replace("NAME", name) for name in names))
answers = []
for m in ({"a": 1, "b": 2, "c": 3}, {"a": "x", "b": 9, "c": 1}, {"c": 9, "b": "x"}, {"e": 9, "d": 8, "f": None}, {}):
    for policy in (None, "alpha", "zulu"):
        verdict = policies.evaluate(action="x.y", payload={"m": m}, agent={"name": "a"}, now=now, policy=policy)
        answers.append([verdict.document(), list(verdict.trace)])
try:
    PolicySet.parse("name: P\\nmatch: {foo: 1, bar: 2, baz: 3}\\nrules: [{id: a, effect: no, when: x + y + z}]")
except Exception as error:
    answers.append(str(error))
print(json.dumps(answers))
"""


def test_processes_with_different_hash_seeds_agree_byte_for_byte() -> None:
    outputs = set()
    for seed in ("0", "1", "2", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, env=environment, timeout=60)
        assert done.returncode == 0, done.stderr[-500:]
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert b'"held": "error"' in outputs.pop()


RANDOM = """
import datetime, json, random, sys
from zehrava.policy import PolicySet
terms = json.loads(sys.argv[1])
now = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)
chance = random.Random("the same in every process")
values = [None, True, 0, 1, 7, 2.5, "500", "KP", "a@x.com", [1, 2], [5, "x", None], {"b": 1, "a": "x"}, {"k": {"z": 2}}]

def value(depth=2):
    kind = chance.random()
    if not depth or kind < 0.6:
        return chance.choice(values)
    if kind < 0.75:
        return [value(depth - 1) for _ in range(chance.randrange(4))]
    return {key: value(depth - 1) for key in chance.sample("zyxdcba", chance.randrange(5))}

def condition():
    parts = [chance.choice(terms) for _ in range(chance.randrange(1, 4))]
    return chance.choice([" && ", " || "]).join(chance.choice(["(%s)", "!(%s)"]) % part for part in parts)

answers = []
for number in range(120):
    texts = []
    for name in chance.sample(["delta", "alpha", "charlie", "bravo"], chance.randrange(1, 4)):
        rules = [
            {"id": f"r{index}", "when": condition(), "effect": chance.choice(["allow", "block", "require_approval"]),
             "reason": "{payload} {context.a}"}
            for index in range(chance.randrange(1, 5))
        ]
        match = {"actions": chance.choice([["x.*", "*"], ["x.y", "x.*"]])}
        texts.append(json.dumps({"name": name, "match": match, "rules": rules}))
    policies = PolicySet.parse(*texts)
    for _ in range(4):
        verdict = policies.evaluate(
            action="x.y", payload=value(), context={"a": value()}, agent={"name": "a", "environment": "production"},
            now=now, policy=chance.choice([None, "alpha", "gone"]),
        )
        answers.append([verdict.document(), list(verdict.trace), [list(each) for each in verdict.consulted]])
print(json.dumps(answers))
"""


def test_processes_agree_byte_for_byte_on_random_policies_and_their_traces() -> None:
    outputs = set()
    for seed in ("0", "1", "31337"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", RANDOM, json.dumps(TERMS)]
        done = subprocess.run(command, capture_output=True, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr[-500:]
        outputs.add(done.stdout)
    assert len(outputs) == 1
    answers = json.loads(outputs.pop())
    held = [entry["held"] for _, trace, _ in answers for entry in trace]
    assert {True, False, "error"} == set(held)
    assert any(operand.get("value") for _, trace, _ in answers for entry in trace for operand in entry["operands"])
