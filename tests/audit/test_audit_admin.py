"""What auditors see in the admin: everything, read-only, with hostile text drawn visibly."""

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.urls import reverse

from audit import immutability, ledger
from audit.actors import Actor
from audit.history import history_models
from audit.models import Content, Event, ExportRun, SigningKey
from audit.navigation import evidence
from tests.audit.conftest import SWEEPER, record

HOSTILE = "</script><b>pay\u202eme\u200b"
PAGES = [*immutability.protected_models(), ExportRun]
EXPORT = "/admin/audit/event/export/"


@pytest.fixture
def client(client, auditor):
    client.force_login(auditor)
    return client


@pytest.fixture
def hostile(run):
    by = Actor.agent("agt_1", HOSTILE)
    [event] = record(ledger.Change("export.finished", run, by, content={"why": HOSTILE}))
    return event


def url(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def test_every_history_table_has_a_page():
    assert all(admin.site.is_registered(model) for model in history_models())


@pytest.mark.parametrize("model", PAGES)
def test_every_list_opens_empty_and_searched_and_filtered(client, model):
    filtered = {ExportRun: {"format": "csv"}, SigningKey: {}}.get(model, {"from": "2026-01-01"})
    for query in ({}, {"q": "evt_1"}, filtered):
        assert client.get(url(model, "changelist"), query).status_code == 200


@pytest.mark.parametrize("model", PAGES)
def test_nothing_can_be_added_changed_or_deleted_even_by_a_superuser(client, hostile, model):
    client.force_login(get_user_model().objects.create_superuser("root"))
    for row in model._base_manager.all()[:1]:
        page = client.get(url(model, "change", row.pk))
        assert page.status_code == 200
        assert 'name="_save"' not in page.content.decode()
        assert client.post(url(model, "change", row.pk), {"type": "x"}).status_code == 403
        assert client.get(url(model, "delete", row.pk)).status_code == 403
        assert client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert client.get(url(model, "add")).status_code == 403


def test_an_event_shows_its_line_its_content_and_where_it_leads(client, run, hostile):
    page = client.get(url(Event, "change", hostile.pk)).content.decode()
    assert "&quot;type&quot;: &quot;export.finished&quot;" in page
    assert "U+202E" in page
    assert url(ExportRun, "change", run.pk) in page
    assert url(ExportRun.history.model, "change", hostile.pk) in page


@pytest.mark.parametrize("model", PAGES)
def test_no_page_of_evidence_offers_a_history_that_there_is_not(client, hostile, model):
    for row in model._base_manager.all()[:1]:
        assert "/history/" not in client.get(url(model, "change", row.pk)).content.decode()


def test_hostile_text_reaches_no_page_unescaped_or_unseen(client, run, hostile):
    run.exported_by = HOSTILE
    with ledger_of(HOSTILE):
        run.save()
    history = ExportRun.history.model
    pages = [
        url(Event, "changelist"),
        url(Event, "change", hostile.pk),
        url(history, "changelist"),
        url(history, "change", history.objects.latest("history_id").pk),
        url(ExportRun, "changelist"),
        url(ExportRun, "change", run.pk),
        EXPORT,
    ]
    for address in pages:
        page = client.get(address).content.decode()
        assert "<b>pay" not in page, address
        assert "\u202e" not in page, address
        assert "\u200b" not in page, address
        assert "U+202E" in page, address


def ledger_of(name):
    from audit.history import acting

    return acting(Actor.agent("agt_1", name))


def test_erased_content_is_said_to_be_erased(client, hostile):
    Content.objects.all().delete()
    assert "Erased" in client.get(url(Event, "change", hostile.pk)).content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"type": "export.started"}, 1),
        ({"agent": "nobody"}, 0),
        ({"from": "2020-01-01"}, 2),
        ({"to": "2020-01-01"}, 0),
        ({"from": "yesterday"}, 0),
    ],
)
def test_the_list_filters_by_the_words_of_an_export(client, hostile, query, found):
    response = client.get(url(Event, "changelist"), query)
    assert response.context["cl"].result_count == found


def test_a_filter_that_cannot_be_read_says_what_to_write(client, hostile):
    assert "is no time; write 2026-11-23" in client.get(url(Event, "changelist"), {"from": "x"}).content.decode()


def test_an_event_is_found_by_the_id_of_its_subject(client, run, hostile):
    response = client.get(url(Event, "changelist"), {"q": str(run.pk)})
    assert response.context["cl"].result_count == 2


def test_the_list_of_events_takes_a_bounded_number_of_queries(client, run, django_assert_max_num_queries):
    record(*[ledger.Change("export.finished", run, SWEEPER) for _ in range(30)])
    with django_assert_max_num_queries(12):
        assert client.get(url(Event, "changelist")).status_code == 200


def test_evidence_is_shut_to_people_without_the_permission(client, hostile):
    client.force_login(get_user_model().objects.create_user("rita", is_staff=True))
    for model in PAGES:
        assert client.get(url(model, "changelist")).status_code == 403
    assert client.get(EXPORT).status_code == 403
    assert client.post(EXPORT, {"dataset": "events", "format": "csv"}).status_code == 403


def test_the_sidebar_lists_evidence_for_auditors_only(rf, auditor):
    request = rf.get("/")
    request.user = auditor
    titles = [item["title"] for item in evidence(request)]
    assert titles[0] == "Events"
    assert titles[-1] == "Export"
    assert len(titles) == len(history_models()) + 3
    request.user = get_user_model().objects.create_user("rita")
    assert evidence(request) == []


def test_the_export_page_says_that_nothing_was_exported_yet(client):
    page = client.get(EXPORT).content.decode()
    assert "Nothing has been exported yet." in page
    assert not ExportRun.objects.exists()


def test_an_auditor_exports_from_the_page(client, hostile):
    response = client.post(EXPORT, {"dataset": "events", "format": "csv", "from": "2020-01-01T00:00"})
    data = b"".join(response.streaming_content)
    assert response["Content-Disposition"].endswith('.csv"')
    assert hostile.pk.encode() in data
    run = ExportRun.objects.latest("id")
    assert (run.exported_by, run.door, run.state) == ("ada", "admin", "finished")
    assert run.sha256 in client.get(EXPORT).content.decode()


def test_what_to_mend_is_said_at_the_field(client):
    response = client.post(EXPORT, {"dataset": "events", "format": "csv", "from": "soon"})
    assert response.status_code == 422
    assert "is no time; write" in response.context["form"].errors["from"][0]
    assert not ExportRun.objects.exists()


def test_an_export_needs_a_post_with_its_csrf_token(auditor, run):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(auditor)
    assert client.post(EXPORT, {"dataset": "events", "format": "csv"}).status_code == 403
    assert client.get(EXPORT, {"dataset": "events", "format": "csv"}).status_code == 200
    assert ExportRun.objects.count() == 1


@pytest.mark.parametrize("model", PAGES)
@pytest.mark.parametrize("term", ["1", "x\u2400y", "' OR 1=1 --", "9" * 30])
def test_a_search_for_anything_finds_nothing_or_something_and_never_fails(client, model, term):
    assert client.get(url(model, "changelist"), {"q": term}).status_code == 200


def test_a_history_row_is_found_by_the_id_of_the_row_it_is_about(client, run, hostile):
    response = client.get(url(ExportRun.history.model, "changelist"), {"q": str(run.pk)})
    assert response.context["cl"].result_count == 2
