"""A security key in software: answers as a browser and a key together would, and lies where it is told to."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256
from fido2.webauthn import AttestedCredentialData

ORIGIN = "http://testserver"
PRESENT, ATTESTED = 0x01, 0x40


def text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def plain(data: str) -> bytes:
    return urlsafe_b64decode(data + "=" * (-len(data) % 4))


class SoftKey:
    """One credential. `counter` is what it counts, `origin` what the browser says it shows."""

    def __init__(self, origin: str = ORIGIN, site: str = "testserver") -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.id = os.urandom(32)
        self.origin, self.site, self.counter = origin, site, 0

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """The answer to a challenge to add this key."""
        public = ES256.from_cryptography_key(self.private.public_key())
        attested = AttestedCredentialData.create(b"\0" * 16, self.id, public)
        data = self._data(PRESENT | ATTESTED) + bytes(attested)
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            {
                "clientDataJSON": text(self._said("webauthn.create", options["publicKey"]["challenge"])),
                "attestationObject": text(attestation),
            }
        )

    def get(self, options: dict[str, Any], *, flags: int = PRESENT) -> dict[str, Any]:
        """The answer to a challenge to use this key."""
        self.counter += 1
        said = self._said("webauthn.get", options["publicKey"]["challenge"])
        data = self._data(flags)
        signature = self.private.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {"clientDataJSON": text(said), "authenticatorData": text(data), "signature": text(signature)}
        )

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.site.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")

    def _said(self, type: str, challenge: str) -> bytes:
        return json.dumps({"type": type, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _answer(self, response: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": text(self.id),
            "rawId": text(self.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": response,
        }
