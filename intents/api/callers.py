"""Who may call what, and which intents they can see."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from audit.actors import Actor
from intents import reading
from intents.in_force import AgentInForce, Snapshot
from intents.models import Intent
from zehrava import ids
from zehrava.problems import Problem


class IsAgent:
    """An agent, by its key."""

    who = "agents"

    def admits(self, request: Request) -> bool:
        return isinstance(request.auth, AgentInForce)


class IsPerson:
    """Any person who is signed in or shows a personal token."""

    who = "people"

    def admits(self, request: Request) -> bool:
        return bool(request.user.is_authenticated)


class PersonWith:
    """A person whom a role gives this permission; `who` names such people in a sentence."""

    def __init__(self, permission: str, who: str) -> None:
        self.permission = permission
        self.who = who

    def admits(self, request: Request) -> bool:
        return bool(request.user.is_authenticated and request.user.has_perm(self.permission))


IS_AGENT = IsAgent()
IS_PERSON = IsPerson()
MAY_VIEW_INTENTS = PersonWith(reading.VIEW, "people who may view intents")
MAY_CANCEL_INTENTS = PersonWith("intents.cancel_intent", "operators, who may cancel intents")

Caller = IsAgent | IsPerson | PersonWith
OpenTo = Mapping[str, tuple[Caller, ...]]


class AnyOf(BasePermission):
    """Admits whom any of these admits; without any, nobody."""

    def __init__(self, callers: tuple[Caller, ...]) -> None:
        self.callers = callers
        self.why = ""

    @property
    def message(self) -> str:
        welcome = " and for ".join(caller.who for caller in self.callers)
        return f"{self.why}This is for {welcome or 'nobody'}; your credential does not open it."

    def has_permission(self, request: Request, view: APIView) -> bool:
        if isinstance(request.auth, AgentInForce) and IS_AGENT not in self.callers:
            self.why = "Agents cannot do this. "
        return any(caller.admits(request) for caller in self.callers)


def agent_of(request: Request) -> AgentInForce:
    """The calling agent, behind a door that only agents pass. Raises Problem `forbidden` for anyone else."""
    if isinstance(request.auth, AgentInForce):
        return request.auth
    raise Problem("forbidden", "This is for agents.")


def in_force_for(request: Request) -> Snapshot:
    """What was in force when the calling agent's key was accepted."""
    snapshot: Snapshot = request.in_force  # type: ignore[attr-defined]
    return snapshot


def person_of(request: Request) -> User:
    """The calling person, behind a door that only people pass. Raises Problem `forbidden` for anyone else."""
    if isinstance(request.user, User):
        return request.user
    raise Problem("forbidden", "This is for people.")


def actor_of(request: Request) -> Actor:
    """Who acts, as history and ledger name them."""
    if isinstance(request.auth, AgentInForce):
        return Actor.agent(request.auth.id, request.auth.name)
    return Actor.person(person_of(request))


def visible_intents(request: Request) -> QuerySet[Intent]:
    """An agent's own intents; for people those that they may read by permission."""
    if isinstance(request.auth, AgentInForce):
        return Intent.objects.filter(agent_id=request.auth.id)
    return Intent.objects.filter(reading.visible_to(request.user))


def find_intent(request: Request, intent_id: str) -> Intent:
    """The intent, if this caller can see it: people also what they have a say in.

    Raises Problem `not-found`, the same for what is another agent's and for what is not theirs to read.
    """
    if ids.is_id(intent_id, "int"):
        intent = visible_intents(request).filter(pk=intent_id).first()
        if intent is None and IS_PERSON.admits(request) and not reading.sees_all(request.user):
            intent = Intent.objects.select_related("agent").filter(pk=intent_id).first()
            intent = intent if intent is not None and reading.may_read(request.user, intent) else None
        if intent is not None:
            return intent
    raise no_intent(intent_id)


def no_intent(intent_id: str) -> Problem:
    """What everyone is told who asks for an intent that is not there for them."""
    return Problem("not-found", f"There is no intent {known_as(intent_id, 'int')} for you.")


def known_as(text: str, prefix: str) -> Any:
    """An id worth repeating in a sentence; whatever else was sent is not repeated."""
    return text if ids.is_id(text, prefix) else "of that id"
