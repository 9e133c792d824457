"""Policies of Rebuno: the first rule that matches a tool call decides, and nothing gets weaker on the way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk.policy.importers.said import reasons, said, verdict
from zehrava.policy import PolicyError, parse_policy
from zehrava.policy.importers import rebuno

ASK, BLOCK, ALLOW = "require_approval", "block", "allow"

SHELL = r"""
default_action: deny
rules:
  - id: allow-llm
    when: {step_kind: llm_call}
    then: {decision: allow}
  - id: never
    when: {tool: shell_exec, arguments: {command: {regex: 'rm\s+-rf\s+/(\s|$)'}}}
    then: {decision: deny, reason: not on my machine}
  - id: safe
    when:
      step_kind: tool_call
      tool: shell_exec
      arguments: {command: {regex: '^\s*(ls|cat)(\s+[^;&|<>$`()\\]*)?\s*$'}}
    then: {decision: allow}
  - id: other-shell
    when: {tool: 'shell_*'}
    then: {decision: require_approval, reason: a person looks, approvers: [ops]}
  - id: web
    when: {targets: ['web_*', 'doc?.get', calculator]}
    then: {decision: allow}
"""
FIRST = """
default_action: allow
rules:
  - {id: one, when: {tool: 'a.*'}, then: {decision: require_approval}}
  - {id: two, when: {tool: a.b}, then: {decision: deny}}
  - {id: three, when: {tool: '*'}, then: {decision: deny}}
"""
ARGUMENTS = """
default_action: allow
rules:
  - {id: exact, when: {arguments: {env: {equals: production}}}, then: {decision: deny}}
  - {id: part, when: {arguments: {path: {contains: secret}}}, then: {decision: deny}}
  - {id: listed, when: {arguments: {region: {one_of: [kp, ir]}}}, then: {decision: deny}}
  - {id: glob, when: {arguments: {file: '/etc/*'}}, then: {decision: deny}}
  - {id: dotted, when: {arguments: {a.b: x}}, then: {decision: deny}}
  - {id: number, when: {arguments: {level: 5}}, then: {decision: deny}}
"""
LISTED = """
default_action: deny
rules:
  - id: dear
    when: {tool_id: pay, arguments: [{field: amount, min: 1000}, {field: amount, required: true}]}
    then: {decision: deny}
  - id: cheap
    when: {tool_ids: [pay], arguments: [{field: amount, max: 10}, {field: note, max_length: 3}]}
    then: {decision: allow}
  - id: middle
    when: {tool: pay, arguments: [{field: amount, max: 100}]}
    then: {decision: require_approval}
"""
AGENTS = """
default_action: deny
rules:
  - {id: mine, when: {agent_ids: [worker, helper]}, then: {decision: allow}}
  - {id: his, when: {agent_id: other}, then: {decision: require_approval}}
"""


def shell(command: Any) -> dict[str, Any]:
    return {"action": "shell_exec", "payload": {"command": command}}


@pytest.mark.parametrize(
    ("source", "intent", "effect", "rule"),
    [
        (SHELL, shell("ls -la /tmp"), ALLOW, "safe"),
        (SHELL, shell("cat"), ALLOW, "safe"),
        (SHELL, shell("rm -rf /"), BLOCK, "never"),
        (SHELL, shell("rm  -rf / "), BLOCK, "never"),
        (SHELL, shell("rm -rf /tmp"), ASK, "other-shell"),
        (SHELL, shell("ls; rm x"), ASK, "other-shell"),
        (SHELL, {"action": "shell_exec", "payload": {}}, ASK, "other-shell"),
        (SHELL, {"action": "shell_other", "payload": {"command": "ls"}}, ASK, "other-shell"),
        (SHELL, {"action": "web_search"}, ALLOW, "web"),
        (SHELL, {"action": "web_"}, ALLOW, "web"),
        (SHELL, {"action": "doc1.get"}, ALLOW, "web"),
        (SHELL, {"action": "doc12.get"}, BLOCK, "default"),
        (SHELL, {"action": "calculator"}, ALLOW, "web"),
        (SHELL, {"action": "Calculator"}, BLOCK, "default"),
        (FIRST, {"action": "a.b"}, ASK, "one"),
        (FIRST, {"action": "b.a"}, BLOCK, "three"),
        (ARGUMENTS, {"payload": {"env": "production"}}, BLOCK, "exact"),
        (ARGUMENTS, {"payload": {"env": "staging"}}, ALLOW, "default"),
        (ARGUMENTS, {"payload": {"path": "/a/secrets"}}, BLOCK, "part"),
        (ARGUMENTS, {"payload": {"region": "ir"}}, BLOCK, "listed"),
        (ARGUMENTS, {"payload": {"region": "de"}}, ALLOW, "default"),
        (ARGUMENTS, {"payload": {"file": "/etc/a/b"}}, BLOCK, "glob"),
        (ARGUMENTS, {"payload": {"file": "/home/x"}}, ALLOW, "default"),
        (ARGUMENTS, {"payload": {"a": {"b": "x"}}}, ALLOW, "default"),
        (ARGUMENTS, {"payload": {"a.b": "x"}}, BLOCK, "dotted"),
        (ARGUMENTS, {"payload": {"level": 5}}, BLOCK, "number"),
        (ARGUMENTS, {"payload": {"level": "5"}}, BLOCK, "number"),
        (LISTED, {"action": "pay", "payload": {"amount": 1000}}, BLOCK, "dear"),
        (LISTED, {"action": "pay", "payload": {"amount": 10, "note": "abc"}}, ALLOW, "cheap"),
        (LISTED, {"action": "pay", "payload": {"amount": 10, "note": "abcd"}}, ASK, "middle"),
        (LISTED, {"action": "pay", "payload": {"amount": 100, "note": "abc"}}, ASK, "middle"),
        (LISTED, {"action": "pay", "payload": {"amount": 101}}, BLOCK, "default"),
        (LISTED, {"action": "pay", "payload": {}}, ASK, "middle"),
        (AGENTS, {}, ALLOW, "mine"),
        (AGENTS, {"agent": {"name": "other"}}, ASK, "his"),
        (AGENTS, {"agent": {"name": "stranger"}}, BLOCK, "default"),
        ("rules: []", {}, BLOCK, "everything"),
        ("rules: []\ndefault_action: allow", {}, ALLOW, "everything"),
        ("default: {decision: require_approval}\nrules: []", {}, ASK, "everything"),
    ],
)
def test_it_decides_as_rebuno_did(source: str, intent: dict[str, Any], effect: str, rule: str) -> None:
    assert said(rebuno(source, "p"), **intent) == (effect, rule)


@pytest.mark.parametrize("value", [5, True, None, ["production"], {"a": 1}])
@pytest.mark.parametrize("name", ["env", "path", "region", "file"])
def test_an_argument_of_another_kind_does_not_escape_a_rule_that_denies(name: str, value: Any) -> None:
    assert verdict(rebuno(ARGUMENTS, "p"), payload={name: value}).effect == BLOCK


@pytest.mark.parametrize("amount", ["5000", "many", [5000], True, {"n": 1}, None])
def test_what_is_no_number_does_not_escape_a_bound(amount: Any) -> None:
    made = rebuno(LISTED, "p")
    assert verdict(made, action="pay", payload={"amount": amount}).effect == BLOCK


@pytest.mark.parametrize("amount", ["5", [5], True, {"n": 1}, None])
def test_what_is_no_number_is_never_allowed(amount: Any) -> None:
    made = rebuno(LISTED.replace("min: 1000", "min: 1000000"), "p")
    assert verdict(made, action="pay", payload={"amount": amount, "note": "a"}).effect != ALLOW


@pytest.mark.parametrize("payload", ["ls", None, ["ls"], 5])
def test_a_payload_that_is_no_object_is_never_allowed_where_arguments_count(payload: Any) -> None:
    assert verdict(rebuno(SHELL, "p"), action="shell_exec", payload=payload).effect != ALLOW


@pytest.mark.parametrize(
    ("pattern", "beyond", "within"),
    [("/tmp/*", "/tmp/../etc/passwd", "/tmp/a"), ("/tmp/?a*", "/tmp//a", "/tmp/xa"), ("*", "a/b", "ab")],
)
def test_in_a_rule_that_allows_a_glob_does_not_reach_past_a_slash(pattern: str, beyond: str, within: str) -> None:
    source = "default_action: %s\nrules: [{id: a, when: {arguments: {path: '%s'}}, then: {decision: %s}}]"
    made = rebuno(source % ("deny", pattern, "allow"), "p")
    assert said(made, payload={"path": beyond}) == (BLOCK, "default")
    assert said(made, payload={"path": within}) == (ALLOW, "a")
    assert said(rebuno(source % ("allow", pattern, "deny"), "p"), payload={"path": beyond}) == (BLOCK, "a")
    assert any("slash" in reason for _, reason in reasons(made.notes))


def test_nor_does_what_is_beyond_it_pass_uncounted() -> None:
    rate = "rate_limit: {max: 5, window: 1h}"
    source = "default_action: allow\nrules: [{id: a, when: {arguments: {path: '/tmp/*'}}, then: {decision: allow, %s}}]"
    made = rebuno(source % rate, "p")
    assert said(made, payload={"path": "/tmp/a"}, used=5) == (BLOCK, "a")
    assert verdict(made, payload={"path": "/tmp/a/b"}, used=5).effect == ASK
    assert verdict(made, payload={"path": "/home/a"}, used=5).effect == ALLOW


def test_priorities_put_the_lowest_first() -> None:
    source = """
rules:
  - {id: late, priority: 20, when: {tool: 'a.*'}, then: {decision: allow}}
  - {id: early, priority: 10, when: {tool: a.b}, then: {decision: deny}}
"""
    made = rebuno(source, "p")
    assert said(made) == (BLOCK, "early")
    assert said(made, action="a.c") == (ALLOW, "late")
    assert "rules" in [path for path, _ in reasons(made.notes)]


def test_one_of_several_approvers_is_enough_and_they_are_groups() -> None:
    source = (
        "rules: [{id: a, then: {decision: require_approval, approval_config: {approvers: [x, y], timeout: 1h30m}}}]"
    )
    made = rebuno(source, "p")
    assert verdict(made).requirement == {
        "all_of": [],
        "any_of": [[{"group": "x", "count": 1}, {"group": "y", "count": 1}]],
        "expires_in": 5_400,
    }
    assert any("groups" in reason for _, reason in reasons(made.notes))


@pytest.mark.parametrize(
    ("rate", "window", "per"),
    [
        ("{max_calls: 5, window: 1m}", "1m", "agent"),
        ("{max_calls: 5, window: 90s, per_what: agent}", "90s", "agent"),
        ("{max: 5, window: 1h0m0.5s, per_what: global}", "3601s", "everything"),
        ("{max_calls: 5, window: 500ms, per_what: agent}", "1s", "agent"),
    ],
)
def test_rates_become_limits_that_block(rate: str, window: str, per: str) -> None:
    made = rebuno(f"rules: [{{id: a, then: {{decision: allow, rate_limit: {rate}}}}}]", "p")
    assert f"count: 5\n        per: {per}\n        window: {window}\n        over: block" in made.document
    assert [said(made, used=used) for used in (4, 5)] == [(ALLOW, "a"), (BLOCK, "a")]


def test_a_rate_of_zero_lets_nothing_pass() -> None:
    made = rebuno("rules: [{id: a, then: {decision: allow}, rate_limit: {max: 0, window: 1m}}]", "p")
    assert said(made) == (BLOCK, "a")


UNREADABLE = [
    "{labels: {env: prod}}",
    "{schedule: nights}",
    "{tool: 'a.*', min_step_count: 5}",
    "{arguments: {x: {near: 5}}}",
]


@pytest.mark.parametrize("when", UNREADABLE)
@pytest.mark.parametrize(("decision", "effect"), [("deny", BLOCK), ("require_approval", ASK), ("allow", BLOCK)])
def test_a_rule_that_cannot_be_read_whole_holds_back_whatever_it_might_have(
    when: str, decision: str, effect: str
) -> None:
    source = (
        f"default_action: deny\nrules:\n  - {{id: odd, when: {when}, then: {{decision: {decision}}}}}\n"
        "  - {id: rest, when: {tool: a.b, arguments: {y: {equals: z}}}, then: {decision: allow}}\n"
    )
    made = rebuno(source, "p")
    expected = ALLOW if decision == "allow" else effect
    assert verdict(made, payload={"x": "5", "y": "z"}).effect == expected
    assert verdict(made, action="c.d", payload={"x": "5"}).effect == BLOCK
    assert any(remark.path.startswith("rules[0].when") and remark.line == 3 for remark in made.dropped)


def test_behind_a_rule_in_doubt_what_denies_still_denies() -> None:
    source = """
default_action: allow
rules:
  - {id: odd, when: {tool: 'a.*', schedule: nights}, then: {decision: require_approval, approvers: [ops]}}
  - {id: no, when: {tool: a.bad}, then: {decision: deny}}
  - {id: yes, when: {tool: a.good}, then: {decision: allow}}
"""
    made = rebuno(source, "p")
    assert said(made, action="a.bad") == (BLOCK, "no")
    assert said(made, action="a.good") == (ASK, "odd")
    assert said(made, action="a.else") == (ASK, "odd-2")
    assert said(made, action="b.c") == (ALLOW, "default")


@pytest.mark.parametrize(
    ("then", "path", "told"),
    [
        ("decision: judge, judge: {threshold: 0.5}", "decision", "person"),
        ("decision: allow, budget: {max_tokens: 5}", "budget", "asks"),
        ("decision: allow, colour: red", "colour", "asks"),
    ],
)
def test_what_a_rule_cannot_do_here_asks(then: str, path: str, told: str) -> None:
    made = rebuno(f"rules: [{{id: a, then: {{{then}}}}}]", "p")
    assert said(made) == (ASK, "a")
    assert [told in reason for place, reason in reasons(made.dropped) if place == f"rules[0].then.{path}"] == [True]


def test_how_long_a_call_may_take_is_left_out_and_told() -> None:
    made = rebuno("rules: [{id: a, then: {decision: allow, timeout_ms: 5}}]", "p")
    assert said(made) == (ALLOW, "a")
    assert [path for path, _ in reasons(made.dropped)] == ["rules[0].then.timeout_ms"]


def test_a_rule_for_something_else_than_tool_calls_is_left_out_and_told() -> None:
    made = rebuno(SHELL, "p")
    assert "allow-llm" not in made.document
    assert reasons(made.dropped)[0][0] == "rules[0].when.step_kind"


def test_ids_and_reasons_are_cleaned_in_the_open() -> None:
    source = (
        'rules:\n  - {id: "Odd Id!", then: {decision: deny, reason: "a {b} \\u202e c"}}\n'
        "  - {id: default, then: {decision: deny}}\n"
    )
    made = rebuno(source, "p")
    assert [rule.id for rule in parse_policy(made.document).rules] == ["odd-id", "default-2"]
    assert verdict(made).reason == "a (b) c"
    assert [path for path, _ in reasons(made.notes)][:2] == ["rules[0].id", "rules[1].id"]


@pytest.mark.parametrize(
    ("text", "path", "line", "column"),
    [
        ("rules: {}\n", "rules", 1, 8),
        ("rules: [{then: {decision: allow}}]\n", "rules[0]", 1, 9),
        ("rules: [{id: a}]\n", "rules[0].then.decision", 1, 9),
        ("rules: [{id: a, then: {decision: maybe}}]\n", "rules[0].then.decision", 1, 34),
        ("rules:\n- {id: a, then: {decision: deny}}\n- {id: a, then: {decision: deny}}\n", "rules[1].id", 3, 8),
        ("default_action: maybe\nrules: []\n", "default_action", 1, 17),
        ("rules: [{id: a, when: {arguments: {x: {}}}, then: {decision: allow}}]\n", "rules[0].when.arguments.x", 1, 39),
        ("rules:\n- {id: a, then: {decision: deny, timeout: 5}}\n", "rules[0].then.timeout", 2, 43),
        ("rules: [{id: a, then: {decision: allow, approval_config: no}}]\n", "rules[0].then.approval_config", 1, 58),
        ("rules: [{id: a, then: {decision: allow}, priority: high}]\n", "rules[0].priority", 1, 52),
        ('rules: [{id: a, then: {approvers: ["a\\u202e"], decision: deny}}]\n', "rules[0].then.approvers[0]", 1, 36),
    ],
)  # fmt: skip
def test_what_is_no_such_document_is_refused_with_its_place(text: str, path: str, line: int, column: int) -> None:
    with pytest.raises(PolicyError) as caught:
        rebuno(text, "p")
    assert (caught.value.path, caught.value.line, caught.value.column) == (path, line, column)
