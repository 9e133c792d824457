"""The table of who decides: every role, by every way there is, in every relation to the intent.

A cell says whether a vote of this person is stored. All the others are refused, whatever the page offers: what a page
does not show is sent by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from audit.actors import Actor
from intents.agents import change_agent, create_key
from intents.models import Intent
from reviews.decisions import decide
from reviews.models import Decision
from reviews.tokens import create_token
from tests.factories import ARRANGER, load_policy, make_agent, make_intent, make_user, opened
from zehrava_site import roles

pytestmark = pytest.mark.django_db

TWO_OF_FINANCE = """
name: careful
match: {actions: ['a.b']}
rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance, count: 2}]}}]
"""

# Every role of DESIGN section 2, and what people take for one. Only the group that policy asks makes somebody a voter.
ROLES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "of the group": (("finance", "reviewers"), {}),
    "of the group, superuser": (("finance", "reviewers"), {"is_superuser": True}),
    "of the group, all roles": (("finance", *sorted(roles.ROLES)), {}),
    "reviewer": (("reviewers",), {}),
    "policy author": (("policy_authors",), {}),
    "operator": (("operators",), {}),
    "auditor": (("auditors",), {}),
    "administrator": (("administrators",), {}),
    "superuser": ((), {"is_superuser": True}),
    "nobody": ((), {}),
    "of the group, deactivated": (("finance", "reviewers"), {"is_active": False}),
}
VOTERS = {"of the group", "of the group, superuser", "of the group, all roles"}


# --- relations: how an intent came to be, seen from one person ------------------------------------------------------


def of_a_stranger(person: User) -> Intent:
    return _propose(make_agent()[1])


def of_their_agent(person: User) -> Intent:
    return _propose(make_agent(owner=person)[1])


def of_an_agent_that_was_theirs(person: User) -> Intent:
    agent, key = make_agent(owner=person)
    intent = _propose(key)
    change_agent(agent, by=ARRANGER, owner=make_user())
    return intent


def of_an_agent_that_became_theirs(person: User) -> Intent:
    agent, key = make_agent()
    intent = _propose(key)
    change_agent(agent, by=ARRANGER, owner=person)
    return intent


def with_a_key_of_theirs(person: User) -> Intent:
    return _propose(create_key(make_agent()[0], by=Actor.person(person))[1])


def on_their_behalf(person: User) -> Intent:
    return _propose(make_agent()[1], on_behalf_of=f"{person.get_username().upper()} <somebody@example.com>")


def voted_on_by_them(person: User) -> Intent:
    intent = _propose(make_agent()[1])
    if may_vote(person):
        decide(intent.pk, by=person, vote="approve", digest=intent.digest)
    return intent


def widened_by_them(person: User) -> Intent:
    intent = _propose(make_agent()[1])
    if may_vote(person):
        changes = [{"op": "add", "path": "/more", "value": "than was asked"}]
        decide(intent.pk, by=person, vote="approve", digest=intent.digest, changes=changes, rationale="x")
    return Intent.objects.get(pk=intent.pk)


RELATIONS = (
    of_a_stranger,
    of_their_agent,
    of_an_agent_that_was_theirs,
    of_an_agent_that_became_theirs,
    with_a_key_of_theirs,
    on_their_behalf,
    voted_on_by_them,
    widened_by_them,
)


def may_vote(person: User) -> bool:
    return person.is_active and person.groups.filter(name="finance").exists()


_numbers = iter(range(10**6))


def _propose(key: str, **members: Any) -> Intent:
    return make_intent(key, action="a.b", payload={"n": next(_numbers)}, **members)


# --- ways: each sends a vote and says what came back -----------------------------------------------------------------


def on_the_page(client: Client, person: User, intent: Intent, vote: str) -> Any:
    return client.post(
        f"/admin/intents/intent/{intent.pk}/decide/",
        {
            **_sent_by(client, person, f"/admin/intents/intent/{intent.pk}/change/", intent),
            "vote": vote,
            "rationale": "x",
        }
        | ({"ground": "other"} if vote == "reject" else {}),
    )


def in_a_group(client: Client, person: User, intent: Intent, vote: str) -> Any:
    page = f"/admin/alike/{intent.alike}/"
    hand = {f"{name}-{intent.pk}": value for name, value in _digests(intent, person).items()}
    return client.post(
        page,
        {**hand, **_fields(client, page), "chosen": [intent.pk], "vote": vote, "rationale": "x"}
        | ({"ground": "other"} if vote == "reject" else {}),
    )


def by_changing(client: Client, person: User, intent: Intent, vote: str) -> Any:
    page = f"/admin/intents/intent/{intent.pk}/edit/"
    payload = {**intent.payload, "changed": True}
    typed = {"mode": "json", "payload": json.dumps(payload), "step": "look", "rationale": "x", "ground": "other"}
    look = client.post(page, {**_sent_by(client, person, page, intent), **typed})
    patch = json.dumps([{"op": "add", "path": "/changed", "value": True}])
    return client.post(page, {**_hand(intent, person), "changes": patch, **_inputs(look), **typed, "step": "approve"})


def by_program_in_their_session(client: Client, person: User, intent: Intent, vote: str) -> Any:
    return client.post(f"/api/v1/intents/{intent.pk}/decisions", _body(intent, vote), "application/json")


def by_their_token(client: Client, person: User, intent: Intent, vote: str) -> Any:
    return _with_token(person, intent, _body(intent, vote))


def by_changing_with_their_token(client: Client, person: User, intent: Intent, vote: str) -> Any:
    patch = [{"op": "add", "path": "/changed", "value": True}]
    return _with_token(person, intent, _body(intent, vote, changes=patch, ground="other"))


WAYS: tuple[Callable[..., Any], ...] = (
    on_the_page,
    in_a_group,
    by_changing,
    by_program_in_their_session,
    by_their_token,
    by_changing_with_their_token,
)
CHANGING = (by_changing, by_changing_with_their_token)


def _digests(intent: Intent, person: User) -> dict[str, str]:
    return {
        "digest": intent.digest,
        "verdict": intent.verdict_digest,
        "requirement": intent.requirement_digest,
        "opened": opened(intent, person),
    }


def _hand(intent: Intent, person: User) -> dict[str, str]:
    return {
        "digest": intent.digest,
        "verdict_digest": intent.verdict_digest,
        "requirement_digest": intent.requirement_digest,
        "opened": opened(intent, person),
    }


def _sent_by(client: Client, person: User, page: str, intent: Intent) -> dict[str, str]:
    """What the page would send, over what somebody who is shown no form writes by hand."""
    return {**_hand(intent, person), **_fields(client, page)}


def _fields(client: Client, page: str) -> dict[str, str]:
    return _inputs(client.get(page))


def _inputs(response: Any) -> dict[str, str]:
    found = {}
    for tag in re.findall(r'<input [^>]*type="hidden"[^>]*>', response.content.decode()):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        found[attributes.get("name", "")] = unescape(attributes.get("value", ""))
    found.pop("csrfmiddlewaretoken", None)
    found.pop("query", None)
    return found


def _body(intent: Intent, vote: str, **more: Any) -> str:
    return json.dumps({"vote": vote, "digest": intent.digest, "rationale": "x", **more})


def _with_token(person: User, intent: Intent, body: str) -> Any:
    return Client().post(
        f"/api/v1/intents/{intent.pk}/decisions",
        body,
        "application/json",
        headers={"Authorization": f"Bearer {person.token}"},
    )


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.__name__)
@pytest.mark.parametrize("role", ROLES)
def test_every_cell_is_as_stated(role, relation):
    roles.install()
    load_policy(TWO_OF_FINANCE)
    # Who changed something so that it may reach further has voted by that; what it made is for others to decide.
    votes = role in VOTERS and relation is of_a_stranger
    for way in WAYS:
        for vote in ("approve",) if way in CHANGING else ("approve", "reject"):
            person, client = somebody(role)
            intent = relation(person)
            person.is_active = ROLES[role][1].get("is_active", True)
            person.save()
            before = set(_votes_of(person))
            answer = way(client, person, intent, vote)
            assert answer.status_code < 500, answer.content
            new = [one.vote for pk, one in _votes_of(person).items() if pk not in before]
            assert new == ([vote] if votes else []), f"{way.__name__}, {vote}: {answer.status_code}"


def somebody(role: str) -> tuple[User, Client]:
    """A person of this role, signed in and with a token; still active."""
    groups, fields = ROLES[role]
    person = make_user(None, *groups, is_superuser=fields.get("is_superuser", False))
    client = Client(raise_request_exception=False)
    client.force_login(person)
    person.token = create_token(person, by=ARRANGER)[1]
    return person, client


def _votes_of(person: User) -> dict[str, Decision]:
    return Decision.objects.filter(reviewer=person, withdrawn_at=None).in_bulk()
