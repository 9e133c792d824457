"""Who may decide, on what exactly, and once."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from audit import clock
from audit.models import Event
from intents.agents import change_agent
from intents.integrity import digest_of
from intents.models import Intent, Status
from reviews.decisions import decide, record_of, withdraw
from reviews.entitlement import may_decide, who_may_decide
from reviews.models import Decision
from tests.factories import ARRANGER, load_policy, make_agent, make_intent, make_user
from zehrava import canonical
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db

TWO_SEATS = """
name: careful
match: {actions: ['a.b']}
rules:
  - {id: all, effect: require_approval, approval: {all_of: [{group: finance, count: 2}, {group: security}]}}
"""


def refused(intent, by, *, vote="approve", digest=None, rationale="because", **kwargs) -> str:
    digest = intent.digest if digest is None else digest
    with pytest.raises(Problem) as problem:
        decide(intent.pk, by=by, vote=vote, digest=digest, rationale=rationale, **kwargs)
    return problem.value.kind


def approve(intent, by):
    decision = decide(intent.pk, by=by, vote="approve", digest=intent.digest)
    intent.refresh_from_db()
    return decision


def test_one_reviewer_approves_what_needs_one():
    intent = make_intent()
    decision = approve(intent, make_user(None, "reviewers"))
    assert intent.status == Status.APPROVED
    assert decision.digest == intent.digest
    assert intent.decided_at is not None


def test_a_rejection_ends_it_and_needs_a_reason():
    intent = make_intent()
    reviewer = make_user(None, "reviewers")
    assert refused(intent, reviewer, vote="reject", rationale="   ") == "invalid"
    decide(intent.pk, by=reviewer, vote="reject", digest=intent.digest, rationale="twice paid")
    intent.refresh_from_db()
    assert intent.status == Status.REJECTED
    assert refused(intent, make_user(None, "reviewers")) == "not-pending"


def test_a_digest_that_was_not_shown_approves_nothing():
    intent = make_intent()
    other = make_intent(payload={"amount": "9.99"})
    reviewer = make_user(None, "reviewers")
    for wrong in (other.digest, "", "sha256:0", "x"):
        assert refused(intent, reviewer, digest=wrong) == "stale-digest"
    assert refused(intent, reviewer, verdict_digest=other.digest) == "stale-digest"
    assert refused(intent, reviewer, requirement_digest=other.digest) == "stale-digest"
    assert not Decision.objects.exists()


def test_the_owner_never_decides_not_even_as_a_superuser():
    owner = make_user(None, "reviewers", is_superuser=True)
    intent = make_intent(make_agent(owner=owner)[1])
    assert refused(intent, owner) == "not-entitled"
    assert "own" in may_decide(intent, owner).text
    assert owner.username not in [person.name for person in who_may_decide(intent, [])]


def test_a_superuser_without_a_seat_does_not_decide():
    assert refused(make_intent(), make_user(is_superuser=True)) == "not-entitled"


@pytest.mark.parametrize(
    "named",
    [
        "paula",
        "PAULA",
        " paula ",
        "paula@example.com",
        "Paula@Example.com",
        "paula\u200b",
        "\uff50aula",
        "Paula P. <paula@example.com>",
        "user:paula",
    ],
)
def test_the_person_it_was_proposed_for_does_not_decide(named):
    paula = make_user("paula", "reviewers", email="paula@example.com")
    assert refused(make_intent(on_behalf_of=named), paula) == "not-entitled"


def test_an_inactive_person_does_not_decide():
    gone = make_user(None, "reviewers", is_active=False)
    assert refused(make_intent(), gone) == "not-entitled"


def test_a_second_vote_is_refused_and_changes_nothing():
    load_policy(TWO_SEATS)
    intent = make_intent(action="a.b")
    reviewer = make_user(None, "finance")
    approve(intent, reviewer)
    assert refused(intent, reviewer) == "already-voted"
    assert refused(intent, reviewer, vote="reject") == "already-voted"
    assert Decision.objects.count() == 1


def test_the_database_itself_refuses_a_second_standing_vote():
    load_policy(TWO_SEATS)
    intent = make_intent(action="a.b")
    decision = approve(intent, make_user(None, "finance"))
    decision.pk = "dec_forged"
    with pytest.raises(IntegrityError), transaction.atomic():
        Decision.objects.bulk_create([decision])


def test_every_seat_has_to_be_filled_by_somebody_else():
    load_policy(TWO_SEATS)
    intent = make_intent(action="a.b")
    approve(intent, make_user(None, "finance"))
    approve(intent, make_user(None, "finance", "security"))
    assert intent.status == Status.PENDING_APPROVAL
    approve(intent, make_user(None, "finance"))
    assert intent.status == Status.APPROVED


def test_an_approval_that_fills_no_seat_is_refused_but_a_rejection_counts():
    load_policy(TWO_SEATS)
    intent = make_intent(action="a.b")
    approve(intent, make_user(None, "security"))
    late = make_user(None, "security")
    assert refused(intent, late) == "not-entitled"
    decide(intent.pk, by=late, vote="reject", digest=intent.digest, rationale="wrong account")
    intent.refresh_from_db()
    assert intent.status == Status.REJECTED


def test_somebody_who_left_the_group_no_longer_counts():
    load_policy(TWO_SEATS)
    intent = make_intent(action="a.b")
    leaver = make_user(None, "finance")
    approve(intent, leaver)
    leaver.groups.clear()
    approve(intent, make_user(None, "finance"))
    approve(intent, make_user(None, "security"))
    assert intent.status == Status.PENDING_APPROVAL


def test_a_vote_taken_back_no_longer_counts_and_may_be_given_again():
    load_policy(TWO_SEATS)
    intent = make_intent(action="a.b")
    first = make_user(None, "finance")
    decision = approve(intent, first)
    with pytest.raises(Problem) as problem:
        withdraw(decision, by=make_user(None, "finance"))
    assert problem.value.kind == "not-entitled"
    withdraw(decision, by=first)
    approve(intent, make_user(None, "security"))
    approve(intent, make_user(None, "finance"))
    assert intent.status == Status.PENDING_APPROVAL
    approve(intent, first)
    assert intent.status == Status.APPROVED
    with pytest.raises(Problem) as problem:
        withdraw(Decision.objects.filter(reviewer=first, withdrawn_at=None).get(), by=first)
    assert problem.value.kind == "not-pending"


def test_time_over_is_seen_at_the_decision_before_any_sweep():
    intent = make_intent()
    past = clock.now() - timedelta(milliseconds=1)
    Intent.objects.filter(pk=intent.pk).update(expires_at=past, created_at=past - timedelta(hours=1))
    assert refused(intent, make_user(None, "reviewers")) == "expired"
    intent.refresh_from_db()
    assert intent.status == Status.EXPIRED
    assert not Decision.objects.exists()


def test_the_record_binds_the_rationale_that_history_does_not_hold():
    intent = make_intent()
    reviewer = make_user(None, "reviewers")
    decision = decide(intent.pk, by=reviewer, vote="approve", digest=intent.digest, rationale="checked with Stripe")
    stored = Decision.objects.get(pk=decision.pk)
    assert stored.record_digest == canonical.digest(canonical.dumps(record_of(stored)))
    assert stored.record_digest in Event.objects.get(type="decision.made").line
    stored.rationale = "something else"
    assert stored.record_digest != canonical.digest(canonical.dumps(record_of(stored)))


def test_there_is_nothing_to_decide_where_policy_decided():
    load_policy("name: p\nmatch: {actions: ['x.y']}\nrules: [{id: all, effect: block}]\n")
    assert refused(make_intent(action="x.y"), make_user(None, "reviewers")) == "not-entitled"


def test_a_vote_that_only_stands_in_its_row_does_not_count():
    load_policy(TWO_SEATS)
    intent = make_intent(action="a.b")
    forged = approve(make_intent(action="a.b"), make_user(None, "finance"))
    forged.pk, forged.intent, forged.digest = "dec_forged", intent, intent.digest
    Decision.objects.bulk_create([forged])
    approve(intent, make_user(None, "finance"))
    approve(intent, make_user(None, "security"))
    assert intent.status == Status.PENDING_APPROVAL


def test_a_vote_that_was_taken_back_does_not_return_by_its_row():
    load_policy(TWO_SEATS)
    intent = make_intent(action="a.b")
    first = make_user(None, "finance")
    decision = withdraw(approve(intent, first), by=first)
    Decision.objects.filter(pk=decision.pk).update(withdrawn_at=None)
    approve(intent, make_user(None, "finance"))
    approve(intent, make_user(None, "security"))
    assert intent.status == Status.PENDING_APPROVAL


def test_nobody_decides_on_a_requirement_that_was_lowered():
    load_policy(TWO_SEATS)
    intent = make_intent(action="a.b")
    lower = {"all_of": [{"group": "finance", "count": 1}]}
    Intent.objects.filter(pk=intent.pk).update(requirement=lower, requirement_digest=digest_of(lower))
    assert refused(intent, make_user(None, "finance")) == "integrity-failed"


def test_handing_the_agent_over_gives_its_owner_no_say():
    owner, heir = make_user(None, "reviewers"), make_user(None, "reviewers")
    agent, key = make_agent(owner=owner)
    intent = make_intent(key)
    change_agent(agent, by=ARRANGER, owner=heir)
    assert refused(intent, owner) == "not-entitled"
    assert refused(intent, heir) == "not-entitled"
    approve(intent, make_user(None, "reviewers"))
    assert intent.status == Status.APPROVED


@pytest.mark.parametrize(
    "nothing", ["", "  ", "\u200b", "\u2060\u00a0\u3000", "\ue000", "\u2800", "\u3164", "\u034f", "\u0301"]
)
def test_a_reason_that_shows_nothing_is_none(nothing):
    assert refused(make_intent(), make_user(None, "reviewers"), vote="reject", rationale=nothing) == "invalid"


@pytest.mark.parametrize("control", ["no\x00", "\x1b[2Jno", "no\x7f"])
def test_a_reason_with_control_characters_is_refused(control):
    assert refused(make_intent(), make_user(None, "reviewers"), vote="reject", rationale=control) == "invalid"
