"""The terms of a standing approval: read strictly, bound by a digest, and asked whether they cover an intent.

They are a policy of one rule: the engine that judges intents says what they cover, so that globs, conditions and the
bounds on both mean the same here. Whatever it cannot work out is not covered.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from intents.judging import Facts
from intents.models import Agent
from intents.proposals import AMOUNT, CURRENCY, invalid
from intents.reasons import read_reason
from intents.representation import instant
from reviews.standing.models import DISAGREEMENT_PERCENT, MOST_USES, SAMPLE_PERCENT, StandingApproval
from zehrava import canonical, durations
from zehrava.policy import ALLOW, ASK, Policy, PolicyError, PolicySet, parse_policy
from zehrava.policy.limits import plain
from zehrava.problems import Problem

LONGEST = timedelta(days=90)
_COVERED = "covered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is asked for, as somebody typed it; `max_total` and `rate_window` are texts, "500.00" and "1h"."""

    agent: Agent
    action: str
    expires_at: datetime
    reason: str
    max_uses: Any
    when: str = ""
    max_total: str = ""
    currency: str = ""
    rate_count: Any = None
    rate_window: str = ""
    sample_percent: Any = SAMPLE_PERCENT
    disagreement_percent: Any = DISAGREEMENT_PERCENT

    def columns(self, *, now: datetime) -> dict[str, Any]:
        """The columns that hold them. Raises Problem `invalid` that lists every fault with its path."""
        if errors := [{"path": f"/{path}", "detail": detail} for path, detail in self.faults(now=now)]:
            raise invalid(errors)
        return {
            "agent": self.agent,
            "agent_name": self.agent.name,
            "action": self.action,
            "when": self.when.strip(),
            "max_uses": self.max_uses,
            "max_total": Decimal(self.max_total) if self.max_total else None,
            "currency": self.currency,
            "rate_count": self.rate_count,
            "rate_window": durations.parse(self.rate_window) if self.rate_window else None,
            "sample_percent": self.sample_percent,
            "disagreement_percent": self.disagreement_percent,
            "expires_at": self.expires_at,
            "reason": read_reason(self.reason, path="/reason"),
        }

    def faults(self, *, now: datetime) -> Iterator[tuple[str, str]]:
        """What is wrong, each with the name of the field."""
        yield from self._faults_of_what()
        yield from self._faults_of_how_much()
        if not now < self.expires_at <= now + LONGEST:
            yield "expires_at", f"It ends between now and {LONGEST.days} days from now."
        try:
            read_reason(self.reason, path="/reason", needed="Say why: whoever approves it reads this.")
        except Problem as problem:
            yield "reason", problem.detail

    def _faults_of_what(self) -> Iterator[tuple[str, str]]:
        try:
            terms = _policy(self.agent.name, self.action, self.when.strip())
        except PolicyError as error:
            for fault in error.errors:
                path = str(fault.path or "")
                yield "when" if path.startswith("rules") else "action", str(fault.reason)
        else:
            if any(policy.reads_usage for policy in terms.policies):
                yield "when", "What is used of limits is not known here; leave `usage` out."

    def _faults_of_how_much(self) -> Iterator[tuple[str, str]]:
        if not _is_whole(self.max_uses, 1, MOST_USES):
            yield "max_uses", f"Say how often at most: a whole number from 1 to {MOST_USES:,}."
        if bool(self.max_total) != bool(self.currency):
            lacking = "currency" if self.max_total else "max_total"
            yield lacking, "A total is an amount and its currency; leave both empty for none."
        if self.max_total and (not AMOUNT.match(self.max_total) or Decimal(self.max_total) <= 0):
            yield "max_total", "Send a decimal number above zero, such as 500.00."
        if self.currency and not CURRENCY.match(self.currency):
            yield "currency", "A currency is a code of three capital letters, such as EUR (ISO 4217)."
        if (self.rate_count is None) != (not self.rate_window):
            lacking = "rate_count" if self.rate_count is None else "rate_window"
            yield lacking, "A rate is a number and the time that it is for; leave both empty for none."
        if self.rate_count is not None and not _is_whole(self.rate_count, 1, MOST_USES):
            yield "rate_count", f"Send a whole number from 1 to {MOST_USES:,}."
        if self.rate_window:
            try:
                durations.parse(self.rate_window)
            except ValueError as error:
                yield "rate_window", str(error)
        for name in ("sample_percent", "disagreement_percent"):
            if not _is_whole(getattr(self, name), 0, 100):
                yield name, "Send a whole number from 0 to 100."


def digest_of(approval: StandingApproval) -> str:
    """The digest that binds the terms: over the RFC 8785 bytes of all that the two people agreed to."""
    total = None if approval.max_total is None else plain(approval.max_total)
    return canonical.digest(
        canonical.dumps(
            {
                "version": 1,
                "id": approval.pk,
                "agent": approval.agent_id,
                "action": approval.action,
                "when": approval.when,
                "max_uses": approval.max_uses,
                "max_total": total and {"amount": total, "currency": approval.currency},
                "rate": approval.rate_count and {"count": approval.rate_count, "window": approval.rate_window},
                "sample_percent": approval.sample_percent,
                "disagreement_percent": approval.disagreement_percent,
                "expires_at": instant(approval.expires_at),
                "owner": str(approval.owner_id),
                "reason": approval.reason,
            }
        )
    )


def cover(approval: StandingApproval, facts: Facts) -> bool:
    """Whether its action and its conditions hold for this; an error is a no."""
    try:
        terms = _policy(approval.agent_name, approval.action, approval.when)
    except PolicyError:
        return False
    said = facts.evaluated_by(terms)
    return (said.effect, said.rule) == (ALLOW, _COVERED)


@functools.lru_cache(maxsize=512)
def _policy(agent: str, action: str, when: str) -> PolicySet:
    """The terms as a policy; raises PolicyError where they are none."""
    rule = {"id": _COVERED, "effect": ALLOW, **({"when": when} if when else {})}
    document = {
        "name": "standing-approval",
        "match": {"actions": [action], "agents": [agent]},
        "rules": [rule],
        "default": ASK,
    }
    # JSON is YAML, too.
    policy: Policy = parse_policy(canonical.dumps(document).decode())
    return PolicySet([policy], default=ASK)


def _is_whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most
