"""A second person for what is in force: one asks, another confirms, and only then a policy changes.

It counts where `second_person.takes_two` says so: for a new version, for going back to an older one and for taking a
policy out of force. One request waits at a time: who asks for another version may replace the one they were shown, and
a request to take a policy out of force is held up by none that would bring a version into it.

Both people need `intents.activate_policy` at the moment of confirming. Whoever wrote a version may ask for it and never
confirms it. A superuser is no exception, and a command on the server counts as no person at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from audit import clock, ledger
from audit.actors import Actor
from audit.models import Event
from intents import documents, one_person, parsing, recorded, second_person
from intents.models import ActivationRequest, Policy, PolicyVersion, RequestState
from intents.reasons import read_reason
from intents.second_person import takes_two
from zehrava.problems import Problem

PERMISSION = "intents.activate_policy"

__all__ = ["takes_two"]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked first and when, and who took it over from a command, by the history that nobody can rewrite."""

    by: str
    at: datetime
    by_command: bool
    taken_over_by: str = ""
    taken_over_at: datetime | None = None


def open_request(policy: Policy) -> ActivationRequest | None:
    """What waits for a second person about this policy."""
    related = ("policy__active", "version__created_by", "instead_of", "requested_by")
    return ActivationRequest.objects.filter(policy=policy, state=RequestState.OPEN).select_related(*related).first()


def is_stale(request: ActivationRequest) -> bool:
    """Whether something else came into force since it was asked: then nobody can confirm it any more."""
    return request.policy.active_id != request.instead_of_id


def why_not_confirm(request: ActivationRequest, person: User) -> str:
    """Why this person cannot confirm it, with what to do; empty where they can."""
    if not _may(person):
        return "Only people who may bring policies into force confirm this."
    if request.state != RequestState.OPEN:
        return f"It is settled already: {request.get_state_display().lower()}."
    if is_stale(request):
        return "Something else came into force since it was asked. Have it withdrawn or refused, then ask again."
    if request.requested_by is None:
        return "A command on the server asked for this. A person has to take it over, then another one confirms it."
    theirs = one_person.accounts().of(person.pk)
    if request.requested_by_id in theirs:
        return "You asked for this: somebody else has to confirm it."
    if request.version is not None and request.version.created_by_id in theirs:
        return (
            f"You wrote v{request.version.number}: somebody else has to confirm it. You may ask for it yourself once "
            "this request is settled, and another person confirms that."
        )
    if not _may(request.requested_by):
        asker = request.requested_by.get_username()
        return f"{asker}, who asked for this, may not bring policies into force any more. Refuse it, then ask yourself."
    return ""


def count_waiting(person: User) -> int:
    """How many requests wait that this person did not ask for; only who may bring policies into force answers any."""
    waiting = ActivationRequest.objects.filter(state=RequestState.OPEN)
    return waiting.exclude(requested_by=person).count() if _may(person) else 0


def asked(requests: Iterable[ActivationRequest]) -> dict[int, Asked]:
    """Who asked for each of these requests, by its key; one query."""
    kept = ActivationRequest.history.filter(id__in=[request.pk for request in requests])
    columns = ("id", "requested_by_id", "actor_name", "actor_kind", "history_date")
    found: dict[int, Asked] = {}
    for key, person, name, kind, at in kept.order_by("history_id").values_list(*columns):
        first = found.get(key)
        if first is None:
            found[key] = Asked(name, at, kind != "person")
        elif first.by_command and not first.taken_over_by and person is not None:
            found[key] = replace(first, taken_over_by=name, taken_over_at=at)
    return found


def confirmed_request(policy: Policy) -> ActivationRequest | None:
    """The request by which this policy came to what is in force now; None where one person or a command did it."""
    moves = Event.objects.filter(type="policy.activated", subject_id=str(policy.pk))
    moved = moves.order_by("-id").first()
    key: int | None = json.loads(moved.line)["facts"].get("request") if moved else None
    if key is None:
        return None
    found = ActivationRequest.objects.filter(pk=key, state=RequestState.CONFIRMED, policy=policy)
    return found.select_related("requested_by", "settled_by").first()


@transaction.atomic
def ask(
    policy: Policy, version: PolicyVersion | None, *, by: User, reason: str, replacing: int | None = None
) -> ActivationRequest:
    """Ask for this version, or with None for no version, to be what is in force; another person has to confirm it.

    `replacing` is the key of the request that the person was shown to wait: it is settled in the same step. Asking to
    take a policy out of force replaces whatever would bring a version into force, shown or not.

    Raises Problem `forbidden` without the permission, `invalid` without a reason, and `conflict` where another request
    waits or nothing would change.
    """
    _require(by)
    reason = read_reason(reason, path="/reason", needed="Say why: whoever confirms it reads this.")
    return _ask(policy, version, by=Actor.person(by), person=by, reason=reason, replacing=replacing)


@transaction.atomic
def ask_from_server(version: PolicyVersion, *, by: Actor, reason: str) -> ActivationRequest:
    """As `ask`, by a command on the server. It replaces what a command asked before, never what a person did."""
    policy = _locked(version.policy)
    waiting = open_request(policy)
    if waiting is not None and waiting.requested_by is None:
        if waiting.version_id == version.pk and not is_stale(waiting):
            return waiting
        _settle(waiting, RequestState.WITHDRAWN, by=by, person=None)
    return _ask(policy, version, by=by, person=None, reason=reason)


@transaction.atomic
def take_over(request: ActivationRequest, *, by: User) -> ActivationRequest:
    """Make what a command asked for this person's own request, so that another can confirm it.

    Raises Problem `forbidden` and `conflict`.
    """
    _require(by)
    request = _locked_request(request)
    if request.requested_by is not None:
        raise Problem("conflict", f"{request.requested_by.get_username()} asks for this already.")
    if is_stale(request):
        raise Problem("conflict", why_not_confirm(request, by))
    request.requested_by = by
    ledger.save(
        request,
        "policy.activation_requested",
        by=Actor.person(by),
        facts=_facts(request),
        update_fields=["requested_by"],
    )
    return request


@transaction.atomic
def confirm(request: ActivationRequest, *, by: User, digest: str | None) -> Policy:
    """Bring into force, or take out of it, what another person asked for; `digest` is that of the version shown.

    Raises Problem `forbidden`, `conflict` (settled, stale, asked or written by the same person), `stale-digest` and
    `integrity-failed`; PolicyError where this portal can no longer read the version. Nothing changes then.
    """
    _require(by)
    request = _locked_request(request)
    if why_not := why_not_confirm(request, by):
        raise Problem("conflict", why_not)
    version = request.version
    if digest != (version.digest if version else None):
        raise Problem("stale-digest", "What you were shown is not what was asked for. Look at the request again.")
    _refuse_altered(request)
    actor = Actor.person(by)
    _settle(request, RequestState.CONFIRMED, by=actor, person=by)
    facts = {"request": request.pk, "requested_by": str(request.requested_by_id)}
    return documents.move_policy(request.policy, version, by=actor, facts=facts)


@transaction.atomic
def withdraw(request: ActivationRequest, *, by: User) -> ActivationRequest:
    """Take back what one asked for oneself. Raises Problem `forbidden`, `conflict`."""
    request = _locked_request(request)
    if request.requested_by_id != by.pk:
        raise Problem("forbidden", "Only who asked for it takes it back; others may refuse it.")
    return _settle(request, RequestState.WITHDRAWN, by=Actor.person(by), person=by)


@transaction.atomic
def refuse(request: ActivationRequest, *, by: User, reason: str) -> ActivationRequest:
    """Say no to what somebody else asked for. Raises Problem `forbidden`, `invalid` without a reason, `conflict`."""
    _require(by)
    answer = read_reason(reason, path="/reason", needed="Say why you refuse: whoever asked reads this.")
    request = _locked_request(request)
    if request.requested_by_id == by.pk:
        raise Problem("conflict", "You asked for this yourself: take it back instead.")
    return _settle(request, RequestState.REFUSED, by=Actor.person(by), person=by, answer=answer)


@transaction.atomic
def waive_second_person(*, by: Actor, reason: str) -> list[ActivationRequest]:
    """Let one person change policies alone again, and settle what waits for a second one: it can be done directly now.

    Returns what was settled. Raises what `second_person.waive` does.
    """
    second_person.waive(by=by, reason=reason)
    waiting = ActivationRequest.objects.filter(state=RequestState.OPEN).order_by("policy_id")
    related = waiting.select_related("policy", "version", "instead_of")
    return [
        _settle(_locked_request(request), RequestState.WITHDRAWN, by=by, person=None, facts={"waived": True})
        for request in related
    ]


# --- one row -------------------------------------------------------------------------------------------------------


def _may(person: User) -> bool:
    return person.is_active and person.has_perm(PERMISSION)


def _require(person: User) -> None:
    if not _may(person):
        raise Problem("forbidden", "Only people who may bring policies into force ask for this and confirm it.")


def _locked(policy: Policy) -> Policy:
    """The policy's row, locked first by everybody who changes what is in force or asks for it."""
    return Policy.objects.select_for_update().get(pk=policy.pk)


def _locked_request(request: ActivationRequest) -> ActivationRequest:
    """The request as it is now, its policy and itself locked. Raises Problem `conflict` where it is settled."""
    policy = _locked(request.policy)
    ActivationRequest.objects.select_for_update().get(pk=request.pk)
    waiting = open_request(policy)
    if waiting is None or waiting.pk != request.pk:
        request = ActivationRequest.objects.select_related("settled_by").get(pk=request.pk)
        who = request.settled_by.get_username() if request.settled_by else "a command on the server"
        raise Problem("conflict", f"This request is settled: {request.get_state_display().lower()} by {who}.")
    return waiting


def _ask(
    policy: Policy,
    version: PolicyVersion | None,
    *,
    by: Actor,
    person: User | None,
    reason: str,
    replacing: int | None = None,
) -> ActivationRequest:
    policy = _locked(policy)
    if policy.active_id == (version.pk if version else None):
        already = f"v{version.number} is in force" if version else f"{policy.name} is out of force"
        raise Problem("conflict", f"{already} already: there is nothing to ask for.")
    if version is not None:
        recorded.refuse_altered(version)
        parsing.parse_policy(version.text, version=version.number)
    waiting = open_request(policy)
    if waiting is not None:
        _make_room(waiting, version, by=by, person=person, reason=reason, replacing=replacing)
    request = ActivationRequest(
        policy=policy,
        version=version,
        instead_of=policy.active,
        requested_by=person,
        reason=reason,
        created_at=clock.now(),
    )
    try:
        with transaction.atomic():
            ledger.save(
                request, "policy.activation_requested", by=by, facts=_facts(request), content={"reason": reason}
            )
    except IntegrityError as error:
        raise Problem("conflict", "Somebody else has just asked for a change of this policy.") from error
    return request


def _make_room(
    waiting: ActivationRequest,
    version: PolicyVersion | None,
    *,
    by: Actor,
    person: User | None,
    reason: str,
    replacing: int | None,
) -> None:
    """Settle what waits, where another request may take its place. Raises Problem `conflict` where it may not."""
    if is_stale(waiting):
        _settle(waiting, RequestState.WITHDRAWN, by=by, person=person, facts={"stale": True})
        return
    if waiting.version_id == (version.pk if version else None):
        raise Problem("conflict", f"{_told(waiting)} waits for a second person already.")
    # What blocks too much, or lets too much pass, must not stay in force because somebody is at work on what follows.
    if person is None or (waiting.pk != replacing and version is not None):
        raise Problem("conflict", f"{_told(waiting)} waits for a second person: have that settled first.")
    facts = {"replaced_by": version.number if version else None, "replaced": True}
    if waiting.requested_by_id in (None, person.pk):
        _settle(waiting, RequestState.WITHDRAWN, by=by, person=person, facts=facts)
    else:
        instead = f"v{version.number}" if version else "taking it out of force"
        answer = f"Replaced by a request for {instead}: {reason}"
        _settle(waiting, RequestState.REFUSED, by=by, person=person, answer=answer, facts=facts)


def _told(request: ActivationRequest) -> str:
    who = request.requested_by.get_username() if request.requested_by else "a command on the server"
    what = f"v{request.version.number}" if request.version else "taking it out of force"
    return f"{what}, asked for by {who},"


def _settle(
    request: ActivationRequest,
    state: RequestState,
    *,
    by: Actor,
    person: User | None,
    answer: str = "",
    facts: dict[str, Any] | None = None,
) -> ActivationRequest:
    request.state, request.settled_by, request.settled_at, request.answer = state, person, clock.now(), answer
    ledger.save(
        request,
        f"policy.activation_{state.value}",
        by=by,
        facts={**_facts(request), **(facts or {})},
        content={"answer": answer} if answer else None,
        update_fields=["state", "settled_by", "settled_at", "answer"],
    )
    return request


def _facts(request: ActivationRequest) -> dict[str, Any]:
    version, before = request.version, request.instead_of
    return {
        "policy": request.policy_id,
        "version": version.number if version else None,
        "digest": version.digest if version else None,
        "instead_of": before.number if before else None,
        "requested_by": str(request.requested_by_id) if request.requested_by_id else None,
    }


def _refuse_altered(request: ActivationRequest) -> None:
    """Raise Problem where row and ledger disagree about what was asked for, by whom, or about the version."""
    said = recorded.newest(ActivationRequest, [request.pk]).get(request.pk)
    columns = ("policy_id", "version_id", "instead_of_id", "requested_by_id", "state")
    moved = recorded.differing(
        said,
        **{name: getattr(request, name) for name in columns},
        # The last to touch an open request is the person who asks for it.
        actor_kind="person",
        actor_id=str(request.requested_by_id),
    )
    if moved:
        raise Problem(
            "integrity-failed",
            f"What is stored of this request is not what was asked for: {' and '.join(moved)} differs. Nothing was "
            "changed; tell an auditor.",
        )
    if request.version is not None:
        recorded.refuse_altered(request.version)
