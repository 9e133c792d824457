"""Executors: code that carries an approved action out, and says only what it knows about the effect.

`run` is the door. Every executor behind it keeps one rule: `failed` means that the effect is certain not to have
happened, `succeeded` that it is certain to have, and all else is `indeterminate`, for a person to resolve.
"""

import logging
import traceback

from intents.executors import email, http, noop
from intents.executors.orders import STATES, Executor, NotBegun, Order, Outcome
from zehrava import canonical

__all__ = ["Executor", "NotBegun", "Order", "Outcome", "get", "names", "run"]

logger = logging.getLogger(__name__)

_EXECUTORS: dict[str, Executor] = {
    "http": http.carry_out,
    "email": email.carry_out,
    "noop": noop.carry_out,
}


def names() -> frozenset[str]:
    """The executors that this portal has."""
    return frozenset(_EXECUTORS)


def get(name: str) -> Executor | None:
    """The executor of that name, or None where there is none."""
    return _EXECUTORS.get(name)


def run(name: str, order: Order, seconds: float) -> Outcome:
    """Carry the order out within that many seconds, and turn whatever happens into an outcome.

    `NotBegun` is `failed`; any other exception is `indeterminate`, since nobody can tell what had left by then.
    """
    executor = get(name)
    if executor is None:
        return Outcome("failed", {"error": f"This portal has no executor named {name!r:.80}."})
    try:
        outcome = executor(order, seconds=seconds)
    except NotBegun as refusal:
        return _storable(Outcome("failed", {"error": refusal.detail, **refusal.result}))
    except Exception as error:
        # Without the message: a library may quote a header, and by that a credential.
        frames = "".join(traceback.format_tb(error.__traceback__))
        logger.error("executor %s: %s in attempt %s\n%s", name, type(error).__name__, order.key, frames)
        detail = f"The {name} executor broke off ({type(error).__name__}); what it had done by then is not known."
        return Outcome("indeterminate", {"error": detail})
    if not isinstance(outcome, Outcome) or outcome.state not in STATES:
        return Outcome("indeterminate", {"error": f"The {name} executor gave no outcome that can be understood."})
    return _storable(outcome)


def _storable(outcome: Outcome) -> Outcome:
    """The outcome, its result held to strict JSON: what cannot be stored must not cost us the outcome."""
    try:
        canonical.check(outcome.result)
    except canonical.StrictError as error:
        return Outcome(outcome.state, {"error": f"The result cannot be stored: {error.reason}"})
    return outcome
