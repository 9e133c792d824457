"""What policy asks for and the desk cannot see to yet is never approved on less, and can always be rejected."""

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import ledger
from intents.integrity import digest_of
from intents.models import Intent, Status
from reviews.decisions import decide
from reviews.models import Decision
from reviews.quorum import cannot_see_to, standing
from tests.factories import make_intent, make_user, opened
from zehrava.problems import Problem
from zehrava_site import roles

SEATS = st.lists(
    st.fixed_dictionaries({"group": st.sampled_from(["finance", "legal"]), "count": st.integers(1, 2)}),
    min_size=1,
    max_size=2,
    unique_by=lambda seat: seat["group"],
)
BEYOND = {
    "any_of": st.sampled_from([5, "finance", [5], [[]], [[{"group": "finance", "weight": 2}]], [[{"group": 1}]]]),
    "in_order": st.sampled_from(
        [[[{"group": "nobody", "count": 1}]], [[{"group": "finance", "count": 9}]], ["finance"]]
    ),
    "step_up": st.sampled_from([1, "true", [True], {"a": 1}]),
    "rejections": st.sampled_from([True, "2", 1.0, 2.5, -1, [2]]),
    "unheard_of": st.one_of(st.text(min_size=1), st.integers(1, 9), st.just({"a": 1})),
}
HARMLESS = {
    "expires_in": st.one_of(st.none(), st.integers(1, 900)),
    "step_up": st.just(False),
    "rejections": st.just(1),
    "any_of": st.just([]),
    "in_order": st.just([]),
    "on_timeout": st.sampled_from(["expire", "escalate"]),
    "escalate_to": SEATS,
    "escalation": st.just([{"after": 60, "do": "remind"}]),
}
PEOPLE = [(1, {"finance", "legal"}), (2, {"finance", "legal"}), (3, {"legal"}), (4, {"finance"})]


def asking_for_more() -> st.SearchStrategy[dict]:
    """A requirement with at least one thing that the desk cannot see to."""

    def with_one(name: str) -> st.SearchStrategy[dict]:
        others = {key: value for key, value in BEYOND.items() if key != name}
        return st.fixed_dictionaries({"all_of": SEATS, name: BEYOND[name]}, optional=others)

    return st.sampled_from(sorted(BEYOND)).flatmap(with_one)


@given(requirement=asking_for_more())
def test_it_is_never_met_however_many_approve(requirement: dict) -> None:
    assert cannot_see_to(requirement)
    found = standing(requirement, PEOPLE)
    assert not found.met


@given(all_of=SEATS, harmless=st.fixed_dictionaries({}, optional=HARMLESS))
def test_what_changes_nothing_about_who_approves_is_counted_as_before(all_of: list, harmless: dict) -> None:
    plain, more = standing({"all_of": all_of}, PEOPLE), standing({"all_of": all_of, **harmless}, PEOPLE)
    assert not cannot_see_to({"all_of": all_of, **harmless})
    assert (plain.met, plain.given, plain.seats) == (more.met, more.given, more.seats)


@pytest.mark.parametrize("rejections", [True, "1", 1.0, 0, -1, [1], {}])
def test_a_number_of_rejections_that_is_no_number_is_not_taken_for_one(rejections: object) -> None:
    assert cannot_see_to({"all_of": [{"group": "finance", "count": 1}], "rejections": rejections})


def test_more_ways_than_anybody_reads_are_not_weighed() -> None:
    choice = [{"group": f"g{number}", "count": 1} for number in range(20)]
    assert not cannot_see_to({"all_of": [], "any_of": [choice]})
    assert cannot_see_to({"all_of": [], "any_of": [choice, choice, choice]})
    assert not standing({"all_of": [], "any_of": [choice, choice, choice]}, [(1, {"g0"})] * 3).met


def waiting(requirement: dict) -> Intent:
    """An intent that waits with this requirement, as if policy had said so."""
    from intents import lifecycle

    intent = make_intent()
    assert intent.status == Status.PENDING_APPROVAL
    intent.requirement = requirement
    intent.requirement_digest = digest_of(requirement)
    ledger.save(intent, "intent.proposed", by=lifecycle.WORKER, facts=lifecycle._bound(intent))
    return intent


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requirement=asking_for_more())
def test_an_approval_is_refused_and_stores_nothing_and_a_rejection_ends_it(requirement: dict) -> None:
    reviewer = make_user(None, "finance", "legal")
    intent = waiting(requirement)
    with pytest.raises(Problem) as refused:
        decide(intent.pk, by=reviewer, vote="approve", digest=intent.digest)
    assert refused.value.status == 409
    assert "nobody can approve it" in refused.value.detail
    assert not Decision.objects.filter(intent=intent).exists()
    assert Intent.objects.get(pk=intent.pk).status == Status.PENDING_APPROVAL
    decide(intent.pk, by=reviewer, vote="reject", digest=intent.digest, rationale="no")
    assert Intent.objects.get(pk=intent.pk).status == Status.REJECTED


@pytest.mark.django_db
def test_the_page_says_so_beforehand_and_lets_people_reject() -> None:
    roles.install()
    intent = waiting({"all_of": [{"group": "legal", "count": 1}], "unheard_of": 7})
    told = "unheard_of, which this portal does not know"
    client = Client()
    lena = make_user("lena", "reviewers", "legal")
    client.force_login(lena)
    address = reverse("admin:intents_intent_change", args=[intent.pk])
    page = client.get(address).content.decode()
    assert told in page
    assert 'value="approve" disabled' in page
    bound = {
        "digest": intent.digest,
        "verdict_digest": intent.verdict_digest,
        "requirement_digest": intent.requirement_digest,
        "opened": opened(intent, lena),
    }
    door = reverse("admin:intents_intent_decide", args=[intent.pk])
    assert "nobody can approve it" in client.post(door, {**bound, "vote": "approve"}).content.decode()
    assert not Decision.objects.exists()
    client.post(door, {**bound, "vote": "reject", "ground": "unclear", "rationale": "not this way"})
    assert Intent.objects.get(pk=intent.pk).status == Status.REJECTED
