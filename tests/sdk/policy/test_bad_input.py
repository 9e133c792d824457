"""Bad input is refused with its line and column, its work is bounded by counting, and nothing of it is loaded.

`test_hostile_documents.py` shows that a process survives the worst of them. Timings are in no test: every kind here
took less than 100 ms when it was measured, most of them less than 5.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zehrava.policy import PolicyError, conditions, costs, load_policy, parse_policy
from zehrava.policy.errors import MOST_ERRORS
from zehrava.policy.evaluation import Evaluator

HEAD = 'name: p\nmatch: {actions: ["*"]}\nrules:\n'
GOOD = HEAD + "  - {id: a, effect: allow}\n"


def refused(text: str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    return caught.value


def rule(condition: str) -> str:
    return HEAD + "  - {id: a, effect: allow, when: " + json.dumps(condition, ensure_ascii=False) + "}\n"


def rules(*conditions: str) -> str:
    whens = (json.dumps(condition, ensure_ascii=False) for condition in conditions)
    return HEAD + "".join(f"  - {{id: r{i}, effect: allow, when: {when}}}\n" for i, when in enumerate(whens))


def limits(text: str) -> str:
    return HEAD + f"  - {{id: a, effect: allow, limits: {text}}}\n"


def approval(text: str) -> str:
    return HEAD + f"  - {{id: a, effect: require_approval, approval: {text}}}\n"


# What it is → the document, the line and column that the refusal names, and a word of its reason.
TOO_MUCH: dict[str, tuple[str, int, int, str]] = {
    "ten megabytes": (GOOD + "# x\n" * 2_500_000, 1, 1, "longer than 256 KiB"),
    "one scalar of a megabyte": ("name: " + "a" * 1_000_000, 1, 1, "longer than 256 KiB"),
    "letters of three bytes": ("name: " + "€" * 100_000, 1, 1, "longer than 256 KiB"),
    "a hundred thousand tests": (GOOD + "tests: [" + "{payload: 1}," * 100_000 + "]", 1, 1, "longer than"),
    "four thousand tests": (GOOD + "tests: [" + "{payload: 1}," * 4_000 + "]", 5, 8, "at most 500"),
    "a line of 200 KB": (GOOD.replace("name: p", "name: " + "a" * 200_000), 1, 7, "at most 63"),
    "a condition of 200 KB": (rule("a" * 200_000), 4, 34, "at most 2000 characters"),
    "a reason of 200 KB": (GOOD.replace("allow}", 'allow, reason: "' + "{payload.a}" * 18_000 + '"}'), 4, 36, "500"),
    "a key of 100 KB": ('? "' + "a" * 100_000 + '"\n: 1\n', 1, 3, "at most 200 characters"),
    "a key of 100 KB in a test": (
        GOOD + 'tests:\n- payload: {? "' + "a" * 100_000 + '" : 1}\n', 6, 15, "at most 200 characters",
    ),
    "long keys above 24,000 values": (
        "".join(" " * depth + "a" * 190 + ":\n" for depth in range(30)) + " " * 30 + "[" + "1," * 24_000 + "]",
        6, 6, "longer than 1000 characters",
    ),
    "a tag of 200 KB": ("name: !" + "a" * 200_000 + " p", 1, 7, "tags"),
    "an anchor of 200 KB": ("name: &" + "a" * 200_000 + " p", 1, 7, "anchors"),
    "a bomb of aliases": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", 1, 4, "anchors"),
    "an alias of itself": ("name: p\nmatch: *m\n", 2, 8, "anchors"),
    "flow lists, 100,000 deep": ("a: " + "[" * 100_000, 1, 35, "nested deeper"),
    "flow maps, 50,000 deep": ("{a: " * 50_000, 1, 129, "nested deeper"),
    "blocks, 100,000 deep": ("- " * 100_000, 1, 65, "nested deeper"),
    "25,000 rules": (HEAD + "- {}\n" * 24_900, 4, 1, "at most 1000"),
    "a million values": (HEAD + "- a\n" * 60_000, 24994, 3, "more than 25000 values"),
    "20,000 patterns of a match": (GOOD.replace('"*"', "a," * 20_000), 2, 18, "at most 500"),
    "a condition of 20,000 terms": (rule("1+" * 20_000 + "1 > 0"), 4, 34, "at most 2000 characters"),
    "a condition of 300 terms": (rule("1+" * 300 + "1 > 0"), 4, 34, "at most 256"),
    "a condition nested 200 deep": (rule("(" * 200 + "true" + ")" * 200), 4, 34, "at most 32 deep"),
    "a condition of 200 lists": (rule("[" * 200 + "1" + "]" * 200 + " == 1"), 4, 34, "at most 32 deep"),
    "a pattern that explodes": (rule('payload.a.matches("((a{60}){60}){60}")'), 4, 34, "repeats at most"),
    "a pattern of all letters, repeated": (rule(r'payload.a.matches("\\w{60}")'), 4, 34, "too costly"),
    "a pattern of many classes": (rule(r'payload.a.matches("' + r"\\pL" * 40 + '")'), 4, 34, "too costly"),
    "forty patterns": (rule(" || ".join(r'payload.a.matches("\\w{3}")' for _ in range(40))), 4, 34, "too costly"),
    "a thousand patterns": (
        rules(*(rf'payload.a.matches("\\w{{20}}x{index}")' for index in range(1_000))), 13, 5, "split the policy",
    ),
    "a thousand conditions of 150 characters": (
        rules(*(f"payload.a == '{index:0135}'" for index in range(1_000))), 670, 5, "split the policy",
    ),
    "a thousand limits": (limits("[" + "{count: 1}," * 1_000 + "]"), 4, 36, "at most 10"),
    "a limit per a thousand things": (
        limits("[{count: 1, per: [" + ",".join(f"payload.a{i}" for i in range(1_000)) + "]}]"), 4, 53, "at most 5",
    ),
    "a limit per a path of 200 KB": (limits("[{count: 1, per: payload" + ".a" * 100_000 + "}]"), 4, 53, "at most 200"),
    "a thousand seats": (
        approval("{all_of: [" + ",".join(f"{{group: g{i}}}" for i in range(1_000)) + "]}"), 4, 58, "at most 20",
    ),
    "a thousand steps": (
        approval("{escalation: [" + ",".join(f"{{after: {i + 1}s, do: remind}}" for i in range(1_000)) + "]}"),
        4, 62, "at most 20",
    ),
    "a thousand equal ids": (HEAD + "  - {id: a, effect: allow}\n" * 1_000, 5, 10, "taken by rules[0]"),
}  # fmt: skip

ODD: dict[str, tuple[str, int, int, str]] = {
    "a zero byte": (GOOD + "# \0", 5, 3, "U+0000"),
    "a group with a hidden letter": (approval('{all_of: [{group: "fin\\u200bance"}]}'), 4, 67, "cannot be seen"),
    "a group with a borrowed letter": (approval('{all_of: [{group: "finаnce"}]}'), 4, 67, "several alphabets"),
    "a group in unusual letters": (approval('{all_of: [{group: "ｆinance"}]}'), 4, 67, "write 'finance'"),
    "an alternative with a hidden letter": (approval('{any_of: [{group: "a\\u00ad"}]}'), 4, 67, "cannot be seen"),
    "an escalation to a borrowed letter": (
        approval("{all_of: [{group: a}], on_timeout: escalate, escalate_to: [{group: mаnagers}]}"),
        4,
        116,
        "several alphabets",
    ),
    "an escaped zero byte": (approval('{all_of: [{group: "a\\0b"}]}'), 4, 67, "U+0000"),
    "a terminal escape": (GOOD + "# é\x1b[2J", 5, 4, "U+001B"),
    "half of a surrogate pair": (GOOD + "# \ud800", 5, 3, "surrogate"),
    "half of a pair, escaped": ('name: "\\ud800"\n', 1, 10, "not YAML"),
    "a byte order mark": ("\ufeff" + GOOD, 1, 1, "byte order mark"),
    "a byte order mark in the middle": (GOOD + "\ufeff", 5, 1, "U+FEFF"),
    "a rule behind a comment, by U+2028": (HEAD + "# {}\u2028  - {id: a, effect: allow}\n", 4, 5, "U+2028"),
    "a rule behind a comment, by U+0085": (HEAD + "# {}\x85  - {id: a, effect: allow}\n", 4, 5, "U+0085"),
    "a rule behind a comment, by a lone CR": (HEAD + "# {}\r  - {id: a, effect: allow}\n", 4, 5, "U+000D"),
    "a zero-width space in an id": (GOOD.replace("id: a", "id: a\u200bb"), 4, 11, "U+200B"),
    "a soft hyphen in an id": (GOOD.replace("id: a", "id: a\u00adb"), 4, 11, "U+00AD"),
    "a tag character in an id": (GOOD.replace("id: a", "id: a\U000e0041"), 4, 11, "U+E0041"),
    "a direction change in a reason": (GOOD.replace("allow}", 'allow, reason: "a\u202eb"}'), 4, 38, "U+202E"),
    "an Arabic letter mark in a name": ("name: a\u061cb\n", 1, 8, "U+061C"),
    "an escaped direction change in an id": (GOOD.replace("id: a", 'id: "a\\u202eb"'), 4, 10, "lower-case"),
    "a Cyrillic letter in the name": (GOOD.replace("name: p", "name: p\u0430y"), 1, 7, "lower-case"),
    "a full-width letter in an id": (GOOD.replace("id: a", "id: \uff41"), 4, 10, "lower-case"),
    "a dotless i in an id": (GOOD.replace("id: a", "id: \u0131d"), 4, 10, "lower-case"),
    "a digit of another alphabet in an id": (GOOD.replace("id: a", "id: a\u0661"), 4, 10, "lower-case"),
    "an id in NFC": (GOOD.replace("id: a", "id: \u00e9"), 4, 10, "lower-case"),
    "an id in NFD": (GOOD.replace("id: a", "id: e\u0301"), 4, 10, "lower-case"),
    "a newline at the end of an id": (GOOD.replace("id: a", 'id: "a\\n"'), 4, 10, "lower-case"),
    "a path in the name": (GOOD.replace("name: p", "name: ../../p"), 1, 7, "lower-case"),
    "a Cyrillic letter in an action": (GOOD.replace('["*"]', '["str\u0456pe.refund"]'), 2, 19, "without spaces"),
    "a Cyrillic letter in a key": (GOOD.replace("effect:", "\u0435ffect:"), 4, 5, "is missing"),
    "a Cyrillic letter in an effect": (GOOD.replace("allow", "\u0430llow"), 4, 21, "must be one of"),
    "a Cyrillic letter in a condition": (rule("p\u0430yload.x == 1"), 4, 34, "does not belong here"),
    "a no-break space as an indent": (HEAD + "\u00a0- {id: a, effect: allow}", 4, 18, "not YAML"),
    "a key twice": (GOOD + "name: q\n", 5, 1, "twice"),
    "a key twice, once in quotes": (GOOD + '"name": q\n', 5, 1, "twice"),
    "a merge key": (GOOD + "<<: {default: allow}\n", 5, 1, "merge keys"),
    "a tag that would run code": ("name: !!python/object/apply:os.system ['true']", 1, 7, "tags"),
    "a tag of its own": ("%TAG ! tag:x,2000:\n---\n" + GOOD, 1, 1, "directives"),
    "a second document": (GOOD + "---\nname: q\n", 5, 1, "one document"),
}


@pytest.mark.parametrize("name", [*TOO_MUCH, *ODD])
def test_it_is_refused_with_line_column_and_a_reason_that_can_be_read(name: str) -> None:
    text, line, column, word = {**TOO_MUCH, **ODD}[name]
    error = refused(text)
    assert (error.line, error.column) == (line, column), str(error)[:500]
    assert word in error.reason
    assert len(error.errors) <= MOST_ERRORS
    assert all(len(fault.reason) < 500 and len(fault.path) <= 1_200 for fault in error.errors)


@pytest.mark.parametrize(
    "text", [GOOD.replace("\n", "\r\n"), GOOD.replace("id: a", "id: 'a'"), "---\n" + GOOD + "...\n"]
)
def test_what_only_looks_odd_is_read(text: str) -> None:
    assert parse_policy(text).rules[0].id == "a"


def test_places_are_those_of_the_file_with_windows_line_ends_too() -> None:
    error = refused((GOOD + "default: no\n").replace("\n", "\r\n"))
    assert (error.line, error.column) == (5, 10)


# --- bounded by counting -------------------------------------------------------------------------------------------


class Counter:
    """Stands before a function and counts its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        return self.function(*arguments, **named)


@pytest.fixture()
def compiled(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter(conditions.compile_cel)
    monkeypatch.setattr(conditions, "compile_cel", counter)
    return counter


@pytest.fixture()
def evaluated(monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter(Evaluator.evaluate)
    monkeypatch.setattr(Evaluator, "evaluate", lambda *given, **named: counter(*given, **named))
    return counter


def test_costly_patterns_are_refused_before_any_is_compiled(compiled: Counter) -> None:
    refused(rule(r'payload.a.matches("(\\w|\\pL){60}")'))
    assert compiled.calls == 0


@pytest.mark.parametrize("written", ["à-\uffff", r"\x{e0}-\x{ffff}", r"\u00e0-\uffff", "!-\U0010ffff"])
def test_wide_ranges_in_which_case_is_folded_cost_what_they_take(written: str) -> None:
    assert costs.pattern_cost(f"(?i:[{written}])") >= 50
    assert costs.pattern_cost(f"[{written}]") <= 3
    assert costs.pattern_cost("(?i)[à-ÿ][a-z]") <= 2
    refused(rule(f'payload.a.matches(r"{f"(?i:[{written}])" * 14}")'))


@pytest.mark.parametrize(
    "pattern",
    ["(?i)" + "[" * 60 + "[^a]" + "b]" * 60, "(?i)" + "[[^a]b]" * 27, r"(?i)" + r"[\S]" * 48,
     r"(?ix)[\x00 - \x{10FFFF}]", "(?x)([^a]{6 4}){6 4}"],
)  # fmt: skip
def test_what_hides_its_cost_is_refused(pattern: str) -> None:
    refused(rule(f'payload.a.matches(r"{pattern}")'))


def test_what_is_too_much_together_is_refused_before_any_is_compiled(compiled: Counter) -> None:
    refused(rules(*(rf'payload.a.matches("\\w{{20}}x{index}")' for index in range(1_000))))
    refused(rules(*(f"payload.a == '{index:0135}'" for index in range(1_000))))
    assert compiled.calls == 0


@pytest.mark.parametrize(
    ("pattern", "most"),
    [
        ("^[a-z]+$", 1), (r"^\d{4}-\d{2}-\d{2}$", 100), (r"\w+", 11), (r"[A-Za-z0-9_]{64}", 1),
        (r"^[0-9]{1,12}(\.[0-9]{2})?$", 1), (r"\\w\\w", 1),
    ],
)  # fmt: skip
def test_patterns_that_people_write_cost_little(pattern: str, most: int) -> None:
    assert costs.pattern_cost(pattern) <= most
    parse_policy(rule(f'payload.a.matches(r"{pattern}")'))


def test_a_test_with_a_huge_payload_is_refused_before_it_is_run(evaluated: Counter) -> None:
    walks = (f"payload.a.all(x, x > {index})" for index in range(300))
    text = rules(*walks) + "tests:\n- {payload: {a: [" + "9," * 5_000 + "]}, expect: {effect: allow}}\n"
    error = refused(text)
    assert (error.path, error.line, error.column) == ("tests[0]", 305, 3)
    assert "too much work" in error.reason
    assert evaluated.calls == 0


def test_many_tests_of_much_work_are_refused_before_the_first_is_run(evaluated: Counter) -> None:
    walks = (f"payload.a.all(x, x > {index})" for index in range(200))
    case = "- {payload: {a: [" + "9," * 100 + "]}, expect: {effect: allow}}\n"
    error = refused(rules(*walks) + "tests:\n" + case * 150)
    assert "the tests up to here are too much work" in error.reason
    assert evaluated.calls == 0


def test_tests_that_all_fail_stop_at_what_anybody_reads(evaluated: Counter) -> None:
    error = refused(GOOD + "tests: [" + "{payload: 1, expect: {effect: block}}, " * 500 + "]")
    assert len(error.errors) == MOST_ERRORS
    assert evaluated.calls == MOST_ERRORS


def test_a_policy_of_ordinary_size_has_room_for_its_tests(evaluated: Counter) -> None:
    text = rules(*(f'payload.team == "t{i}" && amount(payload.amount) > amount("{i}")' for i in range(300)))
    cases = "- {payload: {team: t299, amount: '500.00', currency: EUR}, expect: {effect: allow, rule: r299}}\n"
    assert len(parse_policy(text + "tests:\n" + cases * 300).tests) == 300
    assert evaluated.calls == 300


# --- nothing is loaded, nothing is said with a traceback -----------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x00", b"name: \xc3(", b"\xed\xa0\x80", GOOD.encode("utf-16"), b"a" * 10**7]
)
def test_a_file_that_is_not_utf_8_or_too_long_is_refused_with_a_place(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(data)
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert caught.value.line == 1
    assert 1 <= caught.value.column <= 7


@pytest.mark.parametrize("command", ["lint", "test", "explain"])
def test_the_command_line_names_the_place_of_each_and_shows_no_traceback(tmp_path: Path, command: str) -> None:
    kinds = {**TOO_MUCH, **ODD}
    files = []
    for index, (text, *_) in enumerate(kinds.values()):
        file = tmp_path / f"{index:03}.yaml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        files.append(str(file))
    raw = tmp_path / "raw.yaml"
    raw.write_bytes(b"name: \xff\n")
    intent = tmp_path / "intent.json"
    intent.write_text('{"action": "x.y", "payload": {}}')
    extra = ["--intent", str(intent)] if command == "explain" else []
    done = subprocess.run(
        [sys.executable, "-m", "zehrava.cli", "policy", command, *files, str(raw), *extra],
        capture_output=True,
        timeout=120,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    said = done.stderr.decode()
    assert done.returncode == 1
    assert "Traceback" not in said
    for file in (*files, str(raw)):
        assert f"{file}:" in said
    assert "\x1b" not in said
