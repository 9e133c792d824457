"""Recording: the row, its history and its event, or none of them."""

import hashlib
import json
import time

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from audit import canonical_rows, context, ledger
from audit.actors import Actor
from audit.history import acting, history_models
from audit.models import Content, Event, ExportRun
from tests.audit.conftest import AT, SWEEPER, make_run, record
from zehrava import canonical, ids

RunHistory = ExportRun.history.model


class Undo(Exception):
    pass


def test_an_event_says_what_happened_to_what_by_whom_and_when(run):
    [event] = record(ledger.Change("export.finished", run, SWEEPER, {"rows": 3}), at=AT)

    line = json.loads(Event.objects.get(pk=event.pk).line)
    assert ids.is_id(event.id, "evt")
    assert line == {
        "id": event.id,
        "at": "2026-11-23T09:30:00.123456Z",
        "type": "export.finished",
        "actor": {"kind": "system", "id": "sweeper", "name": "sweeper"},
        "subject": {"type": "audit.exportrun", "id": str(run.pk)},
        "agent": None,
        "action": None,
        "intent": None,
        "request": None,
        "facts": {"rows": 3},
        "content": None,
        "history": line["history"],
        "version": 1,
    }
    assert line["history"]["table"] == "audit_historicalexportrun"


def test_the_line_is_in_canonical_form(run):
    [event] = record(ledger.Change("export.finished", run, SWEEPER, {"z": 1.5, "ä": "\u20ac", "a": [True, None]}))
    assert canonical.dumps(json.loads(event.line)) == event.line.encode()


def test_what_the_subject_is_about_goes_into_columns_and_line(agent):
    [event] = record(ledger.Change("agent.changed", agent, Actor.agent(agent.id, agent.name)))
    assert (event.agent_id, event.agent_name) == (agent.id, "billing")
    assert json.loads(event.line)["agent"] == {"id": agent.id, "name": "billing"}


def test_a_change_with_content_takes_three_inserts_and_one_without_takes_two(run):
    with transaction.atomic():
        with CaptureQueriesContext(connection) as with_content:
            ledger.record(ledger.Change("export.finished", run, SWEEPER, content={"why": "because"}), at=AT)
        with CaptureQueriesContext(connection) as without:
            ledger.record(ledger.Change("export.finished", run, SWEEPER), at=AT)
    assert [query["sql"].split()[0] for query in with_content] == ["INSERT"] * 3
    assert [query["sql"].split()[0] for query in without] == ["INSERT"] * 2


def test_a_hundred_changes_take_as_many_statements_as_one(run):
    changes = [ledger.Change("export.finished", run, SWEEPER, {"n": n}, {"n": n}) for n in range(100)]
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        events = ledger.record(*changes, at=AT)
    assert len(queries) == 3
    assert [json.loads(event.line)["facts"]["n"] for event in events] == list(range(100))
    assert Event.objects.filter(type="export.finished").count() == 100
    assert Content.objects.count() == 100
    assert RunHistory.objects.count() == 101


def test_outside_a_transaction_nothing_is_recorded(run):
    with pytest.MonkeyPatch.context() as outside:
        outside.setattr(connections["default"], "in_atomic_block", False)
        with pytest.raises(TransactionManagementError, match=r"transaction\.atomic"):
            ledger.record(ledger.Change("export.finished", run, SWEEPER))
    assert Event.objects.count() == 1


def test_a_rollback_leaves_neither_row_nor_history_nor_event_nor_content(db):
    with pytest.raises(Undo), transaction.atomic():
        ledger.save(make_run(), "export.started", by=SWEEPER, content={"why": "because"})
        raise Undo
    assert not any(model._base_manager.exists() for model in (ExportRun, RunHistory, Event, Content))


def test_a_failing_event_takes_the_row_with_it(db):
    with pytest.raises(ValueError, match="not a registered event type"), transaction.atomic():
        ledger.save(make_run(), "export.strated", by=SWEEPER)
    assert not ExportRun.objects.exists()


def test_a_failing_event_takes_a_plain_save_with_it(db, monkeypatch):
    monkeypatch.delitem(ledger.EVENTS, "export_run.created")
    with pytest.raises(ValueError, match=r"export_run\.created"), transaction.atomic():
        make_run().save()
    assert not ExportRun.objects.exists()


def test_facts_without_a_canonical_form_are_refused(run):
    with pytest.raises(ValueError, match="/facts/rows"):
        record(ledger.Change("export.finished", run, SWEEPER, {"rows": float("nan")}))


def test_content_is_kept_apart_and_the_event_commits_to_it(run):
    [event] = record(ledger.Change("export.finished", run, SWEEPER, content={"why": "Ünïcode"}))
    content = Content.objects.get(pk=event.pk)
    expected = hashlib.sha256(bytes.fromhex(content.salt) + content.body.encode()).hexdigest()
    assert "Ünïcode" not in event.line
    assert json.loads(content.body) == {"why": "Ünïcode"}
    assert json.loads(event.line)["content"] == f"sha256:{expected}"


def test_equal_contents_have_different_commitments(run):
    first, second = record(*[ledger.Change("export.finished", run, SWEEPER, content={"why": "no"}) for _ in range(2)])
    assert json.loads(first.line)["content"] != json.loads(second.line)["content"]


def test_history_holds_the_row_as_it_now_is_with_its_actor(run):
    run.rows = 7
    person = get_user_model().objects.create_user("rita")
    event = ledger.save(run, "export.finished", by=Actor.person(person))
    row = RunHistory.objects.get(pk=event.pk)
    assert (row.rows, row.history_type, row.event_id) == (7, "~", event.id)
    assert (row.actor_kind, row.actor_id, row.actor_name) == ("person", str(person.pk), "rita")
    assert row.history_user_id == person.pk
    assert json.loads(event.line)["history"]["digest"] == canonical_rows.digest(row)


def test_deleting_a_person_is_not_held_up_by_what_the_person_did(run):
    person = get_user_model().objects.create_user("rita")
    ledger.save(run, "export.finished", by=Actor.person(person))
    key = person.pk
    person.delete()
    assert RunHistory.objects.latest("history_id").history_user_id == key


def test_a_deleted_row_leaves_its_last_state(run):
    key = run.pk
    ledger.delete(run, "export_run.deleted", by=SWEEPER)
    row = RunHistory.objects.latest("history_id")
    assert not ExportRun.objects.exists()
    assert (row.history_type, row.id, row.dataset) == ("-", key, "events")


def test_a_plain_save_and_delete_write_history_and_event(db):
    with acting(Actor.agent("agt_1", "billing")):
        row = make_run()
        row.save()
        row.rows = 1
        row.save(update_fields=["rows"])
        row.delete()
    assert [event.type for event in Event.objects.order_by("id")] == [
        "export_run.created",
        "export_run.changed",
        "export_run.deleted",
    ]
    assert {(row.actor_kind, row.actor_id) for row in RunHistory.objects.all()} == {("agent", "agt_1")}
    assert list(RunHistory.objects.order_by("history_id").values_list("history_type", flat=True)) == ["+", "~", "-"]


def test_a_plain_save_that_nobody_answers_for_is_recorded_as_unattributed(db):
    make_run().save()
    assert Event.objects.get().actor_name == "unattributed"


def test_simple_historys_own_switches_do_not_switch_history_off(db, settings):
    settings.SIMPLE_HISTORY_ENABLED = False
    make_run().save_base(raw=True)
    assert Event.objects.get().type == "export_run.created"
    assert RunHistory.objects.count() == 1


def test_ledger_save_writes_one_history_row_and_not_two(db):
    ledger.save(make_run(), "export.started", by=SWEEPER)
    assert RunHistory.objects.count() == 1
    assert RunHistory.objects.get().history_type == "+"


def test_columns_that_were_not_loaded_are_in_history_all_the_same(run):
    row = ExportRun.objects.only("id").get(pk=run.pk)
    [event] = record(ledger.Change("export.finished", row, SWEEPER))
    assert RunHistory.objects.get(pk=event.pk).dataset == "events"


def test_a_value_that_the_database_computes_is_read_back(run):
    from django.db.models import Value
    from django.db.models.functions import Concat

    run.sha256 = Concat(Value("sha256:"), Value("ab"))
    event = ledger.save(run, "export.finished", by=SWEEPER)
    assert RunHistory.objects.get(pk=event.pk).sha256 == "sha256:ab"


def test_what_somebody_typed_into_a_filter_is_not_in_history(db):
    run = make_run(filters={"reviewer": "rita"})
    ledger.save(run, "export.started", by=SWEEPER)
    assert "filters" not in {field.name for field in RunHistory._meta.fields}
    assert "rita" not in Event.objects.get().line


def test_no_history_table_points_at_a_persons_row():
    from django.conf import settings

    constrained = [
        f"{model._meta.db_table}.{field.column}"
        for model in history_models()
        for field in model._meta.concrete_fields
        if field.is_relation and field.db_constraint
    ]
    assert constrained == []
    assert all(
        model._meta.get_field("history_user_id").get_internal_type() == "BigIntegerField" for model in history_models()
    )
    assert settings.SIMPLE_HISTORY_REVERT_DISABLED


def test_a_history_column_may_be_null_and_has_no_default_so_that_later_ones_rewrite_no_older_row():
    for model in history_models():
        tracked = {field.attname for field in model.instance_type._meta.concrete_fields}
        for field in model._meta.concrete_fields:
            if field.attname in tracked:
                assert field.null, field
                assert not field.has_default(), field
                assert not field.has_db_default(), field


def test_the_request_is_named_in_the_event(run):
    with context.bound_request_id("req-1"):
        [event] = record(ledger.Change("export.finished", run, SWEEPER))
    assert event.request_id == "req-1"
    assert json.loads(event.line)["request"] == "req-1"


def test_the_time_of_an_event_is_now_by_default(run):
    before = time.time()
    [event] = record(ledger.Change("export.finished", run, SWEEPER))
    assert abs(event.at.timestamp() - before) < 60


def test_recording_nothing_writes_nothing(db):
    assert record() == []


def test_an_event_type_needs_a_dotted_name():
    with pytest.raises(ValueError, match="dotted"):
        ledger.register({"Proposed": "An intent."})


@pytest.mark.django_db(transaction=True)
def test_without_any_transaction_around_it_a_plain_save_still_stands_or_falls_with_its_event(monkeypatch):
    make_run().save()
    assert Event.objects.count() == RunHistory.objects.count() == 1
    monkeypatch.delitem(ledger.EVENTS, "export_run.created")
    monkeypatch.delitem(ledger.EVENTS, "export_run.deleted")
    with pytest.raises(ValueError, match=r"export_run\.created"):
        make_run().save()
    with pytest.raises(ValueError, match=r"export_run\.deleted"):
        ExportRun.objects.get().delete()
    assert ExportRun.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_ledger_save_and_delete_bring_a_transaction_of_their_own():
    row = make_run()
    ledger.save(row, "export.started", by=SWEEPER)
    with pytest.raises(ValueError, match="not a registered event type"):
        ledger.delete(row, "export.forgotten", by=SWEEPER)
    with pytest.raises(TransactionManagementError):
        ledger.record(ledger.Change("export.finished", row, SWEEPER))
    assert ExportRun.objects.count() == Event.objects.count() == 1


def test_simple_historys_bulk_writer_is_shut_because_it_knows_no_ledger(run):
    from simple_history.utils import bulk_create_with_history

    with pytest.raises(NotImplementedError, match=r"ledger\.record"), transaction.atomic():
        bulk_create_with_history([make_run()], ExportRun)
    assert ExportRun.objects.count() == 1
