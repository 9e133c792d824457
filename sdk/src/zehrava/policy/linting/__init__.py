"""Lint: what a policy says without meaning it. Pure: it reads documents, and evaluates nothing but their own tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from zehrava.action_types import ActionType

from ..rules import Policy
from ..strict_yaml import read
from . import documents, tables
from .documents import Groups
from .findings import NOTE, WARNING, Finding
from .reach import Said, check, views_of
from .witnesses import check_missing
from .worlds import World

__all__ = ["NOTE", "WARNING", "Finding", "lint"]

MOST_FINDINGS = 200


def lint(
    policies: Iterable[Policy], action_types: Mapping[str, ActionType] | None = None, groups: Groups | None = None
) -> list[Finding]:
    """What is worth knowing about policies before they count.

    It is silent where it is not sure: each warning says something that is so for every intent.

    Args:
        policies: those that will be in force together.
        action_types: what is registered, by name; without it nothing is said about schemas and names of actions.
        groups: who (or how many) can approve, by group; without it nothing is said about requirements.

    Returns:
        At most ``MOST_FINDINGS`` for each policy, by policy and place; what is about none of them comes last.
    """
    policies = sorted(policies, key=lambda policy: policy.name)
    types = dict(action_types or {})
    findings: list[Finding] = []
    for policy in policies:
        findings.extend(_placed(policy, _about(policy, types, groups))[:MOST_FINDINGS])
    if left := documents.nowhere_matched(policies, types):
        message = f"no policy here matches {', '.join(left)}: what others say applies, or the site's default"
        findings.append(Finding("", "", 1, 1, NOTE, "no-policy", message))
    return findings


def _about(policy: Policy, types: Mapping[str, ActionType], groups: Groups | None) -> Iterator[Said]:
    covered = documents.covered(policy, types)
    worlds = [World(policy, each) for each in covered]
    patterns = policy.match.actions
    all_known = patterns is not None and all(pattern in types for pattern in patterns)
    views = views_of(policy)
    yield from check(policy, views, worlds, all_known=all_known)
    yield from documents.check_match(policy, types)
    yield from documents.check_trust(policy, covered)
    yield from documents.check_limits(policy, worlds, covered)
    yield from documents.check_reasons(policy, worlds)
    yield from tables.check_tables(policy, worlds, covered)
    yield from tables.check_clock(policy)
    if groups is not None:
        yield from documents.check_seats(policy, groups)
    yield from check_missing(policy, [view.node for view in views], worlds)
    yield from documents.check_tests(policy)


def _placed(policy: Policy, said: Iterable[Said]) -> list[Finding]:
    document = read(policy.text)
    findings = []
    for path, level, code, message in dict.fromkeys(said):
        if code == "unreachable" and path == "default" and "default" not in document.data:
            continue  # nobody wrote it
        fault = document.fault(path, message)
        findings.append(Finding(policy.name, path, fault.line, fault.column, level, code, message))
    return sorted(findings, key=lambda each: (each.line, each.column, each.level != WARNING, each.code, each.message))
