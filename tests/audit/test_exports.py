"""Exports: the whole record or the part asked for, in bytes that can be checked, in constant memory."""

import csv
import hashlib
import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import exports, ledger, tabular
from audit.actors import Actor
from audit.filters import Filters
from audit.models import Door, Event, ExportRun
from tests.audit.conftest import AT, SWEEPER, make_run, record
from zehrava.problems import Problem

RITA = Actor("person", "7", "rita", 7)


def lines(name, **given):
    return [
        json.loads(line)
        for line in b"".join(exports.stream(exports.dataset(name), "ndjson", Filters.parse(given))).splitlines()
    ]


def rows(name, **given):
    text = b"".join(exports.stream(exports.dataset(name), "csv", Filters.parse(given))).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def test_an_exported_event_is_its_line_byte_for_byte(run):
    exported = b"".join(exports.stream(exports.dataset("events"), "ndjson", Filters()))
    assert exported == Event.objects.get().line.encode() + b"\n"


def test_an_exported_history_row_has_the_digest_that_its_event_covers(run):
    exported = b"".join(exports.stream(exports.dataset("history/export_run"), "ndjson", Filters()))
    covered = json.loads(Event.objects.get().line)["history"]["digest"]
    assert covered == "sha256:" + hashlib.sha256(exported.rstrip(b"\n")).hexdigest()


def test_every_governed_model_has_a_history_dataset():
    assert {
        "events",
        "contents",
        "history/intent",
        "history/agent_key",
        "history/decision",
        "history/export_run",
    } <= set(exports.datasets())


def test_csv_has_a_header_and_one_flat_row_per_event(run):
    header, row = rows("events")
    cells = dict(zip(header, row, strict=True))
    assert (cells["type"], cells["actor_kind"], cells["subject_type"]) == (
        "export.started",
        "system",
        "audit.exportrun",
    )
    assert cells["history_digest"].startswith("sha256:")
    assert cells["agent_id"] == ""


def test_contents_are_exported_with_what_is_needed_to_check_them(run):
    [event] = record(ledger.Change("export.finished", run, SWEEPER, content={"why": "because"}))
    [content] = lines("contents")
    assert ledger.commitment(content["salt"], content["body"]) == json.loads(event.line)["content"]


def test_times_restrict_from_inclusive_to_exclusive(run):
    first, second, third = (
        record(ledger.Change("export.finished", run, SWEEPER), at=AT + timedelta(days=days))[0].id for days in (1, 2, 3)
    )
    chosen = {
        "from": "2026-11-24T09:30:00.123456Z",
        "to": "2026-11-26T09:30:00.123456+00:00",
        "type": "export.finished",
    }
    assert [line["id"] for line in lines("events", **chosen)] == [first, second]
    assert third not in {row["history_id"] for row in lines("history/export_run", **chosen)}


def test_a_plus_that_a_url_lost_is_understood():
    assert Filters.parse({"from": "2026-11-24T00:00:00 02:00"}).since.isoformat() == "2026-11-23T22:00:00+00:00"


def test_agent_reviewer_type_and_intent_restrict(run, agent):
    record(ledger.Change("agent.changed", agent, RITA), ledger.Change("export.finished", run, Actor.agent("7", "rita")))
    mine = lines("events", agent="billing")
    assert {line["type"] for line in mine} == {"agent.created", "agent.changed"}
    assert mine == lines("events", agent=agent.id)
    assert [line["type"] for line in lines("events", reviewer="rita")] == ["agent.changed"]
    assert [line["type"] for line in lines("events", reviewer="7")] == ["agent.changed"]
    assert [line["type"] for line in lines("events", type="export.finished")] == ["export.finished"]
    assert lines("events", intent="int_nobody") == []
    assert lines("events", action="stripe.refund") == []
    assert [row["actor_name"] for row in lines("history/agent", reviewer="rita")] == ["rita"]
    assert len(lines("history/agent", agent="billing")) == 2
    assert lines("history/agent", agent="somebody") == []
    assert lines("history/export_run", agent="billing") == []


def test_blank_filters_do_not_restrict(run):
    assert len(lines("events", agent="", action=" ", **{"from": ""})) == 1


@pytest.mark.parametrize(
    ("given", "path"), [({"form": "2026"}, "form"), ({"from": "yesterday"}, "from"), ({"agent": "a\0"}, "agent")]
)
def test_an_unusable_filter_is_named_and_nothing_is_recorded(db, given, path):
    with pytest.raises(Problem) as caught:
        exports.begin("events", "csv", given, by=SWEEPER, door=Door.COMMAND)
    assert (caught.value.kind, caught.value.path) == ("invalid", path)
    assert not ExportRun.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.parametrize(("dataset", "format", "path"), [("events", "xlsx", "format"), ("secrets", "csv", "dataset")])
def test_an_unknown_dataset_or_format_is_named(db, dataset, format, path):
    with pytest.raises(Problem) as caught:
        exports.begin(dataset, format, {}, by=SWEEPER, door=Door.COMMAND)
    assert (caught.value.kind, caught.value.path) == ("invalid", path)


def test_batches_are_read_by_key_with_queries_of_one_size(run, monkeypatch):
    monkeypatch.setattr(exports, "BATCH", 10)
    record(*[ledger.Change("export.finished", run, SWEEPER, {"n": n}) for n in range(40)])
    with CaptureQueriesContext(connection) as queries:
        exported = lines("events")
    assert [line["facts"].get("n") for line in exported] == [None, *range(40)]
    assert len({line["id"] for line in exported}) == 41
    assert len(queries) == 1 + 5
    assert not any("OFFSET" in query["sql"] for query in queries)
    assert len({len(query["sql"]) for query in queries.captured_queries[2:]}) == 1


def test_what_is_written_while_an_export_runs_is_left_to_the_next_one(run, monkeypatch):
    monkeypatch.setattr(exports, "BATCH", 1)
    record(ledger.Change("export.finished", run, SWEEPER))
    pieces = exports.stream(exports.dataset("events"), "ndjson", Filters())
    first = next(pieces)
    record(ledger.Change("export.finished", run, SWEEPER))
    assert len((first + b"".join(pieces)).splitlines()) == 2


def test_an_export_is_recorded_with_who_what_and_the_digest_of_its_bytes(run):
    export = exports.begin("events", "csv", {"type": "export.started"}, by=RITA, door=Door.API)
    data = b"".join(export)
    stored = ExportRun.objects.latest("id")
    assert stored.sha256 == "sha256:" + hashlib.sha256(data).hexdigest()
    assert (stored.rows, stored.bytes, stored.state) == (2, len(data), "finished")
    assert (stored.exported_by, stored.door, stored.filters) == ("rita", "api", {"type": "export.started"})
    started, finished = Event.objects.filter(subject_id=str(stored.pk)).order_by("id")
    assert (started.type, finished.type) == ("export.started", "export.finished")
    assert json.loads(finished.line)["facts"] == {"rows": 2, "bytes": len(data), "sha256": stored.sha256}


def test_a_reader_who_goes_away_is_recorded_as_interrupted(run):
    pieces = iter(exports.begin("events", "ndjson", {}, by=RITA, door=Door.API))
    next(pieces)
    pieces.close()
    assert Event.objects.latest("id").type == "export.interrupted"
    assert ExportRun.objects.latest("id").state == "unfinished"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("http://x","y")']
)
def test_a_cell_that_could_be_a_formula_is_quoted(text):
    assert tabular.cell(text) == "'" + text


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-5, "-5"),
        ("-5.25", "-5.25"),
        (None, ""),
        (True, "true"),
        ({"b": 1, "a": "="}, '{"a":"=","b":1}'),
        ("a=b", "a=b"),
    ],
)
def test_other_cells_are_written_as_they_are(value, cell):
    assert tabular.cell(value) == cell


def test_csv_follows_rfc_4180():
    assert (
        tabular.lines([['say "no", twice', "two\r\nlines", "plain"]]) == b'"say ""no"", twice","two\r\nlines",plain\r\n'
    )


def test_an_app_can_register_a_dataset_once(db, monkeypatch):
    monkeypatch.setattr(exports, "_registered", {})
    mine = exports.Dataset("mine", "Mine", lambda chosen: ExportRun.objects.all(), ["id"], lambda run: [run.pk])
    exports.register(mine)
    run = make_run()
    run.save()
    assert lines("mine") == [{"id": run.pk}]
    with pytest.raises(ValueError, match="already"):
        exports.register(mine)
    with pytest.raises(ValueError, match="already"):
        exports.register(exports.Dataset("events", "", mine.queryset, [], mine.row))


def test_the_command_writes_a_whole_file_that_only_its_owner_can_read(run, tmp_path, capsys):
    output = tmp_path / "events.ndjson"
    call_command("audit_export", "--output", str(output), "--type", "export.started", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["sha256"] == "sha256:" + hashlib.sha256(output.read_bytes()).hexdigest()
    assert told["rows"] == len(output.read_bytes().splitlines()) == 2
    assert output.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [output]


def test_the_command_says_that_no_event_knows_a_name(run, tmp_path, capsys):
    output = tmp_path / "events.ndjson"
    call_command("audit_export", "--output", str(output), "--reviewer", "ritta", "--agent", "biling")
    said = capsys.readouterr().err
    assert "the reviewer 'ritta'" in said and "the agent 'biling'" in said
    record(ledger.Change("export.finished", run, RITA))
    call_command("audit_export", "--output", str(output), "--reviewer", "rita")
    assert capsys.readouterr().err == ""


def test_the_command_exports_history_as_csv(run, tmp_path):
    output = tmp_path / "runs.csv"
    call_command("audit_export", "--output", str(output), "--dataset", "history/export_run", "--from", "2026-01-01")
    assert output.read_text().startswith("id,dataset,format,")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("x.zip", [], r"\.zip"),
        ("x", [], "without ending"),
        ("x.csv", ["--from", "yesterday"], "'from' is no time"),
        ("x.csv", ["--dataset", "secrets"], "no dataset"),
        ("missing/x.csv", [], "no folder"),
    ],
)
def test_the_command_says_what_it_cannot_do_and_writes_nothing(db, tmp_path, name, options, message):
    with pytest.raises(CommandError, match=message):
        call_command("audit_export", "--output", str(tmp_path / name), *options)
    assert list(tmp_path.iterdir()) == []
    assert not ExportRun.objects.exists()
