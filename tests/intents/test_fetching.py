"""What stands at a target now: read once, within bounds, through the guard, and never without a sentence."""

import logging
import socket
import threading
import time

import pytest

from intents import fetching
from intents.executors import egress
from intents.fetching import Reading, read_now
from tests.targets import Target, serve
from zehrava.action_types import ActionType
from zehrava.before import Before

SECRET = "s3cr3t-t0ken/with+signs="
SLASHED = SECRET.replace("/", "\\/")
ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in SECRET)


@pytest.fixture
def target():
    with serve(Target()) as running:
        yield running


@pytest.fixture
def read(target):
    """Read from the loopback target what an action type of these lines compares."""

    def read(payload=None, **changes) -> Reading:
        return read_now(block(target.port, **changes), {"customer": "4711"} if payload is None else payload)

    return read


def block(
    port: int,
    *,
    path: str = "customers/{payload.customer}",
    host: str = "127.0.0.1",
    scheme: str = "http",
    more: str = "",
) -> Before:
    made = ActionType.parse(
        f'name: a.b\npresent:\n  before:\n    url: "{scheme}://{host}:{port}/{path}"\n    allow_private: true\n'
        f"    fields: {{Status: {{now: status}}, Mail: {{now: contact.email}}}}\n{more}"
    ).before
    assert made is not None
    return made


def test_one_get_gives_what_the_answer_says_of_each_field(read, target):
    target.say(200, b'{"status": "active", "contact": {"email": "a@b.example"}, "other": 1}')
    reading = read()
    assert reading.values == {"Status": "active", "Mail": "a@b.example"}
    assert reading.why_not == ""
    assert reading.source == f"127.0.0.1:{target.port}/customers/4711"
    [request] = target.requests
    assert (request.method, request.target, request.body) == ("GET", "/customers/4711", b"")
    assert request.headers["host"] == f"127.0.0.1:{target.port}"
    assert set(request.names) == {"host", "accept", "accept-encoding", "user-agent"}
    assert target.connections == 1


def test_a_hostile_value_arrives_as_one_part_of_the_path(read, target):
    read({"customer": "x?admin=1#y@evil.example\u202e"})
    [request] = target.requests
    assert request.target == "/customers/x%3Fadmin%3D1%23y%40evil.example%E2%80%AE"
    assert request.headers["host"] == f"127.0.0.1:{target.port}"


@pytest.mark.parametrize("value", ["../admin", "..", "a/b", "%2e%2e", "a\r\nX: y", "", None, {"a": 1}])
def test_a_value_that_could_lead_elsewhere_asks_nobody(read, target, value):
    reading = read({"customer": value})
    assert "payload.customer" in reading.why_not or "somewhere else" in reading.why_not
    assert (reading.source, reading.values) == ("", {})
    assert target.connections == 0


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (404, "has nothing at this address (404)"),
        (401, "does not let the portal read this (401)"),
        (403, "does not let the portal read this (403)"),
        (500, "failed (500)"),
        (503, "failed (503)"),
        (201, "answered with 201"),
        (204, "answered with 204"),
        (429, "answered with 429"),
    ],
)
def test_any_status_but_200_is_told_and_its_body_is_not_read(read, target, status, told):
    body = b"" if status == 204 else b'{"status": "active"}'
    target.say(status, body)
    reading = read()
    assert told in reading.why_not
    assert reading.values == {}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(read, target, status):
    with serve(Target()) as other:
        target.say(status, b"{}", b"Location: %s\r\n" % other.url.encode())
        assert f"sends elsewhere ({status})" in read().why_not
        assert other.connections == 0
    assert target.connections == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "no strict JSON"),
        (b"<html>", "no strict JSON"),
        (b'{"status": 1, "status": 2}', "stands twice"),
        (b'{"status": NaN}', "no strict JSON"),
        (b'{"status": 1e400}', "no strict JSON"),
        (b'{"status": 9007199254740993}', "no strict JSON"),
        (b'{"status": "\\u0000"}', "U+0000"),
        (b'{"status": "\xff"}', "not valid UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":' * 6_000 + b"1" + b"}" * 6_000, "more than 32 deep"),
        (b"[" * 65_000, "more than 32 deep"),
        (b'{"status": "' + b"x" * 65_536 + b'"}', "longer than 64 KiB"),
        (b"x" * 1_048_576, "longer than 64 KiB"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_an_answer_that_is_not_strict_json_or_too_long_gives_no_values(read, target, body, told):
    target.say(200, body)
    reading = read()
    assert told in reading.why_not
    assert reading.values == {}


def test_a_body_that_never_ends_is_cut_where_it_is_too_long(read, target):
    sent = []

    def drown(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            sent.append(connection.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n"))

    target.behave = drown
    assert "longer than 64 KiB" in read().why_not
    assert sum(sent) < 20_000_000


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", b"SSH-2.0-x\r\n\r\n"])
def test_an_answer_that_breaks_off_or_is_none_is_told(read, target, raw):
    target.answer(raw)
    assert "broke off, or is none that can be understood" in read().why_not


def test_nobody_listening_is_told(target):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        reading = read_now(block(closed.getsockname()[1]), {"customer": "1"})
    assert reading.why_not == "The target does not take connections."


def test_a_target_that_proves_nothing_over_tls_is_told_nothing():
    heard = []

    def answer_in_the_clear(server):
        connection, _ = server.accept()
        heard.append(connection.recv(65_536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_in_the_clear, args=[server])
        thread.start()
        reading = read_now(block(server.getsockname()[1], scheme="https"), {"customer": "4711"})
        thread.join(30)
    assert reading.why_not == "The target could not show, over TLS, that it is who it should be."
    assert b"4711" not in heard[0]


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"], ids=["silent", "dripping"])
def test_a_slow_target_is_left_when_the_time_is_up(read, target, monkeypatch, first):
    monkeypatch.setattr(fetching, "SECONDS", 0.4)
    done = threading.Event()

    def drip(connection):
        connection.sendall(first)
        while first and not done.wait(0.05):
            connection.sendall(b" ")
        done.wait(30)

    target.behave = drip
    began = time.monotonic()
    assert "did not answer in" in read().why_not
    assert time.monotonic() - began < 10
    done.set()


def test_a_resolver_that_does_not_answer_is_left_too(target, monkeypatch):
    monkeypatch.setattr(fetching, "SECONDS", 0.2)
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(30))
    assert "did not answer in" in read_now(block(target.port, host="crm.internal"), {"customer": "1"}).why_not
    done.set()
    assert target.connections == 0


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "224.0.0.1"])
def test_a_name_that_leads_where_nothing_may_go_is_not_asked(target, monkeypatch, address):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, target.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("it was connected to"))
    reading = read_now(block(target.port, host="crm.internal"), {"customer": "1"})
    assert f"crm.internal leads to {address}" in reading.why_not


def test_a_private_address_is_not_asked_unless_the_action_type_says_so(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("it was connected to"))
    made = ActionType.parse(
        "name: a.b\npresent: {before: {url: 'https://crm.example.com/a', fields: {a: {now: a}}}}\n"
    ).before
    assert "a loopback address" in read_now(made, {}).why_not


# --- credentials ---------------------------------------------------------------------------------------------------


@pytest.fixture
def credential(target, monkeypatch):
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM", SECRET)
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM_HOSTS", f"127.0.0.1:{target.port}")
    return "    credentials: crm\n"


def test_a_credential_goes_to_its_own_host(read, target, credential):
    target.say(200, b'{"status": 1}')
    assert read(more=credential).values == {"Status": 1}
    assert target.requests[0].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("hosts", ["crm.example.com", "127.0.0.1", "127.0.0.2:{port}", ""])
def test_a_credential_for_other_hosts_is_not_sent(read, target, credential, monkeypatch, caplog, hosts):
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM_HOSTS", hosts.format(port=target.port))
    reading = read(more=credential)
    assert "ZEHRAVA_CREDENTIAL_CRM_HOSTS" in reading.why_not and "where the web server runs" in reading.why_not
    assert SECRET not in repr(reading) + caplog.text
    assert target.connections == 0


@pytest.mark.parametrize(
    "body",
    [
        f'{{"status": "{SECRET}"}}',
        f'{{"status": "ok", "echo": "Bearer {SLASHED}"}}',
        f'{{"status": "{ESCAPED}"}}',
        f'{{"{ESCAPED}": 1, "{ESCAPED}": 2}}',
        f"<html>{SECRET}</html>",
    ],
    ids=["plain", "slashed", "escaped", "a key that stands twice", "no JSON"],
)
@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_that_repeats_the_credential_is_not_shown(read, target, credential, caplog, body, status):
    target.say(status, body.encode())
    caplog.set_level(logging.DEBUG)
    reading = read(more=credential)
    assert reading.values == {} and reading.why_not
    assert SECRET[:12] not in repr(reading) + repr(reading.values) + caplog.text


def test_what_is_read_is_in_no_log_and_no_representation(read, target, caplog):
    caplog.set_level(logging.DEBUG)
    target.say(200, b'{"status": "a private word"}')
    assert "a private word" not in repr(read()) + caplog.text


def test_whatever_breaks_is_a_sentence_without_its_words(read, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(egress, "resolve", fail)
    reading = read()
    assert reading.why_not == "It could not be read (RuntimeError)."
    assert "RuntimeError" in caplog.text and SECRET not in caplog.text


# --- many at one time ----------------------------------------------------------------------------------------------


def test_only_so_many_read_at_one_time_and_the_next_is_told_to_try_again(read, target, settings, monkeypatch):
    settings.ZEHRAVA_WEB_THREADS = 4
    fetching._places.cache_clear()
    go_on, arrived = threading.Event(), threading.Semaphore(0)

    def wait(connection):
        arrived.release()
        go_on.wait(30)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    target.behave = wait
    monkeypatch.setattr(fetching, "SECONDS", 30.0)
    slow = [threading.Thread(target=read) for _ in range(2)]
    for thread in slow:
        thread.start()
    assert arrived.acquire(timeout=30) and arrived.acquire(timeout=30)
    assert "Read again soon" in read().why_not
    go_on.set()
    for thread in slow:
        thread.join(30)
    target.say(200, b'{"status": 1}')
    assert read().values == {"Status": 1}
    fetching._places.cache_clear()


def test_a_reading_that_fails_gives_its_place_back(read, target, settings):
    settings.ZEHRAVA_WEB_THREADS = 1
    fetching._places.cache_clear()
    target.say(500)
    for customer in ("1", "..", "1"):
        assert "Read again soon" not in read({"customer": customer}).why_not
    fetching._places.cache_clear()
