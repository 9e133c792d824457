"""Who manages whom changes at the moment of a decision: the change comes wholly before it or wholly after."""

import json

import pytest

from tests.crowd import at_once

ARRANGE = """
from django.contrib.auth.models import User
from reviews.decisions import decide
from tests.factories import load_policy, make_agent, make_intent, make_user, manage
load_policy('''
name: careful
match: {actions: ['a.b']}
rules:
  - id: all
    effect: require_approval
    approval: {all_of: [{group: finance, count: 2}], distinct_managers: true}
''')
mara, milo, last, ada = make_user("mara"), make_user("milo"), make_user("last", "finance"), make_user("ada")
manage(milo, last)
_, key = make_agent()
for n in range(30):
    first = make_user(f"first-{n:02}", "finance")
    manage(mara, first)
    intent = make_intent(key, action="a.b", payload={"n": n})
    decide(intent.pk, by=first, vote="approve", digest=intent.digest)
"""
ACT = """
import random, time
from django.contrib.auth.models import User
from intents.models import Intent
from reviews.decisions import decide
from reviews.managers import set_manager
from reviews.models import ReportingLine
from zehrava.problems import Problem
ada, milo, last = (User.objects.get(username=name) for name in ("ada", "milo", "last"))
intents = list(Intent.objects.order_by("pk"))
people = list(User.objects.filter(username__startswith="first-").order_by("username"))
said = []
def moved(person):
    return ReportingLine.objects.filter(person=person, manager=milo).exists()
# GO
for place, (intent, first) in enumerate(zip(intents, people)):
    if number:
        # Somewhere in the time that a decision takes.
        time.sleep(random.uniform(0, 0.04))
        set_manager(first, manager=milo, by=ada)
        continue
    while place and not moved(people[place - 1]):
        time.sleep(0.001)
    try:
        decide(intent.pk, by=last, vote="approve", digest=intent.digest)
        said.append("voted")
    except Problem as problem:
        said.append(problem.kind)
"""
FOUND = """
import json
from audit.models import Event
from intents.models import Intent
from reviews.models import Decision
found = []
for intent in Intent.objects.order_by("pk"):
    met = Event.objects.filter(type="intent.approved", intent_id=intent.pk).values_list("pk", flat=True).first()
    first = Decision.objects.filter(intent=intent).order_by("pk").first().reviewer
    set_at = [
        event.pk
        for event in Event.objects.filter(type="reporting_line.set").order_by("pk")
        if json.loads(event.line)["facts"]["person"] == first.pk
    ]
    found.append([intent.status, met, set_at[-1]])
print(json.dumps(found))
"""


@pytest.fixture
def portal(start_portal):
    return start_portal(web=0)


def test_nobody_is_counted_by_a_manager_whom_they_had_no_more(portal):
    """Two of one manager never approve anything, however close the change of one comes to the vote of the other."""
    portal.shell(ARRANGE)

    said = at_once(portal, ACT, processes=2)

    found = json.loads(portal.shell(FOUND))
    assert len(found) == 30 and len(said[0]) == 30
    for (status, met, moved), one in zip(found, said[0], strict=True):
        assert status == ("pending_approval" if met is None else "approved")
        assert (one == "voted") is (met is not None)
        # Ids of events sort by time.
        assert met is None or met < moved
