"""Business time is exact over weekends, holidays and changes of the clock, and changes nothing about wall time."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zehrava.policy import PolicyError, PolicySet, Requirement, Verdict, parse_policy
from zehrava.policy.business_time import LONGEST, BusinessHours, due
from zehrava.policy.functions.times import time_zone
from zehrava.policy.requirements import Step, steps_of

MINUTE = datetime.timedelta(minutes=1)
WEEK = ("mon", "tue", "wed", "thu", "fri")
BERLIN = BusinessHours("Europe/Berlin", WEEK, 9 * 60, 17 * 60, ("2026-12-25",))
HOURS = {"zone": "Europe/Berlin", "days": list(WEEK), "from": "09:00", "to": "17:00", "holidays": ["2026-12-25"]}


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


# --- the oracle: minute by minute, by what the clock on the wall shows ---------------------------------------------


def is_business(hours: BusinessHours, minute: datetime.datetime) -> bool:
    local = minute.astimezone(time_zone(hours.zone))
    shown = local.hour * 60 + local.minute
    day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[local.weekday()]
    return hours.opens <= shown < hours.closes and day in hours.days and str(local.date()) not in hours.holidays


def counted(hours: BusinessHours, since: datetime.datetime, minutes: int) -> datetime.datetime:
    """The end of the last of so many minutes of business time from a whole minute on."""
    now = since
    while minutes and now < since + LONGEST:
        minutes -= is_business(hours, now)
        now += MINUTE
    return now


# Whole-hour zones, half hours, the other half of the year, two hours at once (Troll), and a change at midnight.
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Beirut"]


@st.composite
def calendars(draw: st.DrawFn) -> BusinessHours:
    opens = draw(st.integers(0, 23 * 60))
    chosen = draw(st.sets(st.sampled_from(("mon", "tue", "wed", "thu", "fri", "sat", "sun")), min_size=1))
    return BusinessHours(
        draw(st.sampled_from(ZONES)),
        tuple(day for day in (*WEEK, "sat", "sun") if day in chosen),
        opens,
        draw(st.integers(opens + 60, 24 * 60)),
        tuple(sorted(draw(st.sets(st.sampled_from(HOLIDAYS), max_size=3)))),
    )


HOLIDAYS = ["2026-03-08", "2026-03-29", "2026-03-30", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]
# The changes of the clock of 2026 lie in these two spans.
SINCE = st.one_of(
    st.datetimes(datetime.datetime(2026, 3, 6), datetime.datetime(2026, 4, 6)),
    st.datetimes(datetime.datetime(2026, 10, 2), datetime.datetime(2026, 11, 2)),
).map(lambda moment: moment.replace(second=0, microsecond=0, tzinfo=datetime.UTC))


@settings(deadline=None)
@given(calendars(), SINCE, st.integers(1, 2_000))
@example(BusinessHours("Europe/Berlin", ("sun",), 60, 240), at("2026-03-28T20:00:00+00:00"), 130)
@example(BusinessHours("Europe/Berlin", ("sun",), 150, 210), at("2026-10-24T20:00:00+00:00"), 90)
@example(BusinessHours("Asia/Beirut", ("sat",), 1380, 1440), at("2026-10-24T12:00:00+00:00"), 100)
def test_it_is_what_counting_minute_by_minute_gives(hours, since, minutes):
    expected = counted(hours, since, minutes)
    assert due(since, minutes * 60, hours) == expected
    assert hours.is_business(since) is is_business(hours, since)


@settings(deadline=None)
@given(calendars(), SINCE, st.integers(1, 100_000), st.integers(1, 100_000), st.integers(0, 10**6 - 1))
def test_time_adds_up_and_never_runs_faster_than_the_wall(hours, since, first, then, microsecond):
    since = since.replace(microsecond=microsecond)
    half = due(since, first, hours)
    assert due(half, then, hours) == due(since, first + then, hours)
    assert half >= since + datetime.timedelta(seconds=first)
    assert due(since, first + 1, hours) > half


@pytest.mark.parametrize(
    ("since", "seconds", "expected"),
    [
        ("2026-12-01T10:00:00+01:00", 4 * 3600, "2026-12-01T14:00:00+01:00"),
        ("2026-12-01T09:00:00+01:00", 8 * 3600, "2026-12-01T17:00:00+01:00"),
        ("2026-12-01T09:00:00+01:00", 8 * 3600 + 1, "2026-12-02T09:00:01+01:00"),
        ("2026-12-04T16:00:00+01:00", 2 * 3600, "2026-12-07T10:00:00+01:00"),  # over a weekend
        ("2026-12-05T11:00:00+01:00", 1, "2026-12-07T09:00:01+01:00"),
        ("2026-12-24T16:30:00.250000+01:00", 3600, "2026-12-28T09:30:00.250000+01:00"),  # over a holiday as well
        ("2026-03-27T16:00:00+01:00", 2 * 3600, "2026-03-30T10:00:00+02:00"),  # into summer time
        ("2026-10-23T16:00:00+02:00", 2 * 3600, "2026-10-26T10:00:00+01:00"),  # and out of it
        ("2026-12-01T03:00:00-05:00", 3600, "2026-12-01T10:00:00+01:00"),  # said in another zone
    ],
)
def test_by_hand(since, seconds, expected):
    assert due(at(since), seconds, BERLIN) == at(expected)


def test_without_hours_every_second_counts():
    since = at("2026-12-05T11:00:00+01:00")
    assert due(since, 90) == at("2026-12-05T10:01:30+00:00")


def test_nothing_is_further_off_than_a_year():
    rarely = BusinessHours("UTC", ("mon",), 0, 60)
    since = at("2026-12-05T11:00:00+00:00")
    assert due(since, 1_000 * 3_600, rarely) == since + LONGEST


@given(calendars())
def test_hours_are_read_as_they_are_written(hours):
    assert BusinessHours.read(json.loads(json.dumps(hours.document()))) == hours


# --- in a policy ---------------------------------------------------------------------------------------------------


def policy(approval: Any, hours: Any = HOURS, name: str = "p", **more: Any) -> str:
    rules = [{"id": "all", "effect": "require_approval", "approval": approval}]
    top = {"business_hours": hours} if hours else {}
    return json.dumps({"name": name, "match": {"actions": ["x.y"]}, "rules": rules, **top, **more})


def ask(*texts: str, now: str = "2026-12-04T16:00:00+01:00") -> Verdict:
    return PolicySet.parse(*texts).evaluate(action="x.y", payload={}, agent={"name": "a"}, now=at(now))


FINANCE = {"all_of": [{"group": "finance"}]}
IN_HOURS = {**FINANCE, "clock": "business"}


def test_an_expiry_in_business_time_becomes_plain_seconds_from_now():
    requirement = ask(policy({**IN_HOURS, "expires_in": "2h"})).requirement
    assert requirement == {"all_of": [{"group": "finance", "count": 1}], "expires_in": (2 * 24 + 18) * 3600}
    assert ask(policy({**IN_HOURS, "expires_in": "2h"}), now="2026-12-01T10:00:00Z").requirement["expires_in"] == 7200


def test_steps_keep_their_own_clock_so_that_they_are_the_same_whenever_somebody_asks():
    text = policy({**IN_HOURS, "escalation": [{"after": "2h", "do": "remind"}]})
    one, other = ask(text).requirement, ask(text, now="2026-12-01T10:00:00Z").requirement
    assert one == other
    assert one == {
        "all_of": [{"group": "finance", "count": 1}],
        "expires_in": None,
        "escalation": [{"after": 7200, "do": "remind", "clock": 0}],
        "business_hours": [HOURS],
    }
    [step] = steps_of(one)
    assert step == Step(7200, "remind", (), BERLIN)
    assert step.due(at("2026-12-04T16:00:00+01:00")) == at("2026-12-07T10:00:00+01:00")


def test_the_wall_s_clock_is_what_counts_unless_it_is_asked_for():
    approval = {**FINANCE, "expires_in": "2h", "escalation": [{"after": "1h", "do": "remind"}]}
    for clock in ({}, {"clock": "wall"}):
        requirement = ask(policy({**approval, **clock})).requirement
        assert requirement is not None
        assert requirement["expires_in"] == 7200
        assert requirement["escalation"] == [{"after": 3600, "do": "remind"}]
        assert "business_hours" not in requirement


def test_the_policy_s_own_expiry_is_by_the_wall():
    text = policy({**IN_HOURS, "escalation": [{"after": "1h", "do": "remind"}]}, expires_in="1d")
    requirement = ask(text).requirement
    assert requirement is not None
    assert requirement["expires_in"] == 86_400


def test_of_several_policies_the_shortest_expiry_counts_whatever_its_clock():
    business = policy({**IN_HOURS, "expires_in": "2h"})
    for wall, friday, tuesday in (("1h", 3600, 3600), ("3h", 10800, 7200), ("4d", 66 * 3600, 7200)):
        other = policy({**FINANCE, "expires_in": wall}, name="q")
        for texts in ((business, other), (other, business)):
            assert ask(*texts).requirement["expires_in"] == friday
            assert ask(*texts, now="2026-12-01T10:00:00Z").requirement["expires_in"] == tuesday


def test_steps_of_several_policies_keep_their_clocks():
    tokyo = {**HOURS, "zone": "Asia/Tokyo", "holidays": ["2026-12-31"]}
    remind = {"escalation": [{"after": "2h", "do": "remind"}]}
    texts = (
        policy({**IN_HOURS, **remind}),
        policy({**IN_HOURS, **remind}, tokyo, name="q"),
        policy({**FINANCE, **remind}, name="r"),
    )
    requirement = ask(*texts).requirement
    assert requirement is not None
    assert requirement["business_hours"] == [tokyo, HOURS]
    friday = at("2026-12-04T16:00:00+01:00")
    assert {step.due(friday).isoformat() for step in steps_of(requirement)} == {
        "2026-12-04T17:00:00+00:00",  # the wall
        "2026-12-07T02:00:00+00:00",  # Tokyo, on Monday at eleven
        "2026-12-07T09:00:00+00:00",  # Berlin, on Monday at ten
    }


def test_a_policy_without_hours_asks_what_it_always_did():
    requirement = parse_policy(policy({**FINANCE, "expires_in": "2h"}, hours=None)).rules[0].requirement
    assert requirement == Requirement((("finance", 1),), 7200)


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in HOURS.items() if name != key}


ASKS = {**IN_HOURS, "expires_in": "2h"}
APPROVAL = "rules[0].approval"
LATER = {"escalation": [{"after": "3h", "do": "remind"}]}


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        (policy(ASKS, without("zone")), "business_hours.zone", "is missing"),
        (policy(ASKS, without("days")), "business_hours.days", "is missing"),
        (policy(ASKS, without("from")), "business_hours.from", "is missing"),
        (policy(ASKS, {**HOURS, "zone": "Europe/Berlim"}), "business_hours.zone", "no time zone of this name"),
        (policy(ASKS, {**HOURS, "zone": "../UTC"}), "business_hours.zone", "no time zone of this name"),
        (policy(ASKS, {**HOURS, "zone": 1}), "business_hours.zone", "time zone is a text"),
        (policy(ASKS, {**HOURS, "days": []}), "business_hours.days", "empty list"),
        (policy(ASKS, {**HOURS, "days": ["monday"]}), "business_hours.days[0]", "must be one of mon"),
        (policy(ASKS, {**HOURS, "days": ["mon", "mon"]}), "business_hours.days[1]", "stands here twice"),
        (policy(ASKS, {**HOURS, "from": "9:00"}), "business_hours.from", "is written like"),
        (policy(ASKS, {**HOURS, "from": "24:00"}), "business_hours.from", "not at 24:00"),
        (policy(ASKS, {**HOURS, "to": "25:00"}), "business_hours.to", "is written like"),
        (policy(ASKS, {**HOURS, "to": 17}), "business_hours.to", "is written like"),
        (policy(ASKS, {**HOURS, "to": "06:00"}), "business_hours.to", "do not go over midnight"),
        (policy(ASKS, {**HOURS, "to": "09:59"}), "business_hours.to", "at least 60 minutes"),
        (policy(ASKS, {**HOURS, "holidays": ["25.12.2026"]}), "business_hours.holidays[0]", "is written like"),
        (policy(ASKS, {**HOURS, "holidays": ["2026-02-30"]}), "business_hours.holidays[0]", "is written like"),
        (policy(ASKS, {**HOURS, "holidays": ["2026-12-25"] * 2}), "business_hours.holidays[1]", "twice"),
        (policy(ASKS, {**HOURS, "holidays": ["2026-12-25"] * 201}), "business_hours.holidays", "at most 200"),
        (policy(ASKS, {**HOURS, "until": "17:00"}), "business_hours.until", "unknown key"),
        (policy(ASKS, "Berlin"), "business_hours", "must be a mapping"),
        (policy(ASKS, None), f"{APPROVAL}.clock", "say business_hours at the top"),
        (policy({**ASKS, "clock": "office"}), f"{APPROVAL}.clock", "must be one of wall, business"),
        (policy({**ASKS, "expires_in": "2d"}), f"{APPROVAL}.expires_in", "no 24 hours: write hours"),
        (policy({**ASKS, "expires_in": "1001h"}), f"{APPROVAL}.expires_in", "at most 1000h"),
        (policy(IN_HOURS), f"{APPROVAL}.clock", "counts nothing here"),
        (policy({**ASKS, **LATER}), f"{APPROVAL}.escalation[0].after", "before expires_in"),
        (policy(FINANCE, clock="business"), "clock", "belongs inside approval"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text, path, reason):
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    # One mistake, told once: not again by each clock that counts by these hours.
    assert [fault.path for fault in caught.value.errors] == [path]
    assert reason in caught.value.reason


def test_hours_and_what_counts_by_them_may_end_at_midnight():
    parse_policy(policy(ASKS, {**HOURS, "from": "00:00", "to": "24:00"}))


@pytest.mark.parametrize(
    "document",
    [
        {"all_of": [], "escalation": [{"after": 1, "do": "remind", "clock": 0}]},
        {"all_of": [], "escalation": [{"after": 1, "do": "remind", "clock": -1}], "business_hours": [HOURS]},
        {"all_of": [], "escalation": [{"after": 1, "do": "remind", "clock": True}], "business_hours": [HOURS] * 2},
        {"all_of": [], "escalation": [{"after": 1, "do": "remind", "clock": "0"}], "business_hours": [HOURS]},
        {"all_of": [], "business_hours": [{**HOURS, "zone": "Mars"}]},
        {"all_of": [], "business_hours": [{**HOURS, "from": "18:00"}]},
        {"all_of": [], "business_hours": [{**HOURS, "more": 1}]},
    ],
)
def test_what_no_requirement_wrote_is_not_read(document):
    with pytest.raises((KeyError, TypeError, ValueError)):
        Requirement.read(document)
