import asyncio
import json

import pytest

from tests.waiting.conftest import Client
from zehrava_site.bodies import Bodies


class Echo:
    """Says how long the body was that it got."""

    def __init__(self):
        self.asked = 0

    async def __call__(self, scope, receive, send):
        self.asked += 1
        message = await receive()
        body = json.dumps(
            {"length": len(message["body"]), "headers": dict(scope["headers"]).get(b"content-length", b"").decode()}
        )
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body.encode(), "more_body": False})


def test_a_body_in_pieces_arrives_whole_and_with_its_length(in_loop):
    async def test():
        client = Client(Bodies(Echo()), "/api/v1/intents", method="POST")
        client.says(b"abc", more=True).says(b"", more=True).says(b"de")
        assert await client.answer() == (200, {"length": 5, "headers": "5"})

    in_loop(test)


def test_a_body_over_the_limit_is_read_to_its_end_and_refused(in_loop):
    async def test():
        echo = Echo()
        client = Client(Bodies(echo, api_limit=10), "/api/v1/intents", method="POST")
        client.says(b"x" * 11, more=True)
        assert await client.is_held()  # an answer now would break the upload
        client.says(b"x")
        status, document = await client.answer()
        assert status == 413
        assert (document["type"], document["path"]) == ("urn:zehrava:problem:too-large", "")
        assert "10 bytes" in document["detail"]
        assert (b"content-type", b"application/problem+json") in client.sent[0]["headers"]
        assert echo.asked == 0

    in_loop(test)


def test_a_person_reads_a_page_and_a_program_a_problem(in_loop):
    async def test():
        browser = "text/html,application/xhtml+xml"
        for path, accept, kind in [
            ("/admin/intents/policy/add/", browser, b"text/html; charset=utf-8"),
            ("/admin/intents/policy/add/", "", b"application/problem+json"),
            ("/api/v1/intents", browser, b"application/problem+json"),
        ]:
            client = Client(Bodies(Echo(), api_limit=10, page_limit=10), path, method="POST", accept=accept)
            client.says(b"x" * 11)
            try:
                await client.answer()
            except json.JSONDecodeError:
                assert b"The body is too large" in client.sent[1]["body"]
            assert client.sent[0]["status"] == 413
            assert dict(client.sent[0]["headers"])[b"content-type"] == kind

    in_loop(test)


def test_a_body_of_exactly_the_limit_is_accepted(in_loop):
    async def test():
        client = Client(Bodies(Echo(), api_limit=10), "/v1/intents", method="POST").says(b"x" * 10)
        assert (await client.answer())[0] == 200

    in_loop(test)


def test_pages_take_larger_bodies_than_the_api(in_loop):
    async def test():
        application = Bodies(Echo(), api_limit=10, page_limit=20)
        assert (await Client(application, "/admin/", method="POST").says(b"x" * 20).answer())[0] == 200
        assert (await Client(application, "/api/v1/intents", method="POST").says(b"x" * 20).answer())[0] == 413

    in_loop(test)


def test_an_endless_body_is_not_read_for_ever(in_loop):
    async def test():
        client = Client(Bodies(Echo(), api_limit=10, drained=100), "/api/v1/intents", method="POST")
        for _ in range(11):
            client.says(b"x" * 10, more=True)
        assert (await client.answer())[0] == 413
        assert (b"connection", b"close") in client.sent[0]["headers"]

    in_loop(test)


def test_a_body_that_never_ends_in_time_is_given_up(in_loop):
    async def test():
        echo = Echo()
        client = Client(Bodies(echo, seconds=0.05), "/api/v1/intents", method="POST").says(b"{", more=True)
        status, document = await client.answer()
        assert (status, document["type"]) == (408, "urn:zehrava:problem:body-timeout")
        assert echo.asked == 0

    in_loop(test)


def test_a_client_that_leaves_in_the_middle_of_its_body_reaches_nobody(in_loop):
    async def test():
        echo = Echo()
        client = Client(Bodies(echo), "/api/v1/intents", method="POST").says(b"{", more=True)
        client.leaves()
        await asyncio.wait_for(client.task, 5)
        assert (echo.asked, client.sent) == (0, [])

    in_loop(test)


def test_all_bodies_together_have_a_limit_and_give_it_back(in_loop):
    async def test():
        application = Bodies(Echo(), budget=15)
        first = Client(application, "/api/v1/intents", method="POST").says(b"x" * 10, more=True)
        assert await first.is_held()
        status, document = await Client(application, "/api/v1/intents", method="POST").says(b"x" * 10).answer()
        assert (status, document["type"]) == (503, "urn:zehrava:problem:unavailable")
        assert (await first.says(b"").answer())[0] == 200
        assert (await Client(application, "/api/v1/intents", method="POST").says(b"x" * 10).answer())[0] == 200
        assert application.held == 0

    in_loop(test)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ('application/json; charset="UTF-8"', 200),
        ("application/json; charset=rot13", 415),
        ("application/json;Charset = utf-16", 415),
        ("text/plain; charset=", 415),
    ],
)
def test_a_body_that_claims_another_charset_never_reaches_the_application(in_loop, content_type, status):
    async def test():
        echo = Echo()

        async def with_type(scope, receive, send):
            scope["headers"] = [*scope["headers"], (b"content-type", content_type.encode())]
            await Bodies(echo)(scope, receive, send)

        assert (await Client(with_type, "/api/v1/intents", method="POST").says(b"{}").answer())[0] == status
        assert echo.asked == (status == 200)

    in_loop(test)
