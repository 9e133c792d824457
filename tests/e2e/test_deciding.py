"""A reviewer's work in a real browser, with a real worker behind it."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import picture
from tests.targets import Target, serve

pytestmark = [pytest.mark.browser, pytest.mark.process]

PHONE = {"width": 390, "height": 844}


def sideways(page) -> int:
    """How many pixels of the page stick out to the right."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def open_card(page, intent: str) -> None:
    """Find one intent, which may stand in a line with others that are alike, and open it."""
    page.locator("#id_q").fill(intent)
    page.locator("#id_q").press("Enter")
    page.locator(f'[data-intent="{intent}"] a').click()


@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, PHONE], ids=["wide", "phone"])
def test_a_reviewer_opens_a_pending_intent_approves_it_and_sees_it_executed(world, sign_in, page, size):
    page.set_viewport_size(size)
    intent = world.propose("report.publish", {"title": "Figures " + "x" * 200, "nested": {"a": [1, {"b": "c" * 90}]}})
    sign_in()
    assert sideways(page) <= 0

    open_card(page, intent)
    expect(page.get_by_text("What will change")).to_be_visible()
    expect(page.get_by_text("x" * 200).first).to_be_visible()
    assert sideways(page) <= 0
    for name in ("Approve", "Reject"):
        button = page.get_by_role("button", name=name, exact=True)
        expect(button).to_be_in_viewport(ratio=1)
        expect(button).not_to_be_focused()
    page.get_by_role("button", name="Approve", exact=True).click()

    expect(page.get_by_role("heading", name="Approval desk")).to_be_visible()
    expect(page.locator(f'[data-intent="{intent}"]')).to_have_count(0)
    page.locator("a.zhv-msg-link").click()
    # The page follows what happens: it is not loaded again by this test.
    expect(page.locator("#zhv-status")).to_have_text("Succeeded")
    expect(page.get_by_text(re.compile("Attempt 1"))).to_be_visible()
    assert sideways(page) <= 0
    assert world.status(intent) == "succeeded"


def test_the_record_says_whether_the_end_of_a_long_payload_was_in_sight(world, sign_in, page):
    long = {f"line {number:03}": "words" for number in range(100)}
    unread, read = (world.propose("report.publish", {**long, "title": title}) for title in ("Unread", "Read"))
    sign_in()
    for intent in (unread, read):
        page.goto(f"{world.portal.base_url}/admin/intents/intent/{intent}/change/")
        seen = page.locator("input[data-seen]")
        expect(seen).to_have_value("")
        if intent == read:
            page.get_by_text("Raw canonical JSON").scroll_into_view_if_needed()
            page.mouse.wheel(0, 600)
            expect(seen).to_have_value("yes")
        page.get_by_role("button", name="Approve", exact=True).click()
        expect(page.get_by_role("heading", name="Approval desk")).to_be_visible()
    decided = f"Decision.objects.filter(intent__in={[unread, read]!r})"
    made = f"made = dict({decided}.values_list('intent_id', 'whole_payload_seen'))"
    assert world.arrange(f"from reviews.models import Decision\n{made}") == {unread: False, read: True}


def test_a_reviewer_rejects_with_a_reason_and_not_without(world, sign_in, page):
    intent = world.propose("report.publish", {"title": "Figures"})
    sign_in()
    open_card(page, intent)

    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Choose why")
    page.get_by_label("Why, to reject").select_option("wrong_target")
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Say why you reject")
    expect(page.get_by_label("Why, to reject")).to_have_value("wrong_target")
    assert world.status(intent) == "pending_approval"

    page.get_by_label("Reason, needed to reject").fill("The figures are last year's.")
    page.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_text("It will not run")).to_be_visible()
    page.locator("a.zhv-msg-link").click()
    expect(page.locator("#zhv-status")).to_have_text("Rejected")
    expect(page.get_by_text("The figures are last year's.")).to_be_visible()
    assert world.status(intent) == "rejected"


def test_an_open_page_follows_a_decision_made_elsewhere_and_keeps_what_was_typed(world, sign_in, page):
    intent = world.propose("report.publish", {"title": "Figures"})
    sign_in()
    open_card(page, intent)
    page.get_by_label("Reason, needed to reject").fill("I am still reading")

    world.arrange(
        "from reviews.decisions import decide\nfrom intents.models import Intent\n"
        f"one = Intent.objects.get(pk={intent!r})\n"
        "decide(one.pk, by=make_user('ravi', 'reviewers'), vote='reject', digest=one.digest, rationale='No.')"
    )

    expect(page.get_by_text("Something changed while you were writing")).to_be_visible()
    expect(page.get_by_label("Reason, needed to reject")).to_have_value("I am still reading")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Not waiting for a decision")
    expect(page.get_by_role("alert")).to_contain_text("I am still reading")
    assert world.status(intent) == "rejected"


def test_the_owner_reads_why_there_are_no_buttons_and_who_can_decide(world, sign_in, page):
    world.arrange("User.objects.get(username='olivia').groups.add(Group.objects.get(name='reviewers'))")
    intent = world.propose("report.publish", {"title": "Figures"})
    sign_in("olivia")
    page.get_by_role("link", name="All waiting").click()
    open_card(page, intent)

    expect(page.get_by_text("You own press-agent")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Can decide: .*rita \(reviewers\)"))).to_be_visible()
    expect(page.get_by_role("button", name="Approve", exact=True)).to_have_count(0)


def test_what_an_agent_writes_never_runs_and_never_leaves_its_place(world, sign_in, page):
    trap = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202egnp.exe{{ 7*7 }}"
    intent = world.propose(
        "report.publish", {trap: trap}, summary=trap, context={trap: [trap]}, target=trap, tags=[trap]
    )
    sign_in()
    open_card(page, intent)

    expect(page.get_by_text("U+202E").first).to_be_visible()
    assert page.locator("#zhv-live img, #zhv-live script").count() == 0
    assert sideways(page) <= 0


@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, PHONE], ids=["wide", "phone"])
def test_a_long_target_pushes_nothing_out_of_sight_and_is_whole_on_its_page(world, sign_in, page, size):
    page.set_viewport_size(size)
    # A member that no other has: like nothing else, it has a card of its own.
    intent = world.propose("report.publish", {f"title {size['width']}": "Figures"}, target="t" * 1000)
    sign_in()
    assert sideways(page) <= 0
    assert page.locator(f'[data-intent="{intent}"]').bounding_box()["height"] < 400

    page.goto(f"{world.portal.base_url}/admin/intents/intent/")
    row = page.locator("#result_list tr", has_text="t" * 1000)
    asked = row.first.get_by_text(re.compile(r"\d\d:\d\d.* UTC"))
    box = asked.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= size["width"]
    assert sideways(page) <= 0

    page.goto(f"{world.portal.base_url}/admin/intents/intent/{intent}/change/")
    whole = page.locator("dd", has_text="t" * 1000).first
    assert whole.evaluate("one => one.scrollHeight <= one.clientHeight && one.scrollWidth <= one.clientWidth")
    assert sideways(page) <= 0


def test_the_raw_json_is_one_key_away(world, sign_in, page):
    intent = world.propose("report.publish", {"title": "Figures"})
    sign_in()
    open_card(page, intent)
    raw = page.get_by_text('"execution_mode":"portal"')
    expect(raw).to_be_hidden()

    page.keyboard.press("x")
    expect(raw).to_be_visible()
    page.keyboard.press("x")
    expect(raw).to_be_hidden()


@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, PHONE], ids=["wide", "phone"])
def test_a_reviewer_changes_the_payload_and_the_worker_gets_it_as_changed(world, sign_in, page, size):
    page.set_viewport_size(size)
    text = "name: list.publish\nexecutor: noop\nnarrower: {payload.to: fewer, payload.count: less}\n"
    world.arrange(f"load_action_type({text!r})")
    intent = world.propose("list.publish", {"to": ["ann", "bob"], "count": 12, "title": "Figures " + "x" * 120})
    sign_in()
    open_card(page, intent)
    page.get_by_role("link", name="Change…", exact=True).click()
    assert sideways(page) <= 0
    picture(page, f"change-{size['width']}")
    page.get_by_label("count", exact=True).fill("7")
    page.get_by_label("leave out").nth(1).check()
    page.get_by_role("button", name="Look at the changes").click()
    expect(page.get_by_text("stays within")).to_be_visible()
    assert sideways(page) <= 0
    picture(page, f"change-look-{size['width']}")
    page.get_by_role("button", name="Approve with changes").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose why")
    page.get_by_label("Why", exact=True).select_option("not_needed")
    page.get_by_role("button", name="Approve with changes").click()
    expect(page.get_by_role("alert")).to_contain_text("Say why you change it")
    page.get_by_label("Why you change it").fill("Bob has left.")
    page.get_by_role("button", name="Approve with changes").click()

    page.locator("a.zhv-msg-link").click()
    expect(page.locator("#zhv-status")).to_have_text("Succeeded")
    expect(page.get_by_text("Changed from what the agent proposed")).to_be_visible()
    assert sideways(page) <= 0
    picture(page, f"changed-{size['width']}")
    read = world.read(intent)
    assert read["payload"]["to"] == ["ann"] and read["payload"]["count"] == 7
    assert read["proposal"]["payload"]["to"] == ["ann", "bob"]


def test_an_open_desk_shows_what_arrives_and_is_worked_with_the_keyboard(world, sign_in, page):
    world.arrange(
        "from intents import lifecycle\nfrom django.db import transaction\nfrom intents.models import Intent\n"
        "for pending in Intent.objects.filter(status='pending_approval'):\n"
        "    with transaction.atomic():\n"
        "        lifecycle.cancel(lifecycle.locked(pending.pk), by=ARRANGER)\n"
    )
    first = world.propose("report.publish", {"title": "First"})
    sign_in()
    expect(page.locator(f'[data-intent="{first}"]')).to_be_visible()
    expect(page).to_have_title(re.compile(r"^\(1\) "))
    page.keyboard.press("j")
    expect(page.locator(f'[data-intent="{first}"] .zhv-what a')).to_be_focused()

    second = world.propose("report.publish", {"heading": "Second"})
    expect(page.locator(f'[data-intent="{second}"]')).to_be_visible()
    expect(page).to_have_title(re.compile(r"^\(2\) "))
    expect(page.locator("#nav-sidebar").get_by_role("link", name="Approval desk")).to_contain_text("2")
    # What was chosen stays chosen.
    expect(page.locator(f'[data-intent="{first}"] .zhv-what a')).to_be_focused()

    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("No key decides by itself")
    picture(page, "keys")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator(f'[data-intent="{second}"] .zhv-what a')).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_focused()
    assert world.status(first) == "pending_approval"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Approval desk")).to_be_visible()
    expect(page.locator(f'[data-intent="{first}"]')).to_have_count(0)

    page.keyboard.press("j")
    page.keyboard.press("o")
    page.keyboard.press("r")
    expect(page.get_by_label("Reason, needed to reject")).to_be_focused()
    page.keyboard.type("aejk?")  # what is typed is text
    assert world.status(second) == "pending_approval"


@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, PHONE], ids=["wide", "phone"])
def test_what_is_alike_is_chosen_in_a_table_and_approved_as_one_decision_each(world, sign_in, page, size):
    page.set_viewport_size(size)
    member = f"city {size['width']}"
    three = [world.propose("report.publish", {member: city}) for city in ("Rome", "Oslo", "Bern")]
    sign_in()
    page.get_by_role("link", name="3 alike: report.publish").click()
    expect(page.get_by_text("Oslo", exact=True)).to_be_visible()
    assert sideways(page) <= 0
    page.get_by_role("button", name="Choose all 3").click()
    page.locator(f"#pick-{three[1]}").uncheck()
    picture(page, f"alike-{size['width']}")
    page.get_by_role("button", name="Approve 2").click()

    expect(page.get_by_text("You approved 2. Each has a decision of its own.")).to_be_visible()
    assert world.status(three[1]) == "pending_approval"
    for intent in (three[0], three[2]):
        (decision,) = world.read(intent)["decisions"]
        assert decision["digest"] == world.read(intent)["digest"]


def test_the_desk_is_searched_filtered_and_shown_as_a_table_that_the_browser_remembers(world, sign_in, page):
    wanted = world.propose("report.publish", {"only here": "Żółw & <b>"}, value={"amount": "12.00", "currency": "PLN"})
    sign_in()
    page.get_by_role("button", name="Table", exact=True).click()
    expect(page.locator(f'tr[data-intent="{wanted}"]')).to_be_visible()
    page.get_by_role("group").get_by_text("Filters").click()
    page.get_by_label("Currency").select_option("PLN")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("tr.zhv-item")).to_have_count(1)
    page.locator("#id_q").fill("Żółw & <b>")
    page.locator("#id_q").press("Enter")
    expect(page.locator("tr.zhv-item")).to_have_count(1)
    page.keyboard.press("Escape")
    page.locator("#id_q").fill("no such words")
    page.locator("#id_q").press("Enter")
    expect(page.get_by_role("heading", name="Nothing of this kind")).to_be_visible()
    page.get_by_role("link", name="Show everything").first.click()
    expect(page.locator(f'tr[data-intent="{wanted}"]')).to_be_visible()

    # What else waits here by now may be several alike, which open as a group.
    page.locator("#id_q").fill("Żółw & <b>")
    page.locator("#id_q").press("Enter")
    expect(page.locator("tr.zhv-item")).to_have_count(1)
    page.locator("h1, h2").first.click()
    page.keyboard.press("j")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", name="What will change")).to_be_visible()


def test_at_high_risk_nothing_is_approved_before_the_amount_is_typed(world, sign_in, page):
    grave = world.propose("report.publish", {"grave": True}, value={"amount": "90000.00", "currency": "EUR"})
    sign_in()
    open_card(page, grave)
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Type the amount: 90,000.00 EUR")
    assert world.status(grave) == "pending_approval"
    page.get_by_label("To approve, type the amount").fill("90000")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("heading", name="Approval desk")).to_be_visible()
    assert world.status(grave) in ("approved", "executing", "succeeded")


@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, PHONE], ids=["wide", "phone"])
def test_before_and_after_comes_into_the_page_stays_there_and_is_read_again(world, sign_in, page, size):
    page.set_viewport_size(size)
    with serve(Target()) as target:
        target.say(200, b'{"email": "old@x.example", "name": "Ada"}')
        world.arrange(
            f"""load_action_type('name: crm.update\\npresent: {{before: {{url: "http://127.0.0.1:{target.port}/"""
            """{payload.customer}", allow_private: true, fields: {Name: {now: name}, E-mail: {now: email,"""
            """ then: payload.email}}}}')"""
        )
        intent = world.propose("crm.update", {"customer": "4711", "email": "new@x.example"})
        sign_in()
        open_card(page, intent)
        mail = page.locator("#zhv-before tr", has_text="E-mail")
        expect(mail).to_contain_text(re.compile("old@x.example.*new@x.example.*changed", re.DOTALL))
        expect(page.locator("#zhv-before time")).not_to_contain_text("UTC")
        assert sideways(page) <= 0
        picture(page, f"before-and-after-{size['width']}")

        # The page is drawn anew for a comment: what was read stays, and nobody is asked again.
        one = "from reviews import decisions, notes\nfrom intents.models import Intent\n"
        one += f"one = Intent.objects.get(pk={intent!r})\n"
        world.arrange(f"{one}notes.comment(one, by=User.objects.get(username='rita'), text='Hm, odd.')")
        expect(page.get_by_text("Hm, odd.")).to_be_visible()
        expect(mail).to_contain_text("old@x.example")
        # What the page fetches for itself came in place of the link to it, whatever was decided before.
        expect(page.locator("#zhv-similar")).not_to_contain_text("On a page of their own")
        assert [request.target for request in target.requests] == ["/4711"]

        # Somebody changed what would run: it is compared with that.
        target.say(200, b'{"email": "third@x.example"}')
        world.arrange(
            f"{one}decisions.decide(one.pk, by=make_user('editor-{size['width']}', 'reviewers'), vote='approve',"
            " digest=one.digest, ground='other', rationale='Better.',"
            " changes=[{'op': 'replace', 'path': '/email', 'value': 'third@x.example'}])"
        )
        expect(mail).to_contain_text("same")
        assert len(target.requests) == 2

        target.say(500)
        page.get_by_role("button", name="Read again").click()
        expect(page.get_by_text("The target failed (500).")).to_be_visible()
        expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
        assert [request.method for request in target.requests] == ["GET"] * 3
        assert sideways(page) <= 0

        # Who was signed out meanwhile does not get the page to sign in into the panel.
        page.route("**/before/", lambda route: route.fulfill(content_type="text/html", body="<h1>Sign in</h1>"))
        page.get_by_role("button", name="Read again").click()
        expect(page.get_by_text("or you are signed out")).to_be_visible()
        expect(page.get_by_role("heading", name="Sign in")).to_have_count(0)


def test_a_flood_of_one_letter_does_not_keep_a_page_from_opening(world, sign_in, page):
    intent = world.propose("report.publish", {"flood": "A" * 200_000})
    sign_in()
    open_card(page, intent)
    # Shaped anew for each of its lines, twenty thousand took a quarter of a minute.
    expect(page.get_by_role("button", name="Reject", exact=True)).to_be_visible()
    assert page.evaluate("document.querySelector('.zhv-tree').textContent.length") >= 200_000


@pytest.mark.browser_context_args(timezone_id="America/New_York", locale="en-US")
def test_times_are_those_of_the_reader(world, sign_in, page):
    intent = world.propose("report.publish", {"when": "now"})
    sign_in()
    open_card(page, intent)
    asked = page.locator("time[datetime]").filter(has_text="EST").or_(page.locator("time").filter(has_text="EDT"))
    expect(asked.first).to_be_visible()
    expect(asked.first).to_have_attribute("title", re.compile("UTC"))

    page.goto(f"{world.portal.base_url}/admin/intents/intent/")
    cells = page.locator("#result_list td").filter(has_text=re.compile(r"(EST|EDT)$"))
    expect(cells.first).to_be_visible()
    expect(page.locator("#result_list td").filter(has_text=re.compile(r"UTC$"))).to_have_count(0)


def test_e_opens_the_change_of_what_is_chosen(world, sign_in, page):
    intent = world.propose("report.publish", {"changed by a key": "Figures"})
    sign_in()
    page.locator("#id_q").fill(intent)
    page.locator("#id_q").press("Enter")
    expect(page.locator(".zhv-item")).to_have_count(1)
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("e")
    expect(page.get_by_role("button", name="Look at the changes")).to_be_visible()
    assert world.status(intent) == "pending_approval"


@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, PHONE], ids=["wide", "phone"])
def test_the_desk_shows_how_it_goes_below_what_waits(world, sign_in, page, size):
    page.set_viewport_size(size)
    for number in range(12):
        world.propose("report.publish", {f"figures {number}": size["width"], "m" * number: [number]})
    sign_in()
    goes = page.locator("#zhv-figures")
    expect(goes).to_contain_text("How it goes")
    goes.scroll_into_view_if_needed()
    expect(goes.get_by_role("heading", name="How it goes")).to_be_visible()
    expect(goes.get_by_text("Median time to decide")).to_be_visible()
    page.wait_for_function("Chart.getChart(document.querySelector('#zhv-figures canvas'))?.data.datasets.length === 6")
    assert sideways(page) <= 0
    picture(page, f"goes-{size['width']}")


@pytest.mark.parametrize("size", [{"width": 1440, "height": 900}, PHONE], ids=["wide", "phone"])
def test_pages_are_dark_where_the_reader_s_system_is_and_stay_as_somebody_chose(world, sign_in, page, size):
    page.set_viewport_size(size)
    page.emulate_media(color_scheme="dark")
    intent = world.propose("report.publish", {f"dark {size['width']}": "Figures"})
    ground = "getComputedStyle(document.getElementById('main')).backgroundColor"
    # Nothing of a page is seen before its theme is chosen.
    themed = page.locator("html:not([x-cloak])")
    sign_in()
    expect(themed).to_be_visible()
    assert luminance(page.evaluate(ground)) < 0.05
    open_card(page, intent)
    expect(page.locator(".zhv-act").first).to_be_visible()
    expect(themed).to_be_visible()
    assert luminance(page.evaluate(ground)) < 0.05
    assert luminance(page.evaluate("getComputedStyle(document.querySelector('.zhv-act')).backgroundColor")) < 0.1
    picture(page, f"dark-{size['width']}")

    if size == PHONE:
        page.get_by_role("button", name="Menu", exact=True).click()
    page.locator("#nav-sidebar").get_by_role("button", name="rita").click()
    page.get_by_role("button", name="Light", exact=True).click()
    page.reload()
    expect(themed).to_be_visible()
    assert luminance(page.evaluate(ground)) > 0.9


def luminance(colour: str) -> float:
    """How bright a computed colour is, from 0 to 1, whatever notation the browser writes it in."""
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", colour)]
    if colour.startswith("rgb"):
        return sum(numbers[:3]) / 3 / 255
    assert colour.startswith(("oklab", "oklch", "color")), colour
    return numbers[0] ** 3
