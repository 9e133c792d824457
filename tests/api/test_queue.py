"""GET /api/v1/queue"""

import pytest

from tests.api.conftest import Caller, problem


def test_a_reviewer_sees_what_waits_for_them_most_urgent_first(
    agent: Caller, reviewer: Caller, owner: Caller, policy: None
) -> None:
    later, sooner = (agent.propose(payload={"n": n}, expires_in=text) for n, text in enumerate(("2h", "1h")))
    riskier = agent.propose(payload={"n": 3}, records=1_000_000, value={"amount": "1000000.00", "currency": "EUR"})
    agent.propose("allowed.thing")
    queue = reviewer.get("queue").json()
    assert queue["count"] == 3
    assert [intent["id"] for intent in queue["results"]] == [riskier["id"], sooner["id"], later["id"]]
    alone = reviewer.get(f"intents/{riskier['id']}").json()
    # Who could decide is named where one intent is read.
    assert alone["requirement"].pop("could") == {"reviewers": ["rita"]}
    assert queue["results"][0] == alone
    # Olivia is a reviewer too, and the agent is hers.
    assert owner.get("queue").json() == {"count": 0, "results": []}


def test_what_a_reviewer_voted_on_no_longer_waits_for_them(agent: Caller, reviewer: Caller) -> None:
    intent = agent.propose()
    reviewer.post(f"intents/{intent['id']}/decisions", {"vote": "approve", "digest": intent["digest"]})
    assert reviewer.get("queue").json()["count"] == 0


def test_the_limit_shortens_the_list_and_not_the_count(agent: Caller, reviewer: Caller) -> None:
    for n in range(3):
        agent.propose(payload={"n": n})
    queue = reviewer.get("queue?limit=2").json()
    assert (queue["count"], len(queue["results"])) == (3, 2)


@pytest.mark.parametrize("text", ["0", "201", "x", ""])
def test_a_limit_that_is_none_is_refused(reviewer: Caller, text: str) -> None:
    problem(reviewer.get(f"queue?limit={text}"), 422, "invalid", "limit")
