"""`manage.py demo`: something to look at and to decide, as often as it is run.

Its requests are answered in this process and end like real ones, which a test inside a transaction would not survive.
"""

import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from intents.models import Agent, AgentKey, Intent, Policy, PolicyVersion
from tests.portal import Portal, free_port

NOBODY = f"http://127.0.0.1:{free_port()}"


def demo(*arguments: str) -> Any:
    out = io.StringIO()
    call_command("demo", "--json", "--url", NOBODY, *arguments, stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.django_db(transaction=True)
def test_without_a_portal_it_proposes_all_the_same() -> None:
    made = demo()
    assert not made["served"]
    assert len(made["agents"]) == 3
    assert Policy.objects.count() == 7
    statuses = [intent["status"] for intent in made["intents"]]
    assert statuses.count("blocked") == 2
    assert statuses.count("pending_approval") == 3
    assert {"approved", "succeeded"} <= set(statuses)
    for intent in Intent.objects.filter(status="blocked"):
        assert intent.verdict["reason"]


@pytest.mark.django_db(transaction=True)
def test_the_one_to_decide_can_be_decided_by_the_one_who_is_named() -> None:
    made = demo()
    person = next(each for each in made["people"] if each["username"] == made["decide"]["as"])
    client = Client()
    assert client.login(username=person["username"], password=person["password"])
    page = reverse("admin:intents_intent_change", args=[made["decide"]["intent"]])
    assert made["decide"]["page"] == NOBODY + page
    assert "Approve" in client.get(page).content.decode()
    assert not User.objects.get(username=person["username"]).agents.exists()


@pytest.mark.django_db(transaction=True)
def test_running_it_twice_makes_nothing_twice() -> None:
    demo()
    counts = [model.objects.count() for model in (User, Agent, AgentKey, Intent, PolicyVersion)]
    again = demo()
    assert [model.objects.count() for model in (User, Agent, AgentKey, Intent, PolicyVersion)] == counts
    assert all(person["password"] is None for person in again["people"])
    assert not any(intent["new"] for intent in again["intents"])


@pytest.mark.django_db(transaction=True)
def test_when_all_is_decided_there_is_something_new_to_decide() -> None:
    first = demo()["decide"]["intent"]
    Intent.objects.filter(pk=first).update(status="rejected")
    second = demo()["decide"]["intent"]
    assert second != first
    assert Intent.objects.get(pk=second).status == "pending_approval"
    assert demo()["decide"]["intent"] == second


@pytest.mark.django_db(transaction=True)
def test_a_policy_that_somebody_edited_stays_as_it_is() -> None:
    demo()
    from tests.factories import load_policy

    load_policy("name: refunds\nmatch: {actions: [stripe.refund]}\nrules: [{id: all, effect: block}]\n")
    demo()
    assert Policy.objects.get(name="refunds").active.number == 2


@pytest.mark.django_db(transaction=True)
def test_passwords_are_made_anew_only_when_asked() -> None:
    old = {person["username"]: person["password"] for person in demo()["people"]}
    new = {person["username"]: person["password"] for person in demo("--reset-passwords")["people"]}
    assert Client().login(username="rita", password=new["rita"])
    assert not Client().login(username="rita", password=old["rita"])


@pytest.mark.django_db(transaction=True)
def test_the_agents_keys_do_not_outlive_the_run() -> None:
    demo()
    assert AgentKey.objects.exists()
    assert not AgentKey.objects.filter(revoked_at=None).exists()


@pytest.mark.django_db(transaction=True)
def test_what_it_tells_people_to_type_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8123")
    demo()
    out = io.StringIO()
    call_command("demo", "--url", NOBODY, stdout=out)
    assert ".venv/bin/python manage.py demo --reset-passwords" in out.getvalue()
    assert "Start the portal: make run PORT=8123" in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_it_does_not_run_in_production(settings: Any) -> None:
    settings.ZEHRAVA_PRODUCTION = True
    with pytest.raises(CommandError, match="does not run in production"):
        demo()
    assert not User.objects.exists()
    assert django_settings.ZEHRAVA_PRODUCTION


@pytest.mark.process
def test_against_a_running_portal_what_is_allowed_is_carried_out(start_portal: Callable[..., Portal]) -> None:
    portal = start_portal(worker=True)
    said = portal.manage("demo", "--url", portal.base_url)
    assert f"Open {portal.base_url}/admin/ and sign in as rita" in said
    assert "make run" not in said
    assert re.search(r"rita +[0-9a-z]{5}(-[0-9a-z]{5}){3}", said)
    made = portal.manage_json("demo", "--url", portal.base_url)
    assert made["served"]
    statuses = sorted(intent["status"] for intent in made["intents"])
    assert statuses == ["blocked"] * 2 + ["pending_approval"] * 3 + ["succeeded"] * 4
