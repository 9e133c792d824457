"""How long a backtest of many past intents takes: the task itself, in one process, everything on this machine.

A draft of 20 rules, with and without limits, is replayed over intents that all had to be asked; about half of them
differ, and each difference is a row. Goal: 100,000 intents in under a minute.

    python tests/bench/bench_backtest.py [--intents 100000] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.components import COMPONENTS
from tests.portal import ROOT, Portal, Template

ASKS = "name: refunds\nmatch: {actions: [stripe.refund]}\nrules: [{id: all, effect: require_approval}]\n"
RULES = "".join(
    f'  - {{id: fraud-{number}, when: payload.customer.email == "fraud-{number}@example.com", effect: block}}\n'
    for number in range(17)
)
DRAFT = f"""
name: refunds
match: {{actions: [stripe.refund]}}
rules:
{RULES}
  - {{id: sanctioned, when: payload.country == "KP", effect: block, reason: "{{payload.country}} is under sanctions"}}
  - id: small
    when: amount(payload.amount) <= amount("400")
    effect: allow
    LIMITS
  - {{id: large, when: amount(payload.amount) > amount("900"), effect: require_approval}}
default: require_approval
"""
LIMITS = 'limits: [{count: 20, per: target, window: 1d}, {sum: payload.amount, max: "5000", per: agent, window: 1h}]'
DRAFTS = {"without limits": DRAFT.replace("    LIMITS\n", ""), "with two limits": DRAFT.replace("LIMITS", LIMITS)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=int, default=100_000)
    parser.add_argument("--profile", action="store_true", help="say where the time goes (and take longer)")
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.measure:
        measure(wanted.intents, wanted.profile)
        return
    found = any(component.marker == "postgresql" and component.found() for component in COMPONENTS)
    for name in ("sqlite", *(["postgresql"] if found else [])):
        if wanted.only in (None, name):
            on_a_database_of_its_own(name)


def on_a_database_of_its_own(name: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "template").mkdir()
        (folder / "portal").mkdir()
        template = Template(folder / "template", on_postgresql=name == "postgresql")
        try:
            with template.copy(folder / "portal") as database:
                portal = Portal(folder / "portal", database, ZEHRAVA_LOG_LEVEL="WARNING")
                command = [sys.executable, __file__, *sys.argv[1:], "--measure"]
                subprocess.run(command, cwd=ROOT, env=portal.environment, check=True)
        finally:
            template.drop()


def measure(number: int, profiled: bool) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zehrava_site.settings")
    import django

    django.setup()
    from django.db import connection, transaction

    from intents import backtesting
    from intents.documents import save_policy
    from intents.models import Backtest
    from intents.tasks import run_backtest
    from tests.factories import ARRANGER, load_policy, make_agent
    from tests.many import store_refunds

    load_policy(ASKS)
    key = make_agent("billing")[1]
    with transaction.atomic():
        store_refunds(key, number)
    for name, text in DRAFTS.items():
        version = save_policy(text, by=ARRANGER, user=None, activate=False)
        backtest = backtesting.request(version, days=31, by=ARRANGER, user=None)
        profile = cProfile.Profile() if profiled else None
        began, worked = time.perf_counter(), time.process_time()
        if profile:
            profile.runcall(run_backtest, backtest.pk)
        else:
            run_backtest(backtest.pk)
        seconds, worked = time.perf_counter() - began, time.process_time() - worked
        if profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        done = Backtest.objects.get(pk=backtest.pk)
        assert done.state == "finished" and done.judged >= number, (done.state, done.judged, done.trouble)
        counts = ", ".join(f"{kind} {found:,}" for kind, found in sorted(done.summary["counts"].items()))
        print(
            f"{connection.vendor:<11} {name:<16} {done.judged:>9,} intents {seconds:>7.1f} s "
            f"({worked:.1f} s of one core) {done.judged / seconds:>9,.0f} intents/s   {counts}",
            flush=True,
        )


if __name__ == "__main__":
    main()
