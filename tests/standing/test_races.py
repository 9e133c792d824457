"""Many processes on one standing approval at the same moment: exactly as much passes as two people said."""

import json
from collections import Counter

import pytest

from tests.crowd import at_once

ARRANGE = """
from django.contrib.auth.models import User
from tests.factories import approve_in_advance, load_policy, make_agent, make_user
load_policy("name: careful\\nmatch: {actions: ['a.*']}\\nrules: [{id: all, effect: require_approval, approval:"
            " {all_of: [{group: finance}, {group: security}]}}]")
agent, key = make_agent("nightly", owner=make_user("olivia"))
from zehrava_site import roles
roles.install()
rita, sam = make_user("rita", "reviewers", "finance"), make_user("sam", "reviewers", "security")
make_user("lou", "reviewers", "finance")
TERMS
print(key)
"""
PROPOSE = """
import json
from intents.propose import propose
from tests.factories import in_force_as
agent = in_force_as(KEY)
said = []
# GO
for n in range(30):
    body = {"action": "a.b", "payload": {"n": f"{number} {n}"}, "value": {"amount": "1.00", "currency": "EUR"}}
    answer = propose(agent, body, idempotency_key=f"{number}-{n}")
    document = json.loads(answer.document)
    said.append([document["status"], document["standing_approval"] and document["standing_approval"]["use"]])
"""


@pytest.fixture
def portal(start_portal):
    return start_portal(web=0, ZEHRAVA_PENDING_PER_AGENT="0", ZEHRAVA_ASKS_PER_HOUR="0")


def arrange(portal, terms: str) -> str:
    return portal.shell(ARRANGE.replace("TERMS", terms)).split()[-1]


def outcome(portal) -> dict:
    return json.loads(
        portal.shell("""
import json
from audit.models import Event
from intents import integrity
from intents.models import Intent
from reviews.models import StandingApproval, StandingUse
from reviews.standing import using
approval = StandingApproval.objects.get()
print(json.dumps({
    "state": approval.state, "used": approval.used, "spent": str(approval.spent.normalize()),
    "rows": StandingUse.objects.filter(number__isnull=False).count(),
    "samples": StandingUse.objects.filter(number=None).count(),
    "events": Event.objects.filter(type="standing_approval.used").count(),
    "approved": Intent.objects.filter(status="approved").count(),
    "suspended": Event.objects.filter(type="standing_approval.suspended").count(),
    "altered": [found for intent in Intent.objects.select_related("agent") for found in integrity.differences(intent)]
    + [str(found) for found in using.unlike_the_ledger()],
}))
""")
    )


def test_100_uses_against_8_clients_are_exactly_100(portal):
    key = arrange(portal, "approve_in_advance(agent, by=rita, second=sam, max_uses=100)")
    said = at_once(portal, PROPOSE.replace("KEY", repr(key)), processes=8)

    answers = [tuple(each) for process in said for each in process]
    assert Counter(status for status, _ in answers) == {"approved": 100, "pending_approval": 140}
    assert sorted(use for _, use in answers if use) == list(range(1, 101))
    found = outcome(portal)
    assert found == {
        "state": "used_up", "used": 100, "spent": "0", "rows": 100, "samples": 0, "events": 100, "approved": 100,
        "suspended": 0, "altered": [],
    }  # fmt: skip


def test_a_total_and_a_rate_hold_to_the_cent_and_the_use(portal):
    terms = "max_uses=100, max_total='25.50', currency='EUR', rate_count=40, rate_window='1d'"
    key = arrange(portal, f"approve_in_advance(agent, by=rita, second=sam, {terms})")
    at_once(portal, PROPOSE.replace("KEY", repr(key)), processes=6)
    found = outcome(portal)
    assert (found["used"], found["spent"], found["approved"], found["altered"]) == (25, "25", 25, [])


def test_revoking_while_many_propose_ends_it_for_all_of_them(portal):
    key = arrange(portal, "approve_in_advance(agent, by=rita, second=sam, max_uses=1000)")
    revoke = """
    if number == 0 and n == 3:
        from django.contrib.auth.models import User
        from reviews.models import StandingApproval
        from reviews.standing import steps
        approval = steps.revoke(StandingApproval.objects.get(), by=User.objects.get(username="rita"), reason="stop")
        said.append(["revoked", approval.used])
"""
    code = PROPOSE.replace("KEY", repr(key))
    said = at_once(portal, code.replace("for n in range(30):\n", "for n in range(30):" + revoke), processes=6)

    [[_, used]] = [each for process in said for each in process if each[0] == "revoked"]
    found = outcome(portal)
    assert (found["state"], found["used"], found["approved"]) == ("revoked", used, used)
    assert found["altered"] == []


def test_rejections_of_samples_while_many_propose_suspend_it_once_and_nothing_hangs(portal):
    key = arrange(portal, "approve_in_advance(agent, by=rita, second=sam, max_uses=1000, sample_percent=50)")
    reject = """
    if number < 2:
        from django.contrib.auth.models import User
        from intents.models import Intent
        from reviews.decisions import decide
        from zehrava.problems import Problem
        waits = Intent.objects.filter(status="pending_approval").order_by("id" if number else "-id").first()
        try:
            if waits:
                lou = User.objects.get(username="lou")
                decide(waits.pk, by=lou, vote="reject", digest=waits.digest, ground="other", rationale="no")
        except Problem as problem:
            assert problem.kind in ("not-pending", "already-voted"), problem.kind
"""
    code = PROPOSE.replace("KEY", repr(key))
    at_once(portal, code.replace("for n in range(30):\n", "for n in range(30):" + reject), processes=6)

    found = outcome(portal)
    assert (found["state"], found["suspended"], found["altered"]) == ("suspended", 1, [])
    assert found["used"] == found["rows"] == found["events"] == found["approved"]
