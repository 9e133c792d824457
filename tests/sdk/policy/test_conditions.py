"""Conditions are checked before they are believed."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from zehrava.policy import PolicyError, PolicySet, Verdict, parse_policy

NOW = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)
AGENT = {"id": "agt_1", "name": "billing-1", "owner": "mia", "environment": "production", "tier": "gold", "labels": {}}


def document(condition: str, effect: str = "allow") -> str:
    quoted = condition.replace("\\", "\\\\").replace('"', '\\"')
    rule = f'  - {{id: a, effect: {effect}, when: "{quoted}"}}'
    return f'name: p\nmatch: {{actions: ["*"]}}\nrules:\n{rule}\ndefault: block\n'


def verdict(condition: str, payload: Any, effect: str = "allow", **intent: Any) -> Verdict:
    policies = PolicySet.parse(document(condition, effect))
    return policies.evaluate(**{"action": "x.y", "payload": payload, "agent": AGENT, "now": NOW, **intent})


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("paylod.x == 1", "unknown variable 'paylod'"),
        ("used.x == 1", "unknown variable 'used'"),
        ("payload.l.all(x, y > 1)", "unknown variable 'y'"),
        ("payload.l.all(x, x > 1) && x > 1", "unknown variable 'x'"),
        ("payload.l.all(payload, payload > 1)", "is taken"),
        ("foo(payload.x)", "unknown function 'foo'"),
        ("payload.x.foo()", "unknown function 'foo'"),
        ("members__(payload.x).all(x, true)", "unknown function 'members__'"),
        ("payload.l.map(x, x) == []", "not offered"),
        ("payload.l.filter(x, true) == []", "not offered"),
        ("payload.l.all(x, payload.l.all(y, y == x))", "a walk inside a walk"),
        ("payload.l.all(x, x.all(y, x.all(z, z == y)))", "a walk inside a walk"),
        ("Foo{a: 1} == 1", "not supported"),
        (".payload.x == 1", "follows nothing"),
        ("payload.x ==", "not a condition: it ends after `==`; a value is missing"),
        ("payload.x = 1", "at character 11, '=' does not belong here; write == to compare"),
        ("payload.x > > 1", "at character 13, `>` stands where a value belongs"),
        ("payload.x == 1 payload.y", "at character 16, `payload` does not belong after `1`"),
        ("payload.", "it ends after `.`; a name is missing"),
        ("payload.x ? true", "it ends after `true`; `:` is missing"),
        ("payload.x == 'abc", "at character 14, a text begins that never ends"),
        ("payload.x and payload.y", "unknown variable 'and' at character 11; write &&"),
        ("(payload.x == 1", "never closed"),
        ("payload.x == 1)", "closes nothing"),
        ("payload.?x == 1", "unknown variable"),
        ("  ", "empty"),
        ('amount("5oo") > amount(payload.x)', "an amount is written like"),
        ('payload.x.matches("(")', "not a pattern"),
        ("payload.x.matches(payload.y)", "written out"),
        ('payload.x.matches("a{1000}")', "repeats at most"),
        ('payload.x.matches("(a{20}){20}")', "repeats at most"),
        ("true" + " || true" * 128, "at most 256"),
        ("(" * 33 + "true" + ")" * 33, "at most 32 deep"),
        ("!" * 40 + "true", "at most 32 deep"),
        ('"' + "a" * 2000 + '" == ""', "at most 2000 characters"),
    ],
)
def test_a_condition_that_cannot_work_does_not_load(condition: str, reason: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(document(condition))
    assert caught.value.path == "rules[0].when"
    assert (caught.value.line, caught.value.column) == (4, 34)
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    "condition",
    [
        "true" + " || true" * 127,
        "(" * 31 + "true" + ")" * 31,
        'payload.l.all(x, x.tags.exists(t, t == "a" || size(t) > 0))',
        'payload.l.exists(x, ["a", "b"].exists(y, y == x.sku)) || true',
        'payload["x y"] == 1 || true',
        "has(payload.x) && payload.x > 0 || true // because",
        "now > timestamp('2020-01-01T00:00:00Z')",
        'payload.s.matches(r"^\\d+$") || true',
        "payload.s.size() > 0 || true",
        "agent.labels.team == 'x' || intent.summary_length == 0",
        "type(payload.s) == string",
        "{'a': payload.s}.a == payload.s",
    ],
)
def test_a_condition_within_the_bounds_loads_and_holds(condition: str) -> None:
    payload = {"l": [{"sku": "a", "tags": ["a", "b"]}], "s": "12"}
    assert verdict(condition, payload).effect == "allow"


@pytest.mark.parametrize(
    ("condition", "payload", "reason"),
    [
        ("payload.missing > 1", {}, "there is no 'missing'"),
        ("payload.a > 1", {"a": "x"}, "different kinds"),
        ("payload.a > 1", {"a": None}, "different kinds"),
        ("payload.a", {"a": "yes"}, "gives a string, not true or false"),
        ("payload.a", {"a": 1}, "gives a number"),
        ("payload.a", {"a": None}, "gives null"),
        ("payload.a / payload.b > 1", {"a": 1, "b": 0}, "zero"),
        ("payload.a > 1", [1], "has no members"),
        ("payload.a.all(x, x > 1)", {"a": 7}, "only a list or a map"),
        ('amount(payload.a) > amount("5")', {"a": "5 EUR"}, "an amount is written like"),
        ('amount(payload.a) > amount("5")', {"a": True}, "an amount is a number or a decimal string"),
        ('domain(payload.a) == "x.com"', {"a": "a@b@x.com"}, "exactly one @"),
        ('glob(payload.a, "*")', {"a": 5}, "glob() compares"),
        ("payload.a > 1.0", {"a": float("nan")}, "not a number"),
        ("payload.a > 1", {"a": 2**53}, "2^53-1"),
        ("true", {"a": {1: 2}}, "key that is not a string"),
        ("true", {"a": {1, 2}}, "not JSON"),
        ("intent.records > 5", {}, "different kinds"),
        ("agent.owner == agent.nickname", {}, "there is no 'nickname'"),
        ("context.reason == 'x'", {}, "there is no 'reason'"),
    ],
)
def test_an_error_asks_where_the_rule_would_allow(condition: str, payload: Any, reason: str) -> None:
    said = verdict(condition, payload)
    assert said.effect == "require_approval"
    assert reason in said.reason
    assert said.requirement["all_of"] == [{"group": "reviewers", "count": 1}]


@pytest.mark.parametrize(("effect", "expected"), [("block", "block"), ("allow", "require_approval")])
def test_an_error_blocks_in_a_block_rule_and_is_never_a_non_match(effect: str, expected: str) -> None:
    said = verdict("payload.missing > 1", {}, effect)
    assert (said.effect, said.rule) == (expected, "a")
    entry = said.trace[0]
    assert (entry["held"], entry["error"]) == ("error", "there is no 'missing'")


def test_a_condition_sees_the_intent_and_the_trusted_attributes_of_the_agent() -> None:
    condition = (
        'intent.action == "x.y" && intent.target == "t" && intent.records == 3 && intent.value.amount == "9" '
        '&& intent.summary_length == 5 && "a" in intent.tags && intent.on_behalf_of == "kim" '
        '&& intent.execution_mode == "agent" && agent.tier == "gold" && context.note == "n"'
    )
    intent = {
        "target": "t",
        "records": 3,
        "value": {"amount": "9", "currency": "EUR"},
        "summary": "hello",
        "tags": ["a"],
        "on_behalf_of": "kim",
        "execution_mode": "agent",
        "context": {"note": "n"},
    }
    assert verdict(condition, {}, **intent).effect == "allow"


def test_what_the_agent_says_about_itself_is_not_what_conditions_see_of_it() -> None:
    said = verdict("agent.trusted == true", {}, agent={**AGENT, "trusted": True})
    assert said.effect == "require_approval"


def test_a_failing_function_does_not_write_the_payload_to_the_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    verdict('amount(payload.a) > amount("5")', {"a": "not-an-amount"})
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


SECRETS = {
    "text": "s3cret", "number": 918273645, "list": ["s3cret"], "date": "2026-13-45",
    "map": {"s3cret": 1, "b3cret": 2, "c3cret": {"d3cret": 3}},
}  # fmt: skip
SHOW_NOTHING = [
    'weekday(now, payload.map) == "mon"', 'weekday(now, payload.text) == "mon"', "on_days(now, payload.map, ['mon'])",
    'in_cidr("192.0.2.1", payload.text)', 'in_cidr("192.0.2.1", [payload.map])', 'in_cidr("192.0.2.1", payload.map)',
    'in_cidr("192.0.2.1", ["10.0.0.0/8", payload.text])', "payload.map[payload.text] == payload.gone",
    "payload.map[payload.list] == 1", "payload.list[payload.number] == 1", "payload.map[payload.number] == 1",
    "payload.number * 9000000000000 * 9000 > 1", 'duration(payload.text) > duration("1s")',
    "timestamp(payload.date) < now", "int(payload.text) == 1", 'amount(payload.map) > amount("1")',
    'amount(payload.text) > amount("1")', 'amount_sum(payload.list) > amount("1")',
    'domain(payload.text) == "example.com"', 'url_host(payload.text) == "example.com"',
    'on_dates(now, "UTC", payload.date, "2026-01-01")', 'in_hours(now, "UTC", payload.text, "10:00")',
    "json_size([now, payload.map]) > 1", "payload.map > 1", "payload.text", "payload.map", "payload.text.all(x, x > 1)",
    'payload.map.all(k, payload.map[k] > "a")', "glob(payload.text, payload.map)", "length(payload.map) > 1",
]  # fmt: skip


@pytest.mark.parametrize("condition", SHOW_NOTHING)
def test_an_error_repeats_no_value_of_the_payload_and_is_the_same_every_time(condition: str) -> None:
    reasons = set()
    for _ in range(12):  # CEL hands maps over in random order
        said = verdict(condition, SECRETS)
        reasons.add((said.reason, json.dumps(said.trace[0]["error"])))
    ((reason, _),) = reasons
    assert "could not be evaluated" in reason
    for value in ("3cret", "918273645", "2026-13", "unhashable", "Error"):
        assert value not in reason


def test_what_is_no_json_is_asked_about_and_not_looked_past() -> None:
    condition = 'contains_term(payload, ["sue"])'
    assert verdict(condition, {"a": ["we sue"]}, "block").effect == "block"
    said = verdict(condition, {"a": ("we sue",)}, "block")
    assert said.effect == "block", "it is the policy's first rule that fails"
    assert verdict(condition, {"a": ("we sue",)}, "allow").effect == "require_approval"
    assert "payload holds a tuple, which is not JSON" in said.reason


def test_an_instant_outside_of_the_calendar_is_asked_about_in_words() -> None:
    now = datetime.datetime.min.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    policies = PolicySet.parse("name: p\nmatch: {actions: [x.y]}\nrules:\n  - {id: a, effect: allow}\n")
    said = policies.evaluate(action="x.y", payload={}, agent={}, now=now)
    assert (said.effect, said.reason) == (
        "require_approval",
        "policies could not be evaluated: now is outside of the calendar",
    )
