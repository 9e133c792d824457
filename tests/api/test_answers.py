"""POST /api/v1/intents/{id}/answers"""

from __future__ import annotations

import pytest

from intents.models import Intent
from reviews import notes
from tests.api.conftest import Caller, problem
from tests.factories import make_agent, make_user


@pytest.fixture
def asked(agent: Caller) -> tuple[str, str]:
    """The ids of an intent and of a question about it."""
    intent = Intent.objects.get(pk=agent.propose()["id"])
    return intent.pk, notes.ask(intent, by=make_user("asks", "reviewers"), text="Which order?").pk


def test_the_agent_reads_the_question_and_answers_it(agent: Caller, asked: tuple[str, str]) -> None:
    intent, question = asked
    assert agent.get(f"intents/{intent}").json()["questions"][0]["text"] == "Which order?"

    answer = agent.post(f"intents/{intent}/answers", {"question": question, "text": "Order 7"})

    assert answer.status_code == 201, answer.content
    assert answer.json()["questions"][0]["answer"]["text"] == "Order 7"
    again = agent.post(f"intents/{intent}/answers", {"question": question, "text": "Order 8"})
    problem(again, 409, "conflict")


def test_nobody_else_answers(agent: Caller, reviewer: Caller, asked: tuple[str, str]) -> None:
    intent, question = asked
    body = {"question": question, "text": "Order 7"}

    assert reviewer.post(f"intents/{intent}/answers", body).status_code == 403
    stranger, key = make_agent("stranger")
    other = Caller(key, agent=stranger)
    assert other.post(f"intents/{intent}/answers", body).status_code == 404
    assert agent.get(f"intents/{intent}").json()["questions"][0]["answer"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"question": "not_x"}, 422),
        ({"question": "not_x", "text": "x"}, 404),
        ({"question": 7, "text": "x"}, 422),
        ({"question": "not_x", "text": ["x"]}, 422),
        ({"question": "not_x", "text": "x", "vote": "approve"}, 422),
    ],
)
def test_a_bad_body_is_told_what_is_wrong(agent: Caller, asked: tuple[str, str], body: object, status: int) -> None:
    assert agent.post(f"intents/{asked[0]}/answers", body).status_code == status


def test_a_new_intent_has_no_questions(agent: Caller) -> None:
    assert agent.propose()["questions"] == []
