"""The page of figures: right numbers, each leading to its rows, in a fixed number of queries."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import clock
from intents.models import Intent
from reviews.decisions import decide
from reviews.figures import OUTCOMES, figures
from reviews.models import Decision
from tests.factories import allow, load_policy, make_agent, make_intent, make_user

BLOCKS = "name: stops\nmatch: {actions: [db.drop]}\nrules: [{id: never, effect: block}]\n"


@pytest.fixture
def busy(key, rita) -> None:
    load_policy(BLOCKS)
    allow("support.reply")
    for number in range(3):
        make_intent(key, payload={"n": number})
    approved, rejected = Intent.objects.order_by("id")[:2]
    decide(approved.pk, by=rita, vote="approve", digest=approved.digest)
    decide(rejected.pk, by=rita, vote="reject", digest=rejected.digest, rationale="No.")
    make_intent(key, action="db.drop")
    for number in range(2):
        make_intent(make_agent(f"helper-{number}")[1], action="support.reply", payload={"n": number})


def test_each_figure_counts_its_rows(busy, rita):
    shown = {figure.name: figure.value for figure in figures(clock.now(), make_user(is_superuser=True)).figures}

    assert shown["Waiting for people"] == "1"
    assert (shown["Approved in 24 hours"], shown["Rejected in 24 hours"]) == ("1", "1")
    assert shown["Need a person"] == "0"
    assert shown["Median time to decide"].endswith("s")


def test_a_vote_that_decides_nothing_is_no_decision(signed_in, key):
    load_policy(
        "name: two\nmatch: {actions: [a.b]}\n"
        "rules: [{id: all, effect: require_approval, approval: {all_of: [{group: reviewers, count: 2}]}}]\n"
    )
    intent = make_intent(key, action="a.b")

    def shown() -> tuple[str, str]:
        named = {figure.name: figure.value for figure in figures(clock.now(), make_user(is_superuser=True)).figures}
        return named["Approved in 24 hours"], named["Rejected in 24 hours"]

    decide(intent.pk, by=make_user(None, "reviewers"), vote="approve", digest=intent.digest)
    assert shown() == ("0", "0")
    decide(intent.pk, by=make_user(None, "reviewers"), vote="reject", digest=intent.digest, rationale="No.")
    assert shown() == ("0", "1")


def test_the_last_moment_of_a_day_is_behind_its_link(signed_in, rita, busy):
    late = Intent.objects.get(action="db.drop")
    day = (late.created_at - timedelta(days=3)).replace(hour=23, minute=59, second=59, microsecond=500_000)
    Intent.objects.filter(pk=late.pk).update(created_at=day)
    client = signed_in(make_user("root", is_superuser=True))
    page = client.get("/admin/figures/").content.decode()
    [link] = [one for one in re.findall(r'href="([^"]+)"', page) if f"created_at_to_0={day:%Y-%m-%d}" in one]
    assert client.get(link.replace("&amp;", "&")).context["cl"].result_count == 1


def test_the_median_is_that_of_what_people_decided(busy):
    for number, decision in enumerate(Decision.objects.order_by("id")):
        asked = decision.created_at - timedelta(minutes=10 + 20 * number)
        Intent.objects.filter(pk=decision.intent_id).update(created_at=asked)

    assert {f.name: f.value for f in figures(clock.now(), make_user(is_superuser=True)).figures}[
        "Median time to decide"
    ] == "20 min"


def test_today_stands_at_the_end_of_the_chart_and_of_the_table(busy):
    page = figures(clock.now(), make_user(is_superuser=True))
    chart = json.loads(page.chart)
    today = dict(zip(OUTCOMES, page.days[-1][1], strict=True))

    assert today == {
        "ran": 0, "approved, not finished": 3, "rejected": 1, "blocked": 1, "failed or unknown": 0,
        "expired or cancelled": 0,
    }  # fmt: skip
    assert [dataset["data"][-1] for dataset in chart["datasets"]] == list(today.values())
    assert len(page.days) == len(chart["labels"]) == 14
    assert page.days[-1][0] == clock.now().date()


def test_rules_and_agents_are_counted_busiest_first(busy):
    page = figures(clock.now(), make_user(is_superuser=True))

    assert [(str(line.name), line.count, line.asked) for line in page.rules] == [
        ("<bdi>no policy matches</bdi>", 3, 3),
        ("<bdi>allow-it › all</bdi>", 2, 0),
        ("<bdi>stops › never</bdi>", 1, 0),
    ]
    first = page.agents[0]
    assert (str(first.name), first.count, first.asked) == ("<bdi>billing-agent</bdi>", 4, 3)


def test_every_number_leads_to_rows(signed_in, rita, busy):
    client = signed_in(make_user("root", is_superuser=True))
    page = client.get("/admin/figures/").content.decode()

    main = page[page.index('<ul class="zhv-figures">') :]
    links = set(re.findall(r'href="(/admin/[^"]+)"', main))
    assert len(links) > 20
    for link in links:
        assert client.get(link.replace("&amp;", "&")).status_code == 200, link


def test_the_rows_behind_a_number_are_as_many_as_it_says(signed_in, rita, busy):
    old = Intent.objects.get(action="db.drop")
    Intent.objects.filter(pk=old.pk).update(created_at=old.created_at - timedelta(days=40))
    client = signed_in(make_user("root", is_superuser=True))
    page = figures(clock.now(), make_user(is_superuser=True))

    def rows(url: str) -> int:
        return client.get(url).context["cl"].result_count

    shown = {figure.name: figure for figure in page.figures}
    for name in ("Approved in 24 hours", "Rejected in 24 hours"):
        assert rows(shown[name].url) == int(shown[name].value) == 1
    assert [line.count for line in page.rules] == [rows(line.url) for line in page.rules]
    assert [line.count for line in page.agents] == [rows(line.url) for line in page.agents]
    busy_lines = [*page.rules, *page.agents]
    assert [line.asked for line in busy_lines] == [rows(f"{line.url}&asked=people") for line in busy_lines]


def test_an_empty_portal_says_so(signed_in):
    page = signed_in(make_user("root", is_superuser=True)).get("/admin/figures/").content.decode()

    assert "No agent has proposed anything in these days." in page


def test_it_is_for_who_may_see_all_intents(signed_in):
    assert signed_in(make_user("fred", "finance")).get("/admin/figures/").status_code == 403


def test_it_costs_the_same_however_many_there_are(signed_in, rita, busy, key):
    client = signed_in(rita)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get("/admin/figures/")
        return len(captured)

    queries()
    few = queries()
    for number in range(20):
        make_intent(key, payload={f"m{number}": number})
    assert queries() == few <= 22


def test_the_desk_fetches_the_same_figures_for_who_may_see_all_intents(signed_in, rita, busy):
    client = signed_in(rita)
    assert 'hx-get="/admin/figures/"' in client.get("/admin/").content.decode()
    assert 'hx-get="/admin/figures/"' not in client.get("/admin/?tab=all").content.decode()

    part = client.get("/admin/figures/", headers={"HX-Request": "true"}).content.decode()
    whole = client.get("/admin/figures/").content.decode()
    assert "<html" not in part and 'id="zhv-figures"' in part
    named = re.compile(r'<span class="zhv-mute">(.+?)</span><b class="zhv-num">(.+?)</b>')
    assert len(named.findall(part)) == 7
    assert {name for name, _ in named.findall(part)} == {name for name, _ in named.findall(whole)}
    assert dict(named.findall(part))["Approved in 24 hours"] == "1"

    outside = signed_in(make_user("fred", "finance"))
    assert "/admin/figures/" not in outside.get("/admin/").content.decode()
    assert outside.get("/admin/figures/", headers={"HX-Request": "true"}).status_code == 403
