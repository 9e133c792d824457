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
# A range of a class; where case is folded, every character between its ends is looked up.
_RANGE = re.compile(
    r"(\\(?:[xuU](?:\{[0-9A-Fa-f]*\}|[0-9A-Fa-f]*)|.)|[^\]\\])-(\\(?:[xuU](?:\{[0-9A-Fa-f]*\}|[0-9A-Fa-f]*)|.)|[^\]\\])",
    re.DOTALL,
)
_FOLDED_PER_UNIT = 1_000
_EVERY = 200_000  # what it takes to fold nearly all characters there are, in characters of a range
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
    folded = _folded(pattern) if "(?" in pattern else 0
    return 1 + repeated * (wide + folded // _FOLDED_PER_UNIT) + repeated * (beyond + 15 * most + plain) // _PER_UNIT


def _folded(pattern: str) -> int:
    """How many characters are folded where case is: those of ranges and of sets within classes, once for each class
    around them; a class that is negated within another is all characters but a few."""
    depth, total, at = 0, 0, 0
    while at < len(pattern):
        if pattern[at] == "\\":
            total += depth * _EVERY if pattern[at + 1 : at + 2] in ("S", "D", "W", "P") else 0
            at += 2
            continue
        if pattern[at] == "[":
            total += depth * _EVERY if depth and pattern[at + 1 : at + 2] == "^" else 0
            depth += 1
        elif pattern[at] == "]":
            depth = max(0, depth - 1)
        at += 1
    deepest = max(1, pattern.count("["))
    return total + sum(_width(*found.groups()) for found in _RANGE.finditer(pattern)) * (
        deepest if "[" in re.sub(r"\\.|\[[^\[\]]*\]", "", pattern) else 1
    )


def _width(first: str, last: str) -> int:
    """How many characters a range of a class has; what is written with an escape may be any."""
    ends = [_point(first, least=True), _point(last, least=False)]
    return max(0, ends[1] - ends[0])


def _point(written: str, *, least: bool) -> int:
    if not written.startswith("\\"):
        return ord(written)
    digits = written[2:].strip("{}")
    if written[1] in "xuU" and digits and len(digits) <= 8:
        return int(digits, 16)
    return ord(written[1]) if written[1] not in "xuU" else 0 if least else 0x10FFFF


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
