"""A guarded function runs once, exactly as approved, or it does not run."""

from __future__ import annotations

import asyncio
import functools
import threading

import httpx
import pytest

from tests.sdk.portal_double import NOW, intent_json, ok, permit_json, problem, run
from zehrava import (
    AsyncGate,
    Blocked,
    Cancelled,
    Conflict,
    Expired,
    Gate,
    Indeterminate,
    IntegrityError,
    IntentError,
    Rejected,
    StrictError,
    Unreachable,
    WaitTimeout,
    ZehravaError,
    guarding,
    ids,
)

pytestmark = pytest.mark.sdk


@pytest.fixture
def ran():
    """The calls that reached a guarded function."""
    return []


@pytest.fixture
def guard(gate, ran):
    """Guards a function that records its call and then does as told; an async one for the async client."""

    def wrap(does=lambda *args, **kwargs: {"done": True}, **options):
        @functools.wraps(does)
        def plain(*args, **kwargs):
            ran.append((args, kwargs))
            return does(*args, **kwargs)

        @functools.wraps(does)
        async def asynchronous(*args, **kwargs):
            ran.append((args, kwargs))
            return does(*args, **kwargs)

        function = asynchronous if isinstance(gate, AsyncGate) else plain
        return gate.requires_approval("crm.delete", **options)(function)

    return wrap


def delete(contact, hard=False):
    return {"deleted": contact}


def approve(portal, payload, *, granted=None, report=None):
    """The portal approves at once and grants; `granted` is the payload as approved with changes."""
    sent = intent_json("approved", payload=payload)
    permit = permit_json(sent) if granted is None else permit_json(sent, payload=granted)
    portal.will_answer(ok(sent, 201), ok(permit, 201), report or ok({**sent, "status": "succeeded"}))
    return sent


def test_an_approved_call_runs_once_with_its_arguments_and_is_reported(guard, portal, ran):
    guarded = guard(delete, summary="Delete one", target="crm")
    approve(portal, {"contact": "c_1", "hard": False})
    assert run(guarded("c_1")) == {"deleted": "c_1"}
    assert ran == [(("c_1", False), {})]
    proposed = portal.body(0)
    assert proposed["payload"] == {"contact": "c_1", "hard": False}
    assert (proposed["execution_mode"], proposed["summary"], proposed["target"]) == ("agent", "Delete one", "crm")
    assert portal.body() == {"outcome": "succeeded", "result": {"deleted": "c_1"}}
    assert len(portal.requests) == 3


def test_a_call_that_a_person_must_decide_waits_for_them(guard, portal, ran, fake_time):
    sent = intent_json(payload={"contact": "c_1", "hard": False})
    done = {**sent, "status": "approved"}
    portal.will_answer(ok(sent, 201), ok(sent), ok(done), ok(permit_json(sent), 201), ok(done))
    run(guard(delete)("c_1"))
    assert len(ran) == 1
    assert portal.body()["outcome"] == "succeeded"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("blocked", Blocked),
        ("rejected", Rejected),
        ("expired", Expired),
        ("cancelled", Cancelled),
        ("indeterminate", Indeterminate),
        ("executing", IntentError),
        ("succeeded", IntentError),
        ("failed", IntentError),
        ("a_status_of_tomorrow", IntentError),
    ],
)
def test_nothing_runs_unless_the_status_is_approved(guard, portal, ran, status, error):
    portal.will_answer(ok(intent_json(status, payload={"contact": "c_1", "hard": False}), 201))
    with pytest.raises(error) as caught:
        run(guard(delete)("c_1"))
    assert caught.value.intent.status == status
    assert ran == []
    assert len(portal.requests) == 1


def test_errors_say_why(guard, portal):
    rejected = {**intent_json("rejected"), "decisions": [{"vote": "reject", "rationale": "Wrong customer"}]}
    portal.will_answer(ok(intent_json("blocked"), 201), ok(rejected, 201))
    with pytest.raises(Blocked, match="too large"):
        run(guard(delete)("c_1"))
    with pytest.raises(Rejected, match="Wrong customer"):
        run(guard(delete)("c_1"))


def test_nothing_runs_when_nobody_decides_in_time_and_the_intent_is_taken_back(guard, portal, ran, fake_time):
    sent = intent_json(payload={"contact": "c_1", "hard": False})
    portal.will_answer(ok(sent, 201), ok(sent), ok({**sent, "status": "cancelled"}))
    with pytest.raises(WaitTimeout):
        run(guard(delete, timeout=0)("c_1"))
    assert ran == []
    assert portal.calls[-1] == f"POST /api/v1/intents/{sent['id']}/cancel"


def test_nothing_runs_when_the_portal_is_unreachable(guard, portal, ran):
    portal.will_answer(*[httpx.ConnectError("refused") for _ in range(4)])
    with pytest.raises(Unreachable):
        run(guard(delete)("c_1"))
    assert ran == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda request: problem(409, "already-claimed"), Conflict),
        (lambda request: problem(500, "internal"), ZehravaError),
        (lambda request: httpx.ReadTimeout("lost"), Unreachable),
        (lambda request: httpx.Response(200, content=b"{}"), ZehravaError),
    ],
)
def test_nothing_runs_without_the_permit_in_hand(guard, portal, ran, answer, error):
    portal.will_answer(ok(intent_json("approved", payload={"contact": "c_1", "hard": False}), 201), answer)
    with pytest.raises(error):
        run(guard(delete)("c_1"))
    assert ran == []
    assert len(portal.requests) == 2


def test_nothing_runs_on_a_permit_whose_payload_is_not_what_its_digest_says(guard, portal, ran):
    sent = intent_json("approved", payload={"contact": "c_1", "hard": False})
    forged = {**permit_json(sent), "payload": {"contact": "c_1", "hard": True}}
    portal.will_answer(ok(sent, 201), ok(forged, 201), ok(sent))
    with pytest.raises(IntegrityError):
        run(guard(delete)("c_1"))
    assert ran == []
    assert portal.body()["outcome"] == "failed"


# Approved with changes


def test_a_call_approved_with_changes_runs_with_the_changes(guard, portal, ran):
    approve(portal, {"contact": "c_1", "hard": False}, granted={"contact": "c_2", "hard": True})
    run(guard(delete)("c_1"))
    assert ran == [(("c_2", True), {})]


def test_changes_reach_every_kind_of_parameter(guard, portal, ran):
    def every(first, /, second, *rest, third, **named):
        return None

    proposed = {"first": 1, "second": 2, "rest": [3], "third": 4, "named": {"x": 5}}
    approve(portal, proposed, granted={"first": 9, "second": 8, "rest": [7, 6], "third": 5, "named": {"y": 4}})
    run(guard(every)(1, 2, 3, third=4, x=5))
    assert ran == [((9, 8, 7, 6), {"third": 5, "y": 4})]


@pytest.mark.parametrize(
    "granted",
    [{"contact": "c_1"}, {"contact": "c_1", "hard": False, "more": 1}, ["c_1"], None, "c_1", {"CONTACT": "c_2"}],
)
def test_changes_that_do_not_fit_the_function_run_nothing_and_are_reported(guard, portal, ran, granted):
    sent = intent_json("approved", payload={"contact": "c_1", "hard": False})
    portal.will_answer(ok(sent, 201), ok(permit_json(sent, payload=granted), 201), ok(sent))
    with pytest.raises(IntegrityError, match="Nothing was run"):
        run(guard(delete)("c_1"))
    assert ran == []
    assert portal.body()["outcome"] == "failed"


@pytest.mark.parametrize("granted", [{"rest": "ab", "named": {}}, {"rest": [], "named": []}])
def test_changes_of_another_shape_run_nothing(guard, portal, ran, granted):
    def variadic(*rest, **named):
        return None

    approve(portal, {"rest": [], "named": {}}, granted=granted)
    with pytest.raises(IntegrityError):
        run(guard(variadic)())
    assert ran == []


def test_arguments_changed_while_a_person_decides_do_not_reach_the_function(guard, portal, ran):
    contacts = ["c_1"]
    sent = intent_json("approved", payload={"contact": ["c_1"], "hard": False})

    def decide(request):
        contacts.append("c_everyone")
        return ok(sent, 201)

    portal.will_answer(decide, ok(permit_json(sent), 201), ok(sent))
    run(guard(delete)(contacts))
    assert ran == [((["c_1"], False), {})]
    assert contacts == ["c_1", "c_everyone"]


# A payload of one's own


def test_a_payload_of_ones_own_is_proposed_and_the_original_arguments_run(guard, portal, ran):
    connection = object()
    guarded = guard(lambda connection, contact: None, payload=lambda connection, contact: {"id": contact})
    approve(portal, {"id": "c_1"})
    run(guarded(connection, "c_1"))
    assert portal.body(0)["payload"] == {"id": "c_1"}
    assert ran == [((connection, "c_1"), {})]


def test_a_payload_of_ones_own_that_says_something_else_after_the_decision_runs_nothing(guard, portal, ran):
    contacts = ["c_1"]
    sent = intent_json("approved", payload=["c_1"])

    def decide(request):
        contacts.append("c_2")
        return ok(sent, 201)

    portal.will_answer(decide, ok(permit_json(sent), 201), ok(sent))
    with pytest.raises(IntegrityError):
        run(guard(lambda contacts: None, payload=lambda contacts: contacts)(contacts))
    assert ran == []


def test_changes_to_a_payload_of_ones_own_run_only_where_they_say_the_same_again(guard, portal, ran):
    fits = guard(lambda connection, contact: None, payload=lambda connection, contact: {"contact": contact})
    approve(portal, {"contact": "c_1"}, granted={"contact": "c_2"})
    run(fits(object, "c_1"))
    assert ran == [((object, "c_2"), {})]
    differs = guard(lambda contact: None, payload=lambda contact: {"id": contact})
    approve(portal, {"id": "c_1"}, granted={"id": "c_2"})
    with pytest.raises(IntegrityError):
        run(differs("c_1"))
    assert len(ran) == 1


def test_arguments_that_are_not_json_are_refused_before_anything_is_sent(guard, portal, ran):
    with pytest.raises(StrictError) as caught:
        run(guard(delete)(object()))
    assert caught.value.path == "/contact"
    assert (ran, portal.requests) == ([], [])


def test_a_summary_can_be_made_from_the_arguments(guard, portal):
    approve(portal, {"contact": "c_1", "hard": False})
    run(guard(delete, summary=lambda contact: f"Delete {contact}")("c_1"))
    assert portal.body(0)["summary"] == "Delete c_1"


# Outcomes


def test_an_exception_is_reported_as_failed_and_raised_again(guard, portal, ran):
    def fails(contact):
        raise LookupError("no \x00 \ud800 such contact")

    approve(portal, {"contact": "c_1"})
    with pytest.raises(LookupError, match="such contact"):
        run(guard(fails)("c_1"))
    assert portal.body() == {
        "outcome": "failed",
        "result": {"error": "LookupError", "message": "no \ufffd ? such contact"},
    }


def test_an_exception_whose_report_is_lost_is_still_the_exception(guard, portal):
    def fails(contact):
        raise LookupError("gone")

    approve(portal, {"contact": "c_1"}, report=httpx.ReadTimeout("lost"))
    with pytest.raises(LookupError) as caught:
        run(guard(fails)("c_1"))
    assert "could not be told" in caught.value.__notes__[0]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_an_interrupted_function_is_not_reported_at_all(guard, portal, ran, interrupt):
    def interrupted(contact):
        raise interrupt

    approve(portal, {"contact": "c_1"})
    with pytest.raises(interrupt):
        run(guard(interrupted)("c_1"))
    assert len(ran) == 1
    assert not any(call.endswith("/report") for call in portal.calls)


@pytest.mark.parametrize(
    "report",
    [
        lambda request: httpx.ReadTimeout("lost"),
        lambda request: problem(409, "lease-lapsed"),
        lambda request: httpx.Response(502),
    ],
    ids=["lost", "lease_lapsed", "bad_gateway"],
)
def test_a_success_that_cannot_be_reported_is_indeterminate_and_keeps_the_result(guard, portal, ran, report):
    approve(portal, {"contact": "c_1", "hard": False}, report=report)
    with pytest.raises(Indeterminate, match="do not run it again") as caught:
        run(guard(delete)("c_1"))
    assert caught.value.result == {"deleted": "c_1"}
    assert len(ran) == 1
    assert len(portal.requests) == 3


@pytest.mark.parametrize("returned", [object(), float("nan"), "x" * 300_000])
def test_a_result_that_cannot_travel_is_noted_as_omitted(guard, portal, returned):
    approve(portal, {})
    run(guard(lambda: returned)())
    assert portal.body()["outcome"] == "succeeded"
    assert list(portal.body()["result"]) == ["omitted"]


def test_each_call_is_a_proposal_of_its_own(guard, portal, ran):
    guarded = guard(delete)
    for _ in range(2):
        approve(portal, {"contact": "c_1", "hard": False})
        run(guarded("c_1"))
    keys = {request.headers["idempotency-key"] for request in portal.requests if "idempotency-key" in request.headers}
    assert len(keys) == len(ran) == 2


def test_a_running_function_keeps_its_lease(gate, portal, monkeypatch):
    monkeypatch.setattr(guarding, "beat", lambda permit: 0.01)
    beaten = threading.Event()
    sent = intent_json("approved", payload={})

    def beat_or_report(request):
        if request.url.path.endswith("/heartbeat"):
            portal.will_answer(beat_or_report)
            beaten.set()
        return ok({**sent, "status": "succeeded"})

    # One more than is used at once: a heartbeat may be under way while the outcome is reported.
    portal.will_answer(ok(sent, 201), ok(permit_json(sent), 201), beat_or_report, beat_or_report)

    def work():
        return beaten.wait(30)

    async def async_work():
        while not beaten.is_set():
            await asyncio.sleep(0.01)
        return True

    guarded = gate.requires_approval("crm.delete")(async_work if isinstance(gate, AsyncGate) else work)
    assert run(guarded()) is True
    assert portal.calls[2].endswith("/heartbeat")


def test_heartbeats_come_thrice_a_lease_and_at_least_every_ten_seconds():
    sent = intent_json()
    for lease_until in ("2026-11-23T09:00:30Z", "2999-01-01T00:00:00Z", "never", None):
        permit = guarding.PermitView.parse(
            permit_json(sent, execution={"id": ids.new("exe", at=NOW), "lease_until": lease_until}), None
        )
        assert 1.0 <= guarding.beat(permit) <= 10.0


# What can be guarded


def test_a_function_that_would_not_run_when_called_is_refused():
    def generator():
        yield

    async def coroutine():
        return None

    async def async_generator():
        yield

    def plain():
        return None

    gate, twin = Gate("https://gate.example.com"), AsyncGate("https://gate.example.com")
    for guardian, function in [
        (gate, generator),
        (gate, coroutine),
        (gate, async_generator),
        (twin, plain),
        (twin, generator),
        (twin, async_generator),
    ]:
        with pytest.raises(TypeError):
            guardian.requires_approval("crm.delete")(function)
