"""The ``zehrava`` command, for work without the portal.

Exit status: 0, 1 where something was refused or found wrong, 2 for wrong usage; ``policy import`` also 3.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from zehrava import __version__

from . import bringing, explaining, linting, testing
from .output import complain


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character is no reason to fail
    options = _parser().parse_args(arguments)
    try:
        status = int(options.run(options))
        if sys.stdout is not None:  # as it is where nothing was opened for it
            sys.stdout.flush()
    except OSError as error:
        # What Python still holds is not tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # whoever closed a pipe has seen enough
            complain(f"zehrava: the output cannot be written: {error.strerror or error}")
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zehrava", description="The gate in front of what AI agents want to do.")
    parser.add_argument("--version", action="version", version=f"zehrava {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    policy = commands.add_parser("policy", help="check, test, explain and import policy documents")
    subcommands = policy.add_subparsers(required=True, metavar="COMMAND")
    for command in (linting, testing, explaining, bringing):
        command.add_to(subcommands)
    return parser
