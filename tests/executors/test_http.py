"""The http executor against targets on loopback that note every byte."""

import base64
import contextlib
import hashlib
import logging
import socket
import ssl
import struct
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from intents.executors import credentials, egress, http, run, signing

SECRET = "s3cr3t-t0ken/with+signs="


@pytest.fixture(autouse=True)
def signing_secret(settings):
    settings.ZEHRAVA_SIGNING_SECRET = "a secret that is only used in tests"


@pytest.fixture
def send(order, target):
    """Run the executor towards the loopback target."""

    def send(payload=None, *, seconds=5.0, attempt=1, **settings):
        settings = {"url": target.url, "allow_private": True, **settings}
        return run("http", order(payload, attempt=attempt, **settings), seconds)

    return send


# --- what leaves ---------------------------------------------------------------------------------------------------


def test_exactly_the_canonical_payload_arrives_once(send, order, target):
    outcome = send(attempt=3)
    [request] = target.requests
    assert outcome.state == "succeeded"
    assert request.method == "POST"
    assert request.target == "/import"
    assert request.body == order().payload_bytes == '{"a":"é €","b":1,"list":"spring"}'.encode()
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "int_01hzz0000000000000000000ab:3"
    assert request.headers["zehrava-digest"] == order().digest
    assert request.headers["host"] == f"127.0.0.1:{target.port}"
    assert len(request.names) == len(set(request.names))
    assert not {"authorization", "cookie", "transfer-encoding"} & set(request.names)
    assert target.connections == 1


def test_a_target_verifies_the_signature_with_a_standard_webhooks_library(send, target):
    send()
    [request] = target.requests
    verifier = Webhook(signing.verification_secret())
    assert verifier.verify(request.body, request.headers) == {"a": "é €", "b": 1, "list": "spring"}
    assert request.headers["webhook-id"] == request.headers["idempotency-key"]
    for change in ({"webhook-id": "int_other:1"}, {"webhook-timestamp": str(int(time.time()) - 20)}):
        with pytest.raises(WebhookVerificationError):
            verifier.verify(request.body, request.headers | change)
    with pytest.raises(WebhookVerificationError):
        verifier.verify(request.body.replace(b"spring", b"summer"), request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(b"another secret").verify(request.body, request.headers)


def test_a_secret_in_the_standard_webhooks_form_is_taken_as_that_scheme_reads_it(send, target, settings):
    settings.ZEHRAVA_SIGNING_SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
    send()
    [request] = target.requests
    Webhook(b"k" * 32).verify(request.body, request.headers)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%!"])
def test_without_a_usable_signing_secret_nothing_is_sent(send, target, settings, secret):
    settings.ZEHRAVA_SIGNING_SECRET = secret
    outcome = send()
    assert outcome.state == "failed"
    assert target.connections == 0


def test_the_action_type_chooses_method_and_adds_headers(send, target):
    send(method="PUT", headers={"X-Team": "sales", "user-agent": "import/1"})
    [request] = target.requests
    assert request.method == "PUT"
    assert request.headers["x-team"] == "sales"
    assert request.headers["user-agent"] == "import/1"
    assert request.names.count("user-agent") == 1


@pytest.mark.parametrize("method", ["GET", "CONNECT", "post", "POST /evil HTTP/1.1\r\nX:", None, 7])
def test_other_methods_are_not_sent(send, target, method):
    assert send(method=method).state == "failed"
    assert target.connections == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"content-length": "1"},
        {"Transfer-Encoding": "chunked"},
        {"Authorization": "Bearer x"},
        {"Idempotency-Key": "x"},
        {"Webhook-Signature": "v1,x"},
        {"Zehrava-Digest": "x"},
        {"Proxy-Authorization": "x"},
        {"Cookie": "a=b"},
        {"X-A": "a\r\nX-B: b"},
        {"X-A\r\nX-B": "b"},
        {"X A": "b"},
        {"X-A": "é"},
        {"X-A": ""},
        {"X-A": 7},
        ["X-A"],
    ],
)
def test_headers_that_are_ours_or_no_headers_are_not_sent(send, target, headers):
    assert send(headers=headers).state == "failed"
    assert target.connections == 0


def test_proxies_of_the_environment_are_not_used(send, target, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert send().state == "succeeded"
    assert target.requests[0].target == "/import"


# --- credentials ---------------------------------------------------------------------------------------------------


@pytest.fixture
def credential(target, monkeypatch):
    """The credential `crm`, which the operator lets go to the target."""
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM", SECRET)
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM_HOSTS", f"crm.example.com, 127.0.0.1:{target.port}")


def test_a_named_credential_is_sent_as_bearer_and_appears_nowhere_else(send, target, credential, caplog):
    caplog.set_level(logging.DEBUG)
    target.say(200, b'{"you sent": "nothing of note"}')
    outcome = send(credentials="crm")
    assert target.requests[0].headers["authorization"] == f"Bearer {SECRET}"
    assert outcome.state == "succeeded"
    assert SECRET not in repr(outcome)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "echo",
    [
        f"x{SECRET}x",
        SECRET.replace("/", "%2F").replace("+", "%2B").replace("=", "%3D"),
        SECRET.replace("/", "\\/"),
    ],
)
def test_an_answer_that_repeats_the_credential_is_withheld(send, target, credential, caplog, echo):
    caplog.set_level(logging.DEBUG)
    target.say(500, echo.encode(), b"X-Echo: " + SECRET.encode() + b"\r\n")
    outcome = send(credentials="crm")
    assert outcome.result["body"] is None
    assert outcome.result["bytes"] == len(echo)
    assert SECRET not in repr(outcome)
    assert SECRET not in caplog.text


def test_a_credential_in_the_content_type_is_withheld_too(send, target, credential):
    target.say(200, b"fine", b"Content-Type: " + SECRET.encode() + b"\r\n")
    assert SECRET not in repr(send(credentials="crm"))


@pytest.mark.parametrize(
    "missing",
    [
        ["ZEHRAVA_CREDENTIAL_CRM"],
        ["ZEHRAVA_CREDENTIAL_CRM_HOSTS"],
        ["ZEHRAVA_CREDENTIAL_CRM", "ZEHRAVA_CREDENTIAL_CRM_HOSTS"],
    ],
)
@pytest.mark.parametrize("unset", [None, "", " , "])
def test_a_credential_without_its_secret_or_its_hosts_sends_nothing_and_says_what_to_set(
    send, target, monkeypatch, credential, missing, unset
):
    for variable in missing:
        monkeypatch.delenv(variable) if unset is None else monkeypatch.setenv(variable, unset)
    outcome = send(credentials="crm")
    assert outcome.state == "failed"
    assert f"must set {' and '.join(missing)} where" in outcome.result["error"]
    assert SECRET not in repr(outcome)
    assert target.connections == 0


@pytest.mark.parametrize(
    "hosts",
    [
        "crm.example.com",
        "127.0.0.1",
        "127.0.0.1:443",
        "127.0.0.2:{port}",
        "localhost:{port}",
        "x127.0.0.1.example:{port}",
    ],
)
def test_a_credential_goes_to_no_host_or_port_that_the_operator_did_not_list(
    send, target, monkeypatch, caplog, credential, hosts
):
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM_HOSTS", hosts.format(port=target.port))
    outcome = send(credentials="crm")
    assert outcome.state == "failed"
    assert f"ZEHRAVA_CREDENTIAL_CRM_HOSTS does not name 127.0.0.1:{target.port}." in outcome.result["error"]
    assert SECRET not in repr(outcome) + caplog.text
    assert target.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://crm.example.com.evil.example/",
        "https://evil.example/crm.example.com",
        "https://sub.crm.example.com/",
        "https://crm.example.com:8443/",
        "http://crm.example.com/",
        "http://crm.example.com:443/",
    ],
)
def test_a_credential_for_one_host_is_looked_up_for_no_other(send, monkeypatch, credential, url):
    monkeypatch.setattr(egress, "resolve", lambda *_, **__: pytest.fail("the host was looked up"))
    outcome = send(url=url, credentials="crm")
    assert outcome.state == "failed"
    assert "does not name" in outcome.result["error"]


@pytest.mark.parametrize("listed", ["crm.example.com", "CRM.Example.com:443", " other.example ,crm.example.com, "])
@pytest.mark.parametrize("url", ["https://crm.example.com/import", "https://Crm.Example.COM:443/"])
def test_a_host_is_listed_without_regard_to_case_and_for_https_where_no_port_stands(monkeypatch, listed, url):
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM", SECRET)
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM_HOSTS", listed)
    assert credentials.credential("crm", egress.destination(url)) == SECRET


@pytest.mark.parametrize(
    "entry", ["*.example.com", "https://crm.example.com", "crm.example.com/", "0x7f.1", "a@b", SECRET]
)
def test_a_list_of_hosts_that_cannot_be_read_lets_nothing_out_and_is_not_quoted(
    send, target, monkeypatch, caplog, credential, entry
):
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM_HOSTS", f"127.0.0.1:{target.port},{entry}")
    outcome = send(credentials="crm")
    assert outcome.state == "failed"
    assert "ZEHRAVA_CREDENTIAL_CRM_HOSTS" in outcome.result["error"] and "entry 2" in outcome.result["error"]
    assert entry not in repr(outcome) + caplog.text
    assert target.connections == 0


@pytest.mark.parametrize("name", ["crm_hosts", "crm-hosts", "crm.hosts", "CRM_HOSTS", "crm.Hosts"])
def test_a_list_of_hosts_is_never_read_as_a_secret(send, target, monkeypatch, credential, name):
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM_HOSTS_HOSTS", f"127.0.0.1:{target.port}")
    outcome = send(credentials=name)
    assert outcome.state == "failed"
    assert "_hosts" in outcome.result["error"]
    assert target.connections == 0


@pytest.mark.parametrize("value", ["two\nlines", "trailing\n", "é", " "])
def test_a_credential_that_no_header_can_carry_is_neither_sent_nor_shown(send, target, monkeypatch, caplog, value):
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM_EU", value)
    monkeypatch.setenv("ZEHRAVA_CREDENTIAL_CRM_EU_HOSTS", f"127.0.0.1:{target.port}")
    outcome = send(credentials="crm-eu")
    assert outcome.state == "failed"
    assert value.strip() == "" or value.strip() not in repr(outcome) + caplog.text
    assert target.connections == 0


@pytest.mark.parametrize("name", ["", "../crm", "crm=x", "crm\n", 7, ["crm"]])
def test_a_name_that_is_no_name_of_credentials_sends_nothing(send, target, name):
    assert send(credentials=name).state == "failed"
    assert target.connections == 0


# --- what comes back -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (200, "succeeded"),
        (201, "succeeded"),
        (204, "succeeded"),
        (299, "succeeded"),
        (301, "indeterminate"),
        (303, "indeterminate"),
        (307, "indeterminate"),
        (400, "failed"),
        (404, "failed"),
        (422, "failed"),
        (429, "failed"),
        (500, "indeterminate"),
        (502, "indeterminate"),
        (503, "indeterminate"),
        (599, "indeterminate"),
    ],
)
def test_the_status_decides_what_is_known(send, target, status, state):
    target.say(status, b"" if status == 204 else b"said", b"Location: /elsewhere\r\n")
    outcome = send()
    assert outcome.state == state
    assert outcome.result["status"] == status
    assert len(target.requests) == 1


def test_a_switch_of_protocols_is_not_known(send, target):
    target.answer(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
    assert send().state == "indeterminate"


def test_a_redirect_is_not_followed_and_no_cookie_is_kept(send, target):
    target.say(307, b"", f"Location: {target.url}/again\r\nSet-Cookie: a=b\r\n".encode())
    send()
    target.say(200)
    send()
    assert [request.target for request in target.requests] == ["/import", "/import"]
    assert all("cookie" not in request.headers for request in target.requests)


def test_size_digest_and_text_of_the_answer_are_recorded(send, target):
    body = '{"imported": 7, "note": "fünf"}'.encode()
    target.say(200, body, b"Content-Type: application/json\r\n")
    result = send().result
    assert result == {
        "status": 200,
        "address": "127.0.0.1",
        "bytes": len(body),
        "digest": "sha256:" + hashlib.sha256(body).hexdigest(),
        "truncated": False,
        "content_type": "application/json",
        "body": body.decode(),
    }


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"\xc3", b"a\x00b", b"\xed\xa0\x80"])
def test_what_is_no_text_is_recorded_by_digest_only(send, target, body):
    target.say(200, body)
    result = send().result
    assert result["body"] is None
    assert result["digest"] == "sha256:" + hashlib.sha256(body).hexdigest()


def test_long_text_is_shown_by_its_beginning(send, target):
    body = b"a" + "é".encode() * 10_000
    target.say(200, body)
    result = send().result
    assert result["body"] == "a" + "é" * 4095
    assert result["truncated"] is True
    assert result["bytes"] == len(body)


def test_a_flood_is_cut_at_the_cap_and_still_counts_as_an_answer(send, target):
    def flood(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        for _ in range(4000):
            connection.sendall("€".encode() * 20_000)

    target.behave = flood
    outcome = send(seconds=20)
    assert outcome.state == "succeeded"
    assert outcome.result["bytes"] == 65_536
    assert outcome.result["truncated"] is True
    assert outcome.result["body"].startswith("€€")


def test_a_compressed_answer_is_not_unpacked(send, target):
    target.say(200, b"\x1f\x8b\x08\x00bomb", b"Content-Encoding: gzip\r\n")
    result = send().result
    assert target.requests[0].headers["accept-encoding"] == "identity"
    assert result["bytes"] == 8


# --- when it is not known ------------------------------------------------------------------------------------------


def _reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _reset_in_the_body(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    time.sleep(0.05)
    _reset(connection)


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(_reset, id="reset after the request"),
        pytest.param(lambda connection: connection.close(), id="closed without an answer"),
        pytest.param(lambda connection: connection.sendall(b"SSH-2.0-nothing\r\n\r\n"), id="no HTTP"),
        pytest.param(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nConte"), id="half a head"),
        pytest.param(
            lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            id="half a body",
        ),
        pytest.param(
            lambda connection: connection.sendall(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
            ),
            id="half a chunked body",
        ),
        pytest.param(_reset_in_the_body, id="reset in the body"),
        pytest.param(
            lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000 + b"\r\n\r\n"),
            id="a head without end",
        ),
    ],
)
def test_what_breaks_after_the_request_left_is_not_known(send, target, behave):
    target.behave = behave
    outcome = send()
    assert outcome.state == "indeterminate"
    assert "may have acted" in outcome.result["error"]
    assert len(target.requests) == 1


def _drip_head(connection):
    for byte in OK_FOR_EVER:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


OK_FOR_EVER = b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1000


def _drip_body(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b"x")
        time.sleep(0.05)


def _drip_interim(connection):
    for _ in range(1000):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.05)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("behave", [_drip_head, _drip_body, _drip_interim, lambda connection: time.sleep(50)])
def test_a_target_that_drips_or_says_nothing_is_left_when_the_time_is_up(send, target, behave):
    target.behave = behave
    outcome = send(seconds=0.5)
    assert outcome.state == "indeterminate"
    assert "time was up" in outcome.result["error"]


@pytest.mark.timeout(20)
def test_the_action_types_own_time_out_is_kept_when_it_is_shorter(send, target):
    target.behave = lambda connection: time.sleep(50)
    assert send(seconds=40, timeout=0.3).state == "indeterminate"


@pytest.mark.timeout(20)
def test_a_target_that_does_not_read_is_left_when_the_time_is_up(order):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        large = order({"text": "x" * 8_000_000}, url=url, allow_private=True)
        outcome = run("http", large, 0.5)
    assert outcome.state == "indeterminate"


def test_a_yes_to_half_a_request_is_not_known(order):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer_early():
            connection, _ = listening.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            # Both directions end while most of the request is still to come.
            connection.shutdown(socket.SHUT_RD)
            time.sleep(0.3)
            connection.close()

        threading.Thread(target=answer_early, daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        outcome = run("http", order({"text": "x" * 8_000_000}, url=url, allow_private=True), 5)
    assert outcome.state == "indeterminate"


# --- when nothing was sent -----------------------------------------------------------------------------------------


def test_a_refused_connection_is_a_failure(order):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        outcome = run("http", order(url=url, allow_private=True), 5)
    assert outcome.state == "failed"
    assert "nothing was sent" in outcome.result["error"]


def test_a_loopback_target_is_refused_unless_private_ones_are_allowed(send, target):
    for allowed in (False, None, "true", 1):
        outcome = send(allow_private=allowed)
        assert outcome.state == "failed"
    assert target.connections == 0


def test_a_name_that_leads_to_loopback_is_refused(order, monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    outcome = run("http", order(url="https://crm.example.com/"), 5)
    assert outcome.state == "failed"
    assert "loopback" in outcome.result["error"]


def test_a_name_that_cannot_be_resolved_is_a_failure(order, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert run("http", order(url="https://crm.example.com/"), 5).state == "failed"


def test_without_time_nothing_is_sent(send, target):
    assert send(seconds=0).state == "failed"
    assert target.connections == 0


def test_settings_that_make_no_sense_send_nothing(send, target):
    assert send(timeout="soon").state == "failed"
    assert send(url=None).state == "failed"
    assert target.connections == 0


# --- TLS -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path):
    """A certificate authority of our own, and what makes server contexts for names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)

    def certificate(subject, public_key, *extensions):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root = tmp_path / "root.pem"
    root.write_bytes(certificate(name, key.public_key(), (x509.BasicConstraints(ca=True, path_length=None), True)))

    def context_for(host, asked):
        own = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        chain = tmp_path / "chain.pem"
        chain.write_bytes(
            certificate(subject, own.public_key(), (x509.SubjectAlternativeName([x509.DNSName(host)]), False))
            + own.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        context.sni_callback = lambda _socket, sni, _context: asked.append(sni)
        return context

    context_for.root = root
    return context_for


@pytest.fixture
def secure(authority, serve_target, new_target, monkeypatch):
    """Start a TLS target for a certificate's name, reached under crm.example.com by a made-up resolver."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", _only_for("crm.example.com", found))

    @contextlib.contextmanager
    def start(name, *, trusted=True):
        asked = []
        if trusted:
            context = ssl.create_default_context(cafile=str(authority.root))
            monkeypatch.setattr(egress, "tls_context", lambda: context)
        with serve_target(new_target(), authority(name, asked)) as target:
            yield target, asked

    return start


def _only_for(host, found):
    original = socket.getaddrinfo

    def look_up(asked, *arguments, **options):
        return found if asked == host else original(asked, *arguments, **options)

    return look_up


def test_host_sni_and_certificate_are_those_of_the_name(order, secure):
    with secure("crm.example.com") as (target, asked):
        url = f"https://crm.example.com:{target.port}/import"
        outcome = run("http", order(url=url, allow_private=True), 5)
        assert outcome.state == "succeeded"
        assert outcome.result["address"] == "127.0.0.1"
        assert asked == ["crm.example.com"]
        assert target.requests[0].headers["host"] == f"crm.example.com:{target.port}"


@pytest.mark.parametrize(("name", "trusted"), [("crm.example.com", False), ("other.example.com", True)])
def test_a_certificate_that_cannot_be_trusted_gets_nothing(order, secure, name, trusted):
    with secure(name, trusted=trusted) as (target, _):
        url = f"https://crm.example.com:{target.port}/import"
        outcome = run("http", order(url=url, allow_private=True), 5)
        assert outcome.state == "failed"
        assert "TLS" in outcome.result["error"]
        assert target.requests == []


def test_a_target_without_tls_gets_nothing(order, target):
    outcome = run("http", order(url=f"https://127.0.0.1:{target.port}/", allow_private=True), 0.5)
    assert outcome.state == "failed"
    assert target.requests == []


@pytest.mark.timeout(20)
def test_a_handshake_that_never_ends_is_a_failure_in_time(order):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
        assert run("http", order(url=url, allow_private=True), 0.5).state == "failed"


def test_the_next_checked_address_is_tried_when_one_refuses(order, target, monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", _only_for("crm.internal", found))
    outcome = run("http", order(url=f"http://crm.internal:{target.port}/", allow_private=True), 5)
    assert outcome.state == "succeeded"
    assert outcome.result["address"] == "127.0.0.1"
    assert len(target.requests) == 1


def test_caps_are_what_the_documentation_says():
    assert (http.KEPT_BYTES, http.SHOWN_BYTES) == (64 * 1024, 8 * 1024)
