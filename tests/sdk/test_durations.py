"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zehrava import durations

pytestmark = pytest.mark.sdk


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("365d", 31_536_000)]
)
def test_a_duration_is_read_in_seconds(text, seconds):
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "0s", "15", "m", "-1m", "1.5h", "1w", "15M", " 15m", "15m ", "15m\n", "015m", "366d", "9" * 5000 + "s", "١m"],
)
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r'"15m"|"365d"'):
        durations.parse(text)


@pytest.mark.parametrize("given_value", [None, 15, True, b"15m", 1.5])
def test_only_text_is_parsed(given_value):
    with pytest.raises(ValueError):
        durations.parse(given_value)


@given(st.integers(1, durations.MAX_SECONDS))
def test_text_and_parse_are_inverse(seconds):
    assert durations.parse(durations.text(seconds)) == seconds


@pytest.mark.parametrize("seconds", [0, -1, durations.MAX_SECONDS + 1, True, 1.0, "15m"])
def test_seconds_without_a_duration_are_refused(seconds):
    with pytest.raises(ValueError):
        durations.text(seconds)
