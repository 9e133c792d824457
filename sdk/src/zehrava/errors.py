"""What can go wrong between a client and the portal; every one a ZehravaError, every message says what to do."""

from __future__ import annotations

from zehrava.problems import Problem


class ZehravaError(Exception):
    """Anything the client raises on purpose."""


class ApiError(ZehravaError):
    """The portal answered, and refused. `problem` is its RFC 9457 document.

    `retry_after` are the seconds the portal asks to wait, or None.
    """

    def __init__(self, problem: Problem, *, retry_after: float | None = None) -> None:
        where = f" (at {problem.path})" if problem.path else ""
        super().__init__(f"{problem.status} {problem.kind}: {problem.detail}{where}")
        self.problem = problem
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def kind(self) -> str:
        return self.problem.kind

    @property
    def detail(self) -> str:
        return self.problem.detail

    @property
    def path(self) -> str | None:
        return self.problem.path


class Unauthenticated(ApiError):
    """401: no key, or one that is unknown or revoked."""


class Forbidden(ApiError):
    """403: this agent may not do that, is suspended, or the permit is not valid."""


class NotFound(ApiError):
    """404: there is no such thing, or it belongs to someone else."""


class Conflict(ApiError):
    """409: the state moved on; refresh the intent and look again."""


class Invalid(ApiError):
    """400, 413, 415 or 422: the request itself is wrong; `path` points at the value."""


class TooManyRequests(ApiError):
    """429: slow down; `retry_after` says how long."""


class AttentionBudgetSpent(TooManyRequests):
    """429: this agent has asked people as much as it may; nothing was proposed, `retry_after` says how long to wait.

    The client does not wait for it by itself: what helps may be to cancel an intent that is no longer wanted.
    `problem.extra` holds the `budget`, "pending" or "asks_per_hour", its `size`, and how much of it is `used`.
    """


class ServerError(ApiError):
    """5xx, or an answer that no Zehrava portal gives."""


class Unreachable(ZehravaError):
    """No answer came. `maybe_sent` tells whether the portal can have seen the request."""

    def __init__(self, what: str, cause: Exception, *, maybe_sent: bool) -> None:
        advice = (
            "the portal may have seen the request; refresh the intent before doing anything"
            if maybe_sent
            else "nothing was sent; check base_url, the network and that the portal runs"
        )
        super().__init__(f"{what}: no answer ({type(cause).__name__}); {advice}.")
        self.maybe_sent = maybe_sent


class WaitTimeout(ZehravaError):
    """The time to wait is over and the intent has not moved on; it stays as it is, and can be waited for again."""

    def __init__(self, intent_id: str, timeout: float) -> None:
        super().__init__(f"Intent {intent_id} was not settled within {timeout:g} s; wait again, or cancel it.")
        self.intent_id = intent_id


class IntegrityError(ZehravaError):
    """What the portal handed out is not what its digest says, or not what was asked; do not carry it out."""


def strange(what: str) -> ServerError:
    """The error for an answer that no Zehrava portal gives."""
    return ServerError(Problem("internal", f"{what}; check that base_url is a Zehrava portal."))
