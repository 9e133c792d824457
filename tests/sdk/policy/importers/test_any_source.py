"""Whatever somebody hands in: a document that our grammar takes, or a refusal with a place; never a traceback."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sdk.policy.importers.said import Importer, verdict
from zehrava.policy import PolicyError, importers, parse_policy
from zehrava.policy.importers.cel import CannotSay
from zehrava.policy.importers.patterns import GO, JAVASCRIPT, rewrite

ALL = [importers.gate, importers.rebuno, importers.agt]

SMALL = st.text(max_size=12) | st.integers(-10, 2**60) | st.booleans() | st.none() | st.floats(-1e9, 1e9)
WORDS = st.sampled_from(
    [
        *("always", "org_wide", "allow", "deny", "require_approval", "read", "*", "a.b", "a_*", "1h", "100/hour", "x"),
        *("a == 'x'", "not a", "a in [1, 2]", "^a+$", "(?i)b", "tool_call", "production", "policy.yaml", "../x", ""),
    ]
)
KEYS = st.sampled_from(
    re.findall(
        r"\w+",
        """
        id name description rules when then decision reason approvers rate_limit tool tools arguments field
        pattern min max required path max_length field_checks block_if_terms require_approval
        require_approval_over auto_approve_under require_approval_for environments rate_limits
        per_agent_per_hour destinations allowed_types require_approvals expiry_minutes assurance condition
        action priority limit enabled default_action extends agents stage regex equals one_of window
        max_calls max_wait approval_config timeout colour operator value glob
        """,
    )
)
VALUES = st.recursive(
    SMALL | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
RULES = st.lists(st.dictionaries(KEYS, VALUES, max_size=6) | VALUES, max_size=4)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=8) | st.fixed_dictionaries({"rules": RULES}) | VALUES


@pytest.mark.parametrize("take", ALL)
@settings(max_examples=60, deadline=None)
@given(document=DOCUMENTS)
def test_any_document_is_carried_over_or_refused_with_its_place(take: Importer, document: Any) -> None:
    for text in (json.dumps(document), yaml.safe_dump(document, allow_unicode=True)):
        try:
            made = take(text, "p")
        except PolicyError as error:
            assert error.line >= 1 and error.column >= 1 and error.reason
        else:
            assert parse_policy(made.document).name == "p"


GATE = st.fixed_dictionaries(
    {},
    optional={
        "destinations": st.lists(st.sampled_from(["a.b", "c", "d-e"]), min_size=1, max_size=3),
        "allowed_types": st.lists(st.sampled_from(["csv", "json", "pdf"]), max_size=3),
        "field_checks": st.lists(
            st.fixed_dictionaries(
                {"path": st.sampled_from(["a", "a.b", "a b.c-d", "x.0", "in", "é", 'q"', "a.length", "\\"])},
                optional={
                    "required": st.booleans(),
                    "min": st.integers(-9, 9) | st.floats(-9, 9) | st.just(1e-20),
                    "max": st.integers(-9, 9) | st.just(2**53 - 1),
                    "max_length": st.integers(0, 9),
                    "pattern": st.text(alphabet="ab01^$.*+?()[]{}|\\dwsé-, ", min_size=1, max_size=12),
                },
            ),
            max_size=3,
        ),
        "block_if_terms": st.lists(st.text(alphabet="abcé1 '\"\\", min_size=1, max_size=9), max_size=3),
        "require_approval_over": st.integers(0, 99),
        "auto_approve_under": st.integers(0, 99),
        "require_approval_for": st.sampled_from(["org_wide", "team", ["org_wide"]]),
        "environments": st.dictionaries(
            st.sampled_from(["production", "staging", "Odd one"]),
            st.fixed_dictionaries(
                {}, optional={"require_approval": st.just("always"), "auto_approve_under": st.just(7)}
            ),
            max_size=3,
        ),
        "rate_limits": st.fixed_dictionaries({}, optional={"per_agent_per_hour": st.integers(0, 9)}),
    },
)


@settings(max_examples=80, deadline=None)
@given(document=GATE)
def test_any_proper_document_of_gate_is_carried_over(document: dict[str, Any]) -> None:
    try:
        made = importers.gate(json.dumps(document), "p")
    except PolicyError as error:
        assert "cannot be looked for" in error.reason or "must not be empty" in error.reason
    else:
        assert parse_policy(made.document)


PIECES = [
    *("a", "b.c", "tool_name", "context.x", "args.y", "==", "!=", "<", "<=", ">", ">=", "in", "not", "and", "or"),
    *("(", ")", "[", "]", ",", "!", "&&", "||", "'x'", '"y"', "'it\"s'", "5", "-1", "0.5", "1e9", "true", "None", "''"),
    *("'\\'", "'\" || true || \"'", "'x\u202e'", "99999999999999999999", "{", "}", ";", "//", "#", "payload"),
]
CONDITIONS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map(" ".join) | st.text(max_size=40)


@settings(max_examples=200, deadline=None)
@given(condition=CONDITIONS, action=st.sampled_from(["allow", "deny", "require_approval"]))
def test_any_condition_gives_a_document_and_never_lets_pass_what_it_could_not_read(condition: str, action: str) -> None:
    rules = [
        {"name": "r", "condition": condition, "action": action},
        {"name": "s", "condition": "z", "action": "allow"},
    ]
    try:
        made = importers.agt(json.dumps({"default_action": "deny", "rules": rules}), "p")
    except PolicyError as error:
        assert not condition.strip() or not (condition.isascii() and condition.isprintable()), error
        return
    unread = any(remark.path == "rules[0].condition" for remark in made.dropped)
    decided = verdict(made, payload={"z": True})
    if any("not the host" in remark.reason for remark in made.dropped):
        assert decided.effect != "allow"
    elif unread:
        assert decided.effect == {"deny": "block", "require_approval": "require_approval", "allow": "allow"}[action]
        assert decided.rule == {"deny": "r", "require_approval": "s", "allow": "s"}[action]


INJECTIONS = [
    "x' || true || 'x", 'x" || true || "x', "x\\", 'x\\" || true //', "x\n|| true", "' or '1'=='1", "*", "x')||(true",
    "\u2028 || true", "{payload.a}", "${x}", "\\u0022 || true",
]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_no_text_of_a_source_becomes_part_of_a_condition(text: str) -> None:
    quoted = json.dumps(text)
    sources: list[tuple[Importer, str]] = [
        (
            importers.rebuno,
            f"rules: [{{id: r, when: {{arguments: {{a: {{equals: {quoted}}}}}}}, then: {{decision: allow}}}}]",
        ),
        (
            importers.rebuno,
            f"rules: [{{id: r, when: {{arguments: {{{quoted}: {{equals: b}}}}}}, then: {{decision: allow}}}}]",
        ),
        (importers.agt, f"rules: [{{name: r, condition: {{field: a, operator: eq, value: {quoted}}}, action: allow}}]"),
    ]
    if text != "*":
        sources.append((importers.rebuno, f"rules: [{{id: r, when: {{tool: {quoted}}}, then: {{decision: allow}}}}]"))
    for take, source in sources:
        made = take(source, "p")
        assert verdict(made, payload={"a": "b"}).effect == "block", made.document
        assert verdict(made, payload={"a": ""}).effect == "block"
    made = importers.rebuno(sources[0][1], "p")
    assert verdict(made, payload={"a": text}).effect == "allow"


@pytest.mark.parametrize("take", ALL)
@pytest.mark.parametrize(
    "text",
    [
        "a: " + "x" * 10_000_000,
        "[" * 100_000,
        "a: &a [*a]",
        "rules: !!python/object:os.system {}",
        "rules: [" + "{}," * 30_000 + "]",
        "name: \u202eabc",
        "",
        "null",
        "\x00",
        "a: \ud800",
    ],
)
def test_a_hostile_source_is_refused_with_its_place(take: Importer, text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        take(text, "p")
    assert caught.value.line >= 1


ONES = ["a", "b", "1", "_", "-", "é", "٣", " ", "\n", "A", ".", "😀", "\u2028", "ſ"]


@settings(max_examples=150, deadline=None)
@given(
    pattern=st.text(alphabet="ab1^$.*+?()[]|\\dwsD-{2},é ", min_size=1, max_size=10),
    text=st.lists(st.sampled_from(ONES), max_size=5).map("".join),
)
def test_a_rewritten_pattern_finds_what_go_found(pattern: str, text: str) -> None:
    try:
        ours = rewrite(pattern, GO)
        theirs = re.compile(pattern.replace("$", r"\Z").replace("\\\\Z", "\\$"), re.ASCII)
    except (CannotSay, re.error):
        return
    if re.search(r"\\[sSZ]|\[[^\]]*\$|\\\$|--|\[\^?\[|\{,|[|^(]\{|\\\\", pattern):
        return  # Python means something else by these
    assert matched(ours, text) == bool(theirs.search(text)), ours


def matched(pattern: str, text: str) -> bool:
    source = f"rules: [{{id: r, when: {{arguments: {{a: {{regex: {json.dumps('x')}}}}}}}, then: {{decision: allow}}}}]"
    assert importers.rebuno(source, "p")
    import cel

    return bool(cel.compile("t.matches(p)").execute({"t": text, "p": pattern}))


@pytest.mark.parametrize(
    ("pattern", "text", "javascript"),
    [
        ("^.$", "é", True),
        ("^.$", "😀", False),
        ("^.{2}$", "😀", False),
        ("^.+$", "😀", True),
        ("^[^a]$", "😀", False),
        (r"^[\s\S]$", "😀", False),
        (r"^[\D]{1,3}$", "😀😀😀", False),
        (r"^[\w\W]{1,4}$", "😀😀😀😀", False),
        (r"^([\s\S]){4}$", "😀😀😀😀", False),
        (r"^[^\d\W]$", "é", False),
        (r"^[\s\S]+$", "😀", True),
        (r"^[\w\W]{1,4}$", "é-1", True),
        ("^.$", "\u2028", False),
        (r"^\w$", "é", False),
        (r"^\d+$", "٣", False),
        (r"^\s$", "\ufeff", True),
        (r"\bé", "é", False),
        (r"^[\w-]+@x\.com$", "a-b@x.com", True),
        (r"^\u0041\x42$", "AB", True),
        (r"^\/a\/$", "/a/", True),
        (r"^a{2,3}$", "aaa", True),
        (r"^a{,3}$", "a{,3}", True),
        (r"^(?<year>\d{4})$", "2026", True),
    ],
)
def test_a_pattern_of_javascript_finds_no_more_than_it_did(pattern: str, text: str, javascript: bool) -> None:
    assert matched(rewrite(pattern, JAVASCRIPT), text) == javascript


@pytest.mark.parametrize(
    "pattern", ["(?=a)", "(?!a)", "(?<=a)b", r"(a)\1", r"\p{L}", "[[:alpha:]]", "a**", "[]", "(", ")", "a\\"]
)
def test_a_pattern_without_an_equal_is_refused(pattern: str) -> None:
    for dialect in (GO, JAVASCRIPT):
        with pytest.raises(CannotSay):
            rewrite(pattern, dialect)
