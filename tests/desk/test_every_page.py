"""Every address of the admin, found in its URL table, for every role."""

import re
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver

from audit.actors import Actor
from audit.models import Event
from intents import execution
from intents.models import Intent
from reviews.decisions import decide
from reviews.models import Decision
from reviews.tokens import create_token
from tests.factories import in_force_as, load_action_type, load_policy, make_agent, make_intent, make_user
from zehrava_site.roles import ROLES

GOVERNED = ("intents", "reviews", "audit", "auth")
# Reading never fails; what is not there or not theirs is said so.
ANSWERS = {200, 301, 302, 403, 404, 405}


@pytest.fixture
def everything(rita, key) -> None:
    """At least one row of everything that has a page."""
    load_policy("name: some\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: require_approval}]\n")
    load_action_type("name: a.b\nexecutor: noop\npresent: {title: 'Do {payload.n}'}\n")
    make_intent(key, action="a.b", payload={"n": 1})
    decided = make_intent(key, action="c.d", payload={"n": "\u202e<script>"})
    decide(decided.pk, by=rita, vote="approve", digest=decided.digest)
    execution.claim(decided.pk, agent=in_force_as(key))
    create_token(rita, by=Actor.person(rita))
    make_agent("second")


def addresses() -> list[str]:
    return sorted(set(_walk(get_resolver().url_patterns, "/")))


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route)
        elif route.startswith("/admin/"):
            yield route


def filled(route: str) -> str:
    """The route with the key of a real row for every parameter it takes."""
    parts = route.split("/")
    model = None
    if len(parts) > 3 and parts[2] in GOVERNED:
        model = next((m for m in admin.site._registry if m._meta.label_lower == f"{parts[2]}.{parts[3]}"), None)
    row = model._default_manager.order_by("pk").first() if model else None
    known = str(row.pk) if row else "1"
    return "/".join(_parameter(part, known) for part in route.replace("^", "").replace("$", "").split("/"))


def _parameter(part: str, known: str) -> str:
    if "(?P<url>" in part or "(?P<app_label>" in part:
        return "intents"
    if part.startswith("<") and "version" in part:
        return "1"
    return known if part.startswith("<") else part


def state() -> dict[str, list[tuple]]:
    """Every row of every governed table."""
    return {
        model._meta.label: sorted(model._default_manager.values_list(), key=repr)
        for app in GOVERNED
        for model in apps.get_app_config(app).get_models()
        # Signing in is noted on the person, and every page needs somebody signed in.
        if model._meta.label not in ("auth.User",)
    }


def test_the_url_table_holds_what_this_test_is_about():
    found = addresses()

    for wanted in ("/admin/", "/admin/intents/intent/", "/admin/intents/intent/<path:object_id>/decide/"):
        assert wanted in found
    assert len(found) > 60


@pytest.mark.parametrize("role", ["superuser", *ROLES, "nobody"])
def test_a_get_on_any_address_changes_nothing_and_no_page_fails(signed_in, everything, role):
    person = make_user("walker", *([role] if role in ROLES else []), is_superuser=role == "superuser")
    client = signed_in(person)
    client.raise_request_exception = False
    before = state()
    answers = {}

    for route in addresses():
        address = filled(route)
        with transaction.atomic():
            answers[address] = client.get(address).status_code

    assert {address: code for address, code in answers.items() if code not in ANSWERS} == {}
    assert state() == before
    if role == "superuser":
        assert sum(code == 200 for code in answers.values()) > 40
    else:
        assert answers["/admin/"] == 200


@pytest.mark.parametrize("door", ["decide", "withdraw", "cancel", "resolve"])
def test_the_doors_lead_a_get_back_to_the_page(signed_in, rita, key, door):
    rita.is_superuser = True
    rita.save()
    intent = make_intent(key)

    response = signed_in(rita).get(f"/admin/intents/intent/{intent.pk}/{door}/?vote=approve&digest={intent.digest}")

    assert response.status_code == 302
    assert response.url == f"/admin/intents/intent/{intent.pk}/change/"
    assert not Decision.objects.exists()
    assert Intent.objects.get().status == intent.status


def test_without_a_csrf_token_nothing_is_decided(rita, key):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(rita)
    intent = make_intent(key)

    response = client.post(
        f"/admin/intents/intent/{intent.pk}/decide/",
        {
            "vote": "approve",
            "digest": intent.digest,
            "verdict_digest": intent.verdict_digest,
            "requirement_digest": intent.requirement_digest,
        },
    )

    assert response.status_code == 403
    assert not Decision.objects.exists()


def test_people_and_groups_are_never_deleted(signed_in, rita):
    client = signed_in(make_user("root", is_superuser=True))

    assert client.post(f"/admin/auth/user/{rita.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"/admin/auth/group/{rita.groups.get().pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in client.get("/admin/auth/user/").content.decode()


def test_the_sidebar_lists_only_what_this_person_may_open(signed_in):
    import re

    for role in ROLES:
        client = signed_in(make_user(f"one-of-{role}", role))
        sidebar = client.get("/admin/").content.decode().split('id="nav-sidebar"')[1].split('id="main"')[0]
        links = [link for link in re.findall(r'href="(/admin/[^"]*)"', sidebar) if "logout" not in link]

        assert len(links) > 2
        assert {link: client.get(link.replace("&amp;", "&")).status_code for link in links} == dict.fromkeys(links, 200)


def test_signing_in_greets_and_a_wrong_password_says_so(client):
    make_user("rita", "reviewers")

    assert "Sign in to see what waits for you" in client.get("/admin/login/").content.decode()
    answer = client.post("/admin/login/", {"username": "rita", "password": "wrong"}).content.decode()
    assert "correct username and password" in answer


def test_a_page_that_is_not_there_or_not_allowed_says_what_to_do_in_html(signed_in, rita, key):
    client = signed_in(rita)

    refused = client.get("/admin/auth/user/")
    missing = client.get("/admin/intents/intent/int_unknown/change/")

    assert refused.status_code == 403 and "ask an administrator for the role" in refused.content.decode()
    assert missing.status_code == 404 and "There is no intent of this id." in missing.content.decode()
    for page in (refused, missing):
        assert page["Content-Type"].startswith("text/html")
        assert 'href="/admin/"' in page.content.decode()
    assert client.get("/api/v1/nowhere")["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("address", "current"),
    [
        ("/admin/", "Approval desk"),
        ("/admin/?tab=person", "Needs a person"),
        ("/admin/intents/intent/", "All intents"),
        ("/admin/intents/intent/{intent}/change/", "Approval desk"),
        ("/admin/intents/intent/{intent}/history/", "Approval desk"),
        ("/admin/audit/event/", "Events"),
        ("/admin/audit/event/export/", "Export"),
        ("/admin/intents/agent/add/", "Agents"),
    ],
)
def test_exactly_one_line_of_the_sidebar_is_where_this_page_is(signed_in, key, address, current):
    client = signed_in(make_user("root", is_superuser=True))

    response = client.get(address.format(intent=make_intent(key).pk))

    items = [item for group in response.context["sidebar_navigation"] for item in group["items"]]
    assert [item["title"] for item in items if item["active"]] == [current]


def test_an_empty_list_says_what_will_be_there_and_an_empty_search_how_to_leave_it(signed_in):
    client = signed_in(make_user("root", is_superuser=True))

    empty = client.get("/admin/intents/agent/").content.decode()
    nothing_found = client.get("/admin/intents/agent/?q=zzz").content.decode()

    assert "Nothing here yet" in empty and "make a key for it on its page" in empty
    assert "Add the first one" in empty and "/admin/intents/agent/add/" in empty
    assert "Nothing matches" in nothing_found and "Show all" in nothing_found


def test_lists_write_times_in_one_style_with_their_zone(signed_in, key):
    make_intent(key)
    client = signed_in(make_user("root", is_superuser=True))

    for address in ("/admin/intents/intent/", "/admin/intents/agent/", "/admin/audit/event/"):
        html = client.get(address).content.decode()
        assert re.search(r"\b\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d(:\d\d)? UTC", html), address
        assert not re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d|[ap]\.m\.", html), address


def test_events_name_what_they_are_about_and_which_vote_it_was(signed_in, rita, key):
    intent = make_intent(key)
    decide(intent.pk, by=rita, vote="reject", digest=intent.digest, rationale="No.")
    load_policy("name: refunds\nmatch: {actions: ['a.b']}\nrules: [{id: all, effect: block}]\n")
    client = signed_in(make_user("audrey", "auditors"))

    html = client.get("/admin/audit/event/").content.decode()
    event = Event.objects.get(type="decision.made")
    page = client.get(f"/admin/audit/event/{event.pk}/change/").content.decode()

    assert 'decision.made <span class="zhv-pill is-red">Rejected</span>' in html
    assert 'they were shown. <span class="zhv-pill is-red">Rejected</span>' in page
    assert "<bdi>refunds</bdi></a>" in client.get("/admin/audit/event/?type=policy.activated").content.decode()
