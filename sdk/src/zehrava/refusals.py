"""Why the action of an intent must not be carried out: an error for each way in which it is not approved."""

from __future__ import annotations

from typing import Any

from zehrava.errors import ZehravaError
from zehrava.views import IntentView


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
