"""A proposal that waited for a counter is judged by what is in force when it goes on, not by what was before."""

import json

import pytest

from intents import judging
from intents.agents import revoke_key, suspend_agent
from intents.models import AgentKey, Intent, LimitUse
from intents.propose import propose
from tests.factories import ARRANGER, in_force_as, load_action_type, load_policy, make_agent
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db

ALLOWS = """
name: p
match: {actions: ['a.b']}
rules: [{id: all, effect: allow, limits: [{count: 100, per: agent, window: 1h}]}]
"""


@pytest.fixture
def while_waiting(monkeypatch):
    """Something is committed after the next proposal was judged and before it has its counters."""

    def arrange(step):
        judge, happened = judging.judge, []

        def judged(*rules, **options):
            said = judge(*rules, **options)
            if not happened:
                happened.append(True)
                step()
            return said

        monkeypatch.setattr(judging, "judge", judged)

    load_action_type("name: a.b\n")
    load_policy(ALLOWS)
    return arrange


def test_a_policy_that_came_into_force_meanwhile_decides(while_waiting):
    agent = in_force_as(make_agent()[1])
    while_waiting(lambda: load_policy("name: stop\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: block}]\n"))
    answer = json.loads(propose(agent, {"action": "a.b", "payload": 1}).document)
    assert (answer["status"], answer["verdict"]["policy"]) == ("blocked", "stop")


@pytest.mark.parametrize(("stopped", "kind"), [("agent", "suspended"), ("key", "unauthenticated")])
def test_an_agent_that_was_stopped_meanwhile_proposes_nothing(while_waiting, stopped, kind):
    row, key = make_agent()
    agent = in_force_as(key)

    def stop():
        if stopped == "agent":
            suspend_agent(row, by=ARRANGER)
        else:
            revoke_key(AgentKey.objects.get(agent=row), by=ARRANGER)

    while_waiting(stop)
    with pytest.raises(Problem) as problem:
        propose(agent, {"action": "a.b", "payload": 1}, idempotency_key="once")
    assert problem.value.kind == kind
    assert not LimitUse.objects.exists()


def test_where_nothing_moved_it_is_judged_once_more_and_stored_once(while_waiting):
    agent = in_force_as(make_agent()[1])
    while_waiting(lambda: None)
    answer = json.loads(propose(agent, {"action": "a.b", "payload": 1}, idempotency_key="once").document)
    assert answer["status"] == "approved"
    assert (Intent.objects.count(), LimitUse.objects.count()) == (1, 1)
