"""Delegation: one person lets another one decide for them, for a while, and takes it back at once if they like.

The delegate sits where the delegator could, within the scope, and never passes it on: what somebody decides by is their
own groups and those of who delegated to them, not what those were given. Who counts when is in `reviews.entitlement`,
which delegations are in force in `reviews.ties`.

Out of office is a delegation of everything, while which the delegate is told what waits, and the delegator is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from audit import clock, ledger
from audit.actors import Actor
from intents import one_person
from intents.proposals import AMOUNT, CURRENCY
from intents.reasons import read_reason
from reviews.models import Delegation, every_action
from reviews.ties import ADMINISTRATORS
from zehrava.policy.limits import money
from zehrava.problems import Problem

LONGEST = timedelta(days=90)
# How far ahead one begins, and ends.
FURTHEST = timedelta(days=365)
MOST_ACTIONS = 50
OUT_OF_OFFICE = "Out of office"
REVOKE_OTHERS = "reviews.change_delegation"
_ACTION = re.compile(r"[!-~]{1,200}")


class State(StrEnum):
    LATER = "Begins later"
    IN_FORCE = "In force"
    OVER = "Over"
    REVOKED = "Revoked"


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The largest value that a delegation is about: an exact decimal of a currency, `100.00` and `EUR`."""

    amount: str
    currency: str


def delegate(
    by: User,
    *,
    to: User | None,
    until: datetime | None,
    since: datetime | None = None,
    actions: Sequence[str] = (),
    ceiling: Ceiling | None = None,
    away: bool = False,
    reason: str = "",
) -> Delegation:
    """Let `to` decide for `by` from `since` (now, where it is not given or past) until `until`.

    `actions` are names or globs as policies have them, none for all; with a `ceiling` only what has a value of that
    currency up to it. `away` says that `by` is out of office: then it is about everything, and needs no reason.

    Raises Problem `invalid` with the path of what cannot be, and `conflict` for who is away at that time already.
    """
    reason = read_reason(
        reason or (OUT_OF_OFFICE if away else ""), path="/reason", needed="Say why: the reason stays with the record."
    )
    now = clock.now()
    since = now if since is None else max(since, now)
    until = _read_end(since, until, now)
    if away and (actions or ceiling):
        raise Problem(
            "invalid", "While you are away it is about everything: leave scope and ceiling out.", path="/away"
        )
    with transaction.atomic():
        # Two windows of one person: the second waits here, and sees what the first one stored.
        by = User.objects.select_for_update().get(pk=by.pk)
        made = Delegation(
            delegator=by,
            delegate=_fit(to, by),
            starts_at=since,
            ends_at=until,
            actions=_read_actions(actions),
            ceiling_amount=None if ceiling is None else _read_amount(ceiling),
            ceiling_currency="" if ceiling is None else ceiling.currency,
            away=away,
            reason=reason,
            created_at=now,
        )
        if away:
            _refuse_twice_away(made)
        facts = {"delegator": by.pk, "delegate": made.delegate_id, "away": away, **_scope_facts(made)}
        ledger.save(made, "delegation.made", by=Actor.person(by), facts=facts, content={"reason": reason})
    return made


def revoke(delegation: Delegation, *, by: User) -> Delegation:
    """End a delegation at once; one that was revoked already stays as it is.

    Raises Problem `not-entitled` for who is neither its delegator nor may revoke everybody's, `conflict` for what is
    over.
    """
    with transaction.atomic():
        delegation = Delegation.objects.select_for_update().get(pk=delegation.pk)
        if delegation.delegator_id != by.pk and not by.has_perm(REVOKE_OTHERS):
            raise Problem("not-entitled", "Only who made a delegation, or an administrator, revokes it.")
        if delegation.revoked_at is not None:
            return delegation
        if state_of(delegation, clock.now()) == State.OVER:
            raise Problem("conflict", "It is over: there is nothing to revoke.")
        delegation.revoked_at = clock.now()
        facts = {"delegator": delegation.delegator_id, "delegate": delegation.delegate_id}
        ledger.save(delegation, "delegation.revoked", by=Actor.person(by), facts=facts, update_fields=["revoked_at"])
    return delegation


def state_of(delegation: Delegation, now: datetime) -> State:
    if delegation.revoked_at is not None:
        return State.REVOKED
    if delegation.ends_at <= now:
        return State.OVER
    return State.IN_FORCE if delegation.starts_at <= now else State.LATER


def concerning(person: User) -> QuerySet[Delegation]:
    """The delegations that this person made or was given."""
    return Delegation.objects.filter(Q(delegator=person) | Q(delegate=person))


def absence_of(person: User) -> Delegation | None:
    """The out-of-office that this person set and that is not over, the next one if there are several."""
    set_by_them = Delegation.objects.filter(delegator=person, away=True, revoked_at=None, ends_at__gt=Now())
    return set_by_them.select_related("delegate").order_by("starts_at").first()


def scope_of(delegation: Delegation) -> str:
    """`everything`, or `stripe.*, paypal.refund up to 100.00 EUR`."""
    actions = delegation.actions if isinstance(delegation.actions, list) else []
    told = "every action" if actions == every_action() else ", ".join(map(str, actions))
    if delegation.ceiling_amount is None:
        return "everything" if actions == every_action() else told
    return f"{told} up to {money(Decimal(delegation.ceiling_amount))} {delegation.ceiling_currency}"


def _read_end(since: datetime, until: datetime | None, now: datetime) -> datetime:
    if until is None:
        raise Problem("invalid", "Say until when.", path="/until")
    if until <= now:
        raise Problem("invalid", "It would be over already. Choose an end that is to come.", path="/until")
    if until <= since:
        raise Problem("invalid", "It would end before it begins.", path="/until")
    if until - since > LONGEST:
        raise Problem("invalid", f"Choose an end within {LONGEST.days} days of its beginning.", path="/until")
    for name, moment, told in (("since", since, "a beginning"), ("until", until, "an end")):
        if moment - now > FURTHEST:
            raise Problem("invalid", f"Choose {told} within a year from now.", path=f"/{name}")
    return until


def _fit(to: User | None, by: User) -> User:
    """The delegate as they are now. Raises Problem where they cannot be one for this person."""
    to = None if to is None else User.objects.filter(pk=to.pk, is_active=True).first()
    if to is None:
        raise Problem("invalid", "There is no active person of this username.", path="/delegate")
    if to.pk in one_person.accounts().of(by.pk):
        raise Problem("invalid", "That is you, by this account or another one: name somebody else.", path="/delegate")
    if to.groups.filter(name=ADMINISTRATORS).exists():
        raise Problem(
            "invalid", "An administrator gives out seats and sits on none: name somebody else.", path="/delegate"
        )
    return to


def _read_actions(actions: Sequence[str]) -> list[str]:
    if len(actions) > MOST_ACTIONS:
        raise Problem("invalid", f"Name at most {MOST_ACTIONS} actions; * stands for any characters.", path="/actions")
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise Problem("invalid", f"{action[:60]!r} is no name of an action, nor a glob.", path="/actions")
    return list(dict.fromkeys(actions)) or every_action()


def _read_amount(ceiling: Ceiling) -> Decimal:
    if not AMOUNT.match(ceiling.amount) or ceiling.amount.startswith("-"):
        raise Problem("invalid", "Write the ceiling as 100 or 100.00.", path="/ceiling")
    if not CURRENCY.match(ceiling.currency):
        raise Problem("invalid", "Name the currency of the ceiling by three letters, such as EUR.", path="/ceiling")
    return Decimal(ceiling.amount)


def _refuse_twice_away(made: Delegation) -> None:
    same_time = Q(starts_at__lt=made.ends_at, ends_at__gt=made.starts_at)
    if Delegation.objects.filter(same_time, delegator=made.delegator, away=True, revoked_at=None).exists():
        raise Problem("conflict", "You are away at that time already. Revoke that first.", path="/away")


def _scope_facts(made: Delegation) -> dict[str, object]:
    ceiling = {"amount": str(made.ceiling_amount), "currency": made.ceiling_currency}
    return {"actions": made.actions, **({"ceiling": ceiling} if made.ceiling_amount is not None else {})}
