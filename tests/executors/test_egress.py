"""The guard, with resolvers made up here: nothing in this file connects to anything but loopback."""

import ipaddress
import socket
import threading
from typing import Any

import httpcore
import pytest

from intents.executors import egress
from intents.executors.deadline import Deadline


def answers(*addresses: str) -> egress.LookUp:
    """A resolver that gives these addresses for every name."""

    def look_up(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for address in addresses:
            text, _, scope = address.partition("%")
            if ":" in text:
                found.append((socket.AF_INET6, socket.SOCK_STREAM, 6, "", (text, port, 0, int(scope or 0))))
            else:
                found.append((socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)))
        return found

    return look_up


def nobody_asks(*_: Any, **__: Any) -> Any:
    raise AssertionError("the resolver was asked about an address")


def resolve(url: str, look_up: egress.LookUp, *, allow_private: bool = False) -> list[str]:
    where = egress.destination(url, allow_private=allow_private)
    return egress.resolve(where, deadline=Deadline(5), allow_private=allow_private, look_up=look_up)


NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.1.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.7",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "2001:db8::1",
    "3fff::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2002:0808:0808::1",
    "2002:7f00:1::1",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b::169.254.169.254",
    "::ffff:169.254.169.254",
    "::ffff:0:169.254.169.254",
    "::169.254.169.254",
    "2606:4700::5efe:169.254.169.254",
    "2606:4700::200:5efe:224.0.0.1",
    "100::1",
    "5f00::1",
    "4000::1",
]
PRIVATE = [
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "127.0.0.1",
    "127.255.255.254",
    "100.64.0.1",
    "100.127.255.255",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::192.168.0.1",
    "2606:4700::5efe:10.0.0.1",
    "2606:4700::200:5efe:127.0.0.1",
]
PUBLIC = [
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "64:ff9b::8.8.8.8",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("address", NEVER + PRIVATE)
def test_a_name_that_leads_to_a_special_address_is_refused(address):
    with pytest.raises(egress.Refused, match="leads to"):
        resolve("https://crm.example.com/", answers(address))


@pytest.mark.parametrize("address", NEVER + PRIVATE)
def test_one_bad_answer_among_good_ones_is_enough(address):
    with pytest.raises(egress.Refused):
        resolve("https://crm.example.com/", answers("8.8.8.8", "2606:4700::1111", address))


@pytest.mark.parametrize("address", NEVER)
def test_allow_private_does_not_open_what_is_never_a_target(address):
    with pytest.raises(egress.Refused):
        resolve("http://crm.internal:8080/", answers(address), allow_private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_allow_private_opens_private_addresses(address):
    assert resolve("http://crm.internal:8080/", answers(address), allow_private=True) == [
        str(ipaddress.ip_address(address))
    ]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_let_out(address):
    assert resolve("https://crm.example.com/", answers(address)) == [str(ipaddress.ip_address(address))]


@pytest.mark.parametrize("address", NEVER + PRIVATE)
def test_an_address_written_in_the_url_is_judged_like_an_answer(address):
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(egress.Refused):
        resolve(f"https://{host}/", nobody_asks)


@pytest.mark.parametrize("allow_private", [False, True])
def test_an_answer_with_a_scope_is_refused(allow_private):
    with pytest.raises(egress.Refused, match="scope"):
        resolve("https://crm.example.com/", answers("2606:4700::1111%3"), allow_private=allow_private)
    scoped = ipaddress.ip_address("2606:4700::1111%3")
    assert "scope" in egress.objection(scoped, allow_private=allow_private)


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize(
    "host",
    [
        "0x7f.1",
        "0x7f000001",
        "0X7F.0.0.1",
        "2130706433",
        "0177.0.0.1",
        "0177.1",
        "127.1",
        "127.0.0.1.",
        "127.0.0.01",
        "127.0.0.0x1",
        "1.2.3.4.5",
        "256.256.256.256",
        "１２７.0.0.1",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "ｌocalhost",
        "crm.example.com.",
        "crm..example.com",
        ".example.com",
        "-crm.example.com",
        "crm_.exa mple.com",
        "%31%32%37.0.0.1",
        "localhost%00.example.com",
        "[::1%251]",
        "[::1%eth0]",
        "[fe80::1%1]",
        "[::1",
        "::1",
        "[127.0.0.1]",
        "[::1]crm.example.com",
        "[v1.fe80::a+en1]",
        "",
        "a" * 64 + ".example.com",
        ".".join(["a" * 60] * 5),
    ],
)
def test_odd_forms_of_a_host_are_refused_before_anything_is_resolved(host, allow_private):
    with pytest.raises(egress.Refused):
        resolve(f"https://{host}/", nobody_asks, allow_private=allow_private)


@pytest.mark.parametrize("allow_private", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "ftp://crm.example.com/",
        "file:///etc/passwd",
        "//crm.example.com/",
        "crm.example.com",
        "",
        "https://user@crm.example.com/",
        "https://user:pass@crm.example.com/",
        "https://crm.example.com@127.0.0.1/",
        "https://crm.example.com/#fragment",
        "https://crm.example.com/#",
        "https://crm.example.com\\@127.0.0.1/",
        "https://crm.example.com\t.evil.example/",
        "https://crm.example.com/a b",
        "https://crm.example.com/a\\b",
        "https://crm.example.com/\r\nHost: evil",
        "https://crm.example.com:/",
        "https://crm.example.com:0/",
        "https://crm.example.com:65536/",
        "https://crm.example.com:４４３/",
        "https://crm.example.com:+443/",
        "https://crm.example.com/" + "a" * 2000,
        None,
        7,
    ],
)
def test_a_url_that_two_readers_could_read_differently_is_refused(url, allow_private):
    with pytest.raises(egress.Refused):
        egress.destination(url, allow_private=allow_private)


@pytest.mark.parametrize("url", ["http://crm.example.com/", "https://crm.example.com:8443/", "http://8.8.8.8:443/"])
def test_only_https_on_port_443_is_let_out(url):
    with pytest.raises(egress.Refused, match="https on port 443"):
        egress.destination(url)
    assert egress.destination(url, allow_private=True).host in {"crm.example.com", "8.8.8.8"}


def test_a_url_is_read_into_host_port_and_target():
    where = egress.destination("https://CRM.Example.com/import?list=a&b=%20")
    assert where == egress.Destination("https", "crm.example.com", 443, "/import?list=a&b=%20")
    assert where.authority == "crm.example.com"
    assert egress.destination("http://[::1]:8080", allow_private=True).authority == "[::1]:8080"
    assert egress.destination("https://crm.example.com?x=1").target == "/?x=1"


def test_a_name_is_resolved_once_per_attempt():
    asked = []

    def rebinding(host, port, **_):
        asked.append(host)
        return answers("8.8.8.8" if len(asked) == 1 else "127.0.0.1")(host, port)

    assert resolve("https://crm.example.com/", rebinding) == ["8.8.8.8"]
    assert asked == ["crm.example.com"]


def test_a_name_without_addresses_is_refused():
    def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    for look_up in (unknown, answers()):
        with pytest.raises(egress.Refused):
            resolve("https://crm.example.com/", look_up)


def test_a_resolver_that_hangs_does_not_hold_the_attempt():
    release = threading.Event()

    def hanging(*_, **__):
        release.wait(30)
        return []

    where = egress.destination("https://crm.example.com/")
    try:
        with pytest.raises(TimeoutError):
            egress.resolve(where, deadline=Deadline(0.2), look_up=hanging)
    finally:
        release.set()


def test_the_backend_connects_to_nothing_but_the_checked_host():
    where = egress.destination("https://crm.example.com/")
    backend = egress.GuardedBackend(where, ["127.0.0.1"], Deadline(5))
    with pytest.raises(httpcore.ConnectError):
        backend.connect_tcp("other.example.com", 443)
    with pytest.raises(httpcore.ConnectError):
        backend.connect_tcp("crm.example.com", 80)
    with pytest.raises(httpcore.ConnectError):
        backend.connect_unix_socket("/run/some.sock")
    assert backend.address is None
