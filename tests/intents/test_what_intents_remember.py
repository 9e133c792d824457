"""What reading rules go by, of intents from before it was remembered: taken from what is on record."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps

from intents.agents import change_agent
from intents.models import Agent, Intent
from reviews.decisions import decide
from tests.factories import ARRANGER, load_action_type, load_policy, make_agent, make_intent, make_user
from zehrava_site import roles

pytestmark = pytest.mark.django_db
TWO = """
name: two
match: {actions: ['*']}
rules: [{id: all, effect: require_approval, approval: {all_of: [{group: reviewers, count: 2}]}}]
"""


def remembered(*intents: Intent) -> list[tuple[str, str]]:
    """What the migration finds for these, which know nothing yet."""
    Intent.objects.update(environment="", sensitivity="")
    import_module("intents.migrations.0012_reading_rules").remember(apps, None)
    return [Intent.objects.values_list("environment", "sensitivity").get(pk=intent.pk) for intent in intents]


@pytest.fixture
def agent() -> tuple[Agent, str]:
    roles.install()
    load_policy(TWO)
    load_action_type("name: crm.read\nsensitivity: high\n")
    return make_agent()


def move(agent: Agent) -> None:
    change_agent(agent, by=ARRANGER, environment="staging")


def forget(intent: Intent, **verdict: Any) -> None:
    """As a verdict was kept before it kept what it was worked out from."""
    kept = {name: value for name, value in intent.verdict.items() if name != "inputs"}
    Intent.objects.filter(pk=intent.pk).update(verdict={**kept, **verdict})


def test_the_verdict_says_where_the_agent_was_and_what_its_type_said(agent):
    before = make_intent(agent[1], action="crm.read", payload={"n": 1})
    move(agent[0])
    load_action_type("name: crm.read\nsensitivity: low\n")
    after = make_intent(agent[1], action="crm.read", payload={"n": 2})
    untyped = make_intent(agent[1], action="other.thing")

    assert remembered(before, after, untyped) == [("production", "high"), ("staging", "low"), ("staging", "")]


def test_without_it_the_history_of_the_agent_and_the_version_of_the_type_say_so(agent):
    intents = [make_intent(agent[1], action="crm.read", payload={"n": n}) for n in range(3)]
    move(agent[0])
    load_action_type("name: crm.read\nsensitivity: low\n")
    forget(intents[0])
    forget(intents[1], inputs="no object")
    forget(intents[2], inputs={"agent": "no object either", "sensitivity": "enormous"})

    assert remembered(*intents) == [("production", "high")] * 3


def test_of_what_was_amended_in_another_place_the_first_counts(agent):
    intent = make_intent(agent[1], action="crm.read", payload={"n": 1})
    move(agent[0])
    changes = [{"op": "replace", "path": "/n", "value": 2}]
    rita = make_user("rita", "reviewers")
    decide(intent.pk, by=rita, vote="approve", digest=intent.digest, changes=changes, rationale="x", ground="other")

    assert Intent.objects.get(pk=intent.pk).verdict["inputs"]["agent"]["environment"] == "staging"
    assert remembered(intent) == [("production", "high")]


def test_where_nothing_is_older_than_the_intent_the_agent_of_today_says_it(agent):
    intent = make_intent(agent[1], action="crm.read", payload={"n": 1})
    forget(intent)
    Intent.objects.filter(pk=intent.pk).update(created_at=intent.created_at - timedelta(days=400))

    assert remembered(intent) == [("production", "high")]


def test_what_it_finds_is_what_is_remembered_of_new_ones(agent):
    made = [make_intent(agent[1], action=action, payload={"n": 1}) for action in ("crm.read", "other.thing")]
    known = [(intent.environment, intent.sensitivity) for intent in made]

    assert remembered(*made) == known == [("production", "high"), ("production", "")]
