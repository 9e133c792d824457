"""What another version does differently, in words: rules, their parts, their order, what the policy is for."""

import pytest

from intents.models import PolicyVersion
from intents.policy_changes import Changes, between

BASE = """\
name: refunds
match: {actions: [stripe.refund]}
rules:
  - {id: a, when: payload.x > 1, effect: allow}
  - {id: b, effect: require_approval, approval: {all_of: [{group: finance, count: 2}, {group: legal}], expires_in: 15m}}
  - {id: c, effect: block}
"""


def changes(old: str, new: str) -> Changes:
    return between(PolicyVersion(number=1, text=old), PolicyVersion(number=2, text=new))


def told(found: Changes) -> list[tuple]:
    return [(rule.mark, rule.rule, [(one.what, one.before, one.after) for one in rule.changes]) for rule in found.rules]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("effect: allow", "effect: block", ("changed", "a", [("effect", "allow", "block")])),
        ("x > 1", "x > 2", ("changed", "a", [("condition", "payload.x > 1", "payload.x > 2")])),
        (
            "count: 2",
            "count: 3",
            (
                "changed",
                "b",
                [
                    (
                        "approval",
                        "all_of: 2 of finance, 1 of legal; expires_in: 15m",
                        "all_of: 3 of finance, 1 of legal; expires_in: 15m",
                    )
                ],
            ),
        ),
        (
            "effect: allow}",
            "effect: allow, limits: [{count: 20, window: 1h}]}",
            ("changed", "a", [("limits", None, "(count: 20; window: 1h)")]),
        ),
        ("  - {id: c, effect: block}\n", "", ("removed", "c", [("effect", "block", None)])),
        ("id: c, effect", "id: d, effect", ("added", "d", [("effect", None, "block")])),
    ],
)
def test_what_is_different_of_a_rule_is_named(old: str, new: str, expected: tuple) -> None:
    assert expected in told(changes(BASE, BASE.replace(old, new)))


def test_a_rule_that_stands_elsewhere_is_named_for_the_first_that_holds_decides() -> None:
    lines = BASE.splitlines(keepends=True)
    found = changes(BASE, "".join([*lines[:3], lines[5], lines[3], lines[4]]))
    assert told(found) == [("moved", "c", [("place", "rule 3", "rule 1")])]
    assert found.told == "1 rule moved"


def test_match_default_and_tests_are_named() -> None:
    found = changes(
        BASE,
        BASE.replace("[stripe.refund]", "[stripe.refund, 'paypal.*'], agents: [billing]")
        + "default: block\ntests: [{payload: {x: 1}, expect: {effect: block}}]\n",
    )
    assert [(one.what, one.before, one.after) for one in found.policy] == [
        ("match.actions", "stripe.refund", "stripe.refund, paypal.*"),
        ("match.agents", None, "billing"),
        ("default", None, "block"),
        ("tests", "0", "1"),
    ]
    assert found.told == "match.actions, match.agents, default, tests changed"


def test_comments_and_spacing_change_nothing_that_decides() -> None:
    found = changes(BASE, "# a comment\n" + BASE)
    assert (found.rules, found.policy, found.lines_added, found.told) == ((), (), 1, "no rule changed")


def test_a_version_that_can_no_longer_be_read_is_told_of() -> None:
    assert "older one cannot be read" in changes("a: [", BASE).unread
    assert "newer one cannot be read" in changes(BASE, "a: [").unread
