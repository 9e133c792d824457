"""The processes of `make run`, written down for supervisor."""

import getpass
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from zehrava_site.serving import lifeline

WEB_PROCESSES = 2


@dataclass(frozen=True)
class Program:
    """One process to keep alive, and the pipe by which what it prints reaches the terminal."""

    name: str
    command: list[str]
    output: Path


def programs(folder: Path, *, host: str, port: int) -> list[Program]:
    """What makes up the portal on one machine: the web server, one worker for every queue, and the schedule."""
    python = sys.executable
    tied = [python, "-m", lifeline.__name__]
    web = [
        *tied, python, "-m", "granian", "--interface", "asgi", "--host", host, "--port", str(port), "--no-ws",
        "--workers", str(WEB_PROCESSES), "--respawn-failed-workers", "--respawn-interval", "0.5",
        # Waiting agents keep a connection each; see zehrava_site.waiting for how many may.
        "--backlog", "2048", "--backpressure", "4096", "--workers-kill-timeout", "10",
        "zehrava_site.serving.web:application",
    ]  # fmt: skip
    worker = [
        # One person at a terminal, where root is root of a container or of a machine to try things on.
        *tied, python, "-W", "ignore:You're running the worker with superuser privileges",
        "-m", "celery", "--quiet", "-A", "zehrava_site.serving.worker", "worker", "--pool", "prefork",
        "--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat",
    ]  # fmt: skip
    # Not inside the worker (`worker --beat`), which works on without a scheduler that died and never brings it back.
    beat = [
        *tied, python, "-m", "celery", "--quiet", "-A", "zehrava_site", "beat", "--schedule", str(folder / "schedule"),
        "--pidfile", "", "--loglevel", "WARNING",
    ]  # fmt: skip
    commands = {"web": web, "worker": worker, "beat": beat}
    return [Program(name, command, folder / f"{name}.pipe") for name, command in commands.items()]


def write_configuration(folder: Path, processes: list[Program]) -> Path:
    """Write supervisor's configuration; it listens on nothing, and who stops it stops what it started."""
    lines = [
        "[supervisord]",
        "nodaemon=true",
        f"user={getpass.getuser()}",
        "logfile=/dev/null",
        "logfile_maxbytes=0",
        f"pidfile={_value(folder / 'supervisord.pid')}",
        f"childlogdir={_value(folder)}",
        "loglevel=info",
    ]
    for process in processes:
        lines += [
            "",
            f"[program:{process.name}]",
            f"command={_value(shlex.join(process.command))}",
            f"directory={_value(os.getcwd())}",
            "autorestart=true",
            # Started again at once and for ever: supervisor's own patience grows by a second each time, and then ends.
            "startsecs=0",
            "stopsignal=TERM",
            "stopwaitsecs=15",
            # Only the first process of the group is asked to stop: a worker lets what it is executing finish.
            "stopasgroup=false",
            "killasgroup=true",
            "redirect_stderr=true",
            f"stdout_logfile={_value(process.output)}",
            "stdout_logfile_maxbytes=0",
        ]
    path = folder / "supervisord.conf"
    path.write_text("\n".join(lines) + "\n")
    return path


def _value(text: object) -> str:
    return str(text).replace("%", "%%")
