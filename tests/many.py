"""Many stored intents at once, as real in every column that is read again as those that were proposed one by one."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

from audit import clock, inserting
from intents.models import Intent
from tests.factories import make_intent
from zehrava import canonical, ids

AT_ONCE = 2_000


def store_refunds(key: str, number: int, *, days: float = 30, rejected_of_ten: int = 1) -> None:
    """Store `number` refunds of rising age, evenly over the last `days`: amounts from 1.00 to 1000.00, ten countries.

    Each is a copy of one that the agent of this key proposes now, with an id, a payload and a time of its own; of ten,
    `rejected_of_ten` were rejected. The ledger knows nothing of them.
    """
    model = make_intent(key, payload=payload(0), target="customer-0", tags=["refund"], summary="The parcel was lost")
    now = clock.now()
    step = timedelta(days=days) / (number + 1)
    rows: list[Intent] = []
    for place in range(number):
        at = now - step * (number - place)
        rows.append(_copy(model, place, at))
        if place % 10 < rejected_of_ten and rows[-1].status == "pending_approval":
            rows[-1].status = "rejected"
        if len(rows) == AT_ONCE:
            inserting.insert(rows)
            rows = []
    if rows:
        inserting.insert(rows)


def payload(place: int) -> dict[str, Any]:
    countries = ("DE", "FR", "NL", "AT", "PL", "SE", "DK", "ES", "IT", "KP")
    return {
        "charge": f"ch_{place:012d}",
        "amount": f"{place * 37 % 1000 + 1}.00",
        "currency": "EUR",
        "country": countries[place % 10],
        "reason": "The parcel was lost on its way, the customer has sent a photo of the tracking page.",
        "customer": {"id": place % 5_000, "email": f"customer-{place % 5_000}@example.com"},
    }


def _copy(model: Intent, place: int, at: Any) -> Intent:
    intent = copy.copy(model)
    intent.pk = ids.new("int", at=at)
    document = {**model.document, "id": intent.pk, "payload": payload(place), "target": f"customer-{place % 5_000}"}
    text = canonical.dumps(document)
    intent.canonical, intent.digest = text.decode(), canonical.digest(text)
    intent.fingerprint = canonical.digest(text.replace(intent.pk.encode(), b""))
    intent.target = document["target"]
    intent.created_at, intent.expires_at = at, at + timedelta(days=1)
    return intent
