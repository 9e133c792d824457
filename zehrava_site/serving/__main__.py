"""`make run`: prepare the data, start the processes, say where the portal is, and keep it up until told to stop."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

from zehrava_site.serving.lifeline import end_with_parent
from zehrava_site.serving.supervision import Program, programs, write_configuration

PATIENCE = 60.0  # seconds until the first answer
STOPPING = 25.0  # seconds until what will not stop is killed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m zehrava_site.serving", description=__doc__)
    parser.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
    parser.add_argument("--port", type=int, default=os.environ.get("PORT") or 8000)
    wanted = parser.parse_args()
    # What the portal writes, its database first, is nobody else's to read.
    os.umask(0o077)
    address = f"http://{f'[{wanted.host}]' if ':' in wanted.host else wanted.host}:{wanted.port}"

    held, reason = hold(wanted.host, wanted.port)
    if held is None:
        say(f"Cannot serve on {wanted.host}:{wanted.port}: {reason}. Choose another port: make run PORT=8010")
        return 1
    os.environ.setdefault("ZEHRAVA_BASE_URL", address)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zehrava_site.settings")
    account = prepare()
    if account is None:
        return 1

    from django.conf import settings

    folder = Path(settings.DATA_DIR) / "run" / str(wanted.port)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    say("Starting the web server, the worker and the scheduler ...")
    demo = "make demo" if wanted.port == 8000 else f"make demo PORT={wanted.port}"
    notice = [
        f"Zehrava answers at {address}/admin/",
        *account,
        f"Something to look at, from a second terminal: {demo}",
        "Ctrl-C stops it.",
    ]
    portal = Portal(folder, programs(folder, host=wanted.host, port=wanted.port), address, notice)
    status = portal.run()
    if not portal.announced:
        # A password is kept nowhere: whoever stops it early has it all the same.
        say("\n".join(account))
    return status


class Portal:
    """Supervisor, what it prints, and how it ends; `notice` is said when the web server and the worker are up."""

    def __init__(self, folder: Path, processes: list[Program], address: str, notice: list[str]) -> None:
        self.processes = processes
        self.address = address
        self.configuration = write_configuration(folder, processes)
        self.notice = notice
        self.announced = False
        self.stopping = threading.Event()
        self.working = threading.Event()

    def run(self) -> int:
        """Keep supervisor running until SIGINT, SIGTERM or SIGHUP; returns the exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        for process in self.processes:
            _follow(process, self._heard if process.name == "worker" else None)
        threading.Thread(target=self._announce, daemon=True).start()
        while not self.stopping.is_set():
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(self.configuration)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                # Not asked to end: it may wait for somebody to read a pipe that only we read, and then never would.
                preexec_fn=end_with_parent,
            )
            assert supervisor.stdout is not None
            threading.Thread(target=_print, args=("run", supervisor.stdout), daemon=True).start()
            while supervisor.poll() is None and not self.stopping.wait(0.2):
                pass
            if self.stopping.is_set():
                _end(supervisor)
            else:
                say("The supervisor died; starting it again.")
                self.stopping.wait(1.0)
        say("Stopped.")
        return 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping.set()

    def _announce(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self.stopping.wait(0.2):
            if self.working.is_set() and answers(f"{self.address}/healthz"):
                self.announced = True
                say(framed(self.notice))
                return
            if time.monotonic() > deadline:
                what = f"{self.address}/healthz has not answered" if self.working.is_set() else "No worker was ready"
                say(f"{what} within {PATIENCE:g} seconds: the lines above say why.")
                deadline = float("inf")

    def _heard(self, line: str) -> None:
        # The last that Celery's worker says before it takes work.
        if line.rstrip().endswith(" ready."):
            self.working.set()


def prepare() -> list[str] | None:
    """Bring the database up to date and make what every installation needs.

    Returns what to tell of the administrator; None where something failed and said why.
    """
    said = ""
    for text, command in (
        ("Preparing the database ...", ["migrate", "--verbosity", "0"]),
        ("Preparing groups, keys and the first administrator ...", ["bootstrap"]),
    ):
        say(text)
        typed = [sys.executable, "manage.py", *command]
        done = subprocess.run(typed, check=False, stdout=subprocess.PIPE, text=True)
        said = done.stdout
        if done.returncode:
            say(f"{said}This failed: manage.py {' '.join(command)}")
            return None
    return said.splitlines()


def framed(lines: list[str]) -> str:
    """The lines in a frame, so that they are found among what the processes print."""
    width = max(map(len, lines))
    edge = f"+{'-' * (width + 2)}+"
    return "\n".join(["", edge, *(f"| {line:{width}} |" for line in lines), edge, ""])


def hold(host: str, port: int) -> tuple[socket.socket | None, str]:
    """A socket that keeps everybody but our own web server from this port, or None and why it cannot be had.

    It never listens. The web server shares the port with it, also after it was started again; a second portal, which
    would share it just as well and answer every other request, does not get this far.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(where)
        held = socket.socket(family, kind, protocol)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(where)
    except (OSError, OverflowError) as error:
        return None, getattr(error, "strerror", None) or str(error)
    return held, ""


def answers(url: str) -> bool:
    """Whether a GET is answered with a success; never by way of a proxy."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            return 200 <= answer.status < 300
    except OSError:
        return False


def say(text: str) -> None:
    print(text, flush=True)


def _follow(process: Program, heard: Callable[[str], None] | None = None) -> None:
    """Print what a process prints. The pipe has a name, since supervisor closes those it inherits."""
    process.output.unlink(missing_ok=True)
    os.mkfifo(process.output, 0o600)
    # Open for writing too, so that it never ends while the process is started again.
    pipe = os.fdopen(os.open(process.output, os.O_RDWR), "r", encoding="utf-8", errors="replace")
    threading.Thread(target=_print, args=(process.name, pipe, heard), daemon=True).start()


def _print(name: str, lines: Iterable[str], heard: Callable[[str], None] | None = None) -> None:
    for line in lines:
        if heard:
            heard(line)
        sys.stdout.write(f"{name:>6} | {line}")
        sys.stdout.flush()


def _end(supervisor: "subprocess.Popen[str]") -> None:
    supervisor.terminate()
    try:
        supervisor.wait(STOPPING)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()


if __name__ == "__main__":
    sys.exit(main())
