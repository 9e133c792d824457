"""Shadow mode and a backtest say of every one of many random intents what the policies themselves say of it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from django.db.models import Q

from intents import backtesting, shadowing
from intents.models import Intent, ShadowVerdict
from intents.tasks import run_backtest
from tests.factories import ARRANGER, load_policy, make_agent, make_intent
from tests.intents.test_shadow import draft, shadow
from zehrava.policy import PolicySet, Verdict

pytestmark = pytest.mark.django_db

INTENTS = 200
BEFORE = """
name: refunds
match: {actions: [stripe.refund]}
rules:
  - {id: sanctioned, when: payload.country == "KP", effect: block, reason: "{payload.country} is not served"}
  - {id: tiny, when: amount(payload.amount) <= amount("10"), effect: allow}
  - {id: large, when: amount(payload.amount) > amount("500"), effect: require_approval, approval: {all_of: [{group: finance, count: 2}]}}
  - {id: rest, effect: require_approval, approval: {all_of: [{group: finance}]}}
"""  # noqa: E501
THEN = """
name: refunds
match: {actions: ["stripe.*"], environments: [production]}
rules:
  - {id: sanctioned, when: 'payload.country in ["KP", "IR"]', effect: block, reason: "{payload.country} is not served"}
  - {id: small, when: amount(payload.amount) <= amount("100"), effect: allow, limits: [{count: 5, per: agent, window: 1h}]}
  - {id: large, when: amount(payload.amount) > amount("800"), effect: require_approval, approval: {all_of: [{group: finance, count: 2}]}}
default: block
"""  # noqa: E501
BESIDE = """
name: strangers
match: {actions: ["*"]}
rules:
  - {id: unnamed, when: '!has(payload.customer)', effect: require_approval, approval: {all_of: [{group: support}]}}
  - {id: named, effect: allow}
"""
LIMIT = "refunds/small/0"
BY_EFFECT = {"allow": "allowed", "block": "blocked", "require_approval": "asked"}


@dataclass(frozen=True)
class Sent:
    """An intent as the test proposed it."""

    intent: Intent
    action: str
    payload: dict[str, Any]
    agent: dict[str, Any]


def propose_many(seed: int) -> list[Sent]:
    """Propose random intents from four agents, two of them in production; many lack or garble what rules read."""
    chance = random.Random(seed)
    agents = []
    for number in range(4):
        environment = "production" if number % 2 else "staging"
        agent, key = make_agent(f"agent-{number}", environment=environment)
        agents.append((key, {"id": agent.pk, "name": agent.name, "environment": environment, "labels": {}}))
    sent = []
    for _ in range(INTENTS):
        key, agent = chance.choice(agents)
        payload: dict[str, Any] = {}
        if chance.random() < 0.95:
            payload["amount"] = chance.choice(
                [f"{chance.randint(1, 1_000)}.00", f"{chance.randint(1, 99)}", "a lot", 7]
            )
        if chance.random() < 0.95:
            payload["country"] = chance.choice(["DE", "DE", "FR", "KP", "IR", 49, None])
        if chance.random() < 0.8:
            payload["customer"] = chance.randint(1, 9)
        action = chance.choice(["stripe.refund"] * 4 + ["stripe.payout", "email.send"])
        intent = make_intent(key, action=action, payload=payload)
        sent.append(Sent(intent, action, payload, agent))
    return sent


def says(policies: PolicySet, one: Sent, used: int) -> Verdict:
    return policies.evaluate(
        action=one.action, payload=one.payload, agent=one.agent, execution_mode="agent", now=one.intent.created_at,
        usage={LIMIT: used},
    )  # fmt: skip


def by_hand(sent: list[Sent]) -> tuple[dict[str, tuple[str, ...]], Counter[str]]:
    """What each intent that differs would have got, and how many of each kind; covered ones count as the same."""
    old, new = PolicySet.parse(BEFORE, BESIDE), PolicySet.parse(THEN, BESIDE)
    used: Counter[str] = Counter()
    found, counts = {}, Counter()
    for one in sent:
        got, then = says(old, one, 0), says(new, one, used[one.agent["id"]])
        if then.effect == "allow" and _under_limit(one):
            used[one.agent["id"]] += 1
        covered = one.action == "stripe.refund" or (
            one.action.startswith("stripe.") and one.agent["environment"] == "production"
        )
        kind = "same"
        if got.effect != then.effect:
            kind = BY_EFFECT[then.effect]
        elif got.effect == "require_approval" and got.requirement["all_of"] != then.requirement["all_of"]:
            kind = "people"
        if covered:
            counts[kind] += 1
        if covered and kind != "same":
            by = f"{then.policy}/{then.rule or '-'}" if then.policy else ""
            found[one.intent.pk] = (kind, then.effect, by, then.reason or "")
    return found, counts


def _under_limit(one: Sent) -> bool:
    """Whether the rule with the limit is what lets it pass: nothing else of THEN allows."""
    return one.action.startswith("stripe.") and one.agent["environment"] == "production"


def rows(found: Any) -> dict[str, tuple[str, ...]]:
    return {row.intent_id: (row.change, row.effect, row.said_by, row.reason) for row in found}


@pytest.mark.parametrize("seed", [3, 17])
def test_every_difference_is_the_one_that_the_policies_themselves_make(seed):
    load_policy(BESIDE)
    load_policy(BEFORE)
    version = shadow(THEN)
    sent = propose_many(seed)
    expected, counts = by_hand(sent)
    assert {"allowed", "blocked", "asked", "people", "same"} <= counts.keys(), f"of each kind some: {counts}"
    assert len(expected) > INTENTS / 4

    asked = backtesting.request(draft(THEN), days=1, by=ARRANGER, user=None)
    run_backtest(asked.pk)
    asked.refresh_from_db()

    beside_live = rows(ShadowVerdict.objects.filter(version=version).exclude(change="same"))
    assert beside_live == expected
    assert rows(asked.differences.all()) == expected
    assert shadowing.figures(version, since=None, among=Q())["counts"] == counts
    assert asked.judged == INTENTS and asked.summary["covered"] == counts.total()
    elsewhere = INTENTS - counts.total()
    assert asked.summary["counts"] == {**counts, "same": counts["same"] + elsewhere}
    by_rule = Counter((kind, by) for kind, _, by, _ in expected.values())
    for summary in (asked.summary["rules"], shadowing.figures(version, since=None, among=Q())["rules"]):
        told = {(kind, by): n for kind, of in summary.items() for by, n in of.items() if kind != "same"}
        assert told == by_rule
