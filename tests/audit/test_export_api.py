"""GET /api/v1/audit/…: for auditors only, streamed, recorded."""

import json

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate

from audit.api import EventsView
from audit.models import Event, ExportRun

EVENTS, HISTORY = "/api/v1/audit/events", "/api/v1/audit/history/export_run"


@pytest.fixture
def client(auditor):
    client = APIClient()
    client.force_login(auditor)
    return client


def body(response):
    return b"".join(response.streaming_content)


def person_with(*codenames):
    person = get_user_model().objects.create_user("pat", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(content_type__app_label="audit", codename__in=codenames))
    return person


def test_an_auditor_gets_events_as_ndjson(client, run):
    line = Event.objects.get().line
    response = client.get(EVENTS)
    assert response.status_code == 200
    assert response["Content-Type"] == "application/x-ndjson"
    assert response["Content-Disposition"].startswith('attachment; filename="zehrava-events-')
    assert response["Cache-Control"] == "no-store"
    assert body(response).splitlines()[0] == line.encode()


@pytest.mark.parametrize(("query", "accept"), [("?format=csv", "*/*"), ("", "text/csv")])
def test_csv_is_asked_for_by_parameter_or_by_accept(client, run, query, accept):
    response = client.get(EVENTS + query, HTTP_ACCEPT=accept)
    assert response["Content-Type"].startswith("text/csv")
    assert body(response).startswith(b"id,at,type,")


def test_history_of_one_model_is_exported_alike(client, run):
    [row, *_] = body(client.get(HISTORY)).splitlines()
    assert json.loads(row)["history_type"] == "+"


def test_filters_restrict(client, run):
    assert body(client.get(EVENTS, {"type": "intent.approved"})) == b""
    assert len(body(client.get(EVENTS, {"type": "export.started", "from": "2020-01-01"})).splitlines()) == 3


def test_the_export_is_recorded_with_the_auditor(client, auditor):
    body(client.get(EVENTS))
    stored = ExportRun.objects.get()
    assert (stored.exported_by, stored.door, stored.state) == ("ada", "api", "finished")
    assert [event.actor_id for event in Event.objects.all()] == [str(auditor.pk)] * 2
    assert len({event.request_id for event in Event.objects.all()}) == 1


@pytest.mark.parametrize(
    ("query", "path"),
    [("?form=csv", "form"), ("?format=xlsx", "format"), ("?to=soon", "to"), ("?agent=a&agent=b", "agent")],
)
def test_an_unusable_parameter_is_named_and_changes_nothing(client, query, path):
    response = client.get(EVENTS + query)
    problem = response.json()
    assert (response.status_code, response["Content-Type"]) == (422, "application/problem+json")
    assert problem["path"] == path
    assert {"type", "title", "status", "detail"} <= problem.keys()
    assert not ExportRun.objects.exists()


def test_a_model_without_history_is_not_found(client):
    assert client.get("/api/v1/audit/history/user").status_code == 404


@pytest.mark.parametrize("url", [EVENTS, HISTORY])
def test_nobody_gets_401(db, url):
    response = APIClient().get(url)
    assert response.status_code == 401
    assert "WWW-Authenticate" in response


@pytest.mark.parametrize("url", [EVENTS, HISTORY])
@pytest.mark.parametrize("codenames", [[], ["view_event"], ["export_event"]])
def test_a_person_without_both_permissions_gets_403(db, url, codenames):
    client = APIClient()
    client.force_login(person_with(*codenames))
    assert client.get(url).status_code == 403
    assert not ExportRun.objects.exists()


def test_an_agents_principal_gets_403_whatever_it_claims(db):
    class Principal:
        is_authenticated = is_active = is_staff = is_superuser = True

        def has_perms(self, permissions):
            return True

    request = APIRequestFactory().get(EVENTS)
    force_authenticate(request, user=Principal())
    assert EventsView.as_view()(request).status_code == 403


def test_an_agents_key_opens_no_auditors_door(agent):
    from audit.actors import Actor
    from intents.agents import create_key

    _, key = create_key(agent, by=Actor.system("test"))
    for url in (EVENTS, HISTORY):
        assert APIClient().get(url, HTTP_AUTHORIZATION=f"Bearer {key}").status_code == 403
    assert not ExportRun.objects.exists()


def test_nothing_but_get_is_answered_so_that_no_export_is_recorded_that_sent_nothing(client):
    for method in (client.head, client.post, client.delete):
        assert method(EVENTS).status_code == 405
    assert not ExportRun.objects.exists()
