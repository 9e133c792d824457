"""What an action type lets a reviewer narrow: everything that it does not name widens."""

import pytest

from zehrava.action_types import ActionType
from zehrava.narrowing import widenings
from zehrava.policy.errors import ActionTypeError

pytestmark = pytest.mark.sdk

TYPE = ActionType.parse(
    """
name: stripe.refund
narrower:
  payload.amount: less
  payload.to: fewer
  payload.lines.*.count: less
  payload.note: any
"""
)


@pytest.mark.parametrize(
    ("proposed", "changed"),
    [
        ({"amount": "10.00"}, {"amount": "9.99"}),
        ({"amount": "10.00"}, {"amount": "10.0"}),
        ({"amount": 10}, {"amount": 0}),
        ({"to": ["a", "b", "b"]}, {"to": ["b", "b"]}),
        ({"lines": [{"count": 3}, {"count": 4}]}, {"lines": [{"count": 3}, {"count": 1}]}),
        ({"note": "x"}, {"note": {"anything": "else"}}),
        ({}, {"note": "x"}),
        ({"note": "x"}, {}),
        ({"amount": "10", "x": [1, {"y": 2}]}, {"x": [1, {"y": 2}], "amount": "1"}),
    ],
)
def test_what_the_action_type_names_narrows(proposed, changed):
    assert widenings(proposed, changed, TYPE.narrower) == []


@pytest.mark.parametrize(
    ("proposed", "changed", "places"),
    [
        ({"amount": "10.00"}, {"amount": "10.01"}, ["/amount"]),
        ({"amount": "10.00"}, {"amount": "-1.00"}, ["/amount"]),
        ({"amount": "10.00"}, {"amount": "1e0"}, ["/amount"]),
        ({"amount": "10.00"}, {"amount": "٩"}, ["/amount"]),
        ({"amount": "10.00"}, {"amount": "9\n"}, ["/amount"]),
        ({"amount": "10.00"}, {"amount": ""}, ["/amount"]),
        ({"amount": "10"}, {"amount": 9}, ["/amount"]),
        ({"amount": True}, {"amount": False}, ["/amount"]),
        ({"amount": 1}, {"amount": True}, ["/amount"]),
        ({"amount": "10"}, {}, ["/amount"]),
        ({}, {"amount": "1"}, ["/amount"]),
        ({"to": ["a"]}, {"to": ["a", "a"]}, ["/to"]),
        ({"to": [1]}, {"to": [True]}, ["/to/0"]),
        ({"to": ["a", "b"]}, {"to": ["c"]}, ["/to"]),
        ({"to": ["a"]}, {"to": "a"}, ["/to"]),
        ({"to": ["a", "b"]}, {"to": []}, ["/to"]),
        ({"to": ["backup", "drop"]}, {"to": ["drop", "backup"]}, ["/to/0", "/to/1"]),
        ({"lines": [{"count": 3}, {"count": 4}]}, {"lines": [{"count": 3}]}, ["/lines"]),
        ({"lines": [{"count": 3}]}, {"lines": [{"count": 4}]}, ["/lines/0/count"]),
        ({"except": ["a", "b"]}, {"except": ["a"]}, ["/except"]),
        ({"a/b": 1, "c~d": 1}, {"a/b": 2, "c~d": 2}, ["/a~1b", "/c~0d"]),
        (5, 4, [""]),
    ],
)
def test_everything_else_widens(proposed, changed, places):
    assert widenings(proposed, changed, TYPE.narrower) == places


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("narrower: {amount: less}", "narrower.amount"),
        ("narrower: {payload..x: less}", "narrower['payload..x']"),
        ("narrower: {payload.amount: smaller}", "narrower['payload.amount']"),
        ("narrower: [payload.amount]", "narrower"),
        ("narrower: {payload.amount: less, payload.amount: any}", "narrower['payload.amount']"),
    ],
)
def test_what_is_not_known_is_refused_with_its_place(text, path):
    with pytest.raises(ActionTypeError) as refused:
        ActionType.parse(f"name: a.b\n{text}\n")
    assert refused.value.path == path
    assert refused.value.line == 2
