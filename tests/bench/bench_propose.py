"""How fast a real portal takes proposals that policy allows: 2 web processes, 8 clients, everything on this machine.

Beside it, in the same run, the same server answering `/healthz`, which touches no database: the distance between the
two is what a proposal costs. Printed are medians of the rounds; these machines are noisy, so compare within one run.

    python tests/bench/bench_propose.py [--seconds 5] [--rounds 3] [--postgresql]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.portal import Portal, Template

CLIENTS = 8
ARRANGE = """
from tests.factories import allow, make_agent
allow("mail.send")
print(make_agent()[1])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="length of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL instead of SQLite")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "template").mkdir()
        (folder / "portal").mkdir()
        template = Template(folder / "template", on_postgresql=wanted.postgresql)
        try:
            with template.copy(folder / "portal") as database:
                measure(Portal(folder / "portal", database), wanted.seconds, wanted.rounds, wanted.postgresql)
        finally:
            template.drop()


def measure(portal: Portal, seconds: float, rounds: int, on_postgresql: bool) -> None:
    key = portal.shell(ARRANGE).strip()
    numbers = itertools.count()

    def proposal() -> bytes:
        number = next(numbers)
        body = json.dumps(
            {
                "action": "mail.send",
                "payload": {"to": f"customer-{number}@example.com", "subject": "Your invoice", "body": "x" * 300},
                "summary": "Send the monthly invoice",
                "records": 1,
            }
        ).encode()
        return (
            f"POST /api/v1/intents HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            f"Idempotency-Key: bench-{number}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def health() -> bytes:
        return b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    try:
        portal.start_web(2)
        asyncio.run(load(portal.port, proposal, 201, 2))
        print(f"{CLIENTS} clients, 2 web processes, {'PostgreSQL' if on_postgresql else 'SQLite (synchronous=FULL)'}")
        print(f"{'':<24}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}")
        for name, request, status in (("GET /healthz", health, 200), ("POST /api/v1/intents", proposal, 201)):
            found = [asyncio.run(load(portal.port, request, status, seconds)) for _ in range(rounds)]
            rate, middle, slow = (statistics.median(figures) for figures in zip(*found, strict=True))
            print(f"{name:<24}{rate:>12,.0f}{middle:>10.1f}{slow:>10.1f}")
    finally:
        portal.stop()


async def load(port: int, request: Callable[[], bytes], status: int, seconds: float) -> tuple[float, float, float]:
    """Requests a second, median and 99th percentile in milliseconds, of clients that each wait for their answer."""
    took: list[float] = []
    began = time.perf_counter()
    await asyncio.gather(*[client(port, request, status, began + seconds, took) for _ in range(CLIENTS)])
    elapsed = time.perf_counter() - began
    took.sort()
    return len(took) / elapsed, took[len(took) // 2] * 1e3, took[int(len(took) * 0.99)] * 1e3


async def client(port: int, request: Callable[[], bytes], status: int, until: float, took: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while (before := time.perf_counter()) < until:
            writer.write(request())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            body = await reader.readexactly(length)
            if not head.startswith(f"http/1.1 {status}".encode()):
                raise SystemExit(f"The portal answered: {head[:80]!r} {body[:300]!r}")
            took.append(time.perf_counter() - before)
    finally:
        writer.close()


if __name__ == "__main__":
    main()
