"""Policies of Zehrava Gate: carried over in their fixed order, without the holes they had."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sdk.policy.importers.said import reasons, said, verdict
from zehrava.policy import PolicyError, parse_policy
from zehrava.policy.importers import gate

ASK, BLOCK, ALLOW = "require_approval", "block", "allow"

DESTINATIONS = "destinations: [zendesk.reply, crm.import]\nauto_approve_under: 10\n"
TYPES = "allowed_types: [csv, json]\nauto_approve_under: 10\n"
FIELDS = r"""
auto_approve_under: 10
field_checks:
  - {path: refund.amount, required: true, min: 1, max: 500}
  - {path: customer.email, pattern: '^[^@]+@[^@]+\.[a-z]+$'}
  - {path: note, max_length: 5}
"""
TERMS = "auto_approve_under: 10\nblock_if_terms: [sue, refund guaranteed]\n"
COUNTS = "require_approval_over: 50\nauto_approve_under: 100\nrequire_approval_for: org_wide\n"
PLACES = """
auto_approve_under: 10
environments:
  production: {require_approval: always}
  staging: {auto_approve_under: 1000, block_if_terms: [secret]}
block_if_terms: [forbidden]
"""
GOOD = {"refund": {"amount": 20}}


def fields(**more: Any) -> dict[str, Any]:
    return {"records": 1, "payload": {**GOOD, **more}}


@pytest.mark.parametrize(
    ("source", "intent", "effect", "rule"),
    [
        # destinations
        (DESTINATIONS, {"action": "zendesk.reply", "records": 1}, ALLOW, "few"),
        (DESTINATIONS, {"action": "crm.import", "records": 11}, ASK, "default"),
        (DESTINATIONS, {"action": "stripe.refund", "records": 1, "policy": "p"}, BLOCK, "destinations"),
        (DESTINATIONS, {"action": "zendesk.reply.x", "records": 1, "policy": "p"}, BLOCK, "destinations"),
        # types
        (TYPES, {"payload": "leads.csv", "records": 1}, ALLOW, "few"),
        (TYPES, {"payload": "LEADS.CSV", "records": 1}, ALLOW, "few"),
        (TYPES, {"payload": "leads.csv.exe", "records": 1}, BLOCK, "types"),
        (TYPES, {"payload": "leadscsv", "records": 1}, BLOCK, "types"),
        (TYPES, {"payload": {"file": "x.json"}, "records": 1}, ALLOW, "few"),
        (TYPES, {"payload": {"file": "x.exe"}, "records": 1}, BLOCK, "types"),
        (TYPES, {"payload": {"file": ["x.csv"]}, "records": 1}, BLOCK, "types"),
        (TYPES, {"payload": {"rows": []}, "records": 1}, ALLOW, "few"),
        ("allowed_types: [csv]", {"payload": {"rows": []}, "records": 1}, BLOCK, "types"),
        ("allowed_types: []", {"payload": "x.csv"}, BLOCK, "types"),
        ("allowed_types: [CSV]", {"payload": "x.csv"}, BLOCK, "types"),
        # field checks
        (FIELDS, fields(), ALLOW, "few"),
        (FIELDS, {"payload": {"refund": {"amount": "20.00"}}, "records": 1}, ALLOW, "few"),
        (FIELDS, {"payload": {"refund": {}}, "records": 1}, BLOCK, "field-refund.amount"),
        (FIELDS, {"payload": {}, "records": 1}, BLOCK, "field-refund.amount"),
        (FIELDS, {"payload": {"refund": {"amount": 501}}, "records": 1}, BLOCK, "field-refund.amount"),
        (FIELDS, {"payload": {"refund": {"amount": 0.99}}, "records": 1}, BLOCK, "field-refund.amount"),
        (FIELDS, fields(customer={"email": "a@b.cz"}), ALLOW, "few"),
        (FIELDS, fields(customer={"email": "a@b"}), BLOCK, "field-customer.email"),
        (FIELDS, fields(customer={}), ALLOW, "few"),
        (FIELDS, fields(note="grüß1"), ALLOW, "few"),
        (FIELDS, fields(note="grüß12"), BLOCK, "field-note"),
        (FIELDS, fields(note=[1, 2, 3, 4, 5]), ALLOW, "few"),
        (FIELDS, fields(note=[1, 2, 3, 4, 5, 6]), BLOCK, "field-note"),
        # terms
        (TERMS, {"payload": {"text": "all is well"}, "records": 1}, ALLOW, "few"),
        (TERMS, {"payload": {"text": "we will Sue you"}, "records": 1}, BLOCK, "terms"),
        (TERMS, {"payload": {"text": "r3fund-guaranteed"}, "records": 1}, BLOCK, "terms"),
        (TERMS, {"payload": None, "records": 1}, ALLOW, "few"),
        # thresholds, in their order
        ("require_approval: always\nauto_approve_under: 10", {"records": 1}, ASK, "always"),
        (COUNTS, {"records": 50}, ALLOW, "few"),
        (COUNTS, {"records": 51}, ASK, "many"),
        (COUNTS, {"records": 101}, ASK, "many"),
        (COUNTS, {"records": None}, ASK, "default"),
        ("destinations: [a.b]", {"records": 1}, ASK, "default"),
        # environments: what is registered counts
        (PLACES, {"records": 1}, ASK, "production-always"),
        (PLACES, {"records": 999, "agent": {"environment": "staging"}}, ALLOW, "staging-few"),
        (PLACES, {"records": 1001, "agent": {"environment": "staging"}}, ASK, "staging-review"),
        (PLACES, {"records": 11, "agent": {"environment": "test"}}, ASK, "default"),
        (PLACES, {"records": 9, "agent": {"environment": "test"}}, ALLOW, "few"),
        (PLACES, {"payload": ["secret"], "records": 1, "agent": {"environment": "staging"}}, BLOCK, "staging-terms"),
        (PLACES, {"payload": ["forbidden"], "records": 1, "agent": {"environment": "staging"}}, ALLOW, "staging-few"),
        (PLACES, {"payload": ["forbidden"], "records": 1}, BLOCK, "terms"),
    ],
)
def test_it_decides_as_gate_did(source: str, intent: dict[str, Any], effect: str, rule: str) -> None:
    assert said(gate(source, "p"), **intent) == (effect, rule)


@pytest.mark.parametrize("payload", ["not json", "", [1], 5, True, None, [{"refund": {"amount": 20}}]])
def test_a_payload_that_is_no_object_does_not_escape_field_checks(payload: Any) -> None:
    assert said(gate(FIELDS, "p"), payload=payload, records=1) == (BLOCK, "payload")


@pytest.mark.parametrize("amount", ["9999", "501", "twenty", "", "1e9", [20], {"amount": 20}, True, None, -5, 1e15])
def test_what_is_no_amount_within_bounds_is_blocked(amount: Any) -> None:
    assert said(gate(FIELDS, "p"), payload={"refund": {"amount": amount}}, records=1) == (BLOCK, "field-refund.amount")


@pytest.mark.parametrize("refund", ["20", [20], 20, True, None])
def test_something_else_where_an_object_belongs_is_blocked(refund: Any) -> None:
    assert said(gate(FIELDS, "p"), payload={"refund": refund}, records=1) == (BLOCK, "field-refund.amount")


@pytest.mark.parametrize("email", [5, ["a@b.cz"], {"a": "a@b.cz"}, True, ""])
def test_a_pattern_is_not_escaped_by_another_kind_of_value(email: Any) -> None:
    assert said(gate(FIELDS, "p"), **fields(customer={"email": email})) == (BLOCK, "field-customer.email")


@pytest.mark.parametrize("note", [123456, {"text": "much longer than five"}, True, "😀😀😀", "12345\u0301"])
def test_a_length_is_not_escaped_by_another_kind_of_value_or_by_emoji(note: Any) -> None:
    assert said(gate(FIELDS, "p"), **fields(note=note)) == (BLOCK, "field-note")


def test_a_pattern_counts_emoji_twice_as_gate_did() -> None:
    made = gate("auto_approve_under: 1\nfield_checks: [{path: a, pattern: '^[\\w\\W]{1,4}$'}]", "p")
    assert verdict(made, records=1, payload={"a": "\U0001f600" * 4}).effect == BLOCK
    assert verdict(made, records=1, payload={"a": "abcd"}).effect == ALLOW


@pytest.mark.parametrize("scope", [["org_wide"], {"org_wide": True}, True, 5])
def test_a_scope_of_another_kind_may_reach_everybody(scope: Any) -> None:
    assert said(gate(COUNTS, "p"), records=1, context={"scope": scope}) == (ASK, "org-wide")


@pytest.mark.parametrize("digits", ["٤٢", "４２", "𝟜𝟚"])
def test_a_digit_in_a_pattern_is_one_of_ten(digits: str) -> None:
    made = gate("auto_approve_under: 1\nfield_checks: [{path: pin, pattern: '^\\d+$'}]", "p")
    assert said(made, payload={"pin": "42"}, records=1) == (ALLOW, "few")
    assert said(made, payload={"pin": digits}, records=1) == (BLOCK, "field-pin")


@pytest.mark.parametrize("records", [-1, 0, None])
def test_a_count_that_says_nothing_is_not_approved(records: Any) -> None:
    assert verdict(gate("auto_approve_under: 100", "p"), records=records).effect == ASK


@pytest.mark.parametrize("records", ["1", 1.5, True, 10**30, [1]])
def test_an_absurd_count_is_not_approved(records: Any) -> None:
    assert verdict(gate("auto_approve_under: 100", "p"), records=records).effect == ASK


def test_an_environment_that_an_agent_chose_loosens_nothing() -> None:
    made = gate(PLACES, "p")
    claim = {"environment": "staging"}
    assert said(made, records=1, context=claim) == (ASK, "production-always")
    assert said(made, records=1, agent={"environment": "test"}, context=claim) == (ASK, "other-environment")
    assert said(made, records=1, agent={"environment": "staging"}, context=claim) == (ALLOW, "staging-few")


@pytest.mark.parametrize(
    ("key", "intent"), [("auto_approve_under", {"records": 1}), ("auto_approve_under", {"records": 0})]
)
def test_a_threshold_of_zero_approves_nothing(key: str, intent: dict[str, Any]) -> None:
    made = gate(f"{key}: 0", "p")
    assert verdict(made, **intent).effect == ASK
    assert (key, "0 approves nothing, so there is no rule for it") in reasons(made.notes)


def test_more_than_zero_asks_where_zero_was_no_threshold() -> None:
    assert said(gate("require_approval_over: 0\nauto_approve_under: 10", "p"), records=1) == (ASK, "many")


def test_a_rate_of_zero_lets_nothing_pass() -> None:
    made = gate("auto_approve_under: 5\nrate_limits: {per_agent_per_hour: 0}", "p")
    assert said(made, records=1) == (BLOCK, "no-rate")
    assert "rate_limits" in [path for path, _ in reasons(made.notes)]


def test_what_reaches_everybody_is_asked_before_little_is_approved() -> None:
    made = gate(COUNTS, "p")
    assert said(made, records=1, context={"scope": "org_wide"}) == (ASK, "org-wide")
    assert said(made, records=1, context={"scope": "team"}) == (ALLOW, "few")


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("the issue is closed", ALLOW),
        ("pursue it", ALLOW),
        ("sue", BLOCK),
        ("s-u-e", BLOCK),
        ("s u e", BLOCK),
        ("s.u.e", BLOCK),
        ("s\u200bu\u200be", BLOCK),
        ("s\u00adue", BLOCK),
        ("ｓｕｅ", BLOCK),
        ("ѕue", BLOCK),
        ("$ue", BLOCK),
        ("5u3", BLOCK),
        ("\\u0073ue", BLOCK),
        ("refund    guaranteed", BLOCK),
        ("refund\nguaranteed", BLOCK),
    ],
)
def test_a_term_is_a_word_however_it_is_disguised(text: str, effect: str) -> None:
    assert verdict(gate(TERMS, "p"), payload={"deep": [{"text": text}]}, records=1).effect == effect
    assert verdict(gate(TERMS, "p"), payload=text, records=1).effect == effect


@pytest.mark.parametrize(
    "name", ["../p", "a/b", "a\\b", "..", "", " ", "p\n", "pоlicy", "p\u200b", "/etc/passwd", "p" * 200]
)
def test_a_name_that_is_a_path_or_cannot_be_read_is_refused(name: str) -> None:
    with pytest.raises(PolicyError):
        gate("require_approval: always", name)


def test_an_id_with_a_path_in_it_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        gate("require_approval: always\nid: ../../etc/passwd\n", "p")
    assert (caught.value.path, caught.value.line, caught.value.column) == ("id", 2, 5)


@pytest.mark.parametrize(
    ("name", "made"), [("support-reply.yaml", "support-reply"), ("Support Reply", "support-reply"), ("A_B.json", "a_b")]
)
def test_the_name_of_the_file_is_the_name_of_the_policy(name: str, made: str) -> None:
    imported = gate("require_approval: always", name)
    assert parse_policy(imported.document).name == made


def test_a_name_that_had_to_change_is_told() -> None:
    assert any("'support-reply'" in reason for _, reason in reasons(gate("id: Support Reply", "Support Reply").notes))
    assert any("left out" in reason for _, reason in reasons(gate("id: other", "p").notes))


def test_who_approves_and_until_when_is_carried_over() -> None:
    decided = verdict(gate("require_approval: always\nrequire_approvals: 3\nexpiry_minutes: 90\n", "p"))
    assert decided.requirement == {"all_of": [{"group": "reviewers", "count": 3}], "expires_in": 5_400}
    decided = verdict(gate("require_approvals: 2", "p"))
    assert decided.requirement == {"all_of": [{"group": "reviewers", "count": 2}], "expires_in": None}


def test_rates_bound_what_passes() -> None:
    made = gate("auto_approve_under: 5\nrate_limits: {per_agent_per_hour: 50, per_agent_per_day: 200}", "p")
    assert said(made, records=1, used=49) == (ALLOW, "few")
    assert said(made, records=1, used=50) == (BLOCK, "few")
    assert said(made, records=9, used=200) == (BLOCK, "review")
    assert verdict(made, records=1, usage=None).effect == ASK
    assert [use.window for use in verdict(made, records=1).limits] == [3_600, 86_400]
    assert [path for path, _ in reasons(made.dropped)] == ["rate_limits"]


@pytest.mark.parametrize(
    ("line", "path", "told"),
    [
        ("on_no_response: auto_approve_if_low_risk", "on_no_response", "expires"),
        ("on_no_response: defer", "on_no_response", "expires"),
        ("require_profile: email.send.v1", "require_profile", "JSON Schema"),
        ("assurance: {low: [], high: [passkey.webauthn.v1]}", "assurance", "step_up"),
        ("approval_channel: {provider: a2h}", "approval_channel", "portal"),
        ("colour: red", "colour", "unknown"),
        ("require_approval: never", "require_approval", "only always"),
        ("require_approval_for: team", "require_approval_for", "no equal"),
        ("rate_limits: {per_team: 5}", "rate_limits.per_team", "unknown"),
        ("field_checks: [{path: a, format: uuid}]", "field_checks[0].format", "unknown"),
        ("field_checks: [{path: a.0, max: 5}]", "field_checks[0].path", "no equal"),
        ("field_checks: [{path: a, pattern: '(?=x)y'}]", "field_checks[0].pattern", "no equal"),
        ("environments: {x: {destinations: [y]}}", "environments.x.destinations", "no effect"),
    ],
)
def test_what_cannot_be_carried_over_is_told_with_its_place(line: str, path: str, told: str) -> None:
    made = gate(f"auto_approve_under: 10\n{line}\n", "p")
    found = [remark for remark in made.dropped if remark.path == path]
    assert [told in remark.reason and remark.line == 2 for remark in found] == [True]


@pytest.mark.parametrize(
    "line",
    ["require_profile: email.send.v1", "colour: red", "require_approval_for: team", "rate_limits: {per_team: 5}"],
)
def test_nothing_is_approved_where_something_that_held_back_is_missing(line: str) -> None:
    assert verdict(gate(f"auto_approve_under: 10\n{line}\n", "p"), records=1).effect == ASK


@pytest.mark.parametrize(
    "check",
    ["{path: a, format: uuid}", "{path: a, pattern: '(?=x)y'}", "{path: a.0, max: 5}", "{path: a.length, max: 5}"],
)
def test_a_check_that_cannot_be_carried_over_blocks_its_field(check: str) -> None:
    made = gate(f"auto_approve_under: 10\nfield_checks: [{check}]", "p")
    assert verdict(made, records=1, payload={"a": "xy"}).effect == BLOCK
    assert verdict(made, records=1, payload={"a": [1]}).effect == BLOCK
    assert verdict(made, records=1, payload={"b": 1}).effect == ALLOW


@pytest.mark.parametrize(
    ("text", "path", "line", "column"),
    [
        ("a: 1\na: 2\n", "a", 2, 1),
        ("- a\n", "", 1, 1),
        ("a: &x 1\nb: *x\n", "a", 1, 4),
        ("destinations: zendesk.reply\n", "destinations", 1, 15),
        ("destinations: []\n", "destinations", 1, 15),
        ("destinations: ['*']\n", "destinations", 1, 15),
        ("auto_approve_under: many\n", "auto_approve_under", 1, 21),
        ("auto_approve_under: -1\n", "auto_approve_under", 1, 21),
        ("auto_approve_under: 1.5\n", "auto_approve_under", 1, 21),
        ("rate_limits: {per_agent_per_hour: -5}\n", "rate_limits.per_agent_per_hour", 1, 35),
        ("require_approvals: 0\n", "require_approvals", 1, 20),
        ("expiry_minutes: 0\n", "expiry_minutes", 1, 17),
        ("field_checks:\n  - {max: 5}\n", "field_checks[0]", 2, 5),
        ("field_checks:\n  - {path: a, max: '5'}\n", "field_checks[0].max", 2, 20),
        ("field_checks:\n  - {path: a..b}\n", "field_checks[0].path", 2, 12),
        ("block_if_terms: ['!!!']\n", "block_if_terms", 1, 17),
        ("block_if_terms: sue\n", "block_if_terms", 1, 17),
        ("allowed_types: ['.csv']\n", "allowed_types", 1, 16),
        ("environments: [production]\n", "environments", 1, 15),
    ],
)
def test_what_is_no_such_document_is_refused_with_its_place(text: str, path: str, line: int, column: int) -> None:
    with pytest.raises(PolicyError) as caught:
        gate(text, "p")
    assert (caught.value.path, caught.value.line, caught.value.column) == (path, line, column)
