"""``zehrava policy …`` works without the portal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zehrava import __version__
from zehrava.cli import main

GOOD = (
    'name: good\nmatch: {actions: ["x.y"]}\nrules:\n'
    '  - {id: large, when: "payload.n > 5", effect: require_approval, reason: "{payload.note}"}\n'
    "  - {id: small, effect: allow}\ntests:\n  - {payload: {n: 1}, expect: {effect: allow, rule: small}}\n"
)


RULE = "rules: [{id: all, effect: require_approval}]\n"


def write(directory: Path, name: str, text: str) -> str:
    path = directory / name
    path.write_text(text)
    return str(path)


def test_lint_says_file_line_column_path_and_reason_of_every_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path, "good.yaml", GOOD)
    bad = write(
        tmp_path, "bad.yaml", "name: bad\nmatch: {actions: [x]}\nrules:\n  - {id: a, effect: no}\ncolour: red\n"
    )
    assert main(["policy", "lint", good, bad, str(tmp_path / "missing.yaml")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"{bad}:4:21: rules[0].effect: must be one of")
    assert lines[1].startswith(f"{bad}:5:1: colour: unknown key")
    assert lines[2].startswith(f"{tmp_path / 'missing.yaml'}: cannot be read: No such file")


def test_lint_and_test_pass_a_good_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path, "good.yaml", GOOD)
    assert main(["policy", "lint", good]) == 0
    assert main(["policy", "test", good]) == 0
    assert "1 test passed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"tags": "abc"}, "tags: must be a list of strings"),
        ({"tags": [1]}, "tags: must be a list of strings"),
        ({"policy": ["a"]}, "policy: must be a string"),
        ({"target": 5}, "target: must be a string"),
        ({"records": "5"}, "records: must be a whole number from 0 on"),
        ({"records": True}, "records: must be a whole number from 0 on"),
        ({"records": -1}, "records: must be a whole number from 0 on"),
    ],
)
def test_an_intent_with_a_member_of_the_wrong_kind_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], members: dict[str, object], said: str
) -> None:
    good = write(tmp_path, "good.yaml", GOOD)
    intent = write(tmp_path, "intent.json", json.dumps({"action": "x.y", "payload": {"n": 1}, **members}))

    assert main(["policy", "explain", good, "--intent", intent]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("output", [">/dev/full", ">&-", "| true"])
@pytest.mark.parametrize("command", ["explain", "lint", "import"])
def test_output_that_cannot_be_written_is_no_crash(tmp_path: Path, command: str, output: str) -> None:
    good = write(tmp_path, "good.yaml", GOOD)
    intent = write(tmp_path, "intent.json", json.dumps({"action": "x.y", "payload": {"n": 1}}))
    gate = write(tmp_path, "gate.yaml", "id: gate\nrequire_approval: always\n")
    words = {
        "explain": f"explain {good} --intent {intent}",
        "lint": f"lint {good}",
        "import": f"import --from gate {gate}",
    }[command]

    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m zehrava.cli policy {words} {output}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    if output == ">/dev/full":
        assert done.returncode == 1
        assert "the output cannot be written: No space left on device" in done.stderr


def test_test_fails_where_the_policy_does_not_say_what_its_tests_expect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = write(tmp_path, "bad.yaml", GOOD.replace("{n: 1}", "{n: 9}"))
    assert main(["policy", "test", bad]) == 1
    assert (
        f"{bad}:7:5: tests[0]: expected allow by rule small, got require_approval by rule large"
        in capsys.readouterr().err
    )


def test_two_files_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [write(tmp_path, "a.yaml", GOOD), write(tmp_path, "b.yaml", GOOD)]
    assert main(["policy", "lint", *paths]) == 1
    assert "is taken by" in capsys.readouterr().err


def test_explain_prints_the_verdict_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path, "good.yaml", GOOD)
    intent = write(
        tmp_path, "intent.json", '{"action": "x.y", "payload": {"n": 9, "note": "hi"}, "agent": {"name": "a"}}'
    )
    assert main(["policy", "explain", good, "--intent", intent, "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["effect"], verdict["policy"], verdict["rule"]) == ("require_approval", "good", "large")
    assert verdict["requirement"] == {"all_of": [{"group": "reviewers", "count": 1}], "expires_in": None}
    assert [step["rule"] for step in verdict["trace"]] == ["large"]


def test_explain_prints_durations_as_the_document_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = write(tmp_path, "slow.yaml", "name: slow\nmatch: {actions: [x.y]}\nexpires_in: 4h\n" + RULE)
    intent = write(tmp_path, "intent.json", '{"action": "x.y"}')
    assert main(["policy", "explain", policy, "--intent", intent]) == 0
    assert "requires: 1 of reviewers, within 4h\n" in capsys.readouterr().out


def test_explain_for_people_cannot_steer_their_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path, "good.yaml", GOOD)
    intent = write(tmp_path, "intent.json", '{"action": "x.y", "payload": {"n": 9, "note": "\\u001b[2J\\u202e"}}')
    assert main(["policy", "explain", good, "--intent", intent]) == 0
    out = capsys.readouterr().out
    assert "require_approval: good, rule large" in out
    assert "\\x1b[2J\\u202e" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("intent", "reason"),
    [
        ('{"action": "x.y", "action": "z"}', "action"),
        ('{"action": "x.y", "colour": 1}', "colour: unknown member"),
        ("[]", "an intent is an object"),
        ("{}", "action: is missing"),
        ('{"action": "x.y", "now": "2026-01-01T00:00:00"}', "time zone"),
        ('{"action": "x.y", "now": "soon"}', "must be a time"),
        ('{"action": "x.y", "agent": "me"}', "agent: must be an object"),
        ("{", "intent.json:1:1"),
    ],
)
def test_explain_refuses_what_is_no_intent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], intent: str, reason: str
) -> None:
    good = write(tmp_path, "good.yaml", GOOD)
    assert main(["policy", "explain", good, "--intent", write(tmp_path, "intent.json", intent)]) == 1
    assert reason in capsys.readouterr().err


def test_it_knows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert __version__ in capsys.readouterr().out
