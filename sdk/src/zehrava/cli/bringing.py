"""``zehrava policy import``: bring policies along from other formats."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from zehrava.policy import DocumentError

from .output import Complaints, complain, count, say_document, say_json
from .reading import read_text

DIALECTS = ("gate", "rebuno", "agt")
WITH_LOSSES = 3
"""Exit status where a document was made, and something could not be carried over."""


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "import",
        help="turn a policy of another format into one of ours",
        description="The document goes to standard output or into a new file, what could not be carried over to"
        f" standard error. Exit status {WITH_LOSSES} where that is anything, 1 where no document could be made.",
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--from", required=True, choices=DIALECTS, dest="dialect", help="the format of the file")
    parser.add_argument("--name", help="what the policy shall be called; default: the name of the file")
    parser.add_argument("--output", metavar="FILE", help="where to write it; an existing file is not touched")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Import one file."""
    from zehrava.policy import importers

    complaints = Complaints(quiet=options.json)
    try:
        make = getattr(importers, options.dialect)
        imported = make(read_text(options.file), options.name if options.name is not None else Path(options.file).stem)
    except DocumentError as error:
        complaints.refuse(options.file, error)
    except OSError as error:
        complaints.unreadable(options.file, error)
    if not complaints and options.output:
        _write(options.output, imported.document, complaints)
    if complaints:
        if options.json:
            say_json({"errors": complaints.errors})
        return 1
    if options.json:
        dropped, notes = ([_remark(each) for each in found] for found in (imported.dropped, imported.notes))
        say_json({"document": imported.document, "dropped": dropped, "notes": notes})
        return WITH_LOSSES if imported.dropped else 0
    if not options.output:
        say_document(imported.document)
    for what, remarks in (("dropped", imported.dropped), ("note", imported.notes)):
        for each in remarks:
            complain(f"{options.file}:{each.line}:{each.column}: {what}: {each.path or 'document'}: {each.reason}")
    if imported.dropped:
        many = len(imported.dropped)
        complain(f"{count(many, 'construct')} could not be carried over as {'it was' if many == 1 else 'they were'}")
    return WITH_LOSSES if imported.dropped else 0


def _write(file: str, document: str, complaints: Complaints) -> None:
    """Write a file that is not there yet."""
    try:
        with open(file, "x", encoding="utf-8") as opened:
            opened.write(document)
    except OSError as error:
        complaints.unwritable(file, error)


def _remark(remark: Any) -> dict[str, Any]:
    return {name: getattr(remark, name) for name in ("path", "line", "column", "reason")}
