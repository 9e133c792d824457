"""The database itself refuses to change what was recorded (promise 6)."""

from contextlib import contextmanager

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.migrations.state import ProjectState

from audit import checks, immutability
from audit.models import Event
from tests.audit.conftest import AT

# Of keys `test_signing` tells the same: their rows have other columns.
TABLES = [table for table in immutability.expected_tables() if table != immutability.KEY_TABLE]
MODELS = {model._meta.db_table: model for model in immutability.protected_models()}
postgresql_only = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL has this")
sqlite_only = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite has this")


def add_row(table, key="evt_00000000000000000000000001"):
    model = MODELS[table]
    if model is Event:
        row = Event(id=key, at=AT, type="x.y", actor_kind="system", subject_type="x", subject_id="x", line="{}")
    else:
        row = model(
            history_id=key, history_date=AT, history_type="+", actor_kind="system", actor_id="x", actor_name="x"
        )
    model._base_manager.bulk_create([row])
    return model


@contextmanager
def refused(verb):
    with pytest.raises(DatabaseError, match=f"is append-only: {verb} is refused"), transaction.atomic():
        yield


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_the_ledger_and_every_history_table_are_expected():
    assert "audit_event" in TABLES
    assert "audit_historicalexportrun" in TABLES
    assert "intents_historicalintent" in TABLES
    assert "reviews_historicaldecision" in TABLES


def test_no_expected_table_is_weak_once_migrated(db):
    assert immutability.weaknesses(connection) == []
    call_command("check", databases=["default"])


@pytest.mark.parametrize("table", TABLES)
def test_the_orm_can_neither_update_nor_delete(db, table):
    rows = add_row(table)._base_manager
    key = rows.get().pk
    with refused("UPDATE"):
        rows.update(actor_name="somebody else")
    with refused("DELETE"):
        rows.all()._raw_delete("default")
    with refused("DELETE"):
        rows.get().delete()
    with refused("UPDATE"):
        row = rows.get()
        row.actor_name = "somebody else"
        row.save()
    assert rows.get().pk == key


@pytest.mark.parametrize("table", TABLES)
def test_raw_sql_can_neither_update_nor_delete(db, table):
    add_row(table)
    with refused("UPDATE"):
        execute(f"UPDATE {table} SET actor_name = 'somebody else'")
    with refused("DELETE"):
        execute(f"DELETE FROM {table}")


@pytest.mark.parametrize("table", TABLES)
def test_an_insert_over_an_existing_row_is_refused(db, table):
    model = add_row(table)
    fields = ["actor_name"]
    with pytest.raises(DatabaseError), transaction.atomic():
        model._base_manager.bulk_create(
            [model._base_manager.get()],
            update_conflicts=True,
            update_fields=fields,
            unique_fields=[model._meta.pk.name],
        )
    assert model._base_manager.get().actor_name != "somebody else"


@sqlite_only
@pytest.mark.parametrize("table", TABLES)
def test_sqlite_replace_can_not_overwrite_by_key_or_by_rowid(db, table):
    model = add_row(table)
    key, columns = model._meta.pk.column, [field.column for field in model._meta.concrete_fields]
    others = ", ".join(f'"{column}"' for column in columns if column != key)
    with refused("REPLACE"):
        execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    with refused("REPLACE"):
        execute(
            f"INSERT OR REPLACE INTO {table} (rowid, {key}, {others}) "
            f"SELECT rowid, 'evt_00000000000000000000000009', {others} FROM {table}"
        )


@postgresql_only
@pytest.mark.parametrize("table", TABLES)
def test_truncate_is_refused(db, table):
    with refused("TRUNCATE"):
        execute(f"TRUNCATE {table} CASCADE")


@postgresql_only
@pytest.mark.parametrize("table", TABLES)
def test_a_replication_role_does_not_walk_past_the_triggers(db, table):
    add_row(table)
    for verb, sql in (("UPDATE", f"UPDATE {table} SET actor_name = 'x'"), ("DELETE", f"DELETE FROM {table}")):
        with refused(verb):
            execute("SET LOCAL session_replication_role = replica")
            execute(sql)


@postgresql_only
def test_a_statement_that_meets_no_row_is_refused_too(db):
    with refused("DELETE"):
        execute("DELETE FROM audit_event WHERE false")


@pytest.mark.parametrize("table", TABLES)
def test_a_lifted_trigger_is_seen_by_the_system_check_and_put_back_by_migrate(db, table):
    immutability.remove(connection, table)
    assert {weakness.table for weakness in immutability.weaknesses(connection)} == {table}
    assert {error.id for error in checks.append_only_tables_are_protected(["default"])} == {"audit.E001"}
    immutability.reinstall_after_migrate(using="default")
    assert immutability.weaknesses(connection) == []


@sqlite_only
def test_a_trigger_of_the_right_name_that_does_nothing_is_seen(db):
    execute("DROP TRIGGER audit_event_no_update")
    execute("CREATE TRIGGER audit_event_no_update BEFORE UPDATE ON audit_event BEGIN SELECT 1; END")
    assert [weakness.reason for weakness in immutability.weaknesses(connection)] == [
        "the trigger audit_event_no_update is not the one Zehrava made"
    ]


@postgresql_only
@pytest.mark.parametrize(
    "sabotage",
    [
        "ALTER TABLE audit_event DISABLE TRIGGER append_only",
        "ALTER TABLE audit_event ENABLE TRIGGER append_only",
        "CREATE OR REPLACE FUNCTION zehrava_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    ],
)
def test_a_weakened_trigger_is_seen(db, sabotage):
    execute(sabotage)
    assert "audit_event" in {weakness.table for weakness in immutability.weaknesses(connection)}


def reasons():
    found = {(weakness.table, weakness.reason) for weakness in immutability.weaknesses(connection)}
    assert {error.id for error in checks.append_only_tables_are_protected(["default"])} == (
        {"audit.E001"} if found else set()
    )
    return found


@sqlite_only
@pytest.mark.parametrize("on", ["audit_event", "AUDIT_EVENT", "intents_historicalagentkey"])
def test_a_foreign_trigger_that_swallows_rows_is_seen(db, on):
    execute(f"CREATE TRIGGER quiet BEFORE INSERT ON {on} BEGIN SELECT RAISE(IGNORE); END")
    add_row(on.lower())
    assert not MODELS[on.lower()]._base_manager.exists()
    assert reasons() == {(on.lower(), "the trigger quiet is not one of Zehrava's")}


@postgresql_only
@pytest.mark.parametrize("on", ["audit_event", "intents_historicalagentkey"])
def test_a_foreign_trigger_that_swallows_rows_is_seen_on_postgresql(db, on):
    execute("CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    execute(f"CREATE TRIGGER quiet BEFORE INSERT ON {on} FOR EACH ROW EXECUTE FUNCTION quiet()")
    add_row(on)
    assert not MODELS[on]._base_manager.exists()
    assert reasons() == {(on, "the trigger quiet is not one of Zehrava's")}


@postgresql_only
@pytest.mark.parametrize(
    ("sabotage", "reason"),
    [
        (
            "CREATE RULE quiet AS ON INSERT TO audit_event DO INSTEAD NOTHING",
            "the rule quiet is not one of Zehrava's",
        ),
        (
            "CREATE RULE quiet AS ON DELETE TO audit_event DO INSTEAD NOTHING",
            "the rule quiet is not one of Zehrava's",
        ),
        ("ALTER TABLE audit_event ENABLE ROW LEVEL SECURITY", "row level security is enabled"),
        ("CREATE TABLE more () INHERITS (audit_event)", "the table more inherits from it"),
    ],
)
def test_rules_and_their_like_are_seen(db, sabotage, reason):
    execute(sabotage)
    assert reasons() == {("audit_event", reason)}


def test_what_is_not_ours_is_left_for_people_to_look_at(db):
    if connection.vendor == "postgresql":
        execute("CREATE RULE quiet AS ON INSERT TO audit_event DO INSTEAD NOTHING")
    else:
        execute("CREATE TRIGGER quiet BEFORE INSERT ON audit_event BEGIN SELECT RAISE(IGNORE); END")
    assert immutability.reinstall(connection) == []
    assert len(reasons()) == 1


class Editor:
    """SQLite's own schema editor cannot work inside a test's transaction."""

    connection = connection

    def execute(self, sql, params=()):
        execute(sql)


def test_the_migration_operation_can_be_taken_back_and_done_again(db):
    operation = immutability.AppendOnly("audit_event")
    operation.database_backwards("audit", Editor(), None, None)
    add_row("audit_event").objects.update(actor_name="before")
    operation.database_forwards("audit", Editor(), None, None)
    with refused("UPDATE"):
        Event.objects.update(actor_name="after")


def test_the_migration_operation_leaves_the_state_of_the_models_alone():
    state = ProjectState()
    before = state.clone()
    immutability.AppendOnly("audit_event").state_forwards("audit", state)
    assert state == before


def test_the_migration_operation_can_be_written_into_a_migration():
    name, args, kwargs = immutability.AppendOnly("audit_event").deconstruct()
    assert (name, args, kwargs) == ("AppendOnly", ("audit_event",), {})


def test_a_table_name_cannot_smuggle_sql():
    with pytest.raises(ValueError, match="no table name"):
        immutability.install(connection, 'audit_event"; DROP TABLE audit_content; --')
