"""The policies shown in the documentation work as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from zehrava.action_types import ActionType
from zehrava.policy import Policy, PolicySet

GALLERY = Path(__file__).parents[3] / "docs" / "policies"
POLICIES = sorted(GALLERY.glob("*.yaml"))
ACTION_TYPES = sorted((GALLERY / "action-types").glob("*.yaml"))
GROUPS = {"reviewers", "finance", "security", "platform", "comms"}


def test_the_gallery_is_complete() -> None:
    names = {"refunds", "outbound-email", "crm-import", "database-deletion", "deployments", "support-replies"}
    assert {path.stem for path in POLICIES} == names
    actions = {"stripe.refund", "email.send", "crm.import", "db.delete", "deploy.release", "support.reply"}
    assert {path.stem for path in ACTION_TYPES} == actions


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_a_policy_of_the_gallery_is_sound_and_tests_what_it_says(path: Path) -> None:
    policy = Policy.parse(path.read_text())
    assert policy.name == path.stem
    assert policy.description
    assert {case.effect for case in policy.tests} >= {"allow", "block", "require_approval"}
    for rule in policy.rules:
        groups = {group for group, _ in rule.requirement.groups} if rule.requirement else set()
        assert groups <= GROUPS


@pytest.mark.parametrize("path", ACTION_TYPES, ids=lambda path: path.stem)
def test_every_intent_in_the_tests_that_is_let_through_fits_the_schema_of_its_action(path: Path) -> None:
    action_type = ActionType.parse(path.read_text())
    assert action_type.name == path.stem
    checked = 0
    for policy in PolicySet.load(*POLICIES).policies:
        for case in policy.tests:
            action = case.intent.get("action", (policy.match.actions or ("",))[0])
            if case.effect == "allow" and action.replace("*", "release") == action_type.name:
                assert action_type.validate(case.intent["payload"]) == []
                assert action_type.derive(case.intent["payload"]).errors == []
                checked += 1
    assert checked
