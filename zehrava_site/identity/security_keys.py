"""Security keys (WebAuthn, W3C Web Authentication Level 2), with the challenge in our own hands.

The challenge is SHA-256 over a nonce that the session holds once and what the key is to sign for, so that a signature
for one thing says nothing about another.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import time
from dataclasses import replace
from typing import Any, Literal

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from reviews.second_factor import Factor
from zehrava.problems import Problem
from zehrava_site.identity import factors

Purpose = Literal["add", "use"]

SESSION_KEY = "zehrava_key_nonce"
HOLDS = 300  # seconds
_REFUSED = "The security key was not accepted. Try again."


def usable_at(request: HttpRequest) -> bool:
    """Whether browsers offer keys at the name this request asked for: they never do for a bare address."""
    try:
        ipaddress.ip_address(_host(request).strip("[]"))
    except ValueError:
        return True
    return False


def challenge(request: HttpRequest, person: User, purpose: Purpose, about: str = "") -> dict[str, Any]:
    """Options for the browser's `navigator.credentials`; what was asked before counts no more.

    `about` names what the signature is for, such as the digest of an intent; it has to be given again to `use`.
    """
    nonce = secrets.token_hex(32)
    request.session[SESSION_KEY] = {"nonce": nonce, "purpose": purpose, "person": person.pk, "at": time.time()}
    server, known = _server(request), _credentials(person)
    if purpose == "add":
        creation, _ = server.register_begin(
            PublicKeyCredentialUserEntity(
                id=str(person.pk).encode(), name=person.get_username(), display_name=person.get_username()
            ),
            list(known.values()),
            resident_key_requirement=ResidentKeyRequirement.DISCOURAGED,
            user_verification=UserVerificationRequirement.PREFERRED,
            challenge=_hash(nonce, about),
        )
        return dict(creation)
    if not known:
        raise Problem("conflict", "This account has no security key.")
    options, _ = server.authenticate_begin(
        list(known.values()),
        user_verification=UserVerificationRequirement.PREFERRED,
        challenge=_hash(nonce, about),
    )
    return dict(options)


def add(request: HttpRequest, person: User, *, name: str, response: Any) -> list[str]:
    """Add the key that gave this response to the challenge; returns recovery codes where there were none.

    Raises Problem `invalid` where the response is not one to the session's challenge, from this site.
    """
    state = _take_state(request, person, "add", "")
    try:
        data = _server(request).register_complete(state, response)
    except Exception as error:
        # Bytes from outside, through two parsers: whatever they raise, it is no key of ours.
        raise Problem("invalid", _REFUSED) from error
    return factors.add_key(person, name=name, credential=response, sign_count=data.counter)


def use(request: HttpRequest, person: User, *, response: Any, about: str = "") -> Factor:
    """The factor that this response to the challenge proves; inside a transaction. Raises Problem `invalid`."""
    state = _take_state(request, person, "use", about)
    # Locked, so that two answers with one count are not both the first.
    known = _credentials(person, lock=True)
    try:
        used = _server(request).authenticate_complete(state, list(known.values()), response)
        row = next(row for row, data in known.items() if data.credential_id == used.credential_id)
        count = _sign_count(response)
    except Exception as error:
        raise Problem("invalid", _REFUSED) from error
    stored = row.data.get("sign_count", 0)
    # Section 6.1.1: a key that counts, and does not count up, has a copy somewhere. Many do not count at all.
    if (count or stored) and count <= stored:
        raise Problem("invalid", "This security key may have been copied: its counter went back. Remove it.")
    # The session forgets its nonce too, but two requests at once read it both; the row they have to take turns for.
    if row.data.get("last_challenge") == state["challenge"]:
        raise Problem("invalid", _REFUSED)
    row.data |= {"sign_count": count, "last_challenge": state["challenge"]}
    return replace(factors.record_use(row), about=about)


def _take_state(request: HttpRequest, person: User, purpose: Purpose, about: str) -> dict[str, Any]:
    """What fido2 calls the state, of the session's nonce, which is gone with this."""
    asked = request.session.pop(SESSION_KEY, None)
    if (
        not isinstance(asked, dict)
        or (asked["purpose"], asked["person"]) != (purpose, person.pk)
        or not 0 <= time.time() - asked["at"] <= HOLDS
    ):
        raise Problem("invalid", "This took too long, or was begun on another page. Try again.")
    return Fido2Server._make_internal_state(_hash(asked["nonce"], about), UserVerificationRequirement.PREFERRED)


def _hash(nonce: str, about: str) -> bytes:
    return hashlib.sha256(bytes.fromhex(nonce) + about.encode()).digest()


def _sign_count(response: Any) -> int:
    return AuthenticationResponse.from_dict(response).response.authenticator_data.counter


def _credentials(person: User, *, lock: bool = False) -> dict[Authenticator, AttestedCredentialData]:
    rows = Authenticator.objects.filter(user=person, type=Authenticator.Type.WEBAUTHN).order_by("pk")
    found = {}
    for row in rows.select_for_update() if lock else rows:
        data = RegistrationResponse.from_dict(row.data["credential"]).response.attestation_object.auth_data
        if data.credential_data is not None:
            found[row] = data.credential_data
    return found


def _server(request: HttpRequest) -> Fido2Server:
    # Exactly this site, by the name it was asked for or the one it is configured with: no other page of the domain.
    origins = {f"{request.scheme}://{request.get_host()}", settings.BASE_URL}
    site = PublicKeyCredentialRpEntity(id=_host(request), name="Zehrava")
    return Fido2Server(site, verify_origin=lambda origin: origin in origins)


def _host(request: HttpRequest) -> str:
    host = request.get_host()
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
