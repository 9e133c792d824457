"""What an agent gains by sending much: nothing. No size of an intent lifts a block, and no trace says otherwise."""

import datetime
import json
import subprocess
import sys

import pytest

from zehrava.policy import PolicySet
from zehrava.policy.conditions import Condition
from zehrava.policy.tokens import ConditionError

pytestmark = pytest.mark.sdk

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
OTHER = "name: a-import\nmatch: {actions: [crm.import]}\nrules:\n" + "".join(
    f"  - {{id: w{n}, when: 'contains_term(payload, [\"t{n}\"])', effect: require_approval}}\n" for n in range(5)
)
BLOCKS = """
name: b-transfer
match: {actions: [bank.transfer]}
rules:
  - {id: note, when: 'contains_term(payload.note, ["refund"])', effect: require_approval}
  - {id: sanctioned, when: 'payload.country == "KP"', effect: block}
default: require_approval
"""


def said(policies: PolicySet, rows: int, **named: str):
    payload = {"note": "hello", "country": "KP", "rows": "hello " * rows}
    return policies.evaluate(action="bank.transfer", payload=payload, agent={"id": "a"}, now=NOW, **named)


@pytest.mark.parametrize("rows", [1, 160_000])
def test_neither_naming_a_policy_nor_padding_lifts_a_block(rows):
    both = PolicySet.parse(OTHER, BLOCKS)
    everywhere = PolicySet.parse(OTHER.replace("[crm.import]", "['*']"), BLOCKS)
    assert said(both, rows).effect == "block"
    assert said(both, rows, policy="a-import").effect == "block"
    assert said(everywhere, rows).effect == "block"
    alone = PolicySet.parse(BLOCKS.replace("payload.note", "payload"))
    assert said(alone, rows).effect == "block"


def test_the_trace_says_of_every_rule_what_decided():
    """A rule that costs nothing is decided although others used up what may be read; the trace agrees."""
    policies = PolicySet.parse(BLOCKS.replace("payload.note", "payload"))
    verdict = said(policies, 180_000)
    held = {entry["rule"]: entry["held"] for entry in verdict.trace}
    assert (verdict.effect, verdict.rule) == ("block", "sanctioned")
    assert held == {"note": "error", "sanctioned": True}


@pytest.mark.parametrize(
    ("condition", "payload"),
    [
        ('amount_sum(payload.l) > amount("9")', {"l": [1] * 300_000}),
        ('payload.l.exists(i, contains_term(i, ["sue"]))', {"l": ["s3 $ @!"] * 20_000}),
        ('payload.l.exists(i, in_cidr(i, ["10.0.0.0/8"]))', {"l": ["2001:db8::1"] * 40_000}),
        ('contains_term(payload.t, ["sue"])', {"t": "hello " * 170_000}),
    ],
)
def test_one_call_that_would_take_a_second_is_not_made(condition, payload):
    rules = [{"id": "r", "when": condition, "effect": "allow"}]
    document = {"name": "p", "match": {"actions": ["*"]}, "rules": rules}
    verdict = PolicySet.parse(json.dumps(document)).evaluate(action="a.b", payload=payload, agent={}, now=NOW)
    assert verdict.effect == "require_approval"
    assert "too large" in verdict.reason
    assert "value" not in verdict.trace[0]["operands"][0]


@pytest.mark.parametrize(
    "source",
    [
        "{1: 2, true: 3}.exists(k, k == 1)",
        '{payload.a: "x", payload.b: "y"}.exists(k, k == 1)',
        '{"a": 1, "a": 2}.exists(k, k == "a")',
        '{1: 1, "1": 2}.all(k, k > 0)',
        'payload.x == {1.5: "a"}',
        "[{true: 1}].exists(m, m == payload.m)",
    ],
)
def test_a_map_has_texts_for_keys_each_once(source):
    with pytest.raises(ConditionError, match="keys of a map"):
        Condition.parse(source)


def test_maps_with_texts_for_keys_say_the_same_in_every_process():
    program = """
import datetime, sys
from zehrava.policy import PolicySet
rules = '[{id: r, when: "payload.m == {\\\\"b\\\\": 1, \\\\"a\\\\": true}", effect: allow}]'
policies = PolicySet.parse(f"name: p\\nmatch: {{actions: ['*']}}\\nrules: {rules}\\n")
now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
verdict = policies.evaluate(action="a.b", payload={"m": {"a": True, "b": 1}}, agent={}, now=now)
print(verdict.effect, list(verdict.trace[0]["operands"]))
"""
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(5)
    ]
    assert {run.stdout for run in runs} == {runs[0].stdout}
    assert runs[0].stdout.startswith("allow")


@pytest.mark.parametrize("condition", ['payload.t.contains("zq{n}")', "size(payload.t) > 200000{n}"])
def test_a_thousand_searches_through_a_megabyte_are_not_all_made(condition):
    """What goes through a long text counts too: with three policies of that kind the work ends half-way, in an ask."""
    texts = [
        f"name: p{each}\nmatch: {{actions: [a.b]}}\ndefault: allow\nrules:\n"
        + "".join(f"  - {{id: r{n}, when: '{condition.format(n=n)}', effect: allow}}\n" for n in range(1_000))
        for each in range(3)
    ]
    named = {"action": "a.b", "agent": {"name": "x"}, "now": NOW}

    long = PolicySet.parse(*texts).evaluate(payload={"t": "é" * 1_000_000}, **named)
    short = PolicySet.parse(*texts).evaluate(payload={"t": "é" * 10_000}, **named)

    assert (long.effect, short.effect) == ("require_approval", "allow")
    assert "too large" in long.reason
