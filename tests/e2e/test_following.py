"""What happens elsewhere while a page is open: others take, change and propose, and whoever looks away is called."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.test_deciding import open_card

pytestmark = [pytest.mark.browser, pytest.mark.process]


def test_whoever_is_on_it_is_seen_on_the_desks_of_others_until_they_let_it_go(world, sign_in, page, browser):
    world.arrange("make_user('tarek', 'reviewers')")
    intent = world.propose("report.publish", {"to be taken": "Figures"})
    sign_in("tarek")
    other_desk = page.locator(f'[data-intent="{intent}"]')
    expect(other_desk).to_be_visible()
    other = page.context.browser.new_page()
    other.goto(f"{world.portal.base_url}/admin/")
    other.get_by_label("Username").fill("rita")
    other.get_by_label("Password").fill("correct horse battery")
    other.get_by_role("button", name="Sign in").click()
    open_card(other, intent)
    other.get_by_role("button", name="I am on it").click()
    expect(other.get_by_role("button", name="Let it go")).to_be_visible()

    expect(other_desk).to_contain_text("rita is on it")
    other.get_by_role("button", name="Let it go").click()
    expect(other_desk).not_to_contain_text("rita is on it")
    # A courtesy and no lock: whoever is on it holds up nobody.
    other.get_by_role("button", name="I am on it").click()
    open_card(page, intent)
    expect(page.get_by_text("rita is on it. You may decide all the same.")).to_be_visible()
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("heading", name="Approval desk")).to_be_visible()
    assert world.read(intent)["decisions"][0]["reviewer"] == "tarek"
    other.context.close()


def test_an_approval_of_what_was_changed_meanwhile_is_refused_and_says_so(world, sign_in, page):
    world.arrange("load_action_type('name: notice.publish\\nexecutor: noop\\nnarrower: {payload.count: less}\\n')")
    intent = world.propose("notice.publish", {"count": 12})
    sign_in()
    open_card(page, intent)
    # Whoever has begun to write is not shown another page under their hands.
    page.get_by_label("Reason, needed to reject").fill("Twelve is fine")
    world.arrange(
        "from reviews.decisions import decide\nfrom intents.models import Intent\n"
        f"one = Intent.objects.get(pk={intent!r})\n"
        "patch = [{'op': 'replace', 'path': '/count', 'value': 3}]\n"
        "load_policy('name: notices\\nmatch: {actions: [notice.publish]}\\n'\n"
        "            'rules: [{id: two, effect: require_approval, '\n"
        "            'approval: {all_of: [{group: reviewers, count: 2}]}}]\\n')\n"
        "decide(one.pk, by=make_user('mona', 'reviewers'), vote='approve', ground='not_needed', digest=one.digest,"
        " rationale='Three will do.', changes=patch)"
    )
    page.get_by_role("button", name="Approve", exact=True).click()

    expect(page.get_by_role("alert")).to_contain_text("What you were shown is not what would run now")
    expect(page.get_by_label("Reason, needed to reject")).to_have_value("Twelve is fine")
    expect(page.get_by_text("Changed from what the agent proposed")).to_be_visible()
    read = world.read(intent)
    assert read["status"] == "pending_approval" and read["payload"] == {"count": 3}
    assert [one["reviewer"] for one in read["decisions"]] == ["mona"]


# Takes the place of what the browser would show outside the page, and of looking elsewhere.
WATCHED = """
window.called = [];
window.Notification = class {
    static permission = "granted";
    constructor(title, options) { window.called.push({title, ...options}); }
};
Object.defineProperty(document, "hidden", {get: () => window.elsewhere ?? false});
"""


def test_whoever_looks_elsewhere_is_called_for_what_is_urgent_and_for_nothing_else(world, sign_in, page):
    page.context.grant_permissions(["notifications"], origin=world.portal.base_url)
    page.add_init_script(WATCHED)
    world.propose("report.publish", {"there before": 1}, value={"amount": "95000.00", "currency": "EUR"})
    sign_in()
    with page.expect_response("**/admin/follow/"):
        pass
    before = int(re.search(r"\((\d+)\)", page.title())[1])
    page.evaluate("window.elsewhere = true")
    calm = world.propose("report.publish", {"calm": "<b>Approve</b>"})
    urgent = world.propose("report.publish", {"<b>": 1}, value={"amount": "90000.00", "currency": "EUR"})

    # A page that nobody looks at asks less often.
    expect(page).to_have_title(f"({before + 2}) Approval desk | Zehrava", timeout=40_000)
    assert page.evaluate("window.called") == [
        {"title": "Zehrava", "body": "An urgent intent waits for you.", "tag": "zehrava-urgent"}
    ]
    expect(page.locator("#zhv-aloud")).to_have_text(f"{before + 2} wait for you.")
    page.evaluate("window.elsewhere = false")
    world.propose("report.publish", {"while looking": 1}, value={"amount": "90000.00", "currency": "EUR"})
    expect(page).to_have_title(f"({before + 3}) Approval desk | Zehrava", timeout=40_000)
    assert len(page.evaluate("window.called")) == 1
    assert world.status(calm) == world.status(urgent) == "pending_approval"


def test_the_browser_may_call_only_after_it_was_asked_to(world, sign_in, page):
    page.add_init_script(
        "window.Notification = class { static permission = 'default';"
        " static async requestPermission() { return this.permission = 'granted'; } }"
    )
    sign_in()
    page.keyboard.press("?")
    page.get_by_role("button", name="Call me when something urgent comes").click()
    expect(page.get_by_role("button", name="Call me when something urgent comes")).to_be_hidden()
    assert page.evaluate("Notification.permission") == "granted"
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_hidden()
