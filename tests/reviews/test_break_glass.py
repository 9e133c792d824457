"""Breaking the glass: what it sets aside, what it never does, and that nobody can overlook it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core import mail
from django.test import Client
from django.urls import reverse

from audit import clock, verification
from audit.models import Event
from intents import integrity
from intents.integrity import digest_of
from intents.models import Agent, Execution, Intent, Status
from reviews.decision_record import record_of
from reviews.models import BreakGlassReview, Decision, Delivery
from reviews.notifications import following, turns
from reviews.notifications.preferences import change_settings, settings_of
from reviews.second_factor import SESSION_KEY
from reviews.tokens import create_token
from tests.crowd import at_once
from tests.factories import ARRANGER, load_policy, make_agent, make_intent, make_user, opened, run_by_noop
from zehrava_site import roles

pytestmark = pytest.mark.django_db
FIVE = (
    "name: strict\nmatch: {actions: ['*']}\n"
    "rules: [{id: all, effect: require_approval, approval: {all_of: [{group: finance, count: 5}]}}]\n"
)
REASON = "The payment system is down and finance is asleep."


@pytest.fixture(autouse=True)
def _roles() -> None:
    roles.install()
    load_policy(FIVE)


def may_break(person: User) -> User:
    permission = Permission.objects.get(codename="break_glass", content_type__app_label="reviews")
    person.user_permissions.add(permission)
    return User.objects.get(pk=person.pk)


@pytest.fixture
def eva() -> User:
    """Somebody who may break the glass, and sits on no seat."""
    return may_break(make_user("eva", "operators"))


@pytest.fixture
def owner() -> User:
    return make_user("olivia")


@pytest.fixture
def intent(owner) -> Intent:
    return make_intent(make_agent("billing", owner=owner)[1], payload={"n": 1})


def browser(person: User, *, factor: str = "totp", age: timedelta = timedelta(0), about: str = "") -> Client:
    """Signed in, with a second factor used so long ago; `factor` empty for none."""
    client = Client()
    client.force_login(person)
    if factor:
        session = client.session
        at = (clock.now() - age).isoformat()
        session[SESSION_KEY] = {"person": person.pk, "kind": factor, "id": 1, "at": at, "about": about}
        session.save()
    return client


def door(intent: Intent, name: str = "glass") -> str:
    return reverse(f"admin:intents_intent_{name}", args=[intent.pk])


def form(intent: Intent, person: User, **changes: str) -> dict[str, str]:
    bound = {name: getattr(intent, name) for name in ("digest", "verdict_digest", "requirement_digest")}
    return {**bound, "opened": opened(intent, person), "seen": "yes", "rationale": REASON, **changes}


def status(intent: Intent) -> str:
    return Intent.objects.get(pk=intent.pk).status


def stays_shut(client: Client, intent: Intent, sent: dict[str, str]) -> str:
    """Send it; nothing may have happened. Returns what the page says."""
    before = status(intent)
    answer = client.post(door(intent), sent, follow=True)
    assert status(intent) == before
    assert not Decision.objects.filter(break_glass=True).exists()
    assert not BreakGlassReview.objects.exists()
    assert not Event.objects.filter(type="intent.glass_broken").exists()
    return answer.content.decode()


def findings() -> list:
    """What `audit_check` finds, but for people whom the arrangement told nobody of."""
    return [found for found in verification.check().findings if not found.table.startswith("auth_")]


def test_one_person_approves_what_five_were_asked_for_and_it_says_so_everywhere(eva, intent):
    client = browser(eva)
    page = client.get(door(intent)).content.decode()
    assert "Policy asks for <bdi>5 of finance</bdi>" in page
    assert intent.digest in page
    answer = client.post(door(intent), form(intent, eva))
    assert answer.status_code == 302
    assert status(intent) == Status.APPROVED
    decision = Decision.objects.get()
    made = record_of(decision)
    assert (decision.break_glass, made["break_glass"], made["stage"]) == (True, True, None)
    assert made["from"]["door"] == "glass" and made["factor"]["kind"] == "totp"
    facts = json.loads(Event.objects.get(type="decision.made").line)["facts"]
    assert facts["break_glass"] is True
    told = list(Event.objects.filter(intent_id=intent.pk).order_by("id").values_list("type", flat=True))
    assert set(told) == {
        "intent.proposed", "decision.made", "intent.glass_broken", "intent.approved", "glass_review.opened",
    }  # fmt: skip
    assert findings() == []
    assert integrity.differences(Intent.objects.select_related("agent").get()) == []


def test_every_page_of_it_and_every_list_says_so_in_red(eva, intent):
    run_by_noop("paid.out")
    intent = make_intent(action="paid.out")
    browser(eva).post(door(intent), form(intent, eva))
    execution = Execution.objects.get(intent=intent)
    anna = browser(make_user("anna", "auditors", "finance"))
    for name in ("change", "history", "raw", "similar"):
        page = anna.get(door(intent, name)).content.decode()
        assert 'id="zhv-glass"' in page and REASON in page and "eva" in page, name
    lists = [
        reverse("admin:intents_intent_changelist"),
        reverse("admin:intents_execution_changelist"),
        reverse("admin:intents_execution_change", args=[execution.pk]),
        f"{reverse('admin:index')}?tab=decided",
    ]
    for address in lists:
        assert '<span class="zhv-pill is-red">glass broken</span>' in anna.get(address).content.decode(), address
    shown = anna.get(f"/api/v1/intents/{intent.pk}").json()
    assert shown["break_glass"] == {"by": "eva", "reason": REASON, "at": shown["decisions"][0]["at"]}


def test_what_nobody_broke_is_marked_nowhere(intent):
    anna = browser(make_user("anna", "auditors"))
    assert "zhv-glass" not in anna.get(door(intent, "change")).content.decode()
    assert anna.get(f"/api/v1/intents/{intent.pk}").json()["break_glass"] is None


@pytest.mark.parametrize("group", sorted(roles.ROLES))
def test_no_role_may(intent, group):
    person = make_user("somebody", group)
    client = browser(person)
    assert client.get(door(intent)).status_code == 403
    stays_shut(client, intent, form(intent, person))


def test_neither_may_a_superuser_whom_nobody_named(intent):
    root = make_user("root", is_superuser=True)
    stays_shut(browser(root), intent, form(intent, root))
    assert "Break the glass" not in browser(root).get(door(intent, "change")).content.decode()
    browser(may_break(root)).post(door(intent), form(intent, root))
    assert status(intent) == Status.APPROVED


def test_a_group_may_have_the_permission_and_who_lost_it_has_none(intent):
    group = Group.objects.create(name="on call")
    group.permissions.add(Permission.objects.get(codename="break_glass"))
    person = make_user("pat", "operators", "on call")
    client = browser(person)
    assert "Break the glass" in client.get(door(intent, "change")).content.decode()
    group.permissions.clear()
    stays_shut(client, intent, form(intent, person))


def test_its_owner_never_does(owner, intent):
    owner = may_break(owner)
    owner.groups.add(Group.objects.get(name="operators"))
    owner = User.objects.get(pk=owner.pk)
    said = stays_shut(browser(owner), intent, form(intent, owner))
    assert "You own" in said


def test_who_made_its_key_never_does(intent):
    from intents.agents import create_key

    maker = may_break(make_user("max", "operators"))
    from audit.actors import Actor

    key = create_key(intent.agent, by=Actor.person(maker))[1]
    other = make_intent(key, payload={"n": 2})
    said = stays_shut(browser(maker), other, form(other, maker))
    assert "You made the key" in said


def test_for_whom_it_was_proposed_never_does(eva):
    intent = make_intent(payload={"n": 3}, on_behalf_of="eva")
    assert "on your behalf" in stays_shut(browser(eva), intent, form(intent, eva))


def test_who_widened_it_never_does(eva):
    eva.groups.add(Group.objects.get_or_create(name="finance")[0])
    eva = User.objects.get(pk=eva.pk)
    from reviews.decisions import decide

    intent = make_intent(payload={"n": 4})
    changes = [{"op": "replace", "path": "/n", "value": 400}]
    decide(intent.pk, by=eva, vote="approve", digest=intent.digest, rationale="more", changes=changes)
    intent = Intent.objects.get(pk=intent.pk)
    assert intent.widened_by == [eva.pk]
    assert "somebody else has to approve it" in stays_shut(browser(eva), intent, form(intent, eva))


@pytest.mark.parametrize(
    "reason", ["", "   ", "too short", "x" * 19, "\u200b" * 40, "x" + "\u200b" * 19, "a" + " " * 18 + "b", "." * 20]
)
def test_a_reason_is_needed_that_says_something(eva, intent, reason):
    said = stays_shut(browser(eva), intent, form(intent, eva, rationale=reason))
    assert "at least 20 characters" in said


@pytest.mark.parametrize(
    ("factor", "age", "told"),
    [
        ("", 0, "wants a second factor"),
        ("totp", 301, "more than five minutes ago"),
        ("recovery_code", 301, "more than five minutes ago"),
        ("webauthn", 0, "signs for one approval"),
    ],
)
def test_a_second_factor_of_just_now_is_needed_whatever_policy_wants(eva, intent, factor, age, told):
    client = browser(eva, factor=factor, age=timedelta(seconds=age), about="sha256:" + "0" * 64)
    assert told in stays_shut(client, intent, form(intent, eva))
    assert "disabled aria-describedby" in client.get(door(intent)).content.decode()


def test_a_security_key_that_signed_for_this_does(eva, intent):
    client = browser(eva, factor="webauthn", about=intent.digest)
    client.post(door(intent), form(intent, eva))
    assert status(intent) == Status.APPROVED


def test_a_personal_token_and_an_agents_key_open_no_such_door(eva, intent):
    for text in (create_token(eva, by=ARRANGER)[1], make_agent()[1]):
        headers = {"authorization": f"Bearer {text}"}
        answer = Client().post(door(intent), form(intent, eva), headers=headers)
        assert answer.status_code == 302 and "login" in answer.headers["Location"]
    token = {"authorization": f"Bearer {create_token(eva, by=ARRANGER)[1]}"}
    body = {"vote": "approve", "digest": intent.digest, "break_glass": True}
    answer = Client().post(f"/api/v1/intents/{intent.pk}/decisions", body, "application/json", headers=token)
    assert answer.status_code == 422
    # Signed in and with a token besides: the token has no second factor.
    said = browser(eva).post(door(intent), form(intent, eva), headers=token)
    assert said.status_code == 403
    assert status(intent) == Status.PENDING_APPROVAL


def test_only_a_post_with_its_token_breaks_it(eva, intent):
    client = browser(eva)
    client.get(door(intent), form(intent, eva))
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post(door(intent), form(intent, eva)).status_code == 403
    assert status(intent) == Status.PENDING_APPROVAL


@pytest.mark.parametrize("name", ["digest", "verdict_digest", "requirement_digest", "opened"])
@pytest.mark.parametrize("sent", ["", "sha256:" + "0" * 64])
def test_what_was_not_shown_is_not_approved(eva, intent, name, sent):
    assert "Shown version is stale" in stays_shut(browser(eva), intent, form(intent, eva, **{name: sent}))


def test_a_page_opened_for_somebody_else_breaks_nothing(eva, intent):
    other = make_user("other", "operators")
    stays_shut(browser(eva), intent, form(intent, eva, opened=opened(intent, other)))


def test_what_policy_blocks_stays_blocked(eva):
    load_policy("name: never\nmatch: {actions: ['bad.*']}\nrules: [{id: no, effect: block}]\n")
    blocked = make_intent(action="bad.thing")
    assert blocked.status == Status.BLOCKED
    said = stays_shut(browser(eva), blocked, form(blocked, eva))
    assert "Policy decided this" in said


def test_the_end_of_time_holds(eva, intent):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE intents_intent SET expires_at = %s WHERE id = %s",
            [clock.now() - timedelta(milliseconds=1), intent.pk],
        )
    answer = browser(eva).post(door(intent), form(intent, eva))
    assert answer.status_code == 409
    assert status(intent) in (Status.EXPIRED, Status.PENDING_APPROVAL)
    assert not Decision.objects.exists()


def test_the_kill_switch_holds(eva, intent):
    # Pressed just now, and the intent not cancelled yet.
    Agent.objects.filter(pk=intent.agent_id).update(killed_at=clock.now(), suspended_at=clock.now())
    assert "kill switch" in stays_shut(browser(eva), intent, form(intent, eva))


def test_what_was_altered_is_not_approved(eva, intent):
    lower = {"all_of": [{"group": "finance", "count": 1}]}
    Intent.objects.filter(pk=intent.pk).update(requirement=lower, requirement_digest=digest_of(lower))
    intent.refresh_from_db()
    assert "was altered" in stays_shut(browser(eva), intent, form(intent, eva))


def test_of_what_nobody_here_can_read_nothing_is_set_aside(eva, intent):
    from tests.reviews.test_beyond_the_desk import waiting

    beyond = waiting({"all_of": [{"group": "finance", "count": 1}], "unheard_of": 7})
    assert "unheard_of" in stays_shut(browser(eva), beyond, form(beyond, eva))


def test_who_voted_already_takes_that_back_first(eva, intent):
    from reviews.decisions import decide

    eva.groups.add(Group.objects.get_or_create(name="finance")[0])
    eva = User.objects.get(pk=eva.pk)
    decide(intent.pk, by=eva, vote="approve", digest=intent.digest)
    assert "already voted" in stays_shut(browser(eva), intent, form(intent, eva))


def test_without_a_key_to_sign_with_the_glass_holds(eva, intent, settings, tmp_path):
    from audit import signing

    settings.ZEHRAVA_SIGNING_KEYS_FOLDER = tmp_path / "keys"
    signing.make_first_key(by=ARRANGER)
    for path in (tmp_path / "keys").iterdir():
        path.unlink()
    assert "cannot sign" in stays_shut(browser(eva), intent, form(intent, eva))


# --- who is told, and the review ------------------------------------------------------------------------------------


def test_auditors_are_told_at_once_whatever_they_wished(eva, intent, settings):
    settings.ZEHRAVA_NOTIFY_WEBHOOKS = {}
    following.begin()
    anna = make_user("anna", "auditors", email="anna@example.com")
    make_user("rita", "finance", email="rita@example.com")
    wishes = {name: getattr(settings_of([anna])[anna.pk], name) for name in ("daily_at", "time_zone")}
    hour = clock.now().time().replace(microsecond=0)
    quiet = {"quiet_from": hour.replace(minute=0, second=0), "quiet_to": hour.replace(minute=59, second=59)}
    never = dict.fromkeys(("outcomes", "mentions", "needs_person", "urgent_anyway"), False)
    change_settings(anna, {**wishes, **quiet, **never, "asks": "never"})
    browser(eva).post(door(intent), form(intent, eva))
    turns.take_a_turn()
    assert list(Delivery.objects.filter(occasion="glass").values_list("person__username", "urgent")) == [("anna", True)]
    [message] = [each for each in mail.outbox if each.to == ["anna@example.com"]]
    assert "Glass broken" in message.subject
    assert REASON in message.body and "eva" in message.body


def reviewed(client: Client, review: BreakGlassReview, **changes: str):
    sent = {"finding": "justified", "text": "I asked finance in the morning.", **changes}
    return client.post(reverse("admin:reviews_breakglassreview_close", args=[review.pk]), sent, follow=True)


@pytest.fixture
def review(eva, intent) -> BreakGlassReview:
    browser(eva).post(door(intent), form(intent, eva))
    return BreakGlassReview.objects.get()


def test_an_auditor_closes_the_review_once_and_for_good(review):
    anna = browser(make_user("anna", "auditors"))
    listed = anna.get(reverse("admin:reviews_breakglassreview_changelist")).content.decode()
    assert "eva" in listed and "open" in listed
    page = anna.get(reverse("admin:reviews_breakglassreview_change", args=[review.pk])).content.decode()
    assert REASON in page and "5 of finance" in page
    assert "You closed the review" in reviewed(anna, review).content.decode()
    review.refresh_from_db()
    assert (review.finding, review.closed_by_name) == ("justified", "anna")
    facts = json.loads(Event.objects.get(type="glass_review.closed").line)["facts"]
    assert facts["finding"] == "justified"
    again = reviewed(browser(make_user("otto", "auditors")), review, finding="not_justified")
    assert again.status_code == 409
    review.refresh_from_db()
    assert review.finding == "justified"
    assert findings() == []


def test_who_broke_it_does_not_say_that_it_was_right(eva, review):
    eva.groups.add(Group.objects.get(name="auditors"))
    said = reviewed(browser(User.objects.get(pk=eva.pk)), review).content.decode()
    assert "You broke this glass" in said
    assert BreakGlassReview.objects.filter(closed_at=None).exists()


def test_neither_do_they_by_another_account(eva, review):
    eva.email = "Eva@Example.com"
    eva.save()
    other = browser(make_user("eva-2", "auditors", email="eva@example.com"))

    page = other.get(reverse("admin:reviews_breakglassreview_change", args=[review.pk])).content.decode()
    assert "You broke this glass as eva" in page
    assert reviewed(other, review).status_code == 403
    assert BreakGlassReview.objects.filter(closed_at=None).exists()


@pytest.mark.parametrize("group", sorted(set(roles.ROLES) - {"auditors"}))
def test_only_auditors_close_it(review, group):
    answer = reviewed(browser(make_user("somebody", group)), review)
    assert answer.status_code == 403
    assert BreakGlassReview.objects.filter(closed_at=None).exists()


@pytest.mark.parametrize("changes", [{"finding": ""}, {"finding": "fine"}, {"text": "  "}])
def test_a_review_says_what_was_found(review, changes):
    assert reviewed(browser(make_user("anna", "auditors")), review, **changes).status_code == 422
    assert BreakGlassReview.objects.filter(closed_at=None).exists()


def test_a_get_closes_nothing(review):
    browser(make_user("anna", "auditors")).get(
        reverse("admin:reviews_breakglassreview_close", args=[review.pk]), {"finding": "justified", "text": "x"}
    )
    assert BreakGlassReview.objects.filter(closed_at=None).exists()


def test_the_sidebar_counts_what_is_open_for_who_may_see_it(review):
    from django.test import RequestFactory

    from zehrava_site.navigation import sidebar

    def badge(person: User) -> object:
        request = RequestFactory().get("/admin/")
        request.user = person
        items = [item for group in sidebar(request) for item in group["items"]]
        return next((item.get("badge") for item in items if item["title"] == "Broken glass"), "not there")

    assert badge(make_user("anna", "auditors")) == 1
    assert badge(make_user("adam", "administrators")) == 1
    assert badge(make_user("rita", "reviewers")) == "not there"


def test_an_empty_list_says_what_it_is_for():
    page = browser(make_user("anna", "auditors")).get(reverse("admin:reviews_breakglassreview_changelist"))
    assert "in an emergency" in page.content.decode()


# --- granting it ----------------------------------------------------------------------------------------------------


def test_giving_somebody_the_permission_is_recorded_and_found_where_it_was_not():
    from zehrava_site.people import check_people, record_person

    pat = make_user("pat", "operators")
    from django.db import transaction

    with transaction.atomic():
        record_person(pat, "added", by=ARRANGER)

    def mine() -> list:
        return [found for found in check_people() if found.row == str(pat.pk)]

    assert mine() == []
    pat = may_break(pat)
    [found] = mine()
    assert "permissions" in found.problem
    with transaction.atomic():
        record_person(pat, "changed", by=ARRANGER)
    assert mine() == []
    assert json.loads(Event.objects.filter(type="person.changed").get().line)["facts"]["permissions"] == ["break_glass"]
    pat.user_permissions.clear()
    assert "permissions" in mine()[0].problem


# --- races ----------------------------------------------------------------------------------------------------------

ARRANGE = f"""
from django.contrib.auth.models import Permission
from tests.factories import load_policy, make_agent, make_intent, make_user
load_policy({FIVE!r})
for n in range(6):
    person = make_user(f"eager-{{n}}", "operators", "finance")
    person.user_permissions.add(Permission.objects.get(codename="break_glass"))
key = make_agent()[1]
for n in range(15):
    make_intent(key, payload={{"n": n}})
"""
BREAK = f"""
import random
from django.contrib.auth.models import User
from audit import clock
from intents.models import Intent
from reviews.break_glass import break_glass
from reviews.circumstances import Origin
from reviews.decisions import decide
from reviews.models import Door
from reviews.second_factor import Factor
from tests.factories import opened
from zehrava.problems import Problem
me = User.objects.get(username=f"eager-{{number}}")
intents = list(Intent.objects.all())
random.Random(number).shuffle(intents)
said = []
# GO
for intent in intents:
    try:
        if number % 2 and REJECT:
            decide(intent.pk, by=me, vote="reject", digest=intent.digest, rationale="no")
        else:
            break_glass(
                intent.pk, by=me, digest=intent.digest, verdict_digest=intent.verdict_digest,
                requirement_digest=intent.requirement_digest, reason={REASON!r}, typed="",
                factor=Factor("totp", 1, clock.now()), origin=Origin(Door.GLASS, None, opened(intent, me)),
            )
        said.append([intent.pk, "done"])
    except Problem as problem:
        said.append([intent.pk, problem.kind])
"""


@pytest.mark.parametrize("reject", [False, True])
def test_of_many_who_break_it_or_reject_at_once_one_is_first(start_portal, reject):
    portal = start_portal(web=0)
    portal.shell(ARRANGE)
    said = at_once(portal, BREAK.replace("REJECT", str(reject)))
    kinds = [kind for process in said for _, kind in process]
    assert kinds.count("done") == 15
    assert set(kinds) == {"done", "not-pending"}
    found = json.loads(
        portal.shell("""
import json
from audit.models import Event
from intents.models import Intent
print(json.dumps([
    [intent.status, intent.decisions.count(), intent.glass_reviews.count(),
     Event.objects.filter(intent_id=intent.pk, type__in=("intent.approved", "intent.rejected")).count(),
     Event.objects.filter(intent_id=intent.pk, type="intent.glass_broken").count()]
    for intent in Intent.objects.all()
]))
""")
    )
    assert len(found) == 15
    for status, decisions, reviews, ended, broken in found:
        assert (decisions, ended) == (1, 1)
        assert (reviews, broken) == ((1, 1) if status == "approved" else (0, 0))
    assert {row[0] for row in found} <= ({"approved", "rejected"} if reject else {"approved"})
