"""GET /healthz and GET /readyz"""

import pytest
from django.db import connection
from django.test import Client

from zehrava_site import health


@pytest.fixture(autouse=True)
def forget_the_broker() -> None:
    health._broker_seen = None


def test_healthz_answers_without_a_database(client: Client) -> None:
    # No `db` fixture: a query would fail this test.
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_readyz_names_every_check(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    document = response.json()
    assert document["status"] == "ok"
    assert set(document["checks"]) == {"database", "migrations", "broker"}


@pytest.mark.django_db
def test_readyz_is_503_while_a_migration_is_missing(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'reviews'")
    response = client.get("/readyz")
    assert (response.status_code, response.json()["checks"]["migrations"]) == (503, "missing")


def test_readyz_is_503_without_a_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "check_database", lambda: "unreachable")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"] == {"database": "unreachable", "migrations": "unknown", "broker": "ok"}


@pytest.mark.django_db
def test_a_dead_broker_is_told_and_not_required(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from celery import Celery

    # Port 9 of this machine: nothing listens there.
    monkeypatch.setattr(health, "app", Celery(broker="redis://:hunter2@127.0.0.1:9/0"))
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["checks"]["broker"] == "unreachable"
    assert b"hunter2" not in response.content


def test_only_reading_is_allowed(client: Client) -> None:
    assert client.post("/healthz").status_code == 405
