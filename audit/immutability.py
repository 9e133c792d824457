"""Tables that the database itself refuses to change: events, public keys and every history table.

Triggers stop everybody who may write rows, with the ORM or without it. Whoever may change the schema can drop them:
`audit_check` sees that, and a checkpoint held elsewhere proves what was there.

SQLite has triggers per row only, and `INSERT OR REPLACE` deletes without firing the DELETE trigger; a third trigger
refuses an INSERT over an existing key. PostgreSQL's fire once per statement, even where no row matches, also on
TRUNCATE, and are enabled ALWAYS, since `session_replication_role = replica` walks past ordinary ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from audit.history import history_models

EVENT_TABLE = "audit_event"
KEY_TABLE = "audit_signingkey"
_TABLE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_POSTGRESQL_FUNCTION = "zehrava_append_only"
_POSTGRESQL_TRIGGER = "append_only"
_POSTGRESQL_BODY = """
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
"""
# pg_trigger.tgtype: BEFORE (2), DELETE (8), UPDATE (16), TRUNCATE (32); without ROW (1), so once per statement.
_POSTGRESQL_TYPE = 2 | 8 | 16 | 32


class Weakness(NamedTuple):
    """A table that is not protected as it should be, and why."""

    table: str
    reason: str


def expected_tables() -> list[str]:
    """Every table that must be append-only: events, public keys and the history of every governed model."""
    return sorted({EVENT_TABLE, KEY_TABLE, *(model._meta.db_table for model in history_models())})


def protected_models() -> list[type[models.Model]]:
    """The models of `expected_tables`, in the same order."""
    own = [apps.get_model("audit", "Event"), apps.get_model("audit", "SigningKey")]
    return sorted([*own, *history_models()], key=lambda model: model._meta.db_table)


def install(connection: BaseDatabaseWrapper, table: str) -> None:
    """Protect one table; protecting it twice changes nothing."""
    _execute(connection, _install_statements(connection, table))


def remove(connection: BaseDatabaseWrapper, table: str) -> None:
    """Lift the protection of one table: for a migration that is taken back, and for tests."""
    _execute(connection, _remove_statements(connection, table))


def weaknesses(connection: BaseDatabaseWrapper, tables: list[str] | None = None) -> list[Weakness]:
    """What is wrong with the triggers of these tables (default: all expected ones) on the running database.

    That ours are missing or altered, and that something else is there: another's trigger or rule can swallow an event
    before it is stored. Tables that do not exist yet are no weakness: a migration makes them.
    """
    wanted = _existing(connection, tables)
    foreign = _foreign_on_sqlite if connection.vendor == "sqlite" else _foreign_on_postgresql
    return [*_lost(connection, wanted), *foreign(connection, wanted)]


def reinstall(connection: BaseDatabaseWrapper) -> list[str]:
    """Put missing triggers back and return the tables that had lost them.

    SQLite rebuilds a table to alter it, and the old table takes its triggers along. What is not ours stays where it is:
    somebody has to find out who put it there.
    """
    tables = sorted({weakness.table for weakness in _lost(connection, _existing(connection, None))})
    for table in tables:
        install(connection, table)
    return tables


def reinstall_after_migrate(using: str = DEFAULT_DB_ALIAS, **kwargs: Any) -> None:
    """Handler of `post_migrate`."""
    connection = connections[using]
    if connection.vendor in ("sqlite", "postgresql"):
        reinstall(connection)


class AppendOnly(Operation):
    """Migration operation: make a table append-only from here on. Reversible; models are not affected."""

    reversible = True
    reduces_to_sql = True

    def __init__(self, table: str) -> None:
        self.table = table

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Triggers are no part of the models' state."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        for statement in _install_statements(schema_editor.connection, self.table):
            schema_editor.execute(statement, params=None)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: Any, to_state: Any
    ) -> None:
        for statement in _remove_statements(schema_editor.connection, self.table):
            schema_editor.execute(statement, params=None)

    def describe(self) -> str:
        return f"Refuse UPDATE and DELETE on {self.table}"

    @property
    def migration_name_fragment(self) -> str:
        return f"{self.table}_append_only"


# --- statements ----------------------------------------------------------------------------------------------------


def _execute(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _checked(table: str) -> str:
    if not _TABLE_NAME.fullmatch(table):
        raise ValueError(f"{table!r} is no table name that an append-only trigger can be made for.")
    return table


def _sqlite_triggers(connection: BaseDatabaseWrapper, table: str) -> dict[str, str]:
    """The triggers of a table by name, as SQLite keeps their text."""
    with connection.cursor() as cursor:
        key = connection.introspection.get_primary_key_column(cursor, _checked(table))
    triggers = {
        f"{table}_no_{verb.lower()}": f'CREATE TRIGGER "{table}_no_{verb.lower()}" BEFORE {verb} ON "{table}" '
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {verb} is refused'); END"
        for verb in ("UPDATE", "DELETE")
    }
    triggers[f"{table}_no_replace"] = (
        f'CREATE TRIGGER "{table}_no_replace" BEFORE INSERT ON "{table}" '
        f'WHEN EXISTS (SELECT 1 FROM "{table}" WHERE "{key}" = NEW."{key}" OR rowid = NEW.rowid) '
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: REPLACE is refused'); END"
    )
    return triggers


def _install_statements(connection: BaseDatabaseWrapper, table: str) -> list[str]:
    removed = _remove_statements(connection, table)
    if connection.vendor == "sqlite":
        return removed + list(_sqlite_triggers(connection, table).values())
    return [
        f"CREATE OR REPLACE FUNCTION {_POSTGRESQL_FUNCTION}() RETURNS trigger LANGUAGE plpgsql "
        f"AS $append_only${_POSTGRESQL_BODY}$append_only$",
        *removed,
        f'CREATE TRIGGER {_POSTGRESQL_TRIGGER} BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table}" '
        f"FOR EACH STATEMENT EXECUTE FUNCTION {_POSTGRESQL_FUNCTION}()",
        f'ALTER TABLE "{table}" ENABLE ALWAYS TRIGGER {_POSTGRESQL_TRIGGER}',
    ]


def _remove_statements(connection: BaseDatabaseWrapper, table: str) -> list[str]:
    if connection.vendor == "sqlite":
        return [f'DROP TRIGGER IF EXISTS "{_checked(table)}_no_{verb}"' for verb in ("update", "delete", "replace")]
    if connection.vendor == "postgresql":
        return [f'DROP TRIGGER IF EXISTS {_POSTGRESQL_TRIGGER} ON "{_checked(table)}"']
    raise NotImplementedError(f"Append-only tables need SQLite or PostgreSQL, not {connection.vendor}.")


# --- what is there -------------------------------------------------------------------------------------------------


def _existing(connection: BaseDatabaseWrapper, tables: list[str] | None) -> list[str]:
    existing = set(connection.introspection.table_names())
    return [table for table in (tables or expected_tables()) if table in existing]


def _lost(connection: BaseDatabaseWrapper, tables: list[str]) -> list[Weakness]:
    """Which of our own triggers are missing or altered."""
    find = _weak_on_sqlite if connection.vendor == "sqlite" else _weak_on_postgresql
    return list(find(connection, tables))


def _weak_on_sqlite(connection: BaseDatabaseWrapper, tables: list[str]) -> Iterator[Weakness]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        found = dict(cursor.fetchall())
    for table in tables:
        for name, sql in _sqlite_triggers(connection, table).items():
            if name not in found:
                yield Weakness(table, f"the trigger {name} is missing")
            elif found[name] != sql:
                yield Weakness(table, f"the trigger {name} is not the one Zehrava made")


def _weak_on_postgresql(connection: BaseDatabaseWrapper, tables: list[str]) -> Iterator[Weakness]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, t.tgtype, t.tgenabled, p.proname, p.prosrc, t.tgqual IS NULL FROM pg_trigger t "
            "JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE t.tgname = %s AND NOT t.tgisinternal AND pg_table_is_visible(c.oid)",
            [_POSTGRESQL_TRIGGER],
        )
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    for table in tables:
        if table not in found:
            yield Weakness(table, f"the trigger {_POSTGRESQL_TRIGGER} is missing")
            continue
        kind, enabled, function, body, unconditional = found[table]
        if enabled not in ("A", b"A"):
            yield Weakness(table, f"the trigger {_POSTGRESQL_TRIGGER} is not enabled ALWAYS")
        if (kind, function, body, unconditional) != (_POSTGRESQL_TYPE, _POSTGRESQL_FUNCTION, _POSTGRESQL_BODY, True):
            yield Weakness(table, f"the trigger {_POSTGRESQL_TRIGGER} is not the one Zehrava made")


# --- what else is there --------------------------------------------------------------------------------------------


def _foreign_on_sqlite(connection: BaseDatabaseWrapper, tables: list[str]) -> Iterator[Weakness]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT lower(tbl_name), name FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
        found = cursor.fetchall()
    for table in tables:
        ours = _sqlite_triggers(connection, table)
        for on, name in found:
            if on == table and name not in ours:
                yield Weakness(table, f"the trigger {name} is not one of Zehrava's")


# Internal triggers too: they belong to constraints, and no constraint of these tables needs one. Row security hides
# rows from those who look, and a table that inherits shows its rows as the parent's without having our triggers.
_POSTGRESQL_FOREIGN = """
    SELECT c.relname, 'the trigger ' || t.tgname || ' is not one of Zehrava''s'
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE t.tgname <> %(trigger)s AND c.relname = ANY(%(tables)s) AND pg_table_is_visible(c.oid)
    UNION ALL SELECT c.relname, 'the rule ' || r.rulename || ' is not one of Zehrava''s'
        FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
        WHERE c.relname = ANY(%(tables)s) AND pg_table_is_visible(c.oid)
    UNION ALL SELECT c.relname, 'row level security is enabled'
        FROM pg_class c
        WHERE c.relrowsecurity AND c.relname = ANY(%(tables)s) AND pg_table_is_visible(c.oid)
    UNION ALL SELECT c.relname, 'the table ' || i.inhrelid::regclass::text || ' inherits from it'
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent
        WHERE c.relname = ANY(%(tables)s) AND pg_table_is_visible(c.oid)
    ORDER BY 1, 2
"""


def _foreign_on_postgresql(connection: BaseDatabaseWrapper, tables: list[str]) -> Iterator[Weakness]:
    with connection.cursor() as cursor:
        cursor.execute(_POSTGRESQL_FOREIGN, {"trigger": _POSTGRESQL_TRIGGER, "tables": tables})
        found = cursor.fetchall()
    for table, reason in found:
        yield Weakness(table, reason)
