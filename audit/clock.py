"""The one clock that recorded times come from."""

from datetime import UTC, datetime

from django.db import connection


def now() -> datetime:
    """The database's present time. Web servers and workers may disagree about the time; the database is one.

    SQLite lives in this process and reads the same clock, so that asking it would cost a statement for nothing.
    """
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        # Not now(): that is when the transaction began, which may be long before this change.
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0].astimezone(UTC)
