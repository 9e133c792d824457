"""Who is asked by a table, and by when in business hours, as agents, reviewers and authors of policies meet it."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from intents import backtesting, in_force, shadowing, sweeping
from intents.documents import save_policy
from intents.explaining import explain
from intents.models import Intent, Policy, PolicyVersion, ShadowVerdict, Status
from intents.tasks import run_backtest
from reviews.decisions import decide
from reviews.fillable import warnings_of
from tests.clocks import held_clock
from tests.factories import (
    ARRANGER,
    ids_waiting_for,
    load_action_type,
    load_policy,
    make_agent,
    make_intent,
    make_user,
)
from zehrava.policy import parse_policy
from zehrava.policy.business_time import due
from zehrava.policy.requirements import steps_of

TYPE = """
name: stripe.refund
schema:
  type: object
  required: [amount]
  properties: {amount: {type: string}, currency: {type: string}, country: {type: string}}
derive:
  value: {amount: payload.amount, currency: '"EUR"'}
  records: "1"
sensitivity: %s
present: {reversible: %s}
"""
LADDER = """
name: ladder
match: {actions: [stripe.refund]}
rules:
  - id: money
    effect: require_approval
    approval:
      table:
        amount: {in: EUR}
        rows:
          - {up_to: "500", all_of: [{group: reviewers}]}
          - {up_to: "5000", environments: [production], records_up_to: 10, all_of: [{group: finance}]}
          - {up_to: "5000", sensitivity_up_to: low, reversible: true, all_of: [{group: legal}]}
          - {all_of: [{group: finance, count: 2}, {group: security}], step_up: true}
      expires_in: 1h
"""
REVIEWERS, FINANCE, LEGAL = ([{"group": group, "count": 1}] for group in ("reviewers", "finance", "legal"))
LAST = [{"group": "finance", "count": 2}, {"group": "security", "count": 1}]


@pytest.fixture
def known(owner) -> None:
    """The action type says all that the rows read."""
    load_action_type(TYPE % ("low", '"Charge it again"'))


def asks(intent: Intent) -> list[dict[str, Any]]:
    return intent.requirement["all_of"]


def refund(key: str, amount: str, **members: Any) -> Intent:
    return make_intent(key, payload={"amount": amount}, **members)


def read(response: Any) -> str:
    """What a person reads of a page, without its markup."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", response.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


# --- which row -----------------------------------------------------------------------------------------------------


def test_the_amount_chooses_whom_an_intent_waits_for(key, known, rita):
    load_policy(LADDER)
    small, medium, large = (refund(key, amount) for amount in ("500.00", "500.01", "5000.01"))
    assert [asks(each) for each in (small, medium, large)] == [REVIEWERS, FINANCE, LAST]
    assert ids_waiting_for(rita) == (small.pk,)
    assert set(ids_waiting_for(make_user("fay", "finance"))) == {medium.pk, large.pk}
    assert large.requirement["step_up"] is True
    assert medium.verdict["reason"].endswith(
        "row 2 of its table: amount 500.01 EUR is up to 5,000 and 1 record is up to 10 and environment is production"
    )


def test_an_agent_chooses_no_row_by_what_it_claims(key, known):
    load_policy(LADDER)
    claims = {"value": {"amount": "1.00", "currency": "EUR"}, "records": 1, "context": {"reversible": True}}
    assert asks(refund(key, "9000.00", **claims)) == LAST


def test_what_no_action_type_says_asks_everybody_whom_a_row_could_ask(key):
    load_policy(LADDER)
    intent = refund(key, "1.00")
    assert asks(intent) == [*LAST[:1], *LEGAL, *REVIEWERS, *LAST[1:]]
    assert "rows 1, 2, 3 and 4 of its table together: it is not known to be in EUR" in intent.verdict["reason"]


def test_the_environment_that_counts_is_the_registered_one(owner, known):
    load_policy(LADDER)
    _, key = make_agent("tester", owner=owner, environment="staging")
    assert asks(refund(key, "600.00", context={"environment": "production"})) == LEGAL


@pytest.mark.parametrize(
    ("sensitivity", "reversible", "asked"),
    [("low", '"Charge it again"', LEGAL), ("normal", '"Charge it again"', LAST), ("low", "false", LAST)],
)
def test_what_the_action_type_says_chooses_too(owner, sensitivity, reversible, asked):
    load_action_type(TYPE % (sensitivity, reversible))
    load_policy(LADDER)
    _, key = make_agent("tester", owner=owner, environment="staging")
    assert asks(refund(key, "600.00")) == asked


def test_an_intent_keeps_what_its_action_type_said_when_it_was_proposed(owner, known):
    load_policy(LADDER)
    _, key = make_agent("tester", owner=owner, environment="staging")
    intent = refund(key, "600.00")
    load_action_type(TYPE % ("high", "false"))
    explained = explain(Intent.objects.get(pk=intent.pk))
    assert explained.agrees
    assert explained.trace[0]["table"]["chosen"] == [3]
    assert asks(refund(key, "601.00")) == LAST


def test_an_unknown_sensitivity_is_refused_with_its_place(owner):
    with pytest.raises(ValueError, match="sensitivity: must be one of low, normal, high"):
        load_action_type(TYPE % ("secret", "false"))


def test_the_row_is_met_by_those_whom_it_asks_and_by_nobody_else(key, known, rita):
    load_policy(LADDER)
    intent = refund(key, "20.00")
    decide(intent.pk, by=rita, vote="approve", digest=intent.digest)
    assert Intent.objects.get(pk=intent.pk).status == Status.APPROVED


def test_who_changes_the_amount_is_asked_for_at_least_what_was_asked_before(signed_in, key, known, rita):
    load_policy(LADDER)
    intent = refund(key, "20.00")
    changes = [{"op": "replace", "path": "/amount", "value": "600.00"}]
    decide(intent.pk, by=rita, vote="approve", digest=intent.digest, rationale="More.", changes=changes)
    intent = Intent.objects.get(pk=intent.pk)
    assert intent.status == Status.PENDING_APPROVAL
    assert asks(intent) == [*FINANCE, *REVIEWERS]
    assert explain(intent).agrees


def test_a_policy_that_cannot_be_read_any_more_asks_everybody_of_every_row(key, known):
    load_policy(LADDER)
    PolicyVersion.objects.filter(policy__name="ladder").update(text="name: ladder\nrules: nonsense\n")
    in_force.bump()
    assert asks(refund(key, "1.00")) == [*LAST[:1], *LEGAL, *REVIEWERS, *LAST[1:]]


# --- before it counts ----------------------------------------------------------------------------------------------

HIGHER = LADDER.replace('up_to: "500"', 'up_to: "600"')


def test_a_backtest_of_a_changed_table_finds_who_else_would_be_asked(key, known):
    load_policy(LADDER)
    moved, same = refund(key, "550.00"), refund(key, "700.00")
    version = save_policy(HIGHER, by=ARRANGER, user=None, activate=False)
    done = backtesting.request(version, days=7, by=ARRANGER, user=None)
    run_backtest(done.pk)
    done.refresh_from_db()
    assert (done.state, done.judged, done.summary["counts"]) == ("finished", 2, {"people": 1, "same": 1})
    [difference] = done.differences.all()
    assert (difference.intent_id, difference.change) == (moved.pk, "people")
    assert "row 1 of its table" in difference.reason
    assert same.pk != moved.pk


def test_a_backtest_knows_what_the_action_type_said_then(owner, known):
    load_policy(LADDER)
    _, key = make_agent("tester", owner=owner, environment="staging")
    refund(key, "600.00")
    load_action_type(TYPE % ("high", "false"))
    version = save_policy(LADDER + "description: the same\n", by=ARRANGER, user=None, activate=False)
    done = backtesting.request(version, days=7, by=ARRANGER, user=None)
    run_backtest(done.pk)
    done.refresh_from_db()
    assert done.summary["counts"] == {"same": 1}


def test_a_table_in_shadow_is_compared_row_by_row(key, known):
    load_policy(LADDER)
    shadowing.start(save_policy(HIGHER, by=ARRANGER, user=None, activate=False), by=ARRANGER)
    moved, same = refund(key, "550.00"), refund(key, "700.00")
    seen = dict(ShadowVerdict.objects.values_list("intent_id", "change"))
    assert seen.get(moved.pk) == "people"
    assert seen.get(same.pk) in (None, "same")


def test_evaluate_tells_an_agent_which_row_would_ask(key, known):
    load_policy(LADDER)
    answer = Client().post(
        "/api/v1/policies/evaluate",
        json.dumps({"action": "stripe.refund", "payload": {"amount": "600.00"}}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    said = answer.json()
    assert said["requirement"]["all_of"] == FINANCE
    assert said["trace"][0]["table"]["chosen"] == [2]
    assert [row["fits"] for row in said["trace"][0]["table"]["rows"]] == [False, True]


@pytest.mark.parametrize("member", ["reversible", "sensitivity"])
def test_an_agent_cannot_say_what_its_action_type_says(key, known, member):
    load_policy(LADDER)
    body = {"action": "stripe.refund", "payload": {"amount": "1"}, member: True}
    for path in ("intents", "policies/evaluate"):
        answer = Client().post(
            f"/api/v1/{path}",
            json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 422
        assert member in answer.content.decode()


def test_warnings_say_which_row_nobody_can_meet(db):
    make_user("rita", "reviewers")
    make_user("fay", "finance")
    make_user("lea", "legal")
    told = " ".join(warnings_of(parse_policy(LADDER)))
    assert "Rule money (row 4): there is no group security" not in told
    assert "Rules money (row 4) and money (where it is not known which row fits): there is no group security" in told
    assert "row 1)" not in told
    for name in ("flo", "sam"):
        make_user(name, "finance" if name == "flo" else "security")
    assert warnings_of(parse_policy(LADDER)) == []


# --- the pages -----------------------------------------------------------------------------------------------------


@pytest.fixture
def author(db) -> Client:
    person = make_user("arthur")
    for name in ("change_policy", "view_policy", "view_intent"):
        person.user_permissions.add(Permission.objects.get(codename=name))
    client = Client()
    client.force_login(person)
    return client


def test_the_policy_s_page_draws_the_table_as_a_table(author, known):
    load_policy(LADDER)
    policy = Policy.objects.get()
    for page in (
        f"/admin/intents/policy/{policy.pk}/change/",
        reverse("admin:intents_policy_version", args=[policy.pk, 1]),
    ):
        said = read(author.get(page))
        assert "Who is asked by rule money" in said
        assert "Row Amount Records Environment Undo Sensitivity Asks How" in said
        assert "1 up to 500 EUR any any any any 1 of reviewers expires after 1h" in said
        assert "2 up to 5,000 EUR up to 10 production any any 1 of finance expires after 1h" in said
        assert "3 up to 5,000 EUR any any can be undone low 1 of legal" in said
        assert "4 any any any any any 2 of finance and 1 of security second factor; expires after 1h" in said


def test_a_policy_without_a_table_has_no_such_section(author):
    load_policy("name: plain\nmatch: {actions: [a.b]}\nrules: [{id: all, effect: require_approval}]\n")
    assert "Who is asked by rule" not in read(author.get(f"/admin/intents/policy/{Policy.objects.get().pk}/change/"))


def test_trying_an_intent_shows_every_row_that_was_looked_at(author, known):
    load_policy(LADDER)
    make_agent("billing")
    intent = json.dumps({"action": "stripe.refund", "payload": {"amount": "600.00"}})
    page = f"/admin/intents/policy/{Policy.objects.get().pk}/try/"
    said = read(author.post(page, {"intent": intent, "agent": "billing", "now": ""}))
    assert "Row 1 does not fit: amount 600.00 EUR is above 500" in said
    assert "Row 2 asks: amount 600.00 EUR is up to 5,000" in said
    assert "Needs 1 of finance , within 1h" in said


def test_the_page_of_an_intent_says_which_row_asks_and_why(signed_in, rita, key, known):
    load_policy(LADDER)
    intent = refund(key, "20.00")
    said = read(signed_in(rita).get(reverse("admin:intents_intent_change", args=[intent.pk])))
    assert "row 1 of its table: amount 20.00 EUR is up to 500" in said
    assert "Row 1 asks: amount 20.00 EUR is up to 500" in said


# --- business hours ------------------------------------------------------------------------------------------------

HOURS = """
name: slow
match: {actions: [slow.thing]}
business_hours: {zone: Europe/Berlin, days: [mon, tue, wed, thu, fri], from: "09:00", to: "17:00", holidays: [%s]}
rules:
  - id: all
    effect: require_approval
    approval:
      all_of: [{group: reviewers}]
      clock: business
      expires_in: 8h
      escalation: [{after: 30m, do: remind}]
"""
QUIET = HOURS % '"2020-12-25"'


def test_an_intent_expires_in_business_time_and_asks_the_same_whenever_it_comes(key):
    load_policy(QUIET)
    one, other = make_intent(key, action="slow.thing"), make_intent(key, action="slow.thing", payload={"n": 2})
    hours = parse_policy(QUIET).business_hours
    for intent in (one, other):
        left = due(intent.created_at, 8 * 3600, hours) - intent.expires_at
        assert timedelta(0) <= left < timedelta(seconds=1)
    assert one.requirement_digest == other.requirement_digest
    assert "expires_in" not in one.requirement
    [step] = steps_of(one.requirement)
    assert step.due(one.created_at) == due(one.created_at, 1800, hours)


def test_a_clock_changes_nothing_about_who_approves(key, rita):
    load_policy(QUIET)
    intent = make_intent(key, action="slow.thing")
    assert ids_waiting_for(rita) == (intent.pk,)
    decide(intent.pk, by=rita, vote="approve", digest=intent.digest)
    assert Intent.objects.get(pk=intent.pk).status == Status.APPROVED
    assert explain(intent).agrees


def test_the_portal_s_own_ceiling_counts_every_second(settings, key):
    settings.ZEHRAVA_EXPIRES_IN_MAX = 3600
    load_policy(QUIET)
    intent = make_intent(key, action="slow.thing")
    assert intent.expires_at - intent.created_at == timedelta(hours=1)


JUST = timedelta(milliseconds=1)


def test_a_step_is_taken_when_its_hours_are_over_and_not_by_the_wall(key):
    with held_clock() as time:
        # Friday, half past four in the afternoon in Berlin: half an hour is left today, and the step wants an hour.
        time.set(datetime(2026, 11, 27, 15, 30, tzinfo=UTC))
        load_policy(QUIET.replace("30m", "1h"))
        intent = make_intent(key, action="slow.thing")
        due_on_monday = datetime(2026, 11, 30, 8, 30, tzinfo=UTC)
        for at, taken in ((due_on_monday - JUST, 0), (due_on_monday, 1)):
            time.set(at)
            sweeping.sweep()
            assert Intent.objects.get(pk=intent.pk).steps_taken == taken


def test_the_policy_s_page_says_when_people_work(author):
    text = LADDER.replace("expires_in: 1h", "clock: business\n      expires_in: 2h").replace(
        "rules:", 'business_hours: {zone: UTC, days: [mon], from: "09:00", to: "17:00"}\nrules:', 1
    )
    load_policy(text)
    said = read(author.get(f"/admin/intents/policy/{Policy.objects.get().pk}/change/"))
    assert "expires after 2h of business time" in said
    assert "Business time is 09:00 to 17:00 in UTC on mon." in said
