"""Who lost every factor gets in again, with the help of somebody on the server."""

import json

import pytest
from django.core.management import CommandError, call_command

from audit.models import Content
from tests.identity.conftest import add_app, browser, code_of, enters, give_code, give_password, told
from zehrava_site.identity import factors


def test_a_lost_factor_is_removed_on_the_server_and_the_ledger_says_why(rita, capsys):
    secret, _ = add_app(rita)
    session = browser()
    give_password(session)
    give_code(session, code_of(secret))
    assert enters(session)
    call_command("second_factor_remove", "rita", "--reason", "Lost her phone, I called her back", "--json")
    assert json.loads(capsys.readouterr().out) == {"user": "rita", "removed": 1}
    assert factors.factors_of(rita) == [] and factors.recovery_codes_left(rita) is None
    assert not enters(session)
    again = browser()
    give_password(again)
    assert enters(again)
    assert {line["actor"]["name"] for line in told("person.factor_removed")} == {"manage.py second_factor_remove"}
    assert Content.objects.filter(body__contains="I called her back").count() == 2


def test_it_needs_a_reason_and_somebody_who_exists(rita):
    add_app(rita)
    for arguments in (["rita"], ["rita", "--reason", " "], ["nobody", "--reason", "x"]):
        with pytest.raises(CommandError):
            call_command("second_factor_remove", *arguments)
    assert factors.factors_of(rita)
