"""The form that asks for a standing approval says at each field what is wrong with it as soon as it is left."""

from __future__ import annotations

import pytest

from tests.factories import PASSWORD, make_agent, make_user
from zehrava_site import roles

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_each_field_that_was_left_says_what_is_wrong_until_it_is_put_right(live_server, page):
    roles.install()
    make_user("rita", "reviewers")
    agent, _ = make_agent("nightly")
    page.goto(f"{live_server.url}/admin/login/?next=/admin/reviews/standingapproval/add/")
    page.fill("[name=username]", "rita")
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")

    page.select_option("[name=agent]", agent.pk, force=True)
    page.fill("[name=action]", "report send")
    page.fill("[name=when]", "payload.amount ===")
    page.fill("[name=max_total]", "5")
    page.focus("[name=reason]")

    page.locator("#zhr-fault-when").wait_for()
    assert "not a condition" in page.inner_text("#zhr-fault-when")
    assert "name or glob" in page.inner_text("#zhr-fault-action")
    assert page.get_attribute("[name=when]", "aria-invalid") == "true"
    # Nobody was there yet.
    assert page.locator("#zhr-fault-reason").count() == 0

    page.fill("[name=when]", 'payload.amount == "5"')
    page.focus("[name=reason]")
    page.locator("#zhr-fault-when").wait_for(state="detached")
    assert page.get_attribute("[name=when]", "aria-invalid") is None
