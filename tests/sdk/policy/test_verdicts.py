"""How several policies become one verdict."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zehrava.policy import PolicyError, PolicySet, Verdict, parse_policy

NOW = datetime.datetime(2026, 3, 7, 12, 0, tzinfo=datetime.UTC)
AGENT = {"name": "billing-1", "environment": "production"}


def policy(name: str, effect: str, *, match: str = '{actions: ["x.y"]}', more: str = "", top: str = "") -> str:
    return f"name: {name}\nmatch: {match}\nrules:\n  - {{id: only, effect: {effect}{more}}}\n{top}"


def ask(policies: PolicySet, **intent: Any) -> Verdict:
    return policies.evaluate(**{"action": "x.y", "payload": {}, "agent": AGENT, "now": NOW, **intent})


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        (["allow", "allow"], "allow"),
        (["allow", "require_approval"], "require_approval"),
        (["require_approval", "allow"], "require_approval"),
        (["require_approval", "block", "allow"], "block"),
        (["block", "allow"], "block"),
    ],
)
def test_block_wins_over_ask_which_wins_over_allow(effects: list[str], expected: str) -> None:
    verdict = ask(PolicySet.parse(*(policy(f"p{index}", effect) for index, effect in enumerate(effects))))
    assert (verdict.effect, verdict.policy, verdict.rule) == (expected, f"p{effects.index(expected)}", "only")
    assert (verdict.requirement is None) == (expected != "require_approval")


def test_the_first_rule_that_holds_decides_for_its_policy() -> None:
    text = (
        "name: p\nmatch: {actions: [x.y]}\nrules:\n  - {id: a, when: payload.n > 5, effect: block}\n"
        "  - {id: b, when: payload.n > 1, effect: allow}\n  - {id: c, effect: block}\n"
    )
    verdict = ask(PolicySet.parse(text), payload={"n": 3})
    assert (verdict.effect, verdict.rule) == ("allow", "b")
    assert [(step["rule"], step["held"]) for step in verdict.trace] == [("a", False), ("b", True)]


APPROVAL = "approval: {all_of: [{group: finance, count: 2}], expires_in: 1h}"
REST = {
    "another asks": f"  - {{id: large, effect: require_approval, {APPROVAL}}}\n",
    "another blocks": "  - {id: never, effect: block}\n"
    f"  - {{id: large, when: 'false', effect: require_approval, {APPROVAL}}}\n",
    "another fails and blocks": "  - {id: never, when: payload.gone == 2, effect: block}\n"
    f"  - {{id: large, effect: require_approval, {APPROVAL}}}\n",
    "another fails and asks": f"  - {{id: large, when: payload.gone == 2, effect: require_approval, {APPROVAL}}}\n",
    "another fails and allows": "  - {id: b, when: payload.gone, effect: allow}\n"
    f"  - {{id: large, effect: require_approval, {APPROVAL}}}\n",
    "the default blocks": f"  - {{id: large, when: 'false', effect: require_approval, {APPROVAL}}}\ndefault: block\n",
    "another is over its limit": f"  - {{id: large, effect: allow, limits: [{{count: 1}}], {APPROVAL}}}\n",
}


@pytest.mark.parametrize("rest", REST)
def test_whoever_breaks_a_condition_does_not_choose_who_is_asked(rest: str) -> None:
    text = (
        "name: p\nmatch: {actions: [x.y]}\nrules:\n  - {id: small, when: payload.a < 5, effect: allow}\n" + REST[rest]
    )
    verdict = ask(PolicySet.parse(text), payload={"a": None}, usage={"p/large/0": 1})
    assert (verdict.effect, verdict.rule) == ("require_approval", "small")
    assert verdict.requirement is not None
    assert {"group": "finance", "count": 2} in verdict.requirement["all_of"]
    assert verdict.requirement["expires_in"] == 3600
    assert not any(use.counts for use in verdict.limits)
    blocks = {"another blocks": "rule 'never'", "another fails and blocks": "rule 'never'"}
    blocks["the default blocks"] = "the default"
    assert verdict.reason.startswith("rule 'small' of policy 'p' could not be evaluated")
    assert ("would block" in verdict.reason) == (rest in blocks)
    assert f"without it {blocks[rest]} would block" in verdict.reason if rest in blocks else True


def test_where_the_rest_would_allow_the_rule_that_failed_says_who_is_asked() -> None:
    text = (
        "name: p\nmatch: {actions: [x.y]}\nrules:\n  - {id: a, when: payload.a < 5, effect: %s}\n"
        "  - {id: b, effect: allow, limits: [{count: 9}]}\n"
    )
    allowed = ask(PolicySet.parse(text % "allow"), payload={}, usage={"p/b/0": 0})
    assert allowed.requirement == {"all_of": [{"group": "reviewers", "count": 1}], "expires_in": None}
    assert not any(use.counts for use in allowed.limits)
    asked = ask(PolicySet.parse(text % f"require_approval, {APPROVAL}"), payload={}, usage={"p/b/0": 0})
    assert asked.requirement == {"all_of": [{"group": "finance", "count": 2}], "expires_in": 3600}


def test_the_default_asks_unless_the_document_says_otherwise() -> None:
    more = ', when: "false"'
    verdict = ask(PolicySet.parse(policy("p", "allow", more=more)))
    assert (verdict.effect, verdict.rule, verdict.policy) == ("require_approval", "default", "p")
    assert verdict.requirement == {"all_of": [{"group": "reviewers", "count": 1}], "expires_in": None}
    assert ask(PolicySet.parse(policy("p", "block", more=more, top="default: allow\n"))).effect == "allow"
    assert ask(PolicySet.parse(policy("p", "allow", more=more, top="default: block\n"))).effect == "block"


def test_joined_requirements_take_the_largest_count_of_each_group_and_the_shortest_expiry() -> None:
    one = ", reason: one, approval: {all_of: [{group: finance, count: 2}, {group: comms}], expires_in: 1h}"
    two = ", reason: two, approval: {all_of: [{group: security}, {group: finance}], expires_in: 15m}"
    texts = (policy("b", "require_approval", more=two), policy("a", "require_approval", more=one))
    verdict = ask(PolicySet.parse(*texts, policy("c", "require_approval", more=", reason: two")))
    assert verdict.requirement == {
        "all_of": [
            {"group": "comms", "count": 1},
            {"group": "finance", "count": 2},
            {"group": "reviewers", "count": 1},
            {"group": "security", "count": 1},
        ],
        "expires_in": 900,
    }
    assert (verdict.policy, verdict.reason) == ("a", "one; two")


def test_the_expiry_of_the_policy_counts_where_its_rule_says_none() -> None:
    verdict = ask(PolicySet.parse(policy("p", "require_approval", top="expires_in: 2h\n")))
    assert verdict.requirement["expires_in"] == 7200
    more = ", approval: {expires_in: 3h}"
    verdict = ask(PolicySet.parse(policy("p", "require_approval", more=more, top="expires_in: 2h\n")))
    assert verdict.requirement["expires_in"] == 10_800


def test_an_intent_that_no_policy_matches_is_asked() -> None:
    verdict = ask(PolicySet.parse(policy("p", "allow")), action="x.z")
    assert (verdict.effect, verdict.policy, verdict.version, verdict.rule) == ("require_approval", None, None, None)
    assert verdict.requirement == {"all_of": [{"group": "reviewers", "count": 1}], "expires_in": None}
    assert "no policy matches" in verdict.reason
    assert ask(PolicySet([])).effect == "require_approval"


@pytest.mark.parametrize(
    ("match", "agent", "expected"),
    [
        ('{actions: ["x.*"]}', AGENT, "allow"),
        ('{agents: ["billing-*"]}', AGENT, "allow"),
        ('{agents: ["mail-*"]}', AGENT, "no policy"),
        ("{environments: [production]}", AGENT, "allow"),
        ("{environments: [prod]}", AGENT, "no policy"),
        ('{actions: ["X.*"]}', AGENT, "no policy"),
        ('{agents: ["billing-*"]}', {}, "cannot be told"),
        ("{environments: [production]}", {"name": "billing-1", "environment": None}, "cannot be told"),
    ],
)
def test_a_policy_is_for_the_actions_agents_and_environments_it_names(
    match: str, agent: dict[str, Any], expected: str
) -> None:
    verdict = ask(PolicySet.parse(policy("p", "allow", match=match)), agent=agent)
    if expected == "allow":
        assert verdict.effect == "allow"
    else:
        assert verdict.effect == "require_approval"
        assert expected in verdict.reason


def test_naming_a_policy_adds_it_and_takes_none_away() -> None:
    policies = PolicySet.parse(
        policy("strict", "block", match="{actions: [other]}"),
        policy("usual", "allow"),
        policy("lax", "allow", match="{actions: [other]}"),
        policy("asking", "require_approval", match="{actions: [asked]}"),
    )
    assert ask(policies, policy="strict").effect == "block"
    assert ask(policies, policy="lax").effect == "allow"
    assert ask(policies, policy="usual").effect == "allow"
    assert ask(policies, action="asked", policy="lax").effect == "require_approval"
    assert ask(policies, action="asked", policy="asking").effect == "require_approval"


def test_a_named_policy_applies_to_agents_it_is_not_for() -> None:
    policies = PolicySet.parse(policy("usual", "allow"), policy("strict", "block", match='{agents: ["mail-*"]}'))
    assert ask(policies).effect == "allow"
    assert ask(policies, policy="strict").effect == "block"


def test_what_a_named_policy_counts_is_not_for_agents_it_is_not_for_to_use_up() -> None:
    limits = ", limits: [{count: 5, per: everything, over: block}]"
    paid = policy("paid", "allow", match='{agents: ["payer-*"]}', more=limits)
    policies = PolicySet.parse(policy("usual", "allow"), paid)

    named = ask(policies, policy="paid", usage={"paid/only/0": 0})

    assert (named.effect, named.limits) == ("require_approval", ())
    covered = ask(policies, agent={"name": "payer-1"}, usage={"paid/only/0": 0})
    assert (covered.effect, [use.counts for use in covered.limits]) == ("allow", [True])


def test_a_lenient_policy_that_is_named_allows_nothing_that_no_policy_matches() -> None:
    policies = PolicySet.parse(
        policy("lax", "allow", match="{actions: [other]}"),
        policy("strict", "block", match="{actions: [other]}"),
        policy("mine", "allow", match='{actions: ["x.z"], agents: ["somebody-else"]}'),
    )
    assert ask(policies).effect == "require_approval"
    verdict = ask(policies, policy="lax")
    assert (verdict.effect, verdict.policy) == ("require_approval", None)
    assert "no policy matches" in verdict.reason
    assert ask(policies, action="x.z", policy="mine").effect == "require_approval"
    assert ask(policies, policy="strict").effect == "block"


STRICTNESS = {"allow": 0, "require_approval": 1, "block": 2}
MATCHES = ('{actions: ["x.y"]}', "{actions: [other]}", '{agents: ["mail-*"]}', "{environments: [staging]}")
SETS = st.lists(st.tuples(st.sampled_from(sorted(STRICTNESS)), st.sampled_from(MATCHES)), min_size=1, max_size=5)


@given(policies=SETS, named=st.integers(0, 4))
def test_naming_a_policy_never_makes_a_verdict_milder(policies: list[tuple[str, str]], named: int) -> None:
    texts = [policy(f"p{index}", effect, match=match) for index, (effect, match) in enumerate(policies)]
    together = PolicySet.parse(*texts)
    without, with_it = ask(together), ask(together, policy=f"p{named % len(texts)}")
    assert STRICTNESS[with_it.effect] >= STRICTNESS[without.effect]


def test_naming_a_policy_that_does_not_exist_asks() -> None:
    verdict = ask(PolicySet.parse(policy("usual", "allow")), policy="nobody")
    assert verdict.effect == "require_approval"
    assert "there is no policy 'nobody'" in verdict.reason
    blocked = ask(PolicySet.parse(policy("usual", "block")), policy="nobody")
    assert blocked.effect == "block"


def test_a_reason_quotes_the_intent_and_marks_what_is_missing_or_cut() -> None:
    more = ', reason: "{payload.a} {payload.l.0} {payload.o} {payload.no} {intent.action} {agent.name} {context.c}"'
    payload = {"a": "x" * 300, "l": [1.5], "o": {"b": None}}
    verdict = ask(PolicySet.parse(policy("p", "block", more=more)), payload=payload)
    assert verdict.reason == "x" * 200 + '… (300 characters) 1.5 {"b": null} ? x.y billing-1 ?'


def test_a_reference_in_the_payload_is_not_followed() -> None:
    verdict = ask(PolicySet.parse(policy("p", "block", more=', reason: "{payload.a}"')), payload={"a": "{agent.name}"})
    assert verdict.reason == "{agent.name}"


@pytest.mark.parametrize(
    "intent",
    [
        {"now": datetime.datetime(2026, 1, 1)},
        {"now": None},
        {"records": -1},
        {"records": True},
        {"records": "3"},
        {"tags": "abc"},
        {"tags": 5},
        {"agent": None},
        {"context": 5},
        {"value": "5"},
        {"action": None},
        {"payload": object()},
        {"payload": {"a": b"x"}},
    ],
)
def test_input_that_makes_no_sense_is_asked_and_never_raises(intent: dict[str, Any]) -> None:
    verdict = ask(PolicySet.parse(policy("p", "allow", match='{actions: ["*"]}')), **intent)
    assert verdict.effect == "require_approval"
    assert "could not be evaluated" in verdict.reason


def test_a_payload_as_deep_as_it_may_be_is_evaluated_and_a_deeper_one_is_asked() -> None:
    policies = PolicySet.parse(policy("p", "allow"))
    payload: Any = 1
    for _ in range(32):
        payload = [payload]
    assert ask(policies, payload=payload).effect == "allow"
    assert ask(policies, payload=[payload]).effect == "require_approval"
    for _ in range(50_000):
        payload = {"a": payload}
    assert ask(policies, payload=payload).effect == "require_approval"


def test_two_policies_of_one_name_are_refused() -> None:
    with pytest.raises(PolicyError, match="two policies are called 'p'"):
        PolicySet.parse(policy("p", "allow"), policy("p", "block"))


def test_a_verdict_names_the_version_it_was_given() -> None:
    policies = PolicySet([parse_policy(policy("p", "allow"), version=12)])
    assert ask(policies).version == 12
    assert policies.names == {"p"}


@pytest.mark.parametrize("payload", [{"n": 1e16}, {"n": float("nan")}, {"n": (1,)}, {1: 2}])
def test_what_cannot_be_read_is_blocked_where_the_first_rule_of_a_policy_blocks(payload: Any) -> None:
    blocks = PolicySet.parse(policy("strict", "block"), policy("usual", "allow"))
    said = ask(blocks, payload=payload)
    assert (said.effect, said.policy, said.rule) == ("block", "strict", "only")
    assert "could not be evaluated" in said.reason
    asks = PolicySet.parse(policy("usual", "allow"), policy("strict", "block", match="{actions: [other]}"))
    assert ask(asks, payload=payload).effect == "require_approval"
    assert ask(asks, payload=payload, policy="strict").effect == "block"
