"""What nobody can meet any more is found, handed on and told; what can be met again is not called so any longer."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit import ledger
from audit.models import Event
from intents import integrity, lifecycle, sweeping
from intents.models import Intent, Status
from reviews import tasks, unmeetable
from reviews.decisions import decide
from tests.factories import ARRANGER, ids_waiting_for, load_policy, make_agent, make_intent, make_user, time_passes
from zehrava_site import roles

pytestmark = pytest.mark.django_db
PLAIN = "{all_of: [{group: finance, count: 2}]}"
STEPS = (
    "{all_of: [{group: finance}], expires_in: 4h, escalation: [{after: 1h, do: remind},"
    " {after: 2h, do: widen, to: [ghosts]}, {after: 3h, do: escalate, to: [directors]}]}"
)
LAST = "{all_of: [{group: finance}], expires_in: 1h, on_timeout: escalate, escalate_to: [{group: directors}]}"


@pytest.fixture
def people() -> dict[str, User]:
    return {
        name: make_user(name, group)
        for name, group in {"fay": "finance", "finn": "finance", "dora": "directors"}.items()
    }


def asks(approval: str, key: str | None = None, **members) -> Intent:
    load_policy(
        f"name: p\nmatch: {{actions: [a.b]}}\nrules: [{{id: all, effect: require_approval, approval: {approval}}}]\n"
    )
    return make_intent(key, action="a.b", **members)


def leave(*people: User) -> None:
    User.objects.filter(pk__in=[one.pk for one in people]).update(is_active=False)


def come_back(*people: User) -> None:
    User.objects.filter(pk__in=[one.pk for one in people]).update(is_active=True)


def now(intent: Intent) -> Intent:
    return Intent.objects.get(pk=intent.pk)


def events(intent: Intent) -> list[str]:
    kinds = ("reminded", "widened", "escalated", "unmeetable", "meetable")
    found = Event.objects.filter(intent_id=intent.pk, type__in=[f"intent.{kind}" for kind in kinds]).order_by("id")
    return [event.type.removeprefix("intent.") for event in found]


def test_it_is_noted_once_when_people_leave_and_once_more_when_they_are_back(people):
    intent = asks(PLAIN)
    assert unmeetable.look() == 0
    leave(people["finn"])
    assert (unmeetable.look(), unmeetable.look()) == (1, 0)
    assert now(intent).unmeetable and events(intent) == ["unmeetable"]
    assert integrity.differences(now(intent)) == []
    come_back(people["finn"])
    assert (unmeetable.look(), unmeetable.look()) == (1, 0)
    assert not now(intent).unmeetable and events(intent) == ["unmeetable", "meetable"]
    leave(people["fay"])
    unmeetable.look()
    assert events(intent) == ["unmeetable", "meetable", "unmeetable"]


def test_leaving_the_group_counts_as_leaving(people):
    intent = asks(PLAIN)
    people["fay"].groups.clear()
    unmeetable.look()
    assert now(intent).unmeetable


def test_who_approved_before_they_were_the_last_still_counts(people):
    intent = asks(PLAIN)
    decide(intent.pk, by=people["fay"], vote="approve", digest=intent.digest)
    assert unmeetable.look() == 0
    people["fay"].groups.clear()
    unmeetable.look()
    assert now(intent).unmeetable, "an approval of somebody who left the group is none"


def test_who_rejected_where_one_does_not_end_it_is_missing(people):
    intent = asks("{all_of: [{group: finance, count: 2}], rejections: 2}")
    decide(intent.pk, by=people["fay"], vote="reject", digest=intent.digest, rationale="no")
    unmeetable.look()
    assert now(intent).unmeetable


@pytest.mark.parametrize("relation", ["owner", "key_maker", "principal"])
def test_who_is_barred_is_missing_for_that_intent_alone(people, relation):
    key = make_agent(owner=people["fay"])[1] if relation == "owner" else None
    mine = asks(PLAIN, key, **({"on_behalf_of": "Fay"} if relation == "principal" else {}))
    if relation == "key_maker":
        mine.key_maker = people["fay"]
        ledger.save(mine, "intent.proposed", by=ARRANGER, facts=lifecycle._bound(mine))
    other = asks(PLAIN, payload={"n": 2})
    unmeetable.look()
    assert (now(mine).unmeetable, now(other).unmeetable) == (True, False)


def test_the_next_steps_that_ask_others_are_taken_at_once_until_somebody_can(people):
    intent = asks(STEPS)
    Group.objects.create(name="ghosts")
    leave(people["fay"], people["finn"])
    unmeetable.look()
    assert events(intent) == ["unmeetable", "widened", "escalated", "meetable"]
    assert (now(intent).steps_taken, now(intent).unmeetable) == (3, False)
    assert ids_waiting_for(people["dora"]) == (intent.pk,)
    facts = [json.loads(event.line)["facts"] for event in Event.objects.filter(type="intent.escalated")]
    assert facts[0]["early"] is True and facts[0]["step"] == 3
    time_passes(intent, hours=3)
    assert sweeping.sweep()["stepped"] == 0


def test_without_a_step_the_end_of_the_time_comes_early_if_that_helps(people):
    intent = asks(LAST)
    window = intent.expires_at - intent.created_at
    leave(people["fay"], people["finn"])
    unmeetable.look()
    assert events(intent) == ["unmeetable", "escalated", "meetable"]
    assert now(intent).overtime and now(intent).expires_at == intent.expires_at + window
    decide(intent.pk, by=people["dora"], vote="approve", digest=intent.digest)
    assert now(intent).status == Status.APPROVED


def test_where_only_those_who_approved_already_could_say_so_once_more_nobody_can(people):
    people["fay"].groups.add(people["dora"].groups.get())
    leave(people["dora"])
    intent = asks(LAST.replace("{group: finance}", "{group: finance, count: 2}"))
    decide(intent.pk, by=people["fay"], vote="approve", digest=intent.digest)
    assert unmeetable.look() == 0
    time_passes(intent, hours=1)
    sweeping.sweep()
    assert now(intent).overtime and now(intent).status == Status.PENDING_APPROVAL
    unmeetable.look()
    assert now(intent).unmeetable
    come_back(people["dora"])
    unmeetable.look()
    assert not now(intent).unmeetable and ids_waiting_for(people["dora"]) == (intent.pk,)


def test_the_end_of_the_time_does_not_come_early_where_the_last_could_not_meet_it_either(people):
    intent = asks(LAST)
    leave(*people.values())
    unmeetable.look()
    assert (events(intent), now(intent).overtime) == (["unmeetable"], False)
    come_back(people["fay"])
    unmeetable.look()
    assert ids_waiting_for(people["fay"]) == (intent.pk,)


def test_nobody_whom_the_agent_names_hands_it_on_to_others(people):
    """It is told that they cannot decide, and waits for what policy says all the same."""
    intent = asks(LAST, on_behalf_of="fay, finn")
    unmeetable.look()
    assert now(intent).unmeetable and not now(intent).overtime
    assert events(intent) == ["unmeetable"]
    assert ids_waiting_for(people["dora"]) == ()


@pytest.mark.parametrize("how", ["rejects", "widens"])
def test_nobody_hands_it_on_to_others_by_what_they_do(people, how):
    need = LAST.replace("[{group: finance}]", "[{group: finance, count: 2}], rejections: 2")
    intent = asks(need)
    if how == "rejects":
        decide(intent.pk, by=people["fay"], vote="reject", digest=intent.digest, rationale="no")
    else:
        more = [{"op": "add", "path": "/more", "value": 1}]
        decide(intent.pk, by=people["fay"], vote="approve", digest=intent.digest, changes=more, rationale="more")
    unmeetable.look()
    assert now(intent).unmeetable and not now(intent).overtime


def test_what_was_altered_is_left_alone(people):
    intent = asks(STEPS)
    leave(people["fay"], people["finn"])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE intents_intent SET target = 'elsewhere'")
    assert unmeetable.look() == 0
    assert events(intent) == []


def test_what_is_decided_or_over_is_not_looked_at(people):
    intent = time_passes(asks(PLAIN, expires_in="5m"), minutes=6)
    leave(people["fay"])
    assert unmeetable.look() == 0 and events(intent) == []


def test_the_task_does_it(people):
    intent = asks(PLAIN)
    leave(people["fay"])
    tasks.look_for_unmeetable()
    assert now(intent).unmeetable


def test_it_is_found_within_a_minute_by_the_schedule(settings):
    [entry] = [each for each in settings.CELERY_BEAT_SCHEDULE.values() if "unmeetable" in each["task"]]
    assert entry["schedule"] <= 30


def test_many_of_few_kinds_cost_few_queries(people):
    key = make_agent()[1]
    for number in range(30):
        asks(PLAIN, key, payload={"n": number})
    with CaptureQueriesContext(connection) as captured:
        assert unmeetable.look() == 0
    assert len(captured) <= 12


def test_the_desk_and_the_page_say_so(people):
    roles.install()
    intent = asks(PLAIN)
    client = Client()
    client.force_login(make_user("vera", "reviewers"))
    assert "tab=escalated" not in client.get("/admin/").content.decode()
    leave(people["fay"])
    unmeetable.look()
    mark = '<span class="zhv-pill is-red">nobody can meet it</span>'
    assert mark in client.get("/admin/?tab=all").content.decode()
    desk = client.get("/admin/?tab=escalated")
    assert [line.card.intent.pk for line in desk.context["desk"].lines] == [intent.pk]
    assert "tab=escalated" in client.get("/admin/").content.decode()
    assert mark in client.get(f"/admin/intents/intent/{intent.pk}/change/").content.decode()
    # Who is asked by it, and sees no others, finds it too.
    client.force_login(people["finn"])
    assert mark in client.get("/admin/?tab=escalated").content.decode()
