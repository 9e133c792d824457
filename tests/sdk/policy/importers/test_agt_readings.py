"""Where the toolkit read a condition otherwise than it says, or a field has no place here: nothing gets weaker."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk.policy.importers.said import reasons, said, verdict
from tests.sdk.policy.importers.test_agt import ALLOW, ASK, BLOCK, one
from zehrava.policy.importers import agt

CALL = "action.type == 'tool_call' and tool_name == 'delete_db'"


@pytest.mark.parametrize(
    ("condition", "intent", "effect"),
    [
        (CALL, {"action": "delete_db"}, BLOCK),
        (CALL, {"action": "tool_call"}, ALLOW),
        (CALL, {"action": "read"}, ALLOW),
        ("tool == 'a' and tool.name == 'a'", {"action": "a"}, BLOCK),
        ("tool.name == 'b' and tool_name == 'a'", {"action": "a"}, BLOCK),
        ("agent.id == 'a1' and agent.name == 'worker'", {}, BLOCK),
        ("agent.id == 'a1' and agent.name == 'worker'", {"agent": {"name": "other"}}, ALLOW),
        ("agent.did == 'worker'", {"agent": {"name": "other"}}, BLOCK),
        ("agent.id == 'did:mesh:7'", {}, BLOCK),
        ("agent_did in ['did:mesh:7'] and tool_name == 'a'", {"action": "b"}, ALLOW),
        ("env == 'x' and environment == 'production'", {}, BLOCK),
        ("args.x == 'a' and x == 'b'", {"payload": {"x": "a"}}, BLOCK),
        ("args.x == 'a' and x == 'b'", {"payload": {"x": "b"}}, ALLOW),
        ("not action.type == 'tool_call' and tool_name == 'a'", {"action": "a"}, BLOCK),
        ("action.type != 'tool_call' or tool_name == 'a'", {"action": "b"}, BLOCK),
    ],
)
def test_what_is_held_against_a_field_without_a_place_may_always_be_so_for_a_rule_that_denies(
    condition: str, intent: dict[str, Any], effect: str
) -> None:
    made = agt(one(condition), "p")
    assert verdict(made, **intent).effect == effect
    assert "rules[0].condition" in [path for path, _ in reasons(made.dropped)]


@pytest.mark.parametrize(
    ("condition", "action"),
    [
        (CALL, "delete_db"),
        ("agent.did == 'worker'", "a"),
        ("agent.did != 'x'", "a"),
        ("not agent.did == 'x'", "a"),
        ("action.type != 'x' and tool_name == 'a'", "a"),
    ],
)
def test_and_never_for_one_that_allows(condition: str, action: str) -> None:
    assert verdict(agt(one(condition, "allow", "deny"), "p"), action=action).effect != ALLOW


def test_one_that_asks_asks_and_what_a_later_rule_denies_stays_denied() -> None:
    source = f"""
default_action: allow
rules:
  - {{name: ask, condition: "{CALL}", action: require_approval, priority: 9}}
  - {{name: no, condition: "args.all == 'yes'", action: deny, priority: 8}}
"""
    made = agt(source, "p")
    assert said(made, action="delete_db") == (ASK, "ask")
    assert said(made, action="delete_db", payload={"all": "yes"}) == (BLOCK, "no")
    assert verdict(made, action="read").effect == ALLOW


def test_a_field_has_one_place_in_all_rules_of_a_document() -> None:
    source = """
default_action: allow
rules:
  - {name: export, condition: "action.type == 'export' and args.all == 'yes'", action: deny, priority: 9}
  - {name: drop, condition: "tool_name == 'drop'", action: deny, priority: 8}
"""
    made = agt(source, "p")
    assert said(made, action="read", payload={"all": "yes"}) == (BLOCK, "export")
    assert said(made, action="drop") == (BLOCK, "drop")
    assert said(made, action="export") == (ALLOW, "default")
    assert any("action.type" in reason and "tool_name" in reason for _, reason in reasons(made.dropped))


def test_the_excess_of_a_rule_that_allows_less_now_does_not_pass() -> None:
    made = agt(one(CALL, "allow", "allow", ", limit: 5/hour"), "p")
    assert verdict(made, action="delete_db").effect == ASK
    made = agt(one("a == 'x' && b == 'y'", "allow", "allow", ", limit: 5/hour"), "p")
    assert said(made, payload={"a": "x", "b": "y"}, used=4) == (ALLOW, "r")
    assert said(made, payload={"a": "x", "b": "y"}, used=5) == (BLOCK, "r")
    assert verdict(made, payload={"a": "x"}, used=5).effect == ASK
    assert verdict(made, payload={"a": "n"}, used=5).effect == ALLOW


CUT = [
    ("tool == 'rm' && args.force == 'yes'", {"action": "rm", "payload": {"force": "no"}}),
    ("args.n > 5 && args.force == 'yes'", {"payload": {"n": 9}}),
    ("a == 'x' AND b == 'y'", {"payload": {"a": "x"}}),
    ("a == 'x'\nand b == 'y'", {"payload": {"a": "x"}}),
    ("a in ['x'] && b == 'y'", {"payload": {"a": "x"}}),
    ("a != 'n' && b == 'y'", {"payload": {"a": "x"}}),
    ("a > 5 && a < 7", {"payload": {"a": 9}}),
]


@pytest.mark.parametrize(("condition", "intent"), CUT)
def test_where_the_toolkit_read_the_first_comparison_alone_a_rule_that_denies_or_asks_holds_there_too(
    condition: str, intent: dict[str, Any]
) -> None:
    assert said(agt(one(condition), "p"), **intent) == (BLOCK, "r")
    made = agt(one(condition, "require_approval"), "p")
    assert said(made, **intent) == (ASK, "r")
    assert [path for path, reason in reasons(made.notes) if "passes over" in reason] == ["rules[0].condition"]


@pytest.mark.parametrize(("condition", "intent"), CUT)
def test_and_one_that_allows_only_where_both_hold(condition: str, intent: dict[str, Any]) -> None:
    assert verdict(agt(one(condition, "allow", "deny"), "p"), **intent).effect == BLOCK
    both = agt(one("a == 'x' && b == 'y'", "allow", "deny"), "p")
    assert said(both, payload={"a": "x", "b": "y"}) == (ALLOW, "r")


@pytest.mark.parametrize(
    ("condition", "payload", "effect"),
    [
        ("a == 'x' && b == 'y' || c == 'z'", {"c": "z"}, BLOCK),
        ("a == 'x' && b == 'y' || c == 'z'", {"a": "x"}, BLOCK),
        ("a == 'x' && b == 'y' || c == 'z'", {"b": "y"}, ALLOW),
        ("a == 'x'\nor b == 'y'", {"b": "y"}, BLOCK),
        ("a == 'x' OR b == 'y'", {"b": "y"}, BLOCK),
        ("(a == 'x' or b == 'y') and c == 'z'", {"b": "y", "c": "z"}, BLOCK),
        ("b == 'y' or (a == 'x')", {"b": "y"}, BLOCK),
    ],
)
def test_what_the_whole_of_it_says_counts_too(condition: str, payload: dict[str, Any], effect: str) -> None:
    assert verdict(agt(one(condition), "p"), payload=payload).effect == effect
    made = agt(one("a == 'x' || b == 'y'", "allow", "deny"), "p")
    assert verdict(made, payload={"b": "y"}).effect == BLOCK
