"""Documents made to hurt are refused at once, with a place, and without taking the process along."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from zehrava.policy import PolicyError, conditions, document, parse_policy

HEAD = 'name: p\nmatch: {actions: ["*"]}\nrules:\n'


def rule(condition: str) -> str:
    return HEAD + "  - {id: a, effect: allow, when: " + json.dumps(condition, ensure_ascii=False) + "}\n"


HOSTILE = {
    "ten megabytes": "a" * 10_000_000,
    "ten megabytes of comment": HEAD + "# " + "x" * 10_000_000,
    "a bomb of aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
    "lists in lists": "[" * 200_000,
    "maps in maps": "{a: " * 50_000,
    "lists in lists, in blocks": "- " * 100_000,
    "indents": "\n".join(" " * depth + "a:" for depth in range(600)),
    "a million values": "rules: [" + "a," * 120_000 + "]",
    "many keys": "".join(f"k{index}: 1\n" for index in range(25_000)),
    "many rules": HEAD + "\n".join(f"- {{id: r{index}, effect: allow}}" for index in range(3_000)),
    "a number of many digits": "a: " + "9" * 200_000,
    "an open string": '"' + "a\n" * 80_000,
    "a tag": "!!python/object/apply:os.system ['true']",
    "a zero byte": "a: \0",
    "half a surrogate pair": "a: \ud800",
    "twenty thousand terms": rule("1+" * 20_000 + "1 > 0"),
    "three hundred terms": rule("1+" * 300 + "1 > 0"),
    "two hundred brackets": rule("(" * 200 + "true" + ")" * 200),
    "many negations": rule("!" * 1_900 + "true"),
    "many lists": rule("[" * 200 + "]" * 200 + " == []"),
    "many choices": rule("true?" * 150 + "true" + ":true" * 150),
    "many indices": rule("payload" + "[0]" * 400),
    "many members": rule("payload" + ".a" * 900),
    "calls in calls": rule("size(" * 40 + "payload" + ")" * 40),
    "an open text": rule('"' + "\\" * 1_500),
    "a pattern that grows": rule('payload.x.matches("(a{1000}){1000}")'),
    "a walk over a walk": rule("payload.l.all(a, payload.l.all(b, payload.l.all(c, a == b)))"),
    "a reason of braces": HEAD + '  - {id: a, effect: allow, reason: "' + "{" * 400 + '"}',
}

PROGRAM = """
import json, sys, time
from zehrava.policy import Policy, PolicyError, parse_policy
for name, text in json.load(sys.stdin).items():
    start = time.process_time()
    try:
        parse_policy(text)
        answer = None
    except PolicyError as error:
        answer = [error.line, error.column, error.reason, time.process_time() - start]
    print(json.dumps([name, answer]), flush=True)
"""

# The promise is 100 ms. This bound only tells "at once" from "the parser was let loose", on a machine of any speed.
FAR_TOO_LONG = 5.0


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """What one process says to all of them, in order; what it died of is missing, and so is all that follows."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(HOSTILE), capture_output=True, text=True, timeout=100
    )
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_refused_with_a_place_and_the_process_lives(name: str, answers: dict[str, Any]) -> None:
    assert name in answers, "the process ended"
    assert answers[name] is not None, "it was accepted"
    line, column, reason, seconds = answers[name]
    assert line >= 1
    assert column >= 1
    assert 0 < len(reason) < 500
    assert seconds < FAR_TOO_LONG


WORK = {
    "a bad name after many rules": "".join(
        f"  - {{id: r{index}, effect: block, when: payload.a == 1}}\n" for index in range(900)
    )
    + "  - {id: z, effect: block, when: nosuch(1)}\n",
    "a bad key after many patterns": "".join(
        f"  - {{id: r{index}, effect: block, when: \"payload.a.matches('[a-z]{index}')\"}}\n" for index in range(900)
    )
    + "  - {id: z, effect: block, wen: nosuch(1)}\n",
    "many patterns that repeat": "".join(
        f"  - {{id: r{index}, effect: block, when: \"payload.x.matches('.{{60}}.*{index}')\"}}\n"
        for index in range(900)
    ),
    "a bad test": "".join(f"  - {{id: r{index}, effect: block, when: payload.a == 1}}\n" for index in range(900))
    + "tests: [{payload: {}, expect: {effect: never}}]\n",
}


@pytest.mark.parametrize("name", WORK)
def test_nothing_is_compiled_of_a_document_that_can_be_refused_without(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []
    compile_cel = conditions.compile_cel
    monkeypatch.setattr(conditions, "compile_cel", lambda source: compiled.append(source) or compile_cel(source))
    with pytest.raises(PolicyError):
        parse_policy(HEAD + WORK[name])
    assert compiled == []


def test_tests_that_are_too_much_work_are_refused_before_the_first_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "run", lambda *given: pytest.fail("a test was run"))
    text = HEAD + '  - {id: a, effect: block, when: \'contains_term(payload, ["sue", "lilililili"])\'}\ntests:\n'
    text += f"  - {{payload: {{a: '{'l!|1 @$ ' * 60}'}}, expect: {{effect: require_approval}}}}\n" * 400
    with pytest.raises(PolicyError, match="too much work"):
        parse_policy(text)
