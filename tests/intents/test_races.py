"""Promise 4 under real concurrency: processes that claim, propose and cancel the same things at once."""

import json
from collections import Counter

import pytest

from tests.crowd import at_once

ARRANGE = """
import json
from intents.models import Intent
from tests.factories import allow, in_force_as, make_agent, make_intent, run_by_noop
"""


@pytest.fixture
def portal(start_portal):
    return start_portal(web=0)


def story(portal) -> dict[str, dict[str, int]]:
    """How often each type of event stands in the ledger, by intent."""
    return json.loads(
        portal.shell("""
import json
from collections import Counter
from audit.models import Event
found = {}
for intent, kind in Event.objects.exclude(intent_id="").values_list("intent_id", "type"):
    found.setdefault(intent, Counter())[kind] += 1
print(json.dumps(found))
""")
    )


def test_of_many_claims_at_once_exactly_one_gets_each_permit(portal):
    key = json.loads(
        portal.shell(
            ARRANGE
            + "allow('a.b'); _, key = make_agent(); [make_intent(key, action='a.b') for _ in range(25)]"
            + "\nprint(json.dumps(key))"
        )
    )
    said = at_once(
        portal,
        f"""
import random
from intents.execution import claim
from intents.models import Intent
from tests.factories import in_force_as
from zehrava.problems import Problem
agent = in_force_as({key!r})
ids = list(Intent.objects.values_list("pk", flat=True))
random.Random(number).shuffle(ids)
# GO
said = []
for intent_id in ids:
    try:
        said.append([intent_id, claim(intent_id, agent=agent)[0].pk])
    except Problem as problem:
        assert problem.kind == "already-claimed", problem.kind
""",
    )
    permits = Counter(intent_id for process in said for intent_id, _ in process)
    assert len(permits) == 25
    assert set(permits.values()) == {1}
    for events in story(portal).values():
        assert events["intent.executing"] == events["execution.started"] == 1


def test_of_many_workers_at_once_exactly_one_runs_each_execution(portal):
    portal.shell(ARRANGE + "run_by_noop('a.b'); allow('a.b'); [make_intent(action='a.b') for _ in range(20)]")
    said = at_once(
        portal,
        """
from intents import executors
from intents.execution import carry_out
from intents.models import Execution
ran = []
noop = executors._EXECUTORS["noop"]
def counted(order, *, seconds):
    ran.append(order.intent_id)
    return noop(order, seconds=seconds)
executors._EXECUTORS["noop"] = counted
ids = list(Execution.objects.values_list("pk", flat=True))
# GO
for execution_id in ids:
    carry_out(execution_id)
said = ran
""",
    )
    effects = Counter(intent_id for process in said for intent_id in process)
    assert len(effects) == 20
    assert set(effects.values()) == {1}
    for events in story(portal).values():
        assert events["intent.succeeded"] == 1


def test_one_key_makes_one_intent_however_many_ask_at_once(portal):
    key = json.loads(portal.shell(ARRANGE + "print(json.dumps(make_agent()[1]))"))
    said = at_once(
        portal,
        f"""
import time
from intents.propose import propose
from tests.factories import in_force_as
from zehrava.problems import Problem
agent = in_force_as({key!r})
# GO
said = []
for n in range(20):
    for attempt in range(50):
        try:
            answer = propose(agent, {{"action": "a.b", "payload": n}}, idempotency_key=f"key-{{n}}")
            said.append([n, answer.intent_id, answer.status])
            break
        except Problem as problem:
            assert problem.kind == "idempotency-in-flight", problem.kind
            time.sleep(0.02)
""",
    )
    answers = [tuple(one) for process in said for one in process]
    assert len(answers) == 6 * 20
    assert len({(n, intent_id) for n, intent_id, _ in answers}) == 20
    assert Counter(status for _, _, status in answers) == {201: 20, 200: 100}


def test_without_a_key_the_same_thing_asked_at_once_is_asked_of_people_once(portal):
    key = json.loads(portal.shell(ARRANGE + "print(json.dumps(make_agent()[1]))"))
    said = at_once(
        portal,
        f"""
from intents.propose import propose
from tests.factories import in_force_as
agent = in_force_as({key!r})
# GO
said = [[n, propose(agent, {{"action": "a.b", "payload": n}}).intent_id] for n in range(20)]
""",
    )
    assert len({tuple(one) for process in said for one in process}) == 20


def test_what_is_cancelled_while_it_is_claimed_ends_one_way(portal):
    key = json.loads(
        portal.shell(
            ARRANGE
            + "allow('a.b'); _, key = make_agent(); [make_intent(key, action='a.b') for _ in range(25)]"
            + "\nprint(json.dumps(key))"
        )
    )
    at_once(
        portal,
        f"""
from audit.actors import Actor
from intents.cancelling import cancel
from intents.execution import claim
from intents.models import Intent
from tests.factories import in_force_as
from zehrava.problems import Problem
agent = in_force_as({key!r})
intents = list(Intent.objects.all())
said = []
# GO
for intent in intents:
    try:
        cancel(intent, by=Actor.system("race")) if number % 2 else claim(intent.pk, agent=agent)
    except Problem as problem:
        assert problem.kind in ("conflict", "already-claimed", "not-approved"), problem.kind
""",
    )
    for events in story(portal).values():
        assert events.get("intent.cancelled", 0) + events.get("intent.executing", 0) == 1
