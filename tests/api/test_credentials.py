"""Who the API takes somebody for."""

import pytest

from intents import agents
from reviews.models import PersonalToken
from reviews.tokens import create_token, revoke_token
from tests.api.conftest import SETUP, Caller, problem
from zehrava.problems import Problem


def test_an_agent_learns_who_it_is_and_never_its_key(agent: Caller) -> None:
    response = agent.get("agents/me")
    assert response.status_code == 200
    me = response.json()
    assert (me["id"], me["name"], me["owner"], me["environment"]) == (agent.agent.id, "billing", "olivia", "production")
    assert agent.credential.startswith(me["key"]["prefix"])
    assert agent.credential not in response.content.decode()


def test_without_credentials_it_says_how_to_authenticate(anonymous: Caller) -> None:
    response = anonymous.get("intents")
    problem(response, 401, "unauthenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Bearer zhv_",
        "Bearer zhp_",
        "Bearer  zhv_x",
        "Basic emh2Xzp4",
        "zhv_x",
        "Bearer zhv_ü",
    ],
)
def test_a_bad_header_is_401_and_never_falls_back_to_the_session(reviewer: Caller, header: str) -> None:
    browser = Caller()
    browser.client.force_login(reviewer.user)
    assert browser.get("intents").status_code == 200
    response = browser.get("intents", Authorization=header)
    problem(response, 401, "unauthenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_key_stops_counting_with_the_next_request(agent: Caller) -> None:
    assert agent.get("agents/me").status_code == 200
    agents.revoke_key(agent.agent.keys.get(), by=SETUP)
    response = agent.get("agents/me")
    problem(response, 401, "unauthenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_suspended_agent_is_told_so_and_may_come_back(agent: Caller) -> None:
    suspended = agents.suspend_agent(agent.agent, by=SETUP)
    for response in (agent.get("agents/me"), agent.post("intents", {"action": "a.b", "payload": 1})):
        problem(response, 403, "suspended")
    agents.resume_agent(suspended, by=SETUP)
    assert agent.get("agents/me").status_code == 200


def test_a_personal_token_is_stored_as_a_hash_and_stops_when_revoked(reviewer: Caller) -> None:
    [token] = PersonalToken.objects.filter(user=reviewer.user)
    assert reviewer.credential.startswith(token.prefix)
    assert reviewer.credential not in (token.prefix, token.hash)
    assert reviewer.get("intents").status_code == 200
    revoke_token(token, by=SETUP)
    problem(reviewer.get("intents"), 401, "unauthenticated")


def test_the_token_and_session_of_somebody_who_left_open_nothing(reviewer: Caller) -> None:
    browser = Caller()
    browser.client.force_login(reviewer.user)
    reviewer.user.is_active = False
    reviewer.user.save()
    problem(reviewer.get("intents"), 401, "unauthenticated")
    problem(browser.get("intents"), 401, "unauthenticated")
    with pytest.raises(Problem, match="deactivated"):
        create_token(reviewer.user, by=SETUP)


def test_making_and_revoking_a_token_is_on_record(reviewer: Caller) -> None:
    from audit.models import Event

    token, _ = create_token(reviewer.user, by=SETUP)
    revoke_token(revoke_token(token, by=SETUP), by=SETUP)
    events = Event.objects.filter(subject_type="reviews.personaltoken", subject_id=str(token.pk)).order_by("id")
    assert [event.type for event in events] == ["token.created", "token.revoked"]
