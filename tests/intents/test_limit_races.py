"""Limits while eight processes propose at once: exactly the bound passes, and never one more."""

import json
from collections import Counter
from decimal import Decimal

import pytest

from tests.crowd import at_once

CROWD = 8
ARRANGE = """
import json
from tests.factories import load_policy, make_agent
"""
PROPOSE = """
import json, random
from intents.propose import propose
from tests.factories import in_force_as
from zehrava.problems import Problem
def ask(agent, key=None, **body):
    try:
        answer = propose(agent, body, idempotency_key=key)
    except Problem as problem:
        return [problem.kind, None]
    return [json.loads(answer.document)["status"], answer.intent_id]
"""


@pytest.fixture
def portal(start_portal):
    return start_portal(web=0)


def arrange(portal, policy: str, *, agents: int = 1) -> list[str]:
    """Load the policy and return the keys of so many new agents."""
    code = f"load_policy({policy!r}); print(json.dumps([make_agent()[1] for _ in range({agents})]))"
    return json.loads(portal.shell(ARRANGE + code))


def used(portal) -> dict[str, list[str]]:
    """The number and the sum of the uses, by counter, and how many rows the ledger does not agree with."""
    return json.loads(
        portal.shell("""
import json
from collections import defaultdict
from intents.limit_keeping import unlike_the_ledger
from intents.models import LimitUse
found = defaultdict(list)
for use in LimitUse.objects.all():
    found[use.counter].append(use.amount)
assert list(unlike_the_ledger()) == []
print(json.dumps({counter: [len(uses), str(sum(uses))] for counter, uses in found.items()}))
""")
    )


@pytest.mark.parametrize(("over", "then"), [("require_approval", "pending_approval"), ("block", "blocked")])
def test_of_many_at_once_exactly_the_count_passes(portal, over, then):
    limit = f"{{count: 100, window: 1h, over: {over}}}"
    (key,) = arrange(
        portal, f"name: p\nmatch: {{actions: ['a.b']}}\nrules: [{{id: r, effect: allow, limits: [{limit}]}}]\n"
    )
    said = at_once(
        portal,
        PROPOSE
        + f"""
agent = in_force_as({key!r})
# GO
said = [ask(agent, f"{{number}}-{{n}}", action="a.b", payload=n) for n in range(20)]
""",
        processes=CROWD,
    )
    assert Counter(status for process in said for status, _ in process) == {"approved": 100, then: 60}
    assert list(used(portal).values()) == [[100, "100.000000000000"]]


def test_of_many_at_once_exactly_the_sum_passes_for_each_target_whoever_asks(portal):
    limit = '{sum: payload.amount, max: "50.5", per: target, window: 1d, over: block}'
    keys = arrange(
        portal,
        f"name: p\nmatch: {{actions: ['a.b']}}\nrules: [{{id: r, effect: allow, limits: [{limit}]}}]\n",
        agents=CROWD,
    )
    said = at_once(
        portal,
        PROPOSE
        + f"""
agent = in_force_as({keys!r}[number])
# GO
said = [
    [target, *ask(agent, action="a.b", payload={{"amount": "0.7", "n": f"{{number}} {{n}}"}}, target=target)]
    for n in range(12) for target in ("ch_1", "ch_2")
]
""",
        processes=CROWD,
    )
    passed = Counter((target, status) for process in said for target, status, _ in process)
    # 72 times 0.7 is 50.4; once more would be 51.1.
    assert passed == {(target, s): n for target in ("ch_1", "ch_2") for s, n in (("approved", 72), ("blocked", 24))}
    assert list(used(portal).values()) == [[72, "50.400000000000"]] * 2


def test_many_counters_in_any_order_block_nobody_for_ever_and_are_never_exceeded(portal):
    per_agent, per_target = "{count: 15, over: block}", '{sum: payload.amount, max: "20", per: target, over: block}'
    per_customer = "{count: 12, per: [payload.customer, target], over: block}"
    everything = "{count: 60, per: everything}"
    keys = arrange(
        portal,
        "name: p\nmatch: {actions: ['a.b']}\nrules: [{id: r, effect: allow, "
        f"limits: [{per_agent}, {per_target}, {per_customer}, {everything}]}}]\n",
        agents=4,
    )
    said = at_once(
        portal,
        PROPOSE
        + f"""
agents = [in_force_as(key) for key in {keys!r}]
drawn = random.Random(number)
# GO
said = []
for n in range(20):
    payload = {{"amount": drawn.choice(["0.5", "1", "1.5"]), "customer": drawn.choice("xyz"), "n": f"{{number}} {{n}}"}}
    said.append(ask(drawn.choice(agents), action="a.b", payload=payload, target=drawn.choice(["t1", "t2", "t3"])))
""",
        processes=CROWD,
    )
    statuses = Counter(status for process in said for status, _ in process)
    assert set(statuses) <= {"approved", "blocked", "pending_approval"}
    assert sum(statuses.values()) == 20 * CROWD
    assert 0 < statuses["approved"] <= 60
    found = used(portal)
    assert max(Decimal(total) for _, total in found.values()) <= 60
    # Everything, four agents, three targets, and at most nine customers of a target.
    assert 1 + 4 + 3 < len(found) <= 1 + 4 + 3 + 9
    bounds = portal.shell("""
from collections import Counter
from decimal import Decimal
from intents.models import Intent, Status
agents, targets, customers = Counter(), Counter(), Counter()
for intent in Intent.objects.filter(status=Status.APPROVED):
    agents[intent.agent_id] += 1
    targets[intent.target] += Decimal(intent.payload["amount"])
    customers[intent.payload["customer"], intent.target] += 1
assert max(agents.values()) <= 15, agents
assert max(targets.values()) <= 20, targets
assert max(customers.values()) <= 12, customers
print("held")
""")
    assert bounds.strip() == "held"


def test_keys_that_are_repeated_at_once_use_a_limit_once_each(portal):
    (key,) = arrange(
        portal,
        "name: p\nmatch: {actions: ['a.b']}\nrules: "
        "[{id: r, effect: allow, limits: [{count: 20, window: 1h, over: block}]}]\n",
    )
    said = at_once(
        portal,
        PROPOSE
        + f"""
import time
agent = in_force_as({key!r})
# GO
said = []
for n in range(30):
    for attempt in range(50):
        status, intent_id = ask(agent, f"key-{{n}}", action="a.b", payload=n)
        if intent_id is not None:
            said.append([status, intent_id])
            break
        assert status == "idempotency-in-flight", status
        time.sleep(0.02)
""",
        processes=CROWD,
    )
    answers = {tuple(one) for process in said for one in process}
    assert Counter(status for status, _ in answers) == {"approved": 20, "blocked": 10}
    assert sum(len(process) for process in said) == 30 * CROWD
    assert list(used(portal).values()) == [[20, "20.000000000000"]]
