"""Signing in: the password, then a second factor if there is one."""

import re

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.urls import URLResolver, get_resolver, reverse
from django.utils.html import escape

from audit.models import Content, Event
from tests.factories import PASSWORD, make_user
from tests.identity.conftest import add_app, browser, code_of, enters, give_code, give_password, told
from zehrava_site.identity import factors


def test_a_password_alone_signs_in_who_has_no_second_factor(rita):
    client = browser()
    answer = give_password(client)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
    assert enters(client)
    [line] = told("person.signed_in")
    assert line["actor"] == {"kind": "person", "id": str(rita.pk), "name": "rita"}
    assert line["facts"] == {"method": "password", "factor": None, "known_device": False}


def test_a_wrong_password_opens_nothing_and_is_written_nowhere(rita):
    client = browser()
    answer = give_password(client, password="hunter2-is-wrong")
    assert answer.status_code == 200
    assert "hunter2" not in answer.content.decode()
    assert not enters(client)
    [line] = told("person.sign_in_failed")
    assert line["facts"] == {"step": "password", "failures": 1, "known_device": False}
    assert line["actor"]["kind"] == "system"
    everything = "".join(Event.objects.values_list("line", flat=True)) + "".join(
        Content.objects.values_list("body", flat=True)
    )
    assert "hunter2" not in everything
    assert "203.0.113.5" in everything and "203.0.113.5" not in "".join(Event.objects.values_list("line", flat=True))


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_staff": False}])
def test_who_may_not_enter_does_not(rita, change):
    User.objects.filter(pk=rita.pk).update(**change)
    client = browser()
    assert give_password(client).status_code == 200
    assert not Session.objects.exists()
    assert not told("person.signed_in")


def test_the_second_factor_is_asked_for_before_anything_opens(rita):
    secret, _ = add_app(rita)
    client = browser()
    answer = give_password(client, next="/admin/figures/")
    assert answer.headers["Location"] == reverse("admin:login_factor")
    assert not enters(client)
    assert client.get("/api/v1/queue").status_code == 401
    assert not told("person.signed_in")
    page = client.get(reverse("admin:login_factor"))
    assert "Code of your authenticator app" in page.content.decode()

    answer = give_code(client, code_of(secret))
    assert answer.headers["Location"] == "/admin/figures/"
    assert enters(client)
    assert told("person.signed_in")[0]["facts"]["factor"] == "totp"
    assert told("person.factor_used")[0]["facts"]["kind"] == "totp"


def test_a_wrong_code_opens_nothing(rita):
    add_app(rita)
    client = browser()
    give_password(client)
    answer = give_code(client, "000000")
    assert "wrong, too old, or was used before" in answer.content.decode()
    assert not enters(client)
    assert [line["facts"]["step"] for line in told("person.sign_in_failed")] == ["code"]


def test_the_second_page_without_the_first_leads_back(rita):
    secret, _ = add_app(rita)
    client = browser()
    assert client.get(reverse("admin:login_factor")).headers["Location"] == reverse("admin:login")
    assert give_code(client, code_of(secret)).headers["Location"] == reverse("admin:login")
    assert client.post(reverse("admin:login_factor_challenge")).status_code == 409
    assert not enters(client)


def test_a_code_is_never_accepted_twice(rita):
    secret, _ = add_app(rita)
    code = code_of(secret)
    first, second = browser(), browser("198.51.100.7")
    for client in (first, second):
        give_password(client)
    give_code(first, code)
    assert enters(first)
    give_code(second, code)
    assert not enters(second)
    # Nor one that is older than a code that was used.
    give_code(second, code_of(secret, steps=-1))
    assert not enters(second)
    give_code(second, code_of(secret, steps=1))
    assert enters(second)


def test_the_code_that_added_the_app_signs_nobody_in(rita):
    secret = factors.new_secret()
    code = code_of(secret)
    factors.add_app(rita, secret, code)
    client = browser()
    give_password(client)
    give_code(client, code)
    assert not enters(client)


def test_a_recovery_code_stands_in_once(rita):
    _, codes = add_app(rita)
    assert len(set(codes)) == 10 and all(len(code) == 10 for code in codes)
    first, second = browser(), browser("198.51.100.7")
    give_password(first)
    give_code(first, f"{codes[3][:5]} {codes[3][5:]}")
    assert enters(first)
    assert told("person.signed_in")[0]["facts"]["factor"] == "recovery_code"
    give_password(second)
    give_code(second, codes[3])
    assert not enters(second)
    give_code(second, codes[4])
    assert enters(second)


def test_a_login_half_done_ends_with_a_change_of_the_password(rita):
    secret, _ = add_app(rita)
    client = browser()
    give_password(client)
    rita.set_password("quite another password")
    rita.save()
    give_code(client, code_of(secret))
    assert not enters(client)


def test_a_login_half_done_ends_with_the_account(rita):
    secret, _ = add_app(rita)
    client = browser()
    give_password(client)
    rita.is_active = False
    rita.save()
    give_code(client, code_of(secret))
    assert not told("person.signed_in")


def test_one_persons_code_completes_nobody_elses_login(rita):
    add_app(rita)
    other = make_user("ravi", "reviewers")
    secret, codes = add_app(other)
    client = browser()
    give_password(client)
    for code in (code_of(secret), codes[0]):
        give_code(client, code)
    assert not enters(client)


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "http:evil.example"],
)
def test_signing_in_leads_nowhere_else(rita, address):
    assert give_password(browser(), next=address).headers["Location"] == "/admin/"
    assert (
        browser().post(f"/admin/login/?next={address}", {"username": "rita", "password": PASSWORD}).headers["Location"]
        == "/admin/"
    )


def test_leaving_is_told_and_needs_a_post(rita, signed_in):
    client = signed_in()
    assert client.get(reverse("admin:logout")).status_code == 405
    assert enters(client) and not told("person.signed_out")
    client.post(reverse("admin:logout"))
    assert not enters(client)
    assert [line["subject"]["id"] for line in told("person.signed_out")] == [str(rita.pk)]


def views(patterns, prefix: str = ""):
    """Every address of the portal with the module of what answers it."""
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from views(each.url_patterns, prefix + str(each.pattern))
        else:
            yield prefix + str(each.pattern), each.callback.__module__


def test_there_is_no_other_door(db):
    found = dict(views(get_resolver().url_patterns))
    assert "admin/login/" in found
    assert not [address for address, module in found.items() if module.startswith("allauth")]
    assert not [address for address in found if re.search("signup|reset|register|forgot", address)]


def test_no_page_shows_the_secrets_of_factors(db):
    root = make_user("root", is_superuser=True)
    add_app(root)
    client = browser()
    client.force_login(root)
    for table in ("mfa/authenticator", "account/emailaddress", "zehrava_site/attempts", "zehrava_site/standing"):
        assert client.get(f"/admin/{table}/").status_code == 404


def test_the_page_says_whose_second_factor_it_asks_for_as_text(db):
    person = make_user("o'b<i>rien", "reviewers")
    add_app(person)
    client = browser()
    give_password(client, name=person.username)
    assert escape(person.username) in client.get(reverse("admin:login_factor")).content.decode()
