"""Reading rules in the admin: who makes them, what they refuse and say, when they count, and what is recorded."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import Event
from intents import judging, reading
from intents.agents import change_agent
from intents.models import Intent, ReadingRule
from reviews.decisions import decide
from tests.factories import ARRANGER, give, load_action_type, load_policy, make_agent, make_intent, make_user, narrow

ADD = "/admin/intents/readingrule/add/"
LIST = "/admin/intents/intent/"


@pytest.fixture
def administrator(sign_in: Any) -> Client:
    make_agent("of-staging", environment="staging")
    make_agent("of-production")
    return sign_in("administrators")


def words(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return re.sub(r"\s+", " ", unescape(re.sub(r"(?s)<(script|style).*?</\1>|<[^>]+>", " ", answer.content.decode())))


def sent(group: Group | str, *environments: str, up_to: str = "") -> dict[str, Any]:
    group = Group.objects.get(name=group) if isinstance(group, str) else group
    return {"group": group.pk, "environments": environments, "sensitivity_up_to": up_to}


# --- who makes them -------------------------------------------------------------------------------------------------


def test_an_administrator_narrows_a_group_changes_it_and_each_is_recorded(administrator):
    answer = administrator.post(ADD, sent("reviewers", "staging", up_to="normal"), follow=True)

    assert "counts from the next request" in words(answer)
    rule = ReadingRule.objects.get()
    assert (rule.group.name, rule.environments, rule.sensitivity_up_to) == ("reviewers", ["staging"], "normal")
    page = f"/admin/intents/readingrule/{rule.pk}/change/"
    administrator.post(page, {"environments": ["production", "staging"], "sensitivity_up_to": ""})
    administrator.post(page, {"environments": ["production", "staging"], "sensitivity_up_to": ""})
    events = Event.objects.filter(subject_type="intents.readingrule").order_by("id")
    assert [(event.type, event.actor_name) for event in events] == [
        ("reading_rule.created", "administrators-person"),
        ("reading_rule.changed", "administrators-person"),
    ]
    assert json.loads(events[1].line)["facts"] == {
        "group": rule.group_id,
        "environments": ["production", "staging"],
        "sensitivity_up_to": "",
    }
    history = list(ReadingRule.history.order_by("history_id").values_list("environments", "actor_name"))
    assert history == [(["staging"], "administrators-person"), (["production", "staging"], "administrators-person")]
    assert "production, staging" in words(administrator.get("/admin/intents/readingrule/"))
    assert administrator.get(f"/admin/intents/readingrule/{rule.pk}/history/").status_code == 200


@pytest.mark.parametrize("role", ["reviewers", "policy_authors", "operators", "auditors"])
def test_nobody_else_makes_changes_or_deletes_one(sign_in, role):
    rule = narrow("reviewers", environments=[])
    client = sign_in(role)

    assert client.get(ADD).status_code == 403
    assert client.post(ADD, sent("operators", up_to="low")).status_code == 403
    seen = client.get(f"/admin/intents/readingrule/{rule.pk}/change/").status_code
    # Auditors see everything.
    assert seen == (200 if role == "auditors" else 403)
    client.post(f"/admin/intents/readingrule/{rule.pk}/change/", {"sensitivity_up_to": "low"})
    assert client.post(f"/admin/intents/readingrule/{rule.pk}/delete/", {"post": "yes"}).status_code == 403
    assert [each.sensitivity_up_to for each in ReadingRule.objects.all()] == [""]


def test_an_administrator_deletes_none_either(administrator):
    rule = narrow("reviewers", up_to="low")
    assert administrator.post(f"/admin/intents/readingrule/{rule.pk}/delete/", {"post": "yes"}).status_code == 403
    assert ReadingRule.objects.exists()


# --- what it refuses and says ---------------------------------------------------------------------------------------


def test_an_environment_that_no_agent_is_in_is_refused_with_those_there_are(administrator):
    answer = administrator.post(ADD, sent("reviewers", "stagging"))

    assert "No agent is registered in stagging. Environments that agents have: production, staging." in words(answer)
    assert not ReadingRule.objects.exists()


def test_what_a_rule_names_stays_a_choice_when_its_agents_have_moved(administrator):
    agent = make_agent(environment="canary")[0]
    rule = narrow("reviewers", environments=["canary"])
    change_agent(agent, by=ARRANGER, environment="production")

    page = f"/admin/intents/readingrule/{rule.pk}/change/"
    assert 'value="canary"' in administrator.get(page).content.decode()
    assert administrator.post(page, {"environments": ["canary"], "sensitivity_up_to": "low"}).status_code == 302


def test_a_group_has_one_rule(administrator):
    narrow("reviewers", up_to="low")
    assert "Select a valid choice" in words(administrator.post(ADD, sent("reviewers", up_to="high")))
    assert ReadingRule.objects.get().sensitivity_up_to == "low"


def test_an_empty_list_says_what_a_rule_is(administrator):
    page = words(administrator.get("/admin/intents/readingrule/"))
    assert "Whoever may view intents reads all of them." in page and "Add the first one" in page


@pytest.mark.parametrize(
    ("group", "up_to", "said"),
    [
        ("finance", "low", "This rule changes nothing: finance does not give its members the permission"),
        ("reviewers", "", "This rule changes nothing: it asks for no environment and no sensitivity."),
        ("auditors", "low", "Members of auditors may export the ledger."),
    ],
)
def test_a_rule_that_does_less_than_it_seems_says_so(administrator, group, up_to, said):
    Group.objects.get_or_create(name="finance")
    rule = narrow(group, up_to=up_to)
    plain = narrow("operators", up_to="low")

    assert said in words(administrator.get(f"/admin/intents/readingrule/{rule.pk}/change/"))
    page = words(administrator.get(f"/admin/intents/readingrule/{plain.pk}/change/"))
    assert "changes nothing" not in page and "may export" not in page


def test_a_rule_names_the_members_whom_it_does_not_narrow(administrator):
    make_user("narrowed", "reviewers")
    make_user("also-author", "reviewers", "policy_authors")
    make_user("root", "reviewers", is_superuser=True)
    rule = narrow("reviewers", up_to="low")

    page = words(administrator.get(f"/admin/intents/readingrule/{rule.pk}/change/"))

    assert "2 of 3 members read every intent all the same" in page and "also-author , root" in page


# --- when it counts, and by what ------------------------------------------------------------------------------------


@pytest.fixture
def watcher() -> Any:
    give("watchers", reading.VIEW)
    return make_user("wanda", "watchers")


def test_it_counts_in_the_next_request_narrower_and_wider(administrator, watcher):
    intent = make_intent(make_agent()[1])
    client = Client()
    client.force_login(watcher)
    page = f"/admin/intents/intent/{intent.pk}/change/"
    assert client.get(page).status_code == 200

    rule = narrow("watchers", environments=["staging"])
    assert client.get(page).status_code == 403 and intent.pk not in client.get(LIST).content.decode()

    narrow("watchers", environments=["production"])
    assert client.get(page).status_code == 200 and ReadingRule.objects.get() == rule


def test_an_agent_that_moves_opens_nothing_that_it_asked_before(administrator, watcher):
    agent, key = make_agent()
    before = make_intent(key, payload={"n": 1})
    narrow("watchers", environments=["staging"])
    change_agent(agent, by=ARRANGER, environment="staging")
    after = make_intent(key, payload={"n": 2})

    shown = Intent.objects.filter(reading.visible_to(watcher))
    assert [intent.pk for intent in shown] == [after.pk]
    assert (Intent.objects.get(pk=before.pk).environment, after.environment) == ("production", "staging")


def test_an_action_type_that_changes_opens_nothing_that_was_judged_before(administrator, watcher):
    load_action_type("name: crm.read\nsensitivity: high\n")
    key = make_agent()[1]
    before = make_intent(key, action="crm.read", payload={"n": 1})
    load_action_type("name: crm.read\nsensitivity: low\n")
    after = make_intent(key, action="crm.read", payload={"n": 2})
    narrow("watchers", up_to="normal")

    assert (before.sensitivity, after.sensitivity) == ("high", "low")
    assert list(Intent.objects.filter(reading.visible_to(watcher))) == [after]


def test_amending_keeps_the_environment_of_the_proposal(administrator):
    rita = make_user("rita", "reviewers")
    agent, key = make_agent()
    load_action_type("name: crm.read\nsensitivity: high\n")
    load_policy("name: two\nmatch: {actions: [crm.read]}\nrules: [{id: all, effect: require_approval, "
                "approval: {all_of: [{group: reviewers, count: 2}]}}]\n")  # fmt: skip
    intent = make_intent(key, action="crm.read", payload={"n": 1})
    change_agent(agent, by=ARRANGER, environment="staging")
    changes = [{"op": "replace", "path": "/n", "value": 2}]
    decide(intent.pk, by=rita, vote="approve", digest=intent.digest, changes=changes, rationale="less", ground="other")

    intent.refresh_from_db()
    assert (intent.amendments, intent.environment, intent.sensitivity) == (1, "production", "high")
    # What it was judged by then is another matter.
    assert judging.facts_of(intent).agent["environment"] == "staging"


def test_what_no_form_of_ours_wrote_into_a_rule_lets_nothing_through(administrator, watcher):
    make_intent(make_agent()[1])
    rule = narrow("watchers", environments=["production"])
    ReadingRule.objects.filter(pk=rule.pk).update(environments="production")

    assert not Intent.objects.filter(reading.visible_to(watcher)).exists()
    assert reading.sights_of([watcher])[watcher.pk] == reading.sight_of(watcher)


def test_it_costs_a_query_only_for_who_is_in_a_group_with_a_rule(administrator, watcher):
    make_intent(make_agent()[1])
    client = Client()
    client.force_login(watcher)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(LIST).status_code == 200
        return len(captured)

    queries()
    free = queries()
    narrow("operators", environments=["staging"])
    assert queries() == free
    narrow("watchers", environments=["production"])
    assert queries() == free + 1
