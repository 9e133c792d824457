"""The bytes that digests cover are the same however they are made."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.db import models
from hypothesis import given
from hypothesis import strategies as st

from audit import canonical_rows
from zehrava import canonical

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(codec="utf-8"))
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


def column(field):
    field.set_attributes_from_name("c")
    return canonical_rows.column(field)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), values, max_size=6))
def test_the_fast_way_gives_the_bytes_of_rfc_8785(value):
    assert canonical.dumps(value) == canonical.dumps(value)


def test_names_beyond_the_basic_plane_are_ordered_by_utf_16():
    value = {"\ufb33": 1, "\U0001f600": 2}
    assert canonical.dumps(value) == '{"\U0001f600":2,"\ufb33":1}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800", object()])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(ValueError):
        canonical.dumps({"a": value})


def test_times_are_utc_with_six_decimals():
    east = timezone(timedelta(hours=5, minutes=30))
    assert canonical_rows.instant(datetime(2026, 1, 2, 5, 30, tzinfo=east)) == "2026-01-02T00:00:00.000000Z"
    with pytest.raises(ValueError, match="time zone"):
        canonical_rows.instant(datetime(2026, 1, 2))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (models.DecimalField(decimal_places=2), Decimal("1"), "1.00"),
        (models.DecimalField(decimal_places=2), "1.5", "1.50"),
        (models.BigIntegerField(), 2**60, str(2**60)),
        (models.BigIntegerField(), "5", 5),
        (models.CharField(), 5, "5"),
        (models.BooleanField(), True, True),
        (models.BinaryField(), b"\x00\xff", "00ff"),
        (models.DurationField(), timedelta(seconds=1), 1_000_000),
        (models.DateTimeField(), datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000000Z"),
        (models.JSONField(), {"a": [1, None]}, {"a": [1, None]}),
        (models.CharField(), None, None),
    ],
)
def test_a_columns_value_has_one_form(field, value, expected):
    assert canonical_rows.as_json(column(field), value) == expected


def test_an_enumeration_is_written_as_its_value():
    class Colour(models.TextChoices):
        RED = "red", "Red"

    written = canonical_rows.as_json(column(models.CharField()), Colour.RED)
    assert (written, type(written)) == ("red", str)
