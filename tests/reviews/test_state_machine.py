"""Any sequence of what agents, people and time can do, against a model of what should come of it.

Hypothesis looks for a sequence after which the portal and the model differ. That it would find one is tested as well:
with each of six bugs planted, it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from audit.models import Event
from intents import agents, execution, integrity, lifecycle, sweeping
from intents.models import Execution, Intent
from reviews import decisions, delegation, entitlement, ties
from reviews.models import Decision, Delegation
from tests.clocks import HeldClock, held_clock
from tests.factories import ARRANGER, in_force_as, load_policy, make_agent, make_delegation, make_intent, make_user
from zehrava.problems import Problem

POLICY = """
name: careful
match: {actions: ['a.*']}
rules:
  - {id: asked, when: intent.action == "a.asked", effect: require_approval,
     approval: {all_of: [{group: finance, count: 2}]}}
  - {id: allowed, effect: allow}
"""
LEASE = timedelta(seconds=30)
ENDED = ("rejected", "expired", "succeeded", "failed", "indeterminate")
STEPS = {
    f"intent.{status}"
    for status in ("approved", "rejected", "expired", "executing", "succeeded", "failed", "indeterminate")
}

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(600)]


@dataclass
class Expected:
    """What should stand of one intent."""

    digest: str
    expires_at: datetime
    status: str = "pending_approval"
    votes: dict[str, str] = field(default_factory=dict)
    # By which delegation the stranger voted, if they did.
    voted_by: int | None = None
    token: str = ""
    execution: str = ""
    lease_until: datetime | None = None


class Portal(RuleBasedStateMachine):
    """`people` are those of the group; `owner` is in it too and owns the agent, `stranger` is in another one.

    At times ann lets the stranger decide for her.
    """

    clock: HeldClock
    people: dict[str, User]
    intents = Bundle("intents")
    # Often those who may, so that something comes of it.
    person = st.sampled_from([*("ann", "bob", "cy") * 2, "owner", "stranger"])

    def __init__(self) -> None:
        super().__init__()
        self.agent, self.key = make_agent(owner=self.people["owner"])
        self.known: dict[str, Expected] = {}
        self.delegation: Delegation | None = None

    # --- what agents do ------------------------------------------------------------------------------------------

    # Few at once: what matters happens to one of them several times.
    @precondition(lambda self: sum(each.status not in ENDED for each in self.known.values()) < 2)
    @rule(target=intents, action=st.sampled_from(["a.asked", "a.allowed"]))
    def propose(self, action: str) -> Any:
        intent = make_intent(self.key, action=action, expires_in="60s")
        status = "approved" if action == "a.allowed" else "pending_approval"
        self.known[intent.pk] = Expected(intent.digest, self.clock.at + timedelta(seconds=60), status)
        return intent.pk

    @rule(which=intents)
    def claim(self, which: str) -> None:
        expected = self.known[which]
        may = expected.status == "approved" and self.clock.at < expected.expires_at
        claimed = self.attempt(lambda: execution.claim(which, agent=self.in_force()))
        assert bool(claimed) == may, (expected, claimed)
        if claimed:
            running, expected.token = claimed
            expected.status, expected.execution = "executing", running.pk
            expected.lease_until = running.lease_until
        elif expected.status == "approved":
            expected.status = "expired"

    @rule(which=intents, outcome=st.sampled_from(["succeeded", "failed"]))
    def report(self, which: str, outcome: str) -> None:
        expected = self.known[which]
        if not expected.execution:
            return
        may = expected.status == "executing" and self.clock.at < expected.lease_until
        agent, token = self.in_force(), expected.token
        done = self.attempt(
            lambda: execution.report(expected.execution, agent=agent, token=token, outcome=outcome, result=None)
        )
        assert bool(done) == may, expected
        if done:
            expected.status = outcome

    # --- what people do ------------------------------------------------------------------------------------------

    @rule(which=intents, who=person, vote=st.sampled_from(["approve", "approve", "reject"]))
    def decide(self, which: str, who: str, vote: str) -> None:
        expected = self.known[which]
        may = (
            expected.status == "pending_approval"
            and self.clock.at < expected.expires_at
            and self.may_knock(who)
            and (who not in expected.votes or self.is_void(expected, who))
            and (vote == "reject" or not self.counts_once(expected, who))
        )
        said = self.attempt(
            lambda: decisions.decide(which, by=self.people[who], vote=vote, digest=expected.digest, rationale="because")
        )
        assert bool(said) == may, (expected, who, vote)
        if not said:
            # At a door, what nobody swept yet expires as well.
            if expected.status == "pending_approval" and self.may_knock(who) and self.is_over(expected):
                expected.status = "expired"
            return
        expected.votes[who] = vote
        if who == "stranger":
            expected.voted_by = self.delegation.pk
        if vote == "reject":
            expected.status = "rejected"
        elif sum(not self.is_void(expected, voter) for voter in expected.votes) == 2:
            expected.status = "approved"

    @rule(which=intents, data=st.data())
    def withdraw(self, which: str, data: st.DataObject) -> None:
        expected = self.known[which]
        who = data.draw(st.sampled_from(sorted(expected.votes)) if expected.votes else self.person)
        vote = Decision.objects.filter(intent=which, reviewer=self.people[who]).order_by("-id").first()
        if vote is None:
            assert who not in expected.votes
            return
        may = expected.status == "pending_approval" and who in expected.votes and not self.is_over(expected)
        taken_back = self.attempt(lambda: decisions.withdraw(vote, by=self.people[who]))
        assert bool(taken_back) == may, (expected, who)
        if taken_back:
            del expected.votes[who]

    @rule()
    def delegate_or_revoke(self) -> None:
        if self.delegation is None:
            self.delegation = make_delegation(
                self.people["ann"], self.people["stranger"], until=self.clock.at + timedelta(days=1)
            )
        else:
            delegation.revoke(self.delegation, by=self.people["ann"])
            self.delegation = None

    @rule(which=intents)
    def suspend_and_resume(self, which: str) -> None:
        agent = self.in_force()
        self.agent = agents.suspend_agent(self.agent, by=ARRANGER)
        assert self.attempt(lambda: execution.claim(which, agent=agent)) is None
        self.agent = agents.resume_agent(self.agent, by=ARRANGER)

    # --- what time does ------------------------------------------------------------------------------------------

    @rule()
    def wait(self) -> None:
        self.clock.forward(seconds=1)

    @rule(which=intents)
    def let_the_end_come(self, which: str) -> None:
        """To the very moment at which its lease, or its time, is over."""
        expected = self.known[which]
        end = expected.lease_until if expected.status == "executing" else expected.expires_at
        self.clock.set(max(end, self.clock.at))

    @rule()
    def sweep(self) -> None:
        sweeping.sweep()
        for expected in self.known.values():
            if expected.status in ("pending_approval", "approved") and self.is_over(expected):
                expected.status = "expired"
            if expected.status == "executing" and self.clock.at >= expected.lease_until:
                expected.status = "indeterminate"

    # --- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def everything_stands_as_expected_and_the_ledger_tells_the_same(self) -> None:
        states = dict(Intent.objects.filter(pk__in=self.known).values_list("pk", "status"))
        votes, attempts, told = Counter(), Counter(), Counter()
        rows = Decision.objects.filter(intent__in=self.known, withdrawn_at=None)
        votes.update(rows.values_list("intent", "reviewer", "vote"))
        attempts.update(Execution.objects.filter(intent__in=self.known).values_list("intent", flat=True))
        told.update(Event.objects.filter(intent_id__in=self.known).values_list("intent_id", "type"))
        assert states == {pk: expected.status for pk, expected in self.known.items()}
        assert votes == Counter(
            (pk, self.people[who].pk, vote)
            for pk, expected in self.known.items()
            for who, vote in expected.votes.items()
        )
        assert attempts == Counter(pk for pk, expected in self.known.items() if expected.execution)
        for pk, expected in self.known.items():
            steps = {kind: number for (intent, kind), number in told.items() if intent == pk and kind in STEPS}
            assert set(steps.values()) <= {1}
            assert f"intent.{expected.status}" in steps or expected.status in ("pending_approval", "approved")

    def teardown(self) -> None:
        # The people are the same ones next time.
        if self.delegation is not None:
            delegation.revoke(self.delegation, by=self.people["ann"])
        for intent in Intent.objects.select_related("agent").filter(pk__in=self.known):
            assert integrity.differences(intent) == []

    # --- by hand -------------------------------------------------------------------------------------------------

    def attempt(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except Problem:
            return None

    def in_force(self) -> Any:
        return in_force_as(self.key)

    def is_over(self, expected: Expected) -> bool:
        return self.clock.at >= expected.expires_at

    def may_knock(self, who: str) -> bool:
        return who in ("ann", "bob", "cy") or (who == "stranger" and self.delegation is not None)

    def is_void(self, expected: Expected, who: str) -> bool:
        """Whether an approval of theirs counts no more: the delegation that it was given by is over."""
        in_force = None if self.delegation is None else self.delegation.pk
        return who == "stranger" and expected.votes.get(who) == "approve" and expected.voted_by != in_force

    def counts_once(self, expected: Expected, who: str) -> bool:
        """Whether the other one of ann and the stranger approved it, so that this one fills no seat."""
        other = {"ann": "stranger", "stranger": "ann"}.get(who, "")
        approved = expected.votes.get(other) == "approve" and not self.is_void(expected, other)
        return approved and self.delegation is not None


@pytest.fixture
def machine(settings: Any) -> Any:
    settings.ZEHRAVA_PENDING_PER_AGENT = settings.ZEHRAVA_ASKS_PER_HOUR = 0
    settings.ZEHRAVA_AGENT_LEASE = LEASE.total_seconds()
    load_policy(POLICY)
    people = {name: make_user(name, "finance") for name in ("ann", "bob", "cy", "owner")}
    people["stranger"] = make_user("stranger", "legal")
    with held_clock() as clock:
        yield type("Arranged", (Portal,), {"clock": clock, "people": people})


def look_for_a_difference(machine: type[Portal], *, examples: int, always_the_same: bool = False) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            derandomize=always_the_same,
            # What was found is told as it is: to make it smaller would take longer than to find it.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_sequence_ends_elsewhere_than_expected(machine):
    look_for_a_difference(machine, examples=40)


def an_owner_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Intent, "owner_ids", property(lambda self: frozenset()))


def a_withdrawn_vote_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = Decision.objects.select_related("reviewer").prefetch_related("reviewer__groups").order_by("id")
    monkeypatch.setattr(entitlement, "standing_votes", lambda ids: everything.filter(intent__in=list(ids)))
    monkeypatch.setattr(decisions, "_on_record", lambda votes: votes)


def a_revoked_delegation_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = Delegation.objects.select_related("delegator", "delegate").order_by("pk")
    monkeypatch.setattr(ties, "in_force", everything.all)


def a_permit_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_running", lambda run: Execution.objects.filter(pk=run.pk, state="running"))


def a_second_claim_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_refuse_what_is_not_approved", lambda intent: None)
    move = lifecycle._move

    def anywhere(intent: Intent, to: Any, frm: set[Any], **members: Any) -> None:
        move(intent, to, {*frm, "executing"} if to == "executing" else frm, **members)

    monkeypatch.setattr(lifecycle, "_move", anywhere)


def a_deadline_is_the_sweepers_business(monkeypatch: pytest.MonkeyPatch) -> None:
    move = lifecycle._move
    monkeypatch.setattr(
        lifecycle, "_move", lambda intent, to, frm, *, in_time_at=None, **columns: move(intent, to, frm, **columns)
    )


@pytest.mark.parametrize(
    "bug",
    [
        an_owner_decides,
        a_withdrawn_vote_counts,
        a_revoked_delegation_counts,
        a_permit_has_no_end,
        a_second_claim_passes,
        a_deadline_is_the_sweepers_business,
    ],
    ids=lambda bug: bug.__name__,
)
def test_a_planted_bug_is_found(bug, machine, monkeypatch):
    bug(monkeypatch)
    with pytest.raises(BaseException) as found:
        look_for_a_difference(machine, examples=300, always_the_same=True)
    assert not isinstance(found.value, (KeyboardInterrupt, SystemExit))
    assert found.type is not pytest.fail.Exception
