"""Channels, against a server on loopback that answers as a test tells it to."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from audit import clock
from intents.executors import egress
from reviews.models import Delivery
from reviews.notifications import following, sending, slack, webhook
from reviews.notifications.contents import Item
from reviews.notifications.models import Occasion
from tests.executors.conftest import Target, serve
from tests.factories import make_intent
from tests.reviews.notifications.conftest import pass_by


@pytest.fixture
def channel(settings):
    """A channel for everything, on loopback."""
    settings.ZEHRAVA_NOTIFY_ALLOW_PRIVATE = True
    with serve(Target()) as target:
        settings.ZEHRAVA_NOTIFY_WEBHOOKS = {"*": f"http://127.0.0.1:{target.port}/services/SECRET"}
        yield target


def post_one(key: str) -> Delivery:
    make_intent(key, payload={"n": time.monotonic_ns()})
    following.follow()
    sending.send_due()
    return Delivery.objects.filter(way="webhook").latest("pk")


def test_a_channel_is_told_once_with_the_link_and_no_button(key, channel):
    row = post_one(key)
    sending.send_due()

    [request] = channel.requests
    assert (request.method, request.target) == ("POST", "/services/SECRET")
    assert request.headers["content-type"] == "application/json"
    said = json.loads(request.body)
    link = f"<http://127.0.0.1:8000/admin/intents/intent/{row.intent_id}/change/|Open the page>"
    assert link in said["text"] and link in said["blocks"][1]["elements"][0]["text"]
    assert {block["type"] for block in said["blocks"]} == {"section", "context"}
    assert row.sent_at is not None and row.channel == "*" and row.trouble == ""


def test_what_waits_together_is_one_message(key, channel):
    for n in range(15):
        make_intent(key, payload={"n": n})
    following.follow()
    sending.send_due()
    sending.send_due()

    assert [json.loads(request.body)["text"].count("\n") + 1 for request in channel.requests] == [12, 3]


@pytest.mark.parametrize(
    ("status", "headers", "waits"),
    [
        (500, b"", 60),
        (503, b"", 60),
        (429, b"", 60),
        (429, b"Retry-After: 7\r\n", 7),
        (429, b"Retry-After: 99999\r\n", 3600),
        (429, b"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", 60),
    ],
)
def test_what_may_pass_is_tried_again(key, channel, status, headers, waits):
    channel.say(status, headers=headers)
    row = post_one(key)

    assert (row.sent_at, row.dropped) == (None, "")
    assert row.trouble == f"The channel answered {status}; it is tried again."
    assert (row.due_at - clock.now()).total_seconds() == pytest.approx(waits, abs=5)
    channel.say(200)
    pass_by(hours=2)
    assert sending.send_due() == 1
    assert len(channel.requests) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_what_is_refused_is_given_up(key, channel, status):
    channel.say(status)
    row = post_one(key)

    assert (row.sent_at, row.dropped) == (None, "gave_up")
    assert str(status) in row.trouble and "SECRET" not in row.trouble
    pass_by(hours=2)
    assert sending.send_due() == 0 and len(channel.requests) == 1


def test_a_redirect_is_not_followed(key, channel):
    with serve(Target()) as elsewhere:
        channel.say(302, headers=b"Location: http://127.0.0.1:%d/\r\n" % elsewhere.port)
        row = post_one(key)

        assert row.dropped == "gave_up" and "redirect" in row.trouble
        assert elsewhere.connections == 0


def test_one_that_drips_is_left_in_time(channel, settings):
    def drip(connection: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" * 20:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    channel.behave = drip
    began = time.monotonic()
    with pytest.raises(webhook.Undelivered) as refused:
        webhook.post(settings.ZEHRAVA_NOTIFY_WEBHOOKS["*"], {"text": "x"}, seconds=0.5)

    assert str(refused.value) == "The channel did not answer in time."
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("raw", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 999999 X\r\n\r\n"])
def test_one_that_breaks_off_is_tried_again(key, channel, raw):
    channel.answer(raw)
    row = post_one(key)

    assert row.dropped == "" and row.sent_at is None
    assert row.trouble == "The channel could not be reached, or broke off."


def test_an_endless_answer_is_not_read(key, channel):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 1000
    channel.answer(head)

    assert post_one(key).sent_at is not None


def test_a_channel_that_is_not_set_any_more_is_told_nothing(key, channel, settings):
    make_intent(key)
    following.follow()
    settings.ZEHRAVA_NOTIFY_WEBHOOKS = {}

    assert sending.send_due() == 0
    assert Delivery.objects.get().dropped == "nowhere"


def test_one_that_is_down_keeps_no_other_waiting(key, rita, channel, settings, mailoutbox):
    settings.ZEHRAVA_NOTIFY_WEBHOOKS = {
        "reviewers": "http://127.0.0.1:1/services/SECRET",
        **settings.ZEHRAVA_NOTIFY_WEBHOOKS,
    }
    post_one(key)

    assert len(channel.requests) == 1 and len(mailoutbox) == 1
    row = Delivery.objects.get(channel="reviewers")
    assert row.trouble == "The channel could not be reached, or broke off."


# --- where a message may go -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.8", "169.254.169.254", "192.168.1.1", "::1", "fd00::1", "64:ff9b::a00:8", "224.0.0.1"],
)
def test_a_name_that_leads_inside_is_refused_before_anything_is_connected(monkeypatch, address):
    """Judged by the guard alone: nothing is resolved or connected here."""

    def look_up(host: str, port: int, **options: Any) -> list:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sockaddr = (address, port, 0, 0) if ":" in address else (address, port)
        return [(family, socket.SOCK_STREAM, 6, "", sockaddr)]

    def never(*args: Any) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(egress.socket, "getaddrinfo", look_up)
    monkeypatch.setattr(egress.socket, "create_connection", never)
    with pytest.raises(webhook.Undelivered) as refused:
        webhook.post("https://chat.example.com/services/SECRET", {"text": "x"})

    assert "Nothing was sent." in str(refused.value) and "SECRET" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://chat.example.com/x", "https://127.0.0.1/x", "https://chat.example.com:8443/x"])
def test_only_https_and_no_private_address_without_leave(url):
    with pytest.raises(webhook.Undelivered):
        webhook.post(url, {"text": "x"})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[]", "must be a JSON object"),
        ("nonsense", "must be a JSON object"),
        ('{"a": "https://a.example/SECRET", "a": "https://b.example/SECRET"}', "must be a JSON object"),
        ('{"a": 7}', "'a'"),
        ('{"a": "http://a.example/SECRET"}', "must be https on port 443"),
        ('{"a": "https://10.0.0.1/SECRET"}', "ZEHRAVA_NOTIFY_ALLOW_PRIVATE=true"),
        ('{"a": "https://u:SECRET@a.example/"}', "user name"),
    ],
)
def test_a_setting_that_cannot_be_followed_keeps_the_portal_from_starting(monkeypatch, value, said):
    from zehrava_site import settings as module

    monkeypatch.setenv("ZEHRAVA_NOTIFY_WEBHOOKS", value)
    with pytest.raises(ImproperlyConfigured) as refused:
        module._webhooks()

    assert said in str(refused.value) and "SECRET" not in str(refused.value)


def test_a_setting_names_channels_by_group(monkeypatch):
    from zehrava_site import settings as module

    monkeypatch.setenv("ZEHRAVA_NOTIFY_WEBHOOKS", '{"finance": "https://a.example/x", "*": "https://b.example/y"}')
    assert set(module._webhooks()) == {"finance", "*"}


# --- what a message may hold ----------------------------------------------------------------------------------------

HOSTILE = (
    "<!channel>", "<!here>", "<@U123>", "<https://evil.example|Approve>", "@channel @all @here", "`<!channel>`",
    "``` <!everyone> ```", "[Approve](https://evil.example)", "![x](https://evil.example/p.png)", "*bold* _it_ ~no~",
    "a\n*Approved*\nb", "\u202e<!channel>", "`" * 3000, "<" * 3000, "\u202ea" * 3000, "", " ", "&lt;!channel&gt;",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_an_agent_leaves_its_code_span(text):
    shown = slack.quoted(text)

    assert shown[0] == shown[-1] == "`" and len(shown) > 2
    inner = shown[1:-1]
    assert not set(inner) & set("`<>\n\r\u202e") and "https://" not in inner
    assert len(shown) < 1_900


def test_in_a_message_all_that_an_agent_wrote_stands_in_code_spans(key, channel):
    """What is left when the code spans are taken away is ours."""
    mark = "zhvx"
    for hostile in HOSTILE:
        words = f"{mark}{hostile}"
        make_intent(key, payload={"a": words}, target=words[:1000], summary=words[:1000], tags=["t"], action="a.b")
    following.follow()
    while sending.send_due():
        pass

    assert channel.requests
    for request in channel.requests:
        message = json.loads(request.body)
        texts = [message["text"], *strings(message["blocks"])]
        assert any(mark in text for text in texts)
        for text in texts:
            assert mark not in outside_of_code(text)
            assert "<!" not in text and "<@" not in text
            assert outside_of_code(text).count("<") == outside_of_code(text).count("<http://127.0.0.1:8000/admin/")


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for name, each in value.items() if name != "type" for text in strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []


def outside_of_code(text: str) -> str:
    return "".join(text.split("`")[::2])


def test_a_persons_name_is_no_markup_either():
    only = Item(Occasion.ASK, "int_x", "*<!channel>* `x`", "t", "Low risk", "green", [], None, None)
    said: Callable[..., Any] = slack.body
    assert "<!channel>" not in json.dumps(said([only]))
