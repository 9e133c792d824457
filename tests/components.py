"""What the suite needs from the machine besides Python, which of it is there, and `make test` on all of it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

POSTGRESQL = os.environ.get("ZEHRAVA_TEST_POSTGRESQL") or "postgres://postgres@127.0.0.1:5432/postgres"
REDIS = os.environ.get("ZEHRAVA_TEST_REDIS") or "redis://127.0.0.1:6379/0"


# What knows no database, or brings its own: once is enough.
WITHOUT_DATABASE = ("tests/deploy", "tests/executors", "tests/sdk", "tests/serving")


@dataclass(frozen=True)
class Component:
    """Something to install and start; tests that need it carry its marker."""

    marker: str
    name: str
    where: str
    advice: str
    found: Callable[[], bool]

    @property
    def missing(self) -> str:
        return f"{self.name} was not found {self.where}"


@cache
def postgresql_found() -> bool:
    import psycopg

    try:
        psycopg.connect(POSTGRESQL, connect_timeout=3).close()
    except psycopg.Error:
        return False
    return True


@cache
def redis_found() -> bool:
    import redis

    try:
        with redis.Redis.from_url(REDIS, socket_connect_timeout=3, socket_timeout=3) as server:
            return bool(server.ping())
    except redis.RedisError:
        return False


@cache
def chromium() -> str | None:
    """The path of the browser."""
    names = (os.environ.get("ZEHRAVA_TEST_CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


COMPONENTS = (
    Component(
        "postgresql",
        "PostgreSQL",
        f"on {urlsplit(POSTGRESQL).hostname}:{urlsplit(POSTGRESQL).port or 5432}",
        "apt-get install postgresql, start it, and name a role that may create databases in ZEHRAVA_TEST_POSTGRESQL",
        postgresql_found,
    ),
    Component(
        "redis",
        "Redis",
        f"on {urlsplit(REDIS).hostname}:{urlsplit(REDIS).port or 6379}",
        "apt-get install redis-server, then start it",
        redis_found,
    ),
    Component("browser", "Chromium", "on the PATH", "apt-get install chromium", lambda: chromium() is not None),
)


def run(arguments: list[str]) -> int:
    """Run the suite on SQLite and, where there is one, on PostgreSQL; returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="zehrava-suite-") as folder:
        report = Path(folder) / "skipped.jsonl"
        environment = {**os.environ, "ZEHRAVA_TEST_SKIPPED": str(report)}
        environment.pop("ZEHRAVA_DATABASE_URL", None)
        statuses = [_pytest("SQLite", arguments, environment)]
        if postgresql_found():
            database = urlunsplit(urlsplit(POSTGRESQL)._replace(path="/zehrava"))
            arguments = [*(f"--ignore={folder}" for folder in WITHOUT_DATABASE), *arguments]
            statuses.append(_pytest("PostgreSQL", arguments, {**environment, "ZEHRAVA_DATABASE_URL": database}))
        skipped: Counter[str] = Counter()
        if report.exists():
            for line in report.read_text().splitlines():
                skipped.update(json.loads(line))
    absent = [component for component in COMPONENTS if not component.found()]
    for component in absent:
        effect = f"{skipped[component.marker]} tests were skipped"
        if component.marker == "postgresql":
            effect += " and the others ran on SQLite only"
        print(f"{component.missing}: {effect}. {component.advice}.", flush=True)
    if absent and os.environ.get("CI") == "true":
        print("With CI=true that is a failure.", flush=True)
        statuses.append(1)
    return max(statuses)


def _order() -> list[str]:
    """Where CI runs, the random order follows from the commit: what failed there can be run again as it was."""
    if os.environ.get("CI") != "true":
        return []
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return [f"--randomly-seed={int(commit[:8], 16)}"] if commit else []


def _pytest(database: str, arguments: list[str], environment: dict[str, str]) -> int:
    print(f"== The suite on {database}", flush=True)
    spread = [] if any(argument.startswith("-n") for argument in arguments) else ["-n", "2"]
    status = subprocess.run(
        [sys.executable, "-m", "pytest", *spread, *_order(), *arguments], env=environment, check=False
    ).returncode
    # Nothing to run on this database (5) is no failure where somebody chose what to run.
    return 0 if status == 5 and arguments else status


if __name__ == "__main__":
    sys.exit(
        run(sys.argv[2:]) if sys.argv[1:2] == ["run"] else "usage: python -m tests.components run [pytest's arguments]"
    )
