"""What a condition may call besides CEL's own functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from .globs import glob

INTEGER_DIGITS = 30
FRACTION_DIGITS = 12

_DECIMAL = re.compile(r"(-?)([0-9]{1,200})(?:\.([0-9]{1,200}))?", re.ASCII)
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII)
_LOCAL = re.compile(r"[^\s\x00-\x1f\x7f\"(),:;<>@\[\\\]]+")
_COMPLEMENT = str.maketrans("0123456789", "9876543210")


@lru_cache(maxsize=1_024, typed=True)  # typed: True must not find the amount of 1
def amount(value: Any) -> str:
    """An exact decimal as a string whose alphabetical order is the order of the numbers.

    The string is a sign digit (0 below zero, 1 from zero up), ``INTEGER_DIGITS`` digits, a point and
    ``FRACTION_DIGITS`` digits; below zero every digit is complemented to nine, so that -2 sorts before -1.
    Compare it only with another ``amount()``: against a bare number CEL reports a type error, as it should.

    Args:
        value: an integer, a decimal string such as ``"-12.50"``, or a float (its shortest exact notation counts).

    Raises:
        ValueError: when it is no plain decimal, or needs more digits than the string has.
    """
    negative, whole, fraction = _digits(value)
    whole = whole.lstrip("0")
    fraction = fraction.rstrip("0")
    if len(whole) > INTEGER_DIGITS or len(fraction) > FRACTION_DIGITS:
        raise ValueError(f"an amount has at most {INTEGER_DIGITS} digits before and {FRACTION_DIGITS} after the point")
    text = f"{whole:0>{INTEGER_DIGITS}}.{fraction:0<{FRACTION_DIGITS}}"
    if negative and (whole or fraction):
        return "0" + text.translate(_COMPLEMENT)
    return "1" + text


def _digits(value: Any) -> tuple[bool, str, str]:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("an amount is a number or a decimal string")
    if isinstance(value, int) and abs(value) >= 10**INTEGER_DIGITS:
        raise ValueError(f"an amount has at most {INTEGER_DIGITS} digits before the point")
    if isinstance(value, float):
        if not abs(value) < 2**53:  # also refuses NaN
            raise ValueError("this float is not exact; send the amount as a string")
        value = format(Decimal(repr(value)), "f")
    found = _DECIMAL.fullmatch(str(value))
    if not found:
        raise ValueError('an amount is written like "1234.56", without spaces, separators or exponents')
    return found[1] == "-", found[2], found[3] or ""


def domain(email: Any) -> str:
    """The domain of an e-mail address, in lower case.

    Raises:
        ValueError: when it is not exactly one bare address: one ``@``, something on each side, a host name after it.
            Lists, display names and anything a mailer could read in two ways are refused.
    """
    if not isinstance(email, str) or len(email) > 320 or email.count("@") != 1:
        raise ValueError("domain() takes one bare e-mail address with exactly one @")
    local, host = email.split("@")
    host = host.lower()
    if not _LOCAL.fullmatch(local) or not _HOST.fullmatch(host):
        raise ValueError("domain() takes one bare e-mail address with an ASCII host name")
    return host


def members(value: Any) -> list[Any]:
    """What ``all``, ``exists`` and ``exists_one`` walk over: a list as it is, of a map its keys in sorted order.

    The library walks over maps in random order, which would let an error show in one process and not in another.

    Raises:
        TypeError: when the value is neither.
    """
    if isinstance(value, dict):
        return sorted(value)
    if isinstance(value, list):
        return value
    raise TypeError("only a list or a map can be walked over")


FUNCTIONS: dict[str, Callable[..., Any]] = {"amount": amount, "glob": glob, "domain": domain}
