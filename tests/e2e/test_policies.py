"""A policy author's work in a real browser: write, be told what is wrong and where, compare, and have it confirmed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import picture
from tests.e2e.test_deciding import PHONE, sideways

pytestmark = [pytest.mark.browser, pytest.mark.process]

WIDE = {"width": 1440, "height": 900}
BAD = """name: refunds
match: {actions: [stripe.refund]}
rules:
  - id: large
    when: amount(payload.amount) > amount("500"
    effect: require_approval
  - {id: small, effect: allow}
"""
FAILING = """name: refunds
match: {actions: [stripe.refund]}
rules:
  - {id: large, when: amount(payload.amount) > amount("500"), effect: require_approval}
  - {id: small, effect: allow}
tests:
  - {payload: {amount: "20.00"}, expect: {effect: block}}
"""
GOOD = FAILING.replace("effect: block", "effect: allow")
STRICTER = GOOD.replace('"500"', '"100"').replace("effect: allow}\ntests", "effect: allow, reason: fine}\ntests")


@pytest.fixture(scope="module")
def authors(world) -> None:
    world.arrange(
        "from zehrava_site import roles\nroles.install()\n"
        "for name in ('paul', 'petra'): make_user(name, 'policy_authors', 'reviewers')\n"
    )


def write(page: Page, text: str, button: str) -> None:
    page.locator("textarea[name=text]").fill(text)
    page.get_by_role("button", name=button, exact=True).click()


def chosen_line(page: Page) -> str:
    return page.evaluate(
        "(() => { const a = document.querySelector('textarea[name=text]');"
        " return a.value.slice(a.selectionStart, a.selectionEnd); })()"
    )


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone-dark"])
def test_what_is_wrong_is_said_at_its_line_and_nothing_typed_is_lost(world, authors, sign_in, page, size, scheme):
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    sign_in("paul")
    page.goto(f"{world.portal.base_url}/admin/intents/policy/add/")
    before = world.arrange("from intents.models import PolicyVersion\nmade = PolicyVersion.objects.count()")

    write(page, BAD, "Save as draft")
    expect(page.get_by_text("Nothing was saved.")).to_be_visible()
    expect(page.get_by_role("alert").first).to_contain_text("ine 5")
    assert page.locator("textarea[name=text]").input_value().strip() == BAD.strip()
    gutter = page.locator(".zhr-gutter pre").inner_text().split("\n")
    assert gutter[:7] == ["1", "2", "3", "4", "5", "6", "7"]
    assert sideways(page) <= 0
    picture(page, f"policy-fault-{size['width']}-{scheme}")
    page.locator('a[href="#line-5"]').first.click()
    assert chosen_line(page) == '    when: amount(payload.amount) > amount("500"'

    write(page, FAILING, "Save as draft")
    expect(page.get_by_role("alert").first).to_contain_text("ine 7")
    page.locator('a[href="#line-7"]').first.click()
    assert "expect: {effect: block}" in chosen_line(page)
    assert world.arrange("from intents.models import PolicyVersion\nmade = PolicyVersion.objects.count()") == before


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone-dark"])
def test_a_draft_is_compared_and_brought_into_force_by_two_people(world, authors, sign_in, page, size, scheme):
    name = f"refunds-{size['width']}"
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    world.arrange("from intents import second_person\n"
                  "second_person.is_recorded() and second_person.waive(by=ARRANGER, reason='one more')")  # fmt: skip
    world.arrange(f"load_policy({GOOD.replace('name: refunds', f'name: {name}')!r})")
    world.arrange("from intents import second_person\nfrom django.conf import settings\n"
                  "settings.ZEHRAVA_POLICY_SECOND_PERSON = True\nsecond_person.record(by=ARRANGER)")  # fmt: skip
    sign_in("paul")
    page.goto(f"{world.portal.base_url}/admin/intents/policy/")
    page.get_by_role("link", name=name, exact=True).first.click()
    write(page, STRICTER.replace("name: refunds", f"name: {name}"), "Save as draft")
    expect(page.get_by_text("v2 is a draft")).to_be_visible()
    assert sideways(page) <= 0
    picture(page, f"policy-draft-{size['width']}-{scheme}")

    page.get_by_role("link", name="Compare", exact=True).first.click()
    expect(page.get_by_text('amount("100")').first).to_be_visible()
    expect(page.get_by_text('amount("500")').first).to_be_visible()
    assert sideways(page) <= 0
    picture(page, f"policy-compare-{size['width']}-{scheme}")

    page.go_back()
    page.get_by_role("link", name="Ask to activate…").first.click()
    page.locator("textarea").first.fill("Refunds above 100 go to people now.")
    picture(page, f"policy-ask-{size['width']}-{scheme}")
    page.locator("main button[type=submit], #content button[type=submit]").last.click()
    expect(page.get_by_text("waits for a second person").first).to_be_visible()
    address = page.url
    active = f"from intents.models import Policy\nmade = Policy.objects.get(name={name!r}).active.number"
    assert world.arrange(active) == 1

    page.context.clear_cookies()
    sign_in("petra")
    page.goto(address)
    page.get_by_role("link", name="Look at it…").click()
    expect(page.get_by_text("Refunds above 100 go to people now.")).to_be_visible()
    assert sideways(page) <= 0
    picture(page, f"policy-confirm-{size['width']}-{scheme}")
    page.get_by_role("button", name="Confirm").first.click()
    expect(page.get_by_text("In force").first).to_be_visible()
    assert world.arrange(active) == 2
    picture(page, f"policy-done-{size['width']}-{scheme}")
