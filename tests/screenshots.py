"""Pictures of the main pages, from a portal of their own with lifelike data: `make screenshots`.

Wide and narrow, light and dark, into `build/screenshots/`; the two that README and docs show also go to
`docs/images/`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from tests.conftest import CHROMIUM_ARGUMENTS
from tests.portal import ROOT, Portal

EVERYTHING = ROOT / "build" / "screenshots"
SHOWN = ROOT / "docs" / "images"
# What a reviewer looks at all day; the other pages are photographed as an administrator sees them.
REVIEWERS = {
    "desk", "figures", "table", "filtered", "alike", "all-waiting", "decided", "person", "intent", "history", "intents",
}  # fmt: skip
SIZES = {"wide": (1440, 900), "phone": (390, 844)}
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


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", action="store_true", help=argparse.SUPPRESS)
    arguments.add_argument("--only", default="", help="take only pages whose name contains this")
    chosen = arguments.parse_args()
    if chosen.seed:
        seed()
        return
    with tempfile.TemporaryDirectory(prefix="zehrava-pictures-") as folder:
        portal = Portal(Path(folder), f"sqlite:///{folder}/zehrava.sqlite3", ZEHRAVA_LOG_LEVEL="WARNING")
        try:
            portal.manage("migrate", "--verbosity", "0")
            seeded = subprocess.run(
                [sys.executable, "-m", "tests.screenshots", "--seed"],
                cwd=ROOT,
                env=portal.environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            portal.start_web()
            photograph(portal.base_url, dict(page.split("=", 1) for page in seeded.stdout.split()), chosen.only)
        finally:
            portal.stop()


# --- data -----------------------------------------------------------------------------------------------------------


def seed() -> None:
    """Fill an empty portal; prints `name=path` of the pages to photograph."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zehrava_site.settings")
    import django

    django.setup()
    from django.db import transaction

    from audit.actors import Actor
    from intents import execution, lifecycle
    from intents.models import ExecutionState, Intent, Status
    from reviews import notes
    from reviews.decisions import decide
    from tests.factories import in_force_as, load_action_type, load_policy, make_agent, make_intent, make_user
    from zehrava_site import roles

    roles.install()
    rita = make_user("rita", "reviewers", "finance", "comms")
    ravi = make_user("ravi", "reviewers", "finance", "platform")
    make_user("sara", "reviewers", "security", "platform")
    make_user("ada", "administrators", is_superuser=True)
    olivia = make_user("olivia")
    for folder, load in (
        (ROOT / "docs/policies/action-types", load_action_type),
        (ROOT / "docs/policies", load_policy),
    ):
        for document in sorted(folder.glob("*.yaml")):
            load(document.read_text())
    billing, billing_key = make_agent("billing-agent", owner=olivia, description="Refunds and disputes")
    _, support_key = make_agent("helpdesk-agent", owner=olivia)
    _, trial_key = make_agent("reply-bot", owner=olivia, labels={"stage": "trial"})
    _, ops_key = make_agent("cleanup-bot", owner=olivia, environment="staging")

    def vote(intent: Intent, by, word: str, why: str = "") -> None:
        decide(intent.pk, by=by, vote=word, digest=intent.digest, rationale=why)

    for number in range(12):
        earlier = make_intent(
            billing_key,
            payload={"charge": f"ch_1A{number}x", "amount": f"{60 + number * 7}.00", "currency": "EUR"},
        )
        if number == 4:
            vote(earlier, rita, "reject", "Second refund for the same order; the first is still open.")
        else:
            vote(earlier, ravi, "approve")
    large = make_intent(
        billing_key,
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
    vote(large, ravi, "approve", "Checked with the customer by phone.")
    notes.comment(large, by=ravi, text="The ticket is real; I know the customer. Sara, have a look at the country.")
    asked = notes.ask(large, by=rita, text="Which of the two charges is the duplicate?")
    billing_agent = Actor.agent(large.agent_id, large.agent_name)
    notes.answer(large, by=billing_agent, question_id=asked.pk, text="ch_3PqT8Lkd\u202e, of 12 November.")
    notes.ask(large, by=rita, text="Has finance been told?")
    make_intent(
        ops_key,
        action="db.delete",
        payload={"table": "orders_archive", "where": "created_at < '2019-01-01'"},
        records=18_204,
        target="prod-eu",
        summary="Nightly clean-up",
    )
    make_intent(
        support_key,
        action="email.send",
        payload={
            "to": [f"customer{number}@elsewhere.example" for number in range(14)],
            "subject": "Your invoice is ready",
            "body": "Hello,\n\nyour invoice for November is ready.\nYou find it in your account.\n\nKind regards",
        },
    )
    make_intent(
        ops_key,
        action="k8s.scale",
        payload={"cluster": "eu-1", "replicas": {"web": 0, "worker": 40}, "dry_run": False, "note": "x" * 300},
        target="eu-1",
        expires_in="8m",
    )
    for name, ticket in REPLIES:
        make_intent(
            trial_key,
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
    make_intent(billing_key, payload={"charge": "ch_9Zk2", "amount": "129.90", "currency": "EUR"})
    make_intent(billing_key, payload={"charge": "ch_9Zk3", "amount": "12.00", "currency": "EUR", "country": "IR"})
    make_intent(billing_key, payload={"charge": "ch_9Zk4", "amount": "19.00", "currency": "EUR"})
    unknown = make_intent(billing_key, payload={"charge": "ch_7Qd1", "amount": "75.00", "currency": "EUR"})
    vote(unknown, ravi, "approve", "Small enough.")
    attempt, _ = execution.claim(unknown.pk, agent=in_force_as(billing_key))
    with transaction.atomic():
        attempt.intent = lifecycle.locked(unknown.pk)
        dead = {"error": "the connection broke after the request was sent"}
        lifecycle.finish(attempt.intent, attempt, ExecutionState.INDETERMINATE, by=lifecycle.WORKER, result=dead)
    # Asked a while ago, one after the other.
    waiting = Intent.objects.filter(status=Status.PENDING_APPROVAL).order_by("-id")
    for minutes, intent in enumerate(waiting, 1):
        Intent.objects.filter(pk=intent.pk).update(created_at=intent.created_at - timedelta(minutes=7 * minutes))
    assert len(waiting) >= 5
    policy = large.policy_version.policy_id
    replies = Intent.objects.filter(action="support.reply").latest("id")
    print(
        f"desk=/admin/ all-waiting=/admin/?tab=all decided=/admin/?tab=decided person=/admin/?tab=person "
        f"table=/admin/ filtered=/admin/?agent=billing-agent&risk=medium alike=/admin/alike/{replies.alike}/ "
        f"intent=/admin/intents/intent/{large.pk}/change/ history=/admin/intents/intent/{large.pk}/history/ "
        f"settle=/admin/intents/intent/{unknown.pk}/change/ "
        f"figures=/admin/figures/ try=/admin/intents/policy/{policy}/try/?intent={large.pk} "
        f"intents=/admin/intents/intent/ policy=/admin/intents/policy/{policy}/change/ "
        f"agent=/admin/intents/agent/{billing.pk}/change/ events=/admin/audit/event/ "
        f"export=/admin/audit/event/export/ users=/admin/auth/user/"
    )


# --- pictures -------------------------------------------------------------------------------------------------------


def photograph(address: str, pages: dict[str, str], only: str) -> None:
    from playwright.sync_api import sync_playwright

    EVERYTHING.mkdir(parents=True, exist_ok=True)
    SHOWN.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_ARGUMENTS)
        for size, (width, height) in SIZES.items():
            for scheme, person in itertools.product(("light", "dark"), ("rita", "ada")):
                view = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                tab = view.new_page()
                tab.goto(f"{address}/admin/login/")
                if not only or only in "login":
                    tab.screenshot(path=EVERYTHING / f"login-{size}-{scheme}.png")
                tab.fill("#id_username", person)
                tab.fill("#id_password", PASSWORD)
                tab.click("button[type=submit]")
                tab.wait_for_url("**/admin/")
                for name, path in pages.items():
                    if only not in name or (name in REVIEWERS) != (person == "rita"):
                        continue
                    tab.goto(address + path)
                    if name == "table":
                        tab.click("button[value=table]")
                    if name == "try":
                        tab.get_by_role("button", name="Try it").click()
                    tab.wait_for_timeout(300)
                    tab.screenshot(path=EVERYTHING / f"{name}-{size}-{scheme}.png")
                    if size == "phone" and name in ("desk", "intent"):
                        tab.evaluate("document.querySelector('.zhv-act')?.style.setProperty('position', 'static')")
                        tab.screenshot(path=EVERYTHING / f"{name}-whole-{scheme}.png", full_page=True)
                    if name == "table":
                        tab.click("button[value=cards]")
                    wide = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                    if wide > 0:
                        print(f"{name} at {width} px is {wide} px too wide")
                view.close()
        browser.close()
    for name in ("desk", "intent"):
        picture = EVERYTHING / f"{name}-wide-light.png"
        if picture.exists():
            shutil.copy(picture, SHOWN / f"{name}.png")


if __name__ == "__main__":
    main()
