"""Whether this process lives, and whether the portal can do its work."""

import functools
import logging
import threading
import time

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from zehrava_site.celery import app

logger = logging.getLogger(__name__)

BROKER_LOOK_LASTS = 5.0  # seconds: whoever asks often must not open a connection to the broker each time

_broker_lock = threading.Lock()
_broker_seen: tuple[float, str] | None = None


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers. Asks nobody: a restart would not mend the database."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """The portal can do its work: 200, or 503 with the check that fails.

    The broker is told and not required: what it would carry is in the database, and the sweeper sends it again.
    """
    database = check_database()
    checks = {
        "database": database,
        "migrations": check_migrations() if database == "ok" else "unknown",
        "broker": check_broker(),
    }
    ready = checks["database"] == checks["migrations"] == "ok"
    return JsonResponse({"status": "ok" if ready else "unavailable", "checks": checks}, status=200 if ready else 503)


def check_database() -> str:
    """ "ok", or "unreachable"."""
    try:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except Exception:
        logger.exception("The database does not answer.")
        return "unreachable"
    return "ok"


def check_migrations() -> str:
    """ "ok", or "missing" where this code knows migrations that the database has not had."""
    try:
        applied = MigrationRecorder(connections[DEFAULT_DB_ALIAS]).applied_migrations()
    except Exception:
        logger.exception("The applied migrations cannot be read.")
        return "unknown"
    return "ok" if _known_migrations() <= applied.keys() else "missing"


@functools.cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


def check_broker() -> str:
    """ "ok", or "unreachable"; an answer lasts for a few seconds."""
    global _broker_seen
    with _broker_lock:
        seen = _broker_seen
        if seen is None or time.monotonic() - seen[0] > BROKER_LOOK_LASTS:
            seen = _broker_seen = (time.monotonic(), _look_at_broker())
        return seen[1]


def _look_at_broker() -> str:
    try:
        with app.connection_for_write(connect_timeout=1) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=2)
    except Exception as error:
        # Not the error's text: it may hold the broker's address and password.
        logger.warning("The broker does not answer: %s", type(error).__name__)
        return "unreachable"
    return "ok"
