"""`GET /api/v1/intents/{id}?wait=25`: agents wait here, in the event loop, and hold no thread meanwhile."""

import asyncio
import hashlib
import json
import logging
import re
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any
from urllib.parse import parse_qsl

from zehrava.waiting import LONGEST_WAIT
from zehrava_site.bodies import Application, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

INTENT_PATH = re.compile(r"/api/v1/intents/(int_[0-9A-Za-z]{1,64})")
KEYID = re.compile(rb'keyid="([^"]+)"')
WAIT = re.compile(r"[0-9]{1,2}")
# In any other status nothing more happens by itself, so there is nothing to wait for.
MOVING = frozenset({"pending_approval", "approved", "executing"})

Statuses = Callable[[Collection[str]], Mapping[str, str]]


class Waiting:
    """ASGI middleware that holds an agent's question until the status of its intent changes.

    The application answers first, and so decides who may ask; only its 200 is worth waiting on. When the status moves,
    or the time is up, the application answers once more: nobody is told anything by this class, and a key revoked
    meanwhile gets its 401.

    Args:
        app: the application that answers.
        statuses: the statuses now, by intent id, of those that exist; runs in a thread of its own.
        interval: seconds between two looks at the database, one query for everyone who waits in this process.
        places: how many may wait in this process; one more is answered at once.
        places_each: the same for one credential, so that one agent cannot take every place.
    """

    def __init__(
        self,
        app: Application,
        statuses: Statuses,
        *,
        interval: float = 0.2,
        places: int = 2_000,
        places_each: int = 50,
    ) -> None:
        self.app = app
        self.places = places
        self.places_each = places_each
        self.watch = Watch(statuses, interval)
        self._taken: Counter[bytes] = Counter()
        self._heeding = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        asked = question(scope) if scope["type"] == "http" else None
        if asked is None:
            await self.app(scope, receive, send)
            return
        intent_id, seconds, since = asked
        credential = credential_of(scope)
        if self.watch.closed or self._taken.total() >= self.places or self._taken[credential] >= self.places_each:
            await self.app(scope, no_body(), send)
            return
        # The place is taken before the first answer, so that many questions at one moment cannot all find it free.
        self._taken[credential] += 1
        try:
            answer = Answer()
            await self.app(scope, no_body(), answer)
            status = answer.status()
            if status not in MOVING or since not in (None, status):
                await answer.pass_on(send)
                return
            del answer
            if not await self._hold(intent_id, status, seconds, receive):
                return
        finally:
            self._taken[credential] -= 1
            if not self._taken[credential]:
                del self._taken[credential]
        await self.app(scope, no_body(), send)

    async def _hold(self, intent_id: str, status: str, seconds: int, receive: Receive) -> bool:
        """Wait until the status moved or the time is up; False where the client left."""
        if not self._heeding:
            self._heeding = True
            heed_the_end(self.watch.close)
        moved = asyncio.ensure_future(self.watch.moved(intent_id, status))
        left = asyncio.ensure_future(disconnected(receive))
        try:
            await asyncio.wait({moved, left}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return not left.done()
        finally:
            moved.cancel()
            left.cancel()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.watch.close()
        await send({"type": "lifespan.shutdown.complete"})


class Watch:
    """One look at the database every `interval` seconds, for all who wait in this process; none where nobody waits."""

    def __init__(self, statuses: Statuses, interval: float) -> None:
        self.statuses = statuses
        self.interval = interval
        self.closed = False
        self._waiting: dict[str, dict[asyncio.Future[None], str]] = defaultdict(dict)
        self._looking: asyncio.Task[None] | None = None
        # One thread, so that one database connection serves every look.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watch")

    async def moved(self, intent_id: str, status: str) -> None:
        """Return when the intent's status is no longer `status`, or when this watch closes."""
        if self.closed:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[intent_id][woken] = status
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            await woken
        finally:
            self._waiting[intent_id].pop(woken, None)
            if not self._waiting[intent_id]:
                del self._waiting[intent_id]

    def close(self) -> None:
        """Wake everyone and look no more."""
        self.closed = True
        for waiters in self._waiting.values():
            for woken in waiters:
                _wake(woken)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _look(self) -> None:
        failing = False
        while self._waiting and not self.closed:
            await asyncio.sleep(self.interval * (10 if failing else 1))
            try:
                now = await asyncio.get_running_loop().run_in_executor(self._thread, self.statuses, list(self._waiting))
            except Exception:
                # Those who wait still get an answer when their time is up; the next look may work again.
                if not failing and not self.closed:
                    logger.exception("Cannot look for changed intents; trying again.")
                failing = True
                continue
            failing = False
            for intent_id, waiters in list(self._waiting.items()):
                for woken, status in waiters.items():
                    # One that came after the question was sent is not in the answer: the next look has it.
                    if now.get(intent_id, status) != status:
                        _wake(woken)


class Answer:
    """An application's answer, kept until it is clear whether it is the one to give."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    def status(self) -> str | None:
        """The intent's status in it; None where it is anything but a 200 with one."""
        if not self.messages or self.messages[0].get("status") != 200:
            return None
        try:
            document = json.loads(b"".join(message.get("body", b"") for message in self.messages[1:]))
        except ValueError:
            return None
        status = document.get("status") if isinstance(document, dict) else None
        return status if isinstance(status, str) else None

    async def pass_on(self, send: Send) -> None:
        for message in self.messages:
            await send(message)


def question(scope: Scope) -> tuple[str, int, str | None] | None:
    """The intent id, the seconds that a request asks to wait, and the status it knows of, if it says.

    None where it asks no such thing, or not properly: that is the application's to refuse, with a reason.
    """
    if scope["method"] != "GET" or b"wait=" not in scope["query_string"]:
        return None
    path = INTENT_PATH.fullmatch(scope["path"])
    asked = parse_qsl(scope["query_string"].decode("latin-1"))
    waits = [value for name, value in asked if name == "wait"]
    # What moved between the last answer and this question is told at once, not at the end of the wait.
    since = next((value for name, value in asked if name == "since"), None)
    if path is None or len(waits) != 1 or not WAIT.fullmatch(waits[0]) or not 0 < int(waits[0]) <= LONGEST_WAIT:
        return None
    return path[1], int(waits[0]), since


def credential_of(scope: Scope) -> bytes:
    """A hash that tells one credential from another: by token, signing key, session or else address."""
    sent = dict(scope["headers"])
    shown = sent.get(b"authorization", b"").split()[-1:]
    signer = KEYID.search(sent.get(b"signature-input", b""))
    address = str((scope.get("client") or ("",))[0]).encode()
    return hashlib.sha256(shown[0] if shown else signer[1] if signer else sent.get(b"cookie") or address).digest()


def heed_the_end(close: Callable[[], None]) -> None:
    """Have `close` called when this process is told to end, before the server's own handler of the signal.

    A server lets requests finish before it ends, so everyone who waits must be answered at the signal, or it could not
    end for as long as the longest of them waits. The server puts its handlers in place after it has loaded the
    application, so this is called when the first client waits.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)

        def handle(number: int, frame: FrameType | None, before: Any = before) -> None:
            loop.call_soon_threadsafe(close)
            if callable(before):
                before(number, frame)

        if callable(before):
            signal.signal(number, handle)
            signal.siginterrupt(number, False)


async def disconnected(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def no_body() -> Receive:
    """A `receive` for one answer to a GET: an empty body, and then nothing more is heard of the client."""
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await asyncio.get_running_loop().create_future()
        given = True
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive


def stored_statuses(ids: Collection[str]) -> Mapping[str, str]:
    """What the database says now; a connection that broke is closed, and the next look opens another."""
    from django.db import close_old_connections

    from intents.models import Intent

    close_old_connections()
    try:
        return dict(Intent.objects.filter(pk__in=ids).values_list("pk", "status"))
    finally:
        close_old_connections()


def _wake(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)
