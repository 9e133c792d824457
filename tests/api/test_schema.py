"""GET /api/schema and GET /api/docs, and the API held to its own schema by generated requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.contrib.staticfiles import finders
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from tests.api.conftest import Caller
from zehrava_site.api.documentation import document
from zehrava_site.wsgi import application

schema = schemathesis.openapi.from_wsgi("/api/schema", application)
schemathesis.checks.load_all_checks()
CHECKS = schemathesis.checks.CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ]
)


def test_the_schema_is_for_anyone_as_yaml_or_json(anonymous: Caller) -> None:
    response = anonymous.get("/api/schema")
    assert response.status_code == 200
    assert response.content.startswith(b"openapi: 3.")
    response = anonymous.get("/api/schema", Accept="application/vnd.oai.openapi+json")
    assert response.json()["paths"].keys() >= {"/api/v1/intents", "/api/v1/intents/{intent_id}"}


def test_every_operation_says_who_may_call_it_and_what_can_go_wrong() -> None:
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["security"] and {} not in operation["security"], where
            assert {"401", "403", "500", "503"} <= operation["responses"].keys(), where
            assert operation["summary"], where
            for status, response in operation["responses"].items():
                assert response.get("content"), f"{where}: {status} is not described"


def test_the_documentation_loads_nothing_from_elsewhere(anonymous: Caller) -> None:
    page = anonymous.get("/api/docs")
    assert page.status_code == 200
    policy = page["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    sources = re.findall(r'(?:src|href)="([^"]*)"', page.content.decode())
    assert len(sources) >= 3
    for source in sources:
        assert source.startswith("/"), source
        if source.startswith("/static/"):
            assert finders.find(source.removeprefix("/static/")), source
    script = anonymous.get("/api/docs?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/schema" in script.content.decode()
    # Its one inline script would not run: everything is in files.
    assert not re.search(r"<script>\s*\S", page.content.decode())


def generated(examples: int) -> Any:
    return hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


@pytest.fixture
def one_connection() -> Iterator[None]:
    """A request ends by closing the connection that the test's own transaction lives in; here it must stay."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def real_ids(agent: Caller, reviewer: Caller, policy: None) -> dict[str, str]:
    """Ids that exist, so that generated requests reach past the 404."""
    intent, claimed = agent.propose(), agent.propose("allowed.thing")
    decided = agent.propose("other.thing")
    vote = {"vote": "approve", "digest": decided["digest"]}
    decision = reviewer.post(f"intents/{decided['id']}/decisions", vote).json()["decisions"][0]
    execution = agent.post(f"intents/{claimed['id']}/claim").json()["execution"]
    return {
        "intent_id": intent["id"],
        "execution_id": execution["id"],
        "decision_id": decision["id"],
        "model": "intent",
    }


@schema.parametrize()
@generated(examples=15)
def test_no_generated_request_is_answered_otherwise_than_documented(
    case: Any, real_ids: dict[str, str], one_connection: None, request: pytest.FixtureRequest
) -> None:
    # Somebody whom the door lets in; whom it does not, test_doors knows.
    by_tag = {"audit": "auditor", "decisions": "reviewer"}
    caller: Caller = request.getfixturevalue(by_tag.get(case.operation.tags[0], "agent"))
    case.path_parameters = {name: real_ids.get(name, sent) for name, sent in (case.path_parameters or {}).items()}
    response = case.call(headers={"Authorization": f"Bearer {caller.credential}"})
    case.validate_response(response, checks=CHECKS)
