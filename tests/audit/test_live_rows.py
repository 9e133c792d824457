"""`audit_check` finds rows that somebody changed by SQL, and lets everything alone that the portal does itself."""

import json
from contextlib import suppress
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import clock, comparing, immutability, ledger, live_rows, verification
from audit.actors import Actor
from audit.models import ExportRun
from intents import sweeping
from intents.agents import change_agent, create_key, resume_agent, revoke_key, suspend_agent
from intents.cancelling import cancel
from intents.execution import carry_out, claim, heartbeat, report, resolve
from intents.models import AgentKey, Execution, Intent, Status
from reviews.decisions import decide
from tests.audit.conftest import SWEEPER, make_run, record
from tests.factories import ARRANGER, allow, in_force_as, make_agent, make_intent, make_user, run_by_noop
from zehrava import canonical
from zehrava_site.people import record_group, record_person

pytestmark = pytest.mark.django_db


def findings(capsys):
    with suppress(SystemExit):
        call_command("audit_check", "--json")
    return {
        (found["table"], found["row"], found["problem"]) for found in json.loads(capsys.readouterr().out)["findings"]
    }


def execute(sql, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def differing(capsys):
    """Table, row and columns of everything that differs from its newest history row."""
    found = findings(capsys)
    assert all("columns differ from history row evt_" in problem for _, _, problem in found), found
    return {(table, row, problem.rpartition(": ")[2]) for table, row, problem in found}


def a_person(*groups, **fields):
    person = make_user(None, *groups, **fields)
    record_person(person, "added", by=ARRANGER)
    return person


@pytest.fixture
def approved():
    allow("a.b")
    _, key = make_agent()
    return make_intent(key, action="a.b"), in_force_as(key)


# --- a healthy database --------------------------------------------------------------------------------------------


def test_everything_the_portal_does_itself_holds(capsys, approved):
    # Proposed, allowed, claimed, kept alive, reported.
    intent, agent = approved
    execution, token = claim(intent.pk, agent=agent)
    heartbeat(execution.pk, agent=agent, token=token)
    report(execution.pk, agent=agent, token=token, outcome="succeeded", result={"amount": 1.0})
    # Decided by people: approved and carried out by the portal, rejected, cancelled.
    run_by_noop("c.d")
    reviewer = a_person("reviewers")
    _, key = make_agent(owner=a_person("operators"))
    waiting = [make_intent(key, action="c.d", payload={"number": number}) for number in range(4)]
    for intent, vote in zip(waiting, ("approve", "reject"), strict=False):
        decide(intent.pk, by=reviewer, vote=vote, digest=intent.digest, rationale="because")
    carry_out(Execution.objects.get(intent=waiting[0]).pk)
    cancel(waiting[2], by=ARRANGER, reason="no longer")
    # Swept: one lease lapsed, one intent overdue; then settled.
    lapsing = make_intent(key, action="a.b")
    claim(lapsing.pk, agent=in_force_as(key))
    Execution.objects.filter(intent=lapsing).update(lease_until=clock.now() - timedelta(seconds=1))
    assert sweeping.sweep()["lapsed"] == 1
    resolve(lapsing, outcome="again", by=a_person(is_superuser=True), reason="it did not happen")
    # Agents and keys.
    agent_row, key = make_agent()
    suspend_agent(agent_row, by=ARRANGER)
    resume_agent(agent_row, by=ARRANGER)
    change_agent(agent_row, environment="staging", description="x", by=ARRANGER)
    revoke_key(create_key(agent_row, by=ARRANGER)[0], by=ARRANGER)
    make_run().save()
    statuses = set(Intent.objects.values_list("status", flat=True))
    assert statuses >= {Status.SUCCEEDED, Status.REJECTED, Status.CANCELLED, Status.PENDING_APPROVAL, Status.APPROVED}
    assert findings(capsys) == set()


def test_what_is_deliberately_kept_out_of_history_is_not_compared(capsys, approved):
    intent, agent = approved
    execution, _ = claim(intent.pk, agent=agent)
    now = clock.now()
    Execution.objects.update(sent_at=now, lease_until=now, permit_hash="", result={"x": 1})
    assert findings(capsys) == set()
    assert Execution.objects.get().pk == execution.pk


def test_a_row_that_was_deleted_with_a_record_is_not_missed(capsys):
    make = make_run()
    ledger.save(make, "export.started", by=SWEEPER)
    ledger.delete(make, "export.finished", by=SWEEPER)
    assert findings(capsys) == set()


# --- what an attacker with the right to write rows does --------------------------------------------------------------


def test_a_revived_key_is_found(capsys):
    agent, _ = make_agent()
    key = revoke_key(create_key(agent, by=ARRANGER)[0], by=ARRANGER)
    execute("UPDATE intents_agentkey SET revoked_at = NULL WHERE id = %s", key.pk)
    assert differing(capsys) == {("intents_agentkey", str(key.pk), "revoked_at")}


def test_a_replaced_key_hash_is_found(capsys):
    make_agent()
    execute("UPDATE intents_agentkey SET hash = %s", "0" * 64)
    assert differing(capsys) == {("intents_agentkey", str(AgentKey.objects.get().pk), "hash")}


def test_a_status_set_by_sql_is_found(capsys):
    intent = make_intent()
    assert intent.status == Status.PENDING_APPROVAL
    execute("UPDATE intents_intent SET status = 'approved'")
    assert differing(capsys) == {("intents_intent", intent.pk, "status")}


def test_an_execution_state_set_by_sql_is_found(capsys, approved):
    intent, agent = approved
    execution, _ = claim(intent.pk, agent=agent)
    execute("UPDATE intents_execution SET state = 'waiting', started_at = NULL")
    assert differing(capsys) == {("intents_execution", execution.pk, "state, started_at")}


def test_a_lowered_requirement_is_found(capsys):
    intent = make_intent()
    none = canonical.digest(b"null")
    execute("UPDATE intents_intent SET requirement = 'null', requirement_digest = %s", none)
    assert differing(capsys) == {("intents_intent", intent.pk, "requirement_digest")}


def test_a_policy_brought_into_force_by_sql_is_found(capsys):
    allow("a.b")
    execute("UPDATE intents_policy SET active_id = NULL")
    assert {(table, columns) for table, _, columns in differing(capsys)} == {("intents_policy", "active_id")}


def test_a_row_put_in_by_sql_is_found(capsys):
    agent, _ = make_agent()
    AgentKey.objects.bulk_create([AgentKey(agent=agent, prefix="zhv_x", hash="1" * 64)])
    key = AgentKey.objects.get(hash="1" * 64)
    assert findings(capsys) == {("intents_agentkey", str(key.pk), "no history covers this row")}


def test_a_row_taken_away_by_sql_is_found(capsys):
    make_agent()
    key = AgentKey.objects.get()
    execute("DELETE FROM intents_agentkey")
    problem = "the row is gone, and no history says who deleted it"
    assert findings(capsys) == {("intents_agentkey", str(key.pk), problem)}


def test_a_row_put_back_after_its_deletion_is_found(capsys):
    run = make_run()
    ledger.save(run, "export.started", by=SWEEPER)
    key = run.pk
    ledger.delete(run, "export.finished", by=SWEEPER)
    ExportRun.objects.bulk_create([make_run(pk=key)])
    [(table, row, problem)] = findings(capsys)
    assert (table, row) == ("audit_exportrun", str(key))
    assert "says that it was deleted" in problem


def test_a_value_that_is_none_of_its_column_is_a_finding_and_hides_no_other(capsys):
    agent, _ = make_agent()
    key, other = AgentKey.objects.get(), create_key(agent, by=ARRANGER)[0]
    unreadable = "infinity" if connection.vendor == "postgresql" else "2026-13-41 00:00:00"
    execute("UPDATE intents_agentkey SET revoked_at = %s WHERE id = %s", unreadable, key.pk)
    execute("UPDATE intents_agentkey SET hash = %s WHERE id = %s", "2" * 64, other.pk)
    found = {(row, problem.rpartition(" ")[2]) for _, row, problem in findings(capsys)}
    assert found == {(str(key.pk), "column"), (str(other.pk), "hash")}


# --- people --------------------------------------------------------------------------------------------------------


def test_a_membership_by_sql_is_found(capsys):
    person, group = a_person("auditors"), Group.objects.create(name="finance")
    execute("INSERT INTO auth_user_groups (user_id, group_id) VALUES (%s, %s)", person.pk, group.pk)
    [(table, row, problem)] = findings(capsys)
    assert (table, row) == ("auth_user", str(person.pk))
    assert problem.startswith("differs from event evt_") and problem.endswith(": groups")


@pytest.mark.parametrize(
    ("column", "value", "fact"), [("is_superuser", True, "superuser"), ("is_active", True, "active")]
)
def test_an_account_changed_by_sql_is_found(capsys, column, value, fact):
    person = a_person("auditors", is_active=False)
    execute(f"UPDATE auth_user SET {column} = %s", value)
    [(table, row, problem)] = findings(capsys)
    assert (table, row, problem.rpartition(": ")[2]) == ("auth_user", str(person.pk), fact)


def test_an_account_put_in_by_sql_is_found_once_it_has_rights(capsys):
    person = User.objects.create_user("mallory")
    assert findings(capsys) == set()
    person.groups.add(Group.objects.create(name="finance"))
    assert findings(capsys) == {("auth_user", str(person.pk), "no event tells of it, though it has rights")}


def test_permissions_given_to_a_group_by_sql_are_found(capsys):
    group = Group.objects.create(name="reviewers")
    record_group(group, "added", by=ARRANGER)
    assert findings(capsys) == set()
    execute(
        "INSERT INTO auth_group_permissions (group_id, permission_id) SELECT %s, min(id) FROM auth_permission", group.pk
    )
    [(table, row, problem)] = findings(capsys)
    assert (table, row, problem.rpartition(": ")[2]) == ("auth_group", str(group.pk), "permissions")


def test_what_the_ledger_was_told_last_counts(capsys):
    person = a_person("auditors")
    person.groups.add(Group.objects.create(name="finance"))
    record_person(person, "changed", by=Actor.system("ada"), password=True)
    assert findings(capsys) == set()


# --- how it looks --------------------------------------------------------------------------------------------------


def test_other_apps_checks_are_asked_and_registered_once(capsys, monkeypatch):
    monkeypatch.setattr(verification, "_registered", [])

    def look():
        return [verification.Finding("elsewhere", "1", "is wrong")]

    assert verification.register(look) is verification.register(look) is look
    assert [finding.table for finding in verification.check().findings] == ["elsewhere"]


def test_a_batch_costs_the_same_queries_however_many_rows_and_changes_there_are(run, monkeypatch):
    monkeypatch.setattr(comparing, "BATCH", 100)
    [governed] = [governed for governed in live_rows.governed_models() if governed.model is ExportRun]

    def queries():
        with CaptureQueriesContext(connection) as captured:
            counts = list(live_rows.compare(governed))
        return len(captured), counts

    few = queries()
    for _ in range(30):
        ledger.save(make_run(), "export.started", by=SWEEPER)
        record(*[ledger.Change("export.finished", run, SWEEPER)] * 3)
    many = queries()
    assert few == (7, [1])
    assert many == (7, [31])


def test_a_column_that_is_younger_than_the_history_row_says_nothing(run):
    """As after an upgrade: the migration filled the column of the row, and nobody may fill that of history."""
    [governed] = [governed for governed in live_rows.governed_models() if governed.model is ExportRun]
    immutability.remove(connection, governed.history._meta.db_table)
    execute("UPDATE audit_historicalexportrun SET sha256 = NULL")
    immutability.reinstall(connection)
    assert list(live_rows.compare(governed)) == [1]


def test_rows_of_many_batches_are_all_compared(capsys, monkeypatch):
    monkeypatch.setattr(comparing, "BATCH", 2)
    runs = [make_run() for _ in range(5)]
    for run in runs:
        ledger.save(run, "export.started", by=SWEEPER)
    execute("UPDATE audit_exportrun SET rows = 1 WHERE id = %s", runs[4].pk)
    execute("DELETE FROM audit_exportrun WHERE id = %s", runs[2].pk)
    assert {row for _, row, _ in findings(capsys)} == {str(runs[2].pk), str(runs[4].pk)}


def test_what_never_stands_still_is_a_finding():
    number = iter(range(100))

    def look(keys):
        return {key: comparing.Suspicion(f"evt_{next(number)}", "x") for key in keys}

    assert comparing.confirmed([1], look) == {1: "it changed again whenever it was compared"}


def test_what_healed_at_the_second_look_is_no_finding():
    looks = iter(
        [
            {1: comparing.Suspicion("evt_1", "x"), 2: comparing.Suspicion("evt_1", "y")},
            {2: comparing.Suspicion("evt_1", "y")},
        ]
    )
    assert comparing.confirmed([1, 2], lambda keys: next(looks)) == {2: "y"}


def test_what_changed_again_is_looked_at_again():
    looks = iter([{1: comparing.Suspicion("evt_1", "x")}, {1: comparing.Suspicion("evt_2", "z")}, {}])
    assert comparing.confirmed([1], lambda keys: next(looks)) == {}
