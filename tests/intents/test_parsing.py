"""Each text of a policy is compiled once, however often the portal comes by it."""

from __future__ import annotations

import gc

import pytest

from intents import in_force, parsing
from intents.documents import save_policy
from tests.factories import ARRANGER, load_policy, make_agent, make_intent
from zehrava import policy
from zehrava.policy import Policy, PolicyError

pytestmark = pytest.mark.django_db

NAMES = [f"policy-{number}" for number in range(parsing._JUST_READ * 2)]


def text(name: str, effect: str = "allow") -> str:
    return f"name: {name}\nmatch: {{actions: ['{name}.run']}}\nrules: [{{id: all, effect: {effect}}}]\n"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were compiled since the test began."""
    found: list[str] = []
    parse_policy = policy.parse_policy

    def parse(text: str) -> Policy:
        found.append(text)
        return parse_policy(text)

    monkeypatch.setattr(policy, "parse_policy", parse)
    return found


def test_what_stays_in_force_is_not_compiled_again_when_something_else_changes(compiled):
    for name in NAMES:
        load_policy(text(name))
    in_force.current()
    compiled.clear()

    key = make_agent()[1]
    assert make_intent(key, action="policy-3.run").status == "approved"
    assert compiled == []

    load_policy(text("policy-3", "block"))
    assert make_intent(key, action="policy-3.run").status == "blocked"
    assert make_intent(key, action="policy-4.run").status == "approved"
    assert compiled == [text("policy-3", "block")]


def test_the_version_is_that_of_who_asks(compiled):
    first, second = parsing.parse_policy(text("twice"), version=1), parsing.parse_policy(text("twice"), version=2)

    assert (first.version, second.version) == (1, 2)
    assert len(compiled) == 1


def test_what_nobody_holds_any_more_is_forgotten(compiled):
    save_policy(text("policy-old"), by=ARRANGER, user=None, activate=False)
    for name in NAMES:
        parsing.parse_policy(text(f"{name}-since"))
    gc.collect()
    compiled.clear()

    parsing.parse_policy(text("policy-old"))

    assert compiled == [text("policy-old")]


def test_a_text_that_is_wrong_is_refused_each_time():
    for _ in range(2):
        with pytest.raises(PolicyError):
            parsing.parse_policy("name: x\nrules: [")
