import asyncio
import threading

from tests.loops import run_apart
from tests.waiting.conftest import Client
from zehrava_site.threads import Threads


def test_a_header_spelt_with_an_underscore_cannot_pose_as_another():
    seen = {}

    def application(environ, start_response):
        seen.update(environ)
        start_response("200 OK", [])
        return [b"{}"]

    async def test():
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": "/",
            "query_string": b"a=\xc3\xa9",
            "headers": [(b"x_forwarded_for", b"10.0.0.1"), (b"x-forwarded-proto", b"http")],
        }
        await Threads(application, threads=1)(scope, receive, send)
        assert sent[0]["status"] == 200

    run_apart(asyncio.wait_for(test(), 10))
    assert "HTTP_X_FORWARDED_FOR" not in seen
    assert seen["HTTP_X_FORWARDED_PROTO"] == "http"
    assert seen["QUERY_STRING"] == "a=%C3%A9"


class Endless:
    """A response without an end, as an export of a very long history is for a client that left."""

    def __init__(self):
        self.closed = threading.Event()

    def __call__(self, environ, start_response):
        start_response("200 OK", [])
        return self

    def __iter__(self):
        while True:
            yield b"x" * 1000

    def close(self):
        self.closed.set()


def stream(send, *, leave_after=None, stall=60.0):
    """Run an endless response against `send` in one thread, and then another: True where the thread was free for it."""
    endless = Endless()

    async def test():
        application = Threads(endless, threads=1, stall=stall)
        left = asyncio.Event()
        first = True

        async def receive():
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": b"", "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        count = 0

        async def counted(message):
            nonlocal count
            count += 1
            if count == leave_after:
                left.set()
            await send(message)

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": [],
        }
        await asyncio.wait_for(application(scope, receive, counted), 10)

    run_apart(test())
    return endless.closed.is_set()


def test_a_long_answer_ends_when_its_client_leaves():
    async def send(message):
        pass

    assert stream(send, leave_after=20)


def test_a_long_answer_ends_when_the_connection_breaks():
    async def send(message):
        if message["type"] == "http.response.body":
            raise OSError("broken pipe")

    assert stream(send)


def test_a_long_answer_ends_when_its_client_takes_nothing():
    async def send(message):
        if message["type"] == "http.response.body":
            await asyncio.sleep(3600)

    assert stream(send, stall=0.1)


def test_more_requests_than_threads_all_get_their_answer(in_loop):
    def application(environ, start_response):
        start_response("200 OK", [("content-type", "application/json")])
        return [b'{"path": "%s"}' % environ["PATH_INFO"].encode()]

    async def test():
        threads = Threads(application, threads=2)
        clients = []
        for number in range(20):
            client = Client(lambda s, r, d: threads({**s, "http_version": "1.1"}, r, d), f"/{number}")
            clients.append(client.says())
        for number, client in enumerate(clients):
            assert await client.answer() == (200, {"path": f"/{number}"})

    in_loop(test)
