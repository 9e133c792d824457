"""Where a decision comes from: the door, the address, and what the page says of how it was read.

How long a page was open is the server's own measure: the form carries when it was drawn, signed for this person, this
intent and this digest. That the whole payload was in sight is what the page of the browser claims, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib.auth.models import User
from django.core import signing
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest

from audit import clock
from intents.models import Intent
from intents.representation import instant
from reviews.models import Door
from zehrava.problems import Problem

# The names of the form's fields; where there are several intents on a page, with the intent's id after a dash.
OPENED, SEEN = "opened", "seen"
_SALT = "zehrava.page"
# What the field holds once the end of the payload was in sight.
_YES = "yes"


@dataclass(frozen=True, slots=True)
class Origin:
    """What came with a decision. `opened` is what `opening` gave to its page, or whatever was sent in its place."""

    door: Door
    address: str | None
    opened: str = ""
    claims_seen: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The same once it was read; no seconds and no claim where it came through no page."""

    door: Door | None = None
    address: str | None = None
    open_seconds: int | None = None
    whole_payload: bool | None = None


def opening(intent_id: str, person: User, digest: str, *, at: datetime, kept: str = "") -> str:
    """What a page puts into its form: since when this person is shown this; `at` is now, by the database's clock.

    `kept` is what the form held before, for a page that is drawn once more: it stays, as long as it says the same.
    """
    if _opened_at(kept, intent_id, person, digest):
        return kept
    return signing.dumps([intent_id, person.pk, digest, instant(at)], salt=_SALT)


def of_page(request: HttpRequest, door: Door, *, named: str = "") -> Origin:
    """The origin of what a form sent; `named` is the end of its fields' names where it holds several intents."""
    sent = request.POST
    opened = sent.get(f"{OPENED}-{named}" if named else OPENED, "")
    return Origin(door, address_of(request), opened, sent.get(SEEN) == _YES)


def of_api(request: Any) -> Origin:
    """The origin of what a program sent; `request` is REST framework's."""
    return Origin(Door.API, address_of(request._request))


def seen_by(origin: Origin | None, intent: Intent, person: User, *, digest: str) -> Seen:
    """What of this goes into the record.

    Raises Problem `stale-digest` where it comes from a page and does not say when this person was shown this digest.
    """
    if origin is None:
        return Seen()
    if origin.door == Door.API:
        return Seen(origin.door, origin.address)
    opened_at = _opened_at(origin.opened, intent.pk, person, digest)
    if opened_at is None:
        raise Problem(
            "stale-digest",
            "The page does not say when it was opened for you. Read the intent again on a fresh page and decide there.",
            path=f"/{OPENED}",
        )
    # A clock that was set back meanwhile makes no negative times.
    seconds = max(0, int((clock.now() - opened_at).total_seconds()))
    return Seen(origin.door, origin.address, seconds, origin.claims_seen)


def address_of(request: HttpRequest) -> str | None:
    """The network address behind the proxies that are one's own."""
    try:
        found = get_adapter(request).get_client_ip(request)
    except (PermissionDenied, ImproperlyConfigured):
        # Not through the proxies: whoever asks, asks from next to us.
        found = request.META.get("REMOTE_ADDR", "")
    try:
        return str(ip_address(found))
    except ValueError:
        return None


def _opened_at(opened: str, intent_id: str, person: User, digest: str) -> datetime | None:
    try:
        *about, at = signing.loads(opened, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return datetime.fromisoformat(at) if about == [intent_id, person.pk, digest] else None
