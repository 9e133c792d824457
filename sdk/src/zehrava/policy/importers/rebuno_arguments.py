"""The ``arguments`` of a Rebuno rule: predicates on members of the payload.

The keys are names as they stand, dots and all. They come as a mapping of names, each of which must be there, or as a
list with ``field``, where a member that is missing passes every bound but ``required``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..strict_yaml import join
from .cel import (
    CannotSay,
    Cel,
    Path,
    amount_of,
    both,
    call,
    compare,
    contains,
    either,
    is_kind,
    is_number,
    literal,
    matches,
    negate,
    one_of,
)
from .patterns import GO, glob_test, rewrite
from .source import Source

_KNOWN = ("equals", "contains", "one_of", "regex", "pattern", "glob", "min", "max", "max_length", "required", "field")
_MOST_LENGTH = 10**9


def argument_tests(source: Source, value: Any, path: str, *, sure: bool) -> tuple[list[Cel | None], bool]:
    """A test for each argument, and whether every one could be carried over.

    Args:
        sure: whether a test must hold only where the original surely did (for a rule that allows), or also wherever it
            might have.
    """
    tests: list[Cel | None] = []
    complete = True
    for name, predicate, place, listed in _predicates(source, value, path):
        try:
            tests.append(_Predicate(source, Path("payload", (name,)), place, sure, listed).test(predicate))
        except CannotSay as error:
            source.drop(place, str(error))
            complete = False
            if not listed:
                tests.append(Path("payload", (name,)).present)
    return tests, complete


def _predicates(source: Source, value: Any, path: str) -> list[tuple[str, Any, str, bool]]:
    if isinstance(value, list):
        found = []
        for index, entry in enumerate(source.items(value, path)):
            place = join(path, index)
            predicate = source.mapping(entry, place)
            name = source.text(predicate.get("field"), f"{place}.field", most=200)
            found.append((name, predicate, place, True))
        return found
    return [
        (source.text(name, path, most=200), predicate, join(path, name), False)
        for name, predicate in source.mapping(value, path).items()
    ]


class _Predicate:
    """What one argument must be."""

    def __init__(self, source: Source, path: Path, place: str, sure: bool, listed: bool) -> None:
        self.source = source
        self.path = path
        self.value = path.value
        self.place = place
        self.sure = sure
        self.listed = listed

    def test(self, predicate: Any) -> Cel | None:
        wanted = predicate if isinstance(predicate, dict) else self._short(predicate)
        for key in wanted:
            if key not in _KNOWN:
                raise CannotSay(f"{key!r} has no equal here")
            if wanted[key] is None:
                raise CannotSay(f"{key!r} is given as nothing")
        required = "required" in wanted and self.source.boolean(wanted["required"], f"{self.place}.required")
        tests = self._texts(wanted) + self._numbers(wanted)
        if not tests and not required:
            raise self.source.refuse(self.place, "asks for nothing; name what the argument must be")
        present = self.path.present
        if required:
            present = both(present, compare(self.value, "!=", literal("")))
        held = both(*tests)
        if self.listed and not required and not self.sure and held is not None:
            return either(negate(present), held)
        return both(present, held)

    def _short(self, predicate: Any) -> dict[str, Any]:
        """A value instead of a mapping: a text is a glob, a list is what it may be."""
        if isinstance(predicate, str):
            return {"glob": predicate}
        if isinstance(predicate, list):
            return {"one_of": predicate}
        if predicate is None:
            raise CannotSay("nothing is no predicate")
        return {"equals": predicate}

    def _texts(self, wanted: dict[str, Any]) -> list[Cel]:
        """Tests that only a text can pass."""
        tests: list[Cel] = []
        plain = True
        readers: dict[str, Callable[[Any, str], Cel]] = {
            "contains": lambda value, place: contains(self.value, self.source.text(value, place)),
            "regex": self._regex,
            "pattern": self._regex,
            "glob": self._glob,
            "max_length": self._length,
        }
        for key, read in readers.items():
            if wanted.get(key) is not None:
                tests.append(read(wanted[key], f"{self.place}.{key}"))
                plain = False
        if wanted.get("equals") is not None:
            tests.append(one_of(self.value, self._equals(wanted["equals"], f"{self.place}.equals")))
        if wanted.get("one_of") is not None:
            place = f"{self.place}.one_of"
            entries = self.source.items(wanted["one_of"], place)
            if not entries:
                raise self.source.refuse(place, "is empty; list what the argument may be")
            values = [each for index, entry in enumerate(entries) for each in self._equals(entry, join(place, index))]
            tests.append(one_of(self.value, list(dict.fromkeys(values))))
        if not tests or (plain and self.sure):
            return tests
        held = both(*tests)
        assert held is not None
        if self.sure:
            guarded = both(is_kind(self.value, "string"), held)
            return [guarded] if guarded else []
        return [either(is_kind(self.value, "string", negated=True), held)]

    def _equals(self, value: Any, place: str) -> list[str]:
        """The text that a value is compared with: Rebuno compares texts."""
        if isinstance(value, bool):
            return [str(value).lower()]
        if isinstance(value, int):
            return [str(value)]
        if isinstance(value, float):
            raise CannotSay("a number with a point is written in more than one way")
        return [self.source.text(value, place)]

    def _glob(self, value: Any, place: str) -> Cel:
        """Rebuno's globs stop at slashes; a rule that asks or blocks goes further."""
        pattern = self.source.text(value, place, most=200)
        if "*" in pattern or "?" in pattern:
            outcome = "do not stand for a slash" if self.sure else "stand for slashes too, where the rule holds back"
            self.source.note(place, f"`*` and `?` {outcome}")
        return glob_test(self.path, pattern, slashes=not self.sure)

    def _regex(self, value: Any, place: str) -> Cel:
        return matches(self.value, rewrite(self.source.text(value, place, most=500), GO))

    def _length(self, value: Any, place: str) -> Cel:
        most = self.source.whole(value, place, least=0, most=_MOST_LENGTH)
        return compare(call("length", self.value), "<=", literal(most))

    def _numbers(self, wanted: dict[str, Any]) -> list[Cel]:
        """Bounds. A text of digits is a number too, except where that would allow."""
        tests: list[Cel] = []
        for key, sign in (("min", ">="), ("max", "<=")):
            if wanted.get(key) is not None:
                bound = self.source.number(wanted[key], f"{self.place}.{key}")
                tests.append(compare(amount_of(self.value), sign, amount_of(bound)))
        if tests and self.sure:
            tests.insert(0, is_number(self.value))
        return tests
