"""A security key proves that it is there, now, at this site, to this person, and nothing else."""

import json
from typing import Any

import pytest
from django.db import transaction
from django.test import RequestFactory
from django.urls import reverse

from tests.factories import make_user
from tests.identity.conftest import browser, enters, give_password, told
from tests.identity.soft_key import SoftKey
from zehrava.problems import Problem
from zehrava_site.identity import factors, security_keys


def add_key(client, key: SoftKey, name: str = "Blue key"):
    options = client.post(reverse("admin:add_key_challenge")).json()
    return client.post(reverse("admin:add_key"), {"name": name, "credential": json.dumps(key.create(options))})


def challenge(client) -> Any:
    return client.post(reverse("admin:login_factor_challenge")).json()


def answer(client, credential: Any):
    return client.post(reverse("admin:login_factor"), {"credential": json.dumps(credential)})


@pytest.fixture
def key(rita, signed_in) -> SoftKey:
    """Rita's key, added through the page."""
    key = SoftKey()
    page = add_key(signed_in(), key).content.decode()
    assert "Your recovery codes" in page
    return key


@pytest.fixture
def half(key):
    """A browser in which rita's password was given."""
    client = browser("198.51.100.7")
    give_password(client)
    assert not enters(client)
    return client


def test_a_key_is_added_by_name_and_told(rita, key):
    [row] = factors.factors_of(rita)
    assert (row.type, row.data["name"]) == ("webauthn", "Blue key")
    [line] = told("person.factor_added")
    assert line["facts"]["kind"] == "webauthn"
    # What somebody calls a key is content, which can be erased.
    assert "Blue key" not in json.dumps(line)


def test_a_key_signs_in(half, key):
    response = answer(half, key.get(challenge(half)))
    assert response.headers["Location"] == "/admin/"
    assert enters(half)
    assert told("person.signed_in")[-1]["facts"]["factor"] == "webauthn"


def test_an_answer_counts_once(half, key):
    said = key.get(challenge(half))
    answer(half, said)
    half.post(reverse("admin:logout"))
    give_password(half)
    answer(half, said)
    assert not enters(half)
    challenge(half)
    answer(half, said)
    assert not enters(half)


def test_two_requests_at_once_with_one_answer_are_one_use(rita, key, signed_in):
    request = RequestFactory().post("/", headers={"host": "testserver"})
    request.session = {}
    said = key.get(security_keys.challenge(request, rita, "use"))
    both = dict(request.session)
    with transaction.atomic():
        security_keys.use(request, rita, response=said)
    # The other one has read the session before the first has stored it.
    request.session = both
    rita_key = factors.factors_of(rita)[0]
    rita_key.data["sign_count"] = 0
    rita_key.save()
    with pytest.raises(Problem), transaction.atomic():
        security_keys.use(request, rita, response=said)


LIES = {
    "another site": {"origin": "https://evil.example"},
    "another site of the domain": {"origin": "http://mail.testserver"},
    "another port": {"origin": "http://testserver:8080"},
    "a key for another site": {"site": "evil.example"},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_answer_for_elsewhere_is_none(half, key, lie):
    for name, value in lie.items():
        setattr(key, name, value)
    response = answer(half, key.get(challenge(half)))
    assert "not accepted" in response.content.decode()
    assert not enters(half)


def test_nobody_present_is_nobody(half, key):
    answer(half, key.get(challenge(half), flags=0))
    assert not enters(half)


def test_somebody_elses_key_is_none(half, key):
    stranger = SoftKey()
    answer(half, stranger.get(challenge(half)))
    stranger.id = key.id
    answer(half, stranger.get(challenge(half)))
    assert not enters(half)


def test_a_challenge_of_another_page_or_nobody_is_none(half, key):
    answer(half, key.get({"publicKey": {"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}))
    assert not enters(half)
    older = challenge(half)
    challenge(half)
    answer(half, key.get(older))
    assert not enters(half)


def test_a_challenge_holds_five_minutes(half, key):
    asked = challenge(half)
    session = half.session
    session[security_keys.SESSION_KEY] |= {"at": session[security_keys.SESSION_KEY]["at"] - security_keys.HOLDS - 1}
    session.save()
    answer(half, key.get(asked))
    assert not enters(half)


def test_a_copy_of_a_key_is_noticed(half, key):
    answer(half, key.get(challenge(half)))
    half.post(reverse("admin:logout"))
    give_password(half)
    key.counter = 0
    response = answer(half, key.get(challenge(half)))
    assert "may have been copied" in response.content.decode()
    assert not enters(half)


def test_a_key_that_does_not_count_works_twice(half, key):
    for _ in range(2):
        give_password(half)
        key.counter = -1
        answer(half, key.get(challenge(half)))
        assert enters(half)
        half.post(reverse("admin:logout"))


def test_a_signature_for_one_thing_says_nothing_about_another(rita, key):
    request = RequestFactory().post("/", headers={"host": "testserver"})
    for asked, used, good in (
        ("sha256:aa", "sha256:aa", True),
        ("sha256:aa", "sha256:bb", False),
        ("", "sha256:aa", False),
    ):
        request.session = {}
        said = key.get(security_keys.challenge(request, rita, "use", about=asked))
        with transaction.atomic():
            if good:
                assert security_keys.use(request, rita, response=said, about=used).kind == "webauthn"
            else:
                with pytest.raises(Problem):
                    security_keys.use(request, rita, response=said, about=used)


def test_a_challenge_to_add_a_key_proves_nobody(rita, key):
    request = RequestFactory().post("/", headers={"host": "testserver"})
    request.session = {}
    said = key.get(security_keys.challenge(request, rita, "add"))
    with pytest.raises(Problem), transaction.atomic():
        security_keys.use(request, rita, response=said)


@pytest.mark.parametrize(
    "credential",
    ["", "{", "[]", "1", '{"id": 1}', '{"id":"a","rawId":"a","response":{}}', "[" * 9000, "{" + " " * 30000 + "}"],
)
def test_nonsense_is_refused(half, key, credential):
    challenge(half)
    response = half.post(reverse("admin:login_factor"), {"credential": credential})
    assert response.status_code == 200
    assert not enters(half)


def test_a_key_is_not_added_for_a_challenge_of_somebody_else(rita, signed_in, key):
    other = make_user("ravi", "reviewers")
    client = browser("192.0.2.4")
    give_password(client, name="ravi")
    options = client.post(reverse("admin:add_key_challenge")).json()
    session = client.session
    session[security_keys.SESSION_KEY] |= {"person": rita.pk}
    session.save()
    client.post(reverse("admin:add_key"), {"name": "x", "credential": json.dumps(SoftKey().create(options))})
    assert factors.factors_of(other) == []


def test_a_bare_address_is_told_that_keys_need_a_name(rita, signed_in):
    client = signed_in()
    page = client.get(reverse("admin:add_key"), headers={"host": "127.0.0.1"}).content.decode()
    assert "Not at this address" in page
    assert "What do you call it?" in client.get(reverse("admin:add_key")).content.decode()
