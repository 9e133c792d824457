"""Nobody is told of an intent that they may not read, but for who owns its agent."""

from __future__ import annotations

import pytest
from django.test import Client

from intents import execution
from reviews import notes
from reviews.decisions import decide
from reviews.models import Delivery
from reviews.notifications import following
from tests.factories import in_force_as, load_policy, make_intent, narrow
from tests.reviews.notifications.conftest import pass_by, person, sent, told

ASKS_FINANCE = """
name: careful
match: {actions: ['a.*']}
rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance}]}}]
"""


@pytest.fixture(autouse=True)
def _asks() -> None:
    load_policy(ASKS_FINANCE)


def test_a_comment_tells_only_who_may_read_it(key, owner):
    fiona, otto, olga = person("fiona", "finance"), person("otto", "operators"), person("olga", "operators", "auditors")
    narrow("operators", environments=[], up_to="low")
    intent = make_intent(key, action="a.b")
    notes.comment(intent, by=fiona, text="@otto @olga look")

    assert {who for who, occasion in told() if occasion == "mention"} == {"olga"}
    client = Client()
    client.force_login(fiona)
    page = client.get(f"/admin/intents/intent/{intent.pk}/change/").content.decode()
    assert "@<bdi>olga</bdi></b>" in page and "@<bdi>otto</bdi></b>" not in page
    assert otto != olga


def test_who_has_a_say_is_asked_whatever_the_rule_is(key):
    person("otto", "operators", "finance")
    narrow("operators", up_to="low")
    make_intent(key, action="a.b", payload={"what": "PAYLOADWORD"})

    assert ("otto", "ask") in told()


def test_an_operator_is_not_told_of_what_needs_a_person_where_they_may_not_read_it(key):
    person("otto", "operators")
    person("olga", "operators", "auditors")
    fiona = person("fiona", "finance")
    narrow("operators", up_to="low")
    intent = make_intent(key, action="a.b")
    decide(intent.pk, by=fiona, vote="approve", digest=intent.digest)
    execution.claim(intent.pk, agent=in_force_as(key))
    _lapse(intent)

    needing = {who for who, occasion in told() if occasion == "needs_person"}
    assert needing == {"olga"}


def test_what_was_to_be_told_is_dropped_where_a_rule_came_between(key):
    fiona, otto = person("fiona", "finance"), person("otto", "operators")
    intent = make_intent(key, action="a.b")
    notes.comment(intent, by=fiona, text="@otto look")
    following.follow()
    narrow("operators", up_to="low")
    pass_by(minutes=10)

    assert [mail for mail in sent() if mail.to == [otto.email]] == []
    dropped = Delivery.objects.get(person=otto)
    assert dropped.dropped == "not_theirs"
    client = Client()
    client.force_login(otto)
    page = client.get("/admin/notifications/").content.decode()
    assert "An intent that you may not open any more" in page and intent.pk not in page.replace("_5F", "_")


def test_the_owner_of_its_agent_is_told_what_became_of_it(key, owner):
    fiona = person("fiona", "finance")
    owner.groups.add(narrow("operators", up_to="low").group)
    intent = make_intent(key, action="a.b")
    decide(intent.pk, by=fiona, vote="approve", digest=intent.digest)

    assert ("olivia", "outcome") in told()


def _lapse(intent) -> None:
    from datetime import timedelta

    from audit import clock
    from intents import lifecycle
    from intents.models import Execution

    attempt = Execution.objects.get(intent=intent)
    Execution.objects.filter(pk=attempt.pk).update(lease_until=clock.now() - timedelta(minutes=1))
    attempt.refresh_from_db()
    assert lifecycle.lapse(attempt.intent, attempt)
