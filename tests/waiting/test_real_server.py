"""Agents wait on a real server with fewer threads than agents, and nobody else notices."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

pytestmark = pytest.mark.process

WAITING = 20


@contextmanager
def agent(portal):
    key = portal.manage_json("agent_create", "patient", "--owner", portal.admin)["key"]
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{portal.base_url}/api/v1", headers=headers, timeout=90) as client:
        yield client


def proposed(client, number):
    answer = client.post("/intents", json={"action": "mail.send", "payload": {"number": number}})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_twenty_agents_wait_while_desk_and_api_answer(start_portal):
    portal = start_portal(ZEHRAVA_WEB_THREADS="2")
    with agent(portal) as client, ThreadPoolExecutor(WAITING) as pool:
        intents = [proposed(client, number) for number in range(WAITING)]
        waiting = [pool.submit(client.get, f"/intents/{intent}", params={"wait": 60}) for intent in intents]
        with httpx.Client(base_url=portal.base_url, timeout=10, follow_redirects=True) as person:
            for _ in range(20):
                assert person.get("/admin/").status_code == 200
                assert client.get("/agents/me").status_code == 200
        assert not any(held.done() for held in waiting)
        for intent in intents:
            assert client.post(f"/intents/{intent}/cancel").status_code == 200
        assert {held.result().json()["status"] for held in waiting} == {"cancelled"}


def test_a_server_that_ends_answers_those_who_wait(start_portal):
    portal = start_portal()
    with agent(portal) as client, ThreadPoolExecutor(1) as pool:
        intent = proposed(client, 1)
        held = pool.submit(client.get, f"/intents/{intent}", params={"wait": 60})
        # A second question, asked later and answered, shows that the server has the first.
        assert client.get("/agents/me").status_code == 200
        assert client.get(f"/intents/{intent}", params={"wait": 1}).json()["status"] == "pending_approval"
        portal.stop()
        assert held.result(timeout=30).json()["status"] == "pending_approval"


def test_an_upload_over_the_limit_gets_its_reason_and_not_a_broken_connection(live_server_process):
    body = b'{"action": "mail.send", "payload": "' + b"x" * 2_000_000 + b'"}'
    answer = httpx.post(f"{live_server_process.base_url}/api/v1/intents", content=body, timeout=30)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:zehrava:problem:too-large"
