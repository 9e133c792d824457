"""``zehrava policy test``."""

from __future__ import annotations

import argparse
from typing import Any

from zehrava.policy import PolicySet
from zehrava.policy.running import Failure
from zehrava.policy.running import run as run_cases

from .output import Complaints, complain, count, say, say_json
from .reading import read_cases, read_policies


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "test",
        help="run the tests written in policy documents, and files of cases",
        description="Exit status 1 where one fails, or there is none. Cases are run against all policies together.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--cases", nargs="+", action="extend", default=[], metavar="FILE", help="files of cases")
    parser.add_argument("--json", action="store_true", help="print nothing but JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read the policies, which runs their own tests, then run the cases."""
    complaints = Complaints(quiet=options.json)
    policies = read_policies(options.files, complaints)
    cases = read_cases(options.cases, complaints)
    if complaints:
        if options.json:
            say_json({"errors": complaints.errors, "failed": [], "passed": 0})
        return 1
    failures = run_cases(PolicySet(policy for _, policy in policies), cases)
    own = sum(len(policy.tests) for _, policy in policies)
    if options.json:
        passed = own + len(cases) - len(failures)
        say_json({"errors": [], "failed": [_document(failure) for failure in failures], "passed": passed})
        return 1 if failures or not own + len(cases) else 0
    for file, policy in policies:
        tested = f"{count(len(policy.tests), 'test')} passed" if policy.tests else "no tests"
        say(f"{file}: {policy.name}: {tested}")
    for failure in failures:
        complain(_text(failure))
    for file in dict.fromkeys(options.cases):
        of = sum(case.file == file for case in cases)
        wrong = sum(failure.case.file == file for failure in failures)
        say(f"{file}: {count(of, 'case')}, " + (f"{wrong} failed" if wrong else "all passed"))
    if not own and not cases:
        complain("nothing was tested: write tests into the documents, or give files of cases with --cases")
        return 1
    return 1 if failures else 0


def _text(failure: Failure) -> str:
    case = failure.case
    name = f" ({case.name})" if case.name else ""
    return f"{case.file}:{case.line}:{case.column}: {case.path}{name}: {failure.reason}"


def _document(failure: Failure) -> dict[str, Any]:
    case = failure.case
    return {
        "file": case.file, "path": case.path, "line": case.line, "column": case.column, "name": case.name,
        "expected": failure.expected, "said": failure.said,
    }  # fmt: skip
