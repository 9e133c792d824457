"""What the demo's agents are, and what they propose."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DemoAgent:
    """An agent to register."""

    name: str
    description: str


@dataclass(frozen=True, eq=False)
class Proposal:
    """One thing an agent proposes.

    `slug` is the root of its idempotency key, so that the same proposal is made once. `waits` says that a person must
    decide: a proposal that is no longer pending is then made again by the next run, so that there is one to decide.
    """

    slug: str
    agent: str
    action: str
    payload: dict[str, Any]
    summary: str
    members: dict[str, Any] = field(default_factory=dict)
    waits: bool = False


AGENTS = (
    DemoAgent("billing", "Refunds customers who were charged by mistake"),
    DemoAgent("support", "Answers tickets and writes to customers"),
    DemoAgent("releases", "Deploys, and cleans up what old releases left behind"),
)

PROPOSALS = (
    Proposal(
        "reply",
        "support",
        "support.reply",
        {
            "ticket": {"id": "T-1041", "priority": "normal", "tags": ["login"], "customer": "kim@customer.example"},
            "body": "You can set a new password under Settings, Security. The link in your mail works for an hour.",
        },
        "Kim cannot sign in after changing phones.",
    ),
    Proposal(
        "colleague",
        "support",
        "email.send",
        {
            "to": ["mia@example.com"],
            "subject": "Tickets of this week",
            "body": "41 tickets, 38 answered on the first day. The three others wait for the bank.",
        },
        "The weekly summary for the head of support.",
    ),
    Proposal(
        "small-refund",
        "billing",
        "stripe.refund",
        {"charge": "ch_3Q8vYk", "amount": "19.90", "currency": "EUR", "country": "DE", "reason": "Charged twice"},
        "Order 7301 was charged twice within a minute.",
    ),
    Proposal(
        "staging",
        "releases",
        "deploy.release",
        {"service": "web", "version": "v2.14.0", "environment": "staging"},
        "All checks of v2.14.0 are green.",
    ),
    Proposal(
        "sanctioned",
        "billing",
        "stripe.refund",
        {"charge": "ch_9Zx2Lm", "amount": "45.00", "currency": "USD", "country": "KP"},
        "The customer asks for their money back.",
    ),
    Proposal(
        "protected-table",
        "releases",
        "db.delete",
        {"table": "payments", "where": "created_at < '2019-01-01'"},
        "Old rows slow the nightly report down.",
    ),
    Proposal(
        "customer-mail",
        "support",
        "email.send",
        {
            "to": ["kim@customer.example"],
            "subject": "Your invoice of October",
            "body": "Dear Kim,\n\nyour invoice of October was wrong by 12.50 EUR; the corrected one is in "
            "your account.\nNothing is left for you to do.\n\nYour support team",
        },
        "Kim was billed for a seat that had been removed. The wording follows the template for corrections.",
        {"context": {"ticket": "T-1044", "template": "invoice-correction"}},
        waits=True,
    ),
    Proposal(
        "medium-refund",
        "billing",
        "stripe.refund",
        {"charge": "ch_7Hq1Wd", "amount": "184.00", "currency": "EUR", "country": "FR", "reason": "Cancelled in time"},
        "The customer cancelled the yearly plan on day three of the trial.",
        {"on_behalf_of": "mia"},
        waits=True,
    ),
    Proposal(
        "production",
        "releases",
        "deploy.release",
        {"service": "web", "version": "v2.14.0", "environment": "production"},
        "v2.14.0 has run on staging for an hour without an error.",
        {"expires_in": "8h"},
        waits=True,
    ),
)

# The one that the demo asks you to decide, and who can.
DECIDE = "customer-mail"
DECIDED_BY = "rita"
