"""Sweepers against sweepers, and decisions against the end of the time, in real processes with real commits."""

import json

import pytest

from tests.crowd import at_once

ARRANGE = """
import json
from datetime import timedelta
from tests.factories import load_policy, make_agent, make_intent, make_user, time_passes
load_policy('''
name: slow
match: {actions: ['a.b']}
rules:
  - id: all
    effect: require_approval
    approval:
      all_of: [{group: finance, count: 2}]
      escalation:
        - {after: 1m, do: remind}
        - {after: 2m, do: widen, to: [managers]}
        - {after: 3m, do: escalate, to: [directors]}
''')
RULE = '''
  - id: within-SECONDS
    when: payload.seconds == SECONDS
    effect: require_approval
    approval:
      all_of: [{group: finance, count: 2}]
      expires_in: SECONDSs
      on_timeout: escalate
      escalate_to: [{group: directors}]
'''
rules = "".join(RULE.replace("SECONDS", str(seconds)) for seconds in range(12, 20))
load_policy("name: short\\nmatch: {actions: ['c.d']}\\nrules:" + rules)
for n in range(2):
    make_user(f"finance-{n}", "finance")
    make_user(f"director-{n}", "directors")
_, key = make_agent()
"""
SWEEP = """
from intents import sweeping
said = []
# GO
for _ in range(3):
    done = sweeping.sweep()
    said.append(done["stepped"])
"""
EVENTS = """
import json
from audit.models import Event
from intents import integrity
from intents.models import Intent
from audit import clock
found = []
for intent in Intent.objects.select_related("agent"):
    events = [[event.type, json.loads(event.line)["at"], json.loads(event.line)["facts"]]
              for event in Event.objects.filter(intent_id=intent.pk, type__startswith="intent.").order_by("id")]
    names = dict(intent.decisions.values_list("pk", "reviewer_name"))
    found.append({"status": intent.status, "steps": intent.steps_taken, "overtime": intent.overtime, "events": events,
                  "names": names, "altered": integrity.differences(intent)})
print(json.dumps(found))
"""


def test_of_many_sweepers_at_once_each_step_is_taken_by_one(start_portal):
    portal = start_portal(web=0)
    portal.shell(
        ARRANGE
        + "for n in range(15):\n"
        + "    time_passes(make_intent(key, action='a.b', payload={'n': n}), minutes=2 + n % 2, seconds=30)\n"
    )
    said = at_once(portal, SWEEP)
    for number, intent in enumerate(json.loads(portal.shell(EVENTS))):
        steps = [facts["step"] for kind, _, facts in intent["events"] if "step" in facts]
        assert steps == list(range(1, 3 + number % 2)) and intent["steps"] == len(steps)
        assert intent["altered"] == []
    assert sum(stepped for process in said for stepped in process) >= 15


DECIDE_AND_SWEEP = """
import random, time
from django.contrib.auth.models import User
from datetime import timedelta
from audit import clock
from intents import sweeping
from intents.models import Intent
from reviews.decisions import decide, withdraw
from zehrava.problems import Problem
NAMES = ["finance-0", "finance-1", "director-0", "director-1"]
me = User.objects.get(username=NAMES[number]) if number < 4 else None
intents = list(Intent.objects.all())
until = max(intent.expires_at for intent in intents) + timedelta(seconds=1)
luck = random.Random(number)
said = []
# GO
while clock.now() < until:
    if me is None:
        sweeping.sweep()
        time.sleep(luck.random() / 5)
        continue
    intent = luck.choice(intents)
    if number == 1 and intent.payload["n"] % 3 == 0:
        # However fast this machine is: some are left for those who are asked at the end.
        continue
    try:
        given = decide(intent.pk, by=me, vote="approve", digest=intent.digest)
        said.append("voted")
        if luck.random() < 0.9:
            withdraw(given, by=me)
    except Problem as problem:
        said.append(problem.kind)
        time.sleep(0.01)
"""


@pytest.mark.timeout(180)
def test_decisions_that_race_the_end_of_the_time_meet_those_who_are_asked_then_and_no_others(start_portal):
    portal = start_portal(web=0)
    portal.shell(
        ARRANGE + "for n in range(24):\n    make_intent(key, action='c.d', payload={'n': n, 'seconds': 12 + n % 8})\n"
    )
    at_once(portal, DECIDE_AND_SWEEP)
    found = json.loads(portal.shell("from intents import sweeping\nsweeping.sweep()\n" + EVENTS))
    reached = [(intent["overtime"], kind) for intent in found for kind, _, _ in intent["events"]]
    assert (True, "intent.approved") in reached
    for intent in found:
        assert intent["altered"] == []
        kinds = [kind.removeprefix("intent.") for kind, _, _ in intent["events"]]
        assert kinds.count("escalated") == intent["overtime"]
        assert kinds.count("approved") <= 1
        # No time ended without the last having been asked.
        assert intent["overtime"] or "approved" in kinds
        if "approved" not in kinds:
            continue
        end = intent["events"][0][2]["expires_at"]
        [(at, facts)] = [(at, facts) for kind, at, facts in intent["events"] if kind == "intent.approved"]
        by = sorted(intent["names"][pk] for pk in facts["decisions"])
        if intent["overtime"]:
            assert kinds.index("escalated") < kinds.index("approved") and end <= at < facts["expires_at"]
            assert by[0].startswith("director") and len(by) == 1
        else:
            assert by == ["finance-0", "finance-1"] and at < end
