"""Whatever goes wrong under /api/ is a problem document and shows no internals."""

import logging
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from tests.api.conftest import Caller, problem


def test_an_address_that_is_none_is_a_problem(anonymous: Caller) -> None:
    problem(anonymous.get("/api/v1/nothing"), 404, "not-found")
    problem(anonymous.get("/api/v1/intents/"), 404, "not-found")
    problem(anonymous.post("/api/nothing", {}), 404, "not-found")


def test_a_page_that_is_none_is_still_a_page(anonymous: Caller) -> None:
    response = anonymous.get("/nothing")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_method_that_is_none_is_told_with_those_that_are(agent: Caller, method: str) -> None:
    response = agent.call(method, "intents")
    problem(response, 405, "method-not-allowed")
    assert set(response["Allow"].split(", ")) >= {"GET", "POST"}


def test_another_format_is_not_acceptable(agent: Caller) -> None:
    problem(agent.get("agents/me", Accept="text/html"), 406, "not-acceptable")
    assert agent.get("agents/me", Accept="text/html, */*;q=0.1").status_code == 200


def test_an_unexpected_error_is_logged_and_told_without_internals(
    agent: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the secret is swordfish")

    monkeypatch.setattr("intents.api.intents.propose", fail)
    with caplog.at_level(logging.ERROR):
        response = agent.post("intents", {"action": "a.b", "payload": 1}, X_Request_Id="req-7")
    document = problem(response, 500, "internal")
    assert document["request_id"] == "req-7"
    assert b"swordfish" not in response.content
    assert "the secret is swordfish" in caplog.text


def test_a_database_that_does_not_answer_is_503_and_says_when_to_come_back(
    agent: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr("intents.api.authentication.in_force.current", fail)
    response = agent.get("agents/me")
    problem(response, 503, "unavailable")
    assert int(response["Retry-After"]) >= 1
    assert b"locked" not in response.content


def test_an_error_outside_of_a_view_is_a_problem_too(anonymous: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the secret is swordfish")

    monkeypatch.setattr("django.middleware.common.CommonMiddleware.process_request", fail)
    response = anonymous.get("agents/me")
    problem(response, 500, "internal")
    assert b"swordfish" not in response.content


def test_a_host_that_is_not_ours_is_a_problem(anonymous: Caller, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["gate.example"]
    problem(anonymous.get("agents/me", Host="elsewhere.example"), 400, "malformed-request")


def test_a_query_of_a_thousand_parameters_is_malformed_and_no_error_of_ours(agent: Caller) -> None:
    problem(agent.get("intents?" + "&".join(f"a{n}=1" for n in range(1_001))), 400, "malformed-request")


def test_a_broken_form_sent_with_a_session_is_refused_and_no_error_of_ours(reviewer: Caller) -> None:
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(reviewer.user)
    browser.cookies["csrftoken"] = "a" * 32
    response = Caller(client=browser).post("intents", raw=b"x", Content_Type="multipart/form-data; boundary=" + "é")
    problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x"])
def test_a_body_in_a_coding_is_refused_and_told_to_come_without(agent: Caller, coding: str) -> None:
    body = {"action": "a.b", "payload": {}}
    document = problem(agent.post("intents", body, Content_Encoding=coding), 415, "unsupported-media-type")
    assert "without Content-Encoding" in document["detail"]
    assert agent.post("intents", body, Content_Encoding="Identity").status_code == 201


@pytest.mark.parametrize("charset", ["utf-16", "latin-1", "rot13", "utf-8-sig", "nonsense", '"utf-16"', ""])
def test_a_body_of_another_charset_is_refused_and_told_to_come_in_utf_8(agent: Caller, charset: str) -> None:
    response = agent.post(
        "intents", {"action": "a.b", "payload": {}}, Content_Type=f"application/json; charset={charset}"
    )
    document = problem(response, 415, "unsupported-media-type")
    assert "UTF-8" in document["detail"]


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8"])
def test_utf_8_may_be_said(agent: Caller, charset: str) -> None:
    response = agent.post(
        "intents", {"action": "a.b", "payload": {}}, Content_Type=f"application/json; charset={charset}"
    )
    assert response.status_code == 201


def test_a_charset_that_reads_a_query_in_another_way_is_refused(agent: Caller) -> None:
    response = agent.call("GET", "intents?action=%41", raw=b"x", Content_Type="application/json; charset=utf-16")
    problem(response, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "address", ["intents/%00", "%00", "intents?action=%00", "intents?cursor=%00", "intents?%00=1", "intents?a=1&b=x%00"]
)
def test_nul_in_an_address_is_a_malformed_request(agent: Caller, address: str) -> None:
    document = problem(agent.get(address), 400, "malformed-request")
    assert "U+0000" in document["detail"]


def test_nul_in_a_cookie_is_a_malformed_request(reviewer: Caller) -> None:
    # The octal escape of a quoted cookie value.
    response = Caller().get("intents", Cookie='sessionid="\\000' + "a" * 32 + '"')
    problem(response, 400, "malformed-request")


def test_a_head_is_answered_like_a_get_without_its_body(agent: Caller) -> None:
    response = agent.call("HEAD", "agents/me")
    assert (response.status_code, response.content) == (200, b"")


def test_answers_are_kept_by_nobody_and_may_load_nothing(agent: Caller, anonymous: Caller) -> None:
    for response in (agent.get("agents/me"), agent.get("/api/v1/nothing"), anonymous.get("intents")):
        assert response["Cache-Control"] == "no-store"
        assert response["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert response["X-Content-Type-Options"] == "nosniff"


def test_every_answer_carries_the_request_id(agent: Caller) -> None:
    assert agent.get("agents/me", X_Request_Id="abc-1")["X-Request-Id"] == "abc-1"
    assert agent.get("agents/me")["X-Request-Id"]
