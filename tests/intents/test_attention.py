"""An agent takes so much of people's attention and no more: pending intents at once, and asks within an hour."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from audit.actors import Actor
from audit.models import Event
from intents import attention, in_force
from intents.agents import suspend_agent
from intents.cancelling import cancel
from intents.models import IdempotencyKey, Intent, LimitUse, Status
from intents.propose import propose
from reviews.decisions import decide
from tests.factories import ARRANGER, allow, in_force_as, load_policy, make_agent, make_user
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db


class Asker:
    """One agent, which proposes at a time of its own."""

    def __init__(self) -> None:
        self.agent, self.key = make_agent()
        self.later = timedelta(0)
        self.count = 0

    def ask(self, action: str = "a.b", *, key: str | None = None, **members) -> Intent:
        self.count += 1
        body = {"action": action, "payload": self.count, **members}
        now = in_force.current()
        snapshot = in_force.Snapshot(now.rules, now.now + self.later)
        answer = propose(in_force_as(self.key), body, idempotency_key=key, snapshot=snapshot)
        return Intent.objects.get(pk=answer.intent_id)

    def refused(self, *args, **members) -> Problem:
        with pytest.raises(Problem) as refusal:
            self.ask(*args, **members)
        assert refusal.value.kind == "attention-budget"
        return refusal.value


@pytest.fixture
def asker() -> Asker:
    return Asker()


@pytest.fixture
def three_pending(settings):
    settings.ZEHRAVA_PENDING_PER_AGENT = 3


@pytest.fixture
def three_an_hour(settings):
    settings.ZEHRAVA_ASKS_PER_HOUR = 3


def retry_after(problem: Problem) -> int:
    return int(problem.headers["Retry-After"])


# --- pending at once -------------------------------------------------------------------------------------------------


def test_one_more_than_may_be_pending_is_refused_and_says_what_to_do(asker, three_pending):
    for _ in range(3):
        assert asker.ask().status == Status.PENDING_APPROVAL
    refusal = asker.refused()
    assert refusal.status == 429
    assert refusal.extra == {"budget": "pending", "size": 3, "used": 3}
    for words in ("3 pending intents", "may have 3", "cancel", "ZEHRAVA_PENDING_PER_AGENT"):
        assert words in refusal.detail


def test_what_is_decided_cancelled_or_over_makes_room(asker, three_pending):
    first, second, _ = asker.ask(), asker.ask(), asker.ask(expires_in="1m")
    asker.refused()
    decide(first.pk, by=make_user(None, "reviewers"), vote="approve", digest=first.digest)
    asker.ask()
    asker.refused()
    cancel(second, by=Actor.agent(asker.agent.pk, asker.agent.name))
    asker.ask()
    asker.refused()
    # By the clock: the sweeper need not have been here.
    asker.later = timedelta(seconds=61)
    asker.ask()
    asker.refused()


def test_it_is_said_to_come_back_when_the_next_one_expires_and_within_five_minutes(asker, three_pending):
    for time in ("2m", "2h", "3h"):
        asker.ask(expires_in=time)
    assert 110 <= retry_after(asker.refused()) <= 120
    asker.later = timedelta(minutes=2, seconds=1)
    asker.ask()
    assert retry_after(asker.refused()) == 300


def test_where_the_operator_made_it_smaller_as_many_have_to_go_as_are_over(asker, settings):
    for time in ("1m", "2m", "3m", "4m"):
        asker.ask(expires_in=time)
    settings.ZEHRAVA_PENDING_PER_AGENT = 2
    refusal = asker.refused()
    assert (refusal.extra["used"], refusal.extra["size"]) == (4, 2)
    assert 170 <= retry_after(refusal) <= 180


def test_each_agent_has_its_own(asker, three_pending):
    for _ in range(3):
        asker.ask()
    asker.refused()
    assert Asker().ask().status == Status.PENDING_APPROVAL


# --- asks within an hour ---------------------------------------------------------------------------------------------


def test_one_more_than_may_be_asked_within_an_hour_is_refused_until_the_oldest_is_an_hour_old(asker, three_an_hour):
    asker.ask()
    asker.later = timedelta(minutes=20)
    asker.ask()
    asker.ask()
    asker.later = timedelta(minutes=59)
    refusal = asker.refused()
    assert refusal.extra == {"budget": "asks_per_hour", "size": 3, "used": 3}
    for words in ("3 times", "within the last hour", "ZEHRAVA_ASKS_PER_HOUR"):
        assert words in refusal.detail
    wait = retry_after(refusal)
    assert 55 <= wait <= 60
    asker.later += timedelta(seconds=wait)
    asker.ask()
    # It slides: the two of twenty minutes past are next.
    assert 19 * 60 <= retry_after(asker.refused()) <= 20 * 60


def test_what_was_decided_or_cancelled_since_was_asked_all_the_same(asker, three_an_hour):
    first, second = asker.ask(), asker.ask()
    decide(first.pk, by=make_user(None, "reviewers"), vote="reject", digest=first.digest, rationale="No.")
    cancel(second, by=ARRANGER)
    asker.ask()
    assert "gives no ask back" in asker.refused().detail


def test_an_ask_that_is_newer_than_the_one_that_waited_counts_too(asker, three_an_hour):
    asker.later = timedelta(seconds=5)
    for _ in range(3):
        asker.ask()
    asker.later = timedelta(0)
    asker.refused()


def test_where_the_hour_was_made_smaller_it_is_said_when_there_is_room(asker, settings):
    for minute in range(4):
        asker.later = timedelta(minutes=minute)
        asker.ask()
    settings.ZEHRAVA_ASKS_PER_HOUR = 2
    # The third of four has to be an hour old.
    assert 58 * 60 <= retry_after(asker.refused()) <= 59 * 60


def test_an_hour_that_is_used_up_is_told_before_too_much_that_waits(asker, three_pending, three_an_hour):
    for _ in range(3):
        asker.ask()
    assert asker.refused().extra["budget"] == "asks_per_hour"


def test_no_bound_is_no_bound(asker, settings):
    settings.ZEHRAVA_PENDING_PER_AGENT = settings.ZEHRAVA_ASKS_PER_HOUR = 0
    for _ in range(5):
        asker.ask()
    settings.ZEHRAVA_PENDING_PER_AGENT = 5
    assert asker.refused().extra["budget"] == "pending"
    settings.ZEHRAVA_PENDING_PER_AGENT, settings.ZEHRAVA_ASKS_PER_HOUR = 0, 5
    assert asker.refused().extra["budget"] == "asks_per_hour"


# --- what it does not bind -------------------------------------------------------------------------------------------


def test_what_policy_allows_or_blocks_is_never_refused_and_takes_nothing(asker, three_pending, three_an_hour):
    allow("fine.*")
    load_policy("name: never\nmatch: {actions: ['bad.*']}\nrules: [{id: all, effect: block}]\n")
    for _ in range(5):
        asker.ask("fine.thing")
        asker.ask("bad.thing")
    for _ in range(3):
        asker.ask()
    asker.refused()
    assert asker.ask("fine.thing").status == Status.APPROVED
    assert asker.ask("bad.thing").status == Status.BLOCKED


def test_a_repeated_key_and_a_pending_twin_are_answered_with_what_is_there(asker, three_pending, three_an_hour):
    first = propose(in_force_as(asker.key), {"action": "a.b", "payload": "kept"}, idempotency_key="k")
    twin = asker.ask(payload="twin")
    asker.ask()
    asker.refused()
    again = propose(in_force_as(asker.key), {"action": "a.b", "payload": "kept"}, idempotency_key="k")
    assert (again.document, again.replayed) == (first.document, True)
    assert asker.ask(payload="twin") == twin


def test_a_limit_that_turns_an_allowed_one_into_an_ask_binds_it(asker, three_pending):
    limit = "{count: 2, per: agent, over: require_approval}"
    load_policy(f"name: p\nmatch: {{actions: ['l.*']}}\nrules: [{{id: r, effect: allow, limits: [{limit}]}}]\n")
    said = [asker.ask("l.m").status for _ in range(5)]
    assert said == [Status.APPROVED] * 2 + [Status.PENDING_APPROVAL] * 3
    uses = LimitUse.objects.count()
    asker.refused("l.m")
    assert LimitUse.objects.count() == uses


# --- replacing -------------------------------------------------------------------------------------------------------


def test_a_replacement_takes_the_place_of_what_it_replaces(asker, three_pending):
    first, _, _ = asker.ask(), asker.ask(), asker.ask()
    second = asker.ask(supersedes=first.pk)
    third = asker.ask(supersedes=second.pk)
    assert Intent.objects.filter(status=Status.PENDING_APPROVAL).count() == 3
    assert third.status == Status.PENDING_APPROVAL
    asker.refused()


def test_what_ran_out_of_time_and_is_not_swept_yet_gives_no_place_twice(asker, three_pending):
    over = asker.ask(expires_in="1m")
    asker.later = timedelta(minutes=2)
    for _ in range(3):
        asker.ask()
    asker.refused(supersedes=over.pk)


def test_a_replacement_of_somebody_elses_takes_no_place_of_theirs(asker, three_pending):
    for _ in range(3):
        asker.ask()
    other = Asker().ask()
    asker.refused(supersedes=other.pk)


def test_a_replacement_asks_people_once_more(asker, three_an_hour):
    intent = asker.ask()
    for _ in range(2):
        intent = asker.ask(supersedes=intent.pk)
    refusal = asker.refused(supersedes=intent.pk)
    assert refusal.extra["budget"] == "asks_per_hour"
    intent.refresh_from_db()
    assert intent.status == Status.PENDING_APPROVAL


# --- a refusal leaves nothing ----------------------------------------------------------------------------------------


def test_a_refusal_stores_nothing_and_does_not_use_up_its_key(asker, three_pending):
    load_policy("name: draft\nmatch: {actions: ['a.b']}\nrules: [{id: r, effect: require_approval}]\n")
    old, _, _ = [asker.ask() for _ in range(3)]
    models = (Intent, Intent.history.model, Event, IdempotencyKey, LimitUse)
    before = [model.objects.count() for model in models]
    asker.refused(key="k", payload="wanted")
    asker.refused(payload="wanted")
    assert before == [model.objects.count() for model in models]
    cancel(old, by=ARRANGER)
    assert asker.ask(key="k", payload="wanted").payload == "wanted"


def test_who_was_stopped_while_waiting_for_a_turn_is_not_heard(asker, monkeypatch):
    agent, before = in_force_as(asker.key), in_force.current()
    suspend_agent(asker.agent, by=ARRANGER)
    hold = attention.hold

    def held_after_long(intent):
        monkeypatch.setattr(in_force, "_OLD", -1.0)
        return hold(intent)

    monkeypatch.setattr(attention, "hold", held_after_long)
    with pytest.raises(Problem) as refusal:
        propose(agent, {"action": "a.b", "payload": 1}, snapshot=before)
    assert refusal.value.kind == "suspended"
    assert not Intent.objects.exists()


# --- what it costs ---------------------------------------------------------------------------------------------------


def statements(asker: Asker, *args, **members) -> list[str]:
    asker.ask(*args, **members)
    with CaptureQueriesContext(connection) as captured:
        asker.ask(*args, **{**members, **({"key": "once"} if "key" in members else {})})
    return [query["sql"] for query in captured]


def test_it_costs_an_ask_one_statement_and_what_is_allowed_none(asker):
    allow("fine.thing")
    about = [sql for sql in statements(asker, "fine.thing") if "COUNT" in sql or "advisory" in sql]
    assert about == []
    for members in ({}, {"key": "k"}):
        asks = statements(asker, **members)
        assert len([sql for sql in asks if "COUNT" in sql]) == 1
        # On PostgreSQL the key has a lock of its own, and the turn comes with the counting.
        assert len([sql for sql in asks if "advisory" in sql and "COUNT" not in sql and "try" not in sql]) == 0


@pytest.mark.skipif(connection.vendor != "sqlite", reason="On a table of two rows PostgreSQL takes any index")
def test_counting_reads_indexes_of_its_own(asker):
    first = asker.ask()
    with CaptureQueriesContext(connection) as captured:
        asker.ask(supersedes=first.pk)
    (counting,) = [query["sql"] for query in captured if "COUNT" in query["sql"]]
    with connection.cursor() as cursor:
        plan = str(cursor.execute(f"EXPLAIN QUERY PLAN {counting}").fetchall())
    assert "intent_agent_pending" in plan
    assert "USING COVERING INDEX intent_agent_asks" in plan


@pytest.mark.django_db(transaction=True)
def test_a_turn_is_held_in_a_transaction_or_not_at_all():
    with pytest.raises(TransactionManagementError):
        attention.hold(Intent(agent_id="agt_1"))
