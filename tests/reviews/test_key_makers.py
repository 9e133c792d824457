"""Whoever made a key could propose with it: they never decide on what was proposed with it."""

from __future__ import annotations

import pytest

from audit.actors import Actor
from audit.models import Event
from intents import in_force, integrity
from intents.agents import create_key, register_agent, revoke_key
from intents.models import Agent, AgentKey, Intent
from reviews.decisions import decide
from reviews.entitlement import who_may_decide
from tests.factories import ids_waiting_for, make_agent, make_intent, make_user
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent() -> Agent:
    return make_agent("billing", owner=make_user("olivia"))[0]


@pytest.fixture
def maker():
    """A reviewer who makes keys for the agents of others."""
    return make_user("maker", "reviewers")


@pytest.fixture
def other():
    return make_user("other", "reviewers")


def refused(intent: Intent, person, vote: str = "approve") -> str:
    with pytest.raises(Problem) as problem:
        decide(intent.pk, by=person, vote=vote, digest=intent.digest, rationale="x")
    assert problem.value.kind == "not-entitled"
    return problem.value.detail


def test_who_made_the_key_decides_nothing_that_was_proposed_with_it(agent, maker, other):
    intent = make_intent(create_key(agent, by=Actor.person(maker))[1])

    assert "made the key" in refused(intent, maker) and "made the key" in refused(intent, maker, "reject")
    assert ids_waiting_for(maker) == () and ids_waiting_for(other) == (intent.pk,)
    assert [one.name for one in who_may_decide(intent, [])] == ["other"]
    decide(intent.pk, by=other, vote="approve", digest=intent.digest)
    assert Intent.objects.get(pk=intent.pk).status == "approved"


def test_what_was_proposed_with_another_key_is_theirs_to_decide(agent, maker):
    create_key(agent, by=Actor.person(maker))
    intent = make_intent(create_key(agent, by=Actor.system("command line"))[1])

    decide(intent.pk, by=maker, vote="approve", digest=intent.digest)

    assert Intent.objects.get(pk=intent.pk).status == "approved"


def test_revoking_the_key_or_handing_the_agent_over_gives_no_say_in_it(agent, maker, other):
    key, text = create_key(agent, by=Actor.person(maker))
    intent = make_intent(text)
    revoke_key(key, by=Actor.person(other))

    assert "made the key" in refused(intent, maker)


def test_a_former_owner_who_kept_a_key_decides_nothing_that_it_proposes(maker, other):
    from intents.agents import change_agent

    agent = register_agent(name="mine", owner=maker, by=Actor.person(maker))
    text = create_key(agent, by=Actor.person(maker))[1]
    change_agent(agent, owner=other, by=Actor.person(other))

    assert "made the key" in refused(make_intent(text), maker)


def test_the_maker_is_on_record_and_cannot_be_changed_in_the_rows(agent, maker, other):
    key, text = create_key(agent, by=Actor.person(maker))
    intent = make_intent(text)
    assert f'"key_maker":{maker.pk}' in Event.objects.get(type="intent.proposed", intent_id=intent.pk).line

    Intent.objects.update(key_maker=None)
    assert integrity.differences(Intent.objects.get())
    with pytest.raises(Problem) as altered:
        decide(intent.pk, by=maker, vote="approve", digest=intent.digest)
    assert altered.value.kind == "integrity-failed"

    AgentKey.objects.filter(pk=key.pk).update(made_by=other)
    in_force.bump()
    assert key.hash not in in_force.current().agents_by_key


def test_a_vote_given_before_counts_for_nobody_who_made_the_key(agent, maker):
    """An approval that reached the table past every check fills no seat."""
    from reviews.entitlement import standing_of
    from reviews.models import Decision

    intent = make_intent(create_key(agent, by=Actor.person(maker))[1])
    vote = Decision(
        intent=intent,
        reviewer=maker,
        vote="approve",
        digest=intent.digest,
        requirement_digest=intent.requirement_digest,
    )

    assert standing_of(intent, [vote]).given == 0
