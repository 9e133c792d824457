"""The policies shown in the documentation work as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zehrava.action_types import ActionType
from zehrava.cli import main
from zehrava.policy import (
    PolicySet,
    approvals,
    calendars,
    cases,
    document,
    limits,
    parse_policy,
    table_documents,
    tables,
)

GALLERY = Path(__file__).parents[3] / "docs" / "policies"
POLICIES = sorted(GALLERY.glob("*.yaml"))
ACTION_TYPES = sorted((GALLERY / "action-types").glob("*.yaml"))
GROUPS = {"reviewers", "finance", "security", "platform", "comms"}


def test_the_gallery_is_complete() -> None:
    assert {path.stem for path in POLICIES} == {
        "refunds", "outbound-email", "crm-import", "database-deletion", "deployments", "support-replies",
        "content-publishing",
    }  # fmt: skip
    assert {path.stem for path in ACTION_TYPES} == {
        "stripe.refund", "email.send", "crm.import", "db.delete", "db.drop", "db.truncate", "deploy.release",
        "support.reply", "content.publish", "content.unpublish",
    }  # fmt: skip


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_of_the_gallery_is_sound_and_tests_what_it_says(path: Path) -> None:
    policy = parse_policy(path.read_text())
    assert policy.name == path.stem
    assert policy.description
    assert {case.effect for case in policy.tests} >= {"allow", "block", "require_approval"}
    for rule in policy.rules:
        groups = {group for group, _ in rule.requirement.groups} if rule.requirement else set()
        assert groups <= GROUPS


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_its_tests_reach_every_rule_and_every_limit_from_both_sides(path: Path) -> None:
    policy = parse_policy(path.read_text())
    assert {rule.id for rule in policy.rules} <= {case.rule for case in policy.tests}
    for rule in policy.rules:
        mine = [case for case in policy.tests if case.rule == rule.id]
        for limit in rule.limits:
            name = limit.name(policy.name, rule.id)
            assert limit.over in {case.effect for case in mine if name in case.intent.get("usage", ())}, name
        assert any(case.effect == rule.effect for case in mine), rule.id


@pytest.mark.parametrize("path", ACTION_TYPES, ids=lambda path: path.stem)
def test_every_intent_in_the_tests_that_is_let_through_fits_the_schema_of_its_action(path: Path) -> None:
    action_type = ActionType.parse(path.read_text())
    assert action_type.name == path.stem
    assert action_type.presentation
    asked = allowed = 0
    for policy in PolicySet.load(*POLICIES).policies:
        for case in policy.tests:
            action = case.intent.get("action", (policy.match.actions or ("",))[0]).replace("*", "release")
            asked += action == action_type.name
            if case.effect == "allow" and action == action_type.name:
                assert action_type.validate(case.intent["payload"]) == []
                derived = action_type.derive(case.intent["payload"])
                assert derived.errors == []
                # What the portal will derive is what the case says.
                assert case.intent.get("target", derived.target) == derived.target
                assert derived.records is None or case.intent.get("records") == derived.records
                allowed += 1
    assert asked
    assert allowed or action_type.name in ("db.drop", "db.truncate", "content.unpublish")


def test_lint_finds_nothing_in_the_gallery(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["policy", "lint", *map(str, POLICIES), "--action-types", *map(str, ACTION_TYPES)]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert [line for line in said.out.splitlines() if not line.endswith("nothing wrong")] == []


@pytest.mark.parametrize("page", sorted(GALLERY.glob("*.md")), ids=lambda path: path.name)
def test_every_document_shown_on_a_page_loads(page: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    for block in blocks:
        if "\npresent:" in block:
            assert ActionType.parse(block).before is not None
        elif "\nsensitive:" in block:
            assert ActionType.parse(block).sensitive
        elif block.startswith("name:"):
            parse_policy(block)


def test_the_cases_shown_on_a_page_pass_against_the_policy_that_they_are_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (GALLERY / "README.md").read_text()
    shown = re.findall(r"^```yaml\n(policy: (\S+).*?)^```", page, re.MULTILINE | re.DOTALL)
    assert shown
    for text, name in shown:
        file = tmp_path / "cases.yaml"
        file.write_text(text)
        command = ["policy", "test", str(GALLERY / f"{name}.yaml"), "--cases", str(file)]
        assert main(command) == 0
        file.write_text(text.replace("effect: block", "effect: allow"))
        assert main(command) == 1
    assert "2 cases, all passed" in capsys.readouterr().out


def test_the_grammar_names_every_key_that_a_policy_may_have() -> None:
    page = (GALLERY / "grammar.md").read_text()
    keys = {
        *document._KEYS,
        *document._MATCH_KEYS,
        *document._RULE_KEYS,
        *approvals.KEYS,
        *table_documents._TABLE_KEYS,
        *table_documents._AMOUNT_KEYS,
        *tables.CONDITIONS,
        *calendars._KEYS,
        *limits._KEYS,
        *cases._CASE_KEYS,
        *("url", "credentials", "allow_private", "fields", "now", "then"),
    }
    assert {key for key in keys if f"`{key}`" not in page and f"{key}:" not in page} == set()


@pytest.mark.parametrize("page", sorted(GALLERY.glob("*.md")), ids=lambda path: path.name)
def test_every_link_on_a_page_leads_somewhere(page: Path) -> None:
    for path, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text()):
        if not path.startswith("http"):
            target = page.parent / path if path else page
            assert target.exists(), path
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if anchor else []
            assert not anchor or anchor in {
                re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles
            }
