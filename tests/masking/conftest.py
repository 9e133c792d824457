"""Somebody's bank account in a payload: what people read of it, wherever they look."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.contrib.auth.models import User

from intents.models import Intent
from tests.factories import load_action_type, load_policy, make_agent, make_intent, make_user
from zehrava_site import roles

IBAN, EMAIL, NOTE = "DE89370400440532013000", "carla.private@example.com", "owes us since her divorce"
PATHS = ["payload.account", "payload.people.*.email", "payload.people.*.notes"]
SECRETS = (IBAN, EMAIL, NOTE)

ACTION_TYPE = """
name: payout.send
title: Pay out
sensitive: [payload.account, payload.people.*.email, payload.people.*.notes]
derive:
  target: payload.people[0].email
  records: size(payload.people)
present:
  title: "Pay {payload.amount} to {payload.account.iban}"
  fields:
    - {path: payload.amount, label: Amount, as: money}
    - {path: payload.account.iban, label: Account}
    - {path: payload.people, label: People}
"""
POLICY = """
name: payouts
match: {actions: [payout.send]}
rules:
  - id: german
    when: payload.account.iban.startsWith("DE") && payload.people.exists(one, one.email.contains("private"))
    effect: require_approval
    reason: "paid to {payload.account.iban}, which is {payload.people.0.email}'s"
    approval: {all_of: [{group: finance}]}
"""
PAYLOAD = {
    "amount": "120.00",
    "currency": "EUR",
    "account": {"iban": IBAN, "bic": "COBADEFFXXX"},
    "people": [{"name": "Carla", "email": EMAIL, "notes": [NOTE]}],
}


@dataclass
class World:
    intent: Intent
    key: str
    fred: User
    vera: User
    audrey: User


@pytest.fixture
def world(db: None) -> World:
    """An intent that finance decides on; vera sees it and has no say, audrey is an auditor."""
    roles.install()
    load_action_type(ACTION_TYPE)
    load_policy(POLICY)
    key = make_agent("payer", owner=make_user("olivia"))[1]
    intent = make_intent(
        key,
        action="payout.send",
        payload=PAYLOAD,
        summary=f"Pay Carla ({EMAIL}) to {IBAN}",
        context={"thread": [f"she wrote from {EMAIL}"], NOTE: "true"},
        tags=[EMAIL],
    )
    people = make_user("fred", "finance", "reviewers"), make_user("vera", "reviewers"), make_user("audrey", "auditors")
    return World(intent, key, *people)


def leaks(text: str) -> list[str]:
    """Which of the secrets stand in a text, in whatever way they are written there."""
    plain = text.replace("\\u0040", "@").replace("&#x27;", "'").replace("%40", "@")
    return [secret for secret in SECRETS if secret in plain]
