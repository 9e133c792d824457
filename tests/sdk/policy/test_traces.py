"""A verdict explains itself: every rule considered, with the value of each operand."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zehrava.policy import PolicyError, PolicySet, Verdict, tracing

NOW = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)
AGENT = {"id": "agt_1", "name": "billing-1", "owner": "mia", "environment": "production", "tier": "gold", "labels": {}}


def policies(*rules: dict[str, Any], name: str = "p") -> PolicySet:
    filled = [{"id": f"r{index}", "effect": "allow", **rule} for index, rule in enumerate(rules)]
    return PolicySet.parse(json.dumps({"name": name, "match": {"actions": ["*"]}, "rules": filled}))


def verdict(condition: str, payload: Any, **more: Any) -> Verdict:
    return policies({"when": condition}).evaluate(action="x.y", payload=payload, agent=AGENT, now=NOW, **more)


def shown(condition: str, payload: Any, **more: Any) -> list[tuple[str, Any]]:
    """Each operand of the one rule, with its value, its error, or "-" where it was not looked at."""
    operands = verdict(condition, payload, **more).trace[0]["operands"]
    return [
        (operand["expression"], "-" if operand.get("skipped") else operand.get("value", operand.get("error")))
        for operand in operands
    ]


@pytest.mark.parametrize(
    ("condition", "payload", "expected"),
    [
        ("payload.a > 1", {"a": 2}, [("payload.a", 2)]),
        ('payload.a in ["x", "y"]', {"a": "z"}, [("payload.a", "z")]),
        ("payload.a == payload.b", {"a": 1, "b": None}, [("payload.a", 1), ("payload.b", None)]),
        (
            'amount(payload.a) > amount("500")',
            {"a": "0120.50"},
            [("amount(payload.a)", "120.5"), ("payload.a", "0120.50")],
        ),
        ('amount(payload.a) < amount("0")', {"a": -3}, [("amount(payload.a)", "-3"), ("payload.a", -3)]),
        ('amount(payload.a) == amount("0")', {"a": "-0.00"}, [("amount(payload.a)", "0"), ("payload.a", "-0.00")]),
        ("payload.flag", {"flag": True}, [("payload.flag", True)]),
        ("has(payload.a)", {}, [("has(payload.a)", False)]),
        ("true", {}, []),
        (
            "payload.a == 1 && !payload.b",
            {"a": 1, "b": False},
            [("payload.a == 1", True), ("payload.a", 1), ("!payload.b", True), ("payload.b", False)],
        ),
        (
            "has(payload.a) && payload.a > 1",
            {},
            [
                ("has(payload.a)", False),
                ("payload.a > 1", "-"),
            ],
        ),
        ("payload.l.all(x, x.n > 0)", {"l": [{"n": 1}]}, [("payload.l", [{"n": 1}])]),
        (
            'glob(payload.a, "x*")',
            {"a": "xy"},
            [('glob(payload.a, "x*")', True), ("payload.a", "xy")],
        ),
        (
            'payload.a.startsWith("x") || payload.b',
            {"a": 5, "b": True},
            [
                ('payload.a.startsWith("x")', "-"),
                ("payload.b", True),
            ],
        ),
        ("payload.l[payload.n].x == 1", {"l": [{"x": 1}], "n": 0}, [("payload.l[payload.n].x", 1), ("payload.n", 0)]),
        ("payload.m != {}", {"m": {"b": 1, "a": 2}}, [("payload.m", {"a": 2, "b": 1})]),
        ("payload.a == payload.a", {"a": 1}, [("payload.a", 1)]),
        (
            "payload.a ? payload.b : payload.c",
            {"a": True, "b": True, "c": 0},
            [("payload.a", True), ("payload.b", True), ("payload.c", 0)],
        ),
        ("payload.a / 0.0 > 1.0", {"a": 1.5}, [("payload.a / 0.0", "inf"), ("payload.a", 1.5)]),
        ("payload.a * 4 > 1", {"a": 2**52}, [("payload.a * 4", str(2**54)), ("payload.a", 2**52)]),
        ('now > timestamp("2026-01-01T00:00:00Z")', {}, [("now", "2026-03-07T12:00:00+00:00")]),
        (
            'now - timestamp("2026-03-07T11:59:58.5Z") > duration("1s")',
            {},
            [('now - timestamp("2026-03-07T11:59:58.5Z")', "1.5s"), ("now", "2026-03-07T12:00:00+00:00")],
        ),
        ('bytes(payload.a) == b"x"', {"a": "x"}, [("bytes(payload.a)", "b'x'"), ("payload.a", "x")]),
    ],
)
def test_each_operand_is_shown_with_its_value(condition: str, payload: Any, expected: list[tuple[str, Any]]) -> None:
    found = shown(condition, payload)
    assert expected == (found if not found or expected[0][0] == condition else found[1:])


WHY = [
    # the condition, the payload, whether it holds, and what each part gave
    (
        'amount(payload.amount) > amount("500")', {"amount": "6"}, False,
        [
            ('amount(payload.amount) > amount("500")', False),
            ("amount(payload.amount)", "6"),
            ("payload.amount", "6"),
        ],
    ),
    (
        'has(payload.country) && payload.country in ["KP"] || payload.vip', {"vip": True}, True,
        [
            ('has(payload.country) && payload.country in ["KP"] || payload.vip', True),
            ('has(payload.country) && payload.country in ["KP"]', False),
            ("has(payload.country)", False),
            ('payload.country in ["KP"]', "-"),
            ("payload.vip", True),
        ],
    ),
    (
        "payload.gone > 1 && payload.b", {"b": False}, False,
        [("payload.gone > 1 && payload.b", False), ("payload.gone > 1", "-"), ("payload.b", False)],
    ),
    (
        "(payload.gone > 1 && payload.b) || payload.gone > 2", {"b": False}, "error",
        [
            ("(payload.gone > 1 && payload.b) || payload.gone > 2", "there is no 'gone'"),
            ("payload.gone > 1 && payload.b", False),
            ("payload.gone > 1", "-"),
            ("payload.gone", "there is no 'gone'"),
            ("payload.b", False),
            ("payload.gone > 2", "there is no 'gone'"),
        ],
    ),
    (
        "!(has(payload.a) && payload.a == 1)", {}, True,
        [
            ("!(has(payload.a) && payload.a == 1)", True),
            ("has(payload.a) && payload.a == 1", False),
            ("has(payload.a)", False),
            ("payload.a == 1", "-"),
        ],
    ),
    (
        "has(payload.a) ? payload.a == 1 : payload.b == 2", {"b": 2}, True,
        [
            ("has(payload.a) ? payload.a == 1 : payload.b == 2", True),
            ("has(payload.a)", False),
            ("payload.a == 1", "-"),
            ("payload.b == 2", True),
            ("payload.b", 2),
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "payload", "held", "expected"), WHY)
def test_a_trace_says_the_condition_then_what_each_part_gave_and_only_what_decided_is_an_error(
    condition: str, payload: Any, held: Any, expected: list[tuple[str, Any]]
) -> None:
    entry = verdict(condition, payload).trace[0]
    assert (entry["when"], entry["held"]) == (condition, held)
    assert shown(condition, payload) == expected


def test_a_rule_without_a_condition_and_the_default_have_none_in_the_trace() -> None:
    found = policies({"when": "payload.a == 1"}).evaluate(action="x.y", payload={"a": 2}, agent=AGENT, now=NOW)
    assert [entry["when"] for entry in found.trace] == ["payload.a == 1", None]
    found = policies({}).evaluate(action="x.y", payload={}, agent=AGENT, now=NOW)
    assert [entry["when"] for entry in found.trace] == [None]


@pytest.mark.parametrize(
    ("value", "cut"),
    [
        ("a" * 500, "a" * 200 + "… (500 characters)"),
        (["a" * 50] * 10, ("[" + '"' + "a" * 50 + '", ') * 1),
        ({"k": "b" * 300}, '{"k": "bbb'),
    ],
)
def test_a_long_value_is_cut_and_says_so(value: Any, cut: str) -> None:
    _, (_, said) = shown("payload.a == 1", {"a": value})
    assert isinstance(said, str)
    assert said.startswith(cut)
    assert said.endswith("characters)")
    assert len(said) < 230


def test_the_trace_lists_every_rule_considered_and_no_other() -> None:
    found = policies(
        {"when": "payload.a == 1"},
        {"when": "payload.gone == 1 && false"},
        {"when": "payload.a == 2", "effect": "require_approval"},
        {"when": "payload.a == 3"},
    ).evaluate(action="x.y", payload={"a": 2}, agent=AGENT, now=NOW)
    assert [(entry["rule"], entry["effect"], entry["held"]) for entry in found.trace] == [
        ("r0", "allow", False),
        ("r1", "allow", False),
        ("r2", "require_approval", True),
    ]
    nothing = policies({"when": "payload.a == 1"}).evaluate(action="x.y", payload={"a": 2}, agent=AGENT, now=NOW)
    assert [(entry["rule"], entry["held"]) for entry in nothing.trace] == [("r0", False), ("default", True)]


def test_the_trace_shows_the_limits_of_the_rule_that_held() -> None:
    limited = policies(
        {"when": "payload.a == 1", "limits": [{"count": 2, "window": "1h"}]},
        {"limits": [{"count": 20, "window": "1h"}, {"sum": "payload.amount", "max": "100", "over": "block"}]},
    )
    found = limited.evaluate(action="x.y", payload={"a": 2}, agent=AGENT, now=NOW, usage={"p/r1/0": 20, "p/r1/1": 0})
    assert found.trace[0]["limits"] == []
    known, unknown = found.trace[1]["limits"]
    assert known == {"limit": "p/r1/0", "used": "20", "adds": "1", "most": "20", "window": 3600, "over": True}
    assert unknown["limit"] == "p/r1/1"
    assert "payload.amount cannot be summed" in unknown["error"]


def test_after_a_rule_that_failed_the_trace_shows_the_rules_that_say_who_else_is_asked() -> None:
    rules = (
        {"when": "payload.gone == 1"},
        {"when": "payload.a == 1"},
        {"when": "payload.a == 2", "effect": "require_approval"},
        {"when": "payload.a == 3"},
    )
    found = policies(*rules).evaluate(action="x.y", payload={"a": 2}, agent=AGENT, now=NOW)
    assert [(entry["rule"], entry["held"]) for entry in found.trace] == [("r0", "error"), ("r1", False), ("r2", True)]
    blocked = policies(rules[0], {"when": "payload.gone == 2", "effect": "block"}, rules[2])
    found = blocked.evaluate(action="x.y", payload={"a": 2}, agent=AGENT, now=NOW)
    assert [(entry["rule"], entry["held"]) for entry in found.trace] == [("r0", "error"), ("r1", "error")]


def test_limits_are_not_shown_where_the_condition_failed() -> None:
    found = policies({"when": "payload.gone == 1", "limits": [{"count": 2}]}).evaluate(
        action="x.y", payload={}, agent=AGENT, now=NOW, usage={"p/r0/0": 1}
    )
    assert [(entry["held"], entry["limits"]) for entry in found.trace] == [("error", []), (True, [])]


def test_a_plain_evaluation_works_out_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    worked_out = []
    entries = tracing.Trace._of
    monkeypatch.setattr(tracing.Trace, "_of", lambda *given: worked_out.append(1) or entries(*given))
    found = verdict("payload.a == 1", {"a": 1})
    assert found.document()["effect"] == "allow"
    assert found == verdict("payload.a == 1", {"a": 1})
    assert worked_out == []
    assert found.trace is found.trace
    assert worked_out == [1]


def test_the_trace_shows_only_what_the_condition_could_read() -> None:
    found = policies({"when": "payload.a == 1"}).evaluate(
        action="x.y", payload={"a": 1, "secret": "s3cret"}, agent=AGENT, now=NOW
    )
    assert "s3cret" not in json.dumps(found.trace)


def test_a_condition_that_cannot_be_evaluated_is_still_explained() -> None:
    found = verdict('payload.a > 1 && payload.b == "x"', {"a": "5", "b": "x"})
    entry = found.trace[0]
    assert entry["held"] == "error"
    assert entry["error"].startswith("values of different kinds cannot be compared or combined; an amount in a text")
    assert {"expression": "payload.a", "value": "5"} in entry["operands"]
    assert {"expression": "payload.b", "value": "x"} in entry["operands"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
CONDITIONS = st.recursive(
    st.sampled_from(
        [
            "payload.a > 1",
            'payload.b == "KP"',
            'amount(payload.a) > amount("500")',
            "payload.c.all(x, x > 1)",
            "payload.c.exists(k, payload.c[k] > 1)",
            "size(payload.d) > 2",
            'domain(payload.a) == "x.com"',
            "has(payload.x)",
            "payload.x",
            "payload == payload.a",
            "[payload.a, payload.b][0] == {'z': payload.c, 'a': payload.d}",
            "(payload.a ? payload.b : payload.c) == -payload.d",
            "1 / payload.a == 1",
            "type(payload.a) == string",
            "context.a + payload.a == payload.b",
        ]
    ),
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||"]), inner) | st.builds("!({})".format, inner)
    ),
    max_leaves=4,
)


FAILED_BLOCK = ("error", "block")


@settings(max_examples=300, deadline=None)
@given(st.lists(CONDITIONS, min_size=1, max_size=3), st.dictionaries(st.sampled_from("abcdx"), JSON) | JSON, JSON)
def test_every_trace_is_small_json_and_agrees_with_the_verdict(conditions: list[str], payload: Any, claim: Any) -> None:
    rules = [
        {"when": condition, "effect": "block" if index == 1 else "allow"} for index, condition in enumerate(conditions)
    ]
    try:
        first, second = policies(*rules), policies(*rules)
    except PolicyError:
        return
    intent = {"action": "x.y", "payload": payload, "agent": AGENT, "context": {"a": claim}, "now": NOW}
    found = first.evaluate(**intent)
    text = json.dumps(found.trace, allow_nan=False)
    assert text == json.dumps(second.evaluate(**intent).trace)
    if not found.trace:
        assert found.rule is None
        return
    decided = next(entry for entry in found.trace if entry["held"] is not False)
    assert (decided["policy"], decided["rule"]) == (found.policy, found.rule)
    assert (decided["held"] is True) == ("could not be evaluated" not in found.reason)
    ends = [entry for entry in found.trace if entry["held"] is True or (entry["held"], entry["effect"]) == FAILED_BLOCK]
    assert ends == [found.trace[-1]]
    for entry in found.trace:
        for operand in entry["operands"]:
            assert len(json.dumps(operand.get("value", ""), ensure_ascii=False)) < 3_000
