"""One person fills one seat, and no arrangement is missed."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from reviews.quorum import standing

GROUPS = ("finance", "security", "legal")


def requirement(**counts: int) -> dict:
    return {"all_of": [{"group": group, "count": count} for group, count in counts.items()]}


def test_two_of_a_group_need_two_people():
    need = requirement(finance=2)
    assert not standing(need, [(1, {"finance"})]).met
    assert standing(need, [(1, {"finance"}), (2, {"finance"})]).met


def test_one_person_in_two_groups_fills_one_seat():
    need = requirement(finance=1, security=1)
    both = (1, {"finance", "security"})
    assert standing(need, [both]).given == 1
    assert standing(need, [both, (2, {"finance"})]).met
    assert standing(need, [(2, {"finance"}), both]).met


def test_a_stranger_fills_none():
    assert standing(requirement(finance=1), [(1, {"sales"})]).given == 0


def test_a_requirement_without_seats_is_never_met():
    for nothing in (None, {}, {"all_of": []}):
        assert not standing(nothing, [(1, {"finance"})]).met


def test_a_missing_count_is_one():
    assert standing({"all_of": [{"group": "finance"}]}, [(1, {"finance"})]).met


people = st.lists(st.sets(st.sampled_from(GROUPS)), max_size=5)
counts = st.fixed_dictionaries({}, optional={group: st.integers(1, 2) for group in GROUPS})


@given(counts=counts, people=people)
def test_it_seats_as_many_as_any_arrangement_would(counts, people):
    seats = [group for group, count in counts.items() for _ in range(count)]
    best = (
        max(
            (
                sum(group in groups for group, groups in zip(order, people, strict=False))
                for order in permutations(seats + [""] * len(people))
            ),
            default=0,
        )
        if len(seats) + len(people) <= 7
        else None
    )
    found = standing(requirement(**counts), list(enumerate(people)))
    filled = [seat.filled_by for seat in found.seats if seat.filled_by is not None]
    assert len(set(filled)) == len(filled), "nobody sits twice"
    assert all(seat.group in people[seat.filled_by] for seat in found.seats if seat.filled_by is not None)
    if best is not None:
        assert found.given == best
