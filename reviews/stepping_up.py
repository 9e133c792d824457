"""Step-up: where policy wants it, an approval needs a second factor that was used just now (NIST SP 800-63B, 7.2).

A security key signs for what is approved: its challenge is a hash over a nonce of the server and the intent's digest.
A code says only who typed it. To reject nothing is needed: whoever sees a danger stops it with what they have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from intents.models import Intent
from reviews.second_factor import Factor, was_just_now
from zehrava.problems import Problem

_WHERE = "Confirm it in the admin and approve it there; a personal token has none."


def is_wanted(requirement: Mapping[str, Any] | None) -> bool:
    """Whether this requirement wants it of each approval."""
    return bool((requirement or {}).get("step_up"))


def refuse_without(intent: Intent, factor: Factor | None, *, digest: str) -> None:
    """Raise Problem `second-factor-needed` where policy wants a factor and this is not one for this approval.

    `digest` is that of what the person was shown.
    """
    if is_wanted(intent.requirement) and (why := why_not(factor, digest)):
        raise Problem("second-factor-needed", f"{why} {_WHERE}" if factor is None else why)


def address(digest: str, *, back: str) -> str:
    """The page that asks for a factor for an approval of this digest, and leads back to there."""
    return f"{reverse('admin:second_factor')}?{urlencode({'next': back, 'about': digest})}"


def why_not(factor: Factor | None, digest: str) -> str:
    """Why this factor does not do for an approval of this digest; empty where it does."""
    if factor is None:
        return "Policy wants a second factor of whoever approves this, used within the last five minutes."
    if not was_just_now(factor.at):
        return "Your second factor was used more than five minutes ago. Confirm it again, then approve."
    if factor.kind == "webauthn" and factor.about != digest:
        return "A security key signs for one approval: use it on the page of this intent, for what stands there now."
    return ""
