"""The client's promises, for both clients: it asks safely, follows nothing, and says what went wrong."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime

import httpx
import pytest

from tests.sdk.portal_double import (
    KEY,
    TOKEN,
    collect,
    intent_json,
    ok,
    permit_json,
    problem,
    run,
)
from zehrava import (
    AsyncGate,
    AttentionBudgetSpent,
    Conflict,
    Forbidden,
    Gate,
    IntegrityError,
    Invalid,
    NotFound,
    ServerError,
    StrictError,
    TooManyRequests,
    Unauthenticated,
    Unreachable,
    ZehravaError,
    calls,
)

pytestmark = pytest.mark.sdk


def key_of(request: httpx.Request) -> str:
    return request.headers["idempotency-key"]


# Proposing


def test_propose_sends_what_was_said_and_nothing_else(gate, portal):
    portal.will_answer(ok(intent_json(), 201))
    run(gate.propose("crm.delete", {"contact": "c_1"}, summary="Gone", tags=("a",), expires_in=900, records=0))
    assert portal.calls == ["POST /api/v1/intents"]
    assert portal.body() == {
        "action": "crm.delete",
        "payload": {"contact": "c_1"},
        "summary": "Gone",
        "tags": ["a"],
        "expires_in": "15m",
        "records": 0,
    }
    headers = portal.requests[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["user-agent"] == "zehrava-python/0.1.0"
    assert headers["content-type"] == "application/json"


def test_propose_returns_the_intent_with_typed_attributes(gate, portal):
    sent = intent_json("blocked", value={"amount": "1", "currency": "EUR"}, tags=["x"])
    portal.will_answer(ok(sent, 201))
    intent = run(gate.propose("crm.delete", {"contact": "c_1"}))
    assert (intent.id, intent.status, intent.digest) == (sent["id"], "blocked", sent["digest"])
    assert (intent.tags, intent.value, intent.raw) == (("x",), {"amount": "1", "currency": "EUR"}, sent)
    assert intent.created_at == datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert intent.decided_at is None
    with pytest.raises(AttributeError):
        intent.status = "approved"


def test_a_retried_proposal_carries_the_same_idempotency_key_and_body(gate, portal):
    portal.will_answer(
        httpx.ReadTimeout("lost"),
        httpx.Response(502),
        problem(409, "idempotency-in-flight"),
        ok(intent_json(), 201),
    )
    run(gate.propose("crm.delete", {"contact": "c_1"}))
    assert len({key_of(request) for request in portal.requests}) == 1
    assert len({request.content for request in portal.requests}) == 1
    assert len(portal.requests) == 4


def test_two_proposals_carry_two_idempotency_keys_and_a_given_one_is_used(gate, portal):
    portal.will_answer(*[ok(intent_json(), 201) for _ in range(3)])
    run(gate.propose("crm.delete"))
    run(gate.propose("crm.delete"))
    run(gate.propose("crm.delete", idempotency_key="mine"))
    keys = [key_of(request) for request in portal.requests]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"payload": {"a": (1,)}}, StrictError),
        ({"payload": {"a": float("nan")}}, StrictError),
        ({"context": {"a": {1}}}, StrictError),
        ({"tags": "abc"}, TypeError),
        ({"expires_in": "soon"}, ValueError),
        ({"expires_in": 0}, ValueError),
        ({"idempotency_key": "a\r\nX: y"}, ValueError),
        ({"sumary": "misspelt"}, TypeError),
    ],
)
def test_a_proposal_that_cannot_be_meant_is_refused_before_anything_is_sent(gate, portal, options, error):
    with pytest.raises(error):
        run(gate.propose("crm.delete", **options))
    assert portal.requests == []


def test_supersedes_takes_an_intent_or_its_id(gate, portal):
    first = intent_json()
    portal.will_answer(ok(first, 201), ok(intent_json(), 201), ok(intent_json(), 201))
    intent = run(gate.propose("crm.delete"))
    run(gate.propose("crm.delete", supersedes=intent))
    run(gate.propose("crm.delete", supersedes=intent.id))
    assert portal.body(1)["supersedes"] == portal.body(2)["supersedes"] == first["id"]


# Asking first


def test_evaluate_asks_what_a_proposal_would_get_and_carries_no_idempotency_key(gate, portal):
    said = {"verdict": {"effect": "allow"}, "trace": [], "status": "approved"}
    portal.will_answer(ok(said))
    assert run(gate.evaluate("crm.delete", {"contact": "c_1"}, tags=("a",), expires_in=900)) == said
    assert portal.calls == ["POST /api/v1/policies/evaluate"]
    assert portal.body() == {"action": "crm.delete", "payload": {"contact": "c_1"}, "tags": ["a"], "expires_in": "15m"}
    assert "idempotency-key" not in portal.requests[0].headers


@pytest.mark.parametrize("options", [{"idempotency_key": "k"}, {"sumary": "misspelt"}, {"tags": "abc"}])
def test_a_question_that_cannot_be_meant_is_not_asked(gate, portal, options):
    with pytest.raises(TypeError):
        run(gate.evaluate("crm.delete", **options))
    assert portal.requests == []


# Trying again


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_read_is_repeated_while_the_portal_falters_and_then_fails_with_its_error(gate, portal, status):
    portal.will_answer(*[httpx.Response(status) for _ in range(4)])
    with pytest.raises((TooManyRequests, ServerError)) as caught:
        run(gate.me())
    assert caught.value.status == status
    assert len(portal.requests) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_a_refusal_is_not_repeated(gate, portal, status):
    portal.will_answer(problem(status, "conflict"))
    with pytest.raises(ZehravaError):
        run(gate.me())
    assert len(portal.requests) == 1


def test_retry_after_is_honoured(gate, portal, fake_time):
    portal.will_answer(problem(429, "too-many-requests", headers={"retry-after": "7"}), ok({"name": "billing"}))
    assert run(gate.me()) == {"name": "billing"}
    assert fake_time.naps == [7.0]


def test_a_retry_after_beyond_a_minute_is_left_to_the_caller(gate, portal, fake_time):
    portal.will_answer(problem(429, "too-many-requests", headers={"retry-after": "3600"}))
    with pytest.raises(TooManyRequests) as caught:
        run(gate.me())
    assert caught.value.retry_after == 3600
    assert fake_time.naps == []


def test_a_spent_attention_budget_is_left_to_the_caller_who_can_cancel_something(gate, portal, fake_time):
    members = {"budget": "pending", "size": 100, "used": 100}
    portal.will_answer(problem(429, "attention-budget", headers={"retry-after": "5"}, **members))
    with pytest.raises(AttentionBudgetSpent) as caught:
        run(gate.propose("crm.delete", {"customer": 1}))
    assert isinstance(caught.value, TooManyRequests)
    assert (caught.value.retry_after, caught.value.problem.extra) == (5, members)
    assert (len(portal.requests), fake_time.naps) == (1, [])


@pytest.mark.parametrize("header", ["soon", "-5", "1e9", "Mon, 99 Nov 2026 09:00:00 GMT", "٣"])
def test_a_retry_after_that_means_nothing_is_ignored(gate, portal, header):
    portal.will_answer(problem(429, "too-many-requests", headers={"retry-after": header.encode()}), ok({}))
    assert run(gate.me()) == {}


def approved(gate, portal):
    """An approved intent in the client's hands, and its JSON."""
    sent = intent_json("approved")
    portal.will_answer(ok(sent))
    intent = run(gate.get(sent["id"]))
    portal.requests.clear()
    return intent, sent


@pytest.mark.parametrize(
    "answer",
    [httpx.ReadTimeout("lost"), httpx.ReadError("lost"), httpx.RemoteProtocolError("lost"), httpx.WriteError("lost")],
)
def test_a_claim_whose_answer_is_lost_is_never_made_again(gate, portal, answer):
    intent, _ = approved(gate, portal)
    portal.will_answer(answer)
    with pytest.raises(Unreachable, match="refresh") as caught:
        run(intent.claim())
    assert caught.value.maybe_sent
    assert len(portal.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_claim_that_a_faltering_server_answers_is_never_made_again(gate, portal, status):
    intent, _ = approved(gate, portal)
    portal.will_answer(httpx.Response(status))
    with pytest.raises(ZehravaError):
        run(intent.claim())
    assert len(portal.requests) == 1


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout])
def test_a_claim_that_never_left_is_made_again(gate, portal, error):
    intent, sent = approved(gate, portal)
    portal.will_answer(error("refused"), ok(permit_json(sent), 201))
    assert run(intent.claim()).payload == sent["payload"]
    assert len(portal.requests) == 2


@pytest.mark.parametrize("method", ["heartbeat", "succeeded", "failed"])
def test_a_report_or_heartbeat_whose_answer_is_lost_is_never_made_again(gate, portal, method):
    intent, sent = approved(gate, portal)
    portal.will_answer(ok(permit_json(sent), 201), httpx.ReadTimeout("lost"))
    permit = run(intent.claim())
    with pytest.raises(Unreachable):
        run(getattr(permit, method)())
    assert len(portal.requests) == 2


def test_cancel_is_repeated_on_a_lost_connection_only(gate, portal):
    intent, sent = approved(gate, portal)
    portal.will_answer(httpx.ReadTimeout("lost"), ok({**sent, "status": "cancelled"}))
    assert run(intent.cancel()).status == "cancelled"
    portal.will_answer(httpx.Response(503))
    with pytest.raises(ServerError):
        run(intent.cancel())
    assert len(portal.requests) == 3


def test_an_unreachable_portal_is_said_to_be_unreachable(gate, portal):
    portal.will_answer(*[httpx.ConnectError("refused") for _ in range(4)])
    with pytest.raises(Unreachable, match="nothing was sent") as caught:
        run(gate.me())
    assert not caught.value.maybe_sent


# Errors and strange answers


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "malformed-json", Invalid),
        (401, "unauthenticated", Unauthenticated),
        (403, "suspended", Forbidden),
        (404, "not-found", NotFound),
        (409, "already-claimed", Conflict),
        (413, "too-large", Invalid),
        (415, "unsupported-media-type", Invalid),
        (422, "no-executor", Invalid),
        (429, "too-many-requests", TooManyRequests),
        (429, "attention-budget", AttentionBudgetSpent),
        (500, "internal", ServerError),
    ],
)
def test_each_refusal_has_its_error_with_kind_detail_and_path(portal, status, kind, error):
    portal.will_answer(problem(status, kind, "Mend this.", path="/payload/a"))
    with (
        Gate("https://gate.example.com", KEY, transport=httpx.MockTransport(portal), retries=0) as gate,
        pytest.raises(error, match=r"Mend this\. \(at /payload/a\)") as caught,
    ):
        gate.me()
    assert (caught.value.status, caught.value.kind, caught.value.path) == (status, kind, "/payload/a")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_so_that_the_key_goes_nowhere_else(gate, portal, status):
    portal.will_answer(httpx.Response(status, headers={"location": "https://evil.example.net/api/v1/agents/me"}))
    with pytest.raises(ZehravaError, match="redirects are not followed"):
        run(gate.me())
    assert len(portal.requests) == 1


@pytest.mark.parametrize(
    "content", [b"<html>", b"[]", b"null", b'{"a": 1, "a": 2}', b"", b'{"id": 7}', b'{"id": "int_1", "status": null}']
)
def test_an_answer_that_no_portal_gives_is_an_error_not_an_intent(gate, portal, content):
    portal.will_answer(httpx.Response(200, content=content))
    with pytest.raises(ServerError, match="base_url"):
        run(gate.get("int_1"))


@pytest.mark.parametrize(
    "change",
    [
        {"created_at": "yesterday"},
        {"context": []},
        {"tags": {}},
        {"decisions": "none"},
        {"execution": []},
        {"digest": 1},
    ],
)
def test_an_intent_with_a_member_of_the_wrong_kind_is_an_error(gate, portal, change):
    portal.will_answer(ok({**intent_json(), **change}))
    with pytest.raises(ServerError):
        run(gate.get("int_1"))


@pytest.mark.parametrize("id", ["../agents/me", "int_1/claim", "", "int_1?wait=1", "a" * 65, None])
def test_what_is_no_id_never_becomes_part_of_an_address(gate, portal, id):
    with pytest.raises(ValueError):
        run(gate.get(id))
    assert portal.requests == []


# Secrets


def test_no_repr_shows_the_key_or_the_token(gate, portal):
    intent, sent = approved(gate, portal)
    portal.will_answer(ok(permit_json(sent), 201))
    permit = run(intent.claim())
    shown = " ".join(repr(thing) + str(thing) for thing in (gate, intent, permit))
    assert KEY not in shown
    assert TOKEN not in shown
    assert "https://gate.example.com" in shown
    assert permit.token == TOKEN


def test_no_error_shows_the_key_or_the_token(gate, portal):
    intent, sent = approved(gate, portal)
    portal.will_answer(ok(permit_json(sent), 201), problem(409, "already-reported"), httpx.ReadTimeout("lost"))
    permit = run(intent.claim())
    for _ in range(2):
        with pytest.raises(ZehravaError) as caught:
            run(permit.succeeded())
        assert TOKEN not in repr(caught.value) + str(caught.value)
        assert KEY not in repr(caught.value) + str(caught.value)


def test_calls_do_not_show_their_headers():
    assert "secret" not in repr(calls.report("exe_1", "secret", "failed"))


@pytest.mark.parametrize("client", [Gate, AsyncGate])
@pytest.mark.parametrize(
    "address",
    ["gate.example.com", "ftp://gate.example.com", "https://", "https://u:p@gate.example.com", "https://a/?x=1"],
)
def test_an_address_that_is_none_is_refused(client, address):
    with pytest.raises(ValueError):
        client(address, KEY)


@pytest.mark.parametrize("key", ["zhv_a b", "zhv_\r\nX: y", "", "zhv_ä"])
def test_a_key_that_would_break_the_header_is_refused_without_being_shown(key):
    with pytest.raises(ValueError) as caught:
        Gate("https://gate.example.com", key)
    assert "zhv_" not in str(caught.value)


@pytest.mark.parametrize("client", [Gate, AsyncGate])
def test_an_empty_key_is_said_to_be_empty(client):
    """As it is where `os.environ.get("ZEHRAVA_KEY", "")` finds nothing."""
    with pytest.raises(ValueError, match=r"api_key is empty.*variable.*not set"):
        client("https://gate.example.com", api_key="")


def test_an_unencrypted_address_elsewhere_is_warned_of_once_and_one_here_is_not(monkeypatch):
    monkeypatch.setattr(calls, "_warned", set())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for address in (
            "http://127.0.0.1:8000",
            "http://localhost:8000",
            "http://[::1]:8000",
            "https://gate.example.com",
        ):
            Gate(address, KEY).close()
        assert caught == []
        for _ in range(3):
            Gate("http://gate.example.com", KEY).close()
    assert [str(warning.message) for warning in caught] == [
        "The key travels unencrypted to gate.example.com; use https."
    ]


def test_a_portal_below_a_path_is_asked_there(portal):
    portal.will_answer(ok({}))
    Gate("https://example.com/gate/", KEY, transport=httpx.MockTransport(portal)).me()
    assert portal.calls == ["GET /gate/api/v1/agents/me"]


# Pages


def test_intents_follow_the_pages_as_they_are_consumed(gate, portal):
    first, second = intent_json(), intent_json()
    portal.will_answer(
        ok({"results": [first], "next": "https://evil.example.net/steal?cursor=abc&status=approved", "previous": None}),
        ok({"results": [second], "next": None, "previous": None}),
    )
    seen = collect(gate.intents(status="approved", created_after=datetime(2026, 1, 1, tzinfo=UTC), risk=None))
    assert [intent.id for intent in seen] == [first["id"], second["id"]]
    assert portal.calls == [
        "GET /api/v1/intents?status=approved&created_after=2026-01-01T00%3A00%3A00%2B00%3A00",
        "GET /api/v1/intents?cursor=abc&status=approved",
    ]
    assert {request.url.host for request in portal.requests} == {"gate.example.com"}


def test_pages_that_lead_in_a_circle_end_with_an_error(gate, portal):
    page = {"results": [], "next": "https://gate.example.com/api/v1/intents?cursor=abc", "previous": None}
    portal.will_answer(ok(page), ok(page))
    with pytest.raises(ServerError, match="circle"):
        collect(gate.intents())


def test_a_page_without_results_is_an_error_not_the_end(gate, portal):
    portal.will_answer(ok({"next": None}))
    with pytest.raises(ServerError):
        collect(gate.intents())


# Claiming and reporting


def test_a_permit_reports_with_its_token_in_the_header_only(gate, portal):
    intent, sent = approved(gate, portal)
    granted = permit_json(sent)
    portal.will_answer(ok(granted, 201), ok({"state": "running"}), ok({**sent, "status": "succeeded"}))
    permit = run(intent.claim())
    assert run(permit.heartbeat()) == {"state": "running"}
    assert run(permit.succeeded({"rows": 1})).status == "succeeded"
    execution = granted["execution"]["id"]
    assert portal.calls == [
        f"POST /api/v1/intents/{sent['id']}/claim",
        f"POST /api/v1/executions/{execution}/heartbeat",
        f"POST /api/v1/executions/{execution}/report",
    ]
    assert [request.headers.get("zehrava-permit") for request in portal.requests] == [None, TOKEN, TOKEN]
    assert portal.body() == {"outcome": "succeeded", "result": {"rows": 1}}


def test_an_intent_reports_by_a_permit_or_by_a_token_after_a_restart(gate, portal):
    intent, sent = approved(gate, portal)
    granted = permit_json(sent)
    running = {**sent, "status": "executing", "execution": {"id": "exe_1", "state": "running", "attempt": 1}}
    done = {**running, "status": "failed"}
    portal.will_answer(ok(granted, 201), ok(done), ok(running), ok(done))
    run(intent.report(run(intent.claim()), "failed"))
    assert run(intent.report(TOKEN, "failed", "why")).status == "failed"
    assert portal.calls[-2:] == [f"GET /api/v1/intents/{sent['id']}", "POST /api/v1/executions/exe_1/report"]
    assert portal.body() == {"outcome": "failed", "result": "why"}


def test_an_outcome_that_there_is_not_is_refused_before_anything_is_sent(gate, portal):
    intent, sent = approved(gate, portal)
    portal.will_answer(ok(permit_json(sent), 201))
    permit = run(intent.claim())
    with pytest.raises(ValueError):
        run(permit.report("maybe"))
    assert len(portal.requests) == 1


def test_a_permit_for_another_payload_than_its_digest_says_is_refused_and_reported_as_not_run(gate, portal):
    intent, sent = approved(gate, portal)
    forged = permit_json(sent)
    forged["payload"] = {"contact": "c_2"}
    portal.will_answer(ok(forged, 201), ok({**sent, "status": "failed"}))
    with pytest.raises(IntegrityError):
        run(intent.claim())
    assert portal.body()["outcome"] == "failed"


def test_a_permit_for_an_amended_payload_with_its_own_digest_is_good(gate, portal):
    intent, sent = approved(gate, portal)
    portal.will_answer(ok(permit_json(sent, payload={"contact": "c_2"}), 201))
    assert run(intent.claim()).payload == {"contact": "c_2"}


@pytest.mark.parametrize("name", ["action", "summary", "context", "target", "execution_mode"])
def test_a_permit_does_not_fit_an_intent_of_which_anything_was_changed(gate, portal, name):
    sent = intent_json("approved")
    changed = {**sent, name: {"x": 1} if name == "context" else "other"}
    portal.will_answer(ok(changed), ok(permit_json(sent), 201), ok(changed))
    with pytest.raises(IntegrityError):
        run(run(gate.get(sent["id"])).claim())


@pytest.mark.parametrize("change", [{"token": None}, {"token": "a\nb"}, {"execution": {}}, {"digest": 1}])
def test_a_permit_that_is_none_is_an_error(gate, portal, change):
    intent, sent = approved(gate, portal)
    portal.will_answer(ok({**permit_json(sent), **change}, 201))
    with pytest.raises((ServerError, ValueError)):
        run(run(intent.claim()).succeeded())
    assert len(portal.requests) == 1


def test_both_clients_close():
    with Gate("https://gate.example.com", KEY) as gate:
        pass
    with pytest.raises(RuntimeError):
        gate.me()

    async def use() -> None:
        async with AsyncGate("https://gate.example.com", KEY) as twin:
            pass
        with pytest.raises(RuntimeError):
            await twin.me()

    run(use())
