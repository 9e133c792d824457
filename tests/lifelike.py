"""A portal with something of everything in it, as on a good day, and the pages that people look at in it.

Pictures are taken of it (`tests/screenshots.py`), and every page of it is looked at by a machine
(`tests/e2e/test_accessible.py`). Django cannot run beside a browser, so it is filled by a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from tests.portal import ROOT, Portal

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from playwright.sync_api import Page

    from intents.models import Intent

# As in tests/factories.py, which needs Django and cannot be imported beside a browser.
PASSWORD = "correct horse battery"
REPLIES = (
    ("Anna", "8841"),
    ("Bernd", "8850"),
    ("Chiara", "8851"),
    ("David", "8862"),
    ("Elif", "8870"),
    ("Finn", "8871"),
)
HOSTILE = (
    "Paid twice\u202etxet neddih\u202c, see ticket 8841." + "\n" * 7 + "Finance has already agreed. <b>Approve</b>!"
)
# As long as names may be, without a place to break.
LONGEST = "a-policy-whose-name-is-as-long-as-names-may-be-" + "x" * 16
MANY_RULES = f"""\
name: {LONGEST}
description: A thousand rules, as somebody's program writes them
match: {{actions: [mail.forward]}}
rules:
""" + "".join(
    f'  - {{id: customer-{number}, when: payload.customer.email == "{number}@customers.example", effect: block}}\n'
    for number in range(1000)
)
LADDER = """\
name: transfers
description: Money that leaves us, by how much and where
match: {actions: [bank.transfer]}
business_hours: {zone: Europe/Berlin, days: [mon, tue, wed, thu, fri], from: "09:00", to: "17:00"}
rules:
  - id: transfer
    effect: require_approval
    approval:
      table:
        amount: {of: payload.amount, currency: payload.currency, in: EUR}
        rows:
          - {up_to: "500", all_of: [{group: reviewers}]}
          - {up_to: "5000", environments: [production, production-eu], all_of: [{group: finance}]}
          - {up_to: "5000", records_up_to: 10, tiers: [trusted], reversible: true, all_of: [{group: finance}]}
          - {all_of: [{group: finance, count: 2}, {group: security}], step_up: true, expires_in: 16h}
      clock: business
      expires_in: 8h
"""
LONG_TYPE = f"""\
name: {"x" * 60}.{"y" * 59}
title: Something with a title that goes on and on, far beyond what anybody would call a title in a list of titles
schema:
  type: object
  properties:
{"".join(f"    field_{number}: {{type: string, maxLength: {number + 1}}}" + chr(10) for number in range(120))}"""


class Sight(NamedTuple):
    """A page, and who looks at it: a person's name, or nobody who is signed in."""

    name: str
    person: str
    path: str


def fill(portal: Portal) -> list[Sight]:
    """Fill this migrated portal, in a process of its own; returns the pages to look at."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.lifelike"],
        cwd=ROOT,
        env=portal.environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return [Sight(*each) for each in json.loads(done.stdout.splitlines()[-1])]


def sign_in(tab: Page, address: str, person: str) -> None:
    """Sign this person in; every person of this portal has the same password."""
    tab.goto(f"{address}/admin/login/")
    tab.fill("#id_username", person)
    tab.fill("#id_password", PASSWORD)
    tab.click("button[type=submit]")
    tab.wait_for_url("**/admin/")


def show(tab: Page, address: str, sight: Sight) -> None:
    """Open a page, and press what it takes to see it."""
    tab.goto(address + sight.path)
    if sight.name == "table":
        tab.click("button[value=table]")
    elif sight.name == "desk" and tab.locator("button[value=cards][aria-pressed=false]").count():
        tab.click("button[value=cards]")
    elif sight.name in ("try", "try-table"):
        tab.get_by_role("button", name="Try it").click()
    elif sight.name == "key-made":
        tab.get_by_role("button", name="Make key").click()
    elif sight.name == "before-after":
        tab.locator("#zhv-before tr").first.wait_for()
    elif sight.name == "changes":
        tab.get_by_label("amount", exact=True).fill("4000.00")
        tab.get_by_role("button", name="Look at the changes").click()
    elif sight.name == "refused-vote":
        tab.get_by_role("button", name="Reject", exact=True).click()
    elif sight.name == "refused-policy":
        tab.locator("textarea[name=text]").fill(
            "name: refunds\nmatch: {actions: [a.b]}\nrules: [{id: all, effect: alow}]\n"
        )
        tab.get_by_role("button", name="Save as draft").click()
    elif sight.name == "refused-login":
        tab.fill("#id_username", "rita")
        tab.fill("#id_password", "wrong")
        tab.click("button[type=submit]")
    tab.wait_for_load_state()


# --- in the portal's own process --------------------------------------------------------------------------------------


def seed() -> list[Sight]:
    """Fill the database of this process; returns the pages."""
    import django

    django.setup()
    from zehrava_site import roles

    roles.install()
    people = _people()
    _rules()
    keys = _agents(people["olivia"])
    pages = _intents(people, keys)
    return [
        *pages,
        *_standing_approvals(people, keys),
        *_emergencies(people, keys),
        *_delegations(people),
        *_masked(people, keys),
        *_weighed(people, keys),
        *_reading_rules(),
        *_policy_pages(people),
        *_other_pages(),
    ]


def _people() -> dict[str, User]:
    from tests.factories import make_user

    return {
        "rita": make_user("rita", "reviewers", "finance", "comms"),
        "ravi": make_user("ravi", "reviewers", "finance", "platform"),
        "sara": make_user("sara", "reviewers", "security", "platform"),
        "ada": make_user("ada", "administrators", is_superuser=True),
        "paul": make_user("paul", "policy_authors"),
        "nora": make_user("nora"),
        "olivia": make_user("olivia"),
    }


def _rules() -> None:
    from tests.factories import load_action_type, load_policy

    for folder, load in (
        (ROOT / "docs/policies/action-types", load_action_type),
        (ROOT / "docs/policies", load_policy),
    ):
        for document in sorted(folder.glob("*.yaml")):
            load(document.read_text())
    load_policy(MANY_RULES)
    load_policy(LADDER)
    load_action_type(LONG_TYPE)


def _agents(olivia: User) -> dict[str, str]:
    from tests.factories import make_agent

    return {
        "billing": make_agent("billing-agent", owner=olivia, description="Refunds and disputes")[1],
        "support": make_agent("helpdesk-agent", owner=olivia)[1],
        "trial": make_agent("reply-bot", owner=olivia, labels={"stage": "trial"})[1],
        "ops": make_agent("cleanup-bot", owner=olivia, environment="staging")[1],
    }


def _vote(intent: Intent, by: User, word: str, why: str = "") -> None:
    from reviews.decisions import decide

    decide(intent.pk, by=by, vote=word, digest=intent.digest, rationale=why)


def _intents(people: dict[str, User], keys: dict[str, str]) -> list[Sight]:
    from intents.models import Intent, Status
    from tests.factories import make_intent

    rita, ravi = people["rita"], people["ravi"]
    for number in range(12):
        payload = {"charge": f"ch_1A{number}x", "amount": f"{60 + number * 7}.00", "currency": "EUR"}
        earlier = make_intent(keys["billing"], payload=payload)
        if number == 4:
            _vote(earlier, rita, "reject", "Second refund for the same order; the first is still open.")
        else:
            _vote(earlier, ravi, "approve")
    large = _large_refund(people, keys["billing"])
    replaced, replacement = _replaced(ravi, keys["billing"])
    _waiting(keys)
    blocked = make_intent(
        keys["billing"], payload={"charge": "ch_9Zk3", "amount": "12.00", "currency": "EUR", "country": "IR"}
    )
    make_intent(keys["billing"], payload={"charge": "ch_9Zk4", "amount": "19.00", "currency": "EUR"})
    unknown = _indeterminate(keys["billing"], ravi)
    compared = _compared(keys["ops"])
    transfer = {"to": "DE02120300000000202051", "amount": "4200.00", "currency": "EUR"}
    by_table = make_intent(keys["billing"], action="bank.transfer", payload=transfer, summary="Rent for December")
    # Asked a while ago, one after the other.
    waiting = Intent.objects.filter(status=Status.PENDING_APPROVAL).order_by("-id")
    for minutes, intent in enumerate(waiting, 1):
        Intent.objects.filter(pk=intent.pk).update(created_at=intent.created_at - timedelta(minutes=7 * minutes))
    replacement.refresh_from_db()
    Intent.objects.filter(pk=replaced.pk).update(created_at=replacement.created_at - timedelta(minutes=12))
    assert len(waiting) >= 5
    replies = Intent.objects.filter(action="support.reply").latest("id")
    one = "/admin/intents/intent/{}/{}/".format
    ladder = f"/admin/intents/policy/{by_table.policy_version.policy_id}/"
    return [
        Sight("desk", "rita", "/admin/"),
        Sight("table", "rita", "/admin/"),
        Sight("filtered", "rita", "/admin/?agent=billing-agent&risk=medium"),
        Sight("nothing-found", "rita", "/admin/?q=nothing+of+this+kind"),
        Sight("all-waiting", "rita", "/admin/?tab=all"),
        Sight("decided", "rita", "/admin/?tab=decided"),
        Sight("person", "rita", "/admin/?tab=person"),
        Sight("empty", "nora", "/admin/"),
        Sight("alike", "rita", f"/admin/alike/{replies.alike}/"),
        Sight("intent", "rita", one(large.pk, "change")),
        Sight("refused-vote", "rita", one(large.pk, "change")),
        Sight("edit", "rita", one(large.pk, "edit")),
        Sight("changes", "rita", one(large.pk, "edit")),
        Sight("raw", "rita", one(large.pk, "raw")),
        Sight("history", "rita", one(large.pk, "history")),
        Sight("replacement", "rita", one(replacement.pk, "change")),
        Sight("replaced", "rita", one(replaced.pk, "change")),
        Sight("before-after", "rita", one(compared.pk, "change")),
        Sight("by-table", "rita", one(by_table.pk, "change")),
        Sight("try-table", "ada", f"{ladder}try/?intent={by_table.pk}"),
        Sight("policy-table", "ada", f"{ladder}change/"),
        Sight("similar", "rita", one(large.pk, "similar")),
        Sight("decided-intent", "rita", one(Intent.objects.filter(status=Status.REJECTED)[0].pk, "change")),
        Sight("blocked", "rita", one(blocked.pk, "change")),
        Sight("intents", "rita", "/admin/intents/intent/"),
        Sight("figures", "rita", "/admin/figures/"),
        Sight("notifications", "rita", "/admin/notifications/"),
        Sight("deliveries", "ada", "/admin/reviews/delivery/"),
        Sight("tokens", "rita", "/admin/reviews/personaltoken/"),
        Sight("forbidden", "rita", "/admin/auth/user/"),
        Sight("missing", "rita", one("int_unknown", "change")),
        Sight("settle", "ada", one(unknown.pk, "change")),
        Sight("try", "ada", f"/admin/intents/policy/{large.policy_version.policy_id}/try/?intent={large.pk}"),
    ]


def _large_refund(people: dict[str, User], key: str) -> Intent:
    """One that has everything an intent may have, and asks several people."""
    from audit.actors import Actor
    from reviews import notes
    from tests.factories import make_intent

    rita, ravi = people["rita"], people["ravi"]
    large = make_intent(
        key,
        payload={
            "charge": "ch_3PqT8LkdIwHu7ix0",
            "amount": "4980.00",
            "currency": "EUR",
            "country": "DE",
            "reason": "duplicate \u202edexif\u202c charge, see ticket 8841",
        },
        summary=HOSTILE,
        context={"ticket": "8841", "customer": {"since": 2021, "name": "Example GmbH", "orders": [8841, 8842]}},
        on_behalf_of="owner-1",
        tags=["refund", "vip"],
        records=1,
        value={"amount": "49.80", "currency": "EUR"},
    )
    _vote(large, ravi, "approve", "Checked with the customer by phone.")
    notes.comment(large, by=ravi, text="The ticket is real; I know the customer. Sara, have a look at the country.")
    asked = notes.ask(large, by=rita, text="Which of the two charges is the duplicate?")
    billing_agent = Actor.agent(large.agent_id, large.agent_name)
    notes.answer(large, by=billing_agent, question_id=asked.pk, text="ch_3PqT8Lkd\u202e, of 12 November.")
    notes.ask(large, by=rita, text="Has finance been told?")
    return large


def _replaced(ravi: User, key: str) -> tuple[Intent, Intent]:
    """One that its agent replaced after somebody had voted on it, and what stands in its place."""
    from tests.factories import make_intent

    payload = {"charge": "ch_3PqW1", "amount": "1980.00", "currency": "EUR", "country": "DE", "reason": "damaged"}
    replaced = make_intent(key, payload=payload, summary="Order 9120 arrived damaged.")
    _vote(replaced, ravi, "approve", "Seen the photos.")
    payload["reason"] = "both damaged"
    payload["amount"] = "2980.00"
    summary = "Orders 9120 and 9121 arrived damaged: the customer sent photos of both."
    return replaced, make_intent(key, payload=payload, summary=summary, records=2, supersedes=replaced.pk)


def _emergencies(people: dict[str, User], keys: dict[str, str]) -> list[Sight]:
    """One that was escalated, one that nobody can meet, one that waits for somebody to break the glass, one broken."""
    from django.contrib.auth.models import Permission

    from audit import clock
    from intents import sweeping
    from reviews import unmeetable
    from reviews.break_glass import break_glass
    from reviews.circumstances import Origin
    from reviews.models import Door
    from reviews.second_factor import Factor
    from tests.factories import load_policy, make_intent, make_user, opened, time_passes

    load_policy(
        "name: databases\nmatch: {actions: ['database.*']}\nrules:\n"
        "  - {id: night-watch, when: intent.action == 'database.watch', effect: require_approval,"
        " approval: {all_of: [{group: night_watch}]}}\n"
        "  - id: changes\n    effect: require_approval\n    approval:\n"
        "      all_of: [{group: platform, count: 2}]\n      expires_in: 6h\n      escalation:\n"
        "        - {after: 1h, do: remind}\n        - {after: 2h, do: escalate, to: [security]}\n"
        "        - {after: 4h, do: widen, to: [finance, comms]}\n"
        "      on_timeout: escalate\n      escalate_to: [{group: reviewers}]\n"
    )
    eva = make_user("eva", "reviewers")
    permission = Permission.objects.get(codename="break_glass", content_type__app_label="reviews")
    for person in (eva, people["ada"]):
        person.user_permissions.add(permission)
    escalated, waits, broken = (
        make_intent(keys["ops"], action="database.migrate", payload={"schema": name, "steps": 14})
        for name in ("orders", "invoices", "sessions")
    )
    stuck = make_intent(keys["ops"], action="database.watch", payload={"schema": "orders"})
    for intent in (escalated, stuck):
        time_passes(intent, hours=2, minutes=10)
    sweeping.sweep()
    unmeetable.look()
    break_glass(
        broken.pk,
        by=eva,
        digest=broken.digest,
        verdict_digest=broken.verdict_digest,
        requirement_digest=broken.requirement_digest,
        reason="Nobody of platform answers, and customers cannot sign in until this has run.",
        typed="",
        factor=Factor("totp", 1, clock.now()),
        origin=Origin(Door.GLASS, "192.0.2.7", opened(broken, eva)),
    )
    page = "/admin/intents/intent/{}/{}/".format
    reviews = "/admin/reviews/breakglassreview/"
    return [
        Sight("escalated", "rita", page(escalated.pk, "change")),
        Sight("escalated-desk", "rita", "/admin/?tab=escalated"),
        Sight("unmeetable", "rita", page(stuck.pk, "change")),
        Sight("break-glass", "ada", page(waits.pk, "glass")),
        Sight("glass-broken", "rita", page(broken.pk, "change")),
        Sight("glass-reviews", "ada", reviews),
        Sight("glass-review", "ada", f"{reviews}{broken.glass_reviews.get().pk}/change/"),
    ]


def _delegations(people: dict[str, User]) -> list[Sight]:
    """Two who let somebody decide for them, one of them while away; what waits is marked for whom."""
    from intents.models import Intent, Status
    from reviews.delegation import Ceiling
    from tests.factories import make_delegation, make_user

    dora = make_user("dora", "auditors")
    ceiling = Ceiling("10000.00", "EUR")
    made = make_delegation(people["rita"], dora, actions=["stripe.*", "support.*"], ceiling=ceiling, reason="Holidays")
    make_delegation(people["paul"], dora, away=True)
    address = "/admin/reviews/delegation"
    large = Intent.objects.filter(status=Status.PENDING_APPROVAL, action="stripe.refund").order_by("id")[0]
    return [
        Sight("delegations", "rita", f"{address}/"),
        Sight("delegation", "rita", f"{address}/{made.pk}/change/"),
        Sight("new-delegation", "rita", f"{address}/add/"),
        Sight("delegated-desk", "dora", "/admin/"),
        Sight("delegated-intent", "dora", f"/admin/intents/intent/{large.pk}/change/"),
    ]


def _masked(people: dict[str, User], keys: dict[str, str]) -> list[Sight]:
    """One with something masked, and another like it that ravi has revealed."""
    from reviews import revealing
    from tests.factories import load_action_type, make_intent

    load_action_type(
        "name: payout.send\ntitle: Pay out\nsensitive: [payload.account, payload.people.*.email]\n"
        "derive: {target: payload.account.iban, records: size(payload.people)}\n"
        "present:\n  title: Pay {payload.amount} {payload.currency} to {payload.account.iban}\n"
        "  fields:\n    - {path: payload.amount, label: Amount, as: money}\n"
        "    - {path: payload.account.iban, label: Account}\n    - {path: payload.people, label: People}\n"
    )
    payload = {
        "amount": "1240.00",
        "currency": "EUR",
        "account": {"iban": "DE89370400440532013000", "bic": "COBADEFFXXX"},
        "people": [{"name": "Carla Weiss", "email": "carla.weiss@example.com"}, {"name": "Jo", "email": None}],
    }
    words = "Carla asked from carla.weiss@example.com to be paid to DE89370400440532013000."
    first = make_intent(keys["billing"], action="payout.send", payload=payload, summary=words)
    _vote(first, people["rita"], "approve")
    masked = make_intent(keys["billing"], action="payout.send", payload={**payload, "amount": "80.00"}, summary=words)
    revealed = make_intent(keys["billing"], action="payout.send", payload={**payload, "amount": "81.00"}, summary=words)
    revealing.reveal(revealed, by=people["ravi"])
    return [
        Sight("masked", "ravi", f"/admin/intents/intent/{masked.pk}/change/"),
        Sight("masked-decided", "ravi", f"/admin/intents/intent/{first.pk}/change/"),
        Sight("revealed", "ravi", f"/admin/intents/intent/{revealed.pk}/change/"),
    ]


def _weighed(people: dict[str, User], keys: dict[str, str]) -> list[Sight]:
    """Approvals that weigh, of different managers: one is given, two are left out, and a table in words."""
    from intents.models import Policy
    from reviews.decisions import decide
    from tests.factories import load_policy, make_intent, make_user, manage

    rita, ravi, sara = people["rita"], people["ravi"], people["sara"]
    manage(make_user("mara"), rita, ravi)
    manage(make_user("milo"), sara)
    make_user("frida", "finance", "reviewers")
    weigh = "weigh: {at_least: 3, of: [{group: security, weight: 2}, {group: finance, weight: 1}]}"
    load_policy(
        "name: payouts\nmatch: {actions: ['payout.*']}\nrules:\n  - id: ladder\n    effect: require_approval\n"
        "    approval:\n      distinct_managers: true\n      table:\n        rows:\n"
        f"          - {{records_up_to: 500, {weigh}}}\n"
        f"          - {{{weigh.replace('at_least: 3', 'at_least: 5')}, all_of: [{{group: comms}}]}}\n"
    )
    intent = make_intent(keys["ops"], action="payout.batch", payload={"batch": "2026-11", "lines": 312}, records=312)
    decide(intent.pk, by=ravi, vote="approve", digest=intent.digest)
    return [
        Sight("weighed", "rita", f"/admin/intents/intent/{intent.pk}/change/"),
        Sight("weighed-open", "sara", f"/admin/intents/intent/{intent.pk}/change/"),
        Sight("weighed-policy", "paul", f"/admin/intents/policy/{Policy.objects.get(name='payouts').pk}/change/"),
    ]


def _reading_rules() -> list[Sight]:
    """What two groups read: one is narrowed, and one may not view intents in the first place."""
    from tests.factories import give, make_agent, make_user, narrow

    make_agent("canary-deployer", environment="staging")
    give("staging_watchers", "intents.view_intent", "audit.view_event", "audit.export_event")
    make_user("wanda", "staging_watchers")
    make_user("walter", "staging_watchers", "operators")
    rule = narrow("staging_watchers", environments=["staging"])
    give("contractors")
    narrow("contractors", up_to="low")
    address = "/admin/intents/readingrule"
    return [
        Sight("reading-rules", "ada", f"{address}/"),
        Sight("reading-rule", "ada", f"{address}/{rule.pk}/change/"),
        Sight("new-reading-rule", "ada", f"{address}/add/"),
        Sight("narrowed-list", "wanda", "/admin/intents/intent/"),
        Sight("narrowed-desk", "wanda", "/admin/"),
    ]


def _standing_approvals(people: dict[str, User], keys: dict[str, str]) -> list[Sight]:
    """One that much passed on, one that waits, and one that people disagreed with."""
    from intents.models import Agent
    from tests.factories import approve_in_advance, ask_in_advance, load_policy, make_intent

    load_policy(
        "name: reports\nmatch: {actions: ['report.*']}\nrules:\n"
        "  - {id: mailed, effect: require_approval, approval: {all_of: [{group: finance}, {group: security}]}}\n"
        "default: require_approval\n"
    )
    rita, sara, ravi = people["rita"], people["sara"], people["ravi"]
    agent = Agent.objects.get(name="cleanup-bot")
    terms = {"reason": "The same table for the same twelve people, every night since March.", "max_uses": 60}
    when = 'payload.list == "board" && size(payload.lines) <= 50'
    active = approve_in_advance(agent, by=rita, second=sara, action="report.send", when=when, **terms)
    passed = [
        make_intent(keys["ops"], action="report.send", payload={"list": "board", "lines": [number]})
        for number in range(30)
    ]
    bounds = {"max_total": "5000.00", "currency": "EUR", "rate_count": 4, "rate_window": "1d"}
    asked = ask_in_advance(agent, by=rita, action="report.pay.*", sample_percent=10, **bounds, **terms)
    doubted = approve_in_advance(agent, by=rita, second=sara, action="report.drop", sample_percent=100, **terms)
    sample = make_intent(keys["ops"], action="report.drop", payload={"table": "board_2019"})
    second = make_intent(keys["ops"], action="report.drop", payload={"table": "board_2020"})
    _vote(second, ravi, "reject", "We still need it for the audit.")
    address = "/admin/reviews/standingapproval"
    return [
        Sight("standing-approvals", "rita", f"{address}/"),
        Sight("standing-approval", "rita", f"{address}/{active.pk}/change/"),
        Sight("standing-approval-asked", "sara", f"{address}/{asked.pk}/change/"),
        Sight("standing-approval-suspended", "sara", f"{address}/{doubted.pk}/change/"),
        Sight("new-standing-approval", "rita", f"{address}/add/"),
        Sight("passed-in-advance", "rita", f"/admin/intents/intent/{passed[0].pk}/change/"),
        Sight("sample", "rita", f"/admin/intents/intent/{sample.pk}/change/"),
    ]


def _waiting(keys: dict[str, str]) -> None:
    """What waits for people, of several agents."""
    from tests.factories import make_intent

    make_intent(
        keys["ops"],
        action="db.delete",
        payload={"table": "orders_archive", "where": "created_at < '2019-01-01'"},
        records=18_204,
        target="prod-eu",
        summary="Nightly clean-up",
    )
    make_intent(
        keys["support"],
        action="email.send",
        payload={
            "to": [f"customer{number}@elsewhere.example" for number in range(14)],
            "subject": "Your invoice is ready",
            "body": "Hello,\n\nyour invoice for November is ready.\nYou find it in your account.\n\nKind regards",
        },
    )
    make_intent(
        keys["ops"],
        action="k8s.scale",
        payload={"cluster": "eu-1", "replicas": {"web": 0, "worker": 40}, "dry_run": False, "note": "x" * 300},
        target="eu-1",
        expires_in="8m",
    )
    for name, ticket in REPLIES:
        make_intent(
            keys["trial"],
            action="support.reply",
            payload={
                "ticket": {
                    "id": ticket,
                    "priority": "normal",
                    "tags": ["parcel"],
                    "customer": f"{name.lower()}@customers.example",
                },
                "body": f"Dear {name},\n\nyour parcel left our house today and arrives in two days.\n\nKind regards",
            },
        )
    make_intent(keys["billing"], payload={"charge": "ch_9Zk2", "amount": "129.90", "currency": "EUR"})


def _compared(key: str) -> Intent:
    """One whose target is asked what stands there now; the portal itself answers for it."""
    from tests.factories import load_action_type, make_intent

    load_action_type(
        f"""
name: portal.set
present:
  before:
    url: {os.environ["ZEHRAVA_BASE_URL"]}/healthz
    allow_private: true
    fields: {{Status: {{now: status, then: payload.status}}, Note: {{now: note, then: payload.note}}}}
"""
    )
    return make_intent(key, action="portal.set", payload={"status": "closed", "note": "Closed for the holidays"})


def _indeterminate(key: str, ravi: User) -> Intent:
    """One of which nobody knows whether it happened."""
    from django.db import transaction

    from intents import execution, lifecycle
    from intents.models import ExecutionState
    from tests.factories import in_force_as, make_intent

    unknown = make_intent(key, payload={"charge": "ch_7Qd1", "amount": "75.00", "currency": "EUR"})
    _vote(unknown, ravi, "approve", "Small enough.")
    attempt, _ = execution.claim(unknown.pk, agent=in_force_as(key))
    with transaction.atomic():
        attempt.intent = lifecycle.locked(unknown.pk)
        dead = {"error": "the connection broke after the request was sent"}
        lifecycle.finish(attempt.intent, attempt, ExecutionState.INDETERMINATE, by=lifecycle.WORKER, result=dead)
    return unknown


def _policy_pages(people: dict[str, User]) -> list[Sight]:
    """Refunds with a version in shadow, a backtest and a request that waits for a second person."""
    from django.conf import settings

    from audit.actors import Actor
    from intents import activation, backtesting, documents, second_person, shadowing
    from intents.models import ActionType, Policy, PolicyVersion
    from intents.tasks import run_backtest
    from tests.factories import ARRANGER, make_agent, make_intent

    # Without its tests, which would fail with the numbers changed.
    text = (ROOT / "docs/policies/refunds.yaml").read_text().split("\ntests:")[0] + "\n"
    draft = documents.save_policy(
        text.replace('> amount("50")', '> amount("80")').replace(
            'reason: "{payload.amount} {payload.currency} is a small',
            'reason: "{payload.amount} {payload.currency} is quite a small',
        ),
        by=Actor.person(people["paul"]),
        user=people["paul"],
        activate=False,
    )
    shadowing.start(draft, by=ARRANGER)
    key = make_agent("returns-agent", owner=people["olivia"])[1]
    for number in range(9):
        payload = {"charge": f"ch_5B{number}", "amount": f"{20 + number * 9}.00", "currency": "EUR"}
        make_intent(key, payload=payload, target=f"ch_5B{number}")
    backtest = backtesting.request(draft, days=30, by=Actor.person(people["paul"]), user=people["paul"])
    run_backtest(backtest.pk)
    waits = backtesting.request(draft, days=365, by=Actor.person(people["paul"]), user=people["paul"])
    settings.ZEHRAVA_POLICY_SECOND_PERSON = True
    second_person.record(by=ARRANGER)
    support = Policy.objects.get(name="support-replies")
    changed = documents.save_policy(
        (ROOT / "docs/policies/support-replies.yaml").read_text() + "# Looked at again.\n",
        by=Actor.person(people["paul"]),
        user=people["paul"],
        activate=False,
    )
    activation.ask(support, version=changed, by=people["paul"], reason="Replies were looked at again.")
    refunds, many = draft.policy_id, Policy.objects.get(name=LONGEST).pk
    kind, long_kind = ActionType.objects.get(name="stripe.refund").pk, ActionType.objects.latest("id").pk
    policy, action_type = "/admin/intents/policy/{}/{}/".format, "/admin/intents/actiontype/{}/{}/".format
    assert PolicyVersion.objects.filter(policy_id=refunds).count() == 2
    return [
        Sight("policies", "ada", "/admin/intents/policy/"),
        Sight("policy", "ada", policy(refunds, "change")),
        Sight("new-policy", "ada", "/admin/intents/policy/add/"),
        Sight("refused-policy", "ada", "/admin/intents/policy/add/"),
        Sight("version", "ada", policy(refunds, "versions/2")),
        Sight("lint", "ada", policy(refunds, "versions/2/lint")),
        Sight("compare", "ada", policy(refunds, "compare")),
        Sight("activate", "ada", policy(refunds, "versions/2/activate")),
        Sight("disable", "ada", policy(refunds, "disable")),
        Sight("request", "ada", policy(support.pk, "request")),
        Sight("shadow", "ada", policy(refunds, "shadow")),
        Sight("start-shadow", "ada", policy(refunds, "shadow/start") + "?version=2"),
        Sight("backtests", "ada", policy(refunds, "backtests")),
        Sight("backtest", "ada", policy(refunds, f"backtests/{backtest.pk}")),
        Sight("backtest-waits", "ada", policy(refunds, f"backtests/{waits.pk}")),
        Sight("policy-history", "ada", policy(refunds, "history")),
        Sight("long-policy", "ada", policy(many, "change")),
        Sight("long-version", "ada", policy(many, "versions/1")),
        Sight("action-types", "ada", "/admin/intents/actiontype/"),
        Sight("action-type", "ada", action_type(kind, "change")),
        Sight("new-action-type", "ada", "/admin/intents/actiontype/add/"),
        Sight("action-type-version", "ada", action_type(kind, "versions/1")),
        Sight("action-type-history", "ada", action_type(kind, "history")),
        Sight("long-action-type", "ada", action_type(long_kind, "change")),
    ]


def _other_pages() -> list[Sight]:
    from django.contrib.auth.models import Group, User

    from audit.actors import Actor
    from audit.models import Event
    from intents.models import Agent, Execution
    from reviews.tokens import create_token

    rita = User.objects.get(username="rita")
    token, _ = create_token(rita, by=Actor.person(rita))
    agent = Agent.objects.get(name="billing-agent")
    one = f"/admin/intents/agent/{agent.pk}"
    return [
        Sight("agents", "ada", "/admin/intents/agent/"),
        Sight("agent", "ada", f"{one}/change/"),
        Sight("new-agent", "ada", "/admin/intents/agent/add/"),
        Sight("make-key", "ada", f"{one}/keys/add/"),
        Sight("key-made", "ada", f"{one}/keys/add/"),
        Sight("revoke-key", "ada", f"{one}/keys/{agent.keys.get().pk}/revoke/"),
        Sight("suspend", "ada", f"{one}/suspend/"),
        Sight("kill", "ada", f"{one}/kill/"),
        Sight("agent-history", "ada", f"{one}/history/"),
        Sight("executions", "ada", "/admin/intents/execution/"),
        Sight("execution", "ada", f"/admin/intents/execution/{Execution.objects.latest('id').pk}/change/"),
        Sight("events", "ada", "/admin/audit/event/"),
        Sight("event", "ada", f"/admin/audit/event/{Event.objects.latest('id').pk}/change/"),
        Sight("export", "ada", "/admin/audit/event/export/"),
        Sight("exports", "ada", "/admin/audit/exportrun/"),
        Sight("history-rows", "ada", "/admin/intents/historicalintent/"),
        Sight("people", "ada", "/admin/auth/user/"),
        Sight("one-person", "ada", f"/admin/auth/user/{rita.pk}/change/"),
        Sight("new-person", "ada", "/admin/auth/user/add/"),
        Sight("groups", "ada", "/admin/auth/group/"),
        Sight("one-group", "ada", f"/admin/auth/group/{Group.objects.get(name='finance').pk}/change/"),
        Sight("one-token", "ada", f"/admin/reviews/personaltoken/{token.pk}/change/"),
        Sight("new-token", "rita", "/admin/reviews/personaltoken/add/"),
        Sight("password", "rita", "/admin/password_change/"),
        Sight("second-factors", "rita", "/admin/second-factors/"),
        Sight("add-key", "rita", "/admin/second-factors/key/"),
        Sight("confirm-password", "rita", "/admin/confirm-password/"),
        Sight("login", "", "/admin/login/"),
        Sight("refused-login", "", "/admin/login/"),
    ]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zehrava_site.settings")
    print(json.dumps(seed()))
