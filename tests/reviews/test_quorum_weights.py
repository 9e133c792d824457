"""Approvals that weigh: met exactly when different people can be found who weigh enough, beside all other seats."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reviews.quorum import brings_forward, can_be_met, cannot_see_to, groups_of, standing, told

GROUPS = ("finance", "directors", "legal")


def weigh(at_least: int, **weights: int) -> dict:
    return {"at_least": at_least, "of": [{"group": group, "weight": weight} for group, weight in weights.items()]}


def needs(*weighings: dict, **counts: int) -> dict:
    seats = [{"group": group, "count": count} for group, count in counts.items()]
    return {"all_of": seats, "weigh": list(weighings)}


THREE = needs(weigh(3, directors=2, finance=1))
D, F = {"directors"}, {"finance"}


@pytest.mark.parametrize(
    ("people", "met"),
    [
        ([D, D], True),
        ([D, F], True),
        ([F, D], True),
        ([F, F, F], True),
        ([D], False),
        ([F, F], False),
        ([D | F], False),
        ([D | F, F], True),
        ([F, D | F], True),
        ([{"legal"}, D, {"sales"}], False),
    ],
)
def test_who_weighs_more_counts_for_more(people, met):
    assert standing(THREE, list(enumerate(people))).met is met


def test_one_person_weighs_once():
    assert not standing(THREE, [(1, D), (1, D)]).met
    assert not standing(THREE, [(1, D, {2}), (2, D, {1})]).met


def test_who_fills_another_seat_does_not_weigh_as_well():
    need = needs(weigh(2, directors=2), directors=1)
    assert not standing(need, [(1, D)]).met
    assert standing(need, [(1, D), (2, D)]).met


def test_it_says_how_much_is_given_and_what_would_do_instead():
    seen = standing(THREE, [(1, F), (2, F)])
    [weighed] = seen.weighed
    assert (weighed.given, weighed.weighing.at_least) == (2, 3)
    assert [(seat.group, seat.filled_by, seat.weight) for seat in seen.seats] == [
        ("finance", 1, 1),
        ("finance", 2, 1),
        ("finance", None, 1),
    ]
    assert {seat.instead for seat in seen.seats} == {"1 of directors"}
    untouched = standing(THREE, [])
    assert [seat.group for seat in untouched.seats] == ["directors", "directors"]
    assert untouched.weighed[0].instead == "1 of directors and 1 of finance, or 3 of finance"


def test_what_was_given_is_shown_where_fewer_of_another_group_would_do():
    """Two of finance are two of five: it is not one director away from nothing."""
    seen = standing(needs(weigh(5, directors=5, finance=1)), [(1, F), (2, F)])
    assert (seen.given, seen.missing, seen.weighed[0].given) == (2, 3, 2)
    assert {seat.instead for seat in seen.seats} == {"1 of directors"}


def test_it_is_told_in_words_and_asks_all_its_groups():
    assert told(THREE) == "weight 3 of directors (2 each) and finance (1 each)"
    need = {**needs(weigh(3, directors=2, finance=1), security=1), "step_up": True}
    assert told(need) == (
        "1 of security, and weight 3 of directors (2 each) and finance (1 each), each with a second factor"
    )
    assert groups_of(need) == ("security", "directors", "finance")


def test_people_are_asked_as_long_as_they_add_weight():
    assert brings_forward(THREE, [(1, F)], (2, F))
    assert brings_forward(THREE, [(1, F)], (2, D))
    assert brings_forward(THREE, [(1, D)], (2, F))
    assert not brings_forward(THREE, [(1, D)], (2, {"legal"}))
    need = needs(weigh(2, directors=2, finance=1), legal=1)
    assert not brings_forward(need, [(1, D)], (2, F)), "the weight is given: only legal lacks"
    assert brings_forward(need, [(1, D)], (2, {"legal"}))


# --- what cannot be read is never met --------------------------------------------------------------------------------

FINE = weigh(1, finance=1)


@pytest.mark.parametrize(
    "value",
    [
        True,
        1,
        "finance",
        {},
        FINE,
        [[]],
        [{}],
        [{"at_least": 1}],
        [{"of": FINE["of"]}],
        [{**FINE, "at_least": 0}],
        [{**FINE, "at_least": True}],
        [{**FINE, "at_least": 1.0}],
        [{**FINE, "at_least": 10**9}],
        [{**FINE, "of": []}],
        [{**FINE, "of": {"finance": 1}}],
        [{**FINE, "of": [{"group": "finance"}]}],
        [{**FINE, "of": [{"group": "finance", "weight": 0}]}],
        [{**FINE, "of": [{"group": "finance", "weight": -1}]}],
        [{**FINE, "of": [{"group": "finance", "weight": True}]}],
        [{**FINE, "of": [{"group": "finance", "weight": 1, "count": 2}]}],
        [{**FINE, "of": [{"group": "finance", "weight": 1}] * 2}],
        [{**FINE, "also": "legal"}],
        [weigh(100, a=1, b=2, c=3, d=4)],
        [FINE, {**FINE, "at_least": -1}],
    ],
)
def test_weights_that_cannot_be_read_or_are_too_many_are_never_met(value):
    need = {"all_of": [{"group": "finance", "count": 1}], "weigh": value}
    crowd = [(key, {"finance", *"abcd"}) for key in range(120)]
    assert cannot_see_to(need)
    assert not standing(need, crowd).met


def test_the_ways_of_several_choices_are_bounded_together():
    many = weigh(20, a=1, b=2)
    assert not cannot_see_to(needs(many))
    assert cannot_see_to(needs(many, weigh(20, a=1, c=2)))
    assert cannot_see_to({**needs(many), "any_of": [[{"group": str(n)} for n in range(20)]]})


# --- by an oracle that knows nothing of seats -------------------------------------------------------------------------

people = st.lists(st.sets(st.sampled_from(GROUPS)), max_size=5)
counts = st.fixed_dictionaries({}, optional={group: st.integers(1, 2) for group in GROUPS[:2]})
weights = st.dictionaries(st.sampled_from(GROUPS), st.integers(1, 3), min_size=1)
weighing = st.builds(lambda at_least, of: weigh(at_least, **of), st.integers(1, 5), weights)
weighings = st.lists(weighing, max_size=2)
choices = st.lists(
    st.lists(st.fixed_dictionaries({"group": st.sampled_from(GROUPS), "count": st.integers(1, 2)}), min_size=1),
    max_size=1,
)


def oracle(need: dict, crowd: list[set[str]]) -> bool:
    """Whether everybody can be told what their one approval is for, so that all is given: each way is tried."""
    wanted = [("all", seat["group"], seat["count"]) for seat in need["all_of"]]
    wanted += [(number, None, each["at_least"]) for number, each in enumerate(need["weigh"])]
    wishes = [
        [*wanted, *(("any", seat["group"], seat["count"]) for seat in chosen)]
        for chosen in product(*need.get("any_of", []))
    ]
    return any(wish and _is_enough(need, wish, crowd) for wish in wishes)


def _is_enough(need: dict, wish: list[tuple], crowd: list[set[str]]) -> bool:
    reached = {(0,) * len(wish)}
    for groups in crowd:
        more = set()
        for state, (number, (kind, group, most)) in product(reached, enumerate(wish)):
            adds = [1] if group in groups else []
            if group is None:
                adds = [part["weight"] for part in need["weigh"][kind]["of"] if part["group"] in groups]
            more |= {(*state[:number], min(most, state[number] + add), *state[number + 1 :]) for add in adds}
        reached |= more
    return tuple(most for _, _, most in wish) in reached


@given(counts=counts, weighings=weighings, choices=choices, crowd=people)
def test_it_is_met_exactly_when_different_people_weigh_enough(counts, weighings, choices, crowd):
    need = {**needs(*weighings, **counts), "any_of": choices}
    if cannot_see_to(need):
        return
    approvals = list(enumerate(crowd))
    possible = oracle(need, crowd)
    seen = standing(need, approvals)
    assert seen.met == possible
    assert can_be_met(need, approvals) == possible
    filled = [seat.filled_by for seat in seen.seats if seat.filled_by is not None]
    assert len(set(filled)) == len(filled)


@given(counts=counts, weighings=weighings, crowd=people, ordered=st.booleans())
def test_more_approvals_never_make_it_less(counts, weighings, crowd, ordered):
    need = needs(*weighings, **counts)
    if ordered and len(counts) > 1:
        need["in_order"] = [need["all_of"]]
    approvals = list(enumerate(crowd))
    met = [standing(need, approvals[:number]).met for number in range(len(approvals) + 1)]
    assert met == sorted(met), "what is met stays so"
    if met[-1]:
        assert oracle({**need, "in_order": []}, crowd)


@given(weighing=weighing, crowd=st.lists(st.sets(st.sampled_from(GROUPS)), min_size=1, max_size=5))
def test_whoever_is_asked_adds_weight_and_nobody_else_is_asked(weighing, crowd):
    """With one weight only, so that everybody who counts adds to it until it is given."""
    need = needs(weighing)
    *before, last = list(enumerate(crowd))
    if not standing(need, before).met:
        mine = [part["weight"] for part in weighing["of"] if part["group"] in last[1]]
        assert brings_forward(need, before, last) is bool(mine)


# --- different managers -----------------------------------------------------------------------------------------------

crowd_managed = st.lists(
    st.tuples(st.sets(st.sampled_from(GROUPS)), st.sampled_from([(), (101,), (102,), (103,)])), max_size=6
)


def apart(counts: dict, weighings: list[dict]) -> dict:
    return {**needs(*weighings, **counts), "distinct_managers": True}


def teams(crowd: list) -> list[set[str]]:
    """For each manager the groups of their people: one of a team sits, so that a team is like one person."""
    found: dict[int, set[str]] = {}
    for groups, managers in crowd:
        for manager in managers:
            found.setdefault(manager, set()).update(groups)
    return list(found.values())


@given(counts=counts, weighings=weighings, crowd=crowd_managed)
def test_it_can_be_met_exactly_when_people_of_different_managers_could(counts, weighings, crowd):
    need = apart(counts, weighings)
    # Of what nobody can approve here, it is only said whether the rest can be met.
    assume(not cannot_see_to(need))
    approvals = [(key, groups, (), managers) for key, (groups, managers) in enumerate(crowd)]
    alone = any(oracle(need, [groups]) for groups, _ in crowd)
    assert can_be_met(need, approvals) == (alone or oracle(need, teams(crowd)))


@given(counts=counts, weighings=weighings, crowd=crowd_managed)
def test_whoever_sits_beside_another_one_has_another_manager(counts, weighings, crowd):
    need = apart(counts, weighings)
    approvals = [(key, groups, (), managers) for key, (groups, managers) in enumerate(crowd)]
    met = [standing(need, approvals[:number]) for number in range(len(approvals) + 1)]
    for seen in met:
        sitting = [crowd[seat.filled_by][1] for seat in seen.seats if seat.filled_by is not None]
        if len(seen.seats) > 1:
            assert all(sitting) and len(set(sitting)) == len(sitting)
    assert [seen.met for seen in met] == sorted(seen.met for seen in met)


def test_who_manages_whom_has_to_be_said_where_it_is_asked_for():
    """Whoever counts without having looked managers up never approves anything with it."""
    need = apart({"finance": 2}, [])
    crowd = [(key, {"finance"}) for key in range(5)]
    assert not standing(need, crowd).met and not can_be_met(need, crowd)
    assert not any(brings_forward(need, [], one) for one in crowd)
    for value in ("managers", 1, ["managers"], {}):
        assert cannot_see_to({**need, "distinct_managers": value})
    assert told(need) == "2 of finance, all with different managers"
