"""Trying an intent on a policy in the admin: the whole answer is shown, and nothing is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.test import Client

from intents import in_force
from intents.documents import save_policy
from intents.evaluating import evaluate_for_author
from intents.models import Policy
from tests.factories import ARRANGER, load_policy, make_agent, make_intent, make_user

pytestmark = pytest.mark.django_db

ASKS = """
name: refunds
match: {actions: [stripe.refund]}
rules:
  - {id: sanctioned, when: payload.country == "KP", effect: block, reason: "{payload.country} is not served"}
  - id: large
    when: amount(payload.amount) > amount("500")
    effect: require_approval
    reason: "{payload.amount} is much"
    approval: {all_of: [{group: finance, count: 2}]}
  - {id: small, when: agent.name == "billing", effect: allow}
"""
LARGE = {"action": "stripe.refund", "payload": {"amount": "900.00", "country": "DE"}}


@pytest.fixture
def author() -> Client:
    person = make_user("arthur")
    for name in ("change_policy", "view_policy", "view_intent"):
        person.user_permissions.add(Permission.objects.get(codename=name))
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def page() -> str:
    load_policy(ASKS)
    return f"/admin/intents/policy/{Policy.objects.get().pk}/try/"


def rows() -> dict[str, int]:
    models = [model for app in ("intents", "reviews", "audit") for model in apps.get_app_config(app).get_models()]
    return {model._meta.label: model._default_manager.count() for model in models}


def tried(client: Client, page: str, intent: Any, **more: str) -> Any:
    text = intent if isinstance(intent, str) else json.dumps(intent)
    return client.post(page, {"intent": text, "agent": "", "now": "", **more})


def words(answer: Any) -> str:
    return " ".join(answer.content.decode().replace("<bdi>", "").replace("</bdi>", "").split())


def test_it_shows_the_effect_the_rule_the_reason_who_must_agree_and_every_rule(author, page):
    before = rows()

    said = words(tried(author, page, LARGE))

    for part in ("asks people", "refunds v1 › large", "900.00 is much", "2 of finance", "refunds v1 › sanctioned"):
        assert part in said
    assert "2 rules looked at. Nothing was stored" in said
    assert rows() == before


def test_the_agent_that_is_chosen_is_the_one_that_is_judged(author, page):
    make_agent("billing")
    small = {"action": "stripe.refund", "payload": {"amount": "5.00", "country": "DE"}}

    assert "allowed" in words(tried(author, page, small, agent="billing"))
    assert "asks people" in words(tried(author, page, small))


def test_a_draft_is_tried_in_place_of_the_version_in_force(author, page):
    save_policy(ASKS.replace('"500"', '"5000"'), by=ARRANGER, user=None, activate=False)
    make_agent("billing")

    assert "allowed" in words(tried(author, page, LARGE, agent="billing"))
    assert "asks people" in words(tried(author, f"{page}?version=1", LARGE, agent="billing"))
    assert author.get(f"{page}?version=9").status_code == 404


def test_a_version_that_is_stored_is_called_by_its_number(author, page):
    for most in ("5000", "6000"):
        save_policy(ASKS.replace('"500"', f'"{most}"'), by=ARRANGER, user=None, activate=False)
    make_agent("billing")

    said = words(tried(author, f"{page}?version=2", LARGE, agent="billing"))

    assert "refunds v2 › small" in said and "refunds v4" not in said and "<dt>Needs</dt>" not in said
    unsaved = {**LARGE, "document": ASKS.replace('"500"', '"7000"')}
    assert evaluate_for_author(unsaved, snapshot=in_force.current())["policies"] == [{"name": "refunds", "version": 4}]


def test_where_no_intent_was_judged_it_begins_with_the_one_action_of_the_policy(author, page):
    assert "&quot;action&quot;: &quot;stripe.refund&quot;" in author.get(page).content.decode()


@pytest.mark.parametrize(
    ("intent", "said"),
    [
        ('{"action": }', "Line 1, column 12"),
        ("[]", "Write a JSON object"),
        ('{"action": "a.b", "payload": 1, "payload": 2}', "stands twice"),
        ('{"action": "a.b"}', "payload"),
        ('{"action": "a.b", "payload": 1, "document": "x"}', "Leave document out"),
        ('{"action": "a b", "payload": 1}', "dotted verb"),
        ("", "This field is required"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_and_what_was_typed_stays(author, page, intent, said):
    answer = tried(author, page, intent)

    assert answer.status_code == 422
    assert said in words(answer)
    assert 'id="zhr-verdict"' not in answer.content.decode()


def test_a_time_that_cannot_be_read_is_said_at_its_field(author, page):
    answer = tried(author, page, LARGE, now="tomorrow")

    assert answer.status_code == 422 and "Send a time with its zone" in words(answer)


def test_it_begins_with_an_intent_and_writes_out_what_is_hidden(author, page):
    key = make_agent("billing")[1]
    older = make_intent(key, payload={"amount": "1.00", "country": "DE", "x": "a\u202eb"})
    make_intent(key, payload={"amount": "2.00", "country": "DE"})

    assert "2.00" in author.get(page).content.decode()
    shown = author.get(f"{page}?intent={older.pk}").content.decode()
    assert "\\u202e" in shown and "\u202e" not in shown
    assert '<option value="billing" selected>' in shown


def test_hostile_text_stays_text(author, page):
    answer = tried(author, page, {**LARGE, "payload": {"amount": "900.00", "country": "<b>\u202e</b>"}})

    page_text = answer.content.decode()
    assert "&lt;b&gt;" in page_text and "<b>\u202e" not in page_text


def test_only_who_writes_or_activates_policies_tries_and_only_who_sees_intents_takes_one(page):
    viewer, writer = make_user("viewer"), make_user("writer")
    viewer.user_permissions.add(Permission.objects.get(codename="view_policy"))
    for name in ("view_policy", "change_policy"):
        writer.user_permissions.add(Permission.objects.get(codename=name))
    make_intent(make_agent("billing")[1], payload={"secret": "of others"})

    def get(person: User) -> Any:
        client = Client()
        client.force_login(person)
        return client.get(page)

    assert get(viewer).status_code == 403
    assert get(writer).status_code == 200 and "of others" not in get(writer).content.decode()
