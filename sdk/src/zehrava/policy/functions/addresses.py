"""Hosts, networks, e-mail and web addresses: each read in one way only, or refused."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any

MAX_NETWORKS = 1_000
MAX_URL = 8_192

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII)
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*", re.ASCII)
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)
_LOCAL = re.compile(r"[^\s\x00-\x1f\x7f!%\"(),:;<>@\[\\\]]+")  # "!" and "%" lead on to another host
_URL = re.compile(
    r"https?://(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<host>[a-z0-9.-]+))(?::(?P<port>[0-9]{1,5}))?(?:[/?#][!-\[\]-~]*)?",
    re.ASCII | re.IGNORECASE,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def domain(email: Any) -> str:
    """The domain of an e-mail address, in lower case.

    Raises:
        ValueError: when it is not exactly one bare address: one ``@``, something on each side, a host name after it.
            Lists, display names and anything a mailer could read in two ways are refused: routes (``a%b``, ``a!b``),
            encoded words and what is not ASCII among them.
    """
    if not isinstance(email, str) or len(email) > 320 or email.count("@") != 1:
        raise ValueError("domain() takes one bare e-mail address with exactly one @")
    local, host = email.split("@")
    # Before it is lowered: the Kelvin sign becomes a k. A local part that some mailer folds or decodes (U+FF20, an
    # encoded word) hides another host.
    plain = email.isascii() and "=?" not in local
    host = host.lower()
    if not plain or not _LOCAL.fullmatch(local) or not _HOST.fullmatch(host):
        raise ValueError("domain() takes one bare e-mail address in ASCII, nothing encoded in it")
    return host


def url_host(url: Any) -> str:
    """The host of an absolute http or https URL, in lower case, without port; an IPv6 address without brackets.

    The host is read, not looked up: what a name points to is not known here.

    Raises:
        ValueError: for every other scheme, user names, percent signs or non-ASCII letters in the host, a trailing
            dot, IPv4 addresses in odd notations (``127.1``, ``0x7f.0.0.1``, ``2130706433``), and backslashes, spaces
            or control characters anywhere: clients disagree on all of those.
    """
    found = _URL.fullmatch(url) if isinstance(url, str) and len(url) <= MAX_URL else None
    if not found or int(found["port"] or 1) not in range(1, 65_536):
        raise ValueError("url_host() takes one plain http or https URL, without a user name")
    if found["v6"]:
        return str(_address(found["v6"], 6))
    host = found["host"].lower()
    if _NUMERIC.fullmatch(host):
        return str(_address(host, 4))
    if not _NAME.fullmatch(host):
        raise ValueError("url_host() takes a URL with a plain host name or IP address")
    return host


def in_cidr(ip: Any, networks: Any) -> bool:
    """Whether an IP address lies in a network, or in one of a list: ``in_cidr(payload.ip, ["10.0.0.0/8"])``.

    An IPv4-mapped IPv6 address (``::ffff:10.0.0.1``) is the IPv4 address it stands for. No other embedding is
    undone: ``64:ff9b::a00:1`` is an IPv6 address.

    Raises:
        ValueError: when one is not written plainly: no zone ids, leading zeros, short or numeric forms, netmasks or
            host bits.
    """
    address = _address(ip)
    compiled = _read(networks)
    return any(address in network for network in compiled if network.version == address.version)


def check_networks(networks: Any) -> None:
    """Refuse what ``in_cidr`` would refuse as its second argument.

    Raises:
        ValueError: in one sentence.
    """
    _read(networks)


def _read(networks: Any) -> tuple[Network, ...]:
    """The networks of a text or a list of texts."""
    given = [networks] if isinstance(networks, str) else networks
    if not isinstance(given, list) or not 0 < len(given) <= MAX_NETWORKS:
        raise ValueError(f'in_cidr() takes a network such as "10.0.0.0/8", or a list of 1 to {MAX_NETWORKS}')
    if not all(isinstance(each, str) for each in given):
        raise ValueError("a network is a text such as 10.0.0.0/8 or 2001:db8::/32")
    return _networks(tuple(given))


def _address(text: Any, version: int | None = None) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if not isinstance(text, str) or not text.isascii() or len(text) > 45 or "%" in text:
        raise ValueError("an IP address is text such as 192.0.2.1 or 2001:db8::1, without a zone")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("an IP address is written like 192.0.2.1 or 2001:db8::1") from None
    if version is not None and address.version != version:
        raise ValueError("not an IP address of that kind")
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=256)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(_network(text, f"network {number}") for number, text in enumerate(texts, 1))


def _network(text: str, called: str) -> Network:
    if not re.fullmatch(r"[0-9a-fA-F:.]{2,45}/(0|[1-9][0-9]{0,2})", text, re.ASCII):
        raise ValueError(f"{called} is not written like 10.0.0.0/8 or 2001:db8::/32")
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{called} is none: it has host bits, too long a prefix or no address") from None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        raise ValueError(f"{called}: write it in IPv4")
    return network
