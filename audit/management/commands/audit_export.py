"""`manage.py audit_export`: write events or history to a file."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import exports, filters
from audit.actors import Actor
from audit.models import Door
from zehrava.problems import Problem


class Command(BaseCommand):
    help = "Exports events or history to a file; its ending says how: .ndjson or .csv."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", required=True, type=Path, metavar="FILE", help="FILE.ndjson or FILE.csv")
        parser.add_argument("--dataset", default="events", help="events, contents or history/<model> (default: events)")
        for name in filters.PARAMETERS:
            parser.add_argument(f"--{name}", dest=f"filter_{name}", default=None)
        parser.add_argument("--json", action="store_true", help="print nothing but JSON")

    def handle(self, *args: Any, output: Path, dataset: str, **options: Any) -> None:
        format = output.suffix.removeprefix(".")
        if format not in exports.FORMATS:
            raise CommandError(f"Cannot export as {output.suffix or 'a file without ending'}: use .ndjson or .csv.")
        if not output.parent.is_dir():
            raise CommandError(f"There is no folder {output.parent}.")
        given = {name: options[f"filter_{name}"] for name in filters.PARAMETERS}
        try:
            export = exports.begin(dataset, format, given, by=Actor.system("audit_export"), door=Door.COMMAND)
        except Problem as problem:
            raise CommandError(problem.detail) from problem
        for name in ("agent", "reviewer"):
            # A name that is mistyped looks like somebody who did nothing.
            if given[name] and not filters.events(filters.Filters.parse({name: given[name]})).exists():
                self.stderr.write(f"No event names the {name} {given[name]!r}: see that the name is right.")
        _write(export, output)
        result = {"output": str(output), "dataset": dataset, **export.run.outcome()}
        if options["json"]:
            self.stdout.write(json.dumps(result))
        else:
            self.stdout.write(f"Wrote {result['rows']} rows of {dataset} to {output} ({result['sha256']}).")


def _write(export: exports.Export, output: Path) -> None:
    """Write to a file beside it first: a file of that name is a whole export or none. Only its owner can read it."""
    handle, draft = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in export:
                file.write(piece)
        os.replace(draft, output)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
