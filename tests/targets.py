"""Targets on loopback that note what arrives, byte by byte, and answer as a test tells them to."""

import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"done": 1}'


@dataclass
class Arrived:
    """One request, as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    names: list[str]
    body: bytes


@dataclass
class Target:
    """A loopback HTTP server: `requests` arrived whole; `behave` is given the connection after each."""

    port: int = 0
    requests: list[Arrived] = field(default_factory=list)
    connections: int = 0
    behave: Callable[[socket.socket], None] = lambda connection: connection.sendall(OK)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/import"

    def answer(self, raw: bytes) -> None:
        self.behave = lambda connection: connection.sendall(raw)

    def say(self, status: int, body: bytes = b"", headers: bytes = b"") -> None:
        self.answer(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body))


def _read_request(connection: socket.socket) -> Arrived | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        raw += chunk
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [tuple(line.split(": ", 1)) for line in lines]
    headers = {name.lower(): value for name, value in pairs}
    while len(body) < int(headers.get("content-length", "0")):
        chunk = connection.recv(65536)
        if not chunk:
            return None
        body += chunk
    method, target, _ = first.split(" ")
    return Arrived(method, target, headers, [name.lower() for name, _ in pairs], body)


@contextlib.contextmanager
def serve(target: Target, context: ssl.SSLContext | None = None) -> Iterator[Target]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            target.connections += 1
            connection = self.request
            with contextlib.suppress(OSError):
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                connection.settimeout(30)
                arrived = _read_request(connection)
                if arrived is not None:
                    target.requests.append(arrived)
                    target.behave(connection)
                connection.close()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as server:
        target.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield target
        finally:
            server.shutdown()
