"""Second factors of people: an authenticator app (TOTP), security keys (WebAuthn), recovery codes.

The rows and their wrappers are allauth's. What is decided here: a code counts once, even in two processes at the same
moment; secrets are stored encrypted; and whatever is added, removed or used is told to the ledger in the transaction
that did it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from audit import clock, ledger, verification
from audit.actors import Actor
from audit.comparing import Finding, Suspicion, confirmed, key_batches
from audit.models import Event
from reviews.second_factor import Factor, Kind
from zehrava import canonical
from zehrava.problems import Problem
from zehrava_site.identity import events

_KINDS: dict[str, Kind] = {"totp": "totp", "webauthn": "webauthn", "recovery_codes": "recovery_code"}
# What changes with every use, and what its owner calls it: the rest is the factor.
_NOT_THE_FACTOR = ("last_counter", "last_challenge", "used_mask", "sign_count", "name")
_SEPARATORS = re.compile(r"[\s-]+")


class Adapter(DefaultMFAAdapter):
    """allauth's, with secrets encrypted: who reads a copy of the database has no factor by that."""

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _cipher().decrypt(encrypted_text.encode()).decode()

    def get_totp_label(self, user: Any) -> str:
        return user.get_username()


def _cipher() -> Fernet:
    key = hmac.digest(settings.SECRET_KEY.encode(), b"zehrava.factors", "sha256")
    return Fernet(base64.urlsafe_b64encode(key))


def kind_of(row: Authenticator) -> Kind:
    """The word for this row in sessions and in the ledger."""
    return _KINDS[row.type]


def factors_of(person: User) -> Sequence[Authenticator]:
    """The second factors of a person, oldest first; recovery codes, which only stand in for one, are not among them."""
    return list(
        Authenticator.objects.filter(user=person).exclude(type=Authenticator.Type.RECOVERY_CODES).order_by("pk")
    )


def recovery_codes_left(person: User) -> int | None:
    """How many recovery codes are unused; None where there never were any."""
    row = Authenticator.objects.filter(user=person, type=Authenticator.Type.RECOVERY_CODES).first()
    return None if row is None else len(RecoveryCodes(row).get_unused_codes())


# --- adding and removing -------------------------------------------------------------------------------------------


def new_secret() -> str:
    """A secret for an authenticator app, 160 random bits in base 32."""
    return totp.generate_totp_secret()


def otpauth_url(person: User, secret: str) -> str:
    """What the QR code says."""
    return get_adapter().build_totp_url(person, secret)


def add_app(person: User, secret: str, code: str) -> list[str]:
    """Add an authenticator app that shows this code for the secret; returns recovery codes where there were none.

    Raises Problem `invalid` for a wrong code, `conflict` where there is an app already.
    """
    counter = _counter_of(secret, code, after=0)
    if counter is None:
        raise Problem("invalid", "This is not the code that the app should show now. Check the time of your phone.")
    with transaction.atomic():
        _lock(person)
        if Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).exists():
            raise Problem("conflict", "There is an authenticator app already: remove it first.")
        # The code that proved it does not sign anybody in as well.
        data = {"secret": get_adapter().encrypt(secret), "last_counter": counter}
        return _add(Authenticator(user=person, type=Authenticator.Type.TOTP, data=data))


def add_key(person: User, *, name: str, credential: dict[str, Any], sign_count: int) -> list[str]:
    """Add a security key whose registration was verified; returns recovery codes where there were none."""
    with transaction.atomic():
        _lock(person)
        data = {"name": name, "credential": credential, "sign_count": sign_count}
        return _add(Authenticator(user=person, type=Authenticator.Type.WEBAUTHN, data=data))


def remove(person: User, pk: int, *, by: Actor) -> None:
    """Remove one factor; with the last one go the recovery codes. Raises Problem `not-found`.

    Raises Problem `conflict` for the last one where everybody must have one.
    """
    with transaction.atomic():
        _lock(person)
        factors = factors_of(person)
        row = next((factor for factor in factors if factor.pk == pk), None)
        if row is None:
            raise Problem("not-found", "There is no such second factor of this account.")
        if len(factors) == 1:
            if settings.ZEHRAVA_REQUIRE_SECOND_FACTOR and by.user_id == person.pk:
                raise Problem("conflict", "Everybody has a second factor here: add another one first.")
            for codes in Authenticator.objects.filter(user=person, type=Authenticator.Type.RECOVERY_CODES):
                _remove(codes, by=by)
        _remove(row, by=by)


def remove_all(person: User, *, by: Actor, reason: str) -> int:
    """Remove every factor and all recovery codes of who lost them, and say why; returns how many factors there were."""
    with transaction.atomic():
        _lock(person)
        count = len(factors_of(person))
        for row in Authenticator.objects.filter(user=person).order_by("pk"):
            _remove(row, by=by, reason=reason)
        return count


def make_codes(person: User) -> list[str]:
    """New recovery codes in place of all earlier ones. Raises Problem `conflict` for who has no second factor."""
    with transaction.atomic():
        _lock(person)
        if not factors_of(person):
            raise Problem("conflict", "Recovery codes stand in for a second factor: add one first.")
        return _make_codes(person)


def _lock(person: User) -> None:
    # What belongs to one person is changed by one at a time, also where there is no row of it yet.
    User.objects.select_for_update().get(pk=person.pk)


def _add(row: Authenticator) -> list[str]:
    row.save()
    _record(events.FACTOR_ADDED, row, by=Actor.person(row.user), digest=_digest(row))
    has_codes = Authenticator.objects.filter(user=row.user, type=Authenticator.Type.RECOVERY_CODES).exists()
    return [] if has_codes else _make_codes(row.user)


def _make_codes(person: User) -> list[str]:
    Authenticator.objects.filter(user=person, type=Authenticator.Type.RECOVERY_CODES).delete()
    made = RecoveryCodes.activate(person)
    codes = made.generate_codes()
    _record(events.CODES_MADE, made.instance, by=Actor.person(person), digest=_digest(made.instance), count=len(codes))
    return codes


def _remove(row: Authenticator, *, by: Actor, reason: str | None = None) -> None:
    _record(events.FACTOR_REMOVED, row, by=by, reason=reason)
    row.delete()


def _record(event: str, row: Authenticator, *, by: Actor, reason: str | None = None, **facts: Any) -> None:
    facts |= {"factor": row.pk, "kind": kind_of(row)}
    written = {"name": row.data.get("name"), "reason": reason}
    content = {name: text for name, text in written.items() if text}
    ledger.record(ledger.Change(event, row.user, by, facts, content or None, None))


# --- using ---------------------------------------------------------------------------------------------------------


def use_code(person: User, text: str) -> Factor | None:
    """The factor that this code proves, of the app or a recovery code; None for a wrong one or one used before.

    Inside a transaction: the rows stay locked until what follows from it is stored.
    """
    code = _SEPARATORS.sub("", text)
    rows = Authenticator.objects.select_for_update().filter(user=person).exclude(type=Authenticator.Type.WEBAUTHN)
    for row in rows.order_by("pk"):
        good = _use_app(row, code) if row.type == Authenticator.Type.TOTP else RecoveryCodes(row).validate_code(code)
        if good:
            return record_use(Authenticator.objects.get(pk=row.pk))
    return None


def record_use(row: Authenticator) -> Factor:
    """Note that a factor was used, in its row and in the ledger; inside the transaction that verified it."""
    used = Factor(kind_of(row), row.pk, clock.now())
    row.last_used_at = used.at
    row.save(update_fields=["last_used_at", "data"])
    _record(events.FACTOR_USED, row, by=Actor.person(row.user))
    return used


def _use_app(row: Authenticator, code: str) -> bool:
    secret = get_adapter().decrypt(row.data["secret"])
    counter = _counter_of(secret, code, after=row.data.get("last_counter", 0))
    if counter is None:
        return False
    # RFC 6238, 5.2: no second acceptance. Older codes are void with it.
    row.data["last_counter"] = counter
    row.save(update_fields=["data"])
    return True


def _counter_of(secret: str, code: str, *, after: int) -> int | None:
    """The time step, later than `after`, whose code this is; a step of tolerance to either side."""
    now = int(time.time()) // app_settings.TOTP_PERIOD
    found = None
    for counter in range(now - app_settings.TOTP_TOLERANCE, now + app_settings.TOTP_TOLERANCE + 1):
        expected = totp.format_hotp_value(totp.hotp_value(secret, counter))
        if hmac.compare_digest(expected.encode(), code.encode()) and counter > after:
            found = counter
    return found


# --- is it still so? -----------------------------------------------------------------------------------------------


def _digest(row: Authenticator) -> str:
    lasting = {name: value for name, value in row.data.items() if name not in _NOT_THE_FACTOR}
    return "sha256:" + hashlib.sha256(canonical.dumps(lasting)).hexdigest()


@verification.register
def check_factors() -> Iterator[Finding]:
    """Second factors that nobody added in the portal, or that are not what was added."""
    table = Authenticator._meta.db_table
    for keys in key_batches(Authenticator.objects.all()):
        for key, problem in confirmed(keys, _look).items():
            yield Finding(table, str(key), problem)


def _look(keys: Sequence[int]) -> dict[int, Suspicion]:
    rows = {row.pk: row for row in Authenticator.objects.filter(pk__in=keys)}
    told = _told_of({str(row.user_id) for row in rows.values()})
    found = {}
    for key, row in rows.items():
        event = told.get(key)
        if event is None:
            found[key] = Suspicion(None, "no event tells of it")
        elif event.type == events.FACTOR_REMOVED:
            found[key] = Suspicion(event.id, f"event {event.id} tells that it was removed")
        elif canonical.loads(event.line)["facts"]["digest"] != _digest(row):
            found[key] = Suspicion(event.id, f"is not what event {event.id} tells")
    return found


def _told_of(people: set[str]) -> dict[int, Event]:
    """The newest event of each factor of these people, but for its uses."""
    types = (events.FACTOR_ADDED, events.CODES_MADE, events.FACTOR_REMOVED)
    rows = Event.objects.filter(subject_type="auth.user", subject_id__in=people, type__in=types)
    return {canonical.loads(event.line)["facts"]["factor"]: event for event in rows.order_by("at", "id")}
