"""A verdict comes out again from what is stored of it, or the page of the intent says loudly that it does not."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from intents import in_force, integrity
from intents.documents import disable_policy
from intents.explaining import explain
from intents.models import Agent, Intent, Policy, PolicyVersion
from tests.factories import load_action_type, load_policy, make_agent, make_intent, make_user

pytestmark = pytest.mark.django_db

REFUNDS = """
name: refunds
match: {actions: [stripe.refund]}
rules:
  - {id: sanctioned, when: 'payload.country in ["KP", "IR"]', effect: block}
  - id: large
    when: amount(payload.amount) > amount("500")
    effect: require_approval
    reason: "{payload.amount} is a lot"
    approval: {all_of: [{group: finance, count: 2}], expires_in: 15m}
  - id: small
    effect: allow
    limits: [{count: 1, window: 1h}]
"""


@pytest.fixture
def key() -> str:
    load_policy(REFUNDS)
    return make_agent("billing", tier="trusted", labels={"team": "pay"})[1]


def refund(key: str, amount: str, country: str = "DE", **members) -> Intent:
    return make_intent(key, payload={"amount": amount, "country": country}, **members)


def page(intent: Intent) -> str:
    client = Client()
    client.force_login(make_user(None, "reviewers", is_superuser=True))
    html = client.get(reverse("admin:intents_intent_change", args=[intent.pk])).content.decode()
    return re.sub(r"\s+", " ", html.replace("<bdi>", "").replace("</bdi>", ""))


def test_every_kind_of_verdict_comes_out_again(key):
    load_action_type("name: a.b\nderive: {records: size(payload.list)}\n")
    load_policy("name: more\nmatch: {actions: [a.b]}\nrules: [{id: r, effect: allow}]\n")
    intents = [
        refund(key, "620"),
        refund(key, "20"),
        refund(key, "30"),
        refund(key, "40", "IR"),
        refund(key, "not a number"),
        make_intent(key, action="a.b", payload={"list": 5}),
        make_intent(key, action="x.y", policy="more"),
        make_intent(key, action="x.y"),
    ]
    assert {intent.status for intent in intents} == {"approved", "blocked", "pending_approval"}
    for intent in intents:
        explained = explain(Intent.objects.get(pk=intent.pk))
        assert explained.agrees, (intent.verdict, explained)
        assert "trace" not in intent.verdict


def test_it_comes_out_again_though_everything_changed_since(key, settings):
    settings.ZEHRAVA_DEFAULT_EFFECT = "block"
    in_force.bump()
    asked, counted, unmatched = refund(key, "620"), refund(key, "20"), make_intent(key, action="x.y")
    assert unmatched.status == "blocked"
    load_policy(REFUNDS.replace("500", "1000").replace("count: 1", "count: 100"))
    disable_policy(Policy.objects.get(name="refunds"), by=in_force.current().agents_by_key.popitem()[1].actor)
    Agent.objects.update(tier="standard", labels={}, environment="staging")
    settings.ZEHRAVA_DEFAULT_EFFECT = "require_approval"
    for intent in (asked, counted, unmatched):
        assert explain(Intent.objects.get(pk=intent.pk)).agrees


def test_a_policy_in_force_that_could_not_be_read_is_part_of_it(key):
    load_policy("name: other\nmatch: {actions: [a.b]}\nrules: [{id: r, effect: allow}]\n")
    PolicyVersion.objects.filter(policy__name="refunds").update(text="name: [")
    in_force.bump()
    intent = make_intent(key, action="a.b")
    assert intent.status == "pending_approval"
    assert explain(intent).agrees


def test_the_trace_has_every_rule_with_its_operands_and_limits(key):
    refund(key, "20")
    large, small = explain(refund(key, "620.00")), explain(refund(key, "30"))
    assert [(step["rule"], step["held"]) for step in large.trace] == [("sanctioned", False), ("large", True)]
    assert {"expression": "payload.country", "value": "DE"} in large.trace[0]["operands"]
    assert {"expression": "amount(payload.amount)", "value": "620"} in large.trace[1]["operands"]
    (use,) = small.trace[-1]["limits"]
    assert (use["text"], use["used"], use["most"], use["over"]) == ("at most 1 per agent in 1h", "1", "1", True)


def test_it_costs_one_query(key, django_assert_num_queries):
    intent = Intent.objects.get(pk=refund(key, "620").pk)
    with django_assert_num_queries(1):
        explain(intent)


def test_a_reader_sees_each_rule_and_the_value_of_each_part(key):
    refund(key, "20")
    shown = page(refund(key, "620.00"))
    assert "Whole trace: 2 rules looked at" in shown
    assert '<dt class="zhv-code">payload.country</dt><dd class="zhv-code">&quot;DE&quot;</dd>' in shown
    assert "did not hold" in shown and 'held <span class="zhv-pill is-amber">asks</span>' in shown
    assert "does not come out again" not in shown
    # The condition and what it gave, then its parts; a part that did not matter is no error.
    condition = (
        '<dt class="zhv-code">amount(payload.amount) &gt; amount(&quot;500&quot;)</dt><dd class="zhv-code">{}</dd>'
    )
    assert shown.count(condition.format("true")) == 1
    shown = page(refund(key, "30"))
    assert shown.count(condition.format("false")) == 1
    assert shown.index(condition.format("false")) < shown.index('<dt class="zhv-code">amount(payload.amount)</dt>')
    assert "at most 1 per agent in 1h: 1 used, this adds 1" in shown
    assert '<span class="zhv-pill is-red">over</span>' in shown
    assert 'over its limit <span class="zhv-pill is-amber">asks</span>' in shown


def test_a_rule_that_failed_is_shown_with_what_it_did_and_not_with_what_it_would_have_done(key):
    load_policy("name: easy\nmatch: {actions: [a.b]}\nrules: [{id: r, when: payload.missing > 1, effect: allow}]\n")
    shown = page(make_intent(key, action="a.b"))
    assert 'could not be told <span class="zhv-pill is-amber">asks</span>' in shown
    assert "is-green" not in shown.partition("Whole trace")[2].partition("</ol>")[0]


def test_a_part_that_another_settled_is_not_shown_as_an_error(key):
    guarded = "has(payload.country) && payload.country == 'KP'"
    load_policy(f'name: easy\nmatch: {{actions: [a.b]}}\nrules: [{{id: r, when: "{guarded}", effect: block}}]\n')
    trace = page(make_intent(key, action="a.b", payload={})).partition("Whole trace")[2].partition("</ol>")[0]
    assert "not looked at" in trace
    assert "there is no" not in trace and "zhv-trace-error" not in trace


def test_what_the_agent_writes_stays_text_in_the_trace(key):
    shown = page(refund(key, "620", country="<script>alert(1)</script>\u202e"))
    assert "<script>alert" not in shown
    assert "\u202e" not in shown


ALTERATIONS = {
    "the effect of the verdict": lambda i: verdict_of(i, effect="allow"),
    "what was used": lambda i: inputs_of(i, usage={"refunds/small/0": 0}),
    "which version it was": lambda i: inputs_of(i, policies={"refunds": 1}),
    "the agent's attributes": lambda i: inputs_of(i, agent={"name": "another", "environment": "staging"}),
    "the text of the version": lambda i: PolicyVersion.objects.filter(number=2).update(text=REFUNDS),
    "inputs that are none": lambda i: inputs_of(i, policies=None),
}


def verdict_of(intent: Intent, **changed) -> None:
    verdict = {**intent.verdict, **changed}
    # Whoever changes the verdict makes its digest fit.
    Intent.objects.filter(pk=intent.pk).update(verdict=verdict, verdict_digest=integrity.digest_of(verdict))


def inputs_of(intent: Intent, **changed) -> None:
    verdict_of(intent, inputs={**intent.verdict["inputs"], **changed})


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_a_verdict_that_does_not_come_out_again_is_said_loudly(key, alteration):
    load_policy(REFUNDS.replace("match: {actions", "match: {agents: [billing], actions"))
    first, intent = refund(key, "20"), refund(key, "30")
    assert (first.status, intent.status) == ("approved", "pending_approval")
    assert intent.verdict["version"] == 2
    ALTERATIONS[alteration](intent)
    intent.refresh_from_db()
    assert not explain(intent).agrees
    assert "This verdict does not come out again." in page(intent)


def test_an_intent_from_before_this_was_kept_says_so_calmly(key):
    intent = refund(key, "620")
    verdict = {name: value for name, value in intent.verdict.items() if name != "inputs"}
    Intent.objects.filter(pk=intent.pk).update(verdict=verdict, verdict_digest=integrity.digest_of(verdict))
    shown = page(intent)
    assert "The trace cannot be shown." in shown
    assert "does not come out again" not in shown
