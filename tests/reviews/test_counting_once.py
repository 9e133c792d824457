"""People who count once do so wherever people count: escalated, in advance, in an emergency, and on the record."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit import clock
from audit.models import Event
from intents import sweeping
from intents.agents import create_key
from intents.models import Agent, Intent
from reviews import unmeetable
from reviews.decision_record import record_of, unlike_their_digests
from reviews.decisions import decide
from reviews.delegation import Ceiling, revoke
from reviews.entitlement import can_be_met_by, groups_asked, votes_of, who_may_decide
from reviews.models import Decision, StandingApproval
from reviews.queue import overview, waits_for
from reviews.second_factor import SESSION_KEY
from reviews.standing import steps
from tests.factories import (
    ARRANGER,
    approve_in_advance,
    ask_in_advance,
    end,
    ids_waiting_for,
    load_policy,
    make_agent,
    make_delegation,
    make_intent,
    make_user,
    opened,
    time_passes,
)
from zehrava.problems import Problem
from zehrava_site import roles

pytestmark = pytest.mark.django_db
TWO = "{all_of: [{group: finance, count: 2}]}"
BOTH = "{all_of: [{group: finance}, {group: security}]}"
WIDENS = (
    "{all_of: [{group: finance, count: 2}], expires_in: 4h, escalation: [{after: 1h, do: widen, to: [managers]}],"
    " on_timeout: escalate, escalate_to: [{group: directors}]}"
)


@pytest.fixture(autouse=True)
def _roles() -> None:
    roles.install()


@pytest.fixture
def agent() -> Agent:
    return make_agent("billing", owner=make_user("olivia"))[0]


@pytest.fixture
def rita() -> User:
    return make_user("rita", "finance", "reviewers")


@pytest.fixture
def sam() -> User:
    return make_user("sam", "finance", "security", "reviewers")


@pytest.fixture
def dora() -> User:
    """Nobody asks any group of hers."""
    return make_user("dora", "readers")


def policy(approval: str) -> None:
    load_policy(
        f"name: p\nmatch: {{actions: [a.b]}}\nrules: [{{id: all, effect: require_approval, approval: {approval}}}]\n"
    )


def asks(approval: str, agent: Agent | None = None, **members) -> Intent:
    policy(approval)
    key = None if agent is None else make_key(agent)
    return make_intent(key, action="a.b", **members)


def make_key(agent: Agent) -> str:
    return create_key(agent, by=ARRANGER)[1]


def is_one_person(one: User, other: User) -> None:
    User.objects.filter(pk__in=[one.pk, other.pk]).update(email="one@example.com")


def fresh(person: User) -> User:
    return User.objects.get(pk=person.pk)


def now(intent: Intent) -> Intent:
    return Intent.objects.get(pk=intent.pk)


def vote(person: User, intent: Intent, vote: str = "approve", **members) -> Decision:
    return decide(intent.pk, by=fresh(person), vote=vote, digest=now(intent).digest, rationale="because", **members)


def refused(person: User, intent: Intent) -> str:
    with pytest.raises(Problem) as problem:
        vote(person, intent)
    return problem.value.detail


def later(intent: Intent, hours: int) -> None:
    time_passes(now(intent), hours=hours)
    sweeping.sweep()


# --- approved in advance ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tie", ["accounts", "delegation", "the other way round"])
def test_two_who_count_once_fill_one_seat_in_advance_too(agent, rita, sam, tie):
    policy(TWO)
    key = make_key(agent)
    approve_in_advance(agent, by=rita, second=sam)
    assert make_intent(key, action="a.b", payload={"n": 1}).status == "approved"

    if tie == "accounts":
        is_one_person(rita, sam)
    else:
        make_delegation(*((rita, sam) if tie == "delegation" else (sam, rita)))
    assert make_intent(key, action="a.b", payload={"n": 2}).status == "pending_approval"
    policy("{all_of: [{group: finance}]}")
    assert make_intent(key, action="a.b", payload={"n": 3}).status == "approved", "one of them is enough where one is"


def test_a_delegation_that_is_about_something_else_takes_nothing_from_what_was_approved_in_advance(agent, rita, sam):
    policy(TWO)
    key = make_key(agent)
    approve_in_advance(agent, by=rita, second=sam)
    made = make_delegation(rita, sam, actions=["c.d"])
    make_delegation(rita, sam, ceiling=Ceiling("100", "EUR"))
    assert make_intent(key, action="a.b", payload={"n": 1}).status == "approved"
    end(made)

    of_all = make_delegation(rita, sam)
    assert make_intent(key, action="a.b", payload={"n": 2}).status == "pending_approval"
    revoke(of_all, by=rita)
    assert make_intent(key, action="a.b", payload={"n": 3}).status == "approved"


def test_nobody_approves_with_another_account_what_they_asked_for(agent, rita, sam):
    asked = ask_in_advance(agent, by=rita)
    is_one_person(rita, sam)
    with pytest.raises(Problem) as problem:
        steps.approve(asked, by=fresh(sam), digest=asked.terms_digest)
    assert "somebody else" in problem.value.detail
    assert StandingApproval.objects.get().state == "requested"


def test_the_other_account_of_an_owner_neither_asks_nor_approves_nor_counts(agent, rita, sam):
    policy(BOTH)
    key = make_key(agent)
    approve_in_advance(agent, by=rita, second=sam)
    asked = ask_in_advance(agent, by=rita)
    is_one_person(agent.owner, sam)

    with pytest.raises(Problem, match="owners do not decide"):
        ask_in_advance(agent, by=fresh(sam))
    with pytest.raises(Problem, match="owners do not decide"):
        steps.approve(asked, by=fresh(sam), digest=asked.terms_digest)
    assert make_intent(key, action="a.b").status == "pending_approval"


# --- in an emergency -------------------------------------------------------------------------------------------------


def may_break(person: User) -> User:
    person.user_permissions.add(Permission.objects.get(codename="break_glass", content_type__app_label="reviews"))
    person.groups.add(Group.objects.get(name="operators"))
    return fresh(person)


def break_it(person: User, intent: Intent) -> str:
    """What the page says to this person, who used a second factor just now."""
    client, intent = Client(), now(intent)
    client.force_login(person)
    session = client.session
    session[SESSION_KEY] = {"person": person.pk, "kind": "totp", "id": 1, "at": clock.now().isoformat(), "about": ""}
    session.save()
    sent = {name: getattr(intent, name) for name in ("digest", "verdict_digest", "requirement_digest")}
    sent |= {
        "opened": opened(intent, person),
        "seen": "yes",
        "rationale": "The payment system is down.",
    }
    return client.post(reverse("admin:intents_intent_glass", args=[intent.pk]), sent, follow=True).content.decode()


@pytest.mark.parametrize(
    ("relation", "why"),
    [
        ("owner", "With another account you own billing"),
        ("principal", "proposed on your behalf"),
        ("editor", "Somebody with whom you count once changed this"),
        ("delegate of the editor", "Somebody with whom you count once changed this"),
    ],
)
def test_no_other_account_and_no_delegate_breaks_a_glass_that_the_first_may_not(agent, rita, dora, relation, why):
    eva = may_break(dora)
    behalf = {"on_behalf_of": "rita"} if relation == "principal" else {}
    intent = asks("{all_of: [{group: finance}]}", agent, **behalf)
    if "editor" in relation:
        vote(rita, intent, changes=[{"op": "replace", "path": "/amount", "value": "9000.00"}])
    if relation == "delegate of the editor":
        make_delegation(rita, eva)
    else:
        is_one_person(agent.owner if relation == "owner" else rita, eva)

    assert why in break_it(fresh(eva), intent)
    assert now(intent).status == "pending_approval"
    assert not Event.objects.filter(type="intent.glass_broken").exists()


def test_who_is_tied_to_nobody_breaks_it(agent, rita, dora):
    intent = asks("{all_of: [{group: finance}]}", agent)
    break_it(may_break(dora), intent)
    assert now(intent).status == "approved"


# --- escalated -------------------------------------------------------------------------------------------------------


def test_who_stands_in_for_somebody_that_a_step_asks_is_asked_by_it(agent, dora):
    mia = make_user("mia", "managers")
    make_delegation(mia, dora)
    intent = asks(WIDENS, agent)
    assert ids_waiting_for(dora) == ()

    later(intent, 1)
    assert ids_waiting_for(dora) == ids_waiting_for(mia) == (intent.pk,)
    decision = vote(dora, intent)
    assert (decision.delegator, decision.stage) == (mia, "finance")
    assert "count once" in refused(mia, intent)
    vote(make_user("max", "managers"), intent)
    assert now(intent).status == "approved"


def test_at_the_end_of_its_time_a_delegate_of_who_was_asked_before_may_only_reject(agent, rita, dora):
    make_user("dirk", "directors")
    make_delegation(rita, dora)
    intent = asks(WIDENS, agent)
    later(intent, 4)

    assert ids_waiting_for(dora) == ()
    assert refused(dora, intent) == "It was escalated: directors decide now."
    vote(dora, intent, "reject")
    assert now(intent).status == "rejected"


def test_another_account_fills_no_seat_that_a_step_opened(agent, rita):
    mia, mia2 = make_user("mia", "finance"), make_user("mia-2", "managers")
    intent = asks(WIDENS, agent)
    vote(mia, intent)
    is_one_person(mia, mia2)
    later(intent, 1)
    assert now(intent).status == "pending_approval"
    assert "You approved it as mia" in refused(mia2, intent)
    assert ids_waiting_for(mia2) == ()
    vote(rita, intent)
    assert now(intent).status == "approved"


def test_all_that_is_given_is_confirmed_by_nobody_who_counts_once_with_a_giver(agent, rita, dora):
    """The votes given would be enough since somebody came back into the group: the next one says so."""
    tina, second = make_user("tina", "finance"), make_user("tina-2", "finance")
    intent = asks("{all_of: [{group: finance, count: 2}]}", agent)
    vote(rita, intent)
    rita.groups.clear()
    vote(tina, intent)
    rita.groups.add(Group.objects.get(name="finance"))
    is_one_person(tina, second)
    make_delegation(rita, dora)

    for person in (second, dora):
        assert "count once" in refused(person, intent) or "You approved it as tina" in refused(person, intent)
        assert ids_waiting_for(person) == ()
    vote(make_user("nina", "finance"), intent)
    assert now(intent).status == "approved"


# --- whether anybody can ---------------------------------------------------------------------------------------------


def noted(intent: Intent) -> bool:
    unmeetable.look()
    votes = votes_of([now(intent)]).get(intent.pk, [])
    can = can_be_met_by(now(intent), votes, who_may_decide(now(intent), votes))
    assert now(intent).unmeetable is not can, "the page says the same"
    return now(intent).unmeetable


def test_a_delegate_makes_it_possible_and_the_end_of_the_delegation_impossible_again(agent, rita, dora):
    intent = asks("{all_of: [{group: security}]}", agent)
    sid = make_user("sid", "security")
    for step in ("revoked", "over"):
        made = make_delegation(sid, dora, away=True, reason="")
        assert not noted(intent), "the deputy is there"
        revoke(made, by=sid) if step == "revoked" else end(made)
        assert not noted(intent), "who was away is back"
    make_delegation(sid, rita, actions=["c.d"])
    User.objects.filter(pk=sid.pk).update(is_active=False)
    assert noted(intent)


def test_who_is_away_is_missing_where_the_deputy_is_barred(agent, rita):
    make_delegation(rita, agent.owner, away=True, reason="")
    assert noted(asks("{all_of: [{group: finance}]}", agent))
    assert not noted(asks("{all_of: [{group: finance}]}", make_agent("other", owner=make_user("ole"))[0]))


@pytest.mark.parametrize("scope", [{}, {"actions": ["a.*"]}, {"actions": ["c.d"]}])
def test_who_counts_once_is_not_counted_twice_when_people_are_missing(agent, rita, sam, scope):
    intent = asks(TWO, agent)
    assert not noted(intent)
    made = make_delegation(rita, sam, **scope)
    assert noted(intent) is (scope.get("actions") != ["c.d"])
    revoke(made, by=rita)
    assert not noted(intent)
    is_one_person(rita, sam)
    assert noted(intent)


def test_what_was_delegated_away_is_handed_on_before_its_time(agent, rita, sam):
    make_user("mia", "managers")
    intent = asks(WIDENS, agent)
    assert not noted(intent) and now(intent).steps_taken == 0
    make_delegation(rita, sam)
    unmeetable.look()
    assert (now(intent).steps_taken, now(intent).unmeetable) == (1, False)


def test_the_same_of_what_has_votes_changes_or_a_principal(agent, rita, sam):
    voted = asks(TWO, agent, payload={"n": 1})
    vote(rita, voted)
    named = make_intent(make_key(agent), action="a.b", payload={"n": 2}, on_behalf_of="fay")
    make_user("fay", "finance")
    assert not noted(voted) and not noted(named)
    made = make_delegation(sam, rita)
    User.objects.filter(username="fay").update(is_active=False)
    assert noted(voted) and noted(named)
    revoke(made, by=sam)
    assert not noted(voted) and not noted(named)


def test_a_vote_in_whose_right_nothing_counts_any_more_is_missed(agent, rita, dora):
    intent = asks(TWO, agent)
    make_user("third", "finance")
    made = make_delegation(rita, dora)
    vote(dora, intent)
    assert not noted(intent)
    User.objects.filter(pk=rita.pk).update(is_active=False)
    assert noted(intent)
    User.objects.filter(pk=rita.pk).update(is_active=True)
    revoke(made, by=rita)
    assert not noted(intent), "rita decides for herself"


def test_a_look_costs_the_same_however_many_delegations_there_are(agent, rita, sam):
    intent = asks(TWO, agent)
    make_delegation(rita, make_user("d0"), actions=["c.*"])
    with CaptureQueriesContext(connection) as few:
        unmeetable.look()
    for number in range(1, 6):
        make_delegation(make_user(f"r{number}", "finance"), make_user(f"d{number}"), actions=["c.*"])
    with CaptureQueriesContext(connection) as more:
        unmeetable.look()
    assert len(few) == len(more) and not now(intent).unmeetable


# --- on the record ---------------------------------------------------------------------------------------------------


def test_a_signed_record_names_both_and_covers_it(agent, rita, dora):
    intent = asks(TWO, agent)
    make_delegation(rita, dora)
    decision = vote(dora, intent)

    record = record_of(Decision.objects.get())
    assert record["version"] == 5 and record["stage"] == "finance"
    assert record["delegator"] == {"id": str(rita.pk), "name": "rita"}
    assert (record["reviewer"]["name"], list(unlike_their_digests())) == ("dora", [])
    Decision.objects.filter(pk=decision.pk).update(delegator_name="somebody")
    assert [found.row for found in unlike_their_digests()] == [decision.pk]
    made = Event.objects.get(type="decision.made")
    assert json.loads(made.line)["facts"]["delegator"] == rita.pk


def test_a_record_in_ones_own_right_has_no_such_member(agent, rita):
    vote(rita, asks(TWO, agent))
    assert "delegator" not in record_of(Decision.objects.get())


def test_after_a_change_what_a_delegator_of_the_editor_gave_to_another_counts_no_more_than_is_taken(agent, rita, dora):
    """Rita delegates to the editor too: what another delegate of hers votes never counts, so that none is taken."""
    editor = make_user("ed", "finance")
    make_delegation(rita, editor)
    make_delegation(rita, dora)
    intent = asks("{all_of: [{group: finance}]}", agent)
    vote(editor, intent, changes=[{"op": "replace", "path": "/amount", "value": "9000.00"}])

    assert ids_waiting_for(dora) == ()
    refused(dora, intent)
    make_user("nina", "finance")
    assert [one.told for one in who_may_decide(now(intent), [])] == ["nina"]
    assert waits_for(fresh(dora), overview()).number == 0
    assert groups_asked(now(intent), []) == ["finance"]
