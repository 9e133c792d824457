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


def test_of_many_changes_of_the_same_shown_text_one_is_made(start_portal):
    """Every change is bound to the digest that was shown: who comes second is told so, and changes nothing."""
    portal = start_portal(web=0)
    portal.shell(ARRANGE)
    said = at_once(
        portal,
        DECIDE.replace("{WHO}", "{number}").replace(
            'vote=VOTE, digest=intent.digest, rationale="because"',
            'vote="approve", digest=intent.digest, rationale="less", '
            'changes=[{"op": "replace", "path": "/amount", "value": f"{number}.00"}]',
        ),
    )
    kinds = Counter(kind for process in said for _, kind in process)
    assert kinds["voted"] == 25
    assert set(kinds) == {"voted", "stale-digest"}
    found = json.loads(
        portal.shell("""
import json
from intents import integrity
from intents.models import Intent
from zehrava import canonical
print(json.dumps([
    [intent.amendments, intent.amended_by.count(), intent.decisions.count(), integrity.differences(intent),
     canonical.digest(intent.amended_by.get().replaced.encode()) == intent.amended_by.get().replaced_digest]
    for intent in Intent.objects.select_related("agent")
]))
""")
    )
    assert found == [[1, 1, 1, [], True]] * 25


def test_changes_and_approvals_at_once_approve_nothing_that_was_not_shown(start_portal):
    """Some approve what was proposed while others change it: what is approved has the digest of every counted vote."""
    portal = start_portal(web=0)
    portal.shell(ARRANGE)
    change = ', changes=[{"op": "replace", "path": "/amount", "value": f"{number}.00"}] if number % 2 else None'
    at_once(
        portal,
        DECIDE.replace("{WHO}", "{number}").replace(
            'vote=VOTE, digest=intent.digest, rationale="because"',
            'vote="approve", digest=intent.digest, rationale="because"' + change,
        ),
    )
    found = json.loads(
        portal.shell("""
import json
from audit.models import Event
from intents import integrity
from intents.models import Intent
from reviews.models import Decision
found = []
for intent in Intent.objects.select_related("agent"):
    approved = Event.objects.filter(intent_id=intent.pk, type="intent.approved").first()
    ids = json.loads(approved.line)["facts"]["decisions"] if approved else []
    votes = Decision.objects.filter(pk__in=ids)
    found.append([intent.status, sorted({vote.digest for vote in votes} | {intent.digest}) == [intent.digest],
                  len({vote.reviewer_id for vote in votes}), integrity.differences(intent)])
print(json.dumps(found))
""")
    )
    for status, same, people, altered in found:
        assert same and altered == []
        assert people == (2 if status == "approved" else 0)


def test_of_many_who_take_an_intent_at_once_one_is_on_it(start_portal):
    portal = start_portal(web=0)
    portal.shell(ARRANGE)
    said = at_once(
        portal,
        DECIDE.replace("{WHO}", "{number}")
        .replace("from reviews.decisions import decide", "from reviews.taking import take")
        .replace(
            'decide(intent.pk, by=me, vote=VOTE, digest=intent.digest, rationale="because")', "take(intent.pk, by=me)"
        ),
    )
    kinds = Counter(kind for process in said for _, kind in process)
    assert kinds["voted"] == 25
    assert set(kinds) == {"voted", "conflict"}
