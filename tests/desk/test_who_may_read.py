"""The table of who may read: each kind of person, each environment and sensitivity, by every door there is.

A cell says whether an intent is shown. What is not shown is not there: no row, no page, and no word of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from audit.actors import Actor
from intents import execution
from intents.models import Execution, Intent
from reviews.decisions import decide
from reviews.tokens import create_token
from tests.factories import (
    give,
    in_force_as,
    load_action_type,
    load_policy,
    make_agent,
    make_delegation,
    make_intent,
    make_user,
    narrow,
)
from zehrava_site.roles import _SEE_WORK

ASKS_FINANCE = """
name: careful
match: {actions: ['a.*']}
rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance}]}}]
"""
ENVIRONMENTS = ("production", "staging")
# What the action type says; that of the last says nothing.
LEVELS = ("low", "normal", "high", "")
Cell = tuple[str, str]
Reads = Callable[[str, str], bool]


def everything(environment: str, level: str) -> bool:
    return True


def nothing(environment: str, level: str) -> bool:
    return False


def in_staging(environment: str, level: str) -> bool:
    return environment == "staging"


def up_to_normal(environment: str, level: str) -> bool:
    return level in ("low", "normal")


def low(environment: str, level: str) -> bool:
    return level == "low"


def both(environment: str, level: str) -> bool:
    return environment == "staging" and level in ("low", "normal")


def either(environment: str, level: str) -> bool:
    return environment == "staging" or level == "low"


# Who: their groups, what the rules of those are, what they have besides, and what they read by permission; those who
# have a say open every one of these all the same.
PEOPLE: dict[str, tuple[tuple[str, ...], Reads]] = {
    "superuser": (("staging",), everything),
    "by themselves": (("staging",), everything),
    "no rule": (("open",), everything),
    "a rule that asks nothing": (("hollow",), everything),
    "another group without a rule": (("staging", "open"), everything),
    "staging": (("staging",), in_staging),
    "up to normal": (("normal",), up_to_normal),
    "up to low": (("low",), low),
    "staging and up to normal": (("both",), both),
    "two narrowed groups": (("staging", "low"), either),
    "a rule on a group that gives nothing, besides": (("open", "silent"), everything),
    "only a group that gives nothing": (("silent",), nothing),
    "nobody": ((), nothing),
    "has a say": (("staging", "finance"), in_staging),
    "delegate of who has a say": (("staging",), in_staging),
    "owner of the agent": (("staging",), in_staging),
    "deactivated": (("staging",), nothing),
}
WITH_A_SAY = {"has a say", "delegate of who has a say"}


@pytest.fixture
def world(db: None) -> dict[Cell, Intent]:
    """One intent of each kind, decided and carried out; the rules, on groups that see the work."""
    load_policy(ASKS_FINANCE)
    for level in LEVELS:
        said = f"sensitivity: {level}\n" if level else ""
        load_action_type(f"name: a.{level or 'unsaid'}\n{said}")
    agents = {
        each: make_agent(f"of-{each}", owner=make_user(f"owner-{each}"), environment=each) for each in ENVIRONMENTS
    }
    for group in ("open", "staging", "normal", "low", "both", "hollow"):
        give(group, *_SEE_WORK)
    narrow("staging", environments=["staging"])
    narrow("normal", up_to="normal")
    narrow("low", up_to="low")
    narrow("both", environments=["staging"], up_to="normal")
    narrow("hollow")
    narrow("silent", up_to="low")
    fiona = make_user("fiona", "finance")
    make_delegation(fiona, make_user("dora", "staging"))
    made = {}
    for environment in ENVIRONMENTS:
        key = agents[environment][1]
        for level in LEVELS:
            marker = f"MARK-{environment}-{level or 'unsaid'}-MARK"
            intent = make_intent(key, action=f"a.{level or 'unsaid'}", payload={"what": marker}, target=marker)
            decide(intent.pk, by=fiona, vote="approve", digest=intent.digest)
            execution.claim(intent.pk, agent=in_force_as(key))
            made[environment, level] = Intent.objects.get(pk=intent.pk)
    return made


def somebody(kind: str) -> User:
    groups, _ = PEOPLE[kind]
    if kind == "delegate of who has a say":
        return User.objects.get(username="dora")
    if kind == "owner of the agent":
        person = User.objects.get(username="owner-production")
        person.groups.add(give("staging"))
        return person
    person = make_user("reader", *groups, is_superuser=kind == "superuser")
    if kind == "by themselves":
        person.user_permissions.add(
            *Permission.objects.filter(codename__in=[label.split(".")[1] for label in _SEE_WORK])
        )
    return person


# --- doors: each says whether the intent was shown there ------------------------------------------------------------


def on(address: str) -> Callable[..., bool]:
    """A page of the intent; its doors that act lead a GET back to the page of who may read it."""

    def door(client: Client, api: Any, intent: Intent) -> bool:
        execution_id = Execution.objects.get(intent=intent).pk
        answer = client.get(address.format(intent=intent.pk, execution=execution_id))
        told = answer.content.decode()
        back = f"/admin/intents/intent/{intent.pk}/"
        shown = answer.status_code == 200 or (answer.status_code == 302 and answer.url.startswith(back))
        assert shown or marker(intent) not in told
        return shown

    door.__name__ = address
    return door


def by_program(client: Client, api: Any, intent: Intent) -> bool:
    answer = api(f"/api/v1/intents/{intent.pk}")
    assert answer.status_code in (200, 401, 403, 404)
    return answer.status_code == 200


def by_waiting(client: Client, api: Any, intent: Intent) -> bool:
    return api(f"/api/v1/intents/{intent.pk}?wait=1").status_code == 200


# What is about one intent opens for who has a say in it, lists do not.
PAGES = (
    *(
        on(f"/admin/intents/intent/{{intent}}/{ending}/")
        for ending in ("change", "history", "follow", "raw", "similar")
    ),
    on("/admin/intents/execution/{execution}/change/"),
    on("/admin/intents/execution/{execution}/history/"),
    by_program,
)
# Those that act find the intent in one way: two cells tell whether they do.
ACTING = (
    *(
        on(f"/admin/intents/intent/{{intent}}/{ending}/")
        for ending in ("decide", "edit", "take", "note", "withdraw", "cancel", "resolve")
    ),
    by_waiting,
)
LISTS = (
    "/admin/intents/intent/",
    "/admin/intents/intent/?q=a.",
    "/admin/intents/execution/",
    "/admin/?tab=decided",
    "/api/v1/intents",
)


def marker(intent: Intent) -> str:
    return str(intent.target)


@pytest.mark.parametrize("kind", PEOPLE)
def test_every_cell_of_the_table(world, kind):
    person = somebody(kind)
    client = Client(raise_request_exception=True)
    client.force_login(person)
    token = create_token(person, by=Actor.system("tests"))[1]
    if kind == "deactivated":
        person.is_active = False
        person.save()

    def api(address: str) -> Any:
        return Client().get(address, headers={"Authorization": f"Bearer {token}"})

    _, reads = PEOPLE[kind]
    wrong = []

    def expect(expected: bool, found: bool, *where: str) -> None:
        if found != expected:
            wrong.append((*where, "shown" if found else "hidden"))

    for cell, intent in world.items():
        opens = reads(*cell) or kind in WITH_A_SAY
        for door in (*PAGES, *(ACTING if cell in (("production", "high"), ("staging", "low")) else ())):
            expect(opens, door(client, api, intent), *cell, door.__name__)
    for address in LISTS:
        told = (api if address.startswith("/api") else client.get)(address).content.decode().replace("_5F", "_")
        for cell, intent in world.items():
            expect(reads(*cell), intent.pk in told, *cell, address)
    assert wrong == []


def test_the_table_opens_and_closes_something_for_each_rule():
    cells = [(environment, level) for environment in ENVIRONMENTS for level in LEVELS]
    for kind, (_, reads) in PEOPLE.items():
        if reads not in (everything, nothing):
            assert {reads(*cell) for cell in cells} == {True, False}, kind
