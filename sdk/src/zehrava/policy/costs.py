"""What a policy may cost to load: its patterns and its own tests, counted in units that no clock decides.

A unit of pattern is some 20 µs of compiling, a unit of test well under 1 µs of evaluating. Both are bounded before the
work is done, so that a document made to hurt is refused as fast as any other, and the same on every machine.
"""

from __future__ import annotations

import re
from typing import Any

MAX_PATTERN_COST = 250
MAX_PATTERNS_COST = 2_000
MAX_CONDITIONS = 100_000  # characters of all conditions of a policy
MAX_CASE_COST = 300_000
MAX_CASES_COST = 1_000_000

_CLASS = re.compile(r"\\(?:\\|([wWpPD])|([dsS]))")
_REPETITION = re.compile(r"\{\s*(\d+)\s*(?:,\s*(\d*)\s*)?\}")
_MOST = re.compile(r"(?<!\\)\.|\[\^")  # every character but a few
_SCANS = re.compile(r"(?<!\bamount)(?<!\bhas)\(|\bin\b|\+")  # calls, walks, membership, joined texts
_PER_UNIT = 100
_PER_TERMS = 400  # contains_term reads a disguised text in many ways


def pattern_cost(pattern: str) -> int:
    r"""Units to compile a pattern: characters and repetitions, by what they stand for.

    ``\w`` and ``\p{L}`` stand for all alphabets and cost far more than ``[a-z]``; so do, less so, ``.`` and ``[^a]``.
    """
    repeated = 1
    for found in _REPETITION.finditer(pattern):
        repeated *= max(1, *(int(bound) if len(bound) < 9 else 10**9 for bound in found.groups() if bound))
    wide = sum(10 if found[1] else 1 if found[2] else 0 for found in _CLASS.finditer(pattern))
    beyond = sum(1 for character in pattern if character > "\x7f")
    most = len(_MOST.findall(pattern))
    plain = len(pattern) // (1 if "(?i" in pattern else 10)
    return 1 + repeated * wide + repeated * (beyond + 15 * most + plain) // _PER_UNIT


def weight(value: Any) -> int:
    """How much a value weighs on conditions that look all through it: its members, and its text by the hundred."""
    total = 0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        total += 1
        if isinstance(each, str):
            total += len(each) // _PER_UNIT
        elif isinstance(each, dict):
            waiting.extend(each.values())
            total += sum(len(key) for key in each if isinstance(key, str)) // _PER_UNIT
        elif isinstance(each, list | tuple):
            waiting.extend(each)
    return total


def condition_cost(source: str) -> tuple[int, int]:
    """Units that a condition takes: once, and per unit of weight where it may look all through a value."""
    units = 1 + len(source) // 20
    return units, (units if _SCANS.search(source) else 0) + _PER_TERMS * source.count("contains_term")
