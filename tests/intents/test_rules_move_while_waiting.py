"""A proposal that waited for a counter is judged by what is in force when it goes on, not by what was before."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from intents import in_force, judging
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


# --- without limits, where judging itself took long ----------------------------------------------------------------

SIMPLE = ALLOWS.replace(", limits: [{count: 100, per: agent, window: 1h}]", "")


@pytest.fixture
def slowly(while_waiting, monkeypatch):
    """The next proposal takes long to be judged, and something is committed meanwhile."""
    load_policy(SIMPLE)
    monkeypatch.setattr(in_force, "_OLD", -1.0)
    return while_waiting


def test_what_came_into_force_while_it_was_judged_decides(slowly):
    agent = in_force_as(make_agent()[1])
    slowly(lambda: load_policy("name: stop\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: block}]\n"))
    answer = json.loads(propose(agent, {"action": "a.b", "payload": 1}).document)
    assert (answer["status"], answer["verdict"]["policy"]) == ("blocked", "stop")
    assert Intent.objects.count() == 1


def test_an_agent_that_was_suspended_while_it_was_judged_proposes_nothing(slowly):
    row, key = make_agent()
    agent = in_force_as(key)
    slowly(lambda: suspend_agent(row, by=ARRANGER))
    with pytest.raises(Problem) as problem:
        propose(agent, {"action": "a.b", "payload": 1})
    assert problem.value.kind == "suspended"
    assert not Intent.objects.exists()


def test_what_was_judged_quickly_is_not_looked_up_once_more(while_waiting):
    load_policy(SIMPLE)
    agent = in_force_as(make_agent()[1])
    snapshot = in_force.current()
    assert not snapshot.is_old
    with CaptureQueriesContext(connection) as queries:
        propose(agent, {"action": "a.b", "payload": 1}, snapshot=snapshot)
    assert not [query for query in queries if "intents_inforce" in query["sql"]]
