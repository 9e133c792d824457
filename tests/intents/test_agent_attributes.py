"""Tier and labels of agents: what policies may rely on besides name, owner and environment."""

import json

import pytest
from django.core.management import call_command
from django.db import connection

from audit import canonical_rows, immutability
from audit.models import Event
from intents import in_force, recorded
from intents.agents import change_agent
from intents.labels import LabelsError, read_labels, write_labels
from intents.models import Agent, Status
from tests.factories import ARRANGER, in_force_as, load_policy, make_agent, make_intent
from zehrava.problems import Problem

pytestmark = pytest.mark.django_db


def test_a_policy_relies_on_tier_and_labels():
    load_policy("""
name: tiers
match: {actions: [a.b]}
rules: [{id: r, when: 'agent.tier == "trusted" && agent.labels["team"] == "pay"', effect: allow}]
""")
    _, trusted = make_agent(tier="trusted", labels={"team": "pay"})
    agent, other = make_agent(tier="trusted", labels={"team": "ops"})
    assert make_intent(trusted, action="a.b").status == Status.APPROVED
    assert make_intent(other, action="a.b", context={"labels": {"team": "pay"}}).status == Status.PENDING_APPROVAL
    change_agent(agent, by=ARRANGER, labels={"team": "pay"})
    assert make_intent(other, action="a.b").status == Status.APPROVED


def test_a_change_of_them_is_recorded():
    agent, _ = make_agent()
    change_agent(agent, by=ARRANGER, tier="trusted", labels={"team": "pay"})
    change_agent(agent, by=ARRANGER, labels={"team": "pay"})
    changed = json.loads(Event.objects.get(type="agent.changed").line)
    assert changed["facts"]["changed"] == ["labels", "tier"]
    newest = agent.history.latest("history_id")
    assert (newest.tier, newest.labels) == ("trusted", {"team": "pay"})


def test_an_agent_from_before_there_were_any_keeps_working_and_is_trusted_with_no_more():
    agent, key = make_agent()
    # As a portal of the first version wrote it: neither history nor the digest of it says anything of either.
    tables = [agent.history.model._meta.db_table, Event._meta.db_table]
    for table in tables:
        immutability.remove(connection, table)
    row, event = agent.history.get(), Event.objects.get(type="agent.created")
    digest = canonical_rows.digest(row)
    agent.history.update(tier=None, labels=None)
    event.line = event.line.replace(digest, canonical_rows.digest(agent.history.get()))
    event.save()
    for table in tables:
        immutability.install(connection, table)
    in_force.bump()
    assert in_force_as(key).trusted_attributes()["tier"] == "standard"
    Agent.objects.update(tier="trusted")
    in_force.bump()
    with pytest.raises(KeyError):
        in_force_as(key)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"tier": "Very Trusted"}, "/tier"),
        ({"tier": ""}, "/tier"),
        ({"labels": {"Team": "pay"}}, "/labels"),
        ({"labels": {"team": ""}}, "/labels"),
        ({"labels": {"team": 5}}, "/labels"),
        ({"labels": {"team": "a\u202eb"}}, "/labels"),
        ({"labels": {"team": "a\nb"}}, "/labels"),
        ({"labels": {"team": "x" * 201}}, "/labels"),
        ({"labels": {f"n{n}": "x" for n in range(33)}}, "/labels"),
        ({"labels": ["team"]}, "/labels"),
    ],
)
def test_what_cannot_be_relied_on_is_refused(fields, path):
    agent, _ = make_agent()
    with pytest.raises(Problem) as refused:
        change_agent(agent, by=ARRANGER, **fields)
    assert refused.value.kind == "invalid"
    assert path in {error["path"] for error in refused.value.errors}


def test_labels_are_read_as_they_are_written():
    labels = {"team": "pay = ments", "cost-centre/eu": "42"}
    assert read_labels(write_labels(labels).splitlines()) == labels
    assert read_labels(["", "  team = pay  ", " "]) == {"team": "pay"}


def test_every_line_that_cannot_be_read_is_named():
    with pytest.raises(LabelsError) as refused:
        read_labels(["team", "team=pay", "", "team=ops", "Big=x", "none="])
    assert [fault.partition(":")[0] for fault in refused.value.faults] == ["Line 1", "Line 4", "Line 5", "Line 6"]


def test_what_is_in_force_is_compared_with_the_newest_row_of_history_only(django_assert_num_queries):
    agent, key = make_agent()
    for n in range(20):
        change_agent(agent, by=ARRANGER, tier=f"tier-{n}")
    with django_assert_num_queries(1):
        found = recorded.newest(Agent)
    assert {pk: said.values["tier"] for pk, said in found.items()} == {agent.pk: "tier-19"}
    assert in_force_as(key).tier == "tier-19"


def test_the_ledger_covers_them(capsys):
    make_agent(tier="trusted", labels={"team": "pay"})
    call_command("audit_check", "--json")
    assert json.loads(capsys.readouterr().out)["findings"] == []
