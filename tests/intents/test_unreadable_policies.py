"""A policy in force that cannot be read asks everybody whom it could have asked: breaking it makes nothing lenient."""

from typing import Any

import pytest

from intents import in_force
from intents.explaining import explain
from intents.models import Policy, PolicyVersion, Status
from tests.factories import ARRANGER, allow, load_policy, make_agent, make_intent
from tests.intents.test_in_force_forged import erase_policy, forge_history
from zehrava.policy import Policy as Parsed
from zehrava.policy import parse_policy

pytestmark = pytest.mark.django_db

STRICT = """
name: refunds
match: {actions: ['stripe.*']}
rules:
  - {id: never, when: payload.country == "KP", effect: block}
  - id: large
    when: amount(payload.amount) > amount("500")
    effect: require_approval
    approval: {all_of: [{group: finance, count: 2}, {group: security}], step_up: true}
  - id: many
    effect: allow
    limits: [{count: 5, per: agent, window: 1h, over: require_approval}]
    approval: {all_of: [{group: managers}]}
"""
EVERYBODY = [
    {"group": "finance", "count": 2},
    {"group": "managers", "count": 1},
    {"group": "security", "count": 1},
]


def alter_text(**which: Any) -> None:
    PolicyVersion.objects.filter(policy__name="refunds", **which).update(text="name: refunds\nrules: nonsense\n")
    in_force.bump()


def a_newer_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is what was saved, and this engine refuses it."""

    def refuse(text: str, *, version: int = 1) -> Parsed:
        if text == STRICT:
            raise ValueError("this engine knows no rules")
        return parse_policy(text, version=version)

    monkeypatch.setattr(in_force, "parse_policy", refuse)
    in_force.bump()


def lose_it(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "text":
        alter_text()
    elif how == "pointer":
        Policy.objects.filter(name="refunds").update(active=None)
        in_force.bump()
    elif how == "row":
        erase_policy("refunds")
    elif how == "outline":
        PolicyVersion.objects.update(outline={"actions": [], "asks": {"all_of": [{"group": "interns", "count": 1}]}})
        alter_text()
    elif how == "history":
        nobody = {"actions": [], "asks": {"all_of": []}}
        forge_history(PolicyVersion.objects.get(policy__name="refunds"), outline=nobody)
        alter_text()
    else:
        a_newer_engine(monkeypatch)


@pytest.mark.parametrize("how", ["text", "pointer", "row", "outline", "engine"])
def test_it_asks_everybody_whom_it_could_have_asked(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load_policy(STRICT)
    allow("stripe.refund")
    allow("other.thing", name="other")
    lose_it(how, monkeypatch)
    intent = make_intent(action="stripe.refund", payload={"amount": "1.00"})
    assert intent.status == Status.PENDING_APPROVAL
    assert intent.requirement["all_of"] == EVERYBODY
    assert intent.requirement["step_up"] is True
    assert "policy refunds is in force but cannot be read" in intent.verdict["reason"]
    # Nothing passes; but what it was never about is not asked of its people.
    other = make_intent(action="other.thing")
    assert other.status == Status.PENDING_APPROVAL
    assert other.requirement == {"all_of": [{"group": "reviewers", "count": 1}]}
    if how != "engine":
        assert explain(intent).agrees
        assert explain(other).agrees


def test_history_that_nobody_wrote_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    load_policy(STRICT)
    allow("stripe.refund")
    lose_it("history", monkeypatch)
    assert make_intent(action="stripe.refund").status == Status.PENDING_APPROVAL


def test_what_can_be_read_asks_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    load_policy(STRICT)
    load_policy(
        "name: also\nmatch: {actions: ['stripe.refund']}\nrules:\n"
        "  - {id: all, effect: require_approval, approval: {all_of: [{group: legal}, {group: finance}]}}\n"
    )
    alter_text()
    asked = make_intent(action="stripe.refund").requirement["all_of"]
    assert asked == sorted([{"group": "legal", "count": 1}, *EVERYBODY], key=lambda seat: seat["group"])


def test_what_another_policy_blocks_stays_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    load_policy(STRICT)
    load_policy("name: stop\nmatch: {actions: ['stripe.refund']}\nrules: [{id: all, effect: block}]\n")
    alter_text()
    assert make_intent(action="stripe.refund").status == Status.BLOCKED


def test_a_version_from_before_outlines_asks_one_reviewer_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    from intents import documents

    monkeypatch.setattr(documents, "outline", lambda parsed: None)
    documents.save_policy(STRICT, by=ARRANGER, user=None)
    alter_text()
    intent = make_intent(make_agent()[1], action="stripe.refund")
    assert intent.status == Status.PENDING_APPROVAL
    assert intent.requirement == {"all_of": [{"group": "reviewers", "count": 1}]}
