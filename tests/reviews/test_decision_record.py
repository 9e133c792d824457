"""The record of a decision: what stands in it, that nobody can change it, and that it holds without the portal."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from audit import clock
from audit.models import Event, SigningKey
from intents.models import Intent, Status
from reviews.circumstances import Origin
from reviews.decision_record import record_of, unlike_their_digests
from reviews.decisions import decide
from reviews.models import Decision, Door
from reviews.presentation import RENDERING
from reviews.tokens import create_token
from tests.docs.reading import blocks
from tests.factories import ARRANGER, load_policy, make_agent, make_intent, make_user, opened
from zehrava import canonical
from zehrava.problems import Problem
from zehrava_site import roles

pytestmark = pytest.mark.django_db
TWO = (
    "name: careful\nmatch: {actions: ['a.b']}\n"
    "rules: [{id: pair, effect: require_approval, approval: {all_of: [{group: finance}, {group: security}]}}]\n"
)


@pytest.fixture(autouse=True)
def _keys(settings, tmp_path):
    roles.install()
    settings.ZEHRAVA_SIGNING_KEYS_FOLDER = tmp_path / "keys"


@pytest.fixture
def rita():
    return make_user("rita", "reviewers")


@pytest.fixture
def intent():
    return make_intent(payload={"n": 1})


def browser(person, address="203.0.113.5") -> Client:
    client = Client(REMOTE_ADDR=address)
    client.force_login(person)
    return client


def form(intent, person, vote="approve", **changes) -> dict[str, str]:
    bound = {name: getattr(intent, name) for name in ("digest", "verdict_digest", "requirement_digest")}
    bound |= {"opened": opened(intent, person), "seen": "yes", "vote": vote, "rationale": "looked at it"}
    return {**bound, "ground": "other" if vote == "reject" else "", **changes}


def send(client, intent, sent, door="decide"):
    return client.post(reverse(f"admin:intents_intent_{door}", args=[intent.pk]), sent)


def record() -> dict:
    return record_of(Decision.objects.get())


def test_a_decision_on_the_page_says_by_which_rule_for_which_seat_from_where_and_how_it_was_read():
    load_policy(TWO)
    intent, fiona = make_intent(action="a.b"), make_user("fiona", "finance", "reviewers")
    send(browser(fiona), intent, form(intent, fiona, opened=opened(intent, fiona, at=clock.now() - timedelta(hours=1))))
    made = record()
    assert made["version"] == 5
    assert made["policy"] == {"name": "careful", "version": 1, "rule": "pair"}
    assert made["rendering"] == RENDERING
    assert made["stage"] == "finance"
    assert made["from"] == {"door": "desk", "address": "203.0.113.5"}
    assert made["page"]["open_seconds"] in range(3600, 3660)
    assert made["page"]["whole_payload_seen"] is True
    decision = Decision.objects.get()
    assert decision.record_digest == canonical.digest(canonical.dumps(made))
    assert not list(unlike_their_digests())


def test_a_page_whose_end_was_never_in_sight_says_so(rita, intent):
    send(browser(rita), intent, form(intent, rita, seen=""))
    assert record()["page"]["whole_payload_seen"] is False


def test_a_rejection_counts_for_no_seat(rita, intent):
    send(browser(rita), intent, form(intent, rita, vote="reject"))
    assert record()["stage"] is None


def test_an_auditor_verifies_a_record_with_the_published_keys_alone(rita, intent, client, tmp_path):
    """The recipe of docs/auditors.md, as it stands there: two files, `cryptography`, and nothing of ours."""
    send(browser(rita), intent, form(intent, rita))
    auditor = browser(make_user("anna", "auditors"))
    shown = auditor.get(f"/api/v1/intents/{intent.pk}").json()["decisions"][0]
    answer = auditor.get(f"/api/v1/decisions/{shown['id']}/record")
    assert answer.headers["Content-Type"] == "application/jose"
    (tmp_path / "decision.jws").write_bytes(answer.content)
    (tmp_path / "jwks.json").write_bytes(client.get("/.well-known/jwks.json").content)
    [recipe] = [block for block in blocks("docs/auditors.md") if "Ed25519PublicKey" in block.text]

    def verified() -> subprocess.CompletedProcess[str]:
        alone = {"PATH": os.environ["PATH"]}
        command = [sys.executable, "-c", recipe.text]
        return subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)

    assert verified().stdout == f"rita approve {intent.digest}\n"
    header, payload, signature = answer.content.decode().split(".")
    record = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    assert shown["record_digest"] == "sha256:" + hashlib.sha256(record).hexdigest()
    assert shown["signature"] == f"{header}..{signature}"
    other = base64.urlsafe_b64encode(record.replace(b"rita", b"root")).decode().rstrip("=")
    (tmp_path / "decision.jws").write_text(f"{header}.{other}.{signature}")
    assert "InvalidSignature" in verified().stderr


def test_through_the_api_there_was_no_page(rita, intent):
    token = create_token(rita, by=ARRANGER)[1]
    headers = {"authorization": f"Bearer {token}"}
    body = {"vote": "approve", "digest": intent.digest}
    door = f"/api/v1/intents/{intent.pk}/decisions"
    client = Client(REMOTE_ADDR="2001:DB8::7")
    assert client.post(door, body, content_type="application/json", headers=headers).status_code == 201
    assert record()["page"] is None
    assert record()["from"] == {"door": "api", "address": "2001:db8::7"}
    assert not list(unlike_their_digests())


@pytest.mark.parametrize(
    ("proxies", "told", "address"),
    [
        (0, "198.51.100.7", "203.0.113.5"),
        (1, "192.0.2.1, 198.51.100.7", "198.51.100.7"),
        (2, "198.51.100.7", "203.0.113.5"),
        (1, "no address", "203.0.113.5"),
    ],
)
def test_only_proxies_of_ones_own_are_believed(rita, intent, settings, proxies, told, address):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    client = browser(rita)
    client.post(
        reverse("admin:intents_intent_decide", args=[intent.pk]),
        form(intent, rita),
        headers={"x-forwarded-for": told},
    )
    assert record()["from"]["address"] == address


def forgeries(intent: Intent, rita) -> dict[str, str]:
    other = make_intent(payload={"n": 2})
    mine = opened(intent, rita)
    return {
        "none": "",
        "another person's": opened(intent, make_user("other", "reviewers")),
        "another intent's": opened(other, rita, digest=intent.digest),
        "of what it was before": opened(intent, rita, digest=other.digest),
        "tampered with": mine[:-1] + ("A" if mine[-1] != "A" else "B"),
        "no text of ours": "!",
    }


@pytest.mark.parametrize(
    "which",
    ["none", "another person's", "another intent's", "of what it was before", "tampered with", "no text of ours"],
)
def test_a_page_that_was_never_shown_decides_nothing(rita, intent, which):
    sent = form(intent, rita, opened=forgeries(intent, rita)[which])
    answer = send(browser(rita), intent, sent)
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "Read the intent again on a fresh page" in page
    assert "looked at it" in page
    assert not Decision.objects.exists()
    assert Intent.objects.get(pk=intent.pk).status == Status.PENDING_APPROVAL


def test_a_page_drawn_once_more_keeps_when_it_was_opened_first(rita, intent):
    first = opened(intent, rita, at=clock.now() - timedelta(minutes=5))
    answer = send(browser(rita), intent, form(intent, rita, vote="reject", rationale="", opened=first))
    assert f'name="opened" value="{first}"' in answer.content.decode()
    assert 'name="seen" value="yes"' in answer.content.decode()


def test_a_change_says_that_it_is_one_and_what_was_shown_before(rita):
    from tests.desk.test_change_page import form_of

    intent, client = make_intent(payload={"n": 1}), browser(rita)
    edit = reverse("admin:intents_intent_edit", args=[intent.pk])
    typed = form_of(client.get(edit))
    look = client.post(edit, {**typed, "value-0": "2", "step": "look", "seen": "yes"})
    approved = {"step": "approve", "ground": "wrong_amount", "rationale": "too many"}
    client.post(edit, {**form_of(look), **approved, "opened": opened(intent, rita, digest="sha256:" + "0" * 64)})
    assert not Decision.objects.exists()
    client.post(edit, {**form_of(look), **approved})
    made = record()
    assert made["from"]["door"] == "change"
    assert made["page"]["whole_payload_seen"] is True
    assert made["shown_digest"] == intent.digest
    assert not list(unlike_their_digests())


def test_of_several_alike_each_says_since_when_it_was_shown(rita):
    key = make_agent()[1]
    one, other = (make_intent(key, payload={"n": number}) for number in (1, 2))
    sent: dict[str, object] = {"vote": "approve", "chosen": [one.pk, other.pk], "seen": "yes"}
    for intent in (one, other):
        sent |= {f"{name}-{intent.pk}": getattr(intent, f"{name}_digest") for name in ("verdict", "requirement")}
        sent |= {f"digest-{intent.pk}": intent.digest}
    # What belongs to one is no proof of the other.
    sent |= {f"opened-{one.pk}": opened(one, rita), f"opened-{other.pk}": opened(one, rita)}
    browser(rita).post(reverse("admin:alike", args=[one.alike]), sent)
    decision = Decision.objects.get()
    assert decision.intent_id == one.pk
    assert record()["from"]["door"] == "group"


def test_without_a_key_nothing_is_decided_and_the_page_says_who_has_to_act(rita, intent, tmp_path):
    call_command("bootstrap", stdout=io.StringIO())
    [path] = (tmp_path / "keys").iterdir()
    path.unlink()
    events = Event.objects.count()
    answer = send(browser(rita), intent, form(intent, rita))
    assert answer.status_code == 503
    assert "An operator has to see to it" in answer.content.decode()
    assert not Decision.objects.exists()
    assert Event.objects.count() == events
    assert Intent.objects.get(pk=intent.pk).status == Status.PENDING_APPROVAL
    answer = browser(rita).post(
        f"/api/v1/intents/{intent.pk}/decisions",
        {"vote": "approve", "digest": intent.digest},
        content_type="application/json",
    )
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:zehrava:problem:unavailable")


def test_what_an_old_key_signed_holds_after_a_rotation(rita, intent):
    send(browser(rita), intent, form(intent, rita))
    call_command("key_rotate", stdout=io.StringIO())
    other = make_intent(payload={"n": 2})
    send(browser(rita), other, form(other, rita))
    assert SigningKey.objects.count() == 2
    assert len({decision.signature.partition(".")[0] for decision in Decision.objects.all()}) == 2
    assert not list(unlike_their_digests())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("stage", "'security'"), ("door", "'group'"), ("address", "'192.0.2.1'"), ("page_open_seconds", "900"),
        ("whole_payload_seen", "false"), ("rendering", "7"), ("policy", "'{}'"), ("rationale", "'other words'"),
        ("factor_at", "NULL, factor = NULL, reviewer_name = 'somebody'"),
    ],
)  # fmt: skip
def test_whatever_is_changed_in_a_stored_record_is_found(rita, intent, column, value):
    send(browser(rita), intent, form(intent, rita))
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE reviews_decision SET {column} = {value}")
    [found] = unlike_their_digests()
    assert found.problem == "the record is not what its digest covers"


def test_a_signature_of_another_record_is_found(rita, intent):
    other = make_intent(payload={"n": 2})
    for each in (intent, other):
        send(browser(rita), each, form(each, rita))
    first, second = Decision.objects.order_by("pk")
    Decision.objects.filter(pk=first.pk).update(signature=second.signature)
    [found] = unlike_their_digests()
    assert (found.row, "signature does not hold" in found.problem) == (first.pk, True)


def test_a_decision_from_before_records_were_signed_keeps_its_version_and_its_digest(rita, intent):
    decision = decide(intent.pk, by=rita, vote="approve", digest=intent.digest)
    decision.record_version, decision.signature = None, ""
    assert record_of(decision) == {
        "version": 1,
        "id": decision.pk,
        "intent": intent.pk,
        "reviewer": {"id": str(rita.pk), "name": "rita"},
        "vote": "approve",
        "rationale": "",
        "digest": intent.digest,
        "verdict_digest": intent.verdict_digest,
        "requirement_digest": intent.requirement_digest,
        "at": record_of(decision)["at"],
    }
    assert "age_seconds" not in json.dumps(record_of(decision))


def test_an_address_is_only_where_it_can_be_erased_and_only_for_who_may_read_records(rita, intent):
    send(browser(rita, "203.0.113.77"), intent, form(intent, rita))
    decision = Decision.objects.get()
    assert "203.0.113.77" not in "".join(Event.objects.values_list("line", flat=True))
    assert "203.0.113.77" not in str(list(Decision.history.values()))
    anna, oscar = make_user("anna", "auditors"), make_user("oscar", "operators")
    door = f"/api/v1/decisions/{decision.pk}/record"
    assert browser(anna).get(door).status_code == 200
    assert browser(rita).get(door).status_code == 200
    assert browser(oscar).get(door).status_code == 404
    page = reverse("admin:intents_intent_change", args=[intent.pk])
    assert "203.0.113.77" not in browser(anna).get(page).content.decode()
    assert door in browser(anna).get(page).content.decode()
    assert door not in browser(oscar).get(page).content.decode()


def test_code_that_decides_through_no_door_says_so(rita, intent):
    decide(intent.pk, by=rita, vote="approve", digest=intent.digest)
    assert (record()["from"], record()["page"]) == (None, None)


def test_a_door_of_a_page_without_a_page_is_refused(rita, intent):
    with pytest.raises(Problem) as refused:
        decide(intent.pk, by=rita, vote="approve", digest=intent.digest, origin=Origin(Door.DESK, None))
    assert refused.value.kind == "stale-digest"
