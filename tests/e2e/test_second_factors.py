"""Second factors in a real browser, with an authenticator of its own: added, used, asked for again, removed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import PASSWORD, World, picture
from tests.e2e.test_accessible import AXE, colour, violations
from tests.lifelike import Sight

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.timeout(300)]


@pytest.fixture
def site(world: World) -> str:
    """The portal by a name: browsers offer security keys nowhere else."""
    return world.portal.base_url.replace("127.0.0.1", "localhost")


def plug_in_a_key(page: Page) -> None:
    """Give this browser a security key that somebody touches whenever it is asked."""
    chromium = page.context.new_cdp_session(page)
    chromium.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "usb",
        "hasResidentKey": False,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    chromium.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def give_password(page: Page, site: str, name: str) -> None:
    page.goto(f"{site}/admin/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def sign_out(page: Page) -> None:
    page.evaluate("document.querySelector('form[action$=\"/logout/\"]').submit()")
    page.wait_for_url("**/logout/")


def looks_well(page: Page, name: str) -> None:
    """No fault for axe-core, light and dark, and nothing sticks out on a phone."""
    wide, faults = page.viewport_size, []
    page.emulate_media(reduced_motion="reduce")
    page.evaluate(AXE)
    for scheme in ("light", "dark"):
        colour(page, scheme)
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0
        faults += violations(page, Sight(name, "", ""), None)
        picture(page, f"{name}-{scheme}")
    assert wide is not None and not faults, "\n".join(faults)
    page.set_viewport_size(wide)


def test_a_key_is_added_signs_in_confirms_and_goes(world: World, site: str, page: Page) -> None:
    world.arrange("make_user('kira', 'reviewers')")
    plug_in_a_key(page)
    give_password(page, site, "kira")
    page.goto(f"{site}/admin/second-factors/")
    page.get_by_role("link", name="Add a security key").click()
    page.get_by_label("What do you call it?").fill("Blue key")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    looks_well(page, "codes-shown")
    codes = page.locator(".zhi-codes code").all_inner_texts()
    assert len(codes) == 10
    page.get_by_role("link", name="I have written them down").click()
    expect(page.get_by_text("Blue key")).to_be_visible()
    looks_well(page, "second-factors")

    # The same key is not added twice: the browser says so.
    page.get_by_role("link", name="Add a security key").click()
    page.get_by_label("What do you call it?").fill("Again")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("This key is one of yours already.")).to_be_visible()

    page.goto(f"{site}/admin/")
    sign_out(page)
    give_password(page, site, "kira")
    expect(page.get_by_role("heading", name="Second factor", exact=True)).to_be_visible()
    looks_well(page, "login-factor")
    page.get_by_role("button", name="Use a security key").click()
    expect(page.get_by_role("heading", name="Approval desk")).to_be_visible()

    page.goto(f"{site}/admin/second-factor/?next=/admin/figures/")
    looks_well(page, "confirm-factor")
    page.get_by_role("button", name="Use a security key").click()
    expect(page).to_have_url(f"{site}/admin/figures/")

    page.goto(f"{site}/admin/second-factors/")
    page.get_by_role("link", name="Remove Blue key…").click()
    looks_well(page, "remove-factor")
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Blue key was removed.")).to_be_visible()
    expect(page.get_by_text("Nothing yet")).to_be_visible()


def test_an_app_is_added_from_its_page_and_asked_for(world: World, site: str, page: Page) -> None:
    world.arrange("make_user('abel', 'reviewers')")
    give_password(page, site, "abel")
    page.goto(f"{site}/admin/second-factors/")
    page.get_by_role("button", name="Add an authenticator app").click()
    expect(page.get_by_alt_text("QR code of the secret below")).to_be_visible()
    assert page.get_by_alt_text("QR code of the secret below").evaluate("image => image.naturalWidth") > 0
    secret = page.locator(".zhi-secret").inner_text().replace(" ", "")
    looks_well(page, "add-app")
    page.get_by_label("Code").fill(code_now(world, secret))
    page.get_by_role("button", name="Add it").click()
    code = page.locator(".zhi-codes code").first.inner_text()

    page.goto(f"{site}/admin/")
    sign_out(page)
    give_password(page, site, "abel")
    page.get_by_label("Code of your authenticator app").fill("000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong, too old, or was used before")
    page.get_by_label("Code of your authenticator app").fill(code)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Approval desk")).to_be_visible()


def code_now(world: World, secret: str) -> str:
    return str(world.arrange(f"from tests.identity.conftest import code_of\nmade = code_of({secret!r})"))
