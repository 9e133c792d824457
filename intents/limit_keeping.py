"""How long uses of limits are kept, and whether they are still what the ledger says was used.

Whoever deletes a use by SQL gives an agent its allowance again. The ledger's line of each proposal names the uses that
it made, so that `audit_check` finds what is missing; what the sweeper drops, it first says in the ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

from django.db import transaction

from audit import canonical_rows, clock, ledger
from audit.actors import Actor
from audit.comparing import Finding, key_batches
from audit.models import Event
from intents import in_force
from intents.models import LimitUse

DROPPED = "limit_use.dropped"
PROPOSED = "intent.proposed"
SWEEPER = Actor.system("sweeper")
# Longer than most windows, so that a window can be made longer without forgetting what it now looks back at.
KEPT_AT_LEAST = timedelta(days=31)
# The ledger says once a day at most what is dropped.
_EVERY = timedelta(days=1)
_DROPPED_AT_ONCE = 5_000
_TABLE = LimitUse._meta.db_table


def drop_old() -> int:
    """Delete uses that no limit in force looks back at, at most some thousands at a time. Returns how many.

    Nothing is dropped while a limit counts for ever, nor while a policy in force cannot be read.
    """
    oldest = LimitUse.objects.order_by("at").first()
    if oldest is None:
        return 0
    said = _said_to_be_dropped()
    if said is None or oldest.at > said:
        said = _say(oldest)
    if said is None:
        return 0
    old = LimitUse.objects.filter(at__lte=said).order_by("at").values_list("pk", flat=True)[:_DROPPED_AT_ONCE]
    return LimitUse.objects.filter(pk__in=list(old)).delete()[0]


def unlike_the_ledger() -> Iterator[Finding]:
    """For `audit_check`: uses that are missing, were changed, or that no proposal made."""
    with_limits = Event.objects.filter(type=PROPOSED, line__contains='"limits":').order_by("id")
    for ids in key_batches(with_limits):
        named = [event.intent_id for event in with_limits.filter(pk__in=ids)]
        yield from _compare(named)
    rows = LimitUse.objects.filter(namespace="")
    for intents in key_batches(rows, "intent_id"):
        unnamed = set(intents) - set(with_limits.filter(intent_id__in=intents).values_list("intent_id", flat=True))
        yield from _compare(sorted(unnamed))


def _say(oldest: LimitUse) -> datetime | None:
    """Say in the ledger up to when uses are dropped from now on; None where it is too early for that."""
    kept = _kept()
    if kept is None:
        return None
    before = clock.now() - kept
    if oldest.at > before - _EVERY:
        return None
    with transaction.atomic():
        ledger.record(ledger.Change(DROPPED, oldest, SWEEPER, {"until": canonical_rows.instant(before)}))
    return before


def _kept() -> timedelta | None:
    """How long a use may matter; None where that is for ever, or not known."""
    rules = in_force.current().rules
    if rules.unreadable_policies:
        return None
    sets = [rules.policies, *(shadow.policies for shadow in rules.shadows)]
    windows = [
        limit.window
        for policies in sets
        for policy in policies.policies
        for rule in policy.rules
        for limit in rule.limits
    ]
    if None in windows:
        return None
    return max([KEPT_AT_LEAST, *(timedelta(seconds=window) for window in windows if window)])


def _said_to_be_dropped() -> datetime | None:
    newest = Event.objects.filter(type=DROPPED).order_by("-id").first()
    return None if newest is None else datetime.fromisoformat(json.loads(newest.line)["facts"]["until"])


def _compare(intents: Sequence[str]) -> Iterator[Finding]:
    """What differs between the ledger and the uses of these intents; a use and its line are committed together."""
    lines = Event.objects.filter(type=PROPOSED, intent_id__in=intents).values_list("intent_id", "line")
    expected = dict(chain.from_iterable(_uses_in(intent, json.loads(line)) for intent, line in lines))
    rows = LimitUse.objects.filter(namespace="", intent_id__in=intents)
    stored = {(row.intent_id, row.counter): row for row in rows}
    # Read last: what was dropped meanwhile is then said to be.
    dropped = _said_to_be_dropped()
    for key in sorted(expected.keys() | stored.keys()):
        use, row = expected.get(key), stored.get(key)
        if use is None and row is not None:
            yield Finding(_TABLE, str(row.pk), f"intent {key[0]} made no such use")
        elif use is not None and row is None:
            if dropped is None or use[1] > dropped:
                yield Finding(_TABLE, None, f"the use that intent {key[0]} made of a limit is missing")
        elif use is not None and row is not None and use != (row.amount, row.at):
            yield Finding(_TABLE, str(row.pk), f"it is not the use that intent {key[0]} made")


def _uses_in(intent: str, line: dict[str, Any]) -> Iterable[tuple[tuple[str, str], tuple[Decimal, datetime]]]:
    at = datetime.fromisoformat(line["at"])
    for use in line["facts"].get("limits") or ():
        yield (intent, use["counter"]), (Decimal(use["amount"]), at)
