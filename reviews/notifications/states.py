"""What became of a delivery, in words."""

from __future__ import annotations

from reviews.notifications.models import Delivery, Dropped

WAITING, TRIED, SENT, GIVEN_UP = "Waits", "Tried, waits", "Sent", "Given up"
COLOURS = {WAITING: "info", TRIED: "warning", SENT: "success", GIVEN_UP: "danger"}


def state_of(delivery: Delivery) -> str:
    """`Sent`, `Waits`, or why it was not sent."""
    if delivery.sent_at is not None:
        return SENT
    if delivery.dropped:
        return Dropped(delivery.dropped).label
    return TRIED if delivery.attempts else WAITING
