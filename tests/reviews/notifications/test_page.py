"""My notifications: one's own, changed by the button alone, kept with history."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
from django.test import Client

from audit import clock
from audit.models import Event
from reviews.models import Delivery, NotificationSettings
from reviews.notifications import following
from reviews.notifications.page import LATEST
from reviews.notifications.preferences import settings_of
from tests.desk.test_no_markup_of_agents import ATTEMPTS, read
from tests.factories import load_action_type, make_intent
from tests.reviews.notifications.conftest import pass_by, person, told, wish

PAGE = "/admin/notifications/"
FORM = {
    "asks": "hourly",
    "daily_at": "07:30",
    "outcomes": "on",
    "quiet_from": "22:00",
    "quiet_to": "07:00",
    "time_zone": "Europe/Berlin",
}


@pytest.fixture
def browser(rita) -> Client:
    client = Client()
    client.force_login(rita)
    return client


def test_without_a_row_each_ask_is_told_at_once(rita):
    wanted = settings_of([rita])[rita.pk]

    assert (wanted.asks, wanted.outcomes, wanted.mentions, wanted.quiet_from) == ("each", True, True, None)


def test_what_is_saved_is_shown_kept_and_recorded(browser, rita):
    saved = browser.post(PAGE, FORM, follow=True).content.decode()

    assert "It counts from now on" in saved
    row = NotificationSettings.objects.get()
    assert (row.person, row.asks, row.daily_at, row.time_zone) == (rita, "hourly", time(7, 30), "Europe/Berlin")
    assert (row.quiet_from, row.quiet_to) == (time(22), time(7))
    # What is not ticked is off.
    assert (row.outcomes, row.mentions, row.urgent_anyway) == (True, False, False)
    assert 'value="hourly" checked' in saved and "<option selected>Europe/Berlin" in saved
    event = Event.objects.get(type="notification_settings.changed")
    assert (event.actor_name, event.subject_id) == ("rita", str(row.pk))
    browser.post(PAGE, {**FORM, "asks": "never"})
    assert [old.asks for old in row.history.order_by("history_id")] == ["hourly", "never"]
    assert {old.actor_name for old in row.history.all()} == {"rita"}


def test_a_get_changes_nothing(browser):
    assert browser.get(PAGE, FORM).status_code == 200
    assert browser.head(PAGE).status_code == 200
    assert browser.put(PAGE, FORM).status_code == 200
    assert not NotificationSettings.objects.exists() and not Event.objects.filter(type__startswith="notif").exists()


def test_without_the_token_of_the_form_nothing_is_stored(rita):
    client = Client(enforce_csrf_checks=True)
    client.force_login(rita)

    assert client.post(PAGE, FORM).status_code == 403
    assert not NotificationSettings.objects.exists()


def test_nobody_changes_somebody_elses(browser, rita):
    anna = person("anna", "administrators")
    wish(anna, asks="daily")
    for field in ("person", "person_id", "user", "id", "pk"):
        browser.post(f"{PAGE}?{field}={anna.pk}", {**FORM, field: str(anna.pk)})

    assert NotificationSettings.objects.get(person=anna).asks == "daily"
    assert set(NotificationSettings.objects.values_list("person__username", flat=True)) == {"anna", "rita"}
    for path in (f"{PAGE}{anna.pk}/", "/admin/reviews/notificationsettings/"):
        assert browser.post(path, FORM).status_code == 404
    assert Client().post(PAGE, FORM).status_code == 302


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"asks": "often"}, "Choose when you are told"),
        ({"daily_at": ""}, "Say at what time"),
        ({"daily_at": "25:00"}, "Write a time of the day"),
        ({"quiet_to": ""}, "both a beginning and an end"),
        ({"quiet_from": "late"}, "Write a time of the day"),
        ({"quiet_to": "22:00"}, "Choose two times"),
        ({"time_zone": "Middle/Earth"}, "Choose a time zone"),
        ({"time_zone": "../../etc/passwd"}, "Choose a time zone"),
        ({"time_zone": ""}, "Choose a time zone"),
    ],
)
def test_what_cannot_be_followed_is_refused_beside_what_was_typed(browser, wrong, said):
    answer = browser.post(PAGE, {**FORM, **wrong})

    assert answer.status_code == 422 and said in answer.content.decode()
    assert 'value="07:00"' in answer.content.decode() or "quiet_to" in wrong
    assert not NotificationSettings.objects.exists()


def test_who_has_no_address_is_told_so(rita):
    client = Client()
    client.force_login(person("mute", "reviewers", email=""))
    assert "You have no e-mail address here" in client.get(PAGE).content.decode()


def test_what_waits_already_follows_the_new_wishes(browser, rita, key):
    wish(rita, asks="daily")
    make_intent(key)
    told()
    assert Delivery.objects.get().due_at > clock.now()
    browser.post(PAGE, {**FORM, "asks": "each", "quiet_from": "", "quiet_to": ""})
    assert Delivery.objects.get().due_at <= clock.now()
    browser.post(PAGE, {**FORM, "asks": "never"})

    assert Delivery.objects.get().dropped == "not_wanted"


def test_leaving_a_digest_in_quiet_hours_does_not_end_them(browser, rita, key):
    wish(rita, asks="daily")
    make_intent(key)
    told()
    pass_by(hours=3)
    now = clock.now()
    quiet = {
        "quiet_from": (now - timedelta(hours=1)).strftime("%H:%M"),
        "quiet_to": (now + timedelta(hours=2)).strftime("%H:%M"),
    }
    browser.post(PAGE, {**FORM, **quiet, "asks": "each", "time_zone": "UTC"})

    assert Delivery.objects.get().due_at > now + timedelta(hours=1)


def test_what_one_was_told_last_is_listed_and_nobody_elses(browser, rita, key, owner):
    make_intent(key, action="for.rita")
    told()
    make_intent(key, action="for.nobody")
    following.follow()
    Delivery.objects.filter(intent__action="for.nobody").update(person=owner)
    page = browser.get(PAGE).content.decode()

    assert "for.rita" in page and "for.nobody" not in page


def test_who_lost_the_right_to_open_it_reads_no_more_of_it_here(browser, rita, key):
    make_intent(key, action="for.rita")
    told()
    rita.groups.clear()
    # With the group her session ended.
    browser.force_login(rita)
    page = browser.get(PAGE).content.decode()

    assert "An intent that you may not open any more" in page and "for.rita" not in page


def test_the_page_is_one_click_away_for_everybody(rita, browser):
    for name, group in (("rolf", "reviewers"), ("otto", "operators"), ("anna", "auditors"), ("nobody", "none")):
        client = Client()
        client.force_login(person(name, group))
        assert client.get("/admin/").content.decode().count(PAGE) >= 2


def test_deliveries_are_read_by_operators_and_changed_by_nobody(key, rita):
    make_intent(key)
    told()
    Delivery.objects.update(trouble="The mail server takes no mail.", attempts=1)
    row = Delivery.objects.get()
    listed, one = "/admin/reviews/delivery/", f"/admin/reviews/delivery/{row.pk}/change/"
    client = Client()
    client.force_login(person("otto", "operators"))
    for address in (listed, one, f"{listed}?state=trouble", f"{listed}?q=rita"):
        assert "The mail server takes no mail." in client.get(address).content.decode()
    assert "The mail server" not in client.get(f"{listed}?state=sent").content.decode()
    assert client.post(one, {"trouble": ""}).status_code == 403
    assert client.get(f"{listed}add/").status_code == 403
    assert client.post(f"{listed}{row.pk}/delete/").status_code == 403
    client.force_login(rita)
    assert client.get(listed).status_code == 403
    assert Delivery.objects.get().trouble


def test_what_an_agent_wrote_is_no_part_of_these_pages(rita, key, settings):
    # All of them wait at once.
    settings.ZEHRAVA_PENDING_PER_AGENT = 0
    load_action_type("name: a.b\npresent: {title: 'Do {payload.n}'}\n")
    for number, attempt in enumerate(ATTEMPTS):
        make_intent(key, action="a.b", payload={"n": attempt, "number": number})
        if number % LATEST == LATEST - 1:
            following.follow()
            client = Client()
            client.force_login(rita)
            page = read(client.get(PAGE).content.decode())
            assert (page.found, page.seen_as_text >= LATEST) == ([], True)
    client.force_login(person("otto", "operators"))
    assert read(client.get("/admin/reviews/delivery/").content.decode()).found == []
