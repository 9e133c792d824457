"""Showing text that an agent or a person wrote: escaped, isolated, with everything invisible drawn visibly.

Django's `escape` deals with markup only. A right-to-left override, a zero-width space or a tag character passes
through it and makes a reviewer read something other than what will run (promise 8).
"""

from __future__ import annotations

import functools
import re
import unicodedata

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

# Drawn as nothing or as blank, although their categories are those of ordinary letters, marks and symbols.
_ALSO_HIDDEN = frozenset(
    (
        *range(0xFE00, 0xFE10),  # variation selectors
        *range(0xE0100, 0xE01F0),
        *(0x180B, 0x180C, 0x180D, 0x180F),
        0x034F,  # combining grapheme joiner
        *(0x115F, 0x1160, 0x3164, 0xFFA0),  # Hangul fillers
        *(0x17B4, 0x17B5),  # Khmer vowels without a shape
        0x2800,  # empty Braille pattern
        *(0x1D159, 0x16FE4),  # null note head, Khitan filler
    )
)
_CONTROL_NAMES = {
    0x00: "NULL",
    0x07: "BELL",
    0x08: "BACKSPACE",
    0x0B: "LINE TABULATION",
    0x0C: "FORM FEED",
    0x0D: "CARRIAGE RETURN",
    0x1B: "ESCAPE",
    0x7F: "DELETE",
    0x85: "NEXT LINE",
}
_CATEGORY_NAMES = {
    "Cc": "CONTROL CHARACTER",
    "Cs": "LONE SURROGATE",
    "Co": "PRIVATE-USE CHARACTER",
    "Cn": "UNASSIGNED CHARACTER",
}
_LINE_FEED = '<span class="zhv-mark" title="LINE FEED" aria-hidden="true">↵</span>\n'
_TAB = '<span class="zhv-mark" title="TAB" aria-hidden="true">⇥</span>\t'


def visible(text: object) -> SafeString:
    """HTML for hostile text: escaped, isolated by `<bdi>`, each hidden character a chip that names it.

    A run of one hidden character becomes one chip with its length. Line feeds and tabs are marked and kept; show
    them with `white-space: pre-wrap`. Words that mix alphabets are underlined; marks piled upon one letter, which would
    be painted over what stands around it, become one chip. Nothing is cut off.
    """
    escaped: str = escape(str(text))
    if not escaped.isascii():
        escaped = _piles().sub(_pile_chip, _mark_mixed(escaped))
    return mark_safe(f"<bdi>{_suspects().sub(_chip, escaped)}</bdi>")


def visible_lines(text: str) -> SafeString:
    """HTML for text that the server itself laid out in lines: as `visible`, without a mark at each line's end."""
    return mark_safe("\n".join(visible(line) for line in text.split("\n")))


def plainly(text: object) -> str:
    """The same for where there is no markup, such as a mail's subject: one line, hidden characters as `[U+202E]`.

    Line feeds and tabs are drawn too, and a flood of spaces becomes `[200 spaces]`: nobody forges a line of ours. What
    comes out is not escaped.
    """
    drawn = _suspects().sub(_plain_chip, _piles().sub(lambda found: f"[{len(found[0])} marks]", str(text)))
    return _SPACES.sub(lambda found: f" [{len(found[0])} spaces] ", drawn)


_SPACES = re.compile(" {24,}")


# Letters that stand in for Latin ones: Greek, Cyrillic, Armenian, Cherokee, Lisu, and the full-width forms of ASCII.
_LATIN = "A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff"
_LOOKALIKE = (
    "\u0370-\u03ff\u1f00-\u1fff\u0400-\u052f\u0531-\u058f\u13a0-\u13ff\uab70-\uabbf\ua4d0-\ua4ff"
    "\uff21-\uff3a\uff41-\uff5a"
)
_MIXED = re.compile(f"[{_LATIN}][{_LOOKALIKE}]|[{_LOOKALIKE}][{_LATIN}]")


def _mark_mixed(escaped: str) -> str:
    """Underline each word in which Latin letters stand beside some that only look like them (UTS #39, mixed script)."""
    parts, done = [], 0
    for found in _MIXED.finditer(escaped):
        if found.start() < done or not found[0].isalpha():
            continue
        start, end = found.span()
        while start > done and escaped[start - 1].isalnum():
            start -= 1
        while end < len(escaped) and escaped[end].isalnum():
            end += 1
        parts += [escaped[done:start], _MIXED_MARK, escaped[start:end], "</span>"]
        done = end
    return "".join([*parts, escaped[done:]])


_MIXED_MARK = '<span class="zhv-mixed" title="letters of more than one alphabet in one word">'


@functools.cache
def _piles() -> re.Pattern[str]:
    """More marks upon one letter than any language writes."""
    marks = [point for point in range(0x300, 0x10000) if unicodedata.category(chr(point)) in ("Mn", "Me")]
    members = "".join(f"\\u{point:04x}" for point in marks if not is_hidden(chr(point)))
    return re.compile(f"[{members}]{{5,}}")


def _pile_chip(found: re.Match[str]) -> str:
    names = " ".join(dict.fromkeys(f"U+{ord(mark):04X}" for mark in found[0]))
    return f'<span class="zhv-chip" title="{names[:200]}">{len(found[0])} marks</span>'


@functools.cache
def _suspects() -> re.Pattern[str]:
    """One or more of the same character that is hidden, or beyond the basic plane, where `_chip` looks closer.

    The hundreds of gaps beyond the basic plane would make one slow pattern; as a single range they cost nothing.
    """
    hidden = [point for point in range(0x10000) if is_hidden(chr(point))]
    members = "".join(f"\\u{point:04x}" for point in hidden)
    return re.compile(rf"([{members}\U00010000-\U0010ffff])\1*")


def is_hidden(character: str) -> bool:
    # `isprintable` is false for exactly: controls, formats (bidirectional marks, zero-width characters, tags),
    # surrogates, private use, unassigned, line and paragraph separators, and every space but the ordinary one.
    return not character.isprintable() or ord(character) in _ALSO_HIDDEN


def _chip(match: re.Match[str]) -> str:
    character, length = match[1], match.end() - match.start()
    if not is_hidden(character):
        return match[0]
    if character == "\n":
        return _LINE_FEED * length
    if character == "\t":
        return _TAB * length
    return _chip_start(character) + (f" × {length}</span>" if length > 1 else "</span>")


def _plain_chip(match: re.Match[str]) -> str:
    character, length = match[1], match.end() - match.start()
    if not is_hidden(character):
        return match[0]
    if character in _PLAIN_MARKS:
        return f" {_PLAIN_MARKS[character]} " if length == 1 else f" {_PLAIN_MARKS[character]} × {length} "
    return f"[U+{ord(character):04X}{f' × {length}' if length > 1 else ''}]"


_PLAIN_MARKS = {"\n": "↵", "\t": "⇥"}


@functools.lru_cache(maxsize=4096)
def _chip_start(character: str) -> str:
    point = ord(character)
    name = unicodedata.name(character, "") or _CONTROL_NAMES.get(point, "")
    name = name or _CATEGORY_NAMES.get(unicodedata.category(character), "HIDDEN CHARACTER")
    return f'<span class="zhv-chip" title="{name}">U+{point:04X}'
