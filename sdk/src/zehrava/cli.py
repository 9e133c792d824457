"""The ``zehrava`` command, for work without the portal. Errors read ``file:line:column: path: message``."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from typing import Any

from zehrava import __version__, durations
from zehrava.canonical import StrictError, loads
from zehrava.policy import DocumentError, Policy, PolicyError, PolicySet, Verdict
from zehrava.policy.evaluation import load

_INTENT_KEYS = (
    "action", "payload", "agent", "context", "target", "tags", "records", "value", "summary", "on_behalf_of",
    "execution_mode", "policy", "now",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, or 1 where something was refused (2: wrong usage)."""
    options = _parser().parse_args(arguments)
    return int(options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="zehrava", description="The gate in front of what AI agents want to do.")
    parser.add_argument("--version", action="version", version=f"zehrava {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    policy = commands.add_parser("policy", help="check, test and explain policy documents")
    subcommands = policy.add_subparsers(required=True, metavar="COMMAND")

    lint = subcommands.add_parser("lint", help="say what is wrong with policy documents")
    lint.add_argument("files", nargs="+", metavar="FILE")
    lint.set_defaults(run=_lint)

    test = subcommands.add_parser("test", help="run the tests written in policy documents")
    test.add_argument("files", nargs="+", metavar="FILE")
    test.set_defaults(run=_test)

    explain = subcommands.add_parser("explain", help="say what policies decide about an intent, and why")
    explain.add_argument("files", nargs="+", metavar="FILE")
    explain.add_argument("--intent", required=True, metavar="INTENT.json", help="the intent, as an agent proposes it")
    explain.add_argument("--json", action="store_true", help="print nothing but JSON")
    explain.set_defaults(run=_explain)
    return parser


def _lint(options: argparse.Namespace) -> int:
    policies = _load(options.files)
    if policies is None:
        return 1
    for file, policy in zip(options.files, policies, strict=True):
        print(f"{file}: {policy.name}: {_count(len(policy.rules), 'rule')}, nothing wrong")
    return 0


def _test(options: argparse.Namespace) -> int:
    policies = _load(options.files)
    if policies is None:
        return 1
    for file, policy in zip(options.files, policies, strict=True):
        print(f"{file}: {policy.name}: {_count(len(policy.tests), 'test')} passed")
    return 0


def _explain(options: argparse.Namespace) -> int:
    policies = _load(options.files)
    intent = _read_intent(options.intent)
    if policies is None or intent is None:
        return 1
    verdict = PolicySet(policies).evaluate(**intent)
    if options.json:
        print(json.dumps({**verdict.document(), "trace": list(verdict.trace)}, indent=2, sort_keys=True))
    else:
        _print_verdict(verdict)
    return 0


def _load(files: Sequence[str]) -> list[Policy] | None:
    """The policies of all files, or None after saying what is wrong with any of them."""
    policies: list[Policy] = []
    names: dict[str, str] = {}
    wrong = False
    for file in files:
        try:
            policy = load(file)
            if policy.name in names:
                raise PolicyError(f"the name {policy.name!r} is taken by {names[policy.name]}")
        except DocumentError as error:
            _complain(file, error)
            wrong = True
        except OSError as error:
            _cannot_read(file, error)
            wrong = True
        else:
            names[policy.name] = file
            policies.append(policy)
    return None if wrong else policies


def _cannot_read(file: str, error: OSError) -> None:
    print(f"{file}: cannot be read: {error.strerror or error}", file=sys.stderr)


def _complain(file: str, error: DocumentError) -> None:
    for fault in error.errors:
        print(f"{file}:{fault.line}:{fault.column}: {fault.path or 'document'}: {fault.reason}", file=sys.stderr)


def _read_intent(file: str) -> dict[str, Any] | None:
    """The intent as keyword arguments of ``evaluate``; ``now`` is the clock's unless the file says otherwise."""
    try:
        with open(file, "rb") as opened:
            intent = loads(opened.read())
    except OSError as error:
        _cannot_read(file, error)
        return None
    except StrictError as error:
        print(f"{file}:1:1: {error.path or 'document'}: {error.reason}", file=sys.stderr)
        return None
    reason = _wrong_intent(intent)
    if reason:
        print(f"{file}:1:1: {reason}", file=sys.stderr)
        return None
    now = intent.pop("now", None)
    intent["now"] = datetime.datetime.fromisoformat(now) if now else datetime.datetime.now(datetime.UTC)
    intent["agent"] = intent.get("agent") or {}
    intent.setdefault("payload", None)
    return {key: value for key, value in intent.items() if value is not None or key == "payload"}


def _wrong_intent(intent: Any) -> str | None:
    """Why this is no intent, as ``path: reason``, or None."""
    if not isinstance(intent, dict):
        return "document: an intent is an object"
    unknown = sorted(set(intent) - set(_INTENT_KEYS))
    if unknown:
        return f"{unknown[0]}: unknown member; known: {', '.join(_INTENT_KEYS)}"
    if not isinstance(intent.get("action"), str):
        return "action: is missing: the name of the action is required"
    for key in ("agent", "context", "value"):
        if not isinstance(intent.get(key), dict | None):
            return f"{key}: must be an object"
    now = intent.get("now")
    try:
        if now is not None and datetime.datetime.fromisoformat(now).tzinfo is None:
            return "now: needs a time zone, such as 2026-01-01T12:00:00Z"
    except (TypeError, ValueError):
        return "now: must be a time such as 2026-01-01T12:00:00Z"
    return None


def _print_verdict(verdict: Verdict) -> None:
    decided = f"{verdict.policy} version {verdict.version}" if verdict.policy else "no policy"
    print(f"{verdict.effect}: {decided}, rule {verdict.rule or 'none'}")
    print(f"reason: {_plain(verdict.reason)}")
    if verdict.requirement:
        seats = ", ".join(f"{seat['count']} of {seat['group']}" for seat in verdict.requirement["all_of"])
        expiry = verdict.requirement["expires_in"]
        print(f"requires: {seats}" + (f", within {durations.text(expiry)}" if expiry else ""))
    for step in verdict.trace:
        outcome = {True: "holds", False: "does not hold"}.get(step["held"], f"error: {step['error']}")
        print(f"  {step['policy']}/{step['rule']} ({step['effect']}): {_plain(outcome)}")


def _plain(text: str) -> str:
    """Text that cannot steer the terminal: what is not printable is shown as an escape."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


if __name__ == "__main__":
    sys.exit(main())
