"""The right people only: who is told of what, by role, relation and occasion."""

from __future__ import annotations

import pytest
from django.db import transaction

from audit.actors import Actor
from intents import execution, lifecycle
from intents.agents import create_key
from intents.models import Agent, ExecutionState, Intent
from reviews import notes
from reviews.decisions import decide
from reviews.delegation import revoke
from reviews.models import Delivery
from reviews.queue import waiting_for
from tests.factories import allow, end, in_force_as, load_policy, make_delegation, make_intent
from tests.reviews.notifications.conftest import pass_by, person, sent, told, wish

TWO_GROUPS = """
name: two
match: {actions: ['a.b']}
rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance}, {group: security}]}}]
"""


def fail_to_know(intent: Intent, key: str) -> None:
    """The intent was claimed, and its lease ends without a report."""
    attempt, _ = execution.claim(intent.pk, agent=in_force_as(key))
    with transaction.atomic():
        locked = lifecycle.locked(intent.pk)
        lifecycle.finish(locked, attempt, ExecutionState.INDETERMINATE, by=lifecycle.WORKER, result=None)


def approve(intent: Intent, by) -> None:
    decide(intent.pk, by=by, vote="approve", digest=intent.digest)


# --- an intent waits ------------------------------------------------------------------------------------------------


def test_who_can_fill_a_seat_is_told_and_nobody_else(key, rita, owner):
    person("otto", "operators")
    person("anna", "auditors")
    person("root", is_superuser=True)
    person("gone", "reviewers", is_active=False)
    person("mute", "reviewers", email="")
    person("deaf", "reviewers")
    wish(person("never", "reviewers"), asks="never")
    owner.groups.set(rita.groups.all())
    make_intent(key)

    assert told() == {("rita", "ask"), ("deaf", "ask")}


def test_who_made_the_key_or_is_acted_for_is_not_told(key, rita):
    maker = person("maker", "reviewers")
    person("principal", "reviewers")
    second = create_key(Agent.objects.get(name="billing"), by=Actor.person(maker))[1]
    make_intent(second, on_behalf_of="principal@example.com")

    assert told() == {("rita", "ask")}


def test_the_groups_of_the_requirement_are_told(key, rita):
    load_policy(TWO_GROUPS)
    person("fiona", "finance")
    person("sami", "security")
    make_intent(key, action="a.b")

    assert told() == {("fiona", "ask"), ("sami", "ask")}


def test_what_policy_decides_alone_is_told_to_nobody(key, rita):
    allow("x.y")
    load_policy("name: no\nmatch: {actions: ['x.z']}\nrules: [{id: all, effect: block, reason: no}]\n")
    assert make_intent(key, action="x.y").status == "approved"
    assert make_intent(key, action="x.z").status == "blocked"

    assert told() == set()


def test_what_is_decided_before_it_is_read_asks_nobody(key, rita):
    person("rolf", "reviewers")
    approve(make_intent(key), rita)

    assert told() == {("olivia", "outcome")}


@pytest.mark.parametrize("votes", [[], ["fiona"], ["sami"], ["fiona", "both"], ["fiona", "frank"]])
def test_it_is_the_rule_of_the_desk(key, votes):
    """Whoever the desk shows it to is told, and nobody whom it does not."""
    load_policy(TWO_GROUPS.replace("{group: finance}", "{group: finance, count: 2}"))
    people = {
        "fiona": person("fiona", "finance"),
        "frank": person("frank", "finance"),
        "fred": person("fred", "finance"),
        "sami": person("sami", "security"),
        "both": person("both", "finance", "security"),
        "rita": person("rita", "reviewers"),
    }
    intent = make_intent(key, action="a.b")
    for name in votes:
        approve(intent, people[name])

    desk = {name for name, one in people.items() if waiting_for(one).filter(pk=intent.pk).exists()}
    assert told() == {(name, "ask") for name in desk}
    assert desk


def test_whoever_changed_it_asks_the_others_again(key, rita):
    person("rolf", "reviewers")
    intent = make_intent(key)
    assert told() == {("rita", "ask"), ("rolf", "ask")}
    changes = [{"op": "replace", "path": "/amount", "value": "9.00"}]
    decide(
        intent.pk,
        by=rita,
        vote="approve",
        digest=intent.digest,
        rationale="less",
        ground="wrong_amount",
        changes=changes,
    )
    assert Intent.objects.get(pk=intent.pk).status == "pending_approval"

    assert told() == {("rolf", "ask")}


# --- what became of it ----------------------------------------------------------------------------------------------


def test_the_owner_and_who_voted_are_told_and_not_whose_act_it_was(key, owner):
    load_policy(TWO_GROUPS)
    fiona, sami = person("fiona", "finance", "reviewers"), person("sami", "security", "reviewers")
    person("bystander", "finance", "reviewers")
    intent = make_intent(key, action="a.b")
    approve(intent, fiona)
    told()
    approve(intent, sami)

    assert told() == {("olivia", "outcome"), ("fiona", "outcome")}


@pytest.mark.parametrize("how", ["rejected", "cancelled by its agent", "cancelled by an operator", "expired"])
def test_each_end_is_told(key, rita, owner, how):
    load_policy(TWO_GROUPS)
    fiona, sami = person("fiona", "finance"), person("sami", "security")
    intent = make_intent(key, action="a.b")
    approve(intent, fiona)
    told()
    with transaction.atomic():
        locked = lifecycle.locked(intent.pk)
        if how == "rejected":
            lifecycle.reject(locked, by=Actor.person(sami), facts={})
        elif how == "expired":
            Intent.objects.filter(pk=intent.pk).update(created_at="2020-01-01T00:00Z", expires_at="2020-01-02T00:00Z")
            assert lifecycle.expire(lifecycle.locked(intent.pk))
        elif how.endswith("agent"):
            lifecycle.cancel(locked, by=Actor.agent(intent.agent_id, "billing"))
        else:
            lifecycle.cancel(locked, by=Actor.person(owner))

    # Fiona still sees it: she is in a group that it asks.
    expected = {("fiona", "outcome")} | (set() if how == "cancelled by an operator" else {("olivia", "outcome")})
    assert told() == expected


def test_who_left_the_group_is_told_of_no_outcome(key):
    load_policy(TWO_GROUPS)
    fiona, sami = person("fiona", "finance"), person("sami", "security")
    intent = make_intent(key, action="a.b")
    approve(intent, fiona)
    approve(intent, sami)
    fiona.groups.clear()

    assert told() == {("olivia", "outcome")}


def test_the_owner_of_today_is_told(key, rita, owner):
    intent = make_intent(key)
    told()
    Agent.objects.filter(pk=intent.agent_id).update(owner=person("new-owner"))
    approve(intent, rita)

    assert told() == {("new-owner", "outcome")}


# --- a person is needed ---------------------------------------------------------------------------------------------


def test_operators_who_may_settle_it_are_told(key, rita, owner):
    person("otto", "operators")
    person("anna", "auditors")
    wish(person("otis", "operators"), needs_person=False)
    owner.groups.set([person("omar", "operators").groups.get()])
    intent = make_intent(key)
    approve(intent, rita)
    told()
    fail_to_know(intent, key)

    assert told() == {
        ("otto", "needs_person"),
        ("omar", "needs_person"),
        ("olivia", "outcome"),
        ("rita", "outcome"),
    }


def test_also_where_policy_allowed_it(key, owner):
    allow("x.y")
    person("otto", "operators")
    fail_to_know(make_intent(key, action="x.y"), key)

    assert told() == {("otto", "needs_person"), ("olivia", "outcome")}


# --- comments and answers -------------------------------------------------------------------------------------------


def test_a_mention_tells_who_exists_is_active_and_may_view(key, rita):
    intent = make_intent(key)
    told()
    person("anna", "auditors")
    person("stranger")
    person("gone", "auditors", is_active=False)
    notes.comment(intent, by=rita, text="@anna, (@anna) @stranger @gone @nobody me@anna.example @rita: look.")

    assert told() == {("anna", "mention")}


def test_a_question_and_an_answer_mention_nobody_and_the_answer_tells_who_asked(key, rita):
    person("anna", "auditors")
    intent = make_intent(key, summary="@anna", payload={"x": "@anna"})
    told()
    question = notes.ask(intent, by=rita, text="Which, @anna?")
    assert told() == set()
    notes.answer(intent, by=Actor.agent(intent.agent_id, "billing"), question_id=question.pk, text="@anna approve!")

    assert told() == {("rita", "answer")}


def test_who_wants_none_of_it_is_told_nothing(key, rita, owner):
    for one in (rita, owner):
        wish(one, asks="never", outcomes=False, mentions=False)
    intent = make_intent(key)
    question = notes.ask(intent, by=rita, text="Which?")
    notes.answer(intent, by=Actor.agent(intent.agent_id, "billing"), question_id=question.pk, text="That.")
    notes.comment(intent, by=owner, text="@rita")
    decide(intent.pk, by=rita, vote="approve", digest=intent.digest)

    assert told() == set()


# --- channels -------------------------------------------------------------------------------------------------------


def test_channels_are_told_of_what_names_their_group_and_its_outcome(key, rita, settings):
    settings.ZEHRAVA_NOTIFY_WEBHOOKS = {"finance": "https://a.example/x", "*": "https://b.example/x"}
    load_policy(TWO_GROUPS)
    make_intent(key)
    assert told() == {("rita", "ask"), ("#*", "ask")}
    intent = make_intent(key, action="a.b")
    assert told() == {("#finance", "ask"), ("#*", "ask")}
    with transaction.atomic():
        lifecycle.cancel(lifecycle.locked(intent.pk), by=Actor.system("arranger"))

    assert told() == {("#finance", "outcome"), ("#*", "outcome"), ("olivia", "outcome")}


def test_the_operators_channel_is_told_of_what_needs_a_person(key, rita, settings):
    settings.ZEHRAVA_NOTIFY_WEBHOOKS = {"operators": "https://a.example/x", "*": "https://b.example/x"}
    intent = make_intent(key)
    approve(intent, rita)
    told()
    fail_to_know(intent, key)

    assert {("#operators", "needs_person"), ("#*", "needs_person")} <= told()


def test_many_events_cost_no_more_queries_than_one(key, rita, django_assert_max_num_queries):
    for number in range(3):
        person(f"also-{number}", "reviewers")
    for number in range(30):
        make_intent(key, payload={"n": number})
    with django_assert_max_num_queries(20):
        told()

    assert Delivery.objects.count() == 4 * 30


# --- delegates, and who is away -------------------------------------------------------------------------------------


def test_a_delegate_is_told_too_and_instead_of_who_is_away(key, rita):
    rolf, dora, emil = person("rolf", "reviewers"), person("dora"), person("emil")
    make_delegation(rita, dora)
    make_delegation(rolf, emil, away=True)
    make_intent(key)

    assert told() == {("rita", "ask"), ("dora", "ask"), ("emil", "ask")}


def test_a_delegate_is_told_of_nothing_outside_of_the_delegation(key, rita, owner):
    dora, emil = person("dora"), person("emil")
    make_delegation(rita, dora, actions=["email.*"])
    over = make_delegation(rita, emil)
    end(over)
    # What bars the delegator bars the delegate.
    owner.groups.set(rita.groups.all())
    make_delegation(owner, person("erna"))
    make_intent(key)

    assert told() == {("rita", "ask")}


def test_the_mail_to_a_delegate_says_for_whom_and_is_not_sent_once_it_is_revoked(key, rita):
    delegation = make_delegation(rita, person("dora"), away=True)
    make_intent(key)

    [message] = sent()
    assert message.to == ["dora@example.com"]
    assert "For whom: rita" in message.body

    make_intent(key, payload={"n": 2})
    told()
    revoke(delegation, by=rita)
    pass_by(minutes=2)
    assert sent() == []
    assert set(Delivery.objects.filter(dropped="not_theirs").values_list("person__username", flat=True)) == {"dora"}
