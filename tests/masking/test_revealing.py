"""Who reveals what is masked, for how long, and that it is on record: of everybody, in the decision too."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from audit.actors import Actor
from audit.models import Event
from intents import masking
from intents.models import Intent
from reviews import revealing
from reviews.decision_record import record_of
from reviews.decisions import decide
from reviews.models import Decision
from reviews.tokens import create_token
from tests.clocks import held_clock
from tests.factories import load_action_type, load_policy, make_intent, make_user, opened
from tests.masking.conftest import ACTION_TYPE, EMAIL, IBAN, PATHS, PAYLOAD, POLICY, SECRETS, leaks


def page(client: Client, intent: Intent, name: str = "change") -> str:
    return client.get(f"/admin/intents/intent/{intent.pk}/{name}/").content.decode()


def reveal(client: Client, intent: Intent) -> int:
    return client.post(f"/admin/intents/intent/{intent.pk}/reveal/").status_code


def post(program: Client, intent: Intent) -> Any:
    return program.post(f"/api/v1/intents/{intent.pk}/reveal", {}, content_type="application/json")


def revealed() -> list[tuple[str, str, dict]]:
    events = Event.objects.filter(type="reveal.made").order_by("id")
    return [(each.actor_name, each.intent_id, json.loads(each.line)["facts"]) for each in events]


def test_it_is_shown_to_who_revealed_it_alone_and_is_on_record(world, signed_in):
    fred, george = signed_in(world.fred), signed_in(make_user("george", "finance", "reviewers"))
    assert reveal(fred, world.intent) == 302
    assert leaks(page(fred, world.intent)) == leaks(page(fred, world.intent, "raw")) == list(SECRETS)
    assert "You revealed what others see masked" in page(fred, world.intent)
    assert leaks(page(george, world.intent)) == []
    assert leaks(fred.get("/admin/").content.decode()) == []
    assert revealed() == [("fred", world.intent.pk, {"digest": world.intent.digest, "paths": PATHS})]


def test_another_intent_like_it_stays_masked(world, signed_in):
    other = make_intent(world.key, action="payout.send", payload={**PAYLOAD, "amount": "5.00"})
    client = signed_in(world.fred)
    reveal(client, world.intent)
    assert leaks(page(client, other)) == []


def test_after_ten_minutes_it_is_masked_again(world, signed_in):
    client = signed_in(world.fred)
    with held_clock() as clock:
        intent = make_intent(world.key, action="payout.send", payload={**PAYLOAD, "amount": "5.00"}, expires_in="2h")
        revealing.reveal(intent, by=world.fred)
        clock.forward(seconds=revealing.LASTS.total_seconds() - 1)
        assert leaks(page(client, intent))
        clock.forward(seconds=1)
        assert leaks(page(client, intent)) == []


def test_a_change_makes_something_else_of_it_that_is_masked_again(world, signed_in):
    client = signed_in(world.fred)
    reveal(client, world.intent)
    change = [{"op": "replace", "path": "/amount", "value": "1.00"}]
    george = make_user("george", "finance")
    revealing.reveal(world.intent, by=george)
    decide(
        world.intent.pk,
        by=george,
        vote="approve",
        digest=world.intent.digest,
        changes=change,
        rationale="less",
    )
    assert leaks(page(client, world.intent)) == []


@pytest.mark.parametrize(
    ("who", "may"), [("fred", True), ("vera", False), ("audrey", True), ("olivia", False), ("otto", True)]
)
def test_who_may(world, signed_in, who, may):
    from django.contrib.auth.models import User

    make_user("otto", "operators")
    person = User.objects.get(username=who)
    client = signed_in(person)
    token = create_token(person, by=Actor.person(person))[1]
    program = Client(headers={"Authorization": f"Bearer {token}"})
    reveal(client, world.intent)
    answer = post(program, world.intent)
    if not may:
        assert answer.status_code in (403, 404) and leaks(answer.content.decode()) == []
        assert revealed() == []
        return
    assert answer.status_code == 200 and answer.json()["payload"] == PAYLOAD
    assert answer.json()["masked"] == []
    assert [name for name, *_ in revealed()] == [who, who]
    # An answer is revealed once: others stay masked.
    assert leaks(program.get(f"/api/v1/intents/{world.intent.pk}").content.decode()) == []


def test_who_may_break_the_glass_is_told_on_that_page_and_may_look(world, signed_in):
    eva = make_user("eva", "reviewers")
    eva.user_permissions.add(Permission.objects.get(codename="break_glass", content_type__app_label="reviews"))
    client = signed_in(eva)
    told = page(client, world.intent, "glass")
    assert "payload.account" in told and "are masked. Reveal that on" in told and leaks(told) == []
    assert reveal(client, world.intent) == 302
    shown = page(client, world.intent, "glass")
    assert "masked. Reveal" not in shown and IBAN in shown


def test_an_agent_reveals_nothing(world):
    agent = Client(headers={"Authorization": f"Bearer {world.key}"})
    assert post(agent, world.intent).status_code == 403
    assert revealed() == []


def test_a_get_reveals_nothing_and_neither_does_a_post_without_the_token_of_the_form(world, signed_in):
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.fred)
    assert client.get(f"/admin/intents/intent/{world.intent.pk}/reveal/").status_code == 302
    assert client.post(f"/admin/intents/intent/{world.intent.pk}/reveal/").status_code == 403
    assert revealed() == []


def test_what_has_nothing_masked_has_nothing_to_reveal(world, signed_in):
    plain = make_intent(world.key, action="other.action")
    assert reveal(signed_in(make_user("rita", "reviewers")), plain) == 409
    assert revealed() == []


# --- decisions ------------------------------------------------------------------------------------------------------


def test_the_record_of_a_decision_says_what_its_reviewer_never_saw(world, signed_in):
    blind = decide(world.intent.pk, by=world.fred, vote="approve", digest=world.intent.digest)
    assert record_of(blind)["masked"] == PATHS == Decision.objects.get(pk=blind.pk).masked
    other = make_intent(world.key, action="payout.send", payload={**PAYLOAD, "amount": "5.00"})
    revealing.reveal(other, by=world.fred)
    seeing = decide(other.pk, by=world.fred, vote="approve", digest=other.digest)
    assert "masked" not in record_of(seeing)
    assert f"{', '.join(PATHS)}: not revealed" in page(signed_in(world.vera), world.intent)
    assert "not revealed" not in page(signed_in(world.vera), other)


def test_a_masked_payload_is_not_changed_on_the_page_before_it_is_revealed(world, signed_in):
    client = signed_in(world.fred)
    assert client.get(f"/admin/intents/intent/{world.intent.pk}/edit/").status_code == 302
    sent = {"step": "look", "value-0": "x", "digest": world.intent.digest}
    assert client.post(f"/admin/intents/intent/{world.intent.pk}/edit/", sent).status_code == 302
    reveal(client, world.intent)
    assert IBAN in page(client, world.intent, "edit")


def test_approving_from_the_masked_page_approves_what_runs(world, signed_in):
    client = signed_in(world.fred)
    sent = {
        "vote": "approve",
        "digest": world.intent.digest,
        "verdict_digest": world.intent.verdict_digest,
        "requirement_digest": world.intent.requirement_digest,
        "opened": opened(world.intent, world.fred),
    }
    client.post(f"/admin/intents/intent/{world.intent.pk}/decide/", sent)
    stored = Intent.objects.get(pk=world.intent.pk)
    assert stored.status == "approved" and stored.payload == PAYLOAD and stored.digest == world.intent.digest


def test_the_signed_record_of_a_change_is_read_by_who_revealed_the_intent(world):
    change = [{"op": "replace", "path": "/account/iban", "value": IBAN[:-1] + "1"}]
    revealing.reveal(world.intent, by=world.fred)
    made = decide(
        world.intent.pk, by=world.fred, vote="approve", digest=world.intent.digest, changes=change, rationale="typo"
    )
    program = Client(
        headers={"Authorization": f"Bearer {create_token(world.audrey, by=Actor.person(world.audrey))[1]}"}
    )
    refused = program.get(f"/api/v1/decisions/{made.pk}/record")
    assert refused.status_code == 403 and "Reveal the intent first" in refused.json()["detail"]
    assert post(program, world.intent).status_code == 200
    assert program.get(f"/api/v1/decisions/{made.pk}/record").status_code == 200


def test_what_a_change_took_out_is_revealed_as_what_stands_there(world):
    change = [{"op": "remove", "path": "/account"}, {"op": "add", "path": "/people/0/email", "value": None}]
    change += [{"op": "remove", "path": "/people/0/notes"}, {"op": "replace", "path": "/amount", "value": "1.00"}]
    change += [{"op": "add", "path": "/account", "value": IBAN}, {"op": "remove", "path": "/account"}]
    revealing.reveal(world.intent, by=world.fred)
    made = decide(
        world.intent.pk, by=world.fred, vote="approve", digest=world.intent.digest, changes=change, rationale="less"
    )
    audrey = Client(headers={"Authorization": f"Bearer {create_token(world.audrey, by=Actor.person(world.audrey))[1]}"})
    shown = audrey.get(f"/api/v1/intents/{world.intent.pk}")
    assert leaks(shown.content.decode()) == [] and shown.json()["masked"] == PATHS
    assert audrey.get(f"/api/v1/decisions/{made.pk}/record").status_code == 403
    assert leaks(post(audrey, world.intent).content.decode()) == list(SECRETS)
    assert audrey.get(f"/api/v1/decisions/{made.pk}/record").status_code == 200


# --- masks and what runs ---------------------------------------------------------------------------------------------


def test_what_is_masked_is_never_what_is_judged_hashed_or_executed(world):
    before = world.intent.canonical, world.intent.digest, world.intent.payload
    masking.document(world.intent), masking.text(world.intent)
    assert (world.intent.canonical, world.intent.digest, world.intent.payload) == before
    assert world.intent.verdict["rule"] == "german" and EMAIL in world.intent.target


def test_two_that_differ_only_behind_the_mask_are_told_apart(world, signed_in):
    load_policy(POLICY.replace("finance}", "finance, count: 2}"))
    for number in range(3):
        make_intent(
            world.key, action="payout.send", payload={**PAYLOAD, "account": {"iban": f"DE8937040044053201300{number}"}}
        )
    desk = signed_in(world.fred).get("/admin/").content.decode()
    assert "differ in" in desk and "DE89370400440532" not in desk


def test_a_type_that_becomes_sensitive_masks_what_is_proposed_from_then_on(world, signed_in):
    load_action_type("name: late.send\ntitle: Late\n")
    before = make_intent(world.key, action="late.send", payload={"account": IBAN})
    load_action_type("name: late.send\ntitle: Late\nsensitive: [payload.account]\n")
    after = make_intent(world.key, action="late.send", payload={"account": IBAN})
    client = signed_in(make_user("rita", "reviewers"))
    assert leaks(page(client, before)) and leaks(page(client, after)) == []


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ("[]", "must be a list of paths"),
        ("payload.account", "must be a list of paths"),
        ("[account]", "must be a path such as payload.card"),
        ("[payload]", "all of it cannot be masked"),
        ("[payload.a, payload.a]", "stands here twice"),
        ("[1]", "must be a path"),
    ],
)
def test_what_cannot_be_masked_is_refused_where_the_type_is_loaded(paths, said):
    from zehrava.action_types import ActionType
    from zehrava.policy.errors import ActionTypeError

    with pytest.raises(ActionTypeError, match=said):
        ActionType.parse(f"name: a.b\nsensitive: {paths}\n")
    assert ActionType.parse(ACTION_TYPE).sensitive[0] == ("account",)


def test_the_window_is_ten_minutes():
    # docs/reviewers.md says so.
    assert timedelta(minutes=10) == revealing.LASTS
