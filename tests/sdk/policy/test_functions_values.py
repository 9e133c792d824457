"""Sums, addresses, hours and sizes in conditions: exact, read in one way, or an error."""

from __future__ import annotations

import datetime
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zehrava import canonical
from zehrava.policy import PolicyError, PolicySet, parse_policy
from zehrava.policy.functions import (
    FUNCTIONS,
    amount,
    amount_sum,
    amount_times,
    in_cidr,
    in_hours,
    json_size,
    length,
    money,
    on_dates,
    on_days,
    url_host,
    weekday,
)

CENTS = st.integers(-(10**9), 10**9).map(lambda cents: Decimal(cents) / 100)


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


# Money


@given(st.lists(CENTS, max_size=20))
def test_a_sum_is_exact(numbers: list[Decimal]) -> None:
    assert amount_sum([format(number, "f") for number in numbers]) == amount(format(sum(numbers, Decimal()), "f"))


@given(st.lists(st.tuples(CENTS, st.integers(0, 1000)), max_size=20))
def test_a_sum_of_products_is_exact(lines: list[tuple[Decimal, int]]) -> None:
    items = [{"line": {"price": format(price, "f")}, "quantity": quantity} for price, quantity in lines]
    expected = sum((price * quantity for price, quantity in lines), Decimal())
    assert amount_sum(items, "line.price", "quantity") == amount(format(expected, "f"))


@given(CENTS, CENTS)
def test_a_product_is_exact(one: Decimal, other: Decimal) -> None:
    assert amount_times(format(one, "f"), format(other, "f")) == amount(format(one * other, "f"))


def test_money_is_in_the_currency_of_the_rates() -> None:
    rates = {"EUR": "1", "USD": "0.92"}
    assert money("100", "USD", rates) == amount("92")
    for wrong in ("GBP", "usd", None, ["EUR"]):
        with pytest.raises(ValueError, match="no rate"):
            money("100", wrong, rates)


@pytest.mark.parametrize(
    "call",
    [
        lambda: amount(amount("5")),
        lambda: amount(amount("-5")),
        lambda: amount_sum([amount("5")]),
        lambda: amount_sum("12"),
        lambda: amount_sum({"a": 1}),
        lambda: amount_sum([True]),
        lambda: amount_sum(["1", "1e3"]),
        lambda: amount_sum([{"price": "1"}, {}], "price"),
        lambda: amount_sum([{"price": "1"}, "price"], "price"),
        lambda: amount_sum([{"price": None}], "price"),
        lambda: amount_sum([{"a": 1}], 5),
        lambda: amount_sum([{"": 1}], ""),
        lambda: amount_sum(["9" * 30, "1"]),
        lambda: amount_times("0.0000001", "0.0000001"),
        lambda: amount_times("9" * 30, "10"),
        lambda: amount_times("5", None),
        lambda: money("5", "EUR", {"EUR": "0"}),
        lambda: money("5", "EUR", {"EUR": "-1"}),
        lambda: money("5", "EUR", {}),
        lambda: money("5", "EUR", "EUR"),
    ],
)
def test_what_cannot_be_worked_out_exactly_is_an_error(call: Any) -> None:
    with pytest.raises(ValueError):
        call()


# Addresses


@pytest.mark.parametrize(
    ("ip", "networks", "expected"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("11.1.2.3", ["10.0.0.0/8", "11.0.0.0/8"], True),
        ("2001:db8::1", ["10.0.0.0/8", "2001:db8::/32"], True),
        ("2001:DB8:0:0::1", "2001:db8::/32", True),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("::ffff:0a01:0203", "10.0.0.0/8", True),
        ("::ffff:10.1.2.3", "::/0", False),
        ("10.1.2.3", "::/0", False),
        ("64:ff9b::a01:203", "10.0.0.0/8", False),
        ("0.0.0.0", "0.0.0.0/0", True),
    ],
)
def test_an_address_lies_in_its_network(ip: str, networks: Any, expected: bool) -> None:
    assert in_cidr(ip, networks) is expected


@pytest.mark.parametrize(
    "ip",
    ["", "10.1", "10.1.2.3.4", "010.1.2.3", "10.1.2.256", "0x0a.1.2.3", "167838211", 167838211, None, True,
     ["10.1.2.3"], " 10.1.2.3", "10.1.2.3\n", "10.1.2.3/32", "fe80::1%eth0",
     "[::1]", "１０.1.2.3", "::ffff:010.1.2.3", "1" * 100,
     ":::"],
)  # fmt: skip
def test_an_address_in_an_odd_notation_is_an_error(ip: Any) -> None:
    with pytest.raises(ValueError):
        in_cidr(ip, "10.0.0.0/8")


@pytest.mark.parametrize(
    "networks",
    ["", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/255.0.0.0", "10.0.0.0/08", "10.0.0.0/33", "10/8", "::ffff:10.0.0.0/104",
     "fe80::%1/64", [], [5], None, ["10.0.0.0/8", "x"],
     {"10.0.0.0/8": 1}, [["10.0.0.0/8"]], [{}]],
)  # fmt: skip
def test_a_network_in_an_odd_notation_is_an_error(networks: Any) -> None:
    with pytest.raises(ValueError):
        in_cidr("10.1.2.3", networks)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Example.COM/path?q=1#x", "example.com"),
        ("http://example.com:8080", "example.com"),
        ("https://example.com?x=a@b", "example.com"),
        ("https://10.0.0.1/", "10.0.0.1"),
        ("https://[2001:DB8::1]:443/", "2001:db8::1"),
        ("https://[::ffff:10.0.0.1]/", "10.0.0.1"),
    ],
)
def test_the_host_of_a_url(url: str, host: str) -> None:
    assert url_host(url) == host


@pytest.mark.parametrize(
    "url",
    ["", "example.com", "//example.com", "ftp://example.com", "javascript:alert(1)", "https:/example.com", "https://",
     "https://user@example.com",
     "https://good.com@evil.com", "https://evil.com\\@good.com", "https://good.com\\.evil.com",
     "https://example.com.", "https://.example.com", "https://a..b", "https://-a.com", "https://ex%61mple.com",
     "https://exämple.com", "https://example。com", "https://exa mple.com", "https://example.com/a b",
     "https://example.com/\n", " https://example.com", "ht\ttps://example.com", "https://127.1", "https://2130706433",
     "https://0x7f.0.0.1", "https://0177.0.0.1", "https://0x7f000001", "https://1.2.3.4.5", "https://[fe80::1%25eth0]",
     "https://[::1", "https://[10.0.0.1]", "https://example.com:", "https://example.com:99999", "https://example.com:0",
     "https://example.com/" + "a" * 9000, None, 5],
)  # fmt: skip
def test_a_url_that_clients_read_differently_has_no_host(url: Any) -> None:
    with pytest.raises(ValueError):
        url_host(url)


# Times


@pytest.mark.parametrize(
    ("now", "start", "end", "expected"),
    [
        ("2026-01-15T08:00:00+00:00", "09:00", "17:00", True),
        ("2026-01-15T07:59:59+00:00", "09:00", "17:00", False),
        ("2026-01-15T16:00:00+00:00", "09:00", "17:00", False),
        ("2026-07-15T07:00:00+00:00", "09:00", "17:00", True),  # summer time
        ("2026-01-15T21:30:00+00:00", "22:00", "06:00", True),
        ("2026-01-15T04:59:00+00:00", "22:00", "06:00", True),
        ("2026-01-15T05:00:00+00:00", "22:00", "06:00", False),
        ("2026-01-15T22:59:00+00:00", "18:00", "24:00", True),
        ("2026-01-15T23:00:00+00:00", "18:00", "24:00", False),
        ("2026-03-29T00:59:00+00:00", "02:00", "03:00", False),  # 01:59, then 03:00: the hour is skipped
        ("2026-03-29T01:00:00+00:00", "02:00", "03:00", False),
        ("2026-10-25T00:30:00+00:00", "02:00", "03:00", True),  # the hour comes twice
        ("2026-10-25T01:30:00+00:00", "02:00", "03:00", True),
        ("2026-10-25T02:00:00+00:00", "02:00", "03:00", False),
    ],
)
def test_hours_are_those_of_the_clock_on_the_wall(now: str, start: str, end: str, expected: bool) -> None:
    assert in_hours(at(now), "Europe/Berlin", start, end) is expected


def test_days_are_those_of_the_zone() -> None:
    sunday_evening = at("2026-11-22T20:00:00+00:00")
    assert weekday(sunday_evening, "UTC") == "sun"
    assert weekday(sunday_evening, "Asia/Tokyo") == "mon"
    assert on_days(sunday_evening, "Asia/Tokyo", ["mon", "tue"])
    assert not on_days(sunday_evening, "America/New_York", ["mon", "tue"])
    assert on_dates(sunday_evening, "Asia/Tokyo", "2026-11-23", "2026-11-23")
    assert not on_dates(sunday_evening, "UTC", "2026-11-23", "2026-12-24")


@pytest.mark.parametrize(
    "zone",
    ["", "Mars/Phobos", "europe/berlin", "../../etc/passwd", "Europe/../Europe/Berlin", "Europe", "zones",
     "__init__.py", "/etc/localtime", "localtime", "CET-1CEST", None, 5, [], {}],
)  # fmt: skip
def test_a_zone_that_the_package_lacks_is_an_error(zone: Any) -> None:
    with pytest.raises(ValueError, match="time zone"):
        weekday(at("2026-11-22T20:00:00+00:00"), zone)


def test_zones_never_come_from_the_machine(tmp_path: Any) -> None:
    import zoneinfo

    from zehrava.policy.functions import times

    (tmp_path / "Europe").mkdir()
    with (times.importlib.resources.files("tzdata") / "zoneinfo" / "Asia" / "Tokyo").open("rb") as file:
        (tmp_path / "Europe" / "Berlin").write_bytes(file.read())
    try:
        zoneinfo.reset_tzpath([os.fspath(tmp_path)])  # the machine's Berlin is Tokyo here
        times._load.cache_clear()
        assert in_hours(at("2026-01-15T08:00:00+00:00"), "Europe/Berlin", "09:00", "09:01")
    finally:
        zoneinfo.reset_tzpath()
        times._load.cache_clear()


@pytest.mark.parametrize("now", [None, "2026-11-22T20:00:00Z", 5, datetime.datetime(2026, 1, 1)])
def test_what_is_no_instant_has_no_hour(now: Any) -> None:
    with pytest.raises(ValueError, match="instant"):
        in_hours(now, "UTC", "09:00", "17:00")


@pytest.mark.parametrize("end", ["00:00", "06:00", "23:59"])
def test_no_hours_begin_at_the_end_of_a_day(end: str) -> None:
    with pytest.raises(ValueError, match="begin at 00:00"):
        in_hours(at("2026-01-15T08:00:00+00:00"), "UTC", "24:00", end)
    with pytest.raises(PolicyError, match="begin at 00:00"):
        parse_policy(
            "name: p\nmatch: {actions: [a.b]}\nrules: [{id: r, effect: allow, when: "
            f'\'in_hours(now, "UTC", "24:00", "{end}")\'}}]\n'
        )


# Sizes


def test_lengths_count_characters_and_sizes_count_canonical_bytes() -> None:
    assert length("naïve 😀") == 7
    value = {"b": [1, 2.5, None], "a": "ü"}
    assert json_size(value) == len(canonical.dumps(value)) == 27
    for wrong in (None, 5, [1], {}):
        with pytest.raises(ValueError):
            length(wrong)
    with pytest.raises(ValueError):
        json_size({"at": datetime.datetime.now(datetime.UTC)})


# In conditions


def test_every_function_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "policies" / "README.md").read_text("utf-8")
    assert [name for name in FUNCTIONS if f"| `{name}(" not in text] == []


def policy(condition: str) -> str:
    return (
        f"name: p\nmatch: {{actions: ['*']}}\nrules:\n  - id: a\n    effect: allow\n    when: >-\n      {condition}\n"
    )


def effect(condition: str, payload: Any) -> str:
    now = at("2026-11-23T10:00:00+00:00")
    return PolicySet([parse_policy(policy(condition))]).evaluate(action="a", payload=payload, agent={}, now=now).effect


@pytest.mark.parametrize(
    ("condition", "payload"),
    [
        ('amount_sum(payload.items, "price", "count") > amount("500")', {"items": [{"price": "251", "count": 2}]}),
        ("amount_sum([payload.net, payload.tax]) == amount(payload.total)", {"net": "0.1", "tax": 0.2, "total": "0.3"}),
        ('amount_times(payload.total, "0.5") >= amount(payload.refund)', {"total": 3, "refund": "1.5"}),
        ('money(payload.a, payload.c, {"EUR": "1", "USD": "0.92"}) < amount("93")', {"a": 100, "c": "USD"}),
        ('in_cidr(payload.ip, ["10.0.0.0/8", "fd00::/8"])', {"ip": "::ffff:10.0.0.1"}),
        ('url_host(payload.url) == "example.com"', {"url": "https://EXAMPLE.com/x"}),
        ('contains_term(payload, ["wire transfer"])', {"note": ["w1re-transfer"]}),
        ('in_hours(now, "Europe/Berlin", "09:00", "17:00") && on_days(now, "Europe/Berlin", ["mon"])', {}),
        ('weekday(timestamp(payload.at), "UTC") == "sun"', {"at": "2026-11-22T20:00:00Z"}),
        ("timestamp(payload.at).getHours() == 12", {"at": "2026-01-07T02:00:00-10:00"}),
        ("timestamp(payload.at).getDayOfWeek() == 6", {"at": "2026-01-09T02:00:00-23:00"}),
        ('timestamp(payload.at) + duration("1h") == timestamp("2026-01-07T13:00:00Z")', {"at": "2026-01-07T12:00:00Z"}),
        ("[payload.at].all(x, timestamp(x).getHours() == 12)", {"at": "2026-01-07T02:00:00-10:00"}),
        ('on_dates(now, "UTC", "2026-11-23", "2026-11-24")', {}),
        ("length(payload.note) == 2 && size(payload.note) == 4", {"note": "üü"}),
        ("json_size(payload) <= 10", {"a": "b"}),
    ],
)  # fmt: skip
def test_conditions_may_call_them(condition: str, payload: Any) -> None:
    assert effect(condition, payload) == "allow"


@pytest.mark.parametrize(
    "condition",
    ['amount_sum(payload.items, "price") < amount("5")', 'amount_times(payload.x, "2") < amount("5")',
     'money(payload.x, payload.x, {"EUR": "1"}) < amount("5")', 'in_cidr(payload.x, "10.0.0.0/8")',
     '!contains_term(payload.x, ["sue"])', 'url_host(payload.x) != "evil.com"', "length(payload.x) < 5",
     'in_hours(payload.x, "UTC", "09:00", "17:00")', "json_size(payload.missing) < 5"],
)  # fmt: skip
@pytest.mark.parametrize("value", [None, True, [], 5.5, {"items": [{}]}])
def test_the_wrong_kind_asks_a_human(condition: str, value: Any) -> None:
    if "contains_term" in condition and isinstance(value, list | dict):
        value = 5  # it reads lists and maps too
    assert effect(condition, {"x": value, "items": [{"price": value}]}) == "require_approval"


@pytest.mark.parametrize(
    "condition",
    ['amount_sum(["1", "x"]) > amount("1")', 'amount_sum(payload.items, "") > amount("1")',
     'amount_sum(payload.items, payload.path) > amount("1")', 'amount_sum() > amount("1")',
     'amount_times(payload.a, "x") > amount("1")', 'money(payload.a, "EUR", {"EUR": "x"}) > amount("1")',
     'money(payload.a, "GBP", payload.rates) > amount("1")', 'in_cidr(payload.ip, "10.0.0.1/8")',
     'in_cidr(payload.ip, ["10.0.0.0/8", "10.0.0.0/255.0.0.0"])', 'payload.ip.in_cidr("nowhere")',
     "contains_term(payload, [])", 'contains_term(payload, ["!"])', "contains_term(payload, payload.terms)",
     'contains_term(payload, "sue")', 'in_hours(now, "Mars/Phobos", "09:00", "17:00")',
     'in_hours(now, "UTC", "9:00", "17:00")', 'in_hours(now, "UTC", "09:00", "09:00")', 'in_hours(now, "UTC", "09:00")',
     'on_days(now, "UTC", ["monday"])', 'on_dates(now, "UTC", "2026-02-30", "2026-03-01")',
     'on_dates(now, "UTC", "2026-03-01", "2026-02-01")', 'weekday(now, "cet-1") == "mon"', 'url_host("x") == "y"',
     'domain("x") == "y"', "length(5) > 1"],
)  # fmt: skip
def test_a_constant_that_is_wrong_is_refused_when_the_document_is_loaded(condition: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy(policy(condition))
    assert refused.value.line == 6
    assert "character" in refused.value.reason


BESIDE_ANOTHER = [
    'amount(payload.a) > amount("500")',
    'amount("500") <= amount_sum([payload.a, payload.b])',
    'money(payload.a, "EUR", {"EUR": "1"}) == amount_times(payload.b, "2")',
    'amount(payload.a) in [amount("1"), amount(payload.b)]',
    "!(amount(payload.a) in [])",
    '(payload.c ? amount(payload.a) : amount_sum([payload.b])) != amount("1")',
    'payload.l.all(x, amount(x) > amount("1"))',
    '[amount(payload.a), amount(payload.b)].exists(x, x > amount("1"))',
    '[amount(payload.a), amount("2")][0] > amount("1")',
]
BESIDE_SOMETHING_ELSE = [
    'amount(payload.a) > "500"',
    '"500" < amount(payload.a)',
    "amount(payload.a) > 500",
    "amount(payload.a) == payload.limit",
    "amount(payload.a) != null",
    "amount(payload.a) > string(500)",
    'amount_sum([payload.a]) > "500"',
    'amount_times(payload.a, "2") >= "500"',
    'money(payload.a, "EUR", {"EUR": "1"}) < "500"',
    'amount(payload.a) + amount(payload.b) > amount("500")',
    'amount(payload.a) + "0" > "500"',
    'amount(payload.a) in ["500"]',
    'amount(payload.a) in [amount("1"), "500"]',
    "amount(payload.a) in payload.l",
    'payload.a in [amount("500")]',
    'amount("500") in payload.l',
    '(payload.c ? amount(payload.a) : "5") > amount("500")',
    '(payload.c ? amount(payload.a) : amount(payload.b)) > "500"',
    'payload.c ? amount(payload.a) > "500" : false',
    'payload.l.exists(x, amount(x) > "500")',
    'payload.l.exists(x, x > amount("500"))',
    '[amount(payload.a)].exists(x, x > "500")',
    '[amount(payload.a)].exists(x, x.y > "500")',
    '[[amount(payload.a)]].exists(x, x[0] > "500")',
    '[amount(payload.a)][0] > "500"',
    '[amount(payload.a)] == ["500"]',
    '[amount(payload.a)] + ["500"] == payload.l',
    '{"a": amount(payload.a)}.a > "500"',
    '{"a": amount(payload.a)}["a"] > "500"',
    'string(amount(payload.a)) > "500"',
    'dyn(amount(payload.a)) > "500"',
    'amount(payload.a).startsWith("5")',
    '"500".contains(amount(payload.a))',
    "size(amount(payload.a)) > 3",
    "payload.m[amount(payload.a)] == 1",
    "amount(amount(payload.a)) > amount(payload.b)",
    "amount_sum([amount(payload.a)]) > amount(payload.b)",
    'payload.a.amount() > "500"',
    "amount(payload.a) && true",
    "!amount(payload.a)",
    "-amount(payload.a) < amount(payload.b)",
]


def loads(condition: str) -> str | None:
    """Why a condition is refused, or None."""
    text = 'name: p\nmatch: {actions: ["*"]}\nrules:\n  - {id: a, effect: allow, when: ' + json.dumps(condition) + "}"
    try:
        parse_policy(text)
    except PolicyError as error:
        return error.reason
    return None


@pytest.mark.parametrize("condition", BESIDE_ANOTHER)
def test_an_amount_stands_beside_another(condition: str) -> None:
    assert loads(condition) is None


@pytest.mark.parametrize("condition", BESIDE_SOMETHING_ELSE)
def test_an_amount_beside_anything_else_is_refused_and_told_what_to_write(condition: str) -> None:
    reason = loads(condition)
    assert reason is not None
    assert "at character" in reason
    assert 'compare it with another, such as amount("500"), and add with amount_sum([a, b])' in reason
