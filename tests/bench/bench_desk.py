"""How long a reviewer waits for the desk and for the page of one intent, in a portal that has been used for a year.

100,000 intents, a tenth of which wait, and 1,000,000 rows of history. Goal: p95 ≤ 300 ms, ≤ 20 queries, ≤ 300 KB.

    python tests/bench/bench_desk.py [--intents 100000] [--history 1000000] [--times 30]
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.components import COMPONENTS
from tests.portal import ROOT, Portal, Template

ASKS = """
name: refunds
match: {actions: [stripe.refund]}
rules:
  - id: large
    when: amount(payload.amount) > amount("500")
    effect: require_approval
    approval: {all_of: [{group: finance, count: 2}]}
  - {id: all, effect: require_approval}
"""
PAGES = {
    "desk": "/admin/",
    "desk, alone": "/admin/?tab=soon",
    "desk, page 100": "/admin/?page=100",
    "desk, all": "/admin/?tab=all",
    "desk, filtered": "/admin/?agent=billing-1&risk=medium&least=100",
    "desk, searched": "/admin/?q=customer-77",
    "follow": "/admin/follow/",
    "decided": "/admin/?tab=decided",
    "one intent": "INTENT",
    "figures": "/admin/figures/",
    "all intents": "/admin/intents/intent/",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=int, default=100_000)
    parser.add_argument("--history", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.measure:
        measure(wanted.intents, wanted.history, wanted.times)
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
                # Five agents with thousands of pending intents each: more than any may have.
                unbounded = {"ZEHRAVA_PENDING_PER_AGENT": "0", "ZEHRAVA_ASKS_PER_HOUR": "0"}
                portal = Portal(folder / "portal", database, ZEHRAVA_LOG_LEVEL="WARNING", **unbounded)
                command = [sys.executable, __file__, *sys.argv[1:], "--measure"]
                subprocess.run(command, cwd=ROOT, env=portal.environment, check=True)
        finally:
            template.drop()


def measure(number: int, history: int, times: int) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zehrava_site.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection, transaction
    from django.test import Client

    from intents.models import Intent, Status
    from reviews.decisions import decide
    from tests.factories import load_policy, make_agent, make_intent, make_user

    settings.ALLOWED_HOSTS = ["testserver"]
    load_policy(ASKS)
    rita = make_user("rita", "reviewers", "finance")
    other = make_user("fred", "finance")
    keys = [make_agent(f"billing-{place}")[1] for place in range(5)]
    with transaction.atomic():
        fill(keys, number, history)
    for place in range(200):
        voted = make_intent(keys[place % 5], payload={"amount": "900.00", f"n{place}": place})
        decide(voted.pk, by=other, vote="approve", digest=voted.digest)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    # What filling the database left behind is no part of what a server collects while it answers.
    gc.collect()
    gc.freeze()
    client = Client()
    client.force_login(rita)
    waiting = Intent.objects.filter(status=Status.PENDING_APPROVAL)
    print(
        f"{connection.vendor}: {Intent.objects.count():,} intents, {waiting.count():,} wait, {history:,} history rows"
    )
    one = waiting.order_by("-id").first()
    assert one is not None
    for name, path in PAGES.items():
        path = path.replace("INTENT", f"/admin/intents/intent/{one.pk}/change/")
        client.get(path)
        asked: list[str] = []

        def count(execute, sql, *rest, asked=asked):
            asked.append(sql)
            return execute(sql, *rest)

        with connection.execute_wrapper(count):
            answer = client.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        took = []
        for _ in range(times):
            began = time.perf_counter()
            client.get(path)
            took.append((time.perf_counter() - began) * 1000)
        p95 = statistics.quantiles(took, n=20)[-1]
        print(
            f"  {name:<16} p50 {statistics.median(took):>6.0f} ms  p95 {p95:>6.0f} ms  {len(asked):>3} queries  "
            f"{len(answer.content) / 1000:>5.0f} KB",
            flush=True,
        )


def fill(keys: list[str], number: int, history: int) -> None:
    """Copy a few intents and their history many times: all columns as they are, but what makes a row that row."""
    from django.db import connection
    from django.db.models import F

    from intents.models import Intent
    from tests.factories import make_intent
    from tests.many import store_refunds

    # What waits is what came last: the rest was decided long ago.
    for days, share, rejected in ((30, 9, 10), (1 / 25, 1, 0)):
        for key in keys:
            store_refunds(key, number * share // 10 // len(keys), days=days, rejected_of_ten=rejected)
    # Five in a hundred are alike, the rest stand alone: a desk of many lines.
    Intent.objects.exclude(pk__endswith="0").update(alike=F("id"))
    assert make_intent(keys[0], payload={"amount": "1.00"}).pk
    table = Intent.history.model._meta
    columns = [field.column for field in table.concrete_fields if field.column != table.pk.column]
    names = ", ".join(connection.ops.quote_name(column) for column in columns)
    pk, rows = connection.ops.quote_name(table.pk.column), connection.ops.quote_name(table.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {rows}")
        made = cursor.fetchone()[0]
        copied = ", ".join(f"kept.{name}" for name in names.split(", "))
        cursor.execute(
            f"INSERT INTO {rows} ({pk}, {names})"
            " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s)"
            f" SELECT substr(kept.{pk}, 1, 20) || substr(kept.{pk}, 28) || n.i, {copied}"
            f" FROM n CROSS JOIN (SELECT * FROM {rows} LIMIT {made}) kept",
            [history // made],
        )


if __name__ == "__main__":
    main()
