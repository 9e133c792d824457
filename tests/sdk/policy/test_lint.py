"""Lint says what a policy does not do though it seems to say so, and where it stands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zehrava.action_types import ActionType
from zehrava.policy import Policy, parse_policy
from zehrava.policy.evaluation import Evaluator
from zehrava.policy.linting import NOTE, WARNING, Finding, lint

GALLERY = Path(__file__).parents[3] / "docs" / "policies"

REFUND: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["amount", "currency", "kind", "count"],
    "properties": {
        "amount": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{2})?$"},
        "currency": {"enum": ["EUR", "USD"]},
        "kind": {"const": "refund"},
        "count": {"type": "integer", "minimum": 1, "maximum": 100},
        "note": {"type": "string", "maxLength": 10},
        "items": {"type": "array", "maxItems": 3, "items": {"type": "string", "pattern": "^sku-"}},
        "customer": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "minLength": 3}}},
    },
}


def typed(schema: Any = REFUND, name: str = "shop.refund", **more: Any) -> dict[str, ActionType]:
    return {name: ActionType.parse(json.dumps({"name": name, "schema": schema, **more}))}


def policy(*rules: Any, **more: Any) -> Policy:
    """Rules are conditions (of block rules), None (of one without), or whole rules."""
    made = []
    for index, rule in enumerate(rules):
        each = rule if isinstance(rule, dict) else {"effect": "block", **({"when": rule} if rule else {})}
        made.append({"id": f"r{index}", **each})
    return parse_policy(json.dumps({"name": "p", "match": {"actions": ["shop.refund"]}, "rules": made, **more}))


def found(findings: list[Finding], *, but: tuple[str, ...] = ("untested", "no-policy")) -> list[tuple[str, str, str]]:
    return [(each.path, each.level, each.code) for each in findings if each.code not in but]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((None, "payload.x == 1"), ("rules[0]", "unreachable")),
        (("true", "payload.x == 1"), ("rules[0].when", "unreachable")),
        (("payload.n > 5", "payload.n <= 5", "payload.x == 1"), ("rules[1].when", "unreachable")),
        (("payload.b == true", "!payload.b", None), ("rules[1].when", "unreachable")),
        (("payload.n > 5", "payload.n > 10"), ("rules[1].when", "shadowed")),
        (("payload.n >= 5", "payload.n == 5 && payload.x == 1"), ("rules[1].when", "shadowed")),
        (("5 < payload.n", "payload.n > 5.5"), ("rules[1].when", "shadowed")),
        (('amount(payload.a) > amount("50")', 'amount(payload.a) >= amount("50.01")'), ("rules[1].when", "shadowed")),
        (('payload.c in ["a", "b"]', 'payload.c == "b"'), ("rules[1].when", "shadowed")),
        (('payload.c in ["a", "b"]', 'payload.c in ["b", "a"]'), ("rules[1].when", "shadowed")),
        (("payload.x.matches('^a')", 'payload.y && payload.x.matches("^a")'), ("rules[1].when", "shadowed")),
        (("payload.x == 1", 'payload["x"]==1'), ("rules[1].when", "shadowed")),
        (("payload.a || payload.b", "payload.b && payload.c"), ("rules[1].when", "shadowed")),
        (("payload.a < payload.b", "payload.b > payload.a"), ("rules[1].when", "shadowed")),
        (("payload.l.exists(x, x > 1)", "payload.l.exists(x, x > 1) && payload.b"), ("rules[1].when", "shadowed")),
        (("payload.n > 5", "!has(payload.n)"), ("rules[1].when", "shadowed")),
        (("payload.n > 5", "payload.m > 5", "payload.n > 6 || payload.m > 6"), ("rules[2].when", "shadowed")),
        (("false",), ("rules[0].when", "never-holds")),
        (("payload.x && 1 > 2",), ("rules[0].when", "never-holds")),
        (('payload.x == "a" && payload.x == "b"',), ("rules[0].when", "never-holds")),
        (("payload.n > 5 && payload.n < 3",), ("rules[0].when", "never-holds")),
        (("payload.n > 5 && !(payload.n >= 5)",), ("rules[0].when", "never-holds")),
        (('payload.x in ["a"] && payload.x != "a"',), ("rules[0].when", "never-holds")),
        (('payload.x > 5 && payload.x == "a"',), ("rules[0].when", "never-holds")),
        (("has(payload.x) && !has(payload.x)",), ("rules[0].when", "never-holds")),
        (("!has(payload.x) && payload.x == 1",), ("rules[0].when", "never-holds")),
        (('!has(payload.x) && payload.x.y == "a"',), ("rules[0].when", "never-holds")),
        (("payload.x || (payload.n > 5 && payload.n < 5)",), ("rules[0].when", "never-holds")),
        (("intent.records < 0",), ("rules[0].when", "never-holds")),
        (("size(payload.x) < 0",), ("rules[0].when", "never-holds")),
        (("payload.n in []",), ("rules[0].when", "never-holds")),
        (("payload.b || intent.amount == 5",), ("rules[0].when", "never-answers")),
        (("1 + 1",), ("rules[0].when", "never-answers")),
        (("null > 1",), ("rules[0].when", "never-answers")),
        (('weekday(now, "Europe/Berlin") == "sunday"',), ("rules[0].when", "never-holds")),
        (("length(payload.x) < 0",), ("rules[0].when", "never-holds")),
        (("payload.b || 1 + 1",), ("rules[0].when", "never-answers")),
    ],
)
def test_a_rule_that_cannot_do_what_it_says_is_found(rules: tuple[Any, ...], expected: tuple[str, str]) -> None:
    path, code = expected
    assert (path, WARNING, code) in found(lint([policy(*rules)]))


def test_what_only_the_match_rules_out_is_a_note_because_an_agent_may_name_the_policy_for_anything() -> None:
    """A policy for everything but one action is written like that."""
    said = lint([policy('intent.action == "shop.sell"')])
    assert ("rules[0].when", NOTE, "never-holds") in found(said)
    assert any("unless an agent names this policy" in finding.message for finding in said)
    assert not [finding for finding in lint([policy('intent.action != "shop.refund"')]) if finding.level == WARNING]


@pytest.mark.parametrize(
    "rules",
    [
        ("payload.n > 10", "payload.n > 5"),
        ("payload.n > 5 && payload.x", "payload.n > 6"),
        ('payload.c in ["a", "b"]', 'payload.c in ["b", "c"]'),
        ('payload.c == "a"', 'payload.c == "b"', None),
        ("payload.n == 1", 'payload.n == "1"'),
        ("has(payload.x) && payload.x == 1", "!has(payload.x)"),
        ("has(payload.x) && payload.x == 1", "has(payload.x) && payload.x == 2", None),
        ("payload.a < payload.b", "payload.a == payload.b"),
        ('amount(payload.a) > amount("50")', 'amount(payload.a) > amount("5")'),
        ("payload.n > 5 && payload.n < 6",),
        ("size(payload.x) == 0",),
        ("intent.records == null || intent.records > 100",),
        ("now.getDayOfWeek() == 0 || now.getDayOfWeek() == 6", None),
        ("double(payload.n) / 0.0 > 1.0", "double(payload.n) / 0.0 <= 1.0", None),
        ("payload.l.all(x, x > 1)", "payload.l.exists(x, x > 1)"),
        ('payload.x.contains("a")', 'payload.x.contains("ab")'),
    ],
)
def test_rules_that_can_all_decide_are_left_alone(rules: tuple[Any, ...]) -> None:
    assert [each for each in found(lint([policy(*rules)])) if each[1] == WARNING] == []


@pytest.mark.parametrize(
    ("condition", "code", "says"),
    [
        ('payload.currency == "GBP"', "never-holds", 'payload.currency is one of "EUR", "USD"'),
        ('payload.currency in ["GBP", "CHF"]', "never-holds", "one of"),
        ('payload.kind != "refund"', "never-holds", '"refund"'),
        ("payload.count > 100", "never-holds", "at most 100"),
        ("payload.count > 1 && payload.count < 2", "never-holds", "payload.count"),
        ("payload.ammount == '5'", "never-answers", "did you mean payload.amount?"),
        ("has(payload.refund)", "never-holds", "has no payload.refund"),
        ("payload.amount > 500", "never-answers", "payload.amount is a string"),
        ('payload.amount == "twelve"', "never-holds", "payload.amount"),
        ("size(payload.items) > 3", "never-holds", "at most 3"),
        ("length(payload.note) > 10", "never-holds", "at most 10"),
        ("size(payload.note) > 40", "never-holds", "at most 40"),
        ('payload.items[0] == "shoe"', "never-holds", "payload.items[0]"),
        ('payload.customer.id == "ab"', "never-holds", "payload.customer.id"),
        ("payload.customer == null", "never-holds", "payload.customer"),
        ("payload.customer.id.name == 'x'", "never-answers", "has no payload.customer.id.name"),
        ('payload.currency.startsWith("G")', "never-holds", "startsWith"),
        ('glob(payload.kind, "charge*")', "never-holds", "glob"),
        ("payload.count", "never-answers", "payload.count"),
        ("amount(payload.count) > amount('100')", "never-holds", "amount(payload.count)"),
    ],
)
def test_a_condition_that_no_payload_of_the_schema_fulfils_is_found(condition: str, code: str, says: str) -> None:
    (finding,) = [
        each
        for each in lint([policy({"effect": "require_approval", "when": condition})], typed())
        if each.level == WARNING
    ]
    assert (finding.path, finding.code) == ("rules[0].when", code)
    assert says in finding.message


@pytest.mark.parametrize(
    "condition",
    [
        'payload.currency == "EUR"',
        "payload.count > 99",
        'amount(payload.amount) > amount("500")',
        'has(payload.note) && payload.note == "x"',
        "size(payload.items) == 3",
        'payload.items[0] == "sku-1"',
        'payload.currency.startsWith("E")',
        'has(payload.customer) && payload.customer.anything == "x"',
    ],
)
def test_a_condition_that_a_payload_can_fulfil_is_left_alone(condition: str) -> None:
    findings = lint([policy({"effect": "require_approval", "when": condition})], typed())
    assert [each for each in findings if each.level == WARNING] == []


def test_what_holds_for_one_of_several_actions_is_left_alone() -> None:
    two = policy("payload.iban == 'x'", match={"actions": ["shop.refund", "bank.refund"]})
    bank = typed({"type": "object", "properties": {"iban": {"type": "string"}}}, "bank.refund")
    assert "never-answers" not in {each.code for each in lint([two], {**typed(), **bank})}
    guarded = policy(
        'intent.action == "bank.refund" && payload.iban == "x"', match={"actions": ["shop.refund", "bank.refund"]}
    )
    assert [each for each in lint([guarded], {**typed(), **bank}) if each.level == WARNING] == []


def test_where_other_actions_may_match_a_schema_only_gives_notes() -> None:
    for actions in (["shop.*"], ["shop.refund", "shop.unknown"]):
        findings = lint([policy("payload.ammount == 'x'", match={"actions": actions})], typed())
        (finding,) = [each for each in findings if each.code == "never-answers"]
        assert finding.level == NOTE


def test_a_rule_that_the_schema_makes_hold_always_hides_those_below() -> None:
    rules = ({"effect": "allow", "when": 'payload.kind == "refund"'}, {"effect": "require_approval"})
    (finding,) = [each for each in lint([policy(*rules)], typed()) if each.code == "unreachable"]
    assert (finding.path, finding.level) == ("rules[0].when", WARNING)
    assert finding.message == (
        "rule 'r1' is never reached: this rule always decides, for payloads that fit the schema of shop.refund"
    )


def test_a_rule_that_hides_many_is_one_warning_at_that_rule() -> None:
    rules = ["payload.a == 1", "payload.b == true || payload.b != true", *(f"payload.x == {n}" for n in range(12))]
    assert [each for each in found(lint([policy(*rules)])) if each[1] == WARNING] == [
        ("rules[1].when", WARNING, "unreachable")
    ]
    (finding,) = [each for each in lint([policy(*rules)]) if each.code == "unreachable"]
    assert finding.message == "rule 'r2' and 11 rules after it are never reached: this rule always decides"


def test_a_rule_that_is_asked_only_where_another_fails_is_not_called_dead() -> None:
    """Where a rule fails, whom a later one asks is asked as well: whoever removes that one lowers the requirement."""
    asks = {"effect": "require_approval", "when": "payload.x <= 1000 || payload.x > 1000"}
    more = {"effect": "require_approval", "approval": {"all_of": [{"group": "finance", "count": 2}]}}
    (finding,) = [each for each in lint([policy(asks, more)]) if each.code == "unreachable"]
    assert "is never reached, unless a rule up to this one fails: this rule always decides" in finding.message
    blocks = {**asks, "effect": "block"}
    (finding,) = [each for each in lint([policy(blocks, more)]) if each.code == "unreachable"]
    assert "is never reached: this rule always decides" in finding.message
    (never,) = [each for each in lint([policy("payload.x < 1 && payload.x > 2")]) if each.code == "never-holds"]
    assert never.message.endswith("where it fails, the rule still blocks")


def test_lint_says_what_a_condition_can_never_be() -> None:
    (finding,) = [each for each in lint([policy("payload.count < 0")], typed()) if each.code == "never-holds"]
    assert "`payload.count < 0` can never be true: by the schema of" in finding.message


def test_a_block_rule_that_repeats_the_schema_is_only_noted() -> None:
    (finding,) = [each for each in lint([policy("payload.count < 1")], typed()) if each.code == "never-holds"]
    assert finding.level == NOTE


def test_a_member_that_may_be_missing_is_noted_where_the_condition_reads_it_unguarded() -> None:
    rules = ('payload.kind == "refund" && payload.note == "x"', 'has(payload.note) && payload.note == "y"', None)
    (finding,) = [each for each in lint([policy(*rules)], typed()) if each.code == "unguarded"]
    assert (finding.path, finding.level) == ("rules[0].when", NOTE)
    assert "where payload.note is missing the condition fails and the rule blocks" in finding.message


def test_a_member_that_a_rule_above_asks_for_may_be_read_below() -> None:
    findings = lint([policy("!has(payload.note)", 'payload.note == "x"')], typed())
    assert "unguarded" not in {each.code for each in findings}


def test_a_long_policy_of_many_action_types_is_tried_with_fewer_payloads(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    evaluate = Evaluator.evaluate

    def counted(self: Evaluator, *, action: str, **rest: Any) -> Any:
        tried.append(action)
        return evaluate(self, action=action, **rest)

    monkeypatch.setattr(Evaluator, "evaluate", counted)
    types = {name: one for number in range(20) for name, one in typed(name=f"shop.refund-{number}").items()}
    rules = [f"payload.count == {number} && payload.note == 'x'" for number in range(500)]

    findings = lint([policy(*rules, match={"actions": ["shop.*"]})], types)

    assert 0 < len(tried) * len(rules) <= 200_000
    assert {action for action in tried} > {"shop.refund-0", "shop.refund-1"}
    assert "unguarded" in {each.code for each in findings}


def test_what_an_agent_says_of_itself_is_no_ground_to_allow() -> None:
    by_context = policy({"effect": "allow", "when": 'context.role == "admin"'})
    assert ("rules[0].when", WARNING, "trusts-claims") in found(lint([by_context]))
    by_tags = policy({"effect": "allow", "when": '"small" in intent.tags'})
    assert ("rules[0].when", WARNING, "trusts-claims") in found(lint([by_tags]))
    escaped = policy({"effect": "block", "when": 'context.scope == "all"'}, {"effect": "allow"})
    assert ("rules[0].when", NOTE, "trusts-claims") in found(lint([escaped]))
    kept = policy({"effect": "block", "when": 'context.scope == "all"'})
    assert "trusts-claims" not in {each.code for each in lint([kept])}


def test_records_that_no_action_type_derives_are_noted_where_they_allow() -> None:
    small = policy({"effect": "allow", "when": "intent.records < 10"})
    assert ("rules[0].when", NOTE, "trusts-claims") in found(lint([small], typed()))
    derived = typed(derive={"records": "payload.count"})
    assert "trusts-claims" not in {each.code for each in lint([small], derived)}


def test_what_is_so_of_registered_actions_is_not_said_of_every_action() -> None:
    """An agent may propose an action that nobody registered: a rule that only those reach is no dead rule."""
    escape = policy(
        {"effect": "require_approval", "when": 'intent.action != "http.post"'}, {"effect": "allow"},
        match={"actions": ["*"]},
    )  # fmt: skip
    said = {each.code: each for each in lint([escape], typed())}

    assert said["unreachable"].level == NOTE
    assert said["unreachable"].message == (
        "rule 'r1' is reached by no registered action: this rule always decides about shop.refund; "
        "an action that nobody registered may get further"
    )
    other = policy('intent.action == "send.mail"', match={"actions": ["*"]})
    [note] = [each for each in lint([other], typed()) if each.code == "never-holds"]
    assert note.level == NOTE and note.message.startswith("of no registered action is this so (shop.refund, for one")


def test_a_limit_per_target_that_agents_spell_is_noted() -> None:
    limited = {"effect": "allow", "limits": [{"count": 3, "per": ["agent", "target"], "window": "1d"}]}
    assert ("rules[0].limits[0].per", NOTE, "counts-apart") in found(lint([policy(limited)], typed()))
    derived = typed(derive={"target": "payload.charge"})
    assert "counts-apart" not in {each.code for each in lint([policy(limited)], derived)}
    by_agent = {"effect": "allow", "limits": [{"count": 3, "per": "agent", "window": "1d"}]}
    assert "counts-apart" not in {each.code for each in lint([policy(by_agent)], typed())}


def test_a_policy_matched_by_tags_is_one_that_agents_choose() -> None:
    match = {"actions": ["shop.refund"], "tags": ["small"]}
    assert ("match.tags", WARNING, "trusts-tags") in found(lint([policy({"effect": "allow"}, match=match)]))
    assert ("match.tags", NOTE, "trusts-tags") in found(lint([policy({"effect": "block"}, match=match)]))


def test_a_default_that_allows_is_warned_of() -> None:
    assert ("default", WARNING, "default-allows") in found(lint([policy("payload.x", default="allow")]))


def test_a_default_that_is_written_and_never_reached_is_said() -> None:
    assert ("default", WARNING, "unreachable") in found(lint([policy("payload.x", None, default="block")]))
    assert ("default", NOTE, "unreachable") in found(lint([policy(None, default="require_approval")]))
    assert found(lint([policy("payload.x", None)])) == []


def test_limits_that_count_for_ever_or_can_never_be_worked_out_are_found() -> None:
    limits = [{"count": 5}, {"sum": "payload.ammount", "max": "5", "window": "1d", "per": "payload.customer.name.x"}]
    closed = {**REFUND["properties"]["customer"], "additionalProperties": False}
    schema = {**REFUND, "properties": {**REFUND["properties"], "customer": closed}}
    findings = lint([policy({"effect": "allow", "limits": limits})], typed(schema))
    assert ("rules[0].limits[0]", WARNING, "no-window") in found(findings)
    reasons = [each.message for each in findings if each.code == "never-counts"]
    assert [each.partition(": ")[2] for each in sorted(reasons)] == [
        "the schema of shop.refund has no payload.ammount; did you mean payload.amount?",
        "the schema of shop.refund has no payload.customer.name",
    ]


def test_a_reason_that_shows_nothing_is_noted() -> None:
    findings = lint([policy({"effect": "block", "reason": "{payload.ammount} is too much"})], typed())
    assert ("rules[0].reason", NOTE, "shows-nothing") in found(findings)


@pytest.mark.parametrize(
    ("approval", "groups", "says"),
    [
        ({"all_of": [{"group": "finance", "count": 3}]}, {"finance": 2}, "needs 3 of 'finance', which has 2"),
        ({"all_of": [{"group": "finance"}]}, {"finance": []}, "which has nobody"),
        ({"all_of": [{"group": "finance"}]}, {}, "there is no group 'finance'"),
        (
            {"all_of": [{"group": "finance"}, {"group": "security"}]},
            {"finance": ["mia"], "security": ["mia"]},
            "one person fills one seat",
        ),
        ({"any_of": [{"group": "legal"}, {"group": "board", "count": 2}]}, {"board": 1}, "none of the alternatives"),
        ({"expires_in": "1h", "on_timeout": "escalate", "escalate_to": [{"group": "x"}]}, {"reviewers": 1}, "'x'"),
    ],
)
def test_a_requirement_that_nobody_can_meet_is_found(approval: Any, groups: Any, says: str) -> None:
    asked = policy({"effect": "require_approval", "approval": approval})
    messages = [each.message for each in lint([asked], groups=groups) if each.code == "requirement-too-big"]
    assert any(says in message for message in messages), messages
    assert "requirement-too-big" not in {each.code for each in lint([asked])}


def test_a_requirement_that_can_just_be_met_is_left_alone() -> None:
    approval = {"all_of": [{"group": "finance", "count": 2}, {"group": "security"}], "any_of": [{"group": "finance"}]}
    asked = policy({"effect": "require_approval", "approval": approval})
    groups = {"finance": ["mia", "kim"], "security": ["mia", "lee"]}
    assert "requirement-too-big" not in {each.code for each in lint([asked], groups=groups)}


def test_rules_that_no_test_reaches_are_noted() -> None:
    tests = [{"payload": {"n": 9}, "expect": {"effect": "block"}}]
    tested = policy("payload.n > 5", "payload.n > 3", tests=tests)
    assert found(lint([tested]), but=()) == [("rules[1]", NOTE, "untested")]
    assert found(lint([policy("payload.n > 5")]), but=()) == [("", NOTE, "untested")]


def test_actions_and_globs_that_miss_each_other_are_noted() -> None:
    types = {**typed(), **typed(True, "mail.send")}
    findings = lint([policy(None, match={"actions": ["shop.refund", "shop.sale", "paypal.*"]})], types)
    assert [each.message for each in findings if each.code == "matches-nothing"] == [
        "shop.sale is no registered action",
        "paypal.* matches none of the registered actions",
    ]
    (unmatched,) = [each for each in findings if each.code == "no-policy"]
    assert (unmatched.policy, unmatched.level) == ("", NOTE)
    assert "no policy here matches mail.send" in unmatched.message


def test_a_finding_says_where_it_stands() -> None:
    text = (
        "name: p\nmatch: {actions: [shop.refund]}\nrules:\n  - {id: a, effect: block}\n  - id: b\n    when: payload.x\n"
    )
    (finding,) = [each for each in lint([parse_policy(text + "    effect: allow\n")]) if each.code == "unreachable"]
    assert (finding.policy, finding.path, finding.line, finding.column) == ("p", "rules[0]", 4, 5)
    assert finding.document()["message"] == "rule 'b' is never reached: this rule always decides"


def test_the_policies_shown_in_the_documentation_need_no_warning() -> None:
    policies = [parse_policy(path.read_text()) for path in sorted(GALLERY.glob("*.yaml"))]
    read = [ActionType.parse(path.read_text()) for path in sorted((GALLERY / "action-types").glob("*.yaml"))]
    findings = lint(policies, {each.name: each for each in read})
    assert [each for each in findings if each.level == WARNING] == []


def test_a_thousand_rules_and_conditions_of_many_ways_stay_cheap() -> None:
    wide = " || ".join(f"(payload.a{index} && payload.b{index})" for index in range(40))
    deep = " && ".join(f"(payload.a{index} || payload.b{index})" for index in range(40))
    rules = [wide, deep, f"!({wide})", f"!({deep})", *(f"payload.n == {index}" for index in range(990))]
    assert len(lint([policy(*rules)], typed(True))) <= 200


PROGRAM = """
import json, sys
from zehrava.action_types import ActionType
from zehrava.policy import parse_policy
from zehrava.policy.linting import lint
policies, types = json.load(sys.stdin)
read = [ActionType.parse(each) for each in types]
found = lint([parse_policy(each) for each in policies], {each.name: each for each in read}, {"finance": ["b", "a"]})
print(json.dumps([each.document() for each in found]))
"""


def test_two_processes_say_the_same() -> None:
    texts = [path.read_text() for path in sorted(GALLERY.glob("*.yaml"))]
    texts.append(policy('payload.currency in ["GBP", "CHF"]', "payload.ammount == payload.mount", name="q").text)
    types = [path.read_text() for path in sorted((GALLERY / "action-types").glob("*.yaml"))]
    given = json.dumps([texts, [*types, next(iter(typed().values())).text]])
    said = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], input=given, capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(said) == 1
