"""What ties accounts to each other: those of one person, the delegations that are in force, and the same manager.

Read once for all that a page, a run or a decision asks; each part is one query, made when it is first needed. Who
manages whom is needed only where a requirement wants approvals of different managers. A
delegation is in force from its beginning to its end by the database's clock, until it is revoked, while both people are
active. It gives an administrator nothing: who gives out seats does not sit on one, not even on another's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet, prefetch_related_objects
from django.db.models.functions import Now
from django.http import HttpRequest

from intents import one_person
from intents.models import Intent
from intents.one_person import Accounts
from reviews import managers
from reviews.managers import Managers
from reviews.models import Decision, Delegation
from reviews.quorum import Approval, wants_distinct_managers
from reviews.ways import Requirement

ADMINISTRATORS = "administrators"


def in_force() -> QuerySet[Delegation]:
    """The delegations that count at this moment, with both people."""
    administrator = User.groups.through.objects.filter(user=OuterRef("delegate"), group__name=ADMINISTRATORS)
    return (
        Delegation.objects.filter(revoked_at=None, starts_at__lte=Now(), ends_at__gt=Now())
        .filter(~Exists(administrator), delegator__is_active=True, delegate__is_active=True)
        .select_related("delegator", "delegate")
        .order_by("pk")
    )


class Ties:
    """The ties between accounts, as they were when each half was first asked for."""

    @cached_property
    def accounts(self) -> Accounts:
        return one_person.accounts()

    @cached_property
    def delegations(self) -> tuple[Delegation, ...]:
        return tuple(in_force())

    @cached_property
    def managers(self) -> Managers:
        return managers.managers(self.accounts)

    def given_to(self, person: User) -> tuple[Delegation, ...]:
        """By which this person may decide for others."""
        return tuple(each for each in self.delegations if each.delegate_id == person.pk)

    @property
    def delegates(self) -> tuple[User, ...]:
        """Everybody who may decide for somebody, each once."""
        return tuple({each.delegate_id: each.delegate for each in self.delegations}.values())

    def read_groups(self, people: Iterable[User]) -> None:
        """Read the groups of these people, and of whoever delegates or is a delegate, together; what is read stays."""
        tied = [person for each in self.delegations for person in (each.delegator, each.delegate)]
        prefetch_related_objects([*people, *tied], "groups")

    def is_away(self, person: User) -> bool:
        """Whether this person said to be out of office now."""
        return any(each.away and each.delegator_id == person.pk for each in self.delegations)

    def bonds(
        self, requirement: Requirement | None, action: str, amount: Decimal | None, currency: str | None
    ) -> Bonds:
        """The ties that matter where an intent of this action and value is decided under this requirement."""
        covering = tuple(each for each in self.delegations if each.covers(action, amount, currency))
        return self.bonds_by(requirement, covering)

    def bonds_by(self, requirement: Requirement | None, covering: tuple[Delegation, ...]) -> Bonds:
        """The ties that matter under this requirement where these delegations do."""
        return Bonds(self.accounts, covering, self.managers if wants_distinct_managers(requirement) else None)

    def bonds_of(self, intent: Intent) -> Bonds:
        return self.bonds(intent.requirement, intent.action, intent.value_amount, intent.value_currency)


@dataclass(frozen=True, slots=True)
class Bonds:
    """The ties that matter for one intent: `covering` are the delegations in force within whose scope it is.

    `managers` is None where it does not matter who manages whom.
    """

    accounts: Accounts
    covering: tuple[Delegation, ...]
    managers: Managers | None = None

    def approval(self, groups: Collection[str], by: int, *others: int) -> Approval:
        """The approval of somebody, as whose delegate it is among `others`, for these groups: as it is counted."""
        together = self.once_with(by, *others) - {by}
        return (by, groups, together, frozenset() if self.managers is None else self.managers.of(by, *others))

    def once_with(self, *keys: int) -> frozenset[int]:
        """Everybody who counts once together with these: their other accounts, their delegates and their delegators."""
        them = self.accounts.of(*keys)
        tied = {each.delegate_id for each in self.covering if each.delegator_id in them}
        tied.update(each.delegator_id for each in self.covering if each.delegate_id in them)
        return them | self.accounts.of(*tied) if tied else them

    def hold(self, delegation: int, *, delegator: int | None, delegate: int) -> bool:
        """Whether that delegation is in force, from the one to the other, and covers the intent."""
        return any(
            each.pk == delegation and each.delegator_id == delegator and each.delegate_id == delegate
            for each in self.covering
        )


def ties_of(request: HttpRequest) -> Ties:
    """The ties as they were when this request first asked for them."""
    known: Ties | None = getattr(request, "_ties", None)
    if known is None:
        known = Ties()
        request._ties = known  # type: ignore[attr-defined]
    return known


def hold_still(intent: Intent, person: User, votes: Collection[Decision]) -> bool:
    """Let nobody revoke what this person may decide by, or what gave these votes, while this transaction lasts; nor
    change who manages any of them, where that is counted.

    Called before anything of it is read: then a change comes wholly before a decision or wholly after it. Returns
    whether there was anything to hold: then it may have been waited for, and what was read before is read again.
    """
    used = {vote.delegation_id for vote in votes if vote.delegation_id is not None}
    rows = Delegation.objects.filter(Q(delegate=person) | Q(pk__in=used), revoked_at=None)
    # All in one order, so that two decisions wait for each other and never in a circle.
    held = list(rows.select_for_update().order_by("pk").values_list("delegator_id", flat=True))
    if wants_distinct_managers(intent.requirement):
        voters = {key for vote in votes for key in (vote.reviewer_id, vote.delegator_id) if key is not None}
        lines = managers.lines_of({person.pk, *voters, *held}, one_person.accounts())
        held += lines.select_for_update().order_by("pk").values_list("pk", flat=True)
    return bool(held)
