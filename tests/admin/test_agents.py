"""Registering agents, their keys and their suspension, through the admin."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import Event
from intents.models import Agent, AgentKey
from tests.factories import make_agent, make_intent, make_user

KEY = re.compile(r"zhv_[A-Za-z0-9]{43}")


def test_an_operator_registers_an_agent(operator: Client) -> None:
    owner = make_user("olivia")
    response = operator.post(
        reverse("admin:intents_agent_add"),
        {
            "name": "billing",
            "owner": owner.pk,
            "environment": "production",
            "tier": "standard",
            "description": "Refunds",
        },
        follow=True,
    )
    assert response.status_code == 200
    agent = Agent.objects.get(name="billing")
    assert response.redirect_chain == [(reverse("admin:intents_agent_change", args=[agent.pk]), 302)]
    assert "Make a key for it below" in response.content.decode() and "Make a key…" in response.content.decode()
    assert agent.owner == owner
    created = Event.objects.get(type="agent.created")
    assert (created.subject_id, created.actor_name) == (agent.pk, "operators-person")
    assert agent.history.get().actor_name == "operators-person"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Billing Agent"}, "Use 1 to 63 lower-case letters"),
        ({"name": "taken"}, "already exists"),
        ({"environment": "Prod!"}, "Use 1 to 63 lower-case letters"),
        ({"tier": "Very high"}, "Use 1 to 63 lower-case letters"),
        ({"labels": "team"}, "Line 1: write name=value."),
        ({"owner": ""}, "This field is required"),
    ],
)
def test_a_form_that_is_wrong_says_what_to_mend_and_registers_nothing(
    operator: Client, change: dict[str, Any], said: str
) -> None:
    owner = make_user("olivia")
    make_agent("taken")
    form = {
        "name": "billing",
        "owner": owner.pk,
        "environment": "production",
        "tier": "standard",
        "description": "typed text",
    } | change
    page = operator.post(reverse("admin:intents_agent_add"), form).content.decode()
    assert said in page
    assert "typed text" in page
    assert Agent.objects.count() == 1


def test_somebody_who_left_cannot_be_made_an_owner(operator: Client) -> None:
    gone = make_user("gone", is_active=False)
    form = {"name": "billing", "owner": gone.pk, "environment": "production", "tier": "standard", "description": ""}
    page = operator.post(reverse("admin:intents_agent_add"), form).content.decode()
    assert "not one of the available choices" in page
    assert not Agent.objects.exists()


def test_the_name_never_changes_and_the_rest_does(operator: Client) -> None:
    agent, _ = make_agent("billing", owner=make_user("olivia"))
    other = make_user("oscar")
    operator.post(
        reverse("admin:intents_agent_change", args=[agent.pk]),
        {"name": "renamed", "owner": other.pk, "environment": "staging", "tier": "standard", "description": ""},
    )
    agent.refresh_from_db()
    assert (agent.name, agent.owner, agent.environment) == ("billing", other, "staging")
    assert Event.objects.filter(type="agent.changed", subject_id=agent.pk).count() == 1


def test_labels_are_typed_as_lines_and_shown_as_they_were_typed(operator: Client) -> None:
    agent, _ = make_agent("billing", owner=make_user("olivia"))
    address = reverse("admin:intents_agent_change", args=[agent.pk])
    form = {"owner": agent.owner_id, "environment": "production", "tier": "trusted", "description": ""}
    operator.post(address, {**form, "labels": "team = payments\r\n\r\nregion=eu"})
    agent.refresh_from_db()
    assert (agent.tier, agent.labels) == ("trusted", {"team": "payments", "region": "eu"})
    assert "region=eu\nteam=payments" in operator.get(address).content.decode()

    said = operator.post(address, {**form, "labels": "team=ops\nBig Name=x\nnothing"}).content.decode()
    assert "Line 2:" in said and "Line 3: write name=value." in said
    assert "team=ops\nBig Name=x\nnothing" in said
    agent.refresh_from_db()
    assert agent.labels == {"team": "payments", "region": "eu"}


def test_saving_what_did_not_change_records_nothing(operator: Client) -> None:
    agent, _ = make_agent("billing", owner=make_user("olivia"))
    operator.post(
        reverse("admin:intents_agent_change", args=[agent.pk]),
        {"owner": agent.owner_id, "environment": "production", "tier": "standard", "description": ""},
    )
    assert not Event.objects.filter(type="agent.changed").exists()


def test_an_agent_of_somebody_who_left_can_still_be_edited(operator: Client) -> None:
    owner = make_user("olivia")
    agent, _ = make_agent("billing", owner=owner)
    owner.is_active = False
    owner.save()
    operator.post(
        reverse("admin:intents_agent_change", args=[agent.pk]),
        {"owner": owner.pk, "environment": "staging", "tier": "standard", "description": ""},
    )
    agent.refresh_from_db()
    assert agent.environment == "staging"


def test_a_key_is_shown_once_and_works(operator: Client) -> None:
    agent, _ = make_agent("billing")
    address = reverse("admin:intents_agent_make_key", args=[agent.pk])

    asked = operator.get(address)
    assert "Make key" in asked.content.decode()
    assert agent.keys.count() == 1

    made = operator.post(address)
    assert "no-store" in made["Cache-Control"]
    (key,) = set(KEY.findall(made.content.decode()))
    assert Client().get("/api/v1/agents/me", headers={"Authorization": f"Bearer {key}"}).json()["name"] == "billing"

    for page in (address, reverse("admin:intents_agent_change", args=[agent.pk]), reverse("admin:index")):
        shown = operator.get(page)
        assert key not in shown.content.decode()
        assert key not in str(operator.cookies)
    assert key not in str(dict(operator.session))
    assert not Event.objects.filter(line__contains=key).exists()
    assert key[:12] in operator.get(reverse("admin:intents_agent_change", args=[agent.pk])).content.decode()


def test_a_revoked_key_is_refused_at_once(operator: Client) -> None:
    agent, key = make_agent("billing")
    row = agent.keys.get()
    address = reverse("admin:intents_agent_revoke_key", args=[agent.pk, row.pk])
    bearer = {"Authorization": f"Bearer {key}"}

    operator.get(address)
    assert Client().get("/api/v1/agents/me", headers=bearer).status_code == 200
    operator.post(address)
    assert Client().get("/api/v1/agents/me", headers=bearer).status_code == 401
    assert Event.objects.filter(type="agent_key.revoked").count() == 1

    operator.post(address)
    assert Event.objects.filter(type="agent_key.revoked").count() == 1


def test_a_key_cannot_be_revoked_through_another_agents_page(operator: Client) -> None:
    agent, _ = make_agent("billing")
    other, _ = make_agent("mailer")
    address = reverse("admin:intents_agent_revoke_key", args=[other.pk, agent.keys.get().pk])
    assert operator.post(address).status_code == 404
    assert not agent.keys.get().is_revoked


def test_a_suspended_agent_is_refused_until_it_is_resumed(operator: Client) -> None:
    agent, key = make_agent("billing")
    bearer = {"Authorization": f"Bearer {key}"}
    suspend, resume = (reverse(f"admin:intents_agent_{verb}", args=[agent.pk]) for verb in ("suspend", "resume"))

    operator.get(suspend)
    assert Client().get("/api/v1/agents/me", headers=bearer).status_code == 200
    operator.post(suspend)
    assert Client().get("/api/v1/agents/me", headers=bearer).status_code == 403
    operator.get(resume)
    assert Client().get("/api/v1/agents/me", headers=bearer).status_code == 403
    operator.post(resume)
    assert Client().get("/api/v1/agents/me", headers=bearer).status_code == 200


def test_acting_without_a_csrf_token_does_nothing(operator: Client) -> None:
    agent, _ = make_agent("billing")
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    for page in ("make_key", "suspend"):
        assert strict.post(reverse(f"admin:intents_agent_{page}", args=[agent.pk])).status_code == 403
    agent.refresh_from_db()
    assert not agent.is_suspended
    assert agent.keys.count() == 1


def test_who_may_only_look_finds_no_button_and_no_door(sign_in: Any) -> None:
    agent, _ = make_agent("billing")
    reviewer = sign_in("reviewers")
    page = reviewer.get(reverse("admin:intents_agent_change", args=[agent.pk])).content.decode()
    assert "billing" in page
    assert "Suspend" not in page
    assert "Make a key" not in page
    assert 'name="_save"' not in page
    for name, args in (
        ("make_key", [agent.pk]),
        ("suspend", [agent.pk]),
        ("resume", [agent.pk]),
        ("revoke_key", [agent.pk, agent.keys.get().pk]),
    ):
        assert reviewer.post(reverse(f"admin:intents_agent_{name}", args=args)).status_code == 403
    change = reverse("admin:intents_agent_change", args=[agent.pk])
    assert reviewer.post(change, {"owner": agent.owner_id, "environment": "staging"}).status_code == 403
    assert AgentKey.objects.filter(revoked_at=None).count() == 1


def test_no_agent_is_ever_deleted(sign_in: Any) -> None:
    agent, _ = make_agent("billing")
    root = sign_in(make_user("root", is_superuser=True))
    assert root.post(reverse("admin:intents_agent_delete", args=[agent.pk]), {"post": "yes"}).status_code == 403
    assert Agent.objects.filter(pk=agent.pk).exists()


def test_posting_an_old_row_of_history_brings_nothing_back(sign_in: Any) -> None:
    agent, _ = make_agent("billing", environment="staging")
    row = agent.history.first().history_id
    address = reverse("admin:intents_agent_simple_history", args=[agent.pk, row])
    for client in (sign_in("reviewers"), sign_in(make_user("root", is_superuser=True))):
        form = {"owner": agent.owner_id, "environment": "production", "tier": "standard", "description": "reverted"}
        assert client.post(address, form).status_code == 403
        assert client.get(address).status_code == 302
    agent.refresh_from_db()
    assert agent.environment == "staging"


def test_the_history_of_an_agent_names_who_did_what(operator: Client) -> None:
    agent, _ = make_agent("billing")
    operator.post(reverse("admin:intents_agent_suspend", args=[agent.pk]))
    page = operator.get(reverse("admin:intents_agent_history", args=[agent.pk])).content.decode()
    assert "operators-person" in page
    assert "arranger" in page


def test_the_list_shows_keys_status_and_the_last_proposal_in_few_queries(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        _, key = make_agent()
        make_intent(key)
    address = reverse("admin:intents_agent_changelist")
    operator.get(address)
    with django_assert_max_num_queries(12):
        page = operator.get(address).content.decode()
    assert page.count("Active") >= 3


def test_hostile_descriptions_are_escaped(operator: Client) -> None:
    agent, _ = make_agent("billing", description="<script>alert(1)</script>")
    page = operator.get(reverse("admin:intents_agent_change", args=[agent.pk])).content.decode()
    assert "<script>alert(1)" not in page


def test_the_page_of_an_agent_says_what_it_did_and_how_often_people_agreed(db: None) -> None:
    from django.test import Client

    from intents.agent_record import record_of
    from intents.models import Agent
    from reviews.decisions import decide
    from tests.factories import allow, load_policy, make_agent, make_intent, make_user

    agent, key = make_agent("record-keeper")
    allow("a.b")
    load_policy("name: stops\nmatch: {actions: [c.d]}\nrules: [{id: never, effect: block}]\n")
    rita = make_user("rita", "reviewers")
    asked = [make_intent(key, payload={"n": n}) for n in range(4)]
    for intent, vote in zip(asked, ("approve", "approve", "reject"), strict=False):
        decide(intent.pk, by=rita, vote=vote, digest=intent.digest, rationale="Because.")
    make_intent(key, action="a.b")
    make_intent(key, action="c.d")
    make_intent(make_agent("another")[1], action="a.b")

    record = record_of(Agent.objects.get(pk=agent.pk), make_user(is_superuser=True))

    found = (record.proposed, record.asked, record.approved, record.rejected, record.blocked, record.waiting)
    assert found == (6, 4, 2, 1, 1, 1)
    assert record.approval_rate == 67
    client = Client()
    client.force_login(make_user("root", is_superuser=True))
    page = client.get(f"/admin/intents/agent/{agent.pk}/change/").content.decode()
    assert "67 %" in page and "2 approved, 1 rejected" in page
    import re

    for link in re.findall(r'href="(/admin/intents/intent/\?agent[^"]+)"', page):
        assert client.get(link.replace("&amp;", "&")).status_code == 200
