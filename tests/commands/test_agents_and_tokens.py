"""Commands that make agents, keys and tokens: what they print opens the API, and is printed once."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from audit.models import Event
from intents.models import Agent, AgentKey
from tests.factories import make_user
from zehrava_site import roles

pytestmark = pytest.mark.django_db


def run(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def status_with(credential: str, path: str) -> int:
    return Client().get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {credential}"}).status_code


def test_the_key_of_a_new_agent_works_on_the_api() -> None:
    make_user("olivia")
    made = json.loads(run("agent_create", "billing", "--owner", "olivia", "--environment", "staging", "--json"))
    assert set(made) == {"id", "name", "key"}
    assert status_with(made["key"], "agents/me") == 200
    agent = Agent.objects.get(pk=made["id"])
    assert (agent.name, agent.environment, agent.owner.username) == ("billing", "staging", "olivia")
    created = Event.objects.get(type="agent.created")
    assert (created.actor_kind, created.actor_name) == ("system", "manage.py agent_create")


def test_tier_and_labels_are_given_with_the_command() -> None:
    make_user("olivia")
    given = ("--tier", "trusted", "--label", "team=pay", "--label", "region = eu")
    run("agent_create", "billing", "--owner", "olivia", *given)
    agent = Agent.objects.get()
    assert (agent.tier, agent.labels) == ("trusted", {"team": "pay", "region": "eu"})


def test_what_is_printed_for_people_holds_the_same_key() -> None:
    make_user("olivia")
    said = run("agent_create", "billing", "--owner", "olivia")
    key = next(word for word in said.split() if word.startswith("zhv_") and len(word) == 47)
    assert status_with(key, "agents/me") == 200
    assert AgentKey.objects.get().hash != key


def test_one_more_key_leaves_the_first() -> None:
    make_user("olivia")
    first = json.loads(run("agent_create", "billing", "--owner", "olivia", "--json"))["key"]
    second = json.loads(run("agent_key", "billing", "--json"))["key"]
    assert first != second
    assert {status_with(key, "agents/me") for key in (first, second)} == {200}


def test_a_token_opens_what_its_person_may_open() -> None:
    roles.install()
    make_user("rita", "reviewers")
    made = json.loads(run("token_create", "rita", "--json"))
    assert status_with(made["token"], "intents") == 200
    assert status_with(made["token"], "audit/events") == 403


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("agent_create", "billing", "--owner", "nobody"), "There is no person called 'nobody'"),
        (("agent_create", "billing", "--owner", "gone"), "gone is not active"),
        (("agent_create", "Billing!", "--owner", "olivia"), "lower-case letters"),
        (("agent_create", "billing", "--owner", "olivia", "--tier", "Top!"), "lower-case letters"),
        (("agent_create", "billing", "--owner", "olivia", "--label", "team"), "--label 'team': write name=value."),
        (("agent_create", "billing", "--owner", "olivia", "--label", "a=1", "--label", "a=2"), "a is given twice"),
        (("agent_create", "taken", "--owner", "olivia"), "There is an agent called 'taken' already"),
        (("agent_key", "unknown"), "There is no agent called 'unknown'"),
        (("token_create", "nobody"), "There is no person called 'nobody'"),
        (("token_create", "gone"), "gone is not active"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_what_cannot_be_made_is_told_with_what_to_do(arguments: tuple[str, ...], told: str) -> None:
    make_user("olivia")
    make_user("gone", is_active=False)
    run("agent_create", "taken", "--owner", "olivia")
    events = Event.objects.count()
    with pytest.raises(CommandError) as refused:
        run(*arguments)
    assert told in str(refused.value)
    assert Agent.objects.count() == 1
    assert Event.objects.count() == events
