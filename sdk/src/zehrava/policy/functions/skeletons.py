"""Skeletons of texts: what a disguised text reads as.

A skeleton is made one character at a time, so its cost is linear and no sequence of marks can slow it down:
compatibility forms are taken apart (NFKD), marks and characters that show nothing are dropped, look-alikes become the
letters they look like, case is folded. Digits and signs that people read as letters stay what they are here; ``terms``
reads them both ways.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from .lookalikes import LOOKALIKES

EITHER = "ı"  # "i or l"
SIGNS = "@$!|+€£¥§"  # read as letters, or as what separates words
EDGE = "\0"  # between two texts: nothing is read across it

_REMEMBERED = 32_768
_INVISIBLE = (
    (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8),
    (0x2065, 0x2065), (0xE0000, 0xE0FFF),
)  # fmt: skip
_FILLERS = frozenset({0x115F, 0x1160, 0x3164, 0xFFA0})  # the letters that show nothing
_TAGS = {0xE0000 + point: chr(point) for point in range(0x20, 0x7F)}
_TAG = re.compile("[\U000e0020-\U000e007e]")
_ESCAPED = re.compile(
    r"(?<!\\)\\++(?:u\{0{0,8}([0-9a-f]{1,6})\}|u([0-9a-f]{4})|U([0-9a-f]{8})|x([0-9a-f]{2}))"
    # Browsers read a character reference without its semicolon too.
    r"|&#(?:x0{0,8}([0-9a-f]{1,6})|0{0,8}([0-9]{1,7}));?|%([2-7][0-9a-f])",
    re.IGNORECASE,
)
# What mail writes for spaces that hold together, and for characters that show nothing.
_NAMED = re.compile(r"&(nbsp|ensp|emsp|thinsp|shy|zwj|zwnj|lrm|rlm|ZeroWidthSpace|NoBreak);")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LAYOUT = re.compile(r"(?<!\\)\\++[nrtbfv]")
# Capital I written for l ("kiII", "Iawsuit"), small l written for I ("lnsult"): read as either.
_CAPITAL_I = re.compile(r"(?<=[a-z])I+|(?<![A-Za-z0-9])I+(?=[a-z])")
_SMALL_L = re.compile(r"(?<![A-Za-z0-9])l(?=[A-Zb-df-hj-km-np-tv-xz])|(?<=[A-Z])l(?=[A-Z])")


class _Fold(dict[int, str]):
    """Code point → what it reads as; worked out when first met, remembered up to a bound."""

    def __init__(self, lookalikes: dict[str, str]) -> None:
        super().__init__()
        self.lookalikes = lookalikes

    def of(self, text: str) -> str:
        """The whole text. Not ``str.translate``, which is slow where characters become several."""
        return "".join(map(self.__getitem__, map(ord, text)))

    def __missing__(self, point: int) -> str:
        character = chr(point)
        folded = self.lookalikes.get(character)
        if folded is None and unicodedata.category(character) == "Lo" and not unicodedata.decomposition(character):
            folded = "" if point in _FILLERS else character
        elif folded is None:
            folded = "".join(self._part(part) for part in unicodedata.normalize("NFKD", character))
        if len(self) >= _REMEMBERED:
            self.clear()  # rather than stop remembering: what is met often is soon back
        self[point] = folded
        return folded

    def _part(self, part: str) -> str:
        if part in self.lookalikes:
            return self.lookalikes[part]
        if part.isspace() or part == "\u2800":  # the empty Braille pattern
            return " "
        kind = unicodedata.category(part)
        if kind[0] == "M" or kind in ("Cc", "Cf") or _is_invisible(ord(part)):
            return ""
        folded = unicodedata.normalize("NFKD", part.casefold())
        return "".join(self.lookalikes.get(each, each) for each in folded if unicodedata.category(each)[0] != "M")


def _is_invisible(point: int) -> bool:
    return any(low <= point <= high for low, high in _INVISIBLE)


_DISGUISED = _Fold(LOOKALIKES)
_PLAIN = _Fold({})


def readings(text: str) -> Iterator[str]:
    """What a text may be meant to say: escapes undone, hidden letters shown. One text for nearly every text."""
    plain = _ESCAPED.sub(_unescape, text) if "\\" in text or "%" in text or "&#" in text else text
    if "&" in plain:
        plain = _NAMED.sub(lambda found: " " if found[1].endswith("sp") else "", plain)
    if _SURROGATE.search(plain):
        plain = plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    variants = [plain]
    if "\\" in plain and _LAYOUT.search(plain):
        variants.append(_LAYOUT.sub(" ", plain))
    for each in variants:
        yield each
        if _TAG.search(each):
            yield each.translate(_TAGS)


def skeleton(text: str) -> str:
    """The text with disguises folded away; only letters, digits, ``SIGNS``, spaces and other signs are left."""
    if "I" in text:
        text = _CAPITAL_I.sub(lambda found: EITHER * len(found[0]), text)
    text = _SMALL_L.sub(EITHER, text)
    return text.lower() if _is_simple(text) else _DISGUISED.of(text)


def plain_skeleton(text: str) -> str:
    """The same without look-alikes: for terms in other alphabets, whose letters are meant as they are."""
    return text.lower() if _is_simple(text) else _PLAIN.of(text)


def _is_simple(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _unescape(found: re.Match[str]) -> str:
    code_points = [group for group in found.groups() if group]
    point = int(code_points[0], 10 if found[6] else 16)
    return chr(point) if 0 < point <= 0x10FFFF else " "
