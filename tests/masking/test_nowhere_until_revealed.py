"""What an action type marks sensitive stands on no page, in no mail and in no export, until somebody reveals it."""

from __future__ import annotations

import json
import re

import pytest
from django.core import mail
from django.test import Client

from audit import exports
from audit.actors import Actor
from audit.filters import Filters
from audit.models import Content
from intents import execution
from intents.models import Intent
from reviews import revealing
from reviews.decisions import decide
from reviews.notifications import following, sending
from reviews.tokens import create_token
from tests.desk.test_every_page import addresses, filled
from tests.factories import in_force_as, make_intent, make_user
from tests.masking.conftest import EMAIL, IBAN, NOTE, PATHS, PAYLOAD, SECRETS, World, leaks
from zehrava.sensitive import SHOWN

HERE = ("change", "history", "raw", "similar", "before", "edit", "glass", "follow")


def pages_of(intent: Intent) -> list[str]:
    return [f"/admin/intents/intent/{intent.pk}/{page}/" for page in HERE]


@pytest.fixture
def lived(world: World) -> World:
    """The intent, another like it, one that was changed and decided, and one that ran and said what it did."""
    for number in range(2):
        make_intent(world.key, action="payout.send", payload={**PAYLOAD, "amount": f"{number}.00"})
    changed = make_intent(world.key, action="payout.send", payload={**PAYLOAD, "amount": "9.00"})
    account = [{"op": "replace", "path": "/account/iban", "value": IBAN[:-1] + "1"}]
    revealing.reveal(changed, by=world.fred)
    decide(changed.pk, by=world.fred, vote="approve", digest=changed.digest, changes=account, rationale="another one")
    ran = make_intent(world.key, action="payout.send", payload={**PAYLOAD, "amount": "8.00"})
    decide(ran.pk, by=world.fred, vote="approve", digest=ran.digest)
    agent = in_force_as(world.key)
    started, permit = execution.claim(ran.pk, agent=agent)
    execution.report(started.pk, agent=agent, token=permit, outcome="succeeded", result={"sent": [f"to {IBAN}", EMAIL]})
    make_intent(
        world.key, action="payout.send", payload={**PAYLOAD, "account": {"iban": IBAN}}, supersedes=world.intent.pk
    )
    return world


def test_no_page_of_the_admin_shows_it_to_anybody(lived, signed_in):
    read = 0
    for person in (lived.fred, make_user("root", is_superuser=True)):
        client = signed_in(person)
        client.raise_request_exception = False
        found = [filled(route) for route in addresses()]
        found += [page for intent in Intent.objects.all() for page in pages_of(intent)]
        found += [f"/admin/?tab={tab}&view={view}" for tab in ("mine", "groups", "all") for view in ("cards", "table")]
        found += [f"/admin/alike/{intent.alike}/" for intent in Intent.objects.exclude(alike="")]
        for model in ("intents/execution", "audit/event", "intents/intent"):
            listed = re.findall(rf'"/admin/{model}/([^/"?]+)/change/', client.get(f"/admin/{model}/").content.decode())
            found += [f"/admin/{model}/{row}/change/" for row in listed]
        for address in found:
            answer = client.get(address)
            if answer.status_code == 200:
                read += 1
                assert leaks(b"".join(answer).decode()) == [], (person.username, address)
    assert read > 150


def test_the_pages_say_that_something_is_masked_and_still_show_the_rest(world, signed_in):
    page = signed_in(world.fred).get(f"/admin/intents/intent/{world.intent.pk}/change/").content.decode()
    assert "payload.people.*.email" in page and "are masked" in page and "Reveal, on record" in page
    assert (
        "Pay 120.00 to \u25cf\u25cf\u25cf\u25cf" in page
        and "not given" not in page
        and "Carla" in page
        and '<span class="zhv-chip is-mask"' in page
    )
    # Bound to what runs, not to what is drawn of it.
    assert world.intent.digest in page


def test_no_answer_of_the_api_to_a_person_has_it_and_those_to_the_agent_do(lived):
    client = Client(headers={"Authorization": f"Bearer {create_token(lived.fred, by=Actor.person(lived.fred))[1]}"})
    decided = json.dumps(
        client.post(
            f"/api/v1/intents/{Intent.objects.filter(status='pending_approval').first().pk}/decisions",
            {"vote": "reject", "digest": Intent.objects.filter(status="pending_approval").first().digest,
             "rationale": "no"},
            content_type="application/json",
        ).json()
    )  # fmt: skip
    texts = [
        decided,
        client.get("/api/v1/intents?limit=50").content.decode(),
        client.get("/api/v1/queue").content.decode(),
    ]
    texts += [client.get(f"/api/v1/intents/{intent.pk}").content.decode() for intent in Intent.objects.all()]
    assert [leaks(text) for text in texts] == [[]] * len(texts)
    one = client.get(f"/api/v1/intents/{lived.intent.pk}").json()
    assert one["masked"] == PATHS
    assert one["payload"]["people"][0]["name"] == "Carla" and one["digest"] == lived.intent.digest
    agent = Client(headers={"Authorization": f"Bearer {lived.key}"})
    assert agent.get(f"/api/v1/intents/{lived.intent.pk}").json()["payload"] == PAYLOAD


def test_no_mail_and_no_message_has_it(world, settings):
    following.begin()
    world.fred.email = world.vera.email = "someone@example.com"
    world.fred.save()
    make_intent(world.key, action="payout.send", payload={**PAYLOAD, "amount": "77.00"}, summary=f"to {IBAN}")
    following.follow()
    sending.send_due()
    told = [
        part for message in mail.outbox for part in (message.subject, message.body, *map(str, message.alternatives))
    ]
    assert any("77.00" in part for part in told)
    assert [leaks(part) for part in told] == [[]] * len(told)


def test_no_export_has_it_and_each_event_still_commits_to_what_is_withheld(lived):
    revealing.reveal(lived.intent, by=lived.fred)
    for name in exports.datasets():
        for format in exports.FORMATS:
            text = b"".join(exports.stream(exports.dataset(name), format, Filters())).decode()
            assert leaks(text) == [], (name, format)
    contents = [
        json.loads(line)
        for line in b"".join(exports.stream(exports.dataset("contents"), "ndjson", Filters())).splitlines()
    ]
    withheld = [one for one in contents if one["withheld"]]
    # The change, and what the execution said.
    assert len(withheld) == 2 and {(one["salt"], one["body"]) for one in withheld} == {(None, None)}
    assert any(IBAN[:-1] in body for body in Content.objects.filter(sensitive=True).values_list("body", flat=True))
    assert [one for one in contents if one["body"] and "another one" in one["body"]]


@pytest.mark.parametrize(
    "payload",
    [
        {"account": IBAN, "people": []},
        {"account": [IBAN, [IBAN]], "people": [{"email": [EMAIL]}]},
        {"account": {IBAN: {"deep": [{"deeper": EMAIL}]}}, "people": {"email": EMAIL, "x": {"notes": NOTE}}},
        {"people": [[{"email": EMAIL}], EMAIL]},
        {"people": EMAIL},
        [{"account": IBAN}, {"people": [{"notes": {"a": NOTE}}]}],
        f"{IBAN} {EMAIL} {NOTE}",
    ],
    ids=str,
)
def test_a_payload_of_another_shape_hides_nothing_from_the_mask(world, signed_in, payload):
    intent = make_intent(world.key, action="payout.send", payload=payload)
    client = signed_in(world.fred)
    for address in pages_of(intent):
        answer = client.get(address)
        if answer.status_code == 200:
            assert leaks(answer.content.decode()) == [], address


def test_a_text_that_looks_like_a_mask_is_none(world, signed_in):
    intent = make_intent(world.key, action="other.action", payload={"card": "\u25cf\u25cf\u25cf\u25cf", "b": "masked"})
    page = signed_in(world.fred).get(f"/admin/intents/intent/{intent.pk}/change/").content.decode()
    assert "is-mask" not in page and "Reveal, on record" not in page


def test_each_secret_is_really_in_what_would_leak(world):
    assert all(secret in world.intent.canonical for secret in SECRETS)
    # What a rule says is told masked where it is said, to its agent too.
    assert world.intent.verdict["reason"] == f"paid to {SHOWN}, which is {SHOWN}'s"


def test_nobody_finds_it_by_what_is_masked(world, signed_in):
    client = signed_in(world.fred)
    assert world.intent.pk in client.get("/admin/?q=payout").content.decode()
    for words in (IBAN, IBAN[:6], "divorce", "carla.private"):
        page = client.get(f"/admin/?tab=groups&q={words}").content.decode()
        assert world.intent.pk not in page, words
