"""Limits of policies: how much passes, for whom it is counted, and for how long."""

import json
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import clock
from audit.models import Event
from intents import in_force, judging, limit_keeping, limits, propose, sweeping
from intents.models import Intent, LimitUse, Status
from tests.factories import allow, in_force_as, load_action_type, load_policy, make_agent, make_intent

pytestmark = pytest.mark.django_db

A, P, B = Status.APPROVED, Status.PENDING_APPROVAL, Status.BLOCKED


def limited(*limits: str, effect: str = "allow", name: str = "p") -> None:
    rule = f"{{id: r, effect: {effect}, limits: [{', '.join(limits)}]}}"
    load_policy(f"name: {name}\nmatch: {{actions: ['a.b']}}\nrules: [{rule}]\n")


def statuses(key: str, *payloads: Any, **members: Any) -> list[str]:
    return [make_intent(key, action="a.b", payload=payload, **members).status for payload in payloads]


def age(**ago: float) -> None:
    """Make every use so far older: what a clock that moved on would have done."""
    for use in LimitUse.objects.all():
        LimitUse.objects.filter(pk=use.pk).update(at=use.at - timedelta(**ago))


# --- how much, for whom, how long ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("over", "then"), [("require_approval", P), ("block", B)])
def test_what_is_over_a_count_gets_the_effect_of_over(over, then):
    limited(f"{{count: 2, window: 1h, over: {over}}}")
    _, key = make_agent()
    assert statuses(key, 1, 2, 3, 4) == [A, A, then, then]
    assert LimitUse.objects.count() == 2


def test_a_sum_is_exact_to_the_last_place():
    limited('{sum: payload.amount, max: "0.3", window: 1d, over: block}')
    _, key = make_agent()
    # As floating-point numbers, a tenth and two tenths are more than three tenths.
    pays = [{"amount": "0.1"}, {"amount": "0.2"}, {"amount": "0.000000000001"}]
    assert statuses(key, *pays) == [A, A, B]


def test_a_sum_of_amounts_with_many_digits_is_exact():
    most = "100000000000000000000000000000"
    limited(f'{{sum: payload.amount, max: "{most}", over: block}}')
    _, key = make_agent()
    nearly = "99999999999999999999999999999.999999999998"
    assert statuses(key, {"amount": nearly}, {"amount": "0.000000000003"}) == [A, B]
    assert statuses(key, {"amount": "0.000000000002"}, {"amount": "0.000000000001"}) == [A, B]
    assert [use.amount for use in LimitUse.objects.order_by("pk")] == [Decimal(nearly), Decimal("0.000000000002")]


def test_what_does_not_fit_is_no_use_and_something_smaller_still_fits():
    limited('{sum: payload.amount, max: "100", window: 1d, over: block}')
    _, key = make_agent()
    assert statuses(key, {"amount": "90"}, {"amount": "20"}, {"amount": "10"}) == [A, B, A]


def test_each_agent_has_an_allowance_of_its_own():
    limited("{count: 1, over: block}")
    one, other = make_agent()[1], make_agent()[1]
    assert statuses(one, 1, 2) == [A, B]
    assert statuses(other, 1, 2) == [A, B]


def test_each_target_has_an_allowance_whoever_acts_on_it():
    limited("{count: 2, per: target, over: block}")
    one, other = make_agent()[1], make_agent()[1]
    assert statuses(one, 1, target="ch_1") + statuses(other, 2, target="ch_1") == [A, A]
    assert statuses(one, 3, target="ch_1") + statuses(other, 4, target="ch_1") == [B, B]
    assert statuses(one, 5, target="ch_2") == [A]
    # Without a target nobody can tell what it counts for.
    assert statuses(one, 6) == [B]


def test_one_allowance_for_everything_is_shared_by_all():
    limited("{count: 2, per: everything, over: block}")
    assert [statuses(make_agent()[1], n)[0] for n in range(3)] == [A, A, B]


def test_a_path_of_the_payload_counts_apart_and_together_with_others():
    limited('{sum: payload.amount, max: "10", per: [agent, payload.currency], over: block}')
    _, key = make_agent()
    euros, dollars = ({"amount": "10", "currency": currency} for currency in ("EUR", "USD"))
    assert statuses(key, euros, dollars, euros, dollars) == [A, A, B, B]


def test_an_amount_that_is_none_is_asked_about_or_blocked_as_the_limit_says():
    _, key = make_agent()
    for over, then in (("require_approval", P), ("block", B)):
        limited(f'{{sum: payload.amount, max: "10", over: {over}}}')
        assert statuses(key, {}, {"amount": "-5"}, {"amount": "1e3"}, {"amount": True}) == [then] * 4
    assert not LimitUse.objects.exists()


def test_a_window_slides():
    limited("{count: 2, window: 1h, over: block}")
    _, key = make_agent()
    assert statuses(key, 1) == [A]
    age(minutes=40)
    assert statuses(key, 2, 3) == [A, B]
    age(minutes=19)
    assert statuses(key, 4) == [B]
    age(minutes=2)
    # The first is out of the hour now, the second is not.
    assert statuses(key, 5, 6) == [A, B]


def test_without_a_window_it_counts_for_ever():
    limited("{count: 1, over: block}")
    _, key = make_agent()
    assert statuses(key, 1) == [A]
    age(days=3000)
    assert statuses(key, 2) == [B]


def test_several_limits_of_a_rule_all_hold():
    limited("{count: 1, window: 1h, over: require_approval}", "{count: 3, window: 1d, over: block}")
    _, key = make_agent()
    assert statuses(key, 1, 2) == [A, P]
    age(hours=2)
    assert statuses(key, 3) == [A]
    age(hours=2)
    assert statuses(key, 4) == [A]
    age(hours=2)
    assert statuses(key, 5) == [B]
    # One counter stands behind both.
    assert LimitUse.objects.count() == 3


def test_raising_a_bound_keeps_what_was_counted():
    limited("{count: 1, over: block}")
    _, key = make_agent()
    assert statuses(key, 1, 2) == [A, B]
    limited("{count: 2, window: 1h, over: block}")
    assert statuses(key, 3, 4) == [A, B]


def test_a_condition_reads_what_is_used():
    load_policy("""
name: p
match: {actions: ['a.b']}
rules:
  - {id: often, when: 'usage["p/r/0"] >= 2', effect: block}
  - {id: r, effect: allow, limits: [{count: 10, window: 1h}]}
""")
    _, key = make_agent()
    assert statuses(key, 1, 2, 3) == [A, A, B]
    assert Intent.objects.first().verdict["rule"] == "often"


# --- what counts as a use ------------------------------------------------------------------------------------------


def test_what_another_policy_stops_uses_nothing():
    limited("{count: 1}")
    no, yes = "{id: no, when: payload.n == 1, effect: block}", "{id: yes, effect: allow}"
    load_policy(f"name: stop\nmatch: {{actions: ['a.b']}}\nrules: [{no}, {yes}]\n")
    _, key = make_agent()
    assert statuses(key, {"n": 1}, {"n": 2}, {"n": 3}) == [B, A, P]


def test_what_a_doubt_turns_into_an_ask_uses_nothing():
    limited("{count: 1}")
    load_action_type("name: a.b\nderive: {records: size(payload.list)}\n")
    _, key = make_agent()
    assert statuses(key, {"list": 1}, {"list": [1]}) == [P, A]


def test_an_ask_is_counted_where_its_rule_has_a_limit():
    limited("{count: 1, over: block}", effect="require_approval")
    _, key = make_agent()
    assert statuses(key, 1, 2) == [P, B]


def test_a_repeated_idempotency_key_uses_nothing_more():
    limited("{count: 2, over: block}")
    agent = in_force_as(make_agent()[1])
    body = {"action": "a.b", "payload": 1}
    answers = [propose.propose(agent, body, idempotency_key="once") for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 200, 200]
    assert LimitUse.objects.count() == 1


def test_a_twin_uses_nothing_more():
    limited("{count: 5, over: block}", effect="require_approval")
    agent = in_force_as(make_agent()[1])
    answers = [propose.propose(agent, {"action": "a.b", "payload": 1}) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 200, 200]
    assert LimitUse.objects.count() == 1


def test_a_twin_is_found_though_the_limit_was_used_meanwhile():
    limited('{sum: payload.amount, max: "100", window: 1h}')
    agent = in_force_as(make_agent()[1])

    def ask(amount: str) -> propose.Answer:
        return propose.propose(agent, {"action": "a.b", "payload": {"amount": amount}, "policy": "p"})

    first, passed, again = ask("200"), ask("10"), ask("200")
    assert [answer.status for answer in (first, passed, again)] == [201, 201, 200]
    assert first.intent_id == again.intent_id


def test_what_could_not_be_stored_used_nothing(monkeypatch):
    limited("{count: 1, over: block}")
    _, key = make_agent()
    with monkeypatch.context() as broken:
        broken.setattr(propose.representation, "represent_new", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            make_intent(key, action="a.b", payload=1)
    assert statuses(key, 2, 3) == [A, B]


def test_what_was_used_is_not_given_back_when_it_is_cancelled():
    from intents.cancelling import cancel

    limited("{count: 1, over: block}")
    _, key = make_agent()
    cancel(make_intent(key, action="a.b"), by=in_force_as(key).actor)
    assert statuses(key, 2) == [B]


def test_counts_kept_apart_do_not_meet():
    limited("{count: 1, over: block}")
    _, key = make_agent()
    intent = make_intent(key, action="a.b")
    policies = in_force.current().policies
    facts = judging.facts_of(intent)
    wanted = judging.judge(policies, facts).uses
    at = clock.now()
    assert limits.read(wanted, now=at) == {"p/r/0": 1}
    assert limits.read(wanted, now=at, namespace="draft") == {"p/r/0": 0}
    with transaction.atomic():
        usage = limits.hold(wanted, now=at, namespace="draft")
        limits.count(judging.judge(policies, facts, usage=usage).uses, intent, at=at, namespace="draft")
    assert limits.read(wanted, now=at, namespace="draft") == {"p/r/0": 1}


# --- what it costs -------------------------------------------------------------------------------------------------


def queries_of(key: str, payload: Any) -> int:
    agent = in_force_as(key)
    with CaptureQueriesContext(connection) as captured:
        propose.propose(agent, {"action": "a.b", "payload": {"amount": payload}}, idempotency_key=f"q{payload}")
    return len(captured)


def test_only_what_has_limits_pays_for_them():
    _, key = make_agent()
    allow("a.b")
    without = queries_of(key, 1)
    load_policy("name: elsewhere\nmatch: {actions: ['x.y']}\nrules: [{id: r, effect: allow, limits: [{count: 1}]}]\n")
    assert queries_of(key, 2) == without
    limited("{count: 5}", '{sum: payload.amount, max: "5"}', name="allow-it")
    # Reading, looking whether the same is still in force, and counting; on PostgreSQL the counters are locked besides.
    assert queries_of(key, 3) == without + (4 if connection.vendor == "postgresql" else 3)


# --- what is kept of it --------------------------------------------------------------------------------------------


def test_the_ledger_names_what_was_used():
    limited('{sum: payload.amount, max: "100", window: 1d}')
    _, key = make_agent()
    statuses(key, {"amount": "10.50"})
    intent = make_intent(key, action="a.b", payload={"amount": "20"})
    line = json.loads(Event.objects.get(intent_id=intent.pk, type="intent.proposed").line)
    use = LimitUse.objects.get(intent=intent)
    assert line["facts"]["limits"] == [{"limit": "p/r/0", "counter": use.counter, "amount": "20", "used": "10.5"}]
    assert use.at == intent.created_at
    assert intent.verdict["inputs"]["usage"] == {"p/r/0": "10.5"}


def findings(capsys) -> list[dict]:
    with suppress(CommandError, SystemExit):
        call_command("audit_check", "--json")
    return json.loads(capsys.readouterr().out)["findings"]


ALTERATIONS = {
    "deleted": lambda use: use.delete(),
    "less": lambda use: LimitUse.objects.update(amount=Decimal("0.5")),
    "earlier": lambda use: LimitUse.objects.update(at=use.at - timedelta(days=1)),
    "another's": lambda use: LimitUse.objects.update(counter="sha256:" + "0" * 64),
    "added": lambda use: LimitUse.objects.create(intent=use.intent, counter="sha256:" + "0" * 64, amount=1, at=use.at),
    "added to what used nothing": lambda use: LimitUse.objects.create(
        intent=make_intent(action="c.d"), counter=use.counter, amount=1, at=use.at
    ),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_a_use_that_was_altered_is_found(alteration, capsys):
    limited("{count: 5}")
    make_intent(action="a.b")
    assert [one for one in findings(capsys) if one["table"] == "intents_limituse"] == []
    ALTERATIONS[alteration](LimitUse.objects.get())
    assert [one for one in findings(capsys) if one["table"] == "intents_limituse"]


def old_intent(days: int) -> Intent:
    """An intent that was proposed so long ago, with its use and its line in the ledger."""
    before = in_force.current
    at = clock.now() - timedelta(days=days)
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(in_force, "current", lambda: in_force.Snapshot(before().rules, at))
        return make_intent(action="a.b")


def test_uses_that_nothing_looks_back_at_are_dropped_and_missed_by_nobody(capsys):
    limited("{count: 5, window: 40d}")
    _, recent, new = old_intent(60), old_intent(35), make_intent(action="a.b")
    assert sweeping.sweep()["uses_dropped"] == 1
    assert set(LimitUse.objects.values_list("intent_id", flat=True)) == {recent.pk, new.pk}
    assert Event.objects.filter(type="limit_use.dropped").count() == 1
    assert sweeping.sweep()["uses_dropped"] == 0
    assert Event.objects.filter(type="limit_use.dropped").count() == 1
    assert [one for one in findings(capsys) if one["table"] == "intents_limituse"] == []
    LimitUse.objects.filter(intent=recent).delete()
    assert len([one for one in findings(capsys) if one["table"] == "intents_limituse"]) == 1


def test_nothing_is_dropped_while_a_limit_counts_for_ever():
    limited("{count: 5}")
    old_intent(3000)
    assert limit_keeping.drop_old() == 0
    assert LimitUse.objects.count() == 1


# --- the site's default --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("default", "then"), [("require_approval", P), ("block", B)])
def test_what_no_policy_matches_gets_the_default_of_the_site(default, then, settings):
    settings.ZEHRAVA_DEFAULT_EFFECT = default
    in_force.bump()
    assert make_intent(action="x.y").status == then
