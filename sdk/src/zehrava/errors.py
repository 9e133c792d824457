"""What can go wrong for a client; every one a ZehravaError, every message says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zehrava.problems import Problem

if TYPE_CHECKING:
    from zehrava.views import IntentView


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


class IntentError(ZehravaError):
    """The intent is in a state in which its action must not be carried out; `intent` holds it."""

    def __init__(self, intent: IntentView, message: str) -> None:
        super().__init__(message)
        self.intent = intent


class Blocked(IntentError):
    """Policy blocked the action."""

    def __init__(self, intent: IntentView) -> None:
        reason = (intent.verdict or {}).get("reason")
        because = f": {reason}" if reason else ""
        super().__init__(intent, f"Policy blocked {intent.action} ({intent.id}){because}; do not try it another way.")


class Rejected(IntentError):
    """A reviewer rejected the action."""

    def __init__(self, intent: IntentView) -> None:
        rationale = next((d.get("rationale") for d in intent.decisions if d.get("vote") == "reject"), None)
        because = f": {rationale}" if rationale else ""
        super().__init__(intent, f"{intent.action} ({intent.id}) was rejected{because}; propose something else.")


class Expired(IntentError):
    """Nobody decided, or nobody claimed, in time."""

    def __init__(self, intent: IntentView) -> None:
        super().__init__(intent, f"{intent.action} ({intent.id}) expired; propose it again if it is still wanted.")


class Cancelled(IntentError):
    """The intent was called off."""

    def __init__(self, intent: IntentView) -> None:
        super().__init__(
            intent, f"{intent.action} ({intent.id}) was cancelled; ask its operator before proposing again."
        )


class Indeterminate(IntentError):
    """The action may or may not have taken effect; a person has to find out.

    `result` is what the guarded function returned, where it did return and only the report was lost.
    """

    def __init__(self, intent: IntentView, message: str | None = None, *, result: Any = None) -> None:
        default = f"It is not known whether {intent.action} ({intent.id}) took effect; a person has to find out."
        super().__init__(intent, message or default)
        self.result = result


def unapproved(intent: IntentView) -> IntentError:
    """The error for an intent that is not approved, by its status."""
    known: dict[str, type[Blocked | Rejected | Expired | Cancelled | Indeterminate]] = {
        "blocked": Blocked,
        "rejected": Rejected,
        "expired": Expired,
        "cancelled": Cancelled,
        "indeterminate": Indeterminate,
    }
    if intent.status in known:
        return known[intent.status](intent)
    return IntentError(intent, f"{intent.action} ({intent.id}) is {intent.status}, not approved; nothing was run.")
