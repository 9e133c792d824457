"""Where policy wants it, an approval needs a second factor used just now, on every path; a key signs for one."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit import clock
from audit.actors import Actor
from intents.models import Intent, Status
from reviews.decisions import record_of
from reviews.models import Decision
from reviews.second_factor import SESSION_KEY
from reviews.tokens import create_token
from tests.factories import load_policy, make_intent, opened
from tests.identity.conftest import add_app, browser, code_of, enters, give_code, give_password, told
from tests.identity.soft_key import SoftKey

ASKS = (
    "name: strict\nmatch: {actions: ['*']}\n"
    "rules: [{id: all, effect: require_approval, approval: {all_of: [{group: reviewers}], step_up: true}}]\n"
)


@pytest.fixture
def intent(rita: User) -> Intent:
    load_policy(ASKS)
    return make_intent(payload={"n": 1})


def approve(client: Client, intent: Intent, vote: str = "approve") -> str:
    bound = {name: getattr(intent, name) for name in ("digest", "verdict_digest", "requirement_digest")}
    bound["opened"] = opened(intent, User.objects.get(username="rita"))
    answer = client.post(
        reverse("admin:intents_intent_decide", args=[intent.pk]),
        {**bound, "vote": vote, "ground": "other" if vote == "reject" else "", "rationale": "because"},
    )
    return answer.content.decode()


def status(intent: Intent) -> str:
    return Intent.objects.get(pk=intent.pk).status


def with_app(rita: User) -> tuple[Client, str]:
    """A browser in which rita signed in with password and app, and the app's secret."""
    secret, _ = add_app(rita)
    client = browser()
    give_password(client)
    give_code(client, code_of(secret))
    assert enters(client)
    return client, secret


def used(client: Client, ago: timedelta) -> None:
    """As if the factor of this session had been used so long ago."""
    session = client.session
    session[SESSION_KEY] = {**session[SESSION_KEY], "at": (clock.now() - ago).isoformat()}
    session.save()


def page(client: Client, intent: Intent) -> str:
    return " ".join(client.get(reverse("admin:intents_intent_change", args=[intent.pk])).content.decode().split())


def test_a_password_alone_approves_nothing_and_rejects(signed_in, intent):
    client = signed_in()
    assert "To approve, confirm that it is you." in page(client, intent)
    assert 'value="approve" disabled' in page(client, intent)
    assert "Policy wants a second factor" in approve(client, intent)
    assert status(intent) == Status.PENDING_APPROVAL and not Decision.objects.exists()
    approve(client, intent, "reject")
    assert status(intent) == Status.REJECTED


def test_a_code_used_just_now_does_and_is_on_record(rita, intent):
    client, _ = with_app(rita)
    assert 'value="approve" disabled' not in page(client, intent)
    approve(client, intent)
    decision = Decision.objects.get()
    assert status(intent) == Status.APPROVED
    assert decision.factor == "totp" and decision.factor_at is not None
    assert record_of(decision)["factor"]["kind"] == "totp"
    assert [line["facts"]["factor"] for line in told("decision.made")] == ["totp"]


@pytest.mark.parametrize("ago", [timedelta(minutes=5, seconds=5), timedelta(minutes=-10), timedelta(days=1)])
def test_one_of_another_time_does_not(rita, intent, ago):
    client, _ = with_app(rita)
    used(client, ago)
    assert "more than five minutes ago" in approve(client, intent)
    assert status(intent) == Status.PENDING_APPROVAL and not Decision.objects.exists()


def test_it_is_confirmed_on_a_page_that_leads_back(rita, intent):
    client, secret = with_app(rita)
    used(client, timedelta(minutes=6))
    here = reverse("admin:intents_intent_change", args=[intent.pk])
    [address] = {part.split('"')[0] for part in page(client, intent).split('href="') if "/second-factor/?next" in part}
    address = address.replace("&amp;", "&")
    assert client.get(address).status_code == 200
    answer = client.post(address, {"code": code_of(secret, steps=1), "next": here, "about": intent.digest})
    assert (answer.status_code, answer.headers["Location"]) == (302, here)
    approve(client, intent)
    assert status(intent) == Status.APPROVED


def key_of(client: Client) -> SoftKey:
    """A security key that is added in this session."""
    key = SoftKey()
    options = client.post(reverse("admin:add_key_challenge")).json()
    answer = client.post(reverse("admin:add_key"), {"name": "Blue", "credential": json.dumps(key.create(options))})
    assert answer.status_code in (200, 302), answer.content
    return key


def sign(client: Client, key: SoftKey, about: str, *, says: str | None = None) -> int:
    """Confirm with the key for this digest; `says` is the digest that the form names, if another."""
    door = reverse("admin:second_factor")
    options = client.post(f"{reverse('admin:second_factor_challenge')}?about={about}").json()
    credential = json.dumps(key.get(options))
    return client.post(door, {"credential": credential, "next": "/admin/", "about": says or about}).status_code


def test_a_key_signs_for_one_approval(rita, intent):
    client, _ = with_app(rita)
    key = key_of(client)
    other = make_intent(payload={"n": 2})
    assert sign(client, key, other.digest) == 302
    assert "signs for one approval" in approve(client, intent)
    # What it signed for is in its signature, and not what the form says.
    assert sign(client, key, other.digest, says=intent.digest) == 200
    assert "signs for one approval" in approve(client, intent)
    assert status(intent) == Status.PENDING_APPROVAL
    assert sign(client, key, intent.digest) == 302
    approve(client, intent)
    assert status(intent) == Status.APPROVED
    assert Decision.objects.get().factor == "webauthn"
    assert "signs for one approval" in approve(client, other)


def test_a_token_has_no_factor_whatever_session_comes_with_it(rita, intent):
    client, _ = with_app(rita)
    token = create_token(rita, by=Actor.person(rita))[1]
    door = f"/api/v1/intents/{intent.pk}/decisions"
    body = {"vote": "approve", "digest": intent.digest}
    answer = client.post(door, body, content_type="application/json", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 403 and answer.json()["type"].endswith(":second-factor-needed")
    assert not Decision.objects.exists()
    assert client.post(door, body, content_type="application/json").status_code == 201


def test_several_alike_are_approved_with_it_and_not_without(rita, intent, signed_in):
    door = reverse("admin:alike", args=[intent.alike])
    form = {
        "vote": "approve",
        "chosen": intent.pk,
        f"digest-{intent.pk}": intent.digest,
        f"verdict-{intent.pk}": intent.verdict_digest,
        f"requirement-{intent.pk}": intent.requirement_digest,
        f"opened-{intent.pk}": opened(intent, rita),
    }
    assert "wants a second factor" in signed_in().post(door, form).content.decode()
    assert status(intent) == Status.PENDING_APPROVAL
    client, _ = with_app(rita)
    client.post(door, form)
    assert status(intent) == Status.APPROVED


def test_a_change_is_begun_with_it(rita, intent):
    client, _ = with_app(rita)
    used(client, timedelta(minutes=6))
    edit = reverse("admin:intents_intent_edit", args=[intent.pk])
    answer = client.get(edit)
    assert answer.status_code == 302 and answer.headers["Location"].startswith(reverse("admin:second_factor"))
    used(client, timedelta(0))
    assert client.get(edit).status_code == 200


def test_what_does_not_want_it_is_approved_without_and_says_what_was_used(rita):
    load_policy("name: plain\nmatch: {actions: ['*']}\nrules: [{id: all, effect: require_approval}]\n")
    intent = make_intent(payload={"n": 4})
    client, _ = with_app(rita)
    used(client, timedelta(hours=3))
    approve(client, intent)
    assert status(intent) == Status.APPROVED
    assert Decision.objects.get().factor == "totp"
