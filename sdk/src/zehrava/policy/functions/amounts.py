"""Exact decimals: compared, added and multiplied without ever being floats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

INTEGER_DIGITS = 30
FRACTION_DIGITS = 12

_DECIMAL = re.compile(r"(-?)([0-9]{1,200})(?:\.([0-9]{1,200}))?", re.ASCII)
_COMPLEMENT = str.maketrans("0123456789", "9876543210")


def amount(value: Any) -> str:
    """An exact decimal as a string whose alphabetical order is the order of the numbers.

    The string is a sign digit (0 below zero, 1 from zero up), ``INTEGER_DIGITS`` digits, a point and
    ``FRACTION_DIGITS`` digits; below zero every digit is complemented to nine, so that -2 sorts before -1.
    Compare it only with another ``amount()``: against a bare number CEL reports a type error, as it should.

    Args:
        value: an integer, a decimal string such as ``"-12.50"``, or a float (its shortest exact notation counts).
            Never what ``amount()`` gave: that has one digit more than a value may have, and is refused.

    Raises:
        ValueError: when it is no plain decimal, or needs more digits than the string has.
    """
    try:
        return _amount(value)
    except TypeError:  # a list or map, which cannot be remembered
        raise ValueError("an amount is a number or a decimal string") from None


@lru_cache(maxsize=1_024, typed=True)  # typed: True must not find the amount of 1
def _amount(value: Any) -> str:
    negative, whole, fraction = _digits(value)
    return _written(negative, whole.lstrip("0"), fraction)


def amount_sum(values: Any, path: Any = None, times: Any = None) -> str:
    """The sum of a list, as an ``amount()``: ``amount_sum(payload.items, "price", "quantity") > amount("500")``.

    Args:
        values: a list of numbers or decimal strings; with ``path``, of maps. The sum of an empty list is zero.
        path: the member to add of each element; dots lead further down (``"total.net"``).
        times: a second member that the first is multiplied by.

    Raises:
        ValueError: when an element has no such member, is no plain decimal, or the sum has too many digits.
    """
    if not isinstance(values, list):
        raise ValueError("amount_sum() adds up a list")
    steps = [member_path(each) for each in (path, times) if each is not None]
    if len(steps) == 2:
        total = sum(_scaled(_member(item, steps[0])) * _scaled(_member(item, steps[1])) for item in values)
        return _unscaled(total, 2 * FRACTION_DIGITS)
    if steps:
        values = [_member(item, steps[0]) for item in values]
    return _unscaled(sum(_scaled(value) for value in values), FRACTION_DIGITS)


def amount_times(value: Any, factor: Any) -> str:
    """``value`` × ``factor``, exactly, as an ``amount()``: ``amount_times(payload.total, "0.2")``.

    Raises:
        ValueError: when one is no plain decimal, or the product needs more digits than an amount has: nothing is
            ever rounded.
    """
    return _unscaled(_scaled(value) * _scaled(factor), 2 * FRACTION_DIGITS)


def money(value: Any, currency: Any, rates: Any) -> str:
    """An amount in the one currency that ``rates`` speak of, as an ``amount()``.

    Args:
        value: the amount, as for ``amount()``.
        currency: a key of ``rates``; case counts.
        rates: what one unit of each currency is worth: ``{"EUR": "1", "USD": "0.92"}``.

    Raises:
        ValueError: when the currency has no rate, or as for ``amount_times()``.
    """
    check_rates(rates)
    if not isinstance(currency, str) or currency not in rates:
        raise ValueError("money() has no rate for this currency")
    return amount_times(value, rates[currency])


def check_rates(rates: Any) -> None:
    """Refuse rates that are not a map of currencies to decimals above zero.

    Raises:
        ValueError: in one sentence.
    """
    if not isinstance(rates, Mapping) or not rates:
        raise ValueError('money() takes the rates as a map: {"EUR": "1", "USD": "0.92"}')
    for currency, rate in rates.items():
        if not isinstance(currency, str) or not currency or _scaled(rate) <= 0:
            raise ValueError("a rate of money() is a decimal above zero, under the name of its currency")


def member_path(path: Any) -> tuple[str, ...]:
    """The names in a dotted path.

    Raises:
        ValueError: when it is none.
    """
    steps = tuple(path.split(".")) if isinstance(path, str) else ()
    if not steps or not all(steps) or len(path) > 200:
        raise ValueError('amount_sum() takes the member to add as text: "price" or "total.net"')
    return steps


def _member(item: Any, steps: tuple[str, ...]) -> Any:
    for step in steps:
        if not isinstance(item, dict) or step not in item:
            raise ValueError(f"amount_sum(): an element has no {'.'.join(steps)!r}")
        item = item[step]
    return item


def _scaled(value: Any) -> int:
    """The value in units of the last digit that an amount has."""
    negative, whole, fraction = _digits(value)
    number = int(whole + fraction.ljust(FRACTION_DIGITS, "0"))
    return -number if negative else number


def _unscaled(number: int, places: int) -> str:
    whole, fraction = divmod(abs(number), 10**places)
    if whole >= 10**INTEGER_DIGITS:
        raise ValueError(f"the result has more than {INTEGER_DIGITS} digits before the point")
    digits = f"{fraction:0>{places}}".rstrip("0")
    if len(digits) > FRACTION_DIGITS:
        raise ValueError(f"the result has more than {FRACTION_DIGITS} digits after the point; it is not rounded")
    return _written(number < 0, str(whole) if whole else "", digits)


def _written(negative: bool, whole: str, fraction: str) -> str:
    text = f"{whole:0>{INTEGER_DIGITS}}.{fraction:0<{FRACTION_DIGITS}}"
    if negative and (whole or fraction):
        return "0" + text.translate(_COMPLEMENT)
    return "1" + text


def _digits(value: Any) -> tuple[bool, str, str]:
    """Sign, digits before the point and digits after it, without zeros at the end."""
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
    fraction = (found[3] or "").rstrip("0")
    if len(found[2]) > INTEGER_DIGITS or len(fraction) > FRACTION_DIGITS:
        raise ValueError(f"an amount has at most {INTEGER_DIGITS} digits before and {FRACTION_DIGITS} after the point")
    return found[1] == "-", found[2], fraction
