"""Ids sort by time, are made once and are told from anything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from zehrava import ids

pytestmark = pytest.mark.sdk

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_ids_of_one_millisecond_ascend_and_never_repeat():
    made = [ids.new("int", at=NOON) for _ in range(5000)]
    assert made == sorted(set(made))


def test_ids_sort_by_their_time():
    made = [ids.new("evt", at=NOON + timedelta(milliseconds=step)) for step in range(50)]
    assert made == sorted(made)


def test_the_time_is_the_first_ten_characters_whatever_the_zone():
    # 2^47 milliseconds are the character "4" and nine zeros.
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1 << 47)
    assert ids.new("int", at=at)[:14] == "int_4000000000"
    abroad = at.astimezone(timezone(timedelta(hours=5)))
    assert ids.new("int", at=abroad)[:14] == "int_4000000000"


@pytest.mark.parametrize("prefix", ids.PREFIXES)
def test_a_made_id_is_an_id_of_its_own_prefix_only(prefix):
    made = ids.new(prefix, at=NOON)
    assert [other for other in ids.PREFIXES if ids.is_id(made, other)] == [prefix]


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        7,
        "int_",
        "int_" + "0" * 25,
        "int_" + "0" * 27,
        "int_8" + "0" * 25,
        "int_" + "0" * 25 + "l",
        "INT_" + "0" * 26,
        "int_" + "0" * 25 + "A",
        "int_" + "0" * 26 + "\n",
        "int_" + "0" * 25 + "٣",
    ],
)
def test_what_is_no_id_is_not_taken_for_one(text):
    assert not ids.is_id(text, "int")


@pytest.mark.parametrize(
    ("prefix", "at"),
    [("foo", NOON), ("int", NOON.replace(tzinfo=None)), ("int", datetime(1969, 12, 31, tzinfo=UTC))],
)
def test_an_unknown_prefix_and_an_unusable_time_are_refused(prefix, at):
    with pytest.raises(ValueError):
        ids.new(prefix, at=at)
