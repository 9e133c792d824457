"""A table chooses who is asked by what is asked, and what is not known never makes it ask less."""

from __future__ import annotations

import datetime
import fnmatch
import itertools
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zehrava.policy import PolicyError, PolicySet, Requirement, Verdict, parse_policy

NOW = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)
HEAD = 'name: p\nmatch: {actions: ["x.y"]}\nrules:\n'
MONEY = {"of": "payload.amount", "currency": "payload.currency", "in": "EUR"}
LADDER = [
    {"up_to": "500", "all_of": [{"group": "reviewers"}]},
    {"up_to": "5000", "environments": ["production"], "all_of": [{"group": "finance"}]},
    {"all_of": [{"group": "finance", "count": 2}, {"group": "security"}], "step_up": True},
]
FIRST = [{"group": "reviewers", "count": 1}]
SECOND = [{"group": "finance", "count": 1}]
LAST = [{"group": "finance", "count": 2}, {"group": "security", "count": 1}]


def document(rows: Any, amount: Any = MONEY, beside: dict[str, Any] | None = None, **rule: Any) -> str:
    table = {"rows": rows, **({"amount": amount} if amount else {})}
    asks = {"id": "all", "effect": "require_approval", "approval": {"table": table, **(beside or {})}, **rule}
    return json.dumps({"name": "p", "match": {"actions": ["x.y"]}, "rules": [asks]})


def ask(text: str, payload: Any = None, *, environment: str | None = "production", **intent: Any) -> Verdict:
    agent = {"name": "billing", "tier": "standard", **({"environment": environment} if environment else {})}
    agent |= intent.pop("agent", {})
    return PolicySet.parse(text).evaluate(
        action="x.y", payload=payload, now=NOW, **{"agent": agent, "usage": None, **intent}
    )


def seats(verdict: Verdict) -> list[dict[str, Any]]:
    assert verdict.requirement is not None
    return verdict.requirement["all_of"]


# --- the first row that fits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "environment", "row", "asked"),
    [
        ("499.99", "staging", 1, FIRST),
        ("500", "staging", 1, FIRST),
        (500, "staging", 1, FIRST),
        ("500.000", "production", 1, FIRST),
        ("500.000000000001", "production", 2, SECOND),
        (500.01, "production", 2, SECOND),
        ("5000.00", "production", 2, SECOND),
        ("600", "staging", 3, LAST),
        ("5000.01", "production", 3, LAST),
        ("9" * 30, "production", 3, LAST),
    ],
)
def test_the_first_row_that_fits_says_who_is_asked(amount, environment, row, asked):
    verdict = ask(document(LADDER), {"amount": amount, "currency": "EUR"}, environment=environment)
    assert (verdict.rows, seats(verdict)) == ((row,), asked)
    assert verdict.requirement is not None
    assert verdict.requirement.get("step_up", False) is (row == 3)


def test_a_requirement_that_a_row_chose_is_one_as_any_other():
    by_table = ask(document(LADDER), {"amount": "600", "currency": "EUR"})
    plain = ask(HEAD + "  - {id: all, effect: require_approval, approval: {all_of: [{group: finance}]}}\n")
    assert by_table.requirement == plain.requirement


def test_the_reason_names_the_row_and_why_it_fits():
    verdict = ask(
        document(LADDER, reason="Money for {payload.who}."), {"amount": "1200", "currency": "eur", "who": "Al"}
    )
    assert verdict.reason == (
        "Money for Al; row 2 of its table: amount 1,200.00 EUR is up to 5,000 and environment is production"
    )
    last = ask(document(LADDER), {"amount": "1200", "currency": "EUR"}, environment="staging").reason
    assert last == (
        "rule 'all' of policy 'p'; row 3 of its table: no other row fits (amount 1,200.00 EUR is above 500; "
        "environment staging is not production)"
    )


def test_the_reason_quotes_nothing_of_the_payload_but_a_plain_number():
    hostile = "EUR\u202e<script>"
    verdict = ask(document(LADDER), {"amount": hostile, "currency": hostile})
    assert hostile not in verdict.reason
    assert hostile not in json.dumps(verdict.trace, ensure_ascii=False)


def test_the_trace_says_of_each_row_that_was_looked_at_whether_it_fits():
    [entry] = ask(document(LADDER), {"amount": "600", "currency": "EUR"}).trace
    assert entry["table"] == {
        "chosen": [2],
        "rows": [
            {"row": 1, "fits": False, "why": "amount 600.00 EUR is above 500"},
            {"row": 2, "fits": True, "why": "amount 600.00 EUR is up to 5,000 and environment is production"},
        ],
    }
    [plain] = ask(HEAD + "  - {id: all, effect: require_approval}\n").trace
    assert plain["table"] is None


def test_without_of_it_goes_by_the_value_of_the_intent():
    text = document(LADDER, {"in": "EUR"})
    payload = {"amount": "1", "currency": "EUR"}
    assert ask(text, payload, value={"amount": "600", "currency": "EUR"}).rows == (2,)
    assert ask(text, payload).rows == (1, 2, 3)


@pytest.mark.parametrize(
    ("condition", "facts", "fits"),
    [
        ({"records_up_to": 100}, {"records": 100}, True),
        ({"records_up_to": 100}, {"records": 101}, False),
        ({"records_up_to": 0}, {"records": 0}, True),
        ({"records_up_to": 100}, {}, None),
        ({"tiers": ["trusted", "core-*"]}, {"agent": {"tier": "core-2"}}, True),
        ({"tiers": ["trusted"]}, {"agent": {"tier": "Trusted"}}, False),
        ({"tiers": ["*"]}, {"agent": {"tier": None}}, None),
        ({"environments": ["prod*"]}, {}, True),
        ({"environments": ["staging"]}, {}, False),
        ({"environments": ["staging"]}, {"environment": None}, None),
        ({"reversible": True}, {"reversible": True}, True),
        ({"reversible": True}, {"reversible": False}, False),
        ({"reversible": False}, {"reversible": False}, True),
        ({"reversible": False}, {}, None),
        ({"sensitivity_up_to": "normal"}, {"sensitivity": "low"}, True),
        ({"sensitivity_up_to": "normal"}, {"sensitivity": "normal"}, True),
        ({"sensitivity_up_to": "normal"}, {"sensitivity": "high"}, False),
        ({"sensitivity_up_to": "high"}, {}, None),
        ({"sensitivity_up_to": "high"}, {"sensitivity": "secret"}, None),
        # One that is certainly wrong settles it, whatever is not known besides.
        ({"reversible": True, "records_up_to": 5}, {"records": 6}, False),
        ({"reversible": True, "records_up_to": 5}, {"records": 5}, None),
    ],
)
def test_each_condition_holds_does_not_or_cannot_be_told(condition, facts, fits):
    rows = [{**condition, "all_of": [{"group": "few"}]}, {"all_of": [{"group": "many"}]}]
    assert ask(document(rows, None), **facts).rows == {True: (1,), False: (2,), None: (1, 2)}[fits]


def test_a_condition_reads_what_the_action_type_says_and_not_what_the_agent_says():
    text = document([{"reversible": True, "all_of": [{"group": "few"}]}, {"all_of": [{"group": "many"}]}], None)
    claims = {"reversible": True, "sensitivity": "low", "intent": {"reversible": True}}
    assert ask(text, claims, context=claims).rows == (1, 2)


def test_conditions_of_rules_may_read_them_as_well():
    text = HEAD + (
        "  - {id: never, when: intent.reversible == false && intent.sensitivity == 'high', effect: block}\n"
        "  - {id: rest, effect: allow}\n"
    )
    assert ask(text, reversible=False, sensitivity="high").effect == "block"
    assert ask(text, reversible=True, sensitivity="high").effect == "allow"
    assert ask(text).effect == "allow"


# --- what is not known ---------------------------------------------------------------------------------------------

UNREADABLE: list[Any] = [
    {},
    {"amount": "5"},
    {"currency": "EUR"},
    {"amount": "5", "currency": "USD"},
    {"amount": "5", "currency": "EUROS"},
    {"amount": "5", "currency": ["EUR"]},
    {"amount": "5", "currency": "ＥＵＲ"},
    {"amount": "-5", "currency": "EUR"},
    {"amount": -0.01, "currency": "EUR"},
    {"amount": "5,00", "currency": "EUR"},
    {"amount": "5e1", "currency": "EUR"},
    {"amount": " 5", "currency": "EUR"},
    {"amount": "٥", "currency": "EUR"},
    {"amount": "", "currency": "EUR"},
    {"amount": True, "currency": "EUR"},
    {"amount": None, "currency": "EUR"},
    {"amount": ["5"], "currency": "EUR"},
    {"amount": {"amount": "5"}, "currency": "EUR"},
    {"amount": "0.0000000000001", "currency": "EUR"},
    {"amount": "9" * 31, "currency": "EUR"},
    ["5", "EUR"],
    "5 EUR",
    None,
]


@pytest.mark.parametrize("payload", UNREADABLE, ids=json.dumps)
def test_an_amount_that_is_not_known_asks_everybody_whom_any_amount_could_ask(payload):
    verdict = ask(document(LADDER), payload)
    assert verdict.rows == (1, 2, 3)
    assert seats(verdict) == [*LAST[:1], *FIRST, *LAST[1:]]
    assert verdict.requirement is not None
    assert verdict.requirement["step_up"] is True
    assert "; rows 1, 2 and 3 of its table together: " in verdict.reason


def test_what_is_known_still_counts():
    assert ask(document(LADDER), {}, environment="staging").rows == (1, 3)


PLACES = ["production", "staging"]
AMOUNTS: list[Any] = [None, "0", "100", "100.01", "1000.01"]
RECORDS = [None, 0, 10, 5_000]
TIERS = [None, "trusted", "standard"]
REVERSIBLE = [None, True, False]
SENSITIVITY = [None, "low", "normal", "high"]
LEVELS = ["low", "normal", "high"]


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows with any conditions in any order, each of which asks people of its own, in its own way."""
    rows = []
    for number in range(draw(st.integers(0, 5))):
        conditions = {
            "up_to": st.sampled_from(["0", "100", "1000"]),
            "records_up_to": st.sampled_from([0, 10, 1_000]),
            "environments": st.sampled_from([["production"], ["staging", "dev"], ["*"], ["prod*"]]),
            "tiers": st.sampled_from([["trusted"], ["*ed", "new"]]),
            "reversible": st.booleans(),
            "sensitivity_up_to": st.sampled_from(LEVELS),
        }
        chosen = draw(st.lists(st.sampled_from(sorted(conditions)), min_size=1, max_size=3, unique=True))
        rows.append({key: draw(conditions[key]) for key in chosen} | draw(asked(number)))
    return [*rows, draw(asked(9))]


@st.composite
def asked(draw: st.DrawFn, number: int) -> dict[str, Any]:
    groups = draw(st.lists(st.sampled_from(["a", "b", f"own{number}"]), min_size=1, max_size=3, unique=True))
    row: dict[str, Any] = {"all_of": [{"group": group, "count": draw(st.integers(1, 3))} for group in groups]}
    if draw(st.booleans()):
        row["any_of"] = [{"group": f"c{number}"}, {"group": "d"}]
    return row | draw(
        st.fixed_dictionaries(
            {},
            optional={
                "step_up": st.booleans(),
                "rejections": st.integers(1, 3),
                "expires_in": st.sampled_from(["1h", "2h"]),
            },
        )
    )


FACTS = st.fixed_dictionaries(
    {
        "amount": st.sampled_from(AMOUNTS),
        "records": st.sampled_from(RECORDS),
        "environment": st.sampled_from([None, *PLACES]),
        "tier": st.sampled_from(TIERS),
        "reversible": st.sampled_from(REVERSIBLE),
        "sensitivity": st.sampled_from(SENSITIVITY),
    }
)


def holds(key: str, bound: Any, facts: dict[str, Any]) -> bool:
    """Whether one condition holds where everything is known: how the documentation reads it."""
    if key == "up_to":
        return Decimal(facts["amount"]) <= Decimal(bound)
    if key == "records_up_to":
        return facts["records"] <= bound
    if key in ("environments", "tiers"):
        return any(fnmatch.fnmatchcase(facts[key[:-1]], pattern) for pattern in bound)
    if key == "reversible":
        return facts["reversible"] == bound
    return LEVELS.index(facts["sensitivity"]) <= LEVELS.index(bound)


def chosen(rows: list[dict[str, Any]], facts: dict[str, Any]) -> int:
    """The number of the first row that fits, where everything is known."""
    keys = ("up_to", "records_up_to", "environments", "tiers", "reversible", "sensitivity_up_to")
    for number, row in enumerate(rows, 1):
        if all(holds(key, row[key], facts) for key in keys if key in row):
            return number
    raise AssertionError("the last row fits whatever there is")


POSSIBLE = {
    "amount": AMOUNTS,
    "records": RECORDS,
    "environment": [*PLACES, "nowhere"],
    "tier": [*TIERS, "new"],
    "reversible": REVERSIBLE,
    "sensitivity": SENSITIVITY,
}


def truths(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything that may be so, given what is known; the answers of conditions change nowhere in between."""
    choices = [
        [(key, value)] if value is not None else [(key, each) for each in POSSIBLE[key] if each is not None]
        for key, value in facts.items()
    ]
    return [dict(chosen) for chosen in itertools.product(*choices)]


def evaluated(rows: list[dict[str, Any]], facts: dict[str, Any]) -> Verdict:
    text = document(rows, {"in": "EUR"} if any("up_to" in row for row in rows) else None)
    return ask(
        text,
        environment=facts["environment"],
        agent={"tier": facts["tier"]},
        value=None if facts["amount"] is None else {"amount": facts["amount"], "currency": "EUR"},
        records=facts["records"],
        reversible=facts["reversible"],
        sensitivity=facts["sensitivity"],
    )


def alone(row: dict[str, Any]) -> Requirement:
    """What a row asks for, written as an approval without a table."""
    keys = ("all_of", "any_of", "step_up", "rejections", "expires_in")
    approval = {key: row[key] for key in keys if key in row}
    rule = {"id": "a", "effect": "require_approval", "approval": approval}
    text = json.dumps({"name": "p", "match": {"actions": ["x.y"]}, "rules": [rule]})
    requirement = parse_policy(text).rules[0].requirement
    assert requirement is not None
    return requirement


@settings(deadline=None)
@given(tables(), FACTS)
def test_whatever_the_truth_is_the_row_that_it_would_choose_is_among_those_that_ask(rows, facts):
    verdict = evaluated(rows, facts)
    could = {chosen(rows, truth) for truth in truths(facts)}
    assert could <= set(verdict.rows)
    if all(value is not None for value in facts.values()):
        assert verdict.rows == tuple(could)


@settings(deadline=None)
@given(tables(), FACTS)
def test_it_never_asks_less_than_it_would_if_everything_were_known(rows, facts):
    verdict = evaluated(rows, facts)
    assert verdict.requirement is not None
    asked = Requirement.read(verdict.requirement)
    assert asked == Requirement.join(alone(rows[number - 1]) for number in verdict.rows)
    for number in {chosen(rows, truth) for truth in truths(facts)}:
        least = alone(rows[number - 1])
        # Joined with less than it asks for already, it stays what it is.
        assert Requirement.join([asked, least]).document() == asked.document()


@given(tables(), FACTS)
def test_the_trace_and_the_verdict_say_the_same(rows, facts):
    verdict = evaluated(rows, facts)
    [entry] = verdict.trace
    assert entry["table"]["chosen"] == list(verdict.rows)
    assert [each["row"] for each in entry["table"]["rows"]] == list(range(1, verdict.rows[-1] + 1))


# --- beside limits, failing conditions and other policies ----------------------------------------------------------


def test_above_a_limit_the_table_says_who_is_asked():
    rows = [{"up_to": "500", "all_of": [{"group": "few"}]}, {"all_of": [{"group": "many"}]}]
    text = document(rows, MONEY, effect="allow", limits=[{"count": 1, "window": "1h"}])
    payload = {"amount": "600", "currency": "EUR"}
    within = ask(text, payload, usage={"p/all/0": 0})
    assert (within.effect, within.rows, within.requirement) == ("allow", (), None)
    assert within.trace[0]["table"] is None
    over = ask(text, payload, usage={"p/all/0": 1})
    assert (over.effect, over.rows, seats(over)) == ("require_approval", (2,), [{"group": "many", "count": 1}])
    assert over.trace[0]["table"]["chosen"] == [2]
    assert ask(text, payload).rows == (2,)


def test_a_rule_that_fails_asks_whom_its_table_chooses():
    text = document(LADDER, MONEY, when="payload.gone == 1")
    payload = {"amount": "600", "currency": "EUR"}
    assert seats(ask(text, payload)) == [*SECOND, *FIRST]  # and whom the default asks


def test_where_the_rest_would_block_everybody_of_every_row_is_asked():
    text = json.loads(document(LADDER, MONEY, when="payload.never == 1"))
    text["rules"].insert(0, {"id": "odd", "when": "payload.gone == 1", "effect": "allow"})
    text["rules"].append({"id": "no", "effect": "block"})
    verdict = ask(json.dumps(text), {"never": 2})
    assert verdict.rule == "odd"
    assert seats(verdict) == [*LAST[:1], *FIRST, *LAST[1:]]


def test_several_policies_join_what_their_rows_ask():
    other = HEAD.replace("name: p", "name: q") + (
        "  - {id: b, effect: require_approval, approval: {all_of: [{group: legal}], expires_in: 1h}}\n"
    )
    verdict = PolicySet.parse(document(LADDER), other).evaluate(
        action="x.y", payload={"amount": "5", "currency": "EUR"}, agent={"name": "a", "environment": "x"}, now=NOW
    )
    assert seats(verdict) == [{"group": "legal", "count": 1}, {"group": "reviewers", "count": 1}]
    assert (verdict.policy, verdict.rows) == ("p", (1,))


# --- what stands beside the table ----------------------------------------------------------------------------------


def test_what_stands_beside_the_table_is_for_all_rows_and_a_row_may_say_otherwise():
    beside = {"expires_in": "4h", "step_up": True, "rejections": 2, "escalation": [{"after": "1h", "do": "remind"}]}
    rows = [
        {"up_to": "5", "all_of": [{"group": "few"}], "step_up": False},
        {"all_of": [{"group": "many"}], "expires_in": "2h", "rejections": 1},
    ]
    first, second = (
        ask(document(rows, MONEY, beside), {"amount": amount, "currency": "EUR"}).requirement for amount in ("5", "6")
    )
    steps = [{"after": 3600, "do": "remind"}]
    few, many = [{"group": "few", "count": 1}], [{"group": "many", "count": 1}]
    assert first == {"all_of": few, "expires_in": 14400, "rejections": 2, "escalation": steps}
    assert second == {"all_of": many, "expires_in": 7200, "step_up": True, "escalation": steps}


def test_what_happens_when_the_time_is_over_is_taken_from_one_place():
    beside = {"on_timeout": "escalate", "escalate_to": [{"group": "board"}]}
    rows = [{"up_to": "5", "all_of": [{"group": "few"}], "on_timeout": "expire"}, {"all_of": [{"group": "many"}]}]
    first, second = (
        ask(document(rows, MONEY, beside), {"amount": amount, "currency": "EUR"}).requirement for amount in ("5", "6")
    )
    assert first is not None
    assert second is not None
    assert "escalate_to" not in first
    assert second["escalate_to"] == [{"group": "board", "count": 1}]


def test_the_policy_s_own_expiry_counts_where_neither_says_one():
    text = json.loads(document(LADDER))
    text["expires_in"] = "1d"
    requirement = ask(json.dumps(text), {"amount": "5", "currency": "EUR"}).requirement
    assert requirement is not None
    assert requirement["expires_in"] == 86_400


# --- what is refused -----------------------------------------------------------------------------------------------

G = {"all_of": [{"group": "g"}]}
HIDDEN = {"all_of": [{"group": "a\u00ad"}]}
REMIND = {"escalation": [{"after": "1h", "do": "remind"}]}
PATHS = {"of": "payload.a", "currency": "payload.c"}
ROW = "rules[0].approval.table.rows"
TABLE = "rules[0].approval.table"


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (document([]), f"{TABLE}.rows", "must not be an empty list"),
        (document({"a": 1}), f"{TABLE}.rows", "must be a list"),
        (document([G] * 51, None), f"{TABLE}.rows", "at most 50"),
        (document(["x"], None), f"{ROW}[0]", "must be a mapping"),
        (document([{"up_to": "5", **G}]), f"{ROW}[0]", "the last row has no condition"),
        (document([G, G], None), f"{ROW}[0]", "no row below it is ever looked at"),
        (document([{"up_to": "5"}, G]), f"{ROW}[0]", "asks nobody"),
        (document([{"up_to": "5", "step_up": True}, G]), f"{ROW}[0]", "asks nobody"),
        (document([{"up_to": "5", **G}, G], None), f"{ROW}[0].up_to", "needs to know of what"),
        (document([{"records_up_to": 5, **G}, G]), f"{TABLE}.amount", "no row says up_to"),
        (document([{"up_to": "-5", **G}, G]), f"{ROW}[0].up_to", "negative"),
        (document([{"up_to": "five", **G}, G]), f"{ROW}[0].up_to", "is written like"),
        (document([{"up_to": True, **G}, G]), f"{ROW}[0].up_to", "number or a decimal"),
        (document([{"up_to": None, **G}, G]), f"{ROW}[0].up_to", "number or a decimal"),
        (document([{"records_up_to": "5", **G}, G], None), f"{ROW}[0].records_up_to", "whole number"),
        (document([{"records_up_to": -1, **G}, G], None), f"{ROW}[0].records_up_to", "whole number"),
        (document([{"reversible": "yes", **G}, G], None), f"{ROW}[0].reversible", "true or false"),
        (document([{"sensitivity_up_to": "secret", **G}, G], None), f"{ROW}[0].sensitivity_up_to", "low, normal, high"),
        (document([{"environments": "prod", **G}, G], None), f"{ROW}[0].environments", "must be a list"),
        (document([{"environments": [], **G}, G], None), f"{ROW}[0].environments", "empty list"),
        (document([{"tiers": ["a b"], **G}, G], None), f"{ROW}[0].tiers[0]", "without spaces"),
        (document([{"tiers": ["tr\u0443sted"], **G}, G], None), f"{ROW}[0].tiers[0]", "without spaces"),
        (document([{"otherwise": True, **G}], None), f"{ROW}[0].otherwise", "leave it out"),
        (document([{"above": "5", **G}, G], None), f"{ROW}[0].above", "rows are tried in order"),
        (document([{"when": "true", **G}, G], None), f"{ROW}[0].when", "no `when`"),
        (document([{"up_too": "5", **G}, G]), f"{ROW}[0].up_too", "did you mean up_to?"),
        (document([{"sensitivity": "low", **G}, G], None), f"{ROW}[0].sensitivity", "sensitivity_up_to"),
        (document([{"up_to": "5", "all_of": ["g"]}, G]), f"{ROW}[0].all_of[0]", "must be a mapping"),
        (document([{"up_to": "5", **HIDDEN}, G]), f"{ROW}[0].all_of[0].group", "cannot be seen"),
        (document([{"up_to": "5", **G}, G], {"in": "eur"}), f"{TABLE}.amount.in", "three capital letters"),
        (document([{"up_to": "5", **G}, G], PATHS), f"{TABLE}.amount.in", "miss"),
        (document([{"up_to": "5", **G}, G], {"of": "payload.a", "in": "EUR"}), f"{TABLE}.amount.of", "go together"),
        (document([{"up_to": "5", **G}, G], {**MONEY, "of": "context.a"}), f"{TABLE}.amount.of", "must be a path"),
        (document([{"up_to": "5", **G}, G], {**MONEY, "of": "payload"}), f"{TABLE}.amount.of", "must be a path"),
        (document([{"up_to": "5", **G}, G], {**MONEY, "rate": "2"}), f"{TABLE}.amount.rate", "unknown key"),
        (document([G], None, {"all_of": [{"group": "g"}]}), "rules[0].approval.all_of", "belongs into the rows"),
        (document([G], None, {"order": "listed"}), "rules[0].approval.order", "belongs into the rows"),
        (document([G], None, {"expires_in": "soon"}), "rules[0].approval.expires_in", "duration"),
        (document([G], None, {"clock": "business", "expires_in": "2h"}), "rules[0].approval.clock", "business_hours"),
        (document([G], None, effect="allow"), "rules[0].approval", "goes only with the effect"),
        (
            document(
                [
                    {"up_to": "5", "all_of": [{"group": "a"}, {"group": "b"}], "order": "listed"},
                    {"all_of": [{"group": "b"}, {"group": "a"}], "order": "listed"},
                ]
            ),
            f"{TABLE}.rows",
            "contrary orders",
        ),
        (
            document([{"up_to": "5", **G, "expires_in": "30m"}, G], MONEY, REMIND),
            "rules[0].approval.escalation[0].after",
            "before expires_in",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(text, path, reason):
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    assert (path, reason) in [(fault.path, reason if reason in fault.reason else "") for fault in caught.value.errors]
    assert all(fault.line > 0 and fault.column > 0 for fault in caught.value.errors)


def test_a_fault_names_its_line_and_column():
    text = HEAD + (
        "  - id: a\n    effect: require_approval\n    approval:\n      table:\n"
        "        amount: {in: EUR}\n        rows:\n"
        '          - {up_to: "5x", all_of: [{group: g}]}\n          - {all_of: [{group: g}]}\n'
    )
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    assert (caught.value.path, caught.value.line, caught.value.column) == (f"{ROW}[0].up_to", 10, 21)


def test_what_is_wrong_beside_the_table_is_said_once():
    rows = [{"up_to": str(n), **G} for n in range(9)]
    with pytest.raises(PolicyError) as caught:
        parse_policy(document([*rows, G], MONEY, {"step_up": "yes"}))
    assert [fault.path for fault in caught.value.errors] == ["rules[0].approval.step_up"]


def test_a_table_may_have_fifty_rows_and_the_last_is_found():
    rows = [{"up_to": str(number), "all_of": [{"group": f"g{number}"}]} for number in range(49)]
    verdict = ask(document([*rows, G]), {"amount": "1000", "currency": "EUR"})
    assert verdict.rows == (50,)
    assert len(verdict.reason) < 300


# --- tests of a policy ---------------------------------------------------------------------------------------------


def with_test(**expect: Any) -> str:
    text = json.loads(document(LADDER))
    expect = {"effect": "require_approval", **expect}
    text["tests"] = [{"payload": {"amount": "600", "currency": "EUR"}, "expect": expect}]
    return json.dumps(text)


def test_a_test_may_say_which_row_asks():
    parse_policy(with_test(row=2))
    parse_policy(with_test(row=[2]))
    with pytest.raises(PolicyError, match="expected require_approval, row 3, got require_approval by rule all, row 2"):
        parse_policy(with_test(row=3))
    with pytest.raises(PolicyError, match="expected require_approval, rows 1, 2, got"):
        parse_policy(with_test(row=[1, 2]))


@pytest.mark.parametrize("row", ["2", 0, 51, True, [], [0], {}])
def test_a_test_that_names_no_row_is_refused(row):
    with pytest.raises(PolicyError) as caught:
        parse_policy(with_test(row=row))
    assert caught.value.path.startswith("tests[0].expect.row")


def test_a_test_says_what_the_action_type_would():
    rows = [{"reversible": True, "sensitivity_up_to": "low", **G}, {"all_of": [{"group": "many"}]}]
    text = json.loads(document(rows, None))
    expect = {"effect": "require_approval"}
    text["tests"] = [
        {"payload": {}, "reversible": True, "sensitivity": "low", "expect": {**expect, "row": 1}},
        {"payload": {}, "reversible": True, "sensitivity": "high", "expect": {**expect, "row": 2}},
        {"payload": {}, "expect": {**expect, "row": [1, 2]}},
    ]
    parse_policy(json.dumps(text))
    text["tests"] = [{"payload": {}, "sensitivity": "secret", "expect": expect}]
    with pytest.raises(PolicyError) as caught:
        parse_policy(json.dumps(text))
    assert caught.value.path == "tests[0].sensitivity"
