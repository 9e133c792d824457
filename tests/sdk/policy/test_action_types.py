"""Action types: strict documents, checked payloads, derived claims."""

from __future__ import annotations

from typing import Any

import pytest

from zehrava.action_types import ActionType, ActionTypeError, Violation

HTTP = "name: crm.import\nexecutor: http\nhttp: {%s}\n"


def refused(text: str) -> ActionTypeError:
    with pytest.raises(ActionTypeError) as caught:
        ActionType.parse(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "path", "line", "column", "reason"),
    [
        ("title: x\n", "name", 1, 1, "is missing"),
        ("name: refund\n", "name", 1, 7, "dotted verb"),
        ("name: Stripe.refund\n", "name", 1, 7, "dotted verb"),
        ("name: a.b\ncolour: red\n", "colour", 2, 1, "unknown key"),
        ("name: a.b\nname: a.c\n", "name", 2, 1, "twice"),
        ("name: a.b\nschema: 5\n", "schema", 2, 9, "JSON Schema"),
        ("name: a.b\nschema: {type: objekt}\n", "schema.type", 2, 16, "not a JSON Schema"),
        ('name: a.b\nschema: {properties: {a: {pattern: "("}}}\n', "schema.properties.a.pattern", 2, 36, "regex"),
        ("name: a.b\nschema: {items: {$ref: 'https://x.example/y'}}\n", "schema.items['$ref']", 2, 24, "within"),
        ("name: a.b\nschema: {$ref: 'file:///etc/passwd'}\n", "schema['$ref']", 2, 16, "within"),
        ("name: a.b\nschema: {$ref: '#/nope'}\n", "schema", 2, 9, "not a JSON Schema"),
        ("name: a.b\nschema: {$id: 'https://x.example/y'}\n", "schema['$id']", 2, 15, "not supported"),
        ("name: a.b\nderive: {colour: x}\n", "derive.colour", 2, 10, "unknown key"),
        ("name: a.b\nderive: {records: 5}\n", "derive.records", 2, 19, "written as a string"),
        ("name: a.b\nderive: {target: agent.name}\n", "derive.target", 2, 18, "unknown variable 'agent'"),
        ("name: a.b\nderive: {value: {amount: payload.a}}\n", "derive.value.currency", 2, 17, "is missing"),
        ("name: a.b\nexecutor: HTTP\n", "executor", 2, 11, "name of an executor"),
        ("name: a.b\nexecutor: http\n", "http", 1, 1, "is missing"),
        ("name: a.b\nnoop: {}\n", "noop", 2, 1, "not chosen"),
        ("name: a.b\nexecutor: noop\nnoop: {x: 1}\n", "noop.x", 3, 8, "unknown key"),
        ("name: a.b\nsafe_to_repeat: yes\n", "safe_to_repeat", 2, 17, "true or false"),
        ("name: a.b\npresent: {title: '{agent.name}'}\n", "present.title", 2, 18, "refers to nothing"),
        ("name: a.b\npresent: {fields: [{path: x}]}\n", "present.fields[0].path", 2, 27, "payload.amount"),
        ("name: a.b\npresent: {fields: [{path: payload.x, as: html}]}\n", "present.fields[0].as", 2, 42, "one of"),
        ("name: a.b\npresent: {reversible: true}\n", "present.reversible", 2, 23, "or false"),
        ("name: a.b\nexecutor: email\nemail: {allowed_domains: [X.com]}\n", "email.allowed_domains[0]", 3, 27, "lower"),
        ("name: a.b\nexecutor: email\nemail: {from: 'A <a@x.com>'}\n", "email.from", 3, 15, "one bare"),
    ],
)
def test_it_names_the_path_line_and_column_of_a_mistake(
    text: str, path: str, line: int, column: int, reason: str
) -> None:
    error = refused(text)
    assert (error.path, error.line, error.column) == (path, line, column)
    assert reason in error.reason


@pytest.mark.parametrize(
    ("settings", "path", "reason"),
    [
        ("method: POST", "http.url", "is missing"),
        ('url: "http://x.example/y"', "http.url", "https on port 443"),
        ('url: "ftp://x.example/y", allow_private: true', "http.url", "absolute https"),
        ('url: "//x.example/y"', "http.url", "absolute https"),
        ('url: "https:///y"', "http.url", "absolute https"),
        ('url: "https://u:p@x.example/y"', "http.url", "no user name"),
        ('url: "https://x.example/y#z"', "http.url", "no fragment"),
        ('url: "https://x.example:8443/y"', "http.url", "https on port 443"),
        ('url: "https://x.example:99999/y"', "http.url", "port from 1 to 65535"),
        ('url: "https://x.example\\\\@evil.example/"', "http.url", "backslashes"),
        ('url: "https://x y.example/"', "http.url", "without spaces"),
        ('url: "https://x.example/y", method: GET', "http.method", "one of"),
        ('url: "https://x.example/y", timeout: 21', "http.timeout", "from 1 to 20"),
        ('url: "https://x.example/y", allow_private: 1', "http.allow_private", "true or false"),
        ('url: "https://x.example/y", credentials: "a b"', "http.credentials", "never the secret"),
        ('url: "https://x.example/y", headers: {authorization: x}', "http.headers.authorization", "set by the portal"),
        ('url: "https://x.example/y", headers: {Host: x}', "http.headers.Host", "set by the portal"),
        ('url: "https://x.example/y", headers: {Transfer-Encoding: x}', "http.headers.Transfer-Encoding", "set by"),
        ('url: "https://x.example/y", headers: {X-A: "b\\r\\nC: d"}', "http.headers.X-A", "printable"),
        ('url: "https://x.example/y", headers: {X-A: 5}', "http.headers.X-A", "must be a string"),
        ('url: "https://x.example/y", headers: {X-A: a, x-a: b}', "http.headers.x-a", "twice"),
        ('url: "https://x.example/y", headers: {X-A: ""}', "http.headers.X-A", "not blank"),
        ('url: "https://x.example/y", headers: {X-A: " \\t"}', "http.headers.X-A", "not blank"),
        ('url: "https://x.example/y", headers: {webhook-id: x}', "http.headers.webhook-id", "set by the portal"),
        ('url: "https://x.example/y", headers: {Webhook-New: x}', "http.headers.Webhook-New", "set by the portal"),
        ('url: "https://x.example/y", headers: {Content-Encoding: br}', "http.headers.Content-Encoding", "set by"),
        ('url: "https://x.example/y", credentials: 7', "http.credentials", "never the secret"),
        ('url: "https://x.example/y", credentials: crm_hosts', "http.credentials", "must not end in _hosts"),
        ('url: "https://x.example/y", credentials: CRM-Hosts', "http.credentials", "must not end in _hosts"),
        ('url: "https://x.example/y", colour: red', "http.colour", "unknown key"),
    ],
)
def test_http_settings_that_could_reach_elsewhere_are_refused(settings: str, path: str, reason: str) -> None:
    error = refused(HTTP % settings)
    assert error.path == path
    assert reason in error.reason


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("10.0.0.1", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("a.localhost", True),
        ("169.254.169.254", False),
        ("[fd00:ec2::254]", False),
        ("[64:ff9b::169.254.169.254]", False),
        ("0.0.0.0", False),
        ("[::]", False),
        ("[fe80::1]", False),
        ("[fe80::1%251]", False),
        ("224.0.0.1", False),
        ("0x7f.1", False),
        ("0x7f000001", False),
        ("2130706433", False),
        ("0177.0.0.1", False),
        ("127.1", False),
        ("127.0.0.1.", False),
        ("localhost.", False),
        ("crm.example.com.", False),
        ("crm..example.com", False),
        ("-crm.example.com", False),
        ("[127.0.0.1]", False),
        ("%31%32%37.0.0.1", False),
    ],
)
def test_a_host_that_would_be_refused_without_resolving_is_refused_where_it_is_written(
    host: str, private: bool
) -> None:
    """`private` says whether `allow_private: true` lifts it."""
    error = refused(f'name: a.b\nexecutor: http\nhttp:\n  url: "https://{host}/y"\n')
    assert (error.path, error.line, error.column) == ("http.url", 4, 8)
    assert ("allow_private: true lifts that" in error.reason) is private
    opened = HTTP % f'url: "https://{host}/y", allow_private: true'
    if private:
        assert ActionType.parse(opened).settings["allow_private"] is True
    else:
        assert refused(opened).path == "http.url"


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "[2606:4700::1111]", "localhost.example.com", "notlocalhost", "a_b.example"]
)
def test_hosts_that_may_be_public_are_let_in(host: str) -> None:
    assert ActionType.parse(HTTP % f'url: "https://{host}/y"').settings["url"] == f"https://{host}/y"


def test_http_settings_have_their_documented_defaults() -> None:
    action_type = ActionType.parse(HTTP % 'url: "https://x.example/y"')
    assert action_type.settings == {
        "method": "POST",
        "url": "https://x.example/y",
        "credentials": None,
        "allow_private": False,
        "headers": {},
        "timeout": 10,
    }
    assert ActionType.parse(HTTP % 'url: "http://127.0.0.1:9/y", allow_private: true').settings["allow_private"] is True


def test_only_a_name_is_required() -> None:
    action_type = ActionType.parse("name: a.b\n")
    assert (action_type.title, action_type.executor, action_type.settings) == ("a.b", None, {})
    assert (action_type.safe_to_repeat, action_type.presentation, action_type.schema) == (False, None, None)
    assert action_type.validate({"anything": 1}) == []
    assert action_type.derive({"anything": 1}).names == ()
    assert action_type.render_title({}) is None
    assert action_type.digest.startswith("sha256:")


def test_an_executor_of_somebody_else_is_only_named() -> None:
    assert ActionType.parse("name: a.b\nexecutor: acme.deploy-tool\n").executor == "acme.deploy-tool"


def test_validation_says_where_by_json_pointer_and_checks_formats() -> None:
    action_type = ActionType.parse(
        "name: a.b\nschema:\n  type: object\n  required: [to]\n  properties:\n"
        "    to: {type: array, items: {type: string, format: email}}\n    a/b: {$ref: '#/$defs/n'}\n"
        "  $defs: {n: {type: integer}}\n"
    )
    assert action_type.validate({"to": ["a@x.com"], "a/b": 5}) == []
    violations = action_type.validate({"to": ["a@x.com", "nobody"], "a/b": "x"})
    assert sorted(violation.path for violation in violations) == ["/a~1b", "/to/1"]
    assert isinstance(violations[0], Violation)
    assert [violation.path for violation in action_type.validate({})] == [""]


@pytest.mark.parametrize("payload", [float("nan"), {"a": object()}, {1: 2}, 2**60])
def test_a_payload_that_is_no_json_is_a_violation(payload: Any) -> None:
    assert ActionType.parse("name: a.b\nschema: true\n").validate(payload)


def test_a_payload_too_deep_is_a_violation_and_derives_nothing() -> None:
    payload: Any = {}
    for _ in range(50_000):
        payload = {"a": payload}
    action_type = ActionType.parse("name: a.b\nschema: {type: object}\nderive: {records: size(payload.a)}\n")
    assert "deeper" in action_type.validate(payload)[0].message
    derived = action_type.derive(payload)
    assert (derived.records, derived.names) == (None, ("records",))
    assert derived.errors


DERIVING = (
    "name: a.b\nderive:\n  records: size(payload.items)\n  target: payload.to\n"
    "  value: {amount: payload.amount, currency: payload.currency}\n"
)


def test_it_derives_records_value_and_target() -> None:
    payload = {"items": [1, 2], "to": "x", "amount": "12.50", "currency": "eur"}
    derived = ActionType.parse(DERIVING).derive(payload)
    assert (derived.records, derived.target) == (2, "x")
    assert derived.value == {"amount": "12.50", "currency": "EUR"}
    assert derived.errors == []
    assert set(derived.names) == {"records", "target", "value"}


def test_one_expression_may_give_the_whole_value() -> None:
    action_type = ActionType.parse("name: a.b\nderive: {value: payload.price}\n")
    assert action_type.derive({"price": {"amount": 5, "currency": "USD"}}).value == {"amount": "5", "currency": "USD"}
    assert action_type.derive({"price": {"amount": 5, "currency": "USD", "x": 1}}).errors
    assert action_type.derive({"price": "5 USD"}).errors


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"items": None}, "records"),
        ({"to": 5}, "target"),
        ({"to": ""}, "target"),
        ({"to": "x" * 501}, "target"),
        ({"amount": "12,50"}, "value"),
        ({"amount": None}, "value"),
        ({"currency": "euro"}, "value"),
        ({"currency": 5}, "value"),
    ],
)
def test_what_cannot_be_derived_is_an_error_and_the_rest_stands(change: dict[str, Any], failed: str) -> None:
    payload = {"items": [1, 2], "to": "x", "amount": "12.50", "currency": "EUR", **change}
    derived = ActionType.parse(DERIVING).derive(payload)
    assert len(derived.errors) == 1
    assert derived.errors[0].startswith(failed)
    outcome = {"records": derived.records, "target": derived.target, "value": derived.value}
    assert [name for name, value in outcome.items() if value is None] == [failed]


def test_a_title_shows_the_payload_as_text_and_a_question_mark_for_what_is_missing() -> None:
    action_type = ActionType.parse('name: a.b\npresent: {title: "Refund {payload.a} {payload.b.0} to {payload.c}"}\n')
    assert action_type.render_title({"a": "{payload.b}", "b": [1.5]}) == "Refund {payload.b} 1.5 to ?"
    assert action_type.render_title("nothing") == "Refund ? ? to ?"
