"""An application behind the middleware that answers what the test tells it to, and counts."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import pytest

from tests.loops import run_apart


class Intents:
    """The application behind, and its database: the status of every intent it is asked for."""

    def __init__(self) -> None:
        self.status = "pending_approval"
        self.code = 200
        self.answered = 0
        self.looked = 0
        self.broken = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.answered += 1
        body = json.dumps({"status": self.status}).encode()
        await send({"type": "http.response.start", "status": self.code, "headers": []})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def statuses(self, ids: Collection[str]) -> Mapping[str, str]:
        self.looked += 1
        if self.broken:
            raise RuntimeError("the database is away")
        return dict.fromkeys(ids, self.status)


class Client:
    """One request, its answer, and the end of its connection."""

    def __init__(
        self, application: Any, path: str, query: str = "", *, key: str = "k", method: str = "GET", accept: str = ""
    ) -> None:
        self.sent: list[dict[str, Any]] = []
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"authorization", f"Bearer {key}".encode()), (b"accept", accept.encode())],
            "client": ("127.0.0.1", 1),
        }
        self.task = asyncio.ensure_future(application(scope, self.incoming.get, self._send))

    def says(self, body: bytes = b"", *, more: bool = False) -> "Client":
        self.incoming.put_nowait({"type": "http.request", "body": body, "more_body": more})
        return self

    def leaves(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def answer(self) -> tuple[int, Any]:
        """The status and the JSON of the answer; raises TimeoutError where there is none within 5 seconds."""
        await asyncio.wait_for(asyncio.shield(self.task), 5)
        return self.sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in self.sent[1:]))

    async def is_held(self) -> bool:
        for _ in range(20):
            await asyncio.sleep(0)
        return not self.task.done()

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


@pytest.fixture
def intents() -> Intents:
    return Intents()


@pytest.fixture
def in_loop() -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Run an asynchronous test."""

    def run(test: Callable[[], Awaitable[None]]) -> None:
        run_apart(asyncio.wait_for(test(), 20))  # type: ignore[arg-type]

    return run
