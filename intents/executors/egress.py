"""The guard in front of the network: where an executor may connect to, and where never.

A URL is read once, strictly; its host is resolved once; if any answer is an address that a target has no business
having, nothing is connected; otherwise the connection goes to one of the checked addresses, while Host, SNI and the
certificate stay those of the name. So no second look-up can lead elsewhere (DNS rebinding).

How a URL is read and which addresses are let through is in `zehrava.targets`, by which action types are saved too.
"""

import functools
import ipaddress
import logging
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

import certifi
import httpcore

from intents.executors.deadline import Deadline
from zehrava import targets
from zehrava.targets import Address, Destination, TargetError, objection

__all__ = [
    "Address",
    "Destination",
    "GuardedBackend",
    "LookUp",
    "Refused",
    "Untrusted",
    "destination",
    "objection",
    "resolve",
    "tls_context",
    "url_of",
]

LookUp = Callable[..., list[tuple[Any, ...]]]

_MAX_ADDRESSES = 4

# At debug level it logs response headers, in which a target may have echoed the credential.
logging.getLogger("httpcore").setLevel(logging.WARNING)


class Refused(Exception):
    """The guard lets nothing through to there; the text says why, for the operator."""


class Untrusted(httpcore.ConnectError):
    """The other side could not show, over TLS, that it is who the URL names."""


def destination(url: str, *, allow_private: bool = False) -> Destination:
    """Read a URL; raises Refused for one that is not plain, or that leads where only `allow_private` may go."""
    try:
        return targets.destination(url, allow_private=allow_private)
    except TargetError as error:
        raise Refused(f"The URL {error}.") from error


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


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Certificates and host names verified, by the host's own trust store, or certifi's where it has none."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None:
        context.load_verify_locations(cafile=certifi.where())
    return context


def url_of(where: Destination) -> httpcore.URL:
    """The destination as the pool of its `GuardedBackend` asks for it."""
    return httpcore.URL(
        scheme=where.scheme.encode(), host=where.host.encode(), port=where.port, target=where.target.encode()
    )


# --- names ---------------------------------------------------------------------------------------------------------


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

    def pool(self) -> httpcore.ConnectionPool:
        """What sends one request by this backend, over TLS where the destination says so; close it afterwards."""
        return httpcore.ConnectionPool(
            ssl_context=tls_context() if self._where.scheme == "https" else None,
            max_connections=1,
            network_backend=self,
        )

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
