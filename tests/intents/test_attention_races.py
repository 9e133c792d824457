"""The attention budget while eight processes propose at once: exactly so many ask people, and never one more."""

import json
from collections import Counter

import pytest

from tests.crowd import at_once

CROWD = 8
ARRANGE = "import json\nfrom tests.factories import allow, in_force_as, make_agent, make_intent\n"
PROPOSE = """
import json, random, time
from audit.actors import Actor
from intents.cancelling import cancel
from intents.models import Intent
from intents.propose import propose
from tests.factories import in_force_as
from zehrava.problems import Problem
def ask(agent, payload, key=None, action="a.b", **body):
    try:
        answer = propose(agent, {"action": action, "payload": payload, **body}, idempotency_key=key)
    except Problem as problem:
        return [problem.kind, None]
    return [json.loads(answer.document)["status"], answer.intent_id]
"""


def agents_of(portal, number: int = 1) -> list[str]:
    return json.loads(portal.shell(ARRANGE + f"print(json.dumps([make_agent()[1] for _ in range({number})]))"))


def stored(portal) -> dict[str, int]:
    """How many intents, keys, rows of history and events of proposals there are."""
    return json.loads(
        portal.shell("""
import json
from audit.models import Event
from intents.models import IdempotencyKey, Intent
print(json.dumps({
    "intents": Intent.objects.count(),
    "pending": Intent.objects.filter(status="pending_approval").count(),
    "keys": IdempotencyKey.objects.count(),
    "history": Intent.history.values("id").distinct().count(),
    "events": Event.objects.filter(type="intent.proposed").count(),
}))
""")
    )


@pytest.mark.parametrize(
    "budget", [{"ZEHRAVA_PENDING_PER_AGENT": "60"}, {"ZEHRAVA_ASKS_PER_HOUR": "60"}], ids=["pending", "asks"]
)
@pytest.mark.parametrize("with_keys", [True, False])
def test_of_many_at_once_exactly_so_many_ask(start_portal, budget, with_keys):
    portal = start_portal(web=0, **budget)
    (key,) = agents_of(portal)
    said = at_once(
        portal,
        PROPOSE
        + f"""
agent = in_force_as({key!r})
# GO
said = [ask(agent, f"{{number}} {{n}}", f"{{number}}-{{n}}" if {with_keys} else None) for n in range(15)]
""",
        processes=CROWD,
    )
    assert Counter(status for process in said for status, _ in process) == {
        "pending_approval": 60,
        "attention-budget": 60,
    }
    assert stored(portal) == {
        "intents": 60,
        "pending": 60,
        "keys": 60 if with_keys else 0,
        "history": 60,
        "events": 60,
    }


def test_two_agents_at_the_edge_at_once_each_have_their_own_and_what_is_allowed_passes(start_portal):
    portal = start_portal(web=0, ZEHRAVA_PENDING_PER_AGENT="20")
    keys = agents_of(portal, 2)
    portal.shell(ARRANGE + "allow('fine.thing')")
    said = at_once(
        portal,
        PROPOSE
        + f"""
agents = [in_force_as(key) for key in {keys!r}]
# GO
said = []
for n in range(10):
    for agent in random.Random(number * 100 + n).sample(agents, 2):
        said.append([agent.id, *ask(agent, f"{{number}} {{n}}", f"{{number}}-{{n}}")])
        said.append([agent.id, *ask(agent, f"{{number}} {{n}}", f"fine-{{number}}-{{n}}", action="fine.thing")])
""",
        processes=CROWD,
    )
    found = Counter((agent, status) for process in said for agent, status, _ in process)
    assert sorted(found.values()) == [20, 20, 60, 60, 80, 80]


def test_places_that_are_given_up_and_taken_at_once_are_never_one_too_many(start_portal):
    """Half cancel and half ask or replace: at no moment that anybody commits are more pending than may be."""
    portal = start_portal(web=0, ZEHRAVA_PENDING_PER_AGENT="5", ZEHRAVA_ASKS_PER_HOUR="0")
    (key,) = agents_of(portal)
    said = at_once(
        portal,
        PROPOSE
        + f"""
agent = in_force_as({key!r})
drawn = random.Random(number)
# GO
said = []
for n in range(40):
    waiting = list(Intent.objects.filter(status="pending_approval").values_list("pk", flat=True))
    said.append([str(len(waiting)), None])
    if number % 2 and waiting:
        try:
            cancel(Intent(pk=drawn.choice(waiting)), by=Actor.system("race"))
        except Problem as problem:
            assert problem.kind == "conflict", problem.kind
    elif waiting and drawn.random() < 0.5:
        said.append(ask(agent, f"{{number}} {{n}}", supersedes=drawn.choice(waiting)))
    else:
        said.append(ask(agent, f"{{number}} {{n}}"))
""",
        processes=CROWD,
    )
    found = Counter(status for process in said for status, _ in process)
    seen = [int(status) for status in found if status.isdigit()]
    assert max(seen) == 5
    asked = {status for status in found if not status.isdigit()}
    assert {"pending_approval", "attention-budget"} <= asked <= {"pending_approval", "attention-budget", "not-pending"}
    assert stored(portal)["pending"] <= 5


def test_a_key_that_was_refused_at_the_edge_is_free_when_there_is_room(start_portal):
    portal = start_portal(web=0, ZEHRAVA_PENDING_PER_AGENT="10")
    (key,) = agents_of(portal)
    said = at_once(
        portal,
        PROPOSE
        + f"""
agent = in_force_as({key!r})
# GO
said = []
for n in range(5):
    for attempt in range(400):
        status, intent_id = ask(agent, f"{{number}} {{n}}", f"{{number}}-{{n}}")
        if intent_id is not None:
            said.append([status, intent_id])
            cancel(Intent(pk=intent_id), by=Actor.system("race"))
            break
        assert status == "attention-budget", status
        time.sleep(0.01)
""",
        processes=CROWD,
    )
    ids = [intent_id for process in said for _, intent_id in process]
    assert len(ids) == len(set(ids)) == 5 * CROWD
    assert stored(portal)["keys"] == 5 * CROWD
