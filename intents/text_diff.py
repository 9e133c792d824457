"""What differs between two texts, line by line and word by word, in a time that no text can stretch.

Lines that are unique in both texts anchor the comparison (patience diff, B. Cohen); what lies between the anchors is
compared by `difflib`, within a budget. Past the budget a stretch counts as replaced whole: coarse, never wrong.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Literal

CONTEXT = 3
# Unchanged lines in sight between two changes stay so: folding fewer would save nothing.
FOLDED_FROM = 4
# Unchanged lines beyond this are counted and not repeated: the version's own page has them.
UNFOLDED_TO = 3_000
# Products of lengths, which is what difflib takes at its worst.
LINES_BUDGET = 400_000
WORDS_BUDGET = 200_000
WORDS_EACH = 6_000

Mark = Literal["same", "removed", "added"]
Part = tuple[str, bool]
"""Text, and whether it is what changed in its line."""
Block = tuple[int, int, int, int]
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Line:
    """One line; its numbers in the two texts count from 1 and are None where it does not stand."""

    mark: Mark
    old: int | None
    new: int | None
    parts: tuple[Part, ...]

    @property
    def sign(self) -> str:
        return {"same": " ", "removed": "−", "added": "+"}[self.mark]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring lines; `folded` ones are unchanged and far from any change; `hidden` of them are only counted."""

    lines: tuple[Line, ...]
    folded: bool = False
    hidden: int = 0

    @property
    def count(self) -> int:
        return len(self.lines) + self.hidden


@dataclass(frozen=True, slots=True)
class Diff:
    stretches: tuple[Stretch, ...]
    added: int
    removed: int

    @property
    def same(self) -> bool:
        return not self.added and not self.removed


@dataclass(slots=True)
class _Budget:
    lines: int = LINES_BUDGET
    words: int = field(default=WORDS_BUDGET)


def count(old: str, new: str) -> tuple[int, int]:
    """How many lines were added and removed."""
    before, after = _lines(old), _lines(new)
    equal = sum(i2 - i1 for i1, i2, _, _ in _equal_blocks(before, after, _Budget()))
    return len(after) - equal, len(before) - equal


def diff(old: str, new: str) -> Diff:
    """The difference, ready to be shown."""
    before, after, budget = _lines(old), _lines(new), _Budget()
    stretches: list[Stretch] = []
    added = removed = i = j = 0
    blocks = [*_equal_blocks(before, after, budget), (len(before), len(before), len(after), len(after))]
    for number, (i1, i2, j1, j2) in enumerate(blocks):
        changed = tuple(_changed(before[i:i1], after[j:j1], i, j, budget))
        removed, added = removed + i1 - i, added + j1 - j
        if changed:
            stretches.append(Stretch(changed))
        first, last = not number and not changed, number == len(blocks) - 2 and (i2, j2) == (len(before), len(after))
        stretches.extend(_unchanged(before, i1, i2, j1, at_start=first, at_end=last))
        i, j = i2, j2
    return Diff(tuple(stretches), added, removed)


def _lines(text: str) -> list[str]:
    # Not splitlines, which also parts at characters that a reader should see; a text that ends in a line feed has
    # no last line.
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def words(old: str, new: str) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Both texts in parts, those marked that differ; nothing is marked where little is left in common."""
    return _words(old, new, _Budget())


# --- which lines are equal -----------------------------------------------------------------------------------------


def _equal_blocks(before: Sequence[str], after: Sequence[str], budget: _Budget) -> list[Block]:
    """Stretches that are equal in both, in order, neighbours joined: (i1, i2, j1, j2)."""
    joined: list[Block] = []
    for i1, i2, j1, j2 in _matches(before, after, budget):
        if joined and joined[-1][1] == i1 and joined[-1][3] == j1:
            joined[-1] = (joined[-1][0], i2, joined[-1][2], j2)
        else:
            joined.append((i1, i2, j1, j2))
    return joined


def _matches(before: Sequence[str], after: Sequence[str], budget: _Budget) -> Iterator[Block]:
    # A stack and no recursion: how deep it goes is up to who wrote the texts.
    waiting: list[tuple[bool, Block]] = [(False, (0, len(before), 0, len(after)))]
    while waiting:
        equal, (i1, i2, j1, j2) = waiting.pop()
        if equal:
            yield i1, i2, j1, j2
            continue
        head = 0
        while i1 + head < i2 and j1 + head < j2 and before[i1 + head] == after[j1 + head]:
            head += 1
        tail = 0
        while i2 - tail > i1 + head and j2 - tail > j1 + head and before[i2 - tail - 1] == after[j2 - tail - 1]:
            tail += 1
        if head:
            yield i1, i1 + head, j1, j1 + head
        if tail:
            waiting.append((True, (i2 - tail, i2, j2 - tail, j2)))
        waiting.extend(reversed(list(_within(before, after, (i1 + head, i2 - tail, j1 + head, j2 - tail), budget))))


def _within(before: Sequence[str], after: Sequence[str], block: Block, budget: _Budget) -> Iterator[tuple[bool, Block]]:
    """What lies between equal heads and tails: parts that are equal, and parts to look into again."""
    i1, i2, j1, j2 = block
    if i1 == i2 or j1 == j2:
        return
    anchors = _anchors(before, after, block)
    if anchors:
        for i, j in anchors:
            yield False, (i1, i, j1, j)
            yield True, (i, i + 1, j, j + 1)
            i1, j1 = i + 1, j + 1
        yield False, (i1, i2, j1, j2)
        return
    cost = (i2 - i1) * (j2 - j1)
    if cost > budget.lines:
        return
    budget.lines -= cost
    matcher = SequenceMatcher(None, before[i1:i2], after[j1:j2], autojunk=False)
    for i, j, size in matcher.get_matching_blocks():
        if size:
            yield True, (i1 + i, i1 + i + size, j1 + j, j1 + j + size)


def _anchors(before: Sequence[str], after: Sequence[str], block: Block) -> list[tuple[int, int]]:
    """Lines that stand once in each, the longest run of them that keeps its order."""
    i1, i2, j1, j2 = block
    once_before, once_after = Counter(before[i1:i2]), Counter(after[j1:j2])
    where = {after[j]: j for j in range(j1, j2) if once_after[after[j]] == 1}
    pairs = [(i, where[before[i]]) for i in range(i1, i2) if once_before[before[i]] == 1 and before[i] in where]
    return [pairs[index] for index in sorted(longest_run([j for _, j in pairs]))]


def longest_run(numbers: Sequence[int]) -> set[int]:
    """The indexes of a longest rising run of different numbers: what kept its order while the rest moved."""
    ends: list[int] = []
    last: list[int] = []
    previous: list[int] = []
    for index, number in enumerate(numbers):
        place = bisect_left(ends, number)
        previous.append(last[place - 1] if place else -1)
        ends[place : place + 1], last[place : place + 1] = [number], [index]
    run: set[int] = set()
    index = last[-1] if last else -1
    while index >= 0:
        run.add(index)
        index = previous[index]
    return run


# --- what is shown -------------------------------------------------------------------------------------------------


def _changed(old: Sequence[str], new: Sequence[str], i: int, j: int, budget: _Budget) -> Iterator[Line]:
    """Removed lines, then those that came in their place; words are marked where as many came as went."""
    pairs = [_words(a, b, budget) for a, b in zip(old, new, strict=True)] if len(old) == len(new) else None
    for number, line in enumerate(old):
        yield Line("removed", i + number + 1, None, pairs[number][0] if pairs else ((line, False),))
    for number, line in enumerate(new):
        yield Line("added", None, j + number + 1, pairs[number][1] if pairs else ((line, False),))


def _words(old: str, new: str, budget: _Budget) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    cost = len(before) * len(after)
    if cost > min(WORDS_EACH, budget.words):
        return ((old, False),), ((new, False),)
    budget.words -= cost
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if not before or not after or matcher.ratio() < 0.4:
        # Two lines that have little in common: marking nearly every word would say less than none.
        return ((old, False),), ((new, False),)
    removed: list[Part] = []
    added: list[Part] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        removed.append(("".join(before[i1:i2]), tag != "equal"))
        added.append(("".join(after[j1:j2]), tag != "equal"))
    return tuple(part for part in removed if part[0]), tuple(part for part in added if part[0])


def _unchanged(before: Sequence[str], i1: int, i2: int, j1: int, *, at_start: bool, at_end: bool) -> Iterator[Stretch]:
    lines = tuple(
        Line("same", i + 1, j1 + i - i1 + 1, ((before[i], False),)) for i in range(i1, min(i2, i1 + UNFOLDED_TO))
    )
    head, tail = (0 if at_start else CONTEXT), (0 if at_end else CONTEXT)
    if i2 - i1 < head + tail + FOLDED_FROM:
        if lines:
            yield Stretch(lines)
        return
    if head:
        yield Stretch(lines[:head])
    end = i2 - tail
    hidden = max(0, end - (i1 + len(lines)))
    yield Stretch(lines[head : end - i1], folded=True, hidden=hidden)
    if tail:
        yield Stretch(tuple(Line("same", i + 1, j1 + i - i1 + 1, ((before[i], False),)) for i in range(end, i2)))
