"""How much could go wrong: a score, and the level that orders the desk. It never decides anything; policy does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from intents.models import RiskLevel

# The first step that the figure reaches counts, with its points.
RECORDS = ((10_000, 45), (1_000, 35), (100, 20), (2, 5))
AMOUNT = ((Decimal(50_000), 50), (Decimal(5_000), 40), (Decimal(500), 25), (Decimal(100), 10))
LEVELS = ((75, RiskLevel.CRITICAL), (50, RiskLevel.HIGH), (25, RiskLevel.MEDIUM), (0, RiskLevel.LOW))

PRODUCTION = 10
UNREGISTERED = 20
IRREVERSIBLE = 20
CLAIM_CONTRADICTED = 20


@dataclass(frozen=True, slots=True)
class Risk:
    """A score from 0 to 100, the level it falls into, and what it is made of."""

    score: int
    level: RiskLevel
    reasons: list[str]


def assess(
    *,
    environment: str,
    records: int | None,
    value: Mapping[str, str] | None,
    registered: bool,
    irreversible: bool,
    contradicted: list[str],
) -> Risk:
    """Add up what is known of an intent.

    `environment` is the agent's registered one; `records` and `value` are what will be shown; `registered` says that
    an action type exists, `irreversible` that it calls the action so; `contradicted` names the claims of the agent
    that its own payload does not bear out.
    """
    reasons: list[tuple[int, str]] = []
    if environment == "production":
        reasons.append((PRODUCTION, "acts in production"))
    if not registered:
        reasons.append((UNREGISTERED, "no action type checks its payload"))
    if irreversible:
        reasons.append((IRREVERSIBLE, "cannot be undone"))
    if records is not None:
        points = _points(records, RECORDS)
        if points:
            reasons.append((points, f"touches {records:,} records"))
    if value is not None:
        points = _points(abs(Decimal(value["amount"])), AMOUNT)
        if points:
            reasons.append((points, f"moves {value['amount']} {value['currency']}"))
    for name in contradicted:
        reasons.append((CLAIM_CONTRADICTED, f"the agent's {name} is not what its payload says"))
    score = min(100, sum(points for points, _ in reasons))
    level = next(level for least, level in LEVELS if score >= least)
    return Risk(score, level, [f"{text} +{points}" for points, text in reasons])


def _points(figure: int | Decimal, steps: tuple[tuple[int | Decimal, int], ...]) -> int:
    return next((points for least, points in steps if figure >= least), 0)
