"""What executors are handed, and targets and a mail server on loopback that note what arrives."""

import contextlib
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from intents.executors import Order
from tests.targets import Target, serve
from zehrava import canonical


@pytest.fixture
def target() -> Iterator[Target]:
    with serve(Target()) as running:
        yield running


@pytest.fixture
def serve_target() -> Any:
    return serve


@pytest.fixture
def new_target() -> Any:
    return Target


@pytest.fixture
def order() -> Callable[..., Order]:
    """An order for some payload, by default one whose canonical form differs from how it was written."""

    def make(payload: Any = None, *, attempt: int = 1, **settings: Any) -> Order:
        payload = {"b": 1.0, "a": "é €", "list": "spring"} if payload is None else payload
        return Order(
            intent_id="int_01hzz0000000000000000000ab",
            attempt=attempt,
            action="crm.import",
            payload=payload,
            payload_bytes=canonical.dumps(payload),
            digest="sha256:" + "ab" * 32,
            settings=settings,
        )

    return make


# --- mail ----------------------------------------------------------------------------------------------------------


@dataclass
class Post:
    """A loopback SMTP server. `replies` maps the beginning of a command to an answer, or to None: hang up."""

    port: int = 0
    replies: dict[str, str | None] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    slow: dict[str, float] = field(default_factory=dict)


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._talk(self.server.post)  # type: ignore[attr-defined]

    def _talk(self, post: Post) -> None:
        if not self._reply(post, "GREETING", "220 loopback"):
            return
        while line := self.rfile.readline():
            command = line.decode("latin-1").rstrip("\r\n")
            post.commands.append(command)
            default = "250-loopback\r\n250 SIZE 10000000" if command.lower().startswith("ehlo") else "250 ok"
            is_data = command.lower() == "data"
            if not self._reply(post, command, "354 go on" if is_data else default):
                return
            if is_data and self._agreed:
                text = b""
                while not text.endswith(b"\r\n.\r\n"):
                    piece = self.rfile.readline()
                    if not piece:
                        return
                    text += piece
                post.texts.append(text)
                if not self._reply(post, "TEXT", "250 accepted"):
                    return

    def _reply(self, post: Post, command: str, default: str) -> bool:
        time.sleep(next((s for start, s in post.slow.items() if command.lower().startswith(start.lower())), 0))
        reply = next(
            (r for start, r in post.replies.items() if command.lower().startswith(start.lower())),
            default,
        )
        self._agreed = reply is not None and reply.startswith("354")
        if reply is None:
            return False
        self.wfile.write(reply.encode() + b"\r\n")
        return True


@pytest.fixture
def post(settings: Any) -> Iterator[Post]:
    """The SMTP server that Django's mail settings point at during the test."""

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        block_on_close = False

    with Server(("127.0.0.1", 0), _Session) as server:
        server.post = running = Post(port=server.server_address[1])  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", running.port
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        try:
            yield running
        finally:
            server.shutdown()
