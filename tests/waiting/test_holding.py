import asyncio

import pytest

from tests.waiting.conftest import Client
from zehrava_site.waiting import Waiting

INTENT = "/api/v1/intents/int_01"


def waiting(intents, **limits):
    return Waiting(intents, intents.statuses, interval=0.01, **limits)


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_question_is_held_until_the_status_changes(intents, in_loop):
    async def test():
        client = Client(waiting(intents), INTENT, "wait=60")
        assert await client.is_held()
        await until(lambda: intents.looked > 2)
        assert not client.task.done()
        intents.status = "approved"
        assert await client.answer() == (200, {"status": "approved"})
        assert intents.answered == 2

    in_loop(test)


def test_what_moved_before_the_question_is_told_at_once(intents, in_loop):
    async def test():
        intents.status = "approved"
        client = Client(waiting(intents), INTENT, "wait=60&since=pending_approval")
        assert await client.answer() == (200, {"status": "approved"})
        assert (intents.answered, intents.looked) == (1, 0)
        assert await Client(waiting(intents), INTENT, "wait=60&since=approved").is_held()

    in_loop(test)


def test_when_the_time_is_up_the_answer_is_a_fresh_one(intents, in_loop):
    async def test():
        client = Client(waiting(intents), INTENT, "wait=1")
        assert await client.is_held()
        intents.broken = True  # nobody is woken: only the time ends this
        intents.status = "executing"
        assert await client.answer() == (200, {"status": "executing"})

    in_loop(test)


@pytest.mark.parametrize(
    "status", ["blocked", "rejected", "expired", "cancelled", "succeeded", "failed", "indeterminate"]
)
def test_where_nothing_more_will_happen_the_answer_comes_at_once(intents, in_loop, status):
    async def test():
        intents.status = status
        assert await Client(waiting(intents), INTENT, "wait=60").answer() == (200, {"status": status})
        assert (intents.answered, intents.looked) == (1, 0)

    in_loop(test)


@pytest.mark.parametrize("status", ["approved", "executing"])
def test_what_still_moves_is_held(intents, in_loop, status):
    async def test():
        intents.status = status
        client = Client(waiting(intents), INTENT, "wait=60")
        assert await client.is_held()
        intents.status = "succeeded"
        assert await client.answer() == (200, {"status": "succeeded"})

    in_loop(test)


@pytest.mark.parametrize("code", [401, 403, 404, 422, 500])
def test_who_may_not_see_the_intent_is_told_so_at_once(intents, in_loop, code):
    async def test():
        intents.code = code
        assert (await Client(waiting(intents), INTENT, "wait=60").answer())[0] == code
        assert intents.answered == 1

    in_loop(test)


def test_a_key_that_is_revoked_meanwhile_learns_nothing(intents, in_loop):
    async def test():
        client = Client(waiting(intents), INTENT, "wait=60")
        assert await client.is_held()
        intents.code = 401
        intents.status = "approved"
        assert (await client.answer())[0] == 401

    in_loop(test)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (INTENT, ""),
        (INTENT, "wait=0"),
        (INTENT, "wait=61"),
        (INTENT, "wait=-1"),
        (INTENT, "wait=soon"),
        (INTENT, "wait=%C2%B2"),
        (INTENT, "wait=5&wait=6"),
        (INTENT, "await=5"),
        (INTENT + "/decisions", "wait=5"),
        ("/api/v1/intents", "wait=5"),
        ("/api/v1/intents/int_01\n", "wait=5"),
    ],
)
def test_anything_else_goes_straight_to_the_application(intents, in_loop, path, query):
    async def test():
        await Client(waiting(intents), path, query).answer()
        assert (intents.answered, intents.looked) == (1, 0)

    in_loop(test)


def test_a_post_is_never_held(intents, in_loop):
    async def test():
        await Client(waiting(intents), INTENT, "wait=60", method="POST").answer()
        assert intents.answered == 1

    in_loop(test)


def test_a_client_that_leaves_frees_its_place_and_gets_no_answer(intents, in_loop):
    async def test():
        application = waiting(intents, places=1)
        first = Client(application, INTENT, "wait=60")
        assert await first.is_held()
        first.says().leaves()
        await asyncio.wait_for(first.task, 5)
        assert first.sent == []
        second = Client(application, INTENT, "wait=60")
        assert await second.is_held()
        intents.status = "approved"
        await second.answer()

    in_loop(test)


def test_above_the_limit_of_the_process_the_answer_comes_at_once(intents, in_loop):
    async def test():
        application = waiting(intents, places=2)
        held = [Client(application, INTENT, "wait=60", key=str(number)) for number in range(2)]
        assert [await client.is_held() for client in held] == [True, True]
        assert await Client(application, INTENT, "wait=60", key="late").answer() == (
            200,
            {"status": "pending_approval"},
        )
        intents.status = "approved"
        for client in held:
            await client.answer()

    in_loop(test)


def test_one_credential_cannot_take_every_place(intents, in_loop):
    async def test():
        application = waiting(intents, places_each=1)
        greedy = Client(application, INTENT, "wait=60", key="greedy")
        assert await greedy.is_held()
        await Client(application, INTENT, "wait=60", key="greedy").answer()
        other = Client(application, INTENT, "wait=60", key="other")
        assert await other.is_held()
        intents.status = "approved"
        await greedy.answer()
        await other.answer()

    in_loop(test)


def test_a_database_that_was_away_is_asked_again(intents, in_loop):
    async def test():
        intents.broken = True
        client = Client(waiting(intents), INTENT, "wait=60")
        await until(lambda: intents.looked)
        intents.broken = False
        intents.status = "approved"
        assert await client.answer() == (200, {"status": "approved"})

    in_loop(test)


def test_everyone_who_waits_shares_one_look_at_the_database(intents, in_loop):
    async def test():
        application = waiting(intents)
        seen = []
        ask = application.watch.statuses
        application.watch.statuses = lambda ids: seen.append(len(ids)) or ask(ids)
        clients = [Client(application, f"/api/v1/intents/int_{number:02}", "wait=60") for number in range(30)]
        assert all([await client.is_held() for client in clients])
        await until(lambda: seen and seen[-1] == 30)
        intents.status = "rejected"
        for client in clients:
            assert await client.answer() == (200, {"status": "rejected"})
        looked = intents.looked
        await asyncio.sleep(0.05)
        assert intents.looked <= looked + 1  # where nobody waits, nobody looks

    in_loop(test)


def test_when_the_server_ends_everyone_who_waits_is_answered(intents, in_loop):
    async def test():
        application = waiting(intents)
        client = Client(application, INTENT, "wait=60")
        assert await client.is_held()
        application.watch.close()
        assert await client.answer() == (200, {"status": "pending_approval"})
        assert await Client(application, INTENT, "wait=60").answer() == (200, {"status": "pending_approval"})

    in_loop(test)
