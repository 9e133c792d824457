"""POST /api/v1/intents/{id}/decisions and DELETE /api/v1/decisions/{id}"""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from intents import documents
from intents.models import Intent
from reviews.models import Decision
from tests.api.conftest import SETUP, Caller, problem
from tests.factories import make_delegation


def approve(intent: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"vote": "approve", "digest": intent["digest"], **members}


def reject(intent: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"vote": "reject", "digest": intent["digest"], "rationale": "Too much.", **members}


@pytest.fixture
def intent(agent: Caller) -> dict[str, Any]:
    return agent.propose()


def test_an_approval_makes_the_intent_approved(intent: dict[str, Any], reviewer: Caller, agent: Caller) -> None:
    response = reviewer.post(f"intents/{intent['id']}/decisions", approve(intent))
    assert response.status_code == 201
    assert response.json()["status"] == "approved"
    [decision] = response.json()["decisions"]
    assert (decision["vote"], decision["reviewer"], decision["changes"]) == ("approve", "rita", None)
    assert agent.get(f"intents/{intent['id']}").json() == response.json()


def test_a_rejection_needs_a_rationale_and_the_agent_reads_it(
    intent: dict[str, Any], reviewer: Caller, agent: Caller
) -> None:
    address = f"intents/{intent['id']}/decisions"
    problem(reviewer.post(address, reject(intent, rationale=" ")), 422, "invalid", "/rationale")
    problem(reviewer.post(address, {"vote": "reject", "digest": intent["digest"]}), 422, "invalid", "/rationale")
    assert reviewer.post(address, reject(intent)).status_code == 201
    read = agent.get(f"intents/{intent['id']}").json()
    assert (read["status"], read["decisions"][0]["rationale"]) == ("rejected", "Too much.")


def test_a_wrong_digest_decides_nothing(intent: dict[str, Any], reviewer: Caller) -> None:
    body = {"vote": "approve", "digest": "sha256:" + "0" * 64}
    problem(reviewer.post(f"intents/{intent['id']}/decisions", body), 409, "stale-digest", "/digest")
    assert not Decision.objects.exists()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"vote": None}, "/vote"),
        ({"vote": "maybe"}, "/vote"),
        ({"vote": ["approve"]}, "/vote"),
        ({"digest": None}, "/digest"),
        ({"digest": 7}, "/digest"),
        ({"rationale": 7}, "/rationale"),
        ({"rationale": "x" * 10_001}, "/rationale"),
        ({"step_up": True}, "/step_up"),
    ],
)
def test_a_wrong_member_is_refused_by_its_path(
    intent: dict[str, Any], reviewer: Caller, change: dict[str, Any], path: str
) -> None:
    problem(reviewer.post(f"intents/{intent['id']}/decisions", approve(intent, **change)), 422, "invalid", path)
    assert not Decision.objects.exists()


@pytest.mark.parametrize("missing", ["vote", "digest"])
def test_vote_and_digest_are_required(intent: dict[str, Any], reviewer: Caller, missing: str) -> None:
    body = approve(intent)
    del body[missing]
    problem(reviewer.post(f"intents/{intent['id']}/decisions", body), 422, "invalid", f"/{missing}")


def test_an_approval_with_changes_shows_the_agent_what_would_run_and_what_it_proposed(
    intent: dict[str, Any], reviewer: Caller, agent: Caller
) -> None:
    address = f"intents/{intent['id']}/decisions"
    patch = [{"op": "replace", "path": "/to", "value": "eve@example.com"}]
    changed = reviewer.post(address, approve(intent, changes=patch, rationale="She asked for it."))
    assert changed.status_code == 201
    read = agent.get(f"intents/{intent['id']}").json()
    assert read == changed.json()
    assert read["payload"] == {**intent["payload"], "to": "eve@example.com"}
    assert read["proposal"] == {"payload": intent["payload"], "digest": intent["digest"]}
    assert read["digest"] != intent["digest"]
    assert read["decisions"][0]["changes"] == patch
    # Nothing says that this change narrows, so that somebody else has to approve it.
    assert (read["status"], read["requirement"]["received"]) == ("pending_approval", 0)


@pytest.mark.parametrize("changes", ["x", {}, [], [{"op": "replace", "path": "/nowhere/at/all", "value": 1}]])
def test_changes_that_are_none_are_refused_and_never_dropped(
    intent: dict[str, Any], reviewer: Caller, changes: Any
) -> None:
    body = approve(intent, changes=changes, rationale="because")
    problem(reviewer.post(f"intents/{intent['id']}/decisions", body), 422, "invalid", "/changes")
    assert not Decision.objects.exists()


def test_the_owner_of_the_agent_does_not_decide(intent: dict[str, Any], owner: Caller) -> None:
    problem(owner.post(f"intents/{intent['id']}/decisions", approve(intent)), 403, "not-entitled")


def test_the_person_it_is_done_for_does_not_decide(agent: Caller, reviewer: Caller) -> None:
    intent = agent.propose(on_behalf_of="rita")
    problem(reviewer.post(f"intents/{intent['id']}/decisions", approve(intent)), 403, "not-entitled")


def test_a_superuser_without_a_seat_does_not_decide(intent: dict[str, Any], stranger: Caller) -> None:
    stranger.user.is_superuser = True
    stranger.user.save()
    problem(stranger.post(f"intents/{intent['id']}/decisions", approve(intent)), 403, "not-entitled")


def test_no_agent_decides_not_even_on_anothers_intent(
    intent: dict[str, Any], agent: Caller, other_agent: Caller
) -> None:
    for caller in (agent, other_agent):
        problem(caller.post(f"intents/{intent['id']}/decisions", approve(intent)), 403, "forbidden")
    assert not Decision.objects.exists()


def test_an_agents_key_beside_a_reviewers_session_is_still_an_agent(
    intent: dict[str, Any], agent: Caller, reviewer: Caller
) -> None:
    agent.client.force_login(reviewer.user)
    problem(agent.post(f"intents/{intent['id']}/decisions", approve(intent)), 403, "forbidden")
    assert not Decision.objects.exists()


def test_a_second_decision_is_refused(agent: Caller, reviewer: Caller, second_reviewer: Caller) -> None:
    from intents import documents
    from tests.api.conftest import SETUP

    documents.save_policy(
        "name: two\nmatch: {actions: [pair.*]}\nrules:\n"
        "  - {id: both, effect: require_approval, approval: {all_of: [{group: reviewers, count: 2}]}}\n",
        by=SETUP,
        user=None,
    )
    intent = agent.propose("pair.programming")
    address = f"intents/{intent['id']}/decisions"
    first = reviewer.post(address, approve(intent)).json()
    assert (first["status"], first["requirement"]["received"]) == ("pending_approval", 1)
    problem(reviewer.post(address, approve(intent)), 409, "already-voted")
    assert second_reviewer.post(address, approve(intent)).json()["status"] == "approved"
    problem(reviewer.post(address, reject(intent)), 409, "not-pending")
    assert Decision.objects.count() == 2


def test_an_expired_intent_takes_no_decision(intent: dict[str, Any], reviewer: Caller) -> None:
    Intent.objects.filter(pk=intent["id"]).update(
        created_at=Intent.objects.get(pk=intent["id"]).created_at - timedelta(days=3),
        expires_at=Intent.objects.get(pk=intent["id"]).created_at - timedelta(days=2),
    )
    problem(reviewer.post(f"intents/{intent['id']}/decisions", approve(intent)), 409, "expired")
    assert not Decision.objects.exists()


def test_an_intent_that_is_not_there_is_not_found(reviewer: Caller) -> None:
    body = {"vote": "approve", "digest": "sha256:" + "0" * 64}
    problem(reviewer.post("intents/int_00000000000000000000000000/decisions", body), 404, "not-found")


def test_a_session_needs_the_csrf_token(intent: dict[str, Any], reviewer: Caller) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(reviewer.user)
    by_session = Caller(client=browser)
    address = f"intents/{intent['id']}/decisions"
    problem(by_session.post(address, approve(intent)), 403, "csrf")
    browser.get("/admin/login/")
    browser.cookies["csrftoken"] = token = "a" * 32
    assert by_session.post(address, approve(intent), X_CSRFToken=token).status_code == 201


def test_a_vote_is_taken_back_while_the_intent_is_pending(
    agent: Caller, reviewer: Caller, second_reviewer: Caller
) -> None:
    from intents import documents
    from tests.api.conftest import SETUP

    documents.save_policy(
        "name: two\nmatch: {actions: [pair.*]}\nrules:\n"
        "  - {id: both, effect: require_approval, approval: {all_of: [{group: reviewers, count: 2}]}}\n",
        by=SETUP,
        user=None,
    )
    intent = agent.propose("pair.programming")
    made = reviewer.post(f"intents/{intent['id']}/decisions", approve(intent)).json()["decisions"][0]
    problem(second_reviewer.delete(f"decisions/{made['id']}"), 404, "not-found")
    problem(agent.delete(f"decisions/{made['id']}"), 403, "forbidden")
    response = reviewer.delete(f"decisions/{made['id']}")
    assert response.status_code == 200
    assert (response.json()["requirement"]["received"], response.json()["decisions"]) == (0, [])
    problem(reviewer.delete(f"decisions/{made['id']}"), 409, "conflict")
    # The same person may vote again.
    assert reviewer.post(f"intents/{intent['id']}/decisions", approve(intent)).status_code == 201


def test_a_vote_that_decided_stays(intent: dict[str, Any], reviewer: Caller) -> None:
    made = reviewer.post(f"intents/{intent['id']}/decisions", approve(intent)).json()["decisions"][0]
    problem(reviewer.delete(f"decisions/{made['id']}"), 409, "not-pending")


def test_a_seat_is_enough_to_decide_and_a_role_without_one_is_not(agent, make_person):
    documents.save_policy(
        "name: seats\nmatch: {actions: [seat.*]}\n"
        "rules: [{id: one, effect: require_approval, approval: {all_of: [{group: treasury}]}}]\n",
        by=SETUP,
        user=None,
    )
    intent = agent.propose("seat.take", {"n": 1})
    vote = {"vote": "approve", "digest": intent["digest"]}
    assert make_person("roberta", "reviewers").post(f"intents/{intent['id']}/decisions", vote).status_code == 403
    treasurer = make_person("tess", "treasury", "policy_authors")
    assert treasurer.post(f"intents/{intent['id']}/decisions", vote).status_code == 201


def test_the_ground_reaches_the_agent(reviewer: Caller, agent: Caller) -> None:
    intent = agent.propose()
    body = {"vote": "reject", "digest": intent["digest"], "ground": "duplicate", "rationale": "Paid last week."}

    answer = reviewer.post(f"intents/{intent['id']}/decisions", body)

    assert answer.status_code == 201, answer.content
    (decision,) = agent.get(f"intents/{intent['id']}").json()["decisions"]
    assert (decision["ground"], decision["rationale"]) == ("duplicate", "Paid last week.")


def test_an_unknown_ground_is_named(reviewer: Caller, agent: Caller) -> None:
    intent = agent.propose()
    body = {"vote": "reject", "digest": intent["digest"], "ground": "because", "rationale": "No."}

    answer = reviewer.post(f"intents/{intent['id']}/decisions", body)

    assert (answer.status_code, answer.json()["path"]) == (422, "/ground")


def test_a_delegate_decides_for_the_delegator_and_both_are_read(
    intent: dict[str, Any], reviewer: Caller, make_person: Any, agent: Caller
) -> None:
    dora = make_person("dora", "auditors")
    address = f"intents/{intent['id']}/decisions"
    problem(dora.post(address, approve(intent)), 403, "not-entitled")
    make_delegation(reviewer.user, dora.user)

    assert dora.get(f"intents/{intent['id']}").json()["requirement"]["could"] == {
        "reviewers": ["rita", "dora for rita"]
    }
    assert [each["id"] for each in dora.get("queue").json()["results"]] == [intent["id"]]
    problem(dora.post(address, approve(intent, delegator="nobody")), 403, "not-entitled", "/delegator")
    problem(dora.post(address, approve(intent, delegator=7)), 422, "invalid", "/delegator")
    answer = dora.post(address, approve(intent, delegator="rita"))

    assert answer.status_code == 201 and answer.json()["status"] == "approved"
    [decision] = agent.get(f"intents/{intent['id']}").json()["decisions"]
    assert (decision["reviewer"], decision["delegator"]) == ("dora", "rita")


def test_who_could_decide_for_several_says_for_whom(
    intent: dict[str, Any], reviewer: Caller, second_reviewer: Caller, make_person: Any
) -> None:
    dora = make_person("dora", "auditors")
    for each in (reviewer, second_reviewer):
        make_delegation(each.user, dora.user)
    address = f"intents/{intent['id']}/decisions"

    found = problem(dora.post(address, approve(intent)), 409, "conflict", "/delegator")
    assert "rita or ravi" in found["detail"]
    answer = dora.post(address, approve(intent, delegator="ravi"))
    assert answer.json()["decisions"][0]["delegator"] == "ravi"


def test_a_rejection_by_a_delegate_names_both_too(intent: dict[str, Any], reviewer: Caller, make_person: Any) -> None:
    dora = make_person("dora", "auditors")
    make_delegation(reviewer.user, dora.user)

    answer = dora.post(f"intents/{intent['id']}/decisions", reject(intent)).json()
    assert (answer["status"], answer["decisions"][0]["delegator"]) == ("rejected", "rita")
