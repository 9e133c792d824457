"""Whether two people are needed is the portal's to say, not that of the shell somebody happens to have."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit import clock
from audit.models import Event
from intents import documents, second_person, sweeping
from intents.models import Policy
from tests.factories import ARRANGER
from zehrava.problems import Problem
from zehrava_site.bootstrapping import bootstrap

pytestmark = pytest.mark.django_db

GOOD = "name: refunds\nmatch: {actions: [stripe.refund]}\nrules: [{id: all, effect: allow}]\n"


def set_here(settings: Any, on: bool) -> None:
    settings.ZEHRAVA_POLICY_SECOND_PERSON = on


@pytest.mark.parametrize("door", ["sweep", "bootstrap"])
def test_what_the_portal_recorded_binds_a_process_without_the_setting(door: str, settings: Any) -> None:
    set_here(settings, True)
    {"sweep": sweeping.sweep, "bootstrap": bootstrap}[door]()
    set_here(settings, False)
    assert second_person.takes_two()
    with pytest.raises(Problem, match="second person"):
        documents.save_policy(GOOD, by=ARRANGER, user=None)
    assert not Policy.objects.filter(active__isnull=False).exists()


def test_a_portal_without_the_setting_records_nothing_and_one_with_it_records_it_once(settings: Any) -> None:
    sweeping.sweep()
    assert not second_person.takes_two() and second_person.recorded() is None
    set_here(settings, True)
    for _ in range(3):
        sweeping.sweep()
    assert list(Event.objects.filter(type__contains="second_person").values_list("type", flat=True)) == [
        "policy.second_person_required"
    ]


def test_turning_it_off_is_a_step_of_its_own_that_the_ledger_keeps(settings: Any, capsys: Any) -> None:
    set_here(settings, True)
    sweeping.sweep()
    with pytest.raises(CommandError, match="still on here"):
        call_command("second_person", "--off", "--reason", "why")
    set_here(settings, False)
    with pytest.raises(CommandError, match="Say why"):
        call_command("second_person", "--off")
    assert second_person.takes_two()
    call_command("second_person", "--off", "--reason", "We are one person now")
    assert not second_person.takes_two()
    assert "One person may change policies alone, since" in capsys.readouterr().out
    event = json.loads(Event.objects.get(type="policy.second_person_waived").line)
    assert event["actor"]["name"] == "manage.py second_person"
    with pytest.raises(CommandError, match="nothing to turn off"):
        call_command("second_person", "--off", "--reason", "again")
    # On again, whatever the clock says.
    set_here(settings, True)
    second_person.record(by=ARRANGER)
    set_here(settings, False)
    assert second_person.takes_two()


def test_a_clock_that_was_set_back_does_not_bring_an_older_word_back(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On, off, then on again two hours earlier by the clock: what was said last counts."""
    set_here(settings, True)
    second_person.record(by=ARRANGER)
    set_here(settings, False)
    second_person.waive(by=ARRANGER, reason="why")
    earlier = clock.now() - timedelta(hours=2)
    monkeypatch.setattr(clock, "now", lambda: earlier)
    set_here(settings, True)
    assert second_person.record(by=ARRANGER)
    # On and off and on: however often it is turned in that past.
    set_here(settings, False)
    assert second_person.takes_two()
    second_person.waive(by=ARRANGER, reason="why")
    assert not second_person.takes_two()
    set_here(settings, True)
    assert second_person.record(by=ARRANGER)
    set_here(settings, False)
    assert second_person.takes_two()


def test_asking_what_counts_is_one_query_where_nothing_was_ever_recorded(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert not second_person.takes_two()


def test_a_sweep_goes_on_where_it_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> bool:
        raise RuntimeError("no")

    monkeypatch.setattr(second_person, "record", broken)
    assert "expired" in sweeping.sweep()
