"""The portal's Ed25519 keys: what it signs, and the public keys by which anybody verifies that without asking it.

A signature is a compact JWS (RFC 7515) with EdDSA (RFC 8037) and the payload left out (its appendix F): whoever has the
payload puts it back between the two dots. A key's id is its RFC 7638 thumbprint. The newest key signs; those before it
are retired and listed for ever, since what they signed has to be verified for ever.

Private keys are never in the database. Each is made of a secret text, as HKDF-SHA256 (RFC 5869) derives it:
ZEHRAVA_SIGNING_KEYS holds those texts where it is set, else each is a file of the data directory that nobody but the
portal's account may read. Without the newest key's secret nothing is signed, and what needs a signature is refused.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import IntegrityError, transaction

from audit import canonical_rows, clock, ledger
from audit.actors import Actor
from audit.comparing import Finding
from audit.models import Event, SigningKey
from zehrava import canonical
from zehrava.problems import Problem

CREATED, RETIRED = "signing_key.created", "signing_key.retired"
FIRST_USE = Actor.system("first signature")
_INFO = b"zehrava signing key 1"
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class NotSigned(ValueError):
    """What stands there is no signature of this portal's over this payload; the text says why."""


class Listed(NamedTuple):
    """A public key, and the one that took its place; None for the one that signs now."""

    key: SigningKey
    successor: SigningKey | None


@dataclass(frozen=True, slots=True)
class _Pair:
    kid: str
    x: str
    private: Ed25519PrivateKey


# --- signing and verifying ------------------------------------------------------------------------------------------


def sign(payload: bytes, *, typ: str) -> str:
    """A detached compact JWS over these bytes by the newest key.

    `typ` is the header's member of that name: what kind of thing is signed. The first signature of a portal that never
    had a key makes one. Raises Problem `unavailable` where this process does not have the newest key's secret.
    """
    newest = newest_key() or make_first_key(by=FIRST_USE)
    pair = _held(newest.kid)
    header = canonical.dumps({"alg": "EdDSA", "kid": pair.kid, "typ": typ})
    protected = _base64url(header)
    signature = pair.private.sign(f"{protected}.{_base64url(payload)}".encode())
    return f"{protected}..{_base64url(signature)}"


def attach(signature: str, payload: bytes) -> str:
    """The same JWS with its payload in it, as any JOSE library reads it."""
    protected, _, proof = signature.split(".")
    return f"{protected}.{_base64url(payload)}.{proof}"


def kid_of(signature: str) -> str:
    """The id of the key that a signature names. Raises NotSigned for what is no signature."""
    return _header(signature)["kid"]


def verify(signature: str, payload: bytes, *, typ: str, keys: Mapping[str, str]) -> None:
    """Raises NotSigned unless this is a detached JWS over these bytes by one of `keys`, see `public_keys`."""
    header = _header(signature)
    if header != {"alg": "EdDSA", "kid": header["kid"], "typ": typ}:
        raise NotSigned("the header is not one that this portal writes")
    if header["kid"] not in keys:
        raise NotSigned("the key that it names is none of this portal's")
    protected, _, proof = signature.split(".")
    try:
        public = Ed25519PublicKey.from_public_bytes(_bytes(keys[header["kid"]]))
        public.verify(_bytes(proof), f"{protected}.{_base64url(payload)}".encode())
    except (InvalidSignature, ValueError) as error:
        raise NotSigned("the signature is not one of these bytes") from error


def _header(signature: str) -> dict[str, Any]:
    parts = signature.split(".")
    try:
        header = canonical.loads(_bytes(parts[0]))
    except ValueError as error:
        raise NotSigned("it is no JWS") from error
    if len(parts) != 3 or parts[1] or not isinstance(header, dict) or not isinstance(header.get("kid"), str):
        raise NotSigned("it is no JWS whose payload is left out")
    return header


# --- the keys -------------------------------------------------------------------------------------------------------


def newest_key() -> SigningKey | None:
    """The key that signs now; None where there never was one. One query."""
    return SigningKey.objects.order_by("-number").first()


def listed_keys() -> list[Listed]:
    """Every key that ever signed, oldest first."""
    keys: list[SigningKey] = list(SigningKey.objects.order_by("number"))
    successors: list[SigningKey | None] = [*keys[1:], None]
    return [Listed(*each) for each in zip(keys, successors, strict=False)]


def public_keys() -> dict[str, str]:
    """Every public key that ever signed, base64url, by its id."""
    return dict(SigningKey.objects.values_list("kid", "x"))


def key_set() -> dict[str, Any]:
    """The JSON Web Key Set (RFC 7517) of every key that ever signed.

    `created_at` and `retired_at` are members of ours, which other readers ignore.
    """
    return {
        "keys": [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": key.x,
                "kid": key.kid,
                "use": "sig",
                "alg": "EdDSA",
                "created_at": canonical_rows.instant(key.created_at),
                **({"retired_at": canonical_rows.instant(successor.created_at)} if successor else {}),
            }
            for key, successor in listed_keys()
        ]
    }


def make_first_key(*, by: Actor) -> SigningKey:
    """The key that signs now, made here where there never was one; of any number of processes one makes it.

    Raises Problem `unavailable` where a secret cannot be kept.
    """
    if key := newest_key():
        return key
    pair = _unused(()) or _make_secret()
    try:
        with transaction.atomic():
            return _register(pair, number=1, by=by)
    except IntegrityError:
        # Another process was first; what it made is what counts.
        key = newest_key()
        if key is None:
            raise
        return key


def rotate(*, by: Actor) -> SigningKey:
    """Let a new key sign from now on; the one before it is retired, and stays listed.

    Where ZEHRAVA_SIGNING_KEYS is set, the new one is the first of them that was never used. Raises Problem `conflict`
    where there is no such secret or somebody else rotates at this moment, `unavailable` where one cannot be kept.
    """
    before = newest_key()
    if before is None:
        return make_first_key(by=by)
    pair = _unused(public_keys()) or _make_secret()
    try:
        with transaction.atomic():
            key = _register(pair, number=before.number + 1, by=by)
            facts = {"kid": before.kid, "successor": key.kid}
            ledger.record(ledger.Change(RETIRED, before, by, facts, history=None), at=key.created_at)
            return key
    except IntegrityError as error:
        raise Problem("conflict", "Somebody else has just made a new key: there is nothing left to do.") from error


def _register(pair: _Pair, *, number: int, by: Actor) -> SigningKey:
    key = SigningKey(kid=pair.kid, x=pair.x, number=number, created_at=clock.now())
    key.save(force_insert=True)
    facts = {"kid": key.kid, "x": key.x, "number": number}
    ledger.record(ledger.Change(CREATED, key, by, facts, history=None), at=key.created_at)
    return key


# --- their secrets --------------------------------------------------------------------------------------------------


def _held(kid: str) -> _Pair:
    """The key of this id with its private part. Raises Problem `unavailable` where this process does not have it."""
    if settings.ZEHRAVA_SIGNING_KEYS:
        found = next((pair for pair in map(_pair, settings.ZEHRAVA_SIGNING_KEYS) if pair.kid == kid), None)
        if found is None:
            raise _unavailable(f"None of ZEHRAVA_SIGNING_KEYS is the key {kid}, which signs now. Put its secret there")
        return found
    path = _folder() / kid
    try:
        _refuse_open(path)
        pair = _pair(path.read_text().strip())
    except OSError as error:
        raise _unavailable(
            f"The secret of the key {kid}, which signs now, cannot be read from {path.name} in the folder of signing "
            "keys. Put the file back"
        ) from error
    if pair.kid != kid:
        raise _unavailable(f"The file {kid} in the folder of signing keys holds another key's secret. Put its own back")
    return pair


def _refuse_open(path: Path) -> None:
    """Raises Problem `unavailable` for a file or folder that others than the portal's account may read or change."""
    for each in (path, path.parent):
        if each.stat().st_mode & _FOR_OTHERS:
            mode = "700" if each == path.parent else "600"
            raise _unavailable(
                f"Others may read or change {each.name}, where a signing key is kept. Set its mode to {mode}"
            )


def _unavailable(what: str) -> Problem:
    return Problem(
        "unavailable",
        f"This portal cannot sign, so nothing was stored. An operator has to see to it: {what}, or make a new key with "
        "`manage.py key_rotate`.",
    )


def _unused(known: Collection[str]) -> _Pair | None:
    """The first key that this process has a secret of and that was never registered.

    None where a new one is to be made. Raises Problem `conflict` where only the settings could hold one.
    """
    if not settings.ZEHRAVA_SIGNING_KEYS:
        # Left by a process that was interrupted before its key was registered.
        files = sorted(_folder().glob("[!.]*"))
        return next((_held(path.name) for path in files if path.name not in known), None)
    found = next((pair for pair in map(_pair, settings.ZEHRAVA_SIGNING_KEYS) if pair.kid not in known), None)
    if found is None:
        raise Problem(
            "conflict",
            "Every key of ZEHRAVA_SIGNING_KEYS was used already. Add a new secret to it on every host, leave the old "
            "ones there, restart the portal's processes, then run this again.",
        )
    return found


def _make_secret() -> _Pair:
    """A new key whose secret is kept in a file of its own. Raises Problem `unavailable` where it cannot be written."""
    secret = secrets.token_urlsafe(48)
    pair = _pair(secret)
    path = _folder() / pair.kid
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whoever reads it finds all of it or nothing.
        draft = path.with_name(f".{pair.kid}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secret)
        draft.rename(path)
        _refuse_open(path)
    except OSError as error:
        raise _unavailable(f"A new key cannot be kept ({error.strerror}). Make the data directory writable") from error
    return pair


def _folder() -> Path:
    folder: Path = settings.ZEHRAVA_SIGNING_KEYS_FOLDER
    return folder


@functools.lru_cache(maxsize=16)
def _pair(secret: str) -> _Pair:
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret.encode())
    private = Ed25519PrivateKey.from_private_bytes(seed)
    x = _base64url(private.public_key().public_bytes_raw())
    return _Pair(thumbprint(x), x, private)


def thumbprint(x: str) -> str:
    """The RFC 7638 thumbprint of an Ed25519 public key in base64url."""
    return _base64url(hashlib.sha256(canonical.dumps({"crv": "Ed25519", "kty": "OKP", "x": x})).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """The bytes of a base64url text as JOSE writes it, strictly: no padding, no other letters."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _base64url(data) != text:
        raise ValueError("not base64url")
    return data


# --- for audit_check ------------------------------------------------------------------------------------------------


def unlike_their_events() -> Iterator[Finding]:
    """Keys that the ledger does not know as they are: put in, replaced or taken away by SQL."""
    table = SigningKey._meta.db_table
    stored = {key.kid: key for key in SigningKey.objects.all()}
    told: dict[str, dict[str, Any]] = {}
    for line in Event.objects.filter(type=CREATED).values_list("line", flat=True):
        facts = canonical.loads(line)["facts"]
        told[facts["kid"]] = facts
    for kid, key in stored.items():
        if told.get(kid) != {"kid": kid, "x": key.x, "number": key.number}:
            yield Finding(table, kid, "no event tells of this key as it is")
        elif thumbprint(key.x) != kid:
            yield Finding(table, kid, "the id is not the key's thumbprint")
    for kid in sorted(told.keys() - stored.keys()):
        yield Finding(table, kid, "the key is gone, though an event tells that it was made")
