"""``zehrava policy …`` as it is started in a shell: what it prints where, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zehrava.policy import parse_policy

GOOD = """\
name: good
match: {actions: ["x.y"]}
rules:
  - {id: large, when: "payload.n > 5", effect: require_approval,
     approval: {all_of: [{group: finance, count: 2}, {group: security}], any_of: [{group: legal}, {group: board}],
     order: listed, step_up: true, rejections: 2, expires_in: 4h,
     escalation: [{after: 1h, do: remind}, {after: 2h, do: widen, to: [managers]}]}}
  - {id: small, effect: allow, limits: [{count: 2, window: 1h}, {sum: payload.n, max: "5", window: 1d, over: block}]}
tests:
  - {payload: {n: 1}, expect: {effect: allow, rule: small}}
  - {payload: {n: 9}, expect: {effect: require_approval, rule: large}}
"""
SHADOWED = """\
name: shadowed
match: {actions: ["x.y"]}
rules:
  - {id: any, when: "payload.n > 5", effect: require_approval}
  - {id: huge, when: "payload.n > 50", effect: block}
tests:
  - {payload: {n: 9}, expect: {effect: require_approval, rule: any}}
"""
TYPE = "name: x.y\nschema: {type: object, required: [n], properties: {n: {type: integer, maximum: 3}}}\n"
HOSTILE = "\x1b[2J\x07\u202e\u200b\r\n::error::"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "shadowed.yaml").write_text(SHADOWED)
    (tmp_path / "x.y.yaml").write_text(TYPE)
    return tmp_path


def zehrava(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("zehrava")
    return subprocess.run(
        [str(command), *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )


def write(directory: Path, name: str, document: Any) -> str:
    (directory / name).write_text(json.dumps(document))
    return name


def steering(text: str) -> list[str]:
    """What could steer a terminal or a build log."""
    return [character for character in text if not character.isprintable() and character != "\n"]


def test_lint_fails_for_an_error_and_for_a_warning_but_not_for_notes(files: Path) -> None:
    fine = zehrava(files, "policy", "lint", "good.yaml")
    assert (fine.returncode, fine.stderr) == (0, "")
    assert fine.stdout == "good.yaml: good: 2 rules, nothing wrong\n"
    noted = zehrava(files, "policy", "lint", "good.yaml", "--action-types", "x.y.yaml")
    assert noted.returncode == 1  # no payload that the schema admits is large
    assert "good.yaml:4:23: warning: rules[0].when: the condition can never hold" in noted.stdout
    (files / "x.y.yaml").write_text("name: x.z\n")
    noted = zehrava(files, "policy", "lint", "good.yaml", "--action-types", "x.y.yaml")
    assert (noted.returncode, noted.stderr) == (0, "")
    assert "good.yaml:2:19: note: match.actions[0]: x.y is no registered action" in noted.stdout
    assert "note: no policy here matches x.z" in noted.stdout
    warned = zehrava(files, "policy", "lint", "good.yaml", "shadowed.yaml")
    assert warned.returncode == 1
    assert "shadowed.yaml:5:22: warning: rules[1].when: wherever the condition holds, rule 'any'" in warned.stdout
    (files / "shadowed.yaml").write_text(SHADOWED + "colour: red\n")
    refused = zehrava(files, "policy", "lint", "good.yaml", "shadowed.yaml", "missing.yaml")
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "shadowed.yaml:8:1: colour: unknown key; known here: name, description, match, rules, default, expires_in,"
        " business_hours, tests",
        "missing.yaml: cannot be read: No such file or directory",
    ]


def test_lint_as_json_is_nothing_but_json(files: Path) -> None:
    (files / "bad.yaml").write_text("name: bad\n")
    said = zehrava(files, "policy", "lint", "shadowed.yaml", "bad.yaml", "--json")
    assert (said.returncode, said.stderr) == (1, "")
    document = json.loads(said.stdout)
    assert {error["path"] for error in document["errors"]} == {"match", "rules"}
    (finding,) = [each for each in document["findings"] if each["level"] == "warning"]
    assert (finding["file"], finding["policy"], finding["path"], finding["line"], finding["code"]) == (
        "shadowed.yaml", "shadowed", "rules[1].when", 5, "shadowed",
    )  # fmt: skip


def test_action_types_that_are_wrong_are_said_like_policies(files: Path) -> None:
    (files / "x.y.yaml").write_text("name: x.y\nschema: {type: banana}\n")
    said = zehrava(files, "policy", "lint", "good.yaml", "--action-types", "x.y.yaml", "x.y.yaml")
    assert said.returncode == 1
    assert said.stderr.startswith("x.y.yaml:2:16: schema.type: not a JSON Schema")


def test_test_runs_files_of_cases_against_all_policies_and_counts(files: Path) -> None:
    passing = {"action": "x.y", "payload": {"n": 1}, "expect": {"effect": "allow", "policy": "good"}}
    failing = {"name": "nine", "payload": {"n": 9}, "expect": {"effect": "allow"}, "action": "x.y"}
    one = write(files, "one.yaml", {"tests": [passing]})
    two = write(files, "two.yaml", {"tests": [passing, failing]})
    said = zehrava(files, "policy", "test", "good.yaml", "--cases", one)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == "good.yaml: good: 2 tests passed\none.yaml: 1 case, all passed\n"
    said = zehrava(files, "policy", "test", "good.yaml", "shadowed.yaml", "--cases", one, two)
    assert said.returncode == 1
    assert "one.yaml: 1 case, 1 failed\ntwo.yaml: 2 cases, 2 failed\n" in said.stdout
    last = said.stderr.splitlines()[-1]
    assert last.startswith("two.yaml:1:") and "tests[1] (nine): expected allow, got require_approval by rule" in last
    document = json.loads(zehrava(files, "policy", "test", "good.yaml", "--cases", two, "--json").stdout)
    assert (document["passed"], len(document["failed"])) == (3, 1)
    assert document["failed"][0]["path"] == "tests[1]"
    assert document["failed"][0]["expected"] == "allow"


def test_a_test_that_fails_is_called_by_its_name_and_a_policy_without_tests_is_said_to_have_none(files: Path) -> None:
    (files / "good.yaml").write_text(GOOD.replace("{payload: {n: 9}", "{name: nine is much, payload: {n: 1}"))
    said = zehrava(files, "policy", "test", "good.yaml")
    assert said.returncode == 1
    expected = (
        "good.yaml:11:5: tests[1]: nine is much: expected require_approval by rule large, got allow by rule small"
    )
    assert said.stderr.startswith(expected)
    (files / "good.yaml").write_text(GOOD.partition("tests:")[0])
    untested = zehrava(files, "policy", "test", "good.yaml")
    assert (untested.returncode, untested.stdout) == (1, "good.yaml: good: no tests\n")
    assert "nothing was tested: write tests into the documents" in untested.stderr
    assert zehrava(files, "policy", "test", "good.yaml", "--json").returncode == 1


def test_test_refuses_cases_that_cannot_be_read(files: Path) -> None:
    wrong = write(files, "wrong.yaml", {"tests": [{"payload": 1, "expect": {"effect": "allow"}}]})
    said = zehrava(files, "policy", "test", "good.yaml", "--cases", wrong, "missing.yaml")
    assert said.returncode == 1
    assert "wrong.yaml:1:12: tests[0].action: is missing" in said.stderr
    assert "missing.yaml: cannot be read" in said.stderr
    document = json.loads(zehrava(files, "policy", "test", "good.yaml", "--cases", wrong, "--json").stdout)
    assert document["errors"][0]["path"] == "tests[0].action"


def test_explain_shows_operands_limits_and_all_that_is_required(files: Path) -> None:
    intent = write(files, "large.json", {"action": "x.y", "payload": {"n": 9}})
    said = zehrava(files, "policy", "explain", "good.yaml", "--intent", intent)
    assert said.returncode == 0
    lines = said.stdout.splitlines()
    assert lines[0] == "require_approval: good, rule large"
    assert "requires: 2 of finance, 1 of security, within 4h" in lines
    assert "requires one of: 1 of board, or 1 of legal" in lines
    assert "in this order: 2 of finance, then 1 of security" in lines
    assert "requires a fresh second factor" in lines
    assert "rejected by 2" in lines
    assert "after 1h: remind" in lines and "after 2h: widen managers" in lines
    assert "  good/large (require_approval): holds" in lines
    assert lines[-2:] == ["      when payload.n > 5  →  true", "        payload.n  =  9"]


TYPED = """\
name: typed
match: {actions: [x.y]}
rules:
  - {id: away, when: 'has(payload.country) && payload.country == "KP"', effect: block}
  - {id: trial, when: 'agent.tier == "trial" || "trial" in agent.labels', effect: block}
  - {id: carried, when: 'intent.execution_mode == "portal"', effect: require_approval}
  - {id: many, when: "intent.records > 2 || intent.target == 'b'", effect: require_approval}
  - {id: few, when: "intent.records > 0", effect: allow}
default: allow
"""
LISTS = """\
name: x.y
schema: {type: object, required: [list], properties: {list: {type: array}}}
derive: {records: size(payload.list), target: payload.to}
"""


def explained(files: Path, intent: dict[str, Any], *more: str) -> Any:
    (files / "typed.yaml").write_text(TYPED)
    intent = {"action": "x.y", "agent": {"name": "a", "environment": "staging"}, **intent}
    said = zehrava(
        files, "policy", "explain", "typed.yaml", "--intent", write(files, "t.json", intent), *more, "--json"
    )
    return json.loads(said.stdout)


def test_explain_derives_and_checks_what_the_portal_does(files: Path) -> None:
    (files / "x.y.yaml").write_text(LISTS)
    typed = ("--action-types", "x.y.yaml")
    listed = {"payload": {"list": [1, 2, 3], "to": "a"}, "records": 1}
    assert explained(files, listed)["rule"] == "few"  # as the agent says
    assert explained(files, listed, *typed)["rule"] == "many"  # as it is
    # An agent that nobody described has what every agent of a portal has.
    trial = explained(files, listed, *typed)["trace"][1]
    assert {"expression": "agent.tier", "value": "standard"} in trial["operands"] and trial["held"] is False
    doubted = explained(files, {"payload": {"list": [1]}}, *typed)
    assert doubted["effect"] == "require_approval"
    assert "the action type could not derive target: there is no 'to'" in doubted["reason"]
    refused = explained(files, {"payload": {"list": 1}}, *typed)
    assert refused["errors"][0]["path"] == "payload.list"
    assert refused["errors"][0]["message"] == '1 is not of type "array" (the schema of x.y)'
    unregistered = explained(
        files, {"payload": {}, "records": 0, "action": "x.y"}, "--action-types", write_other(files)
    )
    assert (unregistered["effect"], unregistered["rule"]) == ("require_approval", "default")
    assert unregistered["reason"].endswith("no default allows an action without an action type")
    assert (
        explained(files, {"payload": {}, "execution_mode": "portal"}, *typed)["errors"][0]["path"] == "execution_mode"
    )
    (files / "x.y.yaml").write_text(LISTS + "executor: noop\n")
    assert explained(files, {"payload": {"list": [1], "to": "a"}}, *typed)["rule"] == "carried"


def write_other(files: Path) -> str:
    (files / "other.yaml").write_text("name: x.z\n")
    return "other.yaml"


def test_explain_says_the_condition_then_each_part_and_marks_what_was_not_looked_at(files: Path) -> None:
    (files / "typed.yaml").write_text(TYPED)
    intent = write(files, "t.json", {"action": "x.y", "payload": {}, "records": 1, "target": "a"})
    lines = zehrava(files, "policy", "explain", "typed.yaml", "--intent", intent).stdout.splitlines()
    at = lines.index("  typed/away (block): does not hold")
    assert lines[at + 1 : at + 4] == [
        '      when has(payload.country) && payload.country == "KP"  →  false',
        "        has(payload.country)     =  false",
        '        payload.country == "KP"  =  not looked at: another part settles it',
    ]
    assert "there is no 'country'" not in "\n".join(lines)


def test_explain_says_what_is_used_and_what_it_does_not_know(files: Path) -> None:
    asked = {"action": "x.y", "payload": {"n": 3}, "agent": {"id": "agt_1", "name": "a"}}
    said = zehrava(files, "policy", "explain", "good.yaml", "--intent", write(files, "unknown.json", asked))
    assert said.stdout.startswith("require_approval: good, rule small")
    assert '"usage": {"good/small/0": 0, "good/small/1": 0}' in said.stdout
    known = {**asked, "usage": {"good/small/0": 1, "good/small/1": "2.5"}}
    said = zehrava(files, "policy", "explain", "good.yaml", "--intent", write(files, "known.json", known))
    assert said.stdout.startswith("block: good, rule small")
    assert "      limit good/small/0: used 1, this adds 1, at most 2\n" in said.stdout
    assert "      limit good/small/1: used 2.5, this adds 3, at most 5, over\n" in said.stdout
    document = json.loads(zehrava(files, "policy", "explain", "good.yaml", "--intent", "known.json", "--json").stdout)
    assert [limit["over"] for limit in document["limits"]] == [False, True]
    assert document["consulted"] == [{"policy": "good", "version": 1}]
    assert document["trace"][-1]["rule"] == "small"


def test_explain_as_json_says_errors_as_json(files: Path) -> None:
    said = zehrava(files, "policy", "explain", "good.yaml", "--intent", write(files, "i.json", {"n": 1}), "--json")
    assert (said.returncode, said.stderr) == (1, "")
    assert json.loads(said.stdout)["errors"][0]["path"] == "n"
    mistyped = zehrava(files, "policy", "explain", "good.yaml", "--intent", write(files, "i.json", {"playload": 1}))
    assert mistyped.stderr == "i.json:1:1: playload: unknown member; did you mean payload?\n"


REBUNO = """\
rules:
  - id: read
    when: {tool: 'web_*'}
    then: {decision: allow}
  - id: shell
    when: {tool: shell}
    then: {decision: deny, reason: never}
"""


def test_import_prints_the_document_or_writes_it_and_overwrites_nothing(files: Path) -> None:
    (files / "theirs.yaml").write_text(REBUNO)
    said = zehrava(files, "policy", "import", "--from", "rebuno", "theirs.yaml")
    assert said.returncode in (0, 3)
    assert parse_policy(said.stdout).name == "theirs"
    written = zehrava(
        files, "policy", "import", "--from", "rebuno", "theirs.yaml", "--name", "tools", "--output", "ours.yaml"
    )
    assert (written.returncode, written.stdout) == (said.returncode, "")
    made = (files / "ours.yaml").read_text()
    assert parse_policy(made).name == "tools"
    again = zehrava(files, "policy", "import", "--from", "rebuno", "theirs.yaml", "--output", "ours.yaml")
    assert (again.returncode, again.stderr) == (1, "ours.yaml: cannot be written: File exists\n")
    assert (files / "ours.yaml").read_text() == made
    document = json.loads(zehrava(files, "policy", "import", "--from", "rebuno", "theirs.yaml", "--json").stdout)
    assert set(document) == {"document", "dropped", "notes"}


def test_import_says_what_it_dropped_and_that_it_did(files: Path) -> None:
    (files / "theirs.yaml").write_text(REBUNO.replace("decision: allow}", "decision: allow, colour: red}"))
    said = zehrava(files, "policy", "import", "--from", "rebuno", "theirs.yaml")
    if said.returncode == 1:  # refused outright, which is as good as said
        assert "theirs.yaml:4:" in said.stderr
        return
    assert said.returncode == 3
    assert "theirs.yaml:4:" in said.stderr and "dropped: " in said.stderr
    assert "1 construct could not be carried over as it was" in said.stderr
    (files / "theirs.yaml").write_text(
        REBUNO.replace("tool: 'web_*'", "tool: 'web_*', x: 1").replace("never", "n, y: 1")
    )
    said = zehrava(files, "policy", "import", "--from", "rebuno", "theirs.yaml")
    assert "constructs could not be carried over as they were" in said.stderr


def test_import_refuses_what_is_no_policy(files: Path) -> None:
    (files / "theirs.yaml").write_text("rules: [\n")
    said = zehrava(files, "policy", "import", "--from", "agt", "theirs.yaml", "--output", "ours.yaml")
    assert said.returncode == 1
    assert said.stderr.startswith("theirs.yaml:")
    assert not (files / "ours.yaml").exists()
    assert zehrava(files, "policy", "import", "theirs.yaml").returncode == 2
    assert zehrava(files, "policy", "import", "--from", "opa", "theirs.yaml").returncode == 2


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_nothing_that_is_shown_can_steer_the_terminal(files: Path, encoding: str) -> None:
    said = "{action: x.y, payload: {n: 9}, name: " + json.dumps(HOSTILE) + ", expect: {effect: block}}"
    (files / "cases.yaml").write_text(f"tests: [{said}]\n")
    (files / "bad.yaml").write_text("name: " + json.dumps(HOSTILE) + "\n" + json.dumps(HOSTILE) + ": 1\n")
    quoting = GOOD.replace("effect: require_approval", 'effect: require_approval, reason: "{payload.note}"', 1)
    quoting = quoting.replace('"payload.n > 5"', "payload.n > 5 && payload.note != 'é'", 1).partition("tests:")[0]
    (files / "quoting.yaml").write_text(quoting, encoding="utf-8")
    intent = write(files, "i.json", {"action": "x.y", "payload": {"n": 9, "note": HOSTILE}, "target": HOSTILE})
    odd = f"odd{HOSTILE[:4]}.yaml"
    (files / odd).write_text("name: odd\n")
    for arguments in (
        ("test", "good.yaml", "--cases", "cases.yaml"),
        ("lint", "bad.yaml", odd, f"missing{HOSTILE}"),
        ("explain", "quoting.yaml", "--intent", intent),
        ("explain", "quoting.yaml", "--intent", intent, "--json"),
        ("import", "--from", "gate", odd),
    ):
        shown = zehrava(files, "policy", *arguments, PYTHONIOENCODING=encoding)
        assert "Traceback" not in shown.stderr
        assert steering(shown.stdout) == [], arguments
        assert steering(shown.stderr) == [], arguments
        assert "\n::error::" not in shown.stdout + shown.stderr


def test_a_reader_that_stops_early_is_no_traceback(files: Path) -> None:
    many = "".join(f"  - {{id: r{index}, when: 'payload.n == {index}', effect: allow}}\n" for index in range(900))
    (files / "many.yaml").write_text("name: many\nmatch: {actions: [x.y]}\nrules:\n" + many)
    command = Path(sys.executable).with_name("zehrava")
    intent = write(files, "i.json", {"action": "x.y", "payload": {"n": 9999}})
    with subprocess.Popen(
        [str(command), "policy", "explain", "many.yaml", "--intent", intent],
        cwd=files, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as started:  # fmt: skip
        assert started.stdout is not None and started.stderr is not None
        started.stdout.read(10)
        started.stdout.close()
        assert b"Traceback" not in started.stderr.read()


LADDER = """\
name: ladder
match: {actions: [x.y]}
business_hours: {zone: Europe/Berlin, days: [mon, tue, wed, thu, fri], from: "09:00", to: "17:00"}
rules:
  - id: all
    effect: require_approval
    approval:
      table:
        amount: {in: EUR}
        rows:
          - {up_to: "50", reversible: true, all_of: [{group: reviewers}]}
          - {sensitivity_up_to: low, all_of: [{group: finance}]}
          - {up_to: "40", reversible: true, all_of: [{group: legal}]}
          - {all_of: [{group: board}]}
      clock: business
      expires_in: 2h
      escalation: [{after: 1h, do: remind}]
tests:
  - {payload: {}, value: {amount: "5", currency: EUR}, reversible: true, expect: {effect: require_approval, row: 1}}
"""


def test_every_command_shows_the_rows_of_a_table(files: Path) -> None:
    (files / "ladder.yaml").write_text(LADDER)
    intent = {"action": "x.y", "value": {"amount": "60", "currency": "EUR"}, "sensitivity": "low"}
    friday = {**intent, "reversible": True, "now": "2026-12-04T15:30:00Z"}
    said = zehrava(files, "policy", "explain", "ladder.yaml", "--intent", write(files, "i.json", friday))
    lines = said.stdout.splitlines()
    assert lines[1] == "reason: rule 'all' of policy 'ladder'; row 2 of its table: sensitivity low is up to low"
    assert "requires: 1 of finance, within 66h" in lines
    assert "after 1h of business time: remind" in lines
    assert lines[-2:] == [
        "      row 1 does not fit: amount 60.00 EUR is above 50",
        "      row 2 fits: sensitivity low is up to low",
    ]
    unknown = write(files, "j.json", {"action": "x.y", "sensitivity": "high"})
    said = zehrava(files, "policy", "explain", "ladder.yaml", "--intent", unknown)
    assert "      row 1 may fit, and asks too: it is not known to be in EUR and the action type does not say" in (
        said.stdout
    )
    document = json.loads(zehrava(files, "policy", "explain", "ladder.yaml", "--intent", unknown, "--json").stdout)
    assert document["trace"][0]["table"]["chosen"] == [1, 3, 4]
    linted = zehrava(files, "policy", "lint", "ladder.yaml")
    assert linted.returncode == 1
    assert "ladder.yaml:13:13: warning: rules[0].approval.table.rows[2]: is never chosen" in linted.stdout
    assert zehrava(files, "policy", "test", "ladder.yaml").returncode == 0
    (files / "ladder.yaml").write_text(LADDER.replace("row: 1", "row: 2"))
    failed = zehrava(files, "policy", "test", "ladder.yaml")
    assert failed.returncode == 1
    assert "expected require_approval, row 2, got require_approval by rule all, row 1 (" in failed.stderr


def test_explain_takes_what_an_action_type_says_from_it_and_not_from_the_file(files: Path) -> None:
    (files / "ladder.yaml").write_text(LADDER)
    (files / "x.y.yaml").write_text("name: x.y\nsensitivity: high\npresent: {reversible: false}\n")
    claims = {"action": "x.y", "value": {"amount": "5", "currency": "EUR"}, "reversible": True, "sensitivity": "low"}
    intent = write(files, "i.json", claims)
    said = zehrava(
        files, "policy", "explain", "ladder.yaml", "--intent", intent, "--action-types", "x.y.yaml", "--json"
    )
    assert json.loads(said.stdout)["trace"][0]["table"]["chosen"] == [4]
    wrong = zehrava(
        files, "policy", "explain", "ladder.yaml", "--intent", write(files, "w.json", {**claims, "reversible": "no"})
    )
    assert wrong.returncode == 1
    assert "reversible: must be true or false" in wrong.stderr
