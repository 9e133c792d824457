"""Personal tokens: what a person's own programs call the API with."""

import secrets
import string

from django.contrib.auth.models import User
from django.db import transaction

from audit import clock, ledger
from audit.actors import Actor
from intents.api.authentication import PERSON, fingerprint
from reviews.models import PersonalToken
from zehrava.problems import Problem

ALPHABET = string.ascii_letters + string.digits
LENGTH = 43  # of 62 characters: 256 bits, so that a plain SHA-256 is enough to store
PREFIX_LENGTH = 12


def create_token(user: User, *, by: Actor) -> tuple[PersonalToken, str]:
    """Make a token for a person. Returns the row and the text, which is shown once and stored nowhere.

    Raises Problem `conflict` for a person who was deactivated.
    """
    if not user.is_active:
        raise Problem("conflict", f"{user.get_username()} is deactivated: a token would open nothing.")
    text = PERSON + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    token = PersonalToken(user=user, prefix=text[:PREFIX_LENGTH], hash=fingerprint(text), created_at=clock.now())
    ledger.save(token, "token.created", by=by, facts={"user": user.pk, "prefix": token.prefix})
    return token, text


def revoke_token(token: PersonalToken, *, by: Actor) -> PersonalToken:
    """Stop accepting a token, at once; one that is revoked already stays as it is."""
    with transaction.atomic():
        token = PersonalToken.objects.select_for_update().get(pk=token.pk)
        if token.revoked_at is None:
            token.revoked_at = clock.now()
            ledger.save(token, "token.revoked", by=by, facts={"user": token.user_id}, update_fields=["revoked_at"])
    return token
