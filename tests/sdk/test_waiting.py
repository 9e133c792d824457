"""Waiting outlives a faltering portal, ends in time and never turns into a busy loop."""

from __future__ import annotations

import math
from urllib.parse import parse_qs

import httpx
import pytest

from tests.sdk.portal_double import intent_json, ok, problem, run
from zehrava import NotFound, ServerError, WaitTimeout

pytestmark = pytest.mark.sdk


@pytest.fixture
def pending(gate, portal):
    """A pending intent in the client's hands, and its JSON."""
    sent = intent_json()
    portal.will_answer(ok(sent))
    intent = run(gate.get(sent["id"]))
    portal.requests.clear()
    return intent, sent


def holding(fake_time, document):
    """An answer that the portal holds back as long as it was asked to."""

    def answer(request):
        fake_time.now += holds([request])[0]
        return ok(document)

    return answer


def known(requests):
    return [parse_qs(request.url.query.decode())["since"][0] for request in requests]


def holds(requests):
    return [int(parse_qs(request.url.query.decode()).get("wait", ["0"])[0]) for request in requests]


def test_wait_polls_long_and_says_which_status_it_knows(gate, portal, pending, fake_time):
    intent, sent = pending
    held = holding(fake_time, sent)
    portal.will_answer(held, held, ok({**sent, "status": "approved"}))
    assert run(intent.wait()).status == "approved"
    assert holds(portal.requests) == [25, 25, 25]
    assert known(portal.requests) == ["pending_approval"] * 3
    assert fake_time.naps == []


def test_waiting_for_the_end_says_what_it_has_learned_meanwhile(gate, portal, pending, fake_time):
    intent, sent = pending
    portal.will_answer(
        ok({**sent, "status": "approved"}),
        holding(fake_time, {**sent, "status": "executing"}),
        ok({**sent, "status": "succeeded"}),
    )
    assert run(intent.wait_finished()).status == "succeeded"
    assert known(portal.requests) == ["pending_approval", "approved", "executing"]


def test_wait_for_what_is_decided_asks_nobody(gate, portal, pending):
    portal.will_answer(ok({**pending[1], "status": "rejected"}))
    intent = run(pending[0].refresh())
    assert run(intent.wait()) is intent
    assert len(portal.requests) == 1


def test_wait_outlives_failing_servers_and_lost_connections(gate, portal, pending, fake_time):
    intent, sent = pending
    portal.will_answer(
        httpx.Response(502),
        httpx.ReadError("lost"),
        ok(sent),
        httpx.ConnectError("refused"),
        problem(500, "internal"),
        httpx.ReadTimeout("slow"),
        problem(429, "too-many-requests", headers={"retry-after": "5"}),
        ok({**sent, "status": "approved"}),
    )
    assert run(intent.wait()).status == "approved"
    assert min(fake_time.naps) >= 0.2
    assert fake_time.naps[-1] == 5


def test_a_portal_that_answers_early_is_not_asked_in_a_busy_loop(gate, portal, pending, fake_time):
    intent, sent = pending
    portal.will_answer(*[ok(sent) for _ in range(40)])
    with pytest.raises(WaitTimeout):
        run(intent.wait(timeout=60))
    assert len(portal.requests) < 40
    assert fake_time.naps[:5] == [0.2, 0.4, 0.8, 1.6, 2.0]
    assert min(fake_time.naps) >= 0.2


def test_wait_ends_with_the_intent_as_it_was_and_says_so(gate, portal, pending, fake_time):
    intent, sent = pending
    portal.will_answer(ok(sent), *[holding(fake_time, sent)] * 10)
    began = fake_time.now
    with pytest.raises(WaitTimeout, match="wait again, or cancel") as caught:
        run(intent.wait(timeout=40))
    assert caught.value.intent_id == sent["id"]
    assert 40 <= fake_time.now - began <= 41


def test_wait_for_an_unreachable_portal_ends_in_time_too(gate, portal, pending, fake_time):
    portal.will_answer(*[httpx.ConnectError("refused") for _ in range(100)])
    began = fake_time.now
    with pytest.raises(WaitTimeout) as caught:
        run(pending[0].wait(timeout=30))
    assert 30 <= fake_time.now - began <= 32
    assert caught.value.__cause__ is not None


def test_a_timeout_of_nothing_looks_once(gate, portal, pending, fake_time):
    portal.will_answer(ok(pending[1]))
    with pytest.raises(WaitTimeout):
        run(pending[0].wait(timeout=0))
    assert len(portal.requests) == 1


@pytest.mark.parametrize("timeout", [-1, math.nan])
def test_a_timeout_that_is_no_time_is_refused(gate, portal, pending, timeout):
    with pytest.raises(ValueError):
        run(pending[0].wait(timeout=timeout))


def test_wait_gives_up_at_once_on_what_will_not_pass(gate, portal, pending, fake_time):
    portal.will_answer(problem(404, "not-found"))
    with pytest.raises(NotFound):
        run(pending[0].wait())


def test_no_look_takes_longer_than_what_is_left(gate, portal, pending, fake_time):
    portal.will_answer(ok({**pending[1], "status": "approved"}))
    run(pending[0].wait(timeout=3))
    assert [request.extensions["timeout"]["read"] for request in portal.requests] == [4.0]


def test_a_long_poll_leaves_the_portal_time_to_hold_the_answer(gate, portal, pending):
    portal.will_answer(ok(pending[1]))
    run(gate.get(pending[1]["id"], wait=25))
    assert portal.requests[0].extensions["timeout"]["read"] == 35.0


@pytest.mark.parametrize(
    "status", ["succeeded", "failed", "indeterminate", "cancelled", "expired", "rejected", "blocked"]
)
def test_wait_finished_waits_through_approval_and_execution(gate, portal, pending, fake_time, status):
    intent, sent = pending
    portal.will_answer(*[ok({**sent, "status": now}) for now in ("approved", "executing", "pending_approval", status)])
    assert run(intent.wait_finished()).status == status


def test_wait_does_not_take_a_strange_answer_for_a_decision(gate, portal, pending, fake_time):
    portal.will_answer(ok({"status": "approved"}), ok({**pending[1], "status": "rejected"}))
    assert run(pending[0].wait()).status == "rejected"


def test_get_without_wait_fails_where_wait_would_go_on(gate, portal):
    portal.will_answer(problem(500, "internal"))
    with pytest.raises(ServerError):
        run(gate.get("int_1"))
