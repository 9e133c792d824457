"""`make run` as a newcomer types it, in a fresh copy of the tree with nothing of the portal's in the environment.

That what dies is brought back, that nothing outlives it and that a taken port is said, `tests/serving` shows for the
module that `make run` starts; here it is make itself, the Makefile's own rules and a second start on the same data.
The copy borrows the environment of this checkout, for making one takes minutes: `.ci/run` makes it from nothing.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.docs.reader import typed_by_a_newcomer
from tests.people import Browser
from tests.portal import ROOT, free_port

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        os.environ.get("ZEHRAVA_DATABASE_URL", "").startswith("postgres"),
        reason="Without settings make run is on SQLite: the run of the suite on SQLite shows it.",
    ),
]


@pytest.fixture
def copy(tmp_path):
    """What a clone would hold, with the virtual environment of this checkout."""
    folder = tmp_path / "zehrava"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    if not (ROOT / ".venv" / ".ready").exists() or _older_than_the_pins():
        pytest.fail("The environment of this checkout is not the pinned one: run make environment.")
    for name in ("constraints.txt", "pyproject.toml", "sdk/pyproject.toml"):
        shutil.copystat(ROOT / name, folder / name)
    return folder


def _older_than_the_pins():
    pins = ("constraints.txt", "pyproject.toml", "sdk/pyproject.toml")
    return (ROOT / ".venv" / ".ready").stat().st_mtime < max((ROOT / pin).stat().st_mtime for pin in pins)


class Made:
    """`make run` in a terminal of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}"
        self.log = folder.parent / f"make-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["make", "run", f"PORT={port}"],
                cwd=folder,
                env=typed_by_a_newcomer(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text()

    def until(self, condition, seconds=120):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)
        return found

    def stop(self, number: int = signal.SIGINT) -> int:
        """What Ctrl-C does: everything in the terminal gets the signal."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        return self.process.wait(60)


@pytest.fixture
def make_run(copy):
    made = []

    def start(port):
        made.append(Made(copy, port))
        return made[-1]

    yield start
    for each in made:
        each.stop(signal.SIGTERM)
        each.stop(signal.SIGKILL)


def test_make_run_in_a_fresh_copy_serves_and_a_second_start_changes_nothing(make_run, copy):
    port = free_port()
    first = make_run(port)
    first.until(lambda: f"answers at http://127.0.0.1:{port}/admin/" in first.said())
    user = re.search(r"Administrator: (\S+)", first.said())[1]
    password = re.search(r"Password, shown this once: (\S+)", first.said())[1]
    # Neither the data nor the secrets of the portal are anybody else's to read.
    assert (copy / "var").stat().st_mode & 0o077 == 0
    assert (copy / "var" / "secret_key").stat().st_mode & 0o077 == 0
    with Browser(first.base_url, user, password) as admin:
        assert "Approval desk" in admin.page("/admin/")
        session = dict(admin.http.cookies)
    first.stop()

    second = make_run(port)
    second.until(lambda: "answers at" in second.said())
    assert "exists" in second.said() and "shown this once" not in second.said()
    # The same password, and whoever was signed in still is: keys were kept.
    with httpx.Client(base_url=second.base_url, cookies=session, timeout=30) as still_there:
        assert still_there.get("/admin/").status_code == 200
    second.until(lambda: "ready." in second.said())
    second.stop()
    second.until(lambda: not _listens(port), 30)


def test_make_run_says_that_a_port_is_taken_and_which_to_use_instead(make_run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = make_run(taken.getsockname()[1])
        assert refused.process.wait(60) != 0
    assert "Address already in use. Choose another port: make run PORT=" in refused.said()


def _listens(port):
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0
