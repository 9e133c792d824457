"""A delegate sits where the delegator could, in scope and time, and the two count once."""

from __future__ import annotations

import json
import random
from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from audit import clock
from audit.actors import Actor
from audit.models import Event
from audit.verification import check
from intents.agents import change_agent, create_key
from intents.models import Agent, Intent
from reviews.decisions import decide, withdraw
from reviews.delegation import Ceiling, revoke
from reviews.entitlement import can_be_met_by, may_decide, rights_to_fill, votes_of, who_may_decide
from reviews.models import Decision, Delegation
from reviews.queue import overview, pending, waits_for
from reviews.ties import Ties
from tests.factories import (
    end,
    ids_waiting_for,
    load_policy,
    make_agent,
    make_delegation,
    make_intent,
    make_user,
)
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db


def asking(approval: str) -> None:
    load_policy(
        "name: careful\nmatch: {actions: ['*']}\nrules:\n"
        f"  - {{id: all, effect: require_approval, approval: {{{approval}}}}}\n"
    )


TWO_OF_FINANCE = "all_of: [{group: finance, count: 2}]"
BOTH_GROUPS = "all_of: [{group: finance}, {group: security}]"


@pytest.fixture
def agent() -> Agent:
    return make_agent("billing", owner=make_user("olivia"))[0]


@pytest.fixture
def key(agent: Agent) -> str:
    return create_key(agent, by=Actor.system("arranger"))[1]


@pytest.fixture
def rita() -> User:
    return make_user("rita", "finance")


@pytest.fixture
def dora() -> User:
    """Nobody asks any group of hers."""
    return make_user("dora", "readers")


def vote(person: User, intent: Intent, vote: str = "approve", **members) -> Decision:
    person = User.objects.get(pk=person.pk)
    intent = Intent.objects.get(pk=intent.pk)
    return decide(intent.pk, by=person, vote=vote, digest=intent.digest, rationale="because", **members)


def refused(person: User, intent: Intent, **members) -> Problem:
    with pytest.raises(Problem) as problem:
        vote(person, intent, **members)
    return problem.value


def status(intent: Intent) -> str:
    return Intent.objects.get(pk=intent.pk).status


def given(intent: Intent) -> int:
    from reviews.entitlement import standing_of

    intent = Intent.objects.get(pk=intent.pk)
    return standing_of(intent, votes_of([intent]).get(intent.pk, [])).given


def altered() -> list[str]:
    """The tables of this app in which something is not as history and ledger have it."""
    return [found.table for found in check().findings if found.table.startswith("reviews_")]


def could(intent: Intent) -> list[str]:
    intent = Intent.objects.get(pk=intent.pk)
    return [one.told for one in who_may_decide(intent, votes_of([intent]).get(intent.pk, []))]


# --- what it gives ---------------------------------------------------------------------------------------------------


def test_a_delegate_fills_the_delegators_seat_and_the_decision_names_both(key, rita, dora):
    asking("all_of: [{group: finance}]")
    delegation = make_delegation(rita, dora)
    intent = make_intent(key)

    assert ids_waiting_for(dora) == ids_waiting_for(rita) == (intent.pk,)
    assert could(intent) == ["rita", "dora for rita"]
    decision = vote(dora, intent)

    assert status(intent) == "approved"
    assert (decision.reviewer, decision.delegator, decision.delegator_name) == (dora, rita, "rita")
    facts = json.loads(Event.objects.get(type="decision.made").line)["facts"]
    assert (facts["delegator"], facts["delegation"]) == (rita.pk, delegation.pk)
    assert altered() == []


def test_the_record_of_a_decision_covers_for_whom_it_was(key, rita, dora):
    asking(TWO_OF_FINANCE)
    make_delegation(rita, dora)
    intent = make_intent(key)
    decision = vote(dora, intent)
    other = make_user("other", "finance")

    Decision.objects.filter(pk=decision.pk).update(delegator_name="somebody")

    assert altered() == ["reviews_decision"]
    vote(other, intent)
    # What is not as the ledger knows it is no vote.
    assert status(intent) == "pending_approval"


def test_without_a_delegation_a_delegate_has_no_say(key, rita, dora):
    asking("all_of: [{group: finance}]")
    intent = make_intent(key)

    assert refused(dora, intent).kind == "not-entitled"
    assert ids_waiting_for(dora) == () and could(intent) == ["rita"]


@pytest.mark.parametrize("how", ["revoked", "over", "not begun", "delegator left", "delegate left", "administrator"])
def test_a_delegation_gives_nothing_outside_of_its_time(key, rita, dora, how):
    asking("all_of: [{group: finance}]")
    delegation = make_delegation(
        rita,
        dora,
        since=clock.now() + timedelta(hours=1) if how == "not begun" else None,
    )
    intent = make_intent(key)
    if how == "revoked":
        revoke(delegation, by=rita)
    elif how == "over":
        end(delegation)
    elif how == "delegator left":
        User.objects.filter(pk=rita.pk).update(is_active=False)
    elif how == "delegate left":
        User.objects.filter(pk=dora.pk).update(is_active=False)
    elif how == "administrator":
        dora.groups.create(name="administrators")

    dora = User.objects.get(pk=dora.pk)
    assert refused(dora, intent).kind == "not-entitled"
    assert ids_waiting_for(dora) == ()
    assert "dora for rita" not in could(intent)


@pytest.mark.parametrize(
    ("scope", "value", "inside"),
    [
        ({"actions": ["stripe.*"]}, None, True),
        ({"actions": ["email.*", "stripe.refund"]}, None, True),
        ({"actions": ["email.*"]}, None, False),
        ({"ceiling": Ceiling("100", "EUR")}, {"amount": "100.00", "currency": "EUR"}, True),
        ({"ceiling": Ceiling("100", "EUR")}, {"amount": "100.01", "currency": "EUR"}, False),
        ({"ceiling": Ceiling("100", "EUR")}, {"amount": "1.00", "currency": "USD"}, False),
        ({"ceiling": Ceiling("100", "EUR")}, None, False),
        ({"ceiling": Ceiling("100", "EUR")}, {"amount": "0", "currency": "EUR"}, True),
        ({"ceiling": Ceiling("100", "EUR")}, {"amount": "-0.01", "currency": "EUR"}, False),
        ({"ceiling": Ceiling("100", "EUR")}, {"amount": "-1000000.00", "currency": "EUR"}, False),
    ],
)
def test_a_delegation_is_about_what_is_within_its_scope(key, rita, dora, scope, value, inside):
    asking("all_of: [{group: finance}]")
    make_delegation(rita, dora, **scope)
    intent = make_intent(key, **({"value": value} if value else {}))

    assert ids_waiting_for(dora) == ((intent.pk,) if inside else ())
    assert waits_for(dora, overview()).number == inside
    assert ("dora for rita" in could(intent)) == inside
    if inside:
        vote(dora, intent)
        assert status(intent) == "approved"
    else:
        assert refused(dora, intent).kind == "not-entitled"


def test_a_change_that_leaves_the_scope_is_refused_whole(key, rita, dora):
    load_policy("name: careful\nmatch: {actions: ['*']}\nrules: [{id: all, effect: require_approval}]\n")
    from tests.factories import load_action_type

    load_action_type("name: stripe.refund\nderive: {value: {amount: payload.amount, currency: '\"EUR\"'}}\n")
    rita.groups.create(name="reviewers")
    make_delegation(rita, dora, ceiling=Ceiling("100", "EUR"))
    intent = make_intent(key, payload={"amount": "50.00"})
    assert intent.value_amount == 50

    more = [{"op": "replace", "path": "/amount", "value": "5000.00"}]
    assert "beyond what was delegated to you" in refused(dora, intent, changes=more).detail

    stored = Intent.objects.get(pk=intent.pk)
    assert (stored.digest, stored.amendments) == (intent.digest, 0)


def test_what_was_delegated_to_somebody_they_cannot_pass_on(key, rita, dora):
    asking("all_of: [{group: finance}]")
    make_delegation(rita, dora)
    emil = make_user("emil")
    make_delegation(dora, emil)
    intent = make_intent(key)

    assert refused(emil, intent).kind == "not-entitled"
    assert ids_waiting_for(emil) == () and could(intent) == ["rita", "dora for rita"]


# --- the two count once ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["delegate first", "delegator first"])
def test_a_vote_for_somebody_and_their_own_fill_one_seat(key, rita, dora, order):
    asking(TWO_OF_FINANCE)
    make_delegation(rita, dora)
    intent = make_intent(key)
    first, second = (dora, rita) if order == "delegate first" else (rita, dora)

    vote(first, intent)

    assert "count once" in refused(second, intent).detail
    assert (given(intent), status(intent)) == (1, "pending_approval")
    assert ids_waiting_for(second) == ()
    vote(make_user("third", "finance"), intent)
    assert status(intent) == "approved"


@pytest.mark.parametrize("order", ["delegate first", "delegator first"])
def test_a_delegate_with_a_seat_of_their_own_and_the_delegator_fill_one_seat(key, rita, order):
    asking(TWO_OF_FINANCE)
    dora = make_user("dora", "finance")
    make_delegation(rita, dora)
    intent = make_intent(key)
    first, second = (dora, rita) if order == "delegate first" else (rita, dora)

    decision = vote(first, intent)

    assert decision.delegator is None
    assert "count once" in refused(second, intent).detail
    assert given(intent) == 1


def test_two_delegates_of_one_person_fill_one_seat(key, rita, dora):
    asking(TWO_OF_FINANCE)
    make_delegation(rita, dora)
    emil = make_user("emil")
    make_delegation(rita, emil)
    intent = make_intent(key)

    vote(dora, intent)

    assert "count once" in refused(emil, intent).detail
    assert given(intent) == 1


def test_one_delegate_of_two_people_has_one_vote(key, rita, dora):
    asking(TWO_OF_FINANCE)
    make_delegation(rita, dora)
    make_delegation(make_user("rolf", "finance"), dora)
    intent = make_intent(key)

    problem = refused(dora, intent)
    assert (problem.kind, problem.path) == ("conflict", "/delegator")
    assert "rita or rolf" in problem.detail
    assert vote(dora, intent, delegator="rolf").delegator_name == "rolf"
    assert refused(dora, intent, delegator="rita").kind == "already-voted"
    assert given(intent) == 1


def test_who_has_a_seat_of_their_own_votes_for_themselves_first(key, rita):
    asking(BOTH_GROUPS)
    dora = make_user("dora", "security")
    make_delegation(rita, dora)
    intent = make_intent(key)

    assert "seat of your own" in refused(dora, intent, delegator="rita").detail
    assert vote(dora, intent).delegator is None


def test_who_finds_their_own_seat_taken_votes_for_who_they_stand_in_for(key, rita):
    asking(BOTH_GROUPS)
    dora = make_user("dora", "security")
    make_delegation(rita, dora)
    intent = make_intent(key)
    vote(make_user("sam", "security"), intent)

    assert vote(dora, intent).delegator == rita
    assert status(intent) == "approved"


def test_who_is_nobodys_delegate_there_cannot_name_anybody(key, rita, dora):
    asking("all_of: [{group: finance}]")
    intent = make_intent(key)

    assert refused(rita, intent, delegator="dora").path == "/delegator"
    assert not Decision.objects.exists()


def test_rejections_of_a_delegate_and_the_delegator_count_once(key, rita, dora):
    asking(f"{TWO_OF_FINANCE}, rejections: 2")
    make_delegation(rita, dora)
    intent = make_intent(key)

    vote(dora, intent, "reject")
    vote(rita, intent, "reject")
    assert status(intent) == "pending_approval"
    vote(make_user("third", "finance"), intent, "reject")
    assert status(intent) == "rejected"


def test_a_delegation_that_ends_before_the_requirement_is_met_takes_its_vote_along(key, rita, dora):
    asking(TWO_OF_FINANCE)
    delegation = make_delegation(rita, dora)
    intent = make_intent(key)
    vote(dora, intent)
    revoke(delegation, by=rita)

    assert given(intent) == 0
    vote(make_user("third", "finance"), intent)
    assert status(intent) == "pending_approval"
    assert ids_waiting_for(rita) == (intent.pk,)
    vote(rita, intent)
    assert status(intent) == "approved"


def test_a_new_delegation_does_not_bring_back_the_votes_of_a_revoked_one(key, rita, dora):
    asking(TWO_OF_FINANCE)
    delegation = make_delegation(rita, dora)
    intent = make_intent(key)
    first = vote(dora, intent)
    revoke(delegation, by=rita)
    make_delegation(rita, dora)

    assert given(intent) == 0
    again = vote(dora, intent)
    assert given(intent) == 1 and again.pk != first.pk
    assert Decision.objects.get(pk=first.pk).withdrawn_at is not None


def test_what_is_met_stays_met_when_the_delegation_ends_afterwards(key, rita, dora):
    asking("all_of: [{group: finance}]")
    delegation = make_delegation(rita, dora)
    intent = make_intent(key)
    vote(dora, intent)
    revoke(delegation, by=rita)

    assert status(intent) == "approved"


def test_a_delegate_takes_their_vote_back_and_the_delegator_may_vote(key, rita, dora):
    asking(TWO_OF_FINANCE)
    make_delegation(rita, dora)
    intent = make_intent(key)
    withdraw(vote(dora, intent), by=dora)

    vote(rita, intent)
    assert given(intent) == 1


# --- what bars the one bars the other there --------------------------------------------------------------------------


RELATIONS = ["owner", "former owner", "principal", "key maker", "widener"]


@pytest.mark.parametrize("who", ["delegator", "delegate"])
@pytest.mark.parametrize("relation", RELATIONS)
def test_what_bars_either_of_the_two_bars_the_delegate(rita, dora, who, relation):
    """Of the two, the one who is not barred and sits in the group decides in their own right only."""
    asking(TWO_OF_FINANCE)
    make_delegation(rita, dora)
    person = rita if who == "delegator" else dora
    olivia = make_user("olivia")
    agent, key = make_agent("billing", owner=person if relation in ("owner", "former owner") else olivia)
    if relation == "key maker":
        key = create_key(agent, by=Actor.person(person))[1]
    intent = make_intent(key, **({"on_behalf_of": person.username} if relation == "principal" else {}))
    if relation == "former owner":
        change_agent(agent, by=Actor.person(olivia), owner=olivia)
    if (who, relation) == ("delegate", "widener"):
        # In her own right: a delegate widens nothing.
        dora.groups.add(*rita.groups.all())
    if relation == "widener":
        decide(
            intent.pk,
            by=User.objects.get(pk=person.pk),
            vote="approve",
            digest=intent.digest,
            rationale="more",
            changes=[{"op": "replace", "path": "/amount", "value": "9000.00"}],
        )

    intent = Intent.objects.get(pk=intent.pk)
    dora = User.objects.get(pk=dora.pk)
    assert ids_waiting_for(dora) == ()
    assert "dora for rita" not in could(intent)
    assert not rights_to_fill(intent, votes_of([intent]).get(intent.pk, []), dora, Ties())
    if (who, relation) == ("delegate", "widener"):
        assert refused(dora, intent).kind in ("not-entitled", "already-voted")
    else:
        assert refused(dora, intent).kind == "not-entitled"
        assert may_decide(intent, dora) is not None
    # What dora widened rita cannot approve either, while the two count once; nothing else of dora's bars rita.
    assert bool(ids_waiting_for(User.objects.get(pk=rita.pk))) == (who == "delegate" and relation != "widener")


def test_a_delegate_widens_nothing(key, rita, dora):
    asking("all_of: [{group: finance}]")
    make_delegation(rita, dora)
    intent = make_intent(key)

    more = [{"op": "replace", "path": "/amount", "value": "9000.00"}]
    assert "beyond what was delegated to you" in refused(dora, intent, changes=more).detail
    assert Intent.objects.get(pk=intent.pk).amendments == 0


def test_nobody_approves_what_they_widened_by_way_of_the_other(key, rita):
    asking("all_of: [{group: finance}]")
    dora = make_user("dora", "finance")
    make_delegation(rita, dora)
    intent = make_intent(key)
    vote(dora, intent, changes=[{"op": "replace", "path": "/amount", "value": "9000.00"}])

    assert refused(rita, intent).kind == "not-entitled"
    assert status(intent) == "pending_approval"
    vote(make_user("third", "finance"), intent)
    assert status(intent) == "approved"


# --- out of office ---------------------------------------------------------------------------------------------------


def test_who_is_away_is_not_counted_among_those_who_can_and_may_decide_all_the_same(key, rita, dora):
    asking("all_of: [{group: finance}]")
    make_delegation(rita, dora, away=True, reason="")
    intent = make_intent(key)

    assert could(intent) == ["dora for rita"]
    vote(rita, intent)
    assert status(intent) == "approved"


def test_it_is_said_when_too_few_are_left_because_two_count_once(key, rita, dora):
    asking(TWO_OF_FINANCE)
    emil = make_user("emil", "finance")
    make_delegation(rita, emil)
    intent = make_intent(key)

    def can_be_met() -> bool:
        return can_be_met_by(intent, [], who_may_decide(intent, []))

    assert not can_be_met()
    make_user("third", "finance")
    assert can_be_met()


# --- the desk counts as the rows say ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_what_the_desk_counts_is_what_each_row_says(seed):
    chance = random.Random(seed)
    groups = ["finance", "security", "legal"]
    people = [
        make_user(f"p{n}", *chance.sample(groups, chance.choice([0, 1, 1, 2])), email=chance.choice(["", "", "x@y.z"]))
        for n in range(7)
    ]
    for name, approval in {
        "a.two": TWO_OF_FINANCE,
        "a.order": f"{BOTH_GROUPS}, order: listed",
        "a.either": "any_of: [{group: legal}, {group: security}]",
    }.items():
        load_policy(
            f"name: p-{name.replace('.', '-')}\nmatch: {{actions: ['{name}']}}\nrules:\n"
            f"  - {{id: all, effect: require_approval, approval: {{{approval}}}}}\n"
        )
    scopes = [{}, {"actions": ["a.t*"]}, {"ceiling": Ceiling("100", "EUR")}, {"away": True}]
    for _ in range(5):
        one, other = chance.sample(people, 2)
        try:
            make_delegation(one, other, **chance.choice(scopes))
        except Problem as problem:
            assert "by this account or another one" in problem.detail or "away at that time" in problem.detail
    keys = [make_agent(owner=person)[1] for person in people[:3]]
    for number in range(24):
        make_intent(
            chance.choice(keys),
            action=chance.choice(["a.two", "a.order", "a.either"]),
            payload={"n": number, "amount": "10.00"},
            **chance.choice([{}, {}, {"on_behalf_of": chance.choice(people).username}]),
            **chance.choice([{}, {"value": {"amount": chance.choice(["50", "150"]), "currency": "EUR"}}]),
        )
    for _ in range(60):
        intent, person = chance.choice(list(pending())), User.objects.get(pk=chance.choice(people).pk)
        changes = [{"op": "replace", "path": "/amount", "value": f"{chance.randrange(99)}.50"}]
        try:
            decide(
                intent.pk,
                by=person,
                vote="approve",
                digest=intent.digest,
                rationale="because",
                changes=changes if chance.random() < 0.15 else None,
            )
        except Problem:
            continue

    asked_somebody = 0
    for person in User.objects.filter(pk__in=[one.pk for one in people]):
        found, ties = waits_for(person, overview()), Ties()
        rows = list(pending().select_related("agent"))
        votes = votes_of(rows)
        truth = {row.pk for row in rows if rights_to_fill(row, votes.get(row.pk, []), person, ties)}
        assert set(pending().filter(found.condition).values_list("pk", flat=True)) == truth
        assert found.number == len(truth)
        asked_somebody += bool(truth)
    assert asked_somebody and Delegation.objects.exists()
