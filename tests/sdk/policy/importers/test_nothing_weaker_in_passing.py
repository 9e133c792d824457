"""What an import does not carry over is listed, and holds back: nothing passes because it could not be said here."""

import pytest

from tests.sdk.policy.importers.said import said
from zehrava.policy import PolicyError, parse_policy
from zehrava.policy.importers import agt, rebuno

pytestmark = pytest.mark.sdk

RULE = "rules:\n  - {id: a, when: {tool: a.b}, then: {decision: require_approval}}\n"
TRUST = """
apiVersion: governance.toolkit/v1
name: trust
rules:
  - {name: trusted, condition: "CONDITION", action: allow}
default_action: deny
"""


@pytest.mark.parametrize(
    ("default", "left", "path"),
    [
        ("{decision: allow, rate_limit: {max_calls: 5, window: 1h}}", "require_approval", "default.rate_limit"),
        ("{decision: allow, foo: 1}", "require_approval", "default.foo"),
        ("{decision: require_approval, approvers: [security]}", "require_approval", "default.approvers"),
    ],
)
def test_what_a_default_asks_besides_is_listed_and_nothing_passes(default, left, path):
    made = rebuno(f"default: {default}\n{RULE}", "imported")
    assert path in [dropped.path for dropped in made.dropped]
    assert said(made, action="x.y")[0] == left


@pytest.mark.parametrize(
    "text",
    [
        f"default: deny\ndefault_action: allow\n{RULE}",
        "rules:\n  - {id: a, when: {tools: []}, then: {decision: allow}}\n",
        "rules:\n  - {id: a, when: {tool: }, then: {decision: allow}}\n",
        "rules:\n  - {id: a, when: {agent_ids: []}, then: {decision: allow}}\n",
        "rules:\n  - {id: a, when: {tool: a.b}, then: {decision: allow, "
        "rate_limit: {max_calls: 100, max: 1, window: 1h}}}\n",
    ],
)
def test_what_could_mean_two_things_is_refused(text):
    with pytest.raises(PolicyError):
        rebuno(text, "imported")


def test_a_test_for_nothing_allows_nothing():
    text = (
        "default: deny\nrules:\n"
        "  - {id: a, when: {tool: a.b, arguments: {x: {equals: null, required: true}}}, then: {decision: allow}}\n"
    )
    made = rebuno(text, "imported")
    assert made.dropped
    assert said(made, payload={"x": "anything"})[0] != "allow"


def test_of_two_timeouts_the_shorter_counts():
    text = (
        "rules:\n  - {id: a, when: {tool: a.b}, then: {decision: require_approval, timeout: 5m, "
        "approval_config: {timeout: 2h, approvers: [b]}, approvers: [a]}}\n"
    )
    made = rebuno(text, "imported")
    (rule,) = [rule for rule in parse_policy(made.document).rules if rule.requirement]
    assert rule.requirement.expires_in == 300
    assert any("approval_config.approvers" in dropped.path for dropped in made.dropped)


@pytest.mark.parametrize(
    "condition",
    [
        "agent.trust_score >= 700",
        "agent.role == 'admin'",
        "user.role == 'admin'",
        "trust_score > 5",
        "identity.verified == 'yes'",
        "principal.id == 'root'",
    ],
)
def test_what_an_agent_says_it_is_allows_nothing(condition):
    made = agt(TRUST.replace("CONDITION", condition), "imported")
    policy = parse_policy(made.document)
    assert "allow" not in {rule.effect for rule in policy.rules}
    assert any("what the agent claims" in dropped.reason for dropped in made.dropped)


def test_the_tier_of_an_agent_is_what_is_registered():
    made = agt(TRUST.replace("CONDITION", "agent.tier == 'gold'"), "imported")
    assert said(made, payload={"agent": {"tier": "gold"}})[0] == "block"
    assert said(made, agent={"tier": "gold"})[0] == "allow"
