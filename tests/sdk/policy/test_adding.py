"""What is added to a list is never a map: the library would add its keys in an order of each process's own."""

import json
import subprocess
import sys

import pytest

from zehrava.policy.conditions import Condition, Reads
from zehrava.policy.plain_data import EvaluationError

pytestmark = pytest.mark.sdk

MAP = {letter: number for number, letter in enumerate("abcdefghij")}
PAYLOAD = {"m": MAP, "l": [1, 2], "s": "x", "n": 3, "inner": {"m": MAP, "l": ["y"]}, "t": True}


def value(source: str) -> object:
    condition = Condition.parse(source)
    return condition.value(Reads([condition]).environment({"payload": PAYLOAD}))


@pytest.mark.parametrize(
    "source",
    [
        '(payload.l + payload.m)[3] == "h"',
        '([0] + payload.m + [1]).exists(x, x == "a")',
        "size(payload.l + payload.inner.m) == 12",
        '(payload.l + {"a": 1, "b": 2, "c": 3})[2] == "a"',
        '(payload.l + payload["m"])[2] == "a"',
        '(payload.l + (payload.t ? payload.m : payload.l))[2] == "a"',
        '(payload.l + dyn(payload.m))[2] == "a"',
        '[payload.inner].exists(x, ([0] + x.m)[1] == "a")',
        '(payload.l + (payload.t ? payload.inner : payload.inner).m)[2] == "a"',
    ],
)
def test_adding_a_map_gives_no_answer(source):
    with pytest.raises(EvaluationError, match="map"):
        value(source)


@pytest.mark.parametrize(
    ("source", "gives"),
    [
        ("payload.l + payload.inner.l", [1, 2, "y"]),
        ("payload.n + payload.n", 6),
        ("payload.s + payload.s + 'z'", "xxz"),
        ("1 + payload.n * 2", 7),
        ("(payload.l + [payload.m])[2].a", 0),
        ("payload.l + (payload.t ? payload.inner.l : payload.l)", [1, 2, "y"]),
        ("payload.l.exists(x, x + payload.n == 5)", True),
        ('(payload.l + payload.inner.l).exists(x, x == "y")', True),
        ('amount("1") == (payload.t ? amount("1") : amount("2"))', True),
    ],
)
def test_everything_else_is_added_as_it_was(source, gives):
    assert value(source) == gives


PROGRAM = """
import datetime, json, sys
from zehrava.policy import PolicySet
policies = PolicySet.parse(json.loads(sys.argv[1]))
now = datetime.datetime(2026, 3, 7, tzinfo=datetime.UTC)
verdict = policies.evaluate(action="a.b", payload=json.loads(sys.argv[2]), agent={}, now=now)
trace = [dict(step, operands=list(step["operands"]), limits=[]) for step in verdict.trace]
print(json.dumps([verdict.effect, verdict.rule, verdict.reason, trace]))
"""
POLICY = """
name: p
match: {actions: ['*']}
rules:
  - {id: list, when: '(["x"] + payload.m)[1] == "a"', effect: allow}
  - {id: other, when: 'payload.m.exists(k, k == "c") && payload.m == payload.m', effect: allow}
"""


def test_every_process_says_the_same_of_a_map_where_a_list_was_meant():
    said = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(POLICY), json.dumps(PAYLOAD)],
            capture_output=True, text=True, check=True,
        ).stdout
        for _ in range(8)
    }  # fmt: skip
    assert len(said) == 1
    assert json.loads(said.pop())[0] == "require_approval"
