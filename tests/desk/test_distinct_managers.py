"""Approvals of people with different managers: who counts beside whom, who is left out and told why, who says so."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import Event
from intents.models import Intent, Status
from reviews import unmeetable
from reviews.decisions import decide, withdraw
from reviews.entitlement import groups_asked
from reviews.fillable import warnings_of
from reviews.managers import manager_of, set_manager
from reviews.models import Decision, ReportingLine
from reviews.representation import people_for
from tests.desk.test_people import fields_of
from tests.factories import (
    approve_in_advance,
    ids_waiting_for,
    load_policy,
    make_agent,
    make_delegation,
    make_intent,
    make_user,
    manage,
)
from zehrava.policy import parse_policy
from zehrava.problems import Problem

TWO = "all_of: [{group: finance, count: 2}], distinct_managers: true"
BOTH = "all_of: [{group: finance, count: 2}, {group: security}], order: listed, distinct_managers: true"


def text(approval: str) -> str:
    return (
        "name: strict\nmatch: {actions: [a.b]}\n"
        f"rules: [{{id: all, effect: require_approval, approval: {{{approval}}}}}]\n"
    )


def asks(approval: str = TWO, key: str | None = None, **members) -> Intent:
    load_policy(text(approval))
    return make_intent(key, action="a.b", payload={"n": 1}, **members)


def vote(intent: Intent, by: User, vote: str = "approve", **members) -> Decision:
    person = User.objects.get(pk=by.pk)
    return decide(intent.pk, by=person, vote=vote, digest=intent.digest, rationale="because", **members)


def refused(intent: Intent, by: User) -> str:
    with pytest.raises(Problem) as problem:
        vote(intent, by)
    assert problem.value.kind == "not-entitled"
    return problem.value.detail


def status(intent: Intent) -> str:
    return Intent.objects.get(pk=intent.pk).status


def page_of(intent: Intent, client) -> str:
    address = reverse("admin:intents_intent_change", args=[intent.pk])
    return " ".join(client.get(address).content.decode().split())


class Cast(dict):
    def __getattr__(self, name: str) -> User:
        return self[name]


@pytest.fixture
def cast() -> Cast:
    """mara manages fay and finn of finance, milo flo of finance and sam of security; nobody knows who manages fred."""
    groups = {"fay": "finance", "finn": "finance", "flo": "finance", "fred": "finance", "sam": "security"}
    people = Cast({name: make_user(name, group, "reviewers") for name, group in groups.items()})
    people |= {name: make_user(name) for name in ("mara", "milo", "mona")}
    manage(people.mara, people.fay, people.finn)
    manage(people.milo, people.flo, people.sam)
    return people


# --- who counts beside whom ------------------------------------------------------------------------------------------


def test_two_of_one_manager_fill_one_seat(cast):
    intent = asks()
    assert all(ids_waiting_for(person) == (intent.pk,) for person in (cast.fay, cast.finn, cast.flo))
    vote(intent, cast.fay)
    assert ids_waiting_for(cast.finn) == ()
    assert refused(intent, cast.finn) == (
        "You can fill no seat: fay approved it and has the same manager, mara. Policy wants different managers."
    )
    assert status(intent) == Status.PENDING_APPROVAL
    vote(intent, cast.flo)
    assert status(intent) == Status.APPROVED


def test_the_issues_example_two_of_finance_and_then_one_of_security_with_distinct_managers(cast):
    intent = asks(BOTH)
    vote(intent, cast.fay)
    vote(intent, cast.flo)
    assert ids_waiting_for(cast.sam) == ()
    assert "flo approved it and has the same manager, milo" in refused(intent, cast.sam)
    manage(cast.mona, cast.sam)
    assert ids_waiting_for(cast.sam) == (intent.pk,)
    vote(intent, cast.sam)
    assert status(intent) == Status.APPROVED


def test_without_it_managers_do_not_matter(cast):
    intent = asks("all_of: [{group: finance, count: 2}]")
    vote(intent, cast.fay)
    vote(intent, cast.finn)
    assert status(intent) == Status.APPROVED


def test_whose_manager_is_not_on_record_fills_no_seat_beside_another_one(cast):
    intent = asks()
    assert ids_waiting_for(cast.fred) == ()
    assert refused(intent, cast.fred) == (
        "You can fill no seat beside another one: your manager is not on record."
        " An administrator can write it down on the account's page."
    )
    vote(intent, cast.fay)
    assert "your manager is not on record" in refused(intent, cast.fred)
    manage(cast.mona, cast.fred)
    vote(intent, cast.fred)
    assert status(intent) == Status.APPROVED


def test_two_who_are_not_on_record_are_not_two(cast):
    fritz = make_user("fritz", "finance")
    intent = asks()
    for person in (cast.fred, fritz):
        refused(intent, person)
    assert not Decision.objects.exists()


def test_alone_anybody_will_do(cast):
    intent = asks("all_of: [{group: finance}], distinct_managers: true")
    assert ids_waiting_for(cast.fred) == (intent.pk,)
    vote(intent, cast.fred)
    assert status(intent) == Status.APPROVED


def test_one_may_approve_beside_ones_own_manager(cast):
    boss = make_user("boss", "finance")
    manage(boss, cast.fred)
    manage(cast.mona, boss)
    intent = asks()
    vote(intent, cast.fred)
    vote(intent, boss)
    assert status(intent) == Status.APPROVED


def test_two_accounts_of_a_manager_are_one_manager(cast):
    second = make_user("mara-2")
    manage(second, cast.fred)
    intent = asks()
    vote(intent, cast.fay)
    User.objects.filter(pk__in=[second.pk, cast.mara.pk]).update(email="mara@example.com")
    assert "the same manager" in refused(intent, cast.fred)


def test_the_manager_of_any_account_of_a_person_is_theirs(cast):
    second = make_user("fred-2", "readers")
    User.objects.filter(pk__in=[second.pk, cast.fred.pk]).update(email="fred@example.com")
    manage(cast.mara, second)
    intent = asks()
    vote(intent, cast.fay)
    assert "the same manager, mara" in refused(intent, cast.fred)


def test_a_delegate_counts_by_both_managers(cast):
    """Else somebody of another department would stand in, and one manager's people decide alone."""
    dora = make_user("dora", "readers")
    make_delegation(cast.flo, dora)
    intent = asks()
    why = "for flo can fill no seat beside another one: the manager of one of the two is not on record."
    assert any(told.startswith(f"dora {why}") for told in people_for(intent)["left_out"])
    assert refused(intent, dora).startswith(f"You {why}")
    manage(cast.mara, dora)
    vote(intent, cast.fay)
    assert "the same manager, mara" in refused(intent, dora)
    manage(cast.mona, dora)
    vote(intent, dora)
    assert status(intent) == Status.APPROVED


def test_rejections_count_whoever_manages_them(cast):
    intent = asks(f"{TWO}, rejections: 2")
    vote(intent, cast.fay, "reject")
    assert status(intent) == Status.PENDING_APPROVAL
    vote(intent, cast.finn, "reject")
    assert status(intent) == Status.REJECTED


def test_it_holds_for_all_that_several_policies_ask_for(cast):
    load_policy(text(TWO))
    load_policy(text("all_of: [{group: security}]").replace("strict", "stricter"))
    intent = make_intent(action="a.b")
    vote(intent, cast.fay)
    vote(intent, cast.flo)
    assert "the same manager, milo" in refused(intent, cast.sam)


def test_it_holds_where_approvals_weigh(cast):
    intent = asks("weigh: {at_least: 2, of: [{group: finance, weight: 1}]}, distinct_managers: true")
    vote(intent, cast.fay)
    refused(intent, cast.finn)
    vote(intent, cast.flo)
    assert status(intent) == Status.APPROVED


def test_a_vote_counts_by_the_manager_of_today(cast):
    intent = asks(f"{TWO[: TWO.index(']')]}, {{group: security}}], distinct_managers: true")
    vote(intent, cast.fay)
    first = vote(intent, cast.flo)
    manage(cast.mara, cast.flo)
    manage(cast.mona, cast.sam)
    vote(intent, cast.sam)
    assert status(intent) == Status.PENDING_APPROVAL, "fay and flo have one manager by now"
    withdraw(first, by=cast.flo)
    manage(cast.milo, cast.fred)
    vote(intent, cast.fred)
    assert status(intent) == Status.APPROVED


def test_an_approval_whose_manager_was_struck_out_counts_no_more(cast, signed_in):
    intent = asks()
    vote(intent, cast.fay)
    set_manager(cast.fay, manager=None, by=make_user())
    vote(intent, cast.flo)
    assert status(intent) == Status.PENDING_APPROVAL
    assert "The approval of fay fills no seat beside another one: their manager is not on record." in page_of(
        intent, signed_in(cast.flo)
    ).replace("<bdi>", "").replace("</bdi>", "")
    vote(intent, cast.finn)
    assert status(intent) == Status.APPROVED


def test_two_approve_in_advance_only_where_their_managers_differ(cast):
    agent, key = make_agent(owner=make_user("olivia"))
    load_policy(text(TWO))
    approve_in_advance(agent, by=cast.fay, second=cast.finn, max_uses=5)
    assert make_intent(key, action="a.b", payload={"n": 1}).status == Status.PENDING_APPROVAL
    approve_in_advance(agent, by=cast.fay, second=cast.flo, max_uses=5)
    assert make_intent(key, action="a.b", payload={"n": 2}).status == Status.APPROVED


# --- who is told what ------------------------------------------------------------------------------------------------


def test_the_page_and_the_api_name_who_is_left_out_and_why(cast, signed_in):
    manage(cast.mara, make_user("faye", "finance"))
    intent = asks()
    vote(intent, cast.fay)
    client = signed_in(cast.flo)
    asked = client.get(f"/api/v1/intents/{intent.pk}").json()["requirement"]
    assert asked["distinct_managers"] is True
    assert asked["could"] == {"finance": ["flo"]}
    why = [
        "faye and finn can fill no seat: fay approved it and has the same manager, mara."
        " Policy wants different managers.",
        "fred can fill no seat beside another one: their manager is not on record."
        " An administrator can write it down on the account's page.",
    ]
    assert asked["left_out"] == why
    page = page_of(intent, client)
    for sentence in why:
        assert f"<bdi>{sentence.replace(chr(39), '&#x27;')}</bdi>" in page
    assert "2 of finance, all with different managers" in page


def test_an_agent_is_told_nothing_about_managers(cast, client):
    _, key = make_agent()
    intent = asks(key=key)
    vote(intent, cast.fay)
    asked = client.get(f"/api/v1/intents/{intent.pk}", headers={"authorization": f"Bearer {key}"}).json()
    assert asked["requirement"]["distinct_managers"] is True
    assert "left_out" not in asked["requirement"] and "mara" not in json.dumps(asked)


def test_groups_are_still_asked_by_mail(cast):
    assert groups_asked(asks(), []) == ["finance"]


def test_what_nobody_can_meet_is_noted_though_enough_people_are_there(cast):
    intent = asks()
    unmeetable.look()
    assert not Intent.objects.get(pk=intent.pk).unmeetable
    manage(cast.mara, cast.flo)
    unmeetable.look()
    assert Intent.objects.get(pk=intent.pk).unmeetable
    manage(cast.mona, cast.fred)
    unmeetable.look()
    assert not Intent.objects.get(pk=intent.pk).unmeetable


def test_a_large_department_hides_nobody(cast):
    """The only one of audit is the last by name of many people of one manager, who must not be taken for finance."""
    bosses = [make_user(f"boss-{number}") for number in range(8)]
    for number, boss in enumerate(bosses):
        manage(boss, *(make_user(f"z{number}-{one}", "finance") for one in range(6)))
    manage(bosses[0], make_user("zz", "audit"))
    intent = asks("all_of: [{group: finance, count: 7}, {group: audit}], distinct_managers: true")
    unmeetable.look()
    assert not Intent.objects.get(pk=intent.pk).unmeetable


def test_the_author_is_warned_where_there_are_too_few_managers(cast):
    assert warnings_of(parse_policy(text(TWO))) == []
    assert warnings_of(parse_policy(text(TWO.replace("count: 2", "count: 3")))) == [
        "Rule all: nobody can meet 3 of finance, all with different managers:"
        " finance has 4 active members with 2 managers on record. One person fills one seat."
    ]


def test_only_what_asks_for_it_reads_managers(cast):
    for approval, reads in ((TWO, True), ("all_of: [{group: finance, count: 2}]", False)):
        intent = asks(approval)
        with CaptureQueriesContext(connection) as queries:
            vote(intent, cast.fay)
            ids_waiting_for(cast.flo)
            unmeetable.look()
        assert any("reportingline" in query["sql"] for query in queries) is reads
        Intent.objects.filter(pk=intent.pk).update(status="cancelled")


# --- who writes it down ----------------------------------------------------------------------------------------------


def address(person: User) -> str:
    return f"/admin/auth/user/{person.pk}/change/"


def test_an_administrator_writes_it_down_and_it_is_on_record(cast, signed_in):
    client = signed_in(make_user("ada", "administrators"))
    mona, mara = cast.mona.pk, cast.mara.pk
    for name, before, after in (("mona", None, mona), ("mara", mona, mara), ("", mara, None)):
        assert client.post(address(cast.fred), fields_of(cast.fred, manager=name)).status_code == 302
        event = Event.objects.filter(type="reporting_line.set").latest("id")
        assert event.actor_name == "ada"
        assert json.loads(event.line)["facts"] == {"person": cast.fred.pk, "manager": after, "instead_of": before}
    line = ReportingLine.objects.get(person=cast.fred)
    assert [row.manager_id for row in line.history.order_by("history_id")] == [mona, mara, None]
    assert {row.actor_name for row in line.history.all()} == {"ada"}


def test_saving_the_page_with_nothing_new_says_nothing_new(cast, signed_in):
    client = signed_in(make_user("ada", "administrators"))
    before = Event.objects.filter(type="reporting_line.set").count()
    assert 'value="mara"' in client.get(address(cast.fay)).content.decode()
    assert client.post(address(cast.fay), fields_of(cast.fay, manager="mara")).status_code == 302
    assert Event.objects.filter(type="reporting_line.set").count() == before


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fred", "Nobody is their own manager"),
        ("fred-2", "Nobody is their own manager"),
        ("nobody-of-this-name", "no active person of this username"),
        ("gone", "no active person of this username"),
    ],
)
def test_what_cannot_be_is_refused(cast, signed_in, name, why):
    second = make_user("fred-2")
    User.objects.filter(pk__in=[second.pk, cast.fred.pk]).update(email="fred@example.com")
    make_user("gone", is_active=False)
    client = signed_in(make_user("ada", "administrators"))
    response = client.post(address(cast.fred), fields_of(cast.fred, email="fred@example.com", manager=name))
    assert response.status_code == 200 and why in response.content.decode()
    assert manager_of(cast.fred) is None


def test_nobody_sets_their_own_by_whichever_account(cast, signed_in):
    ada = make_user("ada", "administrators", email="ada@example.com")
    second = make_user("ada-2", "finance", email="ada@example.com")
    client = signed_in(ada)
    for account in (ada, second):
        shown = client.get(address(account)).content.decode()
        assert 'name="manager"' not in shown and "not on record" in shown
        client.post(address(account), fields_of(account, email="ada@example.com", manager="mona"))
        assert manager_of(account) is None
        with pytest.raises(Problem, match="another administrator"):
            set_manager(account, manager=cast.mona, by=ada)


@pytest.mark.parametrize("role", ["reviewers", "operators", "policy_authors", "auditors"])
def test_nobody_else_sets_any(cast, signed_in, role):
    client = signed_in(make_user("else", role))
    assert client.post(address(cast.fred), fields_of(cast.fred, manager="mona")).status_code in (302, 403)
    assert manager_of(cast.fred) is None


def test_auditors_read_it(cast, signed_in):
    shown = signed_in(make_user("anna", "auditors")).get(address(cast.fay)).content.decode()
    assert "mara" in shown and 'name="manager"' not in shown


def test_the_database_keeps_one_manager_a_person_and_nobody_their_own(cast):
    for members in ({"person": cast.fay, "manager": cast.mona}, {"person": cast.fred, "manager": cast.fred}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ReportingLine.objects.bulk_create([ReportingLine(**members)])


def test_its_history_is_for_ever(cast):
    with pytest.raises(Exception, match="append-only"), transaction.atomic():
        ReportingLine.history.all().delete()
