"""Votes of many people at the same moment: one outcome each, nobody counted twice, nothing stuck."""

import json
from collections import Counter

import pytest

from tests.crowd import at_once

TWO_OF_FINANCE = """
name: careful
match: {actions: ['a.b']}
rules:
  - {id: all, effect: require_approval, approval: {all_of: [{group: finance, count: 2}]}}
"""
ARRANGE = f"""
import json
from tests.factories import load_policy, make_agent, make_intent, make_user
load_policy({TWO_OF_FINANCE!r})
for n in range(6):
    make_user(f"finance-{{n}}", "finance")
_, key = make_agent()
for _ in range(25):
    make_intent(key, action="a.b")
"""
DECIDE = """
import random
from django.contrib.auth.models import User
from intents.models import Intent
from reviews.decisions import decide
from zehrava.problems import Problem
me = User.objects.get(username=f"finance-{WHO}")
intents = list(Intent.objects.all())
random.Random(number).shuffle(intents)
said = []
# GO
for intent in intents:
    try:
        decision = decide(intent.pk, by=me, vote=VOTE, digest=intent.digest, rationale="because")
        said.append([intent.pk, "voted"])
    except Problem as problem:
        said.append([intent.pk, problem.kind])
"""


@pytest.fixture
def portal(start_portal):
    portal = start_portal(web=0)
    portal.shell(ARRANGE)
    return portal


def outcome(portal) -> list[dict]:
    return json.loads(
        portal.shell("""
import json
from audit.models import Event
from intents.models import Intent
found = []
for intent in Intent.objects.all():
    votes = list(intent.decisions.filter(withdrawn_at=None).values_list("reviewer_name", "vote"))
    kinds = list(Event.objects.filter(intent_id=intent.pk).values_list("type", flat=True))
    found.append({"status": intent.status, "votes": votes, "events": kinds})
print(json.dumps(found))
""")
    )


def test_a_quorum_of_two_is_reached_once_by_two_people(portal):
    said = at_once(portal, DECIDE.replace("{WHO}", "{number}").replace("VOTE", "'approve'"))
    for intent in outcome(portal):
        assert intent["status"] == "approved"
        assert len(intent["votes"]) == 2
        assert intent["events"].count("intent.approved") == 1
    kinds = Counter(kind for process in said for _, kind in process)
    assert kinds == {"voted": 50, "not-pending": 100}


def test_one_person_in_six_windows_has_one_vote(portal):
    said = at_once(portal, DECIDE.replace("{WHO}", "0").replace("VOTE", "'approve'"))
    for intent in outcome(portal):
        assert intent["status"] == "pending_approval"
        assert intent["votes"] == [["finance-0", "approve"]]
    kinds = Counter(kind for process in said for _, kind in process)
    assert kinds == {"voted": 25, "already-voted": 125}


def test_approvals_and_rejections_at_once_end_one_way_each(portal):
    at_once(portal, DECIDE.replace("{WHO}", "{number}").replace("VOTE", "'approve' if number % 2 else 'reject'"))
    for intent in outcome(portal):
        ended = Counter(kind for kind in intent["events"] if kind in ("intent.approved", "intent.rejected"))
        assert sum(ended.values()) == 1
        votes = Counter(vote for _, vote in intent["votes"])
        if intent["status"] == "approved":
            assert votes == {"approve": 2}
        else:
            assert intent["status"] == "rejected"
            assert votes["reject"] == 1
            assert votes["approve"] <= 1
