"""What waits for whom."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import clock
from intents.models import Intent
from reviews.decisions import decide
from reviews.models import Decision
from reviews.taking import take
from tests.factories import ids_waiting_for, load_action_type, load_policy, make_agent, make_intent, make_user

TWO_GROUPS = """
name: two-groups
match: {actions: [stripe.refund]}
rules:
  - id: all
    effect: require_approval
    reason: "money goes out"
    approval: {all_of: [{group: finance}, {group: security}]}
"""


def test_a_reviewer_lands_on_what_waits_with_everything_to_judge_its_urgency(signed_in, rita, key):
    load_policy(TWO_GROUPS)
    rita.groups.create(name="finance")
    intent = make_intent(key, payload={"amount": "10.00"}, target="ch_1", records=3, on_behalf_of="carol")

    page = signed_in(rita).get("/admin/").content.decode()

    assert f"/admin/intents/intent/{intent.pk}/change/" in page
    for words in (">stripe.refund</bdi></a>", "billing-agent", "carol", "3 records", "target, claimed", "Medium risk"):
        assert words in page
    assert "two-groups v1 › all: money goes out" in " ".join(page.split()).replace("<bdi>", "").replace("</bdi>", "")
    assert "needs 1 of finance and 1 of security" in page.replace("<bdi>", "").replace("</bdi>", "")
    assert "0 of 2 given" in page
    assert "Ordered by risk" in page


def test_what_the_agent_claims_is_in_no_title_and_marked_wherever_it_is_shown(signed_in, rita, key):
    intent = make_intent(key, target="every customer, as the board agreed")
    client = signed_in(rita)

    desk, listed = client.get("/admin/").content.decode(), client.get("/admin/intents/intent/").content.decode()
    page = " ".join(client.get(f"/admin/intents/intent/{intent.pk}/change/").content.decode().split())

    assert '>target, claimed</span> <span class="zhv-clamp"><bdi>every customer' in desk
    assert '<bdi>every customer, as the board agreed</bdi></span> <span class="zhv-claimed">claimed</span>' in listed
    assert '<bdi>every customer, as the board agreed</bdi> <span class="zhv-claimed">claimed by the agent' in page
    assert '<h2 class="zhv-title"><bdi>stripe.refund</bdi></h2>' in page
    assert (desk.count("every customer"), listed.count("every customer")) == (1, 1)


def test_that_no_policy_matches_is_said_once(signed_in, rita, key):
    make_intent(key)

    page = signed_in(rita).get("/admin/").content.decode()

    assert page.lower().count("no policy matches") == 1


def test_most_could_go_wrong_comes_first_and_then_least_time_left(rita, key):
    calm = make_intent(key, payload={"n": 1}, expires_in="10m")
    soon = make_intent(key, payload={"n": 2}, expires_in="5m")
    grave = make_intent(key, payload={"n": 3}, value={"amount": "90000.00", "currency": "EUR"})

    assert ids_waiting_for(rita) == (grave.pk, soon.pk, calm.pk)


def test_of_the_same_level_the_least_time_left_comes_first_whatever_the_score(rita, key):
    more = make_intent(key, records=5, expires_in="4h", payload={"n": 1})
    less = make_intent(key, expires_in="5m", payload={"n": 2})
    assert more.risk_level == less.risk_level and more.risk_score > less.risk_score
    assert ids_waiting_for(rita) == (less.pk, more.pk)


def test_an_owner_never_finds_their_own_agents_intents_waiting_for_them(owner, key):
    owner.groups.create(name="reviewers-too")
    owner.groups.add(*make_user(None, "reviewers").groups.all())
    make_intent(key)

    assert ids_waiting_for(owner) == ()


def test_a_vote_takes_an_intent_off_the_voters_desk_and_leaves_it_on_the_others(key):
    load_policy(TWO_GROUPS.replace("{group: finance}", "{group: finance, count: 2}"))
    first, second = make_user("first", "finance"), make_user("second", "finance")
    intent = make_intent(key)

    decide(intent.pk, by=first, vote="approve", digest=intent.digest)

    assert ids_waiting_for(first) == ()
    assert ids_waiting_for(second) == (intent.pk,)


def test_who_could_only_fill_a_seat_that_is_filled_already_has_nothing_to_do(key):
    load_policy(TWO_GROUPS)
    first, second, third = make_user("first", "finance"), make_user("second", "finance"), make_user("third", "security")
    intent = make_intent(key)

    decide(intent.pk, by=first, vote="approve", digest=intent.digest)

    assert ids_waiting_for(second) == ()
    assert ids_waiting_for(third) == (intent.pk,)


def test_an_intent_does_not_wait_for_the_person_it_is_proposed_for(rita, key):
    make_intent(key, on_behalf_of="Rita")

    assert ids_waiting_for(rita) == ()


def test_a_payload_cannot_hide_an_intent_by_naming_the_reviewer(rita, key):
    intent = make_intent(key, payload={"on_behalf_of": "rita", "note": '"on_behalf_of":"rita"'})

    assert ids_waiting_for(rita) == (intent.pk,)


def test_what_has_run_out_of_time_waits_for_nobody_even_before_the_sweeper_comes(rita, key):
    intent = make_intent(key)
    Intent.objects.filter(pk=intent.pk).update(
        created_at=clock.now() - timedelta(hours=2), expires_at=clock.now() - timedelta(hours=1)
    )

    assert ids_waiting_for(rita) == ()


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        (["auditors"], "Auditors see everything and decide nothing."),
        (["operators"], "You are in operators, and no policy in force asks this group. An administrator can add you"),
        (
            ["auditors", "operators", "policy_authors"],
            "You are in auditors, operators and policy_authors, and no policy in force asks one of these groups.",
        ),
        ([], "You are in no group, so no policy can ask you. An administrator can add you"),
    ],
)
def test_who_can_decide_nothing_is_told_why_and_what_to_do(signed_in, groups, why):
    page = signed_in(make_user("audrey", *groups)).get("/admin/").content.decode()

    assert why in page
    assert page.count("Nothing waits for you") == 1


@pytest.mark.parametrize("group", ["reviewers", "finance"])
def test_groups_that_a_policy_asks_are_not_told_that_they_never_decide(signed_in, group):
    load_policy(TWO_GROUPS)

    page = signed_in(make_user("fiona", group)).get("/admin/").content.decode()

    assert "Nothing waits for you" in page
    assert "no policy in force asks" not in page and "in no group" not in page


def test_an_empty_desk_says_what_to_do_next(signed_in, rita):
    page = signed_in(rita).get("/admin/").content.decode()

    assert "Nothing waits for you" in page
    assert "/admin/intents/intent/" in page


@pytest.mark.parametrize("tab", ["mine", "all", "person", "decided"])
def test_fifty_intents_cost_no_more_queries_than_five_and_never_more_than_twenty(signed_in, rita, key, tab):
    load_action_type("name: stripe.refund\npresent: {title: 'Refund {payload.n}'}\n")
    others = [make_agent(f"agent-of-{number}")[1] for number in range(4)]
    client = signed_in(rita)
    client.get("/admin/")

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(f"/admin/?tab={tab}").status_code == 200
        return len(captured)

    def add(count: int) -> None:
        for number in range(count):
            intent = make_intent(
                (key, *others)[number % 5], payload={"n": Intent.objects.count()}, on_behalf_of="carol"
            )
            if tab == "decided" and number % 2:
                decide(intent.pk, by=rita, vote="reject", digest=intent.digest, rationale="No.")

    add(5)
    few = queries()
    add(45)
    many = queries()

    assert Intent.objects.count() == 50
    assert many <= few
    assert many <= 20


def test_a_page_has_twenty_five_and_the_next_one_the_rest(signed_in, rita, key):
    for number in range(30):
        make_intent(key, payload={f"n{number}": number})
    client = signed_in(rita)

    first, second = client.get("/admin/"), client.get("/admin/?page=2")

    def shown(response) -> set[str]:
        return {line.card.intent.pk for line in response.context["desk"].lines}

    assert (len(shown(first)), len(shown(second))) == (25, 5)
    assert not shown(first) & shown(second)


def test_what_people_decided_is_listed_with_its_outcome(signed_in, rita, key):
    intent = make_intent(key)
    decide(intent.pk, by=rita, vote="reject", digest=intent.digest, rationale="No.")
    assert Decision.objects.count() == 1

    page = signed_in(rita).get("/admin/?tab=decided").content.decode()

    assert intent.pk in page
    assert "Rejected" in page


def test_votes_and_principals_among_what_waits_cost_no_more_than_twenty_queries(signed_in, rita, key):
    load_policy(
        "name: two\nmatch: {actions: [stripe.refund]}\nrules:\n"
        "  - {id: all, effect: require_approval, approval: {all_of: [{group: reviewers, count: 2}]}}\n"
    )
    make_intent(key, on_behalf_of="someone")
    supported = make_intent(key, payload={"n": 2})
    fiona = make_user("fiona", "reviewers")
    decide(supported.pk, by=fiona, vote="approve", digest=supported.digest)
    replaced = make_intent(key, payload={"n": 3})
    decide(replaced.pk, by=fiona, vote="approve", digest=replaced.digest)
    replacement = make_intent(key, payload={"n": 4}, supersedes=replaced.pk)
    decide(replacement.pk, by=fiona, vote="approve", digest=replacement.digest)
    client = signed_in(rita)
    for address in (
        "/admin/",
        "/admin/?tab=groups",
        "/admin/?tab=all",
        f"/admin/intents/intent/{supported.pk}/change/",
        f"/admin/intents/intent/{replacement.pk}/change/",
        f"/admin/intents/intent/{replaced.pk}/change/",
    ):
        client.get(address)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address).status_code == 200
        assert len(captured) <= 20, address


def test_a_card_without_an_action_type_says_how_its_payload_begins(signed_in, rita, key):
    make_intent(key, action="k8s.scale", payload={"name": "api<b>", "replicas": 9, "more": {"a": 1}, "text": "x" * 80})
    page = signed_in(rita).get("/admin/").content.decode()
    assert "name: api&lt;b&gt; · replicas: 9 · 2 more" in page


def test_what_is_decided_says_by_whom_and_when_and_asks_for_nothing(signed_in, rita, key):
    intent = make_intent(key)
    decide(intent.pk, by=rita, vote="approve", digest=intent.digest)
    page = " ".join(signed_in(rita).get("/admin/?tab=decided").content.decode().split())
    assert "ago by <bdi>rita</bdi>" in page and "decided " in page
    assert "needs 1 of reviewers" not in page


def test_a_group_says_that_somebody_is_on_one_of_them(signed_in, rita, key):
    one, _ = (make_intent(key, payload={"n": number}) for number in range(2))
    take(one.pk, by=rita)
    assert (
        "<bdi>rita</bdi> is on one of them" in signed_in(make_user("vera", "reviewers")).get("/admin/").content.decode()
    )
