"""`audit_check` finds whatever no longer holds."""

import json

import pytest
from django.core.management import call_command
from django.db import connection

from audit import immutability, ledger
from audit.models import Content, Event, ExportRun
from tests.audit.conftest import SWEEPER, record

RunHistory = ExportRun.history.model


def check(capsys, *options):
    code = 0
    try:
        call_command("audit_check", *options)
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr().out


def findings(capsys):
    code, out = check(capsys, "--json")
    report = json.loads(out)
    assert report["ok"] == (code == 0) == (not report["findings"])
    return {(finding["table"], finding["problem"]) for finding in report["findings"]}


@pytest.fixture
def lifted(run):
    """The protection of both tables taken away, as somebody who may change the schema could."""
    for table in ("audit_event", RunHistory._meta.db_table):
        immutability.remove(connection, table)
    yield run
    for table in ("audit_event", RunHistory._meta.db_table):
        immutability.install(connection, table)


def put_back():
    immutability.reinstall(connection)


def test_an_untouched_record_holds(run, capsys):
    record(ledger.Change("export.finished", run, SWEEPER, {"n": 1.5}, {"why": "because"}))
    code, out = check(capsys)
    assert code == 0
    assert "2 events, 2 history rows, 1 governed rows: everything holds." in out
    assert findings(capsys) == set()
    assert Event.objects.count() == RunHistory.objects.count() == 2


def test_a_record_of_a_person_and_of_every_kind_of_column_holds(agent, capsys):
    agent.environment = "staging"
    agent.save()
    assert findings(capsys) == set()


def test_a_dropped_trigger_is_found_and_seen_to_matter(lifted, capsys):
    found = findings(capsys)
    assert ("audit_event", "UPDATE was accepted") in found
    assert ("audit_event", "DELETE was accepted") in found
    assert any(table == "audit_event" and "missing" in problem for table, problem in found)
    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [("type", "intent.approved"), ("actor_name", "somebody"), ("intent_id", "int_1"), ("agent_name", "x")],
)
def test_a_column_that_no_longer_agrees_with_its_line_is_found(lifted, capsys, column, value):
    Event.objects.update(**{column: value})
    put_back()
    assert findings(capsys) == {("audit_event", f"columns differ from the line: {column}")}


@pytest.mark.parametrize("line", ["{}", "not JSON", "[]"])
def test_a_line_that_is_no_line_is_found(lifted, capsys, line):
    Event.objects.update(line=line)
    put_back()
    assert ("audit_event", "the line is not a line of the ledger") in findings(capsys)


def test_a_line_that_is_not_canonical_is_found(lifted, capsys):
    Event.objects.update(line=Event.objects.get().line.replace(",", ", "))
    put_back()
    assert ("audit_event", "the line is not in canonical form") in findings(capsys)


@pytest.mark.parametrize(
    ("column", "value"), [("rows", 9), ("actor_name", "x"), ("history_type", "-"), ("sha256", None)]
)
def test_a_tampered_history_row_is_found(lifted, capsys, column, value):
    RunHistory.objects.update(**{column: value})
    put_back()
    assert (RunHistory._meta.db_table, "the row is not the one that its event covers") in findings(capsys)


def test_a_removed_history_row_is_found(lifted, capsys):
    event = Event.objects.get().id
    RunHistory.objects.all()._raw_delete("default")
    put_back()
    assert findings(capsys) == {
        (RunHistory._meta.db_table, f"the history row of event {event} is missing"),
        ("audit_exportrun", "no history covers this row"),
    }


def test_a_history_row_that_nobody_recorded_is_found(run, capsys):
    row = RunHistory.objects.get()
    row.history_id = "evt_00000000000000000000000001"
    RunHistory._base_manager.bulk_create([row])
    assert findings(capsys) == {(RunHistory._meta.db_table, "no event covers this row")}


def test_changed_content_is_found_and_erased_content_is_not(run, capsys):
    record(ledger.Change("export.finished", run, SWEEPER, content={"why": "because"}))
    Content.objects.update(body='{"why":"for no reason"}')
    assert findings(capsys) == {("audit_content", "the content is not the one that the event commits to")}
    Content.objects.all().delete()
    assert findings(capsys) == set()


def test_a_finding_is_told_in_words_with_exit_code_1(lifted, capsys):
    RunHistory.objects.update(rows=9)
    put_back()
    code, out = check(capsys)
    assert code == 1
    assert f"{RunHistory._meta.db_table} {Event.objects.get().id}: the row is not the one that its event covers" in out
