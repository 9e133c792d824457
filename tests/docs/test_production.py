"""The commands of "Production" on the operators' page, on a real PostgreSQL and a real Redis."""

import os
import re
import secrets
import signal
import subprocess
import time
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from tests.components import POSTGRESQL, REDIS
from tests.docs.reader import typed_by_a_newcomer
from tests.docs.reading import commands
from tests.portal import ROOT, administer, free_port
from zehrava import Gate

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.redis,
    pytest.mark.process,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        os.environ.get("ZEHRAVA_DATABASE_URL", "").startswith("postgres"),
        reason="It makes a PostgreSQL database of its own: the run of the suite on SQLite shows it.",
    ),
]

ME = "test_the_commands_of_the_operators_page_bring_up_a_production_portal"


@pytest.fixture
def database():
    name = f"zhv_production_{secrets.token_hex(4)}"
    administer(f'CREATE DATABASE "{name}"')
    yield urlunsplit(urlsplit(POSTGRESQL)._replace(path=f"/{name}"))
    administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def start(tmp_path):
    started = []

    def run(text, environment):
        log = tmp_path / f"{len(started)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {text}"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        return process, log

    yield run
    for process in started:
        process.terminate()
    for process in started:
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(condition, process, log):
    deadline = time.monotonic() + 90
    while not (found := condition()):
        said = log.read_text(errors="replace")[-4000:]
        assert process.poll() is None and time.monotonic() < deadline, said
        time.sleep(0.1)
    return found


def exported(text, replacements):
    """The settings of the page, with this machine's places in them."""
    settings = dict(re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE))
    assert replacements.keys() <= settings.keys()
    return {**settings, **replacements}


def test_the_commands_of_the_operators_page_bring_up_a_production_portal(database, start, tmp_path):
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings, release, web, worker, beat = (
        block.text
        for block in commands("docs/operators.md")
        if block.tested_by == ("tests/docs/test_production.py", ME)
    )
    queue = {"ZEHRAVA_DATABASE_URL": database, "ZEHRAVA_BROKER_URL": urlunsplit(urlsplit(REDIS)._replace(path="/9"))}
    environment = {
        **typed_by_a_newcomer(),
        **exported(settings, queue),
        # Not ./var of the checkout that the tests run in; everything else is as the page says.
        "ZEHRAVA_DATA_DIR": str(tmp_path / "data"),
    }

    # The environment of this checkout is there already; the rest is what somebody types.
    typed = release.replace("make environment\n", "")
    assert typed != release
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", typed],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    serving, web_log = start(web.replace("--port 8000", f"--port {port}"), environment)
    working, worker_log = start(worker, environment)
    ticking, beat_log = start(beat.replace("/tmp/zehrava-schedule", str(tmp_path / "schedule")), environment)
    # The proxy in front ends TLS and says so.
    proxied = {"Host": "gate.example.com", "X-Forwarded-Proto": "https"}
    until(lambda: _answers(f"{address}/readyz", proxied), serving, web_log)
    until(lambda: "ready." in worker_log.read_text(errors="replace"), working, worker_log)
    until(lambda: "Sending due task sweep" in beat_log.read_text(errors="replace"), ticking, beat_log)
    until(lambda: "intents.tasks.sweep" in worker_log.read_text(errors="replace"), working, worker_log)

    # A name that is not the portal's gets nothing, and cookies travel by TLS only.
    assert httpx.get(f"{address}/admin/login/", headers={**proxied, "Host": "evil.example"}).status_code == 400
    login = httpx.get(f"{address}/admin/login/", headers=proxied)
    assert login.status_code == 200 and "Secure" in login.headers["set-cookie"]
    style = re.search(r'href="(/static/\S+?\.css)"', login.text)[1]
    assert httpx.get(f"{address}{style}", headers=proxied).status_code == 200

    # What is approved is carried out by the worker.
    (tmp_path / "noop.yaml").write_text("name: try.it\ntitle: Try it\nexecutor: noop\n")
    (tmp_path / "fine.yaml").write_text("name: fine\nmatch: {actions: [try.it]}\nrules: [{id: all, effect: allow}]\n")
    for command in (
        ["action_type_load", "noop.yaml"],
        ["policy_load", "fine.yaml"],
        ["agent_create", "a", "--owner", "admin"],
    ):
        arguments = [str(tmp_path / part) if part.endswith(".yaml") else part for part in command]
        made = subprocess.run(
            [str(ROOT / ".venv/bin/python"), "manage.py", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    with Gate(address, re.search(r"zhv_\S+", made)[0]) as gate:
        intent = gate.propose("try.it", {})
        assert intent.wait_finished(60).status == "succeeded"


def _answers(url, headers):
    try:
        return httpx.get(url, headers=headers, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_production_refuses_to_start_on_a_default_that_is_unsafe_there(tmp_path):
    settings = next(block.text for block in commands("docs/operators.md") if "ZEHRAVA_PRODUCTION" in block.text)
    complete = {**typed_by_a_newcomer(), **exported(settings, {}), "ZEHRAVA_DATA_DIR": str(tmp_path)}
    needed = re.findall(
        r"^\| `(ZEHRAVA_\w+)` \|.*required in production", (ROOT / "docs/operators.md").read_text(), re.M
    )
    assert len(needed) >= 5
    for missing in (None, *needed, "ZEHRAVA_BASE_URL"):
        done = subprocess.run(
            [str(ROOT / ".venv/bin/python"), "-c", "from zehrava_site import settings"],
            cwd=ROOT,
            env={name: value for name, value in complete.items() if name != missing},
            capture_output=True,
            text=True,
            check=False,
        )
        if missing is None:
            assert done.returncode == 0, done.stderr
        else:
            assert done.returncode != 0 and missing in done.stderr, missing
