"""Masks over parts of a payload, and over other texts that repeat them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zehrava.sensitive import LEAST, SHOWN, Hidden, Masked, leaves, mask

WORDS = st.text("abc", max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9999, 9999) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3).map(tuple)


def at(value: Any, path: tuple[str, ...]) -> list[Any]:
    """What stands at a path, and where the path can go no further: told once more, and plainly."""
    if value is None:
        return []
    if not path:
        return [value]
    if isinstance(value, list):
        below = path[1:] if path[0] == "*" else path
        return [found for item in value for found in at(item, below)]
    if isinstance(value, dict):
        names = list(value) if path[0] == "*" else [name for name in value if name == path[0]]
        return [found for name in names for found in at(value[name], path[1:])]
    return [value]


@given(VALUES, PATHS)
def test_what_a_path_leads_to_is_covered_and_all_the_rest_is_as_it_was(value, path):
    before = repr(value)
    shown, covered = mask(value, path)
    assert repr(value) == before
    assert covered == at(value, path)
    assert at(shown, path) == [SHOWN] * len(covered)
    assert all(isinstance(one, Masked) for one in at(shown, path))
    if not covered:
        assert shown == value


@given(st.sets(st.text("abcd", min_size=1, max_size=7), max_size=6), st.text("abcd", max_size=40))
def test_no_text_of_some_length_is_left_in_another(texts, said):
    read = Hidden(texts).without(said)
    assert not [text for text in texts if len(text) >= LEAST and text in read]
    if not any(text in said for text in texts if len(text) >= LEAST):
        assert read == said


def test_names_of_members_that_read_alike_are_all_there():
    read = Hidden({"alice", "bobby"}).without({"alice": 1, "bobby": 2, "carol": [{"bobby": "x"}]})
    assert sorted(read.values(), key=repr) == sorted([1, 2, [{SHOWN: "x"}]], key=repr)
    assert "alice" not in repr(read) and "bobby" not in repr(read)


@pytest.mark.parametrize("value", [1234, "12.50", 12345.5, "9"])
def test_a_figure_that_is_a_masked_value_is_masked_however_short(value):
    assert isinstance(Hidden(leaves([value])).figure(value), Masked)
    assert Hidden(leaves([value])).without(True) is True


def test_a_text_made_to_be_looked_through_for_ever_is_masked_whole_at_once():
    # Each looks like all of them for most of its length.
    texts = {"a" * 300 + format(number, "04d") for number in range(2_000)}
    read = Hidden(texts).without(["a" * 500_000, "something else"])
    assert read[0] == SHOWN


def test_one_of_many_texts_is_found_in_a_long_one():
    chance = random.Random(1)
    texts = {format(chance.getrandbits(128), "032x") for _ in range(20_000)}
    said = " ".join(format(chance.getrandbits(128), "032x") for _ in range(20_000)) + next(iter(texts))
    assert Hidden(texts).without(said).endswith(SHOWN)
