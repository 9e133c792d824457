"""An open page asks every few seconds what waits: it is told when anything moved, and asking changes nothing."""

import pytest

from audit.models import Event
from intents.models import Intent
from reviews.decisions import decide, withdraw
from tests.factories import load_policy, make_intent, make_user

FOLLOW = "/admin/follow/"
TWO = """
name: two
match: {actions: ['*']}
rules: [{id: all, effect: require_approval, approval: {all_of: [{group: reviewers, count: 2}]}}]
"""


@pytest.fixture
def ask(signed_in, rita):
    client = signed_in(rita)
    return lambda: client.get(FOLLOW).json()


def test_it_says_what_waits_and_changes_with_everything_that_moves_on_the_desk(ask, key):
    load_policy(TWO)
    revisions = [ask()["revision"]]
    assert ask() == {"revision": revisions[0], "mine": 0, "person": 0, "urgent": []}

    def moved() -> bool:
        revisions.append(ask()["revision"])
        return revisions[-1] not in revisions[:-1]

    intent = make_intent(key)
    assert moved() and ask()["mine"] == 1
    other = make_user("other", "reviewers")
    vote = decide(intent.pk, by=other, vote="approve", digest=intent.digest)
    assert moved()
    withdraw(vote, by=other)
    assert moved()
    decide(intent.pk, by=other, vote="reject", digest=intent.digest, rationale="no")
    assert moved() and ask()["mine"] == 0
    assert ask()["revision"] == revisions[-1]


def test_the_desk_is_shown_with_the_revision_that_it_will_be_asked_about(ask, signed_in, rita, key):
    make_intent(key)
    page = signed_in(rita).get("/admin/").content.decode()
    assert f'data-revision="{ask()["revision"]}"' in page


def test_only_what_could_go_most_wrong_is_called(ask, key):
    make_intent(key)
    large = make_intent(key, records=20_000, value={"amount": "90000", "currency": "EUR"})
    assert Intent.objects.get(pk=large.pk).risk_level in ("high", "critical")
    assert ask()["urgent"] == [large.pk]


def test_asking_changes_nothing_and_costs_few_statements(ask, key, django_assert_max_num_queries):
    make_intent(key)
    ask()
    before = Event.objects.count()
    with django_assert_max_num_queries(13):
        ask()
    assert Event.objects.count() == before


def test_it_is_for_who_is_signed_in_and_says_only_what_waits_for_them(signed_in, client, key):
    make_intent(key)
    assert client.get(FOLLOW).status_code == 302
    stranger = signed_in(make_user("stranger")).get(FOLLOW).json()
    assert (stranger["mine"], stranger["person"], stranger["urgent"]) == (0, 0, [])
