"""How often somebody may be wrong, and how nobody is locked out by what others do.

Every attempt is counted as a failure before it is looked at, so that a thousand at once are a thousand attempts; one
that was right is taken back. Counted are, within an hour:

- account and source: five attempts, then one after 30 seconds, one after 60, … every 15 minutes. A device that the
  person signed in with before is a source of its own, so that nothing a stranger does stands in its way.
- an address, whatever the account: a hundred, then as above. A known device is not asked.
- an account, from everywhere. For passwords this never refuses: from fifty on, an address that is not known has one
  attempt every 15 minutes. For codes it does refuse, from twenty on: six digits do not stand a thousand addresses, and
  whoever is asked for a code knows the password already. A known device is not asked.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F

from audit import clock, ledger
from audit.actors import Actor
from zehrava_site.identity import events
from zehrava_site.identity.sources import Source
from zehrava_site.models import Attempts

Step = Literal["password", "code"]

WINDOW = timedelta(hours=1)
FREE, FREE_PER_ADDRESS = 5, 100
UNDER_ATTACK: dict[Step, int] = {"password": 50, "code": 20}  # failures of one account within the window
PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=15)
# A source of its own for who is signed in already and is asked again.
SIGNED_IN = "signed in"
_PRUNED = 100


class TooManyAttempts(Exception):
    """Nothing was looked at; `seconds` says when the next attempt is."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        minutes = math.ceil(seconds / 60)
        wait = f"{seconds} seconds" if seconds < 90 else f"{minutes} minutes"
        super().__init__(f"Too many attempts. Try again in {wait}.")


@dataclass(frozen=True)
class Attempt:
    """One that was counted; `succeeded` or `failed` has to be called."""

    step: Step
    person: User | None
    source: Source
    source_key: str
    other_keys: tuple[str, ...]

    def succeeded(self) -> None:
        """Take the count back. Of this account from this source nothing is left; the rest is what others did."""
        with transaction.atomic():
            Attempts.objects.filter(pk=self.source_key).update(failures=0, until=F("since"))
            for key in self.other_keys:
                Attempts.objects.filter(pk=key, failures__gt=0).update(failures=F("failures") - 1)

    def failed(self) -> None:
        """Tell the ledger, if it was the first, the tenth, the hundredth … of this account within the window.

        So a stranger adds a handful of lines an hour for each account, however many attempts they make; for names
        that are no account none, for people type their passwords there.
        """
        if self.person is None:
            return
        with transaction.atomic():
            row = Attempts.objects.filter(pk=self._account_key).first()
            if row is not None and _is_power_of_ten(row.failures):
                facts = {"step": self.step, "failures": row.failures, "known_device": self.source.device is not None}
                ledger.record(
                    ledger.Change(
                        events.SIGN_IN_FAILED, self.person, STRANGER, facts, {"address": self.source.address}, None
                    )
                )

    @property
    def _account_key(self) -> str:
        return self.other_keys[0]


STRANGER = Actor.system("sign-in page")


def begin(step: Step, account: str, person: User | None, source: Source, *, signed_in: bool = False) -> Attempt:
    """Count one attempt for the account of this name, whose person may not exist.

    Raises TooManyAttempts, and counts nothing, where there is a wait.
    """
    known = SIGNED_IN if signed_in else source.device
    here = _key(step, account, known or source.address)
    everywhere, address = _key(step, account), _key("address", source.address)
    now = clock.now()
    with transaction.atomic():
        # In one order everywhere, or two of them wait for each other.
        rows = {key: _locked(key, now) for key in sorted({here, everywhere} | (set() if known else {address}))}
        attacked = not known and rows[everywhere].failures >= UNDER_ATTACK[step]
        looked_at = [here] if known else [here, address]
        wait = max(_seconds(rows[key].until - now) for key in looked_at)
        if attacked and step == "code":
            wait = max(wait, _seconds(rows[everywhere].since + WINDOW - now))
        if wait > 0:
            raise TooManyAttempts(wait)
        for row in rows.values():
            row.failures += 1
        rows[here].until = now + (LONGEST_PAUSE if attacked else _pause(rows[here].failures, FREE))
        if address in rows:
            rows[address].until = now + _pause(rows[address].failures, FREE_PER_ADDRESS)
        for row in rows.values():
            row.save(update_fields=["failures", "since", "until"])
    return Attempt(step, person, source, here, (everywhere,) if known else (everywhere, address))


def _pause(failures: int, free: int) -> timedelta:
    """How long to wait after so many failures, of which so many are free."""
    return timedelta(0) if failures < free else min(PAUSE * 2 ** min(failures - free, 10), LONGEST_PAUSE)


def _locked(key: str, now: datetime) -> Attempts:
    row, made = Attempts.objects.select_for_update().get_or_create(key=key, defaults={"since": now, "until": now})
    if made:
        _prune(now)
    elif row.since <= now - WINDOW and row.until <= now:
        row.failures, row.since = 0, now
    return row


def _prune(now: datetime) -> None:
    """What says nothing any more goes when something new is counted: strangers leave no rows for ever."""
    old = Attempts.objects.filter(since__lt=now - WINDOW, until__lt=now).select_for_update(skip_locked=True)
    Attempts.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:_PRUNED])).delete()


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _seconds(span: timedelta) -> int:
    return math.ceil(span.total_seconds())


def _is_power_of_ten(number: int) -> bool:
    return number > 0 and set(str(number)[1:]) <= {"0"} and str(number)[0] == "1"
