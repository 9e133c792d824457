"""A backtest replays a version over past intents, says exactly what would have changed, and touches none of them."""

from __future__ import annotations

import contextlib
import json
import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from audit import clock
from audit.models import Event
from intents import backtesting, replaying, sweeping
from intents.documents import save_policy
from intents.models import (
    Agent,
    Backtest,
    BacktestDifference,
    BacktestState,
    Intent,
    LimitUse,
    PolicyVersion,
    ShadowVerdict,
    Status,
)
from intents.tasks import run_backtest
from tests.factories import ARRANGER, load_policy, make_agent, make_intent, make_user
from tests.intents.test_shadow import ALLOWS_SMALL, ASKS, draft, refund
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> str:
    return make_agent("billing")[1]


def ask_for(text: str, *, days: int = 7, **members: Any) -> Backtest:
    return backtesting.request(draft(text), days=days, by=ARRANGER, user=None, **members)


def backtest(text: str, *, days: int = 7) -> Backtest:
    asked = ask_for(text, days=days)
    run_backtest(asked.pk)
    asked.refresh_from_db()
    return asked


def differences(done: Backtest) -> dict[str, tuple[str, str]]:
    return {row.intent_id: (row.change, row.said_by) for row in done.differences.all()}


def moved_back(intent: Intent, **span: float) -> Intent:
    Intent.objects.filter(pk=intent.pk).update(created_at=intent.created_at - timedelta(**span))
    return intent


def test_what_would_have_changed_is_said_for_each_intent(key):
    load_policy(ASKS)
    small, large, odd = refund(key), refund(key, "900.00"), refund(key, country="KP")

    done = backtest(ALLOWS_SMALL)

    assert (done.state, done.judged, done.total) == ("finished", 3, 3)
    assert differences(done) == {
        small.pk: ("allowed", "refunds/small"),
        large.pk: ("people", "refunds/default"),
        odd.pk: ("blocked", "refunds/odd"),
    }
    assert done.differences.get(intent=odd.pk).reason == "KP is not served"
    assert done.summary["counts"] == {"allowed": 1, "people": 1, "blocked": 1}


def test_newly_allowed_ones_that_a_human_rejected_are_counted(key):
    load_policy(ASKS)
    rejected, other = refund(key), refund(key)
    Intent.objects.filter(pk=rejected.pk).update(status=Status.REJECTED)

    done = backtest(ALLOWS_SMALL)

    assert done.summary["counts"]["allowed"] == 2 and done.summary["rejected_before"] == 1
    assert {row.intent_id: row.was_status for row in done.differences.all()} == {
        rejected.pk: "rejected",
        other.pk: "pending_approval",
    }


def test_what_passed_and_would_be_asked_is_newly_asked(key):
    load_policy(ALLOWS_SMALL)
    intent = refund(key)

    assert differences(backtest(ASKS)) == {intent.pk: ("asked", "refunds/all")}


def test_only_intents_of_the_last_days_are_replayed(key):
    load_policy(ASKS)
    old, new = moved_back(refund(key), days=8), moved_back(refund(key), days=6)

    done = backtest(ALLOWS_SMALL, days=7)

    assert done.judged == 1 and set(differences(done)) == {new.pk}
    assert old.pk in differences(backtest(ALLOWS_SMALL, days=9))


def test_intents_that_were_stored_after_their_turn_are_counted_as_missing(key, monkeypatch, capsys):
    load_policy(ASKS)
    early, late = refund(key), refund(key)
    chunks = backtesting._chunks
    # As another process would see it whose transaction had not committed: the row is there, its turn has passed.
    monkeypatch.setattr(
        backtesting, "_chunks", lambda *args, **kw: ([i for i in c if i.pk != late.pk] for c in chunks(*args, **kw))
    )

    done = backtest(ALLOWS_SMALL)

    assert (done.judged, done.summary["late"]) == (1, 1)
    assert differences(done) == {early.pk: ("allowed", "refunds/small")}
    line = json.loads(Event.objects.get(type="backtest.finished").line)
    assert line["facts"]["late"] == 1
    call_command("audit_check")


def test_a_backtest_only_reads_intents(key):
    load_policy(ASKS)
    for _ in range(3):
        refund(key)
    tables = (Intent, LimitUse, ShadowVerdict)
    before = {model: list(model.objects.order_by("pk").values()) for model in tables}
    asked = ask_for(ALLOWS_SMALL)

    with CaptureQueriesContext(connection) as queries:
        run_backtest(asked.pk)

    assert before == {model: list(model.objects.order_by("pk").values()) for model in tables}
    # Many rows at once are captured as "3 times: INSERT …".
    writes = (re.search(r'(?:INSERT INTO|UPDATE|DELETE FROM) "(\w+)"', query["sql"]) for query in queries)
    written = {found[1] for found in writes if found}
    assert written == {"intents_backtest", "intents_backtestdifference", "audit_event"}


def test_the_number_of_queries_does_not_grow_with_the_intents(key):
    load_policy(ASKS)
    for _ in range(2):
        refund(key)
    with CaptureQueriesContext(connection) as few:
        backtest(ALLOWS_SMALL)
    for number in range(20):
        make_intent(key if number % 2 else make_agent()[1], payload={"amount": "1.00", "country": "DE"})
    with CaptureQueriesContext(connection) as many:
        backtest(ALLOWS_SMALL)

    assert len(many) <= len(few)


def test_it_goes_through_many_chunks_and_writes_every_difference_once(key, monkeypatch):
    monkeypatch.setattr(backtesting, "CHUNK", 3)
    load_policy(ASKS)
    intents = [refund(key) for _ in range(11)]

    done = backtest(ALLOWS_SMALL)

    assert done.judged == done.total == 11
    assert set(differences(done)) == {intent.pk for intent in intents}
    assert done.summary["counts"] == {"allowed": 11}


LIMITED = ALLOWS_SMALL.replace(
    'amount("100"), effect: allow', 'amount("100"), effect: allow, limits: [{count: 2, window: 1h}]'
)


def test_limits_are_replayed_in_the_order_of_time(key):
    load_policy(ASKS)
    intents = [moved_back(refund(key), minutes=minutes) for minutes in (200, 195, 190, 60, 5, 3)]

    done = backtest(LIMITED)

    # Two an hour: the third of the first hour is over; the fourth and fifth are the two of the last hour.
    assert [row.change for row in done.differences.order_by("intent_id")] == [
        "allowed",
        "allowed",
        "people",
        "allowed",
        "allowed",
        "people",
    ]
    assert len(differences(done)) == len(intents)


def stop_after(monkeypatch: pytest.MonkeyPatch, chunks: int) -> None:
    """Let the worker's database connection break after that many commits."""
    commit, done = backtesting._commit, []

    def breaks(*arguments: Any, **named: Any) -> bool:
        if len(done) == chunks:
            raise OperationalError("the connection is gone")
        done.append(1)
        return commit(*arguments, **named)

    monkeypatch.setattr(backtesting, "_commit", breaks)


def test_a_worker_that_died_is_followed_by_another_that_goes_on_where_it_stopped(key, monkeypatch):
    load_policy(ASKS)
    for minutes in (50, 40, 30, 20, 10, 5):
        moved_back(refund(key), minutes=minutes)
    unbroken = backtest(LIMITED)
    whole = differences(unbroken)
    monkeypatch.setattr(backtesting, "CHUNK", 2)
    asked = ask_for(LIMITED)
    with monkeypatch.context() as dying:
        stop_after(dying, 1)
        with pytest.raises(OperationalError):
            run_backtest(asked.pk)
    asked.refresh_from_db()
    assert (asked.state, asked.judged) == ("running", 2)

    run_backtest(asked.pk)
    asked.refresh_from_db()
    assert asked.judged == 2, "while the lease lasts nobody else works on it"
    Backtest.objects.filter(pk=asked.pk).update(lease_until=clock.now() - timedelta(seconds=1))
    run_backtest(asked.pk)

    asked.refresh_from_db()
    assert (asked.state, asked.judged) == ("finished", 6)
    assert (asked.summary, asked.differences_digest) == (unbroken.summary, unbroken.differences_digest)
    # What the first two used of the limit is known to the second worker too.
    assert differences(asked) == whole
    assert sorted(kind for kind, _ in whole.values()) == ["allowed"] * 2 + ["people"] * 4


def test_the_sweeper_sends_again_what_waits_and_what_stands_still(key, monkeypatch, settings):
    rung: list[int] = []
    monkeypatch.setattr("intents.doorbell.ring_backtest", lambda pk: rung.append(pk) or True)
    load_policy(ASKS)
    asked = ask_for(ALLOWS_SMALL)
    sweeping.sweep()
    assert rung == [], "the first message has only just been sent"
    long_ago = clock.now() - timedelta(seconds=settings.ZEHRAVA_RESEND_AFTER + 1)

    Backtest.objects.update(sent_at=long_ago)
    sweeping.sweep()
    assert rung == [asked.pk]
    Backtest.objects.update(sent_at=long_ago, state="running", lease_until=clock.now() + timedelta(seconds=30))
    sweeping.sweep()
    assert rung == [asked.pk], "somebody works on it"
    Backtest.objects.update(lease_until=long_ago)
    sweeping.sweep()
    assert rung == [asked.pk] * 2


def test_a_worker_whose_lease_was_taken_over_writes_nothing_more(key, monkeypatch):
    load_policy(ASKS)
    refund(key)
    asked = ask_for(ALLOWS_SMALL)
    judge = replaying.Replay.judge

    def slow(self: Any, intents: Any) -> Any:
        Backtest.objects.filter(pk=asked.pk).update(worker="another")
        return judge(self, intents)

    monkeypatch.setattr(replaying.Replay, "judge", slow)
    run_backtest(asked.pk)

    asked.refresh_from_db()
    assert (asked.state, asked.judged) == ("running", 0)
    assert not BacktestDifference.objects.exists()


def test_a_cancelled_backtest_stops_at_the_next_chunk_and_keeps_what_it_found(key, monkeypatch):
    monkeypatch.setattr(backtesting, "CHUNK", 2)
    load_policy(ASKS)
    for _ in range(6):
        refund(key)
    asked = ask_for(ALLOWS_SMALL)
    judge = replaying.Replay.judge

    def and_somebody_cancels(self: Any, intents: Any) -> Any:
        if Backtest.objects.get(pk=asked.pk).judged == 2:
            assert backtesting.cancel(asked, by=ARRANGER)
        return judge(self, intents)

    monkeypatch.setattr(replaying.Replay, "judge", and_somebody_cancels)
    run_backtest(asked.pk)

    asked.refresh_from_db()
    assert (asked.state, asked.judged, asked.differences.count()) == ("cancelled", 2, 2)
    assert backtesting.cancel(asked, by=ARRANGER) is False
    assert Event.objects.filter(type="backtest.cancelled").count() == 1
    assert not Event.objects.filter(type="backtest.finished").exists()


def test_one_backtest_of_a_policy_at_a_time(key):
    load_policy(ASKS)
    first = ask_for(ALLOWS_SMALL)

    with pytest.raises(Problem, match="under way"):
        ask_for(ASKS.replace("finance", "security"))

    backtesting.cancel(first, by=ARRANGER)
    assert ask_for(ALLOWS_SMALL).state == "waiting"


def test_one_backtest_of_the_portal_runs_and_the_next_waits_for_it(key, monkeypatch):
    rung: list[int] = []
    monkeypatch.setattr("intents.doorbell.ring_backtest", lambda pk: rung.append(pk) or True)
    load_policy(ASKS)
    refund(key)
    first = ask_for(ALLOWS_SMALL)
    second = ask_for(ALLOWS_SMALL.replace("name: refunds", "name: others"))
    Backtest.objects.filter(pk=first.pk).update(
        state="running", worker="another", lease_until=clock.now() + timedelta(seconds=30)
    )

    run_backtest(second.pk)
    second.refresh_from_db()
    assert second.state == "waiting"
    Backtest.objects.filter(pk=first.pk).update(state="waiting", worker="", lease_until=None)
    run_backtest(first.pk)

    assert rung == [second.pk]


@pytest.fixture
def chunks(monkeypatch) -> list[list[str]]:
    """The ids of the intents that a worker had in memory together."""
    found: list[list[str]] = []
    judge = replaying.Replay.judge

    def watched(self: Any, intents: Any) -> Any:
        found.append([intent.pk for intent in intents])
        differences = judge(self, intents)
        assert not any("document" in vars(intent) for intent in intents), "parsed documents are kept"
        return differences

    monkeypatch.setattr(replaying.Replay, "judge", watched)
    return found


def test_large_intents_are_read_a_few_at_once_and_forgotten_when_they_are_judged(key, chunks, monkeypatch):
    load_policy(ASKS)
    sizes = (10, 10, 10, 5_000, 1_500, 10, 2_500, 10)
    intents = [refund(key, country="é" * (size // 2)) for size in sizes]
    monkeypatch.setattr(backtesting, "CHUNK_BYTES", 4_000)

    done = backtest(LIMITED)

    numbers = {intent.pk: number for number, intent in enumerate(intents)}
    assert [[numbers[key] for key in chunk] for chunk in chunks] == [[0, 1, 2], [3], [4, 5], [6, 7]]
    assert (done.state, done.judged, len(differences(done))) == ("finished", 8, 8)


def test_what_no_policy_of_it_can_cover_is_not_even_parsed(key, monkeypatch):
    load_policy(ASKS)
    intent = refund(key)
    other = make_intent(key, action="email.send", payload={"amount": "1.00"})
    altered = make_intent(key, action="email.send")
    Intent.objects.filter(pk=altered.pk).update(canonical=altered.canonical.replace("email", "e-mail"))
    moved = refund(key)
    Intent.objects.filter(pk=moved.pk).update(
        action="email.send", verdict={**moved.verdict, "policy": None, "inputs": {"agent": {}, "policies": {}}}
    )
    parsed: list[str] = []
    facts_of = replaying.facts_of
    monkeypatch.setattr(replaying, "facts_of", lambda each: parsed.append(each.pk) or facts_of(each))

    done = backtest(ALLOWS_SMALL)

    # What the text says counts, not the column beside it.
    assert parsed == [intent.pk, moved.pk]
    found = differences(done)
    assert other.pk not in found and done.judged == 4
    assert (found[intent.pk][0], found[altered.pk][0]) == ("allowed", "unreadable")


def test_what_other_policies_with_limits_cover_still_counts(key):
    match = "match: {actions: [stripe.refund, email.send]}"
    load_policy(ASKS)
    make_intent(key, action="email.send")
    intent = refund(key)
    load_policy(f"name: brake\n{match}\nrules: [{{id: one, effect: allow, limits: [{{count: 1, over: block}}]}}]\n")

    done = backtest(ALLOWS_SMALL)

    assert differences(done)[intent.pk] == ("blocked", "brake/one")


def test_an_agent_that_named_the_policy_is_judged_by_it_whatever_the_action(key):
    load_policy(ASKS)
    intent = make_intent(key, action="email.send", payload={"country": "KP"}, policy="refunds")

    assert differences(backtest(ALLOWS_SMALL)) == {intent.pk: ("blocked", "refunds/odd")}


def test_a_chunk_that_takes_longer_than_the_lease_stays_with_its_worker(key, monkeypatch, settings):
    settings.ZEHRAVA_PORTAL_LEASE = 1
    load_policy(ASKS)
    for _ in range(7):
        refund(key)
    asked = ask_for(ALLOWS_SMALL)
    others: list[Any] = []
    judge, within = replaying.judge, []

    def slow(*arguments: Any, **named: Any) -> Any:
        time.sleep(0.25)
        if not within:
            within.append(True)
            others.append(backtesting.run(asked.pk))
            within.clear()
        return judge(*arguments, **named)

    monkeypatch.setattr(replaying, "judge", slow)
    run_backtest(asked.pk)

    asked.refresh_from_db()
    assert (asked.state, asked.judged) == ("finished", 7)
    assert others == [None] * 7


@pytest.mark.parametrize("gone", [{"worker": "another"}, {"state": "cancelled"}])
def test_a_worker_that_lost_its_lease_stops_within_its_chunk(key, monkeypatch, settings, gone):
    settings.ZEHRAVA_PORTAL_LEASE = 0
    load_policy(ASKS)
    for _ in range(4):
        refund(key)
    asked = ask_for(ALLOWS_SMALL)
    judge, judged = replaying.judge, []

    def and_it_is_lost(*arguments: Any, **named: Any) -> Any:
        judged.append(1)
        if len(judged) == 2:
            Backtest.objects.filter(pk=asked.pk).update(**gone)
        return judge(*arguments, **named)

    monkeypatch.setattr(replaying, "judge", and_it_is_lost)
    run_backtest(asked.pk)

    asked.refresh_from_db()
    assert len(judged) == 2
    assert (asked.judged, asked.differences.count(), asked.summary) == (0, 0, {})


def test_one_that_stands_still_is_taken_up_before_another_begins(key):
    load_policy(ASKS)
    refund(key)
    first = ask_for(ALLOWS_SMALL)
    second = ask_for(ALLOWS_SMALL.replace("name: refunds", "name: others"))
    silent = clock.now() - timedelta(seconds=1)
    Backtest.objects.filter(pk=first.pk).update(state="running", worker="dead", lease_until=silent)

    assert backtesting.run(second.pk) is None
    assert backtesting.run(first.pk) == "finished"
    assert backtesting.run(second.pk) == "finished"


@pytest.mark.parametrize("days", [0, -1, 366])
def test_days_out_of_bounds_are_refused(days):
    with pytest.raises(Problem, match="1 to 365"):
        ask_for(ASKS, days=days)

    assert not Backtest.objects.exists()


def test_what_counted_beside_it_when_it_was_asked_for_counts_to_its_end(key):
    load_policy(ASKS)
    intent = refund(key)
    asked = ask_for(ALLOWS_SMALL)
    load_policy("name: brake\nmatch: {actions: ['*']}\nrules: [{id: stop, effect: block}]\n")
    run_backtest(asked.pk)

    assert differences(asked) == {intent.pk: ("allowed", "refunds/small")}


def test_a_change_of_other_policies_is_no_effect_of_this_one(key):
    load_policy(ASKS)
    make_intent(key, action="email.send")
    load_policy("name: mail\nmatch: {actions: [email.send]}\nrules: [{id: stop, effect: block}]\n")

    done = backtest(ALLOWS_SMALL)

    assert differences(done) == {}
    assert (done.summary["covered"], done.summary["counts"]) == (0, {"same": 1})


def test_a_policy_beside_it_that_cannot_be_read_any_more_lets_nothing_pass(key):
    load_policy(ASKS)
    load_policy("name: other\nmatch: {actions: [email.send]}\nrules: [{id: all, effect: allow}]\n")
    intent = refund(key)
    asked = ask_for(ALLOWS_SMALL)
    PolicyVersion.objects.filter(policy__name="other").update(text="name: other\nrules: []")
    run_backtest(asked.pk)

    assert differences(asked)[intent.pk][0] == "people"


def test_an_intent_whose_contents_are_gone_or_altered_is_listed_as_not_judged(key):
    load_policy(ASKS)
    erased, altered, whole = refund(key), refund(key), refund(key)
    Intent.objects.filter(pk=erased.pk).update(canonical="")
    Intent.objects.filter(pk=altered.pk).update(canonical=altered.canonical.replace("20.00", "10.00"))

    found = differences(backtest(ALLOWS_SMALL))

    assert {erased.pk: found[erased.pk][0], altered.pk: found[altered.pk][0]} == {
        erased.pk: "unreadable",
        altered.pk: "unreadable",
    }
    assert found[whole.pk][0] == "allowed"


def test_an_intent_without_stored_inputs_is_judged_by_its_agent_of_today_and_said_so(key):
    load_policy(ASKS)
    intent = refund(key)
    verdict = {name: value for name, value in intent.verdict.items() if name != "inputs"}
    Intent.objects.filter(pk=intent.pk).update(verdict=verdict)
    Agent.objects.update(environment="staging")

    done = backtest(ALLOWS_SMALL.replace("match: {", "match: {environments: [staging], "))

    assert differences(done) == {intent.pk: ("allowed", "refunds/small")}
    assert done.summary["assumed"] == 1


def test_stored_inputs_count_and_not_what_the_agent_is_today(key):
    load_policy(ASKS)
    intent = refund(key)
    Agent.objects.update(environment="staging")

    done = backtest(ALLOWS_SMALL.replace("match: {", "match: {environments: [staging], "))

    # The draft no longer covers it, so that nothing but the site's default is left.
    assert differences(done) == {intent.pk: ("people", "")}
    assert done.summary["assumed"] == 0


def test_a_version_whose_text_was_altered_fails_with_its_reason(key):
    load_policy(ASKS)
    asked = ask_for(ALLOWS_SMALL)
    PolicyVersion.objects.filter(pk=asked.version_id).update(text=ASKS)
    run_backtest(asked.pk)

    asked.refresh_from_db()
    assert asked.state == "failed" and "digest differs" in asked.trouble
    assert Event.objects.filter(type="backtest.failed").count() == 1


def test_an_error_of_ours_ends_it_as_failed_and_the_next_one_can_be_asked_for(key, monkeypatch):
    load_policy(ASKS)
    refund(key)
    asked = ask_for(ALLOWS_SMALL)

    def breaks(*_: Any) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(replaying.Replay, "judge", breaks)
    run_backtest(asked.pk)

    asked.refresh_from_db()
    assert (asked.state, "RuntimeError" in asked.trouble) == ("failed", True)
    assert ask_for(ALLOWS_SMALL).state == "waiting"


def test_the_ledger_says_who_asked_for_what_and_what_came_out(key):
    load_policy(ASKS)
    refund(key)
    person = make_user("paula")
    from audit.actors import Actor

    version = draft(ALLOWS_SMALL)
    asked = backtesting.request(version, days=7, by=Actor.person(person), user=person)
    run_backtest(asked.pk)
    asked.refresh_from_db()

    requested, finished = Event.objects.filter(type__startswith="backtest.").order_by("id")
    facts = json.loads(requested.line)["facts"]
    assert requested.actor_name == "paula"
    assert (facts["version"], facts["digest"]) == (2, version.digest)
    assert finished.type == "backtest.finished"
    assert json.loads(finished.line)["facts"] == {
        "judged": 1,
        "counts": {"allowed": 1},
        "rejected_before": 0,
        "differences": asked.differences_digest,
    }


def problems_of_audit_check(capsys: pytest.CaptureFixture[str]) -> str:
    with contextlib.suppress(CommandError, SystemExit):
        call_command("audit_check")
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize(
    "tamper",
    [
        lambda: BacktestDifference.objects.order_by("pk").first().delete(),
        lambda: BacktestDifference.objects.filter(change="allowed").update(change="asked"),
        lambda: BacktestDifference.objects.filter(was_status="rejected").update(was_status="succeeded"),
        lambda: Backtest.objects.update(summary={"counts": {"same": 3}}),
        lambda: Backtest.objects.update(state="cancelled"),
        lambda: (BacktestDifference.objects.all().delete(), Backtest.objects.all().delete()),
    ],
)
def test_results_that_were_altered_are_found(key, capsys, tamper):
    load_policy(ASKS)
    rejected = refund(key)
    for _ in range(2):
        refund(key)
    backtest(ALLOWS_SMALL)
    done = Backtest.objects.get()
    assert "backtest" not in problems_of_audit_check(capsys)
    Intent.objects.filter(pk=rejected.pk).update(status=Status.REJECTED)
    again = backtest(ALLOWS_SMALL)
    assert "intents_backtest" not in problems_of_audit_check(capsys)

    tamper()

    assert "intents_backtest" in problems_of_audit_check(capsys)
    assert done.pk != again.pk


def test_differences_are_dropped_after_a_while_and_the_figures_stay(key, capsys):
    load_policy(ASKS)
    refund(key)
    old, new = backtest(ALLOWS_SMALL), backtest(ALLOWS_SMALL)
    Backtest.objects.filter(pk=old.pk).update(finished_at="2025-01-01T00:00:00Z")

    assert backtesting.drop_old() == 1

    old.refresh_from_db()
    assert (old.differences.count(), new.differences.count()) == (0, 1)
    assert old.summary["counts"] == {"allowed": 1} and old.differences_dropped_at
    assert "intents_backtest" not in problems_of_audit_check(capsys)


def test_a_difference_is_never_written_twice(key):
    load_policy(ASKS)
    intent = refund(key)
    done = backtest(ALLOWS_SMALL)

    with pytest.raises(IntegrityError):
        BacktestDifference.objects.create(
            backtest=done, intent=intent, change="asked", effect="", said_by="", reason="", was_status=""
        )


def test_every_state_and_kind_is_one_that_the_database_knows(key):
    load_policy(ASKS)
    refund(key)
    done = backtest(ALLOWS_SMALL)
    assert done.state in BacktestState.values

    with pytest.raises(IntegrityError):
        Backtest.objects.filter(pk=done.pk).update(state="done")


def test_saving_is_not_needed_to_be_in_force_for_a_backtest(key):
    version = save_policy(ALLOWS_SMALL, by=ARRANGER, user=None, activate=False)
    intent = refund(key)
    asked = backtesting.request(version, days=1, by=ARRANGER, user=None)
    run_backtest(asked.pk)

    assert differences(asked) == {intent.pk: ("allowed", "refunds/small")}
