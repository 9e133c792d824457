"""Cases beside a policy and in files of their own mean the same, and say exactly where they fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from zehrava.policy import PolicyError, PolicySet, cases, parse_policy
from zehrava.policy.running import run

REFUNDS = """\
name: refunds
match: {actions: ["shop.refund"], agents: ["billing-*"], environments: [production], tags: ["money*"]}
rules:
  - {id: late, when: 'now.getHours() > 20', effect: block}
  - {id: large, when: 'payload.n > 5', effect: require_approval}
  - {id: small, effect: allow, limits: [{count: 2, window: 1h}]}
"""
FREEZE = """\
name: freeze
match: {actions: ["*"]}
rules: [{id: frozen, when: 'agent.tier == "trial"', effect: block}]
default: allow
"""


def both() -> PolicySet:
    return PolicySet.parse(REFUNDS, FREEZE)


def test_cases_run_against_all_policies_together() -> None:
    text = """\
policy: refunds
description: What the shop relies on
tests:
  - {payload: {n: 1}, expect: {effect: allow}}
  - {payload: {n: 9}, expect: {effect: require_approval, rule: large, policy: refunds}}
  - {payload: {n: 1}, agent: {tier: trial}, expect: {effect: block, policy: freeze, rule: frozen}}
  - {payload: {n: 1}, now: "2026-03-01T21:30:00Z", expect: {effect: block, rule: late}}
  - {payload: {n: 1}, usage: {refunds/small/0: 2}, expect: {effect: require_approval, rule: small}}
  - {payload: {n: 1}, action: mail.send, expect: {effect: allow, policy: freeze, rule: default}}
"""
    assert run(both(), cases.parse(text)) == []


def test_a_case_that_fails_says_where_it_stands_what_was_expected_and_what_was_said() -> None:
    text = """\
policy: refunds
tests:
  - {payload: {n: 1}, expect: {effect: allow}}
  - name: a large one
    payload: {n: 9}
    expect: {effect: block, rule: large}
  - {payload: {n: 9}, expect: {effect: require_approval, policy: freeze}}
"""
    first, second = run(both(), cases.parse(text, file="shop.yaml"))
    assert str(first).startswith(
        "shop.yaml:4:5: tests[1]: a large one: expected block by rule large, got require_approval by rule large of"
        " policy refunds ("
    )
    assert (first.fault.path, first.fault.line, first.case.name) == ("tests[1]", 4, "a large one")
    assert second.expected == "require_approval of policy freeze"
    assert second.said.startswith("require_approval by rule large of policy refunds")


def test_a_case_without_a_policy_says_its_action() -> None:
    text = "tests: [{action: mail.send, payload: {}, expect: {effect: allow, rule: default}}]\n"
    assert run(both(), cases.parse(text)) == []
    with pytest.raises(cases.CaseError) as caught:
        cases.parse("tests:\n  - {payload: {}, expect: {effect: allow}}\n")
    assert (caught.value.path, caught.value.line) == ("tests[0].action", 2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("policy: mails\ntests: [{payload: {}, expect: {effect: allow}}]", "there is no policy 'mails'"),
        (
            "tests: [{action: x.y, payload: {}, expect: {effect: allow, policy: mails}}]",
            "there is no policy 'mails'",
        ),
        ("policy: refunds\ntests: [{payload: {}, expect: {effect: allow, rule: tiny}}]", "has no rule 'tiny'"),
        (
            "policy: refunds\ntests: [{payload: {n: 1}, usage: {refunds/smal/0: 1}, expect: {effect: allow}}]",
            "usage names 'refunds/smal/0', which is no limit",
        ),
    ],
)
def test_a_case_about_what_does_not_exist_fails(text: str, says: str) -> None:
    (failure,) = run(both(), cases.parse(text))
    assert says in failure.reason


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("tests: []", "tests", "must not be an empty list"),
        ("policy: refunds", "tests", "is missing"),
        ("policy: 5\ntests: [{payload: 1, expect: {effect: allow}}]", "policy", "must be a string"),
        ("colour: red\ntests: [{action: a.b, payload: 1, expect: {effect: allow}}]", "colour", "unknown key"),
        ("tests: [{action: a.b, payload: 1, expects: {effect: allow}}]", "tests[0].expects", "unknown key"),
        ("tests: [{action: a.b, payload: 1, expect: {effect: yes}}]", "tests[0].expect.effect", "must be one of"),
        ("tests: [{action: a.b, payload: 1, expect: {effect: allow, rule: 5}}]", "tests[0].expect.rule", "names no"),
        ("tests: [{action: a.b, payload: 1, expect: {effect: allow, policy: 5}}]", "tests[0].expect.policy", "name"),
        ("tests: [{action: a.b, payload: 1, now: noon, expect: {effect: allow}}]", "tests[0].now", "with its zone"),
        ("tests: [{action: a.b, payload: 1, usage: 3, expect: {effect: allow}}]", "tests[0].usage", "a mapping"),
        ("tests: [{action: a.b, payload: 1, payload: 2, expect: {effect: allow}}]", "tests[0].payload", "twice"),
        ("tests: [{action: a.b, payload: &x 1, expect: {effect: allow}}]", "tests[0].payload", "anchors"),
        ("tests: [5]", "tests[0]", "must be a mapping"),
        ("5", "", "must be a mapping"),
    ],
)
def test_a_file_of_cases_is_read_strictly(text: str, path: str, says: str) -> None:
    with pytest.raises(cases.CaseError) as caught:
        cases.parse(text)
    assert any(fault.path == path and says in fault.reason for fault in caught.value.errors)


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_text("# " + "x" * 10_000_000)
    binary.write_bytes(b"tests: \xff")
    for path, says in ((large, "longer than"), (binary, "UTF-8")):
        with pytest.raises(cases.CaseError, match=says):
            cases.load(path)


def test_a_policy_of_its_own_expects_no_other_policy() -> None:
    with pytest.raises(PolicyError) as caught:
        parse_policy(FREEZE + "tests: [{payload: {}, expect: {effect: allow, policy: freeze}}]\n")
    assert caught.value.path == "tests[0].expect.policy"


def test_the_tests_of_a_policy_count_limits_as_unused_unless_they_say_otherwise() -> None:
    tests = """\
tests:
  - {payload: {n: 1}, expect: {effect: allow, rule: small}}
  - {payload: {n: 1}, usage: {refunds/small/0: 1}, expect: {effect: allow}}
  - {payload: {n: 1}, usage: {refunds/small/0: 2}, expect: {effect: require_approval, rule: small}}
  - {payload: {n: 1}, tags: [other], expect: {effect: require_approval, rule: null}}
"""
    assert len(parse_policy(REFUNDS + tests).tests) == 4
    with pytest.raises(PolicyError, match="which is no limit here"):
        parse_policy(REFUNDS + tests.replace("refunds/small/0: 1", "refunds/small/1: 1"))
