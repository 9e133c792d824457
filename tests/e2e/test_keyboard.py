"""The whole desk without a mouse: everything reached, in the order it is read, seen where it is, and left again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_deciding import PHONE, open_card

pytestmark = [pytest.mark.browser, pytest.mark.process]

# What a person can get to, in the order of the page: visible and not disabled. A group of radio buttons has one stop.
STOPS = """
() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")].filter(
    (one) => one.tabIndex >= 0 && !one.disabled && one.type !== "hidden"
        && one.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true})
)
"""
# Where the focus is: which stop, whether something is drawn around it, and whether it can be seen.
HERE = """
() => {
    const here = document.activeElement;
    const lined = (one) => {
        const is = getComputedStyle(one);
        return is.outlineStyle !== "none" && parseFloat(is.outlineWidth) > 0;
    };
    const box = here.getBoundingClientRect();
    const top = document.elementFromPoint(box.left + box.width / 2, box.top + Math.min(box.height, innerHeight) / 2);
    return {
        stop: window.stops.indexOf(here),
        html: here.cloneNode().outerHTML.slice(0, 200),
        marked: lined(here) || lined(here.closest(".zhv-item") ?? here) || lined(here.parentElement),
        seen: Boolean(top) && (here.contains(top) || top.contains(here)),
    };
}
"""


def walk(page: Page) -> list[dict]:
    """Tab from the top of the page until the focus leaves it or goes round; what was met, in order."""
    page.evaluate(f"window.stops = ({STOPS})(); document.activeElement?.blur(); scrollTo(0, 0)")
    met: list[dict] = []
    for _ in range(page.evaluate("window.stops.length") + 5):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        here = page.evaluate(HERE)
        if met and here["stop"] == met[0]["stop"]:
            break
        met.append(here)
    return met


def assert_walked(page: Page) -> None:
    if page.locator("#zhv-figures").count():
        # They come when somebody gets there, and are part of the page then.
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        expect(page.locator("#h-goes")).to_be_visible()
    # A part that fetches itself holds a link in its place until it is there.
    expect(page.locator("[hx-swap=outerHTML][hx-trigger=load]")).to_have_count(0)
    met = walk(page)
    assert [one["html"] for one in met if not one["marked"]] == []
    assert [one["html"] for one in met if not one["seen"]] == []
    assert [one["stop"] for one in met] == list(range(page.evaluate("window.stops.length")))
    assert page.evaluate('document.querySelectorAll(\'[tabindex]:not([tabindex^="-"], [tabindex="0"])\').length') == 0


@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, PHONE], ids=["wide", "phone"])
def test_tab_meets_everything_in_the_order_of_the_page_and_shows_where_it_is(world, sign_in, page, size):
    page.set_viewport_size(size)
    intent = world.propose("report.publish", {f"tabbed {size['width']}": "Figures"}, summary="urgent", tags=["a"])
    world.propose("report.publish", {f"alone {size['width']}": "Figures"})
    sign_in()
    assert_walked(page)
    page.get_by_role("button", name="Table", exact=True).click()
    assert_walked(page)
    page.get_by_role("button", name="Cards", exact=True).click()
    open_card(page, intent)
    expect(page.get_by_role("heading", name="What will change")).to_be_visible()
    assert_walked(page)
    page.get_by_role("link", name="Change…", exact=True).click()
    expect(page.get_by_role("button", name="Look at the changes")).to_be_visible()
    assert_walked(page)


def test_the_first_stop_leads_past_the_sidebar(world, sign_in, page):
    world.propose("report.publish", {"first": "Figures"})
    sign_in()
    page.evaluate("document.activeElement?.blur()")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#content') !== null")


def test_what_opens_over_the_page_is_opened_walked_and_closed_without_a_mouse(world, sign_in, page):
    sign_in("admin", world.portal.password)
    account = page.locator("#nav-sidebar").get_by_role("button", name=re.compile("admin"))
    account.focus()
    page.keyboard.press("Enter")
    expect(account).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("button", name="Light")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    page.keyboard.press("Escape")
    expect(account).to_be_focused()
    expect(account).to_have_attribute("aria-expanded", "false")
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()

    history = page.get_by_role("button", name="History")
    history.focus()
    page.keyboard.press("Enter")
    expect(history).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Enter")
    expect(history).to_have_attribute("aria-expanded", "false")

    page.goto(f"{world.portal.base_url}/admin/audit/event/")
    filters = page.get_by_role("button", name="Filters")
    filters.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#changelist-filter")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('#changelist-filter') !== null")
    page.keyboard.press("Escape")
    expect(page.locator("#changelist-filter")).to_be_hidden()
    expect(filters).to_be_focused()


def test_on_a_phone_the_menu_is_opened_and_closed_without_a_mouse(world, sign_in, page):
    page.set_viewport_size(PHONE)
    sign_in()
    menu = page.get_by_role("button", name="Menu", exact=True)
    expect(menu).to_have_attribute("aria-expanded", "false")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="All intents", exact=True)).to_be_visible()
    assert page.evaluate("document.activeElement.closest('#nav-sidebar') !== null")
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="All intents", exact=True)).to_be_hidden()
    expect(menu).to_be_focused()

    menu.click()
    page.get_by_role("button", name="Close the menu").click()
    expect(page.get_by_role("link", name="All intents", exact=True)).to_be_hidden()


def test_the_list_of_keys_gives_the_focus_back(world, sign_in, page):
    intent = world.propose("report.publish", {"list of keys": "Figures"})
    sign_in()
    open_card(page, intent)
    page.get_by_label("Why, to reject").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("link", name="Change…", exact=True).focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.evaluate(
        "document.activeElement.closest('dialog') !== null || document.activeElement === document.body"
    )
    page.keyboard.press("a")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("link", name="Change…", exact=True)).to_be_focused()


def test_no_key_is_taken_from_who_types_or_holds_another_key(world, sign_in, page):
    intent = world.propose("report.publish", {"typed in": "Figures"})
    sign_in()
    keys = "jkoarex?"
    page.locator("#id_q").click()
    page.keyboard.type(keys)
    expect(page.locator("#id_q")).to_have_value(keys)
    page.locator("#id_q").fill("")
    open_card(page, intent)
    address = page.url
    rationale = page.get_by_label("Reason, needed to reject")
    rationale.click()
    page.keyboard.type(keys)
    expect(rationale).to_have_value(keys)

    page.get_by_role("link", name="Change…", exact=True).focus()
    theme = page.locator("html").get_attribute("class")
    for held in ("Control", "Meta", "Alt"):
        for key in "aexk":
            page.keyboard.press(f"{held}+{key}")
    expect(page.get_by_role("link", name="Change…", exact=True)).to_be_focused()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#zhv-raw")).not_to_have_attribute("open", "")
    assert page.url == address
    assert page.locator("html").get_attribute("class") == theme
