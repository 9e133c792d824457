"""How long an approved action waits until it starts, while a worker also replays past intents for a backtest.

Intents that policy allows are proposed at a steady pace to a portal with a real worker; what is measured is the time
from the approval's commit to the execution's start, both by the database. Goal: p95 within 2 s.

    python tests/bench/bench_starting.py [--intents 60000] [--actions 100] [--only sqlite]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.components import COMPONENTS
from tests.portal import Portal, Template

ARRANGE = """
from django.db import transaction
from intents import backtesting
from intents.documents import save_policy
from tests.factories import ARRANGER, allow, load_policy, make_agent, run_by_noop
from tests.bench.bench_backtest import ASKS, DRAFTS
from tests.many import store_refunds
load_policy(ASKS)
run_by_noop("do.it")
allow("do.it")
key = make_agent("billing")[1]
with transaction.atomic():
    store_refunds(key, {intents})
print(key)
"""
BACKTEST = """
from intents import backtesting
from intents.models import PolicyVersion
from intents.documents import save_policy
from tests.factories import ARRANGER
from tests.bench.bench_backtest import DRAFTS
version = save_policy(DRAFTS["without limits"], by=ARRANGER, user=None, activate=False)
backtesting.request(version, days=31, by=ARRANGER, user=None)
"""
PROPOSE = """
import time
from tests.factories import in_force_as
from intents.propose import propose
agent = in_force_as({key!r})
for number in range({actions}):
    propose(agent, {{"action": "do.it", "payload": {{"number": number}}}}, idempotency_key=str(number))
    time.sleep(0.1)
"""
MEASURE = """
import json, time
from intents.models import Backtest, Execution
for _ in range(600):
    if not Execution.objects.exclude(state="succeeded").exists():
        break
    time.sleep(0.1)
waited = sorted((each.started_at - each.created_at).total_seconds() for each in Execution.objects.all())
busy = Backtest.objects.filter(state="running").count()
judged = sum(Backtest.objects.values_list("judged", flat=True))
print(json.dumps({"waited": waited, "busy": busy, "judged": judged}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=int, default=60_000)
    parser.add_argument("--actions", type=int, default=60)
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    wanted = parser.parse_args()
    found = any(component.marker == "postgresql" and component.found() for component in COMPONENTS)
    for name in ("sqlite", *(["postgresql"] if found else [])):
        if wanted.only in (None, name):
            on_a_database_of_its_own(name, wanted.intents, wanted.actions)


def on_a_database_of_its_own(name: str, intents: int, actions: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "template").mkdir()
        template = Template(folder / "template", on_postgresql=name == "postgresql")
        try:
            for workers in (2, 1):
                for busy in (False, True):
                    place = folder / f"portal-{workers}-{busy}"
                    place.mkdir()
                    with template.copy(place) as database:
                        measure(name, place, database, intents if busy else 0, actions, workers)
        finally:
            template.drop()


def measure(name: str, folder: Path, database: str, intents: int, actions: int, workers: int) -> None:
    portal = Portal(folder, database, ZEHRAVA_WORKERS=str(workers), ZEHRAVA_LOG_LEVEL="WARNING")
    key = portal.shell(ARRANGE.format(intents=intents)).strip()
    try:
        portal.start_worker()
        if intents:
            portal.shell(BACKTEST)
        portal.shell(PROPOSE.format(key=key, actions=actions))
        found = json.loads(portal.shell(MEASURE))
    finally:
        portal.stop()
    waited = found["waited"]
    beside = f"beside a backtest ({found['judged']:,} judged by then)" if intents else "alone"
    print(
        f"{name:<11} {workers} worker processes, {beside:<45} p50 {waited[len(waited) // 2]:.2f} s "
        f"p95 {waited[int(len(waited) * 0.95)]:.2f} s max {waited[-1]:.2f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
