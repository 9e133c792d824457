"""A reviewer says "I am on it": one at a time, for some minutes, and it decides nothing."""

from datetime import timedelta

import pytest

from audit import clock
from audit.models import Event
from intents.models import Status
from reviews.decisions import decide
from reviews.models import Take
from reviews.taking import let_go, take, takes_of
from tests.factories import make_agent, make_intent, make_user
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db


def refused(intent, by) -> str:
    with pytest.raises(Problem) as problem:
        take(intent.pk, by=by)
    return problem.value.kind


def test_one_is_on_it_at_a_time_until_they_let_go():
    intent, one, two = make_intent(), make_user("one", "reviewers"), make_user("two", "reviewers")
    take(intent.pk, by=one)
    assert takes_of([intent])[intent.pk].person == one
    assert refused(intent, two) == "conflict"
    assert not let_go(intent.pk, by=two)
    assert let_go(intent.pk, by=one)
    take(intent.pk, by=two)
    assert takes_of([intent])[intent.pk].person == two


def test_it_ends_by_itself_and_is_made_longer_by_whoever_is_on_it():
    intent, one, two = make_intent(), make_user("one", "reviewers"), make_user("two", "reviewers")
    take(intent.pk, by=one)
    Take.objects.update(until=clock.now() + timedelta(seconds=5))
    assert take(intent.pk, by=one).until > clock.now() + timedelta(minutes=4)
    Take.objects.update(until=clock.now() - timedelta(seconds=1))
    assert takes_of([intent]) == {}
    take(intent.pk, by=two)
    assert Take.objects.get().person == two


def test_it_holds_up_nobodys_decision_and_ends_with_the_vote():
    intent, one, two = make_intent(), make_user("one", "reviewers"), make_user("two", "reviewers")
    take(intent.pk, by=one)
    decide(intent.pk, by=two, vote="approve", digest=intent.digest)
    intent.refresh_from_db()
    assert intent.status == Status.APPROVED
    assert refused(intent, one) == "not-pending"
    second = make_intent()
    take(second.pk, by=one)
    decide(second.pk, by=one, vote="approve", digest=second.digest)
    assert not Take.objects.filter(intent=second).exists()


def test_only_who_has_a_say_takes_it_and_nothing_is_recorded_of_it():
    owner = make_user(None, "reviewers")
    intent = make_intent(make_agent(owner=owner)[1])
    before = Event.objects.count()
    assert refused(intent, owner) == "not-entitled"
    assert refused(intent, make_user(None, "finance")) == "not-entitled"
    take(intent.pk, by=make_user(None, "reviewers"))
    assert Event.objects.count() == before
