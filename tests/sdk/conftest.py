"""Both clients meet the same portal: each test of the client runs with either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.sdk.portal_double import KEY, FakeTime, Portal
from zehrava import AsyncGate, Gate


@pytest.fixture
def portal() -> Portal:
    return Portal()


@pytest.fixture(params=[Gate, AsyncGate], ids=["gate", "async_gate"])
def gate(request: Any, portal: Portal) -> Iterator[Any]:
    yield request.param("https://gate.example.com", KEY, transport=httpx.MockTransport(portal), backoff=0.0)


@pytest.fixture
def fake_time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    fake.install(monkeypatch)
    return fake
