"""Request bodies are read in the event loop, so that a slow or endless upload never holds a thread."""

import asyncio
import html
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CHARSET = re.compile(rb"charset\s*=\s*[\"']?([^;,\"'\s]*)")
MIB = 1024 * 1024


class Bodies:
    """ASGI middleware that hands the application each request with its body already read.

    A body over its limit is read to its end (or to `drained` bytes) and thrown away before the 413 leaves: an answer
    sent while the client still uploads breaks the connection, and the client never learns why.

    Args:
        app: the application behind.
        api_limit: bytes, for paths that take JSON from programs.
        page_limit: bytes, for every other path.
        drained: bytes, how much of an oversized body is read before giving up on the client.
        seconds: how long a client may take for the whole body.
        budget: bytes, all the bodies this process holds at one time.
    """

    def __init__(
        self,
        app: Application,
        *,
        api_limit: int = MIB,
        page_limit: int = 8 * MIB,
        drained: int = 32 * MIB,
        seconds: float = 30.0,
        budget: int = 256 * MIB,
    ) -> None:
        self.app = app
        self.api_limit = api_limit
        self.page_limit = page_limit
        self.drained = drained
        self.seconds = seconds
        self.budget = budget
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.api_limit if scope["path"].startswith(("/api/", "/v1/")) else self.page_limit
        page = wants_page(scope)
        chunks: list[bytes] = []
        try:
            try:
                async with asyncio.timeout(self.seconds):
                    fits = await self._read(receive, limit, chunks)
            except TimeoutError:
                await refuse(
                    send,
                    408,
                    "body-timeout",
                    "The body took too long",
                    f"Send it within {self.seconds:g} seconds.",
                    page=page,
                )
                return
            except Disconnected:
                return
            except BudgetSpent:
                detail = "Try again in a few seconds."
                await refuse(send, 503, "unavailable", "Too many uploads at once", detail, after=2, page=page)
                return
            if not fits:
                detail = f"At most {limit} bytes are accepted here."
                await refuse(send, 413, "too-large", "The body is too large", detail, page=page)
                return
            if not says_utf_8(scope):
                # Django decodes a query by this name while it makes its request, where nothing could catch it.
                detail = "Send text as UTF-8, and name no other charset in Content-Type."
                await refuse(send, 415, "unsupported-media-type", "Unsupported media type", detail, page=page)
                return
            body = b"".join(chunks)
            await self.app(with_length(scope, len(body)), replay(body, receive), send)
        finally:
            self.held -= sum(map(len, chunks))

    async def _read(self, receive: Receive, limit: int, chunks: list[bytes]) -> bool:
        """Collect the body into `chunks`; False where it is over `limit`, and then nothing is kept."""
        total = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            total += len(chunk)
            if total <= limit:
                if chunk:
                    chunks.append(chunk)
                    self.held += len(chunk)
                    if self.held > self.budget:
                        raise BudgetSpent
                continue
            self.held -= sum(map(len, chunks))
            chunks.clear()
            if total > self.drained:
                break
        return total <= limit


def wants_page(scope: Scope) -> bool:
    """Whether a person in a browser is to read the answer."""
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return scope["path"].startswith("/admin/") and b"text/html" in accepted.lower()


def says_utf_8(scope: Scope) -> bool:
    """Whether the Content-Type names no charset, or only UTF-8."""
    named = [CHARSET.findall(value.lower()) for name, value in scope["headers"] if name == b"content-type"]
    return all(charset in (b"utf-8", b"utf8") for found in named for charset in found)


class Disconnected(Exception):
    """The client left before its body was complete."""


class BudgetSpent(Exception):
    """This process already holds as many bytes of bodies as it may."""


def with_length(scope: Scope, length: int) -> Scope:
    """The scope with the one true Content-Length: WSGI reads nothing of a chunked body that has none."""
    framing = (b"content-length", b"transfer-encoding")
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
    if not chunked and (declared == str(length).encode() or (not declared and not length)):
        return scope
    headers = [(name, value) for name, value in scope["headers"] if name not in framing]
    return {**scope, "headers": [*headers, (b"content-length", str(length).encode())]}


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the whole body once, and then whatever the server says next (that the client left)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


# Django is not asked for it: this stands in front of it. The styles are those of the other pages that refuse.
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title} | Zehrava</title>
  <link rel="icon" type="image/svg+xml" href="/static/zehrava/mark.svg">
  <link rel="stylesheet" href="/static/zehrava/refused.css">
</head>
<body>
  <main>
    <img src="/static/zehrava/mark.svg" alt="">
    <h1>{title}</h1>
    <p>{detail} Nothing was changed. Go back in your browser: what you typed may still be there.</p>
    <p><a href="/admin/">Go to the approval desk</a></p>
  </main>
</body>
</html>
"""


async def refuse(
    send: Send, status: int, kind: str, title: str, detail: str, *, after: int | None = None, page: bool = False
) -> None:
    """Answer with a problem document (RFC 9457), or a small page for people, and close the connection.

    Args:
        after: seconds, sent as Retry-After.
        page: whether a person reads it.
    """
    document = {"type": f"urn:zehrava:problem:{kind}", "title": title, "status": status, "detail": detail, "path": ""}
    if page:
        body = PAGE.format(title=html.escape(title), detail=html.escape(detail)).encode()
    else:
        body = json.dumps(document, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"text/html; charset=utf-8" if page else b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    if after is not None:
        headers.append((b"retry-after", str(after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
