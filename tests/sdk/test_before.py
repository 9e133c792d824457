"""Where an action type reads what stands at the target: an address that no payload bends, and fields to compare."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zehrava.action_types import ActionType, ActionTypeError
from zehrava.before import NOT_SAID, AddressError, Before

URL = "https://crm.example.com/customers/{payload.customer}"
FIELDS = "{Status: {now: status, then: payload.status}}"


def before(url: str = URL, fields: str = FIELDS, more: str = "") -> Before:
    made = ActionType.parse(f'name: a.b\npresent:\n  before:\n    url: "{url}"\n    fields: {fields}\n{more}').before
    assert made is not None
    return made


def refused(block: str) -> ActionTypeError:
    with pytest.raises(ActionTypeError) as caught:
        ActionType.parse(f"name: a.b\npresent:\n  before: {block}\n")
    return caught.value


def test_without_the_block_there_is_nothing_to_read() -> None:
    assert ActionType.parse("name: a.b\npresent: {title: x}\n").before is None
    assert ActionType.parse("name: a.b\n").before is None


def test_it_reads_an_address_and_what_to_compare() -> None:
    made = before(fields="{Status: {now: status, then: payload.status}, 'E-mail': {now: contact.email}}")
    assert (made.credentials, made.allow_private) == (None, False)
    assert [(each.name, each.now) for each in made.fields] == [
        ("Status", ("status",)),
        ("E-mail", ("contact", "email")),
    ]
    assert made.address.fill({"customer": "4711"}) == "https://crm.example.com/customers/4711"
    opened = before("http://127.0.0.1:81/{payload.x}", more="    allow_private: true\n    credentials: crm\n")
    assert (opened.credentials, opened.allow_private) == ("crm", True)
    assert opened.address.fill({"x": 5}) == "http://127.0.0.1:81/5"


@pytest.mark.parametrize(
    ("block", "path", "column", "reason"),
    [
        ("{fields: {a: {now: a}}}", "url", 11, "is missing"),
        ("{url: 'https://x.example/a'}", "fields", 11, "is missing"),
        ("{url: 'https://x.example/a', fields: {a: {now: a}}, method: GET}", "method", 63, "unknown key"),
        (
            "{url: 'https://x.example/a', fields: {a: {now: a}}, credentials: 'a b'}",
            "credentials",
            76,
            "never the secret",
        ),
        ("{url: 'https://x.example/a', fields: {a: {now: a}}, allow_private: 1}", "allow_private", 78, "true or false"),
        ("{url: 'https://x.example/a', fields: {}}", "fields", 48, "a mapping of names"),
        ("{url: 'https://x.example/a', fields: [a]}", "fields", 48, "a mapping of names"),
        ("{url: 'https://x.example/a', fields: {a: status}}", "fields.a", 52, "must be a mapping"),
        ("{url: 'https://x.example/a', fields: {a: {then: payload.a}}}", "fields.a.now", 52, "is missing"),
        ("{url: 'https://x.example/a', fields: {a: {now: a, as: x}}}", "fields.a.as", 61, "unknown key"),
        ("{url: 'https://x.example/a', fields: {a: {now: a b}}}", "fields.a.now", 58, "contact.email"),
        ("{url: 'https://x.example/a', fields: {a: {now: .}}}", "fields.a.now", 58, "contact.email"),
        ("{url: 'https://x.example/a', fields: {a: {now: 5}}}", "fields.a.now", 58, "must be a string"),
        ("{url: 'https://x.example/a', fields: {a: {now: a, then: 5}}}", "fields.a.then", 67, "written as a string"),
        (
            "{url: 'https://x.example/a', fields: {a: {now: a, then: agent.name}}}",
            "fields.a.then",
            67,
            "unknown variable",
        ),
        (
            "{url: 'https://x.example/a', fields: {a: {now: a, then: 'payload.('}}}",
            "fields.a.then",
            67,
            "an expression",
        ),
    ],
)
def test_it_names_the_path_line_and_column_of_a_mistake(block: str, path: str, column: int, reason: str) -> None:
    error = refused(block)
    assert (error.path, error.line, error.column) == (f"present.before.{path}", 3, column)
    assert reason in error.reason


def test_it_compares_at_most_twenty_fields() -> None:
    fields = ", ".join(f"f{number}: {{now: a}}" for number in range(21))
    assert "at most 20" in refused(f"{{url: 'https://x.example/', fields: {{{fields}}}}}").reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://{payload.x}/a", "absolute https"),
        ("https://{payload.x}.example/a", "absolute https"),
        ("https://x.example{payload.x}/a", "fix the host"),
        ("https://x.example:{payload.x}/a", "host and port"),
        ("https://x.example", "fix the host"),
        ("{payload.x}", "fix the host"),
        ("{payload.x}://x.example/a", "fix the host"),
        ("//x.example/{payload.x}", "absolute https"),
        ("https://{payload.x}@x.example/a", "absolute https"),
        ("https://u:p@x.example/{payload.x}", "no user name"),
        ("https://x.example/a#{payload.x}", "no fragment"),
        ("https://x.example/../{payload.x}", "steps '.' or '..'"),
        ("https://x.example/a/./{payload.x}", "steps '.' or '..'"),
        ("https://x.example/a?{payload.x}=1", "behind '=' only"),
        ("https://x.example/a?b=1&{payload.x}", "behind '=' only"),
        ("https://x.example/{agent.name}", "refers to nothing"),
        ("https://x.example/{payload.x", "a brace must be part"),
        ("https://x y.example/{payload.x}", "without spaces"),
        ("http://x.example/{payload.x}", "https on port 443"),
        ("https://x.example:8443/{payload.x}", "https on port 443"),
        ("https://127.0.0.1/{payload.x}", "a loopback address"),
        ("https://169.254.169.254/{payload.x}", "where a cloud hands out credentials"),
        ("https://2130706433/{payload.x}", "like an address"),
        ("ftp://x.example/{payload.x}", "absolute https"),
        ("https://x.example/" + "a" * 2_000, "at most 2000"),
    ],
)
def test_an_address_that_does_not_fix_where_it_leads_is_refused_where_it_is_written(url: str, reason: str) -> None:
    error = refused(f'{{url: "{url}", fields: {FIELDS}}}')
    assert (error.path, error.line, error.column) == ("present.before.url", 3, 17)
    assert reason in error.reason


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("a b", "a%20b"),
        ("a?b=c", "a%3Fb%3Dc"),
        ("a#b", "a%23b"),
        ("u@evil.example", "u%40evil.example"),
        ("evil.example:80", "evil.example%3A80"),
        ("a&b+c", "a%26b%2Bc"),
        ("é\u202e名", "%C3%A9%E2%80%AE%E5%90%8D"),
        ("．．／", "%EF%BC%8E%EF%BC%8E%EF%BC%8F"),
        ("a..b", "a..b"),
        (0, "0"),
        (-17, "-17"),
    ],
)
def test_a_value_is_one_part_of_the_path(value: Any, part: str) -> None:
    assert before().address.fill({"customer": value}) == f"https://crm.example.com/customers/{part}"


@pytest.mark.parametrize(
    "value",
    [
        "../admin", "..", ".", "...", "a/b", "/", "\\", "a\\..\\b", "%2e%2e", "..%2fadmin", "..;", "a;b", "", "a\nb",
        "a\r\nHost: evil.example", "a\x00", "\x7f", "\ud800", "x" * 301, True, None, 1.5, {}, [], ["a"],
    ],
)  # fmt: skip
def test_a_value_that_could_lead_elsewhere_or_is_none_asks_nothing(value: Any) -> None:
    with pytest.raises(AddressError) as caught:
        before().address.fill({"customer": value})
    assert "evil" not in str(caught.value) and "admin" not in str(caught.value)


@pytest.mark.parametrize("payload", [{}, [], None, "x", {"customer": {"id": 1}}])
def test_a_payload_without_the_value_asks_nothing(payload: Any) -> None:
    with pytest.raises(AddressError, match=r"payload\.customer"):
        before().address.fill(payload)


def test_two_values_never_make_a_step_together() -> None:
    made = before("https://x.example/a/{payload.one}{payload.two}/b")
    assert made.address.fill({"one": "x", "two": "."}) == "https://x.example/a/x./b"
    with pytest.raises(AddressError, match="a step to somewhere else"):
        made.address.fill({"one": ".", "two": "."})


def test_many_long_values_never_make_an_address_that_is_too_long() -> None:
    made = before("https://x.example/" + "/".join("{payload.x}" for _ in range(9)))
    with pytest.raises(AddressError, match="too long"):
        made.address.fill({"x": "x" * 300})


def test_a_value_of_the_query_may_hold_slashes_and_is_one_value() -> None:
    made = before("https://x.example/find?kind=page&path={payload.path}&v=1")
    url = made.address.fill({"path": "/a/../b?c=d&v=2#e;%2f"})
    assert url == "https://x.example/find?kind=page&path=%2Fa%2F..%2Fb%3Fc%3Dd%26v%3D2%23e%3B%252f&v=1"
    assert parse_qsl(urlsplit(url).query)[1] == ("path", "/a/../b?c=d&v=2#e;%2f")
    assert before("https://x.example?q={payload.q}").address.fill({"q": "a"}) == "https://x.example?q=a"


@given(st.text())
def test_whatever_the_payload_says_only_its_place_in_the_address_changes(value: str) -> None:
    made = before("https://crm.example.com/a/{payload.x}/b?c={payload.x}&d=1")
    try:
        parts = urlsplit(made.address.fill({"x": value}))
    except AddressError:
        return
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "crm.example.com", "")
    first, second, middle, last = parts.path.split("/")
    assert (first, second, unquote(middle), last) == ("", "a", value, "b")
    assert parse_qsl(parts.query, keep_blank_values=True) == [("c", value), ("d", "1")]


def test_it_finds_what_the_answer_says_and_leaves_out_what_it_does_not() -> None:
    made = before(fields="{A: {now: a.0.b}, B: {now: b}, C: {now: c.d}}")
    assert made.now({"a": [{"b": None}], "b": False, "c": "text"}) == {"A": None, "B": False}
    assert made.now([{"b": 1}]) == made.now(None) == made.now("b") == {}


def test_it_says_what_will_be_and_why_it_cannot() -> None:
    made = before(
        fields="{A: {now: a, then: payload.a}, B: {now: b, then: payload.b + 1}, C: {now: c},"
        " D: {now: d, then: 'has(payload.d) ? payload.d : null'}, E: {now: e, then: 'timestamp(payload.t)'},"
        " F: {now: f, then: payload.f.g}, G: {now: g, then: payload}}"
    )
    payload = {"a": {"x": [1.5]}, "b": "text", "t": "2026-01-01T00:00:00Z", "f": {}}
    values, faults = made.then(payload)
    assert values == {"A": {"x": [1.5]}, "D": None, "G": payload}
    assert set(faults) == {"B", "E", "F"}
    assert faults["F"] == NOT_SAID
    assert faults["E"] == "the expression gives no JSON value"


def test_a_payload_that_no_expression_can_read_says_nothing() -> None:
    deep: Any = {}
    for _ in range(1_000):
        deep = {"a": deep}
    for payload in (deep, {"status": float("nan")}, {1: 2}):
        assert before().then(payload) == ({}, {"Status": "the payload cannot be read"})
