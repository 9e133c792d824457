"""Typing back what is at stake: at high risk, nobody approves by the habit of their hand.

It proves that the amount, the target or the action was read. It is asked on the page alone: a program that decides for
a person binds the digest, which says more.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit.text import is_hidden
from intents import masking
from intents.models import Intent, RiskLevel
from reviews.presentation import grouped
from zehrava.problems import Problem
from zehrava.sensitive import SHOWN, Masked

LONGEST = 80
_RISKS = (RiskLevel.HIGH, RiskLevel.CRITICAL)


@dataclass(frozen=True, slots=True)
class Asked:
    """What has to be typed: `what` is amount, target or action, `shown` how the page shows it."""

    what: str
    shown: str
    accepted: frozenset[str]


def asked_back(intent: Intent) -> Asked | None:
    """What to type before this is approved; None where the risk is below high.

    What the portal worked out itself comes before what the agent claims; what no keyboard types is not asked for.
    """
    return _stake(intent) if RiskLevel(intent.risk_level) in _RISKS else None


def asked_of_change(before: Intent, after: Intent) -> Asked | None:
    """The same for a change: what would run is typed, where either of the two could go badly wrong."""
    return asked_back(after) or (_stake(after) if asked_back(before) else None)


def _stake(intent: Intent) -> Asked:
    # Also where this person has revealed it: what is asked does not depend on who looks.
    document = masking.masked(intent)
    for derived in (True, False):
        value, target = document["value"], document["target"]
        if value and not isinstance(value["amount"], Masked) and ("value" in intent.derived) is derived:
            return _amount(value)
        if target and SHOWN not in target and ("target" in intent.derived) is derived and _can_be_typed(target):
            return Asked("target", target, frozenset({_plainly(target)}))
    return Asked("action", intent.action, frozenset({_plainly(intent.action)}))


def refuse_unless_typed(intent: Intent, typed: str) -> None:
    """Raises Problem `invalid` with the path `/typed` where what was typed is not what was asked for."""
    refuse_unless(asked_back(intent), typed)


def refuse_unless(asked: Asked | None, typed: str) -> None:
    """The same for what is asked; nothing is, where it is None."""
    if asked is not None and _plainly(typed) not in asked.accepted:
        raise Problem("invalid", f"Type the {asked.what}: {asked.shown}", path="/typed")


def _amount(value: dict[str, str]) -> Asked:
    amount, currency = value["amount"], value["currency"]
    written = {amount, grouped(amount)}
    if "." in amount:
        whole = amount.rstrip("0").rstrip(".")
        written |= {whole, grouped(whole)}
    accepted = {_plainly(form) for one in written for form in (one, f"{one} {currency}", f"{one}{currency}")}
    return Asked("amount", f"{grouped(amount)} {currency}", frozenset(accepted))


def _can_be_typed(text: str) -> bool:
    return len(text) <= LONGEST and text == text.strip() and not any(is_hidden(c) or not c.isascii() for c in text)


def _plainly(text: str) -> str:
    return " ".join(text.split()).casefold()
