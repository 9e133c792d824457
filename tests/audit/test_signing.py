"""The portal's keys: made once, kept from others, replaced without losing what was signed before."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import stat

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from audit import immutability, signing, verification
from audit.actors import Actor
from audit.models import Event, SigningKey
from tests.crowd import at_once
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db
BY = Actor.system("arranger")
WORDS = b'{"what":"was said"}'


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    """Keys of this test alone."""
    settings.ZEHRAVA_SIGNING_KEYS = []
    settings.ZEHRAVA_SIGNING_KEYS_FOLDER = tmp_path / "keys"
    return tmp_path / "keys"


def rotate(**options) -> str:
    out = io.StringIO()
    call_command("key_rotate", stdout=out, **options)
    return out.getvalue()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def holds(signature: str, payload: bytes = WORDS, typ: str = "test") -> bool:
    try:
        signing.verify(signature, payload, typ=typ, keys=signing.public_keys())
    except signing.NotSigned:
        return False
    return True


def test_what_is_signed_is_verified_with_the_published_keys_and_nothing_of_ours(client):
    signature = signing.sign(WORDS, typ="test")
    answer = client.get("/.well-known/jwks.json")
    assert answer.headers["Content-Type"] == "application/jwk-set+json"
    assert "max-age=300" in answer.headers["Cache-Control"]
    header, payload, proof = signing.attach(signature, WORDS).split(".")
    [key] = [each for each in answer.json()["keys"] if each["kid"] == json.loads(decoded(header))["kid"]]
    assert {name: key[name] for name in ("kty", "crv", "use", "alg")} == {
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
    }  # fmt: skip
    public = Ed25519PublicKey.from_public_bytes(decoded(key["x"]))
    public.verify(decoded(proof), f"{header}.{payload}".encode())
    assert decoded(payload) == WORDS
    with pytest.raises(InvalidSignature):
        public.verify(decoded(proof), f"{header}.{payload}x".encode())


def test_a_key_is_known_by_its_thumbprint_of_rfc_7638():
    key = signing.make_first_key(by=BY)
    members = f'{{"crv":"Ed25519","kty":"OKP","x":"{key.x}"}}'.encode()
    assert decoded(key.kid) == hashlib.sha256(members).digest()


@pytest.mark.parametrize(
    "forged",
    [
        lambda s: s.replace("..", ".e30."),
        lambda s: s[:-1] + ("A" if s[-1] != "A" else "Q"),
        lambda s: s + "=",
        lambda s: "." + s.partition(".")[2],
        lambda s: "",
        lambda s: "e30" + s[s.index(".") :],
        lambda s: base64.urlsafe_b64encode(b'{"alg":"none","kid":"x","typ":"test"}').decode().rstrip("=") + "..",
    ],
)
def test_what_was_tampered_with_does_not_hold(forged):
    signature = signing.sign(WORDS, typ="test")
    assert holds(signature)
    assert not holds(forged(signature))
    assert not holds(signature, b"other words")
    assert not holds(signature, typ="another kind of thing")


def test_the_secret_is_in_a_file_that_only_the_portal_reads_and_nowhere_in_the_database(folder):
    key = signing.make_first_key(by=BY)
    [path] = folder.iterdir()
    assert path.name == key.kid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    stored = f"{list(SigningKey.objects.values())} {list(Event.objects.values())}"
    assert path.read_text() not in stored


@pytest.mark.parametrize("open_to_others", [0o640, 0o604, 0o620, 0o602])
def test_a_key_that_others_may_read_signs_nothing(folder, open_to_others):
    key = signing.make_first_key(by=BY)
    (folder / key.kid).chmod(open_to_others)
    with pytest.raises(Problem, match="Set its mode to 600") as refused:
        signing.sign(WORDS, typ="test")
    assert refused.value.kind == "unavailable"
    (folder / key.kid).chmod(0o600)
    folder.chmod(0o770)
    with pytest.raises(Problem, match="Set its mode to 700"):
        signing.sign(WORDS, typ="test")


def test_without_its_secret_nothing_is_signed_and_no_other_key_steps_in(folder):
    key = signing.make_first_key(by=BY)
    (folder / key.kid).rename(folder / "elsewhere")
    with pytest.raises(Problem, match="cannot be read") as refused:
        signing.sign(WORDS, typ="test")
    assert refused.value.kind == "unavailable"
    (folder / key.kid).write_text("another secret that somebody has put there")
    (folder / key.kid).chmod(0o600)
    with pytest.raises(Problem, match="another key's secret"):
        signing.sign(WORDS, typ="test")
    assert SigningKey.objects.count() == 1


def test_the_first_bootstrap_makes_a_key_and_the_second_leaves_it():
    call_command("bootstrap", stdout=io.StringIO())
    [key] = SigningKey.objects.all()
    call_command("bootstrap", stdout=io.StringIO())
    assert list(SigningKey.objects.all()) == [key]
    [event] = Event.objects.filter(type="signing_key.created")
    assert json.loads(event.line)["facts"] == {"kid": key.kid, "x": key.x, "number": 1}
    assert event.actor_name == "manage.py bootstrap"


def test_a_new_key_signs_and_what_the_old_one_signed_still_holds(client):
    old = signing.sign(WORDS, typ="test")
    retired = signing.newest_key()
    answer = json.loads(rotate(json=True))
    new = signing.sign(WORDS, typ="test")
    assert answer == {"kid": signing.kid_of(new), "retired": signing.kid_of(old)}
    assert retired is not None and retired.kid == signing.kid_of(old)
    assert holds(old) and holds(new)
    first, second = client.get("/.well-known/jwks.json").json()["keys"]
    assert (first["kid"], second["kid"]) == (answer["retired"], answer["kid"])
    assert first["retired_at"] == second["created_at"]
    assert "retired_at" not in second
    [event] = Event.objects.filter(type="signing_key.retired")
    assert json.loads(event.line)["facts"] == {"kid": answer["retired"], "successor": answer["kid"]}


def test_with_keys_in_the_settings_a_rotation_takes_the_one_that_is_new(settings, folder):
    settings.ZEHRAVA_SIGNING_KEYS = ["a secret of more than thirty-two characters"]
    old = signing.sign(WORDS, typ="test")
    with pytest.raises(CommandError, match="Add a new secret to it on every host"):
        rotate()
    settings.ZEHRAVA_SIGNING_KEYS.append("another secret of more than thirty-two characters")
    # Until then the old one signs, wherever the new one is known already.
    assert signing.kid_of(signing.sign(WORDS, typ="test")) == signing.kid_of(old)
    assert signing.kid_of(old) in rotate()
    new = signing.sign(WORDS, typ="test")
    assert signing.kid_of(new) != signing.kid_of(old)
    assert holds(old) and holds(new)
    # A host that was not given the new one signs nothing.
    settings.ZEHRAVA_SIGNING_KEYS.pop()
    with pytest.raises(Problem, match="None of ZEHRAVA_SIGNING_KEYS"):
        signing.sign(WORDS, typ="test")
    assert not folder.exists()


def test_the_database_refuses_to_change_or_forget_a_key():
    signing.make_first_key(by=BY)
    statements = ["UPDATE audit_signingkey SET x = 'y'", "DELETE FROM audit_signingkey"]
    if connection.vendor == "sqlite":
        statements.append("INSERT OR REPLACE INTO audit_signingkey SELECT * FROM audit_signingkey")
    for statement in statements:
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            connection.cursor().execute(statement)


def test_a_key_that_was_put_in_or_taken_away_by_sql_is_found():
    key = signing.make_first_key(by=BY)
    assert verification.check().findings == []
    SigningKey(kid="k" * 43, number=2, x=key.x, created_at=key.created_at).save(force_insert=True)
    assert [found.row for found in signing.unlike_their_events()] == ["k" * 43]
    immutability.remove(connection, "audit_signingkey")
    SigningKey.objects.all().delete()
    immutability.install(connection, "audit_signingkey")
    assert [(found.row, found.problem) for found in signing.unlike_their_events()] == [
        (key.kid, "the key is gone, though an event tells that it was made")
    ]


def test_of_many_that_bootstrap_at_once_one_makes_the_key(start_portal):
    portal = start_portal(web=0)
    # As it was before its first bootstrap.
    portal.shell(
        "from django.db import connection\nfrom audit import immutability\n"
        "from audit.models import SigningKey, Event\n"
        "for table in ('audit_signingkey', 'audit_event'): immutability.remove(connection, table)\n"
        "Event.objects.filter(type='signing_key.created').delete()\nSigningKey.objects.all().delete()\n"
        "for table in ('audit_signingkey', 'audit_event'): immutability.install(connection, table)"
    )
    said = at_once(
        portal,
        "from audit import signing\nfrom django.db import transaction\nfrom zehrava_site.roles import BOOTSTRAP\n"
        "said = []\n# GO\n"
        "with transaction.atomic():\n    said.append(signing.make_first_key(by=BOOTSTRAP).kid)\n"
        "said.append(signing.kid_of(signing.sign(b'{}', typ='test')))\n",
    )
    assert len({kid for process in said for kid in process}) == 1
    assert portal.shell(
        "from audit import signing\nfrom audit.models import *\n"
        "print(SigningKey.objects.count(), Event.objects.filter(type=signing.CREATED).count(), "
        "list(signing.unlike_their_events()))"
    ).split() == ["1", "1", "[]"]
