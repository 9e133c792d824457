"""A worker that has much to do lets what was approved go first: a portal may have one worker only."""

from datetime import timedelta

import pytest

from audit import clock
from audit.models import Event
from intents import backtesting, execution, giving_way, sweeping
from intents.documents import save_policy
from intents.models import Backtest, Execution, Intent
from intents.tasks import run_backtest
from tests.factories import ARRANGER, allow, load_policy, make_agent, make_intent, run_by_noop

pytestmark = pytest.mark.django_db

ASKS = "name: refunds\nmatch: {actions: [stripe.refund]}\nrules: [{id: all, effect: require_approval}]\n"


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch):
    monkeypatch.setattr(giving_way, "LOOK_EVERY", 0)
    monkeypatch.setattr(giving_way, "PATIENCE", timedelta(0))


@pytest.fixture
def waiting():
    """An approved intent whose message nobody took."""
    run_by_noop("do.it")
    allow("do.it")
    return make_intent(action="do.it")


def types() -> list[str]:
    return list(Event.objects.order_by("id").values_list("type", flat=True))


def overdue(number: int) -> None:
    load_policy(ASKS)
    key = make_agent()[1]
    for _ in range(number):
        intent = make_intent(key)
        past = clock.now() - timedelta(minutes=1)
        Intent.objects.filter(pk=intent.pk).update(created_at=past - timedelta(hours=1), expires_at=past)


def test_a_backtest_lets_what_was_approved_go_first(waiting):
    load_policy(ASKS)
    key = make_agent()[1]
    for _ in range(3):
        make_intent(key)
    draft = save_policy(ASKS.replace("require_approval", "allow"), by=ARRANGER, user=None, activate=False)
    asked = backtesting.request(draft, days=7, by=ARRANGER, user=None)
    run_backtest(asked.pk)
    done = Backtest.objects.get(pk=asked.pk)
    assert (done.state, done.judged) == ("finished", 4)
    assert Intent.objects.get(pk=waiting.pk).status == "succeeded"
    said = types()
    assert said.index("execution.succeeded") < said.index("backtest.finished")


def test_the_sweep_lets_what_was_approved_go_first(waiting):
    overdue(3)
    sweeping.sweep()
    said = types()
    assert said.count("intent.expired") == 3
    assert said.index("execution.succeeded") < max(place for place, kind in enumerate(said) if kind == "intent.expired")


def test_what_goes_wrong_there_stops_neither(waiting, monkeypatch):
    def broken(execution_id):
        raise RuntimeError("the database went away")

    monkeypatch.setattr(execution, "carry_out", broken)
    overdue(3)
    assert sweeping.sweep()["expired"] == 3
    # Nothing is claimed, so that it is rung for again.
    assert Execution.objects.get().state == "waiting"


def test_what_has_only_just_been_sent_is_left_to_whoever_is_free(waiting, monkeypatch):
    monkeypatch.setattr(giving_way, "PATIENCE", timedelta(hours=1))
    giving_way.GivingWay()()
    assert Execution.objects.get().state == "waiting"


def test_an_agents_own_executions_are_not_the_workers_to_carry_out():
    allow("agent.does")
    make_intent(action="agent.does")
    giving_way.GivingWay()()
    assert not Execution.objects.exists()


def test_between_two_looks_it_costs_no_statement(waiting, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(giving_way, "LOOK_EVERY", 3600)
    give_way = giving_way.GivingWay()
    with django_assert_num_queries(0):
        give_way()
