"""Who is asked after each step of an escalation, and that no document lets anybody in by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviews.asked import in_effect
from reviews.quorum import brings_forward, can_be_met, cannot_see_to, groups_of, groups_seated, standing, told

STEPS = [
    {"after": 60, "do": "remind"},
    {"after": 120, "do": "widen", "to": ["managers"]},
    {"after": 180, "do": "escalate", "to": ["directors"]},
]
TWO = {"all_of": [{"group": "finance", "count": 1}, {"group": "security", "count": 1}], "escalation": STEPS}
FAY, SAM, MIA, DORA = (1, {"finance"}), (2, {"security"}), (3, {"managers"}), (4, {"directors"})


def after(steps_taken: int, need: dict = TWO, *, overtime: bool = False) -> dict:
    found = in_effect(need, steps_taken, overtime=overtime)
    assert found is not None
    return dict(found)


def test_before_any_step_and_after_a_reminder_those_are_asked_whom_policy_names():
    for steps_taken in (0, 1):
        assert groups_of(after(steps_taken)) == ("finance", "security")
        assert not brings_forward(after(steps_taken), [], MIA)


def test_after_a_widening_its_groups_may_fill_any_seat_one_each():
    need = after(2)
    assert standing(need, [FAY, MIA]).met and standing(need, [MIA, SAM]).met
    assert standing(need, [MIA]).given == 1, "one person fills one seat"
    assert standing(need, [MIA, (5, {"managers"})]).met
    assert not brings_forward(need, [], DORA)


def test_counts_stay_what_they_were():
    need = after(2, {"all_of": [{"group": "finance", "count": 2}], "escalation": STEPS})
    assert not standing(need, [FAY]).met
    assert standing(need, [FAY, MIA]).met


def test_each_step_adds_to_those_before():
    assert groups_of(after(3)) == ("finance", "security", "managers", "directors")
    assert standing(after(3), [MIA, DORA]).met


def test_the_order_stays():
    need = {**TWO, "in_order": [[{"group": "finance", "count": 1}, {"group": "security", "count": 1}]]}
    assert not brings_forward(after(2, need), [], SAM)
    assert standing(after(2, need), [MIA, SAM]).met
    assert standing(after(2, need), [MIA, (5, {"managers"})]).met


def test_who_may_stand_in_also_helps_an_alternative():
    need = {"any_of": [[{"group": "legal", "count": 1}, {"group": "finance", "count": 2}]], "escalation": STEPS}
    assert not brings_forward(after(1, need), [], MIA)
    assert standing(after(2, need), [MIA]).met


LAST = {**TWO, "on_timeout": "escalate", "escalate_to": [{"group": "board", "count": 2}]}


def test_once_the_time_is_over_the_last_are_asked_and_the_others_may_only_reject():
    need = after(2, LAST, overtime=True)
    assert groups_seated(need) == ("board",)
    assert groups_of(need) == ("board", "finance", "security", "managers")
    assert not any(brings_forward(need, [], one) for one in (FAY, SAM, MIA, DORA))
    assert standing(need, [(7, {"board"}), (8, {"board"})]).met


def test_votes_that_the_last_gave_before_count():
    need = after(0, LAST, overtime=True)
    assert standing(need, [(7, {"finance", "board"})]).given == 1
    assert standing(need, [(7, {"finance", "board"}), (8, {"board"})]).met


def test_what_else_was_asked_for_stays_asked_for():
    need = after(0, {**LAST, "step_up": True, "rejections": 2}, overtime=True)
    assert need["step_up"] is True and need["rejections"] == 2
    need = after(0, {**LAST, "unheard_of": 7}, overtime=True)
    assert cannot_see_to(need) and not standing(need, [(7, {"board"}), (8, {"board"})]).met


@pytest.mark.parametrize("key", ["also", "heard"])
@pytest.mark.parametrize("value", [["managers"], "managers", {"managers": 1}])
def test_no_document_says_by_itself_who_may_fill_its_seats(key, value):
    for steps_taken, overtime in ((0, False), (2, False), (2, True)):
        need = after(steps_taken, {**LAST, key: value}, overtime=overtime)
        assert cannot_see_to(need)
        assert "managers" not in groups_of(need)
        assert not standing(need, [FAY, SAM, MIA, DORA, (7, {"board"}), (8, {"board"})]).met


UNREADABLE = st.sampled_from(
    [
        "soon",
        {"after": 60},
        [{"after": "60", "do": "widen", "to": ["managers"]}],
        [{"after": True, "do": "widen", "to": ["managers"]}],
        [{"after": 60, "do": "allow", "to": ["managers"]}],
        [{"after": 60, "do": "widen", "to": "managers"}],
        [{"after": 60, "do": "widen", "to": [["managers"]]}],
        [{"after": 60, "do": "remind"}, 5],
    ]
)


@given(escalation=UNREADABLE, steps_taken=st.integers(0, 5))
def test_steps_that_cannot_be_read_ask_nobody(escalation, steps_taken):
    assert "managers" not in groups_of(after(steps_taken, {**TWO, "escalation": escalation}))


@pytest.mark.parametrize("last", ["board", [5], [{"group": 5}], [{}], {"group": "board"}])
def test_an_end_of_the_time_that_cannot_be_read_asks_nobody_else(last):
    need = after(0, {**TWO, "escalate_to": last}, overtime=True)
    assert groups_of(need) == ("finance", "security")


def test_whether_it_can_be_met_counts_those_who_may_stand_in():
    assert not can_be_met(after(0), [FAY, MIA])
    assert can_be_met(after(2), [FAY, MIA])


def test_it_is_told_in_words():
    assert told(after(2)) == "1 of finance and 1 of security; managers may stand in"
    assert told(after(0, LAST, overtime=True)) == "2 of board"
