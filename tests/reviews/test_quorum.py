"""One person fills one seat, no arrangement is missed, and what comes after waits for what comes before."""

from itertools import permutations, product

from hypothesis import given
from hypothesis import strategies as st

from reviews.quorum import brings_forward, can_be_met, cannot_see_to, standing, told

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


# --- one of several ---------------------------------------------------------------------------------------------------

EITHER = {
    "all_of": [{"group": "security", "count": 1}],
    "any_of": [[{"group": "legal"}, {"group": "finance", "count": 2}]],
}


def test_one_of_the_alternatives_is_enough_beside_what_is_asked_in_any_case():
    assert standing(EITHER, [(1, {"legal"}), (2, {"security"})]).met
    assert standing(EITHER, [(1, {"finance"}), (2, {"security"}), (3, {"finance"})]).met
    assert not standing(EITHER, [(1, {"finance"}), (2, {"security"})]).met
    assert not standing(EITHER, [(1, {"legal"}), (3, {"finance"}), (4, {"finance"})]).met
    assert not standing(EITHER, [(1, {"legal", "security"})]).met


def test_whoever_helps_one_of_the_alternatives_brings_it_forward():
    nearly = [(1, {"finance"})]
    for group, asked in (("legal", True), ("finance", True), ("security", True), ("sales", False)):
        assert brings_forward(EITHER, nearly, (2, {group})) is asked
    done = [(1, {"legal"})]
    assert brings_forward(EITHER, done, (2, {"security"}))
    assert not brings_forward(EITHER, done, (2, {"finance"}))


alternatives = st.lists(
    st.lists(
        st.fixed_dictionaries({"group": st.sampled_from(GROUPS), "count": st.integers(1, 2)}), min_size=1, max_size=3
    ),
    max_size=2,
)


@given(counts=counts, alternatives=alternatives, people=people)
def test_it_is_met_where_any_alternative_is_and_nowhere_else(counts, alternatives, people):
    need = {**requirement(**counts), "any_of": alternatives}
    approvals = list(enumerate(people))
    ways = [{"all_of": [*need["all_of"], *chosen]} for chosen in product(*alternatives)]
    assert standing(need, approvals).met == any(standing(way, approvals).met for way in ways)
    if ways:
        assert standing(need, approvals).missing == min(standing(way, approvals).missing for way in ways)


# --- one after the other ----------------------------------------------------------------------------------------------


def listed(*seats: tuple[str, int]) -> dict:
    order = [{"group": group, "count": count} for group, count in seats]
    return {"all_of": sorted(order, key=lambda seat: seat["group"]), "in_order": [order]}


TWO_THEN_ONE = listed(("finance", 2), ("accounts", 1))


def test_who_comes_later_is_not_counted_before_the_others_agreed():
    early = [(1, {"finance"}), (9, {"accounts"}), (2, {"finance"})]
    assert standing(TWO_THEN_ONE, early).missing == 1
    assert not standing(TWO_THEN_ONE, early).met
    assert standing(TWO_THEN_ONE, [(1, {"finance"}), (2, {"finance"}), (9, {"accounts"})]).met


def test_who_comes_later_is_asked_when_it_is_their_turn():
    assert not brings_forward(TWO_THEN_ONE, [(1, {"finance"})], (9, {"accounts"}))
    assert brings_forward(TWO_THEN_ONE, [(1, {"finance"}), (2, {"finance"})], (9, {"accounts"}))
    waits = [seat for seat in standing(TWO_THEN_ONE, [(1, {"finance"})]).seats if seat.group == "accounts"]
    assert [(seat.after, seat.is_open) for seat in waits] == [(("finance",), False)]


def test_the_same_person_does_not_agree_twice():
    both = {"finance", "accounts"}
    assert not standing(TWO_THEN_ONE, [(1, both), (2, both), (1, both)]).met


def test_nobody_is_moved_to_a_seat_that_was_not_open_when_they_agreed():
    # The first could sit in both, and agreed before it was the turn of accounts.
    need = listed(("finance", 1), ("accounts", 1))
    assert not standing(need, [(1, {"finance", "accounts"}), (2, {"finance"})]).met
    assert standing(need, [(1, {"finance", "accounts"}), (2, {"finance", "accounts"})]).met


orders = st.permutations(GROUPS).flatmap(
    lambda groups: st.lists(st.integers(1, 2), min_size=2, max_size=3).map(
        lambda counts: list(zip(groups, counts, strict=False))
    )
)


@given(order=orders, people=people)
def test_in_an_order_every_later_seat_was_filled_after_all_before_it(order, people):
    found = standing(listed(*order), list(enumerate(people)))
    for place, (group, _) in enumerate(order):
        mine = [seat.filled_by for seat in found.seats if seat.group == group and seat.filled_by is not None]
        for earlier, count in order[:place]:
            first = [seat.filled_by for seat in found.seats if seat.group == earlier and seat.filled_by is not None]
            if mine:
                assert len(first) == count
    if found.met:
        # The last group agreed after as many people as stand before it.
        last = [seat.filled_by for seat in found.seats if seat.group == order[-1][0]]
        assert min(last) >= sum(count for _, count in order[:-1])


def test_it_is_told_in_the_order_in_which_people_are_asked():
    need = {**TWO_THEN_ONE, "any_of": EITHER["any_of"]}
    assert told(need) == "2 of finance, then 1 of accounts, and either 1 of legal or 2 of finance"
    assert told(requirement(finance=2, legal=1)) == "2 of finance and 1 of legal"
    assert not cannot_see_to(need)


def test_who_let_the_next_ones_agree_is_not_moved_afterwards():
    need = {**listed(("finance", 1), ("security", 1))}
    need["all_of"] = [*need["all_of"], {"group": "legal", "count": 1}]
    votes = [(1, {"finance", "legal"}), (2, {"security"}), (3, {"finance"})]
    assert not standing(need, votes).met
    assert not brings_forward(need, votes[:2], votes[2]) and brings_forward(need, votes[:2], (4, {"legal"}))
    # As long as nobody agreed after them, anybody may sit elsewhere.
    assert standing(need, [votes[0], votes[2], votes[1]]).met


def oracle(order: list, more: list[str], people: list[set[str]]) -> bool:
    """By every arrangement: each approval in one seat for good, and whoever comes later after all before them."""
    seats = [(place, group) for place, (group, count) in enumerate(order) for _ in range(count)]
    seats += [(-1, group) for group in more]
    for chosen in permutations(range(len(people)), len(seats)):
        if not all(group in people[who] for who, (_, group) in zip(chosen, seats, strict=True)):
            continue
        last = {place: max(w for w, (p, _) in zip(chosen, seats, strict=True) if p == place) for place, _ in seats}
        first = {place: min(w for w, (p, _) in zip(chosen, seats, strict=True) if p == place) for place, _ in seats}
        if all(last[place] < first[place + 1] for place in range(len(order) - 1)):
            return True
    return False


@given(
    order=orders,
    more=st.lists(st.sampled_from(["board"]), max_size=1),
    people=st.lists(st.sets(st.sampled_from([*GROUPS, "board"])), max_size=5),
)
def test_nothing_is_met_that_no_arrangement_would_meet(order, more, people):
    need = listed(*order)
    need["all_of"] = [*need["all_of"], *({"group": group, "count": 1} for group in more)]
    if standing(need, list(enumerate(people))).met:
        assert oracle(order, more, people)


def test_of_two_choices_that_one_person_could_make_the_other_stays_open():
    need = {
        "all_of": [],
        "any_of": [[{"group": "finance"}, {"group": "legal"}], [{"group": "finance"}, {"group": "security"}]],
    }
    first = [(1, {"finance"})]
    for group in ("legal", "security", "finance"):
        assert brings_forward(need, first, (2, {group}))
        assert standing(need, [*first, (2, {group})]).met


def test_who_approved_one_alternative_is_not_asked_again_for_it():
    need = {"all_of": [], "any_of": [[{"group": "finance", "count": 2}, {"group": "legal"}]]}
    mine = (1, {"finance"})
    assert not brings_forward(need, [mine], mine)
    assert brings_forward(need, [mine], (2, {"finance"})) and brings_forward(need, [mine], (3, {"legal"}))


def test_what_is_all_given_and_went_unnoticed_is_asked_of_anybody_with_a_say():
    need = requirement(finance=2)
    given_votes = [(1, {"finance"}), (2, {"finance"})]
    assert brings_forward(need, given_votes, (3, {"finance"})) and not brings_forward(need, given_votes, (3, {"sales"}))
    assert not brings_forward(need, given_votes, (1, {"finance"}))


def test_orders_that_wait_for_each_other_are_told_of_and_never_met():
    one, two = listed(("finance", 1), ("security", 1)), listed(("security", 1), ("finance", 1))
    need = {"all_of": one["all_of"], "in_order": [*one["in_order"], *two["in_order"]]}
    assert cannot_see_to(need)
    assert not standing(need, [(1, {"finance"}), (2, {"security"})]).met


def test_an_order_is_one_that_these_people_can_still_meet_or_not():
    need = listed(("finance", 1), ("security", 1))
    both, one = (1, {"finance", "security"}), (2, {"finance"})
    assert can_be_met(need, [both, one])
    # Whoever could have come later has come first.
    assert not can_be_met(need, [one], given=[both])
    assert can_be_met(need, [(3, {"security"})], given=[both])
