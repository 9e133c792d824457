"""Every route of the schema, for everyone who could knock: the table says who gets in, and a new route needs a row."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from django.contrib.auth.models import User

from audit.models import Event
from intents.models import Intent
from reviews import notes
from tests.api.conftest import Caller
from tests.factories import load_action_type, make_user
from zehrava_site.api.documentation import document

OPERATIONS = {
    operation["operationId"]: (method.upper(), path)
    for path, operations in document()["paths"].items()
    for method, operation in operations.items()
}
# The agent whose intent it is, another agent; then people by role, and one without any.
CALLERS = ("agent", "other_agent", "reviewer", "operator", "auditor", "policy_author", "stranger")
AGENTS_ONLY = (403, 403, 403, 403, 403)
DOORS: dict[str, tuple[int, ...]] = {
    "agents_me": (200, 200, *AGENTS_ONLY),
    "intents_list": (200, 200, 200, 200, 200, 200, 403),
    "intents_propose": (201, 201, *AGENTS_ONLY),
    "intents_get": (200, 404, 200, 200, 200, 200, 403),
    "intents_cancel": (200, 404, 403, 200, 403, 403, 403),
    "intents_claim": (201, 404, *AGENTS_ONLY),
    "executions_heartbeat": (200, 404, *AGENTS_ONLY),
    "executions_report": (200, 404, *AGENTS_ONLY),
    "policies_evaluate": (200, 200, 403, 403, 403, 200, 403),
    "intents_decide": (403, 403, 201, 403, 403, 403, 403),
    # Who has a say in it, and who was given the permission.
    "intents_reveal": (403, 403, 200, 200, 200, 403, 403),
    "intents_answer": (201, 404, *AGENTS_ONLY),
    # Who may look sees a queue, empty without a seat; a vote is there only for who gave it.
    "queue": (403, 403, 200, 200, 200, 200, 403),
    "decisions_withdraw": (403, 403, 200, 404, 404, 404, 403),
    # With the reviewer's address in it: for who gave the vote, and for auditors.
    "decisions_record": (403, 403, 200, 404, 200, 404, 403),
    "audit_events": (403, 403, 403, 403, 200, 403, 403),
    "audit_history": (403, 403, 403, 403, 200, 403, 403),
}
NUMBERS = itertools.count()  # two equal proposals, while pending, are one intent
TWO = (
    "name: two\nmatch: {actions: [pair.*]}\nrules:\n"
    "  - {id: both, effect: require_approval, approval: {all_of: [{group: reviewers, count: 2}]}}\n"
)


def test_every_route_has_a_row_in_the_table() -> None:
    assert set(OPERATIONS) == set(DOORS)


@pytest.fixture
def knock(agent: Caller, reviewer: Caller, policy: None, request: pytest.FixtureRequest) -> Any:
    """Prepares everything that the operation is about, owned by `agent`, and lets a caller try it."""
    from intents import documents
    from tests.api.conftest import SETUP

    def try_it(operation: str, caller: Caller) -> Any:
        method, path = OPERATIONS[operation]
        body: Any = None
        headers: dict[str, str] = {}
        names = {"model": "intent"}
        if "{intent_id}" in path or "{execution_id}" in path:
            claimable = operation == "intents_claim" or "{execution_id}" in path
            if operation == "intents_reveal":
                load_action_type("name: email.send\nsensitive: [payload.n]\n")
                body = {}
            intent = agent.propose("allowed.thing" if claimable else "email.send", {"n": next(NUMBERS)})
            names["intent_id"] = intent["id"]
            if operation == "intents_answer":
                asker = User.objects.filter(username="asker").first() or make_user("asker", "reviewers")
                question = notes.ask(Intent.objects.get(pk=intent["id"]), by=asker, text="Which?")
                body = {"question": question.pk, "text": "This one."}
            if operation == "intents_decide":
                body = {"vote": "approve", "digest": intent["digest"]}
        if "{execution_id}" in path:
            permit = agent.post(f"intents/{intent['id']}/claim").json()
            names["execution_id"] = permit["execution"]["id"]
            # Whoever calls holds the right token: it must not be enough.
            headers["Zehrava_Permit"] = permit["token"]
            body = {"outcome": "succeeded"} if operation == "executions_report" else None
        if "{decision_id}" in path:
            documents.save_policy(TWO, by=SETUP, user=None)
            intent = agent.propose("pair.programming", {"n": next(NUMBERS)})
            voted = reviewer.post(
                f"intents/{intent['id']}/decisions", {"vote": "approve", "digest": intent["digest"]}
            ).json()
            names["decision_id"] = voted["decisions"][0]["id"]
        if operation in ("intents_propose", "policies_evaluate"):
            body = {"action": "email.send", "payload": {}}
        events = Event.objects.count()
        response = caller.call(method, path.format(**names), body, **headers)
        content = response.getvalue()
        if response.status_code >= 400:
            assert Event.objects.count() == events, f"refused, and yet something was recorded: {content!r}"
        return response

    return try_it


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_each_door_opens_for_whom_the_table_names(
    knock: Any, operation: str, who: str, request: pytest.FixtureRequest
) -> None:
    response = knock(operation, request.getfixturevalue(who))
    assert response.status_code == DOORS[operation][CALLERS.index(who)], response.getvalue()


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_no_door_opens_for_nobody_a_revoked_key_or_a_suspended_agent(
    knock: Any, operation: str, anonymous: Caller, revoked_key: Caller, suspended_agent: Caller
) -> None:
    assert knock(operation, anonymous).status_code == 401
    assert knock(operation, revoked_key).status_code == 401
    assert knock(operation, suspended_agent).status_code == 403


@pytest.mark.parametrize("operation", [name for name, statuses in DOORS.items() if statuses[:2] == (403, 403)])
def test_a_reviewers_or_auditors_session_does_not_open_their_door_for_an_agents_key(
    knock: Any, operation: str, agent: Caller, reviewer: Caller, auditor: Caller
) -> None:
    for person in (reviewer, auditor):
        agent.client.force_login(person.user)
        assert knock(operation, agent).status_code == 403
