"""Promise 4: workers killed at random moments do nothing twice, lose nothing and claim nothing that is not so.

The judge is outside: a target that writes down every effect before it answers. The long version is `make chaos`.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

FULL = os.environ.get("ZEHRAVA_CHAOS") == "full"
INTENTS = 1_000 if FULL else 24
KILLS = 40 if FULL else 3
LEASE = 4  # seconds
SLOWEST = 0.4  # seconds that the target takes, so that kills fall before, within and after the effect
DEADLINE = 900 if FULL else 90
SEED = int(os.environ.get("ZEHRAVA_CHAOS_SEED", time.time_ns() % 10**6))

FINAL = {"succeeded", "failed", "indeterminate"}

ARRANGE = """
import json
from tests.factories import allow, load_action_type, make_agent, make_intent
load_action_type('''
name: ledger.append
executor: http
http: {{method: POST, url: "http://127.0.0.1:{port}/effects", allow_private: true, timeout: 2}}
''')
allow("ledger.append")
_, key = make_agent()
for n in range({intents}):
    make_intent(key, action="ledger.append", payload={{"n": n}})
"""
OUTCOME = """
import json
from intents.models import Intent
print(json.dumps(list(Intent.objects.values_list("pk", "status"))))
"""


class Target:
    """Notes every effect by its intent, then answers, sometimes slowly."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(chance.random() * SLOWEST)
                target.effects[self.headers["Idempotency-Key"].partition(":")[0]] += 1
                time.sleep(chance.random() * SLOWEST)
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: object) -> None:
                pass

        chance = random.Random(SEED)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def target():
    target = Target()
    yield target
    target.server.shutdown()


@pytest.mark.timeout(DEADLINE + 120)
@pytest.mark.parametrize(
    "broker", ["filesystem://", pytest.param("redis://127.0.0.1:6379/11", marks=pytest.mark.redis)]
)
def test_killed_workers_do_nothing_twice_and_lose_nothing(start_portal, target, broker):
    portal = start_portal(
        web=0,
        broker_url=broker,
        ZEHRAVA_PORTAL_LEASE=f"{LEASE}s",
        ZEHRAVA_SWEEP_EVERY="1s",
        ZEHRAVA_RESEND_AFTER="2s",
    )
    portal.shell(ARRANGE.format(port=target.port, intents=INTENTS))
    chance = random.Random(SEED)
    for number in range(KILLS):
        portal.start_worker(f"worker{number}")
        time.sleep(chance.uniform(0.3, 2.0))
        portal.kill(f"worker{number}")
    portal.start_worker("survivor")

    deadline = time.monotonic() + DEADLINE
    while True:
        outcome = dict(json.loads(portal.shell(OUTCOME)))
        if set(outcome.values()) <= FINAL or time.monotonic() > deadline:
            break
        time.sleep(1)

    counts = Counter(outcome.values())
    print(f"seed {SEED}: {INTENTS} intents, {KILLS} kills on {broker.partition(':')[0]}: {dict(counts)}")
    assert set(outcome.values()) <= FINAL, f"lost: {counts}"
    assert len(outcome) == INTENTS
    assert not [intent for intent, times in target.effects.items() if times > 1], "done twice"
    assert all(target.effects[intent] == 1 for intent, status in outcome.items() if status == "succeeded")
    assert all(target.effects[intent] == 0 for intent, status in outcome.items() if status == "failed")
