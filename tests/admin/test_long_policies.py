"""Saving and showing a long policy waits for no lint: that is asked for by a request of its own."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from intents import activation, documents, in_force, policy_warnings
from intents.models import Policy, PolicyVersion
from tests.factories import ARRANGER, load_policy
from zehrava.policy import linting

RULES = "".join(
    f'  - {{id: r{number}, when: payload.customer.email == "{number}@example.com", effect: block}}\n'
    for number in range(200)
)
# The last rule asks a group that nobody is in.
LONG = f"""\
name: refunds
match: {{actions: [stripe.refund]}}
rules:
{RULES}
  - {{id: large, when: payload.count > 5, effect: require_approval, approval: {{all_of: [{{group: ghosts}}]}}}}
"""
SHORT = "name: refunds\nmatch: {actions: [stripe.refund]}\nrules: [{id: all, effect: allow}]\n"


@pytest.fixture
def linted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The policies that lint was asked about."""
    asked: list[str] = []
    really = linting.lint

    def lint(policies: Any, *rest: Any) -> Any:
        asked.extend(policy.text for policy in policies)
        return really(policies, *rest)

    monkeypatch.setattr(linting, "lint", lint)
    policy_warnings._findings.cache_clear()
    return asked


def address(page: str = "change", *args: Any) -> str:
    return reverse(f"admin:intents_policy_{page}", args=[Policy.objects.get(name="refunds").pk, *args])


@pytest.mark.parametrize("button", ["_activate", "_draft"])
def test_nobody_who_saves_a_long_policy_waits_for_lint(author: Client, linted: list[str], button: str) -> None:
    page = author.post(reverse("admin:intents_policy_add"), {"text": LONG, button: ""}, follow=True).content.decode()
    assert f'hx-get="{address("lint", 1)}"' in page and 'hx-trigger="load"' in page
    version = PolicyVersion.objects.get()
    assert (version.text, in_force.current().policy_versions) == (
        LONG,
        {"refunds": version.pk} if button == "_activate" else {},
    )
    assert linted == []


def test_every_page_that_shows_a_long_version_asks_for_lint_afterwards(
    author: Client, linted: list[str], settings: Any
) -> None:
    load_policy(SHORT)
    version = documents.save_policy(LONG, by=ARRANGER, user=None, activate=False)
    for page in (address(), address("version", 2), address("activate", 2)):
        assert f'hx-get="{address("lint", 2)}"' in author.get(page).content.decode(), page
    settings.ZEHRAVA_POLICY_SECOND_PERSON = True
    activation.ask_from_server(version, by=ARRANGER, reason="as agreed")
    assert f'hx-get="{address("lint", 2)}"' in author.get(address("request")).content.decode()
    assert LONG not in linted


def test_what_lint_says_comes_alone_to_a_page_and_in_a_frame_to_a_browser_without_scripts(
    author: Client, linted: list[str]
) -> None:
    documents.save_policy(LONG, by=ARRANGER, user=None, activate=False)
    part = author.get(address("lint", 1), headers={"HX-Request": "true"}).content.decode()
    assert part.count('id="zhr-lint"') == 1 and "<html" not in part and "there is no group" in part
    whole = author.get(address("lint", 1)).content.decode()
    assert "<html" in whole and "there is no group" in whole and f'hx-get="{address("lint", 1)}' not in whole
    assert linted == [LONG]


def test_only_who_may_see_policies_reads_what_lint_says(author: Client, client: Client, sign_in: Any) -> None:
    documents.save_policy(LONG, by=ARRANGER, user=None, activate=False)
    assert author.get(address("lint", 2)).status_code == 404
    assert client.get(address("lint", 1)).status_code == 302
