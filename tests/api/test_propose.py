"""POST /api/v1/intents"""

import json

import pytest
from django.core.management import call_command

from audit.models import Event
from intents.models import IdempotencyKey, Intent
from tests.api.conftest import Caller, problem

REFUND = {"action": "stripe.refund", "payload": {"charge": "ch_1", "amount": "120.00"}}


def test_it_answers_201_with_the_intent_and_its_address(agent: Caller) -> None:
    response = agent.post("intents", REFUND)
    assert response.status_code == 201
    intent = response.json()
    assert response["Location"] == f"/api/v1/intents/{intent['id']}"
    assert intent["status"] == "pending_approval"
    assert intent["payload"] == REFUND["payload"]
    assert intent["agent"] == {"id": agent.agent.id, "name": "billing"}
    assert agent.get(response["Location"]).json() == intent


def test_what_policy_allows_is_approved_and_what_it_blocks_says_why(agent: Caller, policy: None) -> None:
    assert agent.propose("allowed.thing")["status"] == "approved"
    blocked = agent.propose("blocked.thing")
    assert blocked["status"] == "blocked"
    assert blocked["verdict"]["reason"] == "Nobody does this."


def test_the_same_key_and_body_get_the_stored_answer_to_the_byte(agent: Caller) -> None:
    first = agent.post("intents", REFUND, Idempotency_Key="k-1")
    again = agent.post("intents", REFUND, Idempotency_Key="k-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.content == first.content
    assert again["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Intent.objects.count() == 1


def test_the_same_key_with_another_body_is_refused(agent: Caller) -> None:
    agent.post("intents", REFUND, Idempotency_Key="k-1")
    other = {**REFUND, "payload": {"charge": "ch_2", "amount": "1.00"}}
    problem(agent.post("intents", other, Idempotency_Key="k-1"), 422, "idempotency-mismatch")
    assert Intent.objects.count() == 1


def test_two_agents_may_use_the_same_idempotency_key(agent: Caller, other_agent: Caller) -> None:
    mine = agent.post("intents", REFUND, Idempotency_Key="k-1")
    theirs = other_agent.post("intents", REFUND, Idempotency_Key="k-1")
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


def test_without_a_key_the_same_proposal_while_pending_is_the_same_intent(agent: Caller) -> None:
    first, again = agent.post("intents", REFUND), agent.post("intents", REFUND)
    assert again.status_code == 200
    assert again.json()["id"] == first.json()["id"]
    assert "Idempotency-Replayed" not in again


@pytest.mark.parametrize("key", ["", "a" * 256, "two words", "schlüssel", "tab\there"])
def test_an_idempotency_key_is_1_to_255_visible_ascii_characters(agent: Caller, key: str) -> None:
    problem(agent.post("intents", REFUND, Idempotency_Key=key), 422, "invalid", "Idempotency-Key")
    assert not Intent.objects.exists()


BAD_BODIES = {
    "nothing": (b"", 400, "malformed-json", ""),
    "spaces": (b"  ", 400, "malformed-json", ""),
    "half an object": (b'{"action": ', 400, "malformed-json", ""),
    "two values": (b"{}{}", 400, "malformed-json", ""),
    "a duplicate key": (b'{"action":"a.b","payload":{"x":1,"x":2}}', 400, "malformed-json", "/payload/x"),
    "NaN": (b'{"action":"a.b","payload":{"x":[NaN]}}', 400, "malformed-json", "/payload/x/0"),
    "infinity by exponent": (b'{"action":"a.b","payload":1e400}', 400, "malformed-json", "/payload"),
    "a number beyond 2^53-1": (b'{"action":"a.b","payload":9007199254740992}', 400, "malformed-json", "/payload"),
    "U+0000": (b'{"action":"a.b","payload":"\\u0000"}', 400, "malformed-json", "/payload"),
    "a lone surrogate": (b'{"action":"a.b","payload":"\\ud800"}', 400, "malformed-json", "/payload"),
    "no UTF-8": (b'{"action":"a.b","payload":"\xff"}', 400, "malformed-json", ""),
    "a byte order mark": (b'\xef\xbb\xbf{"action":"a.b","payload":1}', 400, "malformed-json", ""),
    "33 levels": (
        b'{"action":"a.b","payload":' + b"[" * 32 + b"]" * 32 + b"}",
        400,
        "malformed-json",
        "/payload" + "/0" * 31,
    ),
    "2 MB": (b'{"action":"a.b","payload":"' + b"x" * 2_000_000 + b'"}', 413, "too-large", ""),
    "a list": (b"[]", 422, "invalid", ""),
    "null": (b"null", 422, "invalid", ""),
    "no action": (b'{"payload":1}', 422, "invalid", "/action"),
    "no payload": (b'{"action":"a.b"}', 422, "invalid", "/payload"),
    "an unknown field": (b'{"action":"a.b","payload":1,"status":"approved"}', 422, "invalid", "/status"),
    "an unknown field with a slash": (b'{"action":"a.b","payload":1,"a/b":1}', 422, "invalid", "/a~1b"),
    "a number as action": (b'{"action":1,"payload":1}', 422, "invalid", "/action"),
    "a null action": (b'{"action":null,"payload":1}', 422, "invalid", "/action"),
    "an action with a space": (b'{"action":"a b","payload":1}', 422, "invalid", "/action"),
    "tags as text": (b'{"action":"a.b","payload":1,"tags":"x"}', 422, "invalid", "/tags"),
    "records as text": (b'{"action":"a.b","payload":1,"records":"3"}', 422, "invalid", "/records"),
    "records as true": (b'{"action":"a.b","payload":1,"records":true}', 422, "invalid", "/records"),
    "a negative count": (b'{"action":"a.b","payload":1,"records":-1}', 422, "invalid", "/records"),
    "context as list": (b'{"action":"a.b","payload":1,"context":[]}', 422, "invalid", "/context"),
    "an amount as number": (
        b'{"action":"a.b","payload":1,"value":{"amount":1.5,"currency":"EUR"}}',
        422,
        "invalid",
        "/value",
    ),
    "an unknown duration": (b'{"action":"a.b","payload":1,"expires_in":"soon"}', 422, "invalid", "/expires_in"),
    "no time at all": (b'{"action":"a.b","payload":1,"expires_in":"0s"}', 422, "invalid", "/expires_in"),
    "an unknown policy": (b'{"action":"a.b","payload":1,"policy":"nowhere"}', 422, "invalid", "/policy"),
    "portal without an executor": (
        b'{"action":"a.b","payload":1,"execution_mode":"portal"}',
        422,
        "no-executor",
        "/execution_mode",
    ),
    "an unknown mode": (b'{"action":"a.b","payload":1,"execution_mode":"both"}', 422, "invalid", "/execution_mode"),
    "someone's intent to replace": (
        b'{"action":"a.b","payload":1,"supersedes":"int_00000000000000000000000000"}',
        422,
        "invalid",
        "/supersedes",
    ),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_bad_body_is_refused_with_its_path_and_changes_nothing(agent: Caller, case: str) -> None:
    raw, status, kind, path = BAD_BODIES[case]
    events = Event.objects.count()
    problem(agent.post("intents", raw=raw, Idempotency_Key="k-1"), status, kind, path)
    assert (Intent.objects.count(), Event.objects.count(), IdempotencyKey.objects.count()) == (0, events, 0)


def test_every_member_at_fault_is_listed(agent: Caller) -> None:
    response = agent.post("intents", {"action": 1, "payload": 1, "records": -1, "extra": True})
    errors = problem(response, 422, "invalid")["errors"]
    assert {error["path"] for error in errors} == {"/action", "/records", "/extra"}


def test_a_payload_that_its_action_type_refuses_is_refused_with_its_path(agent: Caller) -> None:
    from intents import documents
    from tests.api.conftest import SETUP

    documents.save_action_type(
        "name: crm.import\nschema: {type: object, properties: {rows: {type: integer}}}\n", by=SETUP, user=None
    )
    response = agent.post("intents", {"action": "crm.import", "payload": {"rows": "many"}})
    problem(response, 422, "invalid", "/payload/rows")
    assert not Intent.objects.exists()


def test_another_content_type_is_refused(agent: Caller) -> None:
    response = agent.post("intents", raw=b"action=a.b", Content_Type="application/x-www-form-urlencoded")
    problem(response, 415, "unsupported-media-type")
    response = agent.post("intents", raw=json.dumps(REFUND).encode(), Content_Type="text/plain")
    problem(response, 415, "unsupported-media-type")


def test_query_parameters_are_refused_not_ignored(agent: Caller) -> None:
    problem(agent.post("intents?dry_run=true", REFUND), 422, "invalid", "dry_run")
    assert not Intent.objects.exists()


def test_any_json_value_is_a_payload(agent: Caller) -> None:
    for payload in (None, True, 0, 1.5, "", "text", [], {}, [[{"a": [None]}]]):
        response = agent.post("intents", {"action": "a.b", "payload": payload})
        assert response.status_code == 201, response.content
        assert response.json()["payload"] == payload


def test_an_allowed_proposal_costs_a_fixed_number_of_statements(
    agent: Caller, policy: None, django_assert_num_queries: object
) -> None:
    agent.propose("allowed.warm")
    # What is in force, savepoint, intent, history, event, savepoint: nothing that grows with rules or agents.
    with django_assert_num_queries(6):  # type: ignore[operator]
        agent.propose("allowed.thing", {"n": 2})


@pytest.mark.parametrize(
    "amount", ["9" * 30 + "." + "9" * 12, "0." + "0" * 11 + "1", "-" + "1" * 30, "12345678901234567890.123456", "1.50"]
)
def test_an_amount_of_as_many_digits_as_may_be_sent_is_kept_exactly_and_can_run(
    agent: Caller, policy: None, capsys: pytest.CaptureFixture[str], amount: str
) -> None:
    value = {"amount": amount, "currency": "EUR"}

    proposed = agent.propose("allowed.thing", value=value)

    assert (proposed["status"], proposed["value"]) == ("approved", value)
    assert agent.post(f"intents/{proposed['id']}/claim", {}).status_code == 201
    with pytest.raises(SystemExit):  # the tests' people have rights that no event tells of
        call_command("audit_check")
    found = capsys.readouterr().out.splitlines()[:-1]
    assert [line for line in found if not line.startswith("auth_user ")] == []
