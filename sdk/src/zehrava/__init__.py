"""Zehrava: the gate in front of what AI agents want to do.

from zehrava import Gate

gate = Gate("http://localhost:8000", api_key="zhv_…")
intent = gate.propose("stripe.refund", {"charge": "ch_1", "amount": "120.00"})
"""

from zehrava.async_client import AsyncGate, AsyncIntent, AsyncPermit
from zehrava.canonical import StrictError
from zehrava.client import Gate, Intent, Permit
from zehrava.errors import (
    ApiError,
    AttentionBudgetSpent,
    Conflict,
    Forbidden,
    IntegrityError,
    Invalid,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthenticated,
    Unreachable,
    WaitTimeout,
    ZehravaError,
)
from zehrava.problems import Problem
from zehrava.refusals import Blocked, Cancelled, Expired, Indeterminate, IntentError, Rejected
from zehrava.version import __version__

__all__ = [
    "ApiError",
    "AsyncGate",
    "AsyncIntent",
    "AsyncPermit",
    "AttentionBudgetSpent",
    "Blocked",
    "Cancelled",
    "Conflict",
    "Expired",
    "Forbidden",
    "Gate",
    "Indeterminate",
    "IntegrityError",
    "Intent",
    "IntentError",
    "Invalid",
    "NotFound",
    "Permit",
    "Problem",
    "Rejected",
    "ServerError",
    "StrictError",
    "TooManyRequests",
    "Unauthenticated",
    "Unreachable",
    "WaitTimeout",
    "ZehravaError",
    "__version__",
]
