"""Where the request of an action type may go, as far as its text says: URLs, addresses, headers, names of credentials.

One set of rules for who saves an action type and for who carries it out. Nothing is resolved or connected here: where
a name leads is judged by `objection` as soon as somebody has resolved it.

IPv6 is a list of what is allowed (global unicast without its special blocks), IPv4 of what is not (IANA's
special-purpose registry, RFC 6890, and clouds' metadata addresses). Addresses that carry an IPv4 address inside are
judged by it, or refused where it cannot be told.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL = re.compile(r"[\x21-\x7e]{1,2000}")
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEFAULT_PORTS = {"https": 443, "http": 80}
_LIFTED = "allow_private: true lifts that"


class TargetError(ValueError):
    """Nothing may be sent there; the text goes on after "the URL", such as "must have no fragment"."""


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
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def destination(url: str, *, allow_private: bool = False) -> Destination:
    """Read a URL; raises TargetError for one that is not plain, or leads where only `allow_private` may go."""
    # urlsplit() drops tabs and line ends silently, and browsers read a backslash as a slash: neither gets that far.
    if not isinstance(url, str) or not _URL.fullmatch(url) or "\\" in url:
        raise TargetError("must be plain ASCII without spaces or backslashes; write other characters as %XX or xn--")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise TargetError("is not a URL; write it as https://host/path") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
        raise TargetError("must be an absolute https URL")
    if "@" in parts.netloc:
        raise TargetError("must hold no user name or password; use credentials")
    if "#" in url:
        raise TargetError("must have no fragment; targets never see it")
    host, port = authority(parts.netloc)
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if not allow_private and (parts.scheme, port) != ("https", 443):
        raise TargetError(f"must be https on port 443; {_LIFTED}")
    if why := _known_objection(host, allow_private=allow_private):
        raise TargetError(why)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme, host, port, target)


def authority(text: str) -> tuple[str, int | None]:
    """The host and the port, if any, of `host` or `host:port`; raises TargetError for what two readers may differ on.

    The host is a lower-case name, or an address in its plain form and without brackets.
    """
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise TargetError("has a host and port that cannot be read; write them as host or host:port")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise TargetError("must have a port from 1 to 65535")
    return _host(found["host"]), port


def objection(address: Address, *, allow_private: bool = False) -> str | None:
    """Why nothing may connect to this address, as the end of a sentence; None where it may."""
    if address in _METADATA:
        return "where a cloud hands out credentials"
    if isinstance(address, ipaddress.IPv4Address):
        return _objection_4(address, allow_private)
    return _objection_6(address, allow_private)


def header_name_fault(name: Any) -> str | None:
    """What is wrong with a header's name, as the end of a sentence; None where an action type may set it."""
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        return "is not a header name"
    if name.lower() in _OUR_HEADERS or name.lower().startswith(_OUR_PREFIXES):
        return "is set by the portal, not by a document"
    return None


def header_value_fault(value: Any) -> str | None:
    """What is wrong with a header's value, as the end of a sentence; None where it can be sent."""
    if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value) or not value.strip():
        return "must be a string of 1 to 1,000 characters of printable ASCII, and not blank"
    return None


def credentials_fault(name: Any) -> str | None:
    """What is wrong with a name for credentials, as the end of a sentence; None where it can be one."""
    if not isinstance(name, str) or not _CREDENTIALS.fullmatch(name):
        return "must be the name of stored credentials, never the secret itself"
    if re.search("[_.-]hosts$", name.lower()):
        return "must not end in _hosts: the operator's list of hosts for other credentials is called so"
    return None


_CREDENTIALS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\t -~]{1,1000}")
# Ours to say, or able to change where a request ends and who it is from.
_OUR_HEADERS = frozenset(
    [
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "idempotency-key",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
_OUR_PREFIXES = ("proxy-", "webhook-", "x-forwarded-", "zehrava-")


# --- hosts ---------------------------------------------------------------------------------------------------------


def _host(text: str) -> str:
    if text.startswith("["):
        if "%" in text:
            raise TargetError("has an address with a scope; link-local targets are never reached")
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError as error:
            raise TargetError("has a host that is no IPv6 address") from error
    host = text.lower()
    labels = host.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        # 2130706433, 0x7f.1, 0177.0.0.1 and 127.1 are 127.0.0.1 to some readers: only the plain form passes.
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as error:
            raise TargetError("has a host like an address; write it as four plain decimal numbers") from error
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetError("has a host that is no plain domain name (letters, digits, hyphens; no dot at the end)")
    return host


def _known_objection(host: str, *, allow_private: bool) -> str | None:
    """What speaks against a host without asking a resolver, if anything."""
    if host == "localhost" or host.endswith(".localhost"):
        return None if allow_private else f"leads to this machine; {_LIFTED}"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if why := objection(address, allow_private=allow_private):
        lifted = "" if allow_private or objection(address, allow_private=True) else f"; {_LIFTED}"
        return f"leads to {address}, {why}{lifted}"
    return None


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
