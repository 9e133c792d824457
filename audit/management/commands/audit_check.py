"""`manage.py audit_check`: does the stored record still hold?"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audit import verification


class Command(BaseCommand):
    help = "Checks that history and ledger refuse changes, and that rows, history and events agree. Exit 1 if not."
    # The check of the triggers is part of what this reports, with the rest.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print nothing but JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        report = verification.check()
        if options["json"]:
            findings = [finding._asdict() for finding in report.findings]
            self.stdout.write(json.dumps({**report._asdict(), "ok": not findings, "findings": findings}))
        else:
            for finding in report.findings:
                self.stdout.write(f"{finding.table} {finding.row or ''}: {finding.problem}".replace(" :", ":"))
            self.stdout.write(
                f"{report.tables} append-only tables, {report.events} events, {report.history_rows} history rows, "
                f"{report.rows} governed rows: "
                + (f"{len(report.findings)} findings." if report.findings else "everything holds.")
            )
        if report.findings:
            sys.exit(1)
