"""Words in a text, also where they are disguised.

Help against clumsy evasion, and a net for what agents write without meaning harm. No list of words is a security
control: whoever wants past one, gets past it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from typing import Any

from .skeletons import EDGE, EITHER, SIGNS, plain_skeleton, readings, skeleton

MAX_TEXT = 2_000_000
MAX_TERMS = 100
MAX_TERM = 100
MAX_WORK = 400_000
# Every language has fewer in one text; a text made of more is made to be slow, for each is looked up by itself.
MAX_DIFFERENT = 8_192

_WORDS = re.compile(rf"(?:[^\W_]|[{re.escape(SIGNS)}])+")
_EDGE_SIGNS = "@!|+"
_AT_EDGES = re.compile(rf"(?<![^\W_])(?<![$€£¥§])[{_EDGE_SIGNS}]+|[{_EDGE_SIGNS}]+(?![^\W_])(?![$€£¥§])")
# Digits stuck to a word: "sue2" is the word with a number behind it.
_DIGITS_AT_EDGES = re.compile(r"(?<=[^\W\d_])[0-9]++(?![^\W_])|(?<![^\W_])[0-9]++(?=[^\W\d_])")
_SPACES = re.compile(r"\s")
_APOSTROPHES = frozenset("'’‘ʼ`")

# What digits and signs are looked up as; i and l are one there, and told apart afterwards.
_ALIKE = str.maketrans("0123456789@$!|+€£¥§i" + EITHER, "olzeasgtbgaslltelysll")
_MAY_BE = {
    "i": frozenset("i1!|" + EITHER),
    "l": frozenset("l1!|£" + EITHER),
    EITHER: frozenset("il1!|" + EITHER),
    "0": frozenset("0o"),
    "1": frozenset("1il!|" + EITHER),
}
_ALONE = frozenset("ai")  # letters that are words: "a lien" is not "alien"

# How one letter follows another in a text; of several characters between them, the strongest counts.
_NONE, _APOSTROPHE, _SIGN, _SPACE, _END = range(5)
_KIND_BYTES = bytes.maketrans(b"w'- 0", bytes(range(5)))
# Each pattern begins where a run begins and never gives back, so that long runs cost no more than short ones.
_STRONGEST = (
    (re.compile(r"(?<![-' 0])[-' ]*+0[-' 0]*+"), "0"),
    (re.compile(r"(?<![-' ])[-']*+ [-' ]*+"), " "),
    (re.compile(r"(?<![-'])(?:'*+-[-']*+|''+)"), "-"),
)

# Scripts that put no space between words: Thai, Lao, Myanmar, Khmer, Japanese and Chinese.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\U00020000-\U0003ffff]+")


class _Table(dict[int, str]):
    """What ``said`` says about each character: one character or none. Remembered up to a bound."""

    def __init__(self, said: Callable[[str], str]) -> None:
        super().__init__()
        self.said = said
        table = [said(chr(point)) for point in range(128)]
        self.ascii = "".join(character or "\0" for character in table).encode() + bytes(128)
        self.dropped = bytes(point for point in range(128) if not table[point])

    def of(self, text: str) -> str:
        """The whole text, in a tenth of the time where it is ASCII."""
        if text.isascii():
            return text.encode().translate(self.ascii, self.dropped).decode()
        return text.translate(self)

    def __missing__(self, point: int) -> str:
        said = self.said(chr(point))
        if len(self) >= 32_768:
            self.clear()
        self[point] = said
        return said


def _is_letter(character: str) -> bool:
    return character.isalnum() or character in SIGNS


def _kind(character: str) -> str:
    if _is_letter(character):
        return "w"
    if character in (EDGE, " "):
        return "0" if character == EDGE else " "
    return "'" if character in _APOSTROPHES else "-"


_LETTERS = _Table(lambda character: character if _is_letter(character) else "")
_LOOKED_UP = _Table(lambda character: character.translate(_ALIKE) if _is_letter(character) else "")
_KINDS = _Table(_kind)


def contains_term(text: Any, terms: Any) -> bool:
    """Whether one of ``terms`` stands in a text as a word, or as words, also disguised.

    Case, accents, characters that show nothing, look-alikes of other alphabets, digits and signs for letters
    (``3`` = e, ``$`` = s), escapes (``\\u0073``), digits stuck to it (``sue2``) and what is put between the letters
    (``s-u-e``, ``s u e``) do not hide it. "sue" does not stand in "issue" or "sued".

    Args:
        text: a text, or a list or map: every text and every key in it is read by itself.
        terms: 1 to ``MAX_TERMS`` texts of at most ``MAX_TERM`` characters, each with a letter or digit.

    Raises:
        ValueError: for other arguments, for more than ``MAX_TEXT`` characters or ``MAX_DIFFERENT`` different ones, and
            for a text made to have more near matches than are worth looking at.
    """
    wanted = _compiled(_listed(terms))
    joined = _joined(text)
    remembered = _short_readings if len(joined) <= _SHORT else _long_readings
    readings_of, cost, error = remembered(joined, plain=bool(wanted.plain))
    if error:
        raise ValueError(error)
    budget = _Budget(MAX_WORK - cost)
    return any(
        _stands(reading, term, budget)
        for reading in readings_of
        for term in (wanted.plain if reading.is_plain else wanted.folded)
    )


def _all_readings(text: str, *, plain: bool) -> tuple[list[_Reading], int, str]:
    """The ways to read a text, what it cost to make them, and why there are none where it was too much."""
    budget = _Budget(MAX_WORK)
    try:
        found = list(_read(text, budget, plain=plain))
    except ValueError as error:
        return [], 0, str(error)
    return found, MAX_WORK - budget.left, ""


# Rules often look for different terms in the same payload, and a trace looks once more. Of long texts few are kept.
_SHORT = 120_000
_short_readings = lru_cache(maxsize=8)(_all_readings)
_long_readings = lru_cache(maxsize=2)(_all_readings)


def check_terms(terms: Any) -> None:
    """Refuse what ``contains_term`` would refuse as its second argument.

    Raises:
        ValueError: in one sentence.
    """
    _compiled(_listed(terms))


class _Budget:
    """How much more may be looked at: hostile texts end in an error, not in waiting."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise ValueError("contains_term(): this text can be read in too many ways")


class _Term:
    """A term ready to be looked for."""

    def __init__(self, folded: str) -> None:
        words = _WORDS.findall(folded)
        self.letters = "".join(words)
        self.needle = self.letters.translate(_ALIKE)
        self.joints: set[int] = set()
        for word in words[:-1]:
            self.joints.add(max(self.joints, default=0) + len(word))
        self.exact = [
            (at, _MAY_BE.get(letter, frozenset(letter)))
            for at, letter in enumerate(self.letters)
            if letter in _MAY_BE or letter in SIGNS or (letter.isascii() and letter.isdigit())
        ]
        self.is_number = self.letters.isdigit()
        # A term that begins or ends with a sign needs no edge there, where the text has the very sign: "bob@evil.com".
        self.first_sign = self.letters[:1] if self.letters[:1] in SIGNS else ""
        self.last_sign = self.letters[-1:] if self.letters[-1:] in SIGNS else ""


class _Terms:
    """All terms of one list: as they read in disguise, and those in other alphabets as they are written."""

    def __init__(self, terms: tuple[str, ...]) -> None:
        self.folded = [_Term(skeleton(term.lower())) for term in terms]
        self.plain = [_Term(plain_skeleton(term)) for term in terms if not plain_skeleton(term).isascii()]
        if not all(any(letter.isalnum() for letter in term.letters) for term in self.folded):
            raise ValueError("a term has at least one letter or digit")


class _Reading:
    """One way to read a text: ``alike`` are its letters as they are looked up, without anything between them."""

    def __init__(self, text: str, *, is_plain: bool = False) -> None:
        self.text = text
        self.is_plain = is_plain
        self.alike = _LOOKED_UP.of(text)

    @cached_property
    def letters(self) -> str:
        """The letters as they are."""
        return _LETTERS.of(self.text)

    @cached_property
    def places(self) -> list[int]:
        """For each letter where it stands in the text."""
        return [at for at, character in enumerate(self.text) if _is_letter(character)]

    def between(self, letter: int, budget: _Budget) -> frozenset[str]:
        """The characters between a letter and the one before it; all kinds of space are one."""
        if "places" not in self.__dict__:
            budget.spend(len(self.text) // 25)
        found = self.text[self.places[letter - 1] + 1 : self.places[letter]]
        return frozenset(found if len(found) == 1 and found != "\n" else _SPACES.sub(" ", found))

    @cached_property
    def gaps(self) -> bytes:
        """For each letter what stands before it, and one more for the end."""
        kinds = _KINDS.of(self.text)
        for pattern, kind in _STRONGEST:
            if kind in kinds or kind == "-":
                kinds = pattern.sub(kind, kinds)
        for kind in "0 -'":
            kinds = kinds.replace(kind + "w", kind)
        return f"0{kinds[1 : len(self.alike)]}0".encode().translate(_KIND_BYTES)

    @cached_property
    def edges(self) -> bytes:
        """Not zero where a word may begin or end: at gaps, and beside letters of scripts that leave none."""
        if not _UNSPACED.search(self.letters):
            return self.gaps
        edges = bytearray(self.gaps)
        for found in _UNSPACED.finditer(self.letters):
            first, behind = found.span()
            edges[first : behind + 1] = bytes([_SIGN]) * (behind + 1 - first)
        return bytes(edges)


def _listed(terms: Any) -> tuple[str, ...]:
    if not isinstance(terms, list) or not 0 < len(terms) <= MAX_TERMS:
        raise ValueError(f'contains_term() takes a list of 1 to {MAX_TERMS} terms: ["sue", "wire transfer"]')
    if not all(isinstance(term, str) and 0 < len(term) <= MAX_TERM for term in terms):
        raise ValueError(f"a term is a text of 1 to {MAX_TERM} characters")
    return tuple(terms)


@lru_cache(maxsize=256)
def _compiled(terms: tuple[str, ...]) -> _Terms:
    return _Terms(terms)


def _joined(value: Any) -> str:
    """Every text in a JSON value, keys too, with edges between them."""
    if not isinstance(value, str | list | dict):
        raise ValueError("contains_term() reads a text, a list or a map")
    found: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            found.append(each.replace(EDGE, "") if EDGE in each else each)
        elif isinstance(each, dict):
            waiting.extend(each.values())
            waiting.extend(each)
        elif isinstance(each, list):
            waiting.extend(each)
    if sum(map(len, found)) > MAX_TEXT:
        raise ValueError(f"contains_term() reads at most {MAX_TEXT} characters")
    return EDGE.join(sorted(found))


def _read(text: str, budget: _Budget, *, plain: bool) -> Iterator[_Reading]:
    """The ways to read a text: signs as what separates, signs as letters, signs at the edges of words as separators,
    and where there are several signs, each of them in turn as the one that separates; with ``plain`` also without
    look-alikes."""
    for variant in readings(text):
        if not variant.isascii() and len(set(variant)) > MAX_DIFFERENT:
            raise ValueError(f"contains_term() reads texts of at most {MAX_DIFFERENT} different characters")
        folded = EDGE.join(skeleton(part) for part in variant.split(EDGE))
        # Look-ups by character are ten times as slow where a text is not ASCII.
        cost = len(folded) // (250 if folded.isascii() else 15)
        budget.spend(cost)
        if len(folded) > MAX_TEXT:
            raise ValueError(f"contains_term() reads at most {MAX_TEXT} characters")
        signs = [sign for sign in SIGNS if sign in folded]
        yield _Reading(folded.translate(dict.fromkeys(map(ord, signs), "-")) if signs else folded)
        if _DIGITS_AT_EDGES.search(folded):
            budget.spend(cost)
            yield _Reading(_DIGITS_AT_EDGES.sub("-", folded))
        if signs:
            budget.spend(2 * cost)
            yield _Reading(folded)
            if any(sign in _EDGE_SIGNS for sign in signs):
                yield _Reading(_AT_EDGES.sub(lambda found: "-" * len(found[0]), folded))
        if len(signs) > 1:
            for sign in signs:
                budget.spend(cost)
                yield _Reading(folded.replace(sign, "-"))
        if plain and not variant.isascii():
            yield _Reading(EDGE.join(plain_skeleton(part) for part in variant.split(EDGE)), is_plain=True)


def _stands(reading: _Reading, term: _Term, budget: _Budget) -> bool:
    alike, needle, length = reading.alike, term.needle, len(term.needle)
    at = alike.find(needle)
    if at < 0:
        return False
    edges = reading.edges
    while at >= 0:
        budget.spend(1)
        begins = edges[at] or (term.first_sign and reading.letters[at] == term.first_sign)
        if begins and (edges[at + length] or (term.last_sign and reading.letters[at + length - 1] == term.last_sign)):
            budget.spend(10 + length)
            if _reads_as(reading, term, at) and _holds_together(reading, term, at, budget):
                return True
        at = alike.find(needle, at + 1)
    return False


def _reads_as(reading: _Reading, term: _Term, start: int) -> bool:
    """Whether digits and signs may stand for the letters here."""
    letters = reading.letters
    if any(letters[start + at] not in allowed for at, allowed in term.exact):
        return False
    written = letters[start : start + len(term.needle)]
    # A number is a number, whatever it looks like, unless it is what the term says.
    if term.is_number or written == term.letters:
        return True
    return any(map(str.isalpha, written)) or not any(map(str.isdigit, written))


def _holds_together(reading: _Reading, term: _Term, start: int, budget: _Budget) -> bool:
    """Whether what stands between the letters of a match belongs to one word, or to a disguise of it."""
    gaps, length = reading.gaps, len(term.needle)
    inner = gaps[start + 1 : start + length]
    if not any(inner):
        return True
    if _END in inner:
        return False
    cuts = [at for at in range(1, length) if inner[at - 1] and at not in term.joints]
    if not cuts:
        return True
    if len(cuts) + len(term.joints) == length - 1 and all(inner):
        return not _goes_on(reading, start, cuts, start + length, budget)
    if all(inner[at - 1] < _SPACE for at in cuts):
        return True
    if min(gaps[start], gaps[start + length]) <= _APOSTROPHE:
        return False  # "it's hot" is not "shot"
    return all(_borders_letter(reading, start, length, at) for at in cuts if inner[at - 1] == _SPACE)


def _goes_on(reading: _Reading, start: int, cuts: list[int], end: int, budget: _Budget) -> bool:
    """Whether letters spelled one by one go on before or behind: "i s s u e" is not "sue", but "<p>s-u-e</p>" is."""
    gaps, letters = reading.gaps, reading.letters
    kind = max(gaps[start + at] for at in cuts)
    before = start > 0 and gaps[start] == kind and gaps[start - 1] and letters[start - 1] not in _ALONE
    behind = end < len(letters) and gaps[end] == kind and gaps[end + 1] and letters[end] not in _ALONE
    if not before and not behind:
        return False
    budget.spend(5)
    outside = [reading.between(at, budget) for at, beside in ((start, before), (end, behind)) if beside]
    return any(reading.between(start + at, budget) in outside for at in cuts)


def _borders_letter(reading: _Reading, start: int, length: int, cut: int) -> bool:
    """Whether the space at ``cut`` cuts off a single letter ("s ue") that is no word of its own ("a lien")."""
    gaps, letters, at = reading.gaps, reading.letters, start + cut
    before = gaps[at - 1] and letters[at - 1] not in _ALONE
    behind = gaps[at + 1] and letters[at] not in _ALONE
    return bool(before or behind)
