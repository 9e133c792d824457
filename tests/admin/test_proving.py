"""Pages that show what a version of a policy would change: shadow mode and backtests."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit import clock
from audit.models import Event
from audit.text import visible
from intents import backtesting, shadowing
from intents.models import Backtest, BacktestDifference, Intent, Policy, ShadowVerdict, Status
from intents.tasks import run_backtest
from tests.factories import ARRANGER, load_policy, make_agent, make_user
from tests.intents.test_shadow import ALLOWS_SMALL, ASKS, draft, refund, shadow
from tests.many import store_refunds

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> str:
    return make_agent("billing")[1]


@pytest.fixture
def viewer(sign_in: Any) -> Any:
    return sign_in("reviewers")


def address(page: str, *args: Any) -> str:
    return reverse(f"admin:intents_policy_{page}", args=[Policy.objects.get(name="refunds").pk, *args])


def text(answer: Any) -> str:
    """What a person reads, without tags."""
    assert answer.status_code == 200, answer.status_code
    body = re.sub(r"(?s)<(script|style).*?</\1>", " ", answer.content.decode())
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def done_backtest(draft_text: str = ALLOWS_SMALL) -> Backtest:
    asked = backtesting.request(draft(draft_text), days=7, by=ARRANGER, user=None)
    run_backtest(asked.pk)
    asked.refresh_from_db()
    return asked


# --- shadow ---


def test_an_empty_page_says_what_shadow_mode_is_and_how_to_begin(author):
    load_policy(ASKS)
    draft(ALLOWS_SMALL)

    page = text(author.get(address("shadow")))

    assert "Nothing is in shadow" in page and "decides nothing" in page
    assert "v2" in page and "Put in shadow" in page


def test_an_author_puts_a_draft_in_shadow_sees_its_differences_and_stops_it(author, key):
    load_policy(ASKS)
    draft(ALLOWS_SMALL)

    answer = author.post(address("start_shadow"), {"version": "2"}, follow=True)
    assert "refunds v2 is in shadow from now on." in text(answer)
    assert "No intent has been judged yet" in text(answer)
    refund(key), refund(key), refund(key, country="KP")
    page = text(author.get(address("shadow")))

    assert "3 intents judged" in page
    assert re.search(r"Newly allowed 2 ", page) and re.search(r"Newly blocked 1 ", page)
    assert "refunds/small" in page and "refunds/odd" in page
    assert Event.objects.get(type="policy.shadow_started").actor_name == "policy_authors-person"
    author.post(address("stop_shadow"))
    assert Policy.objects.get().shadow is None
    assert "Nothing is in shadow" in text(author.get(address("shadow")))
    # What it said stays to be read.
    assert "3 intents judged" in text(author.get(address("shadow") + "?version=2"))


def test_coming_into_force_ends_shadow_mode_and_the_page_says_so(author, key):
    load_policy(ASKS)
    shadow(ALLOWS_SMALL)
    refund(key)
    asked = text(author.get(address("activate", 2)))
    assert "It leaves shadow" in asked
    load_policy(ALLOWS_SMALL)

    page, before = text(author.get(address("shadow"))), text(author.get(address("shadow") + "?version=2"))

    assert "Nothing is in shadow" in page and "coming into force ended its time in shadow" in page
    assert "v2 is in force now, and no longer in shadow" in before and "1 intent judged" in before


def test_putting_what_is_in_force_in_shadow_says_why_not(author):
    load_policy(ASKS)

    answer = author.post(address("start_shadow"), {"version": "1"}, follow=True)

    assert "v1 is in force: in shadow it could say nothing else." in text(answer)
    assert Policy.objects.get().shadow is None


def test_with_the_only_other_version_in_shadow_there_is_no_other_to_put_there(author):
    load_policy(ASKS)
    shadow(ALLOWS_SMALL)

    page = text(author.get(address("shadow")))

    assert "There is no other version to put here." in page and "but the one in force" not in page


@pytest.mark.parametrize(("needed", "wording"), [(True, "Ask to activate v2…"), (False, "Activate v2…")])
def test_the_button_says_whether_it_activates_or_only_asks(author, key, needed, wording, settings):
    load_policy(ASKS)
    refund(key)
    done = done_backtest()
    shadow(ALLOWS_SMALL)
    settings.ZEHRAVA_POLICY_SECOND_PERSON = needed

    for page in (text(author.get(address("backtest", done.pk))), text(author.get(address("shadow")))):
        assert wording in page
        assert ("Ask to activate" in page) == needed


def test_asking_is_not_acting(author, key):
    load_policy(ASKS)
    version = draft(ALLOWS_SMALL)

    assert "It decides nothing" in text(author.get(address("start_shadow") + "?version=2"))
    assert Policy.objects.get().shadow is None
    shadowing.start(version, by=ARRANGER)
    assert "no longer judged" in text(author.get(address("stop_shadow")))
    assert Policy.objects.get().shadow_id == version.pk


@pytest.mark.parametrize("role", ["reviewers", "operators", "auditors"])
def test_who_may_not_write_policies_sees_and_starts_nothing(sign_in, key, role):
    load_policy(ASKS)
    draft(ALLOWS_SMALL)
    client = sign_in(role)
    done = done_backtest()
    running = backtesting.request(draft(ALLOWS_SMALL), days=1, by=ARRANGER, user=None)

    for page in (address("shadow"), address("backtests"), address("backtest", done.pk)):
        read = text(client.get(page))
        assert "Put in shadow" not in read and "Start backtest" not in read and "Activate" not in read
    assert client.post(address("start_shadow"), {"version": "2"}).status_code == 403
    assert client.post(address("stop_shadow")).status_code == 403
    assert client.post(address("backtests"), {"version": "2", "days": "3"}).status_code == 403
    assert client.post(address("cancel_backtest", running.pk)).status_code == 403
    assert Policy.objects.get().shadow is None and Backtest.objects.count() == 2
    assert Backtest.objects.get(pk=running.pk).state == "waiting"


@pytest.mark.parametrize("permission", ["change_policy", "activate_policy"])
def test_writing_or_activating_policies_is_enough_to_try_one(sign_in, permission):
    load_policy(ASKS)
    draft(ALLOWS_SMALL)
    person = make_user("tess")
    names = ["view_policy", "view_intent", permission]
    person.user_permissions.set(Permission.objects.filter(codename__in=names, content_type__app_label="intents"))

    sign_in(person).post(address("start_shadow"), {"version": "2"})

    assert Policy.objects.get().shadow.number == 2


def test_who_may_not_see_intents_sees_no_list_of_them(sign_in):
    load_policy(ASKS)
    person = make_user("vera")
    person.user_permissions.set(Permission.objects.filter(codename="view_policy"))

    assert sign_in(person).get(address("shadow")).status_code == 403


def test_a_version_that_is_none_is_not_found(author):
    load_policy(ASKS)

    for wanted in ("7", "", "x", "²", "-1", "9" * 20, "9" * 5_000):
        assert author.post(address("start_shadow"), {"version": wanted}).status_code == 404
        assert author.get(address("start_shadow"), {"version": wanted}).status_code == 404
    for wanted in ("9", "9" * 20, "9" * 5_000):
        assert author.get(address("shadow"), {"version": wanted}).status_code == 404


@pytest.mark.parametrize("number", ["9" * 20, "9" * 5_000])
def test_numbers_longer_than_any_are_answered_as_others_that_are_none(author, key, number):
    load_policy(ASKS)
    refund(key)
    done = done_backtest()
    pages = (address("backtests"), address("backtest", done.pk), address("shadow"), address("compare"))

    for page in pages:
        for name in ("version", "page", "p", "from", "to", "days", "kind", "rule"):
            assert author.get(page, {name: number}).status_code in (200, 302, 404), (page, name)
    for body in ({"version": number, "days": "7"}, {"version": "2", "days": number}):
        assert author.post(address("backtests"), body).status_code in (200, 404)
    assert author.get(address("backtest", done.pk).replace(f"/{done.pk}/", f"/{number}/")).status_code in (302, 404)


def test_the_intents_behind_a_figure_are_listed_with_both_verdicts(author, key):
    load_policy(ASKS)
    shadow(ALLOWS_SMALL)
    small, odd = refund(key), refund(key, country="KP")

    blocked = author.get(address("shadow") + "?change=blocked")
    allowed = author.get(address("shadow"))

    assert f"/admin/intents/intent/{odd.pk}/change/" in blocked.content.decode()
    assert f"/admin/intents/intent/{small.pk}/change/" not in blocked.content.decode()
    # Both with their reasons: the one that was stored with the verdict, and the one it would have got.
    assert re.search(r"Got Ask refunds/all \S.* Would get Block refunds/odd KP is not served", text(blocked))
    assert f"refunds/all {odd.verdict['reason']} Would get" in text(blocked)
    assert f"/admin/intents/intent/{small.pk}/change/" in allowed.content.decode()


@pytest.mark.parametrize(("country", "folded"), [("KP", False), ("K" + "P" * 120, True), ("K\nP\nQ", True)])
def test_a_long_reason_is_folded_and_whole(author, key, country, folded):
    reason = 'reason: "{payload.country} is not served"'
    load_policy(ASKS.replace("effect: require_approval", f"effect: require_approval, {reason}"))
    shadow(ALLOWS_SMALL.replace('== "KP"', '!= "DE"'))
    refund(key, country=country)

    page = author.get(address("shadow")).content.decode()

    # What it got and what it would have got.
    assert page.count('<details class="zhp-long">') == (2 if folded else 0)
    assert page.count(visible(f"{country} is not served")) == 2


def test_only_ten_rules_stand_open_and_the_others_are_folded(author, key):
    rules = "".join(f"  - {{id: r{n}, when: payload.amount == '{n}.00', effect: allow}}\n" for n in range(13))
    load_policy(ASKS)
    shadow(f"name: refunds\nmatch: {{actions: [stripe.refund]}}\nrules:\n{rules}")
    for number in range(13):
        refund(key, f"{number}.00")

    page = author.get(address("shadow")).content.decode()
    folded = page[page.index('<details class="zhp-more">') :]
    chosen = author.get(address("shadow"), {"change": "allowed", "rule": "refunds/r9"}).content.decode()

    assert "3 more rules" in text(author.get(address("shadow")))
    assert [f"rule=refunds%2Fr{n}#" in folded for n in (0, 5, 7, 8, 9)] == [False, False, True, True, True]
    assert '<details class="zhp-more" open>' in chosen, "the rule that is listed is to be seen"


def test_the_rules_of_the_figure_that_is_looked_at_are_not_among_the_folded(author, key):
    rules = "".join(f"  - {{id: r{n}, when: payload.amount == '{n}.00', effect: allow}}\n" for n in range(11))
    load_policy(ASKS)
    shadow(f"name: refunds\nmatch: {{actions: [stripe.refund]}}\nrules:\n{rules}  - {{id: no, effect: block}}\n")
    for number in range(12):
        refund(key, f"{number}.00")

    page = author.get(address("shadow"), {"change": "blocked"}).content.decode()

    assert page.index("change=blocked&amp;rule=refunds%2Fno#") < page.index('<details class="zhp-more">')


def test_what_an_agent_wrote_is_shown_with_nothing_hidden(author, key):
    load_policy(ASKS)
    shadow(ALLOWS_SMALL.replace('== "KP"', '!= "DE"'))
    refund(key, country="<script>alert(1)</script>\u202eKP")

    page = author.get(address("shadow")).content.decode()

    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page
    assert "\u202e" not in page and "U+202E" in page


# --- backtests ---


def test_an_author_starts_a_backtest_and_sees_how_far_it_is(author, key):
    load_policy(ASKS)
    draft(ALLOWS_SMALL)
    refund(key)
    assert "No backtest yet" in text(author.get(address("backtests")))

    answer = author.post(address("backtests"), {"version": "2", "days": "30"}, follow=True)

    asked = Backtest.objects.get()
    assert (asked.days, asked.version.number, asked.requested_by.username) == (30, 2, "policy_authors-person")
    assert "Waiting for a worker" in text(answer) and 'role="progressbar"' in answer.content.decode()
    progress = author.get(address("backtest_progress", asked.pk))
    assert "HX-Refresh" not in progress and "Waiting" in text(progress)
    Backtest.objects.update(state="running", lease_until=clock.now() + timedelta(seconds=30))
    running = author.get(address("backtest_progress", asked.pk)).content.decode()
    badge = re.search(r'(?s)<span id="zhp-state" hx-swap-oob="true">.*?>([^<>]+)</span>', running)
    assert badge and badge[1] == "Running", "the badge is put in its place with the bar"
    assert '<span id="zhp-state">' in author.get(address("backtest", asked.pk)).content.decode()
    Backtest.objects.update(state="waiting", lease_until=None)
    run_backtest(asked.pk)
    assert author.get(address("backtest_progress", asked.pk))["HX-Refresh"] == "true"
    page = text(author.get(address("backtest", asked.pk)))
    assert "Finished" in page and "1 intent judged" in page and "Newly allowed 1 " in page
    assert "under way" not in text(author.get(address("backtests")))


def test_a_running_backtest_says_how_much_is_done_and_how_long_it_takes(author, key):
    load_policy(ASKS)
    asked = backtesting.request(draft(ALLOWS_SMALL), days=7, by=ARRANGER, user=None)

    now = clock.now()
    Backtest.objects.update(
        state="running",
        started_at=now - timedelta(minutes=10),
        lease_until=now + timedelta(seconds=30),
        judged=25_000,
        total=100_000,
        summary={"counts": {"same": 25_000}, "rules": {}, "rejected_before": 0, "covered": 1},
    )

    page = text(author.get(address("backtest_progress", asked.pk)))

    assert "25 % 25,000 of 100,000 intents · about 30 min left" in page


@pytest.mark.parametrize(
    ("sent", "told"),
    [({"version": "2", "days": "0"}, "greater than or equal to 1"), ({"version": "9", "days": "3"}, "valid choice"),
     ({"version": "2", "days": "400"}, "less than or equal to 365"), ({"version": "2"}, "required")],
)  # fmt: skip
def test_what_cannot_be_replayed_is_refused_with_a_reason(author, sent, told):
    load_policy(ASKS)
    draft(ALLOWS_SMALL)

    answer = author.post(address("backtests"), sent)

    assert told in text(answer) and not Backtest.objects.exists()


def test_a_second_backtest_of_the_policy_is_refused_while_one_is_under_way(author):
    load_policy(ASKS)
    backtesting.request(draft(ALLOWS_SMALL), days=7, by=ARRANGER, user=None)

    answer = author.post(address("backtests"), {"version": "2", "days": "3"})

    assert "under way" in text(answer) and Backtest.objects.count() == 1


def test_cancelling_asks_first_and_then_stops_it(author):
    load_policy(ASKS)
    asked = backtesting.request(draft(ALLOWS_SMALL), days=7, by=ARRANGER, user=None)

    assert "It stops where it is" in text(author.get(address("cancel_backtest", asked.pk)))
    assert Backtest.objects.get().state == "waiting"
    answer = author.post(address("cancel_backtest", asked.pk), follow=True)

    assert "The backtest is cancelled." in text(answer)
    assert Backtest.objects.get().state == "cancelled"
    assert Event.objects.get(type="backtest.cancelled").actor_name == "policy_authors-person"


def test_newly_allowed_ones_that_people_rejected_are_counted_and_listed(author, key):
    load_policy(ASKS)
    rejected, other = refund(key), refund(key)
    Intent.objects.filter(pk=rejected.pk).update(status=Status.REJECTED)
    done = done_backtest()

    page = author.get(address("backtest", done.pk))
    only = author.get(address("backtest", done.pk) + "?change=allowed&rejected=1").content.decode()

    assert "1 of them people had rejected" in text(page)
    assert rejected.pk in only and other.pk not in only


def test_a_list_is_filtered_by_rule_and_by_action_agent_or_id(author, key):
    load_policy(ASKS.replace("[stripe.refund]", "['stripe.*']"))
    by_billing, by_other = refund(key), refund(make_agent("clerk")[1])
    done = done_backtest(ALLOWS_SMALL.replace("[stripe.refund]", "['stripe.*']"))
    url = address("backtest", done.pk)

    for query, found in (("clerk", by_other), (by_billing.pk, by_billing), ("REFUND", by_other)):
        page = author.get(url, {"q": query}).content.decode()
        assert found.pk in page
    assert by_billing.pk not in author.get(url, {"q": "clerk"}).content.decode()
    assert "No intent here matches" in text(author.get(url, {"q": "nobody"}))
    assert by_billing.pk in author.get(url, {"change": "allowed", "rule": "refunds/small"}).content.decode()


def test_a_failed_and_an_empty_backtest_say_what_to_do(author):
    load_policy(ASKS)
    nothing = done_backtest()
    failed = done_backtest()
    Backtest.objects.filter(pk=failed.pk).update(state="failed", trouble="refunds v2 cannot be used")

    assert "There was nothing to replay" in text(author.get(address("backtest", nothing.pk)))
    assert "refunds v2 cannot be used" in text(author.get(address("backtest", failed.pk)))


def test_figures_stay_when_the_intents_behind_them_are_no_longer_kept(author, key):
    load_policy(ASKS)
    refund(key)
    done = done_backtest()
    Backtest.objects.update(finished_at="2025-01-01T00:00:00Z")
    backtesting.drop_old()

    page = text(author.get(address("backtest", done.pk)))

    assert "no longer kept" in page and "Newly allowed 1 " in page


def test_another_policys_backtest_is_not_found(author):
    load_policy(ASKS)
    load_policy(ASKS.replace("name: refunds", "name: others"))
    done = done_backtest(ALLOWS_SMALL.replace("name: refunds", "name: others"))

    assert author.get(address("backtest", done.pk)).status_code == 404


@pytest.mark.parametrize("place", ["", "2", "9999", "x"])
def test_pages_ask_the_same_few_questions_however_many_differ(author, key, place):
    load_policy(ASKS)
    store_refunds(key, 300, days=5)
    done = done_backtest()
    version = shadow(ALLOWS_SMALL)
    ShadowVerdict.objects.bulk_create(
        [
            ShadowVerdict(
                intent_id=each.intent_id, version=version, change=each.change, effect=each.effect,
                said_by=each.said_by, reason="", at=Policy.objects.get().shadow_since,
            )
            for each in BacktestDifference.objects.all()
        ]
    )  # fmt: skip
    assert done.differences.filter(change="blocked").count() == 30
    author.get(address("shadow"))

    for url, most in ((address("backtest", done.pk), 17), (address("shadow"), 20)):
        for query in ("?change=allowed&page=", "?change=allowed&rule=refunds/small&page=", "?q=billing&page="):
            with CaptureQueriesContext(connection) as queries:
                answer = author.get(url + query + place)
            assert answer.status_code == 200
            assert len(queries) <= most, [each["sql"][:120] for each in queries]


def test_the_policys_page_leads_to_both(author):
    load_policy(ASKS)
    shadow(ALLOWS_SMALL)

    page = author.get(reverse("admin:intents_policy_change", args=[Policy.objects.get().pk]))

    assert address("shadow") in page.content.decode() and address("backtests") in page.content.decode()
    assert "In shadow v2 since" in text(page)


def test_a_draft_leads_to_shadow_mode_and_to_a_backtest_of_itself(author, sign_in):
    load_policy(ASKS)
    draft(ALLOWS_SMALL)
    policy = Policy.objects.get()
    pages = [
        reverse("admin:intents_policy_change", args=[policy.pk]),
        reverse("admin:intents_policy_version", args=[policy.pk, 2]),
    ]
    links = [f'{address("start_shadow")}?version=2"', f'{address("backtests")}?version=2"']

    for page in pages:
        body = author.get(page).content.decode()
        assert all(link in body for link in links)
        body = sign_in(make_user(f"r{len(page)}", "reviewers")).get(page).content.decode()
        assert not any(link in body for link in links), "who may not start them is not offered to"
    shadowing.start(policy.versions.get(number=2), by=ARRANGER)
    for page in pages:
        body = author.get(page).content.decode()
        assert links[0] not in body and f'href="{address("shadow")}"' in body
    in_force = author.get(reverse("admin:intents_policy_version", args=[policy.pk, 1])).content.decode()
    assert "?version=1" not in in_force, "what is in force cannot differ from itself"
