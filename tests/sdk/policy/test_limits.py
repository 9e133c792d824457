"""Limits: what is used is passed in, what is not known is never within, and nothing is counted twice."""

import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zehrava.policy import Meter, PolicyError, PolicySet, parse_policy

NOW = datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.UTC)
AGENT = {"id": "agt_1", "name": "billing", "owner": "mia", "environment": "production"}


def text(limits, *, effect="allow", when="", name="refunds", approval=""):
    """A policy of one rule, `small`, with these limits."""
    return f"""\
name: {name}
match: {{actions: ["*"]}}
rules:
  - id: small
    effect: {effect}
    {"when: " + when if when else ""}
    {"approval: " + approval if approval else ""}
    limits: {limits}
"""


def said(*texts, usage=None, payload=None, **intent):
    intent = {"action": "stripe.refund", "agent": AGENT, "now": NOW, **intent}
    payload = {"amount": "10.00"} if payload is None else payload
    return PolicySet.parse(*texts).evaluate(payload=payload, usage=usage, **intent)


@pytest.mark.parametrize(
    "limit, used, effect",
    [
        ("{count: 20, window: 1h}", 0, "allow"),
        ("{count: 20, window: 1h}", 19, "allow"),
        ("{count: 20, window: 1h}", 20, "require_approval"),
        ("{count: 20, window: 1h, over: block}", 20, "block"),
        ("{sum: payload.amount, max: '5000', window: 1d}", "4990.00", "allow"),
        ("{sum: payload.amount, max: '5000', window: 1d}", "4990.01", "require_approval"),
        ("{sum: payload.amount, max: 5000, window: 1d, over: block}", Decimal("4990.01"), "block"),
        ("{sum: payload.amount, max: '9', window: 1d}", 0, "require_approval"),
    ],
)
def test_the_bound_itself_passes_and_one_more_does_not(limit, used, effect):
    verdict = said(text(f"[{limit}]"), usage={"refunds/small/0": used})
    assert (verdict.effect, verdict.rule) == (effect, "small")
    assert verdict.limits[0].counts is (effect == "allow")


def test_sums_are_exact_where_floats_are_not():
    limit = "[{sum: payload.amount, max: '0.3', window: 1d}]"
    assert said(text(limit), usage={"refunds/small/0": "0.1"}, payload={"amount": "0.2"}).effect == "allow"
    huge = {"amount": "0.000000000001"}
    limit = f"[{{sum: payload.amount, max: '{'9' * 30}', window: 1d}}]"
    assert said(text(limit), usage={"refunds/small/0": "9" * 30}, payload=huge).effect == "require_approval"


def test_the_reason_says_the_bound_what_is_used_and_what_this_adds():
    limit = "[{sum: payload.amount, max: '5000', per: [agent, payload.to], window: 1d}]"
    verdict = said(text(limit), usage={"refunds/small/0": "4995"}, payload={"amount": "10.00", "to": "acme"})
    over = "at most 5000 of payload.amount per agent and payload.to in 1d: 4995 used, and this adds 10"
    # What policy and which rule it was is told beside the reason, not in it.
    assert verdict.reason == over
    unknown = said(text(limit), usage=None, payload={"amount": "10.00", "to": "acme"})
    assert unknown.reason.endswith(" in 1d: it is not known how much is used")


def test_the_reason_of_the_rule_itself_comes_before_what_is_said_of_its_limits():
    document = text("[{count: 20, window: 1h}]", effect='allow\n    reason: "{payload.amount} is small."')
    verdict = said(document, usage={"refunds/small/0": 20})
    assert verdict.reason == "10.00 is small; at most 20 per agent in 1h: 20 used, and this adds 1"


def test_without_usage_a_rule_with_limits_asks_and_says_what_it_wants_to_know():
    verdict = said(text("[{count: 20, window: 1h}, {sum: payload.amount, max: '50', window: 1d}]"))
    assert verdict.effect == "require_approval"
    assert [(use.limit, use.amount, use.window) for use in verdict.limits] == [
        ("refunds/small/0", 1, 3600),
        ("refunds/small/1", 10, 86400),
    ]
    assert not any(use.counts for use in verdict.limits)


@pytest.mark.parametrize("usage", [{}, {"refunds/small/0": 0}, {"other/small/0": 0, "other/small/1": 0}])
def test_usage_that_is_missing_is_not_zero(usage):
    limits = "[{count: 20, window: 1h}, {count: 50, window: 1d}]"
    assert said(text(limits), usage=usage).effect == "require_approval"


@pytest.mark.parametrize(
    "used", [-1, "-1", None, True, "1e3", "", "NaN", 1.5, Decimal("NaN"), Decimal(-1), "1 ", [], "١"]
)
def test_usage_that_is_no_number_is_never_within(used):
    usage = {"refunds/small/0": used}
    assert said(text("[{count: 20, window: 1h}]"), usage=usage).effect == "require_approval"
    assert said(text("[{count: 20, window: 1h, over: block}]"), usage=usage).effect == "block"


@pytest.mark.parametrize("amount", [None, "-5", -5, "1e3", "", "ten", True, [], {}, "1" * 31, float("nan")])
def test_an_amount_that_cannot_be_summed_is_never_within(amount):
    usage = {"refunds/small/0": 0}
    sum_of = "[{sum: payload.amount, max: '5000', window: 1d%s}]"
    payload = {"amount": amount}
    assert said(text(sum_of % ""), usage=usage, payload=payload).effect == "require_approval"
    assert said(text(sum_of % ", over: block"), usage=usage, payload=payload).effect in ("block", "require_approval")
    assert said(text(sum_of % ""), usage=usage, payload={}).effect == "require_approval"


@pytest.mark.parametrize("per", ["target", "on_behalf_of", "payload.customer", "intent.value.currency"])
def test_leaving_out_for_whom_it_counts_does_not_escape_it(per):
    verdict = said(text(f"[{{count: 20, per: {per}, window: 1h}}]"), usage={"refunds/small/0": 0})
    assert verdict.effect == "require_approval"
    assert per in verdict.reason


def counter(limit, **intent):
    return said(text(f"[{limit}]"), **intent).limits[0].counter


def test_what_is_counted_apart_has_a_counter_of_its_own():
    per_target = "{count: 5, per: target, window: 1h}"
    assert counter(per_target, target="a") != counter(per_target, target="b")
    assert counter(per_target, target="a") == counter(per_target, target="a", agent={**AGENT, "id": "agt_2"})
    per_agent = "{count: 5, window: 1h}"
    assert counter(per_agent) != counter(per_agent, agent={**AGENT, "id": "agt_2"})
    together = "{count: 5, per: everything, window: 1h}"
    assert counter(together) == counter(together, agent={**AGENT, "id": "agt_2"}, target="c")
    for one, other in (("target", "on_behalf_of"), ("target", "action")):
        assert counter(f"{{count: 5, per: {one}}}", target="x", action="x", on_behalf_of="x") != counter(
            f"{{count: 5, per: {other}}}", target="x", action="x", on_behalf_of="x"
        )


def test_another_bound_or_window_goes_on_counting_the_same():
    assert counter("{count: 5, window: 1h}") == counter("{count: 9, window: 2h, over: block}")


def test_the_same_customer_written_as_number_or_text_is_one():
    per = "{count: 5, per: payload.customer, window: 1h}"
    assert counter(per, payload={"customer": 5}) == counter(per, payload={"customer": "5"})


def test_only_what_passes_under_the_rule_is_counted():
    blocker = 'name: blocker\nmatch: {actions: ["*"]}\nrules: [{id: all, effect: block}]\n'
    asker = 'name: asker\nmatch: {actions: ["*"]}\nrules: [{id: all, effect: require_approval}]\n'
    mine, usage = text("[{count: 20, window: 1h}]"), {"refunds/small/0": 0}
    assert said(mine, usage=usage).limits[0].counts
    assert not said(mine, blocker, usage=usage).limits[0].counts
    assert not said(mine, asker, usage=usage).limits[0].counts
    asks = text("[{count: 20, window: 1h, over: block}]", effect="require_approval")
    assert said(asks, usage=usage).limits[0].counts
    assert not said(asks, usage={"refunds/small/0": 20}).limits[0].counts
    over_asks = text("[{count: 20, window: 1h}]", effect="require_approval")
    assert not said(over_asks, usage={"refunds/small/0": 20}).limits[0].counts


def test_several_limits_take_the_strictest_over():
    limits = "[{count: 5, window: 1h}, {count: 5, window: 1d, over: block}]"
    verdict = said(text(limits), usage={"refunds/small/0": 5, "refunds/small/1": 5})
    assert verdict.effect == "block"
    assert "in 1d" in verdict.reason and "in 1h" not in verdict.reason


def test_over_the_limit_the_rules_own_approval_is_asked_for():
    mine = text("[{count: 5, window: 1h}]", approval="{all_of: [{group: finance, count: 2}]}")
    assert said(mine, usage={"refunds/small/0": 0}).requirement is None
    over = said(mine, usage={"refunds/small/0": 5})
    assert over.requirement["all_of"] == [{"group": "finance", "count": 2}]


def test_conditions_may_read_what_is_used_of_every_limit_of_their_policy():
    document = """\
name: refunds
match: {actions: ["*"]}
rules:
  - {id: burst, when: 'usage["refunds/small/0"] >= 3', effect: block}
  - {id: small, effect: allow, limits: [{count: 5, window: 1h}]}
"""
    wanted = said(document)
    assert (wanted.effect, wanted.rule) == ("block", "burst")  # usage is not known: the condition fails
    assert [use.limit for use in wanted.limits] == ["refunds/small/0"]
    assert said(document, usage={"refunds/small/0": 2}).effect == "allow"
    stopped = said(document, usage={"refunds/small/0": 3})
    assert (stopped.effect, stopped.rule) == ("block", "burst")
    assert not stopped.limits[0].counts


def test_tests_of_a_policy_start_with_nothing_used_and_may_say_otherwise():
    cases = """\
tests:
  - {payload: {amount: "1"}, expect: {effect: allow, rule: small}}
  - {payload: {amount: "1"}, usage: {refunds/small/0: 20}, expect: {effect: require_approval, rule: small}}
"""
    assert len(parse_policy(text("[{count: 20, window: 1h}]") + cases).tests) == 2
    with pytest.raises(PolicyError, match="expected allow"):
        parse_policy(text("[{count: 20, window: 1h}]") + cases.replace("effect: require_approval", "effect: allow"))


@pytest.mark.parametrize(
    "limit, path, reason",
    [
        ("{window: 1h}", "limits[0]", "either count"),
        ("{count: 1, sum: payload.a, max: 1}", "limits[0]", "either count"),
        ("{count: 0}", "limits[0].count", "whole number"),
        ("{count: '5'}", "limits[0].count", "whole number"),
        ("{count: 5, max: 5}", "limits[0].max", "goes with sum"),
        ("{sum: payload.a}", "limits[0]", "needs its bound"),
        ("{sum: payload, max: 5}", "limits[0].sum", "must be a path"),
        ("{sum: context.a, max: 5}", "limits[0].sum", "must be a path"),
        ("{sum: intent.target, max: 5}", "limits[0].sum", "must be a path"),
        ("{sum: payload.a, max: '-5'}", "limits[0].max", "zero or more"),
        ("{sum: payload.a, max: much}", "limits[0].max", "zero or more"),
        ("{count: 5, per: person}", "limits[0].per", "one of agent, owner"),
        ("{count: 5, per: context.user}", "limits[0].per", "one of agent, owner"),
        ("{count: 5, per: [agent, agent]}", "limits[0].per[1]", "twice"),
        ("{count: 5, per: [everything, agent]}", "limits[0].per", "everything"),
        ("{count: 5, per: []}", "limits[0].per", "empty list"),
        ("{count: 5, window: 0s}", "limits[0].window", "duration"),
        ("{count: 5, over: allow}", "limits[0].over", "one of require_approval, block"),
        ("{count: 5, every: 1h}", "limits[0].every", "unknown key"),
    ],
)
def test_a_limit_that_cannot_be_kept_does_not_load(limit, path, reason):
    with pytest.raises(PolicyError) as refused:
        parse_policy(text(f"[{limit}]"))
    assert refused.value.path == f"rules[0].{path}"
    assert reason in refused.value.reason
    assert refused.value.line == 8


def test_a_block_rule_has_no_limits():
    with pytest.raises(PolicyError, match="nothing passes a block rule"):
        parse_policy(text("[{count: 5}]", effect="block"))


def test_where_no_policy_matches_the_default_of_the_set_counts_and_never_allows():
    other = 'name: other\nmatch: {actions: ["other"]}\nrules: [{id: a, effect: allow}]\n'
    policies = [parse_policy(other)]
    intent = {"action": "x", "payload": {}, "agent": AGENT, "now": NOW}
    assert PolicySet(policies).evaluate(**intent).effect == "require_approval"
    assert PolicySet(policies, default="block").evaluate(**intent).effect == "block"
    # Naming a policy that would allow is no way round it.
    assert PolicySet(policies, default="block").evaluate(**intent, policy="other").effect == "block"
    with pytest.raises(ValueError):
        PolicySet(policies, default="allow")


def test_a_policy_can_be_for_some_tags_only():
    tagged = 'name: bulk\nmatch: {actions: ["*"], tags: ["bulk-*", vip]}\nrules: [{id: a, effect: block}]\n'
    assert said(tagged, tags=["bulk-mail"]).effect == "block"
    assert said(tagged, tags=["x", "vip"]).effect == "block"
    for tags in ([], ["bulk"], ["VIP"]):
        verdict = said(tagged, tags=tags)
        assert (verdict.effect, verdict.policy) == ("require_approval", None)
        assert verdict.consulted == ()
    assert said(tagged, tags=["vip"]).consulted == (("bulk", 1),)


class TestMeter:
    def pass_one(self, policies, meter, now, **payload):
        intent = {"action": "a", "payload": payload, "agent": AGENT, "now": now}
        wanted = policies.evaluate(**intent)
        verdict = policies.evaluate(**intent, usage=meter.usage(wanted.limits, now))
        meter.count(verdict.limits, now)
        return verdict.effect

    def test_it_counts_within_a_sliding_window(self):
        policies, meter = PolicySet.parse(text("[{count: 2, window: 1h}]")), Meter()
        minutes = [0, 10, 20, 59, 60, 69, 70]
        effects = [self.pass_one(policies, meter, NOW + datetime.timedelta(minutes=minute)) for minute in minutes]
        asked = "require_approval"
        assert effects == ["allow", "allow", asked, asked, "allow", asked, "allow"]

    def test_two_limits_over_the_same_thing_count_it_once(self):
        policies, meter = PolicySet.parse(text("[{count: 2, window: 1h}, {count: 3, window: 1d}]")), Meter()
        hours = [0, 0, 2, 2, 25]
        effects = [self.pass_one(policies, meter, NOW + datetime.timedelta(hours=hour)) for hour in hours]
        assert effects == ["allow", "allow", "allow", "require_approval", "allow"]

    def test_it_counts_forward_only(self):
        policies, meter = PolicySet.parse(text("[{count: 2, window: 1h}]")), Meter()
        self.pass_one(policies, meter, NOW)
        with pytest.raises(ValueError):
            self.pass_one(policies, meter, NOW - datetime.timedelta(seconds=1))

    @given(st.lists(st.tuples(st.integers(0, 50), st.decimals(0, 40, places=2)), max_size=40))
    def test_no_window_ever_holds_more_than_the_bound(self, steps):
        policies, meter = PolicySet.parse(text("[{sum: payload.amount, max: '100', window: 60s}]")), Meter()
        now, passed = NOW, []
        for seconds, amount in steps:
            now += datetime.timedelta(seconds=seconds)
            if self.pass_one(policies, meter, now, amount=str(amount)) == "allow":
                passed.append((now, amount))
        for at, _ in passed:
            window = [amount for other, amount in passed if 0 <= (at - other).total_seconds() < 60]
            assert sum(window) <= 100
