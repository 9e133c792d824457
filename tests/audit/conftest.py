"""What the audit tests share."""

from datetime import UTC, datetime

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import transaction

from audit import ledger
from audit.actors import Actor
from audit.models import Door, ExportRun

AT = datetime(2026, 11, 23, 9, 30, 0, 123456, tzinfo=UTC)
SWEEPER = Actor.system("sweeper")


@pytest.fixture
def run(db):
    """A governed row, saved with its first history row and event."""
    row = make_run()
    ledger.save(row, "export.started", by=SWEEPER)
    return row


def make_run(**values):
    by = {"exported_by_kind": "system", "exported_by_id": "sweeper", "exported_by": "sweeper"}
    return ExportRun(**{"dataset": "events", "format": "csv", "door": Door.COMMAND, "started_at": AT, **by, **values})


def record(*changes, at=None):
    with transaction.atomic():
        return ledger.record(*changes, at=at)


@pytest.fixture
def auditor(db):
    person = get_user_model().objects.create_user("ada", password="correct horse battery", is_staff=True)
    person.user_permissions.set(
        Permission.objects.filter(
            content_type__app_label="audit", codename__in=["view_event", "export_event", "view_exportrun"]
        )
    )
    return get_user_model().objects.get(pk=person.pk)


@pytest.fixture
def agent(db):
    """A governed row of another app, which says what events about it are about."""
    from intents.models import Agent

    owner = get_user_model().objects.create_user("olga")
    return Agent.objects.create(id="agt_00000000000000000000000001", name="billing", owner=owner)
