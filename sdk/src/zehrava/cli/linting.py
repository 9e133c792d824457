"""``zehrava policy lint``."""

from __future__ import annotations

import argparse
from typing import Any

from zehrava.policy.linting import WARNING, Finding, lint

from .output import Complaints, count, say, say_json
from .reading import read_action_types, read_policies


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "lint",
        help="say what is wrong with policy documents, and what they say without meaning it",
        description="Exit status 1 for an error or a warning, 0 where there are only notes.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "--action-types", nargs="+", action="extend", default=[], metavar="FILE", help="action types to check against"
    )
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Lint the files together."""
    complaints = Complaints(quiet=options.json)
    policies = read_policies(options.files, complaints)
    action_types = read_action_types(options.action_types, complaints)
    findings = lint([policy for _, policy in policies], action_types)
    if complaints:
        # What could not be read may be what matches an action.
        findings = [finding for finding in findings if finding.policy]
    files = {policy.name: file for file, policy in policies}
    warnings = sum(finding.level == WARNING for finding in findings)
    if options.json:
        found = [{"file": files.get(finding.policy), **finding.document()} for finding in findings]
        say_json({"errors": complaints.errors, "findings": found})
    else:
        for file, policy in policies:
            own = [finding for finding in findings if finding.policy == policy.name]
            for finding in own:
                say(f"{file}:{_text(finding)}")
            if not own:
                say(f"{file}: {policy.name}: {count(len(policy.rules), 'rule')}, nothing wrong")
        for finding in findings:
            if not finding.policy:
                say(f"{finding.level}: {finding.message}")
    return 1 if complaints or warnings else 0


def _text(finding: Finding) -> str:
    where = f"{finding.line}:{finding.column}: {finding.level}: {finding.path or 'document'}"
    return f"{where}: {finding.message} ({finding.code})"
