"""Django, which is synchronous here, behind an event loop: a few threads work while any number of clients wait."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

from a2wsgi import WSGIMiddleware

from zehrava_site.bodies import Message, Receive, Scope, Send

LONG = 5  # messages; an ordinary answer has three: head, body, end

WsgiApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Threads:
    """ASGI application that runs a WSGI application in threads of its own.

    A thread is never left behind by its client: when the client goes away, or takes no byte for `stall` seconds, what
    is still to come is dropped and the response's iterator closed: its thread and database connection are free again.

    Args:
        application: the WSGI application.
        threads: how many requests this process works on at one time.
        stall: seconds.
    """

    def __init__(self, application: WsgiApplication, *, threads: int = 4, stall: float = 60.0) -> None:
        self.stall = stall
        self._wsgi = WSGIMiddleware(_until_gone(application), workers=threads)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._wsgi(scope, receive, send)  # type: ignore[arg-type]
            return
        gone = threading.Event()
        body = await _body(receive)
        listening: asyncio.Future[None] | None = None
        chunks = 0

        async def given() -> Message:
            return body

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        async def send_or_give_up(message: Message) -> None:
            # The bridge's thread blocks for ever on a sender that raised: so this one swallows, and says so in `gone`.
            nonlocal chunks, listening
            if gone.is_set():
                return
            # The server takes bytes for a client that has left, and says nothing. Worth asking only in a long answer.
            chunks += 1
            if chunks == LONG and listening is None:
                listening = asyncio.ensure_future(listen())
            try:
                async with asyncio.timeout(self.stall):
                    await send(message)
            except Exception:
                gone.set()

        request = asyncio.ensure_future(self._wsgi(_tidied(scope, gone), given, send_or_give_up))  # type: ignore[arg-type]
        try:
            await asyncio.shield(request)
        except asyncio.CancelledError:
            gone.set()
            raise
        finally:
            if listening is not None:
                listening.cancel()


async def _body(receive: Receive) -> Message:
    """The whole body as one message, so that what the client says later can only be that it left."""
    chunks = []
    more = True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return {"type": "http.request", "body": b"".join(chunks), "more_body": False}


def _tidied(scope: Scope, gone: threading.Event) -> Scope:
    """The scope as CGI's names can carry it.

    `X_Forwarded_For` and `X-Forwarded-For` are one name to WSGI, so a header spelt with an underscore could pose as one
    that a proxy in front has set or removed: it is dropped. A raw byte in the query is percent-encoded.
    """
    headers = [(name, value) for name, value in scope["headers"] if b"_" not in name]
    query = scope["query_string"]
    if not query.isascii():
        query = quote(query, safe="%&=+;:@/?,!$'()*-._~[]").encode()
    return {**scope, "headers": headers, "query_string": query, "zehrava.gone": gone}


def _until_gone(application: WsgiApplication) -> WsgiApplication:
    def run(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return _Chunks(application(environ, start_response), environ["asgi.scope"]["zehrava.gone"])

    return run


class _Chunks:
    """A response's chunks for as long as somebody takes them."""

    def __init__(self, response: Iterable[bytes], gone: threading.Event) -> None:
        self.response = response
        self.gone = gone

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.response:
            if self.gone.is_set():
                return
            yield chunk

    def close(self) -> None:
        close = getattr(self.response, "close", None)
        if close is not None:
            close()
