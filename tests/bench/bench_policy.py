"""Prints how fast policies decide: python tests/bench/bench_policy.py [seconds per line].

Each line is one policy set and one intent. ``unindexed`` is the share of rules in policies for every action, which the
index cannot spare; the others are spread over many actions, ten rules to each.
"""

from __future__ import annotations

import datetime
import gc
import statistics
import sys
import time
from typing import Any

from zehrava.policy import PolicySet

NOW = datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.UTC)
PER_ACTION = 10
AGENT = {
    "id": "agt_1",
    "name": "billing-1",
    "owner": "mia",
    "environment": "production",
    "tier": "standard",
    "labels": {},
}
PAYLOAD = {"charge": "ch_1", "amount": "120.00", "currency": "EUR", "country": "DE", "note": "Ordered twice by mistake"}
CONDITIONS = (
    'payload.country == "X{n}"',
    'amount(payload.amount) > amount("{n}000")',
    'payload.currency in ["X{n}", "Y{n}"]',
    'agent.environment == "nowhere{n}"',
    'payload.charge.startsWith("no{n}") && payload.country != "DE"',
)


def policy(name: str, actions: str, rules: list[str]) -> str:
    """The text of one policy."""
    lines = [f"name: {name}", f"match: {{actions: [{actions!r}]}}", "rules:"]
    for index, condition in enumerate(rules):
        lines += [f"  - id: r{index}", f"    when: {condition!r}", "    effect: allow"]
    return "\n".join(lines)


def conditions(count: int, *, start: int = 1) -> list[str]:
    """Conditions that do not hold for ``PAYLOAD``."""
    return [CONDITIONS[n % len(CONDITIONS)].format(n=n + start) for n in range(count)]


def rule_set(rules: int, unindexed: int, holds: str) -> PolicySet:
    """``rules`` rules of which the share ``unindexed`` (percent) is in a policy for every action."""
    everywhere = rules * unindexed // 100
    considered = conditions(everywhere or PER_ACTION)
    if holds == "first":
        considered[0] = "true"
    elif holds == "last":
        considered[-1] = "true"
    texts = [policy("considered", "*" if everywhere else "bench.act", considered)]
    rest = rules - len(considered)
    for index in range(0, rest, PER_ACTION):
        texts.append(policy(f"other{index}", f"other.act{index}", conditions(min(PER_ACTION, rest - index))))
    return PolicySet.parse(*texts)


def measure(policies: PolicySet, seconds: float) -> dict[str, float]:
    """p50 and p99 in milliseconds, and evaluations per second."""

    def once() -> Any:
        return policies.evaluate(action="bench.act", payload=PAYLOAD, agent=AGENT, now=NOW)

    for _ in range(200):
        once()
    times = []
    gc.collect()
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        once()
        times.append(time.perf_counter() - start)
    cuts = statistics.quantiles(times, n=100)
    return {"p50": cuts[49] * 1e3, "p99": cuts[98] * 1e3, "rate": len(times) / sum(times)}


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5
    print(f"{'rules':>6} {'unindexed':>9} {'holds':>6} {'p50 ms':>8} {'p99 ms':>8} {'per second':>11}")
    for rules in (20, 100, 1_000):
        for unindexed in (0, 5, 100):
            for holds in ("first", "last", "never"):
                figures = measure(rule_set(rules, unindexed, holds), seconds)
                print(
                    f"{rules:>6} {unindexed:>8}% {holds:>6} {figures['p50']:>8.4f} {figures['p99']:>8.4f} "
                    f"{figures['rate']:>11,.0f}"
                )


if __name__ == "__main__":
    main()
