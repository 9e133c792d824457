"""A second person: one asks, another confirms, and nothing else changes which policies are in force."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, transaction

from audit import clock
from audit.actors import Actor
from audit.models import Event
from intents import activation, documents, second_person
from intents.models import ActionTypeVersion, ActivationRequest, Policy, PolicyVersion, RequestState
from tests.factories import ARRANGER, make_intent, make_user
from zehrava import canonical
from zehrava.problems import Problem
from zehrava_site import roles

pytestmark = pytest.mark.django_db

GOOD = "name: refunds\nmatch: {actions: [stripe.refund]}\nrules: [{id: all, effect: allow}]\n"
STRICTER = GOOD.replace("allow", "block")
OTHER = GOOD.replace("allow", "require_approval")


@pytest.fixture(autouse=True)
def two_people(settings: Any) -> None:
    roles.install()
    documents.save_policy(GOOD, by=ARRANGER, user=None)
    settings.ZEHRAVA_POLICY_SECOND_PERSON = True


@pytest.fixture
def paul() -> User:
    return make_user("paul", "policy_authors")


@pytest.fixture
def petra() -> User:
    return make_user("petra", "policy_authors")


def draft(text: str = STRICTER, user: User | None = None) -> PolicyVersion:
    return documents.save_policy(text, by=ARRANGER, user=user, activate=False)


def in_force() -> int | None:
    active = Policy.objects.get().active
    return active.number if active else None


def refused(kind: str, function: Any, *args: Any, **kwargs: Any) -> str:
    before = (in_force(), list(ActivationRequest.objects.values_list("state", "requested_by")), Event.objects.count())
    with pytest.raises(Problem) as problem, transaction.atomic():
        function(*args, **kwargs)
    assert problem.value.kind == kind, problem.value.detail
    assert before == (
        in_force(),
        list(ActivationRequest.objects.values_list("state", "requested_by")),
        Event.objects.count(),
    )
    return problem.value.detail


def test_one_asks_and_another_confirms_and_the_ledger_names_both(paul: User, petra: User) -> None:
    version = draft(user=paul)
    request = activation.ask(version.policy, version, by=paul, reason="Too many refunds")
    assert in_force() == 1
    activation.confirm(request, by=petra, digest=version.digest)
    assert in_force() == 2
    assert make_intent().status == "blocked"
    asked = Event.objects.get(type="policy.activation_requested")
    confirmed = Event.objects.get(type="policy.activation_confirmed")
    activated = json.loads(Event.objects.filter(type="policy.activated").latest("id").line)
    assert (asked.actor_name, confirmed.actor_name, activated["actor"]["name"]) == ("paul", "petra", "petra")
    assert activated["facts"]["requested_by"] == str(paul.pk)
    assert (activated["facts"]["version"], activated["facts"]["instead_of"]) == (2, 1)
    settled = ActivationRequest.objects.get()
    assert (settled.state, settled.settled_by) == (RequestState.CONFIRMED, petra)


def test_nobody_confirms_what_they_asked_for(paul: User) -> None:
    version = draft()
    request = activation.ask(version.policy, version, by=paul, reason="why")
    assert "somebody else" in refused("conflict", activation.confirm, request, by=paul, digest=version.digest)


def test_the_author_of_a_version_may_ask_for_it_and_never_confirms_it(paul: User, petra: User) -> None:
    version = draft(user=paul)
    request = activation.ask(version.policy, version, by=petra, reason="why")
    assert "You wrote v2" in refused("conflict", activation.confirm, request, by=paul, digest=version.digest)
    activation.withdraw(request, by=petra)
    again = activation.ask(version.policy, version, by=paul, reason="why")
    activation.confirm(again, by=petra, digest=version.digest)
    assert in_force() == 2


def test_a_superuser_is_no_exception(paul: User) -> None:
    root = make_user("root", is_superuser=True)
    version = draft(user=root)
    refused("conflict", documents.activate_version, version, by=Actor.person(root))
    request = activation.ask(version.policy, version, by=root, reason="why")
    refused("conflict", activation.confirm, request, by=root, digest=version.digest)
    activation.withdraw(request, by=root)
    asked_by_other = activation.ask(version.policy, version, by=paul, reason="why")
    refused("conflict", activation.confirm, asked_by_other, by=root, digest=version.digest)


@pytest.mark.parametrize("door", ["activate", "disable", "save", "back"])
def test_no_function_changes_what_is_in_force_alone(door: str, settings: Any, paul: User) -> None:
    policy = Policy.objects.get()
    if door == "back":
        settings.ZEHRAVA_POLICY_SECOND_PERSON = False
        documents.save_policy(STRICTER, by=ARRANGER, user=None)
        settings.ZEHRAVA_POLICY_SECOND_PERSON = True
        policy.refresh_from_db()
    versions = PolicyVersion.objects.count()
    by = Actor.person(paul)
    doors: dict[str, Any] = {
        "activate": lambda: documents.activate_version(draft(), by=by),
        "disable": lambda: documents.disable_policy(policy, by=by),
        "save": lambda: documents.save_policy(OTHER, by=by, user=paul),
        "back": lambda: documents.activate_version(PolicyVersion.objects.get(number=1), by=by),
    }
    before = in_force()
    with pytest.raises(Problem, match="second person"), transaction.atomic():
        doors[door]()
    assert in_force() == before
    assert PolicyVersion.objects.count() == versions


def test_taking_out_of_force_and_going_back_take_two_as_well(paul: User, petra: User) -> None:
    policy = Policy.objects.get()
    off = activation.ask(policy, None, by=paul, reason="It blocks everything")
    assert in_force() == 1
    activation.confirm(off, by=petra, digest=None)
    assert in_force() is None
    assert Event.objects.get(type="policy.disabled").actor_name == "petra"
    first = PolicyVersion.objects.get(number=1)
    back = activation.ask(policy, first, by=petra, reason="Mended")
    activation.confirm(back, by=paul, digest=first.digest)
    assert in_force() == 1


def test_who_may_not_activate_neither_asks_nor_confirms_nor_refuses(paul: User) -> None:
    rita = make_user("rita", "reviewers")
    version = draft()
    refused("forbidden", activation.ask, version.policy, version, by=rita, reason="why")
    request = activation.ask(version.policy, version, by=paul, reason="why")
    refused("forbidden", activation.confirm, request, by=rita, digest=version.digest)
    refused("forbidden", activation.refuse, request, by=rita, reason="no")
    refused("forbidden", activation.withdraw, request, by=rita)


@pytest.mark.parametrize("lost", ["permission", "account"])
def test_who_asked_must_still_be_entitled_when_another_confirms(lost: str, paul: User, petra: User) -> None:
    version = draft()
    request = activation.ask(version.policy, version, by=paul, reason="why")
    if lost == "permission":
        paul.groups.clear()
    else:
        User.objects.filter(pk=paul.pk).update(is_active=False)
    assert "Refuse it" in refused("conflict", activation.confirm, request, by=petra, digest=version.digest)
    activation.refuse(request, by=petra, reason="paul has left")
    assert in_force() == 1


def test_a_request_that_something_overtook_cannot_be_confirmed(paul: User, petra: User, settings: Any) -> None:
    version = draft()
    request = activation.ask(version.policy, version, by=paul, reason="why")
    settings.ZEHRAVA_POLICY_SECOND_PERSON = False
    documents.save_policy(OTHER, by=ARRANGER, user=None)
    settings.ZEHRAVA_POLICY_SECOND_PERSON = True
    told = refused("conflict", activation.confirm, request, by=petra, digest=version.digest)
    assert "Something else came into force" in told
    # It stands in nobody's way.
    anew = activation.ask(version.policy, version, by=petra, reason="still")
    activation.confirm(anew, by=paul, digest=version.digest)
    assert in_force() == 2
    assert list(ActivationRequest.objects.values_list("state", flat=True)) == ["confirmed", "withdrawn"]


def test_nothing_waits_for_a_second_person_once_one_is_enough(
    paul: User, petra: User, settings: Any, capsys: Any
) -> None:
    second_person.record(by=ARRANGER)
    asked = activation.ask_from_server(draft(), by=ARRANGER, reason="loaded")
    settings.ZEHRAVA_POLICY_SECOND_PERSON = False
    call_command("second_person", "--off", "--reason", "one person now", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["withdrawn"] == [{"policy": "refunds", "version": 2}]
    asked.refresh_from_db()
    assert (asked.state, asked.settled_by) == ("withdrawn", None)
    assert in_force() == 1
    assert activation.open_request(asked.policy) is None
    event = Event.objects.filter(type="policy.activation_withdrawn").get()
    assert json.loads(event.line)["facts"]["waived"] is True


def test_one_request_waits_at_a_time(paul: User, petra: User) -> None:
    version = draft()
    activation.ask(version.policy, version, by=paul, reason="why")
    other = draft(OTHER)
    assert "v2, asked for by paul" in refused("conflict", activation.ask, other.policy, other, by=petra, reason="me")
    with pytest.raises(IntegrityError), transaction.atomic():
        ActivationRequest.objects.create(policy=version.policy, version=other, reason="past every check")


def test_the_database_itself_wants_two_people(paul: User) -> None:
    version = draft()
    request = activation.ask(version.policy, version, by=paul, reason="why")
    with pytest.raises(IntegrityError), transaction.atomic():
        ActivationRequest.objects.filter(pk=request.pk).update(
            state=RequestState.CONFIRMED, settled_by=paul, settled_at=clock.now()
        )


def test_what_is_settled_stays_settled(paul: User, petra: User) -> None:
    version = draft()
    request = activation.ask(version.policy, version, by=paul, reason="why")
    activation.refuse(request, by=petra, reason="The bound is too low")
    assert "refused by petra" in refused("conflict", activation.confirm, request, by=petra, digest=version.digest)
    refused("conflict", activation.withdraw, request, by=paul)
    assert ActivationRequest.objects.get().answer == "The bound is too low"
    assert in_force() == 1


@pytest.mark.parametrize("reason", ["", "  ", "\u200b"])
def test_reasons_are_needed_to_ask_and_to_refuse(reason: str, paul: User, petra: User) -> None:
    version = draft()
    refused("invalid", activation.ask, version.policy, version, by=paul, reason=reason)
    request = activation.ask(version.policy, version, by=paul, reason="why")
    refused("invalid", activation.refuse, request, by=petra, reason=reason)


def test_nobody_refuses_their_own_request_and_nobody_else_takes_it_back(paul: User, petra: User) -> None:
    version = draft()
    request = activation.ask(version.policy, version, by=paul, reason="why")
    refused("conflict", activation.refuse, request, by=paul, reason="no")
    refused("forbidden", activation.withdraw, request, by=petra)


def test_another_digest_than_the_one_shown_confirms_nothing(paul: User, petra: User) -> None:
    version = draft()
    request = activation.ask(version.policy, version, by=paul, reason="why")
    for digest in (None, "", "sha256:" + "0" * 64):
        refused("stale-digest", activation.confirm, request, by=petra, digest=digest)


def test_a_command_is_nobody_two_people_are_needed_besides(paul: User, petra: User) -> None:
    version = draft()
    request = activation.ask_from_server(version, by=ARRANGER, reason="refunds.yaml")
    assert "take it over" in refused("conflict", activation.confirm, request, by=petra, digest=version.digest)
    activation.take_over(request, by=paul)
    refused("conflict", activation.take_over, request, by=petra)
    request.refresh_from_db()
    refused("conflict", activation.confirm, request, by=paul, digest=version.digest)
    activation.confirm(request, by=petra, digest=version.digest)
    assert in_force() == 2


def test_a_command_replaces_what_a_command_asked_and_never_what_a_person_did(paul: User) -> None:
    version = draft()
    first = activation.ask_from_server(version, by=ARRANGER, reason="a")
    assert activation.ask_from_server(version, by=ARRANGER, reason="a").pk == first.pk
    other = draft(OTHER)
    second = activation.ask_from_server(other, by=ARRANGER, reason="b")
    assert ActivationRequest.objects.get(pk=first.pk).state == RequestState.WITHDRAWN
    activation.take_over(second, by=paul)
    refused("conflict", activation.ask_from_server, version, by=ARRANGER, reason="c")


@pytest.mark.parametrize("column", ["version", "requested_by", "instead_of"])
def test_a_row_that_its_history_contradicts_is_not_confirmed(column: str, paul: User, petra: User) -> None:
    version, other = draft(), draft(OTHER)
    request = activation.ask(version.policy, version, by=paul, reason="why")
    mallory = make_user("mallory", "policy_authors")
    forged = {"version": other, "requested_by": mallory, "instead_of": other}[column]
    ActivationRequest.objects.filter(pk=request.pk).update(**{column: forged})
    if column == "instead_of":
        Policy.objects.update(active=other)
    shown = other if column == "version" else version
    refused("integrity-failed", activation.confirm, request, by=petra, digest=shown.digest)


def test_a_row_that_nobody_asked_for_is_not_confirmed(paul: User, petra: User) -> None:
    version = draft()
    made = ActivationRequest(
        policy=version.policy, version=version, instead_of=version.policy.active, requested_by=paul, reason="forged"
    )
    ActivationRequest.objects.bulk_create([made])
    refused("integrity-failed", activation.confirm, made, by=petra, digest=version.digest)


def test_there_is_nothing_to_ask_for_where_nothing_would_change(paul: User) -> None:
    first = PolicyVersion.objects.get(number=1)
    refused("conflict", activation.ask, first.policy, first, by=paul, reason="why")


def swapped(version: PolicyVersion, text: str = OTHER) -> str:
    """Another text and the digest of it, written past every model; returns the digest."""
    digest = canonical.digest(text.encode())
    PolicyVersion.objects.filter(pk=version.pk).update(text=text, digest=digest)
    return digest


def test_nobody_confirms_their_own_version_by_making_another_its_author(paul: User, petra: User) -> None:
    version = draft(user=paul)
    request = activation.ask(version.policy, version, by=petra, reason="why")
    PolicyVersion.objects.filter(pk=version.pk).update(created_by=petra)
    told = refused("integrity-failed", activation.confirm, request, by=paul, digest=version.digest)
    assert "author differs" in told


def test_a_text_that_was_swapped_after_it_was_asked_for_is_not_confirmed(paul: User, petra: User) -> None:
    version = draft()
    request = activation.ask(version.policy, version, by=paul, reason="why")
    told = refused("integrity-failed", activation.confirm, request, by=petra, digest=swapped(version))
    assert "v2" in told and "digest differs" in told
    PolicyVersion.objects.filter(pk=version.pk).update(digest=version.digest)
    told = refused("integrity-failed", activation.confirm, request, by=petra, digest=version.digest)
    assert "text differs" in told


def test_a_request_that_only_history_vouches_for_is_not_confirmed(paul: User, petra: User) -> None:
    version = draft()
    request = activation.ask(version.policy, version, by=paul, reason="why")
    mallory = make_user("mallory", "policy_authors")
    forged = ActivationRequest.history.get(id=request.pk)
    forged.history_id, forged.requested_by_id, forged.actor_id = "evt_7zzz", mallory.pk, str(mallory.pk)
    forged.save(force_insert=True)
    ActivationRequest.objects.filter(pk=request.pk).update(requested_by=mallory)
    refused("integrity-failed", activation.confirm, request, by=paul, digest=version.digest)


def test_what_was_altered_is_neither_asked_for_nor_activated_and_its_text_can_be_saved_anew(
    paul: User, petra: User, settings: Any
) -> None:
    version = draft(user=paul)
    swapped(version)
    version.refresh_from_db()
    assert "digest differs" in refused(
        "integrity-failed", activation.ask, version.policy, version, by=petra, reason="why"
    )
    settings.ZEHRAVA_POLICY_SECOND_PERSON = False
    refused("integrity-failed", documents.activate_version, version, by=Actor.person(petra))
    assert documents.save_policy(OTHER, by=ARRANGER, user=None).number == 3
    assert in_force() == 3


def test_an_action_type_that_was_altered_is_not_activated() -> None:
    version = documents.save_action_type("name: a.b\n", by=ARRANGER, user=None, activate=False)
    text = "name: a.b\nexecutor: noop\n"
    ActionTypeVersion.objects.update(text=text, digest=canonical.digest(text.encode()))
    version.refresh_from_db()
    refused("integrity-failed", documents.activate_action_type_version, version, by=ARRANGER)


# --- one request in the place of another ---------------------------------------------------------------------------


def test_who_was_shown_what_waits_asks_for_another_version_in_its_place(paul: User, petra: User) -> None:
    version, other = draft(), draft(OTHER)
    first = activation.ask(version.policy, version, by=paul, reason="why")
    second = activation.ask(other.policy, other, by=paul, reason="better", replacing=first.pk)
    third = activation.ask(version.policy, version, by=petra, reason="the bound", replacing=second.pk)
    assert list(ActivationRequest.objects.order_by("pk").values_list("state", "settled_by__username", "answer")) == [
        ("withdrawn", "paul", ""),
        ("refused", "petra", "Replaced by a request for v2: the bound"),
        ("open", None, ""),
    ]
    replaced = json.loads(Event.objects.get(type="policy.activation_refused").line)
    assert (replaced["actor"]["name"], replaced["facts"]["replaced_by"]) == ("petra", 2)
    # Who was shown the first only, is told that another one waits.
    told = refused("conflict", activation.ask, other.policy, other, by=paul, reason="me", replacing=first.pk)
    assert "v2, asked for by petra" in told
    activation.confirm(third, by=paul, digest=version.digest)
    assert in_force() == 2


def test_the_same_is_not_asked_for_twice(paul: User, petra: User) -> None:
    version = draft()
    first = activation.ask(version.policy, version, by=paul, reason="why")
    told = refused("conflict", activation.ask, first.policy, version, by=petra, reason="too", replacing=first.pk)
    assert "waits for a second person already" in told
    off = activation.ask(first.policy, None, by=petra, reason="off")
    refused("conflict", activation.ask, first.policy, None, by=paul, reason="off", replacing=off.pk)


@pytest.mark.parametrize("asker", ["somebody else", "the same person", "a command"])
def test_nothing_that_waits_to_come_into_force_holds_up_taking_a_policy_out_of_it(
    asker: str, paul: User, petra: User
) -> None:
    version = draft()
    if asker == "a command":
        activation.ask_from_server(version, by=ARRANGER, reason="refunds.yaml")
    else:
        by = paul if asker == "the same person" else petra
        activation.ask(version.policy, version, by=by, reason="why")
    off = activation.ask(version.policy, None, by=paul, reason="It lets everything pass")
    before = ActivationRequest.objects.exclude(pk=off.pk).get()
    assert (before.state, before.settled_by) == ("refused" if asker == "somebody else" else "withdrawn", paul)
    # Once it waits, no version takes its place in passing, and a command never does.
    refused("conflict", activation.ask, version.policy, version, by=petra, reason="no")
    refused("conflict", activation.ask_from_server, version, by=ARRANGER, reason="again")
    activation.confirm(off, by=petra, digest=None)
    assert in_force() is None


def test_who_asked_first_and_who_took_it_over_are_both_known(paul: User, petra: User) -> None:
    version = draft()
    request = activation.ask_from_server(version, by=Actor.system("manage.py policy_load"), reason="refunds.yaml")
    activation.take_over(request, by=paul)
    found = activation.asked([request])[request.pk]
    assert (found.by, found.by_command, found.taken_over_by) == ("manage.py policy_load", True, "paul")
    assert found.taken_over_at is not None and found.taken_over_at > found.at
    assert activation.confirmed_request(version.policy) is None
    activation.confirm(request, by=petra, digest=version.digest)
    settled = activation.confirmed_request(version.policy)
    assert settled is not None and (settled.requested_by, settled.settled_by) == (paul, petra)
    # Settling it names nobody anew.
    assert activation.asked([request])[request.pk] == found


def test_another_account_of_who_asked_or_wrote_it_confirms_nothing(paul: User, petra: User) -> None:
    User.objects.filter(pk=paul.pk).update(email="paul@example.com")
    second = make_user("paul-2", "policy_authors", email="Paul@Example.com")
    version = draft(user=paul)
    request = activation.ask(version.policy, version, by=petra, reason="why")
    assert "You wrote v2" in refused("conflict", activation.confirm, request, by=second, digest=version.digest)
    activation.withdraw(request, by=petra)
    request = activation.ask(version.policy, version, by=paul, reason="why")
    assert "somebody else" in refused("conflict", activation.confirm, request, by=second, digest=version.digest)
