"""The same thing asked twice without a key: one intent, unless the second wants something of its own."""

import pytest

from intents.models import Intent, Status
from intents.propose import propose
from tests.factories import in_force_as, load_policy, make_agent

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask():
    key = make_agent()[1]

    def ask(payload: str = "same", **members) -> Intent:
        answer = propose(in_force_as(key), {"action": "a.b", "payload": payload, **members})
        return Intent.objects.get(pk=answer.intent_id)

    return ask


def test_the_pending_one_answers(ask):
    assert ask() == ask()
    assert ask() != ask("other")


def test_less_time_is_another_intent_and_more_time_is_not(ask):
    first = ask(expires_in="1h")
    assert ask(expires_in="2h") == first
    shorter = ask(expires_in="1m")
    assert shorter != first
    assert shorter.expires_at < first.expires_at


def test_a_policy_that_gives_less_time_now_is_not_answered_with_what_waits_for_longer(ask):
    asks = "name: p\nmatch: {actions: [a.b]}\nrules: [{id: one, effect: require_approval}]\n"
    load_policy(asks + "expires_in: 2h\n")
    first = ask()
    assert ask() == first
    load_policy(asks + "expires_in: 5m\n")
    shorter = ask()
    assert shorter != first
    assert ask() == shorter


def test_replacing_another_is_never_answered_with_a_twin(ask):
    twin, old = ask(), ask("old")
    new = ask(supersedes=old.pk)
    old.refresh_from_db()
    assert new != twin
    assert old.status == Status.CANCELLED


def test_a_policy_that_holds_it_tighter_is_not_forgotten(ask):
    load_policy(
        "name: strict\nmatch: {actions: [other]}\n"
        "rules: [{id: two, effect: require_approval, approval: {all_of: [{group: finance, count: 2}]}}]\n"
    )
    first = ask()
    tighter = ask(policy="strict")
    assert tighter != first
    assert {"group": "finance", "count": 2} in tighter.requirement["all_of"]
    assert ask(policy="strict") == tighter
