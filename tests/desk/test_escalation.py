"""An escalation as people and agents meet it: whom the desk asks, who decides, and what page and API say of it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import Event
from intents import integrity, sweeping
from intents.explaining import explain
from intents.models import Intent, Status
from intents.propose import propose
from reviews.decisions import decide, withdraw
from reviews.entitlement import brings_forward, still_to_decide, votes_of
from reviews.models import Decision
from reviews.queue import overview, pending, waiting_for, waits_for
from tests.factories import (
    ids_waiting_for,
    in_force_as,
    load_policy,
    make_agent,
    make_intent,
    make_user,
    opened,
    time_passes,
)
from zehrava.problems import Problem

STEPS = (
    "escalation: [{after: 1h, do: remind}, {after: 2h, do: widen, to: [managers]},"
    " {after: 3h, do: escalate, to: [directors]}]"
)
SLOW = f"{{all_of: [{{group: finance}}, {{group: security}}], expires_in: 4h, {STEPS}}}"
LAST = "{all_of: [{group: finance, count: 2}], expires_in: 1h, on_timeout: escalate, escalate_to: [{group: directors}]}"


@pytest.fixture
def people() -> dict[str, User]:
    groups = {"fay": "finance", "finn": "finance", "sam": "security", "mia": "managers", "dora": "directors"}
    return {name: make_user(name, group) for name, group in groups.items()}


def asks(approval: str, key: str | None = None, **members) -> Intent:
    load_policy(
        f"name: slow\nmatch: {{actions: [a.b]}}\nrules: [{{id: all, effect: require_approval, approval: {approval}}}]\n"
    )
    return make_intent(key, action="a.b", **{"payload": {"n": 1}, **members})


def now(intent: Intent) -> Intent:
    return Intent.objects.get(pk=intent.pk)


def approve(intent: Intent, by: User) -> Decision:
    return decide(intent.pk, by=by, vote="approve", digest=intent.digest)


def events(intent: Intent, *kinds: str) -> list[dict]:
    found = Event.objects.filter(intent_id=intent.pk, type__in=[f"intent.{kind}" for kind in kinds]).order_by("id")
    return [{"type": event.type, **json.loads(event.line)["facts"]} for event in found]


def page(client, intent: Intent) -> str:
    answer = client.get(reverse("admin:intents_intent_change", args=[intent.pk]))
    return " ".join(answer.content.decode().replace("<bdi>", "").replace("</bdi>", "").split())


# --- steps ------------------------------------------------------------------------------------------------------------


def test_each_step_is_taken_when_it_is_due_and_once(people):
    intent = asks(SLOW)
    for hours, taken, asked in ((0, 0, ()), (1, 1, ()), (1, 2, ("mia",)), (1, 3, ("mia", "dora"))):
        time_passes(intent, hours=hours)
        sweeping.sweep()
        assert sweeping.sweep()["stepped"] == 0
        assert now(intent).steps_taken == taken
        assert {name for name in ("mia", "dora") if ids_waiting_for(people[name])} == set(asked)
        assert ids_waiting_for(people["fay"]) == (intent.pk,)
    told = events(intent, "reminded", "widened", "escalated")
    assert [(each["type"], each["step"], each["do"], each["to"]) for each in told] == [
        ("intent.reminded", 1, "remind", []),
        ("intent.widened", 2, "widen", ["managers"]),
        ("intent.escalated", 3, "escalate", ["directors"]),
    ]
    assert [each.get("steps_taken") for each in told] == [1, 2, 3]
    assert integrity.differences(now(intent)) == []
    assert now(intent).history.first().steps_taken == 3


def test_a_sweeper_that_comes_late_takes_all_that_are_due_in_their_order(people):
    intent = asks(SLOW)
    time_passes(intent, hours=3, minutes=30)
    assert sweeping.sweep()["stepped"] == 1
    assert [each["step"] for each in events(intent, "reminded", "widened", "escalated")] == [1, 2, 3]


def test_what_is_over_or_decided_takes_no_step(people):
    decided, over = asks(SLOW), asks(SLOW, payload={"n": 2})
    approve(decided, people["fay"])
    approve(decided, people["sam"])
    time_passes(decided, hours=3)
    time_passes(over, hours=5)
    sweeping.sweep()
    assert (now(decided).status, now(over).status) == (Status.APPROVED, Status.EXPIRED)
    assert events(decided, "reminded", "widened", "escalated") == events(over, "reminded", "widened", "escalated") == []


def test_a_step_after_the_time_that_the_agent_wanted_never_comes(people, client):
    intent = asks(SLOW, expires_in="90m")
    assert read(client, intent)["next_step"]["do"] == "remind"
    time_passes(intent, minutes=80)
    sweeping.sweep()
    assert now(intent).steps_taken == 1 and now(intent).next_step_at is None
    assert read(client, intent)["next_step"] is None


def test_others_who_were_asked_fill_any_seat_and_no_two(people):
    intent = asks(SLOW)
    with pytest.raises(Problem, match="Only members of finance or security"):
        approve(intent, people["mia"])
    time_passes(intent, hours=2)
    sweeping.sweep()
    approve(intent, people["mia"])
    assert now(intent).status == Status.PENDING_APPROVAL
    with pytest.raises(Problem, match="already voted"):
        approve(intent, people["mia"])
    approve(intent, people["sam"])
    assert now(intent).status == Status.APPROVED


def test_a_decision_between_two_sweeps_meets_what_a_sweep_would_have_done(people):
    intent = time_passes(asks(SLOW), hours=3)
    approve(intent, people["dora"])
    assert now(intent).steps_taken == 3
    assert [each["step"] for each in events(intent, "reminded", "widened", "escalated")] == [1, 2, 3]
    assert sweeping.sweep()["stepped"] == 0


def test_a_decision_that_is_refused_takes_no_step_and_loses_none(people):
    intent = time_passes(asks(SLOW), hours=2)
    with pytest.raises(Problem):
        approve(intent, make_user("stranger"))
    assert now(intent).steps_taken == 0 and events(intent, "widened") == []
    sweeping.sweep()
    assert now(intent).steps_taken == 2


@pytest.mark.parametrize("relation", ["owner", "principal", "key_maker"])
def test_no_step_lets_those_decide_whom_it_concerns(people, relation):
    mia = people["mia"]
    key = make_agent(owner=mia)[1] if relation == "owner" else None
    intent = asks(SLOW, key, **({"on_behalf_of": "Mia"} if relation == "principal" else {}))
    if relation == "key_maker":
        Intent.objects.filter(pk=intent.pk).update(key_maker=mia)
    time_passes(intent, hours=2)
    sweeping.sweep()
    assert now(intent).steps_taken == 2
    assert ids_waiting_for(mia) == ()
    with pytest.raises(Problem) as refused:
        approve(intent, mia)
    assert refused.value.kind == "not-entitled"


def test_an_editor_who_widened_it_is_not_let_in_by_a_step(people):
    people["fay"].groups.create(name="managers-too")
    intent = asks(SLOW)
    changes = [{"op": "replace", "path": "/n", "value": 2}]
    decide(intent.pk, by=people["fay"], vote="approve", digest=intent.digest, rationale="less", changes=changes)
    people["fay"].groups.add(people["mia"].groups.get())
    intent = time_passes(now(intent), hours=2)
    sweeping.sweep()
    assert now(intent).steps_taken == 2 and ids_waiting_for(people["fay"]) == ()


def test_a_change_that_asks_others_begins_its_steps_anew(people):
    load_policy(
        "name: more\nmatch: {actions: [a.b]}\nrules:\n"
        "  - {id: big, when: payload.n > 5, effect: require_approval, approval: {all_of: [{group: legal}]}}\n"
        "  - {id: none, effect: allow}\n"
    )
    intent = time_passes(asks(SLOW), hours=2)
    sweeping.sweep()
    changes = [{"op": "replace", "path": "/n", "value": 9}]
    decide(intent.pk, by=people["fay"], vote="approve", digest=intent.digest, rationale="more", changes=changes)
    changed = now(intent)
    assert changed.requirement_digest != intent.requirement_digest
    assert (changed.steps_taken, ids_waiting_for(people["mia"])) == (0, ())
    assert integrity.differences(changed) == []
    sweeping.sweep()
    # Of two policies only the reminder is left: a step of one gives nobody a say in what the other asks for.
    assert now(intent).steps_taken == 1 and ids_waiting_for(people["mia"]) == ()


@pytest.mark.parametrize(
    "forged", ["steps_taken = 2", "overtime = true", "unmeetable = true", "next_step_at = '2020-01-01'"]
)
def test_writing_a_step_into_the_row_lets_nobody_in(people, forged):
    intent = asks(SLOW)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE intents_intent SET {forged} WHERE id = %s", [intent.pk])
    sweeping.sweep()
    for name in ("mia", "dora"):
        with pytest.raises(Problem):
            approve(intent, people[name])
    assert events(intent, "reminded", "widened", "escalated") == [] and not Decision.objects.exists()
    altered = integrity.differences(now(intent))
    assert altered == ([] if "next_step_at" in forged else ["escalation in the ledger"])


def test_nobody_is_asked_earlier_because_somebody_made_it_older(people):
    intent = asks(SLOW)
    Intent.objects.filter(pk=intent.pk).update(
        created_at=intent.created_at - timedelta(hours=2), next_step_at=intent.created_at
    )
    sweeping.sweep()
    assert events(intent, "reminded", "widened", "escalated") == []
    assert integrity.differences(now(intent)) == ["escalation in the ledger"]
    with pytest.raises(Problem):
        approve(intent, people["mia"])


@pytest.mark.parametrize("forged", ["steps_taken = 2", "expires_at = '2199-01-01'"])
def test_a_row_that_was_written_by_hand_is_not_made_good_by_the_next_step(people, forged):
    intent = time_passes(asks(SLOW), hours=3)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE intents_intent SET {forged} WHERE id = %s", [intent.pk])
    sweeping.sweep()
    assert events(intent, "reminded", "widened", "escalated") == []
    with pytest.raises(Problem) as refused:
        approve(intent, people["fay"])
    assert refused.value.kind == "integrity-failed"


def test_an_extension_is_not_given_to_what_was_written_by_hand(people):
    intent = time_passes(asks(LAST), hours=1)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE intents_intent SET target = 'elsewhere' WHERE id = %s", [intent.pk])
    sweeping.sweep()
    assert now(intent).status == Status.EXPIRED and not now(intent).overtime


@pytest.mark.parametrize("hurry", ["1m", "59m"])
def test_an_agent_in_a_hurry_does_not_choose_who_decides(people, hurry):
    """Those whom policy asks had no time: then it expires, and nobody is asked in their place."""
    intent = time_passes(asks(LAST, expires_in=hurry), hours=1)
    sweeping.sweep()
    assert now(intent).status == Status.EXPIRED and not now(intent).overtime
    assert explain(now(intent)).differs == ()


def test_an_agent_that_gives_as_much_time_as_policy_leaves_it_to_policy(people):
    intent = time_passes(asks(LAST, expires_in="1h"), hours=1)
    sweeping.sweep()
    assert now(intent).overtime


def test_the_twin_of_what_is_escalated_is_answered_with_it(people):
    _, key = make_agent()
    intent = time_passes(asks(LAST, key), hours=1)
    sweeping.sweep()
    assert now(intent).overtime
    again = propose(in_force_as(key), {"action": "a.b", "payload": {"n": 1}})
    assert (again.status, again.intent_id) == (200, intent.pk)


# --- the end of the time ----------------------------------------------------------------------------------------------


def test_when_the_time_is_over_the_last_are_asked_once_and_for_as_long_again(people):
    intent = asks(LAST)
    window = intent.expires_at - intent.created_at
    intent = time_passes(intent, hours=1, seconds=1)
    assert sweeping.sweep()["expired"] == 1
    later = now(intent)
    assert (later.status, later.overtime) == (Status.PENDING_APPROVAL, True)
    assert later.expires_at == intent.expires_at + window
    [told] = events(intent, "escalated")
    assert (told["do"], told["to"], told["on_timeout"]) == ("escalate", ["directors"], True)
    assert ids_waiting_for(people["dora"]) == (intent.pk,) and ids_waiting_for(people["fay"]) == ()
    approve(intent, people["dora"])
    assert now(intent).status == Status.APPROVED


def test_then_it_expires_and_is_never_allowed(people):
    intent = time_passes(asks(LAST), hours=1)
    sweeping.sweep()
    time_passes(intent, hours=1)
    sweeping.sweep()
    assert now(intent).status == Status.EXPIRED
    assert len(events(intent, "escalated")) == 1 and events(intent, "approved") == []
    with pytest.raises(Problem) as refused:
        approve(intent, people["dora"])
    assert refused.value.kind == "expired"


def test_where_nobody_came_by_until_that_was_over_too_it_expires_at_once(people):
    intent = time_passes(asks(LAST), hours=3)
    sweeping.sweep()
    assert now(intent).status == Status.EXPIRED
    assert [each["type"] for each in events(intent, "escalated", "expired")] == ["intent.escalated", "intent.expired"]


def test_a_decision_after_the_end_and_before_the_sweep_meets_the_last(people):
    intent = time_passes(asks(LAST), hours=1, milliseconds=1)
    with pytest.raises(Problem, match="It was escalated: directors decide now"):
        approve(intent, people["fay"])
    assert now(intent).status == Status.PENDING_APPROVAL and not now(intent).overtime
    approve(intent, people["dora"])
    assert now(intent).status == Status.APPROVED
    assert [each["type"] for each in events(intent, "escalated", "approved", "expired")] == [
        "intent.escalated",
        "intent.approved",
    ]


def test_what_the_last_said_before_counts_and_time_itself_approves_nothing(people):
    both = make_user("both", "finance", "directors")
    intent = asks(LAST)
    approve(intent, both)
    time_passes(intent, hours=1)
    sweeping.sweep()
    assert now(intent).status == Status.PENDING_APPROVAL, "somebody has to say so"
    assert ids_waiting_for(people["dora"]) == (intent.pk,)
    approve(intent, people["dora"])
    assert now(intent).status == Status.APPROVED


def test_who_was_asked_first_may_still_reject_and_take_a_vote_back(people):
    first, second = asks(LAST), asks(LAST, payload={"n": 2})
    given = approve(first, people["fay"])
    for intent in (first, second):
        time_passes(intent, hours=1)
    sweeping.sweep()
    withdraw(given, by=people["fay"])
    decide(second.pk, by=people["finn"], vote="reject", digest=second.digest, rationale="no")
    assert (now(first).status, now(second).status) == (Status.PENDING_APPROVAL, Status.REJECTED)


def test_what_is_approved_gets_no_more_time(people):
    intent = asks(LAST)
    approve(intent, people["fay"])
    approve(intent, people["finn"])
    time_passes(intent, hours=1)
    sweeping.sweep()
    assert now(intent).status == Status.EXPIRED and events(intent, "escalated") == []


def test_a_vote_is_taken_back_in_overtime_before_the_sweep_too(people):
    intent = asks(LAST)
    given = approve(intent, people["fay"])
    time_passes(intent, hours=1)
    withdraw(given, by=people["fay"])
    assert now(intent).overtime


# --- the desk ---------------------------------------------------------------------------------------------------------


def test_the_number_on_the_desk_is_what_would_be_counted_row_by_row(people):
    """Many of each stage at once, with votes and principals among them."""
    keys = [make_agent()[1], make_agent(owner=people["mia"])[1]]
    intents = []
    for number in range(12):
        body = {"payload": {"n": number}} | ({"on_behalf_of": "dora"} if number % 5 == 0 else {})
        intents.append(asks((SLOW, LAST)[number % 2], keys[number % 3 == 0], **body))
    for number, intent in enumerate(intents):
        if number % 4 == 0:
            approve(intent, people["fay"])
    for number, intent in enumerate(intents):
        time_passes(intent, minutes=(0, 61, 125, 185)[number % 4])
    sweeping.sweep()
    assert {(one.steps_taken, one.overtime) for one in Intent.objects.all()} >= {(0, False), (2, False), (0, True)}
    for person in people.values():
        truth = set()
        for one in pending().select_related("agent"):
            votes = votes_of([one]).get(one.pk, [])
            if still_to_decide(one, votes, [person]) and brings_forward(one, votes, person):
                truth.add(one.pk)
        waits = waits_for(person, overview())
        assert set(waiting_for(person).values_list("pk", flat=True)) == truth
        assert waits.number == len(truth)


def test_escalated_lists_what_was_escalated_and_the_card_says_so(people, signed_in):
    early, late, over = (asks(SLOW, payload={f"n{n}": n}) for n in range(2)), asks(SLOW), asks(LAST, payload={"m": 1})
    reminded, widened = early
    time_passes(reminded, hours=1)
    time_passes(widened, hours=2)
    time_passes(late, hours=3)
    time_passes(over, hours=1)
    sweeping.sweep()
    client = signed_in(make_user("vera", "reviewers"))
    desk = client.get("/admin/?tab=escalated")
    assert {line.card.intent.pk for line in desk.context["desk"].lines} == {late.pk, over.pk}
    assert desk.content.decode().count('<span class="zhv-pill is-red">escalated</span>') == 2
    client.post("/admin/desk-view/", {"view": "table", "query": "tab=escalated"})
    assert '<span class="zhv-pill is-red">escalated</span>' in client.get("/admin/?tab=escalated").content.decode()


def test_who_sees_no_others_finds_theirs_among_the_escalated(people, signed_in):
    intent = time_passes(asks(SLOW), hours=3)
    sweeping.sweep()
    for name, sees in (("dora", True), ("fay", True)):
        desk = signed_in(people[name]).get("/admin/?tab=escalated")
        assert (intent.pk in {line.card.intent.pk for line in desk.context["desk"].lines}) == sees
    stranger = signed_in(make_user("otto", "others")).get("/admin/?tab=escalated")
    assert list(stranger.context["desk"].lines) == []


def test_a_step_moves_an_open_desk_and_an_open_page(people, signed_in):
    intent = asks(SLOW)
    watching = signed_in(make_user("vera", "reviewers"))
    address = reverse("admin:intents_intent_follow", args=[intent.pk])
    before = (watching.get("/admin/follow/").json()["revision"], watching.get(address).json()["revision"])
    time_passes(intent, hours=1)
    sweeping.sweep()
    after = (watching.get("/admin/follow/").json()["revision"], watching.get(address).json()["revision"])
    assert before[0] != after[0] and before[1] != after[1]


@pytest.mark.parametrize("tab", ["mine", "groups", "escalated", "all"])
def test_many_stages_cost_no_more_than_twenty_queries(people, signed_in, tab):
    for number in range(6):
        time_passes(asks((SLOW, LAST)[number % 2], payload={"n": number}), minutes=61 * (number // 2))
    sweeping.sweep()
    client = signed_in(make_user("vera", "reviewers", "managers", "directors"))
    client.get("/admin/")
    with CaptureQueriesContext(connection) as captured:
        client.get(f"/admin/?tab={tab}")
    assert len(captured) <= 20


def test_groups_that_are_asked_later_are_not_told_that_they_never_decide(people, signed_in):
    asks(SLOW)
    assert "no policy in force asks" not in signed_in(people["dora"]).get("/admin/").content.decode()


# --- the page and the API ---------------------------------------------------------------------------------------------


def test_the_page_says_what_happens_and_when(people, signed_in):
    intent = asks(SLOW)
    client = signed_in(make_user("vera", "reviewers"))
    said = page(client, intent)
    for words in (
        "those who are asked are reminded",
        "managers may decide as well",
        "it is escalated: directors may decide as well",
        "it expires and does not run",
        "then it expires and does not run",
    ):
        assert words in said, words
    assert said.count("<time data-local datetime=") >= 4
    time_passes(intent, hours=3)
    sweeping.sweep()
    said = page(client, intent)
    assert "done</span> <span>managers may decide as well" in said
    assert "done</span> <span>it was escalated: directors may decide as well" in said
    assert "or anybody of managers or directors" in said and "managers and directors may stand in" in said
    assert '<span class="zhv-pill is-red">escalated</span>' in said
    assert "mia" in said and "dora" in said


def test_the_page_says_who_is_asked_at_the_end_and_then(people, signed_in):
    intent = asks(LAST)
    client = signed_in(make_user("vera", "reviewers"))
    assert "then directors may decide instead" in page(client, intent)
    intent = time_passes(intent, hours=1)
    said = page(signed_in(people["fay"]), intent)
    assert "others are asked instead in a moment" in said and "has to propose it again" not in said
    sweeping.sweep()
    said = page(client, intent)
    assert "it was escalated: directors may decide instead of finance" in said
    assert "needs 1 of directors" in said and "then it expires and does not run" in said
    assert "It was escalated: directors decide now. You can reject it now." in page(signed_in(people["fay"]), intent)


def test_a_page_of_what_has_no_escalation_says_nothing_of_one(people, signed_in):
    intent = asks("{all_of: [{group: finance}]}")
    said = page(signed_in(make_user("vera", "reviewers")), intent)
    assert "While nobody decides" not in said and "escalated" not in said.split("h-who")[1]


def test_decided_on_the_page_by_who_was_asked_by_a_step(people, signed_in):
    intent = time_passes(asks(SLOW), hours=2)
    sweeping.sweep()
    client = signed_in(people["mia"])
    bound = {name: getattr(intent, name) for name in ("digest", "verdict_digest", "requirement_digest")}
    bound["opened"] = opened(intent, people["mia"])
    client.post(reverse("admin:intents_intent_decide", args=[intent.pk]), {**bound, "vote": "approve"})
    assert Decision.objects.get().reviewer == people["mia"]


def read(client, intent: Intent) -> dict:
    client.force_login(User.objects.filter(username="vera").first() or make_user("vera", "reviewers"))
    return client.get(f"/api/v1/intents/{intent.pk}").json()["requirement"]


def test_the_api_says_how_far_it_came_what_is_next_and_who_is_asked(people, client):
    intent = asks(SLOW)
    asked = read(client, intent)
    assert (asked["steps_taken"], asked["escalated"]) == (0, False)
    assert asked["next_step"]["do"] == "remind" and asked["next_step"]["to"] == []
    time_passes(intent, hours=2)
    sweeping.sweep()
    asked = read(client, intent)
    assert (asked["steps_taken"], asked["escalated"]) == (2, False)
    assert (asked["next_step"]["do"], asked["next_step"]["to"]) == ("escalate", ["directors"])
    assert {each["group"]: each["also"] for each in asked["missing"]} == {
        "finance": ["managers"],
        "security": ["managers"],
    }
    assert asked["could"] == {"finance": ["fay", "finn"], "security": ["sam"], "managers": ["mia"]}
    time_passes(intent, hours=1)
    sweeping.sweep()
    asked = read(client, intent)
    assert (asked["steps_taken"], asked["escalated"], asked["next_step"]) == (3, True, None)


def test_the_api_says_that_others_are_asked_at_the_end(people, client):
    intent = asks(LAST)
    following = read(client, intent)["next_step"]
    assert (following["do"], following["to"]) == ("escalate", ["directors"])
    assert following["at"] == client.get(f"/api/v1/intents/{intent.pk}").json()["expires_at"]
    time_passes(intent, hours=1)
    sweeping.sweep()
    asked = read(client, intent)
    assert (asked["escalated"], asked["next_step"]) == (True, None)
    assert asked["missing"] == [{"group": "directors", "count": 1}] and asked["could"] == {"directors": ["dora"]}


def test_an_agent_reads_it_in_the_answer_to_its_proposal(people, key, client):
    asks(SLOW)
    head = {"authorization": f"Bearer {key}"}
    body = {"action": "a.b", "payload": {"n": 7}}
    made = client.post("/api/v1/intents", body, content_type="application/json", headers=head).json()["requirement"]
    assert (made["steps_taken"], made["escalated"], made["next_step"]["do"]) == (0, False, "remind")
    assert made["escalation"][1] == {"after": 7200, "do": "widen", "to": ["managers"]}
