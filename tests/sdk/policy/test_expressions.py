"""The tree of a condition: it keeps the text, and it is built as CEL reads it."""

from __future__ import annotations

from pathlib import Path as File
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from zehrava.policy import strict_yaml
from zehrava.policy.conditions import Condition
from zehrava.policy.expressions import (
    Binary,
    Call,
    Literal,
    Logical,
    Member,
    Node,
    Path,
    Unary,
    Walk,
    parse,
)
from zehrava.policy.tokens import ConditionError, tokenise

GALLERY = sorted(File(__file__).parents[3].joinpath("docs/policies").glob("*.yaml"))

SAMPLES = [
    "true",
    'payload.country in ["KP", "IR"]',
    'amount(payload.amount) > amount("500")',
    'payload["x y"] == 1 || true',
    "has(payload.x) && payload.x > 0 || true // because",
    'payload.l.all(x, x.tags.exists(t, t == "a" || size(t) > 0))',
    'payload.l.exists(x, ["a", "b"].exists(y, y == x.sku)) || true',
    "now > timestamp('2020-01-01T00:00:00Z')",
    'payload.s.matches(r"^\\d+$")',
    "{'a': payload.s,}.a == payload.s",
    "type(payload.s) == string",
    "(payload.a + 1) * -2 - -payload.b % 3 <= 0x10",
    "payload.a ? payload.b : payload.c ? 1u : 2.5e3",
    "!!payload.a || !(payload.b || payload.c) && true",
    "payload.items[0].tags[payload.n - 1].x",
    "payload\n  .a\t==\n  [[1, 2], [],]  ",
    'b"raw" == bytes("raw") && """long "text" """ != \'\'',
    "-9223372036854775808 < payload.x",
]


def shape(node: Node) -> Any:
    """The tree as nested tuples, without places."""
    inner = [shape(child) for child in node.children]
    match node:
        case Literal():
            return ("literal", node.type, node.value)
        case Path():
            return ("path", node.root, *node.steps)
        case Member():
            return ("member", node.name, *inner)
        case Call():
            return ("call", node.name, node.receiver is not None, *inner)
        case Walk():
            return ("walk", node.name, node.variable, *inner)
        case Unary() | Binary() | Logical():
            return (node.kind, node.op, *inner)
        case _:
            return (node.kind, *inner)


def gallery_conditions() -> list[str]:
    found = []
    for file in GALLERY:
        document = strict_yaml.read(file.read_text()).data
        found += [rule["when"] for rule in document.get("rules", []) if "when" in rule]
    return found


def test_every_condition_of_the_gallery_has_a_tree() -> None:
    conditions = gallery_conditions()
    assert len(conditions) > 10
    for condition in conditions:
        node = parse(condition)
        assert node.source == condition.strip()


def check_places(node: Node, text: str) -> None:
    """Each node is its text; its parts follow one another inside it, and no value or name is left outside them."""
    assert node.source == text[node.start : node.end]
    at = node.start
    outside = []
    for child in node.children:
        assert at <= child.start < child.end <= node.end
        outside.append((at, child.start))
        at = child.end
        check_places(child, text)
    outside.append((at, node.end))
    if node.children:
        left = [
            token
            for token in tokenise(text)
            if any(start <= token.at < end for start, end in outside) and token.kind != "sign"
        ]
        own = {getattr(node, name, None) for name in ("name", "variable", "op")} | {"has"}
        assert all(token.kind == "name" and token.text in own for token in left), left


@pytest.mark.parametrize("condition", SAMPLES)
def test_the_parts_cover_the_text(condition: str) -> None:
    node = parse(condition)
    check_places(node, condition)
    for part in node.walk():
        assert part is node or shape(parse(part.source)) == shape(part)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("a.b.c", ("path", "a", "b", "c")),
        ("a[0].b", ("member", "b", ("index", ("path", "a"), ("literal", "int", 0)))),
        ("has(a.b)", ("has", ("path", "a", "b"))),
        ("a || b && c", ("logical", "||", ("path", "a"), ("logical", "&&", ("path", "b"), ("path", "c")))),
        ("a && b && c", ("logical", "&&", ("path", "a"), ("path", "b"), ("path", "c"))),
        (
            "1 - 2 - 3",
            ("binary", "-", ("binary", "-", *[("literal", "int", n) for n in (1, 2)]), ("literal", "int", 3)),
        ),
        ("!a.b == c", ("binary", "==", ("unary", "!", ("path", "a", "b")), ("path", "c"))),
        ("-a.b", ("unary", "-", ("path", "a", "b"))),
        ("-5", ("literal", "int", -5)),
        ("a.all(x, x)", ("walk", "all", "x", ("path", "a"), ("path", "x"))),
        ("a.f(1)", ("call", "f", True, ("path", "a"), ("literal", "int", 1))),
        ("f(a, 1)", ("call", "f", False, ("path", "a"), ("literal", "int", 1))),
        ("a ? b : c ? d : e", ("ternary", ("path", "a"), ("path", "b"), ("ternary", *[("path", n) for n in "cde"]))),
        ('{"a": 1}', ("map", ("literal", "string", "a"), ("literal", "int", 1))),
        ("1u", ("literal", "uint", 1)),
        ("1.0", ("literal", "double", 1.0)),
        ("'\\u0041'", ("literal", "string", "A")),
        ("null", ("literal", "null", None)),
    ],
)
def test_precedence_is_that_of_cel(condition: str, expected: Any) -> None:
    assert shape(parse(condition)) == expected


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("", "empty"),
        ("a b", "does not belong"),
        ("a ==", "it ends after `==`; a value is missing"),
        ("a ? b", "it ends after `b`; `:` is missing"),
        ("(a", "`)` is missing"),
        ("a)", "does not belong"),
        ("[1, , 2]", "stands where a value belongs"),
        ("f(a,)", "stands where a value belongs"),
        ("in", "at character 1, `in` stands"),
        ("a.1", "does not belong"),
        ("a.?b", "a name is missing"),
        ("has(a)", "has() takes one member"),
        ("a.all(b.c, true)", "all() takes a name"),
        ('"\\q"', "not a condition"),
        ("99999999999999999999", "not a condition"),
        ("(" * 33 + "true" + ")" * 33, "at most 32 deep"),
        ("!" * 40 + "true", "at most 32 deep"),
        ("true" + " || true" * 128, "at most 256"),
        ("a" * 2_001, "at most 2000 characters"),
    ],
)
def test_what_is_no_expression_is_refused(condition: str, reason: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(condition)
    assert reason in str(caught.value)


# Random trees: each is printed with the brackets it needs, and with brackets everywhere.

NAMES = st.sampled_from(["payload", "intent", "agent"])
LEVELS = {"||": 1, "&&": 2, **dict.fromkeys(["==", "!=", "<", "<=", ">", ">=", "in"], 3), "+": 4, "-": 4}
LEVELS |= {"*": 5, "/": 5, "%": 5}
BINARY = st.sampled_from([op for op in LEVELS if op not in ("&&", "||")])
ARITHMETIC = st.sampled_from(["+", "-", "*", "%", "<", ">=", "==", "!="])
UNARY, POSTFIX = 6, 7

LEAVES = st.one_of(
    st.builds(lambda root, steps: ("path", root, *steps), NAMES, st.lists(st.sampled_from("abc"), max_size=3)),
    st.integers(-9, 9).map(lambda n: ("literal", "int", n)),
    st.sampled_from([0.5, 1e-7, 2.0]).map(lambda n: ("literal", "double", n)),
    st.text("ab'\"\\ \n\u202e\u20ac", max_size=5).map(lambda s: ("literal", "string", s)),
    st.sampled_from([("literal", "bool", True), ("literal", "bool", False), ("literal", "null", None)]),
)


def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        st.builds(lambda op, parts: ("logical", op, *parts), st.sampled_from(["&&", "||"]), several),
        st.builds(lambda op, a, b: ("binary", op, a, b), BINARY, inner, inner),
        st.builds(lambda op, a: ("unary", op, a), st.sampled_from(["!", "-"]), inner),
        st.builds(lambda a, b, c: ("ternary", a, b, c), inner, inner, inner),
        st.builds(lambda a, b: ("index", a, b), inner, inner),
        st.builds(lambda a: ("member", "m", a), inner),
        st.builds(lambda parts: ("list", *parts), several),
        st.builds(lambda a, b: ("map", a, b), inner, inner),
        st.builds(lambda a, b: ("call", "glob", False, a, b), inner, inner),
        st.builds(lambda a, b: ("call", "contains", True, a, b), inner, inner),
        st.builds(lambda a, b: ("walk", "all", "x", a, b), inner, inner),
        st.builds(lambda a: ("has", ("member", "m", a)), inner),
    )  # fmt: skip


TREES = st.recursive(LEAVES, grow, max_leaves=10)


def tidy(tree: Any) -> Any:
    """What the text cannot keep apart: a member of a path is a longer path, a minus before a number a number."""
    kind, *rest = tree
    if kind in ("literal", "path"):
        return tree
    rest = [tidy(part) if isinstance(part, tuple) else part for part in rest]
    if kind == "member" and rest[1][0] == "path":
        return (*rest[1], rest[0])
    return (kind, *rest)


def written(tree: Any, everywhere: bool) -> str:
    def inside(part: Any, least: int) -> str:
        text = written(part, everywhere)
        return f"({text})" if (everywhere and part[0] != "path") or level(part) < least else text

    kind, *rest = tree
    match kind:
        case "path":
            return ".".join(rest)
        case "literal":
            return constant(*rest)
        case "logical":
            return f" {rest[0]} ".join(inside(part, LEVELS[rest[0]] + 1) for part in rest[1:])
        case "binary":
            own = LEVELS[rest[0]]
            return f"{inside(rest[1], own)} {rest[0]} {inside(rest[2], own + 1)}"
        case "unary":
            return f"{rest[0]}{inside(rest[1], POSTFIX)}"  # CEL takes `!-a` for nothing, and `!!a` for `a`
        case "ternary":
            return f"{inside(rest[0], 1)} ? {inside(rest[1], 1)} : {inside(rest[2], 0)}"
        case "index":
            return f"{inside(rest[0], POSTFIX)}[{inside(rest[1], 0)}]"
        case "member":
            return f"{inside(rest[1], POSTFIX)}.{rest[0]}"
        case "list":
            return f"[{', '.join(inside(part, 0) for part in rest)}]"
        case "map":
            return f"{{{inside(rest[0], 0)}: {inside(rest[1], 0)}}}"
        case "has":
            return f"has({written(rest[0], everywhere)})"
        case "walk":
            return f"{inside(rest[2], POSTFIX)}.{rest[0]}({rest[1]}, {inside(rest[3], 0)})"
    name, member, *args = rest
    receiver = f"{inside(args.pop(0), POSTFIX)}." if member else ""
    return f"{receiver}{name}({', '.join(inside(part, 0) for part in args)})"


def level(tree: Any) -> int:
    if tree[0] in ("logical", "binary"):
        return LEVELS[tree[1]]
    if tree[0] == "literal" and tree[1] in ("int", "double"):
        return UNARY  # `1.m` would be read as a number
    return {"ternary": 0, "unary": UNARY}.get(tree[0], POSTFIX)


def constant(kind: str, value: Any) -> str:
    if kind == "string":
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    return {True: "true", False: "false", None: "null"}[value] if kind in ("bool", "null") else repr(value)


@settings(max_examples=400, deadline=None)
@given(TREES, st.booleans())
def test_a_tree_written_down_is_read_as_the_same_tree(tree: Any, everywhere: bool) -> None:
    tree = tidy(tree)
    text = written(tree, everywhere)
    try:
        node = parse(text)
    except ConditionError as error:
        assume("at most" not in str(error))
        raise
    assert shape(node) == tree
    check_places(node, text)


PAYLOADS = st.fixed_dictionaries({name: st.sampled_from([1, 2, -3, True, False, "a", [1, 2]]) for name in "abc"})
NUMBERS = st.recursive(
    st.sampled_from([("path", "payload", name) for name in "abc"])
    | st.integers(-9, 9).map(lambda n: ("literal", "int", n)),
    lambda inner: st.one_of(
        st.builds(lambda op, a, b: ("binary", op, a, b), ARITHMETIC, inner, inner),
        st.builds(lambda op, a, b: ("logical", op, a, b), st.sampled_from(["&&", "||"]), inner, inner),
        st.builds(lambda op, a: ("unary", op, a), st.sampled_from(["!", "-"]), inner),
        st.builds(lambda a, b, c: ("ternary", a, b, c), inner, inner, inner),
    ),
    max_leaves=8,
)  # fmt: skip


def outcome(text: str, payload: Any) -> str:
    condition = Condition.parse(text)
    try:
        return repr(condition.program.execute({"payload": payload}))
    except Exception as error:
        return type(error).__name__


@settings(max_examples=300, deadline=None)
@given(NUMBERS, PAYLOADS)
def test_cel_reads_the_text_as_the_tree_says(tree: Any, payload: Any) -> None:
    bare = written(tree, everywhere=False)
    assert outcome(bare, payload) == outcome(written(tree, everywhere=True), payload), bare


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text("payload.xz()[]{}&|!=<>'\"\\,?:+-*/%1 ", max_size=60))
def test_any_text_has_a_tree_or_is_refused(text: str) -> None:
    try:
        node = parse(text)
    except ConditionError:
        return
    check_places(node, text)
