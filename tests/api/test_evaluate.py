"""POST /policies/evaluate: what policy would say, and why, without anything being stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.api.conftest import Caller
from tests.factories import load_action_type, load_policy, make_agent, make_user
from zehrava.cli import main

REFUNDS = """
name: refunds
match: {actions: [stripe.refund]}
rules:
  - id: large
    when: amount(payload.amount) > amount("500")
    effect: require_approval
    approval: {all_of: [{group: finance, count: 2}], expires_in: 15m}
  - id: small
    effect: allow
    limits:
      - {count: 2, window: 1h, over: block}
      - {sum: payload.amount, max: "100", per: target, window: 1d}
"""
SMALL = {"action": "stripe.refund", "payload": {"amount": "20.00"}, "target": "ch_1"}


@pytest.fixture
def refunds(db: None) -> None:
    load_policy(REFUNDS)


def counts() -> dict[str, int]:
    return {model._meta.label: model._base_manager.count() for model in apps.get_models()}


def ask(caller: Caller, body: Any) -> Any:
    """Ask; whatever is asked, no table changes and nothing is locked."""
    before = counts()
    with CaptureQueriesContext(connection) as captured:
        response = caller.post("policies/evaluate", body)
    assert counts() == before
    said = " ".join(query["sql"] for query in captured).upper()
    assert not any(word in said for word in ("INSERT", "UPDATE", "DELETE", "ADVISORY", "FOR UPDATE"))
    return response


def test_an_agent_is_told_what_it_would_get(agent: Caller, refunds: None) -> None:
    said = ask(agent, SMALL).json()
    assert said["verdict"] == {
        "effect": "allow",
        "policy": "refunds",
        "version": 1,
        "rule": "small",
        "reason": "rule 'small' of policy 'refunds'",
    }
    assert (said["status"], said["requirement"], said["expires_in"]) == ("approved", None, "1d")
    assert said["policies"] == [{"name": "refunds", "version": 1}]
    assert [(step["rule"], step["held"]) for step in said["trace"]] == [("large", False), ("small", True)]
    first, second = said["trace"]
    assert (first["when"], second["when"]) == ('amount(payload.amount) > amount("500")', None)
    assert {"expression": first["when"], "value": False} in first["operands"]
    assert {"expression": "payload.amount", "value": "20.00"} in first["operands"]


def test_an_ask_says_who_would_have_to_approve_and_for_how_long(agent: Caller, refunds: None) -> None:
    said = ask(agent, {**SMALL, "payload": {"amount": "620"}}).json()
    assert said["status"] == "pending_approval"
    assert said["requirement"] == {"all_of": [{"group": "finance", "count": 2}]}
    assert said["expires_in"] == "15m"


def test_it_says_the_same_as_proposing(agent: Caller, refunds: None) -> None:
    for n in range(4):
        body = {**SMALL, "payload": {"amount": "20.00", "n": n}}
        asked = ask(agent, body).json()
        proposed = agent.propose(body["action"], body["payload"], target="ch_1")
        assert (asked["verdict"], asked["status"]) == (proposed["verdict"], proposed["status"])
        assert asked["status"] == ("approved" if n < 2 else "blocked")


def test_what_the_action_type_derives_is_what_counts(agent: Caller, db: None) -> None:
    load_action_type("name: crm.import\nschema: {type: object}\nderive: {records: size(payload.contacts)}\n")
    said = ask(agent, {"action": "crm.import", "payload": {"contacts": [1, 2]}, "records": 1}).json()
    assert said["records"] == 2
    assert ask(agent, {"action": "crm.import", "payload": 1}).status_code == 422


def test_an_agent_is_told_what_it_used_and_not_what_others_used(
    agent: Caller, other_agent: Caller, policy_author: Caller, refunds: None
) -> None:
    other_agent.propose("stripe.refund", {"amount": "70.00"}, target="ch_1")
    agent.propose("stripe.refund", {"amount": "5.00"}, target="ch_1")
    own, shared = ask(agent, SMALL).json()["limits"]
    assert (own["used"], own["adds"], own["most"], own["over"]) == ("1", "1", "2", False)
    assert (shared["used"], shared["most"]) == (None, "100")
    entry = ask(agent, SMALL).json()["trace"][-1]
    assert [use["used"] for use in entry["limits"]] == ["1", None]
    meant = {**SMALL, "agent": agent.agent.name}
    assert [use["used"] for use in ask(policy_author, meant).json()["limits"]] == ["1", "75"]


def test_an_agent_learns_nothing_of_others_from_conditions_that_read_usage(
    agent: Caller, other_agent: Caller, db: None
) -> None:
    load_policy("""
name: shared
match: {actions: [stripe.refund]}
rules:
  - {id: busy, when: 'usage["shared/all/0"] > 5', effect: block}
  - {id: all, effect: allow, limits: [{count: 10, per: everything}]}
""")
    other_agent.propose("stripe.refund", {"amount": "70.00"})
    said = ask(agent, SMALL).json()
    assert said["status"] == "approved"
    assert said["trace"][0]["operands"] == []
    assert [use["used"] for use in said["limits"]] == [None]


def test_the_reason_tells_an_agent_what_it_used_and_not_what_others_used(
    agent: Caller, other_agent: Caller, policy_author: Caller, db: None
) -> None:
    load_policy("""
name: shared
match: {actions: [stripe.refund]}
rules:
  - id: all
    effect: allow
    limits:
      - {sum: payload.amount, max: "100", per: everything, over: block}
      - {sum: payload.amount, max: "90", per: [everything], over: block}
      - {sum: payload.amount, max: "72", per: agent, over: block}
""")
    other_agent.propose("stripe.refund", {"amount": "70.25"})
    agent.propose("stripe.refund", {"amount": "5.00"})
    body = {"action": "stripe.refund", "payload": {"amount": "68.00"}}
    said = ask(agent, body)
    assert "75.25" not in said.content.decode()
    assert said.json()["verdict"]["reason"].split("; ") == [
        "at most 100 of payload.amount: used up, with what this adds",
        "at most 90 of payload.amount: used up, with what this adds",
        "at most 72 of payload.amount per agent: 5 used, and this adds 68",
    ]
    # An author finds the figures beside it; the reason is stored, and the agent reads it with its intent.
    told = ask(policy_author, {**body, "agent": agent.agent.name}).json()
    assert [limit["used"] for limit in told["limits"]] == ["75.25", "75.25", "5"]
    assert told["verdict"] == said.json()["verdict"]
    assert "75.25" not in json.dumps(agent.propose("stripe.refund", {"amount": "68.00"}))


@pytest.mark.parametrize("member", ["agent", "document", "usage", "now"])
def test_an_agent_cannot_say_who_it_is_nor_try_a_draft(agent: Caller, refunds: None, member: str) -> None:
    response = ask(agent, {**SMALL, member: "x"})
    assert response.status_code == 422
    assert response.json()["errors"] == [{"path": f"/{member}", "detail": "This is no member of an intent; remove it."}]


def test_an_author_tries_a_draft_in_place_of_what_is_in_force(policy_author: Caller, refunds: None) -> None:
    draft = REFUNDS.replace("effect: allow", "effect: require_approval")
    meant = {**SMALL, "agent": {"name": "billing"}}
    said = ask(policy_author, {**meant, "document": draft}).json()
    assert (said["status"], said["verdict"]["version"]) == ("pending_approval", 2)
    assert ask(policy_author, meant).json()["status"] == "approved"


def test_a_draft_of_a_new_name_joins(policy_author: Caller, refunds: None) -> None:
    stop = "name: stop\nmatch: {actions: ['*']}\nrules: [{id: all, effect: block}]\n"
    said = ask(policy_author, {**SMALL, "document": stop}).json()
    assert said["status"] == "blocked"
    assert said["policies"] == [{"name": "refunds", "version": 1}, {"name": "stop", "version": 1}]
    # A name that only the draft has can be asked for as one in force can.
    assert ask(policy_author, {**SMALL, "document": stop, "policy": "stop"}).status_code == 200
    assert ask(policy_author, {**SMALL, "policy": "stop"}).status_code == 422


def test_an_author_states_what_is_used_and_what_time_it_is(policy_author: Caller, db: None) -> None:
    load_policy(REFUNDS.replace("rules:\n", "rules:\n  - {id: early, when: now.getHours() < 6, effect: block}\n"))
    day, night = "2026-03-01T12:00:00Z", "2026-03-01T03:00:00+00:00"
    meant = {**SMALL, "now": day, "agent": {"name": "billing"}}
    assert ask(policy_author, {**meant, "now": night}).json()["verdict"]["rule"] == "early"
    assert ask(policy_author, meant).json()["status"] == "approved"
    assert ask(policy_author, {**meant, "usage": {"refunds/small/0": 1}}).json()["status"] == "approved"
    assert ask(policy_author, {**meant, "usage": {"refunds/small/0": 2}}).json()["status"] == "blocked"
    said = ask(policy_author, {**meant, "usage": {"refunds/small/1": "80.01"}}).json()
    assert (said["status"], said["limits"][1]["used"]) == ("pending_approval", "80.01")


def test_an_author_says_which_agent_is_meant(policy_author: Caller, db: None) -> None:
    load_policy("""
name: tiers
match: {actions: [a.b], agents: ["billing*"], environments: [production]}
rules:
  - id: trusted
    when: agent.tier == "trusted" && agent.labels["team"] == "pay" && agent.owner == "olga"
    effect: allow
""")
    make_agent("billing-1", owner=make_user("olga"), tier="trusted", labels={"team": "pay"})
    attributes = {"name": "billing-2", "tier": "trusted", "labels": {"team": "pay"}, "owner": "olga"}
    body = {"action": "a.b", "payload": {}}
    assert ask(policy_author, {**body, "agent": "billing-1"}).json()["status"] == "approved"
    assert ask(policy_author, {**body, "agent": attributes}).json()["status"] == "approved"
    elsewhere = ask(policy_author, {**body, "agent": {**attributes, "environment": "staging"}}).json()
    assert (elsewhere["status"], elsewhere["policies"]) == ("pending_approval", [])
    # Nobody in particular: what depends on who it is cannot be told, and is asked.
    assert ask(policy_author, body).json()["status"] == "pending_approval"


def test_a_document_that_is_wrong_is_refused_with_line_and_column(policy_author: Caller, refunds: None) -> None:
    response = ask(policy_author, {**SMALL, "document": "name: x\nmatch: {actions: ['a']}\nrules:\n  - {id: Y Z}\n"})
    assert (response.status_code, response["Content-Type"]) == (422, "application/problem+json")
    problem = response.json()
    assert problem["path"] == "/document"
    assert (problem["line"], problem["column"] > 0) == (4, True)
    assert {(fault["path"], fault["line"]) for fault in problem["errors"]} == {("/document", 4)}
    assert len(problem["errors"]) >= 2


WRONG: dict[str, tuple[Any, str]] = {
    "no such agent": ({"agent": "nobody"}, "/agent"),
    "agent is a number": ({"agent": 5}, "/agent"),
    "agent without a name": ({"agent": {"tier": "gold"}}, "/agent/name"),
    "agent with an id": ({"agent": {"name": "x", "id": "agt_1"}}, "/agent/id"),
    "agent with a bad label": ({"agent": {"name": "x", "labels": {"a": 1}}}, "/agent/labels"),
    "document is no text": ({"document": {}}, "/document"),
    "usage of no limit": ({"usage": {"refunds/large/0": 1}}, "/usage/refunds~1large~10"),
    "usage below zero": ({"usage": {"refunds/small/0": -1}}, "/usage/refunds~1small~10"),
    "usage is true": ({"usage": {"refunds/small/0": True}}, "/usage/refunds~1small~10"),
    "usage is a list": ({"usage": []}, "/usage"),
    "now without a zone": ({"now": "2026-03-01T12:00:00"}, "/now"),
    "now out of reach": ({"now": "0001-01-01T00:00:00+14:00"}, "/now"),
    "an unknown member": ({"dry_run": True}, "/dry_run"),
    "an unknown policy": ({"policy": "none"}, "/policy"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_refused_where_it_is(policy_author: Caller, refunds: None, wrong: str) -> None:
    members, path = WRONG[wrong]
    response = ask(policy_author, {**SMALL, **members})
    assert (response.status_code, response.json()["path"]) == (422, path)


@pytest.mark.parametrize("body", [[], "x", None, {"payload": 1}])
def test_a_body_that_is_no_proposal_is_refused(policy_author: Caller, agent: Caller, db: None, body: Any) -> None:
    for caller in (policy_author, agent):
        assert ask(caller, body).status_code in (400, 422)


def test_a_session_needs_its_csrf_token_and_either_permission_opens(refunds: None) -> None:
    person = make_user("paula")
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(person)

    def post(**headers: str) -> Any:
        return browser.post("/api/v1/policies/evaluate", SMALL, content_type="application/json", headers=headers)

    token = "a" * 32
    browser.cookies["csrftoken"] = token
    assert post().json()["type"].endswith(":csrf")
    assert post(**{"X-CSRFToken": token}).status_code == 403
    for codename in ("change_policy", "add_policy"):
        person.user_permissions.set([Permission.objects.get(codename=codename)])
        assert post(**{"X-CSRFToken": token}).status_code == 200


def test_a_policy_that_cannot_be_read_is_told_as_a_doubt(agent: Caller, refunds: None, policy_author: Caller) -> None:
    from intents import in_force
    from intents.models import PolicyVersion

    PolicyVersion.objects.update(text="name: [")
    in_force.bump()
    agent.get("agents/me")
    assert ask(agent, SMALL).json()["status"] == "pending_approval"
    # A draft of that name takes its place.
    assert ask(policy_author, {**SMALL, "document": REFUNDS, "agent": {"name": "x"}}).json()["status"] == "approved"


def test_explain_on_the_command_line_says_what_the_portal_says(
    policy_author: Caller, db: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Path(__file__).parents[2] / "docs" / "policies"
    load_policy((shown / "refunds.yaml").read_text())
    load_action_type((shown / "action-types" / "stripe.refund.yaml").read_text())
    intent = {
        "action": "stripe.refund",
        "payload": {"charge": "ch_1", "amount": "12.00", "currency": "EUR"},
        "agent": {"name": "billing", "environment": "production"},
        "usage": {"refunds/small/0": 0, "refunds/small/1": 0, "refunds/small/2": 0},
        "now": "2026-11-23T09:30:00Z",
    }
    (tmp_path / "intent.json").write_text(json.dumps(intent))
    files = [str(shown / "refunds.yaml"), "--intent", str(tmp_path / "intent.json")]
    typed = ["--action-types", str(shown / "action-types" / "stripe.refund.yaml")]
    assert main(["policy", "explain", *files, *typed, "--json"]) == 0
    explained = json.loads(capsys.readouterr().out)
    said = ask(policy_author, intent).json()
    assert {name: explained[name] for name in said["verdict"]} == said["verdict"]
    assert said["verdict"]["effect"] == "allow"
    assert explained["limits"] == said["limits"]
    assert explained["trace"] == said["trace"]
