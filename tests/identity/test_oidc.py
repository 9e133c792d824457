"""Signing in at a provider: who it is, what they may, and what is believed of what comes back."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from tests.factories import make_user
from tests.identity.conftest import add_app, browser, code_of, enters, forget_codes_used, give_code, told
from zehrava_site import roles

MAPPING = {"approvers": ["reviewers"], "sre": ["operators", "security"], "heads": ["administrators"]}


class Provider:
    """A provider on loopback: it calls `claims` whoever is sent to it, and signs it with `key`."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {"kid": "1"}
        self.signing: Any = self.key
        self.algorithm = "RS256"
        self.calls_itself: str | None = None
        self.asked: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(
                    {"/.well-known/openid-configuration": provider.configuration, "/keys": provider.keys}[self.path]()
                )

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._answer(provider.token({name: value for name, [value] in parse_qs(body).items()}))

            def _answer(self, document: Any) -> None:
                self.send_response(200 if document else 400)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.calls_itself or self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def keys(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [public | {"kid": "1", "use": "sig", "alg": "RS256"}]}

    def authorize(self, address: str) -> str:
        """What a browser that is sent to this address is sent back with: the query of the callback."""
        query = {name: value for name, [value] in parse_qs(urlsplit(address).query).items()}
        code = f"code-{len(self.asked)}"
        self.asked[code] = query
        return f"code={code}&state={query['state']}"

    def token(self, sent: dict[str, str]) -> dict[str, Any] | None:
        asked = self.asked.pop(sent["code"], None)
        if asked is None or sent["client_secret"] != "s3cret" or sent["redirect_uri"] != asked["redirect_uri"]:
            return None
        digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
        if urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return None
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "portal", "iat": now, "exp": now + 60, "sub": "u-1"} | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        token = jwt.encode(claims, self.signing, algorithm=self.algorithm, headers=self.header)
        return {"access_token": "x", "token_type": "Bearer", "id_token": token}


@pytest.fixture
def provider(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    made = Provider()
    roles.install()
    Group.objects.create(name="security")
    identifier = "oidc-" + hashlib.sha256(made.issuer.encode()).hexdigest()[:16]
    app = {
        "provider_id": identifier,
        "name": "x",
        "client_id": "portal",
        "secret": "s3cret",
        "settings": {"server_url": made.issuer, "oauth_pkce_enabled": True},
    }
    monkeypatch.setattr(settings, "ZEHRAVA_OIDC_ISSUER", made.issuer)
    monkeypatch.setattr(settings, "ZEHRAVA_OIDC_ID", identifier)
    monkeypatch.setattr(settings, "ZEHRAVA_OIDC_GROUPS", MAPPING)
    monkeypatch.setattr(settings, "SOCIALACCOUNT_PROVIDERS", {"openid_connect": {"APPS": [app]}})
    made.claims = {"preferred_username": "rita", "groups": ["approvers"]}
    yield made
    made.server.shutdown()
    made.server.server_close()


def sign_in(provider: Provider, client: Client | None = None, **more: str) -> Client:
    """From the button of the login page to the provider and back."""
    client = client or browser()
    answer = client.post(reverse("admin:oidc"), more)
    assert answer.status_code == 302, answer.content
    client.last = client.get(reverse("admin:oidc_callback") + "?" + provider.authorize(answer.headers["Location"]))
    return client


def groups(username: str = "rita") -> set[str]:
    return set(User.objects.get(username=username).groups.values_list("name", flat=True))


def test_off_by_default(db):
    assert settings.ZEHRAVA_OIDC_ISSUER == ""
    client = browser()
    assert client.post(reverse("admin:oidc")).status_code == 404
    assert client.get(reverse("admin:oidc_callback")).status_code == 404
    assert "Sign in with" not in client.get(reverse("admin:login")).content.decode()


def test_a_new_subject_becomes_a_person_with_the_groups_of_their_claims(provider):
    assert "Sign in with 127.0.0.1" in browser().get(reverse("admin:login")).content.decode()
    client = sign_in(provider, next="/admin/figures/")
    assert client.last.headers["Location"] == "/admin/figures/"
    assert enters(client)
    person = User.objects.get()
    assert groups() == {"reviewers"} and not person.has_usable_password() and not person.is_superuser
    [added] = told("person.added")
    assert added["actor"] == {"kind": "system", "id": "OpenID Connect", "name": "OpenID Connect"}
    assert told("person.signed_in")[0]["facts"]["method"] == "oidc"


def test_each_sign_in_sets_the_groups_and_tells_the_ledger(provider):
    elsewhere = sign_in(provider)
    person = User.objects.get()
    person.groups.add(Group.objects.create(name="finance"))
    provider.claims["groups"] = ["sre", "something else", 7, None]
    client = sign_in(provider)
    # What administrators gave stays; what the configuration names follows the claims.
    assert groups() == {"operators", "security", "finance"}
    [changed] = told("person.changed")
    assert changed["actor"]["name"] == "OpenID Connect"
    assert enters(client) and not enters(elsewhere)
    sign_in(provider)
    assert len(told("person.changed")) == 1


def test_who_lost_every_role_does_not_enter_and_loses_the_groups(provider):
    client = sign_in(provider)
    provider.claims["groups"] = []
    again = sign_in(provider)
    assert not enters(again) and groups() == set()
    assert not enters(client)
    assert "nothing that is told of you there gives you a role" in again.get("/admin/login/").content.decode()


def test_who_never_had_a_role_leaves_no_account(provider):
    provider.claims["groups"] = "nobody"
    assert not enters(sign_in(provider))
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "claims", [{}, {"email": "rita@example.com"}, {"email": "rita@example.com", "email_verified": True}]
)
def test_nobody_becomes_somebody_who_is_here_by_a_name_or_an_address(provider, claims):
    here = make_user("rita", "administrators", email="rita@example.com", is_superuser=True)
    provider.claims |= claims
    client = sign_in(provider)
    assert enters(client)
    assert client.session["_auth_user_id"] != str(here.pk)
    assert SocialAccount.objects.get().user.username.startswith("rita-")
    assert groups() == {"administrators"}


def test_another_subject_of_the_same_name_is_another_person(provider):
    sign_in(provider)
    provider.claims["sub"] = "u-2"
    sign_in(provider)
    assert User.objects.count() == SocialAccount.objects.count() == 2


def test_the_same_subject_of_another_issuer_is_another_person(provider, monkeypatch):
    sign_in(provider)
    SocialAccount.objects.update(provider="oidc-of-another-issuer")
    sign_in(provider)
    assert User.objects.count() == 2


def test_who_was_deactivated_stays_out(provider):
    sign_in(provider)
    User.objects.update(is_active=False)
    assert not enters(sign_in(provider))
    assert len(told("person.signed_in")) == 1


def test_claims_give_nobody_a_seat_besides_giving_them_out(provider):
    provider.claims["groups"] = ["approvers", "heads"]
    client = sign_in(provider)
    assert not enters(client)
    assert not User.objects.exists()


def test_a_second_factor_is_asked_for_all_the_same(provider):
    sign_in(provider)
    secret, _ = add_app(User.objects.get())
    client = sign_in(provider)
    assert client.last.headers["Location"] == reverse("admin:login_factor")
    assert not enters(client)
    forget_codes_used()
    give_code(client, code_of(secret))
    assert enters(client)
    assert told("person.signed_in")[-1]["facts"] == {"method": "oidc", "factor": "totp", "known_device": False}


other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
LIES: dict[str, dict[str, Any]] = {
    "signed by another": {"signing": other},
    "not signed": {"signing": None, "algorithm": "none"},
    "signed with the secret": {"signing": "s3cret" * 8, "algorithm": "HS256"},
    "an unknown key": {"header": {"kid": "2"}},
    "for another": {"claims": {"aud": "someone-else"}},
    "from another": {"claims": {"iss": "https://evil.example"}},
    "over": {"claims": {"exp": 1}},
    "without an end": {"claims": {"exp": None}},
    "without a subject": {"claims": {"sub": None}},
    "a provider that calls itself something else": {"calls_itself": "https://evil.example"},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_what_is_not_signed_for_us_by_the_provider_is_not_believed(provider, lie):
    for attribute, value in lie.items():
        setattr(provider, attribute, provider.claims | value if attribute == "claims" else value)
    client = sign_in(provider)
    assert not enters(client)
    assert not User.objects.exists()
    assert "did not work" in client.get("/admin/login/").content.decode()


def test_an_answer_that_this_browser_did_not_ask_for_is_none(provider):
    victim, attacker = browser(), browser("198.51.100.7")
    asked = attacker.post(reverse("admin:oidc"))
    query = provider.authorize(asked.headers["Location"])
    victim.get(f"{reverse('admin:oidc_callback')}?{query}")
    assert not enters(victim)
    for nonsense in ("", "?code=x", "?state=x", "?error=access_denied", "?code=x&state=y"):
        assert victim.get(reverse("admin:oidc_callback") + nonsense).headers["Location"] == "/admin/login/"


def test_an_answer_counts_once(provider):
    client = browser()
    asked = client.post(reverse("admin:oidc"))
    query = provider.authorize(asked.headers["Location"])
    client.get(f"{reverse('admin:oidc_callback')}?{query}")
    client.post(reverse("admin:logout"))
    client.get(f"{reverse('admin:oidc_callback')}?{query}")
    assert not enters(client)


def test_going_there_needs_a_post_with_the_token_of_the_form(provider):
    assert browser().get(reverse("admin:oidc")).status_code == 405
    assert Client(enforce_csrf_checks=True).post(reverse("admin:oidc")).status_code == 403


def test_it_leads_nowhere_else(provider):
    client = sign_in(provider, next="https://evil.example/")
    assert client.last.headers["Location"] == "/admin/"


def test_a_provider_that_is_down_is_told(provider):
    provider.server.shutdown()
    provider.server.server_close()
    client = browser()
    answer = client.post(reverse("admin:oidc"))
    assert answer.headers["Location"] == "/admin/login/"
    assert "did not work" in client.get("/admin/login/").content.decode()
