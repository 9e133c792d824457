"""A reader whom a rule narrows walks through every address of the admin: what they may not read is nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.test import Client

from audit import clock, ledger
from audit.models import Event
from intents import execution, lifecycle, shadowing
from intents.agents import change_agent
from intents.documents import save_policy
from intents.models import Execution, Intent, Policy, ShadowVerdict
from reviews import notes
from reviews.decisions import decide
from reviews.models import BreakGlassReview, Decision, Delivery, StandingUse
from reviews.notifications import following
from reviews.notifications.models import Following
from reviews.tokens import create_token
from tests.desk.test_every_page import ANSWERS, GOVERNED, addresses
from tests.factories import (
    ARRANGER,
    approve_in_advance,
    in_force_as,
    load_policy,
    make_agent,
    make_intent,
    make_user,
    narrow,
)
from zehrava_site.roles import ROLES

MARKER = "ZQMARKERQZ"
ASKS = """
name: money
match: {actions: ['fin.*']}
rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance}]}}]
"""
DRAFT = """
name: money
match: {actions: ['fin.*']}
rules: [{id: all, effect: block, reason: "never {payload.what}"}]
"""
TABS = [f"/admin/?tab={tab}" for tab in ("mine", "groups", "escalated", "soon", "all", "person", "decided")]
SEARCHES = [
    "/admin/intents/intent/?q=fin.",
    "/admin/intents/intent/?status__in=pending_approval",
    "/admin/?tab=all&q=fin",
    "/api/v1/intents",
    "/api/v1/queue",
]


@dataclass
class Hidden:
    """What the reader may not read, and the ids by which anything of it is known."""

    intents: list[Intent] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        keys = [intent.pk for intent in self.intents]
        rows = (Execution, Decision)
        return {
            *keys,
            *(pk for model in rows for pk in model.objects.filter(intent__in=keys).values_list("pk", flat=True)),
        }


@pytest.fixture
def reader() -> User:
    """Somebody with every permission that any role has but to export, of whose group a rule lets staging through."""
    group = Group.objects.create(name="narrowed")
    roles = Permission.objects.filter(group__name__in=ROLES).exclude(codename="export_event").distinct()
    group.permissions.set(roles)
    person = make_user("reader", "narrowed", email="reader@example.com")
    return person


@pytest.fixture
def hidden(reader: User) -> Hidden:
    """One of everything in staging, and the same in production, each with a word that stands nowhere else."""
    following.begin()
    Following.objects.update(read_until=clock.now())
    load_policy(ASKS)
    shadowing.start(save_policy(DRAFT, by=ARRANGER, user=None, activate=False), by=ARRANGER)
    fiona, flo = (make_user(name, "finance", "reviewers", email=f"{name}@example.com") for name in ("fiona", "flo"))
    _everything_of(make_agent("of-staging", environment="staging"), "seen", fiona, flo)
    narrow("narrowed", environments=["staging"])
    agent, key = make_agent("of-production", environment="production")
    made = Hidden(_everything_of((agent, key), MARKER, fiona, flo))
    # What an agent asks after it was moved replaces what it asked before.
    change_agent(agent, by=ARRANGER, environment="staging")
    make_intent(key, action="fin.pay", payload={"what": "moved"}, supersedes=made.intents[-1].pk)
    following.follow()
    assert ShadowVerdict.objects.exists() and StandingUse.objects.exists() and BreakGlassReview.objects.exists()
    assert Delivery.objects.filter(intent__in=made.intents).exists()
    return made


def _everything_of(agent: tuple, word: str, fiona: User, flo: User) -> list[Intent]:
    key, said = agent[1], {"summary": word, "target": word, "context": {"why": word}}
    decided = make_intent(key, action="fin.pay", payload={"what": word, "n": 1}, **said)
    notes.comment(decided, by=fiona, text=f"@reader look at {word}")
    decide(decided.pk, by=fiona, vote="approve", digest=decided.digest, rationale=word)
    execution.claim(decided.pk, agent=in_force_as(key))
    decision = Decision.objects.get(intent=decided)
    review = BreakGlassReview(intent=decided, decision=decision, opened_at=clock.now())
    with transaction.atomic():
        ledger.save(review, "glass_review.opened", by=ARRANGER, facts={"decision": decision.pk})
    unknown = make_intent(key, action="fin.pay", payload={"what": word, "n": 2}, **said)
    decide(unknown.pk, by=fiona, vote="approve", digest=unknown.digest)
    execution.claim(unknown.pk, agent=in_force_as(key))
    lapsed = Execution.objects.get(intent=unknown)
    Execution.objects.filter(pk=lapsed.pk).update(lease_until=clock.now() - timedelta(minutes=1))
    lapsed.refresh_from_db()
    assert lifecycle.lapse(lapsed.intent, lapsed)
    approve_in_advance(agent[0], by=fiona, second=flo, action="fin.nightly")
    passed = make_intent(key, action="fin.nightly", payload={"what": word}, **said)
    alike = [make_intent(key, action="fin.pay", payload={"what": word, "n": n}, **said) for n in (3, 4)]
    return [decided, unknown, passed, *alike]


def _filled(route: str, *, newest: bool) -> str:
    """The route with the key of a row for each parameter: the newest is of what is hidden."""
    parts = route.replace("^", "").replace("$", "").split("/")
    model = None
    if len(parts) > 3 and parts[2] in GOVERNED:
        model = next((m for m in admin.site._registry if m._meta.label_lower == f"{parts[2]}.{parts[3]}"), None)
    row = model._default_manager.order_by("-pk" if newest else "pk").first() if model else None
    known = str(row.pk) if row else "1"

    def part(text: str) -> str:
        if "(?P<url>" in text or "(?P<app_label>" in text:
            return "intents"
        return "1" if text.startswith("<") and "version" in text else known if text.startswith("<") else text

    return "/".join(map(part, parts))


def walked(person: User, found: Iterable[str]) -> dict[str, str]:
    """What stands at each address, headers too; each by itself, so that no message of one page is shown on another."""
    first = Client(raise_request_exception=True)
    first.force_login(person)
    session = first.cookies[settings.SESSION_COOKIE_NAME].value
    told = {}
    for address in found:
        client = Client()
        client.cookies[settings.SESSION_COOKIE_NAME] = session
        with transaction.atomic():
            answer = client.get(address)
        assert answer.status_code in ANSWERS, f"{address}: {answer.status_code}"
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        told[address] = f"{answer.headers}\n{body.decode()}".replace("_5F", "_")
    return told


def test_what_a_reader_may_not_read_is_at_no_address(hidden, reader):
    routes = addresses()
    pages = {*TABS, *SEARCHES, *(_filled(route, newest=False) for route in routes)}
    # An event of what took the place of something hidden names that.
    pages |= {f"/admin/audit/event/{event}/change/" for event in Event.objects.values_list("pk", flat=True)}
    told = walked(reader, sorted(pages))

    named = hidden.ids
    assert len(named) > 6
    leaks = {address: [each for each in (MARKER, *named) if each in text] for address, text in told.items()}
    assert {address: found for address, found in leaks.items() if found} == {}
    # They walk through the same pages and do read what is theirs.
    assert sum("seen" in text for text in told.values()) > 15

    # The rows that are hidden, by addresses of their own: a page may repeat the id that it was asked for.
    doors = walked(reader, sorted({_filled(route, newest=True) for route in routes}))
    leaks = {
        address: [each for each in (MARKER, *named) if each in text and each not in address.replace("_5F", "_")]
        for address, text in doors.items()
    }
    assert {address: found for address, found in leaks.items() if found} == {}


def test_the_word_stands_there_for_who_reads_all(hidden):
    root = make_user("root", is_superuser=True)
    pages = [*TABS, "/admin/intents/intent/", "/admin/intents/execution/", "/admin/reviews/delivery/"]
    told = walked(root, pages)

    shown = {address for address, text in told.items() if any(each in text for each in (MARKER, *hidden.ids))}
    assert {"/admin/?tab=all", "/admin/?tab=person", "/admin/?tab=decided", *pages[-3:]} <= shown


def test_pages_that_count_less_say_so(hidden, reader):
    narrow("narrowed", environments=["staging"], up_to="low")
    lists = ["/admin/intents/intent/", "/admin/intents/execution/"]
    told = walked(reader, ["/admin/?tab=all", "/admin/figures/", *lists])
    assert all("A reading rule narrows what your groups read" in told[each] for each in lists)
    assert "A reading rule narrows what your groups read" in told["/admin/?tab=all"]
    assert "Counted is what you may read" in told["/admin/figures/"]
    free = walked(make_user("vera", "reviewers"), ["/admin/?tab=all", "/admin/figures/"])
    assert not any("reading rule narrows" in text for text in free.values())


def test_a_program_is_not_told_what_was_replaced_and_looks_back_over_nothing(hidden, reader):
    token = create_token(reader, by=ARRANGER)[1]
    headers = {"Authorization": f"Bearer {token}"}
    moved = Intent.objects.get(supersedes=hidden.intents[-1])

    one = Client().get(f"/api/v1/intents/{moved.pk}", headers=headers).json()
    listed = Client().get("/api/v1/intents", headers=headers).json()["results"]

    assert one["supersedes"] is None and moved.supersedes_id
    assert {each["supersedes"] for each in listed} == {None} and moved.pk in {each["id"] for each in listed}
    decision = Decision.objects.filter(intent=hidden.intents[0]).first()
    record = Client().get(f"/api/v1/decisions/{decision.pk}/record", headers=headers)
    assert record.status_code == 404
    seen = Decision.objects.exclude(intent__in=hidden.intents).first()
    assert Client().get(f"/api/v1/decisions/{seen.pk}/record", headers=headers).status_code == 200
    policy = Policy.objects.get(name="money")
    assert walked(reader, [f"/admin/intents/policy/{policy.pk}/change/"]).popitem()[1].count("/backtests/") == 0
    client = Client()
    client.force_login(reader)
    assert client.get(f"/admin/intents/policy/{policy.pk}/backtests/").status_code == 403
