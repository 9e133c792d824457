"""The database's clock, held by a test: it stands until the test moves it, whatever the processes' own clocks say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import time_machine
from django.db import connection
from django.db.models.functions import Now

_IN_FRONT = """
CREATE SCHEMA held_clock;
CREATE FUNCTION held_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT current_setting('held_clock.at')::timestamptz $$;
CREATE FUNCTION held_clock.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT current_setting('held_clock.at')::timestamptz $$;
SET LOCAL search_path = held_clock, pg_catalog, public;
"""


class HeldClock:
    """What time it is for the database; `own` is how far the clock of this process is from it."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC).replace(microsecond=0)
        self.own = timedelta(0)
        self._process: Any = None

    def set(self, at: datetime) -> None:
        self.at = at
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('held_clock.at', %s, true)", [at.isoformat()])
        self._process.move_to(at + self.own)

    def forward(self, **length: float) -> None:
        """By so many `seconds`, `minutes`, `days`."""
        self.set(self.at + timedelta(**length))

    def be_off_by(self, own: timedelta) -> None:
        """Let the clock of this process differ: only a database that is a server of its own notices nothing of it."""
        assert connection.vendor == "postgresql"
        self.own = own
        self.set(self.at)


@contextmanager
def held_clock() -> Iterator[HeldClock]:
    """Hold the clock inside the test's transaction. SQLite lives in this process, so that there the two are one."""
    clock = HeldClock()
    with time_machine.travel(clock.at, tick=False) as process:
        clock._process = process
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('held_clock.at', %s, true)", [clock.at.isoformat()])
                cursor.execute(_IN_FRONT)
            yield clock
            return
        original = Now.as_sqlite

        def held(self: Now, compiler: Any, connection: Any, **context: Any) -> Any:
            # As precise as SQLite's own.
            text = clock.at.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
            return self.as_sql(compiler, connection, template=f"'{text}'", **context)

        Now.as_sqlite = held  # type: ignore[method-assign]
        try:
            yield clock
        finally:
            Now.as_sqlite = original  # type: ignore[method-assign]
