"""One's own account: adding and removing second factors, recovery codes, proving that it is you."""

import contextlib
import json
import re
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit import clock
from reviews import second_factor
from tests.admin.test_reading_changes_nothing import READS
from tests.factories import PASSWORD, make_user
from tests.identity.conftest import (
    add_app,
    browser,
    code_of,
    enters,
    forget_codes_used,
    give_code,
    give_password,
    told,
)
from zehrava_site.identity import factors

CODE = re.compile(r"<code>(\d{5} \d{5})</code>")
LIST = "/admin/second-factors/"


@pytest.fixture
def with_app(rita):
    """A browser in which rita has just signed in with her app, and the secret of it."""
    secret, _ = add_app(rita)
    client = browser()
    give_password(client)
    give_code(client, code_of(secret))
    assert enters(client)
    forget_codes_used()
    return client, secret


def age(client, minutes: int) -> None:
    """As if what was proved in this session had been proved so long ago."""
    session, span = client.session, timedelta(minutes=minutes)
    session["zehrava_proved"] -= span.total_seconds()
    if kept := session.get(second_factor.SESSION_KEY):
        at = second_factor.datetime.fromisoformat(kept["at"]) - span
        session[second_factor.SESSION_KEY] = kept | {"at": at.isoformat()}
    session.save()


def test_an_app_is_added_with_a_code_and_recovery_codes_are_shown_once(rita, signed_in):
    client = signed_in()
    page = client.post(reverse("admin:add_app"))
    assert "no-store" in page.headers["Cache-Control"]
    secret = client.session["zehrava_new_secret"]
    text = page.content.decode()
    assert " ".join(re.findall("....", secret)) in text
    assert "data:image/svg+xml;base64," in text and f"otpauth://totp/rita?secret={secret}" in text

    wrong = client.post(reverse("admin:add_app"), {"code": "000000"}).content.decode()
    assert "not the code" in wrong and " ".join(re.findall("....", secret)) in wrong
    assert not factors.factors_of(rita)

    done = client.post(reverse("admin:add_app"), {"code": code_of(secret)})
    assert "no-store" in done.headers["Cache-Control"]
    codes = CODE.findall(done.content.decode())
    assert len(codes) == 10
    assert "zehrava_new_secret" not in client.session
    for address in (LIST, reverse("admin:recovery_codes")):
        assert not set(codes) & set(CODE.findall(client.get(address).content.decode()))
    again = browser("192.0.2.9")
    give_password(again)
    give_code(again, codes[0])
    assert enters(again)
    assert [line["facts"]["kind"] for line in told("person.factor_added")] == ["totp"]
    assert [line["facts"]["count"] for line in told("person.recovery_codes_made")] == [10]


def test_who_has_just_added_a_factor_adds_the_next_without_being_asked(rita, signed_in):
    client = signed_in()
    client.post(reverse("admin:add_app"))
    client.post(reverse("admin:add_app"), {"code": code_of(client.session["zehrava_new_secret"])})
    assert freshest(client).kind == "totp"
    assert client.post(reverse("admin:add_key_challenge")).status_code == 200


def test_no_secret_is_stored_or_told_in_the_clear(rita):
    secret, codes = add_app(rita)
    stored = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    lines = json.dumps(told("person.factor_added") + told("person.recovery_codes_made"))
    for text in (secret, *codes):
        assert text not in stored + lines


def test_new_recovery_codes_void_the_earlier_ones(rita, with_app):
    client, _ = with_app
    before = Authenticator.objects.get(type="recovery_codes").wrap().generate_codes()
    page = client.post(reverse("admin:recovery_codes")).content.decode()
    after = [code.replace(" ", "") for code in CODE.findall(page)]
    assert len(after) == 10 and not set(before) & set(after)
    other = browser("192.0.2.9")
    give_password(other)
    give_code(other, before[0])
    assert not enters(other)
    give_code(other, after[0])
    assert enters(other)


CHANGES = ("add_app", "add_key_challenge", "recovery_codes", "remove_factor")


def change(client, name: str, rita):
    args = [factors.factors_of(rita)[0].pk] if name == "remove_factor" else []
    return client.post(reverse(f"admin:{name}", args=args))


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_needs_a_fresh_factor_and_the_password_is_not_enough(rita, with_app, name):
    client, secret = with_app
    age(client, 6)
    client.post(reverse("admin:confirm_password"), {"password": PASSWORD})
    before = list(Authenticator.objects.values_list("pk", flat=True))
    answer = change(client, name, rita)
    if name == "add_key_challenge":
        assert answer.status_code == 403
    else:
        assert answer.status_code == 302
        assert answer.headers["Location"].startswith("/admin/second-factor/?next=%2Fadmin%2Fsecond-factors%2F")
    assert list(Authenticator.objects.values_list("pk", flat=True)) == before

    back = client.post(answer.headers.get("Location", "/admin/second-factor/"), {"code": code_of(secret)})
    assert back.status_code == 302
    forget_codes_used()
    assert change(client, name, rita).status_code in (200, 302)
    if name in ("recovery_codes", "remove_factor"):
        assert list(Authenticator.objects.values_list("pk", flat=True)) != before


def test_who_has_no_factor_gives_the_password_again(rita, signed_in):
    client = signed_in()
    age(client, 6)
    answer = client.post(reverse("admin:add_app"))
    assert answer.headers["Location"] == "/admin/confirm-password/?next=%2Fadmin%2Fsecond-factors%2F"
    wrong = client.post(answer.headers["Location"], {"password": "no"})
    assert "not your password" in wrong.content.decode()
    assert client.post(reverse("admin:add_app")).status_code == 302
    right = client.post(answer.headers["Location"], {"password": PASSWORD})
    assert right.headers["Location"] == LIST
    assert client.post(reverse("admin:add_app")).status_code == 200


def test_removing_the_last_factor_takes_the_recovery_codes_along(rita, with_app):
    client, _ = with_app
    [row] = factors.factors_of(rita)
    address = reverse("admin:remove_factor", args=[row.pk])
    assert "It is your last one" in client.get(address).content.decode()
    client.post(address)
    assert not Authenticator.objects.exists()
    assert {line["facts"]["kind"] for line in told("person.factor_removed")} == {"totp", "recovery_code"}
    assert enters(client)


def test_nobody_removes_what_is_somebody_elses(rita, with_app):
    client, _ = with_app
    other = make_user("ravi", "reviewers")
    add_app(other)
    [row] = factors.factors_of(other)
    assert client.get(reverse("admin:remove_factor", args=[row.pk])).status_code == 302
    client.post(reverse("admin:remove_factor", args=[row.pk]))
    client.post(reverse("admin:remove_factor", args=[Authenticator.objects.get(user=other, type="recovery_codes").pk]))
    assert Authenticator.objects.filter(user=other).count() == 2


def test_a_second_app_is_refused(rita, with_app):
    client, _ = with_app
    client.post(reverse("admin:add_app"))
    client.post(reverse("admin:add_app"), {"code": code_of(client.session["zehrava_new_secret"])})
    assert len(factors.factors_of(rita)) == 1


# --- reading changes nothing ---------------------------------------------------------------------------------------


def pages(rita) -> list[str]:
    names = ("second_factors", "add_app", "add_key", "recovery_codes", "second_factor", "confirm_password")
    found = [reverse(f"admin:{name}") for name in (*names, "password_change", "login", "login_factor")]
    return found + [reverse("admin:remove_factor", args=[row.pk]) for row in factors.factors_of(rita)]


@pytest.mark.parametrize("minutes", [0, 10], ids=["fresh", "stale"])
@pytest.mark.parametrize("has_factor", [False, True])
def test_a_get_changes_nothing(rita, signed_in, has_factor, minutes):
    if has_factor:
        secret, _ = add_app(rita)
        client = browser()
        give_password(client)
        # Half signed in as well.
        half = browser("192.0.2.9")
        give_password(half)
        give_code(client, code_of(secret))
    else:
        client = half = signed_in()
    age(client, minutes)
    for method in ("get", "head"):
        for one in (client, half):
            for address in pages(rita):
                with CaptureQueriesContext(connection) as queries:
                    answer = getattr(one, method)(address)
                assert answer.status_code in (200, 302), address
                writes = [each["sql"] for each in queries if not each["sql"].lstrip(" (").upper().startswith(READS)]
                assert not writes, f"{address} wrote: {writes}"
    for name in ("add_key_challenge", "second_factor_challenge", "login_factor_challenge"):
        assert client.get(reverse(f"admin:{name}")).status_code == 405


def test_who_is_not_signed_in_sees_none_of_it(rita):
    add_app(rita)
    client = browser()
    for address in pages(rita):
        if "/login/" not in address:
            assert client.get(address).headers["Location"].startswith("/admin/login/?next=")
            assert client.post(address).headers["Location"].startswith("/admin/login/?next=")


def test_every_change_needs_the_token_of_the_form(rita):
    from django.test import Client

    add_app(rita)
    client = Client(enforce_csrf_checks=True)
    client.force_login(rita)
    for address in [*pages(rita), reverse("admin:add_key_challenge"), reverse("admin:second_factor_challenge")]:
        assert client.post(address).status_code == 403, address
    assert Client(enforce_csrf_checks=True).post(reverse("admin:login_factor_challenge")).status_code == 403


# --- asking again --------------------------------------------------------------------------------------------------


def freshest(client):
    """What the portal knows of the session of this browser."""
    request = client.get(LIST).wsgi_request
    return second_factor.freshest(request)


def test_the_freshest_factor_is_that_of_signing_in(rita, with_app):
    client, _ = with_app
    factor = freshest(client)
    assert factor.kind == "totp"
    assert factor.id == factors.factors_of(rita)[0].pk
    assert timedelta(0) <= clock.now() - factor.at < timedelta(seconds=30)


def test_a_password_is_no_factor(rita, signed_in):
    client = signed_in()
    assert freshest(client) is None
    client.post(reverse("admin:confirm_password"), {"password": PASSWORD})
    assert freshest(client) is None


def test_asking_again_renews_it_and_leads_back(rita, with_app):
    client, secret = with_app
    age(client, 30)
    assert clock.now() - freshest(client).at > timedelta(minutes=29)
    page = client.get("/admin/second-factor/?next=/admin/figures/%3Fa%3D1")
    assert 'value="/admin/figures/?a=1"' in page.content.decode()
    wrong = client.post("/admin/second-factor/", {"code": "000000", "next": "/admin/figures/?a=1"})
    assert wrong.status_code == 200
    assert clock.now() - freshest(client).at > timedelta(minutes=29)
    answer = client.post("/admin/second-factor/", {"code": code_of(secret), "next": "/admin/figures/?a=1"})
    assert answer.headers["Location"] == "/admin/figures/?a=1"
    assert clock.now() - freshest(client).at < timedelta(minutes=1)
    again = client.post("/admin/second-factor/", {"code": code_of(secret)})
    assert "used before" in again.content.decode()
    assert len(told("person.factor_used")) == 2


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "x",
    ],
)
def test_it_leads_nowhere_else(rita, with_app, address):
    client, secret = with_app
    answer = client.post("/admin/second-factor/", {"code": code_of(secret), "next": address})
    assert answer.headers["Location"] == "/admin/"
    forget_codes_used()
    answer = client.post("/admin/second-factor/", {"code": code_of(secret)}, query_params={"next": address})
    assert answer.headers["Location"] == "/admin/"


def test_a_recovery_code_says_that_it_was_one(rita):
    _, codes = add_app(rita)
    client = browser()
    give_password(client)
    give_code(client, codes[0])
    assert freshest(client).kind == "recovery_code"


def test_codes_asked_for_again_are_limited(rita, with_app):
    client, secret = with_app
    answers = [client.post("/admin/second-factor/", {"code": f"{each:06}"}).status_code for each in range(8)]
    assert answers == [200] * 5 + [429] * 3
    assert client.post("/admin/second-factor/", {"code": code_of(secret)}).status_code == 429


def test_a_factor_that_was_removed_has_proved_nothing(rita, with_app):
    client, _ = with_app
    client.post(reverse("admin:remove_factor", args=[factors.factors_of(rita)[0].pk]))
    assert freshest(client) is None


def test_a_token_has_no_factor_whatever_the_session_beside_it(rita, with_app):
    client, _ = with_app
    request = client.get(LIST, headers={"Authorization": "Bearer zhp_x"}).wsgi_request
    assert second_factor.freshest(request) is None


def test_the_record_is_of_one_person_and_one_session(rita, with_app, signed_in):
    client, secret = with_app
    other = make_user("ravi", "reviewers")
    session = client.session
    kept = session[second_factor.SESSION_KEY]
    session[second_factor.SESSION_KEY] = kept | {"person": other.pk}
    session.save()
    assert freshest(client) is None
    elsewhere = browser("192.0.2.9")
    elsewhere.force_login(rita)
    assert freshest(elsewhere) is None
    assert secret


def test_who_has_no_factor_is_told_to_add_one(rita, signed_in):
    page = signed_in().get("/admin/second-factor/?next=/admin/").content.decode()
    assert "your account has none" in page
    assert 'name="code"' not in page


# --- everybody must have one ---------------------------------------------------------------------------------------


@pytest.fixture
def required(monkeypatch):
    monkeypatch.setattr(settings, "ZEHRAVA_REQUIRE_SECOND_FACTOR", True)


def test_where_it_is_required_nothing_else_opens_before(rita, required, db):
    root = make_user("root", is_superuser=True)
    for person in (rita, root):
        client = browser()
        give_password(client, name=person.username)
        for address in ("/admin/", "/admin/intents/intent/", "/admin/figures/", "/admin/notifications/"):
            answer = client.get(address)
            assert answer.headers["Location"] == f"/admin/second-factors/?next={address.replace('/', '%2F')}"
            assert client.post(address).status_code == 302
        for address in ("/api/v1/queue", "/api/v1/intents"):
            assert client.get(address).status_code == 403
        assert "Add a second factor to go on" in client.get(LIST).content.decode()
        assert "Add a security key" in client.get(LIST).content.decode()

        client.post(reverse("admin:add_app"))
        client.post(reverse("admin:add_app"), {"code": code_of(client.session["zehrava_new_secret"])})
        assert enters(client)
        client.post(reverse("admin:remove_factor", args=[factors.factors_of(person)[0].pk]))
        assert enters(client), "the last factor stays"


def test_where_it_is_not_required_a_password_is_enough(rita, signed_in):
    assert settings.ZEHRAVA_REQUIRE_SECOND_FACTOR is False
    assert enters(signed_in())


def test_agents_do_not_notice(required, db):
    from tests.factories import make_agent

    _, key = make_agent()
    assert browser().get("/api/v1/agents/me", headers={"Authorization": f"Bearer {key}"}).status_code == 200


# --- is it still so? -----------------------------------------------------------------------------------------------


def problems(capsys) -> list[str]:
    with contextlib.suppress(SystemExit):
        call_command("audit_check", "--json")
    found = json.loads(capsys.readouterr().out)["findings"]
    return [each["problem"] for each in found if each["table"] == "mfa_authenticator"]


def test_a_factor_put_there_by_sql_is_found(rita, capsys):
    add_app(rita)
    assert problems(capsys) == []
    [row] = factors.factors_of(rita)
    secret = factors.get_adapter().encrypt(factors.new_secret())
    Authenticator.objects.filter(pk=row.pk).update(data=row.data | {"secret": secret})
    assert problems(capsys) == [f"is not what event {told('person.factor_added')[0]['id']} tells"]
    Authenticator.objects.filter(pk=row.pk).update(data=row.data)
    assert problems(capsys) == []
    Authenticator.objects.create(user=make_user("ravi"), type="totp", data={"secret": secret})
    assert problems(capsys) == ["no event tells of it"]


def test_using_a_factor_is_no_manipulation(rita, capsys):
    secret, codes = add_app(rita)
    for code in (code_of(secret), codes[0]):
        client = browser()
        give_password(client)
        give_code(client, code)
        assert enters(client)
    assert problems(capsys) == []
