"""The lines of a payload: all of it can be read, however large it is and whatever it repeats."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from reviews import tree
from tests.factories import make_intent

LINE = re.compile(r"<div(?: class=d(\d+))?><dt(?: data-level=(\d+))?>(.*?)<dd(?: class=(\w+))?>(.*?)</div>", re.DOTALL)


@pytest.fixture
def lines(signed_in: Callable[[User], Client], rita: User, key: str) -> Callable[[Any], list[tuple[str, ...]]]:
    """The lines a reviewer gets of a payload: indentation, level, name, kind, value with its markup."""

    def read(payload: Any) -> list[tuple[str, ...]]:
        intent = make_intent(key, payload=payload)
        page = signed_in(rita).get(reverse("admin:intents_intent_change", args=[intent.pk])).content.decode()
        found = re.search(r'<dl class="zhv-tree">(.*?)</dl>', page, re.DOTALL)
        assert found
        return LINE.findall(found[1])

    return read


def named(lines: list[tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(_plain(name), _plain(value)) for _, _, name, _, value in lines]


def _plain(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", markup))


def test_equal_neighbours_share_a_line_that_says_how_many_and_which(lines):
    assert named(lines({"x": ["<zz9>"] * 100_000 + ["other"] + ["<zz9>"] * 2})) == [
        ("x", "100,003 items"),
        ("1–100,000.", "100,000 items, all the same: <zz9>"),
        ("100,001.", "other"),
        ("100,002.", "<zz9>"),
        ("100,003.", "<zz9>"),
    ]


def test_equal_objects_share_their_lines_too_and_one_that_differs_deep_inside_does_not(lines):
    same = {"to": "a@b.example", "deep": [{"n": 1}]}
    odd = {"to": "a@b.example", "deep": [{"n": 2}]}

    found = named(lines({"x": [same] * 6 + [odd] + [same] * 6}))

    assert [line for line in found if "all the same" in line[1]] == [
        ("1–6.", "6 items, all the same: 2 members"),
        ("8–13.", "6 items, all the same: 2 members"),
    ]
    assert ("7.", "2 members") in found
    assert [value for name, value in found if name == "n"] == ["1", "2", "1"]


def test_what_only_python_holds_for_equal_is_told_apart(lines):
    alike = [True] * 5 + [1] * 5 + ["1"] * 5 + [[True]] * 5 + [[1]] * 5 + ["true"] * 5 + ['"true"'] * 5

    found = named(lines({"x": alike}))[1:]

    assert [name for name, _ in found if "–" in name] == [f"{n}–{n + 4}." for n in range(1, 36, 5)]
    values = [value.removeprefix("5 items, all the same: ") for _, value in found]
    assert values == ["true", "1", "1", "1 item", "true", "1 item", "1", '"true"', '""true""']


def test_blank_lines_that_look_alike_but_are_not_share_no_line(lines):
    found = named(lines({"x": ["\n\n\n\n", "\n \n\n\n"] * 10}))

    assert len(found) == 21


def test_a_list_of_a_hundred_thousand_different_items_has_a_line_for_each(lines):
    items = [f"<{number:05}>" for number in range(100_000)]

    found = lines({"x": items})

    assert [value for _, value in named(found)[1:]] == items
    assert sum(len("".join(line)) for line in found) < 3_000_000


def test_beyond_the_widest_short_items_share_lines_as_json_and_every_one_can_be_read(lines, monkeypatch):
    monkeypatch.setattr(tree, "WIDE", 100)
    items = [*range(90), "a", 'q"uote', True, None, [], {}, {"k": [1, "é"]}, "long " * 40, "last"]
    items += ["same"] * 30 + [{"big": ["x" * 90, "y" * 90]}, "\u202eevil", -0.5]

    found = named(lines({"items": items, "z": {"short": 1}}))

    assert ("1–20.", ", ".join(map(str, range(20)))) in found
    assert ("98.", "long " * 40) in found
    assert ("100–129.", "30 items, all the same: same") in found
    assert ("big", "2 items") in found and ("2.", "y" * 90) in found
    assert ("131–132.", '"U+202Eevil", -0.5') in found
    assert ("z", '{"short":1}') in found
    together = [value for name, value in found if "–" in name and "all the same" not in value]
    read = json.loads("[" + ",".join(together).replace("U+202E", "\\u202e") + "]")
    assert read == [*items[:97], *items[-2:]]


def test_a_wide_payload_of_tiny_values_stays_a_page_that_a_browser_opens(lines):
    items = [number % 2 for number in range(400_000)]

    found = lines({"x": items})

    assert len(found) == 20_001
    assert json.loads("[" + ",".join(value for _, value in named(found)[1:]) + "]") == items


def test_beyond_eight_levels_a_line_says_its_level(lines):
    deep: Any = "end"
    for _ in range(12):
        deep = {"k": deep}

    found = lines(deep)

    assert [(indent, level) for indent, level, *_ in found][7:] == [
        ("7", ""),
        ("8", ""),
        ("8", "9"),
        ("8", "10"),
        ("8", "11"),
    ]
    assert named(found)[-1] == ("k", "end")


def test_values_are_told_apart_by_kind_and_names_are_as_hostile_as_values(lines):
    found = lines({"": "", "<b>\u200b": "<i>", "n": 1.5, "none": [], "spaces": "a" + " " * 30 + "b"})

    assert [kind for *_, kind, _ in found] == ["", "", "lit", "sub", ""]
    assert named(found) == [
        ("empty name", "empty text"),
        ("<b>U+200B", "<i>"),
        ("n", "1.5"),
        ("none", "no items"),
        ("spaces", "a30 spaces b"),
    ]
    assert "<b>" not in found[1][2] and "<i>" not in found[1][4]


def test_of_an_address_in_a_payload_the_host_stands_out():
    shown = tree.tree({"note": "see https://paypal.com@evil.example/x"})
    assert '<b class="zhv-host" title="the host it leads to"><bdi>evil.example</bdi></b>' in shown
