"""Lint says which rows of a table are never chosen, and what a table goes by that nobody should trust."""

from __future__ import annotations

import json
from typing import Any

import pytest

from zehrava.action_types import ActionType
from zehrava.policy import PolicySet, parse_policy
from zehrava.policy.cases import NOW
from zehrava.policy.linting import NOTE, WARNING, Finding, lint

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["amount", "currency"],
    "properties": {"amount": {"type": "string"}, "currency": {"type": "string"}},
}
KNOWS: dict[str, Any] = {
    "derive": {"value": {"amount": "payload.amount", "currency": "payload.currency"}, "records": "1"},
    "present": {"reversible": False},
    "sensitivity": "low",
}
G = {"all_of": [{"group": "g"}]}
MORE = {"all_of": [{"group": "g", "count": 2}]}
ROWS = "rules[0].approval.table.rows"
TABLE = "rules[0].approval.table"


def found(rows: list[Any], amount: Any = None, groups: Any = None, **more: Any) -> list[tuple[str, str, str]]:
    return [(each.path, each.level, each.code) for each in findings(rows, amount, groups, **more)]


def findings(
    rows: list[Any], amount: Any = None, groups: Any = None, *, says: dict[str, Any] = KNOWS, **more: Any
) -> list[Finding]:
    uses_amount = any("up_to" in row for row in rows)
    table = {"rows": rows, **({"amount": amount or {"in": "EUR"}} if uses_amount else {})}
    rule = {"id": "all", "effect": "require_approval", "approval": {"table": table}}
    text = json.dumps({"name": "p", "match": {"actions": ["shop.refund"]}, "rules": [rule], **more})
    refund = ActionType.parse(json.dumps({"name": "shop.refund", "schema": SCHEMA, **says}))
    said = lint([parse_policy(text)], {"shop.refund": refund}, groups)
    return [each for each in said if each.code not in ("untested", "no-policy")]


def test_a_ladder_in_order_needs_no_finding():
    assert found([{"up_to": "5", **G}, {"up_to": "50", **G}, {"up_to": "50", "records_up_to": 3, **G}, MORE]) == [
        (f"{ROWS}[2]", WARNING, "unreachable")
    ]
    assert found([{"up_to": "5", "tiers": ["a"], **G}, {"up_to": "5", **G}, {"up_to": "50", **G}, MORE]) == []
    assert found([{"environments": ["test"], **G}, {"environments": ["prod"], **G}, {"tiers": ["a"], **G}, MORE]) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"up_to": "50"}, {"up_to": "5"}),
        ({"up_to": "50"}, {"up_to": "50.0"}),
        ({"up_to": "50"}, {"up_to": "5", "tiers": ["trusted"]}),
        ({"records_up_to": 9}, {"records_up_to": 9}),
        ({"sensitivity_up_to": "normal"}, {"sensitivity_up_to": "low"}),
        ({"reversible": True}, {"reversible": True, "up_to": "5"}),
        ({"environments": ["*"]}, {"environments": ["prod", "test-*"]}),
        ({"environments": ["prod*"]}, {"environments": ["prod", "prod-2"]}),
        ({"tiers": ["a", "b"]}, {"tiers": ["b"]}),
    ],
)
def test_a_row_that_fits_only_what_a_row_above_fits_is_never_chosen(first, second):
    assert found([{**first, **G}, {**second, **G}, MORE]) == [(f"{ROWS}[1]", WARNING, "unreachable")]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"up_to": "5"}, {"up_to": "50"}),
        ({"up_to": "50", "tiers": ["trusted"]}, {"up_to": "5"}),
        ({"environments": ["prod"]}, {"environments": ["prod*"]}),
        ({"environments": ["prod-*"]}, {"environments": ["pro*"]}),
        ({"reversible": True}, {"reversible": False}),
        ({"sensitivity_up_to": "high"}, {"records_up_to": 5}),
    ],
)
def test_where_it_is_not_sure_it_says_nothing(first, second):
    assert (f"{ROWS}[1]", WARNING, "unreachable") not in found([{**first, **G}, {**second, **G}, MORE])


def test_it_says_to_put_the_lowest_first():
    [finding] = findings([{"up_to": "50", **G}, {"up_to": "5", **G}, MORE])
    assert finding.message == "is never chosen: its up_to is no higher than that of row 1; put the lowest first"


def test_a_row_that_asks_less_than_one_that_it_covers_is_noted():
    assert found([{"up_to": "5", **MORE}, {"up_to": "50", **G}, MORE]) == [(f"{ROWS}[1]", NOTE, "asks-less")]
    assert found([{"up_to": "5", **G, "step_up": True}, G]) == [(f"{ROWS}[1]", NOTE, "asks-less")]
    assert found([{"up_to": "5", **G, "expires_in": "1h"}, {**G, "expires_in": "2h"}]) == []
    assert found([{"up_to": "5", "all_of": [{"group": "h"}]}, G]) == []


def test_what_a_table_goes_by_is_noted_where_only_the_agent_says_it():
    rows = [{"up_to": "5", "records_up_to": 3, **G}, MORE]
    assert found(rows, says={}) == [(TABLE, NOTE, "trusts-claims")] * 2
    assert found(rows) == []
    assert found(rows, {"of": "payload.amount", "currency": "payload.currency", "in": "EUR"}, says=KNOWS) == []


def test_what_an_action_type_does_not_say_is_noted_where_a_row_reads_it():
    rows = [{"reversible": True, "sensitivity_up_to": "low", **G}, MORE]
    assert found(rows, says={}) == [(TABLE, NOTE, "not-known")] * 2
    assert found(rows) == []


def test_an_amount_that_the_schema_does_not_know_is_a_warning():
    amount = {"of": "payload.ammount", "currency": "payload.currency", "in": "EUR"}
    assert found([{"up_to": "5", **G}, MORE], amount) == [(f"{TABLE}.amount.of", WARNING, "never-fits")]


def test_environments_that_the_policy_is_not_for_are_noted():
    match = {"match": {"actions": ["shop.refund"], "environments": ["production"]}}
    assert found([{"environments": ["staging"], **G}, MORE], **match) == [
        (f"{ROWS}[0].environments", NOTE, "matches-nothing")
    ]
    assert found([{"environments": ["prod*"], **G}, MORE], **match) == []


def test_groups_are_looked_at_row_by_row_and_all_at_once():
    rows = [{"up_to": "5", "all_of": [{"group": "few"}]}, {"all_of": [{"group": "many", "count": 2}]}]
    assert found(rows, groups={"few": ["a"], "many": ["a"]}) == [
        (TABLE, WARNING, "requirement-too-big"),
        (f"{ROWS}[1]", WARNING, "requirement-too-big"),
    ]
    [one] = findings(rows, groups={"few": ["a"], "many": ["a", "b"]})
    assert one.message.startswith("where it cannot be told which row fits: nobody can meet this")
    assert found(rows, groups={"few": ["c"], "many": ["a", "b"]}) == []


def test_hours_that_nothing_counts_by_are_noted():
    hours = {"zone": "UTC", "days": ["mon"], "from": "09:00", "to": "17:00"}
    assert found([G], business_hours=hours) == [("business_hours", NOTE, "unused")]
    assert found([{**G, "clock": "business", "expires_in": "2h"}], business_hours=hours) == []


def test_no_row_that_it_calls_unreachable_is_ever_chosen_alone():
    bounds = [{"up_to": "5"}, {"up_to": "50"}, {"up_to": "5", "tiers": ["t*"]}, {"tiers": ["trusted"]}]
    rows = [{**bound, **G} for bound in bounds]
    hidden = {path for path, _, code in found([*rows, MORE]) if code == "unreachable"}
    assert hidden == {f"{ROWS}[2]"}
    table = {"amount": {"in": "EUR"}, "rows": [*rows, MORE]}
    rule = {"id": "all", "effect": "require_approval", "approval": {"table": table}}
    policies = PolicySet.parse(json.dumps({"name": "p", "match": {"actions": ["x"]}, "rules": [rule]}))
    for amount in ("4", "5", "6", "51", "x"):
        for tier in ("trusted", "new", None):
            verdict = policies.evaluate(
                action="x", payload={}, agent={"tier": tier}, value={"amount": amount, "currency": "EUR"}, now=NOW
            )
            assert verdict.rows != (3,)
