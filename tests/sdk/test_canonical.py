"""Strict JSON and the canonical form: what two readers could understand differently does not get in."""

from __future__ import annotations

import hashlib
import json
import math

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from zehrava import canonical
from zehrava.canonical import StrictError

pytestmark = pytest.mark.sdk

MAX = 2**53 - 1
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX, MAX)
    | st.floats(-MAX, MAX, allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda below: st.lists(below) | st.dictionaries(TEXTS, below),
    max_leaves=20,
)


@given(JSON)
def test_canonical_bytes_read_back_as_the_value_they_were_made_from(value):
    assert canonical.loads(canonical.dumps(value)) == value


@given(JSON)
def test_canonical_bytes_do_not_depend_on_how_the_value_was_written(value):
    loose = json.dumps(value, indent=3, ensure_ascii=True)
    assert canonical.dumps(canonical.loads(loose)) == canonical.dumps(value)


@given(JSON)
def test_check_accepts_what_loads_accepts(value):
    canonical.check(canonical.loads(json.dumps(value)))


@given(st.text(max_size=200))
def test_no_text_does_anything_but_read_or_be_refused(text):
    try:
        canonical.loads(text)
    except StrictError as error:
        assert error.reason


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_read_or_be_refused(data):
    try:
        canonical.loads(data)
    except StrictError as error:
        assert error.kind == "malformed-json"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"a": 1, "a": 1}', "/a"),
        (b'{"x": [{"a/b~": 1, "c": 2, "a/b~": 3}]}', "/x/0/a~1b~0"),
        (b'{"a": 1, "\\u0061": 2}', "/a"),
        (b'{"a": [1, NaN]}', "/a/1"),
        (b"[Infinity]", "/0"),
        (b"[-Infinity]", "/0"),
        (b'{"n": 1e400}', "/n"),
        (b'{"n": -1e400}', "/n"),
        (b'{"n": 1e300}', "/n"),
        (b'{"n": 9007199254740992}', "/n"),
        (b'{"n": -9007199254740992}', "/n"),
        (b'{"n": 9007199254740992.0}', "/n"),
        (b'{"n": ' + b"9" * 100_000 + b"}", "/n"),
        (b'{"s": ["a\\u0000b"]}', "/s/0"),
        (b'{"s": "\\ud800"}', "/s"),
        (b'{"s": "\\uDFFF\\uD83D"}', "/s"),
        (b'{"a": ' + b"[" * 32 + b"]" * 32 + b"}", "/a" + "/0" * 31),
        (b"[" * 50_000, "/0" * 32),
        (b'{"a":' * 50_000, "/a" * 32),
        (b"\xef\xbb\xbf{}", ""),
        (b'{"s": "\xff"}', ""),
        (b'{"s": "\xed\xa0\x80"}', ""),
        (b"", ""),
        (b"{} {}", ""),
        (b"{'a': 1}", ""),
        (b'{"a": 1,}', ""),
        (b"[01]", ""),
        (b'"a\x00b"', ""),
        (b'"a\nb"', ""),
    ],
)
def test_loads_refuses_and_points_at_the_value(body, path):
    with pytest.raises(StrictError) as caught:
        canonical.loads(body)
    assert caught.value.path == path
    assert caught.value.kind == "malformed-json"


def test_a_key_with_a_lone_surrogate_or_nul_is_refused_with_a_path_that_can_be_sent():
    for body in (b'{"\\ud800": 1}', b'{"\\u0000": 1}'):
        with pytest.raises(StrictError) as caught:
            canonical.loads(body)
        assert caught.value.path.encode().decode().isprintable()


def test_a_text_is_held_to_the_same_rules_as_bytes():
    for text in ("\ufeff{}", '"\ud800"', '{"a":1,"a":2}'):
        with pytest.raises(StrictError):
            canonical.loads(text)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"9007199254740991", MAX),
        (b"-9007199254740991", -MAX),
        (b"9007199254740991.0", float(MAX)),
        (b"[" * 32 + b"]" * 32, None),
        (b'["' + b"[" * 1000 + b'"]', ["[" * 1000]),
        (b'["\\\\u0000"]', ["\\u0000"]),
        (b'["\\ud83d\\ude00"]', ["\U0001f600"]),
        (b' \r\n\t{"a": [1.5, true, null]} ', {"a": [1.5, True, None]}),
        (b"[" + b"[]," * 5000 + b"{}]", [[]] * 5000 + [{}]),
    ],
)
def test_loads_accepts_what_is_at_the_limit_or_only_looks_suspicious(body, value):
    read = canonical.loads(body)
    if value is not None:
        assert read == value


def test_a_body_over_the_limit_is_too_large_and_one_at_the_limit_is_not():
    assert canonical.loads(b'"' + b"a" * 8 + b'"', max_bytes=10) == "a" * 8
    for body in (b'"' + b"a" * 9 + b'"', '"' + "a" * 9 + '"', '"' + "ä" * 5 + '"'):
        with pytest.raises(StrictError) as caught:
            canonical.loads(body, max_bytes=10)
        assert caught.value.kind == "too-large"
    with pytest.raises(StrictError):
        canonical.loads(b" " * 1_048_576 + b"1")


def cycle() -> list[object]:
    ring: list[object] = []
    ring.append(ring)
    return ring


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": (1, 2)}, "/a"),
        ({"a": {1, 2}}, "/a"),
        ({"a": [b"x"]}, "/a/0"),
        ({"a": math.nan}, "/a"),
        ({"a": math.inf}, "/a"),
        ({"a": 2**53}, "/a"),
        ({"a": 10**5000}, "/a"),
        ({"a": 1e300}, "/a"),
        ({"a": {1: 2}}, "/a"),
        ({"a": "\x00"}, "/a"),
        ({"a": "\ud800"}, "/a"),
        ({"a/b": object()}, "/a~1b"),
        (cycle(), "/0" * 32),
        (nested(33), "/0" * 32),
        (nested(5000), "/0" * 32),
    ],
)
def test_check_refuses_what_is_not_json_and_points_at_it(value, path):
    with pytest.raises(StrictError) as caught:
        canonical.check(value)
    assert caught.value.path == path


def test_dumps_refuses_with_a_pointer_too():
    with pytest.raises(StrictError) as caught:
        canonical.dumps({"a": [math.nan]})
    assert caught.value.path == "/a/0"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": 2, "": 3}, '{"":3,"a":2,"b":1}'),
        ([1.0, -0.0, 0.1, 1e-7, 0.000001, 123456789.125], "[1,0,0.1,1e-7,0.000001,123456789.125]"),
        ('\u0007\n"\\/€\U0001f600', '"\\u0007\\n\\"\\\\/€\U0001f600"'),
        # RFC 8785 sorts by UTF-16 code units: the smiley's surrogates come before U+FB33.
        ({"\ufb33": 1, "\U0001f600": 2}, '{"\U0001f600":2,"\ufb33":1}'),
    ],
)
def test_canonical_bytes_are_those_of_rfc_8785(value, text):
    assert canonical.dumps(value) == text.encode()


def test_the_digest_of_the_smallest_intent_is_that_of_its_written_out_bytes():
    made = canonical.intent(id="int_1", agent="agt_1", action="a.b", payload={"n": 1.0}, execution_mode="agent")
    written = (
        b'{"action":"a.b","agent":"agt_1","context":{},"execution_mode":"agent","id":"int_1","on_behalf_of":null,'
        b'"payload":{"n":1},"records":null,"summary":null,"tags":[],"target":null,"value":null,"version":1}'
    )
    assert canonical.dumps(made) == written
    assert canonical.digest(written) == "sha256:" + hashlib.sha256(written).hexdigest()
    assert canonical.digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_every_member_of_an_intent_changes_its_digest():
    base = {"id": "int_1", "agent": "agt_1", "action": "a.b", "payload": {}, "execution_mode": "agent"}
    changes = [
        {"id": "int_2"},
        {"agent": "agt_2"},
        {"action": "a.c"},
        {"payload": {"x": None}},
        {"execution_mode": "portal"},
        {"summary": ""},
        {"context": {"a": 1}},
        {"target": ""},
        {"tags": ["x"]},
        {"records": 0},
        {"value": {"amount": "1", "currency": "EUR"}},
        {"on_behalf_of": "ann"},
    ]
    digests = {canonical.digest(canonical.dumps(canonical.intent(**{**base, **change}))) for change in [{}, *changes]}
    assert len(digests) == len(changes) + 1


# The quick way of `dumps` beside the library it stands in for.

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(_PLAIN)
def test_the_quick_way_gives_the_bytes_of_the_general_one(value):
    assert canonical.dumps(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value", ["".join(map(chr, range(1, 0x100))), "\u2028\u2029\U0001f600\ue000", "</script>", "é"]
)
def test_text_is_written_as_rfc_8785_says(value):
    assert canonical.dumps({"a": value}) == rfc8785.dumps({"a": value})
