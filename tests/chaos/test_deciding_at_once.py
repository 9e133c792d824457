"""Promises 2 and 3 where everything happens at once: votes, withdrawals, changes, replacements and the end of time.

Real processes and real commits on whatever database the run uses. The judge reads the rows and the ledger afterwards.
On PostgreSQL, where people really write at the same moment, it is the long version at once; on SQLite `make chaos` is.
"""

import json
import os
from collections import Counter

import pytest

from tests.crowd import at_once

FULL = os.environ.get("ZEHRAVA_CHAOS") == "full" or os.environ.get("ZEHRAVA_DATABASE_URL", "").startswith("postgres")
INTENTS = 500 if FULL else 30
RACED = 1_000 if FULL else 60
PATIENCE = 1_500 if FULL else 100  # seconds

ARRANGE = """
import json
from tests.factories import load_policy, make_agent, make_intent, make_user
load_policy('''
name: careful
match: {{actions: ['a.b']}}
rules:
  - {{id: all, effect: require_approval, approval: {{all_of: [{{group: finance, count: {count}}}]}}}}
''')
for n in range({people}):
    make_user(f"finance-{{n}}", "finance")
_, key = make_agent()
for n in range({intents}):
    make_intent(key, action="a.b", payload={{"n": n, "amount": "10.00"}}, expires_in="1h")
"""
WHO_AND_WHAT = """
import random
from django.contrib.auth.models import User
from intents.models import Intent, Status
from reviews.decisions import decide, withdraw
from zehrava.problems import Problem
me = User.objects.get(username=f"finance-{number}")
chance = random.Random(number)
intents = list(Intent.objects.all())
chance.shuffle(intents)
said = []
"""
READ_BACK = """
import json
from audit.models import Event
from intents import integrity
from intents.models import Intent
from reviews.models import Decision
found = {}
for intent in Intent.objects.select_related("agent"):
    events = [[kind, json.loads(line)["facts"]] for kind, line in
              Event.objects.filter(intent_id=intent.pk).order_by("id").values_list("type", "line")]
    votes = [
        {"id": one.pk, "by": one.reviewer_name, "vote": one.vote, "digest": one.digest, "shown": one.shown_digest,
         "stands": one.withdrawn_at is None, "in_time": one.created_at < intent.expires_at}
        for one in intent.decisions.all()
    ]
    found[intent.pk] = {"status": intent.status, "digest": intent.digest, "votes": votes, "events": events,
                        "altered": integrity.differences(intent)}
print(json.dumps(found))
"""
ENDS = {"intent.approved", "intent.rejected", "intent.expired", "intent.cancelled"}

pytestmark = pytest.mark.timeout(PATIENCE + 300)


@pytest.fixture
def arranged(start_portal):
    def arrange(*, count: int, people: int, intents: int):
        # What is raced for here is not the agent's budget.
        portal = start_portal(web=0, ZEHRAVA_PENDING_PER_AGENT="0", ZEHRAVA_ASKS_PER_HOUR="0")
        portal.shell(ARRANGE.format(count=count, people=people, intents=intents))
        return portal

    return arrange


def read_back(portal) -> dict[str, dict]:
    return json.loads(portal.shell(READ_BACK))


def ends(intent: dict) -> list[str]:
    return [kind for kind, _ in intent["events"] if kind in ENDS]


def test_sixteen_people_decide_at_once_and_each_intent_ends_once(arranged):
    portal = arranged(count=1, people=16, intents=INTENTS)
    said = at_once(
        portal,
        WHO_AND_WHAT
        + """
vote = "approve" if number % 2 else "reject"
# GO
for intent in intents:
    try:
        decide(intent.pk, by=me, vote=vote, digest=intent.digest, rationale="because")
        said.append([intent.pk, "voted", ""])
    except Problem as problem:
        said.append([intent.pk, problem.kind, problem.detail])
""",
        processes=16,
        patience=PATIENCE,
    )
    found = read_back(portal)
    assert len(found) == INTENTS
    decided_by = {}
    for pk, intent in found.items():
        [vote] = intent["votes"]
        decided_by[pk] = vote["by"]
        assert ends(intent) == ["intent.approved" if vote["vote"] == "approve" else "intent.rejected"]
        assert intent["status"] == ("approved" if vote["vote"] == "approve" else "rejected")
        assert intent["altered"] == []
    assert Counter(kind for one in said for _, kind, _ in one) == {"voted": INTENTS, "not-pending": 15 * INTENTS}
    # Who came too late is told who decided.
    assert all(decided_by[pk] in detail for one in said for pk, kind, detail in one if kind == "not-pending")


@pytest.mark.parametrize(("count", "people"), [(2, 6), (3, 8)])
def test_votes_and_withdrawals_race_for_a_quorum_that_is_met_once_and_never_missed(arranged, count, people):
    portal = arranged(count=count, people=people, intents=INTENTS)
    at_once(
        portal,
        WHO_AND_WHAT
        + """
# GO
for turn in range(2):
    for intent in intents:
        try:
            decision = decide(intent.pk, by=me, vote="approve", digest=intent.digest)
            if turn == 0 and chance.random() < 0.5:
                withdraw(decision, by=me)
                said.append(intent.pk)
        except Problem as problem:
            assert problem.kind in ("not-pending", "already-voted", "not-entitled"), problem.detail
    chance.shuffle(intents)
""",
        processes=people,
        patience=PATIENCE,
    )
    found = read_back(portal)
    assert len(found) == INTENTS
    withdrawn = 0
    for intent in found.values():
        assert intent["status"] == "approved"
        assert ends(intent) == ["intent.approved"]
        [facts] = [facts for kind, facts in intent["events"] if kind == "intent.approved"]
        standing = {vote["id"]: vote["by"] for vote in intent["votes"] if vote["stands"]}
        # Exactly so many people, and none whose vote was taken back before or after.
        assert set(facts["decisions"]) == set(standing)
        assert len(set(standing.values())) == count
        withdrawn += sum(not vote["stands"] for vote in intent["votes"])
    assert withdrawn > INTENTS / 4


def test_changes_replacements_and_the_end_of_time_race_approvals_and_nobody_approves_unseen(arranged):
    """Each voter remembers the digest that they were shown: what is stored of their vote is about that alone."""
    portal = arranged(count=1, people=4, intents=0)
    portal.shell(f"""
from intents.models import Agent
from tests.factories import make_intent
from intents.agents import create_key
from audit.actors import Actor
key = create_key(Agent.objects.get(), by=Actor.system("arranger"))[1]
open({str(portal.data_dir / "key")!r}, "w").write(key)
for n in range({RACED} * 2 // 3):
    make_intent(key, action="a.b", payload={{"n": n, "amount": "10.00"}}, expires_in="1h")
""")
    said = at_once(
        portal,
        WHO_AND_WHAT.replace('f"finance-{number}"', 'f"finance-{number % 4}"')
        + f"""
import time
from audit import clock
from intents import sweeping
from intents.propose import propose
from tests.factories import in_force_as
agent = in_force_as(open({str(portal.data_dir / "key")!r}).read())
# A third of them run out of time while everybody is at work.
if number == 5:
    for n in range({RACED} // 3):
        propose(agent, {{"action": "a.b", "payload": {{"short": n, "amount": "10.00"}}, "expires_in": "2s"}})
"""
        + """
def tell(intent, shown, changes=None):
    try:
        decide(intent.pk, by=me, vote="approve", digest=shown, changes=changes, rationale="because")
        said.append([intent.pk, "voted", me.username, shown])
    except Problem as problem:
        said.append([intent.pk, problem.kind, me.username, shown])

# GO
short = [one for one in Intent.objects.order_by("id") if one.payload.get("short") is not None]
for turn, intent in enumerate([*short, *intents]):
    if turn < len(short):
        # Everybody comes when its time is nearly over, or just was.
        left = (intent.expires_at - clock.now()).total_seconds()
        time.sleep(max(0.0, left + chance.uniform(-0.04, 0.02)))
    if number < 2:
        # What this person looks at is a moment old when they decide.
        tell(intent, Intent.objects.values_list("digest", flat=True).get(pk=intent.pk))
    elif number < 4:
        tell(intent, intent.digest, [{"op": "replace", "path": "/amount", "value": f"{number}.00"}])
    elif number == 4 and intent.payload.get("n", 1) % 2:
        # Not all of them: however fast it is, some are left to be approved.
        try:
            propose(agent, {"action": "a.b", "payload": {"again": turn}, "supersedes": intent.pk})
            said.append([intent.pk, "replaced", "", ""])
        except Problem as problem:
            said.append([intent.pk, problem.kind, "", ""])
    elif number == 5 and turn % 10 == 0:
        sweeping.sweep()
""",
        processes=6,
        patience=PATIENCE,
    )
    found = read_back(portal)
    happened = Counter(kind for one in said for _, kind, _, _ in one)
    # The race was one: some of each came first.
    assert happened["voted"] and happened["replaced"] and happened["not-pending"]
    votes = {(pk, who): shown for one in said for pk, kind, who, shown in one if kind == "voted"}
    stored = 0
    for pk, intent in found.items():
        assert intent["altered"] == []
        # What was approved and is not claimed in time expires as well.
        assert len(ends(intent)) <= 1 or ends(intent) == ["intent.approved", "intent.expired"], intent["events"]
        for vote in intent["votes"]:
            stored += 1
            assert vote["in_time"]
            # A change is about what was shown, and approves what it made of that.
            assert (vote["shown"] or vote["digest"]) == votes[pk, vote["by"]]
        kinds = [kind for kind, _ in intent["events"]]
        if end := next((kind for kind in kinds if kind in ENDS), None):
            assert "decision.made" not in kinds[kinds.index(end) :]
        for kind, facts in intent["events"]:
            if kind == "intent.approved":
                counted = [vote for vote in intent["votes"] if vote["id"] in facts["decisions"]]
                assert {vote["digest"] for vote in counted} == {facts["digest"]} == {intent["digest"]}
    assert stored == len(votes) == happened["voted"]
    assert Counter(end for intent in found.values() for end in ends(intent)).keys() >= {
        "intent.approved",
        "intent.expired",
        "intent.cancelled",
    }
