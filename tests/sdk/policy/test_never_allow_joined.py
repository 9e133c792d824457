"""What several policies ask for together is at least what each of them asks for, however they are put together."""

from __future__ import annotations

import datetime
import json

from hypothesis import given
from hypothesis import strategies as st

from zehrava.policy.business_time import BusinessHours
from zehrava.policy.requirements import Requirement, Step

GROUPS = st.sampled_from(["executives", "finance", "legal", "reviewers"])
FOR_EVER = 10**12
WEEK = ("mon", "tue", "wed", "thu", "fri")
CALENDARS = [
    BusinessHours("Europe/Berlin", WEEK, 540, 1020, ("2026-12-25",)),
    BusinessHours("Asia/Tokyo", WEEK, 0, 1440),
]
HOURS = st.sampled_from([None, *CALENDARS])
NOWS = st.datetimes(datetime.datetime(2026, 1, 1), datetime.datetime(2026, 12, 31), timezones=st.just(datetime.UTC))


def seats(least: int = 0) -> st.SearchStrategy[tuple[tuple[str, int], ...]]:
    return st.dictionaries(GROUPS, st.integers(1, 4), min_size=least, max_size=3).map(
        lambda each: tuple(sorted(each.items()))
    )


@st.composite
def requirements(draw: st.DrawFn) -> Requirement:
    """What one rule can ask for, as it is read from a document."""
    expires_in = draw(st.sampled_from([None, 60, 600, 3_600]))
    latest = expires_in or 10_000
    times = draw(st.lists(st.integers(1, latest - 1), unique=True, max_size=3).map(sorted))
    steps = [(after, draw(st.sampled_from(["remind", "widen", "escalate"]))) for after in times]
    groups = draw(seats())
    hours = draw(HOURS)
    return Requirement(
        groups=groups,
        expires_in=expires_in,
        any_of=draw(st.sampled_from([(), draw(seats(1).map(lambda each: (each,)))])),
        in_order=draw(st.sampled_from([(), (groups,)])) if len(groups) > 1 else (),
        step_up=draw(st.booleans()),
        rejections=draw(st.integers(1, 3)),
        escalate_to=draw(st.sampled_from([(), draw(seats(1))])),
        escalation=tuple(
            Step(after, do, () if do == "remind" else (draw(GROUPS),), hours) for after, do in steps
        ),
        expires_after=draw(st.sampled_from([(), ((latest, hours),)])) if hours else (),
    )  # fmt: skip


SEVERAL = st.lists(requirements(), min_size=1, max_size=4)


def expiry(requirement: Requirement) -> int:
    return requirement.expires_in or FOR_EVER


@given(SEVERAL, st.randoms(use_true_random=False))
def test_the_order_of_the_parts_does_not_matter(parts, random):
    others = list(parts)
    random.shuffle(others)
    assert Requirement.join(others).document() == Requirement.join(parts).document()


@given(requirements(), requirements(), requirements())
def test_it_does_not_matter_which_are_joined_first(one, two, three):
    together = Requirement.join([one, two, three]).document()
    assert Requirement.join([Requirement.join([one, two]), three]).document() == together
    assert Requirement.join([one, Requirement.join([two, three])]).document() == together


@given(requirements(), st.integers(1, 4))
def test_the_same_again_asks_for_nothing_more(one, times):
    assert Requirement.join([one] * times).document() == one.document()


@given(SEVERAL)
def test_it_is_at_least_as_strict_as_each_of_its_parts(parts):
    joined = Requirement.join(parts)
    asked = dict(joined.groups)
    for part in parts:
        assert all(asked.get(group, 0) >= count for group, count in part.groups)
        assert set(part.any_of) <= set(joined.any_of)
        assert set(part.in_order) <= set(joined.in_order)
        assert joined.step_up >= part.step_up
        assert joined.rejections <= part.rejections
        assert expiry(joined) <= expiry(part)
        assert set(part.expires_after) <= set(joined.expires_after)
        if not part.escalate_to:
            assert not joined.escalate_to
        # Whom one policy would ask in time gets no say in what another asks for.
        assert {step for step in joined.escalation if step.to} <= set(part.escalation)
        reminders = {step for step in part.escalation if step.do == "remind" and step.after < expiry(joined)}
        assert reminders <= set(joined.escalation)


@given(SEVERAL)
def test_it_asks_for_nothing_that_no_part_asks_for(parts):
    joined = Requirement.join(parts)
    assert set(joined.groups) <= {seat for part in parts for seat in part.groups}
    assert set(joined.any_of) <= {each for part in parts for each in part.any_of}
    assert set(joined.escalate_to) <= {seat for part in parts for seat in part.escalate_to}
    assert set(joined.escalation) <= {step for part in parts for step in part.escalation}
    assert joined.step_up == any(part.step_up for part in parts)
    assert expiry(joined) in {expiry(part) for part in parts}
    assert joined.rejections in {part.rejections for part in parts}


@given(SEVERAL)
def test_its_steps_are_in_order_of_time_and_before_its_end(parts):
    times = [step.after for step in Requirement.join(parts).escalation]
    assert times == sorted(times)
    assert all(after < expiry(Requirement.join(parts)) for after in times)


@given(SEVERAL, NOWS)
def test_in_plain_seconds_it_expires_with_the_first_of_its_parts(parts, now):
    settled = Requirement.join(parts).settled(now)
    assert settled.expires_after == ()
    assert expiry(settled) == min(expiry(part.settled(now)) for part in parts)
    # What else is asked for is the same at any time: the desk takes what asks for the same together.
    other = Requirement.join(parts).settled(now + datetime.timedelta(hours=31))
    assert {**settled.document(), "expires_in": 0} == {**other.document(), "expires_in": 0}


@given(SEVERAL)
def test_it_is_read_as_it_is_written(parts):
    for requirement in (*parts, Requirement.join(parts)):
        document = json.loads(json.dumps(requirement.document()))
        assert Requirement.read(document) == requirement
        assert Requirement.read(document).document() == document
