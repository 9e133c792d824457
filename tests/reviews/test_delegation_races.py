"""Delegates, delegators and revocations at the same moment: one seat for two, and none by what is over."""

import json

import pytest

from tests.crowd import at_once

ARRANGE = """
from datetime import timedelta
from django.contrib.auth.models import User
from audit import clock
from reviews.delegation import delegate
from tests.factories import load_policy, make_agent, make_intent, make_user
load_policy('''
name: careful
match: {actions: ['a.b*']}
rules:
  - {id: all, effect: require_approval, approval: {all_of: [{group: finance, count: COUNT}]}}
''')
rita, dora = make_user("rita", "finance"), make_user("dora", "readers")
emil = make_user("emil", "finance", email="emil@example.com")
make_user("emil-2", "finance", email="Emil@example.com")
third = make_user("third", "finance")
delegate(rita, to=dora, until=clock.now() + timedelta(days=1), reason="arranged", actions=["a.b"])
_, key = make_agent()
for n in range(NUMBER):
    make_intent(key, action="a.b", payload={"n": n})
"""
DECIDE = """
import random
from django.contrib.auth.models import User
from intents.models import Intent
from reviews.decisions import decide
from zehrava.problems import Problem
me = User.objects.get(username=["rita", "dora", "emil", "emil-2"][number])
intents = list(Intent.objects.order_by("pk"))
random.Random(number).shuffle(intents)
said = []
# GO
for intent in intents:
    try:
        decide(intent.pk, by=me, vote="approve", digest=intent.digest, delegator="rita" if number == 1 else None)
        said.append("voted")
    except Problem as problem:
        said.append(problem.kind)
"""
FOUND = """
import json
from reviews.entitlement import standing_of, votes_of
from intents.models import Intent
found = []
for intent in Intent.objects.select_related("agent"):
    votes = votes_of([intent]).get(intent.pk, [])
    found.append([intent.status, standing_of(intent, votes).given, sorted(vote.who for vote in votes)])
print(json.dumps(found))
"""


@pytest.fixture
def portal(start_portal):
    return start_portal(web=0)


def arrange(portal, *, count: int, number: int = 25) -> None:
    portal.shell(ARRANGE.replace("COUNT", str(count)).replace("NUMBER", str(number)))


def test_a_delegate_and_the_delegator_and_two_accounts_of_one_person_fill_one_seat_each(portal):
    """Of four who decide at once, two pairs count once each: never three seats, and never stuck at one."""
    arrange(portal, count=3)

    said = at_once(portal, DECIDE, processes=4)

    for status, given, who in json.loads(portal.shell(FOUND)):
        assert (status, given, len(who)) == ("pending_approval", 2, 2)
        assert {"rita", "dora for rita"} & set(who) and {"emil", "emil-2"} & set(who)
    voted = [sum(one == "voted" for one in each) for each in said]
    assert voted[0] + voted[1] == voted[2] + voted[3] == 25
    assert {one for each in said for one in each} == {"voted", "not-entitled"}


def test_a_revocation_comes_wholly_before_or_wholly_after_each_decision(portal):
    """A delegate has voted on each; the next vote meets the requirement only while the delegation is in force."""
    arrange(portal, count=2, number=0)
    portal.shell("""
from datetime import timedelta
from django.contrib.auth.models import User
from audit import clock
from intents.models import Agent
from reviews.decisions import decide
from reviews.delegation import delegate
from tests.factories import make_agent, make_intent, make_user
dora, key = User.objects.get(username="dora"), make_agent("another", owner=make_user("owner"))[1]
for n in range(30):
    person = make_user(f"delegator-{n}", "finance")
    delegate(person, to=dora, until=clock.now() + timedelta(days=1), reason="arranged", actions=[f"a.b{n}"])
    intent = make_intent(key, action=f"a.b{n}", payload={"n": n})
    decide(intent.pk, by=User.objects.get(pk=dora.pk), vote="approve", digest=intent.digest, delegator=person.username)
""")
    at_once(
        portal,
        """
from django.contrib.auth.models import User
from intents.models import Intent
from reviews.decisions import decide
from reviews.delegation import revoke
from reviews.models import Decision
votes = list(Decision.objects.select_related("intent", "delegation__delegator").order_by("pk"))
third, said = User.objects.get(username="third"), None
# GO
for vote in votes:
    if number:
        revoke(vote.delegation, by=vote.delegator)
    else:
        decide(vote.intent_id, by=third, vote="approve", digest=vote.intent.digest)
""",
        processes=2,
    )
    found = json.loads(
        portal.shell("""
import json
from audit.models import Event
from reviews.models import Decision
found = []
for vote in Decision.objects.filter(delegation__isnull=False).select_related("intent"):
    met = Event.objects.filter(type="intent.approved", intent_id=vote.intent_id).values_list("pk", flat=True).first()
    end = Event.objects.get(type="delegation.revoked", subject_id=str(vote.delegation_id)).pk
    found.append([vote.intent.status, met, end])
print(json.dumps(found))
""")
    )
    assert len(found) == 30
    for status, met, end in found:
        # Ids of events sort by time.
        assert status == ("pending_approval" if met is None else "approved")
        assert met is None or met < end
