"""`weigh` and `distinct_managers`: read strictly, joined at their strictest, told by lint and by the command line."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zehrava.cli import main
from zehrava.policy import PolicyError, parse_policy
from zehrava.policy.linting import lint
from zehrava.policy.requirements import Requirement
from zehrava.policy.weighing import MOST_WAYS, Weighing

WEIGH = "weigh: {at_least: 3, of: [{group: directors, weight: 2}, {group: finance, weight: 1}]}"
THREE = Weighing((("directors", 2), ("finance", 1)), 3)


def policy(approval: str) -> str:
    return (
        "name: p\nmatch: {actions: [a.b]}\n"
        f"rules: [{{id: all, effect: require_approval, approval: {{{approval}}}}}]\n"
    )


def asked(approval: str) -> Requirement:
    requirement = parse_policy(policy(approval)).rules[0].requirement
    assert requirement is not None
    return requirement


def test_it_is_what_is_asked_without_one_of_the_reviewers_besides():
    assert asked(WEIGH) == Requirement(groups=(), weigh=(THREE,))
    assert asked(f"all_of: [{{group: legal}}], {WEIGH}, distinct_managers: true") == Requirement(
        groups=(("legal", 1),), weigh=(THREE,), distinct_managers=True
    )
    assert asked("distinct_managers: false") == Requirement()


def test_it_is_stored_as_it_is_read():
    requirement = asked(f"any_of: [{{group: legal}}, {{group: risk}}], {WEIGH}, distinct_managers: true")
    document = json.loads(json.dumps(requirement.document()))
    assert document["weigh"] == [
        {"at_least": 3, "of": [{"group": "directors", "weight": 2}, {"group": "finance", "weight": 1}]}
    ]
    assert document["distinct_managers"] is True
    assert Requirement.read(document) == requirement


@pytest.mark.parametrize(
    ("approval", "path", "reason"),
    [
        ("weigh: 3", "weigh", "must be a mapping"),
        ("weigh: {at_least: 3}", "weigh.of", "is missing"),
        ("weigh: {of: [{group: a, weight: 1}]}", "weigh.at_least", "is missing"),
        ("weigh: {at_least: 0, of: [{group: a, weight: 1}]}", "weigh.at_least", "from 1 to 100"),
        ("weigh: {at_least: 101, of: [{group: a, weight: 1}]}", "weigh.at_least", "from 1 to 100"),
        ("weigh: {at_least: '3', of: [{group: a, weight: 1}]}", "weigh.at_least", "from 1 to 100"),
        ("weigh: {at_least: 1.5, of: [{group: a, weight: 1}]}", "weigh.at_least", "from 1 to 100"),
        ("weigh: {at_least: true, of: [{group: a, weight: 1}]}", "weigh.at_least", "from 1 to 100"),
        ("weigh: {at_least: 3, of: []}", "weigh.of", "empty"),
        ("weigh: {at_least: 3, of: {a: 1}}", "weigh.of", "must be a list"),
        ("weigh: {at_least: 3, of: [a]}", "weigh.of[0]", "write {group: a, weight: 1}"),
        ("weigh: {at_least: 3, of: [{group: a}]}", "weigh.of[0].weight", "is missing"),
        ("weigh: {at_least: 3, of: [{weight: 1}]}", "weigh.of[0].group", "is missing"),
        ("weigh: {at_least: 3, of: [{group: a, weight: 0}]}", "weigh.of[0].weight", "from 1 to 100"),
        ("weigh: {at_least: 3, of: [{group: a, weight: -2}]}", "weigh.of[0].weight", "from 1 to 100"),
        ("weigh: {at_least: 3, of: [{group: a, weight: 1, count: 2}]}", "weigh.of[0].count", "write weight"),
        ("weigh: {at_least: 3, of: [{group: a, weight: 1}, {group: a, weight: 2}]}", "weigh.of[1].group", "twice"),
        ('weigh: {at_least: 3, of: [{group: "a\\u200b", weight: 1}]}', "weigh.of[0].group", "cannot be seen"),
        ("weigh: {at_least: 3, of: [{group: a, weight: 1}], among: 2}", "weigh.among", "unknown key"),
        (
            "weigh: {at_least: 90, of: [{group: a, weight: 1}, {group: b, weight: 2}, {group: c, weight: 3}]}",
            "weigh",
            "more than 100 sets of seats",
        ),
        (
            "any_of: [{group: x}, {group: y}, {group: z}],"
            " weigh: {at_least: 80, of: [{group: a, weight: 1}, {group: b, weight: 2}]}",
            "weigh",
            "with the alternatives of any_of",
        ),
        ("distinct_managers: managers", "distinct_managers", "true or false"),
        ("distinct_managers: 1", "distinct_managers", "true or false"),
        (f"{WEIGH}, order: listed", "order", "there is no order without all_of"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(approval, path, reason):
    with pytest.raises(PolicyError) as refused:
        parse_policy(policy(approval))
    found = [(fault.path, fault.reason) for fault in refused.value.errors]
    assert any(where == f"rules[0].approval.{path}" and reason in why for where, why in found), found


@given(
    at_least=st.integers(1, 9),
    weights=st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1),
)
def test_its_ways_are_all_the_smallest_sets_that_weigh_enough_and_no_others(at_least, weights):
    enough = set()
    names = sorted(weights)
    for counts in itertools.product(range(at_least + 1), repeat=len(names)):
        weight = sum(count * weights[name] for name, count in zip(names, counts, strict=True))
        lightest = min((weights[name] for name, count in zip(names, counts, strict=True) if count), default=0)
        if weight >= at_least > weight - lightest:
            enough.add(frozenset((name, count) for name, count in zip(names, counts, strict=True) if count))
    ways = list(Weighing(tuple(sorted(weights.items())), at_least).ways())
    assert {frozenset(way) for way in ways} == enough
    assert len(ways) == len(enough)
    assert sum(count for _, count in ways[0]) == min(sum(count for _, count in way) for way in ways)


def test_counting_the_ways_of_very_many_stops():
    huge = Weighing(tuple((f"g{number:02}", number + 1) for number in range(20)), 100)
    assert huge.number_of_ways() == MOST_WAYS + 1


def test_what_several_policies_weigh_must_all_be_given():
    other = Weighing((("legal", 1),), 2)
    more = Weighing(THREE.of, 5)
    joined = Requirement.join(
        [
            Requirement(groups=(), weigh=(THREE,)),
            Requirement(groups=(), weigh=(other, more), distinct_managers=True),
            Requirement(groups=(("security", 1),)),
        ]
    )
    assert joined.groups == (("security", 1),)
    assert joined.weigh == (more, other), "of the same groups with the same weights the most"
    assert joined.distinct_managers
    same_people = Weighing((("directors", 1), ("finance", 1)), 1)
    both = Requirement.join([Requirement(groups=(), weigh=(THREE,)), Requirement(groups=(), weigh=(same_people,))])
    assert both.weigh == (same_people, THREE), "of other weights it is another matter"


def test_a_row_of_a_table_may_weigh():
    text = (
        "name: p\nmatch: {actions: [a.b]}\nrules: [{id: all, effect: require_approval, approval: {"
        f"distinct_managers: true, table: {{rows: [{{records_up_to: 5, {WEIGH}}},"
        " {weigh: {at_least: 5, of: [{group: directors, weight: 2}, {group: finance, weight: 1}]}}]}}}]\n"
    )
    table = parse_policy(text).rules[0].table
    assert table is not None
    assert [(row.requirement.weigh[0].at_least, row.requirement.distinct_managers) for row in table.rows] == [
        (3, True),
        (5, True),
    ]
    assert [each.at_least for each in table.most.weigh] == [5]


def test_weights_belong_into_the_rows():
    with pytest.raises(PolicyError, match="weigh belongs into the rows"):
        parse_policy(policy(f"{WEIGH}, table: {{rows: [{{all_of: [{{group: a}}]}}]}}"))


@pytest.mark.parametrize(
    ("groups", "enough"),
    [
        ({"directors": 1, "finance": 1}, True),
        ({"directors": 1, "finance": 0}, False),
        ({"finance": 3}, True),
        ({}, False),
        ({"directors": ["rita"], "finance": ["rita"]}, False),
        ({"directors": ["rita"], "finance": ["rita", "sam"]}, True),
        ({"directors": ["rita"], "finance": 1}, True),
    ],
)
def test_lint_says_where_all_of_them_together_do_not_weigh_enough(groups, enough):
    found = [one for one in lint([parse_policy(policy(WEIGH))], groups=groups) if one.code == "requirement-too-big"]
    assert bool(found) is not enough
    if found:
        assert found[0].message.startswith("weigh needs weight 3 of directors (2 each) and finance (1 each)")


def test_the_command_line_tells_what_is_asked(tmp_path, capsys):
    (tmp_path / "p.yaml").write_text(policy(f"{WEIGH}, distinct_managers: true"))
    (tmp_path / "intent.json").write_text('{"action": "a.b", "payload": {}}')
    main(["policy", "explain", str(tmp_path / "p.yaml"), "--intent", str(tmp_path / "intent.json")])
    said = capsys.readouterr().out
    assert "requires weight 3 of directors (2 each) and finance (1 each)" in said
    assert "requires different managers of all who approve" in said
