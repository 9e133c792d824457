"""Requests can be traced, and what a person clicks is attributed to that person."""

import pytest
from django.http import HttpResponse

from audit import context
from audit.context import RequestIdMiddleware
from audit.models import Event
from tests.audit.conftest import make_run


def answer(rf, user=None, view=lambda request: HttpResponse(context.request_id()), **headers):
    request = rf.get("/", headers=headers)
    request.user = user
    return RequestIdMiddleware(view)(request)


def test_a_well_formed_id_is_taken_over_and_returned(rf):
    response = answer(rf, **{"X-Request-Id": "a.B_9-x"})
    assert response["X-Request-Id"] == response.content.decode() == "a.B_9-x"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, "é", "<script>", "a\nb"])
def test_any_other_id_is_replaced(rf, sent):
    response = answer(rf, **{"X-Request-Id": sent})
    assert response["X-Request-Id"] != sent
    assert len(response["X-Request-Id"]) == 32
    assert response["X-Request-Id"] == response.content.decode()


def test_an_id_ends_with_its_request(rf):
    answer(rf)
    assert context.request_id() is None


def test_a_job_cannot_be_given_an_ill_formed_id():
    with pytest.raises(ValueError, match="request id"):
        context.bind_request_id("a b")


def save(request):
    make_run().save()
    return HttpResponse()


def test_a_plain_save_in_a_request_is_the_signed_in_persons(rf, auditor):
    answer(rf, auditor, save)
    event = Event.objects.get()
    assert (event.actor_kind, event.actor_id, event.actor_name) == ("person", str(auditor.pk), "ada")


def test_an_agents_principal_in_a_request_is_nobodys_person(rf, db):
    class Principal:
        is_authenticated, pk = True, 1

    answer(rf, Principal(), save)
    assert Event.objects.get().actor_name == "unattributed"
