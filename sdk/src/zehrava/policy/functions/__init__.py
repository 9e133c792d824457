"""What a condition may call besides CEL's own functions. docs/policies/README.md says what each is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..globs import glob
from .addresses import domain, in_cidr, url_host
from .amounts import FRACTION_DIGITS, INTEGER_DIGITS, amount, amount_sum, amount_times, money
from .terms import contains_term
from .texts import addend, json_size, length, members
from .times import in_hours, on_dates, on_days, weekday

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "amount": amount,
    "amount_sum": amount_sum,
    "amount_times": amount_times,
    "contains_term": contains_term,
    "domain": domain,
    "glob": glob,
    "in_cidr": in_cidr,
    "in_hours": in_hours,
    "json_size": json_size,
    "length": length,
    "money": money,
    "on_dates": on_dates,
    "on_days": on_days,
    "url_host": url_host,
    "weekday": weekday,
}

__all__ = [
    "FRACTION_DIGITS",
    "FUNCTIONS",
    "INTEGER_DIGITS",
    "addend",
    "amount",
    "amount_sum",
    "amount_times",
    "contains_term",
    "domain",
    "glob",
    "in_cidr",
    "in_hours",
    "json_size",
    "length",
    "members",
    "money",
    "on_dates",
    "on_days",
    "url_host",
    "weekday",
]
