"""A portal that answers what a test tells it to, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import inspect
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx

from tests.loops import run_apart
from zehrava import canonical, ids

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
KEY = "zhv_secret-key"
TOKEN = "permit-secret-token"


class Portal:
    """Answers the script in order; a request beyond it is an error of the client. An exception in it is raised."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._script: list[Any] = []

    def will_answer(self, *answers: Any) -> None:
        self._script.extend(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert self._script, f"unexpected {request.method} {request.url}"
        answer = self._script.pop(0)
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def calls(self) -> list[str]:
        return [f"{request.method} {request.url.raw_path.decode()}" for request in self.requests]

    def body(self, index: int = -1) -> Any:
        return json.loads(self.requests[index].content)


class FakeTime:
    """A clock that only sleeping, and portals that hold their answers, move on."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.naps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def install(self, monkeypatch: Any) -> None:
        async def sleep(seconds: float) -> None:
            self.sleep(seconds)
            await asyncio.sleep(0)

        monkeypatch.setattr("zehrava.client.time", self)
        monkeypatch.setattr("zehrava.async_client.time", self)
        monkeypatch.setattr(
            "zehrava.async_client.asyncio", SimpleNamespace(sleep=sleep, create_task=asyncio.create_task)
        )


def run(result: Any) -> Any:
    """What a call returns, from either client: awaits what has to be awaited."""
    if inspect.isawaitable(result):
        return run_apart(result)
    return result


def collect(pages: Any) -> list[Any]:
    """All that a client's iterator yields, from either client."""
    if not hasattr(pages, "__aiter__"):
        return list(pages)

    async def gather() -> list[Any]:
        return [member async for member in pages]

    return run_apart(gather())


def intent_json(status: str = "pending_approval", **changes: Any) -> dict[str, Any]:
    """An intent as the portal shows it, with the digest it really has."""
    fields = {
        "id": ids.new("int", at=NOW),
        "action": "crm.delete",
        "payload": {"contact": "c_1"},
        "summary": None,
        "context": {},
        "target": None,
        "tags": [],
        "records": None,
        "value": None,
        "on_behalf_of": None,
        "execution_mode": "agent",
        **changes,
    }
    agent = ids.new("agt", at=NOW)
    digest = digest_of({**fields, "agent": agent})
    return {
        **fields,
        "status": status,
        "agent": {"id": agent, "name": "billing"},
        "digest": digest,
        "proposal": {"payload": fields["payload"], "digest": digest},
        "risk": {"score": 1, "level": "low", "reasons": []},
        "verdict": {"effect": "require_approval", "policy": "p", "version": 1, "rule": "r", "reason": "too large"},
        "requirement": None,
        "decisions": [],
        "execution": None,
        "created_at": "2026-11-23T09:00:00.000000Z",
        "expires_at": "2026-11-23T10:00:00.000000Z",
        "decided_at": None,
    }


def permit_json(intent: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The permit for an intent; with `payload`, as approved with changes: its digest fits them."""
    payload = changes.get("payload", intent["payload"])
    return {
        "token": TOKEN,
        "execution": {"id": ids.new("exe", at=NOW), "attempt": 1, "lease_until": "2026-11-23T09:00:30Z"},
        "payload": payload,
        "digest": digest_of({**intent, "agent": intent["agent"]["id"], "payload": payload}),
        **changes,
    }


def digest_of(intent: dict[str, Any]) -> str:
    names = canonical.intent(id="", agent="", action="", payload=None, execution_mode="").keys() - {"version"}
    return canonical.digest(canonical.dumps(canonical.intent(**{name: intent[name] for name in names})))


def ok(document: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=document)


def problem(
    status: int, kind: str, detail: str = "No.", *, headers: dict[str, str] | None = None, **members: Any
) -> Any:
    document = {"type": f"urn:zehrava:problem:{kind}", "title": "T", "status": status, "detail": detail, **members}
    content_type = {"content-type": "application/problem+json"}
    return httpx.Response(status, content=json.dumps(document), headers={**content_type, **(headers or {})})
