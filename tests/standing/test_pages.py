"""The pages of standing approvals: asking, a second person, ending it, and what each of them may not do."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from audit import clock
from audit.models import Event
from intents.models import Agent
from reviews.models import StandingApproval
from reviews.standing import steps
from reviews.standing.terms import Terms
from tests.factories import approve_in_advance, ask_in_advance, load_policy, make_agent, make_user
from zehrava.problems import Problem

ADD = "/admin/reviews/standingapproval/add/"
LIST = "/admin/reviews/standingapproval/"


def typed(agent: Agent, **fields: object) -> dict[str, object]:
    return {
        "agent": agent.pk,
        "action": "a.b",
        "when": "",
        "max_uses": "20",
        "max_total": "",
        "currency": "",
        "rate_count": "",
        "rate_window": "",
        "days": "30",
        "sample_percent": "5",
        "disagreement_percent": "10",
        "reason": "every night the same",
        **fields,
    }


def page(approval: StandingApproval, end: str = "change") -> str:
    return reverse(f"admin:reviews_standingapproval_{end}", args=[approval.pk])


# --- asking ---


def test_a_reviewer_asks_by_the_form(signed_in, agent, rita):
    answer = signed_in(rita).post(
        ADD,
        typed(agent, when='payload.amount == "1"', max_total="9.50", currency="eur", rate_count="3", rate_window="1h"),
    )

    approval = StandingApproval.objects.get()
    assert answer.status_code == 302 and answer.url == page(approval)
    assert (approval.owner, approval.state, approval.sample_percent) == (rita, "requested", 5)
    assert (str(approval.max_total.normalize()), approval.currency, approval.rate_window) == ("9.5", "EUR", 3600)
    assert 29 <= (approval.expires_at - clock.now()).days <= 30
    event = Event.objects.get(type="standing_approval.requested")
    assert event.actor_name == "rita" and "every night" not in event.line


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("when", "payload.amount >", "not a condition"),
        ("when", "nobody.knows == 1", "unknown variable"),
        ("when", "usage.x == 1", "leave `usage` out"),
        ("when", "'a.b'.matches('(')", "not a pattern"),
        ("action", "a b", "name or glob"),
        ("max_uses", "0", "greater than or equal to 1"),
        ("max_uses", "10001", "less than or equal to 10000"),
        ("max_total", "5", "leave both empty"),
        ("currency", "EUR", "leave both empty"),
        ("max_total", "-5", "above zero"),
        ("rate_count", "5", "leave both empty"),
        ("rate_window", "1 hour", "A duration is"),
        ("days", "91", "less than or equal to 90"),
        ("days", "0", "greater than or equal to 1"),
        ("sample_percent", "101", "less than or equal to 100"),
        ("reason", "", "required"),
        ("reason", "\u200b", "Say why"),
        ("agent", "agt_none", "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_as_it_is_typed_and_when_it_is_sent(
    signed_in, agent, rita, field, value, said
):
    client, form = signed_in(rita), typed(agent) | {field: value}

    as_typed = client.post(f"{LIST}check/", form).json()["errors"]
    assert any(said in each for each in [*as_typed.get(field, ()), *as_typed.get(_beside(field), ())]), as_typed
    sent = client.post(ADD, form)
    assert sent.status_code == 200 and said in sent.content.decode()
    assert not StandingApproval.objects.exists()


def _beside(field: str) -> str:
    pairs = {"max_total": "currency", "currency": "max_total", "rate_count": "rate_window", "rate_window": "rate_count"}
    return pairs.get(field, field)


def test_checking_a_form_stores_nothing_and_needs_the_permission(signed_in, agent, rita):
    assert signed_in(rita).post(f"{LIST}check/", typed(agent)).json() == {"errors": {}}
    assert not StandingApproval.objects.exists()
    assert signed_in(rita).get(f"{LIST}check/").status_code == 405
    assert signed_in(make_user("op", "operators")).post(f"{LIST}check/", typed(agent)).status_code == 403


def test_the_owner_of_an_agent_does_not_ask_for_it(signed_in, agent, olivia):
    answer = signed_in(olivia).post(ADD, typed(agent))

    assert "You own nightly" in answer.content.decode()
    assert not StandingApproval.objects.exists()
    terms = Terms(agent=agent, action="a.b", max_uses=1, expires_at=clock.now(), reason="x")
    with pytest.raises(Problem, match="own nightly"):
        steps.ask(terms, by=olivia)


@pytest.mark.parametrize("role", ["operators", "auditors", "policy_authors"])
def test_who_does_not_decide_does_not_ask_either(signed_in, agent, role):
    assert signed_in(make_user(None, role)).post(ADD, typed(agent)).status_code == 403


# --- a second person ---


def test_a_second_person_approves_it_on_its_page(signed_in, agent, rita, sam):
    approval = ask_in_advance(agent, by=rita)
    client = signed_in(sam)
    shown = client.get(page(approval)).content.decode()
    digest = re.search(r'name="digest" value="([^"]+)"', shown)[1]  # type: ignore[index]

    answer = client.post(page(approval, "approve"), {"digest": digest, "reason": "fine"})

    approval.refresh_from_db()
    assert answer.status_code == 302
    assert (approval.state, approval.approver, approval.answer) == ("active", sam, "fine")
    event = Event.objects.get(type="standing_approval.approved")
    assert event.actor_name == "sam" and "fine" not in event.line


def test_its_page_says_whose_approvals_it_counts_as(signed_in, agent, rita, sam):
    shown = _words(signed_in(rita).get(page(approve_in_advance(agent, by=rita, second=sam))).content.decode())

    assert "It counts as the approvals of rita (finance, reviewers) and sam (reviewers, security)" in shown
    assert "careful › two asks 1 of finance, then 1 of security met ✓" in shown


def test_its_page_warns_where_the_two_meet_nothing_that_is_asked(signed_in, agent, rita, sam):
    load_policy(
        "name: careful\nmatch: {actions: ['a.*']}\nrules: [{id: all, effect: require_approval,"
        " approval: {all_of: [{group: legal}]}}]\n"
    )
    shown = _words(signed_in(rita).get(page(approve_in_advance(agent, by=rita, second=sam))).content.decode())

    assert "As things stand nothing passes on it" in shown and "careful › all asks 1 of legal not met" in shown


def test_of_a_table_its_page_says_which_rows_the_two_meet(signed_in, agent, rita, sam, propose):
    load_policy(
        "name: careful\nmatch: {actions: ['a.*']}\nrules:\n  - id: money\n    effect: require_approval\n"
        "    approval:\n      table:\n        amount: {of: payload.amount, currency: payload.currency, in: EUR}\n"
        "        rows:\n"
        "          - {up_to: '500', all_of: [{group: finance}]}\n"
        "          - {all_of: [{group: finance}, {group: legal}]}\n"
    )
    shown = _words(signed_in(rita).get(page(approve_in_advance(agent, by=rita, second=sam))).content.decode())

    assert "As things stand nothing passes on it" not in shown
    assert "careful › money, row 1 asks 1 of finance met ✓" in shown
    assert "careful › money, row 2 asks 1 of finance and 1 of legal not met" in shown
    # And so it is.
    passed = {n: propose(n, payload={"amount": n, "currency": "EUR"})["status"] for n in ("500", "501")}
    assert passed == {"500": "approved", "501": "pending_approval"}


def _words(page: str) -> str:
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    return re.sub(r" (?=[),])|(?<=\() ", "", words)


@pytest.mark.parametrize("who", ["rita", "olivia", "op", "root"])
def test_these_do_not_approve_it(signed_in, agent, rita, olivia, who):
    approval = ask_in_advance(agent, by=rita)
    person = {"rita": rita, "olivia": olivia}.get(who) or make_user(who, *(["operators"] if who == "op" else []))
    if who == "root":
        # A superuser who owns the agent by now.
        from intents import agents
        from tests.factories import ARRANGER

        person.is_superuser = True
        person.save()
        agents.change_agent(agent, by=ARRANGER, owner=person)
    client = signed_in(person)

    assert 'name="digest"' not in client.get(page(approval)).content.decode()
    answer = client.post(page(approval, "approve"), {"digest": approval.terms_digest})
    assert answer.status_code in (403, 409)
    approval.refresh_from_db()
    assert approval.state == "requested"


def test_an_agent_with_its_key_reaches_no_button(agent_client, agent, rita):
    approval = ask_in_advance(agent, by=rita)
    assert agent_client.post(page(approval, "approve"), {"digest": approval.terms_digest}).status_code in (302, 403)
    approval.refresh_from_db()
    assert approval.state == "requested"


def test_looking_changes_nothing_and_csrf_is_wanted(agent, rita, sam, signed_in):
    from django.test import Client

    approval = ask_in_advance(agent, by=rita)
    for step in ("approve", "refuse", "revoke"):
        assert signed_in(sam).get(page(approval, step)).status_code == 302
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(sam)
        assert strict.post(page(approval, step), {"digest": approval.terms_digest, "reason": "x"}).status_code == 403
    approval.refresh_from_db()
    assert approval.state == "requested"


def test_what_is_not_what_was_shown_is_not_approved(signed_in, agent, rita, sam):
    approval = ask_in_advance(agent, by=rita)
    client = signed_in(sam)
    assert client.post(page(approval, "approve"), {"digest": "sha256:other"}).status_code == 409

    StandingApproval.objects.update(max_uses=9_999)
    answer = client.post(page(approval, "approve"), {"digest": approval.terms_digest})
    assert answer.status_code == 409 and "not what was asked for" in answer.content.decode()
    assert StandingApproval.objects.get().state == "requested"


def test_refusing_needs_a_reason_and_ends_it(signed_in, agent, rita, sam):
    approval, client = ask_in_advance(agent, by=rita), signed_in(sam)

    answer = client.post(page(approval, "refuse"), {"reason": " "})
    assert answer.status_code == 422 and "Say why you refuse" in answer.content.decode()
    assert client.post(page(approval, "refuse"), {"reason": "too much"}).status_code == 302
    approval.refresh_from_db()
    assert (approval.state, approval.answer) == ("refused", "too much")
    assert client.post(page(approval, "approve"), {"digest": approval.terms_digest}).status_code == 409
    assert "too much" in signed_in(rita).get(page(approval)).content.decode()


# --- ending it ---


@pytest.mark.parametrize(
    ("who", "may"),
    [("rita", True), ("sam", True), ("op", True), ("admin", True), ("other", False), ("olivia", False)],
)
def test_its_two_people_operators_and_administrators_revoke_it(signed_in, agent, rita, sam, olivia, who, may):
    approval = approve_in_advance(agent, by=rita, second=sam)
    roles = {"op": "operators", "admin": "administrators", "other": "reviewers"}
    person = {"rita": rita, "sam": sam, "olivia": olivia}.get(who) or make_user(who, roles[who])
    client = signed_in(person)

    assert ("Revoke at once" in client.get(page(approval)).content.decode()) is may
    answer = client.post(page(approval, "revoke"), {"reason": "no longer needed"})

    approval.refresh_from_db()
    assert (answer.status_code, approval.state) == ((302, "revoked") if may else (403, "active"))


def test_revoking_needs_a_reason(signed_in, agent, rita, sam):
    approval = approve_in_advance(agent, by=rita, second=sam)
    answer = signed_in(rita).post(page(approval, "revoke"), {"reason": ""})
    assert answer.status_code == 422
    approval.refresh_from_db()
    assert approval.state == "active"


def test_it_ends_once(agent, rita, sam):
    approval = approve_in_advance(agent, by=rita, second=sam)
    steps.revoke(approval, by=rita, reason="one")
    with pytest.raises(Problem) as refused:
        steps.revoke(approval, by=sam, reason="two")
    assert refused.value.kind in ("conflict", "forbidden")
    assert Event.objects.filter(type="standing_approval.revoked").count() == 1


# --- finding it ---


def test_the_list_shows_each_with_its_state_and_filters(signed_in, agent, rita, sam):
    ask_in_advance(agent, by=rita, action="a.asked")
    approve_in_advance(agent, by=rita, second=sam, action="a.active")
    client = signed_in(rita)

    shown = client.get(LIST).content.decode()
    assert "a.asked" in shown and "a.active" in shown and "0 of 100" in shown
    active = client.get(f"{LIST}?state=active").content.decode()
    assert "a.active" in active and "a.asked" not in active


def test_an_empty_list_says_what_to_do(signed_in, rita):
    assert "Ask for a standing approval" in re.sub(r"\s+", " ", signed_in(rita).get(LIST).content.decode())


def test_one_whose_time_is_over_is_shown_as_over_before_the_sweep(signed_in, agent, rita, sam):
    approval = approve_in_advance(agent, by=rita, second=sam)
    StandingApproval.objects.update(expires_at=approval.created_at)

    client = signed_in(rita)
    assert "a.b" in client.get(f"{LIST}?state=over").content.decode()
    assert ">Over<" in client.get(page(approval)).content.decode()


def test_the_sidebar_the_agents_page_and_the_figures_lead_there(signed_in, agent, rita, sam, propose):
    approve_in_advance(agent, by=rita, second=sam)
    propose()
    client = signed_in(rita)

    assert f'href="{LIST}"' in client.get("/admin/").content.decode()
    of_agent = client.get(f"/admin/intents/agent/{agent.pk}/change/").content.decode()
    assert f"{LIST}?agent__id__exact={agent.pk}" in of_agent
    figures = _words(client.get(reverse("admin:figures"), headers={"HX-Request": "true"}).content.decode())
    assert "Passed in advance in 24 hours 1" in figures


def test_the_intents_page_says_on_what_it_passed_in_place_of_decisions(signed_in, agent, rita, sam, propose):
    approval = approve_in_advance(agent, by=rita, second=sam, max_uses=7)
    made = propose()

    shown = signed_in(rita).get(f"/admin/intents/intent/{made['id']}/change/").content.decode()
    assert "on use 1 of 7 of" in shown and page(approval) in shown
    assert "rita" in shown and "Nobody looked at this intent" in shown
    assert "0 of 2 given" not in shown


def test_the_intents_page_marks_a_sample(signed_in, agent, rita, sam, propose):
    approve_in_advance(agent, by=rita, second=sam, sample_percent=100)
    made = propose()
    shown = signed_in(sam).get(f"/admin/intents/intent/{made['id']}/change/").content.decode()
    assert "A sample." in shown and "chance gave it to people" in shown


def test_hostile_words_are_drawn_harmless(signed_in, agent, rita, sam):
    approval = ask_in_advance(agent, by=rita, reason="<script>x</script> \u202eevil", when='payload.x == "<b>"')
    shown = signed_in(sam).get(page(approval)).content.decode()
    assert "<script>x" not in shown and "\u202e" not in shown and '"<b>"' not in shown


def test_the_page_takes_the_same_queries_for_one_use_as_for_many(
    signed_in, agent, rita, sam, propose, django_assert_max_num_queries
):
    approval = approve_in_advance(agent, by=rita, second=sam)
    for number in range(30):
        propose(str(number))
    client = signed_in(rita)
    client.get(page(approval))
    with django_assert_max_num_queries(30):
        shown = client.get(page(approval)).content.decode()
    assert shown.count("admin/intents/intent/") >= 25 and "Page 1 of 2" in shown
    assert "Page 2 of 2" in client.get(f"{page(approval)}?uses=2").content.decode()


def test_the_permission_to_approve_alone_is_enough(signed_in, agent, rita):
    approval = ask_in_advance(agent, by=rita)
    person = make_user("alone", "security")
    person.user_permissions.set(
        Permission.objects.filter(codename__in=["approve_standingapproval", "view_standingapproval"])
    )
    answer = signed_in(person).post(page(approval, "approve"), {"digest": approval.terms_digest})
    assert answer.status_code == 302


def test_another_agent_is_another_matter(signed_in, agent, rita, sam, olivia):
    other, _ = make_agent("other", owner=olivia)
    approval = approve_in_advance(other, by=rita, second=sam)
    shown = signed_in(rita).get(f"{LIST}?agent__id__exact={agent.pk}").content.decode()
    assert approval.pk not in shown
