"""Who manages whom, as administrators wrote it down: for requirements that want approvals of different managers.

A manager is a fact of the portal. Where it is not on record nothing is guessed: nobody knows whether two people have
the same manager then, and such an approval fills no seat beside another one. See `reviews.quorum`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from audit import ledger
from audit.actors import Actor
from intents import one_person
from intents.one_person import Accounts
from reviews.models import ReportingLine
from zehrava.problems import Problem

NOBODYS_OWN = "Who your manager is, is written down by another administrator."


@dataclass(frozen=True, slots=True)
class Managers:
    """The managers of everybody of whom one is on record; two accounts of one person are one manager."""

    accounts: Accounts
    lines: Mapping[int, int]

    def of(self, *keys: int) -> frozenset[int]:
        """The managers of these people, by any account of theirs; nobody where that of one of them is not on record."""
        found: set[int] = set()
        for key in keys:
            theirs = self._of_one(key)
            if not theirs:
                return frozenset()
            found |= theirs
        return frozenset(found)

    def _of_one(self, key: int) -> set[int]:
        managers = {self.lines[account] for account in self.accounts.of(key) if account in self.lines}
        return {min(self.accounts.of(manager)) for manager in managers}


def managers(accounts: Accounts) -> Managers:
    """Who manages whom as things stand now; one query."""
    rows = ReportingLine.objects.filter(manager__isnull=False)
    return Managers(accounts, dict(rows.values_list("person_id", "manager_id")))


def manager_of(person: User) -> User | None:
    """The manager of this account, where one is on record."""
    line = ReportingLine.objects.filter(person=person.pk).select_related("manager").first()
    return None if line is None else line.manager


def set_manager(person: User, *, manager: User | None, by: User) -> ReportingLine | None:
    """Write down who manages this person, None for nobody on record. Returns the row, None where there is nothing new.

    A decision that counts by the manager there was is waited for, see `hold_still`.

    Raises Problem `not-entitled` for one's own, by whichever account, and `invalid` for who would manage themselves.
    """
    accounts = one_person.accounts()
    if person.pk in accounts.of(by.pk):
        raise Problem("not-entitled", NOBODYS_OWN)
    if why := why_not(person, manager, accounts):
        raise Problem("invalid", why, path="/manager")
    with transaction.atomic():
        # Two changes of one person: the second waits here, and sees what the first one stored.
        User.objects.select_for_update().get(pk=person.pk)
        line = ReportingLine.objects.select_for_update().filter(person=person).first() or ReportingLine(person=person)
        before, after = line.manager_id, None if manager is None else manager.pk
        if before == after:
            return None
        line.manager = manager
        facts = {"person": person.pk, "manager": after, "instead_of": before}
        ledger.save(line, "reporting_line.set", by=Actor.person(by), facts=facts)
    return line


def why_not(person: User, manager: User | None, accounts: Accounts) -> str:
    """Why that cannot be this person's manager; empty where it can."""
    if manager is not None and manager.pk in accounts.of(person.pk):
        return "Nobody is their own manager, by this account or another one."
    return ""


def lines_of(people: Iterable[int], accounts: Accounts) -> QuerySet[ReportingLine]:
    """What says who manages these people, by any account of theirs."""
    return ReportingLine.objects.filter(person__in=accounts.of(*people))


def names_of(keys: Collection[int]) -> str:
    """The usernames of these managers: `mara`."""
    return " and ".join(User.objects.filter(pk__in=keys).order_by("username").values_list("username", flat=True))
