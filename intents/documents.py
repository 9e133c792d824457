"""Storing policies and action types, and bringing their versions into force.

The text of a version never changes: other text is another version. What is in force is one pointer, moved in one
transaction with its history, its ledger event and the version of what is in force. Where the portal asks for a second
person (`intents.second_person`), nobody moves a policy's pointer alone: see `intents.activation`.
"""

from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from audit import clock, ledger
from audit.actors import Actor
from intents import executors, in_force, recorded, second_person, shadowing
from intents.models import ActionType, ActionTypeVersion, Policy, PolicyVersion
from intents.outlines import outline
from intents.parsing import parse_policy
from zehrava import action_types, canonical, ids
from zehrava.action_types import ActionTypeError
from zehrava.policy import strict_yaml
from zehrava.problems import Problem

Stored = TypeVar("Stored", Policy, ActionType)
Version = TypeVar("Version", PolicyVersion, ActionTypeVersion)


def parse_action_type(text: str) -> action_types.ActionType:
    """Read an action type as it would be stored, whose executor this portal has. Raises ActionTypeError."""
    parsed = action_types.ActionType.parse(text)
    if parsed.executor is not None and parsed.executor not in executors.names():
        known = ", ".join(sorted(executors.names()))
        raise ActionTypeError(
            strict_yaml.read(text).fault(
                "executor",
                f"this portal has no executor {parsed.executor!r}: use one of {known}, or leave the line out, then the "
                "agent carries the action out itself",
            )
        )
    return parsed


@transaction.atomic
def save_policy(text: str, *, by: Actor, user: User | None, activate: bool = True) -> PolicyVersion:
    """Store a policy as the next version of its name, and bring it into force; without `activate` it is a draft.

    Text equal to that of the newest version, or of the one in force, makes no version of its own. `user` is the
    person who wrote it, if one did. Raises PolicyError, and Problem `conflict` where activating takes a second person;
    then nothing is stored.
    """
    parsed = parse_policy(text)
    stored = _find_or_create(Policy(id=ids.new("pol", at=clock.now()), name=parsed.name), by=by)
    version = _newest_or_next(
        stored, PolicyVersion(policy=stored, outline=outline(parsed), **_contents(text, user)), by=by
    )
    if activate:
        activate_version(version, by=by)
    return version


@transaction.atomic
def save_action_type(text: str, *, by: Actor, user: User | None, activate: bool = True) -> ActionTypeVersion:
    """Store an action type as the next version of its name, and bring it into force.

    As `save_policy`; raises ActionTypeError, and then nothing is stored.
    """
    parsed = parse_action_type(text)
    stored = _find_or_create(ActionType(name=parsed.name), by=by)
    version = ActionTypeVersion(action_type=stored, **_contents(text, user))
    version = _newest_or_next(stored, version, by=by)
    if activate:
        activate_action_type_version(version, by=by)
    return version


@transaction.atomic
def activate_version(version: PolicyVersion, *, by: Actor) -> Policy:
    """Bring a version of a policy into force instead of the one that is, if it is not already.

    Raises PolicyError for a version that this portal can no longer read, and Problem `conflict` where that takes a
    second person, `integrity-failed` where the version is not what somebody saved.
    """
    _refuse_alone(version.policy, version)
    return move_policy(version.policy, version, by=by)


@transaction.atomic
def activate_action_type_version(version: ActionTypeVersion, *, by: Actor) -> ActionType:
    """Bring a version of an action type into force instead of the one that is, if it is not already.

    Raises ActionTypeError for a version that this portal can no longer read or carry out, and Problem
    `integrity-failed` for one that is not what somebody saved.
    """
    recorded.refuse_altered(version)
    parse_action_type(version.text)
    return _point_at(version.action_type, version, "action_type.activated", by=by)


@transaction.atomic
def disable_policy(stored: Policy, *, by: Actor) -> Policy:
    """Take a policy out of force; its versions stay. What it alone covered is then asked of a reviewer.

    Raises Problem `conflict` where that takes a second person.
    """
    _refuse_alone(stored, None)
    return move_policy(stored, None, by=by)


@transaction.atomic
def move_policy(
    stored: Policy, version: PolicyVersion | None, *, by: Actor, facts: dict[str, Any] | None = None
) -> Policy:
    """Point a policy at a version, or at none, for who has seen to everything that this takes.

    `facts` go into the ledger's event. Raises PolicyError for a version that this portal can no longer read, and
    Problem `integrity-failed` for one that is not what somebody saved.
    """
    if version is not None:
        recorded.refuse_altered(version)
        parse_policy(version.text, version=version.number)
    moved = _point_at(stored, version, "policy.activated" if version else "policy.disabled", by=by, more=facts)
    return shadowing.stop_activated(moved, by=by)


@transaction.atomic
def retire_action_type(stored: ActionType, *, by: Actor) -> ActionType:
    """Take an action type out of force; its versions stay. Its action is then shown as it came, and not run here."""
    return _point_at(stored, None, "action_type.retired", by=by)


# --- what both have in common --------------------------------------------------------------------------------------


def _refuse_alone(stored: Policy, version: PolicyVersion | None) -> None:
    # Under the lock: what is in force as somebody else's change begins would be put back alone once that has ended.
    now = Policy.objects.select_for_update().get(pk=stored.pk).active_id
    if now != (version.pk if version else None) and second_person.takes_two():
        raise Problem(
            "conflict",
            "Policies of this portal change only when a second person agrees: ask for it on the policy's page, and "
            "somebody else confirms it.",
        )


def _find_or_create(draft: Stored, *, by: Actor) -> Stored:
    """The stored document of that name, locked, so that two who save at once get two version numbers."""
    named = type(draft).objects.select_for_update().filter(name=draft.name)
    if found := named.first():
        return found
    try:
        with transaction.atomic():
            ledger.save(draft, _CREATED[type(draft)], by=by)
    except IntegrityError:
        return named.get()
    return draft


def _contents(text: str, user: User | None) -> dict[str, Any]:
    return {"text": text, "digest": canonical.digest(text.encode()), "created_by": user}


def _newest_or_next(stored: Policy | ActionType, draft: Version, *, by: Actor) -> Version:
    newest: Any = stored.versions.order_by("-number").first()
    in_force_now: Any = stored.active
    for version in (newest, in_force_now):
        # One that somebody altered in the database comes into force no more: the same text is then saved anew.
        if version is not None and version.text == draft.text and not recorded.altered(version):
            return version
    draft.number = newest.number + 1 if newest else 1
    ledger.save(draft, _CREATED[type(draft)], by=by, facts={"number": draft.number, "digest": draft.digest})
    return draft


def _point_at(stored: Stored, version: Any, event: str, *, by: Actor, more: dict[str, Any] | None = None) -> Stored:
    stored = type(stored).objects.select_for_update().get(pk=stored.pk)
    if stored.active_id == (version.pk if version else None):
        return stored
    before = stored.active
    stored.active = version
    facts = {
        "version": version.number if version else None,
        "digest": version.digest if version else None,
        "instead_of": before.number if before else None,
        **(more or {}),
    }
    ledger.save(stored, event, by=by, facts=facts, update_fields=["active"])
    in_force.bump()
    return stored


# The ledger's own words for a row that is new.
_CREATED: dict[type, str] = {
    Policy: "policy.created",
    PolicyVersion: "policy_version.created",
    ActionType: "action_type.created",
    ActionTypeVersion: "action_type_version.created",
}
