"""Whoever guesses gets nowhere, and whoever is guessed at gets in."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import reverse

from audit import clock
from tests.factories import PASSWORD, make_user
from tests.identity.conftest import add_app, browser, code_of, enters, give_code, give_password, told
from zehrava_site.identity import attempts
from zehrava_site.identity.sources import Source
from zehrava_site.models import Attempts

OWNER, STRANGER = "203.0.113.5", "198.51.100.66"


class Clock:
    """The database's clock, moved by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self.now = clock.now

    def __call__(self):
        return self.now() + self.ahead

    def forward(self, **span: float) -> None:
        self.ahead += timedelta(**span)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    moved = Clock()
    monkeypatch.setattr(clock, "now", moved)
    yield moved


def guesses_that_count(client: Client, number: int, name: str = "rita") -> int:
    """How many of so many guesses were looked at."""
    return sum(give_password(client, name=name, password=f"guess {each}").status_code == 200 for each in range(number))


def test_a_stranger_gets_five_guesses_then_waits_and_is_told_how_long(rita):
    stranger = browser(STRANGER)
    assert guesses_that_count(stranger, 50) == 5
    answer = give_password(stranger)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 30
    assert "Too many attempts. Try again in" in answer.content.decode()
    # Not even the right one: else guessing would go on unseen.
    assert not enters(stranger)


def test_a_stranger_gets_nowhere_near_many_guesses_in_a_day(rita, later):
    looked_at = 0
    for _ in range(24 * 30):
        with contextlib.suppress(attempts.TooManyAttempts):
            for _ in range(6):
                attempts.begin("password", "rita", rita, Source(STRANGER, None))
                looked_at += 1
        later.forward(minutes=2)
    assert 24 < looked_at <= 24 * 13


def test_a_stranger_does_not_lock_the_owner_out(rita):
    owner = browser(OWNER)
    give_password(owner)
    owner.post(reverse("admin:logout"))
    guesses_that_count(browser(STRANGER), 20)
    # From the device that she signed in with before, from wherever it is now, and from a new one elsewhere.
    give_password(owner)
    assert enters(owner)
    owner.post(reverse("admin:logout"))
    owner.defaults["REMOTE_ADDR"] = STRANGER
    give_password(owner)
    assert enters(owner)
    new = browser("192.0.2.77")
    give_password(new)
    assert enters(new)


def test_a_thousand_addresses_do_not_lock_the_owner_out_and_get_one_guess_each(rita):
    owner = browser(OWNER)
    give_password(owner)
    owner.post(reverse("admin:logout"))
    looked_at = [guesses_that_count(browser(f"198.51.{each // 250}.{each % 250}"), 6) for each in range(60)]
    assert looked_at[:10] == [5] * 10
    assert looked_at[10:] == [1] * 50
    # She even mistypes, which a stranger's address would have to wait a quarter of an hour after.
    give_password(owner, password="mistyped")
    give_password(owner)
    assert enters(owner)
    # Someone who was never here still has their one attempt.
    new = browser("192.0.2.77")
    give_password(new)
    assert enters(new)


def test_a_network_of_ipv6_addresses_is_one_stranger(rita):
    looked_at = sum(guesses_that_count(browser(f"2001:db8:1:2::{each:x}"), 3) for each in range(1, 11))
    assert looked_at == 5


def test_one_address_does_not_try_a_password_on_everybody(rita, later):
    looked_at = sum(guesses_that_count(browser(STRANGER), 1, name=f"person-{each}") for each in range(150))
    assert looked_at == 100
    # From a device that is known, people at the same address get in.
    colleague = browser(STRANGER)
    colleague.cookies = cookies_of_a_device_of("rita")
    give_password(colleague)
    assert enters(colleague)


def cookies_of_a_device_of(name: str):
    client = browser("192.0.2.200")
    give_password(client, name=name)
    client.post(reverse("admin:logout"))
    return client.cookies


def test_a_device_of_somebody_else_is_a_strangers(rita):
    make_user("ravi", "reviewers")
    stranger = browser(STRANGER)
    give_password(stranger, name="ravi")
    stranger.post(reverse("admin:logout"))
    assert guesses_that_count(stranger, 20) == 5
    assert guesses_that_count(browser(STRANGER), 20) == 0


def test_a_device_cannot_be_made_up(rita):
    looked_at = 0
    for each in range(20):
        stranger = browser(STRANGER)
        stranger.cookies["zehrava_device"] = f"eyJwIjoxfQ:{each}:forged"
        looked_at += guesses_that_count(stranger, 1)
    assert looked_at == 5


def test_a_known_device_has_an_end_of_guesses_too(rita):
    stolen = browser(STRANGER)
    stolen.cookies = cookies_of_a_device_of("rita")
    assert guesses_that_count(stolen, 20) == 5


def test_the_right_password_lets_the_person_start_anew(rita):
    owner = browser(OWNER)
    for _ in range(4):
        assert guesses_that_count(owner, 4) == 4
        give_password(owner)
        assert enters(owner)
        owner.post(reverse("admin:logout"))


def test_ones_own_account_buys_no_guesses_at_others(rita):
    make_user("mallory", "reviewers")
    looked_at = 0
    for each in range(20):
        client = browser(STRANGER)
        looked_at += guesses_that_count(client, 1)
        give_password(client, name="mallory")
        assert each > 15 or enters(client)
    assert looked_at == 5


def test_names_that_do_not_exist_are_treated_alike(rita):
    known = [give_password(browser(STRANGER), password="x").status_code for _ in range(7)]
    unknown = [give_password(browser("192.0.2.9"), name="nobody", password="x").status_code for _ in range(7)]
    assert known == unknown


def test_the_ledger_grows_by_a_few_lines_only(rita, later):
    for each in range(40):
        guesses_that_count(browser(f"198.51.100.{each}"), 3)
        guesses_that_count(browser(f"198.51.100.{each}"), 3, name=f"nobody-{each}")
    assert [line["facts"]["failures"] for line in told("person.sign_in_failed")] == [1, 10]
    later.forward(hours=2)
    guesses_that_count(browser(STRANGER), 3)
    assert [line["facts"]["failures"] for line in told("person.sign_in_failed")] == [1, 10, 1]


def test_what_was_counted_is_forgotten_and_no_name_was_stored(rita, later):
    for each in range(30):
        guesses_that_count(browser(f"198.51.100.{each}"), 1, name="my-password-typed-here")
    assert not Attempts.objects.filter(key__contains="password").exists()
    before = Attempts.objects.count()
    later.forward(hours=3)
    guesses_that_count(browser(STRANGER), 1)
    assert Attempts.objects.count() <= 3 < before


def test_codes_are_limited(rita):
    add_app(rita)
    stranger = browser(STRANGER)
    give_password(stranger)
    answers = [give_code(stranger, f"{each:06}").status_code for each in range(20)]
    assert answers == [200] * 5 + [429] * 15


def test_a_thousand_addresses_with_the_password_get_twenty_codes_and_the_owner_gets_in(rita):
    secret, _ = add_app(rita)
    owner = browser(OWNER)
    give_password(owner)
    give_code(owner, code_of(secret))
    owner.post(reverse("admin:logout"))
    looked_at = 0
    for each in range(30):
        stranger = browser(f"198.51.100.{each}")
        give_password(stranger)
        looked_at += sum(give_code(stranger, f"{guess:06}").status_code == 200 for guess in range(3))
    assert looked_at == attempts.UNDER_ATTACK["code"]
    give_password(owner)
    give_code(owner, code_of(secret, steps=1))
    assert enters(owner)


def test_a_refused_code_is_counted_though_nothing_else_is_stored(rita):
    add_app(rita)
    stranger = browser(STRANGER)
    give_password(stranger)
    give_code(stranger, "000000")
    assert Attempts.objects.filter(failures=1).count() == 3


@pytest.mark.parametrize("proxies", [0, 1, 2])
def test_the_address_is_what_ones_own_proxies_wrote(rita, monkeypatch, proxies):
    monkeypatch.setattr(settings, "ALLAUTH_TRUSTED_PROXY_COUNT", proxies)
    looked_at = 0
    for each in range(10):
        # The first entry is whatever the stranger sent; each proxy adds where it was asked from.
        way = ", ".join([f"192.0.2.{each}", STRANGER, "10.0.0.1"][: proxies + 1])
        client = Client(REMOTE_ADDR="10.0.0.2" if proxies else STRANGER, headers={"X-Forwarded-For": way})
        looked_at += guesses_that_count(client, 1)
    assert looked_at == 5


def test_a_proxy_that_says_nothing_locks_nobody_out(rita, monkeypatch):
    monkeypatch.setattr(settings, "ALLAUTH_TRUSTED_PROXY_COUNT", 1)
    client = browser(OWNER)
    give_password(client, password=PASSWORD)
    assert enters(client)


@pytest.mark.django_db(transaction=True)
def test_a_hundred_guesses_at_once_are_a_hundred_guesses():
    from concurrent.futures import ThreadPoolExecutor

    person = make_user("rita", "reviewers")
    assert person.pk

    def guess(each: int) -> int:
        try:
            return give_password(browser(STRANGER), password=f"guess {each}").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(guess, range(60)))
    assert answers.count(200) == 5
    assert answers.count(429) == 55
