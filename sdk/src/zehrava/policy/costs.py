"""What a policy may cost to load: its patterns and its own tests, counted in units that no clock decides.

A unit of pattern is some 20 µs of compiling, a unit of test well under 1 µs of evaluating. Both are bounded before the
work is done, so that a document made to hurt is refused as fast as any other, and the same on every machine.
"""

from __future__ import annotations

import re
from typing import Any

from .tokens import ConditionError, literal_value, tokenise

MAX_PATTERN_COST = 250
MAX_PATTERNS_COST = 2_000
MAX_CONDITIONS = 100_000  # characters of all conditions of a policy
MAX_CASE_COST = 300_000
MAX_CASES_COST = 2_500_000

_CLASS = re.compile(r"\\(?:\\|([wWpPD])|([dsS]))")
_REPETITION = re.compile(r"\{\s*(\d+)\s*(?:,\s*(\d*)\s*)?\}")
_SCANS = re.compile(r"(?<!\bamount)(?<!\bhas)\(|\bin\b|\+")  # calls, walks, membership, joined texts
_PER_UNIT = 100


def pattern_cost(pattern: str) -> int:
    r"""Units to compile a pattern. ``\w`` and ``\p{L}`` stand for all alphabets and cost far more than ``[a-z]``."""
    repeated = 1
    for found in _REPETITION.finditer(pattern):
        repeated *= max(1, *(int(bound) if len(bound) < 9 else 10**9 for bound in found.groups() if bound))
    wide = sum(10 if found[1] else 1 if found[2] else 0 for found in _CLASS.finditer(pattern))
    beyond = sum(1 for character in pattern if character > "\x7f")
    return 1 + repeated * wide + repeated * beyond // _PER_UNIT


def patterns_cost(source: str) -> int:
    r"""Units for all patterns of one condition.

    Raises:
        ConditionError: when the condition is not readable, or its patterns cost more than ``MAX_PATTERN_COST``.
    """
    if "matches" not in source:
        return 0
    tokens = tokenise(source)
    cost = 0
    for index, token in enumerate(tokens[:-2]):
        literal = tokens[index + 2]
        if token.text == "matches" and literal.kind == "string":
            cost += pattern_cost(str(literal_value(literal)))
    if cost > MAX_PATTERN_COST:
        reason = r"its patterns are too costly to compile: write [A-Za-z0-9_] for \w, [0-9] for \d, or repeat them less"
        raise ConditionError(reason)
    return cost


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
    return units, units if _SCANS.search(source) else 0
