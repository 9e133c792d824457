"""Personal tokens in the admin: one's own, shown once; other people's for administrators."""

import re
from typing import Any

from django.test import Client
from django.urls import reverse

from audit.actors import Actor
from reviews.models import PersonalToken
from reviews.tokens import create_token
from tests.factories import make_user

TOKEN = re.compile(r"zhp_[A-Za-z0-9]{43}")
ADD = "admin:reviews_personaltoken_add"
LIST = "admin:reviews_personaltoken_changelist"


def status_with(token: str) -> int:
    return Client().get("/api/v1/intents", headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_reviewer_makes_a_token_that_is_shown_once_and_works(sign_in: Any) -> None:
    reviewer = sign_in("reviewers")
    reviewer.get(reverse(ADD))
    assert not PersonalToken.objects.exists()
    made = reviewer.post(reverse(ADD))
    assert "no-store" in made["Cache-Control"]
    (token,) = set(TOKEN.findall(made.content.decode()))
    assert status_with(token) == 200
    listed = reviewer.get(reverse(LIST)).content.decode()
    assert token[:12] in listed
    assert token not in listed
    assert PersonalToken.objects.get().user.username == "reviewers-person"


def test_a_token_is_revoked_by_a_post_only(sign_in: Any) -> None:
    rita = make_user("rita", "reviewers")
    row, token = create_token(rita, by=Actor.person(rita))
    client = sign_in(rita)
    address = reverse("admin:reviews_personaltoken_revoke", args=[row.pk])
    client.get(address)
    assert status_with(token) == 200
    client.post(address)
    assert status_with(token) == 401


def test_other_peoples_tokens_are_neither_seen_nor_revoked(sign_in: Any) -> None:
    ravi = make_user("ravi", "reviewers")
    row, token = create_token(ravi, by=Actor.person(ravi))
    client = sign_in(make_user("rita", "reviewers"))
    assert token[:12] not in client.get(reverse(LIST)).content.decode()
    assert client.post(reverse("admin:reviews_personaltoken_revoke", args=[row.pk])).status_code == 404
    auditor = sign_in("auditors")
    assert token[:12] in auditor.get(reverse(LIST)).content.decode()
    assert auditor.post(reverse("admin:reviews_personaltoken_revoke", args=[row.pk])).status_code == 403
    assert auditor.post(reverse(ADD)).status_code == 403
    assert status_with(token) == 200


def test_an_administrator_revokes_anybodys_token(sign_in: Any) -> None:
    ravi = make_user("ravi", "reviewers")
    row, token = create_token(ravi, by=Actor.person(ravi))
    sign_in("administrators").post(reverse("admin:reviews_personaltoken_revoke", args=[row.pk]))
    assert status_with(token) == 401
