"""A JSON value as lines that a reviewer reads: all of it, in canonical order, whatever an agent made of it.

A megabyte of JSON can hold half a million values. The HTML is put together here, line by line, since a template would
take ten seconds for it; equal neighbours in a list share a line that says how many they are, and beyond `WIDE` lines
what is short shares lines as JSON. Nothing is left out: each value can be read, and each item's number.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

from django.utils.safestring import SafeString, mark_safe

from reviews.presentation import holds_address, size_of, text
from zehrava import canonical
from zehrava.sensitive import Masked

# From this many equal neighbours on, one line shows them all: fewer are read as quickly one by one.
ALIKE = 5
# Beyond this many lines, short values share lines: as many as `TOGETHER`, each at most `SHORT` characters of JSON.
WIDE = 120_000
TOGETHER = 20
SHORT = 80
# Beyond this many levels a line says its level instead of being indented further.
INDENTED = 8
_EMPTY_NAME = '<span class="zhv-chip">empty name</span>'
_EMPTY_TEXT = '<span class="zhv-mute">empty text</span>'
# A flood of spaces is drawn as a chip, see `presentation.text`.
_SPACES = " " * 24


def tree(value: Any) -> SafeString:
    """The lines of a JSON value as a `dl`; hostile text in it is drawn as `presentation.text` draws it."""
    parts: list[str] = []
    if isinstance(value, dict | list) and value:
        _write_members(parts, value, 0, _lines(value) > WIDE)
    else:
        _write(parts, _opening(0), "(value)", value, 0, False)
    return mark_safe(f'<dl class="zhv-tree">{"".join(parts)}</dl>')


def _lines(value: Any) -> int:
    """How many lines it would take with one for each value."""
    total, stack = 0, [value]
    while stack:
        members = stack.pop()
        total += len(members)
        stack += [member for member in _values(members) if type(member) in (dict, list)]
    return total


def _values(members: Any) -> Any:
    return members.values() if isinstance(members, dict) else members


def _opening(depth: int) -> str:
    """How a line of this depth begins. The end tags of `dt` and `dd` are left to the parser, as HTML allows."""
    if depth > INDENTED:
        return f"<div class=d{INDENTED}><dt data-level={depth}>"
    return f"<div class=d{depth}><dt>" if depth else "<div><dt>"


def _write_members(parts: list[str], value: dict[str, Any] | list[Any], depth: int, dense: bool) -> None:
    opening = _opening(depth)
    if isinstance(value, list):
        _write_items(parts, opening, value, depth, dense)
        return
    # Sorted as RFC 8785 sorts: by UTF-16 code units.
    for key in sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass")):
        _write(parts, opening, _shown(key) if key else _EMPTY_NAME, value[key], depth, dense)


def _write_items(parts: list[str], opening: str, items: list[Any], depth: int, dense: bool) -> None:
    together: list[str] = []
    after = 0

    def write_together() -> None:
        if together:
            label = _numbers(after - len(together) + 1, after)
            parts.append(f"{opening}{label}<dd class=lit>{_shown(', '.join(together))}</div>")
            together.clear()

    for first, last in _runs(items, TOGETHER if dense else ALIKE):
        item = items[first - 1]
        short = _short(item) if dense and first == last else None
        if short is not None:
            together.append(short)
            after = last
            if len(together) == TOGETHER:
                write_together()
            continue
        write_together()
        note = "" if first == last else f'<span class="zhv-mute">{last - first + 1:,} items, all the same:</span> '
        _write(parts, opening, _numbers(first, last), item, depth, dense, note)
    write_together()


def _numbers(first: int, last: int) -> str:
    return f"{first:,}." if first == last else f"{first:,}–{last:,}."


def _runs(items: list[Any], least: int) -> Iterator[tuple[int, int]]:
    """The numbers, from 1, of the first and last item of each run of `least` or more equal ones; single ones else."""
    start = 0
    for place in range(1, len(items) + 1):
        if place < len(items) and _same(items[start], items[place]):
            continue
        if place - start >= least:
            yield start + 1, place
        else:
            for number in range(start + 1, place + 1):
                yield number, number
        start = place


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: to Python alone, true is 1 and 1.0 is 1; of what is masked, nobody says."""
    if isinstance(one, Masked):
        return False
    return type(one) is type(other) and one == other and (type(one) is str or repr(one) == repr(other))


def _write(parts: list[str], opening: str, label: str, value: Any, depth: int, dense: bool, note: str = "") -> None:
    """The line of one value, and below it those of its members; `note` is HTML before the value."""
    kind, below = "lit", False
    if isinstance(value, str):
        kind, shown = "", _text(value)
    elif not isinstance(value, dict | list):
        shown = _json(value)
    elif not value:
        kind, shown = "sub", "no members" if isinstance(value, dict) else "no items"
    elif dense and (short := _short(value)) is not None:
        shown = _shown(short)
    else:
        kind, shown, below = "sub", size_of(value), True
    parts.append(f"{opening}{label}<dd{kind and ' class='}{kind}>{note}{shown}</div>")
    if below:
        _write_members(parts, value, depth + 1, dense)


def _text(value: str) -> str:
    if isinstance(value, Masked):
        return text(value)
    if not value:
        return _EMPTY_TEXT
    # "true" as text is not the truth: quotes tell them apart.
    return _shown(f'"{value}"' if value.strip('"') in ("true", "false", "null") else value)


def _shown(value: str) -> str:
    """As `presentation.text`; plain ASCII hides nothing and, alone in its block, needs no isolation, only escaping."""
    if value.isascii() and value.isprintable() and _SPACES not in value and not holds_address(value):
        return html.escape(value)
    return text(value)


def _short(value: Any) -> str | None:
    """Its canonical JSON if that is short, else None; looks at no more of it than that."""
    return _json(value) if _room_left(value, SHORT) >= 0 else None


def _room_left(value: Any, room: int) -> int:
    if isinstance(value, str):
        return room - len(value) - 2
    if not isinstance(value, dict | list):
        return room - 1
    room -= 1
    if isinstance(value, dict):
        room -= sum(map(len, value)) + 3 * len(value) if len(value) <= room else room + 1
    for member in _values(value):
        if room < 0:
            break
        room = _room_left(member, room - 1)
    return room


def _json(value: Any) -> str:
    return str(value) if type(value) is int else canonical.dumps(value).decode()
