"""Regular expressions and globs of others, rewritten so that our linear-time engine finds the same, or less.

JavaScript and Go read ``\\d``, ``\\w`` and ``\\b`` as ASCII, ours as Unicode; JavaScript counts a character beyond
U+FFFF twice. Only what is understood in full is rewritten; everything else is refused, never guessed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .cel import CannotSay, Cel, Path, call, compare, literal, matches

JAVASCRIPT = "JavaScript"
GO = "Go"
PYTHON = "Python"

MAX_DEPTH = 20

_META = frozenset("\\.+*?()|[]{}^$")
_META_IN_CLASS = frozenset("\\[]^-&~")
_CONTROL = {"n": "\\n", "r": "\\r", "t": "\\t", "f": "\\f", "v": "\\v"}
_DIGIT = "0-9"
_WORD = "0-9A-Za-z_"
_SPACE = {
    JAVASCRIPT: "\\t-\\r\\x20\\u00A0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000\\uFEFF",
    GO: "\\t\\n\\f\\r\\x20",
}
# Python's sets hold at least these characters, and at most those.
_PYTHON_LEAST = {"d": _DIGIT, "w": _WORD, "s": "\\t-\\r\\x20"}
_PYTHON_MOST = {"d": "\\d", "w": "\\w\\p{N}", "s": "\\s\\x1C-\\x1F"}
_LETTERS_I = "iI\u0131\u0130"  # one letter to Python where case is folded
_NEWLINES = "\\n\\r\\u2028\\u2029"
_BEYOND = "\\U00010000-\\U0010FFFF"
_FLAGS = re.compile(r"\(\?([ims]+)\)")
_NAMED = re.compile(r"\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>", re.ASCII)
_REPEAT = re.compile(r"\{([0-9]{1,4})(?:(,)([0-9]{1,4})?)?\}", re.ASCII)
_UP_TO = re.compile(r"\{,([0-9]{0,4})\}", re.ASCII)
_HEX = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|x\{([0-9A-Fa-f]{1,6})\}", re.ASCII)


class _Atom(NamedTuple):
    """A part of a pattern: its text, and what to write where it is not repeated at will; a place cannot be repeated."""

    text: str
    narrow: str | None = None
    repeats: bool = True


def rewrite(pattern: str, dialect: str, *, sure: bool = True) -> str:
    """The pattern for our engine.

    Args:
        dialect: ``JAVASCRIPT`` (without flags), ``GO`` (RE2) or ``PYTHON`` (of texts).
        sure: where the engines tell letters of the world apart differently, find no more than the other did; else no
            less. Only Python's patterns need it.

    Raises:
        CannotSay: for what has no equal: look-around, references, classes by property …
    """
    return _Rewriter(pattern, dialect, sure).rewrite()


class _Rewriter:
    """Recursive descent over one pattern, bounded in depth."""

    def __init__(self, pattern: str, dialect: str, sure: bool = True) -> None:
        self.pattern = pattern
        self.dialect = dialect
        self.sure = sure
        self.at = 0
        self.depth = 0
        self.folds = False
        self.lines = False

    def rewrite(self) -> str:
        prefix = ""
        flags = _FLAGS.match(self.pattern) if self.dialect in (GO, PYTHON) else None
        if flags:
            prefix = flags.group()
            self.folds = "i" in flags[1]
            self.lines = "m" in flags[1]
            self.at = flags.end()
        body = self._alternatives()
        if self.at < len(self.pattern):
            raise CannotSay(f"{self.pattern[self.at]!r} closes nothing in the pattern")
        return prefix + body

    def _next(self) -> str:
        return self.pattern[self.at] if self.at < len(self.pattern) else ""

    def _alternatives(self) -> str:
        parts = [self._sequence()]
        while self._next() == "|":
            self.at += 1
            parts.append(self._sequence())
        return "|".join(parts)

    def _sequence(self) -> str:
        parts = []
        while self._next() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return "".join(parts)

    def _repeated(self, atom: _Atom) -> str:
        sign = self._next()
        found = _REPEAT.match(self.pattern, self.at) if sign == "{" else None
        if self.dialect == PYTHON and (up_to := _UP_TO.match(self.pattern, self.at)):
            # From none on: to the other dialects this is plain text.
            self.pattern = f"{self.pattern[: self.at]}{{0,{up_to[1]}}}{self.pattern[up_to.end() :]}"
            found = _REPEAT.match(self.pattern, self.at)
        if sign not in ("*", "+", "?") and not found:
            return atom.narrow or atom.text
        if not atom.repeats:
            raise CannotSay("the pattern repeats a place, not a character")
        repeat = found.group() if found else sign
        self.at += len(repeat)
        if self._next() == "?":
            repeat += "?"
            self.at += 1
        if self._next() in ("*", "+", "?") or _REPEAT.match(self.pattern, self.at):
            raise CannotSay("the pattern repeats a repetition")
        endless = repeat[0] in "*+" or (found is not None and found[2] is not None and found[3] is None)
        return (atom.text if endless else atom.narrow or atom.text) + repeat

    def _atom(self) -> _Atom:
        character = self._next()
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()
        self.at += 1
        if character == "$" and self.dialect == PYTHON and not self.lines:
            return _Atom("(?:\\n?$)", repeats=False)  # also before a line end that is the last character
        if character in "^$":
            return _Atom(character, repeats=False)
        if character == ".":
            return self._wide("[^" + _NEWLINES) if self.dialect == JAVASCRIPT else _Atom(".")
        if character in "*+?":
            raise CannotSay(f"{character!r} repeats nothing in the pattern")
        return _Atom(self._literal(character))

    def _wide(self, opened: str) -> _Atom:
        """What also matches characters that JavaScript counts twice: unless it is repeated at will, leave those out."""
        if self.dialect != JAVASCRIPT:
            return _Atom(opened + "]")
        return _Atom(opened + "]", opened + _BEYOND + "]")

    def _group(self) -> _Atom:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise CannotSay(f"the pattern is nested deeper than {MAX_DEPTH}")
        named = _NAMED.match(self.pattern, self.at)
        if named:
            self.at = named.end()
        elif self.pattern.startswith("(?:", self.at):
            self.at += 3
        elif self.pattern.startswith("(?", self.at):
            raise CannotSay(
                f"{self.pattern[self.at : self.at + 4]!r} has no equal here: look-around, flags and the like"
            )
        else:
            self.at += 1
        body = self._alternatives()
        if self._next() != ")":
            raise CannotSay("a group is never closed in the pattern")
        self.at += 1
        self.depth -= 1
        return _Atom(f"(?:{body})")

    def _escape(self) -> _Atom:
        character = self.pattern[self.at + 1 : self.at + 2]
        if character in ("d", "w", "s"):
            self.at += 2
            return _Atom(f"[{self._set(character)}]")
        if character in ("D", "W", "S"):
            self.at += 2
            return self._wide("[^" + self._set(character.lower(), negated=True))
        if character == "b":
            self.at += 2
            return _Atom(self._boundary(), repeats=False)
        if self.dialect == GO and character in ("A", "z"):
            self.at += 2
            return _Atom("\\" + character, repeats=False)
        if self.dialect == PYTHON and character in ("A", "Z"):
            self.at += 2
            return _Atom("\\" + character.replace("Z", "z"), repeats=False)
        return _Atom(self._literal(self._escaped()))

    def _boundary(self) -> str:
        if self.dialect != PYTHON:
            return "(?-u:\\b)"
        if self.sure:
            raise CannotSay("\\b is told apart differently beside numerals such as a superscript")
        return "(?:\\b|(?-u:\\b))"

    def _set(self, letter: str, *, negated: bool = False) -> str:
        if self.dialect == PYTHON:
            return (_PYTHON_LEAST if self.sure != negated else _PYTHON_MOST)[letter]
        if self.folds and letter == "w":
            raise CannotSay("\\w together with (?i) means something else in the two engines")
        return {"d": _DIGIT, "w": _WORD, "s": _SPACE[self.dialect]}[letter]

    def _escaped(self) -> str:
        """The character behind a backslash, which is passed over."""
        rest = self.pattern[self.at + 1 :]
        if not rest:
            raise CannotSay("the pattern ends in a backslash")
        if rest[0] in _CONTROL:
            self.at += 2
            return {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}[rest[0]]
        code = _HEX.match(rest)
        if code and not (code[2] and self.dialect == GO) and not (code[3] and self.dialect == JAVASCRIPT):
            point = int(code[1] or code[2] or code[3], 16)
            if point < 0x110000 and not 0xD800 <= point < 0xE000:
                self.at += 1 + code.end()
                return chr(point)
        if rest[0].isalnum() or rest[0] == "_" or not rest[0].isascii():
            raise CannotSay(f"'\\{rest[0]}' has no equal here")
        self.at += 2
        return rest[0]

    def _literal(self, character: str, meta: frozenset[str] = _META) -> str:
        if ord(character) > 0xFFFF and self.dialect == JAVASCRIPT:
            raise CannotSay("a character beyond U+FFFF counts twice in JavaScript")
        if self.dialect == PYTHON and self.folds and not self.sure and character in _LETTERS_I:
            return _LETTERS_I if meta is _META_IN_CLASS else f"[{_LETTERS_I}]"
        if character in meta:
            return "\\" + character
        if character.isprintable():
            return character
        return f"\\U{ord(character):08X}"

    def _class(self) -> _Atom:
        self.at += 1
        negated = self._next() == "^"
        self.at += negated
        if self._next() == "]":
            raise CannotSay("an empty class means something else in every engine")
        parts: list[_Atom] = []
        while self._next() != "]":
            if not self._next():
                raise CannotSay("a class is never closed in the pattern")
            parts.append(self._member(negated))
        self.at += 1
        text = "".join(part.text for part in parts)
        if negated:
            return self._wide("[^" + text)
        narrow = "".join(part.narrow or part.text for part in parts)
        return _Atom(f"[{text}]", f"[{narrow}]")

    def _member(self, within_negated: bool) -> _Atom:
        """One character, set or range of a class."""
        if self.pattern.startswith("[:", self.at):
            raise CannotSay("a named class has no equal here")
        following = self.pattern[self.at + 1 : self.at + 2]
        if self._next() == "\\" and following in tuple("dswDSW"):
            self.at += 2
            if self._next() == "-" and self.pattern[self.at + 1 : self.at + 2] != "]":
                raise CannotSay("a range from a set means something else in every engine")
            inner = self._set(following.lower(), negated=following.isupper() != within_negated)
            return _Atom(inner) if following.islower() else self._wide("[^" + inner)
        first = self._single()
        if self._next() != "-" or self.pattern[self.at + 1 : self.at + 2] in ("]", ""):
            return _Atom(self._literal(first, _META_IN_CLASS))
        self.at += 1
        if self._next() == "\\" and self.pattern[self.at + 1 : self.at + 2] in tuple("dswDSW"):
            raise CannotSay("a range to a set means something else in every engine")
        last = self._single()
        if last < first:
            raise CannotSay("a range in the pattern runs backwards")
        return _Atom(f"{self._literal(first, _META_IN_CLASS)}-{self._literal(last, _META_IN_CLASS)}")

    def _single(self) -> str:
        if self._next() == "\\":
            if self.pattern[self.at + 1 : self.at + 2] == "b" and self.dialect == JAVASCRIPT:
                self.at += 2
                return "\b"
            return self._escaped()
        character = self._next()
        self.at += 1
        return character


def glob_test(path: Path, pattern: str, *, slashes: bool = True) -> Cel:
    """Whether a text matches a glob of Go: ``*`` and ``?`` stand for anything, ``[a-z]`` for one.

    The text must be one: elsewhere the condition fails.

    Args:
        slashes: whether ``*`` and ``?`` stand for slashes too. Globs of paths (``path.Match``) do not let them.

    Raises:
        CannotSay: for a glob that Go refuses too.
    """
    if not re.search(r"[?\[\]\\]", pattern):
        if "*" not in pattern:
            return compare(path.value, "==", literal(pattern))
        if slashes:
            return call("glob", path.value, literal(pattern))
    anything = "." if slashes else "[^/]"
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        end = at + 1
        if character == "*":
            parts.append(f"{anything}*")
        elif character == "?":
            parts.append(anything)
        elif character == "[":
            end = _class_end(pattern, at)
            parts.append(rewrite(pattern[at:end], GO))
        elif character == "\\":
            end = at + 2
            if end > len(pattern):
                raise CannotSay("the glob ends in a backslash")
            parts.append(_plain(pattern[at + 1]))
        else:
            parts.append(_plain(character))
        at = end
    return matches(path.value, f"^(?s:{''.join(parts)})$")


def _class_end(pattern: str, at: int) -> int:
    end = at + 1
    while end < len(pattern) and pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    inside = pattern[at + 1 : end]
    if end >= len(pattern) or re.search(r"\\[A-Za-z0-9]", inside) or "[" in inside:
        raise CannotSay("the class in the glob has no equal here")
    return end + 1


def _plain(character: str) -> str:
    return _Rewriter("", GO)._literal(character)
