"""Many processes that do the same thing to one portal's database at the same moment."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.portal import ROOT, Portal

# Forked after Django is loaded and before anything is connected: real processes, and only one of them has to start.
_RUNNER = """
import json, multiprocessing, sys
import django
django.setup()
preparation, _, race = sys.argv[1].partition("# GO")
size = int(sys.argv[2])
processes = multiprocessing.get_context("fork")
start, results = processes.Barrier(size, timeout=60), processes.Queue()

def take_part(number):
    scope = {"number": number}
    try:
        exec(preparation, scope)
        start.wait()
        exec(race, scope)
        results.put([number, scope["said"], None])
    except BaseException as error:
        start.abort()
        results.put([number, None, repr(error)])

crowd = [processes.Process(target=take_part, args=[number]) for number in range(size)]
for process in crowd:
    process.start()
found = sorted(results.get(timeout=float(sys.argv[3])) for _ in crowd)
for process in crowd:
    process.join()
if failed := [error for _, _, error in found if error]:
    sys.exit("\\n".join(failed))
print(json.dumps([said for _, said, _ in found]))
"""


def at_once(portal: Portal, code: str, *, processes: int = 6, patience: float = 100) -> list[Any]:
    """Run Python in that many processes and return what each left in `said`.

    What stands before the line `# GO` is preparation; what follows begins in all of them together. `number` tells the
    processes apart, from 0; `patience` is how many seconds they may take. Raises AssertionError with what they said
    where one of them failed.
    """
    done = subprocess.run(
        [sys.executable, "-c", _RUNNER, code, str(processes), str(patience)],
        cwd=ROOT,
        env=portal.environment,
        capture_output=True,
        text=True,
        timeout=patience + 15,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
