"""The guard in front of the network: where an executor may connect to, and where never.

A URL is read once, strictly; its host is resolved once; if any answer is an address that a target has no business
having, nothing is connected; otherwise the connection goes to one of the checked addresses, while Host, SNI and the
certificate stay those of the name. So no second look-up can lead elsewhere (DNS rebinding).

IPv6 is a list of what is allowed (global unicast without its special blocks), IPv4 of what is not (IANA's
special-purpose registry, RFC 6890, and clouds' metadata addresses). Addresses that carry an IPv4 address inside are
judged by it, or refused where it cannot be told.
"""

import functools
import ipaddress
import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import certifi
import httpcore

from intents.executors.deadline import Deadline

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LookUp = Callable[..., list[tuple[Any, ...]]]

_URL = re.compile(r"[\x21-\x7e]{1,2000}")
_NETLOC = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_ADDRESSES = 4


class Refused(Exception):
    """The guard lets nothing through to there; the text says why, for the operator."""


class Untrusted(httpcore.ConnectError):
    """The other side could not show, over TLS, that it is who the URL names."""


@dataclass(frozen=True)
class Destination:
    """Where a URL leads: `host` is a lower-case name or the plain text of an address, `target` path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"https": 443, "http": 80}[self.scheme]
        return host if self.port == default else f"{host}:{self.port}"


def destination(url: str, *, allow_private: bool = False) -> Destination:
    """Read a URL; raises Refused for one that is not plain, or that leads where only `allow_private` may go."""
    # urlsplit() drops tabs and line ends silently, and browsers read a backslash as a slash: neither gets that far.
    if not isinstance(url, str) or not _URL.fullmatch(url) or "\\" in url:
        raise Refused("The URL must be plain ASCII without spaces; write other characters as %XX or xn--.")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise Refused("The URL cannot be read; write it as https://host/path.") from error
    if parts.scheme not in ("https", "http"):
        raise Refused("The URL must begin with https://.")
    if "@" in parts.netloc:
        raise Refused("The URL must not hold a user or a password; name credentials in the action type.")
    if parts.fragment or "#" in url:
        raise Refused("The URL must not have a fragment; targets never see it.")
    netloc = _NETLOC.fullmatch(parts.netloc)
    if netloc is None:
        raise Refused("The URL's host and port cannot be read; write them as host or host:port.")
    port = int(netloc["port"]) if netloc["port"] else {"https": 443, "http": 80}[parts.scheme]
    if not allow_private and (parts.scheme, port) != ("https", 443):
        raise Refused("Only https on port 443 is let out; `allow_private: true` in the action type lifts that.")
    if not 1 <= port <= 65535:
        raise Refused("The URL's port must be between 1 and 65535.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme, _host(netloc["host"]), port, target)


def resolve(
    where: Destination, *, deadline: Deadline, allow_private: bool = False, look_up: LookUp | None = None
) -> list[str]:
    """The checked addresses of a destination, in the resolver's order; raises Refused, or TimeoutError."""
    try:
        literal = ipaddress.ip_address(where.host)
    except ValueError:
        answers = _addresses(_ask(look_up or socket.getaddrinfo, where, deadline))
    else:
        answers = [literal]
    for address in answers:
        if why := objection(address, allow_private=allow_private):
            raise Refused(f"{where.host} leads to {address}, {why}.")
    return [str(address) for address in dict.fromkeys(answers)][:_MAX_ADDRESSES]


def objection(address: Address, *, allow_private: bool = False) -> str | None:
    """Why nothing may connect to this address, as the end of a sentence; None where it may."""
    if address in _METADATA:
        return "where a cloud hands out credentials"
    if isinstance(address, ipaddress.IPv4Address):
        return _objection_4(address, allow_private)
    return _objection_6(address, allow_private)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Certificates and host names verified, by the host's own trust store, or certifi's where it has none."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None:
        context.load_verify_locations(cafile=certifi.where())
    return context


# --- hosts ---------------------------------------------------------------------------------------------------------


def _host(text: str) -> str:
    if text.startswith("["):
        if "%" in text:
            raise Refused("The URL's address must not have a scope; link-local targets are never reached.")
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError as error:
            raise Refused("The URL's host is no IPv6 address.") from error
    host = text.lower()
    labels = host.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        # 2130706433, 0x7f.1, 0177.0.0.1 and 127.1 are 127.0.0.1 to some readers: only the plain form passes.
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as error:
            raise Refused("The URL's host looks like an address; write it as four plain decimal numbers.") from error
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("The URL's host is no plain domain name (letters, digits, hyphens; no dot at the end).")
    return host


def _ask(look_up: LookUp, where: Destination, deadline: Deadline) -> list[tuple[Any, ...]]:
    """The resolver's answers. It knows no time-out, so it is asked from a thread that may be left behind."""
    answer: queue.SimpleQueue[list[tuple[Any, ...]] | BaseException] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(look_up(where.host, where.port, type=socket.SOCK_STREAM))
        except BaseException as error:
            answer.put(error)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        found = answer.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError("the resolver did not answer in time") from None
    if isinstance(found, OSError | UnicodeError):
        raise Refused(f"{where.host} cannot be resolved.") from found
    if isinstance(found, BaseException):
        raise found
    return found


def _addresses(answers: Iterable[tuple[Any, ...]]) -> list[Address]:
    found: list[Address] = []
    for _family, _kind, _protocol, _name, sockaddr in answers:
        if "%" in sockaddr[0] or (len(sockaddr) == 4 and sockaddr[3]):
            raise Refused("The host's name leads to an address with a scope; link-local targets are never reached.")
        try:
            found.append(ipaddress.ip_address(sockaddr[0]))
        except ValueError as error:
            raise Refused("The resolver's answer is no address.") from error
    if not found:
        raise Refused("The host's name has no address.")
    return found


# --- addresses -----------------------------------------------------------------------------------------------------

_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
    )
)

# What `allow_private` opens.
_PRIVATE_4 = {
    ipaddress.IPv4Network(block): why
    for block, why in {
        "10.0.0.0/8": "a private address",
        "100.64.0.0/10": "a carrier's private address",
        "127.0.0.0/8": "a loopback address",
        "172.16.0.0/12": "a private address",
        "192.168.0.0/16": "a private address",
    }.items()
}
_NEVER_4 = {
    ipaddress.IPv4Network(block): why
    for block, why in {
        "0.0.0.0/8": "an unspecified address",
        "169.254.0.0/16": "a link-local address",
        "192.0.0.0/24": "an address reserved for protocols",
        "192.0.2.0/24": "an address for documentation",
        "192.31.196.0/24": "an address reserved for protocols",
        "192.52.193.0/24": "an address reserved for protocols",
        "192.88.99.0/24": "a relay's address",
        "192.175.48.0/24": "an address reserved for protocols",
        "198.18.0.0/15": "an address for benchmarks",
        "198.51.100.0/24": "an address for documentation",
        "203.0.113.0/24": "an address for documentation",
        "224.0.0.0/4": "a multicast address",
        "240.0.0.0/4": "a reserved address",
    }.items()
}
_PRIVATE_6 = {
    ipaddress.IPv6Network("::1/128"): "a loopback address",
    ipaddress.IPv6Network("fc00::/7"): "a private address",
}
_NEVER_6 = {
    ipaddress.IPv6Network(block): why
    for block, why in {
        "::/128": "an unspecified address",
        "64:ff9b:1::/48": "a translated address",
        "2001::/23": "a tunnel's or protocol's address",
        "2001:db8::/32": "an address for documentation",
        "2002::/16": "a tunnel's address",
        "3ffe::/16": "a reserved address",
        "3fff::/20": "an address for documentation",
        "fe80::/10": "a link-local address",
        "fec0::/10": "a site-local address",
        "ff00::/8": "a multicast address",
    }.items()
}
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")
# The middle of an ISATAP interface identifier (RFC 5214), with and without the universal bit.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


def _objection_4(address: ipaddress.IPv4Address, allow_private: bool) -> str | None:
    if why := _found(address, _NEVER_4):
        return why
    return None if allow_private else _found(address, _PRIVATE_4)


def _objection_6(address: ipaddress.IPv6Address, allow_private: bool) -> str | None:
    if address.scope_id:
        return "an address with a scope"
    if why := _found(address, _PRIVATE_6):
        return None if allow_private else why
    if why := _found(address, _NEVER_6):
        return why
    if (inner := _inside(address)) is not None:
        why = objection(inner, allow_private=allow_private)
        return f"which stands for {inner}, {why}" if why else None
    return None if address in _GLOBAL_6 else "not an address of the public internet"


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    number = int(address)
    last = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address.ipv4_mapped is not None or any(address in block for block in (_NAT64, _COMPATIBLE, _TRANSLATED)):
        return last
    return last if number >> 32 & 0xFFFFFFFF in _ISATAP else None


def _found(address: Address, blocks: dict[Any, str]) -> str | None:
    return next((why for block, why in blocks.items() if address in block), None)


# --- connections ---------------------------------------------------------------------------------------------------


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses only, and holds every step to one deadline.

    `began` says whether a first byte of the request may have left, `cut_short` whether a later one could not, and
    `address` where the connection went.
    """

    def __init__(self, where: Destination, addresses: list[str], deadline: Deadline) -> None:
        self._where = where
        self._addresses = addresses
        self._deadline = deadline
        self.address: str | None = None
        self.began = False
        self.cut_short = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        if (host, port) != (self._where.host, self._where.port):
            raise httpcore.ConnectError("another host than the checked one")
        failure: OSError | None = None
        for index, address in enumerate(self._addresses):
            # An address that does not answer leaves the others their share of the time.
            try:
                share = self._deadline.left() / (len(self._addresses) - index)
                connection = socket.create_connection((address, port), share)
            except OSError as error:
                failure = error
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.address = address
            return _GuardedStream(connection, self, self._deadline)
        if isinstance(failure, TimeoutError):
            raise httpcore.ConnectTimeout("no connection in time") from failure
        raise httpcore.ConnectError("no connection") from failure

    def connect_unix_socket(self, path: str, timeout: float | None = None, socket_options: Any = None) -> Any:
        raise httpcore.ConnectError("no UNIX sockets")


class _GuardedStream(httpcore.NetworkStream):
    def __init__(self, connection: socket.socket, backend: GuardedBackend, deadline: Deadline) -> None:
        self._socket = connection
        self._backend = backend
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._socket.settimeout(self._deadline.left())
            return self._socket.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout("no answer in time") from error
        except OSError as error:
            raise httpcore.ReadError("the connection broke") from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._backend.began = self._backend.began or bool(buffer)
        try:
            while buffer:
                self._socket.settimeout(self._deadline.left())
                buffer = buffer[self._socket.send(buffer) :]
        except OSError as error:
            self._backend.cut_short = True
            if isinstance(error, TimeoutError):
                raise httpcore.WriteTimeout("not sent in time") from error
            raise httpcore.WriteError("the connection broke") from error

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            self._socket.settimeout(self._deadline.left())
            wrapped = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
        except TimeoutError as error:
            self.close()
            raise httpcore.ConnectTimeout("no TLS connection in time") from error
        except (OSError, ValueError) as error:
            self.close()
            raise Untrusted("no trusted TLS connection") from error
        return _GuardedStream(wrapped, self._backend, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return None
