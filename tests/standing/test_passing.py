"""What passes on a standing approval, and all that does not: less than policy asks is never enough."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet

from audit import clock, ledger
from audit.actors import Actor
from audit.models import Event
from intents import agents, integrity, sweeping
from intents.models import Execution, Intent
from reviews.models import Decision, StandingApproval, StandingUse
from reviews.second_factor import Factor
from reviews.standing import steps, using
from reviews.standing.terms import digest_of
from tests.clocks import held_clock
from tests.factories import (
    ARRANGER,
    approve_in_advance,
    ask_in_advance,
    load_action_type,
    load_policy,
    make_agent,
    make_intent,
    make_user,
    run_by_noop,
)
from tests.standing.conftest import stored


@pytest.fixture
def standing(agent, rita, sam) -> StandingApproval:
    return approve_in_advance(agent, by=rita, second=sam)


def facts_of(document) -> dict:
    return json.loads(Event.objects.get(type="intent.proposed", subject_id=document["id"]).line)["facts"]


# --- what passes ---


def test_it_passes_at_once_and_says_on_what(standing, propose, rita, sam):
    made = propose()

    assert made["status"] == "approved" and made["decided_at"] == made["created_at"]
    assert made["standing_approval"] == {"id": standing.pk, "use": 1}
    assert made["verdict"]["effect"] == "require_approval" and made["decisions"] == []
    intent = stored(made)
    assert intent.requirement["all_of"] and intent.alike == "" and integrity.differences(intent) == []
    said = facts_of(made)
    assert said["status"] == "approved" and said["effect"] == "require_approval"
    assert said["standing_approval"] == {
        "id": standing.pk,
        "use": 1,
        "owner": str(rita.pk),
        "approver": str(sam.pk),
        "terms_digest": standing.terms_digest,
    }
    assert not Decision.objects.exists()


def test_each_use_is_in_the_ledger_with_its_history_row(standing, propose):
    made = [propose(str(n)) for n in range(2)]

    events = Event.objects.filter(type="standing_approval.used").order_by("id")
    assert [json.loads(event.line)["facts"]["intent"] for event in events] == [each["id"] for each in made]
    assert [json.loads(event.line)["facts"]["use"] for event in events] == [1, 2]
    assert [event.actor_name for event in events] == ["nightly", "nightly"]
    rows = StandingApproval.history.filter(id=standing.pk).order_by("history_id")
    assert [row.used for row in rows] == [0, 0, 1, 2]


def test_reading_it_later_says_the_same_as_the_answer_did(standing, propose, agent_client):
    made = propose(key="k-1")

    assert agent_client.get(f"/api/v1/intents/{made['id']}").json()["standing_approval"] == made["standing_approval"]
    [listed] = agent_client.get("/api/v1/intents").json()["results"]
    assert listed["standing_approval"] == made["standing_approval"]


def test_the_agent_claims_it_once(standing, propose, claim):
    made = propose()

    assert claim(made["id"]).status_code == 201
    assert claim(made["id"]).status_code == 409


def test_the_portal_carries_it_out(agent, rita, sam, propose):
    run_by_noop("a.run")
    approve_in_advance(agent, by=rita, second=sam, action="a.run")

    made = propose(action="a.run")

    assert Execution.objects.get(intent=made["id"]).state == "waiting"


def test_it_asks_nobody_and_takes_nothing_of_the_attention_budget(standing, propose, settings, signed_in, sam):
    settings.ZEHRAVA_ASKS_PER_HOUR = settings.ZEHRAVA_PENDING_PER_AGENT = 1

    assert [propose(str(n))["status"] for n in range(4)] == ["approved"] * 4
    assert propose(action="a.other")["status"] == "pending_approval"
    assert "10.00" not in signed_in(sam).get("/admin/").content.decode()


def test_a_glob_covers_what_it_matches(agent, rita, sam, propose):
    approve_in_advance(agent, by=rita, second=sam, action="a.pay.*")

    assert propose(action="a.pay.out")["status"] == "approved"
    assert propose(action="a.payout")["status"] == "pending_approval"


# --- never less than policy asks ---


def test_a_block_stays_a_block(standing, propose):
    assert propose("666")["status"] == "blocked"
    assert StandingApproval.objects.get().used == 0


def test_what_policy_allows_uses_nothing(standing, propose, agent):
    load_policy("name: careful\nmatch: {actions: ['a.*']}\nrules: [{id: all, effect: allow}]\n")

    made = propose()

    assert made["status"] == "approved" and made["standing_approval"] is None
    assert StandingApproval.objects.get().used == 0


@pytest.mark.parametrize(
    "asked",
    [
        "{all_of: [{group: finance, count: 2}, {group: security}]}",
        "{all_of: [{group: security}, {group: finance}], order: listed}",
        "{all_of: [{group: legal}]}",
        "{all_of: [{group: finance}, {group: security}], step_up: true}",
    ],
)
def test_what_asks_for_more_than_the_two_goes_to_people(standing, propose, asked):
    load_policy(
        "name: careful\nmatch: {actions: ['a.*']}\n"
        f"rules: [{{id: all, effect: require_approval, approval: {asked}}}]\n"
    )

    made = propose()

    assert made["status"] == "pending_approval" and made["standing_approval"] is None
    assert StandingApproval.objects.get().used == 0


def test_what_asks_for_less_than_the_two_passes(standing, propose):
    load_policy(
        "name: careful\nmatch: {actions: ['a.*']}\n"
        "rules: [{id: all, effect: require_approval, approval: {all_of: [{group: security}]}}]\n"
    )
    assert propose()["status"] == "approved"


def test_with_two_fresh_factors_it_does_for_step_up(agent, rita, sam, propose):
    load_policy(
        "name: careful\nmatch: {actions: ['a.*']}\nrules: [{id: all, effect: require_approval,"
        " approval: {all_of: [{group: finance}, {group: security}], step_up: true}}]\n"
    )
    approve_in_advance(agent, by=rita, second=sam, factor=Factor("totp", 1, clock.now()))
    assert propose()["status"] == "approved"


@pytest.mark.parametrize(("kind", "minutes"), [("totp", 6), ("webauthn", 0)])
def test_a_factor_that_is_old_or_signed_for_something_else_does_not(agent, rita, sam, propose, kind, minutes):
    factor = Factor(kind, 1, clock.now() - timedelta(minutes=minutes), about="sha256:of-something-else")
    load_policy(
        "name: careful\nmatch: {actions: ['a.*']}\nrules: [{id: all, effect: require_approval,"
        " approval: {all_of: [{group: finance}, {group: security}], step_up: true}}]\n"
    )
    approval = ask_in_advance(agent, by=rita, factor=Factor("totp", 1, clock.now()))
    steps.approve(approval, by=sam, digest=approval.terms_digest, factor=factor)
    assert propose()["status"] == "pending_approval"


@pytest.mark.parametrize("who", ["rita", "sam"])
@pytest.mark.parametrize("how", ["left the group", "left the portal"])
def test_the_two_count_as_they_are_now(standing, propose, rita, sam, who, how):
    person = {"rita": rita, "sam": sam}[who]
    if how == "left the group":
        person.groups.set([Group.objects.get(name="reviewers")])
    else:
        person.is_active = False
        person.save()

    assert propose()["status"] == "pending_approval"


@pytest.mark.parametrize("who", ["rita", "sam"])
def test_neither_of_the_two_may_own_the_agent_by_now(standing, propose, agent, rita, sam, who):
    agents.change_agent(agent, by=ARRANGER, owner={"rita": rita, "sam": sam}[who])
    assert propose()["status"] == "pending_approval"


@pytest.mark.parametrize("who", ["rita", "sam"])
def test_neither_of_the_two_may_be_whom_the_agent_acts_for(standing, propose, who):
    assert propose(on_behalf_of=f"{who}@example.com")["status"] == "pending_approval"


@pytest.mark.parametrize("who", ["rita", "sam"])
def test_neither_of_the_two_may_have_made_the_key(standing, agent, rita, sam, who):
    _, key = agents.create_key(agent, by=Actor.person({"rita": rita, "sam": sam}[who]))
    assert make_intent(key, action="a.b").status == "pending_approval"


def test_another_agent_of_the_same_owner_is_not_covered(standing, olivia):
    assert make_intent(make_agent(owner=olivia)[1], action="a.b").status == "pending_approval"


def test_what_is_only_asked_for_covers_nothing(agent, rita, propose):
    ask_in_advance(agent, by=rita)
    assert propose()["status"] == "pending_approval"


# --- its terms ---


@pytest.mark.parametrize(
    ("when", "amount", "status"),
    [
        ('amount(payload.amount) <= amount("50")', "50.00", "approved"),
        ('amount(payload.amount) <= amount("50")', "50.01", "pending_approval"),
        ("payload.missing == 1", "1", "pending_approval"),
        ("payload.amount > 5", "1", "pending_approval"),
        ('agent.environment == "production"', "1", "approved"),
        ('agent.environment == "staging"', "1", "pending_approval"),
        ("context.safe", "1", "pending_approval"),
    ],
)
def test_a_condition_that_does_not_hold_or_fails_goes_to_people(agent, rita, sam, propose, when, amount, status):
    approve_in_advance(agent, by=rita, second=sam, when=when)
    assert propose(amount)["status"] == status


def test_the_count_is_exact_and_then_it_is_used_up(agent, rita, sam, propose):
    approval = approve_in_advance(agent, by=rita, second=sam, max_uses=2)

    assert [propose(str(n))["status"] for n in range(3)] == ["approved", "approved", "pending_approval"]
    approval.refresh_from_db()
    assert (approval.state, approval.used) == ("used_up", 2)
    assert Event.objects.filter(type="standing_approval.used_up").count() == 1


def test_the_total_counts_values_in_its_currency_only(agent, rita, sam, propose):
    approve_in_advance(agent, by=rita, second=sam, max_total="100.00", currency="EUR")

    def eur(amount, currency="EUR"):
        return propose(amount, value={"amount": amount, "currency": currency})["status"]

    assert eur("60.00") == "approved"
    assert eur("40.01") == "pending_approval"
    assert eur("-50.00") == "pending_approval"
    assert eur("1.00", "USD") == "pending_approval"
    assert propose("no value")["status"] == "pending_approval"
    assert eur("40.00") == "approved"
    assert eur("0.01") == "pending_approval"
    assert StandingApproval.objects.get().spent == 100


def test_no_more_pass_within_the_window_than_the_rate_says(agent, rita, sam, propose):
    approve_in_advance(agent, by=rita, second=sam, rate_count=2, rate_window="1h")

    assert [propose(str(n))["status"] for n in range(3)] == ["approved", "approved", "pending_approval"]
    StandingUse.objects.update(at=clock.now() - timedelta(hours=1, seconds=1))
    assert propose("later")["status"] == "approved"


def test_its_time_ends_by_the_clock_not_by_the_sweep(standing, propose):
    assert propose("in time")["status"] == "approved"
    standing.refresh_from_db()
    # As if two people had agreed to this very moment.
    standing.expires_at = clock.now()
    standing.terms_digest = digest_of(standing)
    ledger.save(standing, "standing_approval.approved", by=ARRANGER)
    assert steps.altered(standing) == []

    assert propose("too late")["status"] == "pending_approval"
    assert sweeping.sweep()["standing_approvals_ended"] == 1
    standing.refresh_from_db()
    assert standing.state == "over"
    assert sweeping.sweep()["standing_approvals_ended"] == 0


def test_its_time_ends_while_its_row_is_waited_for(agent, rita, sam, propose, monkeypatch):
    """Another proposal holds the row until the end has come: over is over, whenever the waiting began."""
    with held_clock() as held:
        standing = approve_in_advance(agent, by=rita, second=sam, expires_at=held.at + timedelta(minutes=1))
        when_its_row_is_locked(monkeypatch, lambda: held.set(standing.expires_at))
        assert propose()["status"] == "pending_approval"
    assert not StandingUse.objects.exists()


def test_one_of_its_people_leaves_while_its_row_is_waited_for(standing, propose, sam, monkeypatch):
    when_its_row_is_locked(monkeypatch, lambda: User.objects.filter(pk=sam.pk).update(is_active=False))
    assert propose()["status"] == "pending_approval"
    assert not StandingUse.objects.exists()


def when_its_row_is_locked(monkeypatch, happens) -> None:
    """What happens elsewhere while the row is waited for, after the statement that locks it began."""
    locking = QuerySet.select_for_update

    class Locking(QuerySet):
        def _fetch_all(self):
            begun = self._result_cache is None
            super()._fetch_all()
            if begun:
                happens()

    def select_for_update(rows, *args, **named):
        rows = locking(rows, *args, **named)
        if rows.model is StandingApproval:
            rows.__class__ = Locking
        return rows

    monkeypatch.setattr(QuerySet, "select_for_update", select_for_update)


def test_a_part_of_the_sweep_that_fails_holds_up_no_other(db, monkeypatch):
    def fails(*args):
        raise RuntimeError("on purpose")

    monkeypatch.setitem(sweeping._others, "broken", (fails, fails))
    swept = sweeping.sweep()
    assert swept["broken"] == swept["expired"] == 0


def test_once_it_is_revoked_nothing_passes(standing, propose, rita):
    assert propose("before")["status"] == "approved"
    steps.revoke(standing, by=rita, reason="no longer")
    assert propose("after")["status"] == "pending_approval"


def test_of_two_that_cover_it_one_is_used(agent, rita, sam, propose):
    first = approve_in_advance(agent, by=rita, second=sam, max_uses=1)
    second = approve_in_advance(agent, by=rita, second=sam, max_uses=1)

    used = [propose(str(n))["standing_approval"] for n in range(3)]
    assert [each and each["id"] for each in used] == [first.pk, second.pk, None]


# --- asked twice ---


def test_a_repeated_request_uses_it_once(standing, propose):
    first, second = propose(key="k-1"), propose(key="k-1")

    assert first == second
    assert StandingApproval.objects.get().used == 1


def test_what_replaces_a_pending_intent_goes_to_people(agent, rita, sam, propose):
    waits = propose("1")
    approve_in_advance(agent, by=rita, second=sam)

    assert propose("2", supersedes=waits["id"])["status"] == "pending_approval"
    assert StandingApproval.objects.get().used == 0


def test_what_passes_is_not_answered_with_a_pending_twin(agent, rita, sam, propose):
    waits = propose("1")
    approve_in_advance(agent, by=rita, second=sam)

    made = propose("1")
    assert made["id"] != waits["id"] and made["status"] == "approved"


def test_evaluating_says_what_it_would_pass_on_and_uses_nothing(standing, propose):
    said = propose(path="policies/evaluate")

    assert said["standing_approval"] == {"id": standing.pk} and said["status"] == "approved"
    assert said["verdict"]["effect"] == "require_approval" and said["requirement"]
    assert StandingApproval.objects.get().used == 0
    other = propose(path="policies/evaluate", action="a.other")
    assert other["standing_approval"] is None and other["status"] == "pending_approval"


# --- what nobody could read, and what somebody forged ---


def test_what_is_asked_because_a_condition_failed_goes_to_people(standing, propose):
    two = "effect: require_approval, approval: {all_of: [{group: finance}, {group: security}]}"
    load_policy(
        "name: careful\nmatch: {actions: ['a.*']}\n"
        f"rules: [{{id: odd, when: payload.size < 3, {two}}}, {{id: all, {two}}}]\n"
    )
    made = propose()
    # The two would meet it.
    assert [seat["group"] for seat in made["requirement"]["all_of"]] == ["finance", "security"]
    assert made["status"] == "pending_approval"


def test_what_the_action_type_could_not_derive_goes_to_people(standing, propose):
    load_action_type("name: a.b\nderive: {target: payload.nowhere}\n")
    assert propose()["status"] == "pending_approval"


@pytest.mark.parametrize(
    "forged",
    [
        {"max_uses": 10_000},
        {"used": 0},
        {"spent": 0},
        {"when": ""},
        {"action": "a.*"},
        {"sample_percent": 1},
        {"expires_at": datetime(2100, 1, 1, tzinfo=UTC)},
    ],
)
def test_nothing_passes_on_a_row_that_was_changed_behind_the_portals_back(agent, rita, sam, propose, forged):
    approve_in_advance(
        agent, by=rita, second=sam, max_uses=5, max_total="9.00", currency="EUR", when='payload.amount != "7"'
    )
    assert propose("1", value={"amount": "1.00", "currency": "EUR"})["status"] == "approved"
    StandingApproval.objects.update(**forged)

    assert propose("2", value={"amount": "1.00", "currency": "EUR"})["status"] == "pending_approval"


def test_nothing_passes_on_one_that_was_made_active_behind_the_portals_back(agent, rita, sam, propose):
    ask_in_advance(agent, by=rita)
    StandingApproval.objects.update(state="active", approver=sam, approved_at=clock.now())
    assert propose()["status"] == "pending_approval"


def test_an_intent_that_was_made_approved_behind_the_portals_back_is_not_handed_out(standing, propose, claim):
    waits = propose(action="a.other")
    Intent.objects.filter(pk=waits["id"]).update(status="approved", alike="", decided_at=clock.now())
    StandingUse.objects.create(standing_approval=standing, intent_id=waits["id"], number=1, at=clock.now())

    assert claim(waits["id"]).status_code == 409
    assert not Execution.objects.exists()


def test_a_suspended_agent_uses_nothing(standing, agent, agent_client):
    agents.suspend_agent(agent, by=ARRANGER)
    body = json.dumps({"action": "a.b", "payload": {}})
    assert agent_client.post("/api/v1/intents", body, "application/json").status_code == 403
    assert StandingApproval.objects.get().used == 0


def test_a_stranger_in_no_group_adds_nothing(agent, rita, propose):
    root = make_user("root", is_superuser=True)
    approve_in_advance(agent, by=rita, second=root)
    assert propose()["status"] == "pending_approval"


def test_a_policy_author_who_names_the_agent_is_told_too_and_not_about_a_draft(standing, signed_in):
    client = signed_in(make_user("paul", "policy_authors"))

    def evaluate(**besides):
        body = {"action": "a.b", "payload": {"amount": "1"}, "agent": "nightly", **besides}
        answer = client.post("/api/v1/policies/evaluate", json.dumps(body), "application/json")
        assert answer.status_code == 200, answer.content
        return answer.json()["standing_approval"]

    assert evaluate() == {"id": standing.pk}
    assert evaluate(document="name: other\nmatch: {actions: ['x']}\nrules: [{id: all, effect: block}]\n") is None
    assert evaluate(agent={"name": "nightly"}) is None


@pytest.mark.parametrize("done", ["taken away", "renumbered", "put in"])
def test_a_use_that_was_tampered_with_is_found(standing, propose, agent, done):
    propose("1")
    assert list(using.unlike_the_ledger()) == []
    if done == "taken away":
        StandingUse.objects.all().delete()
    elif done == "renumbered":
        StandingUse.objects.update(number=7)
    else:
        other = propose(action="a.other")
        StandingUse.objects.create(standing_approval=standing, intent_id=other["id"], number=2, at=clock.now())
    assert list(using.unlike_the_ledger())


@pytest.mark.parametrize(("sensitivity", "status"), [("low", "approved"), ("high", "pending_approval")])
def test_its_conditions_know_what_the_action_type_says(agent, rita, sam, propose, sensitivity, status):
    load_action_type(f"name: a.b\nsensitivity: {sensitivity}\npresent: {{reversible: false}}\n")
    approve_in_advance(agent, by=rita, second=sam, when='intent.sensitivity == "low" && !intent.reversible')
    assert propose()["status"] == status
