"""GET /api/v1/intents"""

import re
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.conftest import Caller, problem
from zehrava_site.api.pagination import IdCursorPagination


def ids_of(response: object) -> list[str]:
    assert response.status_code == 200, response.content  # type: ignore[attr-defined]
    return [intent["id"] for intent in response.json()["results"]]  # type: ignore[attr-defined]


def propose_many(agent: Caller, number: int, action: str = "email.send") -> list[str]:
    """The ids, newest first."""
    return [agent.propose(action, {"n": n})["id"] for n in range(number)][::-1]


def test_an_agent_sees_its_own_newest_first_whatever_it_asks(agent: Caller, other_agent: Caller) -> None:
    mine, theirs = propose_many(agent, 3), propose_many(other_agent, 2)
    assert ids_of(agent.get("intents")) == mine
    assert ids_of(other_agent.get("intents")) == theirs
    assert ids_of(agent.get("intents?agent=mailer")) == []
    assert ids_of(agent.get(f"intents?agent={other_agent.agent.id}")) == []


def test_people_see_all_and_can_ask_for_one_agent(agent: Caller, other_agent: Caller, reviewer: Caller) -> None:
    mine, theirs = propose_many(agent, 2), propose_many(other_agent, 2)
    assert ids_of(reviewer.get("intents")) == theirs + mine
    assert ids_of(reviewer.get("intents?agent=billing")) == mine
    assert ids_of(reviewer.get(f"intents?agent={other_agent.agent.id}")) == theirs


def test_it_filters_by_status_action_and_risk(agent: Caller, policy: None) -> None:
    pending = propose_many(agent, 2)
    allowed = propose_many(agent, 1, "allowed.thing")
    blocked = propose_many(agent, 1, "blocked.thing")
    assert ids_of(agent.get("intents?status=pending_approval")) == pending
    assert ids_of(agent.get("intents?status=approved,blocked")) == blocked + allowed
    assert ids_of(agent.get("intents?status=approved&status=blocked")) == blocked + allowed
    assert ids_of(agent.get("intents?action=allowed.thing")) == allowed
    assert ids_of(agent.get("intents?action=allowed.*")) == []
    levels = {intent["risk"]["level"] for intent in agent.get("intents").json()["results"]}
    for level in ("low", "medium", "high", "critical"):
        found = agent.get(f"intents?risk={level}").json()["results"]
        assert {intent["risk"]["level"] for intent in found} == ({level} if level in levels else set())


def test_it_filters_by_time_with_the_first_moment_in_and_the_last_one_out(agent: Caller) -> None:
    first, second = (agent.propose(payload={"n": n}) for n in range(2))
    at = datetime.fromisoformat(second["created_at"])
    after, before = (urlencode({name: at.isoformat()}) for name in ("created_after", "created_before"))
    assert ids_of(agent.get(f"intents?{after}")) == [second["id"]]
    assert ids_of(agent.get(f"intents?{before}")) == [first["id"]]
    later = urlencode({"created_after": (at + timedelta(hours=1)).isoformat()})
    assert ids_of(agent.get(f"intents?{later}")) == []
    # What a shell does to a plus sign that nobody encoded still means the same time.
    assert ids_of(agent.get(f"intents?created_after={at.isoformat()}")) == [second["id"]]


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ("colour=red", "colour"),
        ("status=open", "status"),
        ("status=", "status"),
        ("status=approved,", "status"),
        ("risk=extreme", "risk"),
        ("action=", "action"),
        ("agent=", "agent"),
        ("action=a&action=b", "action"),
        ("created_after=yesterday", "created_after"),
        ("created_after=2026-11-23T08:00:00", "created_after"),
        ("created_after=2026-13-40T08:00:00Z", "created_after"),
        ("created_before=", "created_before"),
        ("created_after=0001-01-01T00:00:00%2B14:00", "created_after"),
        ("created_before=9999-12-31T23:59:59-14:00", "created_before"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=-1", "limit"),
        ("cursor=", "cursor"),
        ("cursor=garbage", "cursor"),
        ("cursor=YmVmb3JlOmludF8wMDAwMA==", "cursor"),
    ],
)
def test_an_unknown_or_wrong_parameter_is_refused_by_name(agent: Caller, parameters: str, path: str) -> None:
    problem(agent.get(f"intents?{parameters}"), 422, "invalid", path)


def test_pages_cover_everything_once_both_ways(agent: Caller) -> None:
    everything = propose_many(agent, 7)
    page = agent.get("intents?limit=3").json()
    assert page["previous"] is None
    forwards, pages = [], []
    while True:
        pages.append([intent["id"] for intent in page["results"]])
        forwards += pages[-1]
        if page["next"] is None:
            break
        assert page["next"].startswith("http://testserver/api/v1/intents?")
        page = agent.get(page["next"]).json()
    assert forwards == everything
    assert [len(one) for one in pages] == [3, 3, 1]
    for expected in pages[-2::-1]:
        page = agent.get(page["previous"]).json()
        assert [intent["id"] for intent in page["results"]] == expected
    assert page["previous"] is None


def test_what_is_proposed_meanwhile_neither_repeats_nor_hides_others(agent: Caller) -> None:
    everything = propose_many(agent, 4)
    page = agent.get("intents?limit=2").json()
    propose_many(agent, 2, "other.thing")
    assert ids_of(agent.get(page["next"])) == everything[2:]


def test_a_page_keeps_its_filters(agent: Caller) -> None:
    wanted = propose_many(agent, 3)
    propose_many(agent, 3, "other.thing")
    page = agent.get("intents?limit=2&action=email.send").json()
    assert ids_of(agent.get(page["next"])) == wanted[2:]


def test_a_cursor_of_another_agent_shows_nothing_of_its_intents(agent: Caller, other_agent: Caller) -> None:
    propose_many(agent, 3)
    mine = propose_many(other_agent, 1)
    page = agent.get("intents?limit=2").json()
    assert set(ids_of(other_agent.get(page["next"]))) <= set(mine)


def test_a_hundred_cost_as_many_statements_as_one(
    agent: Caller, reviewer: Caller, django_assert_num_queries: object
) -> None:
    propose_many(agent, 30)
    for made in agent.get("intents?limit=10").json()["results"]:
        reviewer.post(
            f"intents/{made['id']}/decisions", {"vote": "reject", "digest": made["digest"], "rationale": "No."}
        )
    # In force, ids with sizes, intents, agents of those asked about, decisions with reviewers and groups, executions,
    # what people ask.
    for limit in (1, 30):
        with django_assert_num_queries(7):  # type: ignore[operator]
            assert len(ids_of(agent.get(f"intents?limit={limit}"))) == limit


def test_a_page_of_large_intents_ends_early_and_the_rest_follows(
    agent: Caller, reviewer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two bytes for each letter: it is the size that counts. The third of them takes a page over.
    monkeypatch.setattr(IdCursorPagination, "most_bytes", 100_000)
    everything = [agent.propose(payload={"n": n, "text": "\u00e9" * 20_000})["id"] for n in range(5)][::-1]
    everything = propose_many(agent, 4) + everything
    page, pages = reviewer.get("intents?limit=200").json(), []
    while True:
        pages.append([intent["id"] for intent in page["results"]])
        if page["next"] is None:
            break
        page = reviewer.get(page["next"]).json()
    assert pages == [everything[:7], everything[7:]]
    back = reviewer.get(page["previous"]).json()
    assert [intent["id"] for intent in back["results"]] == everything[4:7]
    front = reviewer.get(back["previous"]).json()
    assert [intent["id"] for intent in front["results"]] == everything[:4]
    assert front["previous"] is None


def test_one_intent_larger_than_a_page_is_a_page(agent: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IdCursorPagination, "most_bytes", 10)
    everything = propose_many(agent, 3)
    first = agent.get("intents").json()
    assert [intent["id"] for intent in first["results"]] == everything[:1]
    assert ids_of(agent.get(first["next"])) == everything[1:2]


def test_large_texts_are_measured_without_being_read(agent: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IdCursorPagination, "most_bytes", 10_000)
    for n in range(5):
        agent.propose(payload={"n": n, "text": "x" * 20_000})
    agent.get("intents")
    with CaptureQueriesContext(connection) as captured:
        assert len(ids_of(agent.get("intents"))) == 1
    reading = [query["sql"] for query in captured if re.search(r'\."canonical", ', query["sql"])]
    assert len(reading) == 1
    assert reading[0].count("int_") == 1
