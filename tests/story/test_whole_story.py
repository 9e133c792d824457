"""The whole story: an agent proposes with the SDK, a person decides at the desk, an auditor reads all of it."""

import csv
import hashlib
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace

import httpx
import pytest

from tests.people import Browser, add_person, forms
from tests.portal import ROOT, Portal
from zehrava import Blocked, Conflict, Gate, Rejected, canonical

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

GALLERY = ROOT / "docs" / "policies"
REFUND = {"charge": "ch_1", "amount": "184.00", "currency": "EUR"}
MAIL = {"to": ["kim@customer.example"], "subject": "Your invoice", "body": "It was wrong; the right one is attached."}


def refund(number):
    return {**REFUND, "charge": f"ch_{number}"}


@pytest.fixture(scope="module")
def story(portal_template, tmp_path_factory):
    """A portal with the gallery's rules, an agent, its owner, a reviewer and an auditor; one for all these tests."""
    folder = tmp_path_factory.mktemp("story")
    with portal_template.copy(folder) as database, ExitStack() as stack:
        live_portal = Portal(folder, database)
        stack.callback(live_portal.stop)
        live_portal.start_web()
        live_portal.start_worker()
        yield from _cast(live_portal)


def _cast(live_portal):
    add_person(live_portal, "olivia", "operators")
    add_person(live_portal, "rita", "reviewers", "comms", "finance")
    add_person(live_portal, "anna", "auditors")
    live_portal.manage("action_type_load", *map(str, sorted((GALLERY / "action-types").glob("*.yaml"))))
    live_portal.manage("policy_load", *map(str, sorted(GALLERY.glob("*.yaml"))))
    agent = live_portal.manage_json("agent_create", "billing", "--owner", "olivia")
    token = live_portal.manage_json("token_create", "anna")["token"]
    with (
        Gate(live_portal.base_url, agent["key"]) as gate,
        Browser(live_portal.base_url, "rita") as rita,
        httpx.Client(
            base_url=f"{live_portal.base_url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30
        ) as anna,
    ):
        yield SimpleNamespace(portal=live_portal, agent=agent, gate=gate, rita=rita, anna=anna)


def exported(story, dataset="audit/events", **filters):
    """The lines of an export by the API, each with its exact bytes."""
    answer = story.anna.get(f"/{dataset}", params=filters)
    assert answer.status_code == 200, answer.text
    return [(line, json.loads(line)) for line in answer.content.splitlines()]


def transitions(story, intent):
    """Every change of the intent's status in the ledger, with who made it."""
    return [
        (line["type"], line["actor"]["kind"], line["actor"]["name"])
        for _, line in exported(story, intent=intent.id)
        if line["type"].startswith("intent.")
    ]


def test_every_step_from_proposal_to_export_is_done_through_its_own_door_and_can_be_read_back(story):
    gate, rita = story.gate, story.rita
    with ThreadPoolExecutor(3) as waiting:
        # Proposed: one for the agent to carry out, one for the portal, one to be rejected, one that policy blocks.
        paid = gate.propose("stripe.refund", REFUND, summary="Charged twice")
        sent = gate.propose("email.send", MAIL, summary="Kim asked")
        refused = gate.propose("stripe.refund", refund(2), summary="Perhaps")
        blocked = gate.propose("stripe.refund", {**refund(3), "country": "KP"})
        assert [intent.status for intent in (paid, sent, refused)] == ["pending_approval"] * 3
        assert (blocked.status, blocked.verdict["reason"]) == ("blocked", "KP is under sanctions")
        outcomes = [waiting.submit(intent.wait, 60) for intent in (paid, sent, refused)]

        # Decided at the desk: each waits there, and each form carries the digest of what was shown.
        assert all(rita.finds(intent.id) for intent in (paid, sent, refused)) and not rita.finds(blocked.id)
        shown = {
            paid.id: rita.decide(paid.id, "approve", "Seen in the books."),
            sent.id: rita.decide(sent.id, "approve"),
            refused.id: rita.decide(refused.id, "reject", "The customer was paid last week."),
        }
        paid, sent, refused = (outcome.result(60) for outcome in outcomes)

    # The agents learn it.
    assert paid.status == "approved"
    assert refused.status == "rejected"
    assert refused.decisions[0]["rationale"] == "The customer was paid last week."
    with pytest.raises(Conflict) as nothing_to_claim:
        refused.claim()
    assert nothing_to_claim.value.kind == "not-approved"

    # Carried out: once by the agent with its permit, once by the portal's worker.
    permit = paid.claim()
    assert (permit.payload, permit.digest) == (REFUND, shown[paid.id]["digest"])
    with pytest.raises(Conflict):
        paid.claim()
    assert permit.heartbeat()["state"] == "running"
    paid = paid.report(permit, "succeeded", {"refund": "re_1"})
    sent = sent.wait_finished(60)
    assert (paid.status, paid.execution["result"]) == ("succeeded", {"refund": "re_1"})
    assert (sent.status, sent.execution["attempt"]) == ("succeeded", 1)
    assert f"X-Zehrava-Intent: {sent.id}".encode() in story.portal.log("worker")

    # Read back: every transition, and who made it.
    agent, person, worker = ("agent", "billing"), ("person", "rita"), ("system", "worker")
    assert transitions(story, paid) == [
        ("intent.proposed", *agent),
        ("intent.approved", *person),
        ("intent.executing", *agent),
        ("intent.succeeded", *agent),
    ]
    assert transitions(story, sent) == [
        ("intent.proposed", *agent),
        ("intent.approved", *person),
        ("intent.executing", *worker),
        ("intent.succeeded", *worker),
    ]
    assert transitions(story, refused) == [("intent.proposed", *agent), ("intent.rejected", *person)]
    assert transitions(story, blocked) == [("intent.proposed", *agent)]

    # One digest from the proposal to the last line, and it is that of the proposal's own canonical form.
    for intent, payload in ((paid, REFUND), (sent, MAIL)):
        own = canonical.digest(
            canonical.dumps(
                canonical.intent(
                    **{name: intent.raw[name] for name in ("id", "action", "summary", "context", "target", "tags")},
                    **{name: intent.raw[name] for name in ("records", "value", "on_behalf_of", "execution_mode")},
                    agent=story.agent["id"],
                    payload=payload,
                )
            )
        )
        found = {
            "proposal": intent.raw["proposal"]["digest"],
            "desk": shown[intent.id]["digest"],
            **{
                f"{noun} row {row['history_id']}": row["digest"]
                for noun in ("intent", "decision", "execution")
                for _, row in exported(story, f"audit/history/{noun}", intent=intent.id)
            },
            **{
                line["type"]: line["facts"]["digest"]
                for _, line in exported(story, intent=intent.id)
                if "digest" in line["facts"]
            },
        }
        assert {"intent.proposed", "decision.made"} <= found.keys()
        assert len([name for name in found if " row " in name]) >= 4 + 1 + 2
        assert set(found.values()) == {own}, found


def test_what_leaves_by_the_api_the_command_and_the_admin_is_the_same_record(story, tmp_path):
    intent = story.gate.propose("stripe.refund", REFUND)
    story.rita.decide(intent.id, "approve")
    intent.wait(30).claim().succeeded()

    by_api = story.anna.get("/audit/events", params={"intent": intent.id})
    story.portal.manage("audit_export", "--output", str(tmp_path / "events.ndjson"), "--intent", intent.id)
    with Browser(story.portal.base_url, "anna") as anna:
        [form] = [form for form in forms(anna.page("/admin/audit/event/export/")) if "intent" in form.fields]
        asked = {"dataset": "events", "format": "ndjson", "intent": intent.id}
        by_admin = anna.submit(form, "/admin/audit/event/export/", **asked)
        as_csv = anna.submit(form, "/admin/audit/event/export/", **{**asked, "format": "csv"})
    assert by_api.content == (tmp_path / "events.ndjson").read_bytes() == by_admin.content
    lines = [json.loads(line) for line in by_api.content.splitlines()]
    assert {"intent.proposed", "decision.made", "intent.succeeded"} <= {line["type"] for line in lines}
    rows = list(csv.DictReader(io.StringIO(as_csv.text)))
    assert [row["id"] for row in rows] == [line["id"] for line in lines]

    # Each event commits to the exact bytes of the history row that was written with it.
    rows_by_digest = {
        "sha256:" + hashlib.sha256(line).hexdigest()
        for noun in ("intent", "decision", "execution")
        for line, _ in exported(story, f"audit/history/{noun}", intent=intent.id)
    }
    assert {line["history"]["digest"] for line in lines if line["history"]} == rows_by_digest

    # Taking it away is itself on record, by everyone who did, and everything still holds.
    takers = [line["actor"]["name"] for _, line in exported(story, type="export.finished")]
    assert takers[-7:] == ["anna", "audit_export", "anna", "anna", *["anna"] * 3]
    assert "everything holds" in story.portal.manage("audit_check")


def test_a_guarded_function_runs_once_as_approved_and_not_at_all_otherwise(story):
    done = []

    @story.gate.requires_approval("stripe.refund", timeout=60)
    def pay_back(charge, amount, currency, country="DE"):
        done.append(charge)
        return {"refund": f"re_{charge}"}

    with ThreadPoolExecutor(1) as pool:
        approved = pool.submit(pay_back, "ch_1", "184.00", "EUR")
        [waiting] = _waiting(story, 1)
        story.rita.decide(waiting.id, "approve")
        assert approved.result(60) == {"refund": "re_ch_1"}
        rejected = pool.submit(pay_back, "ch_2", "184.00", "EUR")
        [waiting] = _waiting(story, 1)
        story.rita.decide(waiting.id, "reject", "Not this one.")
        with pytest.raises(Rejected, match="Not this one"):
            rejected.result(60)
    with pytest.raises(Blocked, match="sanctions"):
        pay_back("ch_3", "184.00", "EUR", "KP")
    assert done == ["ch_1"]


def test_twenty_agents_wait_while_desk_and_api_answer_and_each_learns_its_own_outcome(story):
    agents = 20
    intents = [story.gate.propose("stripe.refund", refund(number)) for number in range(agents)]
    with ThreadPoolExecutor(agents) as pool:
        held = [pool.submit(intent.wait, 120) for intent in intents]
        for _ in range(3):
            assert story.rita.finds(intents[0].id)
            assert story.gate.me()["name"] == "billing"
        assert not any(each.done() for each in held)
        for number, intent in enumerate(intents):
            story.rita.decide(intent.id, "approve" if number % 2 else "reject", "Even ones are not paid.")
        learnt = [each.result(60).status for each in held]
    assert learnt == ["rejected", "approved"] * (agents // 2)


def test_an_owner_sees_why_there_are_no_buttons_and_who_can_decide(story):
    intent = story.gate.propose("stripe.refund", REFUND)
    story.portal.shell(
        "from django.contrib.auth.models import Group, User\n"
        "from django.db import transaction\n"
        "from audit.actors import Actor\n"
        "from zehrava_site.people import record_person\n"
        "olivia = User.objects.get(username='olivia')\n"
        "with transaction.atomic():\n"
        "    olivia.groups.add(*Group.objects.filter(name__in=['finance', 'reviewers']))\n"
        "    record_person(olivia, 'changed', by=Actor.system('tests'))\n"
    )
    with Browser(story.portal.base_url, "olivia") as olivia:
        page = olivia.page(f"/admin/intents/intent/{intent.id}/change/")
    assert "You own billing" in page
    assert "rita (finance)" in page
    assert not [form for form in forms(page) if ("vote", "approve") in form.buttons]
    intent.cancel()


def _waiting(story, count):
    """The agent's pending intents, as soon as there are that many."""
    for _ in range(600):
        if len(found := list(story.gate.intents(status="pending_approval"))) == count:
            return found
        time.sleep(0.05)
    raise AssertionError(f"There are {len(found)} pending intents, not {count}.")
