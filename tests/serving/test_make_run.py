"""`python -m zehrava_site.serving`, which `make run` starts: it comes up, brings back what dies, and ends whole."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from tests.portal import ROOT, Portal, free_port
from zehrava_site.serving.__main__ import hold

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


class Run:
    """What `make run` starts, and what it has printed."""

    def __init__(self, folder, port):
        self.port = port
        self.log = folder / "run.log"
        self.database = folder / "zehrava.sqlite3"
        environment = Portal(folder, f"sqlite:///{self.database}").environment
        environment.pop("ZEHRAVA_BASE_URL")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "zehrava_site.serving", "--port", str(port)],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def said(self):
        return self.log.read_text()

    def until(self, condition, seconds=90):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)
        return found

    def pids(self, name):
        """The processes that supervisor has spawned under this name, oldest first."""
        return [int(pid) for pid in re.findall(rf"spawned: '{name}' with pid (\d+)", self.said())]


@pytest.fixture
def run(tmp_path):
    runs = []

    def start(port=None):
        folder = tmp_path / str(len(runs))
        folder.mkdir()
        runs.append(Run(folder, port or free_port()))
        return runs[-1]

    yield start
    for each in runs:
        with suppress(ProcessLookupError):
            each.process.kill()
        each.process.wait()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_says_where_it_is_brings_back_what_dies_and_leaves_nothing(run):
    portal = run()
    portal.until(lambda: f"answers at http://127.0.0.1:{portal.port}/admin/" in portal.said())
    # Address and password stand together, in a frame, after everything that comes up by itself.
    before, _, frame = portal.said().partition("\n+--")
    assert "Listening at" in before and "ready." in before
    assert re.search(r"answers at \S+ +\|\n\| Administrator: admin +\|\n\| Password, shown this once: \S+ +\|", frame)
    assert f"make demo PORT={portal.port}" in frame
    assert portal.database.stat().st_mode & 0o077 == 0
    for noise in ("superuser privileges", "No hostname was supplied", "[config]", "Task intents.tasks.sweep"):
        assert noise not in portal.said()
    first = {name: portal.pids(name)[0] for name in ("web", "worker", "beat")}
    for name, pid in first.items():
        os.kill(pid, signal.SIGKILL)
        portal.until(lambda name=name: len(portal.pids(name)) == 2)
    portal.until(lambda: portal.said().count("Listening at") == 2)
    portal.until(lambda: portal.said().count("ready.") == 2)
    portal.process.terminate()
    assert portal.process.wait(60) == 0
    assert portal.said().endswith("Stopped.\n")
    assert not [pid for name in first for pid in portal.pids(name) if alive(pid)]


def test_nobody_else_gets_its_port_while_its_web_server_is_down(run):
    portal = run()
    portal.until(lambda: "answers at" in portal.said())
    web = portal.pids("web")[0]
    os.kill(web, signal.SIGSTOP)  # nothing accepts now, and nothing starts another
    for pid in [int(found) for found in re.findall(r"Spawning worker-\d with PID: (\d+)", portal.said())]:
        os.kill(pid, signal.SIGKILL)
    second = run(portal.port)
    status = second.process.wait(60)
    os.kill(web, signal.SIGKILL)  # nobody else ends what stands still
    assert status == 1
    assert "Address already in use" in second.said()
    assert "database" not in second.said()


def test_no_process_outlives_it_even_when_it_is_killed(run):
    portal = run()
    portal.until(lambda: "answers at" in portal.said())
    everyone = [pid for name in ("web", "worker", "beat") for pid in portal.pids(name)]
    portal.process.kill()
    portal.until(lambda: not any(map(alive, everyone)))


def test_a_supervisor_that_can_do_nothing_ends_with_it_too(run):
    portal = run()
    portal.until(lambda: "answers at" in portal.said())
    everyone = [pid for name in ("web", "worker", "beat") for pid in portal.pids(name)]
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(portal.process.pid)], capture_output=True, check=True)
    [supervisor] = [int(pid) for pid in found.stdout.split()]
    # As where it waits for a reader of the pipe of something that it starts: it answers no signal that it may answer.
    os.kill(supervisor, signal.SIGSTOP)
    portal.process.kill()
    try:
        portal.until(lambda: not any(map(alive, [supervisor, *everyone])), seconds=20)
    finally:
        with suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGKILL)


def test_a_port_that_is_taken_is_said_before_anything_starts(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        portal = run(taken.getsockname()[1])
        assert portal.process.wait(60) == 1
    assert "Address already in use" in portal.said()
    assert "PORT=" in portal.said()
    assert "database" not in portal.said()


def test_a_held_port_is_not_had_twice_and_is_shared_with_a_web_server_that_may():
    port = free_port()
    held, _ = hold("127.0.0.1", port)
    with held:
        assert hold("127.0.0.1", port) == (None, "Address already in use")
        with socket.socket() as web:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                web.setsockopt(socket.SOL_SOCKET, option, 1)
            web.bind(("127.0.0.1", port))
            web.listen()
            # Every connection reaches the one that listens.
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", port), timeout=2):
                    web.accept()[0].close()
    # Connections that are not quite over do not keep the next portal waiting.
    again, reason = hold("127.0.0.1", port)
    assert again, reason
    again.close()
