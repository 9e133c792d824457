"""A real portal for tests that need one: a web server, workers, a database, all its own and all gone afterwards."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.components import POSTGRESQL

ROOT = Path(__file__).resolve().parent.parent
ADMIN = "admin"
ADMIN_PASSWORD = "correct-horse-battery-staple"
PATIENCE = 60.0  # seconds for a process to come up


class Portal:
    """A portal's processes and data.

    Attributes:
        base_url: where it answers, without a trailing slash.
        data_dir: its files.
        admin, password: its administrator.
        environment: what its processes are started with.
    """

    admin = ADMIN
    password = ADMIN_PASSWORD

    def __init__(
        self, data_dir: Path, database_url: str, broker_url: str = "filesystem://", **environment: str
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ZEHRAVA_", "DJANGO_"))}
        self.environment = {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "zehrava_site.settings",
            "PYTHONUNBUFFERED": "1",
            "ZEHRAVA_DATA_DIR": str(data_dir),
            "ZEHRAVA_DATABASE_URL": database_url,
            "ZEHRAVA_BROKER_URL": broker_url,
            "ZEHRAVA_BASE_URL": self.base_url,
            **environment,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def manage(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a management command and return what it printed; raises AssertionError with all of it where it failed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"manage.py {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def manage_json(self, *arguments: str) -> Any:
        """The same for a command's `--json`."""
        return json.loads(self.manage(*arguments, "--json"))

    def shell(self, code: str) -> str:
        """Run Python in the portal's own environment and return what it printed."""
        return self.manage("shell", "--no-imports", "--command", code)

    def start_web(self, processes: int = 1) -> None:
        """Serve, and return when it answers."""
        self._start(
            "web", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(self.port), "--no-ws",
            "--workers", str(processes), "--backlog", "2048", "--backpressure", "4096", "--workers-kill-timeout", "5",
            "zehrava_site.serving.web:application",
        )  # fmt: skip
        self.wait_until(self.answers, "web")

    def start_worker(self, name: str = "worker", *, beat: bool = True) -> None:
        """Start a Celery worker, and return when it takes tasks."""
        schedule = ["--beat", "--schedule", str(self.data_dir / f"{name}.schedule")] if beat else []
        self._start(
            name, "celery", "-A", "zehrava_site.serving.worker", "worker", *schedule, "--pool", "prefork",
            "--loglevel", "INFO", "--hostname", f"{name}@test", "--without-gossip", "--without-mingle",
            "--without-heartbeat",
        )  # fmt: skip
        self.wait_until(lambda: b"ready." in self.log(name), name)

    def log(self, name: str) -> bytes:
        """What a process has printed so far."""
        return (self.data_dir / f"{name}.log").read_bytes()

    def answers(self) -> bool:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"{self.base_url}/healthz", timeout=5
            ) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def wait_until(self, condition: Any, name: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            process = self.processes[name]
            said = self.log(name).decode(errors="replace")[-5000:]
            assert process.poll() is None, f"{name} ended with status {process.returncode}:\n{said}"
            assert time.monotonic() < deadline, f"{name} is not up after {PATIENCE:g} seconds:\n{said}"
            time.sleep(0.05)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End one process and its children the hard way."""
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        process.wait()

    def stop(self) -> None:
        """End every process; what will not end is killed."""
        for process in self.processes.values():
            process.terminate()
        for name, process in list(self.processes.items()):
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            self.kill(name)

    def _start(self, name: str, *command: str) -> None:
        with (self.data_dir / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "zehrava_site.serving.lifeline", sys.executable, "-m", *command],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


class Template:
    """A migrated and bootstrapped database, made once and copied for each portal."""

    def __init__(self, folder: Path, *, on_postgresql: bool) -> None:
        self.folder = folder
        self.on_postgresql = on_postgresql
        self.name = f"zhv_template_{secrets.token_hex(4)}"
        if on_postgresql:
            administer(f'CREATE DATABASE "{self.name}"')
        portal = Portal(folder, self._url(self.name, folder))
        portal.environment |= {"DJANGO_SUPERUSER_USERNAME": ADMIN, "DJANGO_SUPERUSER_PASSWORD": ADMIN_PASSWORD}
        try:
            portal.manage("migrate", "--verbosity", "0")
            portal.manage("bootstrap")
        except BaseException:
            self.drop()
            raise

    def _url(self, name: str, folder: Path) -> str:
        if self.on_postgresql:
            return urlunsplit(urlsplit(POSTGRESQL)._replace(path=f"/{name}"))
        return f"sqlite:///{folder / 'zehrava.sqlite3'}"

    @contextmanager
    def copy(self, folder: Path) -> Iterator[str]:
        """A database of one's own; yields its URL and drops it afterwards. The keys that it knows come along."""
        shutil.copytree(self.folder / "signing_keys", folder / "signing_keys")
        name = f"zhv_{secrets.token_hex(6)}"
        if not self.on_postgresql:
            shutil.copy(self.folder / "zehrava.sqlite3", folder / "zehrava.sqlite3")
            yield self._url(name, folder)
            return
        administer(f'CREATE DATABASE "{name}" TEMPLATE "{self.name}"')
        try:
            yield self._url(name, folder)
        finally:
            administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def drop(self) -> None:
        if self.on_postgresql:
            administer(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


def administer(statement: str) -> None:
    """Run one statement on the PostgreSQL server itself."""
    import psycopg

    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def free_port() -> int:
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        return int(attempt.getsockname()[1])
