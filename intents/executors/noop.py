"""Does nothing, and does it well: for tries, demonstrations and actions that only need a decision."""

from intents.executors.orders import Order, Outcome


def carry_out(order: Order, *, seconds: float) -> Outcome:
    """Succeed without an effect."""
    return Outcome("succeeded", {"noop": True})
