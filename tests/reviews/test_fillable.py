"""Warnings about requirements that nobody could meet today."""

import pytest
from django.contrib.auth.models import Group, User

from reviews.fillable import warnings_of
from tests.factories import make_agent, make_user
from zehrava.policy import parse_policy

pytestmark = pytest.mark.django_db


def warned(approval: str, *, match: str = "{actions: [a.b]}", default: str = "block") -> list[str]:
    text = (
        f"name: p\nmatch: {match}\ndefault: {default}\n"
        f"rules: [{{id: all, effect: require_approval, approval: {approval}}}]\n"
    )
    return warnings_of(parse_policy(text))


def test_a_group_that_is_missing() -> None:
    assert warned("{all_of: [{group: finance}]}") == [
        "Rule all: there is no group finance, so nobody can approve for it. Ask an administrator to add it."
    ]


def test_too_few_people_who_are_active() -> None:
    make_user("fay", "finance")
    User.objects.filter(pk=make_user("gone", "finance").pk).update(is_active=False)
    (told,) = warned("{all_of: [{group: finance, count: 2}]}")
    assert "nobody can meet 2 of finance: finance has 1 active member" in told
    make_user("flo", "finance")
    assert warned("{all_of: [{group: finance, count: 2}]}") == []


def test_one_person_in_two_groups_fills_one_seat() -> None:
    make_user("fay", "finance", "legal")
    assert "One person fills one seat" in warned("{all_of: [{group: finance}, {group: legal}]}")[0]
    make_user("lea", "legal")
    assert warned("{all_of: [{group: finance}, {group: legal}]}") == []


def test_an_owner_who_sits_in_the_group_does_not_count_for_their_own_agent() -> None:
    fay = make_user("fay", "finance")
    make_agent("billing", owner=fay)
    assert "nobody can meet 1 of finance for what agent billing asks" in warned("{all_of: [{group: finance}]}")[0]
    assert warned("{all_of: [{group: finance}]}", match="{actions: [a.b], agents: ['mail-*']}") == []
    assert warned("{all_of: [{group: finance}]}", match="{actions: [a.b], tags: [vip]}") != []
    make_user("flo", "finance")
    assert warned("{all_of: [{group: finance}]}") == []


def test_alternatives_are_met_by_one_of_them() -> None:
    Group.objects.create(name="legal")
    make_user("bo", "board")
    assert warned("{any_of: [{group: legal}, {group: board}]}") == []
    [told] = warned("{any_of: [{group: legal}, {group: board, count: 2}]}")
    assert "nobody can meet either 2 of board or 1 of legal" in told


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("escalation: [{after: 1h, do: remind}, {after: 2h, do: widen, to: [managers]}]", []),
        ("on_timeout: escalate, escalate_to: [{group: finance}]", []),
        ("on_timeout: escalate, escalate_to: [{group: ghosts}]", ["there is no group ghosts to escalate to"]),
        ("escalation: [{after: 1h, do: escalate, to: [ghosts]}]", ["there is no group ghosts to escalate to"]),
        ("escalation: [{after: 1h, do: widen, to: [empty]}]", ["the group empty has no active member"]),
        ("on_timeout: escalate, escalate_to: [{group: managers, count: 2}]", ["nobody can meet 2 of managers"]),
    ],
)
def test_nobody_to_escalate_to_is_told(more: str, told: list[str]) -> None:
    make_user("fay", "finance")
    make_user("mia", "managers")
    Group.objects.create(name="empty")
    found = warned(f"{{all_of: [{{group: finance}}], {more}}}")
    assert len(found) == len(told) and all(words in one for words, one in zip(told, found, strict=True))


def test_the_default_asks_reviewers() -> None:
    make_user("fay", "finance")
    assert warned("{all_of: [{group: finance}]}", default="require_approval") == [
        "Rule default: there is no group reviewers, so nobody can approve for it. Ask an administrator to add it."
    ]


def test_three_hundred_rules_that_ask_the_same_are_told_of_once_in_few_queries(django_assert_max_num_queries) -> None:
    rules = "".join(
        f"  - {{id: r{n}, when: payload.x == {n}, effect: require_approval, "
        "approval: {all_of: [{group: finance}]}}\n"
        for n in range(300)
    )
    policy = parse_policy(f"name: p\nmatch: {{actions: [a.b]}}\ndefault: block\nrules:\n{rules}")
    with django_assert_max_num_queries(3):
        (told,) = warnings_of(policy)
    assert told.startswith("Rules r0, r1, r2 and 297 more: there is no group finance")
