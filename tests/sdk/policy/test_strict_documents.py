"""A policy document is exactly what it says, or it is refused with the place of the mistake."""

from __future__ import annotations

import hashlib

import pytest

from zehrava.policy import PolicyError, parse_policy

HEAD = 'name: p\nmatch: {actions: ["x.y"]}\nrules:\n'
ALLOW = HEAD + "  - {id: a, effect: allow}\n"


def refused(text: str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "path", "line", "column", "reason"),
    [
        (ALLOW + "colour: red\n", "colour", 5, 1, "unknown key"),
        (ALLOW + "default: maybe\n", "default", 5, 10, "must be one of"),
        (ALLOW + "default: {effect: allow}\n", "default", 5, 10, "must be one of"),
        (ALLOW + "expires_in: 15\n", "expires_in", 5, 13, "duration"),
        (ALLOW + "expires_in: 0m\n", "expires_in", 5, 13, "duration"),
        (ALLOW + "name: q\n", "name", 5, 1, "twice"),
        (ALLOW + "limits: []\n", "limits", 5, 1, "belong to a rule"),
        (ALLOW + "description: 5\n", "description", 5, 14, "must be a string"),
        (ALLOW + "---\nname: q\n", "", 5, 1, "one document"),
        (ALLOW.replace("name: p", "name: P"), "name", 1, 7, "lower-case"),
        (ALLOW.replace("name: p", "name: 7"), "name", 1, 7, "must be a string"),
        (ALLOW.replace("name: p", "name: ../p"), "name", 1, 7, "lower-case"),
        (ALLOW.replace("name: p", "name: \u0440"), "name", 1, 7, "lower-case"),
        ("match: {actions: [x]}\nrules: [{id: a, effect: allow}]\n", "name", 1, 1, "is missing"),
        ("name: p\nrules: [{id: a, effect: allow}]\n", "match", 1, 1, "is missing"),
        ("name: p\nmatch: {actions: [x]}\n", "rules", 1, 1, "is missing"),
        ("name: p\nmatch: {}\nrules: [{id: a, effect: allow}]\n", "match", 2, 8, "is empty"),
        ("name: p\nmatch: {actions: x}\nrules: [{id: a, effect: allow}]\n", "match.actions", 2, 18, "must be a list"),
        ("name: p\nmatch: {actions: []}\nrules: [{id: a, effect: allow}]\n", "match.actions", 2, 18, "empty list"),
        ("name: p\nmatch: {actions: [1]}\nrules: [{id: a, effect: allow}]\n", "match.actions[0]", 2, 19, "string"),
        ("name: p\nmatch: {tags: x}\nrules: [{id: a, effect: allow}]\n", "match.tags", 2, 15, "must be a list"),
        ("name: p\nmatch: {users: [x]}\nrules: [{id: a, effect: allow}]\n", "match.users", 2, 9, "unknown key"),
        ("name: p\nmatch: {actions: [x]}\nrules: []\n", "rules", 3, 8, "empty list"),
        (HEAD + "  - {id: a}\n", "rules[0].effect", 4, 5, "is missing"),
        (HEAD + "  - {effect: allow}\n", "rules[0].id", 4, 5, "is missing"),
        (HEAD + "  - allow\n", "rules[0]", 4, 5, "must be a mapping"),
        (HEAD + "  - {id: a, effect: deny}\n", "rules[0].effect", 4, 21, "must be one of"),
        (HEAD + "  - {id: default, effect: allow}\n", "rules[0].id", 4, 10, "default"),
        (HEAD + "  - {id: a, effect: allow}\n  - {id: a, effect: block}\n", "rules[1].id", 5, 10, "taken by rules[0]"),
        (HEAD + "  - {id: a, effect: allow, wenn: x}\n", "rules[0].wenn", 4, 28, "unknown key"),
        (
            HEAD + "  - {id: a, effect: allow, reson: x}\n",
            "rules[0].reson",
            4,
            28,
            "unknown key; did you mean reason? known here: id",
        ),
        (HEAD + "  - {id: a, effect: allow, when: true}\n", "rules[0].when", 4, 34, "written as a string"),
        (HEAD + "  - {id: a, effect: allow, when: }\n", "rules[0].when", 4, 34, "written as a string"),
        (HEAD + "  - {id: a, effect: allow, limits: []}\n", "rules[0].limits", 4, 36, "empty list"),
        (
            HEAD + "  - {id: a, effect: require_approval, expires_in: 5m}\n",
            "rules[0].expires_in",
            4,
            39,
            "inside approval",
        ),
        (HEAD + "  - {id: a, effect: allow, approval: {expires_in: 5m}}\n", "rules[0].approval", 4, 28, "only with"),
        (HEAD + '  - {id: a, effect: allow, reason: "{paylod.x}"}\n', "rules[0].reason", 4, 36, "refers to nothing"),
        (HEAD + '  - {id: a, effect: allow, reason: "{payload.x"}\n', "rules[0].reason", 4, 36, "brace"),
        (
            HEAD + "  - id: a\n    effect: allow\n    when: |-\n      nope == 1\n",
            "rules[0].when",
            6,
            11,
            "unknown variable",
        ),
        ("", "", 1, 1, "empty"),
        ("- a\n", "", 1, 1, "must be a mapping"),
        ("name: [\n", "", 2, 1, "not YAML"),
    ],
)
def test_it_names_the_path_line_and_column_of_a_mistake(
    text: str, path: str, line: int, column: int, reason: str
) -> None:
    error = refused(text)
    assert (error.path, error.line, error.column) == (path, line, column)
    assert reason in error.reason


@pytest.mark.parametrize(
    ("approval", "path", "reason"),
    [
        ("{all_of: []}", "all_of", "empty list"),
        ("{all_of: [{count: 1}]}", "all_of[0].group", "is missing"),
        ("{all_of: [{group: a, count: 0}]}", "all_of[0].count", "whole number"),
        ("{all_of: [{group: a, count: 1.5}]}", "all_of[0].count", "whole number"),
        ("{all_of: [{group: a, count: true}]}", "all_of[0].count", "whole number"),
        ("{all_of: [{group: a}, {group: a}]}", "all_of[1].group", "twice"),
        ("{all_of: [" + "{group: a}, " * 21 + "]}", "all_of", "at most 20"),
        ("{any_of: {group: a}}", "any_of", "must be a list"),
        ("{any_of: [a]}", "any_of[0]", "must be a mapping"),
        ("{any_of: [{group: a, share: 2}]}", "any_of[0].share", "unknown key"),
        ("{order: strict}", "order", "one of any, listed"),
        ("{order: listed}", "order", "no order without all_of"),
        ("{escalation: {}}", "escalation", "must be a list"),
        ("{escalation: [{after: 1h}]}", "escalation[0].do", "is missing"),
        ("{escalation: [{after: 1h, do: shout}]}", "escalation[0].do", "one of remind, widen, escalate"),
        ("{escalation: [{after: 1h, do: widen}]}", "escalation[0]", "to whom"),
        ("{escalation: [{after: 1h, do: remind, to: [a]}]}", "escalation[0].to", "asked already"),
        ("{escalation: [{after: 2h, do: remind}, {after: 1h, do: remind}]}", "escalation[1].after", "later"),
        ("{expires_in: 1h, escalation: [{after: 1h, do: remind}]}", "escalation[0].after", "before expires_in"),
        ("{escalation: [{after: 0m, do: remind}]}", "escalation[0].after", "duration"),
        ("{on_timeout: escalate}", "on_timeout", "escalate_to"),
        ("{on_timeout: allow}", "on_timeout", "one of expire, escalate"),
        ("{escalate_to: [{group: a}]}", "escalate_to", "on_timeout"),
        ("{rejections: 0}", "rejections", "whole number"),
        ("{rejections: true}", "rejections", "whole number"),
        ("{step_up: yes}", "step_up", "true or false"),
        ("{expires_in: 366d}", "expires_in", "365"),
        ("{}", "", "is empty"),
        ("[finance]", "", "must be a mapping"),
    ],
)
def test_it_refuses_an_approval_it_cannot_keep(approval: str, path: str, reason: str) -> None:
    error = refused(HEAD + f"  - {{id: a, effect: require_approval, approval: {approval}}}\n")
    assert error.path == ("rules[0].approval." + path).rstrip(".")
    assert reason in error.reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("&a x", "anchors"),
        ("*a", "anchors"),
        ("!!str x", "tags"),
        ("!!python/object:os.system x", "tags"),
        ("0o17", "octal"),
        ("017", "octal"),
        ("0x1F", "octal"),
        (".inf", "number"),
        (".nan", "number"),
        ("9007199254740992", "2^53"),
        ("1e300", "2^53"),
        ("{<<: {a: 1}}", "merge"),
        ("{1: a}", "must be a string"),
        ("{true: a}", "must be a string"),
        ("{null: a}", "must be a string"),
        ("{[a]: b}", "plain string"),
        ("{a: 1, a: 2}", "twice"),
        ('{a: 1, "\\u0061": 2}', "twice"),
        ("a\u202eb", "U+202E"),
        ("a\u200bb", "U+200B"),
    ],
)
def test_it_refuses_yaml_that_another_reader_could_take_for_something_else(value: str, reason: str) -> None:
    error = refused(f"tests: {value}\n{ALLOW}")
    assert reason in error.reason
    assert error.line == 1


def test_yes_no_on_off_and_dates_are_strings() -> None:
    text = HEAD + (
        '  - {id: a, effect: allow, when: \'payload == ["yes", "off", "NO", "2026-01-01", "12:30", "1_000"]\'}\n'
        "tests: [{payload: [yes, off, NO, 2026-01-01, 12:30, 1_000], expect: {effect: allow, rule: a}}]\n"
    )
    assert parse_policy(text).tests[0].intent["payload"][0] == "yes"


def test_it_collects_every_mistake_in_the_order_of_the_document() -> None:
    error = refused("name: P\nmatch: {actions: [x]}\nrules:\n  - {id: B, effect: no}\ndefault: x\n")
    assert [fault.path for fault in error.errors] == ["name", "rules[0].id", "rules[0].effect", "default"]
    assert [fault.line for fault in error.errors] == [1, 4, 4, 5]


def test_a_failing_test_of_the_document_refuses_it() -> None:
    error = refused(
        ALLOW + "tests:\n  - {payload: 1, expect: {effect: allow}}\n  - {payload: 1, expect: {effect: block}}\n"
    )
    assert (error.path, error.line) == ("tests[1]", 7)
    assert "expected block, got allow by rule a" in error.reason


def test_a_test_that_expects_another_rule_refuses_the_document() -> None:
    text = ALLOW + "  - {id: b, effect: allow}\ntests: [{payload: 1, expect: {effect: allow, rule: b}}]\n"
    assert refused(text).path == "tests[0]"


def test_a_test_cannot_expect_a_rule_that_does_not_exist() -> None:
    assert refused(ALLOW + "tests: [{payload: 1, expect: {effect: allow, rule: zz}}]\n").path == "tests[0].expect.rule"


def test_a_test_may_say_that_the_policy_is_not_for_an_intent() -> None:
    text = ALLOW + "tests: [{payload: 1, action: other, expect: {effect: require_approval, rule: null}}]\n"
    assert parse_policy(text).name == "p"


def test_what_may_be_left_out_has_the_documented_defaults() -> None:
    policy = parse_policy(ALLOW, version=7)
    assert (policy.name, policy.version, policy.default, policy.expires_in) == ("p", 7, "require_approval", None)
    assert policy.digest == "sha256:" + hashlib.sha256(ALLOW.encode()).hexdigest()
    assert policy.text == ALLOW


def test_on_timeout_expire_and_step_up_false_are_accepted_because_they_are_what_happens_anyway() -> None:
    text = (
        HEAD + "  - {id: a, effect: require_approval, approval: {on_timeout: expire, step_up: false, expires_in: 5m}}\n"
    )
    assert parse_policy(text).rules[0].requirement.document() == {
        "all_of": [{"group": "reviewers", "count": 1}],
        "expires_in": 300,
    }
