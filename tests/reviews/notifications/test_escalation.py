"""Who is told when an escalation goes on, or nobody can meet what is asked, and how urgently."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from intents import sweeping
from intents.models import Intent
from reviews import unmeetable
from reviews.decisions import decide
from reviews.models import Delivery
from tests.factories import load_policy, make_intent, time_passes
from tests.reviews.notifications.conftest import pass_by, person, sent, told, wish

SLOW = """
name: slow
match: {actions: ['a.b']}
rules:
  - id: all
    effect: require_approval
    approval:
      all_of: [{group: finance}, {group: security}]
      expires_in: 4h
      escalation:
        - {after: 1h, do: remind}
        - {after: 2h, do: widen, to: [managers]}
        - {after: 3h, do: escalate, to: [directors]}
      on_timeout: escalate
      escalate_to: [{group: board}]
"""
QUIET = {"quiet_from": "00:00", "quiet_to": "23:59"}


@pytest.fixture
def people() -> dict[str, User]:
    groups = {"fay": "finance", "finn": "finance", "sam": "security", "mia": "managers", "dora": "directors"}
    return {name: person(name, group) for name, group in {**groups, "bo": "board"}.items()}


@pytest.fixture
def intent(key, people) -> Intent:
    load_policy(SLOW)
    intent = make_intent(key, action="a.b")
    assert told() == {("fay", "ask"), ("finn", "ask"), ("sam", "ask")}
    return intent


def hours_later(intent: Intent, hours: int) -> None:
    time_passes(intent, hours=hours)
    told()
    sweeping.sweep()


def test_a_reminder_goes_to_those_who_can_still_fill_a_seat_and_is_urgent(intent, people):
    decide(intent.pk, by=people["fay"], vote="approve", digest=intent.digest)
    told()
    hours_later(intent, 1)
    assert told() == {("sam", "ask")}
    assert Delivery.objects.latest("pk").urgent


def test_a_widening_goes_to_those_who_are_asked_now_and_not_once_more_to_the_others(intent):
    hours_later(intent, 1)
    told()
    hours_later(intent, 1)
    assert told() == {("mia", "ask")}
    assert not Delivery.objects.latest("pk").urgent


def test_an_escalation_goes_to_the_new_ones_and_past_their_quiet_hours(intent, people):
    hours_later(intent, 2)
    told()
    wish(people["dora"], **QUIET, asks="daily")
    hours_later(intent, 1)
    assert told() == {("dora", "ask")}
    delivery = Delivery.objects.latest("pk")
    assert delivery.urgent and delivery.due_at == delivery.created_at


def test_at_the_end_of_the_time_the_last_are_told_and_nobody_hears_that_it_expired(intent):
    hours_later(intent, 3)
    told()
    hours_later(intent, 1)
    assert told() == {("bo", "ask")}
    hours_later(intent, 4)
    assert told() == {("olivia", "outcome")}


def test_owners_and_principals_among_the_new_ones_are_not_told(key, people, owner):
    load_policy(SLOW)
    owner.groups.add(people["mia"].groups.get())
    person("mika", "managers")
    intent = make_intent(key, action="a.b", on_behalf_of="mia")
    told()
    hours_later(intent, 1)
    told()
    hours_later(intent, 1)
    assert told() == {("mika", "ask")}


def test_channels_of_the_groups_that_a_step_asks(intent, settings):
    settings.ZEHRAVA_NOTIFY_WEBHOOKS = {name: f"https://{name}.example/x" for name in ("finance", "managers")}
    hours_later(intent, 1)
    assert ("#finance", "ask") in told()
    hours_later(intent, 1)
    assert told() == {("mia", "ask"), ("#managers", "ask")}


def test_what_is_decided_before_anybody_is_told_of_the_step_is_told_to_nobody(intent, people):
    hours_later(intent, 2)
    for name in ("fay", "sam"):
        decide(intent.pk, by=people[name], vote="approve", digest=intent.digest)
    assert told() <= {("olivia", "outcome"), ("fay", "outcome"), ("sam", "outcome")}


def test_the_mail_says_that_it_was_escalated_who_may_stand_in_and_what_comes_then(intent):
    sent()
    hours_later(intent, 3)
    [mail] = [each for each in sent() if each.to == ["dora@example.com"]]
    assert mail.subject.startswith("Escalated, waits for you")
    assert "managers and directors may stand in" in mail.body
    assert "then board may decide instead" in mail.body


def test_the_mail_of_a_reminder_says_that_it_still_waits(intent):
    sent()
    pass_by(minutes=5)
    hours_later(intent, 1)
    [mail] = [each for each in sent() if each.to == ["sam@example.com"]]
    assert mail.subject.startswith("Still waits for you")


# --- nobody can meet it -----------------------------------------------------------------------------------------------


PLAIN = (
    "name: plain\nmatch: {actions: ['c.d']}\n"
    "rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance, count: 2}]}}]\n"
)


def test_operators_and_administrators_are_told_that_nobody_can_meet_it(key, people):
    load_policy(PLAIN)
    person("otto", "operators")
    person("ada", "administrators")
    person("vera", "reviewers")
    intent = make_intent(key, action="c.d")
    told()
    User.objects.filter(pk=people["finn"].pk).update(is_active=False)
    unmeetable.look()
    assert told() == {("otto", "needs_person"), ("ada", "needs_person")}
    unmeetable.look()
    assert told() == set()
    [mail] = [each for each in sent() if each.to == ["otto@example.com"]]
    assert mail.subject.startswith("Nobody can decide it")
    for words in ("2 of finance", "too few people may still decide", "Add somebody to a group"):
        assert words in mail.body
    assert Intent.objects.get(pk=intent.pk).unmeetable


def test_what_can_be_met_again_before_they_are_told_is_told_to_nobody(key, people):
    load_policy(PLAIN)
    person("otto", "operators")
    make_intent(key, action="c.d")
    sent()
    User.objects.filter(pk=people["finn"].pk).update(is_active=False)
    unmeetable.look()
    User.objects.filter(pk=people["finn"].pk).update(is_active=True)
    told()
    unmeetable.look()
    assert [each.to for each in sent()] == []


def test_what_the_next_step_helps_is_told_to_those_it_asks_and_to_who_runs_the_portal(intent, people):
    person("otto", "operators")
    User.objects.filter(pk=people["sam"].pk).update(is_active=False)
    unmeetable.look()
    assert told() == {("mia", "ask"), ("otto", "needs_person")}
    [mail] = [each for each in sent() if each.to == ["otto@example.com"]]
    assert mail.subject.startswith("Escalated early, nobody could decide it")
