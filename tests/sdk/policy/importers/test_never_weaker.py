"""Against small models of the engines that wrote them: what a document allows here, they allowed too."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sdk.policy.importers.said import verdict
from zehrava.policy.importers import agt, gate, rebuno

TEXTS = st.sampled_from(["x", "y", "5", "", "this or that", "True"])
SCALARS = TEXTS | st.sampled_from([0, 5, 6, -3, 5.5, True, False, None])
PAYLOADS = st.dictionaries(st.sampled_from("abc"), SCALARS | st.lists(SCALARS, max_size=2), max_size=3)
ACTIONS = st.sampled_from(["read", "drop", "web_get"])


# --- the toolkit ------------------------------------------------------------------------------------------------------


def toolkit_holds(text: str, context: dict[str, Any]) -> bool:
    """As the toolkit reads a condition: cut at `or`, then at `and`, and what fits no pattern is false."""
    for word, join in ((" or ", any), (" and ", all)):
        if word in text:
            return join(toolkit_holds(part.strip(), context) for part in text.split(word))
    found = re.match(r"(\w+)\s*(==|!=)\s*['\"]([^'\"]+)['\"]", text)
    if found:
        return (context.get(found[1]) == found[3]) == (found[2] == "==")
    found = re.match(r"(\w+)\s+in\s+\[([^\]]*)\]", text)
    if found:
        return context.get(found[1]) in [part.strip().strip("'\"") for part in found[2].split(",") if part.strip()]
    found = re.match(r"(\w+)\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)?)", text)
    if found:
        return toolkit_compares(context.get(found[1]), found[2], float(found[3]))
    return bool(context.get(text)) if re.fullmatch(r"\w+", text) else False


def toolkit_compares(value: Any, sign: str, bound: float) -> bool:
    try:
        number = float(value) if value is not None else 0.0
    except (TypeError, ValueError):
        return False
    return {">": number > bound, "<": number < bound, ">=": number >= bound, "<=": number <= bound}[sign]


def toolkit(document: dict[str, Any], context: dict[str, Any]) -> str:
    for rule in sorted(document["rules"], key=lambda each: -each["priority"]):
        if toolkit_holds(rule["condition"], context):
            return str(rule["action"])
    return str(document["default_action"])


FIELDS = st.sampled_from(["a", "b", "c", "tool_name", "action_type", "agent_id", "agent_did"])
ATOMS = st.one_of(
    st.tuples(FIELDS, st.sampled_from(["==", "!="]), TEXTS.map(repr)).map(" ".join),
    st.tuples(FIELDS, st.sampled_from(["<", "<=", ">", ">="]), st.sampled_from(["5", "0", "5.5"])).map(" ".join),
    st.tuples(FIELDS, st.lists(TEXTS.map(repr) | st.just("5"), max_size=3).map(", ".join)).map(
        lambda p: f"{p[0]} in [{p[1]}]"
    ),
    FIELDS,
    st.sampled_from(["not a", "a == true", "a == 5", "(a == 'x')", "a == b", "f(a)"]),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.tuples(inner, st.sampled_from([" and ", " or ", " && ", " || ", " AND "]), inner).map("".join),
    max_leaves=4,
)
TOOLKIT = st.fixed_dictionaries(
    {
        "default_action": st.sampled_from(["allow", "deny"]),
        "rules": st.lists(
            st.fixed_dictionaries(
                {
                    "name": st.sampled_from(["one", "two"]),
                    "condition": CONDITIONS,
                    "action": st.sampled_from(["allow", "deny", "require_approval"]),
                    "priority": st.integers(0, 2),
                }
            ),
            max_size=4,
        ),
    }
)


@settings(max_examples=200, deadline=None)
@given(document=TOOLKIT, payload=PAYLOADS, action=ACTIONS)
def test_what_the_toolkit_held_back_is_held_back(
    document: dict[str, Any], payload: dict[str, Any], action: str
) -> None:
    made = agt(json.dumps(document), "p")
    # Where both fields are read, they are about different things.
    kind = "x" if "tool_name" in json.dumps(document) else action
    identity = {"action_type": kind, "agent_id": "worker", "agent_did": "y"}
    theirs = toolkit(document, {**payload, **identity, "tool_name": action})
    ours = verdict(made, payload=payload, action=action).effect
    if theirs != "allow":
        assert ours != "allow", made.document


# --- Rebuno -----------------------------------------------------------------------------------------------------------


def rebuno_matches(when: dict[str, Any], action: str, payload: dict[str, Any]) -> bool:
    if "tool" in when and not re.fullmatch(when["tool"].replace("*", ".*"), action):
        return False
    for name, predicate in when.get("arguments", {}).items():
        if name not in payload:
            return False
        value = payload[name] if isinstance(payload[name], str) else json.dumps(payload[name])
        tests = {
            "equals": lambda wanted, value=value: value == wanted,
            "contains": lambda wanted, value=value: wanted in value,
            "one_of": lambda wanted, value=value: value in wanted,
            "regex": lambda wanted, value=value: bool(re.search(wanted, value, re.ASCII)),
        }
        if not all(tests[key](wanted) for key, wanted in predicate.items()):
            return False
    return True


def first_match(document: dict[str, Any], action: str, payload: dict[str, Any]) -> str:
    for rule in document["rules"]:
        if rebuno_matches(rule["when"], action, payload):
            return str(rule["then"]["decision"])
    return str(document["default_action"])


PREDICATES = st.fixed_dictionaries({"equals": st.sampled_from(["x", "5", "true"])}) | st.sampled_from(
    [{"contains": "x"}, {"one_of": ["x", "5"]}, {"regex": "^[a-z]$"}, {"regex": r"\d"}, {"regex": "x", "contains": "y"}]
)
BUNDLES = st.fixed_dictionaries(
    {
        "default_action": st.sampled_from(["allow", "deny"]),
        "rules": st.lists(
            st.fixed_dictionaries(
                {
                    "when": st.fixed_dictionaries(
                        {},
                        optional={
                            "tool": st.sampled_from(["read", "web_*", "*", "d*p"]),
                            "arguments": st.dictionaries(st.sampled_from("ab"), PREDICATES, max_size=2),
                        },
                    ),
                    "then": st.fixed_dictionaries({"decision": st.sampled_from(["allow", "deny", "require_approval"])}),
                }
            ),
            max_size=4,
        ).map(lambda rules: [{"id": f"r{index}", **rule} for index, rule in enumerate(rules)]),
    }
)


@settings(max_examples=200, deadline=None)
@given(document=BUNDLES, payload=PAYLOADS, action=ACTIONS)
def test_what_rebuno_held_back_is_held_back(document: dict[str, Any], payload: dict[str, Any], action: str) -> None:
    made = rebuno(json.dumps(document), "p")
    theirs = first_match(document, action, payload)
    ours = verdict(made, payload=payload, action=action).effect
    if theirs != "allow":
        assert ours != "allow", made.document
    if all(isinstance(value, str) for value in payload.values()):
        assert ours == {"allow": "allow", "deny": "block", "require_approval": "require_approval"}[theirs]


# --- Gate -------------------------------------------------------------------------------------------------------------


def gate_says(policy: dict[str, Any], payload: dict[str, Any], records: int | None, place: str, scope: str) -> str:
    policy = {**policy, **policy.get("environments", {}).get(place, {})}
    for check in policy.get("field_checks", []):
        value = payload.get(check["path"])
        if check.get("required") and value in (None, ""):
            return "block"
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and (value > check.get("max", value) or value < check.get("min", value)):
            return "block"
        if isinstance(value, str | list) and len(value) > check.get("max_length", len(value)):
            return "block"
        if isinstance(value, str) and not re.search(check.get("pattern", ""), value, re.ASCII):
            return "block"
    if policy.get("require_approval") == "always":
        return "require_approval"
    if records is not None:
        if policy.get("require_approval_over") and records > policy["require_approval_over"]:
            return "require_approval"
        if policy.get("auto_approve_under") and records <= policy["auto_approve_under"]:
            return "allow"
    return "require_approval"


GATE = st.fixed_dictionaries(
    {},
    optional={
        "field_checks": st.lists(
            st.fixed_dictionaries(
                {"path": st.sampled_from("abc")},
                optional={
                    "required": st.booleans(),
                    "min": st.integers(-3, 6),
                    "max": st.integers(-3, 6) | st.just(5.5),
                    "max_length": st.integers(0, 4),
                    "pattern": st.sampled_from(["^x$", r"\d", "[a-z ]+"]),
                },
            ),
            max_size=3,
        ),
        "require_approval_over": st.integers(0, 9),
        "auto_approve_under": st.integers(0, 9),
        "require_approval_for": st.just("org_wide"),
        "environments": st.dictionaries(
            st.sampled_from(["production", "staging"]),
            st.sampled_from([{"require_approval": "always"}, {"auto_approve_under": 5}, {"field_checks": []}]),
            max_size=2,
        ),
    },
)


@settings(max_examples=200, deadline=None)
@given(
    policy=GATE,
    payload=PAYLOADS,
    records=st.none() | st.integers(0, 12),
    place=st.sampled_from(["production", "staging", "test"]),
    scope=st.sampled_from(["org_wide", "team"]),
)
def test_what_gate_held_back_is_held_back(
    policy: dict[str, Any], payload: dict[str, Any], records: int | None, place: str, scope: str
) -> None:
    made = gate(json.dumps(policy), "p")
    theirs = gate_says(policy, payload, records, place, scope)
    ours = verdict(
        made,
        payload=payload,
        records=records,
        agent={"environment": place},
        context={"scope": scope, "environment": place},
    ).effect
    order = ["allow", "require_approval", "block"]
    assert order.index(ours) >= order.index(theirs), made.document
