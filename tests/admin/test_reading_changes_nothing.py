"""A GET on any page of agents, rules, executions and tokens changes nothing, whoever sends it."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.actors import Actor
from intents.models import ActionType, Execution, Policy
from reviews.tokens import create_token
from tests.factories import load_action_type, load_policy, make_agent, make_delegation, make_intent, make_user

# What joins two readings begins with a bracket on PostgreSQL.
READS = ("SELECT", "(SELECT", "SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "PRAGMA", "DECLARE")


def pages() -> list[str]:
    load_policy("name: allow-it\nmatch: {actions: [support.reply]}\nrules: [{id: all, effect: allow}]\n")
    load_action_type("name: support.reply\nexecutor: noop\n")
    agent, key = make_agent("billing")
    intent = make_intent(key, action="support.reply", payload={"x": "<b>"})
    execution = Execution.objects.get(intent=intent)
    token, _ = create_token(make_user(), by=Actor.system("tests"))
    policy, action_type = "admin:intents_policy", "admin:intents_actiontype"
    document, kind = Policy.objects.get().pk, ActionType.objects.get().pk
    addresses = [reverse(f"admin:intents_{name}_add") for name in ("agent", "policy", "actiontype")]
    addresses += [
        reverse(f"admin:{name}_changelist")
        for name in (
            "intents_agent",
            "intents_policy",
            "intents_actiontype",
            "intents_execution",
            "reviews_personaltoken",
            "reviews_delegation",
        )
    ]
    for name in ("change", "history", "make_key", "suspend", "resume"):
        addresses.append(reverse(f"admin:intents_agent_{name}", args=[agent.pk]))
    addresses.append(reverse("admin:intents_agent_revoke_key", args=[agent.pk, agent.keys.get().pk]))
    for prefix, pk in ((policy, document), (action_type, kind)):
        addresses += [reverse(f"{prefix}_{name}", args=[pk]) for name in ("change", "history", "disable")]
        addresses += [reverse(f"{prefix}_{name}", args=[pk, 1]) for name in ("version", "activate")]
    addresses += [reverse(f"admin:intents_execution_{name}", args=[execution.pk]) for name in ("change", "history")]
    addresses += [reverse(f"admin:reviews_personaltoken_{name}", args=[token.pk]) for name in ("change", "revoke")]
    addresses.append(reverse("admin:reviews_personaltoken_add"))
    delegation = make_delegation(make_user(), make_user())
    addresses += [
        reverse(f"admin:reviews_delegation_{name}", args=[delegation.pk]) for name in ("change", "history", "revoke")
    ]
    addresses.append(reverse("admin:reviews_delegation_add"))
    return addresses


@pytest.mark.parametrize("who", ["superuser", "reviewers", "policy_authors", "operators", "auditors", "administrators"])
def test_reading_changes_nothing_and_no_page_errs(sign_in: Any, who: str) -> None:
    client = sign_in(make_user("root", is_superuser=True) if who == "superuser" else who)
    for address in pages():
        for method in (client.get, client.head):
            with CaptureQueriesContext(connection) as queries:
                response = method(address)
            # The admin sends who may not see a thing back to the first page.
            allowed = {200} if who == "superuser" else {200, 302, 403, 404}
            assert response.status_code in allowed, f"{address}: {response.status_code}"
            writes = [query["sql"] for query in queries if not query["sql"].lstrip().upper().startswith(READS)]
            assert not writes, f"{address} wrote: {writes}"
