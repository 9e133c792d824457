"""When the person of a session last proved who they are by more than a password, by the portal's own records.

It is written where a factor was verified (`zehrava_site.identity`) and read where one is asked for. It lives in the
session, which is a row of the portal's database: the browser only has its key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from audit import clock

Kind = Literal["totp", "webauthn", "recovery_code"]

SESSION_KEY = "zehrava_second_factor"


@dataclass(frozen=True)
class Factor:
    """A factor that was used: its kind, the key of its row, and when, by the database's clock.

    `about` is the digest that a security key signed for, if it was asked to; a code signs for nothing.
    """

    kind: Kind
    id: int
    at: datetime
    about: str = ""


FRESH = timedelta(minutes=5)


def was_just_now(at: datetime) -> bool:
    """Whether something was proved as lately as is asked for. What lies ahead is of a clock that was set back since."""
    return timedelta(0) <= clock.now() - at <= FRESH


def freshest(request: Any) -> Factor | None:
    """The second factor that was used last in this session, by the person who is signed in.

    `request` is Django's or REST framework's. None for who has used none, for a token, which has no session, and once
    the factor was removed.
    """
    kept = request.session.get(SESSION_KEY)
    if not isinstance(kept, dict) or "Authorization" in request.headers:
        return None
    if not request.user.is_authenticated or kept["person"] != request.user.pk:
        return None
    return Factor(kept["kind"], kept["id"], datetime.fromisoformat(kept["at"]), kept.get("about", ""))


def record(request: Any, person: Any, factor: Factor) -> None:
    """Note in this session that the person has just used this factor."""
    request.session[SESSION_KEY] = {
        "person": person.pk,
        "kind": factor.kind,
        "id": factor.id,
        "at": factor.at.astimezone(UTC).isoformat(),
        "about": factor.about,
    }


def forget(request: Any, factor_id: int) -> None:
    """A factor that was removed has proved nothing."""
    if request.session.get(SESSION_KEY, {}).get("id") == factor_id:
        del request.session[SESSION_KEY]
