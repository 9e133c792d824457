"""Patterns of Python, rewritten: surely found is found by Python too, and what Python finds is possibly found."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zehrava.policy.conditions import Condition, Reads
from zehrava.policy.importers.cel import CannotSay, Path, matches
from zehrava.policy.importers.patterns import PYTHON, rewrite

# Beside a superscript, which is a letter to Python, a word boundary is not told: see `_boundary`.
PIECES = st.sampled_from(
    ["a", "B", "é", "ſ", "٣", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", ".", "[a-c]", r"[^\d]", r"[\w-]", r"[^\s]",
     r"[^\W]", "(?:a|b)", "x?", "x*", "x+?", "x{1,2}", "x{,2}", "B{,}", "i", "İ", "$", "^", r"\A", r"\Z", r"\.", "-"]
)  # fmt: skip
PATTERNS = st.tuples(st.sampled_from(["", "(?i)", "(?m)", "(?s)", "(?im)"]), st.lists(PIECES, max_size=5)).map(
    lambda parts: parts[0] + "".join(parts[1])
)
LETTERS = "aBbcxX1iIİı٣éſK \n\x1c\x85_-.\u2028"
TEXTS = st.text(alphabet=LETTERS + "²½", max_size=8)


def found(pattern: str, text: str) -> bool:
    condition = Condition.parse(matches(Path("payload").value, pattern).text)
    return condition.holds(Reads([condition]).environment({"payload": text})) is True


@settings(max_examples=400, deadline=None)
@given(pattern=PATTERNS, text=TEXTS)
def test_it_never_finds_more_than_is_sure_nor_less_than_is_possible(pattern: str, text: str) -> None:
    try:
        wanted = re.search(pattern, text) is not None
        sure, possible = rewrite(pattern, PYTHON, sure=True), rewrite(pattern, PYTHON, sure=False)
    except (re.error, CannotSay):
        return
    assert wanted or not found(sure, text), (sure, text)
    assert found(possible, text) or not wanted, (possible, text)


@settings(max_examples=200, deadline=None)
@given(before=PATTERNS, after=PIECES, text=st.text(alphabet=LETTERS, max_size=8))
def test_a_word_boundary_is_found_wherever_python_finds_one(before: str, after: str, text: str) -> None:
    pattern = f"{before}\\b{after}"
    try:
        wanted = re.search(pattern, text) is not None
        possible = rewrite(pattern, PYTHON, sure=False)
    except (re.error, CannotSay):
        return
    assert found(possible, text) or not wanted, (possible, text)


@pytest.mark.parametrize("pattern", [r"(?=a)", r"(a)\1", r"(?P=x)", r"\p{L}", r"a\b", "(?i:a)", "a++"])
def test_what_has_no_equal_is_refused(pattern: str) -> None:
    with pytest.raises(CannotSay):
        rewrite(pattern, PYTHON)
