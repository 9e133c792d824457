"""Promise 1: what an agent sends cannot make a walk cost the product of two lists. It asks instead, at once."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from zehrava.policy import PolicySet, Verdict
from zehrava.policy.conditions import Condition, Reads
from zehrava.policy.plain_data import EvaluationError
from zehrava.policy.tokens import ConditionError

NOW = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)
MANY = [f"k{number}" for number in range(20_000)]
OTHERS = [f"m{number}" for number in range(20_000)]


def holds(condition: str, payload: Any) -> bool:
    parsed = Condition.parse(condition)
    values = {"payload": payload, "intent": {}, "agent": {"name": "a"}, "context": {}, "usage": {}, "now": NOW}
    return parsed.holds(Reads([parsed]).environment(values))


@pytest.mark.parametrize(
    ("condition", "payload"),
    [
        ("payload.a.all(x, !(x in payload.b))", {"a": MANY, "b": OTHERS}),
        ("payload.a.all(x, x != payload.order.sku)", {"a": MANY, "order": {"sku": "s", "lines": OTHERS}}),
        ("payload.a.all(x, !has(payload.order.gone))", {"a": MANY, "order": {"sku": "s", "lines": OTHERS}}),
        ("payload.a.all(x, payload.b[0] != x)", {"a": MANY, "b": OTHERS}),
        ("payload.a.exists(k, payload.a[k] == 'gone')", {"a": dict.fromkeys(MANY, "v")}),
        ("payload.a.all(x, size(payload.b) > 1)", {"a": MANY, "b": OTHERS}),
        ("payload.a.all(x, !payload.text.contains(x))", {"a": MANY, "text": "lorem " * 150_000}),
        ("payload.a.all(x, x != payload)", {"a": MANY}),
        ('payload.a.all(x, !contains_term(payload.text, ["z"]))', {"a": MANY[:100], "text": "lorem " * 20_000}),
        ("payload.l.all(x, x.t.all(y, y != x.m.n))", {"l": [{"t": MANY, "m": {"n": "q", "b": OTHERS}}]}),
        ("payload.l.all(x, x.all(y, !(y in x)))", {"l": [MANY]}),
        ("payload.l.all(x, x.t.all(y, !(y in payload.b)))", {"l": [{"t": MANY[:100]}] * 100, "b": OTHERS}),
        ('["a", "b"].all(x, payload.a == payload.a) || payload.a.all(x, x in payload.b)', {"a": MANY, "b": OTHERS}),
    ],
)
def test_a_walk_over_the_product_of_two_lists_gives_no_answer(condition: str, payload: Any) -> None:
    with pytest.raises(EvaluationError, match="the lists are too long"):
        holds(condition, payload)


@pytest.mark.parametrize(
    ("condition", "payload"),
    [
        ("payload.a.all(x, !(x in payload.b))", {"a": MANY[:300], "b": OTHERS[:300]}),
        ('payload.a.all(x, x != "" && x != payload.owner && x != agent.name)', {"a": MANY, "owner": "mia"}),
        ("payload.l.all(i, i.currency == payload.order.currency)",
         {"l": [{"currency": "EUR"}] * 2_000, "order": {"currency": "EUR", "lines": [1] * 50}}),
        ("payload.l.all(x, x.tags.all(t, t != x.sku))", {"l": [{"sku": "s", "tags": ["a", "b"]}] * 3_000}),
        ('payload.l.all(x, ["a", "b"].exists(y, y == x.sku))', {"l": [{"sku": "a"}] * 5_000}),
        ("payload.m.all(k, payload.m[k] > 0)", {"m": dict.fromkeys(MANY[:300], 1)}),
        ("payload.a.all(x, size(x) > 1)", {"a": MANY}),
        ("payload.l.all(i, amount(i.price) < amount(payload.most) && domain(payload.mail) == 'example.com')",
         {"l": [{"price": "5.00"}] * 5_000, "most": "100.00", "mail": "somebody.with.a.name@example.com"}),
        ("payload.missing.all(x, x in payload.b) || true", {"b": OTHERS}),
        ("5 in payload.a || payload.a.all(x, x in payload.a)", {"a": [5, *[1] * 100]}),
    ],
)  # fmt: skip
def test_what_is_in_proportion_to_a_list_is_answered(condition: str, payload: Any) -> None:
    assert holds(condition, payload) is True


def nested(over: str, times: int) -> str:
    return "".join(f"{over}.all(v{number}, " for number in range(times)) + "true" + ")" * times


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("payload.l.all(a, payload.l.all(b, b == a))", "a walk inside a walk"),
        ("payload.l.all(a, [payload.l].all(b, b.all(c, c == a)))", "a walk inside a walk"),
        ("payload.l.all(x, x.all(a, [x].all(b, b.all(c, c == a))))", "a walk inside a walk"),
        ("payload.l.all(x, x.all(y, x.all(z, z == y)))", "a walk inside a walk"),
        (nested("[1, 1]", 12), "rounds"),
        (f"payload.l.all(x, {nested('[x, x]', 1).replace('true', nested('[v0, v0]', 1))})", "is taken"),
        (f"[{', '.join('123456789')}].all(x, [{', '.join('123456789')}].all(y, x != y))", "rounds"),
    ],
)
def test_walks_that_multiply_do_not_load(condition: str, reason: str) -> None:
    with pytest.raises(ConditionError, match=reason):
        Condition.parse(condition)


def test_a_few_rounds_over_lists_written_out_load() -> None:
    assert holds('["a", "b"].all(x, ["c", "d"].all(y, x != y))', {}) is True


def test_many_conditions_over_one_large_list_ask_instead_of_copying_it_each_time() -> None:
    """Promise 1, and no agent holds up the others: what CEL is given of one intent is bounded over all rules."""
    rules = [
        {"id": f"r{number}", "when": f'payload.items.exists(i, i.k + "" == "{number}")', "effect": "allow"}
        for number in range(50)
    ]
    document = {"name": "p", "match": {"actions": ["*"]}, "rules": rules, "default": "allow"}
    policies = PolicySet.parse(json.dumps(document))

    def said(items: int) -> Verdict:
        payload = {"items": [{"k": "x"}] * items}
        return policies.evaluate(action="a.b", payload=payload, agent={"name": "a"}, now=NOW)

    assert said(1_000).effect == "allow"
    verdict = said(50_000)
    assert verdict.effect == "require_approval"
    assert "the intent is too large" in verdict.reason
    # What is explained afterwards is what was decided, and is bounded as well.
    errors = [entry["rule"] for entry in verdict.trace if entry["held"] == "error"]
    assert errors and errors[0] == verdict.rule
    assert verdict.trace == said(50_000).trace


def test_a_large_list_in_a_trace_is_shown_by_its_beginning() -> None:
    text = 'name: p\nmatch: {actions: ["*"]}\nrules: [{id: a, when: size(payload.items) > 1, effect: block}]\n'
    payload = {"items": [{"k": number} for number in range(5_000)]}
    verdict = PolicySet.parse(text).evaluate(action="a.b", payload=payload, agent={"name": "a"}, now=NOW)
    (entry,) = verdict.trace
    shown = {part["expression"]: part["value"] for part in entry["operands"]}
    assert shown["payload.items"].startswith('[{"k": 0}, {"k": 1}')
    assert shown["payload.items"].endswith("… (5000 members)")
    assert shown["size(payload.items)"] == 5_000


def test_an_element_without_an_answer_gives_none_whatever_comes_behind_it() -> None:
    """Not having looked past an error is what CEL does here, and what an agent that breaks an element must not gain."""
    payload = {"items": [{}, {"a": 1}]}
    for condition in ("payload.items.exists(i, i.a == 1)", "payload.items.all(i, i.a == 2)"):
        with pytest.raises(EvaluationError):
            holds(condition, payload)
    assert holds("payload.items.exists(i, i.a == 1)", {"items": [{"a": 1}, {}]})


def test_rounds_over_lists_written_out_are_counted_for_each_element() -> None:
    eight = "[1, 2, 3, 4, 5, 6, 7, 8]"
    condition = f"payload.l.exists(i, {eight}.exists(t, {eight}.exists(u, i == t + u + 100)))"
    assert holds(condition, {"l": list(range(50))}) is False
    with pytest.raises(EvaluationError, match="steps"):
        holds(condition, {"l": list(range(25_000))})


@pytest.mark.parametrize(
    ("condition", "payload"),
    [
        ("payload.l.exists(x, x == -1 - {n})", {"l": list(range(20_000))}),
        ("payload.l.exists(x, x == -{n}1)", {"l": list(range(20_000))}),
        ("payload.l.exists(x, x.a.exists(y, y == -{n}1))", {"l": [{"a": [1, 2, 3]}] * 6_000}),
        ('"z{n}" in payload.l', {"l": ["a"] * 50_000}),
        ('contains_term(payload.t, ["zz{n}"])', {"t": "ab cd " * 20_000}),
        ('payload.l.exists(x, contains_term(x, ["zz{n}"]))', {"l": ["ab cd " * 200] * 100}),
        ("json_size(payload) == {n}", {"l": list(range(20_000))}),
        ('has(payload.q) || payload.l.exists(x, x == "b{n}")', {"l": ["a"] * 20_000}),
    ],
)
def test_a_thousand_conditions_that_need_no_cel_are_bounded_as_well(condition: str, payload: dict[str, object]) -> None:
    """What is decided without CEL goes through lists and texts, too: together a thousand rules would take seconds."""

    def said(rules: int) -> Verdict:
        document = {
            "name": "p",
            "match": {"actions": ["*"]},
            "rules": [
                {"id": f"r{number}", "when": condition.replace("{n}", str(number)), "effect": "allow"}
                for number in range(rules)
            ],
            "default": "allow",
        }
        policies = PolicySet.parse(json.dumps(document))
        return policies.evaluate(action="a.b", payload=payload, agent={"name": "a"}, now=NOW)

    assert said(2).effect == "allow"
    verdict = said(1_000)
    assert verdict.effect == "require_approval"
    assert "the intent is too large" in verdict.reason
    failed = [entry["rule"] for entry in verdict.trace if entry["held"] == "error"]
    assert failed[0] == verdict.rule
    # Where it ends follows from the intent alone.
    assert said(1_000).rule == verdict.rule
