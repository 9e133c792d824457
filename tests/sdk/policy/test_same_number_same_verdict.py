"""A number is one number, however it is written: what is judged is what canonical form says."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zehrava import canonical
from zehrava.policy import PolicySet
from zehrava.policy.plain_data import whole_numbers

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
ODD = """
name: p
match: {actions: [a.b]}
rules:
  - {id: odd, when: type(payload.n) == int && payload.n % 2 == 1, effect: block}
  - {id: rest, effect: allow}
"""


@pytest.mark.parametrize("written", ["5", "5.0", "5e0", "0.5e1", "50e-1"])
def test_five_is_five(written: str) -> None:
    body = canonical.loads(f'{{"n": {written}}}')
    assert type(body["n"]) is int
    said = PolicySet.parse(ODD).evaluate(action="a.b", payload=body, agent={}, now=NOW)
    assert (said.effect, said.rule) == ("block", "odd")


def test_a_caller_of_the_engine_is_held_to_the_same() -> None:
    policies = PolicySet.parse(ODD)
    payload = {"n": 5.0, "deep": [1.0, {"x": 2.0}]}
    assert policies.evaluate(action="a.b", payload=payload, agent={}, now=NOW).effect == "block"
    assert type(payload["n"]) is float, "what the caller holds stays as it is"
    amounts = PolicySet.parse(
        ODD.replace("type(payload.n) == int && payload.n % 2 == 1", "type(intent.value.x) == int")
    )
    assert amounts.evaluate(action="a.b", payload=1, agent={}, value={"x": 5.0}, records=3.0, now=NOW).effect == "block"
    nothing = {"a": [1, "x", 0.5], "b": None}
    assert whole_numbers(nothing) is nothing


NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2.0**53) + 1, 2.0**53 - 1, allow_nan=False)
VALUES = st.recursive(NUMBERS | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(value=VALUES)
def test_what_is_read_is_what_its_canonical_form_reads_as(value: object) -> None:
    def shape(each: object) -> object:
        if isinstance(each, dict):
            return {key: shape(member) for key, member in each.items()}
        if isinstance(each, list):
            return [shape(member) for member in each]
        return (type(each), each)

    try:
        read = canonical.loads(json.dumps(value))
    except canonical.StrictError:
        return
    again = canonical.loads(canonical.dumps(read))
    assert shape(read) == shape(again) == shape(whole_numbers(read))
