"""U+0000 and other text that no database stores is refused once, in front of every page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.factories import make_intent, make_user


@pytest.fixture
def client(signed_in: Callable[[User], Client]) -> Client:
    client = signed_in(make_user("root", "reviewers", is_superuser=True))
    client.raise_request_exception = False
    return client


def refused(response: Any) -> None:
    assert response.status_code == 400, response.status_code
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert "U+0000" in response.content.decode()
    assert response["Content-Security-Policy"]


@pytest.mark.parametrize(
    "address",
    [
        "/admin/intents/intent/%00/change/",
        "/admin/intents/intent/int_0%00/",
        "/admin/%00/",
        "/%00",
        "/admin/intents/intent/?action=%00",
        "/admin/intents/intent/?q=a%00b",
        "/admin/intents/intent/?%00=1",
        "/admin/auth/user/?username=x%00",
        "/admin/login/?next=%00",
    ],
)
def test_nul_in_an_address_is_refused(client: Client, address: str) -> None:
    refused(client.get(address))


@pytest.mark.parametrize("form", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=cut"])
@pytest.mark.parametrize(("name", "value"), [("rationale", "a\x00b"), ("ration\x00ale", "fine")])
def test_nul_in_a_form_is_refused(client: Client, form: str, name: str, value: str) -> None:
    intent = make_intent()
    if form.startswith("multipart"):
        body = f'--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--cut--\r\n'
    else:
        body = f"{name}={value}".replace("\x00", "%00")
    response = client.generic("POST", f"/admin/intents/intent/{intent.pk}/change/", body, form)
    refused(response)


def test_a_raw_nul_in_a_form_is_refused(client: Client) -> None:
    refused(client.generic("POST", "/admin/login/", b"username=\x00", "application/x-www-form-urlencoded"))


def test_nul_in_a_cookie_is_refused(db: None) -> None:
    client = Client(raise_request_exception=False)
    refused(client.get("/admin/", headers={"Cookie": 'sessionid="\\000' + "a" * 32 + '"'}))


def test_a_charset_that_reads_a_query_in_another_way_is_refused(client: Client) -> None:
    response = client.generic("GET", "/admin/intents/intent/?action=%41", b"x", "text/plain; charset=utf-16")
    assert response.status_code == 415
    assert "UTF-8" in response.content.decode()


def test_what_has_no_nul_passes(client: Client) -> None:
    assert client.get("/admin/intents/intent/?q=%2500").status_code == 200
    assert client.get("/admin/intents/intent/?q=\u2400").status_code == 200
