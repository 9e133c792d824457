"""A backtest in real processes: one is killed half-way, several want the same one, and nothing is missed or doubled."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.crowd import at_once
from tests.portal import ROOT

ARRANGE = """
from intents import backtesting
from intents.documents import save_policy
from intents.models import Backtest, BacktestDifference, Intent
from tests.factories import ARRANGER, load_policy, make_agent
from tests.intents.test_shadow import ALLOWS_SMALL, ASKS
from tests.many import store_refunds
LIMITED = ALLOWS_SMALL.replace('amount("100"), effect: allow', 'amount("100"), effect: allow, limits: [{count: 9}]')
"""
ASK = (
    ARRANGE
    + """
load_policy(ASKS)
store_refunds(make_agent("billing")[1], 300)
version = save_policy(LIMITED, by=ARRANGER, user=None, activate=False)
print(backtesting.request(version, days=31, by=ARRANGER, user=None).pk)
"""
)
# Chunks of twenty, and a rest after each, so that there is a half-way.
SLOW = """
import time
import django
django.setup()
from intents import backtesting
backtesting.CHUNK = 20
commit = backtesting._commit
def and_rest(*arguments, **named):
    done = commit(*arguments, **named)
    print("committed", flush=True)
    time.sleep(0.3)
    return done
backtesting._commit = and_rest
backtesting.run({pk})
"""
READ = """
import json
from intents.models import Backtest
found = Backtest.objects.get(pk={pk})
rows = list(found.differences.order_by("intent_id").values_list("intent_id", "change", "said_by"))
print(json.dumps([found.state, found.judged, found.summary["counts"], found.differences_digest, rows]))
"""


@pytest.fixture
def portal(start_portal):
    return start_portal(web=0, ZEHRAVA_PORTAL_LEASE="2s")


def outcome(portal, pk):
    return json.loads(portal.shell(READ.format(pk=pk)))


def test_a_worker_killed_half_way_is_followed_by_another_with_the_same_result(portal):
    pk = portal.shell(ASK).strip()
    worker = subprocess.Popen(
        [sys.executable, "-c", SLOW.format(pk=pk)], cwd=ROOT, env=portal.environment, stdout=subprocess.PIPE
    )
    assert worker.stdout
    for _ in range(3):
        assert worker.stdout.readline() == b"committed\n"
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    state, judged, *_ = outcome(portal, pk)
    assert state == "running" and 60 <= judged < 301
    time.sleep(2)

    portal.shell(f"from intents import backtesting; backtesting.CHUNK = 50; backtesting.run({pk})")

    again = portal.shell(
        ARRANGE + "again = backtesting.request(Backtest.objects.get().version, days=31, by=ARRANGER, user=None)\n"
        "backtesting.run(again.pk)\nprint(again.pk)"
    ).strip()
    interrupted, whole = outcome(portal, pk), outcome(portal, again)
    assert interrupted == whole
    assert interrupted[:2] == ["finished", 301] and interrupted[2]["allowed"] == 9


def test_of_many_workers_at_once_one_does_it_and_the_others_leave_it_alone(portal):
    pk = portal.shell(ASK).strip()

    said = at_once(portal, f"from intents import backtesting\n# GO\nsaid = str(backtesting.run({pk}))", processes=5)

    assert sorted(said) == ["None"] * 4 + ["finished"]
    state, judged, counts, _, rows = outcome(portal, pk)
    assert (state, judged) == ("finished", 301)
    assert len(rows) == sum(count for kind, count in counts.items() if kind != "same")


def test_of_many_who_ask_at_once_one_gets_a_backtest(portal):
    portal.shell(
        ASK.replace("print(backtesting", "(backtesting").replace(".pk)", ")") + "\nBacktest.objects.all().delete()"
    )

    said = at_once(
        portal,
        ARRANGE
        + """
from zehrava.problems import Problem
version = save_policy(LIMITED, by=ARRANGER, user=None, activate=False)
# GO
try:
    said = backtesting.request(version, days=3, by=ARRANGER, user=None).state
except Problem as problem:
    said = problem.kind if hasattr(problem, "kind") else str(problem)
""",
        processes=5,
    )

    assert said.count("waiting") == 1, said
