"""The share that people look at all the same, and what follows where they say no."""

from __future__ import annotations

import json

import pytest
from django.db import connection

from audit import clock
from audit.models import Event
from intents.models import Intent
from reviews.decisions import decide
from reviews.models import Delivery, Following, NotificationSettings, StandingApproval, StandingUse
from reviews.notifications import following, sending
from reviews.standing import samples, steps, using
from tests.factories import approve_in_advance, load_policy, make_user
from tests.standing.conftest import stored
from zehrava.problems import Problem


@pytest.fixture
def lou() -> object:
    return make_user("lou", "reviewers", "finance")


@pytest.fixture
def always(agent, rita, sam) -> StandingApproval:
    """All that it covers goes to people."""
    return approve_in_advance(agent, by=rita, second=sam, sample_percent=100)


@pytest.fixture
def followed(db) -> None:
    """A portal that has been up for a while: what a test does is read at once."""
    following.begin()
    Following.objects.update(read_until=clock.now())


def reject(document, by):
    intent = stored(document)
    decide(intent.pk, by=by, vote="reject", digest=intent.digest, ground="other", rationale="not this one")


def approve(document, *people):
    intent = stored(document)
    for person in people:
        decide(intent.pk, by=person, vote="approve", digest=intent.digest)


def test_a_sample_is_an_ordinary_pending_intent_and_no_use(always, propose):
    made = propose()

    assert made["status"] == "pending_approval" and made["standing_approval"] is None
    assert made["requirement"]["missing"] and stored(made).alike
    always.refresh_from_db()
    assert (always.used, always.state) == (0, "active")
    said = json.loads(Event.objects.get(type="intent.proposed").line)["facts"]
    assert said["sample_of"] == always.pk and "standing_approval" not in said


def test_the_draw_is_in_the_ledger(always, propose):
    made = propose()

    said = json.loads(Event.objects.get(type="standing_approval.sampled").line)["facts"]
    assert said["intent"] == made["id"] and 0 <= said["drawn"] < 10_000 and said["again"] is False


@pytest.mark.parametrize(("drawn", "status"), [(0, "pending_approval"), (499, "pending_approval"), (500, "approved")])
def test_five_per_cent_are_the_500_lowest_of_10000_draws(agent, rita, sam, propose, monkeypatch, drawn, status):
    approve_in_advance(agent, by=rita, second=sam, sample_percent=5)
    monkeypatch.setattr(samples, "draw", lambda *about: drawn)
    assert propose()["status"] == status


def test_about_as_many_are_drawn_as_were_wanted(agent, rita, sam):
    approval = approve_in_advance(agent, by=rita, second=sam, sample_percent=5)
    drawn = [samples.draw(approval, Intent(fingerprint=str(number))) for number in range(2_000)]
    # 100, and five standard deviations around it.
    assert 50 < sum(each < 500 for each in drawn) < 150
    assert min(drawn) >= 0 and max(drawn) < 10_000


def test_a_draw_is_not_drawn_again_by_asking_again(agent, rita, sam, propose, agent_client, settings):
    """Where the agent has no attention left to ask for, what was drawn is refused, and drawn the same next time."""
    approve_in_advance(agent, by=rita, second=sam, sample_percent=50)
    settings.ZEHRAVA_PENDING_PER_AGENT = 1

    def send(action: str, amount: str):
        body = json.dumps({"action": action, "payload": {"amount": amount}})
        return agent_client.post("/api/v1/intents", body, "application/json")

    assert send("a.other", "1").status_code == 201
    amounts = [f"{number}.00" for number in range(40)]
    refused = [amount for amount in amounts if send("a.b", amount).status_code == 429]
    assert 5 < len(refused) < 35
    for _ in range(3):
        assert [send("a.b", amount).status_code for amount in refused] == [429] * len(refused)


def test_the_twin_of_what_waits_gets_no_better_draw(agent, rita, sam, propose, agent_client):
    approval = approve_in_advance(agent, by=rita, second=sam, sample_percent=50)
    first = next(made for number in range(40) if (made := propose(f"{number}.00"))["status"] == "pending_approval")
    body = json.dumps({"action": first["action"], "payload": first["payload"]})
    for _ in range(10):
        assert agent_client.post("/api/v1/intents", body, "application/json").json()["id"] == first["id"]
    approval.refresh_from_db()
    assert approval.state == "active"


@pytest.mark.parametrize("how", ["cancel", "supersede"])
def test_samples_that_the_agent_takes_back_stop_it(always, propose, agent_client, how):
    for number in range(3):
        made = propose(f"{number}.00")
        assert StandingUse.objects.filter(intent=made["id"], number=None).exists()
        if how == "cancel":
            agent_client.post(f"/api/v1/intents/{made['id']}/cancel", "{}", "application/json")
        else:
            body = {"action": "a.other", "payload": {"amount": f"{number}"}, "supersedes": made["id"]}
            assert agent_client.post("/api/v1/intents", json.dumps(body), "application/json").status_code == 201
    assert StandingApproval.objects.get().state == "active"

    made = propose("9.00")

    assert made["status"] == "pending_approval" and not StandingUse.objects.filter(intent=made["id"]).exists()
    assert StandingApproval.objects.get().state == "suspended"
    said = json.loads(Event.objects.get(type="standing_approval.suspended").line)["facts"]
    assert (said["undecided"], said["ended"]) == (3, 3)


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM reviews_standinguse", "UPDATE reviews_standinguse SET at = '2020-01-01 00:00:00'"],
)
def test_a_sample_that_was_taken_away_or_moved_by_sql_is_found(always, propose, change):
    propose()
    assert list(using.unlike_the_ledger()) == []
    with connection.cursor() as cursor:
        cursor.execute(change)
    assert any("as the ledger tells it" in finding.problem for finding in using.unlike_the_ledger())


def test_terms_that_were_changed_by_sql_are_found(always):
    StandingApproval.objects.update(when="true || true")
    assert any("terms" in finding.problem for finding in using.unlike_the_ledger())


def test_what_is_not_covered_is_no_sample(agent, rita, sam, propose):
    approve_in_advance(agent, by=rita, second=sam, sample_percent=100, max_uses=1, when='payload.amount == "1"')
    propose("2")
    assert not StandingUse.objects.exists()


@pytest.mark.parametrize("then", ["waits", "is rejected", "is cancelled"])
def test_asking_again_gets_no_other_draw(always, agent, agent_client, propose, lou, rita, sam, then):
    first = propose("10.00")
    # From now on nothing is drawn.
    steps.revoke(always, by=rita, reason="for another")
    approve_in_advance(agent, by=rita, second=sam, sample_percent=0, disagreement_percent=100)
    if then == "is rejected":
        reject(first, lou)
    elif then == "is cancelled":
        cancel = f"/api/v1/intents/{first['id']}/cancel"
        assert agent_client.post(cancel, "{}", "application/json").status_code == 200

    again = propose("10.00", key="another")
    assert again["status"] == "pending_approval" and again["id"] != first["id"]
    assert StandingUse.objects.get(intent=again["id"]).number is None
    assert propose("11.00")["status"] == "approved"


def test_without_a_key_the_sample_that_waits_is_the_answer(always, propose):
    first = propose("10.00")
    assert propose("10.00")["id"] == first["id"]


def test_once_people_approved_it_the_same_thing_may_pass(agent, rita, sam, lou, propose, monkeypatch):
    approve_in_advance(agent, by=rita, second=sam, sample_percent=5)
    monkeypatch.setattr(samples, "draw", lambda *about: 0)
    approve(propose("10.00"), lou, sam)
    monkeypatch.setattr(samples, "draw", lambda *about: 9_999)
    assert propose("10.00")["status"] == "approved"


LESS = [{"op": "replace", "path": "/amount", "value": "5.00"}]


def change(document, by, *others):
    """Approve it with changes, and let others approve what became of it."""
    intent = stored(document)
    decide(intent.pk, by=by, vote="approve", digest=intent.digest, changes=LESS, rationale="less")
    approve(document, *others)
    assert stored(document).status == "approved"


def test_what_people_changed_in_a_sample_is_not_what_they_approved(agent, rita, sam, lou, propose, monkeypatch):
    """They approved 5, never 10: the same proposal is a sample again, whatever is drawn for it."""
    approve_in_advance(agent, by=rita, second=sam, sample_percent=5, disagreement_percent=100)
    monkeypatch.setattr(samples, "draw", lambda *about: 0)
    change(propose("10.00"), lou, rita, sam)
    monkeypatch.setattr(samples, "draw", lambda *about: 9_999)

    again = propose("10.00", key="another")

    assert again["status"] == "pending_approval"
    assert StandingUse.objects.get(intent=again["id"]).number is None
    assert propose("5.00")["status"] == "approved"


def test_a_sample_approved_with_changes_suspends_it_as_a_rejection_does(always, propose, lou, rita, sam, signed_in):
    made = propose("10.00")
    change(made, lou, rita, sam)

    always.refresh_from_db()
    assert (always.state, samples.tally(always).approved) == ("suspended", 0)
    facts = json.loads(Event.objects.get(type="standing_approval.suspended").line)["facts"]
    assert (facts["intent"], facts["rejected"], facts["changed"], facts["decided"]) == (made["id"], 0, 1, 1)
    page = signed_in(sam).get(f"/admin/reviews/standingapproval/{always.pk}/change/").content.decode()
    assert "<b>1 changed</b>" in page and "rejected or changed too many" in page
    assert propose("11.00")["status"] == "pending_approval"


def test_the_first_rejection_suspends_it_at_once(always, propose, lou):
    reject(propose(), lou)

    always.refresh_from_db()
    assert always.state == "suspended"
    said = json.loads(Event.objects.get(type="standing_approval.suspended").line)
    assert said["facts"]["rejected"] == 1 and said["facts"]["decided"] == 1
    assert said["actor"]["name"] == "lou"


def test_nothing_passes_on_a_suspended_one(always, propose, lou, agent, rita, sam):
    reject(propose("1"), lou)
    made = propose("2")
    assert made["status"] == "pending_approval"
    assert not StandingUse.objects.filter(intent=made["id"]).exists()


def test_an_approval_suspends_nothing(always, propose, lou, sam):
    approve(propose(), lou, sam)
    always.refresh_from_db()
    assert always.state == "active"


def test_up_to_one_in_ten_of_those_decided_may_be_rejected(always, propose, lou, sam):
    for number in range(9):
        approve(propose(str(number)), lou, sam)
    reject(propose("tenth"), lou)
    always.refresh_from_db()
    assert always.state == "active"

    reject(propose("eleventh"), lou)
    always.refresh_from_db()
    assert always.state == "suspended"


def test_rejecting_what_is_no_sample_suspends_nothing(always, propose, lou):
    reject(propose(action="a.other"), lou)
    always.refresh_from_db()
    assert always.state == "active"


def test_the_rejection_and_the_suspension_are_one_step(always, propose, lou, monkeypatch):
    made = propose()
    monkeypatch.setattr(steps, "suspend", _fails)
    with pytest.raises(RuntimeError):
        reject(made, lou)
    assert Intent.objects.get(pk=made["id"]).status == "pending_approval"


def _fails(*args, **kwargs):
    raise RuntimeError("on purpose")


def test_one_rejection_of_several_that_are_needed_suspends_nothing_yet(always, propose, lou, rita):
    load_policy(
        "name: careful\nmatch: {actions: ['a.*']}\nrules: [{id: all, effect: require_approval,"
        " approval: {all_of: [{group: finance}, {group: security}], rejections: 2}}]\n"
    )
    made = propose()
    reject(made, lou)
    always.refresh_from_db()
    assert always.state == "active"
    reject(made, rita)
    always.refresh_from_db()
    assert always.state == "suspended"


def test_its_two_people_are_told_whatever_they_opted_out_of(followed, always, propose, lou, rita, sam):
    NotificationSettings.objects.create(person=rita, asks="never", outcomes=False, mentions=False, needs_person=False)
    reject(propose(), lou)
    following.follow()

    told = Delivery.objects.filter(occasion="standing").select_related("person")
    assert sorted(each.person.username for each in told) == ["rita", "sam"]


def test_the_mail_says_what_happened_and_what_to_do(followed, always, propose, lou, mailoutbox):
    reject(propose(), lou)
    following.follow()
    sending.send_due()

    bodies = {tuple(mail.to): mail.body for mail in mailoutbox}
    body = bodies[("rita@example.com",)]
    assert "standing approval" in body and "another person may approve it again" in body


def test_only_a_second_person_makes_it_active_again_and_says_why(always, propose, lou, rita, sam):
    reject(propose("1"), lou)
    with pytest.raises(Problem) as refused:
        steps.approve(always, by=rita, digest=always.terms_digest, reason="it is fine")
    assert refused.value.kind == "conflict"
    with pytest.raises(Problem) as refused:
        steps.approve(always, by=sam, digest=always.terms_digest)
    assert refused.value.path == "/reason"

    steps.approve(always, by=sam, digest=always.terms_digest, reason="the rejected one was a test")

    always.refresh_from_db()
    assert always.state == "active"
    made = propose("2")
    assert StandingUse.objects.get(intent=made["id"]).number is None
