"""What is decided without CEL is decided exactly as CEL would; whatever is not plain is left to CEL."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zehrava.policy.conditions import Condition, Reads
from zehrava.policy.expressions import parse
from zehrava.policy.plain_data import EvaluationError, check_json
from zehrava.policy.shortcuts import shortcut
from zehrava.policy.tokens import ConditionError

NOW = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)

STRINGS = [
    "",
    "a",
    "b",
    "ab",
    "aB",
    "500",
    "500.0",
    "-3",
    "é",
    "\u20ac",
    "\U0001f600",
    "\uffff",
    "\x00",
    "K*",
    "a@b.de",
]
NUMBERS = [0, 1, -1, 2, 500, 2**53 - 1, -(2**53) + 1]
FLOATS = [0.0, -0.0, 1.0, 2.0, 0.5, 500.0, 1e-7, -1e15]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.sampled_from(FLOATS),
    st.sampled_from(STRINGS),
    st.text(max_size=3),
    st.floats(-1e15, 1e15),
)
KEYS = st.sampled_from(["a", "b", "c", "size", "amount", "has", "null"])
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
PAYLOADS = st.dictionaries(KEYS, JSON, max_size=6) | JSON

PATHS = st.sampled_from(
    ["payload", "payload.a", "payload.b", "payload.size", "payload.amount", "payload.a.b", "payload.a.c.b", "context.a",
     "context.b", "agent.name", "agent.labels.team", "intent.target", "intent.tags", "intent.records", "usage.a", "now"]
)  # fmt: skip


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(letter):08x}" for letter in text) + '"'


TEXTS = st.sampled_from(STRINGS).map(quoted)
CONSTANTS = st.one_of(
    TEXTS,
    st.sampled_from(NUMBERS).map(str),
    st.sampled_from(FLOATS).map(repr),
    st.sampled_from(["true", "false", "null", "1u", "2u", 'b"a"', 'amount("500")', "amount(-3)", "amount(0.5)"]),
)
LISTS = st.lists(CONSTANTS, max_size=3).map(lambda parts: f"[{', '.join(parts)}]")
VALUES = st.recursive(
    PATHS | CONSTANTS,
    lambda inner: st.one_of(
        st.builds("amount({})".format, inner),
        st.builds("size({})".format, inner),
        st.builds("{}.size()".format, PATHS),
        st.builds("domain({})".format, inner),
        st.builds("glob({}, {})".format, inner, inner),
        st.builds("{}({})".format, st.sampled_from(["length", "json_size", "url_host"]), inner),
        st.builds("contains_term({}, {})".format, PATHS, LISTS),
        st.builds("in_cidr({}, {})".format, inner, LISTS | TEXTS),
        st.builds("amount_sum({}, {})".format, PATHS, st.sampled_from(['"a"', '"b.c"', '"size"'])),
        st.builds('money({}, {}, {{"a": "1.5", "b": "2"}})'.format, inner, inner),
        st.builds('weekday({}, "Europe/Berlin")'.format, PATHS),
        st.builds('in_hours({}, "America/New_York", "09:00", "17:00")'.format, PATHS),
        st.builds("{}.{}({})".format, PATHS, st.sampled_from(["startsWith", "endsWith", "contains"]), inner),
    ),
    max_leaves=3,
)
ATOMS = st.one_of(
    st.builds("{} {} {}".format, VALUES, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), VALUES),
    st.builds("{} in {}".format, VALUES, LISTS | PATHS | VALUES),
    st.builds("has({})".format, PATHS.filter(lambda path: "." in path)),
    VALUES,
    st.sampled_from(["true", "false", "1 / 0 == 1", 'payload.a.matches("^a")', "payload.a.exists(x, x == 1)"]),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: " && ".join(f"({part})" for part in parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: " || ".join(f"({part})" for part in parts)),
        st.builds("!({})".format, inner),
        st.builds("({}) ? ({}) : ({})".format, inner, inner, inner),
    ),
    max_leaves=5,
)


# Walks, over what may be no list, with elements of any kind, and walks inside them.
ELEMENTS = st.sampled_from(["x", "x.a", "x.b", "x.a.b", "x.size"])
WALKS = st.sampled_from(["all", "exists", "exists_one"])
PLAIN = st.one_of(
    st.builds("{} {} {}".format, ELEMENTS, st.sampled_from(["==", "!=", "<", ">="]), CONSTANTS | ELEMENTS),
    st.builds("{} in {}".format, ELEMENTS, LISTS),
    st.builds("amount({}) > amount({})".format, ELEMENTS, st.sampled_from(['"1"', "2", '"500"'])),
    st.builds("{}.startsWith({})".format, ELEMENTS, TEXTS),
    st.sampled_from(["has(x.a)", "has(x.a.b)", "x", "size(x) > 1", "true", "1 / 0 == 1", "x.a.exists(y, y == x.b)"]),
    st.builds("x.a.{}(y, y == {})".format, WALKS, CONSTANTS),
)
BODIES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.builds("({}) && ({})".format, inner, inner),
        st.builds("({}) || ({})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=3,
)
WALKED = st.builds("{}.{}(x, {})".format, PATHS, WALKS, BODIES)
LISTED = st.dictionaries(KEYS, st.lists(JSON, max_size=4) | JSON, max_size=4)


def values(payload: Any, context: Any) -> dict[str, Any]:
    return {
        "payload": payload,
        "context": context,
        "agent": {"name": "billing-1", "labels": {"team": "a"}},
        "intent": {"target": None, "tags": ["a", "b"], "records": 2},
        "usage": {"a": 1},
        "now": NOW,
    }


def by_cel(condition: Condition, given_values: dict[str, Any]) -> Any:
    """What CEL says: true, false or that it has no such answer."""
    try:
        said = condition.value(Reads([condition]).environment(given_values))
    except EvaluationError:
        return "error"
    return said if said is True or said is False else "no answer"


@settings(max_examples=600, deadline=None)
@given(WALKED, LISTED)
def test_a_walk_says_what_cel_says_or_nothing(text: str, payload: dict[str, Any]) -> None:
    given_values = values(payload, {})
    try:
        condition = Condition.parse(text)
    except ConditionError:
        return  # such as an amount beside what is none
    said = condition.shortcut(given_values) if condition.shortcut else None
    if said is not None:
        assert said is by_cel(condition, given_values), text


def test_walks_over_what_an_agent_sends_are_decided_without_copying_it() -> None:
    payload = {"items": [{"k": str(number), "n": [number]} for number in range(20)]}
    for text, expected in (
        ('payload.items.exists(i, i.k == "7")', True),
        ('payload.items.all(i, i.k != "x" && size(i.n) == 1)', True),
        ("payload.items.exists_one(i, i.n.exists(n, n == 3))", True),
        ('payload.items.all(i, amount(i.k) < amount("19"))', False),
    ):
        assert Condition.parse(text).shortcut(values(payload, {})) is expected
    # What reads more than the element is weighed and left to CEL.
    assert Condition.parse("payload.items.exists(i, i.k == payload.k)").shortcut is None


@settings(max_examples=600, deadline=None)
@given(CONDITIONS, PAYLOADS, st.dictionaries(KEYS, JSON, max_size=3))
def test_a_shortcut_says_what_cel_says_or_nothing(text: str, payload: Any, context: dict[str, Any]) -> None:
    given_values = values(payload, context)
    try:
        check_json(payload, "payload")
        check_json(context, "context")
    except EvaluationError:
        return  # nothing is evaluated then
    try:
        condition = Condition.parse(text)
    except ConditionError:
        return  # such as amount("")
    quick = shortcut(parse(text))
    said = quick(given_values) if quick else None
    if said is not None:
        assert said is by_cel(condition, given_values)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in"]),
    st.sampled_from(
        ["payload.a {} payload.b", "amount(payload.a) {} amount(payload.b)", "size(payload.a) {} payload.b"]
    ),
    JSON,
    JSON,
)
def test_two_members_compare_as_in_cel(op: str, form: str, first: Any, second: Any) -> None:
    if op == "in" and form.startswith("amount"):
        return  # refused: an amount is no list
    given_values = values({"a": first, "b": second}, {})
    try:
        check_json(given_values["payload"], "payload")
    except EvaluationError:
        return
    condition = Condition.parse(form.format(op))
    quick = shortcut(condition.tree)
    assert quick is not None
    said = quick(given_values)
    assert said is None or said is by_cel(condition, given_values)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('payload.country == "DE"', True),
        ('payload.country != "DE"', False),
        ('payload.country in ["FR", "DE"]', True),
        ("payload.count >= 3", True),
        ('amount(payload.amount) > amount("99.5")', True),
        ('payload.country.startsWith("D") && !(payload.count > 5)', True),
        ("has(payload.note) || payload.flag", True),
        ('"a" in intent.tags', True),
        ('agent.labels.team == "a" && payload.order.sku == "x"', True),
        ("payload.nothing == null", True),
        ("size(payload.list) == 2", True),
        ('payload.country == "FR" && payload.list.all(x, x > 0)', False),
        ('domain(payload.mail) == "x.com"', True),
        ('glob(payload.country, "D*")', True),
    ],
)
def test_plain_conditions_need_no_cel(condition: str, expected: bool) -> None:
    payload = {"country": "DE", "count": 3, "amount": "100.00", "flag": True, "order": {"sku": "x"}, "nothing": None}
    payload |= {"list": [1, 2], "mail": "a@x.com"}
    quick = shortcut(parse(condition))
    assert quick is not None
    assert quick(values(payload, {})) is expected


@pytest.mark.parametrize(
    ("condition", "payload"),
    [
        ("payload.a == 1", {"a": 1.0}),
        ("payload.a == 1", {"a": True}),
        ("payload.a == 1", {}),
        ("payload.a == 1", [1]),
        ("payload.a > 1", {"a": "2"}),
        ("payload.a in [1, 2]", {"a": 2.0}),
        ('payload.a in ["1", 2]', {"a": "1"}),
        ("has(payload.a.b)", {"a": [1]}),
        ('amount(payload.a) > amount("5")', {"a": "5 EUR"}),
        ("payload.a && payload.b", {"a": 1, "b": False}),
        ("payload.missing || true", {}),
    ],
)
def test_what_is_not_plain_is_left_to_cel(condition: str, payload: Any) -> None:
    quick = shortcut(parse(condition))
    assert quick is None or quick(values(payload, {})) is None


@pytest.mark.parametrize("text", STRINGS)
def test_the_size_of_a_text_is_what_cel_counts(text: str) -> None:
    for size in range(6):
        condition = Condition.parse(f"size(payload.a) == {size}")
        given_values = values({"a": text}, {})
        assert condition.holds(Reads([condition]).environment(given_values)) is by_cel(condition, given_values)
